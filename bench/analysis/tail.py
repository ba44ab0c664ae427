"""Summarise a stream: percentiles of its calls over blocks, their ratios, and what the machine explains.

A block's percentile is one number of one process, so intervals and verdicts are over blocks. The control
computes nothing: what its percentile adds to its median, interruptions added. It explains an amount e where
that may be at least half of e, that is where the upper 95 % limit over blocks of c - e / 2 reaches 0. Such
an amount is what an arm's percentile adds to its own median, the difference of two arms, or a share of missed
deadlines. Where the control explains a difference, no library is named.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from bench.analysis.statistics import median_interval, rank_interval
from bench.analysis.verdict import DECIDED, QUICK, E, Effect, judge, measured
from bench.machine.errors import Unfinished
from bench.records.record import Arm, PairKind
from bench.records.stream import CONTROL, Burst, Decision, Level, Stream

PERCENTILES = (0.5, 0.99, 0.999)
MIN_BEYOND = 20  # calls beyond a percentile in every block, for it to be shown
EXPLAINED = 0.5  # share of an amount that the control must reach to explain it
BY_MACHINE = "the control, which computes nothing, differs as much: no library is named"
ByBlock = Mapping[int, float]
Bursts = Sequence[Burst] | Sequence[Level]  # of an arm, or of the control: one a block


@dataclass(frozen=True, slots=True)
class Quantile:
    """Hold a percentile: its median over blocks with an interval; ``machine``: the control explains it."""

    ns: float
    low: float | None  # None: too few blocks
    high: float | None
    machine: bool


@dataclass(frozen=True, slots=True)
class Tail:
    """Hold what an arm, or the control, took; quantiles are by percentile, 0.99 for p99."""

    arm: Arm | None  # None: the control
    bursts: tuple[Burst, ...]
    times: dict[float, Quantile]  # of the calls alone
    response: dict[float, Quantile]  # from the time they were due; empty without a rate
    missed: float | None  # share of the calls that ended too late; None without a rate
    missed_by_machine: bool

    @property
    def title(self) -> str:
        """Return the name for sentences."""
        return self.arm.title if self.arm else CONTROL

    @property
    def causes(self) -> dict[str, float]:
        """Return what is known of slow calls, of all blocks together.

        ``collected`` of the ``slowest`` calls that are kept had a garbage collection within. The first call
        of a process, of which this is the median, is not among the times.
        """
        bursts = self.bursts
        return {
            "collections": sum(sum(burst.collections) for burst in bursts),
            "collecting_ns": sum(burst.collecting_ns for burst in bursts),
            "collected": sum(slow.collected for burst in bursts for slow in burst.slowest),
            "slowest": sum(len(burst.slowest) for burst in bursts),
            "preempted": sum(burst.preempted for burst in bursts),
            "page_faults": sum(sum(burst.faults) for burst in bursts),
            "first_call_ns": median(burst.first_call_ns for burst in bursts),
        }

    def longest_ns(self, *, response: bool = False) -> float:
        """Return the longest time of all."""
        if response:
            return max(burst.response.percentile(1.0) for burst in self.bursts if burst.response)
        return max(burst.slowest[0].ns for burst in self.bursts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio(Effect):
    """Hold the ratio of two arms' percentiles ``q`` of their calls' times, and its verdict."""

    kind: PairKind
    q: float
    entry: Arm
    baseline: Arm
    machine: bool = False  # the control explains the difference


@dataclass(frozen=True, slots=True)
class Tails:
    """Hold the summary of a stream; arms in the declared order, without those that have no burst."""

    stream: Stream
    decision: Decision
    arms: tuple[Tail, ...]
    control: Tail
    ratios: tuple[Ratio, ...]

    @property
    def idle_ns(self) -> list[int]:
        """Return how long a call of the control waited, by block; an older file holds one length for all."""
        return [burst.idle_ns or self.decision.idle_ns for burst in self.control.bursts]


def shown(calls: int) -> list[float]:
    """Return the percentiles that have enough of so many calls beyond them."""
    return [q for q in PERCENTILES if calls - math.ceil(q * calls - 1e-9) >= MIN_BEYOND]


def explained(amounts: ByBlock, control: ByBlock) -> bool:
    """Return whether the control explains amounts in ns, or shares; with few blocks the estimate decides."""
    common = sorted(amounts.keys() & control.keys())
    if not common:
        return False
    interval = rank_interval([control[block] - EXPLAINED * amounts[block] for block in common])
    return (interval.high if interval.finite else interval.estimate) >= 0


def analyse(stream: Stream) -> Tails:
    """Summarise a stream.

    Raises:
        Unfinished: no block is whole; with exit code 1 if that is since a result was proved wrong.
    """
    decision, bursts = stream.decision, stream.bursts
    control = bursts[CONTROL]
    if not (decision and control and any(bursts[arm.id] for arm in stream.declaration.arms)):
        raise no_whole_block(stream)
    summarise = partial(_tail, control=control, calls=decision.calls)
    arms = tuple(summarise(arm, bursts[arm.id]) for arm in stream.declaration.arms if bursts[arm.id])
    by_arm = {tail.arm: tail for tail in arms}
    return Tails(stream, decision, arms, summarise(None, control), _ratios(stream, decision, by_arm))


def no_whole_block(stream: Stream) -> Unfinished:
    """Return the error of a stream without a whole block, with exit code 1 if a result was proved wrong."""
    reasons = [f"{failure.entry}: {failure.reason}" for failure in stream.failures]
    error = Unfinished("; ".join([f"{stream.path} holds no whole block", *reasons]))
    if any(failure.status == "disagrees" for failure in stream.failures):
        error.exit_code = 1
    return error


def by_block(bursts: Bursts, q: float, *, response: bool = False) -> dict[int, float]:
    """Return the percentile of every block."""
    histograms = {burst.block: burst.response if response else burst.times for burst in bursts}
    return {block: histogram.percentile(q) for block, histogram in histograms.items() if histogram}


def distances(entry: ByBlock, baseline: ByBlock) -> dict[int, float]:
    """Return the differences of two percentiles in the blocks that have both."""
    return {block: abs(entry[block] - baseline[block]) for block in entry.keys() & baseline.keys()}


def excess(bursts: Bursts, q: float, *, response: bool = False) -> dict[int, float]:
    """Return what a percentile adds to the median, by block."""
    return distances(by_block(bursts, q, response=response), by_block(bursts, 0.5, response=response))


def quantile(arm: Arm | None, bursts: Bursts, control: Bursts, q: float, *, response: bool) -> Quantile:
    """Return a percentile over blocks, and whether the control explains what it adds to the median."""
    interval = median_interval([*by_block(bursts, q, response=response).values()])
    of_both = (excess(side, q, response=response) for side in (bursts, control))
    machine = arm is not None and q > 0.5 and explained(*of_both)
    return Quantile(interval.estimate, *interval.limits, machine=machine)


def over_blocks(ratio: E, entry: ByBlock, baseline: ByBlock, *, verdicts: bool) -> list[E]:
    """Return the ratio, measured over the blocks that have both sides; nothing where none has."""
    logs = [math.log(entry[block] / baseline[block]) for block in sorted(entry.keys() & baseline.keys())]
    if not verdicts:
        ratio = replace(ratio, reason=QUICK)
    return [measured(ratio, logs, final=not verdicts)] if logs else []


def _tail(arm: Arm | None, bursts: Sequence[Burst], *, control: Sequence[Burst], calls: int) -> Tail:
    def quantiles(response: bool) -> dict[float, Quantile]:
        if not by_block(bursts, 0.5, response=response):  # no rate
            return {}
        return {q: quantile(arm, bursts, control, q, response=response) for q in shown(calls)}

    def shares(of: Sequence[Burst]) -> dict[int, float]:
        return {burst.block: burst.missed / calls for burst in of if burst.response}

    own = shares(bursts)
    return Tail(
        arm,
        tuple(bursts),
        quantiles(False),
        quantiles(True),
        sum(own.values()) / len(own) if own else None,
        bool(arm) and any(own.values()) and explained(own, shares(control)),
    )


def _of_machine(ratio: Ratio, tails: Mapping[Arm | None, Tail]) -> Ratio:
    """Return a ratio whose difference the control explains, without a verdict that names a library.

    Where the arms are the same, there is none: the control then has to explain the tails of both.
    """
    if ratio.verdict in DECIDED:
        return replace(ratio, verdict="NONE", reason=BY_MACHINE)
    both = all(tails[arm].times[ratio.q].machine for arm in (ratio.entry, ratio.baseline))
    return replace(ratio, machine=both or ratio.verdict != "EQUIVALENT")


def _ratios(stream: Stream, decision: Decision, tails: Mapping[Arm | None, Tail]) -> tuple[Ratio, ...]:
    """Judge the ratios of all pairs and percentiles as one family, and those of peers as another."""
    arms = {arm.id: arm for arm in stream.declaration.arms}
    control, ratios = stream.bursts[CONTROL], list[Ratio]()
    for pair in decision.pairs:
        for q in shown(decision.calls):
            entry, baseline = (by_block(stream.bursts[side], q) for side in (pair.entry, pair.baseline))
            machine = q > 0.5 and explained(distances(entry, baseline), excess(control, q))
            ratio = Ratio(
                kind=pair.kind, q=q, entry=arms[pair.entry], baseline=arms[pair.baseline], machine=machine
            )
            ratios += over_blocks(ratio, entry, baseline, verdicts=stream.declaration.verdicts)
    return tuple(
        _of_machine(ratio, tails) if ratio.machine else ratio
        for of_peers in (False, True)
        for ratio in judge((r for r in ratios if (r.kind == "peer") == of_peers), stream.declaration.margin)
    )
