"""Give a verdict, which is one word, on an entry within a run and on a change between two runs.

=============  =======================================================================================
FASTER SLOWER  p, after Holm's adjustment for all effects of the family (a table, two runs), is at most the
               level
EQUIVALENT     p is at most the level for a ratio at the nearer end of the margin: the interval of confidence
               1 - 2 x level lies within the margin. Takes precedence over FASTER and SLOWER; the reason then
               says that the difference is real, though small
UNRESOLVED     neither; the reason gives the smallest effect that could have been detected and the blocks
               needed. Also if Student's or Welch's interval of the same numbers contains 1: few blocks decide
INVALID        measured, but not to be trusted: a failed proof, different inputs, a failed control
MISSING        nothing to compare; the reason says why
NONE           no verdict: a quick run, too few blocks for any verdict, or no steady state
=============  =======================================================================================

An effect is a ratio of times, below 1 if the first side is faster: exp of the Hodges-Lehmann estimate, with
the exact 95 % interval of this effect alone. Within a run, the effect is an entry's time over its baseline's
time: per block, the median over rounds of the log ratio of the two times. Between two runs
(``bench.analysis.regression``), the effect is the new time or ratio over the old one.

The level is 0.05. A run may be extended once. An extension looks at the same data twice, and two looks at 5 %
err in 8 to 9 of 100 runs. So the 5 % are shared in advance: every run is judged at 0.04, and the tables that
an extension continues are judged, over all their blocks, at 0.01. The sum of both bounds the errors for any
noise and any number of blocks and comparisons. No share is left for a third look.

The controls are the baselines' twins, judged as a family. If a twin differs from its original and is not
EQUIVALENT, then processes of the same code differ in this run by more than chance. In this case the farther
limit of the twin's interval, the bias, is subtracted from every ratio before its test, and added to what must
lie within the margin. If the bias is above 5 %, or if the environment changed, the run gives no verdict.

A headline that is a row of a table has the verdict of the row, except for the question of ``advise``. The
other headlines of a group are judged as a family. Peers, in a table or a headline, are families of their own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar

from bench.analysis.environment_diff import changes
from bench.analysis.outcome import NO_STEADY_STATE, UNSTEADY_ADVICE, Outcome, disturbance, outcomes
from bench.analysis.statistics import (
    ALPHA,
    FIRST_LOOK,
    MIN_BLOCKS,
    SECOND_LOOK,
    blocks_needed,
    blocks_to_detect,
    detectable_effect,
    exceeds_p,
    holm,
    mean_interval,
    paired_logs,
    rank_interval,
    rank_p,
    scatter,
)
from bench.machine import units
from bench.machine.errors import UserError
from bench.records.record import MAX_BLOCKS, Arm, Extended, Pair, PairKind
from bench.records.run import Run

# a declared headline; a row of a table; pairs for break-evens only: compiled against uncompiled code of the
# same library, and a loop over the samples against another library's usual form
Kind = PairKind | Literal["row", "compiling", "loop"]
Word = Literal["FASTER", "SLOWER", "EQUIVALENT", "UNRESOLVED", "INVALID", "MISSING", "NONE"]
DECIDED: tuple[Word, ...] = ("FASTER", "SLOWER")
QUICK = "a quick run gives no verdict"
MAX_BIAS = math.log1p(0.05)  # a larger bias is a fault of the machine or the harness
MEAN_INTERVALS = {1: "Student's", 2: "Welch's"}  # number of samples -> name of the mean's interval
LOOK_TEXTS = {FIRST_LOOK: " of a first look", SECOND_LOOK: " of a second look"}
MAX_PROPOSED_BLOCKS = 40  # in all: if more are needed, other means are better


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Hold a ratio of times and its uncertainty; ``verdict`` is one word, ``reason`` says why.

    A verdict INVALID, MISSING or NONE is final if ``p`` is None.
    """

    verdict: Word = "NONE"
    reason: str = ""
    mend: str = ""  # advice on the reason, a sentence without a full stop; empty if nothing helps
    left_out: bool = False  # MISSING only because of the time budget
    disturbed: tuple[str, str] = ("", "")  # cause in many blocks, and advice: reported if UNRESOLVED
    samples: tuple[tuple[float, ...], ...] = ()  # logs, one per block: ratios of one run, or old and new
    ratio: float | None = None  # None: nothing to compare
    low: float | None = None  # None: too few blocks for an interval
    high: float | None = None
    t_low: float | None = None  # Student's or Welch's interval of the same logs; None: no interval
    t_high: float | None = None
    level: float = ALPHA  # significance level of the verdict
    p: float | None = None  # None: no verdict can be given
    p_holm: float | None = None  # adjusted for the ``family`` effects that are judged together
    family: int = 0
    p_regression: float | None = None  # adjusted p of "longer by no more than the limit"
    detectable: float | None = None  # if UNRESOLVED: 0.03 for 3 %; None: no effect can be detected
    blocks_needed: int | None = None  # if UNRESOLVED: about so many detect an effect as large as the margin

    @property
    def blocks(self) -> int:
        """Count the blocks; for two runs, the smaller number."""
        return min(map(len, self.samples), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Effect):
    """Hold the time of ``entry`` over the time of ``baseline``; both are ids of entries of one run."""

    kind: Kind
    entry: str
    baseline: str
    arm: Arm
    baseline_arm: Arm
    same_work: bool = True  # False: the two cases differ
    known_wrong: bool = False  # the entry's gradient is known to be wrong
    baseline_known_wrong: bool = False
    process_scatter: float | None = None  # of the log ratios between blocks, which are processes
    round_scatter: float | None = None  # between the rounds of a block; median over the blocks

    @property
    def twin(self) -> bool:
        """Return whether the entry is an A/A control."""
        return self.arm.twin

    @property
    def log_ratios(self) -> tuple[float, ...]:
        """Return the log ratios, one per counted block with both entries."""
        return self.samples[0] if self.samples else ()

    @property
    def noise_floor(self) -> float | None:
        """Return how far a twin's interval reaches from ratio 1 (0.012: 1.2 %); None without interval."""
        if self.low is None or self.high is None:
            return None
        return math.expm1(max(abs(math.log(self.low)), abs(math.log(self.high))))


