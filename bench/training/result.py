"""What a training returns, read back from its folder: what each variant did, in numbers and in sentences."""

import base64
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from bench.machine import units
from bench.machine.errors import UserError
from bench.machine.files import atomic_text
from bench.machine.wording import count, full_stop, listing, printable
from bench.records.table import csv_line
from bench.records.training import Header, Point, Start, Stop, read_records
from bench.training.params import Array, Params, load_params

NEAR_TARGET = 1.05  # the target, where none is given: so much above the last loss of the slower learner
CUT_OFF = "it was cut off"  # the reason of a variant whose lines have no end
SAME = 0.01  # losses that differ by less are one line in the plot


@dataclass(frozen=True, slots=True)
class TrainRun:
    """One variant. Arrays have a value a report; times are in seconds."""

    variant: str
    library: str
    device: str
    known_wrong: bool
    status: str  # complete, diverged, crashed, interrupted
    reason: str
    epochs: Array
    losses: Array
    seconds: Array  # of training alone, the first call included, since the task was bound
    frames: dict[int, Array]  # epoch -> predictions (tests, O) in the series' own units
    params: Params  # where predictions were last kept; empty where they were not saved
    moved: dict[str, float | None]  # |p - start| / |start|; None where the start is zero
    rmse: float | None  # in the series' own units, over all test windows
    huber: float | None  # in the units of the training
    startup_ns: int
    time_to_target_s: float | None  # from the start of the process; None where it was not reached
    epochs_to_target: int | None
    facts: dict[str, Any] = field(repr=False)

    @property
    def title(self) -> str:
        """Return what a sentence calls it: its device where that is not the CPU, and its warning."""
        device = "" if self.device == "cpu" else f" on {self.device}"
        return f"{self.variant}{device}{' (known wrong gradient)' if self.known_wrong else ''}"

    @property
    def startup_s(self) -> float:
        """Return the time from the start of the process to its first training step."""
        return self.startup_ns * 1e-9

    @property
    def test_predictions(self) -> Array | None:
        """Return the last predictions that were kept."""
        return list(self.frames.values())[-1] if self.frames else None

    @property
    def first_call_s(self) -> float | None:
        """Return the time of the first training step."""
        return float(self.seconds[0]) if len(self.seconds) else None

    @property
    def first_epoch_s(self) -> float:
        """Return the time from the start of the process to the end of the first epoch."""
        return self.startup_s + (self.first_call_s or 0.0)

    @property
    def per_epoch_s(self) -> float | None:
        """Return the mean time of a training step, the first call left out."""
        if len(self.epochs) < 2:
            return None
        return float((self.seconds[-1] - self.seconds[0]) / (self.epochs[-1] - self.epochs[0]))


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the losses of variants lie apart at the same epoch: (largest - smallest) / smallest."""

    largest: float
    epoch: int


@dataclass(frozen=True)
class TrainResult:
    """A training and its folder, which holds pictures, animation, losses and the report."""

    header: Header
    runs: tuple[TrainRun, ...]  # of variants that started
    stops: tuple[Stop, ...]  # of all that were tried
    target: float | None
    folder: Path

    @property
    def learned(self) -> list[TrainRun]:
        """Return the runs that have a loss to show."""
        return [run for run in self.runs if len(run.losses)]

    @property
    def reached(self) -> list[tuple[TrainRun, float]]:
        """Return the runs that reached the target, the fastest first, with their seconds."""
        times = [(run, run.time_to_target_s) for run in self.runs if run.time_to_target_s is not None]
        return sorted(times, key=lambda item: item[1])

    @property
    def truth(self) -> Array:
        """Return the targets of the test windows (tests, O) in the series' own units."""
        return np.array(self.header.truth)

    @property
    def status(self) -> str:
        """Return complete, interrupted, or partial where a variant diverged or crashed."""
        statuses = {stop.status for stop in self.stops}
        if "interrupted" in statuses or len(self.stops) < len(self.header.settings.variants):
            return "interrupted"
        return "complete" if statuses == {"complete"} else "partial"

    @property
    def difference(self) -> Difference | None:
        """Return the largest difference of variants with an exact gradient, over the epochs they share."""
        return difference([run for run in self.learned if not run.known_wrong])

    def summary(self) -> str:
        """Return what came out, in a few sentences."""
        return printable("\n".join(_sentences(self)))

    def _repr_html_(self) -> str:
        """Return the summary and the animation, for a notebook."""
        text = "".join(f"<p>{html.escape(line)}</p>" for line in _sentences(self))
        try:
            moving = base64.b64encode((self.folder / "animation.gif").read_bytes()).decode()
        except OSError:
            return text
        return f'{text}<img alt="predictions over the truth" src="data:image/gif;base64,{moving}">'

    def write_losses(self, path: Path) -> None:
        """Write the curves as CSV, a line for each variant and report."""
        with atomic_text(path) as file:
            file.write(csv_line(("variant", "epoch", "loss", "training_s", "since_start_s")))
            for run in self.runs:
                for epoch, loss, s in zip(run.epochs, run.losses, run.seconds, strict=True):
                    times = f"{s:.9f}", f"{run.startup_s + s:.9f}"
                    file.write(csv_line((run.variant, int(epoch), repr(float(loss)), *times)))


