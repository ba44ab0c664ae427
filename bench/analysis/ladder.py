"""The ladder: what each single change contributes on the way from the first program to the last.

Where t_0 ... t_k are the medians of the rungs in one block, rung i made it t_(i-1) / t_i times faster there.
Its factor is exp of the mean, over the blocks that hold every rung, of the logarithm of that, with Student's
interval. Means of logarithms add up, so the product of the factors is exactly the factor of the whole way,
t_0 / t_k. The Hodges-Lehmann estimate is a median, which does not add up.
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

FEWEST = 3  # blocks for an interval


@dataclass(frozen=True, slots=True)
class Timed:
    """An entry in its place, and the geometric mean of its medians over the blocks that were used."""

    entry: Entry
    arm: Arm
    time_ns: float


@dataclass(frozen=True, slots=True)
class Step:
    """A rung that was measured, what is different from the one above it, and what that brought."""

    rung: Timed
    above: Timed
    change: str
    factor: Interval  # how many times faster it made it; no limits with fewer than three blocks
    blocks: int

    @property
    def library_alone(self) -> bool:
        """Tell whether two libraries do the same work here, in the same place."""
        own, above = self.rung.arm, self.above.arm
        same_place = (own.device, own.threads) == (above.device, above.threads)
        return self.rung.entry.case == self.above.entry.case and same_place and own.library != above.library


@dataclass(frozen=True, slots=True)
class Ladder:
    """The way from the first rung to the last, the branches beside it, and what the whole way brought."""

    start: str  # what the first rung is
    way: tuple[Step, ...]
    whole: Step
    branches: tuple[Step, ...]
    left_out: tuple[str, ...]  # rungs without values; what changes there joins what changes at the next one
    complete: bool  # the way begins and ends where the plan says

    @property
    def largest(self) -> Step:
        """Return the step that carries most of the whole way."""
        faster = self.whole.factor.estimate >= 1
        return max(self.way, key=lambda step: step.factor.estimate if faster else 1 / step.factor.estimate)


def ladder(summary: Summary) -> Ladder | None:
    """Take the way apart; return None without a ladder, or where fewer than two of its rungs have times."""
    known, rungs = summary.outcomes, summary.run.plan.ladder
    main = [rung for rung in rungs if not rung.branch]
    kept, blocks = _together([rung.entry for rung in main if known[rung.entry].medians], known)
    if len(kept) < 2:
        return None
    changes: dict[str, str] = {}
    passed: list[str] = []
    for rung in main:
        passed.append(rung.change)
        if rung.entry in kept:
            changes[rung.entry], passed = "; ".join(passed), []
    measured = {*kept, *(rung.entry for rung in rungs if rung.branch and known[rung.entry].medians)}
    return Ladder(
        start=changes[kept[0]],
        way=tuple(_step(summary, above, own, changes[own], blocks) for above, own in pairwise(kept)),
        whole=_step(summary, kept[0], kept[-1], "all of it", blocks),
        branches=tuple(_branches(summary)),
        left_out=tuple(rung.entry for rung in rungs if rung.entry not in measured),
        complete=(kept[0], kept[-1]) == (main[0].entry, main[-1].entry),
    )


def _together(entries: list[str], known: Mapping[str, Outcome]) -> tuple[list[str], list[int]]:
    """Return the entries with the blocks that hold them all; where none does, those with the fewest go."""
    kept = list(dict.fromkeys(entries))
    while kept:
        if blocks := set.intersection(*(set(known[entry].medians) for entry in kept)):
            return kept, sorted(blocks)
        kept.remove(min(kept, key=lambda entry: len(known[entry].medians)))
    return [], []


def _branches(summary: Summary) -> Iterator[Step]:
    """Yield the branches that were measured, each over the blocks that hold both its ends."""
    known, rungs = summary.outcomes, summary.run.plan.ladder
    for rung in (rung for rung in rungs if rung.branch):
        above, change = _above(rungs, rung, known)
        if above and (blocks := known[rung.entry].medians.keys() & known[above].medians.keys()):
            yield _step(summary, above, rung.entry, change, sorted(blocks))


def _above(rungs: Sequence[Rung], rung: Rung, known: Mapping[str, Outcome]) -> tuple[str | None, str]:
    """Return the nearest entry above that has times, and all that changes between the two."""
    others = {other.entry: other for other in rungs if other.entry != rung.entry}
    changes, above = [rung.change], rung.above
    while above is not None and not known[above].medians:
        passed = others.pop(above, None)  # never twice: a file may lead in a circle
        above = passed.above if passed else None
        changes += [passed.change] if passed else []
    return above, "; ".join(reversed(changes))


def _step(summary: Summary, above: str, entry: str, change: str, blocks: Sequence[int]) -> Step:
    """Return what lies between two entries, over blocks that hold both."""
    ends, run = [], summary.run
    times = [[summary.outcomes[end].medians[block] for block in blocks] for end in (above, entry)]
    for end, of_end in zip((run.entries[above], run.entries[entry]), times, strict=True):
        mean_ns = math.exp(float(np.mean([math.log(time) for time in of_end])))
        ends.append(Timed(end, run.arms[end.arm], mean_ns))
    interval = mean_interval([math.log(before / after) for before, after in zip(*times, strict=True)]).exp()
    if len(blocks) < FEWEST:
        interval = Interval(interval.estimate, -math.inf, math.inf, 1.0)
    return Step(ends[1], ends[0], change, interval, len(blocks))
