"""How much longer something takes than before, and how sure that is: one word for each change of a family.

Old and new are two runs, so two points in time: their blocks are independent samples of logs, of ratios to
a baseline or of times. A change is exp of the Hodges-Lehmann shift between them, above 1 where the new one
takes longer, with the exact Mann-Whitney interval. The words are those of ``bench.analysis.verdict``:

=============  =======================================================================================
FASTER SLOWER  the rank sum test's p, adjusted after Holm for all changes of the family, is at most 0.05
EQUIVALENT     the 90 % interval lies within the margin; goes before FASTER and SLOWER
UNRESOLVED     neither; with the smallest change that could have been seen. Also where Welch's interval of
               the same numbers contains no change, so that few blocks decide
INVALID        measured, but not to be believed
MISSING        nothing to compare, and why
NONE           no word is given, and why
=============  =======================================================================================

A regression is proved where the one-sided test of "longer by no more than the limit" has an adjusted p of at
most 0.05: that is a test of its own, and a SLOWER alone proves none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.analysis.comparison import Word
from bench.analysis.statistics import ALPHA, MIN_BLOCKS, holm
from bench.analysis.two_samples import (
    blocks_needed,
    detectable_shift,
    exceeds_p,
    rank_sum_p,
    shift_interval,
    welch_interval,
)
from bench.records.formats.foreign import Note

OTHER_ENVIRONMENT = "the environment changed"  # why there is no verdict


@dataclass(frozen=True, slots=True)
class Change:
    """The new measurement over the old one: of an entry, a baseline, or another tool's benchmark."""

    name: str
    verdict: Word
    reason: str = ""
    group: str = ""  # the table that it stands in
    left_out: bool = False  # MISSING since a run left it out for its time budget
    old: tuple[float, ...] = ()  # logs, one a block (for other tools: a process)
    new: tuple[float, ...] = ()
    old_value: float | None = None  # what the two runs say by themselves: a ratio, or nanoseconds a call
    new_value: float | None = None
    change: float | None = None  # None: nothing to compare
    low: float | None = None  # None: too few blocks for an interval
    high: float | None = None
    p: float | None = None  # None: no verdict can be given
    p_holm: float | None = None  # adjusted for all ``family`` changes
    family: int = 0
    detectable: float | None = None  # where UNRESOLVED: 0.03 for 3 %; None: nothing at all
    blocks_needed: int | None = None  # where UNRESOLVED: about so many in each run find the margin
    p_regression: float | None = None  # adjusted: that it takes longer by no more than the limit

    @property
    def regressed(self) -> bool:
        """Whether it is proved to take longer by more than the limit."""
        return self.p_regression is not None and self.p_regression <= ALPHA

    @property
    def judged(self) -> bool:
        """Whether there was enough to judge it by, so that a large change would have shown."""
        too_few = self.detectable is None and self.blocks_needed is not None
        return self.p is not None and not too_few


@dataclass(frozen=True, slots=True)
class Changes:
    """All that two saved results have in common, and what only one of them has."""

    old: str  # what to call it
    new: str
    unit: str  # of old_value and new_value: "ratio" to the baseline, or "ns" a call
    rows: tuple[Change, ...]  # one family
    samples: str = "blocks"  # or processes: what is independent of each other
    baselines: tuple[Change, ...] = ()  # in absolute time, without a verdict
    twins: tuple[Change, ...] = ()
    only_old: tuple[str, ...] = ()
    only_new: tuple[str, ...] = ()
    # entries that no ratio is made of, and their tables; their times can be compared
    without_baseline: Mapping[str, str] = field(default_factory=dict)
    machines: tuple[str, ...] = ()  # facts in which the machines differ
    versions: tuple[str, ...] = ()  # that changed
    conditions: tuple[str, ...] = ()  # what else changed that bears on speed
    options: tuple[str, ...] = ()  # of how another tool measured, that changed
    notes: tuple[Note, ...] = ()  # of the files of another tool
    warning: str = ""  # why no row has a verdict; empty where they may have one
    limit: float | None = None  # 0.05: a regression takes over 5 % longer

    @property
    def regressions(self) -> tuple[Change, ...]:
        """Rows that are proved to take longer by more than the limit."""
        return tuple(row for row in self.rows if row.regressed)

    @property
    def why_no_answer(self) -> str:
        """Why nothing was compared or, where a limit is to be kept, judged; empty where something was.

        Without this, a limit that can never be exceeded would look like one that is kept.
        """
        if not self.rows:
            return "the two have nothing in common that compares"
        if any(row.change is not None if self.limit is None else row.judged for row in self.rows):
            return ""
        return self.warning or self.rows[0].reason