def load_result(path: Path) -> TrainResult:
    """Read a training from its folder or its file.

    Raises:
        UserError: it cannot be read, or contradicts itself.
    """
    header, *records = read_records(path)
    assert isinstance(header, Header)
    for own in header.libraries:
        own.introduce()
    folder = path if path.is_dir() else path.parent
    stops = {record.variant: record for record in records if isinstance(record, Stop)}
    points: dict[str, list[Point]] = {}
    starts: list[Start] = []
    for record in records:
        if isinstance(record, Start):
            starts.append(record)
            points[record.variant] = []
            stops.setdefault(record.variant, Stop(record.variant, "interrupted", CUT_OFF))
        elif isinstance(record, Point):
            points[starts[-1].variant].append(record)
    ends = [own[-1].loss for name, own in points.items() if own and stops[name].status != "diverged"]
    target = header.settings.target or (NEAR_TARGET * max(ends) if ends else None)
    runs = []
    for start in starts:
        name = start.variant
        runs.append(make_run(header, start, points[name], stops[name], _params(folder, name), target))
    return TrainResult(header, tuple(runs), tuple(stops.values()), target, folder)


def make_run(
    header: Header, start: Start, points: Sequence[Point], stop: Stop, params: Params, target: float | None
) -> TrainRun:
    """Turn a variant's lines into arrays, and compare what it predicts with the truth."""
    frames = {point.epoch: np.array(point.y_hat) for point in points if point.y_hat is not None}
    error = list(frames.values())[-1] - np.array(header.truth) if frames else None
    reached = next((point for point in points if target is not None and point.loss <= target), None)
    return TrainRun(
        **structs.asdict(start) | structs.asdict(stop) | {"moved": stop.moved or {}},
        epochs=np.array([point.epoch for point in points], dtype=int),
        losses=np.array([point.loss for point in points]),
        seconds=np.array([point.elapsed_ns for point in points]) * 1e-9,
        frames=frames,
        params=params,
        rmse=None if error is None else rmse(error),
        huber=None if error is None else huber(error / header.scale, header.settings.delta),
        time_to_target_s=start.startup_ns * 1e-9 + reached.elapsed_ns * 1e-9 if reached else None,
        epochs_to_target=reached.epoch if reached else None,
    )


def difference(runs: Sequence[TrainRun]) -> Difference | None:
    """Return the largest relative difference of losses; None where there is nothing to compare."""
    if len(runs) < 2:
        return None
    n = min(len(run.epochs) for run in runs)
    losses = np.array([run.losses[:n] for run in runs])  # (runs, n): reports stand at the same epochs
    low = losses.min(axis=0)
    apart = (losses.max(axis=0) - low) / np.maximum(low, np.finfo(float).tiny)
    worst = int(apart.argmax())
    return Difference(float(apart[worst]), int(runs[0].epochs[worst]))


def rmse(e: Array) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean(e**2)))


def huber(e: Array, delta: float) -> float:
    """Return the mean Huber loss of errors."""
    clipped = np.clip(e, -delta, delta)
    return float(np.mean(clipped * (e - clipped / 2)))


def params_file(variant: str) -> str:
    """Return the file of a variant's parameters in the folder ``params``."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", variant) + ".npz"


def _params(folder: Path, variant: str) -> Params:
    """Return the variant's parameters; none where the folder has them no more."""
    path = folder / "params" / params_file(variant)
    try:
        return load_params(path, None) if path.exists() else {}
    except UserError:
        return {}


def _sentences(result: TrainResult) -> list[str]:
    """Return all that there is to say, the most important first."""
    first = [] if result.learned else ["Nothing was trained far enough to say anything."]
    if result.reached:
        each = _all([f"{run.title} in {units.seconds(time_s)}" for run, time_s in result.reached])
        first = [f"A loss of {loss(result.target or 0.0)} was reached by {each}, start-up included."]
    return [*troubles(result), *first, *(sentence for _, sentence in facts(result))]


