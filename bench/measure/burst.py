"""One burst: prove the entry, warm up, take the values, prove the last one again.

Block 0 also finds how many calls warm up and how many make a value; the other blocks are told. Where a gate
says that something disturbed the values, they are taken once more: both takes are kept, the second counts.
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import catalog, proof
from bench.binding import Binding, bind_case
from bench.case import Case
from bench.data import Batch
from bench.host import gates
from bench.library import changed, computes_elsewhere, process_state
from bench.measure import clock
from bench.measure.messages import Done, Job, Refused
from bench.measure.steady import settle
from bench.measure.transfer import mover, transfer_ns
from bench.results.record import Take


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What came before the values. ``settled`` is None where nobody asked."""

    first_call_ns: int
    warmup_calls: int
    n_calls: int
    settled: bool | None
    calibration_ns: int


def bind_job(variant: catalog.Variant, job: Job, batch: Batch) -> Binding:
    """The variant bound to a job's case and arrays."""
    return bind_case(variant.load(), variant.library, job.case, batch, job.device)


def burst(
    variant: catalog.Variant, job: Job, *, ready: Mapping[str, Any] | None = None, fresh: bool = False
) -> Done | Refused:
    """The values of one entry with the proofs around them, or why there are none.

    ``ready`` is the state of the process before any variant was bound. Values are invalid where something in
    it that bears on speed is no longer the same after them.

    In a ``fresh`` process, which has made no call yet, the first one is timed by itself: it sets up what a
    library sets up once. It is told only where the proof that follows is passed.
    """
    case, batch = job.case, Batch.load(job.inputs)
    if batch.digest() != job.digest:
        return Refused("invalid", "the inputs' digest differs from the plan's")
    expected = proof.Expected.load(Path(job.expected))
    wrong = variant.known_wrong
    wait = clock.synchroniser(job.device)
    cold_call_ns = cold_call(variant, job, batch, wait) if fresh else 0
    checks = proof.prove(
        variant.load(), case, batch, expected, library=variant.library, device=job.device, known_wrong=wrong
    )
    status = proof.status(checks, known_wrong=wrong)
    if status == "disagrees":
        return Refused("disagrees", proof.failures(checks), checks)

    binding = bind_job(variant, job, batch)
    bound = binding.bound
    if job.n_calls is None and (other := computes_elsewhere(variant.library, bound.call)):
        return Refused("invalid", f"{variant.name} {other}", checks)
    moved_ns = transfer_ns(batch, mover(job.device), synchronise=wait)
    gc.collect()
    warm = warm_up(bound, job, wait)
    take, values = take_values(bound, warm.n_calls, job, wait)
    disturbed = None
    if take.flags:
        disturbed = take
        take, values = take_values(bound, warm.n_calls, job, wait)

    if changes := changed(ready or {}, process_state(variant.library)):
        return Refused("invalid", f"{variant.name} changed its process: {changes}", checks)
    if not binding.unchanged(batch):
        return Refused("invalid", f"{variant.name} changed its inputs", checks)
    after = None if job.after is None else load_arrays(job.after)
    if job.n_calls is None and case.task == "train_step":  # block 0 has no trajectory of this length yet
        bound.reset()
        bound.call()
        after = one_step(case, batch, expected)
    last = proof.check_last(
        case, binding.result(), expected, after=after, device=job.device, known_wrong=wrong
    )
    if proof.status(last, known_wrong=wrong) == "disagrees":
        return Refused("disagrees", f"after timing: {proof.failures(last)}", last)
    if wait is not clock.no_wait and clock.still_busy(values):
        return Refused(
            "invalid", f"the device was still busy for {take.residual_ns} ns after a value", checks
        )
    return Done(
        status=status,
        n_calls=warm.n_calls,
        elapsed_ns=take.elapsed_ns,
        first_call_ns=warm.first_call_ns,
        warmup_calls=warm.warmup_calls,
        residual_ns=take.residual_ns,
        cpu_ns=take.cpu_ns,
        calibration_ns=warm.calibration_ns,
        device=binding.device,
        checks=checks,
        gates=take.gates,
        flags=take.flags,
        disturbed=disturbed,
        settled=warm.settled,
        transfer_ns=moved_ns,
        cold_call_ns=cold_call_ns,
    )


def cold_call(variant: catalog.Variant, job: Job, batch: Batch, wait: Callable[[], None]) -> int:
    """Nanoseconds of the process's first call; binding is not in it."""
    bound = bind_job(variant, job, batch).bound
    wait()
    started = time.perf_counter_ns()
    bound.call()
    wait()
    return time.perf_counter_ns() - started


def warm_up(bound: catalog.Bound, job: Job, wait: Callable[[], None]) -> WarmUp:
    """Warm up as block 0 found; in block 0, find it, and the number of calls that make a value."""
    started = time.perf_counter_ns()
    if job.n_calls is not None:
        first_call_ns, made = clock.warm_up(bound.call, synchronise=wait, at_least=job.warmup_calls)
        return WarmUp(first_call_ns, made, job.n_calls, None, 0)
    found = settle(bound.call, synchronise=wait)
    n_calls = clock.calibrate(bound.call, synchronise=wait, reset=bound.reset)
    spent = time.perf_counter_ns() - started
    return WarmUp(found.first_call_ns, found.warmup_calls, n_calls, found.settled, spent)


def take_values(
    bound: catalog.Bound, n_calls: int, job: Job, wait: Callable[[], None]
) -> tuple[Take, list[clock.Value]]:
    """Five values, three of slow calls, each from the start parameters; and what the gates saw meanwhile."""
    values: list[clock.Value] = []
    cpu_ns = 0
    before = gates.read()
    while len(values) < (clock.values_per_burst(values[0].per_call_ns) if values else 1):
        bound.reset()
        cpu_start = time.process_time_ns()
        values.append(clock.take_value(bound.call, n_calls, synchronise=wait))
        cpu_ns += time.process_time_ns() - cpu_start
    seen = gates.between(before, gates.read(), alone=job.alone)
    take = Take(
        elapsed_ns=[value.elapsed_ns for value in values],
        cpu_ns=cpu_ns,
        residual_ns=max(value.residual_ns for value in values),
        gates=seen,
        flags=gates.fired(seen, job.gates),
    )
    return take, values


@np.errstate(all="ignore")  # whatever the variant has set
def one_step(case: Case, batch: Batch, expected: proof.Expected) -> dict[str, Any]:
    """Loss and parameters after one training step, from the expected gradient (float64)."""
    step = {name: p.astype("float64") - case.lr * expected.grads[name] for name, p in batch.params.items()}
    return {"loss": expected.loss, "n_calls": np.int64(1), **step}


def load_arrays(path: str | Path) -> dict[str, Any]:
    """All arrays of an npz; nothing is unpickled."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
