"""From how many steps on it pays to start later: what entries cost, and where the lines of two costs cross.

An entry costs, from the start of its process until K steps are done, part by part and block by block ::

    C(K) = start + compiling + transfer + first call + K step

``start`` is the interpreter, the imports and the first binding, in processor time, since workers start
side by side; ``compiling`` is the wall time that it took in block 0, from nothing; ``transfer`` moves
the inputs to an accelerator; the first call is the entry's own after it was bound, and what the first call of
its process, whichever entry's that was, took longer than the same call once more: what a library sets up
once. It comes on top of the K steps. All times are in nanoseconds.

With the costs C(K) = F + K s of ``one`` and ``other``, taken within a block, both have done K* steps at the
same time for::

    K* = (F_other - F_one) / (s_one - s_other)

Over blocks, K* is the Hodges-Lehmann estimate of log K* with the signed-rank interval of 95 %. There is one
only where the lines cross, at one step or later, in every block. Where one side is ahead at every number of
steps in every block, the other never catches up. All else is open, and so is a pair whose steps were not
told apart.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from bench.analysis.outcome import Outcome
from bench.analysis.statistics import Interval, median_interval, rank_interval
from bench.analysis.summary import Summary
from bench.analysis.verdict import Comparison, compare
from bench.analysis.verdict import Kind as PairKind
from bench.records.record import Arm, Burst, Entry, Group, Worker, measured_as
from bench.records.run import Run
from bench.workload.catalog import BASELINE, VARIANTS, by_role


@dataclass(frozen=True, slots=True)
class Parts:
    """One block of an entry, without compiling."""

    start_ns: float
    transfer_ns: float
    first_call_ns: float
    step_ns: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What an entry costs. ``compile_ns`` is 0 where nothing is compiled."""

    entry: Entry
    arm: Arm
    parts: Mapping[int, Parts]  # by counted block
    compile_ns: float
    from_cache_ns: float  # what compiling takes where an earlier process of the run has done it

    @property
    def work(self) -> tuple[object, ...]:
        """What two entries share that are the same arm on the same case, in different tables."""
        return self.arm.id, self.entry.case

    def cached(self) -> "Cost":
        """Return the same where an earlier process has compiled."""
        return replace(self, compile_ns=self.from_cache_ns)

    def step_ns(self, block: int) -> float:
        """Return one step, in one block."""
        return self.parts[block].step_ns

    def fixed_ns(self, block: int) -> float:
        """Return all that is paid once."""
        parts = self.parts[block]
        return parts.start_ns + self.compile_ns + parts.transfer_ns + parts.first_call_ns

    def total_ns(self, steps: float, block: int) -> float:
        """Return C(steps) in one block."""
        return self.fixed_ns(block) + steps * self.step_ns(block)

    def typical(self, part: Callable[[int], float]) -> Interval:
        """Return the median over blocks of something that each has, with its exact interval."""
        return median_interval([part(block) for block in self.parts])


def costs(run: Run, found: Mapping[str, Outcome]) -> dict[str, Cost]:
    """Return the costs of every entry with counted times, by id.

    An arm that compiles has those of its first entry alone: what binding another one took is not known.
    """
    workers = {(arm, worker.block): worker for worker in reversed(run.workers) for arm in worker.arms}
    bursts: dict[str, dict[int, Burst]] = {}
    set_up_ns: dict[tuple[str, int], int] = {}  # by worker and block
    for burst in run.bursts:
        bursts.setdefault(burst.entry, {})[burst.block] = burst
        if burst.cold_call_ns:
            more_ns = burst.cold_call_ns - burst.first_call_ns
            first = workers.get((run.entries[burst.entry].arm, burst.block))
            set_up_ns[first.name if first else "", burst.block] = max(0, more_ns)
    by_entry: dict[str, Cost] = {}
    names = measured_as(run.plan.groups)
    seen: set[str] = set()  # arms that compile
    for entry in run.entries.values():
        outcome, own = found[entry.id], bursts.get(names[entry.id], {})
        if outcome.invalid or not outcome.medians:
            continue
        compiling = [worker for worker in run.workers if entry.arm in worker.arms and worker.compile_ns]
        if compiling:
            if entry.arm in seen or all(worker.block for worker in compiling):
                continue
            seen.add(entry.arm)
        parts = {
            block: _parts(worker, own[block], set_up_ns.get((worker.name, block), 0), step_ns)
            for block, step_ns in outcome.medians.items()
            if (worker := workers.get((entry.arm, block))) is not None
        }
        if parts:
            by_entry[entry.id] = Cost(entry, run.arms[entry.arm], parts, *_compile_times(compiling))
    return by_entry


def _parts(worker: Worker, burst: Burst, set_up_ns: int, step_ns: float) -> Parts:
    return Parts(
        start_ns=worker.ready_ns - worker.compile_cpu_ns,
        transfer_ns=burst.transfer_ns,
        first_call_ns=burst.first_call_ns + set_up_ns,
        step_ns=step_ns,
    )


def _compile_times(workers: list[Worker]) -> tuple[float, float]:
    """Return what compiling took from nothing, and from the cache; zeros where nothing is compiled."""
    nothing = [worker.compile_ns for worker in workers if worker.block == 0]
    cache = [worker.compile_ns for worker in workers if worker.block > 0]
    return (float(median(nothing)), float(median(cache or nothing))) if nothing else (0.0, 0.0)


