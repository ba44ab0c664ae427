"""A worker: a fresh process for one library at one place, which holds entries and takes their values in turn.

Started by the runner with its thread limits in the environment, as ``python -m bench.measure.worker SETUP``.
Jobs come as lines on standard input, replies go out on a private copy of standard output; what a variant
prints goes to standard error. A worker loads one library: a NumPy worker never imports torch, a torch
worker never computes with NumPy's BLAS.

An entry that is held is proved and bound to arrays of its own. Before each value one of the case's two
batches is written into those arrays, and after it the result must be the one expected of that batch: what was
kept from earlier calls shows.
"""

import gc
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np

from bench import proof
from bench.machine import clock, gates
from bench.machine.arrays import read_arrays
from bench.machine.clock import Call, Clock, no_wait
from bench.machine.errors import UserError, describe_error
from bench.machine.libraries import Move, changed_state, library, process_state, wrong_library
from bench.machine.lifeline import replies
from bench.measure import honesty, primitives
from bench.measure.messages import (
    EXPECTED,
    INPUTS,
    Close,
    Closed,
    Job,
    Measured,
    ProbeJob,
    Prove,
    Refused,
    Reply,
    Setup,
    Turn,
    Value,
    digest_of,
)
from bench.measure.steady import REWARM_STEPS, rewarm_step, settle
from bench.records.record import Check, Proved, Ready, Status
from bench.workload.binding import Binding, bind_case
from bench.workload.catalog import Variant
from bench.workload.data import Batch
from bench.workload.own import load_library, load_variant

RESULTS = 5  # block 0: how often the time of ``result`` is compared with its time directly after


def main() -> None:
    """Take over standard output, get ready, and answer jobs until standard input closes."""
    setup = msgspec.json.decode(sys.argv[1], type=Setup)
    with replies() as send:
        for reply in serve(setup, sys.stdin):
            send(msgspec.json.encode(reply))


def serve(setup: Setup, jobs: TextIO) -> Iterator[Reply]:
    """Yield ``Ready``, then one reply a job."""
    gc.disable()  # while importing, where it takes a fifth of the time and finds nothing
    try:
        own = load_library(setup.own_library) if setup.own_library else library(setup.library)
        own.load()  # before any thread pool may be used
    except BaseException as error:
        yield refusal(error, setup.library)
        return
    own.prepare(setup.threads)
    facts = own.facts() | own.device_facts(setup.device)
    gc.enable()
    worker = _Worker(setup, process_state(setup.library), facts["threads"])
    gc.disable()
    compile_ns, compile_cpu_ns = worker.rehearse()
    gc.enable()
    gc.collect()
    gc.freeze()  # the imports' objects: collecting before a value need not visit them again
    yield Ready(time.process_time_ns(), facts, compile_ns, compile_cpu_ns)
    for line in jobs:
        yield worker.answer(msgspec.json.decode(line, type=Job))


class Refusal(Exception):
    """The entry gets no value; holds the reply that says why."""

    def __init__(self, status: Status, reason: str, checks: Sequence[Check] = ()) -> None:
        super().__init__(reason)
        self.reply = Refused(status, reason, list(checks))


def refusal(error: BaseException, target: str) -> Refused:
    """Return what is told of an error; ``target`` names the code of which a place is shown.

    No memory (a device's has a class of its own) and a bad clock have statuses of their own.
    """
    if isinstance(error, Refusal):
        return error.reply
    if isinstance(error, UserError):  # of a plug-in that is none
        return Refused("crashed", str(error))
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    status: Status = (
        "invalid" if isinstance(error, clock.ClockError) else "oom" if out_of_memory else "crashed"
    )
    return Refused(status, describe_error(error, target))


@dataclass(frozen=True, slots=True)
class Inputs:
    """The two batches of a case, and what is expected of each."""

    batches: tuple[Batch, Batch]
    expected: tuple[proof.Expected, proof.Expected]

    @classmethod
    def load(cls, job: Prove) -> "Inputs":
        """Read those of a job; the second batch has the parameters of the first.

        Raises:
            Refusal: their digest is not the plan's.
        """
        folder = Path(job.folder)
        first, second = (Batch.load(folder / INPUTS.format(which)) for which in (0, 1))
        if digest_of((first, second)) != job.digest:
            raise Refusal("invalid", "the inputs' digest differs from the plan's")
        expected = [proof.Expected.load(folder / EXPECTED.format(which), first.params) for which in (0, 1)]
        return cls((first, Batch(first.params, second.x, second.y)), (expected[0], expected[1]))


