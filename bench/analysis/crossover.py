"""The map of a task that was measured at many sizes: for each H and B, NumPy against PyTorch.

A map is of one kind of comparison in one place. ``best`` is the fastest form of each library
and the answer; ``as_written`` is how each is usually written. A ratio is PyTorch's time over NumPy's.

Where the faster library changes: along H for each B of a map, or along B for each H, as an interval.

Between neighbouring sizes the log ratio r is taken to be linear in log H, and so are the two limits of its
95 % interval. Where PyTorch overtakes, r falls through 0: not before the curve of the lower limits does so,
and not after that of the upper limits has. These two places are the interval; where r itself does is the
best guess. Where NumPy overtakes, the same holds upside down.

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
SIGNS = {"SLOWER": 1, "FASTER": -1}  # of the log ratio
NOT_MEASURED = ("MISSING", "NONE", "INVALID")  # verdicts after which a size may be measured again


@dataclass(frozen=True, slots=True)
class MapCell:
    """One size of the map; times are medians in nanoseconds a call, None where there are none."""

    case: Case
    made: Comparison
    numpy: Arm
    torch: Arm
    numpy_ns: float | None
    torch_ns: float | None
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
    def sign(self) -> int | None:
        """1 where NumPy is proved to be faster, -1 where PyTorch is, None where neither is."""
        return SIGNS.get(self.made.verdict)

    @property
    def measured(self) -> bool:
        """Whether it needs no other try: a word was found for it, were it UNRESOLVED."""
        return self.made.verdict not in NOT_MEASURED


@dataclass(frozen=True, slots=True)
class SizeMap:
    """All sizes of one task in one place, by B and then H."""

    kind: PairKind
    case: Case  # what all of them share; its B and H are 1
    device: str  # PyTorch's
    threads: int
    cells: tuple[MapCell, ...]

    def sizes(self, axis: str) -> list[int]:
        """The values of "H" or "B" that were measured."""
        return sorted({getattr(cell, axis) for cell in self.cells})


def size_maps(sources: Iterable[tuple[Run, Summary]]) -> tuple[SizeMap, ...]:
    """The maps of a run and of those that refine it, in this order: none unless some B has two values of H.

    A later run adds cells; it replaces one only where that was not measured, or not to be believed.
    """
    found: dict[tuple[PairKind, str, int, Case], dict[tuple[int, int], MapCell]] = {}
    for source, (run, summary) in enumerate(sources):
        times = {row.entry: row.median_ns for table in summary.tables for row in table.rows}
        for made in summary.headlines:
            if made.kind not in KINDS or not made.same_work:
                continue
            case, numpy, torch = run.entries[made.entry].case, run.arms[made.baseline_arm], run.arms[made.arm]
            cells = found.setdefault((made.kind, torch.device, torch.threads, _shared(case)), {})
            place = case.shape.B, case.shape.H
            if place not in cells or not cells[place].measured:
                times_ns = times.get(made.baseline), times.get(made.entry)
                cells[place] = MapCell(case, made, numpy, torch, *times_ns, source)
    maps = [
        SizeMap(kind, case, device, threads, tuple(cells[place] for place in sorted(cells)))
        for (kind, device, threads, case), cells in found.items()
        if _has_line(list(cells))
    ]
    return tuple(sorted(maps, key=lambda made: KINDS.index(made.kind)))


def _shared(case: Case) -> Case:
    """What is equal at all sizes; the seed draws the numbers, not the work."""
    return replace(case, shape=replace(case.shape, B=1, H=1), seed=0)


def _has_line(places: Sequence[tuple[int, int]]) -> bool:
    return len({B for B, _ in places}) < len(places)


Axis = Literal["H", "B"]
Point = tuple[float, float]  # log size, log ratio


@dataclass(frozen=True, slots=True)
class Crossing:
    """Towards larger sizes ``winner`` is faster from somewhere between ``low`` and ``high`` on."""

    winner: Literal["numpy", "torch"]
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
        return next((cell for cell in self.cells if cell.sign), None)


def lines(size_map: SizeMap, axis: Axis = "H") -> tuple[Line, ...]:
    """The rows of a map that hold two sizes or more, by the size that is fixed."""
    other = "B" if axis == "H" else "H"
    rows: dict[int, list[MapCell]] = {}
    for cell in size_map.cells:
        rows.setdefault(getattr(cell, other), []).append(cell)
    return tuple(make_line(axis, fixed, cells) for fixed, cells in sorted(rows.items()) if len(cells) > 1)


def make_line(axis: Axis, fixed: int, cells: Sequence[MapCell]) -> Line:
    """Find the crossings of one row."""
    ordered = sorted(cells, key=lambda cell: _size(cell, axis))
    decided = [place for place, cell in enumerate(ordered) if cell.sign]
    crossings: list[Crossing] = []
    inside: set[int] = set()
    for below, above in pairwise(decided):
        if ordered[below].sign != ordered[above].sign:
            crossings.append(_crossing(axis, ordered[below : above + 1]))
            inside.update(range(below, above))
    undecided = [cell for place, cell in enumerate(ordered) if not cell.sign and place not in inside]
    return Line(axis, fixed, tuple(ordered), tuple(crossings), tuple(undecided))


def _crossing(axis: Axis, cells: Sequence[MapCell]) -> Crossing:
    """The crossing between the first and the last of ``cells``, which alone have verdicts."""
    below, above = cells[0], cells[-1]
    side = below.sign or 1
    lows: list[Point] = []
    middles: list[Point] = []
    highs: list[Point] = []
    for cell in cells:
        made = cell.made
        if made.ratio is None or made.low is None or made.high is None:
            continue
        place = _position(_size(cell, axis))
        low, high = sorted((side * math.log(made.low), side * math.log(made.high)))
        if not cell.sign:
            low, high = min(low, 0.0), max(high, 0.0)
        lows.append((place, low))
        middles.append((place, side * math.log(made.ratio)))
        highs.append((place, high))
    first, last = _falls_below_0(middles), _rises_above_0(middles)
    return Crossing(
        winner="torch" if side > 0 else "numpy",
        low=_size_at(_falls_below_0(lows)),
        at=_size_at((first + last) / 2),
        high=_size_at(_rises_above_0(highs)),
        below=below,
        above=above,
    )


def _falls_below_0(curve: Sequence[Point]) -> float:
    """Where a curve that starts above 0 first comes down to it."""
    for (x, y), (next_x, next_y) in pairwise(curve):
        if next_y <= 0:
            return x + (next_x - x) * y / (y - next_y)
    raise ValueError("the curve never comes down to 0")


def _rises_above_0(curve: Sequence[Point]) -> float:
    """Where a curve that ends below 0 was above it for the last time."""
    return _falls_below_0([(x, -y) for x, y in reversed(curve)])


def _size(cell: MapCell, axis: Axis) -> int:
    return cell.H if axis == "H" else cell.B


def _position(size: float) -> float:
    return math.log(size)


def _size_at(position: float) -> float:
    return math.exp(position)