@dataclass(frozen=True, slots=True)
class Control:
    """Hold the results of the twins: failure (empty if the run gives verdicts), bias and noise."""

    failure: str = ""
    bias: float = 0.0  # log of the ratio that the same code may show in this run; 0 if only chance
    mend: str = ""  # advice on the failure
    floors: Mapping[str, float] = field(default_factory=dict)  # table -> noise floor, 0.012 for 1.2 %


NO_CONTROL = Control()


@dataclass(frozen=True, slots=True)
class Judgement:
    """Hold all comparisons of a run, in the plan's order."""

    rows: dict[str, Comparison]  # entry id -> comparison with its declared baseline, twins included
    headlines: tuple[Comparison, ...]  # the declared pairs, then the pairs chosen in block 0; no twins
    twins: tuple[Comparison, ...]
    control: Control
    controls: tuple[Control, ...] = ()  # of each machine, if there are several


E = TypeVar("E", bound=Effect)


def measured(effect: E, *samples: Sequence[float], of: str = "blocks", final: bool = False) -> E:
    """Return the effect with the numbers from one sample of logs, or from an old and a new sample.

    ``of``: what the logs are of. ``final``: keep the verdict and compute no p.
    """
    interval = rank_interval(*samples).exp()
    low, high = interval.limits
    effect = replace(effect, samples=tuple(map(tuple, samples)), ratio=interval.estimate, low=low, high=high)
    if interval.finite:
        t_low, t_high = mean_interval(*samples).exp().limits
        effect = replace(effect, t_low=t_low, t_high=t_high)
    if final:
        return effect
    if effect.blocks < MIN_BLOCKS:
        return replace(effect, reason=f"{effect.blocks} of the {MIN_BLOCKS} {of} that a verdict needs")
    return replace(effect, p=rank_p(*samples))


