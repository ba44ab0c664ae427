"""Read a training from its folder, and describe the result of each variant in numbers and sentences."""

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
from bench.workload.naming import of_cell

TARGET_FACTOR = 1.05  # default target: the largest of the variants' last losses times this factor
CUT_OFF = "it was cut off"  # the reason for a variant without a ``Stop`` record
SAME_CURVE = 0.01  # losses that differ by less look like one line in the plot


@dataclass(frozen=True, slots=True)
class TrainRun:
    """Hold the training of one variant. Arrays have one value per report; times are in seconds."""

    variant: str
    library: str
    device: str
    known_wrong: bool
    status: str  # complete, diverged, crashed, interrupted
    reason: str
    epochs: Array
    losses: Array
    seconds: Array  # total time of the training steps up to each report, with the first call
    frames: dict[int, Array]  # epoch -> predictions (test windows, O) in the units of the series
    params: Params  # at the epoch of the last saved predictions; empty if not saved
    moved: dict[str, float | None]  # |p - start| / |start|; None if |start| is zero
    rmse: float | None  # in the units of the series, over all test windows
    huber: float | None  # in scaled units
    startup_ns: int
    time_to_target_s: float | None  # from the start of the process; None if the target was not reached
    epochs_to_target: int | None
    facts: dict[str, Any] = field(repr=False)

    @property
    def title(self) -> str:
        """Return the variant's name for sentences, with a device other than the CPU and a warning."""
        device = "" if self.device == "cpu" else f" on {self.device}"
        return f"{self.variant}{device}{' (known wrong gradient)' if self.known_wrong else ''}"

    @property
    def startup_s(self) -> float:
        """Return the time from the start of the process to the first training step."""
        return self.startup_ns * 1e-9

    @property
    def test_predictions(self) -> Array | None:
        """Return the last saved predictions, or None without any."""
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
        """Return the mean time of a training step, without the first step; None for a single report."""
        if len(self.epochs) < 2:
            return None
        return float((self.seconds[-1] - self.seconds[0]) / (self.epochs[-1] - self.epochs[0]))


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold the relative difference of the variants' losses at an epoch: (largest - smallest) / smallest."""

    largest: float
    epoch: int


@dataclass(frozen=True)
class TrainResult:
    """Hold a training and its folder, which contains plots, animation, losses and the report."""

    header: Header
    runs: tuple[TrainRun, ...]  # of the variants that started
    stops: tuple[Stop, ...]  # of all variants that were tried
    target: float | None
    folder: Path

    @property
    def learned(self) -> list[TrainRun]:
        """Return the runs with at least one loss."""
        return [run for run in self.runs if len(run.losses)]

    @property
    def reached(self) -> list[tuple[TrainRun, float]]:
        """Return the runs that reached the target with the time in seconds, the fastest first."""
        times = [(run, run.time_to_target_s) for run in self.runs if run.time_to_target_s is not None]
        return sorted(times, key=lambda item: item[1])

    @property
    def truth(self) -> Array:
        """Return the targets of the test windows (test windows, O) in the units of the series."""
        return np.array(self.header.truth)

    @property
    def status(self) -> str:
        """Return "complete", "interrupted", or "partial" if a variant diverged or crashed."""
        statuses = {stop.status for stop in self.stops}
        if "interrupted" in statuses or len(self.stops) < len(self.header.settings.variants):
            return "interrupted"
        return "complete" if statuses == {"complete"} else "partial"

    @property
    def difference(self) -> Difference | None:
        """Return the largest difference of the losses at common epochs, of variants with exact gradients."""
        return difference([run for run in self.learned if not run.known_wrong])

    def summary(self) -> str:
        """Return the result in a few sentences."""
        return printable("\n".join(_sentences(self)))

    def _repr_html_(self) -> str:
        """Return the summary and the animation, for a notebook."""
        text = "".join(f"<p>{html.escape(line)}</p>" for line in _sentences(self))
        try:
            animation = base64.b64encode((self.folder / "animation.gif").read_bytes()).decode()
        except OSError:
            return text
        return f'{text}<img alt="predictions over the truth" src="data:image/gif;base64,{animation}">'

    def write_losses(self, path: Path) -> None:
        """Write the losses as CSV, one line per variant and report."""
        with atomic_text(path) as file:
            file.write(csv_line(("variant", "epoch", "loss", "training_s", "since_start_s")))
            for run in self.runs:
                for epoch, loss, training_s in zip(run.epochs, run.losses, run.seconds, strict=True):
                    times = f"{training_s:.9f}", f"{run.startup_s + training_s:.9f}"
                    file.write(csv_line((run.variant, int(epoch), repr(float(loss)), *times)))


