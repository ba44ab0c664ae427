"""Verdicts: one word for every effect, of an entry within a run and of a change between two runs.

=============  =======================================================================================
FASTER SLOWER  p, adjusted after Holm for all effects of the family (a table, two runs), is at most the level
EQUIVALENT     p is at most that level for a ratio at the nearer end of the margin, so that the interval of
               1 - 2 x level lies within it; goes before FASTER and SLOWER, and the reason says where the
               difference is real though that small
UNRESOLVED     neither; with the smallest effect that could have been seen and the blocks it would take. Also
               where Student's or Welch's interval of the same numbers contains 1, so that few blocks decide
INVALID        measured, but not to be believed: a failed proof, other inputs, a failed control
MISSING        nothing to compare, and why
NONE           no word is given: a quick run, fewer blocks than any verdict needs, or no steady state
=============  =======================================================================================

An effect is a ratio of times, below 1 where the first side is faster: exp of the Hodges-Lehmann estimate with
its exact interval of 95 %, which is the one of this effect alone. Within a run it is an entry's time over its
baseline's: per block the median over rounds of the log of the two values' ratio. Between two runs
(``bench.analysis.regression``) it is the new time or ratio over the old one.

The level is 0.05. A run may be extended once, which is to look at the same data twice, and two looks at 5 %
err in 8 to 9 runs of 100. So the 5 % are shared beforehand: every run is judged at 0.04, and the tables that
an extension measured on anew, over all their blocks, at 0.01. Their sum is a bound whatever the noise, the
number of blocks and of comparisons. A third look has no share left.

The control are the baselines' twins, adjusted for among themselves. Where one of them differs from its
original and is not EQUIVALENT, what processes of the same code differ by in this run is not chance: the
farther limit of the control's interval is taken off every ratio before it is tested, and added to what must
lie within the margin. Beyond 5 %, or where the environment changed, the run gives no verdict. Headlines
that are rows of a table have the row's verdict, except what advise asks; the others are adjusted for among
those of the same group.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar

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
    exceeds_p,
    holm,
    mean_interval,
    paired_logs,
    rank_interval,
    rank_p,
    scatter,
)
from bench.machine.errors import UserError
from bench.records.record import MAX_BLOCKS, Arm, Extended, Pair, PairKind
from bench.records.run import Run

# a declared headline; a row of a table; what only break-evens are about: the same library compiled and not,
# and what the tutorial's readers have against what they are told to use
Kind = PairKind | Literal["row", "compiling", "tutorial"]
Word = Literal["FASTER", "SLOWER", "EQUIVALENT", "UNRESOLVED", "INVALID", "MISSING", "NONE"]
DECIDED: tuple[Word, ...] = ("FASTER", "SLOWER")
MOST_BIAS = math.log1p(0.05)  # beyond, something is wrong with the machine or the harness
INTERVALS = {1: "Student's", 2: "Welch's"}  # of the mean, by the number of samples
LOOKS = {FIRST_LOOK: " of a first look", SECOND_LOOK: " of a second look"}
MOST_PROPOSED = 40  # blocks in all: where it would take more, other means are better


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A ratio of times, and how sure it is; ``verdict`` is one word for it, ``reason`` says why.

    A verdict INVALID, MISSING or NONE is final where ``p`` is None.
    """

    verdict: Word = "NONE"
    reason: str = ""
    mend: str = ""  # what to do about the reason, a sentence without a full stop; empty where nothing helps
    left_out: bool = False  # MISSING for the time budget alone, which says nothing against it
    disturbed: tuple[str, str] = ("", "")  # by what, in many blocks, and what to do: told where UNRESOLVED
    samples: tuple[tuple[float, ...], ...] = ()  # logs, one a block: of ratios; of two runs, old and new
    ratio: float | None = None  # None: nothing to compare
    low: float | None = None  # None: too few blocks for an interval
    high: float | None = None
    t_low: float | None = None  # Student's or Welch's interval of the same logs; None: no interval
    t_high: float | None = None
    level: float = ALPHA  # what its verdict may err in
    p: float | None = None  # None: no verdict can be given
    p_holm: float | None = None  # adjusted for all ``family`` effects that are judged together
    family: int = 0
    p_regression: float | None = None  # adjusted: that it takes longer by no more than a limit
    detectable: float | None = None  # where UNRESOLVED: 0.03 for 3 %; None: nothing at all
    blocks_needed: int | None = None  # where UNRESOLVED: about so many find an effect as large as the margin

    @property
    def blocks(self) -> int:
        """Count the blocks; of two runs, those of the one that has fewer."""
        return min(map(len, self.samples), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Effect):
    """The time of ``entry`` over the time of ``baseline``, which are ids of entries of one run."""

    kind: Kind
    entry: str
    baseline: str
    arm: Arm
    baseline_arm: Arm
    same_work: bool = True  # False: the two cases differ
    known_wrong: bool = False  # the entry's gradient is known to be wrong
    baseline_known_wrong: bool = False
    process_scatter: float | None = None  # of the log ratios between blocks, and so between processes
    round_scatter: float | None = None  # between the rounds of one block, the median of the blocks

    @property
    def twin(self) -> bool:
        """Tell whether it is an A/A control."""
        return self.arm.twin

    @property
    def log_ratios(self) -> tuple[float, ...]:
        """Return one for each counted block that holds both."""
        return self.samples[0] if self.samples else ()

    @property
    def noise_floor(self) -> float | None:
        """Return how far a twin's interval reaches from 1, 0.012 for 1.2 %; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return math.expm1(max(abs(math.log(self.low)), abs(math.log(self.high))))


@dataclass(frozen=True, slots=True)
class Control:
    """What the twins showed: why the run gives no verdict (empty where it does), and how noisy it was."""

    failure: str = ""
    bias: float = 0.0  # log of a ratio that the same code may show here, where that is more than chance
    mend: str = ""  # what to do about the failure
    floors: Mapping[str, float] = field(default_factory=dict)  # of noise, by table: 0.012 for 1.2 %


NO_CONTROL = Control()


@dataclass(frozen=True, slots=True)
class Judgement:
    """All comparisons of a run, in the plan's order."""

    rows: dict[str, Comparison]  # entry id -> against its declared baseline, twins included
    headlines: tuple[Comparison, ...]  # the declared pairs, then block 0's; no twins
    twins: tuple[Comparison, ...]
    control: Control


