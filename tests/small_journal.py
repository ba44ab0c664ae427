"""For the tests of damaged and resumed journals: a run of two arms that fits on a page."""

from collections.abc import Sequence
from pathlib import Path

from journals import example_environment, example_plan, example_records
from msgspec.structs import replace

from bench.records.journal import Journal
from bench.records.record import AnyRecord, Burst, Decision, End, Environment, Plan, Worker


def small_plan(blocks: int = 2) -> Plan:
    """One table, numpy-batched and its twin."""
    plan = example_plan(quick=True)
    table = plan.groups[0]
    return replace(
        plan,
        blocks=blocks,
        arms=plan.arms[:2],
        groups=[replace(table, entries=table.entries[:2])],
        pairs=[],
        missing=[],
        ladder=[],
        probes=[],
    )


def small_records(blocks: int = 2) -> list[AnyRecord]:
    """Plan and environment, two workers and two bursts a block, a decision, an end."""
    plan = small_plan(blocks)
    entries = {entry.id for entry in plan.groups[0].entries}
    arms = {arm.id for arm in plan.arms}
    made: list[AnyRecord] = [plan, example_environment()]
    for record in example_records(blocks=blocks):
        if isinstance(record, Worker) and arms & set(record.arms):
            made.append(replace(record, arms=[arm for arm in record.arms if arm in arms]))
        elif isinstance(record, Burst) and record.entry in entries:
            made.append(record)
        elif isinstance(record, Decision):
            made.append(replace(record, pairs=[]))
        elif isinstance(record, End):
            made.append(record)
    return made


def on(machine: dict[str, object]) -> Environment:
    """The example's environment on another machine."""
    environment = example_environment()
    return replace(environment, machine=environment.machine | machine)


def write(path: Path, records: Sequence[AnyRecord]) -> None:
    """A journal of these records."""
    with Journal(path) as journal:
        for record in records:
            journal.write(record)
