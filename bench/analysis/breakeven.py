"""Find the number of steps from which a later start pays, where the costs of two entries are equal.

The cost of an entry is the time from the start of its process until K steps are done, in each block ::

    C(K) = start + compiling + transfer + first call + K step

``start``: the interpreter, the imports and the first binding, in processor time, since workers start side by
side. ``compiling``: the wall time of compiling in block 0, without a cache. ``transfer``: moving the inputs
to an accelerator. ``first call``: the entry's first call after binding, plus the library's set-up: how much
longer the first call of the process, of any entry, took than the same call repeated. The first call is added
to the K steps. All times are in nanoseconds.

With the costs C(K) = F + K s of ``baseline`` and ``rival`` in the same block, both finish K* steps at the
same time for::

    K* = (F_rival - F_baseline) / (s_baseline - s_rival)

Over blocks, K* is the Hodges-Lehmann estimate of log K* with the signed-rank interval of 95 %. K* exists only
if the lines cross, at one step or later, in every block. If one entry is ahead at every number of steps in
every block, the other entry never catches up. All other pairs are open, and also pairs whose steps show no
difference.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

import numpy as np

from bench.analysis.statistics import Array, Interval, rank_interval
from bench.analysis.summary import Summary
from bench.analysis.verdict import Comparison, compare, judge, next_level
from bench.analysis.verdict import Kind as PairKind
from bench.records.record import Arm, Burst, Entry, Worker, measured_as
from bench.records.run import Run
from bench.workload.catalog import BASELINE, VARIANTS, by_role

OTHER_QUESTIONS = ("twin", "peer", "packed")  # kinds of pairs without a break-even


@dataclass(frozen=True, slots=True, eq=False)
class Cost:
    """Hold the cost of an entry in nanoseconds; arrays have one value per counted block."""

    entry: Entry
    arm: Arm
    blocks: tuple[int, ...]
    start_ns: Array
    transfer_ns: Array
    first_call_ns: Array
    step_ns: Array
    compile_ns: float  # 0 if nothing is compiled
    from_cache_ns: float  # compile time after an earlier process of the run has compiled

    @property
    def work(self) -> tuple[object, ...]:
        """Return a key that entries of different tables share if they have the same arm and case."""
        return self.arm.id, self.entry.case

    def cached(self) -> "Cost":
        """Return the cost of the entry after an earlier process has compiled."""
        return replace(self, compile_ns=self.from_cache_ns)

    def fixed_ns(self) -> Array:
        """Return F, the sum of the costs that are paid once."""
        return self.start_ns + self.compile_ns + self.transfer_ns + self.first_call_ns

    def total_ns(self, steps: float) -> Array:
        """Return C(steps)."""
        return self.fixed_ns() + steps * self.step_ns


def costs(summary: Summary) -> dict[str, Cost]:
    """Return the costs of every entry with counted times, by entry id.

    An arm that compiles has costs for its first entry only: the binding time of its other entries is unknown.
    """
    run = summary.run
    measured_names, entries = measured_as(run.plan.groups), run.entries
    bursts = {(burst.entry, burst.block): burst for burst in run.bursts}
    workers = {(arm, worker.block): worker for worker in reversed(run.workers) for arm in worker.arms}
    set_up_ns: dict[tuple[str, int], int] = {}  # by worker and block
    for burst in run.bursts:
        worker = workers.get((entries[burst.entry].arm, burst.block))
        if worker is not None and burst.cold_call_ns:
            set_up_ns[worker.name, burst.block] = max(0, burst.cold_call_ns - burst.first_call_ns)
    by_entry: dict[str, Cost] = {}
    compiled: set[str] = set()  # ids of arms whose compile time is used
    for entry in entries.values():
        compiling = [worker for worker in run.workers if entry.arm in worker.arms and worker.compile_ns]
        if entry.arm in compiled or (compiling and all(worker.block for worker in compiling)):
            continue
        parts_by_block = {
            block: _parts(
                worker,
                bursts[measured_names[entry.id], block],
                set_up_ns.get((worker.name, block), 0),
                step_ns,
            )
            for block, step_ns in summary.outcomes[entry.id].medians.items()
            if (worker := workers.get((entry.arm, block))) is not None
        }
        if parts_by_block:
            start, transfer, first_call, step = np.array(list(parts_by_block.values()), dtype=np.float64).T
            by_entry[entry.id] = Cost(
                entry, run.arms[entry.arm], tuple(parts_by_block), start, transfer, first_call, step,
                *_compile_times(compiling),
            )  # fmt: skip
            compiled |= {entry.arm} if compiling else set()
    return by_entry


def _parts(worker: Worker, burst: Burst, set_up_ns: int, step_ns: float) -> tuple[float, ...]:
    """Return the start, transfer, first call and step of one block, without compiling."""
    start_ns = worker.ready_ns - worker.compile_cpu_ns
    return start_ns, burst.transfer_ns, burst.first_call_ns + set_up_ns, step_ns


def _compile_times(workers: list[Worker]) -> tuple[float, float]:
    """Return the compile times without and with a cache; zeros if nothing is compiled."""
    uncached = [worker.compile_ns for worker in workers if worker.block == 0]
    cached = [worker.compile_ns for worker in workers if worker.block > 0]
    return (float(median(uncached)), float(median(cached or uncached))) if uncached else (0.0, 0.0)


# the rival overtakes or is overtaken; is behind at every number of steps; is always ahead; undecided
Kind = Literal["crosses", "never", "always", "open"]


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Compare two entries over any number of steps; ``step``: one step of the rival over the baseline's."""

    baseline: Cost
    rival: Cost
    kind: Kind
    gap: Interval  # F_rival - F_baseline in nanoseconds: above 0, the rival starts later
    step: Comparison
    steps: Interval | None = None  # K*, if the lines cross
    reason: str = ""  # why the kind is open
    from_cache: "BreakEven | None" = None  # the same with earlier compiling, if an entry compiles

    @property
    def ahead_first(self) -> Cost:
        """Return the entry that finishes the first step earlier; without a crossing, the one always ahead."""
        if self.kind in ("never", "always"):
            return self.baseline if self.kind == "never" else self.rival
        return self.baseline if self.gap.estimate > 0 else self.rival

    @property
    def behind_first(self) -> Cost:
        """Return the entry that is not ``ahead_first``."""
        return self.rival if self.ahead_first is self.baseline else self.baseline


