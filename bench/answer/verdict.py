"""Verdicts: one word for every comparison of a run.

=============  =======================================================================================
FASTER SLOWER  p, adjusted after Holm for all comparisons of the table, is at most 0.05
EQUIVALENT     the 90 % interval lies within the margin; goes before FASTER and SLOWER, and the reason says
               where the difference is real though that small
UNRESOLVED     neither; with the smallest effect that could have been seen and the blocks it would take. Also
               where Student's interval of the same numbers contains 1, so that few blocks decide
INVALID        measured, but not to be believed: a failed proof, other inputs, a failed control, more than
               a fifth of the blocks disturbed
MISSING        nothing to compare, and why
NONE           no word is given: a quick run, fewer blocks than any verdict needs, or no steady state
=============  =======================================================================================

The control are the baselines' twins, adjusted for among themselves: where one of them differs from its
original, or the environment changed during the run, the run gives no verdict. Headlines that are rows of a
table have the row's verdict; the others are adjusted for among those of the same group.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.answer.comparison import Comparison, Word, compare
from bench.answer.constancy import changes
from bench.answer.disturbance import disturbance
from bench.answer.outcome import Outcome, outcomes
from bench.answer.statistics import (
    ALPHA,
    MIN_BLOCKS,
    blocks_needed,
    blocks_to_detect,
    detectable_effect,
    holm,
    signed_rank_interval,
)
from bench.results.journal import Run
from bench.results.record import Group, Pair


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
        entry.id: compare(run, found, Pair(entry.id, entry.id, entry.baseline))
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
    free = [pair for pair in pairs if pair.entry not in rows or rows[pair.entry].baseline != pair.baseline]
    judged: dict[str, Comparison] = {}
    for group in plan.groups:
        among = [compare(run, found, pair) for pair in free if run.entries[pair.entry].group == group.name]
        judged |= {row.name: row for row in _family(run, among, control)}
    headlines = [judged.get(pair.name) or replace(rows[pair.entry], name=pair.name) for pair in pairs]
    return Judgement(
        rows={entry: rows[entry] for entry in drafts},
        headlines=tuple(row for row in headlines if not row.twin),
        twins=tuple(twins),
        control=control,
    )


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
        for twin in twins:
            for entry in (twin.entry, twin.baseline):
                why, mend = disturbance(found[entry])
                if why and twin.ratio is not None:
                    return Control(why, floors, mend)
        why = next((twin for twin in twins if twin.ratio is not None), twins[0]).reason
        return Control(f"the A/A control, the same code measured twice, has no result: {why}", floors)
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
            floor = control.floors[entries[draft.entry].group]
            draft = _word(draft, control, floor, run.plan.margin)
        judged.append(draft)
    return judged


def _word(draft: Comparison, control: Control, floor: float, margin: float) -> Comparison:
    """The verdict of a comparison with an adjusted p."""
    if control.failure:
        return replace(draft, verdict="INVALID", reason=control.failure, mend=control.mend)
    interval = signed_rank_interval(draft.log_ratios, 0.90)
    significant = draft.p_holm is not None and draft.p_holm <= ALPHA
    if max(abs(interval.low), abs(interval.high)) <= math.log1p(margin):
        tiny = "; the difference is real, though that small" if significant else ""
        return replace(draft, verdict="EQUIVALENT", reason=f"within {100 * margin:.3g} %{tiny}")
    if not significant:
        return _unresolved(draft, margin)
    if draft.t_low is not None and draft.t_high is not None and draft.t_low <= 1 <= draft.t_high:
        reason = (
            f"a few blocks differ: Student's interval, {draft.t_low:.4g} to {draft.t_high:.4g}, contains 1"
        )
        return replace(draft, verdict="UNRESOLVED", reason=reason)
    word: Word = "FASTER" if interval.estimate < 0 else "SLOWER"
    small = abs(interval.estimate) <= math.log1p(floor)
    reason = f"less than the noise floor of {100 * floor:.2g} %" if small else ""
    return replace(draft, verdict=word, reason=reason)


def _unresolved(draft: Comparison, margin: float) -> Comparison:
    """Say what could have been seen, and what it would take to see the margin."""
    interval = signed_rank_interval(draft.log_ratios)
    effect = detectable_effect(interval, draft.blocks, draft.family)
    needed = blocks_to_detect(math.log1p(margin), interval, draft.blocks, draft.family)
    if math.isinf(effect):
        enough = blocks_needed(draft.family)
        reason = f"a table of {draft.family} needs {enough} blocks for a verdict, not {draft.blocks}"
        return replace(draft, verdict="UNRESOLVED", reason=reason, blocks_needed=needed)
    seen = math.expm1(effect)
    reason = (
        f"a difference of {100 * seen:.2g} % could have been seen; "
        f"{100 * margin:.3g} % would need about {needed} blocks"
    )
    return replace(draft, verdict="UNRESOLVED", reason=reason, detectable=seen, blocks_needed=needed)
