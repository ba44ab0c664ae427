"""Split a plan into parts that separate hosts can measure: both sides of every ratio stay on one host."""

from collections.abc import Iterable, Sequence
from itertools import chain

from msgspec.structs import replace

from bench.records.record import Group, Plan
from bench.workload.case import Case

# kinds of groups that are cases of their own; what explains the main case is measured with it
OWN = ("table", "cells")


def split(plan: Plan) -> dict[str, Plan]:
    """Return the plans of the parts by name; together they have the groups of the whole plan, each once.

    Groups that share a measured entry stay together. What explains the main case (ladder, compiled code,
    dispatch, probes) goes with the first part, which also tells what is missing. Each part has an equal share
    of the time budget.
    """
    parts: list[list[Group]] = []
    for group in plan.groups:
        joined = [part for part in parts if _work(part) & _work([group])]
        if group.kind not in OWN and parts and parts[0] not in joined:
            joined.insert(0, parts[0])
        apart = [part for part in parts if part not in joined]
        parts = sorted([*apart, [*chain(*joined), group]], key=lambda part: plan.groups.index(part[0]))
    plans = (_part(plan, groups, number, len(parts)) for number, groups in enumerate(parts, start=1))
    return {part.run: part for part in plans}


def _work(groups: Iterable[Group]) -> set[tuple[str, Case]]:
    """Return what these groups measure; equal entries are measured once."""
    return {(entry.arm, entry.case) for group in groups for entry in group.entries}


def _part(plan: Plan, groups: Sequence[Group], number: int, parts: int) -> Plan:
    """Return the plan cut down to these groups."""
    entries = {entry.id for group in groups for entry in group.entries}
    used = {entry.arm for group in groups for entry in group.entries}
    arms = [arm for arm in plan.arms if arm.id in used]
    libraries = {arm.library for arm in arms}
    case = groups[0].entries[0].case
    return replace(
        plan,
        run=f"{number:03}-{case.task}-B{case.shape.B}-T{case.shape.T}-H{case.shape.H}",
        budget_s=None if plan.budget_s is None else plan.budget_s / parts,
        arms=arms,
        groups=[group for group in plan.groups if group in groups],
        pairs=[pair for pair in plan.pairs if {pair.entry, pair.baseline} <= entries],
        missing=plan.missing if number == 1 else [],
        ladder=[rung for rung in plan.ladder if rung.entry in entries],
        probes=plan.probes if number == 1 else [],
        libraries=[library for library in plan.libraries if library.name in libraries],
    )
