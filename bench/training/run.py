"""Runs a training: one child per variant, one after the other, each line on disk as it comes."""

import datetime
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from bench.errors import UserError
from bench.host import machine
from bench.host.environ import worker_environment
from bench.results.folder import as_text, drawing_report
from bench.training import records
from bench.training.arms import Arm, choose_arms
from bench.training.curves import file_name, rmse
from bench.training.params import load_params, save_params
from bench.training.process import Child, ChildError
from bench.training.records import Header, Job, Point, Progress, Ready, Start, Stop, Writer
from bench.training.result import TrainResult, load_result
from bench.training.work import BATCH, Settings, Work, prepare

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
    split: str | None = None,
    target: float | None = None,
    load: str | Path | None = None,
    out: str | Path | None = None,
    progress: Tell | None = None,
) -> TrainResult:
    """Train the variants from the same start, draw it all into ``out`` and return what came out.

    ``series`` is a CSV file, None for the primer's sine wave; ``batch`` is the sine's number of training
    windows, a series is trained on all it has. ``split`` is "tail" for a series and "random" for the sine
    unless said otherwise. ``progress`` is called with variant, epoch and loss every 100 epochs.

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
        column=column,
        split=split,
        target=target,
        load=None if load is None else str(load),
    )
    folder = Path(out) if out is not None else default_folder()
    run_training(settings, folder, progress or (lambda variant, epoch, loss: None))
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


def run_training(settings: Settings, folder: Path, tell: Tell) -> None:
    """Train the variants in turn and write ``training.jsonl`` and ``params/``.

    Ctrl-C ends it: what has been reported stays, the variants after it are not started.
    """
    if as_text(where := str(folder.absolute())) != where:
        raise UserError(
            f"the path {as_text(where)} is not UTF-8, as a training needs it; choose another --out"
        )
    work = prepare(settings)
    arms = choose_arms(settings, work)
    environment = worker_environment(1)
    with Writer(folder) as writer, tempfile.TemporaryDirectory(prefix="rnnbench-train-") as name:
        writer.write(_header(settings, work, environment.set))
        (folder / "params").mkdir(exist_ok=True)
        save_params(folder / "params" / "start.npz", work.params)
        inputs = Path(name) / "inputs.npz"
        work.save(inputs)
        for arm in arms:
            job = Job(
                spec=arm.spec,
                device=arm.device,
                activation=settings.activation,
                delta=settings.delta,
                lr=settings.lr,
                reports=settings.reports,
                frames=settings.frames,
                inputs=str(inputs),
                params=str((folder / "params" / file_name(arm.variant.name)).resolve()),
            )
            try:
                stop = _train_one(
                    arm, job, Path(name) / "job.json", work, writer, tell, environment.variables
                )
            except KeyboardInterrupt:
                stop = Stop(
                    arm.variant.name, "interrupted", "it was interrupted", _moved(work, Path(job.params))
                )
            writer.write(stop)
            if stop.status == "interrupted":
                break


def _header(settings: Settings, work: Work, environment: dict[str, str]) -> Header:
    split = settings.split or ("random" if settings.series is None else "tail")
    return Header(
        schema=records.SCHEMA,
        started_utc=machine.utc_now(),
        settings=msgspec.structs.replace(
            settings,
            **{name: as_text(path) for name in ("series", "load") if (path := getattr(settings, name))},
        ),
        shape=work.case.shape,
        split=split,
        mean=work.scaling.mean,
        scale=work.scaling.scale,
        truth=work.truth.tolist(),
        naive_rmse=rmse(np.broadcast_to(work.last_known, work.truth.shape), work.truth),
        machine=machine.describe(),
        environment=environment,
    )


def _train_one(
    arm: Arm, job: Job, path: Path, work: Work, writer: Writer, tell: Tell, environment: dict[str, str]
) -> Stop:
    """Start a child, keep what it tells, and say how it ended."""
    path.write_bytes(msgspec.json.encode(job))
    name, params = arm.variant.name, Path(job.params)
    first: float | None = None
    before = 0
    started = time.perf_counter_ns()  # before the child reads any data, so that all of that counts
    try:
        with Child(path, environment) as child:
            while (message := child.receive()) is not None:
                if isinstance(message, Ready):
                    startup_ns = time.perf_counter_ns() - started
                    writer.write(_start(arm, message, startup_ns))
                else:
                    if reason := divergence(message, first, before, job.lr):
                        return Stop(name, "diverged", reason, _moved(work, params))
                    writer.write(_point(message, work))
                    assert message.loss is not None
                    first, before = message.loss if first is None else first, message.epoch
                    tell(name, message.epoch, message.loss)
                child.go_on()
    except ChildError as error:
        return Stop(name, "crashed", str(error), _moved(work, params))
    if before != job.reports[-1]:
        reason = (
            f"its process ended by itself, as if all were done, after {before} of {job.reports[-1]} epochs"
        )
        return Stop(name, "crashed", reason, _moved(work, params))
    return Stop(name, "complete", moved=_moved(work, params))


def divergence(message: Progress, first: float | None, before: int, lr: float) -> str | None:
    """What is wrong with a loss that is not finite or has grown a thousandfold; None where nothing is."""
    grown = message.loss is None or (first is not None and not message.loss <= MAX_GROWTH * first)
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
    return f"it diverged in {when} at learning rate {lr:g}: {what}; try a smaller --lr"


def _start(arm: Arm, ready: Ready, startup_ns: int) -> Start:
    variant = arm.variant
    return Start(variant.name, variant.library, ready.device, variant.known_wrong, startup_ns, ready.facts)


def _point(message: Progress, work: Work) -> Point:
    """A report for the file; predictions in the series' own units."""
    assert message.loss is not None
    y_hat = None if message.y_hat is None else work.scaling.invert(np.array(message.y_hat)).tolist()
    return Point(message.epoch, message.loss, message.elapsed_ns, y_hat)


def _moved(work: Work, path: Path) -> dict[str, float] | None:
    """How far each matrix is from its start, relative to it; None where none was saved."""
    if not path.exists():
        return None
    params = load_params(path)
    moved = {}
    for name, start in work.params.items():
        change = params[name].astype(np.float64) - start
        scale = np.abs(change).max() or 1.0  # a square of what diverges may be too large
        moved[name] = float(scale * np.linalg.norm(change / scale) / np.linalg.norm(start))
    return moved
