"""One entry's time over another's, and how sure that is; ``bench.analysis.verdict`` finds the word for it.

A ratio is the time of the entry over the time of its baseline: below 1 the entry is faster. Per block it is
the median over rounds of the log of the two values' ratio; over blocks, the Hodges-Lehmann estimate with the
exact signed-rank interval of 95 %. That interval is the one of this comparison alone.

Verdicts: one word for every comparison of a run.

=============  =======================================================================================
FASTER SLOWER  p, adjusted after Holm for all comparisons of the table, is at most the look's level
EQUIVALENT     p is at most that level for a ratio at the nearer end of the margin, so the interval of 92 % (a
               second look: 98 %) lies within it; goes before FASTER and SLOWER, and the reason says where
               the difference is real though that small
UNRESOLVED     neither; with the smallest effect that could have been seen and the blocks it would take. Also
               where Student's interval of the same numbers contains 1, so that few blocks decide
INVALID        measured, but not to be believed: a failed proof, other inputs, a failed control
MISSING        nothing to compare, and why
NONE           no word is given: a quick run, fewer blocks than any verdict needs, or no steady state
=============  =======================================================================================

A run is judged at 0.04; the tables that an extension measured on, anew at 0.01. So both looks together err in
0.05 at most, however many blocks the second one has. The interval shown is of 95 % all the same.

The control are the baselines' twins, adjusted for among themselves: where one of them differs from its
original and is not EQUIVALENT, or the environment changed during the run, the run gives no verdict. Headlines
that are rows of a table have the row's verdict, except what advise asks; the others are adjusted for among
those of the same group.

A second look: whether a run that is over may be extended, to how many blocks, and what that costs.

To go on with a run because it came out undecided is to look at the same data twice, and two looks at 5 % err
in 8 to 9 runs of 100. So the 5 % are shared beforehand: every run is judged at 0.04, and an extended one
anew, over all its blocks, at 0.01. Their sum is a bound whatever the noise, the number of blocks and of
comparisons. A third look has no share left.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

from bench.analysis.environment_diff import changes
from bench.analysis.outcome import NO_STEADY_STATE, UNSTEADY, Outcome, disturbance, outcomes
from bench.analysis.statistics import (
    ALPHA,
    FIRST_LOOK,
    MIN_BLOCKS,
    SECOND_LOOK,
    blocks_needed,
    blocks_to_detect,
    detectable_effect,
    holm,
    mean_interval,
    paired_logs,
    rank_interval,
    rank_p,
    scatter,
)
from bench.machine.errors import UserError
from bench.records.record import MAX_BLOCKS, Extended, Group, Pair, PairKind
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

    interval = rank_interval(logs)
    made = replace(made, log_ratios=logs, ratio=math.exp(interval.estimate))
    within = [scatter(block) for block in rounds if len(block) > 1]
    if len(logs) > 1 and within:
        made = replace(made, process_scatter=scatter(logs), round_scatter=median(within))
    if interval.finite:
        t = mean_interval(logs)
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
    return replace(made, p=rank_p(logs))


def paired_rounds(entry: Outcome, baseline: Outcome) -> list[list[float]]:
    """The paired log ratios of the rounds of every block in which a round holds both."""
    shared = sorted(entry.times.keys() & baseline.times.keys())
    found = [paired_logs(entry.times[block], baseline.times[block]) for block in shared]
    return [logs for logs in found if logs]


def _factor(factor: float) -> str:
    """Three digits; near 1 those of the difference matter."""
    return f"{factor:.3f}" if factor < 1.1 else f"{factor:.3g}"


@dataclass(frozen=True, slots=True)
class Control:
    """What the twins showed: why the run gives no verdict (empty where it does), and how noisy it was."""

    failure: str
    floors: dict[str, float]  # by table, 0.012 for 1.2 %; without a twin that of the nearest in work
    mend: str = ""  # what to do about the failure


@dataclass(frozen=True, slots=True)
class Judgement:
    """All comparisons of a run, in the plan's order."""

    rows: dict[str, Comparison]  # entry id -> against its declared baseline, twins included
    headlines: tuple[Comparison, ...]  # the declared pairs, then block 0's; no twins
    twins: tuple[Comparison, ...]
    control: Control


