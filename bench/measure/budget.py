"""What a run has seen and what its parts take; what follows: the best forms, and what the time holds."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from bench.analysis.statistics import MIN_BLOCKS, paired_log_ratio, rank_interval
from bench.machine.errors import UserError
from bench.machine.host import usable_cpus
from bench.measure.plan import HELD_ROUNDS, LEAST_ROUNDS, active, least_blocks, probing, without
from bench.measure.schedule import SLOW_CALL_NS, SLOW_ROUNDS
from bench.records.record import (
    AnyRecord,
    Burst,
    Calibration,
    Decision,
    Entry,
    Failure,
    Group,
    Pair,
    Plan,
    Primitive,
    Probe,
    Rates,
    Worker,
    measured_as,
)
from bench.records.run import per_call_ns
from bench.workload.case import Case
from bench.workload.catalog import find
from bench.workload.cell import find_cell

MOST_TOGETHER = 4  # blocks whose workers start at the same time
WORKER_BYTES = 500_000_000  # of memory, with torch and what it holds
AGAIN = 0.5  # of what compiling took from nothing: finding what was compiled takes far less
CALIBRATION_S, PROOF_S, TURN_S = 0.2, 0.03, 0.004  # of an entry, as usual
SPARE = 1.03  # of a predicted time: machines do not get faster
EARLIEST = 10  # blocks before a run may stop for its precision

Work = tuple[str, str, int, Case]  # spec, device, threads, case: a twin shares its original's


class Ledger:
    """What a run knows so far: ``note`` every record, in the journal's order, live or read back."""

    def __init__(self, plan: Plan, records: Iterable[AnyRecord] = ()) -> None:
        self._arms = {arm.id: arm for arm in plan.arms}
        self._entries = {entry.id: entry for entry in entries_of(plan.groups)}
        self._measured_as = measured_as(plan.groups)
        self.bursts: list[Burst] = []
        self.calibrations: dict[Work, Calibration] = {}  # of block 0
        self._best_rates: dict[tuple[str, str, int, str], list[Primitive]] = {}
        self._per_call_ns: dict[str, float] = {}  # by entry, of the last value
        self._compile_ns: dict[tuple[int, str], int] = {}  # by block and worker
        self.failures: Counter[str] = Counter()  # by entry
        self.lost: set[str] = set()  # entries that are not tried again
        self.done: set[tuple[int, str]] = set()  # block, entry
        self._probed: set[tuple[int, str]] = set()  # block, arm
        for record in records:
            self.note(record)

    def note(self, record: AnyRecord) -> None:
        """Take in what a record says; those of other kinds say nothing here."""
        if isinstance(record, Burst):
            self.bursts.append(record)
            self.done.add((record.block, record.entry))
            work = self.work(self._entries[record.entry])
            if work not in self.calibrations or self.calibrations[work].rewarm_calls is None:
                self.calibrations[work] = record
            self._per_call_ns[record.entry] = record.elapsed_ns[-1] / record.n_calls
        elif isinstance(record, Failure):
            self.failures[record.entry] += 1
            self.done.add((record.block, record.entry))
            # what crashed gets one more chance, in the next block
            if record.status != "crashed" or self.failures[record.entry] > 1:
                self.lost.add(record.entry)
        elif isinstance(record, Rates):
            self._probed.add((record.block, record.arm))
            if record.block == 0:
                arm = self._arms[record.arm]
                place = (arm.library, arm.device, arm.threads, record.case.dtype)
                self._best_rates.setdefault(place, []).extend(record.primitives)
        elif isinstance(record, Worker) and record.compile_ns:
            self._compile_ns[record.block, record.name] = record.compile_ns

    @property
    def compiles_again(self) -> bool:
        """Return whether a worker of block 1 compiled nearly as long as in block 0: nothing was kept."""
        return any(
            compile_ns > AGAIN * self._compile_ns.get((0, arm), compile_ns / AGAIN)
            for (block, arm), compile_ns in self._compile_ns.items()
            if block == 1
        )

    def per_call_ns(self, entry: Entry) -> float:
        """Return about how long a call takes; 0 where no value was taken."""
        return self._per_call_ns.get(entry.id, 0.0)

    def best_rates(self, entry: Entry) -> list[Primitive]:
        """Return the products that the entry's library was timed with at its place, in its dtype."""
        arm = self._arms[entry.arm]
        return self._best_rates.get((arm.library, arm.device, arm.threads, entry.case.dtype), [])

    def work(self, entry: Entry) -> Work:
        """Return what an entry shares with its twin."""
        arm = self._arms[entry.arm]
        return arm.spec, arm.device, arm.threads, entry.case

    def finished(self, block: int, entries: Iterable[Entry], probes: Iterable[Probe] = ()) -> bool:
        """Return whether nothing of a block is missing.

        Each of its entries has its burst, has failed, or is not tried any more; its probes were tried.
        """
        tried = all((block, probe.arm) in self._probed for probe in probes)
        names = {self._measured_as[entry.id] for entry in entries}
        return tried and all((block, name) in self.done or name in self.lost for name in names)


