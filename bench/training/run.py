"""Runs a training: one child per variant, one after the other, each line on disk as it comes."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.machine import host
from bench.machine.child import Child, ChildError
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError, what_failed
from bench.machine.files import write_atomic
from bench.machine.scratch import scratch_folder
from bench.machine.signals import Terminated
from bench.machine.waiting import Say, look_around
from bench.records import training
from bench.records.folder import as_text
from bench.records.record import OwnLibrary
from bench.records.training import (
    LARGEST,
    Header,
    Job,
    Point,
    Progress,
    Ready,
    Settings,
    Start,
    Stop,
    Writer,
)
from bench.training.arms import Arm, choose_arms
from bench.training.curves import file_name, rmse
from bench.training.params import load_params, save_params
from bench.training.work import Work, prepare
from bench.workload.catalog import own_libraries

CHILD = "bench.training.child"
FIRST_DEADLINE_S = 300.0  # for the first step, imports and compiling included
SLOWER = 20  # times the steps may take by then, before it is taken for hung
MAX_REPORT_BYTES = 256 << 20  # predictions of all test windows stand in it
MAX_GROWTH = 1e3  # a loss so many times the first has diverged
Tell = Callable[[str, int, float], None]  # called with variant, epoch and loss at every report


def run_training(
    settings: Settings,
    folder: Path,
    tell: Tell,
    note: Say = lambda text: None,
    wait_s: float | None = None,
) -> None:
    """Train the variants in turn and write ``training.jsonl`` and ``params/``.

    ``note`` is called with each sentence about the series and about what else runs before anything is
    trained, for whose end it waits ``wait_s`` at most.
    Ctrl-C ends it: what has been reported stays, the variants after it are not started.

    Raises:
        Terminated: TERM or a hang-up ended it; what has been reported stays.
        UserError: as ``train``, or a disk that is full or broken.
    """
    if as_text(where := str(folder.absolute())) != where:
        raise UserError(
            f"the path {as_text(where)} is not UTF-8, as a training needs it; choose another --out"
        )
    work = prepare(settings)
    arms = choose_arms(settings, work)
    for text in work.notes:
        note(text)
    seen = look_around(wait_s, note)
    try:
        _run(settings, work, arms, folder, tell, seen)
    except OSError as error:
        raise UserError(
            f"the training broke off: {what_failed(error)}; make room, or choose another --out or TMPDIR, "
            "and train again"
        ) from error


def _run(
    settings: Settings, work: Work, arms: Sequence[Arm], folder: Path, tell: Tell, seen: dict[str, Any]
) -> None:
    """As ``run_training``, when all is known that has to be.

    Raises:
        OSError: something cannot be written.
    """
    with scratch_folder("train") as scratch, Writer(folder) as writer:
        environment = worker_environment(1, compiled=str(scratch / "compiled"))
        told = worker_environment(1, compiled="a folder of the training").set
        writer.write(_header(settings, work, told, seen))
        (folder / "params").mkdir(exist_ok=True)
        save_params(folder / "params" / "start.npz", work.params)
        inputs = scratch / "inputs.npz"
        work.save(inputs)
        for arm in arms:
            job = Job(
                spec=arm.spec,
                device=arm.device,
                case=work.case,
                reports=settings.reports,
                frames=settings.frames,
                inputs=str(inputs),
                params=str((folder / "params" / file_name(arm.variant.name)).resolve()),
            )
            try:
                stop = _train_one(arm, job, scratch / "job.json", work, writer, tell, environment.variables)
            except KeyboardInterrupt as signalled:
                moved = _moved(work, Path(job.params))
                writer.write(Stop(arm.variant.name, "interrupted", "it was interrupted", moved))
                if isinstance(signalled, Terminated):
                    raise
                break
            writer.write(stop)


def _header(settings: Settings, work: Work, environment: dict[str, str], seen: dict[str, Any]) -> Header:
    split = settings.split or ("random" if settings.series is None else "tail")
    return Header(
        schema=training.SCHEMA,
        started_utc=host.utc_now(),
        settings=msgspec.structs.replace(
            settings,
            column=work.column,
            **{name: as_text(path) for name in ("series", "load") if (path := getattr(settings, name))},
        ),
        shape=work.case.shape,
        split=split,
        mean=work.scaling.mean,
        scale=work.scaling.scale,
        truth=work.truth.tolist(),
        naive_rmse=rmse(np.broadcast_to(work.last_known, work.truth.shape), work.truth),
        machine=host.describe() | seen,
        environment=environment,
        notes=work.notes,
        parameters=tuple(work.params),
        libraries=tuple(map(OwnLibrary.of, own_libraries(settings.variants))),
    )


def _train_one(
    arm: Arm, job: Job, path: Path, work: Work, writer: Writer, tell: Tell, environment: dict[str, str]
) -> Stop:
    """Start a child, keep what it tells, and say how it ended."""
    write_atomic(path, msgspec.json.encode(job))
    name, params = arm.variant.name, Path(job.params)
    params.unlink(missing_ok=True)  # of an earlier training in this folder
    first: float | None = None
    done, deadline_s = 0, FIRST_DEADLINE_S
    steps = max(after - before for before, after in pairwise([0, *job.reports]))  # between two reports
    started = time.perf_counter_ns()  # before the child reads any data, so that all of that counts
    with Child(CHILD, [str(path)], environment, max_reply_bytes=MAX_REPORT_BYTES) as child:
        try:
            ready: Ready = child.receive(Ready, FIRST_DEADLINE_S)
            writer.write(_start(arm, ready, time.perf_counter_ns() - started))
            for epoch in job.reports:
                message: Progress = child.ask("go on", Progress, deadline_s)
                if reason := divergence(message, first, done, job.case.lr):
                    return Stop(name, "diverged", reason, _moved(work, params))
                point = _point(message, work)
                if reason := overflow(point):
                    return Stop(name, "diverged", reason, _moved(work, params))
                writer.write(point)
                assert message.loss is not None
                first, done = message.loss if first is None else first, epoch
                tell(name, epoch, message.loss)
                step_s = message.elapsed_ns / 1e9 / epoch
                deadline_s = max(FIRST_DEADLINE_S, SLOWER * steps * step_s)
        except ChildError as error:
            child.stop()  # what it printed is whole from here on
            return Stop(name, "crashed", f"{error}: {child.last_line()}", _moved(work, params))
    return Stop(name, "complete", moved=_moved(work, params))


def divergence(message: Progress, first: float | None, before: int, lr: float) -> str | None:
    """What is wrong with a loss that is not finite or has grown a thousandfold; None where nothing is."""
    most = LARGEST if first is None else min(LARGEST, MAX_GROWTH * first)
    grown = message.loss is None or not message.loss <= most
    if not grown:
        return None
    what = (
        "loss or parameters are not finite"
        if message.loss is None
        else f"the loss rose to {message.loss:.3g}"
    )
    when = (
        f"epoch {message.epoch}" if message.epoch == before + 1 else f"epochs {before + 1} to {message.epoch}"
    )
    return f"it diverged in {when} at learning rate {lr:g}: {what}; try a smaller rate"


def _start(arm: Arm, ready: Ready, startup_ns: int) -> Start:
    variant = arm.variant
    return Start(variant.name, variant.library, ready.device, variant.known_wrong, startup_ns, ready.facts)


def _point(message: Progress, work: Work) -> Point:
    """A report for the file; predictions in the series' own units."""
    assert message.loss is not None
    with np.errstate(over="ignore"):
        y_hat = None if message.y_hat is None else work.scaling.invert(np.array(message.y_hat)).tolist()
    return Point(message.epoch, message.loss, message.elapsed_ns, y_hat)


def overflow(point: Point) -> str | None:
    """What is wrong with predictions that are too large to be worked with; None where nothing is."""
    if point.y_hat is None or np.abs(point.y_hat).max() <= LARGEST:
        return None
    return (
        f"it diverged by epoch {point.epoch}: predictions beyond {LARGEST:g} in the series' own units; try a "
        "smaller --lr, or other parameters to start from"
    )


def _moved(work: Work, path: Path) -> dict[str, float] | None:
    """How far each matrix is from its start, relative to it; None where none was saved.

    A matrix has no such distance where it was zero at the start, or so small that the ratio is no number.
    """
    if not path.exists():
        return None
    params = load_params(path, work.case.cell)
    moved = {}
    with np.errstate(all="ignore"):  # what is no number is left out
        for name, start in work.params.items():
            far, norm = params[name].astype(np.float64) - start, start.astype(np.float64)
            scale, unit = np.abs(far).max() or 1.0, np.abs(norm).max()  # their squares may be too large
            ratio = scale / unit * (np.linalg.norm(far / scale) / np.linalg.norm(norm / unit))
            if np.isfinite(ratio):
                moved[name] = float(ratio)
    return moved
