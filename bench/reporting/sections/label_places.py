"""Where labels of points fit into a plot of many lines: near their points, on no line and on no label.

All lengths are in points of the page (1/72 inch), from the lower left corner of the axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRID = 6.0  # between places that are tried
CLEAR = 3.0  # between a label and whatever is beside it
RING = 4.0  # half of what marks a point
NEAR = 16.0  # from its point: a label that is farther away needs a leader
ON_LINE, ON_LABEL = 40.0, 1e6  # what it costs to lie on a sample of a line, on a label or a mark
SAMPLES = 24  # of a leader

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Label:
    """Its point, the ends of the bar through that, and how large its text is."""

    x: float
    y: float
    left: float
    right: float
    width: float
    height: float

    @property
    def mark(self) -> list[float]:
        """What it must not hide, as left, bottom, right, top."""
        return [min(self.left, self.x - RING), self.y - RING, max(self.right, self.x + RING), self.y + RING]


@dataclass(frozen=True, slots=True)
class Place:
    """The middle of a label; ``end`` is where its box is nearest to its point, None where it is beside it."""

    x: float
    y: float
    end: tuple[float, float] | None


def places(labels: Sequence[Label], size: tuple[float, float], lines: Numbers) -> list[Place]:
    """A place for each label, one after the other: the nearest that is free, the first of equal ones.

    ``size`` is the axes', ``lines`` are samples (n, 2) of what a label should not lie on. What is nowhere
    free goes where it hides least.
    """
    found: list[Place] = []
    boxes = [label.mark for label in labels]  # taken
    for number, label in enumerate(labels):
        point, half = np.array([label.x, label.y]), np.array([label.width, label.height]) / 2
        middles = _grid(half, size)
        ends = np.clip(point, middles - half, middles + half)
        away = np.hypot(*(ends - point).T)
        others = boxes[:number] + boxes[number + 1 :]  # a leader starts at its own mark
        blocked = _covers(middles, half, boxes).any(axis=0) | _led_through(point, ends, others)
        samples = np.concatenate([lines, lines], axis=1)
        costs = away + ON_LINE * _covers(middles, half, samples).sum(axis=0) + ON_LABEL * blocked
        best = int(np.argmin(np.round(costs, 6)))
        (x, y), (end_x, end_y), far = middles[best], ends[best], away[best] > NEAR
        found.append(Place(float(x), float(y), (float(end_x), float(end_y)) if far else None))
        boxes.append([*(middles[best] - half), *(middles[best] + half)])
        boxes += [[*spot, *spot] for spot in _along(point, ends[best])] if far else []
    return found


def _grid(half: Numbers, size: tuple[float, float]) -> Numbers:
    """Middles of labels that lie within the axes, row by row."""
    xs, ys = (
        np.arange(low + CLEAR, max(whole - low - CLEAR, low + CLEAR) + GRID / 2, GRID)
        for low, whole in zip(half, size, strict=True)
    )
    return np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)


def _covers(middles: Numbers, half: Numbers, boxes: Numbers | Sequence[list[float]]) -> NDArray[np.bool_]:
    """Whether a label with each middle, and what it keeps clear, lies on each box: (boxes, middles)."""
    edges = np.asarray(boxes, dtype=float).reshape(-1, 4)[:, :, None]
    reach = half + CLEAR
    x, y = middles.T
    over: NDArray[np.bool_] = (x > edges[:, 0] - reach[0]) & (x < edges[:, 2] + reach[0])
    over &= (y > edges[:, 1] - reach[1]) & (y < edges[:, 3] + reach[1])
    return over


def _led_through(point: Numbers, ends: Numbers, boxes: Sequence[list[float]]) -> NDArray[np.bool_]:
    """Whether the leader from the point to each end runs through a box."""
    through = np.zeros(len(ends), dtype=bool)
    for share in np.linspace(0, 1, SAMPLES):
        through |= _covers(point + share * (ends - point), np.zeros(2), boxes).any(axis=0)
    return through


def _along(point: Numbers, end: Numbers) -> Numbers:
    return point + np.linspace(0, 1, SAMPLES)[:, None] * (end - point)
