"""Summarise many streams: throughput and percentiles by streams and workers, and how many are served.

A block's number is one of fresh processes, so intervals and verdicts are over blocks. The number served in a
block is the most of which at most one step in a hundred is late; the least of all blocks holds in every one.
The control's step is as long as that of the slowest arm. The machine sets an arm's limit where the control
lacks at least half as large a share of what its step alone would allow (``explained`` of ``tail``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from bench.analysis.statistics import median_interval
from bench.analysis.tail import (
    BY_MACHINE,
    Quantile,
    by_block,
    distances,
    excess,
    explained,
    no_whole_block,
    over_blocks,
    quantile,
    shown,
)
from bench.analysis.verdict import DECIDED, Effect, judge
from bench.machine.libraries import NUMPY
from bench.records.record import Arm
from bench.records.stream import CONTROL, LATE, Declaration, Level, Stream

What = Literal["step", "p99", "served"]  # wall time per step of all streams together, ...


@dataclass(frozen=True, slots=True)
class Point:
    """Hold what an arm, or the control, did at a level, as medians over blocks with intervals."""

    arm: Arm | None  # None: the control
    streams: int
    workers: int
    levels: tuple[Level, ...]
    step: Quantile  # wall time in ns divided by the steps of all streams together
    quantiles: dict[float, Quantile]  # of responses at a rate, else of steps
    late: float


@dataclass(frozen=True, slots=True)
class Served:
    """Hold how many streams an arm, or the control, served."""

    arm: Arm | None
    by_block: Mapping[int, int]
    allowed: float  # by the median step alone: workers * period / step
    capped: bool  # the search ended before a number that is not served
    machine: bool = False  # the control explains what is missing

    @property
    def least(self) -> int:
        """Return the number that is served in every block."""
        return min(self.by_block.values())

    @property
    def lacking(self) -> dict[int, float]:
        """Return, by block, the share of what the step alone would allow that is not served."""
        return {block: max(0.0, 1 - n / self.allowed) for block, n in self.by_block.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio(Effect):
    """Hold the ratio of two arms' times, or of streams the other way round: above 1 the entry is slower."""

    what: What
    streams: int | None  # None: the number served
    workers: int
    entry: Arm
    baseline: Arm
    machine: bool = False


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Hold the summary of many streams; arms in the declared order, the control last."""

    stream: Stream
    points: tuple[Point, ...]
    served: tuple[Served, ...]  # empty back to back
    ratios: tuple[Ratio, ...]


def ratios_of(declared: Declaration) -> int:
    """Return how many ratios are judged together, at most: those of the libraries, or those of the peers."""
    pairs = [entry.peer for entry, _ in pairs_of(declared.arms)]
    return max(1, pairs.count(False), pairs.count(True)) * (1 if declared.rate else 2 * len(declared.levels))


def pairs_of(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Return which arms are compared: each with NumPy's, or the first; a peer with all that are no peers."""
    others = [arm for arm in arms if not arm.peer] or arms
    baseline = next((arm for arm in others if arm.library == NUMPY.name), others[0])
    pairs = [(arm, baseline) for arm in others if arm is not baseline]
    return pairs + [(arm, other) for arm in arms if arm.peer for other in others if not other.peer]