def break_evens(summary: Summary) -> list[BreakEven]:
    """Return the break-even of every pair that has costs, each pair once."""
    pairs: dict[tuple[str, str], PairKind] = {}
    for kind, entry, baseline in _pairs(summary.run):
        pairs.setdefault((entry, baseline), kind)
    by_entry = costs(summary) if pairs else {}
    results = []
    for (entry, baseline), kind in pairs.items():
        step = _step(summary, kind, entry, baseline)
        if baseline not in by_entry or entry not in by_entry or step.ratio is None:
            continue
        baseline_cost, rival_cost = by_entry[baseline], by_entry[entry]
        if result := _break_even(baseline_cost, rival_cost, step):
            if baseline_cost.compile_ns or rival_cost.compile_ns:
                result = replace(
                    result, from_cache=_break_even(baseline_cost.cached(), rival_cost.cached(), step)
                )
            results.append(result)
    return results


def _pairs(run: Run) -> Iterator[tuple[PairKind, str, str]]:
    """Yield kind, entry and baseline of the pairs to compare.

    These are the headlines of the main table and of compiled code, compiled against uncompiled entries of the
    same library, and the loops: each usual variant against each variant that loops over the batch. Both are
    the first entry of their variant in the ladder on the CPU.
    """
    main, *others = run.plan.groups
    compiled_groups = [group for group in others if group.kind == "compiled"]
    for group in (main, *compiled_groups):
        ids = {entry.id for entry in group.entries}
        declared = (pair for pair in run.pairs if pair.entry in ids and pair.kind not in OTHER_QUESTIONS)
        yield from ((pair.kind, pair.entry, pair.baseline) for pair in declared)
    for group in compiled_groups:
        uncompiled = [entry for entry in group.entries if entry.baseline is None]
        for entry in (entry for entry in group.entries if entry.baseline is not None):
            library = run.arms[entry.arm].library
            partners = (partner for partner in uncompiled if run.arms[partner.arm].library == library)
            yield from (("compiling", entry.id, partner.id) for partner in partners)
    for group in (group for group in others if group.kind == "ladder"):
        on_cpu = [entry for entry in reversed(group.entries) if run.arms[entry.arm].device == "cpu"]
        first_entries = {run.arms[entry.arm].spec: entry.id for entry in on_cpu}
        for usual in (variant.name for variant in by_role("as_written") if variant.name != BASELINE):
            for loop in (variant.name for variant in VARIANTS if variant.loops_over_batch):
                if usual in first_entries and loop in first_entries:
                    yield "loop", first_entries[usual], first_entries[loop]


def _step(summary: Summary, kind: PairKind, entry: str, baseline: str) -> Comparison:
    """Return the comparison of one step: the declared headline, or a new comparison of the pair."""
    for headline in summary.headlines:
        if (headline.entry, headline.baseline) == (entry, baseline):
            return headline
    run, table = summary.run, summary.run.entries[entry].group
    pair = compare(run, summary.outcomes, entry, baseline, kind)
    level = next_level(run)
    return judge([pair], run.plan.margin, control=summary.control, table=table, next_level=level)[0]


def _break_even(baseline: Cost, rival: Cost, step: Comparison) -> BreakEven | None:
    """Return where the costs of two entries are equal; None if they share no block."""
    blocks, *indices = np.intersect1d(baseline.blocks, rival.blocks, return_indices=True)
    if not len(blocks):
        return None
    gaps = rival.fixed_ns()[indices[1]] - baseline.fixed_ns()[indices[0]]
    gains = baseline.step_ns[indices[0]] - rival.step_ns[indices[1]]
    result = BreakEven(baseline, rival, "open", rank_interval(gaps), step)
    if step.verdict in ("EQUIVALENT", "UNRESOLVED", "INVALID"):
        return replace(result, reason=step.reason)
    kinds = list(map(_kind, gaps, gains))
    if len(set(kinds)) > 1:
        n_crossing = kinds.count("crosses")
        return replace(result, reason=f"their lines cross in {n_crossing} of {len(blocks)} blocks")
    if kinds[0] != "crosses":
        return replace(result, kind=kinds[0])
    steps = rank_interval([math.log(ratio) for ratio in gaps / gains]).exp()
    return replace(result, kind="crosses", steps=steps)


def _kind(gap: float, gain: float) -> Kind:
    """Return the kind of one block: the rival starts ``gap`` later, and its step is ``gain`` shorter."""
    if gap * gain > 0 and gap / gain >= 1:
        return "crosses"
    return "never" if gap > gain else "always"