def judge(
    effects: Iterable[E],
    margin: float,
    *,
    control: Control = NO_CONTROL,
    table: str = "",
    next_level: float = ALPHA,
    limit: float | None = None,
    of: str = "blocks",
) -> tuple[E, ...]:
    """Adjust the p values of a family together, and give a verdict to every effect that has a p.

    Args:
        effects: The family; effects without a p keep their verdict.
        margin: The margin of equivalence, 0.02 for 2 %.
        control: After a failure of the control, all are INVALID; its bias is subtracted.
        table: The table whose noise floor counts.
        next_level: The level at which more blocks would be judged.
        limit: If given, also test whether each effect exceeds it: 0.05 for over 5 % longer.
        of: What the samples are of, as the reasons say: "blocks".
    """
    judged = [_without_bias(effect, control.bias) for effect in effects]
    p_by_index = {index: effect.p for index, effect in enumerate(judged) if effect.p is not None}
    adjusted_p = holm(list(p_by_index.values()))
    regression_p: list[float | None] = [None] * len(p_by_index)
    if limit is not None:
        regression_p[:] = holm(
            [exceeds_p(*judged[index].samples, limit=math.log1p(limit)) for index in p_by_index]
        )
    for index, p_holm, p_regression in zip(p_by_index, adjusted_p, regression_p, strict=True):
        effect = replace(judged[index], p_holm=p_holm, family=len(p_by_index), p_regression=p_regression)
        if control.failure:
            effect = replace(effect, verdict="INVALID", reason=control.failure, mend=control.mend)
        else:
            effect = _with_verdict(
                effect, margin, control.floors.get(table, 0.0), control.bias, next_level, of
            )
        judged[index] = effect
    return tuple(judged)


def compare(
    run: Run, known: Mapping[str, Outcome], entry_id: str, baseline_id: str, kind: Kind = "row"
) -> Comparison:
    """Return the numbers of one pair, still without a verdict; ``known``: the outcomes of the run."""
    entry_outcome, baseline_outcome = known[entry_id], known[baseline_id]
    entry, baseline = run.entries[entry_id], run.entries[baseline_id]
    comparison = Comparison(
        kind=kind,
        entry=entry.id,
        baseline=baseline.id,
        arm=run.arms[entry.arm],
        baseline_arm=run.arms[baseline.arm],
        level=level(run, entry.group),
        same_work=entry.case == baseline.case,
        known_wrong=entry_outcome.status == "known_wrong",
        baseline_known_wrong=baseline_outcome.status == "known_wrong",
    )
    sides = ((entry_outcome, ""), (baseline_outcome, "its baseline: "))
    for outcome, prefix in sides:
        if outcome.invalid or not outcome.medians:
            word: Word = "INVALID" if outcome.invalid else "MISSING"
            reason = f"{prefix}{outcome.status}, {outcome.reason}"
            return replace(comparison, verdict=word, reason=reason, left_out=outcome.left_out)
    if comparison.same_work and len(entry_outcome.digests | baseline_outcome.digests) > 1:
        return replace(comparison, verdict="INVALID", reason="the two did not get the same inputs")
    rounds = paired_rounds(entry_outcome, baseline_outcome)
    if not rounds:
        return replace(comparison, verdict="MISSING", reason="no block holds both")
    logs = [median(round_logs) for round_logs in rounds]
    round_scatters = [scatter(round_logs) for round_logs in rounds if len(round_logs) > 1]
    if len(logs) > 1 and round_scatters:
        comparison = replace(comparison, process_scatter=scatter(logs), round_scatter=median(round_scatters))
    if not run.plan.verdicts:
        return measured(replace(comparison, reason=QUICK), logs, final=True)
    comparison = measured(comparison, logs)
    if comparison.p is None:
        return comparison
    for outcome, prefix in sides:
        if outcome.status == NO_STEADY_STATE:
            return replace(comparison, p=None, reason=f"{prefix}{outcome.reason}", mend=UNSTEADY_ADVICE)
    causes = [disturbance(outcome) for outcome, _ in sides]
    return replace(comparison, disturbed=next((cause for cause in causes if cause[0]), ("", "")))


def paired_rounds(entry: Outcome, baseline: Outcome) -> list[list[float]]:
    """Return, for every block with a round of both entries, the log ratios of its rounds."""
    common_blocks = sorted(entry.times.keys() & baseline.times.keys())
    rounds = [paired_logs(entry.times[block], baseline.times[block]) for block in common_blocks]
    return [logs for logs in rounds if logs]


