"""One entry's time over another's, and how sure that is; ``bench.analysis.verdict`` finds the word for it.

A ratio is the time of the entry over the time of its baseline: below 1 the entry is faster. Per block it is
the median over rounds of the log of the two values' ratio; over blocks, the Hodges-Lehmann estimate with the
exact signed-rank interval of 95 %. That interval is the one of this comparison alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from bench.analysis.disturbance import UNSTEADY, disturbance
from bench.analysis.outcome import NO_STEADY_STATE, Outcome
from bench.analysis.statistics import (
    MIN_BLOCKS,
    paired_logs,
    scatter,
    signed_rank_interval,
    signed_rank_p,
    t_interval,
)
from bench.records.record import PairKind
from bench.records.run import Run

# a declared headline; a row of a table; what only break-evens are about: the same library compiled and not,
# and what the tutorial's readers have against what they are told to use
Kind = PairKind | Literal["row", "compiling", "tutorial"]
Word = Literal["FASTER", "SLOWER", "EQUIVALENT", "UNRESOLVED", "INVALID", "MISSING", "NONE"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The time of ``entry`` over the time of ``baseline`` (ids of entries; ``arm``s are ids of arms)."""

    kind: Kind
    entry: str
    baseline: str
    arm: str
    baseline_arm: str
    verdict: Word
    reason: str = ""
    left_out: bool = False  # MISSING for the time budget alone, which says nothing against it
    mend: str = ""  # what to do about the reason, a sentence without a full stop; empty where nothing helps
    disturbed: tuple[str, str] = ("", "")  # by what, in many blocks, and what to do: told where UNRESOLVED
    log_ratios: tuple[float, ...] = ()  # one for each block that holds both
    ratio: float | None = None  # None: nothing to compare
    process_scatter: float | None = None  # of the log ratios between blocks, and so between processes
    round_scatter: float | None = None  # between the rounds of one block, the median of the blocks
    low: float | None = None  # None: too few blocks for an interval
    high: float | None = None
    t_low: float | None = None  # Student's interval of the same log ratios, shown beside; None: no interval
    t_high: float | None = None
    p: float | None = None  # None: no verdict can be given
    p_holm: float | None = None  # adjusted for all ``family`` comparisons of the table
    family: int = 0
    detectable: float | None = None  # where UNRESOLVED: 0.03 for 3 %; None: nothing at all
    blocks_needed: int | None = None  # where UNRESOLVED: about so many find an effect as large as the margin
    twin: bool = False
    same_work: bool = True  # False: the two cases differ
    known_wrong: bool = False  # the entry's gradient is known to be wrong
    baseline_known_wrong: bool = False

    @property
    def blocks(self) -> int:
        """Counted blocks that hold both."""
        return len(self.log_ratios)

    @property
    def wins(self) -> bool:
        """FASTER, with results that are right."""
        return self.verdict == "FASTER" and not self.known_wrong

    @property
    def noise_floor(self) -> float | None:
        """For a twin: how far its interval reaches from 1, 0.012 for 1.2 %; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return math.expm1(max(abs(math.log(self.low)), abs(math.log(self.high))))

    @property
    def sentence(self) -> str:
        """The comparison in words, the faster side's factor above 1."""
        because = f" ({self.reason})" if self.reason else ""
        if self.ratio is None:
            return f"{self.arm} against {self.baseline_arm}: {self.verdict}{because}"
        faster = self.ratio < 1
        factor = 1 / self.ratio if faster else self.ratio
        words = "is {} times as fast as" if faster else "takes {} times the time of"
        interval = ""
        if self.low is not None and self.high is not None:
            low, high = (1 / self.high, 1 / self.low) if faster else (self.low, self.high)
            interval = f", 95 % interval {_factor(low)} to {_factor(high)}"
        words = words.format(_factor(factor))
        return f"{self.arm} {words} {self.baseline_arm}{interval}: {self.verdict}{because}"


def compare(
    run: Run, found: Mapping[str, Outcome], entry_id: str, baseline_id: str, kind: Kind = "row"
) -> Comparison:
    """The numbers of one pair. Its verdict is INVALID, MISSING or NONE, the latter final where p is None."""
    one, other = found[entry_id], found[baseline_id]
    entry, baseline = run.entries[entry_id], run.entries[baseline_id]
    made = Comparison(
        kind=kind,
        entry=entry.id,
        baseline=baseline.id,
        arm=entry.arm,
        baseline_arm=baseline.arm,
        verdict="NONE",
        twin=run.arms[entry.arm].twin,
        same_work=entry.case == baseline.case,
        known_wrong=one.status == "known_wrong",
        baseline_known_wrong=other.status == "known_wrong",
    )
    for outcome, whose in ((one, ""), (other, "its baseline: ")):
        if outcome.invalid or not outcome.medians:
            word: Word = "INVALID" if outcome.invalid else "MISSING"
            reason = f"{whose}{outcome.status}, {outcome.reason}"
            return replace(made, verdict=word, reason=reason, left_out=outcome.left_out)
    if made.same_work and len(one.digests | other.digests) > 1:
        return replace(made, verdict="INVALID", reason="the two did not get the same inputs")
    rounds = paired_rounds(one, other)
    logs = tuple(median(block) for block in rounds)
    if not logs:
        return replace(made, verdict="MISSING", reason="no block holds both")

    interval = signed_rank_interval(logs)
    made = replace(made, log_ratios=logs, ratio=math.exp(interval.estimate))
    within = [scatter(block) for block in rounds if len(block) > 1]
    if len(logs) > 1 and within:
        made = replace(made, process_scatter=scatter(logs), round_scatter=median(within))
    if interval.finite:
        t = t_interval(logs)
        made = replace(made, low=math.exp(interval.low), high=math.exp(interval.high))
        made = replace(made, t_low=math.exp(t.low), t_high=math.exp(t.high))
    if not run.plan.verdicts:
        return replace(made, reason="a quick run gives no verdict")
    if len(logs) < MIN_BLOCKS:
        return replace(made, reason=f"{len(logs)} of the {MIN_BLOCKS} blocks that a verdict needs")
    for outcome, whose in ((one, ""), (other, "its baseline: ")):
        if outcome.status == NO_STEADY_STATE:
            return replace(made, reason=f"{whose}{outcome.reason}", mend=UNSTEADY)
    for outcome in (one, other):
        if not made.disturbed[0]:
            made = replace(made, disturbed=disturbance(outcome))
    return replace(made, p=signed_rank_p(logs))


def paired_rounds(entry: Outcome, baseline: Outcome) -> list[list[float]]:
    """The paired log ratios of the rounds of every block in which a round holds both."""
    shared = sorted(entry.times.keys() & baseline.times.keys())
    found = [paired_logs(entry.times[block], baseline.times[block]) for block in shared]
    return [logs for logs in found if logs]


def _factor(factor: float) -> str:
    """Three digits; near 1 those of the difference matter."""
    return f"{factor:.3f}" if factor < 1.1 else f"{factor:.3g}"
