"""Verdicts: one word for every comparison of a run.

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
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analysis.comparison import Comparison, Word, compare
from bench.analysis.constancy import changes
from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.statistics import (
    ALPHA,
    FIRST_LOOK,
    MIN_BLOCKS,
    SECOND_LOOK,
    blocks_needed,
    blocks_to_detect,
    detectable_effect,
    holm,
    signed_rank_interval,
)
from bench.records.record import Group, Pair
from bench.records.run import Run


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
    interval = signed_rank_interval(draft.log_ratios, 1 - 2 * alpha)
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
    margin, interval = run.plan.margin, signed_rank_interval(draft.log_ratios)
    effect = detectable_effect(interval, draft.blocks, draft.family, alpha)
    next_level = SECOND_LOOK if run.extended is None else FIRST_LOOK
    needed = blocks_to_detect(math.log1p(margin), interval, draft.blocks, draft.family, next_level)
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
