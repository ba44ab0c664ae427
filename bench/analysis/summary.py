"""Summarise one run for its report: tables, failures with their reasons, and warnings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.statistics import median_interval
from bench.analysis.verdict import Comparison, Control, Judgement, judge_run
from bench.machine.wording import count
from bench.records.record import Arm, Entry, Failure, GroupKind, PairKind, measured_as
from bench.records.run import Run
from bench.workload.case import Case


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one entry and its times, in nanoseconds per call, over the counted blocks."""

    entry: Entry
    arm: Arm
    outcome: Outcome
    comparison: Comparison | None  # None for a baseline
    median_ns: float | None  # median of the block medians
    low_ns: float | None  # 95 % interval from order statistics; None with fewer than 6 blocks
    high_ns: float | None

    @property
    def samples_per_second(self) -> float | None:
        """Return how many samples of the batch are computed per second; None without times."""
        return self.entry.case.shape.B / (self.median_ns * 1e-9) if self.median_ns else None


@dataclass(frozen=True, slots=True)
class Table:
    """Hold the rows of one group, in the plan's order; ``case`` is the case of the first row."""

    name: str
    kind: GroupKind
    case: Case
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Hold the failures of one entry that have the same status and reason."""

    entry: str
    status: str
    reason: str
    blocks: tuple[int, ...]
    stderr: str  # of the last failure


@dataclass(frozen=True, slots=True)
class Summary:
    """Hold one run with its outcomes, tables, comparisons and A/A controls."""

    run: Run
    outcomes: Mapping[str, Outcome]  # by entry id
    tables: tuple[Table, ...]
    headlines: tuple[Comparison, ...]
    twins: tuple[Comparison, ...]
    control: Control
    controls: tuple[Control, ...] = ()  # of each machine, if there are several

    @property
    def rows(self) -> dict[str, Row]:
        """Return the rows of all tables by entry id."""
        return {row.entry.id: row for table in self.tables for row in table.rows}

    @property
    def ending(self) -> str:
        """Return the reason why the run ended."""
        return self.run.end.reason if self.run.end else "the journal has no end: the run was cut off"

    @property
    def blocks(self) -> int:
        """Count the counted blocks that contain any times."""
        return len({block for outcome in self.outcomes.values() for block in outcome.medians})

    @property
    def counted(self) -> str:
        """Return how many blocks were counted and, if a run ended before its last block, why."""
        planned = (self.run.decision or self.run.plan).blocks
        if self.blocks == planned:
            return count(planned, "block")
        if self.run.state != "complete":
            return f"{self.blocks} of {count(planned, 'block')}"
        return f"{self.blocks} of at most {count(planned, 'block')}: {self.ending}"

    @property
    def floor(self) -> float | None:
        """Return how far the interval of the first A/A control reaches from ratio 1 (0.012: 1.2 %)."""
        return self.twins[0].noise_floor if self.twins else None

    @property
    def measured(self) -> list[Outcome]:
        """Return the outcome of each measured entry once; an entry may stand in several tables."""
        measured_names = measured_as(self.run.plan.groups).values()
        return [self.outcomes[entry] for entry in dict.fromkeys(measured_names)]

    @property
    def modes(self) -> dict[str, tuple[int, float]]:
        """Return, by entry id, how many blocks are in the slower of two modes, and how much slower it is."""
        return {entry: outcome.modes for entry, outcome in self.outcomes.items() if outcome.modes}

    @property
    def disagrees(self) -> bool:
        """Return whether any entry that should be correct failed its proof."""
        return any(failure.status == "disagrees" for failure in self.run.failures)

    @property
    def troubles(self) -> list[Trouble]:
        """Return the failures, grouped by entry, status and reason, in the journal's order."""
        by_key: dict[tuple[str, str, str], list[Failure]] = {}
        for failure in self.run.failures:
            by_key.setdefault((failure.entry, failure.status, failure.reason), []).append(failure)
        return [
            Trouble(*key, tuple(failure.block for failure in failures), failures[-1].stderr)
            for key, failures in by_key.items()
        ]

    @property
    def warnings(self) -> Iterator[str]:
        """Yield the journal's warnings, then those on a sleep of the machine and on subnormal numbers."""
        run = self.run
        yield from (*run.environment.warnings, *run.warnings)
        if run.end is not None and run.end.slept_s:
            yield f"the machine slept for {run.end.slept_s:.0f} s during the run"
        for counts in run.conditions:
            for name, n, total in (
                ("hidden states", counts.hidden_subnormal, counts.hidden),
                ("gradients of hidden states", counts.gradient_subnormal, counts.gradient),
            ):
                if n:
                    yield (
                        f"{counts.case}: {n} of {total} {name} are subnormal numbers, over which processors "
                        "can take much longer; the ratio holds for such data"
                    )

    def headline(self, kind: PairKind) -> Comparison | None:
        """Return the first headline of this kind; None if there is none."""
        return next((pair for pair in self.headlines if pair.kind == kind), None)


def summarise(run: Run) -> Summary:
    """Compute everything that a report says about a run."""
    by_entry, arms = outcomes(run), run.arms
    judgement = judge_run(run, by_entry)
    tables = tuple(
        Table(
            group.name,
            group.kind,
            group.entries[0].case,
            tuple(_row(entry, arms[entry.arm], by_entry[entry.id], judgement) for entry in group.entries),
        )
        for group in run.plan.groups
        if group.entries
    )
    return Summary(
        run, by_entry, tables, judgement.headlines, judgement.twins, judgement.control, judgement.controls
    )


def _row(entry: Entry, arm: Arm, outcome: Outcome, judgement: Judgement) -> Row:
    median_ns = low = high = None
    if outcome.medians:
        interval = median_interval(list(outcome.medians.values()))
        median_ns, (low, high) = interval.estimate, interval.limits
    return Row(entry, arm, outcome, judgement.rows.get(entry.id), median_ns, low, high)