def load_result(path: Path) -> TrainResult:
    """Read a training from its folder or its file ``training.jsonl``.

    Raises:
        UserError: the file cannot be read, or its records contradict each other.
    """
    header, *records = read_records(path)
    assert isinstance(header, Header)
    for user_library in header.libraries:
        user_library.introduce()
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
    last_losses = [
        reports[-1].loss for name, reports in points.items() if reports and stops[name].status != "diverged"
    ]
    target = header.settings.target or (TARGET_FACTOR * max(last_losses) if last_losses else None)
    runs = []
    for start in starts:
        name = start.variant
        params = _saved_params(folder, name)
        runs.append(make_run(header, start, points[name], stops[name], params, target))
    return TrainResult(header, tuple(runs), tuple(stops.values()), target, folder)


def make_run(
    header: Header, start: Start, points: Sequence[Point], stop: Stop, params: Params, target: float | None
) -> TrainRun:
    """Convert a variant's records to arrays, and compare the last predictions with the truth."""
    frames = {point.epoch: np.array(point.y_hat) for point in points if point.y_hat is not None}
    error = list(frames.values())[-1] - np.array(header.truth) if frames else None
    at_target = next((point for point in points if target is not None and point.loss <= target), None)
    return TrainRun(
        **structs.asdict(start) | structs.asdict(stop) | {"moved": stop.moved or {}},
        epochs=np.array([point.epoch for point in points], dtype=int),
        losses=np.array([point.loss for point in points]),
        seconds=np.array([point.elapsed_ns for point in points]) * 1e-9,
        frames=frames,
        params=params,
        rmse=None if error is None else rmse(error),
        huber=None if error is None else huber(error / header.scale, header.settings.delta),
        time_to_target_s=start.startup_ns * 1e-9 + at_target.elapsed_ns * 1e-9 if at_target else None,
        epochs_to_target=at_target.epoch if at_target else None,
    )


def difference(runs: Sequence[TrainRun]) -> Difference | None:
    """Return the largest relative difference of the runs' losses; None for fewer than two runs."""
    if len(runs) < 2:
        return None
    n = min(len(run.epochs) for run in runs)
    losses = np.array([run.losses[:n] for run in runs])  # (runs, n): all runs report at the same epochs
    smallest = losses.min(axis=0)
    differences = (losses.max(axis=0) - smallest) / np.maximum(smallest, np.finfo(float).tiny)
    worst = int(differences.argmax())
    return Difference(float(differences[worst]), int(runs[0].epochs[worst]))


def rmse(e: Array) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean(e**2)))


def huber(e: Array, delta: float) -> float:
    """Return the mean Huber loss of errors."""
    clipped = np.clip(e, -delta, delta)
    return float(np.mean(clipped * (e - clipped / 2)))


def params_file(variant: str) -> str:
    """Return the name of a variant's parameter file in the folder ``params``."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", variant) + ".npz"


def _saved_params(folder: Path, variant: str) -> Params:
    """Return the variant's saved parameters; empty if the file is missing or cannot be read."""
    path = folder / "params" / params_file(variant)
    try:
        return load_params(path, None) if path.exists() else {}
    except UserError:
        return {}


def _sentences(result: TrainResult) -> list[str]:
    """Return all sentences about a training, the most important first."""
    conclusion = [] if result.learned else ["Nothing was trained far enough to say anything."]
    if result.reached:
        runs = _list_all([f"{run.title} in {units.seconds(time_s)}" for run, time_s in result.reached])
        what = f"A loss of {loss(result.target or 0.0)}{of_cell(result.header.case)}"
        conclusion = [f"{what} was reached by {runs}, start-up included."]
    return [*troubles(result), *conclusion, *(sentence for _, sentence in facts(result))]


def troubles(result: TrainResult) -> list[str]:
    """Return sentences about failures and variants not started, and the notes about the series."""
    lines = [full_stop(f"{stop.variant}: {stop.reason}") for stop in result.stops if stop.reason]
    if missing := result.header.settings.variants[len(result.stops) :]:
        lines.append(f"Not started: {', '.join(missing)}.")
    return [*lines, *result.header.notes]


