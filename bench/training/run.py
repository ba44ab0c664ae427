"""Runs a training: one child per variant, one after the other, each line on disk as it comes."""

import datetime
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.errors import UserError, what_failed
from bench.host import machine
from bench.host.child import Child, ChildError
from bench.host.environ import worker_environment
from bench.host.scratch import scratch_folder
from bench.host.signals import Terminated
from bench.results.files import write_atomic
from bench.results.folder import as_text, drawing_report
from bench.series import Decimal, Missing
from bench.training import records
from bench.training.arms import Arm, choose_arms
from bench.training.curves import file_name, rmse
from bench.training.params import load_params, save_params
from bench.training.records import Header, Job, Point, Progress, Ready, Start, Stop, Writer
from bench.training.result import TrainResult, load_result
from bench.training.work import BATCH, LARGEST, Settings, Work, prepare
from bench.waiting import Say, look_around

CHILD = "bench.training.child"
FIRST_DEADLINE_S = 300.0  # for the first step, imports and compiling included
SLOWER = 20  # times the steps may take by then, before it is taken for hung
MAX_REPORT_BYTES = 256 << 20  # predictions of all test windows stand in it
MAX_GROWTH = 1e3  # a loss so many times the first has diverged
Tell = Callable[[str, int, float], None]  # called with variant, epoch and loss at every report


def train(
    variants: Sequence[str] = ("numpy-inplace", "torch-rnn"),
    *,
    layout: str = "positional",
    dtype: str = "float32",
    activation: str = "tanh",
    epochs: int = 20000,
    lr: float = 0.1,
    delta: float = 0.025,
    hidden: int = 32,
    batch: int = BATCH,
    window: int = 6,
    horizon: int = 8,
    device: str = "cpu",
    seed: int = 0,
    series: str | Path | None = None,
    column: str | None = None,
    decimal: Decimal = ".",
    encoding: str = "utf-8",
    missing: Missing = "error",
    split: str | None = None,
    target: float | None = None,
    load: str | Path | None = None,
    every: int = 100,
    out: str | Path | None = None,
    progress: Tell | None = None,
    note: Say = lambda text: None,
    wait_quiet: float | None = None,
) -> TrainResult:
    """Train the variants from the same start, draw it all into ``out`` and return what came out.

    ``series`` is a CSV file, None for the primer's sine wave; ``batch`` is the sine's number of training
    windows, a series is trained on all it has. ``column`` is needed where several hold numbers; ``decimal``
    ("." or ","), ``encoding`` and ``missing`` ("error", "drop" or "interpolate") say how to read them.
    ``split`` is "tail" for a series and "random" for the sine unless said otherwise. ``progress`` is called
    with variant, epoch and loss every so many epochs, ``note`` with what to know before the first.
    ``wait_quiet`` is how many seconds at most to wait for the end of what else runs.

    Raises:
        UserError: settings that make no sense, a file that cannot be used, or a folder that holds a training.
    """
    settings = Settings(
        variants=tuple(variants),
        layout=layout,
        dtype=dtype,
        activation=activation,
        epochs=epochs,
        lr=lr,
        delta=delta,
        hidden=hidden,
        batch=batch,
        window=window,
        horizon=horizon,
        device=device,
        seed=seed,
        series=None if series is None else str(series),
        column=None if column is None else str(column),
        decimal=decimal,
        encoding=str(encoding),
        missing=missing,
        split=split,
        target=target,
        load=None if load is None else str(load),
        every=every,
    )
    folder = Path(out) if out is not None else default_folder()
    run_training(settings, folder, progress or (lambda variant, epoch, loss: None), note, wait_quiet)
    draw(folder)
    return load_result(folder)


def default_folder() -> Path:
    """results/train-<time>."""
    return Path("results") / datetime.datetime.now().strftime("train-%Y-%m-%d-%H%M%S")


def draw(folder: Path) -> Path:
    """Pictures, animation, losses.csv and the report of a saved training; return the report."""
    with drawing_report(folder):
        from bench.reporting.build import build_report  # jinja2 and matplotlib, needed from here on
        from bench.reporting.training_pictures import draw_pictures

        result = load_result(folder)
        result.write_losses(folder / "losses.csv")
        draw_pictures(result, folder)
        return build_report([folder], None)


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
        schema=records.SCHEMA,
        started_utc=machine.utc_now(),
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
        machine=machine.describe() | seen,
        environment=environment,
        notes=work.notes,
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
    params = load_params(path)
    moved = {}
    with np.errstate(all="ignore"):  # what is no number is left out
        for name, start in work.params.items():
            far, norm = params[name].astype(np.float64) - start, start.astype(np.float64)
            scale, unit = np.abs(far).max() or 1.0, np.abs(norm).max()  # their squares may be too large
            ratio = scale / unit * (np.linalg.norm(far / scale) / np.linalg.norm(norm / unit))
            if np.isfinite(ratio):
                moved[name] = float(ratio)
    return moved
