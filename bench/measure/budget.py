"""What block 0 decides: the fastest form of each library, and how many rounds and blocks the time holds."""

import math
from collections.abc import Iterable, Iterator

from bench.analysis.statistics import MIN_BLOCKS
from bench.machine.errors import UserError
from bench.measure.costs import Costs
from bench.measure.limits import probing
from bench.measure.plan import HELD_ROUNDS, LEAST_ROUNDS, least_blocks, without
from bench.measure.schedule import SLOW_CALL_NS, SLOW_ROUNDS
from bench.records.record import Burst, Decision, Entry, Group, Pair, Plan, measured_as
from bench.workload.catalog import find
from bench.workload.cell import find_cell

CALIBRATION_S, PROOF_S, TURN_S = 0.2, 0.03, 0.004  # of an entry, as usual
SPARE = 1.03  # of a predicted time: machines do not get faster


def decide(plan: Plan, bursts: list[Burst], costs: Costs) -> Decision:
    """Choose the best forms, predict the plan's time, and take fewer rounds, then fewer blocks, if need be.

    A budget that holds leaves out rows first: those that are in no pair.

    Raises:
        UserError: not even the least that the plan's verdicts need fits the budget.
    """
    groups, pairs = list(plan.groups), _best_against_best(plan, bursts)
    seconds = _Seconds(plan, bursts, costs)
    whole_s = seconds.predict(groups, plan.blocks, plan.rounds)
    budget_s = math.inf if plan.budget_s is None else plan.budget_s
    if plan.budget_rule == "hold":
        for arms in (_slower_forms(plan, pairs), _slower_places(plan, fastest_anywhere(plan, bursts))):
            if seconds.predict(groups, plan.blocks, plan.rounds) > budget_s:
                groups = [without(group, arms) for group in groups]
    blocks, rounds, fewest = plan.blocks, plan.rounds, least_blocks(plan, groups)
    least_rounds = LEAST_ROUNDS
    if plan.budget_rule == "hold":  # ended by its time, not by its blocks: so many rounds as let a verdict be
        blocks = fewest = min(blocks, MIN_BLOCKS + 1)  # one to spare, since times are predicted
        least_rounds = HELD_ROUNDS
        if seconds.predict(groups, blocks, least_rounds) > budget_s:  # rather a verdict than its reason
            groups = [group for group in groups if group.kind != "dispatch"]
    while rounds > least_rounds and seconds.predict(groups, blocks, rounds) > budget_s:
        rounds -= 1
    while blocks > fewest and seconds.predict(groups, blocks, rounds) > budget_s:
        blocks -= 1
    least_s = seconds.predict(groups, blocks, rounds)
    if plan.budget_rule == "refuse" and least_s > budget_s:
        raise too_short(plan, least_s)
    names = {group.name for group in groups}
    used = {entry.arm for group in groups for entry in group.entries}
    return Decision(
        pairs=pairs,
        predicted_s=round(whole_s, 1),
        blocks=plan.blocks if plan.budget_rule == "hold" else blocks,
        rounds=rounds,
        dropped_groups=[group.name for group in plan.groups if group.name not in names],
        dropped_arms=[arm.id for arm in plan.arms if arm.id not in used],
    )


def too_short(plan: Plan, least_s: float) -> UserError:
    """The error for a time budget that the plan cannot keep."""
    return UserError(
        f"--budget {plan.budget_s:g}s cannot be kept: the least for this plan is about {least_s:.0f} s; give "
        f"--budget {5 * math.ceil(least_s / 5)}s, choose fewer --variant, or take --quick"
    )


def usual_s(groups: list[Group], blocks: int) -> float:
    """About what the entries usually take beside the starts, while nothing is known of them."""
    entries = len(set(measured_as(groups).values()))
    return entries * (CALIBRATION_S + blocks * (PROOF_S + LEAST_ROUNDS * TURN_S))


class _Seconds:
    """Predicts the time of a run from what block 0 took."""

    def __init__(self, plan: Plan, bursts: Iterable[Burst], costs: Costs) -> None:
        self._plan, self._costs = plan, costs
        self._measured_as = measured_as(plan.groups)
        self._turn_s: dict[str, float] = {}
        self._slow: set[str] = set()
        for burst in bursts:
            if burst.block == 0:
                per_call_ns = min(burst.elapsed_ns) / burst.n_calls
                self._turn_s[burst.entry] = costs.turn_s[burst.entry] + burst.rewarm_calls * per_call_ns / 1e9
                if per_call_ns > SLOW_CALL_NS:
                    self._slow.add(burst.entry)

    def predict(self, groups: list[Group], blocks: int, rounds: int) -> float:
        """Seconds from the start of the run to its end."""
        return self._costs.spent_s + SPARE * sum(
            self._block(active(groups, block), block, rounds) for block in range(1, blocks + 1)
        )

    def _block(self, groups: list[Group], block: int, rounds: int) -> float:
        costs = self._costs
        entries = {self._measured_as[entry.id] for entry in _entries(groups)} & self._turn_s.keys()
        arms = {entry.arm for entry in _entries(groups)}
        return (
            costs.starting_s([worker for worker, held in costs.holds.items() if held & arms])
            + sum(costs.prove_s[entry] for entry in entries)
            + sum(
                self._turn_s[entry] * (math.ceil(rounds / SLOW_ROUNDS) if entry in self._slow else rounds)
                for entry in entries
            )
            + sum(costs.probes_s.get(probe.arm, 0.0) for probe in probing(self._plan.probes, groups, block))
        )


