"""Find the sizes at which the faster library changes, in the map of a task measured at many sizes.

A map contains one kind of comparison of two libraries on one device: ``best`` compares the fastest variant of
each and is the answer; ``as_written`` compares how each is usually written. A ratio is the time of the arm
divided by the time of its baseline.

A crossing is an interval of H (for a fixed B) or of B (for a fixed H). Between neighbouring sizes, the log
ratio r and both limits of its 95 % interval are taken to be linear in the log of the size. Where the arm
overtakes, r falls through 0. The crossing begins where the curve of the lower limits falls through 0, and
ends where the curve of the upper limits does; the best guess is where r does. Where the baseline overtakes,
all signs are reversed.

Two sizes with opposite verdicts bracket a crossing. A size without a verdict counts for neither side: its
limits are widened until they contain 0, so the crossing reaches at least to this size.

A crossing is of one machine: of a sweep over several, each row has a line for each machine, through the sizes
that this machine measured.
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
    """Hold one size of the map; times are medians in nanoseconds per call, None without times."""

    case: Case
    comparison: Comparison
    arm_ns: float | None
    baseline_ns: float | None
    source: int  # number of the run that measured the size, from 0
    machine: int | None = None  # number of the machine in a sweep over several; None if none measured it

    @property
    def H(self) -> int:
        """Return the number of hidden units."""
        return self.case.shape.H

    @property
    def B(self) -> int:
        """Return the batch size."""
        return self.case.shape.B

    @property
    def faster(self) -> Arm | None:
        """Return the arm that is proved to be faster; None if neither is."""
        pair = self.comparison
        return {"FASTER": pair.arm, "SLOWER": pair.baseline_arm}.get(pair.verdict)

    @property
    def winner(self) -> str | None:
        """Return the library of the arm that is proved to be faster; None if neither is."""
        return self.faster.library if self.faster else None

    @property
    def measured(self) -> bool:
        """Return whether the size has a verdict, which may be UNRESOLVED, and needs no new measurement."""
        return self.comparison.verdict not in NOT_MEASURED


@dataclass(frozen=True, slots=True)
class SizeMap:
    """Hold all sizes of one task on one device, ordered by B and then by H."""

    kind: PairKind
    case: Case  # shared by all sizes; its B and H are 1
    library: str  # library of the arms
    baseline: str  # library of the baselines
    device: str  # device of the arms
    threads: int
    cells: tuple[MapCell, ...]

    @property
    def machines(self) -> tuple[int, ...]:
        """Return the numbers of the machines of a sweep over several, else nothing."""
        return tuple(sorted({cell.machine for cell in self.cells if cell.machine is not None}))


@dataclass(frozen=True, slots=True)
class Crossing:
    """Hold where ``winner`` becomes faster as sizes grow: between ``low`` and ``high``, best guess ``at``."""

    winner: str
    low: float
    at: float
    high: float
    below: MapCell  # the neighbouring sizes whose verdicts bracket the crossing
    above: MapCell


@dataclass(frozen=True, slots=True)
class Line:
    """Hold a row of the map along ``axis``, with the other size ``fixed``."""

    axis: Axis
    fixed: int
    cells: tuple[MapCell, ...]  # ordered by size
    crossings: tuple[Crossing, ...]
    undecided: tuple[MapCell, ...]  # sizes without a verdict, outside the brackets of all crossings
    machine: int | None = None

    @property
    def first(self) -> MapCell | None:
        """Return the smallest size with a verdict FASTER or SLOWER; None without such a size."""
        return next((cell for cell in self.cells if cell.winner), None)


def size_maps(summaries: Iterable[Summary]) -> tuple[SizeMap, ...]:
    """Return the maps of a run and of the runs that refine it, if a map has two values of H for some B.

    A later run adds sizes. It replaces a size only if that size was not measured, or its result is invalid.
    """
    maps: dict[tuple[PairKind, Case, str, str, str, int], dict[tuple[int, int], MapCell]] = {}
    for source, summary in enumerate(summaries):
        rows, machines = summary.rows, summary.run.machine_numbers
        for pair in summary.headlines:
            if pair.kind not in KINDS or not pair.same_work:
                continue
            entry, baseline = rows[pair.entry], rows[pair.baseline]
            case, arm = entry.entry.case, entry.arm
            # what all sizes share; the seed changes the numbers, not the work
            shared = replace(case, shape=replace(case.shape, B=1, H=1), seed=0)
            key = (pair.kind, shared, arm.library, baseline.arm.library, arm.device, arm.threads)
            cells, size = maps.setdefault(key, {}), (case.shape.B, case.shape.H)
            if size not in cells or not cells[size].measured:
                cells[size] = MapCell(
                    case, pair, entry.median_ns, baseline.median_ns, source, machines.get(pair.entry)
                )
    maps_with_rows = (
        SizeMap(*key, tuple(cells[size] for size in sorted(cells)))
        for key, cells in maps.items()
        if len({B for B, _ in cells}) < len(cells)
    )
    return tuple(sorted(maps_with_rows, key=lambda size_map: KINDS.index(size_map.kind)))


def lines(size_map: SizeMap, axis: Axis = "H") -> tuple[Line, ...]:
    """Return the rows of a map with at least two sizes of a machine, ordered by the fixed size."""
    rows: dict[tuple[int, int], list[MapCell]] = {}
    for cell in size_map.cells:
        if cell.machine is not None or not size_map.machines:
            rows.setdefault((cell.B if axis == "H" else cell.H, cell.machine or 0), []).append(cell)
    return tuple(
        make_line(axis, fixed, cells) for (fixed, _), cells in sorted(rows.items()) if len(cells) > 1
    )


def make_line(axis: Axis, fixed: int, cells: Sequence[MapCell]) -> Line:
    """Find the crossings of one row: between neighbours among the decided sizes with different winners."""
    ordered = sorted(cells, key=lambda cell: _size(cell, axis))
    decided_indices = [index for index, cell in enumerate(ordered) if cell.winner]
    brackets = [
        ordered[below : above + 1]
        for below, above in pairwise(decided_indices)
        if ordered[below].winner != ordered[above].winner
    ]
    bracketed = [cell for bracket in brackets for cell in bracket]
    return Line(
        axis=axis,
        fixed=fixed,
        cells=tuple(ordered),
        crossings=tuple(_crossing(axis, bracket) for bracket in brackets),
        undecided=tuple(cell for cell in ordered if not cell.winner and cell not in bracketed),
        machine=ordered[0].machine,
    )


def _crossing(axis: Axis, cells: Sequence[MapCell]) -> Crossing:
    """Return the crossing between the first and the last of ``cells``, the only ones with a verdict.

    The log ratios and their limits get a sign such that they fall from above 0 to below 0.
    """
    below, above = cells[0], cells[-1]
    sign = -1 if below.faster == below.comparison.arm else 1
    positions: list[float] = []
    curves: list[tuple[float, float, float]] = []  # lower limit, log ratio, upper limit
    for cell in cells:
        pair = cell.comparison
        if pair.ratio is None or pair.low is None or pair.high is None:
            continue
        low, log_ratio, high = sorted(sign * math.log(ratio) for ratio in (pair.low, pair.ratio, pair.high))
        positions.append(_position(_size(cell, axis)))
        curves.append((low, log_ratio, high) if cell.winner else (min(low, 0.0), log_ratio, max(high, 0.0)))
    lows, log_ratios, highs = (
        list(zip(positions, curve, strict=True)) for curve in zip(*curves, strict=True)
    )
    return Crossing(
        winner=above.winner or "",
        low=_size_at(_falls_below_0(lows)),
        at=_size_at((_falls_below_0(log_ratios) + _rises_above_0(log_ratios)) / 2),
        high=_size_at(_rises_above_0(highs)),
        below=below,
        above=above,
    )


def _falls_below_0(curve: Sequence[tuple[float, float]]) -> float:
    """Return the first position at which a curve that starts above 0 reaches 0."""
    for (x, y), (next_x, next_y) in pairwise(curve):
        if next_y <= 0:
            return x + (next_x - x) * y / (y - next_y)
    raise ValueError("the curve never comes down to 0")


def _rises_above_0(curve: Sequence[tuple[float, float]]) -> float:
    """Return the last position at which a curve that ends below 0 leaves 0."""
    return _falls_below_0([(x, -y) for x, y in reversed(curve)])


def _size(cell: MapCell, axis: Axis) -> int:
    return cell.H if axis == "H" else cell.B


def _position(size: float) -> float:
    return math.log(size)


def _size_at(position: float) -> float:
    return math.exp(position)
