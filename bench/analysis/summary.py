"""All that a report tells about one run: tables, headlines, noise, what failed and why."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.statistics import median_interval
from bench.analysis.verdict import Comparison, Judgement, judge_run
from bench.records.record import Arm, Check, Entry, GroupKind, Missing, PairKind, measured_as
from bench.records.run import Run
from bench.workload.case import Case

Proof = Literal["passed", "known wrong", "failed", "not proved"]


@dataclass(frozen=True, slots=True)
class Row:
    """One entry: its times in nanoseconds a call over counted blocks, its proof, its comparison."""

    entry: str
    arm: Arm
    case: Case
    status: str  # ok, known_wrong, disagrees, invalid, missing, crashed, timeout, dropped, not reached
    reason: str
    median_ns: float | None  # of the blocks' medians
    low_ns: float | None  # 95 % interval from order statistics; None with fewer than 6 blocks
    high_ns: float | None
    samples_per_second: float | None
    comparison: Comparison | None  # None for a baseline
    proof: Proof
    worst: Check | None  # the largest error for its tolerance, known wrong ones left out
    known_wrong: Check | None  # the largest error that is known
    blocks: int


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one group, in the plan's order; ``case`` is the first one's."""

    name: str
    kind: GroupKind
    case: Case
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One entry's failures, alike in status and reason."""

    entry: str
    status: str
    reason: str
    blocks: tuple[int, ...]
    stderr: str  # of the last one


@dataclass(frozen=True, slots=True)
class Summary:
    """One run. ``control`` says why it gives no verdict; it is empty where it gives them."""

    run: str
    state: Literal["complete", "partial", "interrupted"]
    ending: str  # the reason given for the state
    seconds: float | None
    verdicts: bool  # False for a quick run
    blocks: int  # counted blocks that hold any values
    tables: tuple[Table, ...]
    headlines: tuple[Comparison, ...]
    twins: tuple[Comparison, ...]
    control: str
    bias: float  # by which the A/A control differs, where that is more than chance: 0.012 for 1.2 %
    mend: str  # what to do about it
    floor: float | None  # how far the first twin's interval reaches from 1: 0.012 for 1.2 %
    values: int
    outliers: int
    disturbed: int  # bursts that gates flagged
    modes: dict[str, tuple[int, float]]  # entry id -> blocks in the slower of its two modes, how much slower
    missing: tuple[Missing, ...]
    troubles: tuple[Trouble, ...]
    warnings: tuple[str, ...]

    @property
    def disagrees(self) -> bool:
        """Whether anything that claims to be right was proved wrong."""
        return any(trouble.status == "disagrees" for trouble in self.troubles)

    def headline(self, kind: PairKind) -> Comparison | None:
        """Return the first headline of a kind."""
        return next((row for row in self.headlines if row.kind == kind), None)


def summarise(run: Run, found: Mapping[str, Outcome] | None = None) -> Summary:
    """Work out everything a report says about a run; ``found`` are its outcomes, where they are known."""
    found = outcomes(run) if found is None else found
    judgement = judge_run(run, found)
    arms = run.arms
    measured = [found[name] for name in dict.fromkeys(measured_as(run.plan.groups).values())]
    tables = tuple(
        Table(
            group.name,
            group.kind,
            group.entries[0].case,
            tuple(_row(entry, arms[entry.arm], found[entry.id], judgement) for entry in group.entries),
        )
        for group in run.plan.groups
        if group.entries
    )
    return Summary(
        run=run.plan.run,
        state=run.state,
        ending=run.end.reason if run.end else "the journal has no end: the run was cut off",
        seconds=run.end.seconds if run.end else None,
        verdicts=run.plan.verdicts,
        blocks=len({block for outcome in found.values() for block in outcome.medians}),
        tables=tables,
        headlines=judgement.headlines,
        twins=judgement.twins,
        control=judgement.control.failure,
        bias=math.expm1(judgement.control.bias),
        mend=judgement.control.mend,
        floor=judgement.twins[0].noise_floor if judgement.twins else None,
        values=sum(outcome.values for outcome in measured),
        outliers=sum(outcome.outliers for outcome in measured),
        missing=tuple(run.plan.missing),
        troubles=_troubles(run),
        disturbed=sum(outcome.disturbed for outcome in measured),
        modes={entry: outcome.modes for entry, outcome in found.items() if outcome.modes},
        warnings=tuple(_warnings(run)),
    )


def _row(entry: Entry, arm: Arm, outcome: Outcome, judgement: Judgement) -> Row:
    middle = low = high = rate = None
    if outcome.medians:
        interval = median_interval(list(outcome.medians.values()))
        middle, (low, high) = interval.estimate, interval.limits
        rate = entry.case.shape.B / (middle * 1e-9)
    marked = [check for check in outcome.checks if check.known_wrong]
    return Row(
        entry=entry.id,
        arm=arm,
        case=entry.case,
        status=outcome.status,
        reason=outcome.reason,
        median_ns=middle,
        low_ns=low,
        high_ns=high,
        samples_per_second=rate,
        comparison=judgement.rows.get(entry.id),
        proof=_proof(outcome, marked),
        worst=_worst(check for check in outcome.checks if check not in marked),
        known_wrong=_worst(marked),
        blocks=len(outcome.medians),
    )


def _proof(outcome: Outcome, marked: list[Check]) -> Proof:
    if not outcome.checks:
        return "not proved"
    if any(not check.passed for check in outcome.checks if check not in marked):
        return "failed"
    return "known wrong" if marked else "passed"


def _worst(checks: Iterable[Check]) -> Check | None:
    """Return the check that comes nearest to its tolerance, or passes it furthest; the first of equals."""
    return max(checks, key=_strain, default=None)


def _strain(check: Check) -> float:
    """Return the error in tolerances; a check that is a question has tolerance 0."""
    if check.tolerance > 0:
        return check.error / check.tolerance
    return 0.0 if check.passed else math.inf


def _warnings(run: Run) -> Iterator[str]:
    """Yield what was odd: as the journal tells, a machine that slept, numbers that slow a processor."""
    yield from (*run.environment.warnings, *run.warnings)
    if run.end is not None and run.end.slept_s:
        yield f"the machine slept for {run.end.slept_s:.0f} s during the run"
    for found in run.conditions:
        for what, count, of in (
            ("hidden states", found.hidden_subnormal, found.hidden),
            ("gradients of hidden states", found.gradient_subnormal, found.gradient),
        ):
            if count:
                yield (
                    f"{found.case}: {count} of {of} {what} are subnormal numbers, over which processors can "
                    "take much longer; the ratio holds for such data"
                )


def _troubles(run: Run) -> tuple[Trouble, ...]:
    """Return failures, those alike in entry, status and reason taken together, in the journal's order."""
    alike: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    for failure in run.failures:
        key = (failure.entry, failure.status, failure.reason)
        alike.setdefault(key, []).append((failure.block, failure.stderr))
    return tuple(
        Trouble(*key, blocks=tuple(block for block, _ in seen), stderr=seen[-1][1])
        for key, seen in alike.items()
    )
