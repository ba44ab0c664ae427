"""The parent of a training: one child per variant, one after the other, each line on disk as it comes."""

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
from bench.machine.busy import Say, look_around
from bench.machine.child import Child, ChildError
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError, what_failed
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
from bench.workload.catalog import own_libraries

CHILD = "bench.training.child"
FIRST_DEADLINE_S = 300.0  # for the first step, imports and compiling included
SLOWER = 20  # times the steps may take by then, before it is taken for hung
MAX_REPORT_BYTES = 256 << 20  # predictions of all test windows stand in it
MAX_FRAMES = 54  # epochs at which predictions are kept; the animation holds the last for a while
Tell = Callable[[str, int, float], None]  # called with variant, epoch and loss at every report


def run_training(
    settings: Settings, folder: Path, tell: Tell, note: Say = lambda text: None, wait_s: float | None = None
) -> None:
    """Train the variants in turn and write ``training.jsonl`` and ``params/``.

    ``note`` is called with each sentence about the series and about what else runs before anything is
    trained, for whose end it waits ``wait_s`` at most.
    Ctrl-C ends it: what has been reported stays, the variants after it are not started.

    Raises:
        Terminated: TERM or a hang-up ended it; what has been reported stays.
        UserError: settings that make no sense, files that cannot be used, a folder that holds a training, or
            a disk that is full or broken.
    """
    if as_text(where := str(folder.absolute())) != where:
        raise UserError(
            f"the path {as_text(where)} is not UTF-8, as a training needs it; choose another --out"
        )
    data = prepare(settings)
    learners = choose_learners(settings, data.case)
    for text in data.notes:
        note(text)
    seen = look_around(wait_s, note)
    try:
        with scratch_folder("train") as scratch, Writer(folder) as writer:
            environment = worker_environment(1, compiled="a folder of the training").set
            writer.write(_header(settings, data, environment, host.describe() | seen))
            (folder / "params").mkdir(exist_ok=True)
            save_params(folder / "params" / "start.npz", data.train.params)
            data.train.save(scratch / "train.npz")
            data.test.save(scratch / "test.npz")
            for learner in learners:
                name = learner.variant.name
                params = (folder / "params" / params_file(name)).resolve()
                params.unlink(missing_ok=True)  # of an earlier training in this folder
                files = (str(scratch / "train.npz"), str(scratch / "test.npz"), str(params))
                job = Job(learner.spec, learner.device, data.case, data.scaling, *files)
                ended: KeyboardInterrupt | None = None
                try:
                    stop = train_variant(job, name, settings, writer.write, tell)
                except KeyboardInterrupt as signalled:
                    stop, ended = Stop(name, "interrupted", "it was interrupted"), signalled
                writer.write(structs.replace(stop, moved=_moved(data, params) if params.exists() else None))
                if isinstance(ended, Terminated):
                    raise ended
                if ended:
                    break
    except OSError as error:
        raise UserError(
            f"the training broke off: {what_failed(error)}; make room, or choose another --out or TMPDIR, "
            "and train again"
        ) from error


def train_variant(
    job: Job, name: str, settings: Settings, write: Callable[[Start | Point], None], tell: Tell
) -> Stop:
    """Start a child and write and tell what it reports; return how it ended.

    Raises:
        OSError: something cannot be written.
    """
    epochs = reports(settings)
    predicted = set(frames(epochs))
    longest = max(after - before for before, after in pairwise([0, *epochs]))  # steps between two reports
    environment = worker_environment(1, compiled=str(Path(job.train).parent / "compiled")).variables
    arguments = [msgspec.json.encode(job).decode()]
    limits: dict[str, Any] = {"deadline_s": FIRST_DEADLINE_S, "max_reply_bytes": MAX_REPORT_BYTES}
    started = time.perf_counter_ns()  # before the child reads any data, so that all of that counts
    with Child(CHILD, arguments, environment, **limits) as child:
        try:
            start: Start = child.receive(Start)
            write(structs.replace(start, variant=name, startup_ns=time.perf_counter_ns() - started))
            for epoch in epochs:
                step = Step(epoch, predict=epoch in predicted, last=epoch == epochs[-1])
                reply: Point | Stop = child.ask(step, Point | Stop)
                if isinstance(reply, Stop):
                    return structs.replace(reply, variant=name)
                write(reply)
                tell(name, epoch, reply.loss)
                pace_s = reply.elapsed_ns / 1e9 / epoch
                child.deadline_s = max(FIRST_DEADLINE_S, SLOWER * longest * pace_s)
        except ChildError as error:
            return Stop(name, "crashed", child.explain(error))
    return Stop(name, "complete")


def reports(settings: Settings) -> list[int]:
    """Return the epochs after which the loss is told: the first, every so many, the last."""
    return sorted({1, *range(settings.every, settings.epochs + 1, settings.every), settings.epochs})


def frames(epochs: Sequence[int]) -> list[int]:
    """Return those of the reports at which predictions are kept: closer at the start, where most happens."""
    places = np.linspace(0, 1, MAX_FRAMES) ** 2 * (len(epochs) - 1)
    return [epochs[place] for place in np.unique(np.round(places).astype(int))]


def _header(
    settings: Settings, data: TrainingData, environment: dict[str, str], machine: dict[str, Any]
) -> Header:
    paths = {name: as_text(path) for name in ("series", "load") if (path := getattr(settings, name))}
    return Header(
        schema=SCHEMA,
        started_utc=host.utc_now(),
        settings=structs.replace(settings, column=data.column, **paths),
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


def _moved(data: TrainingData, path: Path) -> dict[str, float | None]:
    """Return |p - start| / |start| of each saved parameter; None for a start of zero, or too near to it."""
    moved: dict[str, float | None] = {}
    params = load_params(path, data.case.cell)
    for name, start in data.train.params.items():
        with np.errstate(over="ignore"):
            far, size = norm(params[name].astype(np.float64) - start), norm(start)
        ratio = far / size if size else math.inf
        moved[name] = ratio if math.isfinite(ratio) else None
    return moved