Sides = tuple[PairKind, str, str]  # of a pair: its kind, the entry and its baseline
# of ``other`` against ``one``: it overtakes or is overtaken; is behind at every number of steps; is ahead
Kind = Literal["crosses", "never", "always", "open"]


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Two entries over any number of steps. ``step`` compares one step: other over one."""

    one: Cost
    other: Cost
    kind: Kind
    gap: Interval  # F_other - F_one in nanoseconds: above 0, other starts later
    step: Comparison
    steps: float | None = None  # K*
    low: float | None = None  # None: too few blocks for an interval
    high: float | None = None
    reason: str = ""  # where open
    from_cache: "BreakEven | None" = None  # where something is compiled: the same, had it been done before

    @property
    def ahead_first(self) -> Cost:
        """Who has the first step done earlier; where nothing crosses, who is ahead throughout."""
        if self.kind in ("never", "always"):
            return self.one if self.kind == "never" else self.other
        return self.one if self.gap.estimate > 0 else self.other

    @property
    def behind_first(self) -> Cost:
        """The other side."""
        return self.other if self.ahead_first is self.one else self.one


def break_evens(run: Run, found: Mapping[str, Outcome], summary: Summary) -> list[BreakEven]:
    """Return the break-even of every pair that has costs, each pair once."""
    kinds: dict[tuple[str, str], PairKind] = {}
    for kind, entry, baseline in pairs(run):
        kinds.setdefault((entry, baseline), kind)
    known = costs(run, found) if kinds else {}
    results = []
    for (entry, baseline), kind in kinds.items():
        if entry not in known or baseline not in known:
            continue
        one, other = known[baseline], known[entry]
        step = _step(run, found, summary, kind, entry, baseline)
        if not one.parts.keys() & other.parts.keys() or step.ratio is None:
            continue
        result = _break_even(one, other, step)
        if one.compile_ns or other.compile_ns:
            result = replace(result, from_cache=_break_even(one.cached(), other.cached(), step))
        results.append(result)
    return results


def pairs(run: Run) -> Iterator[Sides]:
    """Yield the headlines of the main table, compiled code, and what the tutorial's readers run."""
    main, *others = run.plan.groups
    compiled = [group for group in others if group.kind == "compiled"]
    declared = [*run.plan.pairs, *(run.decision.pairs if run.decision else [])]
    for group in (main, *compiled):
        ids = {entry.id for entry in group.entries}
        own = (pair for pair in declared if pair.entry in ids and pair.kind != "twin")
        yield from ((pair.kind, pair.entry, pair.baseline) for pair in own)
    for group in compiled:
        yield from _compiling(run, group)
    for group in others:
        if group.kind == "ladder":
            yield from _tutorial(run, group)


def _compiling(run: Run, group: Group) -> Iterator[Sides]:
    """Yield what compiles against what does not, within the library."""
    for entry in group.entries:
        for other in group.entries if entry.baseline else []:
            if other.baseline is None and run.arms[other.arm].library == run.arms[entry.arm].library:
                yield "compiling", entry.id, other.id


def _tutorial(run: Run, group: Group) -> Iterator[Sides]:
    """Yield the first entry of the ladder for each variant, on the CPU: the program as it was published."""
    first: dict[str, str] = {}
    for entry in reversed(group.entries):
        if run.arms[entry.arm].device == "cpu":
            first[run.arms[entry.arm].spec] = entry.id
    for usual in by_role("as_written"):
        for variant in VARIANTS if usual.name in first and usual.name != BASELINE else ():
            if variant.loops_over_batch and variant.name in first:
                yield "tutorial", first[usual.name], first[variant.name]


def _step(
    run: Run, found: Mapping[str, Outcome], summary: Summary, kind: PairKind, entry: str, baseline: str
) -> Comparison:
    """Return one step of a pair: as it was judged, or else, where it was not declared, by its own p."""
    for row in summary.headlines:
        if (row.entry, row.baseline) == (entry, baseline):
            return row
    step = compare(run, found, entry, baseline, kind)
    if step.p is None or step.ratio is None:
        return step
    if summary.control:
        return replace(step, verdict="INVALID", reason=summary.control)
    if step.p > step.level:
        return replace(step, verdict="UNRESOLVED", reason=f"p = {step.p:.2g}")
    return replace(step, verdict="FASTER" if step.ratio < 1 else "SLOWER")


def _break_even(one: Cost, other: Cost, step: Comparison) -> BreakEven:
    """Return where the lines of the two cross; they share blocks."""
    blocks = sorted(one.parts.keys() & other.parts.keys())
    gaps = [other.fixed_ns(block) - one.fixed_ns(block) for block in blocks]
    gains = [one.step_ns(block) - other.step_ns(block) for block in blocks]
    result = BreakEven(one, other, "open", rank_interval(gaps), step)
    if step.verdict in ("EQUIVALENT", "UNRESOLVED", "INVALID"):
        return replace(result, reason=step.reason)
    kinds = [_kind(gap, gain) for gap, gain in zip(gaps, gains, strict=True)]
    if len(set(kinds)) > 1:
        crossing = kinds.count("crosses")
        return replace(result, reason=f"their lines cross in {crossing} of {len(blocks)} blocks")
    result = replace(result, kind=kinds[0])
    if result.kind != "crosses":
        return result
    steps = rank_interval([math.log(gap / gain) for gap, gain in zip(gaps, gains, strict=True)]).exp()
    low, high = steps.limits
    return replace(result, steps=steps.estimate, low=low, high=high)


def _kind(gap: float, gain: float) -> Kind:
    """Return it for one block: the other starts ``gap`` later, and its step is ``gain`` shorter."""
    if gap * gain > 0 and gap / gain >= 1:
        return "crosses"
    return "never" if gap > gain else "always"