@dataclass(slots=True)
class Costs:
    """Seconds that the parts of the last block took."""

    spent_s: float = 0.0  # from the start of the run to the end of block 0
    slowness: float = 1.0  # of a start, over what its processor time allows
    accelerated: bool = False  # whether any computes on an accelerator
    ready_s: dict[str, float] = field(default_factory=dict)  # by worker, processor time of its start
    holds: dict[str, set[str]] = field(default_factory=dict)  # by worker, its arms
    prove_s: dict[str, float] = field(default_factory=dict)  # by entry, without calibration
    turn_s: dict[str, float] = field(default_factory=dict)  # by entry, a value without re-warming
    probes_s: dict[str, float] = field(default_factory=dict)  # by arm

    @property
    def together(self) -> int:
        """Return how many blocks' workers are best started together: as many as keep the processors busy.

        Those of a block take as long as the slowest of them, or as all of them on all processors. Not where
        they need a device's memory, nor more than half of the memory that is free.
        """
        if self.accelerated or not self.ready_s:
            return 1
        slowest_s, total_s = max(self.ready_s.values()), sum(self.ready_s.values())
        room = psutil.virtual_memory().available // (2 * WORKER_BYTES * len(self.ready_s))
        return max(1, min(MOST_TOGETHER, room, math.ceil(usable_cpus() * slowest_s / total_s)))

    def note_start(self, elapsed_s: float) -> None:
        """Learn from a start how much longer it takes than its processor time says."""
        self.slowness = elapsed_s / self._least_s(self.ready_s, 1)

    def starting_s(self, workers: Collection[str] | None = None) -> float:
        """Return the seconds that starting these workers takes a block; all, where none are named."""
        workers = self.ready_s if workers is None else workers
        return self.slowness * self._least_s(workers, self.together) if workers else 0.0

    def _least_s(self, workers: Collection[str], together: int) -> float:
        """Return what their processor time allows on all processors."""
        times = [self.ready_s[name] for name in workers]
        return max(max(times) / together, sum(times) / usable_cpus())

    def note_turn(self, entry: str, elapsed_ns: int) -> None:
        """Keep the quickest turn of an entry: the first one loads what is loaded once."""
        self.turn_s[entry] = min(elapsed_ns / 1e9, self.turn_s.get(entry, math.inf))

    def predict_s(
        self, plan: Plan, bursts: Iterable[Burst], groups: list[Group], *, blocks: int, rounds: int
    ) -> float:
        """Return the seconds from the start of the run to its end, as block 0 lets expect."""
        first, turn_s = measured_as(plan.groups), dict[str, float]()
        for burst in (burst for burst in bursts if burst.block == 0):
            per_call_s = min(burst.elapsed_ns) / burst.n_calls / 1e9
            own_rounds = math.ceil(rounds / SLOW_ROUNDS) if per_call_s * 1e9 > SLOW_CALL_NS else rounds
            turn_s[burst.entry] = own_rounds * (self.turn_s[burst.entry] + burst.rewarm_calls * per_call_s)

        def block_s(groups: list[Group], block: int) -> float:
            entries = {first[entry.id] for entry in entries_of(groups)} & turn_s.keys()
            arms = {entry.arm for entry in entries_of(groups)}
            return (
                self.starting_s([worker for worker, held in self.holds.items() if held & arms])
                + sum(self.prove_s[entry] + turn_s[entry] for entry in entries)
                + sum(self.probes_s.get(probe.arm, 0.0) for probe in probing(plan, groups, block))
            )

        return self.spent_s + SPARE * sum(
            block_s(active(groups, block), block) for block in range(1, blocks + 1)
        )