def measured(
    change: Change, old: Sequence[float], new: Sequence[float], *, final: bool = False, of: str = "blocks"
) -> Change:
    """The change with its numbers, from logs; ``final``: its verdict stands, and it gets no p."""
    interval = shift_interval(old, new)
    change = replace(change, old=tuple(old), new=tuple(new), change=math.exp(interval.estimate))
    if interval.finite:
        change = replace(change, low=math.exp(interval.low), high=math.exp(interval.high))
    if final:
        return change
    if (fewer := min(len(old), len(new))) < MIN_BLOCKS:
        return replace(change, reason=f"{fewer} of the {MIN_BLOCKS} {of} that a verdict needs")
    return replace(change, p=rank_sum_p(old, new))


def judged(
    drafts: Sequence[Change], margin: float, limit: float | None = None, *, of: str = "blocks"
) -> tuple[Change, ...]:
    """Adjust the p values of a family together and find the words.

    ``limit`` 0.05 looks for regressions beyond 5 %; ``of`` says what the logs are of.
    """
    tested = [draft for draft in drafts if draft.p is not None]
    adjusted = iter(holm([draft.p for draft in tested if draft.p is not None]))
    beyond = iter(
        []
        if limit is None
        else holm([exceeds_p(draft.old, draft.new, math.log1p(limit)) for draft in tested])
    )
    return tuple(
        draft
        if draft.p is None
        else _word(
            replace(draft, p_holm=next(adjusted), family=len(tested), p_regression=next(beyond, None)),
            margin,
            of,
        )
        for draft in drafts
    )


def _word(draft: Change, margin: float, of: str) -> Change:
    """The verdict of a change with an adjusted p."""
    interval = shift_interval(draft.old, draft.new, 0.90)
    significant = draft.p_holm is not None and draft.p_holm <= ALPHA
    if max(abs(interval.low), abs(interval.high)) <= math.log1p(margin):
        tiny = "; the change is real, though that small" if significant else ""
        return replace(draft, verdict="EQUIVALENT", reason=f"within {100 * margin:.3g} %{tiny}")
    if not significant:
        return _unresolved(draft, margin, of)
    welch = welch_interval(draft.old, draft.new)
    if welch.contains(0.0):
        low, high = math.exp(welch.low), math.exp(welch.high)
        reason = f"a few {of} differ: Welch's interval, {low:.4g} to {high:.4g}, contains 1"
        return replace(draft, verdict="UNRESOLVED", reason=reason, p_regression=None)
    word: Word = "FASTER" if interval.estimate < 0 else "SLOWER"
    return replace(draft, verdict=word, reason="")


def _unresolved(draft: Change, margin: float, of: str) -> Change:
    """Say what could have been seen, and what it would take to see the margin."""
    m, n = len(draft.old), len(draft.new)
    shift = detectable_shift(shift_interval(draft.old, draft.new), m, n, draft.family)
    if math.isinf(shift):
        needed = blocks_needed(draft.family)
        reason = f"{draft.family} changes need {needed} {of} in each for a verdict, not {m} and {n}"
        return replace(draft, verdict="UNRESOLVED", reason=reason, blocks_needed=needed)
    seen = math.expm1(shift)
    enough = math.ceil(min(m, n) * (shift / math.log1p(margin)) ** 2)  # the square root law
    needed = max(min(m, n) + 1, enough)
    reason = (
        f"a change of {100 * seen:.2g} % could have been seen; {100 * margin:.3g} % would need about "
        f"{needed} {of} in each"
    )
    return replace(draft, verdict="UNRESOLVED", reason=reason, detectable=seen, blocks_needed=needed)