def analyse_many(stream: Stream) -> Concurrency:
    """Summarise many streams.

    Raises:
        Unfinished: no block is whole; with exit code 1 if that is since a result was proved wrong.
    """
    declared, of_level = stream.declaration, dict[tuple[int, int, str], list[Level]]()
    for level in stream.levels:
        if not level.search:
            of_level.setdefault((level.streams, level.workers, level.arm), []).append(level)
    arms = [arm for arm in declared.arms if any(name == arm.id for *_, name in of_level)]
    if not (arms and any(name == CONTROL for *_, name in of_level)):
        raise no_whole_block(stream)
    points = tuple(
        _point(arm, levels, of_level.get((*size, CONTROL), []))
        for size in sorted({(n, workers) for n, workers, _ in of_level})
        for arm in (*arms, None)
        if (levels := of_level.get((*size, arm.id if arm else CONTROL)))
    )
    served = _served(stream, arms) if declared.rate else ()
    ratios = list[Ratio]()
    for entry, baseline in pairs_of(arms):
        ratios += _ratios(points, entry, baseline, declared.verdicts)
        if declared.rate:
            # where one serves none in a block, no ratio says by how much
            longer = {
                capacity.arm: {block: 1 / n for block, n in capacity.by_block.items() if capacity.least}
                for capacity in served
            }
            sides = (longer.get(arm, {}) for arm in (entry, baseline))
            ratio = Ratio(
                what="served", streams=None, workers=declared.workers, entry=entry, baseline=baseline
            )
            ratios += over_blocks(ratio, *sides, verdicts=declared.verdicts)
    judged = (
        replace(ratio, verdict="NONE", reason=BY_MACHINE)
        if ratio.machine and ratio.verdict in DECIDED
        else ratio
        for of_peers in (False, True)
        for ratio in judge((r for r in ratios if r.entry.peer == of_peers), declared.margin)
    )
    return Concurrency(stream, points, served, tuple(judged))


def _steps(levels: Sequence[Level]) -> dict[int, float]:
    return {level.block: 1e9 / level.throughput for level in levels}


def _point(arm: Arm | None, levels: Sequence[Level], control: Sequence[Level]) -> Point:
    response, quantiles = bool(levels[0].response), {}
    for q in shown(min((level.response or level.times).n for level in levels)):
        quantiles[q] = quantile(arm, levels, control, q, response=response)
    step, late = median_interval([*_steps(levels).values()]), [level.late for level in levels]
    return Point(
        arm, levels[0].streams, levels[0].workers, tuple(levels),
        Quantile(step.estimate, *step.limits, machine=False), quantiles, sum(late) / len(late),
    )  # fmt: skip


def _ratios(points: Sequence[Point], entry: Arm, baseline: Arm, verdicts: bool) -> Iterator[Ratio]:
    """Yield, back to back, the ratios of the time per step and of p99 at every level that has both."""
    at = {(point.arm, point.streams, point.workers): point for point in points}
    for point in (point for point in points if point.arm is entry and not point.levels[0].response):
        n, workers = point.streams, point.workers
        other, control = (at.get((arm, n, workers)) for arm in (baseline, None))
        if other and control:
            ratio = Ratio(what="step", streams=n, workers=workers, entry=entry, baseline=baseline)
            yield from over_blocks(ratio, _steps(point.levels), _steps(other.levels), verdicts=verdicts)
            if 0.99 in point.quantiles and 0.99 in other.quantiles:
                tails = by_block(point.levels, 0.99), by_block(other.levels, 0.99)
                machine = explained(distances(*tails), excess(control.levels, 0.99))
                ratio = replace(ratio, what="p99", machine=machine)
                yield from over_blocks(ratio, *tails, verdicts=verdicts)


def _served(stream: Stream, arms: Sequence[Arm]) -> tuple[Served, ...]:
    """Return how many streams each arm and the control served; without arms whose search was never whole.

    The machine sets no limit where none was reached, or where an arm serves what its step alone allows.
    """
    declared, served = stream.declaration, list[Served]()
    failed = {(failure.entry, failure.block) for failure in stream.failures}  # before its search was over
    for arm in (*arms, None):
        name = arm.id if arm else CONTROL
        searched = [level for level in stream.levels if level.search and level.arm == name]
        tried = [level for level in searched if (name, level.block) not in failed]
        if not tried:
            continue
        by_block = {level.block: 0 for level in tried}
        for level in (level for level in tried if level.late <= LATE):
            by_block[level.block] = max(by_block[level.block], level.streams)
        step_ns = median(level.times.percentile(0.5) for level in tried)
        allowed = declared.workers * (declared.period_ns or 0.0) / step_ns
        capped = min(by_block.values()) >= declared.most_streams
        served.append(Served(arm, by_block, allowed, capped))
    if len(served) < 2 or served[-1].arm:
        return ()
    *capacities, control = served
    return (*(replace(capacity, machine=_by_machine(capacity, control)) for capacity in capacities), control)


def _by_machine(served: Served, control: Served) -> bool:
    lacks = served.lacking
    return not served.capped and median(lacks.values()) > 0 and explained(lacks, control.lacking)