def troubles(result: TrainResult) -> list[str]:
    """Return what did not go as asked, and what to know of the series."""
    lines = [full_stop(f"{stop.variant}: {stop.reason}") for stop in result.stops if stop.reason]
    if missing := result.header.settings.variants[len(result.stops) :]:
        lines.append(f"Not started: {', '.join(missing)}.")
    return [*lines, *result.header.notes]


def facts(result: TrainResult) -> Iterator[tuple[str, str]]:
    """Yield what came out beside the time to the target: a few words, and a sentence about it."""
    runs, header = result.learned, result.header
    for run in runs:
        if result.target is not None and run.time_to_target_s is None:
            epochs = count(int(run.epochs[-1]), "epoch")
            yield "Not reached", f"{run.title} did not reach a loss of {loss(result.target)} in {epochs}."
    if timed := [(run, run.per_epoch_s) for run in runs if run.per_epoch_s]:
        start = _all([f"{run.title} {units.seconds(run.startup_s)}" for run, _ in timed])
        epoch = _all([units.duration(epoch_s * 1e9) for _, epoch_s in timed])
        yield "Where the time goes", f"Start-up took {start}; then an epoch took {epoch}."
        first, *others = timed
        for other in others:
            if other[0].library != first[0].library:
                yield "Later start", _break_even(*first, *other)
    if text := describe_curves(result):
        yield "Curves", f"Over epochs {text} ({header.settings.dtype})."
    if tested := [(run.title, run.rmse) for run in runs if run.rmse is not None and run.status != "diverged"]:
        errors = _all([f"{title} {units.number(error)}" for title, error in tested])
        windows, naive = count(len(header.truth), "test window"), units.number(header.naive_rmse)
        text = f"RMSE over {windows}: {errors}; repeating the last known value gives {naive}"
        if header.split == "random":
            text += "; they overlap with training windows, so this is memory as much as forecast"
        yield "Test error", f"{text}."
    exact = next((run for run in runs if not run.known_wrong), None)
    for run in runs:
        if run.known_wrong and exact is not None:
            yield "Published gradient", _published(run, exact, header.shape.T)
    if header.shape.T == 1 and (still := [run.variant for run in runs if run.moved.get("W") == 0]):
        yield "Memory", f"W did not change in {_all(still)}: a single step has nothing to remember (h_0 = 0)."
    for run in runs:
        if zero := [name for name, distance in run.moved.items() if distance is None]:
            yield "No distance", f"{_all(zero)} of {run.variant} started at zero, so no distance from there."


def describe_curves(result: TrainResult) -> str:
    """Return whether the exact variants' losses are one curve over epochs; nothing for a single one."""
    apart = result.difference
    if apart is None:
        return ""
    if apart.largest == 0:
        return "the curves are equal to the last digit"
    if apart.largest < SAME:
        return f"the curves lie on each other: largest difference {units.error(apart.largest)} of the loss"
    largest, epoch = units.percent(apart.largest), units.whole(apart.epoch)
    return f"the curves part: largest difference {largest} of the loss, at epoch {epoch}"


def loss(value: float) -> str:
    """Return a loss as people read it: 1.23e-04."""
    return f"{value:.2e}"


def _all(items: Sequence[str]) -> str:
    """Return all items as a list in words."""
    return listing(items, most=len(items))


def _break_even(first: TrainRun, first_epoch_s: float, other: TrainRun, other_epoch_s: float) -> str:
    """Return after how many epochs the later start is made up for; one process each gives no interval."""
    gap_s, gain_s = other.first_epoch_s - first.first_epoch_s, first_epoch_s - other_epoch_s
    early, late = (first, other) if gap_s > 0 else (other, first)
    text = f"The first epoch of {late.title} ends {units.seconds(abs(gap_s))} later than {early.title}'s"
    if gap_s * gain_s > 0:
        epochs = count(1 + round(gap_s / gain_s), "epoch")
        return f"{text}; its epochs are shorter, and it is level after {epochs}."
    return f"{text}, and its epochs are longer: it never catches up."


def _published(wrong: TrainRun, exact: TrainRun, steps: int) -> str:
    """Return what a known wrong gradient does, from the same start, at the last epoch that both have."""
    if steps == 1:
        return f"With a single step {wrong.variant}'s gradient is right: the error needs T > 1."
    n = min(len(wrong.losses), len(exact.losses))
    return (
        f"After {count(int(exact.epochs[n - 1]), 'epoch')} {wrong.variant}, whose gradient is wrong, is at a "
        f"loss of {loss(wrong.losses[n - 1])}, {exact.variant} at {loss(exact.losses[n - 1])}."
    )