E = TypeVar("E", bound=Effect)


def measured(effect: E, *samples: Sequence[float], of: str = "blocks", final: bool = False) -> E:
    """Return the effect with its numbers, from the logs of one sample, or of an old and a new one.

    ``of`` says what the logs are of. ``final``: its verdict stands, and it gets no p.
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
    """Adjust the p values of a family together, and find the word of every effect that has one.

    Args:
        effects: The family; those without a p keep the verdict that they have.
        margin: Of equivalence, 0.02 for 2 %.
        control: What it shows; where it failed, all are INVALID, and its bias is taken off.
        table: Whose noise floor counts.
        next_level: At which more blocks would be judged.
        limit: 0.05 tests as well whether each takes over 5 % longer.
        of: What the samples are of, for the reasons: "blocks".
    """
    judged = [_without_bias(effect, control.bias) for effect in effects]
    tested = {place: effect.p for place, effect in enumerate(judged) if effect.p is not None}
    adjusted = holm(list(tested.values()))
    beyond: list[float | None] = [None] * len(tested)
    if limit is not None:
        beyond[:] = holm([exceeds_p(*judged[place].samples, limit=math.log1p(limit)) for place in tested])
    for place, p_holm, p_regression in zip(tested, adjusted, beyond, strict=True):
        effect = replace(judged[place], p_holm=p_holm, family=len(tested), p_regression=p_regression)
        if control.failure:
            effect = replace(effect, verdict="INVALID", reason=control.failure, mend=control.mend)
        else:
            effect = _with_word(effect, margin, control.floors.get(table, 0.0), control.bias, next_level, of)
        judged[place] = effect
    return tuple(judged)


def compare(
    run: Run, known: Mapping[str, Outcome], entry_id: str, baseline_id: str, kind: Kind = "row"
) -> Comparison:
    """Return the numbers of one pair, without a word for them; ``known`` are the run's outcomes."""
    own, other = known[entry_id], known[baseline_id]
    entry, baseline = run.entries[entry_id], run.entries[baseline_id]
    comparison = Comparison(
        kind=kind,
        entry=entry.id,
        baseline=baseline.id,
        arm=run.arms[entry.arm],
        baseline_arm=run.arms[baseline.arm],
        level=level(run, entry.group),
        same_work=entry.case == baseline.case,
        known_wrong=own.status == "known_wrong",
        baseline_known_wrong=other.status == "known_wrong",
    )
    sides = ((own, ""), (other, "its baseline: "))
    for outcome, whose in sides:
        if outcome.invalid or not outcome.medians:
            word: Word = "INVALID" if outcome.invalid else "MISSING"
            reason = f"{whose}{outcome.status}, {outcome.reason}"
            return replace(comparison, verdict=word, reason=reason, left_out=outcome.left_out)
    if comparison.same_work and len(own.digests | other.digests) > 1:
        return replace(comparison, verdict="INVALID", reason="the two did not get the same inputs")
    rounds = paired_rounds(own, other)
    if not rounds:
        return replace(comparison, verdict="MISSING", reason="no block holds both")
    logs = [median(block) for block in rounds]
    within = [scatter(block) for block in rounds if len(block) > 1]
    if len(logs) > 1 and within:
        comparison = replace(comparison, process_scatter=scatter(logs), round_scatter=median(within))
    if not run.plan.verdicts:
        return measured(replace(comparison, reason="a quick run gives no verdict"), logs, final=True)
    comparison = measured(comparison, logs)
    if comparison.p is None:
        return comparison
    for outcome, whose in sides:
        if outcome.status == NO_STEADY_STATE:
            return replace(comparison, p=None, reason=f"{whose}{outcome.reason}", mend=UNSTEADY)
    causes = [disturbance(outcome) for outcome, _ in sides]
    return replace(comparison, disturbed=next((cause for cause in causes if cause[0]), ("", "")))


