"""An entry that a worker holds: proved, bound to arrays of its own, and asked for one value a round.

Before each value one of the case's two batches is written into those arrays, and after it the result must be
the one expected of that batch: what was kept from earlier calls shows.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import proof
from bench.machine import clock, gates
from bench.machine.libraries import library
from bench.measure import honesty
from bench.measure.messages import Drawn, Prove, Proved, Refused, Turn, Value
from bench.measure.steady import settle
from bench.measure.taken import REWARM_STEPS, rewarm_step
from bench.measure.transfer import transfer_ns
from bench.workload import catalog
from bench.workload.binding import Binding, bind_case
from bench.workload.data import Batch

RESULTS = 5  # block 0: how often the time of ``result`` is compared with its time directly after


@dataclass(frozen=True, slots=True)
class Held:
    """A variant bound to a case, the two batches in turn, and what is expected of each."""

    variant: catalog.Variant
    prove: Prove
    binding: Binding
    batches: tuple[Batch, Batch]
    expected: tuple[proof.Expected, proof.Expected]
    wait: Callable[[], None]
    after: dict[str, dict[str, Any]] = field(default_factory=dict)  # by path


class Refusal(Exception):
    """The entry gets no value; holds the reply that says why."""

    def __init__(self, reply: Refused) -> None:
        super().__init__(reply.reason)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Inputs:
    """The two batches of a case, and what is expected of each."""

    batches: tuple[Batch, Batch]
    expected: tuple[proof.Expected, proof.Expected]

    @classmethod
    def load(cls, drawn: tuple[Drawn, Drawn]) -> "Inputs":
        """Read them; the second batch has the parameters of the first.

        Raises:
            Refusal: their digests are not the plan's.
        """
        first, second = (Batch.load(part.inputs) for part in drawn)
        if [first.digest(), second.digest()] != [part.digest for part in drawn]:
            raise Refusal(Refused("invalid", "the inputs' digest differs from the plan's"))
        expected = [proof.Expected.load(Path(part.expected), first.params) for part in drawn]
        return cls((first, Batch(first.params, second.x, second.y)), (expected[0], expected[1]))


def hold(
    variant: catalog.Variant, job: Prove, inputs: Inputs, *, fresh: bool, threads: int = 1
) -> tuple[Held, Proved]:
    """Prove the entry, bind it and, in block 0, find how it is to be timed.

    A single thread of the CPU is timed here by the time of its process, to which other programs add nothing.
    In a ``fresh`` process, which has made no call yet, the first one is timed by itself: it sets up what a
    library sets up once.

    Raises:
        Refusal: the proof failed, or its time is not that of the work.
    """
    case, device = job.case, job.device
    batches, expected = inputs.batches, inputs.expected
    own = library(variant.library)
    wait = own.synchroniser(device)
    cold_call_ns = 0
    if fresh:
        cold_call_ns = clock.take_value(
            bind_job(variant, job, batches[0]).bound.call, 1, synchronise=wait
        ).elapsed_ns
    checks = proof.prove(
        variant.load(),
        case,
        batches[0],
        expected[0],
        library=variant.library,
        device=device,
        known_wrong=variant.wrong_gradients,
    )
    status = proof.status(checks, known_wrong=variant.known_wrong)
    if status == "disagrees":
        raise Refusal(Refused("disagrees", proof.failures(checks), checks))
    moved_ns = transfer_ns(batches[0], own.mover(device), synchronise=wait)
    held = Held(variant, job, bind_job(variant, job, batches[0]), batches, expected, wait)
    bound, started = held.binding.bound, time.perf_counter_ns()
    settled, n_calls = None, job.n_calls
    if n_calls is None:
        time_ns = time.process_time_ns if device == "cpu" and threads == 1 else time.perf_counter_ns
        found = settle(bound.call, synchronise=wait, clock=time_ns)
        n_calls = clock.calibrate(bound.call, synchronise=wait, clock=time_ns, reset=bound.reset)
        settled, first_call_ns, warmup_calls = found.settled, found.first_call_ns, found.warmup_calls
        if other := own.computes_elsewhere(bound.call):
            raise Refusal(Refused("invalid", f"{variant.name} {other}", checks))
        if why := _implausible(held, n_calls):
            raise Refusal(Refused("invalid", f"{variant.name}: {why}", checks))
    else:
        first_call_ns, warmup_calls = clock.warm_up(bound.call, synchronise=wait, at_least=job.warmup_calls)
    proved = Proved(
        status=status,
        checks=checks,
        n_calls=n_calls,
        warmup_calls=warmup_calls,
        first_call_ns=first_call_ns,
        cold_call_ns=cold_call_ns,
        transfer_ns=moved_ns,
        calibration_ns=time.perf_counter_ns() - started if job.n_calls is None else 0,
        settled=settled,
    )
    return held, proved


def take(held: Held, turn: Turn) -> Value:
    """Take one value; the batch of the turn is written in first, and its result compared after it.

    Raises:
        Refusal: the result is not the one expected of that batch.
    """
    bound, case = held.binding.bound, held.prove.case
    held.binding.feed(held.batches[turn.batch])
    rewarm_ns = _rewarm(held, turn)
    bound.reset()
    preempted, cpu_ns = gates.preempted() or 0, time.process_time_ns()
    value = clock.take_value(bound.call, turn.n_calls, synchronise=held.wait)
    cpu_ns, preempted = time.process_time_ns() - cpu_ns, (gates.preempted() or 0) - preempted
    after = None
    if turn.after is not None:
        if turn.after not in held.after:
            held.after[turn.after] = load_arrays(turn.after)
        after = held.after[turn.after]
    checks = proof.check_last(
        case, held.binding.result(), held.expected[turn.batch], after=after, device=held.prove.device,
        known_wrong=held.variant.wrong_gradients,
    )  # fmt: skip
    if proof.status(checks, known_wrong=held.variant.known_wrong) == "disagrees":
        raise Refusal(Refused("disagrees", f"after a value: {proof.failures(checks)}", checks))
    return Value(value.elapsed_ns, cpu_ns, value.residual_ns, preempted, rewarm_ns)


def bind_job(variant: catalog.Variant, job: Prove, batch: Batch) -> Binding:
    """Bind a variant to the case of a job."""
    return bind_case(variant.load(), variant.library, job.case, batch, job.device)


def _rewarm(held: Held, turn: Turn) -> list[int]:
    """Call before the value, since others have run meanwhile; in block 0 in steps that are timed."""
    call = held.binding.bound.call
    if turn.rewarm_calls is not None:
        for _ in range(turn.rewarm_calls):
            call()
        held.wait()
        return []
    calls = rewarm_step(turn.n_calls)
    return [
        clock.take_value(call, calls, synchronise=held.wait).elapsed_ns
        for _ in range(min(REWARM_STEPS, turn.n_calls + 1))
    ]


def _implausible(held: Held, n_calls: int) -> str:
    """Return why the time of a call is not the time of its work, or nothing."""
    binding, bound, wait = held.binding, held.binding.bound, held.wait
    first, generator = held.batches[0], np.random.Generator(np.random.PCG64(0))

    def feed() -> None:
        """Write inputs that no call has seen; their zeros stay."""
        factors = generator.uniform(0.5, 1.5, first.x.shape).astype(first.x.dtype)
        binding.feed(Batch(first.params, first.x * factors, first.y))

    # a busy machine adds nothing to the process's own time, which says nothing about an accelerator
    time_ns = time.process_time_ns if wait is clock.no_wait else time.perf_counter_ns
    if kept := honesty.linear(bound.call, feed, bound.reset, n_calls, synchronise=wait, clock=time_ns):
        return kept
    first_ns: list[int] = []
    second_ns: list[int] = []
    per_call_ns: list[float] = []
    for _ in range(RESULTS):
        feed()
        bound.reset()
        per_call_ns.append(clock.take_value(bound.call, 1, synchronise=wait, clock=time_ns).per_call_ns)
        kept_results = []  # held, so that the second finds no memory of the first
        for times in (first_ns, second_ns):
            started = time_ns()
            kept_results.append(bound.result())
            times.append(time_ns() - started)
    by_turns = itertools.cycle(held.batches)
    return honesty.deferred(first_ns, second_ns, min(per_call_ns)) or honesty.unasked(
        bound.call, lambda: binding.feed(next(by_turns)), bound.reset, bound.result
    )


def load_arrays(path: str | Path) -> dict[str, Any]:
    """All arrays of an npz; nothing is unpickled."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
