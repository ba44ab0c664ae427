"""Where the faster library changes: the map of a task that was measured at many sizes, and its crossings.

A map is of one kind of comparison of two libraries in one place: ``best`` is the fastest form of each and
the answer; ``as_written`` is how each is usually written. A ratio is the time of the arm over its
baseline's.

Along H for each B of a map, or along B for each H, a crossing is an interval. Between neighbouring sizes
the log ratio r is taken to be linear in log H, and so are the two limits of its 95 % interval. Where the
arm overtakes, r falls through 0: not before the curve of the lower limits does so, and not after that of
the upper limits has. These two places are the interval; where r itself does is the best guess. Where the
baseline overtakes, the same holds upside down.

Two sizes with opposite verdicts bracket it. A size without one never stands for either side: its limits are
widened until they hold 0, so that an interval reaches at least up to it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from bench.analysis.summary import Summary
from bench.analysis.verdict import Comparison
from bench.records.record import Arm, PairKind
from bench.workload.case import Case

KINDS: tuple[PairKind, ...] = ("best", "as_written")
NOT_MEASURED = ("MISSING", "NONE", "INVALID")  # verdicts after which a size may be measured again
Axis = Literal["H", "B"]


@dataclass(frozen=True, slots=True)
class MapCell:
    """One size of the map; times are medians in nanoseconds a call, None where there are none."""

    case: Case
    comparison: Comparison
    arm_ns: float | None
    baseline_ns: float | None
    source: int  # which run measured it: 0 the first, and so on

    @property
    def H(self) -> int:
        """Return its hidden units."""
        return self.case.shape.H

    @property
    def B(self) -> int:
        """Return its samples in a batch."""
        return self.case.shape.B

    @property
    def faster(self) -> Arm | None:
        """Return the arm that is proved to be faster; None where neither is."""
        pair = self.comparison
        return {"FASTER": pair.arm, "SLOWER": pair.baseline_arm}.get(pair.verdict)

    @property
    def winner(self) -> str | None:
        """Return the library of the arm that is proved to be faster; None where neither is."""
        return self.faster.library if self.faster else None

    @property
    def measured(self) -> bool:
        """Tell whether it needs no other try: it has a word, were it UNRESOLVED."""
        return self.comparison.verdict not in NOT_MEASURED


@dataclass(frozen=True, slots=True)
class SizeMap:
    """All sizes of one task in one place, by B and then H."""

    kind: PairKind
    case: Case  # what all of them share; its B and H are 1
    library: str  # of the arms
    baseline: str  # of their baselines: its library
    device: str  # of the arms
    threads: int
    cells: tuple[MapCell, ...]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Towards larger sizes the library ``winner`` is faster, from between ``low`` and ``high`` on."""

    winner: str
    low: float
    at: float
    high: float
    below: MapCell  # the neighbouring sizes whose verdicts bracket it
    above: MapCell


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the map, along ``axis``, the other size being ``fixed``."""

    axis: Axis
    fixed: int
    cells: tuple[MapCell, ...]  # by size
    crossings: tuple[Crossing, ...]
    undecided: tuple[MapCell, ...]  # those without a verdict that lie within no crossing's bracket

    @property
    def first(self) -> MapCell | None:
        """Return the smallest size with a verdict FASTER or SLOWER."""
        return next((cell for cell in self.cells if cell.winner), None)


def size_maps(summaries: Iterable[Summary]) -> tuple[SizeMap, ...]:
    """Return the maps of a run and of those that refine it: none unless some B has two values of H.

    A later run adds cells; it replaces one only where that was not measured, or not to be believed.
    """
    maps: dict[tuple[PairKind, Case, str, str, str, int], dict[tuple[int, int], MapCell]] = {}
    for source, summary in enumerate(summaries):
        rows = summary.rows
        for pair in summary.headlines:
            if pair.kind not in KINDS or not pair.same_work:
                continue
            entry, baseline = rows[pair.entry], rows[pair.baseline]
            case, arm = entry.entry.case, entry.arm
            # what is equal at all sizes; the seed draws the numbers, not the work
            shared = replace(case, shape=replace(case.shape, B=1, H=1), seed=0)
            key = (pair.kind, shared, arm.library, baseline.arm.library, arm.device, arm.threads)
            cells, place = maps.setdefault(key, {}), (case.shape.B, case.shape.H)
            if place not in cells or not cells[place].measured:
                cells[place] = MapCell(case, pair, entry.median_ns, baseline.median_ns, source)
    several = (
        SizeMap(*key, tuple(cells[place] for place in sorted(cells)))
        for key, cells in maps.items()
        if len({B for B, _ in cells}) < len(cells)
    )
    return tuple(sorted(several, key=lambda size_map: KINDS.index(size_map.kind)))


def lines(size_map: SizeMap, axis: Axis = "H") -> tuple[Line, ...]:
    """Return the rows of a map that hold two sizes or more, by the size that is fixed."""
    rows: dict[int, list[MapCell]] = {}
    for cell in size_map.cells:
        rows.setdefault(cell.B if axis == "H" else cell.H, []).append(cell)
    return tuple(make_line(axis, fixed, cells) for fixed, cells in sorted(rows.items()) if len(cells) > 1)


def make_line(axis: Axis, fixed: int, cells: Sequence[MapCell]) -> Line:
    """Find the crossings of one row: between neighbours among the decided sizes that differ in the winner."""
    ordered = sorted(cells, key=lambda cell: _size(cell, axis))
    decided = [place for place, cell in enumerate(ordered) if cell.winner]
    brackets = [
        ordered[below : above + 1]
        for below, above in pairwise(decided)
        if ordered[below].winner != ordered[above].winner
    ]
    inside = [cell for bracket in brackets for cell in bracket]
    return Line(
        axis=axis,
        fixed=fixed,
        cells=tuple(ordered),
        crossings=tuple(_crossing(axis, bracket) for bracket in brackets),
        undecided=tuple(cell for cell in ordered if not cell.winner and cell not in inside),
    )


def _crossing(axis: Axis, cells: Sequence[MapCell]) -> Crossing:
    """Return the crossing between the first and the last of ``cells``, which alone have verdicts.

    Of every size with an interval, the log ratio and its limits count as the side sees them that is slower
    at the largest size, so that they fall from above 0 to below it.
    """
    below, above = cells[0], cells[-1]
    sign = -1 if below.faster == below.comparison.arm else 1
    places: list[float] = []
    curves: list[tuple[float, float, float]] = []  # lower limit, ratio, upper limit
    for cell in cells:
        pair = cell.comparison
        if pair.ratio is None or pair.low is None or pair.high is None:
            continue
        low, middle, high = sorted(sign * math.log(ratio) for ratio in (pair.low, pair.ratio, pair.high))
        places.append(_position(_size(cell, axis)))
        curves.append((low, middle, high) if cell.winner else (min(low, 0.0), middle, max(high, 0.0)))
    lows, middles, highs = (list(zip(places, curve, strict=True)) for curve in zip(*curves, strict=True))
    return Crossing(
        winner=above.winner or "",
        low=_size_at(_falls_below_0(lows)),
        at=_size_at((_falls_below_0(middles) + _rises_above_0(middles)) / 2),
        high=_size_at(_rises_above_0(highs)),
        below=below,
        above=above,
    )


def _falls_below_0(curve: Sequence[tuple[float, float]]) -> float:
    """Return where a curve that starts above 0 first comes down to it."""
    for (x, y), (next_x, next_y) in pairwise(curve):
        if next_y <= 0:
            return x + (next_x - x) * y / (y - next_y)
    raise ValueError("the curve never comes down to 0")


def _rises_above_0(curve: Sequence[tuple[float, float]]) -> float:
    """Return where a curve that ends below 0 was above it for the last time."""
    return _falls_below_0([(x, -y) for x, y in reversed(curve)])


def _size(cell: MapCell, axis: Axis) -> int:
    return cell.H if axis == "H" else cell.B


def _position(size: float) -> float:
    return math.log(size)


def _size_at(position: float) -> float:
    return math.exp(position)