@dataclass(frozen=True, slots=True)
class Held:
    """A variant bound to a case, with the inputs that are written in by turns."""

    variant: Variant
    job: Prove
    binding: Binding
    inputs: Inputs
    wait: Call
    after: dict[str, dict[str, Any]] = field(default_factory=dict)  # parameters expected, by path

    def check(self, turn: Turn) -> list[Check]:
        """Compare the result of the last call with the one expected."""
        if turn.after is not None and turn.after not in self.after:
            self.after[turn.after] = read_arrays(turn.after, None)
        return proof.check_last(
            self.job.case,
            self.binding.result(),
            self.inputs.expected[turn.batch],
            after=None if turn.after is None else self.after[turn.after],
            device=self.job.device,
            known_wrong=self.variant.wrong_gradients,
        )


class _Worker:
    """What is held, and the state of the process before anything was bound."""

    def __init__(self, setup: Setup, state: dict[str, Any], threads: int | None) -> None:
        self._setup = setup
        self._state = state
        self._threads = threads  # as the library tells
        self._variants: dict[str, Variant] = {}
        self._held: dict[str, Held] = {}
        self._inputs: dict[str, Inputs] = {}  # by folder
        self._fresh = True  # nothing was called yet
        self._collected = False  # garbage, since the last entry was bound

    def rehearse(self) -> tuple[int, int]:
        """Bind the first job once; return what went into compiling, in nanoseconds: wall, processor.

        torch imports large parts of itself at first use, and a compiled variant compiles. That is start-up,
        which every worker goes through, and no part of an entry.
        """
        job = self._setup.rehearsal
        with suppress(BaseException):  # what is wrong with a variant is found, and told, when it is proved
            variant, batch = self._variant(job.spec), Batch.load(Path(job.folder) / INPUTS.format(0))
            started_ns = time.process_time_ns()
            bound = bind_job(variant, job, batch).bound
            if compile_ns := int(getattr(bound, "compile_ns", 0)):
                return compile_ns, time.process_time_ns() - started_ns
        return 0, 0

    def answer(self, job: Job) -> Reply:
        """Do the job; whatever a variant raises becomes a refusal, so that the other entries go on."""
        if isinstance(job, Close):
            return self._close()
        setup = self._setup
        if self._threads not in (None, setup.threads):
            return Refused("invalid", f"asked for {setup.threads} threads, the library has {self._threads}")
        if isinstance(job, ProbeJob):
            try:
                time_ns = time.thread_time_ns if job.of_thread else time.perf_counter_ns
                return Measured(primitives.measure(setup.library, job, clock=time_ns))
            except BaseException as error:
                return refusal(error, "")
        spec = job.spec if isinstance(job, Prove) else self._held[job.key].job.spec
        try:
            reply = self._prove(job) if isinstance(job, Prove) else self._take(job)
        except BaseException as error:  # a variant may raise anything, or leave
            reply = refusal(error, self._variants[spec].target if spec in self._variants else spec)
        if isinstance(job, Prove):
            name = self._variants[spec].name if spec in self._variants else spec
            if other := wrong_library(setup.library):
                reply = Refused("invalid", f"{name} {other}")
            if changes := self._changes():
                reply = Refused("invalid", f"{name} changed its process: {changes}")
        if isinstance(reply, Refused):
            self._held.pop(job.key, None)
        return reply

    def _prove(self, job: Prove) -> Reply:
        self._collected = False
        if job.folder not in self._inputs:
            self._inputs[job.folder] = Inputs.load(job)
        variant, inputs, threads = self._variant(job.spec), self._inputs[job.folder], self._setup.threads
        fresh, self._fresh = self._fresh, False
        self._held[job.key], proved = hold(variant, job, inputs, fresh=fresh, threads=threads)
        return proved

    def _take(self, turn: Turn) -> Reply:
        if not self._collected:  # once, when all are bound: it takes a tenth of a second
            gc.collect()
            self._collected = True
        return take(self._held[turn.key], turn)

    def _close(self) -> Closed:
        self._held.clear()
        self._inputs.clear()
        gc.collect()
        return Closed(wrong_library(self._setup.library) or self._changes())

    def _changes(self) -> str:
        return changed_state(self._state, process_state(self._setup.library))

    def _variant(self, spec: str) -> Variant:
        if spec not in self._variants:
            self._variants[spec] = load_variant(spec)
        return self._variants[spec]