def judge(run: Run, found: Mapping[str, Outcome] | None = None) -> Judgement:
    """Compare every entry with its baseline, and the two entries of every headline."""
    found = outcomes(run) if found is None else found
    drafts = {
        entry.id: compare(run, found, entry.id, entry.baseline)
        for entry in run.entries.values()
        if entry.baseline is not None
    }
    plan = run.plan
    no_control = Control("", {group.name: 0.0 for group in plan.groups})
    twins = _family(run, (draft for draft in drafts.values() if draft.twin), no_control)
    control = _control(run, twins, found)
    rows = {twin.entry: twin for twin in twins}
    for group in plan.groups:
        table = [drafts[entry.id] for entry in group.entries if entry.id in drafts.keys() - rows.keys()]
        rows |= {row.entry: row for row in _family(run, table, control)}

    pairs = [*plan.pairs, *(run.decision.pairs if run.decision else [])]
    free = [
        pair
        for pair in pairs
        if pair.entry not in rows
        or rows[pair.entry].baseline != pair.baseline
        or (pair.kind == "best" and plan.budget_rule == "hold")  # the one question that advise asks
    ]
    judged: dict[Pair, Comparison] = {}
    for group in plan.groups:
        among = [pair for pair in free if run.entries[pair.entry].group == group.name]
        apart = [compare(run, found, pair.entry, pair.baseline, pair.kind) for pair in among]
        judged |= zip(among, _family(run, apart, control), strict=True)
    headlines = [judged.get(pair) or replace(rows[pair.entry], kind=pair.kind) for pair in pairs]
    return Judgement(
        rows={entry: rows[entry] for entry in drafts},
        headlines=tuple(row for row in headlines if row.kind != "twin"),
        twins=tuple(twins),
        control=control,
    )


def level(run: Run, group: str) -> float:
    """What the verdicts of a table may err in: an extension is a second look at all that it measured on."""
    extended = run.extended
    own = next(table.blocks for table in run.plan.groups if table.name == group)
    if extended is None or (own is not None and own <= extended.before):
        return FIRST_LOOK
    return extended.level


def _control(run: Run, twins: list[Comparison], found: Mapping[str, Outcome]) -> Control:
    entries = run.entries
    floors: dict[str, float] = {}
    for twin in twins:
        if twin.noise_floor is not None:
            group = entries[twin.entry].group
            floors[group] = max(twin.noise_floor, floors.get(group, 0.0))
    floors = {
        group.name: _nearest(group, floors, run.plan.groups) for group in run.plan.groups if group.entries
    }
    if changed := changes(run):
        failure = f"the environment changed during the run ({'; '.join(changed[:3])})"
        return Control(failure, floors, "Measure again from the beginning")
    for twin in twins:
        if twin.verdict == "EQUIVALENT":  # a difference may be real, though smaller than any that counts
            continue
        if twin.ratio is not None and twin.p_holm is not None and twin.p_holm <= ALPHA:
            failure = (
                f"the A/A control failed: {run.arms[twin.arm].variant} is the same code measured twice, and "
                f"one time was {max(twin.ratio, 1 / twin.ratio):.4g} times the other"
            )
            mend = "Look what disturbs this machine (rnnbench check) and measure again (--wait-quiet 10min)"
            return Control(failure, floors, mend)
    if run.plan.verdicts and twins and all(twin.p is None for twin in twins):
        blocks = len({block for twin in twins for block in found[twin.entry].medians})
        most = max(len(outcome.medians) for outcome in found.values())
        if most - 1 <= blocks < MIN_BLOCKS:  # the run is short, or was cut within its last block
            return Control(f"{blocks} of the {MIN_BLOCKS} blocks that the shortest verdict needs", floors)
        one = next((twin for twin in twins if twin.ratio is not None), twins[0])
        failure = f"the A/A control, the same code measured twice, has no result: {one.reason}"
        return Control(failure, floors, one.mend)
    return Control("", floors)


def _nearest(group: Group, floors: Mapping[str, float], groups: Sequence[Group]) -> float:
    """The noise floor of a table, or of the one with a twin whose entries do about as much work."""

    def apart(one: Group) -> tuple[bool, float]:
        work, other = (max(1, table.entries[0].case.shape.work) for table in (one, group))
        return one is not group, abs(math.log(work / other))

    nearest = min((one for one in groups if one.name in floors), key=apart, default=None)
    return 0.0 if nearest is None else floors[nearest.name]


def _family(run: Run, drafts: Iterable[Comparison], control: Control) -> list[Comparison]:
    """Adjust the p values together, and find the words."""
    drafts, entries = list(drafts), run.entries
    adjusted = holm([draft.p for draft in drafts if draft.p is not None])
    size, next_p = len(adjusted), iter(adjusted)
    judged = []
    for draft in drafts:
        if draft.p is not None:
            draft = replace(draft, p_holm=next(next_p), family=size)
            group = entries[draft.entry].group
            draft = _word(draft, run, control, control.floors[group], level(run, group))
        judged.append(draft)
    return judged


def _word(draft: Comparison, run: Run, control: Control, floor: float, alpha: float) -> Comparison:
    """The verdict of a comparison with an adjusted p, at the level ``alpha``."""
    margin = run.plan.margin
    if control.failure:
        return replace(draft, verdict="INVALID", reason=control.failure, mend=control.mend)
    interval = rank_interval(draft.log_ratios, confidence=1 - 2 * alpha)
    significant = draft.p_holm is not None and draft.p_holm <= alpha
    if max(abs(interval.low), abs(interval.high)) <= math.log1p(margin):
        tiny = "; the difference is real, though that small" if significant else ""
        return replace(draft, verdict="EQUIVALENT", reason=f"within {100 * margin:.3g} %{tiny}")
    if not significant:
        return _unresolved(draft, run, alpha)
    if draft.t_low is not None and draft.t_high is not None and draft.t_low <= 1 <= draft.t_high:
        reason = (
            f"a few blocks differ: Student's interval, {draft.t_low:.4g} to {draft.t_high:.4g}, contains 1"
        )
        return replace(draft, verdict="UNRESOLVED", reason=reason)
    word: Word = "FASTER" if interval.estimate < 0 else "SLOWER"
    small = abs(interval.estimate) <= math.log1p(floor)
    reason = f"less than the noise floor of {100 * floor:.2g} %" if small else ""
    return replace(draft, verdict=word, reason=reason)


