"""The plan: groups of entries, each against its baseline, declared before the first value.

A group is a table: entries that are neighbours in time in every block. The baseline is
``numpy-batched`` on the CPU with the same thread count; it has a twin, whose ratio to it is the noise floor.
"""

import secrets
from collections.abc import Collection, Iterable

from msgspec.structs import replace

import bench
from bench.analysis.statistics import ALPHA, MIN_BLOCKS, blocks_needed
from bench.machine.errors import UserError
from bench.machine.gates import LIMITS
from bench.measure.ladder import claim, compiled_group, ladder_group
from bench.measure.limits import dispatch_group, probes
from bench.measure.preset import Wishes, cases, choose_arms
from bench.measure.stopping import PRECISION
from bench.proof.tolerance import too_small_for_float32
from bench.records.record import MAX_BLOCKS, SCHEMA, Arm, Entry, Group, Missing, OwnLibrary, Pair, Plan
from bench.workload import catalog
from bench.workload.case import Case, sine_case
from bench.workload.cell import find_cell

MARGIN = 0.02
BLOCKS = {"primer": 10, "grid": 8, "full": 20}
QUICK_BLOCKS = 3
ROUNDS, LEAST_ROUNDS, QUICK_ROUNDS = 30, 10, 15  # of a block; fewer where a time budget asks for it
HELD_ROUNDS = 7  # where a budget holds, at least: of slow calls three values
# of the default run 110 s, of the grid ten minutes, less finding devices and drawing the report
BUDGETS_S = {"primer": 104.0, "grid": 585.0}


def make_plan(wishes: Wishes, *, run: str, started_utc: str, command: list[str]) -> Plan:
    """Turn wishes into a declared plan.

    Raises:
        UserError: nothing to measure, or too few blocks for the verdicts of a table.
    """
    missing = list(wishes.missing)
    main_arms, side_arms = choose_arms(wishes)
    groups: list[Group] = []
    for number, case in enumerate(cases(wishes)):
        groups.append(_group(case, main_arms if number == 0 else side_arms, missing, wishes))
    if wishes.preset == "grid":
        groups = _fewer_twins(groups, main_arms)
    ladder, rungs, more = ladder_group(wishes) if wishes.standard else (None, [], [])
    if ladder is not None and ladder.entries:
        groups.append(ladder)
        main_arms = [*main_arms, *more]
    if wishes.standard and wishes.preset == "primer" and not wishes.quick:
        compiled, branch, more = compiled_group(groups[0].entries[0].case, wishes, missing)
        groups, rungs, main_arms = [*groups, compiled], [*rungs, *branch], [*main_arms, *more]
    arms = {arm.id: arm for arm in main_arms}
    if not any(comparisons(group, arms.values()) for group in groups):
        reasons = "; ".join(dict.fromkeys(item.reason for item in missing)) or "no variant was chosen"
        raise UserError(f"nothing to measure: {reasons}")

    asked = [] if wishes.quick or wishes.preset == "grid" else probes(groups[0], arms)
    if asked:
        groups.append(dispatch_group(groups[0], arms, wishes.no_float64))
    groups = [group for group in groups if group.entries]
    used = {entry.arm for group in groups for entry in group.entries}
    return Plan(
        schema=SCHEMA,
        run=run,
        version=bench.__version__,
        started_utc=started_utc,
        command=command,
        preset=_label(wishes),
        seed=secrets.randbelow(1 << 32) if wishes.seed is None else wishes.seed,
        blocks=_blocks(wishes, groups, arms.values()),
        rounds=wishes.rounds or (QUICK_ROUNDS if wishes.quick else ROUNDS),
        verdicts=not wishes.quick,
        margin=MARGIN,
        budget_s=_budget_s(wishes),
        arms=[arm for arm in arms.values() if arm.id in used],
        groups=groups,
        pairs=[*_pairs(groups, arms), *claim(rungs)],
        missing=missing,
        gates=dict(LIMITS),
        precision=None if wishes.quick else PRECISION,
        ladder=rungs,
        probes=asked,
        isolate=wishes.isolate,
        budget_rule=wishes.budget_rule,
        libraries=[
            OwnLibrary.of(name)
            for name in catalog.own_libraries(arm.spec for arm in arms.values() if arm.id in used)
        ],
    )


def comparisons(group: Group, arms: Iterable[Arm]) -> int:
    """How many verdicts a table asks for: its entries with a baseline; the twin is the control."""
    return sum(entry.baseline is not None for entry in _without_twins(group, arms).entries)