def hold(
    variant: Variant, job: Prove, inputs: Inputs, *, fresh: bool, threads: int = 1
) -> tuple[Held, Proved]:
    """Prove the entry, bind it and, in block 0, find how it is to be timed.

    A single thread of the CPU is timed here by the time of its process, to which other programs add nothing.
    In a ``fresh`` process, which has made no call yet, the first one is timed by itself: it sets up what a
    library sets up once.

    Raises:
        Refusal: the proof failed, or its time is not that of the work.
    """
    batch, own = inputs.batches[0], library(variant.library)
    wait = own.synchroniser(job.device)
    cold_call_ns = 0
    if fresh:
        bound = bind_job(variant, job, batch).bound
        cold_call_ns = clock.take_value(bound.call, 1, synchronise=wait).elapsed_ns
    checks = proof.prove(
        variant.load(),
        job.case,
        batch,
        inputs.expected[0],
        library=variant.library,
        device=job.device,
        known_wrong=variant.wrong_gradients,
    )
    status = proof.status(checks, known_wrong=variant.known_wrong)
    if status == "disagrees":
        raise Refusal("disagrees", proof.failures(checks), checks)
    moved_ns = transfer_ns(batch, own.mover(job.device), synchronise=wait)
    held = Held(variant, job, bind_job(variant, job, batch), inputs, wait)
    bound, started = held.binding.bound, time.perf_counter_ns()
    settled, n_calls, calibration_ns = None, job.n_calls, 0
    if n_calls is None:
        time_ns = time.process_time_ns if job.device == "cpu" and threads == 1 else time.perf_counter_ns
        settled, warmup_calls, first_call_ns = settle(bound.call, synchronise=wait, clock=time_ns)
        n_calls = clock.calibrate(bound.call, synchronise=wait, clock=time_ns, reset=bound.reset)
        if other := own.computes_elsewhere(bound.call):
            raise Refusal("invalid", f"{variant.name} {other}", checks)
        if why := _implausible(held, n_calls):
            raise Refusal("invalid", f"{variant.name}: {why}", checks)
        calibration_ns = time.perf_counter_ns() - started
    else:
        first_call_ns, warmup_calls = clock.warm_up(bound.call, synchronise=wait, at_least=job.warmup_calls)
    return held, Proved(
        n_calls,
        warmup_calls,
        settled,
        status=status,
        checks=checks,
        first_call_ns=first_call_ns,
        cold_call_ns=cold_call_ns,
        transfer_ns=moved_ns,
        calibration_ns=calibration_ns,
    )


def take(held: Held, turn: Turn) -> Value:
    """Take one value; the batch of the turn is written in first, and its result compared after it.

    Raises:
        Refusal: the result is not the one expected of that batch.
    """
    bound = held.binding.bound
    held.binding.feed(held.inputs.batches[turn.batch])
    rewarm_ns = _rewarm(held, turn)
    bound.reset()
    preempted, cpu_ns = gates.preempted() or 0, time.process_time_ns()
    value = clock.take_value(bound.call, turn.n_calls, synchronise=held.wait)
    cpu_ns, preempted = time.process_time_ns() - cpu_ns, (gates.preempted() or 0) - preempted
    checks = held.check(turn)
    if proof.status(checks, known_wrong=held.variant.known_wrong) == "disagrees":
        raise Refusal("disagrees", f"after a value: {proof.failures(checks)}", checks)
    return Value(value.n_calls, value.elapsed_ns, value.residual_ns, cpu_ns, preempted, rewarm_ns)


def transfer_ns(
    batch: Batch,
    move: Move | None,
    *,
    synchronise: Call = no_wait,
    clock: Clock = time.perf_counter_ns,
) -> int:
    """Return nanoseconds of the host until U, W, V, x and y are on the device; 0 where none need move.

    This is a cost of starting, and no part of any value::

        synchronise; t0; move five arrays; synchronise; t1      t1 - t0
    """
    if move is None:
        return 0
    synchronise()  # what was launched before is not waited for below
    start = clock()
    moved = [move(array) for array in (*batch.params.values(), batch.x, batch.y)]
    synchronise()
    elapsed_ns = clock() - start
    moved.clear()  # not earlier: a copy that nobody holds may be dropped before it has arrived
    return elapsed_ns


def bind_job(variant: Variant, job: Prove, batch: Batch) -> Binding:
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
    first, generator = held.inputs.batches[0], np.random.Generator(np.random.PCG64(0))

    def feed() -> None:
        """Write inputs that no call has seen; their zeros stay."""
        factors = generator.uniform(0.5, 1.5, first.x.shape).astype(first.x.dtype)
        binding.feed(Batch(first.params, first.x * factors, first.y))

    # a busy machine adds nothing to the process's own time, which says nothing about an accelerator
    time_ns = time.process_time_ns if wait is no_wait else time.perf_counter_ns
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
    by_turns = itertools.cycle(held.inputs.batches)
    return honesty.deferred(first_ns, second_ns, min(per_call_ns)) or honesty.unasked(
        bound.call, lambda: binding.feed(next(by_turns)), bound.reset, bound.result
    )


if __name__ == "__main__":
    main()