def trimmed(groups: list[Group], decision: Decision) -> list[Group]:
    """The groups and entries that a decision leaves."""
    kept = [group for group in groups if group.name not in decision.dropped_groups]
    return [without(group, set(decision.dropped_arms)) for group in kept]


def _slower_forms(plan: Plan, pairs: list[Pair]) -> set[str]:
    """The arms which are in no pair of block 0's; baselines and twins always stay."""
    if not pairs:
        return set()
    entries = _arms_of_entries(plan)
    best = {entries[side] for pair in pairs for side in (pair.entry, pair.baseline)}
    return {arm.id for arm in plan.arms if arm.id not in best and arm.spec != _baseline(plan)}


def _slower_places(plan: Plan, pair: Pair | None) -> set[str]:
    """The arms but for that pair, and the baseline and twin with NumPy's threads."""
    if pair is None:
        return set()
    arms = {arm.id: arm for arm in plan.arms}
    entries = _arms_of_entries(plan)
    kept = {entries[pair.entry], entries[pair.baseline]}
    threads = arms[entries[pair.baseline]].threads
    return {
        arm.id
        for arm in plan.arms
        if arm.id not in kept and (arm.spec, arm.threads) != (_baseline(plan), threads)
    }


def _arms_of_entries(plan: Plan) -> dict[str, str]:
    return {entry.id: entry.arm for group in plan.groups for entry in group.entries}


def _entries(groups: Iterable[Group]) -> Iterator[Entry]:
    return (entry for group in groups for entry in group.entries)


def active(groups: list[Group], block: int) -> list[Group]:
    """The groups that take part in a counted block."""
    return [group for group in groups if group.blocks is None or block <= group.blocks]


def fastest_of_block_0(bursts: Iterable[Burst]) -> dict[str, float]:
    """The fastest value of block 0 in nanoseconds a call, for every entry that is right and came to rest."""
    return {
        burst.entry: min(burst.elapsed_ns) / burst.n_calls
        for burst in bursts
        if burst.block == 0 and burst.status == "ok" and burst.settled is not False
    }


def fastest_anywhere(plan: Plan, bursts: Iterable[Burst]) -> Pair | None:
    """The fastest proved form of another library in the main table over that of the baseline's, by block 0.

    Wherever they computed. None where block 0 has not both.
    """
    arms, fastest_ns, home = {arm.id: arm for arm in plan.arms}, fastest_of_block_0(bursts), _home(plan)
    proved = [e for e in plan.groups[0].entries if e.id in fastest_ns and not arms[e.arm].twin]
    own = [entry.id for entry in proved if arms[entry.arm].library == home]
    others = [entry.id for entry in proved if arms[entry.arm].library != home]
    if not (own and others):
        return None
    return Pair("best", min(others, key=fastest_ns.__getitem__), min(own, key=fastest_ns.__getitem__))


def _home(plan: Plan) -> str:
    """Return the library of the baseline, which those of others are compared with."""
    return find(_baseline(plan)).library


def _baseline(plan: Plan) -> str:
    """Return the variant that others are compared with, as the plan's arms name it."""
    return find_cell(plan.groups[0].entries[0].case.cell).baseline


def _best_against_best(plan: Plan, bursts: list[Burst]) -> list[Pair]:
    """Per group of the main task, per other library and place: its fastest proved form and that of the
    baseline's library.

    Chosen from block 0 alone, so that no pair is picked by the values that judge it. On the CPU both have as
    many threads; an accelerator's rival is on the CPU with whatever number of threads is fastest.
    """
    arms, home = {arm.id: arm for arm in plan.arms}, _home(plan)
    fastest_ns = fastest_of_block_0(bursts)
    main_task = plan.groups[0].entries[0].case.task
    pairs: list[Pair] = []
    for group in plan.groups:
        proved = [entry for entry in group.entries if entry.id in fastest_ns and not arms[entry.arm].twin]
        if group.kind != "table" or not proved or proved[0].case.task != main_task:
            continue
        forms: dict[tuple[str, str, int], list[str]] = {}  # by library, device and threads
        for entry in proved:
            arm = arms[entry.arm]
            forms.setdefault((arm.library, arm.device, arm.threads), []).append(entry.id)
        for (library, device, threads), own in forms.items():
            rivals = [
                entry
                for (other, _, theirs), entries in forms.items()
                if other == home and (device != "cpu" or theirs == threads)
                for entry in entries
            ]
            if library != home and rivals:
                best = (min(ids, key=fastest_ns.__getitem__) for ids in (own, rivals))
                pairs.append(Pair("best", *best))
    return pairs