def paired_rounds(entry: Outcome, baseline: Outcome) -> list[list[float]]:
    """Return the paired log ratios of the rounds of every block in which a round holds both."""
    shared = sorted(entry.times.keys() & baseline.times.keys())
    rounds = [paired_logs(entry.times[block], baseline.times[block]) for block in shared]
    return [logs for logs in rounds if logs]


def judge_run(run: Run, known: Mapping[str, Outcome] | None = None) -> Judgement:
    """Judge every entry against its baseline, and the two entries of every headline."""
    known = outcomes(run) if known is None else known
    plan, groups = run.plan, run.plan.groups
    next_level = SECOND_LOOK if run.extended is None else FIRST_LOOK
    rows = {
        entry.id: compare(run, known, entry.id, entry.baseline)
        for entry in run.entries.values()
        if entry.baseline is not None
    }
    twins = judge((row for row in rows.values() if row.twin), plan.margin, next_level=next_level)
    control = _control(run, twins, known)
    judge_table = partial(judge, margin=plan.margin, control=control, next_level=next_level)
    for group in groups:
        own = [rows[entry.id] for entry in group.entries if entry.id in rows and not rows[entry.id].twin]
        rows |= {row.entry: row for row in judge_table(own, table=group.name)}
    rows |= {twin.entry: twin for twin in twins}

    pairs = run.pairs
    apart: dict[Pair, Comparison] = {}  # headlines that are no row, or the one question that advise asks
    for group in groups:
        among = [
            pair
            for pair in pairs
            if run.entries[pair.entry].group == group.name
            and (
                pair.entry not in rows
                or rows[pair.entry].baseline != pair.baseline
                or (pair.kind == "best" and plan.budget_rule == "hold")
            )
        ]
        family = [compare(run, known, pair.entry, pair.baseline, pair.kind) for pair in among]
        apart |= zip(among, judge_table(family, table=group.name), strict=True)
    headlines = [apart.get(pair) or replace(rows[pair.entry], kind=pair.kind) for pair in pairs]
    return Judgement(rows, tuple(pair for pair in headlines if pair.kind != "twin"), twins, control)