def facts(result: TrainResult) -> Iterator[tuple[str, str]]:
    """Yield the other results beside the time to the target, each as a heading and a sentence."""
    runs, header = result.learned, result.header
    for run in runs:
        if result.target is not None and run.time_to_target_s is None:
            epochs = count(int(run.epochs[-1]), "epoch")
            yield "Not reached", f"{run.title} did not reach a loss of {loss(result.target)} in {epochs}."
    if timed := [(run, run.per_epoch_s) for run in runs if run.per_epoch_s]:
        startups = _list_all([f"{run.title} {units.seconds(run.startup_s)}" for run, _ in timed])
        per_epoch = _list_all([units.duration(epoch_s * 1e9) for _, epoch_s in timed])
        yield "Where the time goes", f"Start-up took {startups}; then an epoch took {per_epoch}."
        (first_run, first_epoch_s), *later = timed
        for run, epoch_s in later:
            if run.library != first_run.library:
                yield "Later start", _break_even(first_run, first_epoch_s, run, epoch_s)
    if text := describe_curves(result):
        yield "Curves", f"Over epochs {text} ({header.settings.dtype})."
    if tested := [(run.title, run.rmse) for run in runs if run.rmse is not None and run.status != "diverged"]:
        errors = _list_all([f"{title} {units.number(error)}" for title, error in tested])
        windows, naive = count(len(header.truth), "test window"), units.number(header.naive_rmse)
        text = f"RMSE over {windows}: {errors}; repeating the last known value gives {naive}"
        if header.split == "random":
            text += "; they overlap with training windows, so this is memory as much as forecast"
        yield "Test error", f"{text}."
    exact = next((run for run in runs if not run.known_wrong), None)
    for run in runs:
        if run.known_wrong and exact is not None:
            yield "Published gradient", _published_gradient(run, exact, header.shape.T)
    if header.shape.T == 1 and (with_fixed_w := [run.variant for run in runs if run.moved.get("W") == 0]):
        variants = _list_all(with_fixed_w)
        yield "Memory", f"W did not change in {variants}: a single step has nothing to remember (h_0 = 0)."
    for run in runs:
        if from_zero := [name for name, distance in run.moved.items() if distance is None]:
            names = _list_all(from_zero)
            yield "No distance", f"{names} of {run.variant} started at zero, so no distance from there."


def describe_curves(result: TrainResult) -> str:
    """Describe whether the exact variants' losses are the same curve; empty for fewer than two variants."""
    gap = result.difference
    if gap is None:
        return ""
    if gap.largest == 0:
        return "the curves are equal to the last digit"
    if gap.largest < SAME_CURVE:
        return f"the curves lie on each other: largest difference {units.error(gap.largest)} of the loss"
    largest, epoch = units.percent(gap.largest), units.whole(gap.epoch)
    return f"the curves part: largest difference {largest} of the loss, at epoch {epoch}"


def loss(value: float) -> str:
    """Return a loss as text, for example 1.23e-04."""
    return f"{value:.2e}"


def _list_all(items: Sequence[str]) -> str:
    """Return all items as a list in words, none left out."""
    return listing(items, most=len(items))


def _break_even(first: TrainRun, first_epoch_s: float, other: TrainRun, other_epoch_s: float) -> str:
    """Return a sentence about the number of epochs until the variant that started later has caught up.

    Each variant ran in one process, so a confidence interval is not possible.
    """
    gap_s, gain_s = other.first_epoch_s - first.first_epoch_s, first_epoch_s - other_epoch_s
    early_run, late_run = (first, other) if gap_s > 0 else (other, first)
    delay = units.seconds(abs(gap_s))
    text = f"The first epoch of {late_run.title} ends {delay} later than {early_run.title}'s"
    if gap_s * gain_s > 0:
        epochs = count(1 + round(gap_s / gain_s), "epoch")
        return f"{text}; its epochs are shorter, and it is level after {epochs}."
    return f"{text}, and its epochs are longer: it never catches up."


def _published_gradient(wrong: TrainRun, exact: TrainRun, steps: int) -> str:
    """Return a sentence that compares a known wrong gradient with an exact one, at the last common epoch."""
    if steps == 1:
        return f"With a single step {wrong.variant}'s gradient is right: the error needs T > 1."
    n = min(len(wrong.losses), len(exact.losses))
    return (
        f"After {count(int(exact.epochs[n - 1]), 'epoch')} {wrong.variant}, whose gradient is wrong, is at a "
        f"loss of {loss(wrong.losses[n - 1])}, {exact.variant} at {loss(exact.losses[n - 1])}."
    )
