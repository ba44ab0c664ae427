"""What block 0 decides: the fastest form of each library, and what a time budget leaves out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from bench.catalog import BASELINE
from bench.measure.limits import probing
from bench.measure.plan import least_blocks
from bench.results.record import Arm, Burst, Decision, Entry, Group, Pair, Plan, Probe

# only of a budget that holds: rather fewer rows than fewer blocks
SLOWER, ELSEWHERE = "slower forms", "slower places"
# what goes first when the time is short; the main group and the ladder always stay
DROP_ORDER = (
    "single_step",
    "sequence",
    "gradient",
    "forward",
    "all-thread arms",
    SLOWER,
    ELSEWHERE,
    "blocks",
)


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds that the parts of a counted block take, as block 0 showed."""

    start_s: float  # every worker of the plan started and ready
    entries_s: Mapping[str, float]  # entry id -> proof, warm-up and values
    spent_s: float  # from the start of the run to the end of block 0
    ready_s: Mapping[str, float] = field(default_factory=dict)  # arm id -> processor time of its start
    probes_s: Mapping[str, float] = field(default_factory=dict)  # arm id -> its basic operations


def decide(plan: Plan, bursts: list[Burst], costs: Costs) -> Decision:
    """Choose the best forms, predict the plan's time and drop, in the declared order, what is too much."""
    groups, blocks, pairs = list(plan.groups), plan.blocks, _best_against_best(plan, bursts)
    predicted_s = full_s = _predict(groups, blocks, costs, plan.probes)
    by_arm: dict[str, Callable[[], set[str]]] = {
        "all-thread arms": lambda: _all_thread_arms(plan, pairs),
        SLOWER: lambda: _slower_forms(plan, pairs),
        ELSEWHERE: lambda: _slower_places(plan, fastest_anywhere(plan, bursts)),
    }
    for what in DROP_ORDER:
        if plan.budget_s is None or predicted_s <= plan.budget_s:
            break
        if what == "blocks":
            fewest = least_blocks(plan, groups)
            while blocks > fewest and _predict(groups, blocks, costs, plan.probes) > plan.budget_s:
                blocks -= 1
        elif what in by_arm:
            dropped = by_arm[what]()
            groups = [_without(group, dropped) for group in groups]
        else:
            groups = [group for n, group in enumerate(groups) if n == 0 or not _is_of(group, what)]
        predicted_s = _predict(groups, blocks, costs, plan.probes)
    names = {group.name for group in groups}
    used = {entry.arm for group in groups for entry in group.entries}
    return Decision(
        pairs=pairs,
        predicted_s=round(full_s, 1),
        blocks=blocks,
        dropped_groups=[group.name for group in plan.groups if group.name not in names],
        dropped_arms=[arm.id for arm in plan.arms if arm.id not in used],
    )


def trimmed(groups: list[Group], decision: Decision) -> list[Group]:
    """The groups and entries that a decision leaves."""
    kept = [group for group in groups if group.name not in decision.dropped_groups]
    return [_without(group, set(decision.dropped_arms)) for group in kept]


def _is_of(group: Group, what: str) -> bool:
    """Whether a table is of that task or, unless its data are random, of that layout."""
    case = group.entries[0].case if group.kind == "table" and group.entries else None
    return case is not None and (case.task == what or (case.layout == what and case.data != "random"))


def _without(group: Group, arms: set[str]) -> Group:
    return replace(group, entries=[entry for entry in group.entries if entry.arm not in arms])


def _all_thread_arms(plan: Plan, pairs: list[Pair]) -> set[str]:
    """The CPU's arms with several threads, but for what an accelerator is compared with, and its twin."""
    entries, arms = _arms_of_entries(plan), {arm.id: arm for arm in plan.arms}
    rivals = {entries[pair.baseline] for pair in pairs if arms[entries[pair.entry]].device != "cpu"}
    on_cpu = [arm for arm in plan.arms if arm.device == "cpu"]
    needed = {arm.threads for arm in plan.arms if arm.device != "cpu"}
    many = {
        arm.id for arm in on_cpu if arm.threads > 1 and not (arm.spec == BASELINE and arm.threads in needed)
    }
    many -= rivals
    return many if len(many) < len(on_cpu) else set()


