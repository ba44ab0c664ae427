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
from bench.records.run import Run
from bench.workload.case import Case

KINDS: tuple[PairKind, ...] = ("best", "as_written")
NOT_MEASURED = ("MISSING", "NONE", "INVALID")  # verdicts after which a size may be measured again
Axis = Literal["H", "B"]
Point = tuple[float, float]  # log size, log ratio


@dataclass(frozen=True, slots=True)
class MapCell:
    """One size of the map; times are medians in nanoseconds a call, None where there are none."""

    case: Case
    comparison: Comparison
    arm: Arm
    baseline: Arm
    arm_ns: float | None
    baseline_ns: float | None
    source: int  # which run measured it: 0 the first, and so on

    @property
    def H(self) -> int:
        """Hidden units."""
        return self.case.shape.H

    @property
    def B(self) -> int:
        """Samples in a batch."""
        return self.case.shape.B

    @property
    def faster(self) -> Arm | None:
        """The arm that is proved to be faster; None where neither is."""
        return {"FASTER": self.arm, "SLOWER": self.baseline}.get(self.comparison.verdict)

    @property
    def winner(self) -> str | None:
        """The library of the arm that is proved to be faster; None where neither is."""
        return self.faster.library if self.faster else None

    @property
    def measured(self) -> bool:
        """Whether it needs no other try: a word was found for it, were it UNRESOLVED."""
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
        """The smallest size with a verdict FASTER or SLOWER."""
        return next((cell for cell in self.cells if cell.winner), None)


def size_maps(sources: Iterable[tuple[Run, Summary]]) -> tuple[SizeMap, ...]:
    """Return the maps of a run and of those that refine it: none unless some B has two values of H.

    A later run adds cells; it replaces one only where that was not measured, or not to be believed.
    """
    found: dict[tuple[PairKind, Case, str, str, str, int], dict[tuple[int, int], MapCell]] = {}
    for source, (run, summary) in enumerate(sources):
        times = {row.entry: row.median_ns for table in summary.tables for row in table.rows}
        for row in summary.headlines:
            if row.kind not in KINDS or not row.same_work:
                continue
            case, arm, baseline = run.entries[row.entry].case, run.arms[row.arm], run.arms[row.baseline_arm]
            # what is equal at all sizes; the seed draws the numbers, not the work
            shared = replace(case, shape=replace(case.shape, B=1, H=1), seed=0)
            key = (row.kind, shared, arm.library, baseline.library, arm.device, arm.threads)
            cells, place = found.setdefault(key, {}), (case.shape.B, case.shape.H)
            if place not in cells or not cells[place].measured:
                times_ns = times.get(row.entry), times.get(row.baseline)
                cells[place] = MapCell(case, row, arm, baseline, *times_ns, source)
    maps = [
        SizeMap(*key, tuple(cells[place] for place in sorted(cells)))
        for key, cells in found.items()
        if len({B for B, _ in cells}) < len(cells)
    ]
    return tuple(sorted(maps, key=lambda size_map: KINDS.index(size_map.kind)))


def lines(size_map: SizeMap, axis: Axis = "H") -> tuple[Line, ...]:
    """Return the rows of a map that hold two sizes or more, by the size that is fixed."""
    other = "B" if axis == "H" else "H"
    rows: dict[int, list[MapCell]] = {}
    for cell in size_map.cells:
        rows.setdefault(getattr(cell, other), []).append(cell)
    return tuple(make_line(axis, fixed, cells) for fixed, cells in sorted(rows.items()) if len(cells) > 1)


def make_line(axis: Axis, fixed: int, cells: Sequence[MapCell]) -> Line:
    """Find the crossings of one row."""
    ordered = sorted(cells, key=lambda cell: getattr(cell, axis))
    decided = [place for place, cell in enumerate(ordered) if cell.winner]
    crossings: list[Crossing] = []
    inside: set[int] = set()
    for below, above in pairwise(decided):
        if ordered[below].winner != ordered[above].winner:
            crossings.append(_crossing(axis, ordered[below : above + 1]))
            inside.update(range(below, above))
    undecided = [cell for place, cell in enumerate(ordered) if not cell.winner and place not in inside]
    return Line(axis, fixed, tuple(ordered), tuple(crossings), tuple(undecided))


def _crossing(axis: Axis, cells: Sequence[MapCell]) -> Crossing:
    """Return the crossing between the first and the last of ``cells``, which alone have verdicts."""
    below, above = cells[0], cells[-1]
    side = -1 if below.faster == below.arm else 1  # of the log ratio, before it turns round
    lows: list[Point] = []
    middles: list[Point] = []
    highs: list[Point] = []
    for cell in cells:
        row = cell.comparison
        if row.ratio is None or row.low is None or row.high is None:
            continue
        place = _position(getattr(cell, axis))
        low, high = sorted((side * math.log(row.low), side * math.log(row.high)))
        if not cell.winner:
            low, high = min(low, 0.0), max(high, 0.0)
        lows.append((place, low))
        middles.append((place, side * math.log(row.ratio)))
        highs.append((place, high))
    first, last = _falls_below_0(middles), _rises_above_0(middles)
    return Crossing(
        winner=above.winner or "",
        low=_size_at(_falls_below_0(lows)),
        at=_size_at((first + last) / 2),
        high=_size_at(_rises_above_0(highs)),
        below=below,
        above=above,
    )


def _falls_below_0(curve: Sequence[Point]) -> float:
    """Return where a curve that starts above 0 first comes down to it."""
    for (x, y), (next_x, next_y) in pairwise(curve):
        if next_y <= 0:
            return x + (next_x - x) * y / (y - next_y)
    raise ValueError("the curve never comes down to 0")


def _rises_above_0(curve: Sequence[Point]) -> float:
    """Return where a curve that ends below 0 was above it for the last time."""
    return _falls_below_0([(x, -y) for x, y in reversed(curve)])


def _position(size: float) -> float:
    return math.log(size)


def _size_at(position: float) -> float:
    return math.exp(position)