class Forms:
    """The forms of each library, as fast as block 0 has seen them.

    Pairs are chosen from block 0 alone, so that none is picked by the values that judge it.
    """

    def __init__(self, plan: Plan, bursts: Iterable[Burst]) -> None:
        arms = {arm.id: arm for arm in plan.arms}
        self._plan = plan
        self._arm_of = {entry.id: arms[entry.arm] for entry in entries_of(plan.groups)}
        self._baseline = find_cell(plan.groups[0].entries[0].case.cell).baseline
        self._home = find(self._baseline).library  # with which those of others are compared
        # nanoseconds a call, for every entry that is right and came to rest
        self._fastest_ns = {
            burst.entry: min(burst.elapsed_ns) / burst.n_calls
            for burst in bursts
            if burst.block == 0 and burst.status == "ok" and burst.settled is not False
        }

    def anywhere(self) -> list[Pair]:
        """Return the fastest form of another library in the main table over that of the baseline's.

        Wherever they computed; nothing where block 0 has not both.
        """
        proved = self._proved(self._plan.groups[0])
        own = [entry for entry in proved if self._arm_of[entry].library == self._home]
        return self._pair([entry for entry in proved if entry not in own], own)

    def best(self) -> list[Pair]:
        """Return, by group of the main task, other library and place, its fastest form over the baseline's.

        On the CPU both have as many threads; an accelerator's rival is on the CPU with whatever number of
        threads is fastest.
        """
        main_task, pairs = self._plan.groups[0].entries[0].case.task, list[Pair]()
        for group in self._plan.groups:
            if group.kind != "table" or group.entries[0].case.task != main_task:
                continue
            places: dict[tuple[str, str, int], list[str]] = {}
            for entry in self._proved(group):
                arm = self._arm_of[entry]
                places.setdefault((arm.library, arm.device, arm.threads), []).append(entry)
            for (library, device, threads), own in places.items():
                rivals = [
                    entry
                    for (other, _, theirs), entries in places.items()
                    if other == self._home and (device != "cpu" or theirs == threads)
                    for entry in entries
                ]
                pairs += self._pair(own, rivals) if library != self._home else []
        return pairs

    def others(self, pairs: Sequence[Pair], *, all_threads: bool) -> set[str]:
        """Return the arms that are in none of these pairs; baselines and their twins stay.

        Unless ``all_threads``, of baselines only those with as many threads as that of the first pair.
        """
        if not pairs:
            return set()
        kept = {self._arm_of[side].id for pair in pairs for side in (pair.entry, pair.baseline)}
        threads = self._arm_of[pairs[0].baseline].threads
        return {
            arm.id
            for arm in self._plan.arms
            if arm.id not in kept
            and (arm.spec != self._baseline or not (all_threads or arm.threads == threads))
        }

    def _proved(self, group: Group) -> list[str]:
        entries = [entry.id for entry in group.entries if entry.id in self._fastest_ns]
        return [entry for entry in entries if not self._arm_of[entry].twin]

    def _pair(self, *sides: Collection[str]) -> list[Pair]:
        """Return the fastest of each side as a pair; nothing where a side is empty."""
        if not all(sides):
            return []
        return [Pair("best", *(min(side, key=self._fastest_ns.__getitem__) for side in sides))]