def _slower_forms(plan: Plan, pairs: list[Pair]) -> set[str]:
    """The arms of a budget that holds which are in no pair of block 0's; baselines and twins always stay."""
    if not plan.budget_holds or not pairs:
        return set()
    entries = _arms_of_entries(plan)
    best = {entries[side] for pair in pairs for side in (pair.entry, pair.baseline)}
    return {arm.id for arm in plan.arms if arm.id not in best and arm.spec != BASELINE}


def _slower_places(plan: Plan, pair: Pair | None) -> set[str]:
    """The arms of a budget that holds but for that pair, and the baseline and twin with NumPy's threads."""
    if not plan.budget_holds or pair is None:
        return set()
    arms = {arm.id: arm for arm in plan.arms}
    entries = _arms_of_entries(plan)
    kept = {entries[pair.entry], entries[pair.baseline]}
    threads = arms[entries[pair.baseline]].threads
    return {
        arm.id for arm in plan.arms if arm.id not in kept and (arm.spec, arm.threads) != (BASELINE, threads)
    }


def _arms_of_entries(plan: Plan) -> dict[str, str]:
    return {entry.id: entry.arm for group in plan.groups for entry in group.entries}


def _predict(groups: list[Group], blocks: int, costs: Costs, probes: list[Probe]) -> float:
    seconds = costs.spent_s
    for block in range(1, blocks + 1):
        entries = [entry for group in active(groups, block) for entry in group.entries]
        starting = {entry.arm for entry in entries} & costs.ready_s.keys()
        share = sum(costs.ready_s[arm] for arm in starting) / (sum(costs.ready_s.values()) or 1.0)
        seconds += costs.start_s * (share if costs.ready_s else 1.0)
        seconds += sum(costs.entries_s.get(entry.id, 0.0) for entry in entries)
        asked = probing(probes, active(groups, block), block)
        seconds += sum(costs.probes_s.get(probe.arm, 0.0) for probe in asked)
    return seconds


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
    """The fastest proved form of PyTorch in the main table over that of NumPy, by block 0 alone.

    Wherever they computed. None where block 0 has not both.
    """
    arms, fastest_ns = {arm.id: arm for arm in plan.arms}, fastest_of_block_0(bursts)
    best: dict[str, str] = {}  # by library
    for entry in plan.groups[0].entries:
        arm = arms[entry.arm]
        if entry.id in fastest_ns and not arm.twin:
            best[arm.library] = min(best.get(arm.library, entry.id), entry.id, key=fastest_ns.__getitem__)
    return Pair("best", best["torch"], best["numpy"]) if len(best) == 2 else None


def _best_against_best(plan: Plan, bursts: list[Burst]) -> list[Pair]:
    """Per group of the main task and per device: the fastest proved NumPy form and the fastest torch form.

    Chosen from block 0 alone, so that no pair is picked by the values that judge it. On the CPU both have as
    many threads; an accelerator's rival is NumPy with whatever number of threads is fastest.
    """
    arms = {arm.id: arm for arm in plan.arms}
    fastest_ns = fastest_of_block_0(bursts)
    main_task = plan.groups[0].entries[0].case.task
    pairs: list[Pair] = []
    for group in plan.groups:
        proved = [entry for entry in group.entries if entry.id in fastest_ns and not arms[entry.arm].twin]
        if group.kind != "table" or not proved or proved[0].case.task != main_task:
            continue
        places = dict.fromkeys(
            (arms[entry.arm].device, arms[entry.arm].threads)
            for entry in proved
            if arms[entry.arm].library == "torch"
        )
        for device, threads in places:
            torch = [entry for entry in proved if _is(arms[entry.arm], "torch", device, threads)]
            rivals = [entry for entry in proved if arms[entry.arm].library == "numpy"]
            numpy = [one for one in rivals if device != "cpu" or arms[one.arm].threads == threads]
            if not numpy:
                continue

            def speed(entry: Entry) -> float:
                return fastest_ns[entry.id]

            pairs.append(Pair("best", min(torch, key=speed).id, min(numpy, key=speed).id))
    return pairs


def _is(arm: Arm, library: str, device: str, threads: int) -> bool:
    return (arm.library, arm.device, arm.threads) == (library, device, threads)
