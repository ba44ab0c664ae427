"""Train variants one after the other, each in its own child process; write each record to disk at once."""

import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import structs

from bench.machine import host
from bench.machine.busy import Say, report_usage
from bench.machine.child import Child, ChildError
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError, error_text
from bench.machine.files import scratch_folder
from bench.machine.signals import Terminated
from bench.proof.tolerance import norm
from bench.records.folder import as_text
from bench.records.record import OwnLibrary
from bench.records.training import SCHEMA, Header, Point, Settings, Start, Stop, Writer
from bench.training.child import Job, Step
from bench.training.params import load_params, save_params
from bench.training.result import params_file, rmse
from bench.training.setup import TrainingData, choose_learners, prepare
from bench.workload.catalog import own_libraries, plugin_versions

CHILD = "bench.training.child"
FIRST_DEADLINE_S = 300.0  # for the first step, with imports and compiling
MAX_SLOWDOWN = 20  # a child counts as hung if its steps take so many times their mean time so far
MAX_REPORT_BYTES = 256 << 20  # a report contains the predictions of all test windows
MAX_FRAMES = 54  # epochs with saved predictions; the animation shows the last of them longer
Tell = Callable[[str, int, float], None]  # called with variant, epoch and loss at every report


def run_training(
    settings: Settings, folder: Path, tell: Tell, note: Say = lambda text: None, wait_s: float | None = None
) -> None:
    """Train the variants one after the other and write ``training.jsonl`` and ``params/``.

    Before the training, other busy programs are detected, and the training waits up to ``wait_s`` for their
    end. ``note`` is called with each sentence about the series and about these programs.
    Ctrl-C ends the training: reports so far are kept, and later variants are not started.

    Raises:
        Terminated: SIGTERM or SIGHUP ended the training; reports so far are kept.
        UserError: invalid settings, files that cannot be used, a folder that already holds a training, or
            a disk that is full or broken.
    """
    if as_text(path := str(folder.absolute())) != path:
        raise UserError(
            f"the path {as_text(path)} is not UTF-8, as a training needs it; choose another --out"
        )
    data = prepare(settings)
    learners = choose_learners(settings, data.case)
    for text in data.notes:
        note(text)
    other_programs = report_usage(wait_s, note)
    try:
        with scratch_folder("train") as scratch, Writer(folder) as writer:
            environment = worker_environment(1, compiled="a folder of the training").set
            machine = host.describe(plugins=plugin_versions(settings.variants)) | other_programs
            writer.write(_header(settings, data, environment, machine))
            (folder / "params").mkdir(exist_ok=True)
            save_params(folder / "params" / "start.npz", data.train.params)
            data.train.save(scratch / "train.npz")
            data.test.save(scratch / "test.npz")
            for learner in learners:
                name = learner.variant.name
                params = (folder / "params" / params_file(name)).resolve()
                params.unlink(missing_ok=True)  # left by an earlier training in this folder
                files = (str(scratch / "train.npz"), str(scratch / "test.npz"), str(params))
                job = Job(learner.spec, learner.device, data.case, data.scaling, *files)
                interrupt: KeyboardInterrupt | None = None
                try:
                    stop = train_variant(job, name, settings, writer.write, tell)
                except KeyboardInterrupt as error:
                    stop, interrupt = Stop(name, "interrupted", "it was interrupted"), error
                distances = _distances(data, params) if params.exists() else None
                writer.write(structs.replace(stop, moved=distances))
                if isinstance(interrupt, Terminated):
                    raise interrupt
                if interrupt:
                    break
    except OSError as error:
        raise UserError(
            f"the training broke off: {error_text(error)}; make room, or choose another --out or TMPDIR, "
            "and train again"
        ) from error


def train_variant(
    job: Job, name: str, settings: Settings, write: Callable[[Start | Point], None], tell: Tell
) -> Stop:
    """Train a variant in a child: write and tell each report, and return how the training ended.

    Raises:
        OSError: a record cannot be written.
    """
    epochs = reports(settings)
    predicted_epochs = set(frames(epochs))
    max_steps = max(after - before for before, after in pairwise([0, *epochs]))  # between two reports
    environment = worker_environment(1, compiled=str(Path(job.train).parent / "compiled")).variables
    arguments = [msgspec.json.encode(job).decode()]
    limits: dict[str, Any] = {"deadline_s": FIRST_DEADLINE_S, "max_reply_bytes": MAX_REPORT_BYTES}
    started = time.perf_counter_ns()  # before the child starts, so that reading of data counts too
    with Child(CHILD, arguments, environment, **limits) as child:
        try:
            start: Start = child.receive(Start)
            write(structs.replace(start, variant=name, startup_ns=time.perf_counter_ns() - started))
            for epoch in epochs:
                step = Step(epoch, predict=epoch in predicted_epochs, last=epoch == epochs[-1])
                reply: Point | Stop = child.ask(step, Point | Stop)
                if isinstance(reply, Stop):
                    return structs.replace(reply, variant=name)
                write(reply)
                tell(name, epoch, reply.loss)
                per_epoch_s = reply.elapsed_ns / 1e9 / epoch
                child.deadline_s = max(FIRST_DEADLINE_S, MAX_SLOWDOWN * max_steps * per_epoch_s)
        except ChildError as error:
            return Stop(name, "crashed", child.explain(error))
    return Stop(name, "complete")


def reports(settings: Settings) -> list[int]:
    """Return the epochs with a report of the loss: the first, every ``settings.every``-th, the last."""
    return sorted({1, *range(settings.every, settings.epochs + 1, settings.every), settings.epochs})


def frames(epochs: Sequence[int]) -> list[int]:
    """Return the report epochs with saved predictions: denser at the start, where the loss changes most."""
    places = np.linspace(0, 1, MAX_FRAMES) ** 2 * (len(epochs) - 1)
    return [epochs[place] for place in np.unique(np.round(places).astype(int))]


def _header(
    settings: Settings, data: TrainingData, environment: dict[str, str], machine: dict[str, Any]
) -> Header:
    """Return the header record of a training."""
    paths = {name: as_text(path) for name in ("series", "load") if (path := getattr(settings, name))}
    return Header(
        schema=SCHEMA,
        started_utc=host.utc_now(),
        settings=structs.replace(
            settings,
            column=data.column,
            cell=data.case.cell,
            bias=data.case.bias,
            activation=data.case.activation,
            **paths,
        ),
        shape=data.case.shape,
        split=data.case.split,
        mean=data.scaling.mean,
        scale=data.scaling.scale,
        truth=data.truth.tolist(),
        naive_rmse=rmse(data.last_known - data.truth),
        machine=machine,
        environment=environment,
        notes=data.notes,
        parameters=tuple(data.train.params),
        libraries=tuple(map(OwnLibrary.of, own_libraries(settings.variants))),
    )


def _distances(data: TrainingData, path: Path) -> dict[str, float | None]:
    """Return |p - start| / |start| of each saved parameter; None if |start| is zero or too near to zero."""
    distances: dict[str, float | None] = {}
    params = load_params(path, data.case.cell)
    for name, start in data.train.params.items():
        with np.errstate(over="ignore"):
            distance, size = norm(params[name].astype(np.float64) - start), norm(start)
        ratio = distance / size if size else math.inf
        distances[name] = ratio if math.isfinite(ratio) else None
    return distances
