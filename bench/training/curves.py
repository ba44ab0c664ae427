"""A training as it can be drawn and talked about: what each variant did, from its saved lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records.training import Header, Point, Start, Stop
from bench.training.params import Params
from bench.training.work import SHOWN

Array = NDArray[Any]
NEAR_TARGET = 1.05  # the target, where none is given: so much above the last loss of the slower learner


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
    moved: dict[str, float]
    rmse: float | None  # in the series' own units, over all test windows
    huber: float | None  # in the units of the training
    startup_s: float
    first_call_s: float | None
    time_to_target_s: float | None  # from the start of the process; None where it was not reached
    epochs_to_target: int | None
    facts: dict[str, Any] = field(repr=False)

    @property
    def test_predictions(self) -> Array | None:
        """The last predictions that were kept."""
        return list(self.frames.values())[-1] if self.frames else None

    @property
    def per_epoch_s(self) -> float | None:
        """Mean time of a training step, the first call left out."""
        if len(self.epochs) < 2:
            return None
        return float((self.seconds[-1] - self.seconds[0]) / (self.epochs[-1] - self.epochs[0]))


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the losses of variants lie apart at the same epoch: (largest - smallest) / smallest."""

    largest: float
    epoch: int


@dataclass(frozen=True)
class Training:
    """A whole training: what the variants share, and what each did."""

    header: Header
    runs: tuple[TrainRun, ...]  # of variants that started
    stops: tuple[Stop, ...]  # of all that were tried
    target: float | None

    @property
    def truth(self) -> Array:
        """Targets of the test windows (tests, O) in the series' own units."""
        return np.array(self.header.truth)

    @property
    def shown(self) -> list[int]:
        """Test windows that the pictures show, spread over all."""
        count = len(self.header.truth)
        return [int(place) for place in np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round())]

    @property
    def status(self) -> str:
        """complete, interrupted, or partial where a variant diverged or crashed."""
        found = {stop.status for stop in self.stops}
        if "interrupted" in found or len(self.stops) < len(self.header.settings.variants):
            return "interrupted"
        return "complete" if found == {"complete"} else "partial"

    @property
    def difference(self) -> Difference | None:
        """The largest difference between variants whose gradient is exact, over the epochs they share."""
        return difference([run for run in self.runs if not run.known_wrong and len(run.epochs)])


def difference(runs: Sequence[TrainRun]) -> Difference | None:
    """The largest relative difference of losses; None where there is nothing to compare."""
    if len(runs) < 2:
        return None
    n = min(len(run.epochs) for run in runs)
    losses = np.array([run.losses[:n] for run in runs])  # (runs, n): reports stand at the same epochs
    low = losses.min(axis=0)
    apart = (losses.max(axis=0) - low) / np.maximum(low, np.finfo(float).tiny)
    worst = int(apart.argmax())
    return Difference(float(apart[worst]), int(runs[0].epochs[worst]))


def make_run(
    header: Header, start: Start, points: Sequence[Point], stop: Stop, params: Params, target: float | None
) -> TrainRun:
    """Turn a variant's lines into arrays."""
    losses = np.array([point.loss for point in points])
    seconds = np.array([point.elapsed_ns for point in points]) * 1e-9
    epochs = np.array([point.epoch for point in points], dtype=int)
    frames = {point.epoch: np.array(point.y_hat) for point in points if point.y_hat is not None}
    truth = np.array(header.truth)
    last = list(frames.values())[-1] if frames else None
    place = next((n for n, loss in enumerate(losses) if target is not None and loss <= target), None)
    startup_s = start.startup_ns * 1e-9
    return TrainRun(
        variant=start.variant,
        library=start.library,
        device=start.device,
        known_wrong=start.known_wrong,
        status=stop.status,
        reason=stop.reason,
        epochs=epochs,
        losses=losses,
        seconds=seconds,
        frames=frames,
        params=params,
        moved=stop.moved or {},
        rmse=None if last is None else rmse(last, truth),
        huber=None if last is None else huber((last - truth) / header.scale, header.settings.delta),
        startup_s=startup_s,
        first_call_s=float(seconds[0]) if len(seconds) else None,
        time_to_target_s=None if place is None else startup_s + float(seconds[place]),
        epochs_to_target=None if place is None else int(epochs[place]),
        facts=start.facts,
    )


def default_target(final_losses: Sequence[float]) -> float | None:
    """A loss that every variant reached, close to where the worst ended."""
    return NEAR_TARGET * max(final_losses) if final_losses else None


def rmse(found: Array, truth: Array) -> float:
    """Root of the mean squared difference."""
    return float(np.sqrt(np.mean((found - truth) ** 2)))


def huber(e: Array, delta: float) -> float:
    """Mean Huber loss of errors."""
    clipped = np.clip(e, -delta, delta)
    return float(np.mean(clipped * (e - clipped / 2)))


def file_name(variant: str) -> str:
    """A variant's parameters in the folder ``params``."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", variant) + ".npz"