def next_level(run: Run) -> float:
    """Return the level of the next look at a run, for which needed blocks are estimated."""
    return SECOND_LOOK if run.extended is None else FIRST_LOOK


def judge_run(run: Run, known: Mapping[str, Outcome] | None = None) -> Judgement:
    """Judge every entry against its baseline, and both entries of every headline."""
    known = outcomes(run) if known is None else known
    if run.machines:
        return _judge_machines(run, known)
    plan, groups = run.plan, run.plan.groups
    level = next_level(run)
    rows = {
        entry.id: compare(run, known, entry.id, entry.baseline)
        for entry in run.entries.values()
        if entry.baseline is not None
    }
    twins = judge((row for row in rows.values() if row.twin), plan.margin, next_level=level)
    control = _control(run, twins, known)
    judge_table = partial(judge, margin=plan.margin, control=control, next_level=level)
    for group, of_peers in product(groups, (False, True)):  # who is asked as well takes no verdict away
        table_rows = [rows[entry.id] for entry in group.entries if entry.id in rows]
        family = [row for row in table_rows if not row.twin and row.arm.peer == of_peers]
        rows |= {row.entry: row for row in judge_table(family, table=group.name)}
    rows |= {twin.entry: twin for twin in twins}

    pairs = run.pairs
    separate: dict[Pair, Comparison] = {}  # headlines that are not a row, or the question of advise
    for group, of_peers in product(groups, (False, True)):
        group_pairs = [
            pair
            for pair in pairs
            if run.entries[pair.entry].group == group.name
            and (pair.kind == "peer") == of_peers
            and (
                pair.entry not in rows
                or rows[pair.entry].baseline != pair.baseline
                or (pair.kind == "best" and plan.budget_rule == "hold")
                or of_peers
            )
        ]
        family = [compare(run, known, pair.entry, pair.baseline, pair.kind) for pair in group_pairs]
        separate |= zip(group_pairs, judge_table(family, table=group.name), strict=True)
    headlines = [separate.get(pair) or replace(rows[pair.entry], kind=pair.kind) for pair in pairs]
    return Judgement(rows, tuple(pair for pair in headlines if pair.kind != "twin"), twins, control)


def _judge_machines(run: Run, known: Mapping[str, Outcome]) -> Judgement:
    """Judge what each machine measured by its own controls, as a run of its own."""
    judged = [judge_run(machine, known) for machine in run.machines]
    controls = tuple(one.control for one in judged)
    worst = max(controls, key=lambda control: control.bias)
    return Judgement(
        {name: row for one in judged for name, row in one.rows.items()},
        tuple(pair for one in judged for pair in one.headlines),
        tuple(twin for one in judged for twin in one.twins),
        worst if all(control.failure for control in controls) else replace(worst, failure=""),
        controls,
    )


def level(run: Run, group: str) -> float:
    """Return the level of a table's verdicts; an extension is a second look at the tables it continues."""
    extended = run.extended
    planned_blocks = next(table.blocks for table in run.plan.groups if table.name == group)
    if extended is None or (planned_blocks is not None and planned_blocks <= extended.before):
        return FIRST_LOOK
    return extended.level


def _control(run: Run, twins: Sequence[Comparison], known: Mapping[str, Outcome]) -> Control:
    """Return why the run gives no verdict, the bias of its twins, and the noise floor of every table."""
    floors = _floors(run, twins)
    if changed := changes(run):
        failure = f"the environment changed during the run ({'; '.join(changed[:3])})"
        return Control(failure, mend="Measure again from the beginning", floors=floors)
    advice = "Look what disturbs this machine (rnnbench check) and measure again (--wait-quiet 10min)"
    bias = 0.0
    for twin in twins:
        significant = twin.p_holm is not None and twin.p_holm <= ALPHA
        if not significant or twin.verdict == "EQUIVALENT" or twin.noise_floor is None or twin.ratio is None:
            continue  # a difference of an EQUIVALENT twin may be real, but is too small to matter
        bias = max(bias, math.log1p(twin.noise_floor))
        if bias > MAX_BIAS:
            failure = (
                f"the A/A control failed: {twin.arm.variant} is the same code measured twice, and one time "
                f"was {max(twin.ratio, 1 / twin.ratio):.4g} times the other"
            )
            return Control(failure, bias, advice, floors)
    if run.plan.verdicts and twins and all(twin.p is None for twin in twins):
        blocks = len({block for twin in twins for block in known[twin.entry].medians})
        max_blocks = max(len(outcome.medians) for outcome in known.values())
        if max_blocks - 1 <= blocks < MIN_BLOCKS:  # the run is short, or was stopped within its last block
            too_few = f"{blocks} of the {MIN_BLOCKS} blocks that the shortest verdict needs"
            return Control(too_few, floors=floors)
        reported_twin = next((twin for twin in twins if twin.ratio is not None), twins[0])
        failure = f"the A/A control, the same code measured twice, has no result: {reported_twin.reason}"
        return Control(failure, mend=reported_twin.mend, floors=floors)
    return Control("", bias, advice if bias else "", floors)


