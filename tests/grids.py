"""Synthetic grids: what `rnnbench run --preset grid` writes, from times that a test chooses. No real time.

A test says what a call takes at a size, for NumPy and for PyTorch; the forms that are not the fastest take
a little more. Noise is drawn from the plan's seed: the same arguments always give the same records.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bursts import burst
from declared import declare

from bench.analysis.crossover import SizeMap, size_maps
from bench.analysis.summary import summarise
from bench.measure.budget import Costs, decide
from bench.records.journal import FILE_NAME, Journal
from bench.records.record import AnyRecord, Arm, Burst, End, Entry, Environment, Plan
from bench.records.run import Run, make_run
from bench.workload.case import Case

Time = Callable[[Arm, Case], float]  # nanoseconds a call
HIDDEN, BATCH = (8, 32, 128, 512, 1024, 2048), (1, 128)
SLOWER = {"numpy-batched": 1.3, "torch-layer": 1.6}  # than the fastest form of the library
NOISE = 0.004
BASE_NS = 20_000.0


def grid_plan(hidden: Sequence[int] = HIDDEN, batch: Sequence[int] = BATCH, **options: Any) -> Plan:
    """The plan of a grid of these sizes."""
    sizes = {"hidden": tuple(hidden), "batch": tuple(batch), "features": (6,)}
    return declare(run="grid", command=["rnnbench", "run"], **{"preset": "grid", **sizes, **options})


def records_of(
    plan: Plan, time_ns: Time, *, noise: float | Callable[[Case], float] = NOISE
) -> list[AnyRecord]:
    """All records of a run of the plan; ``noise`` is of a process, as a log."""
    arms = {arm.id: arm for arm in plan.arms}
    generator = np.random.Generator(np.random.PCG64(plan.seed))
    machine = {"processor": "Example CPU 9000", "cpus": 2, "usable_cpus": 2}
    records: list[AnyRecord] = [plan, Environment(machine, {}, {}, {}, [])]
    bursts: list[Burst] = []
    for block in range(plan.blocks + 1):
        for entry in (entry for group in plan.groups for entry in group.entries):
            spread = noise(entry.case) if callable(noise) else noise
            bursts.append(_burst(entry, arms[entry.arm], block, time_ns, spread * generator.normal()))
        if block == 0:
            nothing = dict.fromkeys((burst.entry for burst in bursts), 0.0)
            records += [*bursts, decide(plan, bursts, Costs(prove_s=nothing, turn_s=nothing))]
    records += [burst for burst in bursts if burst.block]
    return [*records, End("complete", "all blocks done", 400.0, "2026-01-02T03:11:05+00:00")]


def run_of(plan: Plan, time_ns: Time, **options: object) -> Run:
    """The run of a plan."""
    return make_run(records_of(plan, time_ns, **options))


def grid(log_ratio: Callable[[int, int], float], hidden: Sequence[int] = HIDDEN,
         batch: Sequence[int] = BATCH, **options: object) -> Run:  # fmt: skip
    """A grid in which the log of PyTorch's best time over NumPy's is a function of H and B."""
    return run_of(grid_plan(hidden, batch), with_ratio(log_ratio), **options)


def with_ratio(log_ratio: Callable[[int, int], float]) -> Time:
    """Times with that log ratio between the fastest forms, and the others slower than these."""

    def time_ns(arm: Arm, case: Case) -> float:
        s = case.shape
        base = BASE_NS * (1 + 0.01 * s.B * s.H)
        lead = log_ratio(s.H, s.B) if arm.library == "torch" else 0.0
        return base * math.exp(lead) * SLOWER.get(arm.variant, 1.0)

    return time_ns


def crossing_at(H: float, slope: float = 0.5) -> Callable[[int, int], float]:
    """A log ratio that is linear in log H: NumPy is faster below ``H``, PyTorch above."""
    return lambda hidden, batch: -slope * math.log(hidden / H)


def maps_of(*runs: Run) -> tuple[SizeMap, ...]:
    """The maps of a grid and its refinements."""
    return size_maps(map(summarise, runs))


def best_map(*runs: Run) -> SizeMap:
    """The map of the fastest forms."""
    return next(made for made in maps_of(*runs) if made.kind == "best")


def write_grid(folder: Path, records: Iterable[AnyRecord]) -> Path:
    """A folder with the journal of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    with Journal(folder / FILE_NAME) as journal:
        for record in records:
            journal.write(record)
    return folder


def _burst(entry: Entry, arm: Arm, block: int, time_ns: Time, noise: float) -> Burst:
    n_calls = 100
    elapsed = int(time_ns(arm, entry.case) * n_calls * math.exp(noise))
    return burst(block, entry.id, [elapsed], n_calls, first_call_ns=1000, device=arm.device)
