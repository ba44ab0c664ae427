"""What an entry costs from the start of its process until K steps are done, part by part and block by block::

    C(K) = start + compiling + transfer + first call + K step

``start`` is the interpreter, the imports and the first binding, in processor time, since workers start
side by side; ``compiling`` is the wall time that it took in block 0, from nothing; ``transfer`` moves
the inputs to an accelerator; the first call is the entry's own after it was bound, and what the first call of
its process, whichever entry's that was, took longer than the same call once more: what a library sets up
once. It comes on top of the K steps. All times are in nanoseconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import median

from bench.analysis.outcome import Outcome
from bench.analysis.statistics import Interval, median_interval
from bench.records.record import Arm, Burst, Entry, Worker, measured_as
from bench.records.run import Run


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
    cold: bool = False  # whether its first calls hold what the process's first one set up

    @property
    def work(self) -> tuple[object, ...]:
        """What two entries share that are the same arm on the same case, in different tables."""
        return self.arm.id, self.entry.case

    def cached(self) -> "Cost":
        """The same where an earlier process has compiled."""
        return replace(self, compile_ns=self.from_cache_ns)

    def step_ns(self, block: int) -> float:
        """One step, in one block."""
        return self.parts[block].step_ns

    def fixed_ns(self, block: int) -> float:
        """All that is paid once."""
        parts = self.parts[block]
        return parts.start_ns + self.compile_ns + parts.transfer_ns + parts.first_call_ns

    def total_ns(self, steps: float, block: int) -> float:
        """C(steps) in one block."""
        return self.fixed_ns(block) + steps * self.step_ns(block)

    def typical(self, part: Callable[[int], float]) -> Interval:
        """The median over blocks of something that each has, with its exact interval."""
        return median_interval([part(block) for block in self.parts])


def costs(run: Run, found: Mapping[str, Outcome]) -> dict[str, Cost]:
    """The costs of every entry with counted times, by id.

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
    made: dict[str, Cost] = {}
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
            cold = any((workers[entry.arm, block].name, block) in set_up_ns for block in parts)
            made[entry.id] = Cost(entry, run.arms[entry.arm], parts, *_compiling(compiling), cold)
    return made


def _parts(worker: Worker, burst: Burst, set_up_ns: int, step_ns: float) -> Parts:
    return Parts(
        start_ns=worker.ready_ns - worker.compile_cpu_ns,
        transfer_ns=burst.transfer_ns,
        first_call_ns=burst.first_call_ns + set_up_ns,
        step_ns=step_ns,
    )


def _compiling(workers: list[Worker]) -> tuple[float, float]:
    """What compiling took from nothing, and from the cache; zeros where nothing is compiled."""
    nothing = [worker.compile_ns for worker in workers if worker.block == 0]
    cache = [worker.compile_ns for worker in workers if worker.block > 0]
    return (float(median(nothing)), float(median(cache or nothing))) if nothing else (0.0, 0.0)
