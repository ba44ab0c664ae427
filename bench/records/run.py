"""Hold a run as read from its journal: records sorted by kind, without those of repeated blocks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from msgspec import structs

from bench.records.record import (
    AnyRecord,
    Arm,
    Burst,
    Conditions,
    Decision,
    End,
    Entry,
    Environment,
    Extended,
    Failure,
    Pair,
    Plan,
    Rates,
    Resumed,
    Worker,
)

Kind = TypeVar("Kind")
Measured = Worker | Burst | Rates | Failure  # records that belong to a block
MACHINE_FACTS = ("processor", "cpus", "memory_bytes", "architecture", "host")  # host: a hash of its name
WRONG_STATUSES = ("disagrees", "invalid")  # after these statuses no time of the entry is shown
MAX_MEMORY_RATIO = 1.02  # a new kernel or firmware changes the usable memory a little


@dataclass(frozen=True, slots=True)
class Run:
    """Hold all records of one journal, sorted by kind; ``warnings`` are about the file itself."""

    plan: Plan
    environment: Environment  # the first; empty if the run was cut off earlier
    workers: tuple[Worker, ...]
    bursts: tuple[Burst, ...]
    failures: tuple[Failure, ...]
    decision: Decision | None  # the last, with the blocks of an extension; None: cut off in block 0
    end: End | None  # None: the run was cut off
    warnings: tuple[str, ...] = ()
    environments: tuple[Environment, ...] = ()  # of the start, and of each time the run was resumed
    conditions: tuple[Conditions, ...] = ()
    rates: tuple[Rates, ...] = ()
    extensions: tuple[Extended, ...] = ()  # at most 1
    void: int = 0  # number of records left out because their block was repeated
    host: str = ""  # in a sweep: the name of the host, if it is one
    machines: tuple["Run", ...] = ()  # of a sweep over several: what each of them measured, by itself

    @property
    def state(self) -> Literal["complete", "partial", "interrupted"]:
        """Return how the run ended; a run without ``End`` counts as interrupted."""
        return "interrupted" if self.end is None else self.end.status

    @property
    def extended(self) -> Extended | None:
        """Return the extension, or None."""
        return self.extensions[-1] if self.extensions else None

    @property
    def pairs(self) -> list[Pair]:
        """Return the headline pairs: first those of the plan, then those chosen after block 0."""
        return [*self.plan.pairs, *(self.decision.pairs if self.decision else [])]

    @property
    def entries(self) -> dict[str, Entry]:
        """Return the plan's entries by id, in the plan's order."""
        return {entry.id: entry for group in self.plan.groups for entry in group.entries}

    @property
    def machine_numbers(self) -> dict[str, int]:
        """Return the number of each entry's machine in ``machines``, from 0, but not of missing entries."""
        lost = {item.what for item in self.plan.missing}
        return {
            entry.id: number
            for number, run in enumerate(self.machines)
            for entry in run.entries.values()
            if entry.group not in lost
        }

    @property
    def arms(self) -> dict[str, Arm]:
        """Return the plan's arms by id, in the plan's order."""
        return {arm.id: arm for arm in self.plan.arms}


def make_run(records: Sequence[AnyRecord], warnings: Sequence[str] = ()) -> Run:
    """Sort the records of one journal, whose first is its plan, by kind; leave out void records."""
    valid = _valid(records)
    environments = _of_kind(Environment, valid)
    decisions = _of_kind(Decision, valid)
    ends, extensions = _of_kind(End, valid), _of_kind(Extended, valid)
    decision = decisions[-1] if decisions else None
    if decision and extensions:
        decision = structs.replace(decision, blocks=extensions[-1].blocks)
    plan = _of_kind(Plan, valid)[0]
    for library in plan.libraries:
        library.introduce()
    cut_off = () if ends else ("the journal has no end: the run was cut off",)
    return Run(
        plan=plan,
        environment=environments[0] if environments else Environment({}, {}, {}, {}, []),
        workers=_of_kind(Worker, valid),
        bursts=_of_kind(Burst, valid),
        failures=_of_kind(Failure, valid),
        decision=decision,
        end=ends[-1] if ends else None,
        warnings=(*warnings, *cut_off),
        environments=environments,
        conditions=_of_kind(Conditions, valid),
        rates=_of_kind(Rates, valid),
        extensions=extensions,
        void=sum(isinstance(r, Measured) for r in records) - sum(isinstance(r, Measured) for r in valid),
    )


def different_machines(runs: Sequence[Run]) -> list[str]:
    """Return the names of the facts in which the runs' machines differ; empty if all machines are the same.

    Only each run's first environment counts. Memory may differ by 2 %. A fact that a run lacks, often the
    host, makes no difference.
    """
    machines = [run.environment.machine for run in runs]
    return [
        name
        for name in MACHINE_FACTS
        if _differ(name, [fact for machine in machines if (fact := machine.get(name)) is not None])
    ]


def _differ(name: str, facts: Sequence[Any]) -> bool:
    if name == "memory_bytes":
        return bool(max(facts, default=0) > MAX_MEMORY_RATIO * min(facts, default=0))
    return any(fact != facts[0] for fact in facts)


def _valid(records: Sequence[AnyRecord]) -> list[AnyRecord]:
    """Return the records in their order, without those made void by a later ``Resumed`` or ``Extended``."""
    first_void: float = float("inf")  # earlier records of this block and of later blocks are void
    continued = False  # whether the run continued later: an earlier ``End`` is void
    valid: list[AnyRecord] = []
    for record in reversed(records):
        if isinstance(record, Measured):
            void = record.block >= first_void
        elif isinstance(record, End):
            void = continued
        else:
            void = isinstance(record, Decision | Conditions) and first_void <= 0
        if isinstance(record, Resumed):
            first_void = min(first_void, record.block)
        continued = continued or isinstance(record, Resumed | Extended)
        if not void:
            valid.append(record)
    return valid[::-1]


def _of_kind(kind: type[Kind], records: Iterable[AnyRecord]) -> tuple[Kind, ...]:
    return tuple(record for record in records if isinstance(record, kind))


def is_counted(burst: Burst) -> bool:
    """Return whether a burst's values count: its block is not 0, and its result was proved."""
    return burst.block >= 1 and burst.status in ("ok", "known_wrong")


def per_call_ns(burst: Burst) -> dict[int, float]:
    """Return the time of a call in nanoseconds, by the number of the round."""
    return {
        number: elapsed / burst.n_calls
        for number, elapsed in zip(burst.rounds, burst.elapsed_ns, strict=True)
    }