def level(run: Run, group: str) -> float:
    """Return what the verdicts of a table may err in: an extension is a second look at all it measured on."""
    extended = run.extended
    own = next(table.blocks for table in run.plan.groups if table.name == group)
    if extended is None or (own is not None and own <= extended.before):
        return FIRST_LOOK
    return extended.level


def _control(run: Run, twins: Sequence[Comparison], known: Mapping[str, Outcome]) -> Control:
    """Return why the run gives no verdict, what its twins differ by, and the noise floor of every table."""
    floors = _floors(run, twins)
    if changed := changes(run):
        failure = f"the environment changed during the run ({'; '.join(changed[:3])})"
        return Control(failure, mend="Measure again from the beginning", floors=floors)
    mend = "Look what disturbs this machine (rnnbench check) and measure again (--wait-quiet 10min)"
    bias = 0.0
    for twin in twins:
        real = twin.p_holm is not None and twin.p_holm <= ALPHA
        if not real or twin.verdict == "EQUIVALENT" or twin.noise_floor is None or twin.ratio is None:
            continue  # one that is EQUIVALENT may be real, though smaller than any that counts
        bias = max(bias, math.log1p(twin.noise_floor))
        if bias > MOST_BIAS:
            failure = (
                f"the A/A control failed: {twin.arm.variant} is the same code measured twice, and one time "
                f"was {max(twin.ratio, 1 / twin.ratio):.4g} times the other"
            )
            return Control(failure, bias, mend, floors)
    if run.plan.verdicts and twins and all(twin.p is None for twin in twins):
        blocks = len({block for twin in twins for block in known[twin.entry].medians})
        most = max(len(outcome.medians) for outcome in known.values())
        if most - 1 <= blocks < MIN_BLOCKS:  # the run is short, or was cut within its last block
            short = f"{blocks} of the {MIN_BLOCKS} blocks that the shortest verdict needs"
            return Control(short, floors=floors)
        first = next((twin for twin in twins if twin.ratio is not None), twins[0])
        failure = f"the A/A control, the same code measured twice, has no result: {first.reason}"
        return Control(failure, mend=first.mend, floors=floors)
    return Control("", bias, mend if bias else "", floors)


def _floors(run: Run, twins: Sequence[Comparison]) -> dict[str, float]:
    """Return the noise floor of every table: the largest of its twins.

    A table without one has that of the table with a twin whose entries do about as much work.
    """
    floors: dict[str, float] = {}
    for twin in twins:
        if twin.noise_floor is not None:
            group = run.entries[twin.entry].group
            floors[group] = max(twin.noise_floor, floors.get(group, 0.0))
    work = {table.name: table.entries[0].case.shape.work for table in run.plan.groups if table.entries}

    def nearest(table: str) -> str:
        return min(floors, key=lambda other: (other != table, abs(math.log(work[other] / work[table]))))

    return {table: floors[nearest(table)] if floors else 0.0 for table in work}


def _without_bias(effect: E, bias: float) -> E:
    """Return an effect whose p is that it differs from 1 by more than ``bias``, the log of a ratio."""
    if effect.p is None or effect.ratio is None or not bias:
        return effect
    estimate = math.log(effect.ratio)
    beyond = abs(estimate) > bias
    return replace(effect, p=rank_p(*effect.samples, mu=math.copysign(bias, estimate)) if beyond else 1.0)


