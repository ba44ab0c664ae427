"""Split the ladder's total speedup into one factor per change; each rung is a program with one more change.

Let t_0 ... t_k be the medians of the rungs in one block: rung i is t_(i-1) / t_i times faster than the rung
above. Its factor is exp of the mean log of this ratio, over the blocks that contain every rung, with
Student's interval. Means of logarithms add up, so the product of the factors is exactly the total factor
t_0 / t_k. The Hodges-Lehmann estimate is a median, and medians do not add up.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.analysis.outcome import Outcome
from bench.analysis.statistics import Interval, mean_interval
from bench.analysis.summary import Summary
from bench.records.record import Arm, Entry, Rung

MIN_INTERVAL_BLOCKS = 3  # fewer blocks give no interval


@dataclass(frozen=True, slots=True)
class TimedEntry:
    """Hold an entry, its arm, and the geometric mean of its medians over the blocks that were used."""

    entry: Entry
    arm: Arm
    time_ns: float


@dataclass(frozen=True, slots=True)
class Step:
    """Hold a measured rung, the rung above it, the change between them, and the factor of the change."""

    rung: TimedEntry
    above: TimedEntry
    change: str
    factor: Interval  # how many times faster than the rung above; no limits with fewer than three blocks
    blocks: int  # number of blocks compared

    @property
    def library_alone(self) -> bool:
        """Return whether only the library differs: same case, same device, same number of threads."""
        arm, arm_above = self.rung.arm, self.above.arm
        same_case = self.rung.entry.case == self.above.entry.case
        same_place = (arm.device, arm.threads) == (arm_above.device, arm_above.threads)
        return same_case and same_place and arm.library != arm_above.library


@dataclass(frozen=True, slots=True)
class Ladder:
    """Hold the main steps, the side steps (branches), and the step from the first rung to the last."""

    start: str  # describes the first rung
    way: tuple[Step, ...]  # the main steps, in order
    whole: Step  # from the first rung to the last
    branches: tuple[Step, ...]
    left_out: tuple[str, ...]  # rungs without times; their changes are added to the next rung
    complete: bool  # whether the way begins and ends with the plan's first and last rung

    @property
    def largest(self) -> Step:
        """Return the step with the largest share of the total factor."""
        is_speedup = self.whole.factor.estimate >= 1
        return max(
            self.way, key=lambda step: step.factor.estimate if is_speedup else 1 / step.factor.estimate
        )


def ladder(summary: Summary) -> Ladder | None:
    """Compute the ladder's factors; return None without a ladder or with fewer than two timed rungs."""
    outcomes, rungs = summary.outcomes, summary.run.plan.ladder
    main_rungs = [rung for rung in rungs if not rung.branch]
    timed, blocks = _with_common_blocks(
        [rung.entry for rung in main_rungs if outcomes[rung.entry].medians], outcomes
    )
    if len(timed) < 2:
        return None
    changes: dict[str, str] = {}
    pending_changes: list[str] = []
    for rung in main_rungs:
        pending_changes.append(rung.change)
        if rung.entry in timed:
            changes[rung.entry], pending_changes = "; ".join(pending_changes), []
    measured = {*timed, *(rung.entry for rung in rungs if rung.branch and outcomes[rung.entry].medians)}
    return Ladder(
        start=changes[timed[0]],
        way=tuple(_step(summary, above, entry, changes[entry], blocks) for above, entry in pairwise(timed)),
        whole=_step(summary, timed[0], timed[-1], "all of it", blocks),
        branches=tuple(_branches(summary)),
        left_out=tuple(rung.entry for rung in rungs if rung.entry not in measured),
        complete=(timed[0], timed[-1]) == (main_rungs[0].entry, main_rungs[-1].entry),
    )


def _with_common_blocks(entries: list[str], known: Mapping[str, Outcome]) -> tuple[list[str], list[int]]:
    """Return the entries and the blocks that contain all of them.

    Without such a block, drop the entry with the fewest blocks and try again.
    """
    remaining = list(dict.fromkeys(entries))
    while remaining:
        if blocks := set.intersection(*(set(known[entry].medians) for entry in remaining)):
            return remaining, sorted(blocks)
        remaining.remove(min(remaining, key=lambda entry: len(known[entry].medians)))
    return [], []


def _branches(summary: Summary) -> Iterator[Step]:
    """Yield the step of every measured branch, over the blocks that contain both its ends."""
    outcomes, rungs = summary.outcomes, summary.run.plan.ladder
    for rung in (rung for rung in rungs if rung.branch):
        above, change = _nearest_above(rungs, rung, outcomes)
        if above and (blocks := outcomes[rung.entry].medians.keys() & outcomes[above].medians.keys()):
            yield _step(summary, above, rung.entry, change, sorted(blocks))


def _nearest_above(rungs: Sequence[Rung], rung: Rung, known: Mapping[str, Outcome]) -> tuple[str | None, str]:
    """Return the nearest entry above that has times, and all changes between the two entries."""
    candidates = {candidate.entry: candidate for candidate in rungs if candidate.entry != rung.entry}
    changes, above = [rung.change], rung.above
    while above is not None and not known[above].medians:
        skipped = candidates.pop(above, None)  # removed, so that a circular ladder in a file ends
        above = skipped.above if skipped else None
        changes += [skipped.change] if skipped else []
    return above, "; ".join(reversed(changes))


def _step(summary: Summary, above: str, entry: str, change: str, blocks: Sequence[int]) -> Step:
    """Return the step between two entries, over blocks that contain both."""
    timed_entries, run = [], summary.run
    times = [[summary.outcomes[name].medians[block] for block in blocks] for name in (above, entry)]
    for end_entry, times_ns in zip((run.entries[above], run.entries[entry]), times, strict=True):
        mean_ns = math.exp(float(np.mean([math.log(time_ns) for time_ns in times_ns])))
        timed_entries.append(TimedEntry(end_entry, run.arms[end_entry.arm], mean_ns))
    interval = mean_interval([math.log(before / after) for before, after in zip(*times, strict=True)]).exp()
    if len(blocks) < MIN_INTERVAL_BLOCKS:
        interval = Interval(interval.estimate, -math.inf, math.inf, 1.0)
    return Step(timed_entries[1], timed_entries[0], change, interval, len(blocks))