def _floors(run: Run, twins: Sequence[Comparison]) -> dict[str, float]:
    """Return the noise floor of every table: the largest floor of its twins.

    A table without twins gets the floor of the table with twins whose amount of work is most similar.
    """
    floors: dict[str, float] = {}
    for twin in twins:
        if twin.noise_floor is not None:
            group = run.entries[twin.entry].group
            floors[group] = max(twin.noise_floor, floors.get(group, 0.0))
    work = {table.name: table.entries[0].case.shape.work for table in run.plan.groups if table.entries}

    def nearest(table: str) -> str:
        return min(
            floors, key=lambda candidate: (candidate != table, abs(math.log(work[candidate] / work[table])))
        )

    return {table: floors[nearest(table)] if floors else 0.0 for table in work}


def _without_bias(effect: E, bias: float) -> E:
    """Return the effect with the p that it differs from 1 by more than ``bias``, the log of a ratio."""
    if effect.p is None or effect.ratio is None or not bias:
        return effect
    estimate = math.log(effect.ratio)
    exceeds_bias = abs(estimate) > bias
    return replace(
        effect, p=rank_p(*effect.samples, mu=math.copysign(bias, estimate)) if exceeds_bias else 1.0
    )


def _with_verdict(effect: E, margin: float, floor: float, bias: float, next_level: float, of: str) -> E:
    """Return the effect, which has an adjusted p, with its verdict."""
    interval = rank_interval(*effect.samples, confidence=1 - 2 * effect.level)
    significant = effect.p_holm is not None and effect.p_holm <= effect.level
    if max(abs(interval.low), abs(interval.high)) + bias <= math.log1p(margin):
        addition = "; the difference is real, though that small" if significant else ""
        return replace(effect, verdict="EQUIVALENT", reason=f"within {100 * margin:.3g} %{addition}")
    if not significant:
        return _unresolved(effect, margin, bias, next_level, of)
    null_ratio = math.exp(math.copysign(bias, interval.estimate))
    if effect.t_low is not None and effect.t_high is not None and effect.t_low <= null_ratio <= effect.t_high:
        reason = (
            f"a few {of} differ: {MEAN_INTERVALS[len(effect.samples)]} interval, {effect.t_low:.4g} to "
            f"{effect.t_high:.4g}, contains {null_ratio:.4g}"
        )
        return replace(effect, verdict="UNRESOLVED", reason=reason, p_regression=None)
    word: Word = "FASTER" if interval.estimate < 0 else "SLOWER"
    below_floor = abs(interval.estimate) <= math.log1p(floor)
    reason = f"less than the noise floor of {100 * floor:.2g} %" if below_floor else ""
    return replace(effect, verdict=word, reason=reason)


