"""From how many steps on it pays to start later: what entries cost, and where the lines of two costs cross.

An entry costs, from the start of its process until K steps are done, part by part and block by block ::

    C(K) = start + compiling + transfer + first call + K step

``start`` is the interpreter, the imports and the first binding, in processor time, since workers start
side by side; ``compiling`` is the wall time that it took in block 0, from nothing; ``transfer`` moves
the inputs to an accelerator; the first call is the entry's own after it was bound, and what the first call of
its process, whichever entry's that was, took longer than the same call once more: what a library sets up
once. It comes on top of the K steps. All times are in nanoseconds.

With the costs C(K) = F + K s of ``baseline`` and ``rival``, taken within a block, both have done K* steps at
the same time for::

    K* = (F_rival - F_baseline) / (s_baseline - s_rival)

Over blocks, K* is the Hodges-Lehmann estimate of log K* with the signed-rank interval of 95 %. There is one
only where the lines cross, at one step or later, in every block. Where one side is ahead at every number of
steps in every block, the other never catches up. All else is open, and so is a pair whose steps were not
told apart.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

import numpy as np

from bench.analysis.statistics import Array, Interval, rank_interval
from bench.analysis.summary import Summary
from bench.analysis.verdict import Comparison, compare, judge
from bench.analysis.verdict import Kind as PairKind
from bench.records.record import Arm, Burst, Entry, Worker, measured_as
from bench.records.run import Run
from bench.workload.catalog import BASELINE, VARIANTS, by_role


@dataclass(frozen=True, slots=True, eq=False)
class Cost:
    """What an entry costs, in nanoseconds; arrays hold one a counted block."""

    entry: Entry
    arm: Arm
    blocks: tuple[int, ...]
    start_ns: Array
    transfer_ns: Array
    first_call_ns: Array
    step_ns: Array
    compile_ns: float  # 0 where nothing is compiled
    from_cache_ns: float  # what compiling takes where an earlier process of the run has done it

    @property
    def work(self) -> tuple[object, ...]:
        """Return what two entries share that are the same arm on the same case, in different tables."""
        return self.arm.id, self.entry.case

    def cached(self) -> "Cost":
        """Return the same where an earlier process has compiled."""
        return replace(self, compile_ns=self.from_cache_ns)

    def fixed_ns(self) -> Array:
        """Return all that is paid once."""
        return self.start_ns + self.compile_ns + self.transfer_ns + self.first_call_ns

    def total_ns(self, steps: float) -> Array:
        """Return C(steps)."""
        return self.fixed_ns() + steps * self.step_ns


def costs(summary: Summary) -> dict[str, Cost]:
    """Return the costs of every entry with counted times, by id.

    An arm that compiles has those of its first entry alone: what binding another one took is not known.
    """
    run = summary.run
    measured, entries = measured_as(run.plan.groups), run.entries
    bursts = {(burst.entry, burst.block): burst for burst in run.bursts}
    workers = {(arm, worker.block): worker for worker in reversed(run.workers) for arm in worker.arms}
    set_up_ns: dict[tuple[str, int], int] = {}  # by worker and block
    for burst in run.bursts:
        worker = workers.get((entries[burst.entry].arm, burst.block))
        if worker is not None and burst.cold_call_ns:
            set_up_ns[worker.name, burst.block] = max(0, burst.cold_call_ns - burst.first_call_ns)
    by_entry: dict[str, Cost] = {}
    compiled: set[str] = set()  # arms
    for entry in entries.values():
        compiling = [worker for worker in run.workers if entry.arm in worker.arms and worker.compile_ns]
        if entry.arm in compiled or (compiling and all(worker.block for worker in compiling)):
            continue
        parts = {
            block: _parts(
                worker, bursts[measured[entry.id], block], set_up_ns.get((worker.name, block), 0), step_ns
            )
            for block, step_ns in summary.outcomes[entry.id].medians.items()
            if (worker := workers.get((entry.arm, block))) is not None
        }
        if parts:
            start, transfer, first_call, step = np.array(list(parts.values()), dtype=np.float64).T
            by_entry[entry.id] = Cost(
                entry, run.arms[entry.arm], tuple(parts), start, transfer, first_call, step,
                *_compile_times(compiling),
            )  # fmt: skip
            compiled |= {entry.arm} if compiling else set()
    return by_entry


def _parts(worker: Worker, burst: Burst, set_up_ns: int, step_ns: float) -> tuple[float, ...]:
    """Return start, transfer, first call and step of one block, without compiling."""
    start_ns = worker.ready_ns - worker.compile_cpu_ns
    return start_ns, burst.transfer_ns, burst.first_call_ns + set_up_ns, step_ns


def _compile_times(workers: list[Worker]) -> tuple[float, float]:
    """Return what compiling took from nothing, and from the cache; zeros where nothing is compiled."""
    nothing = [worker.compile_ns for worker in workers if worker.block == 0]
    cache = [worker.compile_ns for worker in workers if worker.block > 0]
    return (float(median(nothing)), float(median(cache or nothing))) if nothing else (0.0, 0.0)


# of the rival: it overtakes or is overtaken; is behind at every number of steps; is ahead
Kind = Literal["crosses", "never", "always", "open"]


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Two entries over any number of steps. ``step`` compares one step: the rival's over the baseline's."""

    baseline: Cost
    rival: Cost
    kind: Kind
    gap: Interval  # F_rival - F_baseline in nanoseconds: above 0, the rival starts later
    step: Comparison
    steps: Interval | None = None  # K*, where they cross
    reason: str = ""  # where open
    from_cache: "BreakEven | None" = None  # where something is compiled: the same, had it been done before

    @property
    def ahead_first(self) -> Cost:
        """Return who has the first step done earlier; where nothing crosses, who is ahead throughout."""
        if self.kind in ("never", "always"):
            return self.baseline if self.kind == "never" else self.rival
        return self.baseline if self.gap.estimate > 0 else self.rival

    @property
    def behind_first(self) -> Cost:
        """Return the other side."""
        return self.rival if self.ahead_first is self.baseline else self.baseline