def _unresolved(draft: Comparison, run: Run, alpha: float) -> Comparison:
    """Say what could have been seen, and what it would take to see the margin: by an extension, while there
    may be one, else by a new run."""
    margin, interval = run.plan.margin, rank_interval(draft.log_ratios)
    effect = detectable_effect(interval, (draft.blocks,), draft.family, alpha)
    next_level = SECOND_LOOK if run.extended is None else FIRST_LOOK
    needed = blocks_to_detect(math.log1p(margin), interval, (draft.blocks,), draft.family, next_level)
    if math.isinf(effect):
        enough = blocks_needed(draft.family, alpha)
        reason = f"a table of {draft.family} needs {enough} blocks for a verdict, not {draft.blocks}"
        return replace(draft, verdict="UNRESOLVED", reason=reason, blocks_needed=needed)
    seen = math.expm1(effect)
    reason = (
        f"{_although(draft, alpha)}a difference of {100 * seen:.2g} % could have been seen; "
        f"{100 * margin:.3g} % would need about {needed} blocks"
    )
    cause, mend = draft.disturbed
    if cause:
        reason = f"{reason}; {cause}"
    return replace(
        draft, verdict="UNRESOLVED", reason=reason, mend=mend, detectable=seen, blocks_needed=needed
    )


def _although(draft: Comparison, alpha: float) -> str:
    """Why there is no word where the interval leaves out 1: it is of 95 %, of one comparison and one look."""
    if draft.low is None or draft.high is None or draft.p_holm is None or draft.low <= 1 <= draft.high:
        return ""
    among = f" among {draft.family} comparisons" if draft.family > 1 else ""
    look = "first" if alpha == FIRST_LOOK else "second"
    return (
        f"its own 95 % interval leaves out 1, but p = {draft.p_holm:.3g}{among} is above the {alpha:g} of a "
        f"{look} look; "
    )


MOST_PROPOSED = 40  # blocks in all: where it would take more, other means are better


def extension(run: Run, blocks: int, folder: Path, now_utc: str) -> Extended:
    """The record that extends a run to ``blocks`` in all.

    Raises:
        UserError: it is not over, was extended before, gives no verdict, has all its verdicts already, or
            would have none after so many blocks either.
    """
    before = counted_blocks(run)
    if run.state == "interrupted":
        raise UserError(f"{folder} was cut off: go on with it first, without --blocks")
    if (earlier := run.extended) is not None:
        raise UserError(
            f"{folder} was extended already, from {earlier.before} to {earlier.blocks} blocks, and a third "
            "look would find what is not there; measure anew with rnnbench run"
        )
    judgement = judge(run)
    if not run.plan.verdicts or judgement.control.failure:
        why = judgement.control.failure or "a quick run gives none"
        raise UserError(f"{folder} has no verdict to look for: {why}; measure anew with rnnbench run")
    open_ones = undecided(run, judgement.headlines or judgement.rows.values())
    if not open_ones:
        raise UserError(
            f"{folder} left nothing undecided that more blocks could decide: its verdicts stand; to see "
            "whether they come again, measure anew with rnnbench run"
        )
    if not before < blocks <= MAX_BLOCKS:
        raise UserError(
            f"--blocks {blocks}: counted in all, and {folder} has {before} already; give more, up to "
            f"{MAX_BLOCKS}"
        )
    least = min(blocks_needed(made.family, SECOND_LOOK) for made in open_ones)
    if blocks < least:
        raise UserError(f"--blocks {blocks}: a second look at it needs {least} blocks in all for any verdict")
    return Extended(before, blocks, SECOND_LOOK, now_utc)


def proposal(run: Run, made: Iterable[Comparison]) -> int | None:
    """Blocks in all that should decide what is undecided here, as far as 40 can; None: no extension."""
    if run.state == "interrupted" or run.extended is not None:
        return None
    needed = [one.blocks_needed for one in undecided(run, made) if one.blocks_needed is not None]
    return max((blocks for blocks in needed if blocks <= MOST_PROPOSED), default=None)


def undecided(run: Run, made: Iterable[Comparison]) -> list[Comparison]:
    """Those without a word, or without enough blocks for one, in tables that an extension measures on."""
    whole = {group.name for group in run.plan.groups if group.blocks is None}
    return [
        one
        for one in made
        if not one.twin
        and run.entries[one.entry].group in whole
        and (one.verdict == "UNRESOLVED" or (one.verdict == "NONE" and one.blocks < MIN_BLOCKS))
    ]


def counted_blocks(run: Run) -> int:
    """The last block that counts and of which anything was measured."""
    return max((burst.block for burst in run.bursts), default=0)