def _unresolved(effect: E, margin: float, bias: float, next_level: float, of: str) -> E:
    """Return the effect as UNRESOLVED: what could have been detected, and the blocks for the margin."""
    sizes = tuple(map(len, effect.samples))
    unit = f"{of} in each" if len(sizes) > 1 else of
    interval = rank_interval(*effect.samples)
    detectable_log = detectable_effect(interval, sizes, effect.family, effect.level)
    needed = blocks_to_detect(math.log1p(margin), interval, sizes, effect.family, next_level)
    effect = replace(effect, verdict="UNRESOLVED", blocks_needed=needed)
    if math.isinf(detectable_log):
        counts = " and ".join(map(str, sizes))
        min_blocks = blocks_needed(effect.family, effect.level, len(sizes))
        reason = f"a table of {effect.family} needs {min_blocks} {unit} for a verdict, not {counts}"
        return replace(effect, reason=reason)
    detectable = math.expm1(detectable_log + bias)
    reason = f"{_interval_note(effect)}a difference of {units.percent(detectable)} could have been seen"
    if bias:  # more blocks do not remove a bias
        reason = f"{reason}; {units.percent(math.expm1(bias))} is what the A/A control may differ by"
    else:
        reason = f"{reason}; {100 * margin:.3g} % would need about {needed} {unit}"
    cause, advice = effect.disturbed
    reason = f"{reason}; {cause}" if cause else reason
    return replace(effect, reason=reason, mend=advice, detectable=detectable)


def _interval_note(effect: Effect) -> str:
    """Return why an effect whose own 95 % interval excludes 1 has no verdict; empty for other effects.

    The interval is not adjusted for other effects or for a second look.
    """
    if effect.low is None or effect.high is None or effect.low <= 1 <= effect.high:
        return ""
    among = f" among {effect.family} comparisons" if effect.family > 1 else ""
    return (
        f"its own 95 % interval leaves out 1, but p = {effect.p_holm:.3g}{among} is above the "
        f"{effect.level:g}{LOOK_TEXTS.get(effect.level, '')}; "
    )


def extension(run: Run, blocks: int, folder: Path, now_utc: str) -> Extended:
    """Return the record that extends a run to ``blocks`` in total.

    Raises:
        UserError: the run is not over, was extended before, gives no verdicts, has all its verdicts already,
            or would have no verdict even with so many blocks.
    """
    before = max((burst.block for burst in run.bursts), default=0)
    if run.state == "interrupted":
        raise UserError(f"{folder} was cut off: go on with it first, without --blocks")
    if (earlier := run.extended) is not None:
        raise UserError(
            f"{folder} was extended already, from {earlier.before} to {earlier.blocks} blocks, and a third "
            "look would find what is not there; measure anew with rnnbench run"
        )
    judgement = judge_run(run)
    if not run.plan.verdicts or judgement.control.failure:
        why = judgement.control.failure or "a quick run gives none"
        raise UserError(f"{folder} has no verdict to look for: {why}; measure anew with rnnbench run")
    open_rows = undecided(run, judgement.headlines or judgement.rows.values())
    if not open_rows:
        raise UserError(
            f"{folder} left nothing undecided that more blocks could decide: its verdicts stand; to see "
            "whether they come again, measure anew with rnnbench run"
        )
    if not before < blocks <= MAX_BLOCKS:
        raise UserError(
            f"--blocks {blocks}: counted in all, and {folder} has {before} already; give more, up to "
            f"{MAX_BLOCKS}"
        )
    min_blocks = min(blocks_needed(row.family, SECOND_LOOK) for row in open_rows)
    if blocks < min_blocks:
        raise UserError(
            f"--blocks {blocks}: a second look at it needs {min_blocks} blocks in all for any verdict"
        )
    return Extended(before, blocks, SECOND_LOOK, now_utc)


def proposal(run: Run, comparisons: Iterable[Comparison]) -> int | None:
    """Return the blocks in total, at most 40, that should decide open comparisons; None: no extension."""
    if run.state == "interrupted" or run.extended is not None:
        return None
    needed = [row.blocks_needed for row in undecided(run, comparisons) if row.blocks_needed is not None]
    return max((blocks for blocks in needed if blocks <= MAX_PROPOSED_BLOCKS), default=None)


def undecided(run: Run, comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Return the undecided comparisons, or those with too few blocks, of tables that can be extended."""
    extendable = {group.name for group in run.plan.groups if group.blocks is None}
    return [
        row
        for row in comparisons
        if not row.twin
        and run.entries[row.entry].group in extendable
        and (row.verdict == "UNRESOLVED" or (row.verdict == "NONE" and row.blocks < MIN_BLOCKS))
    ]