def decide(plan: Plan, bursts: Sequence[Burst], costs: Costs) -> Decision:
    """Choose the best forms, predict the plan's time, and take fewer rounds, then fewer blocks, if need be.

    A budget that holds leaves out rows first: those that are in no pair.

    Raises:
        UserError: not even the least that the plan's verdicts need fits the budget.
    """
    forms, groups, holds = Forms(plan, bursts), list(plan.groups), plan.budget_rule == "hold"
    pairs, budget_s = forms.best(), math.inf if plan.budget_s is None else plan.budget_s

    def needed_s(blocks: int, rounds: int) -> float:
        return costs.predict_s(plan, bursts, groups, blocks=blocks, rounds=rounds)

    blocks, rounds, least_rounds = plan.blocks, plan.rounds, LEAST_ROUNDS
    whole_s = needed_s(blocks, rounds)
    if holds:  # ended by its time, not by its blocks: so many rounds as let a verdict be
        for kept, all_threads in ((pairs, True), (forms.anywhere(), False)):
            if needed_s(blocks, rounds) > budget_s:
                arms = forms.others(kept, all_threads=all_threads)
                groups = [without(group, arms) for group in groups]
        blocks, least_rounds = min(blocks, MIN_BLOCKS + 1), HELD_ROUNDS  # one to spare: times are predicted
        if needed_s(blocks, least_rounds) > budget_s:  # rather a verdict than its reason
            groups = [group for group in groups if group.kind != "dispatch"]
    fewest = blocks if holds else least_blocks(plan, groups)
    while rounds > least_rounds and needed_s(blocks, rounds) > budget_s:
        rounds -= 1
    while blocks > fewest and needed_s(blocks, rounds) > budget_s:
        blocks -= 1
    if plan.budget_rule == "refuse" and (least_s := needed_s(blocks, rounds)) > budget_s:
        raise too_short(plan, least_s)
    names = {group.name for group in groups}
    used = {entry.arm for entry in entries_of(groups)}
    return Decision(
        pairs=pairs,
        predicted_s=round(whole_s, 1),
        blocks=plan.blocks if holds else blocks,
        rounds=rounds,
        dropped_groups=[group.name for group in plan.groups if group.name not in names],
        dropped_arms=[arm.id for arm in plan.arms if arm.id not in used],
    )


def too_short(plan: Plan, least_s: float) -> UserError:
    """Return the error for a time budget that the plan cannot keep."""
    return UserError(
        f"--budget {plan.budget_s:g}s cannot be kept: the least for this plan is about {least_s:.0f} s; give "
        f"--budget {5 * math.ceil(least_s / 5)}s, choose fewer --variant, or take --quick"
    )


def usual_s(groups: list[Group], blocks: int) -> float:
    """Return about what the entries take beside the starts, while nothing is known of them."""
    entries = len(set(measured_as(groups).values()))
    return entries * (CALIBRATION_S + blocks * (PROOF_S + LEAST_ROUNDS * TURN_S))


def trimmed(groups: Iterable[Group], decision: Decision) -> list[Group]:
    """Return the groups and entries that a decision leaves."""
    kept = [group for group in groups if group.name not in decision.dropped_groups]
    return [without(group, decision.dropped_arms) for group in kept]


def entries_of(groups: Iterable[Group]) -> list[Entry]:
    """Return the entries of all groups."""
    return [entry for group in groups for entry in group.entries]


def precise(
    pairs: Sequence[Pair], bursts: Iterable[Burst], measured_as: Mapping[str, str], half_width: float
) -> bool:
    """Return whether the 95 % interval of every pair's log ratio is at most that much to either side.

    Then a run may stop before its last block. Never on the sign of its headlines: a rule that looks at
    whether a result is significant finds one that is not there in 16 to 18 runs of 100 (and not in 5); one
    that looks only at how wide the intervals are stays near 5.
    """
    times = {(burst.entry, burst.block): per_call_ns(burst) for burst in bursts if burst.block >= 1}
    blocks = {block for _, block in times}
    for pair in pairs:
        own, other = measured_as[pair.entry], measured_as[pair.baseline]
        logs = [
            paired_log_ratio(times[own, block], times[other, block])
            for block in blocks
            if times.get((own, block), {}).keys() & times.get((other, block), {}).keys()
        ]
        interval = rank_interval(logs) if logs else None
        if interval is None or not interval.high - interval.low <= 2 * half_width:
            return False
    return bool(pairs)
