"""A run as its journal tells it: records sorted by kind, those of repeated blocks left out."""

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
SAME_MACHINE = ("processor", "cpus", "memory_bytes", "architecture", "host")  # host is a hash of its name
SPOILED = ("disagrees", "invalid")  # statuses after which no time of the entry may be shown
MEMORY_VARIES = 1.02  # a newer kernel or firmware keeps a little more or less of it


@dataclass(frozen=True, slots=True)
class Run:
    """All that one journal holds, sorted by kind. ``warnings`` are about the file itself."""

    plan: Plan
    environment: Environment  # the first; empty where the run was cut off before it
    workers: tuple[Worker, ...]
    bursts: tuple[Burst, ...]
    failures: tuple[Failure, ...]
    decision: Decision | None  # the last; its blocks are those of an extension; None: cut off in block 0
    end: End | None  # None where the run was cut off
    warnings: tuple[str, ...] = ()
    environments: tuple[Environment, ...] = ()  # one more each time the run was resumed
    conditions: tuple[Conditions, ...] = ()
    rates: tuple[Rates, ...] = ()
    extensions: tuple[Extended, ...] = ()  # a run has one at most
    void: int = 0  # workers, bursts and failures left out because their block was begun anew

    @property
    def state(self) -> Literal["complete", "partial", "interrupted"]:
        """Return how the run ended; one without an end was interrupted."""
        return "interrupted" if self.end is None else self.end.status

    @property
    def extended(self) -> Extended | None:
        """Return the extension, where there was one."""
        return self.extensions[-1] if self.extensions else None

    @property
    def pairs(self) -> list[Pair]:
        """Return the headlines: those of the plan, then those that block 0 decided."""
        return [*self.plan.pairs, *(self.decision.pairs if self.decision else [])]

    @property
    def entries(self) -> dict[str, Entry]:
        """Return the plan's entries by id, in the plan's order."""
        return {entry.id: entry for group in self.plan.groups for entry in group.entries}

    @property
    def arms(self) -> dict[str, Arm]:
        """Return the plan's arms by id, in the plan's order."""
        return {arm.id: arm for arm in self.plan.arms}


def make_run(records: Sequence[AnyRecord], warnings: Sequence[str] = ()) -> Run:
    """Sort the records of one journal, whose first is its plan, by kind; leave out what is void."""
    valid = _valid(records)
    environments = _of_kind(Environment, valid)
    decisions = _of_kind(Decision, valid)
    ends, extensions = _of_kind(End, valid), _of_kind(Extended, valid)
    decision = decisions[-1] if decisions else None
    if decision and extensions:
        decision = structs.replace(decision, blocks=extensions[-1].blocks)
    plan = _of_kind(Plan, valid)[0]
    for own in plan.libraries:
        own.introduce()
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
    """Return the facts in which machines of runs differ, by name; empty where all ran on the same one.

    Looks at each run's first environment. Memory may differ by 2 %. What a run does not tell, the host
    above all, does not make it different.
    """
    machines = [run.environment.machine for run in runs]
    return [
        name
        for name in SAME_MACHINE
        if _differ(name, [fact for machine in machines if (fact := machine.get(name)) is not None])
    ]


def _differ(name: str, facts: Sequence[Any]) -> bool:
    if name == "memory_bytes":
        return bool(max(facts, default=0) > MEMORY_VARIES * min(facts, default=0))
    return any(fact != facts[0] for fact in facts)


def _valid(records: Sequence[AnyRecord]) -> list[AnyRecord]:
    """Return the records but those that a later ``Resumed`` or ``Extended`` makes void, in their order."""
    first_void: float = float("inf")  # block from which on what stands before is void
    goes_on = False  # so that an End before is none
    kept: list[AnyRecord] = []
    for record in reversed(records):
        if isinstance(record, Measured):
            void = record.block >= first_void
        elif isinstance(record, End):
            void = goes_on
        else:
            void = isinstance(record, Decision | Conditions) and first_void <= 0
        if isinstance(record, Resumed):
            first_void = min(first_void, record.block)
        goes_on = goes_on or isinstance(record, Resumed | Extended)
        if not void:
            kept.append(record)
    return kept[::-1]


def _of_kind(kind: type[Kind], records: Iterable[AnyRecord]) -> tuple[Kind, ...]:
    return tuple(record for record in records if isinstance(record, kind))


def is_counted(burst: Burst) -> bool:
    """Return whether its values count: block 0 never does, and nothing that was not proved."""
    return burst.block >= 1 and burst.status in ("ok", "known_wrong")


def per_call_ns(burst: Burst) -> dict[int, float]:
    """Return the time of a call in nanoseconds, by round."""
    return {
        number: elapsed / burst.n_calls
        for number, elapsed in zip(burst.rounds, burst.elapsed_ns, strict=True)
    }
