"""For the tests of damaged and resumed journals: a run of two arms that fits on a page."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from journals import example_environment, example_plan, example_records
from msgspec.structs import replace

from bench.records.journal import Journal
from bench.records.record import AnyRecord, Burst, Decision, End, Environment, Plan, Worker
from bench.records.sealed import FIRST, sealed_line


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
    records: list[AnyRecord] = [plan, example_environment()]
    for record in example_records(blocks=blocks):
        if isinstance(record, Worker) and arms & set(record.arms):
            records.append(replace(record, arms=[arm for arm in record.arms if arm in arms]))
        elif isinstance(record, Decision):
            records.append(replace(record, pairs=[]))
        elif isinstance(record, End) or (isinstance(record, Burst) and record.entry in entries):
            records.append(record)
    return records


def on(machine: dict[str, object]) -> Environment:
    """The example's environment on another machine."""
    environment = example_environment()
    return replace(environment, machine=environment.machine | machine)


def write(path: Path, records: Sequence[AnyRecord]) -> None:
    """A journal of these records."""
    with Journal(path) as journal:
        for record in records:
            journal.write(record)


def seal(path: Path, records: Iterable[object]) -> None:
    """Write a file of these records, JSON or objects, well sealed, as somebody might on purpose."""
    seal, lines = FIRST, []
    for record in records:
        line, seal = sealed_line(seal, record if isinstance(record, bytes) else msgspec.json.encode(record))
        lines.append(line)
    path.write_bytes(b"".join(lines))


def unsealed(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file as plain objects, to be edited."""
    return [json.loads(line)["record"] for line in path.read_bytes().splitlines()]
