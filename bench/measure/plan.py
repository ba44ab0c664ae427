"""The plan: groups of entries, each against its baseline, declared before the first value.

A group is a table: entries that are neighbours in time in every block. The baseline is
``numpy-batched`` on the CPU with the same thread count; it has a twin, whose ratio to it is the noise floor.
"""

import secrets

import bench
from bench import catalog
from bench.answer.statistics import MIN_BLOCKS, blocks_needed
from bench.case import Case, sine_case
from bench.errors import UserError
from bench.host.gates import LIMITS
from bench.measure.preset import Wishes, cases, choose_arms, compiled_arm
from bench.measure.stopping import PRECISION
from bench.proof.tolerance import too_small_for_float32
from bench.results.record import MAX_BLOCKS, SCHEMA, Arm, Entry, Group, Missing, Pair, Plan

MARGIN = 0.02
BLOCKS = {"primer": 10, "full": 20}
QUICK_BLOCKS = 3
BUDGET_S = 114.0  # of the default run: two minutes, less finding devices and drawing the report
CLAIM = "claim"
COMPILED = "compiled"
COMPILED_BLOCKS = 6  # enough for the verdict of its one comparison
AS_WRITTEN = "torch-rnn"  # against the baseline: how each is usually written


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
    if not wishes.customised and "cpu" in wishes.devices and wishes.no_torch is None:
        groups.append(_claim_group(main_arms))
    if wishes.preset == "primer" and not (wishes.customised or wishes.quick) and "cpu" in wishes.devices:
        main_arms = [*main_arms, compiled_arm()]
        groups.append(_compiled_group(groups[0], main_arms[-1], missing, wishes))
    arms = {arm.id: arm for arm in main_arms}
    if not any(comparisons(group) for group in groups):
        reasons = "; ".join(dict.fromkeys(item.reason for item in missing)) or "no variant was chosen"
        raise UserError(f"nothing to measure: {reasons}")

    groups = [group for group in groups if group.entries]
    used = {entry.arm for group in groups for entry in group.entries}
    return Plan(
        schema=SCHEMA,
        run=run,
        version=bench.__version__,
        started_utc=started_utc,
        command=command,
        preset="quick" if wishes.quick else "custom" if wishes.customised else wishes.preset,
        seed=secrets.randbelow(1 << 32) if wishes.seed is None else wishes.seed,
        blocks=_blocks(wishes, groups),
        verdicts=not wishes.quick,
        margin=MARGIN,
        budget_s=_budget_s(wishes),
        arms=[arm for arm in main_arms if arm.id in used],
        groups=groups,
        pairs=_pairs(groups, arms),
        missing=missing,
        gates=dict(LIMITS),
        precision=None if wishes.quick else PRECISION,
    )


def comparisons(group: Group) -> int:
    """How many verdicts a table asks for: its entries with a baseline; the twin is the control."""
    return sum(entry.baseline is not None and not entry.arm.endswith(" twin") for entry in group.entries)


def fewest_blocks(groups: list[Group]) -> int:
    """Blocks below which some family of verdicts, a table or all twins, could not reach one."""
    twins = sum(entry.arm.endswith(" twin") for group in groups for entry in group.entries)
    families = [comparisons(group) for group in groups if group.blocks is None]
    return max(MIN_BLOCKS, *map(blocks_needed, [max(1, twins), *families]))


def _group(case: Case, arms: list[Arm], missing: list[Missing], wishes: Wishes) -> Group:
    """The entries of one case; what an arm does not support joins ``missing`` with the reason."""
    name = _group_name(case)
    entries: list[Entry] = []
    for arm in arms:
        entry_id = f"{name} | {arm.id}"
        reason = wishes.no_torch if arm.library == "torch" else None
        if arm.device in wishes.no_float64 and (case.dtype == "float64" or too_small_for_float32(case)):
            reason = f"{arm.device} has no float64, which this case, or its proof, needs"
        reason = reason or catalog.find(arm.spec).unsupported(case, arm.device)
        if reason is not None:
            missing.append(Missing(entry_id, reason))
            continue
        baseline = f"{name} | {catalog.BASELINE}@cpu x{arm.threads}"
        entries.append(Entry(entry_id, name, arm.id, case, None if entry_id == baseline else baseline))
    return Group(name, entries)


def _group_name(case: Case) -> str:
    """Task and layout, and the shape where it is not the primer's."""
    if case.data == "random":
        return f"{case.task} random {case.shape}"
    name = f"{case.task} {case.layout}"
    return name if case.shape == sine_case(case.task, case.layout).shape else f"{name} {case.shape}"


def _compiled_group(main: Group, arm: Arm, missing: list[Missing], wishes: Wishes) -> Group:
    """The main case by compiled code against its baseline, in fewer blocks."""
    baseline = next(entry for entry in main.entries if entry.baseline is None)
    group = _group(baseline.case, [arm], missing, wishes)
    first = Entry(f"{COMPILED} | {baseline.arm}", COMPILED, baseline.arm, baseline.case, None)
    rows = [Entry(f"{COMPILED} | {one.arm}", COMPILED, one.arm, one.case, first.id) for one in group.entries]
    return Group(COMPILED, [first, *rows] if rows else [], COMPILED_BLOCKS)


def _claim_group(arms: list[Arm]) -> Group:
    """The tutorial's two programs, next to each other: different work, different precision."""
    one_thread = {arm.spec: arm.id for arm in arms if (arm.device, arm.threads) == ("cpu", 1)}
    published, cell = one_thread["numpy-published"], one_thread["torch-cell"]
    first = sine_case("train_step", "positional", dtype="float64", activation="sigmoid")
    second = sine_case("train_step", "single_step")
    baseline = f"{CLAIM} | {published}"
    return Group(
        CLAIM,
        [
            Entry(baseline, CLAIM, published, first, None),
            Entry(f"{CLAIM} | {cell}", CLAIM, cell, second, baseline),
        ],
    )


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
                pairs.append(Pair(f"twin {group.name} x{arm.threads}", entry.id, entry.baseline))
            elif group.name in (CLAIM, COMPILED):
                pairs.append(Pair(group.name, entry.id, entry.baseline))
            elif arm.spec == AS_WRITTEN and entry.case.task == main_task:
                where = f"{arm.device} x{arm.threads}"
                pairs.append(Pair(f"as written {group.name} {where}", entry.id, entry.baseline))
    return pairs


def _blocks(wishes: Wishes, groups: list[Group]) -> int:
    """Counted blocks; refused where a table could never reach a verdict at that number."""
    if wishes.blocks is not None and wishes.blocks > MAX_BLOCKS:
        raise UserError(f"--blocks {wishes.blocks}: a run has at most {MAX_BLOCKS}")
    if wishes.quick:
        return wishes.blocks or QUICK_BLOCKS
    needed = fewest_blocks(groups)
    if wishes.blocks is None:
        return max(BLOCKS[wishes.preset], needed)
    if wishes.blocks < needed:
        family = max(comparisons(group) for group in groups)
        raise UserError(
            f"a table of {family} comparisons needs {needed} blocks for a verdict, not {wishes.blocks}; "
            "give more --blocks, choose fewer variants, or take --quick for times without verdicts"
        )
    return wishes.blocks


def _budget_s(wishes: Wishes) -> float | None:
    default = wishes.preset == "primer" and not (wishes.customised or wishes.quick)
    return BUDGET_S if wishes.budget_s is None and default else wishes.budget_s