def fewest_blocks(groups: list[Group], arms: Collection[Arm]) -> int:
    """Blocks below which some family of verdicts, a table or all twins, could not reach one."""
    twins = sum(len(group.entries) - len(_without_twins(group, arms).entries) for group in groups)
    families = [comparisons(group, arms) for group in groups if group.blocks is None]
    return max(MIN_BLOCKS, blocks_needed(twins, ALPHA), *map(blocks_needed, families))


def least_blocks(plan: Plan, groups: list[Group]) -> int:
    """Blocks that are measured whatever the time budget: what verdicts need, or one."""
    return fewest_blocks(groups, plan.arms) if plan.verdicts and plan.budget_rule != "hold" else 1


def _group(case: Case, arms: list[Arm], missing: list[Missing], wishes: Wishes) -> Group:
    """The entries of one case; what an arm does not support joins ``missing`` with the reason."""
    name = _group_name(case)
    entries: list[Entry] = []
    for arm in arms:
        entry_id = f"{name} | {arm.id}"
        reason = wishes.missing_libraries.get(arm.library)
        if arm.device in wishes.no_float64 and (case.dtype == "float64" or too_small_for_float32(case)):
            reason = f"{arm.device} has no float64, which this case, or its proof, needs"
        reason = reason or catalog.find(arm.spec).unsupported(case, arm.device)
        if reason is not None:
            missing.append(Missing(entry_id, reason, arm.library))
            continue
        baseline = f"{name} | {catalog.find(find_cell(case.cell).baseline).name}@cpu x{arm.threads}"
        entries.append(Entry(entry_id, name, arm.id, case, None if entry_id == baseline else baseline))
    return Group(name, entries)


def _group_name(case: Case) -> str:
    """Task and layout, and the shape where it is not the primer's."""
    if case.data == "random":
        return f"{case.task} random {case.shape}"
    name = f"{case.task} {case.layout}"
    return name if case.shape == sine_case(case.task, case.layout).shape else f"{name} {case.shape}"


def _fewer_twins(groups: list[Group], arms: Collection[Arm]) -> list[Group]:
    """A twin in three tables, of least, middling and most work: more of them would ask for more blocks."""
    by_work = sorted((group for group in groups if group.entries), key=_work)
    kept = {by_work[place].name for place in (0, len(by_work) // 2, -1)} if by_work else set()
    return [group if group.name in kept else _without_twins(group, arms) for group in groups]


def without(group: Group, arms: Collection[str]) -> Group:
    """Leave out a group's entries of these arms, given by their ids."""
    return replace(group, entries=[entry for entry in group.entries if entry.arm not in arms])


def _without_twins(group: Group, arms: Iterable[Arm]) -> Group:
    return without(group, {arm.id for arm in arms if arm.twin})


def _work(group: Group) -> int:
    """About what a call of a group's case takes."""
    return group.entries[0].case.shape.work


def _pairs(groups: list[Group], arms: dict[str, Arm]) -> list[Pair]:
    """The headlines known before block 0: twins, the claim, and as written for the main group's task."""
    main_task = groups[0].entries[0].case.task
    pairs: list[Pair] = []
    for group in groups:
        for entry in group.entries:
            arm = arms[entry.arm]
            if entry.baseline is None:
                continue
            if arm.twin:
                pairs.append(Pair("twin", entry.id, entry.baseline))
            elif group.kind == "compiled":
                pairs.append(Pair("compiled", entry.id, entry.baseline))
            elif catalog.find(arm.spec).role == "as_written" and entry.case.task == main_task:
                pairs.append(Pair("as_written", entry.id, entry.baseline))
    return pairs


def _blocks(wishes: Wishes, groups: list[Group], arms: Collection[Arm]) -> int:
    """Counted blocks; refused where a table could never reach a verdict at that number."""
    if wishes.blocks is not None and wishes.blocks > MAX_BLOCKS:
        raise UserError(f"--blocks {wishes.blocks}: a run has at most {MAX_BLOCKS}")
    if wishes.quick:
        return wishes.blocks or QUICK_BLOCKS
    needed = fewest_blocks(groups, arms)
    if wishes.blocks is None:
        return max(BLOCKS[wishes.preset], needed)
    if wishes.blocks < needed:
        family = max(comparisons(group, arms) for group in groups)
        raise UserError(
            f"a table of {family} comparisons needs {needed} blocks for a verdict, not {wishes.blocks}; "
            "give more --blocks, choose fewer variants, or take --quick for times without verdicts"
        )
    return wishes.blocks


def _label(wishes: Wishes) -> str:
    """What the plan calls itself."""
    if wishes.quick:
        return "quick"
    return "custom" if wishes.customised and wishes.preset != "grid" else wishes.preset


def _budget_s(wishes: Wishes) -> float | None:
    default = BUDGETS_S.get(wishes.preset) if not (wishes.customised or wishes.quick) else None
    return default if wishes.budget_s is None else wishes.budget_s
