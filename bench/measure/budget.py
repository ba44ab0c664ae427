"""What block 0 decides: the fastest form of each library, and what a time budget leaves out."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.measure.plan import CLAIM, fewest_blocks
from bench.results.record import Arm, Burst, Decision, Entry, Group, Pair, Plan

# what goes first when the time is short; the main group and the claim always stay
DROP_ORDER = ("single_step", "sequence", "gradient", "forward", "all-thread arms", "blocks")


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds that the parts of a counted block take, as block 0 showed."""

    start_s: float  # every worker started and ready
    entries_s: Mapping[str, float]  # entry id -> proof, warm-up and values
    spent_s: float  # from the start of the run to the end of block 0


def decide(plan: Plan, bursts: list[Burst], costs: Costs) -> Decision:
    """Choose the best forms, predict the plan's time and drop, in the declared order, what is too much."""
    groups, arms, blocks = list(plan.groups), list(plan.arms), plan.blocks
    predicted_s = full_s = _predict(groups, arms, blocks, costs)
    for what in DROP_ORDER:
        if plan.budget_s is None or predicted_s <= plan.budget_s:
            break
        if what == "blocks":
            fewest = fewest_blocks(groups) if plan.verdicts else 1
            while blocks > fewest and _predict(groups, arms, blocks, costs) > plan.budget_s:
                blocks -= 1
        elif what == "all-thread arms":
            arms = [arm for arm in arms if arm.threads == 1 or arm.device != "cpu"] or arms
        else:
            groups = [group for group in groups if group is plan.groups[0] or what not in group.name]
        predicted_s = _predict(groups, arms, blocks, costs)
    return Decision(
        pairs=_best_against_best(plan, bursts),
        predicted_s=round(full_s, 1),
        blocks=blocks,
        dropped_groups=[group.name for group in plan.groups if group not in groups],
        dropped_arms=[arm.id for arm in plan.arms if arm not in arms],
    )


def _predict(groups: list[Group], arms: list[Arm], blocks: int, costs: Costs) -> float:
    kept = {arm.id for arm in arms}
    entries_s = sum(
        costs.entries_s.get(entry.id, 0.0) for group in groups for entry in group.entries if entry.arm in kept
    )
    return costs.spent_s + blocks * (costs.start_s + entries_s)


def _best_against_best(plan: Plan, bursts: list[Burst]) -> list[Pair]:
    """Per training-step group and device: the fastest proved NumPy form and the fastest torch form.

    Chosen from block 0 alone, so that no pair is picked by the values that judge it.
    """
    arms = {arm.id: arm for arm in plan.arms}
    fastest_ns = {
        burst.entry: min(burst.elapsed_ns) / burst.n_calls
        for burst in bursts
        if burst.block == 0 and burst.status == "ok"
    }
    pairs: list[Pair] = []
    for group in plan.groups:
        proved = [entry for entry in group.entries if entry.id in fastest_ns and not arms[entry.arm].twin]
        if group.name == CLAIM or not proved or proved[0].case.task != "train_step":
            continue
        places = dict.fromkeys(
            (arms[entry.arm].device, arms[entry.arm].threads)
            for entry in proved
            if arms[entry.arm].library == "torch"
        )
        for device, threads in places:
            torch = [entry for entry in proved if _is(arms[entry.arm], "torch", device, threads)]
            numpy = [entry for entry in proved if _is(arms[entry.arm], "numpy", "cpu", threads)]
            if not numpy:
                continue

            def speed(entry: Entry) -> float:
                return fastest_ns[entry.id]

            name = f"best against best {group.name} {device} x{threads}"
            pairs.append(Pair(name, min(torch, key=speed).id, min(numpy, key=speed).id))
    return pairs


def _is(arm: Arm, library: str, device: str, threads: int) -> bool:
    return (arm.library, arm.device, arm.threads) == (library, device, threads)