def break_evens(summary: Summary) -> list[BreakEven]:
    """Return the break-even of every pair that has costs, each pair once."""
    pairs: dict[tuple[str, str], PairKind] = {}
    for kind, entry, baseline in _pairs(summary.run):
        pairs.setdefault((entry, baseline), kind)
    known = costs(summary) if pairs else {}
    results = []
    for (entry, baseline), kind in pairs.items():
        step = _step(summary, kind, entry, baseline)
        if baseline not in known or entry not in known or step.ratio is None:
            continue
        side, rival = known[baseline], known[entry]
        if result := _break_even(side, rival, step):
            if side.compile_ns or rival.compile_ns:
                result = replace(result, from_cache=_break_even(side.cached(), rival.cached(), step))
            results.append(result)
    return results


def _pairs(run: Run) -> Iterator[tuple[PairKind, str, str]]:
    """Yield kind, entry and baseline: the headlines of the main table and of compiled code, what compiles
    against what does not within a library, and what the tutorial's readers run.

    Of these, what is told to be usual stands against the first entry of the ladder, on the CPU, of each
    variant that loops over the batch: the program as it was published.
    """
    main, *others = run.plan.groups
    compiled = [group for group in others if group.kind == "compiled"]
    for group in (main, *compiled):
        ids = {entry.id for entry in group.entries}
        declared = (pair for pair in run.pairs if pair.entry in ids and pair.kind != "twin")
        yield from ((pair.kind, pair.entry, pair.baseline) for pair in declared)
    for group in compiled:
        plain = [entry for entry in group.entries if entry.baseline is None]
        for entry in (entry for entry in group.entries if entry.baseline is not None):
            library = run.arms[entry.arm].library
            own = (other for other in plain if run.arms[other.arm].library == library)
            yield from (("compiling", entry.id, other.id) for other in own)
    for group in (group for group in others if group.kind == "ladder"):
        on_cpu = [entry for entry in reversed(group.entries) if run.arms[entry.arm].device == "cpu"]
        first = {run.arms[entry.arm].spec: entry.id for entry in on_cpu}
        for usual in (usual.name for usual in by_role("as_written") if usual.name != BASELINE):
            for loop in (variant.name for variant in VARIANTS if variant.loops_over_batch):
                if usual in first and loop in first:
                    yield "tutorial", first[usual], first[loop]


def _step(summary: Summary, kind: PairKind, entry: str, baseline: str) -> Comparison:
    """Return one step of a pair: as it was judged, or else, where it was not declared, by itself."""
    for headline in summary.headlines:
        if (headline.entry, headline.baseline) == (entry, baseline):
            return headline
    run, table = summary.run, summary.run.entries[entry].group
    pair = compare(run, summary.outcomes, entry, baseline, kind)
    return judge([pair], run.plan.margin, control=summary.control, table=table)[0]


def _break_even(baseline: Cost, rival: Cost, step: Comparison) -> BreakEven | None:
    """Return where the lines of the two cross; None where they share no block."""
    blocks, *places = np.intersect1d(baseline.blocks, rival.blocks, return_indices=True)
    if not len(blocks):
        return None
    gaps = rival.fixed_ns()[places[1]] - baseline.fixed_ns()[places[0]]
    gains = baseline.step_ns[places[0]] - rival.step_ns[places[1]]
    result = BreakEven(baseline, rival, "open", rank_interval(gaps), step)
    if step.verdict in ("EQUIVALENT", "UNRESOLVED", "INVALID"):
        return replace(result, reason=step.reason)
    kinds = list(map(_kind, gaps, gains))
    if len(set(kinds)) > 1:
        crossing = kinds.count("crosses")
        return replace(result, reason=f"their lines cross in {crossing} of {len(blocks)} blocks")
    if kinds[0] != "crosses":
        return replace(result, kind=kinds[0])
    steps = rank_interval([math.log(ratio) for ratio in gaps / gains]).exp()
    return replace(result, kind="crosses", steps=steps)


def _kind(gap: float, gain: float) -> Kind:
    """Return it for one block: the rival starts ``gap`` later, and its step is ``gain`` shorter."""
    if gap * gain > 0 and gap / gain >= 1:
        return "crosses"
    return "never" if gap > gain else "always"