def _with_word(effect: E, margin: float, floor: float, bias: float, next_level: float, of: str) -> E:
    """Return an effect that has an adjusted p with the word for it."""
    interval = rank_interval(*effect.samples, confidence=1 - 2 * effect.level)
    significant = effect.p_holm is not None and effect.p_holm <= effect.level
    if max(abs(interval.low), abs(interval.high)) + bias <= math.log1p(margin):
        tiny = "; the difference is real, though that small" if significant else ""
        return replace(effect, verdict="EQUIVALENT", reason=f"within {100 * margin:.3g} %{tiny}")
    if not significant:
        return _unresolved(effect, margin, bias, next_level, of)
    nearest = math.exp(math.copysign(bias, interval.estimate))
    if effect.t_low is not None and effect.t_high is not None and effect.t_low <= nearest <= effect.t_high:
        reason = (
            f"a few {of} differ: {INTERVALS[len(effect.samples)]} interval, {effect.t_low:.4g} to "
            f"{effect.t_high:.4g}, contains {nearest:.4g}"
        )
        return replace(effect, verdict="UNRESOLVED", reason=reason, p_regression=None)
    word: Word = "FASTER" if interval.estimate < 0 else "SLOWER"
    small = abs(interval.estimate) <= math.log1p(floor)
    reason = f"less than the noise floor of {100 * floor:.2g} %" if small else ""
    return replace(effect, verdict=word, reason=reason)


def _unresolved(effect: E, margin: float, bias: float, next_level: float, of: str) -> E:
    """Say what could have been seen, and what it would take to see the margin."""
    sizes = tuple(map(len, effect.samples))
    each = f"{of} in each" if len(sizes) > 1 else of
    interval = rank_interval(*effect.samples)
    visible = detectable_effect(interval, sizes, effect.family, effect.level)
    needed = blocks_to_detect(math.log1p(margin), interval, sizes, effect.family, next_level)
    effect = replace(effect, verdict="UNRESOLVED", blocks_needed=needed)
    if math.isinf(visible):
        least, have = blocks_needed(effect.family, effect.level, len(sizes)), " and ".join(map(str, sizes))
        return replace(
            effect, reason=f"a table of {effect.family} needs {least} {each} for a verdict, not {have}"
        )
    seen = math.expm1(visible + bias)
    reason = f"{_although(effect)}a difference of {100 * seen:.2g} % could have been seen"
    if bias:  # more blocks would not take it away
        reason = f"{reason}; {100 * math.expm1(bias):.2g} % is what the A/A control may differ by"
    else:
        reason = f"{reason}; {100 * margin:.3g} % would need about {needed} {each}"
    cause, mend = effect.disturbed
    reason = f"{reason}; {cause}" if cause else reason
    return replace(effect, reason=reason, mend=mend, detectable=seen)


def _although(effect: Effect) -> str:
    """Say why there is no word where the interval leaves out 1: it is of 95 %, of one effect and one look."""
    if effect.low is None or effect.high is None or effect.low <= 1 <= effect.high:
        return ""
    among = f" among {effect.family} comparisons" if effect.family > 1 else ""
    return (
        f"its own 95 % interval leaves out 1, but p = {effect.p_holm:.3g}{among} is above the "
        f"{effect.level:g}{LOOKS.get(effect.level, '')}; "
    )


def extension(run: Run, blocks: int, folder: Path, now_utc: str) -> Extended:
    """Return the record that extends a run to ``blocks`` in all.

    Raises:
        UserError: it is not over, was extended before, gives no verdict, has all its verdicts already, or
            would have none after so many blocks either.
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
    least = min(blocks_needed(row.family, SECOND_LOOK) for row in open_rows)
    if blocks < least:
        raise UserError(f"--blocks {blocks}: a second look at it needs {least} blocks in all for any verdict")
    return Extended(before, blocks, SECOND_LOOK, now_utc)


def proposal(run: Run, comparisons: Iterable[Comparison]) -> int | None:
    """Return the blocks in all that should decide what is undecided, as far as 40 can; None: no extension."""
    if run.state == "interrupted" or run.extended is not None:
        return None
    needed = [row.blocks_needed for row in undecided(run, comparisons) if row.blocks_needed is not None]
    return max((blocks for blocks in needed if blocks <= MOST_PROPOSED), default=None)


def undecided(run: Run, comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Return those without a word, or enough blocks for one, in tables that an extension measures on."""
    whole = {group.name for group in run.plan.groups if group.blocks is None}
    return [
        row
        for row in comparisons
        if not row.twin
        and run.entries[row.entry].group in whole
        and (row.verdict == "UNRESOLVED" or (row.verdict == "NONE" and row.blocks < MIN_BLOCKS))
    ]
