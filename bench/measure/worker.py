"""Run a worker: a fresh process for one library at one place, which holds entries and takes their samples.

The runner starts the worker as ``python -m bench.measure.worker SETUP``, with thread limits in the
environment. Jobs arrive as lines on standard input; replies leave on a private copy of standard output. Text
that a variant prints goes to standard error. A worker loads one library: a NumPy worker never imports torch,
a torch worker never computes with NumPy's BLAS.

A held entry is proved and bound to its own arrays. Before each sample one of the case's two batches is
written into these arrays. After the sample the result must be the expected result of that batch. So a variant
that reuses earlier results is detected.
"""

import gc
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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

RESULT_PAIRS = 5  # in block 0, pairs of ``result`` calls whose times ``honesty.deferred`` compares


def main() -> None:
    """Take over standard output, start, and answer jobs until standard input closes."""
    setup = msgspec.json.decode(sys.argv[1], type=Setup)
    with replies() as send:
        for reply in serve(setup, sys.stdin):
            send(msgspec.json.encode(reply))


def serve(setup: Setup, jobs: TextIO) -> Iterator[Reply]:
    """Yield ``Ready``, then one reply per job."""
    gc.disable()  # during imports garbage collection takes a fifth of the time and finds nothing
    try:
        worker_library = load_library(setup.own_library) if setup.own_library else library(setup.library)
        worker_library.load()  # before any use of a thread pool
    except BaseException as error:
        yield refusal(error, setup.library)
        return
    worker_library.prepare(setup.threads)
    facts = worker_library.facts() | worker_library.device_facts(setup.device)
    gc.enable()
    worker = _Worker(setup, process_state(setup.library), facts["threads"])
    gc.disable()
    compile_ns, compile_cpu_ns = worker.rehearse()
    gc.enable()
    gc.collect()
    gc.freeze()  # later collections skip the objects of the imports
    yield Ready(time.process_time_ns(), facts, compile_ns, compile_cpu_ns)
    for line in jobs:
        yield worker.answer(msgspec.json.decode(line, type=Job))


class Refusal(Exception):
    """Signal that an entry gets no sample; hold the reply with the reason."""

    def __init__(self, status: Status, reason: str, checks: Sequence[Check] = ()) -> None:
        super().__init__(reason)
        self.reply = Refused(status, reason, list(checks))


def refusal(error: BaseException, target: str) -> Refused:
    """Return the reply for an error; it shows a place in the code of ``target``.

    Missing memory (a device has its own error class) and a bad clock have their own statuses.
    """
    if isinstance(error, Refusal):
        return error.reply
    if isinstance(error, UserError):  # a user's variant or library cannot be used
        return Refused("crashed", str(error))
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    status: Status = (
        "invalid" if isinstance(error, clock.ClockError) else "oom" if out_of_memory else "crashed"
    )
    return Refused(status, describe_error(error, target))


@dataclass(frozen=True, slots=True)
class Inputs:
    """Hold the two batches of a case, and the expected results of each."""

    batches: tuple[Batch, Batch]
    expected: tuple[proof.Expected, proof.Expected]

    @classmethod
    def load(cls, job: Prove) -> "Inputs":
        """Read the inputs of a job; the second batch gets the parameters of the first.

        Raises:
            Refusal: the digest of the inputs differs from the plan's.
        """
        folder = Path(job.folder)
        first, second = (Batch.load(folder / INPUTS.format(index)) for index in (0, 1))
        if digest_of((first, second)) != job.digest:
            raise Refusal("invalid", "the inputs' digest differs from the plan's")
        expected = [proof.Expected.load(folder / EXPECTED.format(index), first.params) for index in (0, 1)]
        return cls((first, replace(second, params=first.params)), (expected[0], expected[1]))


@dataclass(frozen=True, slots=True)
class BoundEntry:
    """Hold a variant bound to a case, and the inputs that are written into its arrays alternately."""

    variant: Variant
    job: Prove
    binding: Binding
    inputs: Inputs
    wait: Call
    after: dict[str, dict[str, Any]] = field(default_factory=dict)  # expected parameters, by path

    def check(self, turn: Turn) -> list[Check]:
        """Compare the result of the last call with the expected result."""
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
    """Answer jobs: keep the held entries, and the process settings from before the first binding."""

    def __init__(self, setup: Setup, state: dict[str, Any], threads: int | None) -> None:
        self._setup = setup
        self._state = state
        self._threads = threads  # as reported by the library
        self._variants: dict[str, Variant] = {}
        self._held: dict[str, BoundEntry] = {}
        self._inputs: dict[str, Inputs] = {}  # by folder
        self._fresh = True  # true until the first call
        self._collected = False  # whether garbage was collected since the last entry was bound

    def rehearse(self) -> tuple[int, int]:
        """Bind the first job once; return the wall and processor time of compiling, in nanoseconds.

        At first use, torch imports large parts of itself, and a compiled variant compiles. Every worker
        spends this time during its start, so it is no cost of an entry.
        """
        job = self._setup.rehearsal
        with suppress(BaseException):  # a faulty variant is reported when it is proved
            variant, batch = self._variant(job.spec), Batch.load(Path(job.folder) / INPUTS.format(0))
            started_ns = time.process_time_ns()
            bound = bind_job(variant, job, batch).bound
            if compile_ns := int(getattr(bound, "compile_ns", 0)):
                return compile_ns, time.process_time_ns() - started_ns
        return 0, 0

    def answer(self, job: Job) -> Reply:
        """Do the job; turn any error of a variant into a refusal, so that the other entries continue."""
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
        proving = job if isinstance(job, Prove) else self._held[job.key].job
        spec = proving.spec
        try:
            reply = self._prove(job) if isinstance(job, Prove) else self._take(job)
        except BaseException as error:  # a variant may raise any error, or exit
            code = self._variants[spec].cells.get(proving.case.cell) if spec in self._variants else None
            reply = refusal(error, code.target if code else spec)
        if isinstance(job, Prove):
            name = self._variants[spec].name if spec in self._variants else spec
            if library_error := wrong_library(setup.library):
                reply = Refused("invalid", f"{name} {library_error}")
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
        if not self._collected:  # only once after all are bound: it takes a tenth of a second
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
) -> tuple[BoundEntry, Proved]:
    """Prove the entry, bind it and, in block 0, calibrate it.

    With one thread of the CPU, the calibration uses the processor time of the process, to which other
    programs add nothing. If the process is ``fresh`` (no call was made yet), the first call is timed
    separately, because the library sets itself up in this call.

    Raises:
        Refusal: the proof failed, or the measured time is not the time of the work.
    """
    batch, worker_library = inputs.batches[0], library(variant.library)
    wait = worker_library.synchroniser(job.device)
    cold_call_ns = 0
    if fresh:
        bound = bind_job(variant, job, batch).bound
        cold_call_ns = clock.take_value(bound.call, 1, synchronise=wait).elapsed_ns
    checks = proof.prove(
        variant.load(job.case.cell),
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
    transferred_ns = transfer_ns(batch, worker_library.mover(job.device), synchronise=wait)
    held = BoundEntry(variant, job, bind_job(variant, job, batch), inputs, wait)
    bound, started_ns = held.binding.bound, time.perf_counter_ns()
    settled, n_calls, calibration_ns = None, job.n_calls, 0
    if n_calls is None:
        time_ns = time.process_time_ns if job.device == "cpu" and threads == 1 else time.perf_counter_ns
        settled, warmup_calls, first_call_ns = settle(bound.call, synchronise=wait, clock=time_ns)
        n_calls = clock.calibrate(bound.call, synchronise=wait, clock=time_ns, reset=bound.reset)
        if library_error := worker_library.computes_elsewhere(bound.call):
            raise Refusal("invalid", f"{variant.name} {library_error}", checks)
        if why := _implausible(held, n_calls):
            raise Refusal("invalid", f"{variant.name}: {why}", checks)
        calibration_ns = time.perf_counter_ns() - started_ns
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
        transfer_ns=transferred_ns,
        calibration_ns=calibration_ns,
    )


def take(held: BoundEntry, turn: Turn) -> Value:
    """Take one sample: write the batch of the turn, time the calls, and compare the result.

    Raises:
        Refusal: the result is not the expected result of the batch.
    """
    bound = held.binding.bound
    held.binding.feed(held.inputs.batches[turn.batch])
    rewarm_ns = _rewarm(held, turn)
    bound.reset()
    preempted, cpu_ns = gates.preempted() or 0, time.process_time_ns()
    sample = clock.take_value(bound.call, turn.n_calls, synchronise=held.wait)
    cpu_ns, preempted = time.process_time_ns() - cpu_ns, (gates.preempted() or 0) - preempted
    checks = held.check(turn)
    if proof.status(checks, known_wrong=held.variant.known_wrong) == "disagrees":
        raise Refusal("disagrees", f"after a value: {proof.failures(checks)}", checks)
    return Value(sample.n_calls, sample.elapsed_ns, sample.residual_ns, cpu_ns, preempted, rewarm_ns)


def transfer_ns(
    batch: Batch,
    move: Move | None,
    *,
    synchronise: Call = no_wait,
    clock: Clock = time.perf_counter_ns,
) -> int:
    """Return the host's nanoseconds until U, W, V, x and y are on the device; 0 if they need not move.

    This time is a cost of the start, not part of any sample::

        synchronise; t0; move five arrays; synchronise; t1      t1 - t0
    """
    if move is None:
        return 0
    synchronise()  # what was launched before is not waited for below
    start_ns = clock()
    moved = [move(array) for array in (*batch.params.values(), batch.x, batch.y)]
    synchronise()
    elapsed_ns = clock() - start_ns
    moved.clear()  # not earlier: an unreferenced copy may be freed before it has arrived
    return elapsed_ns


def bind_job(variant: Variant, job: Prove, batch: Batch) -> Binding:
    """Bind a variant to the case of a job."""
    return bind_case(variant.load(job.case.cell), variant.library, job.case, batch, job.device)


def _rewarm(held: BoundEntry, turn: Turn) -> list[int]:
    """Re-warm before a sample, because other entries ran before; in block 0 time the steps."""
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


def _implausible(held: BoundEntry, n_calls: int) -> str:
    """Return an error text if the time of a call is not the time of its work, else an empty text."""
    binding, bound, wait = held.binding, held.binding.bound, held.wait
    batch, generator = held.inputs.batches[0], np.random.Generator(np.random.PCG64(0))

    def feed() -> None:
        """Write inputs that no call has seen; zeros stay zero."""
        factors = generator.uniform(0.5, 1.5, batch.x.shape).astype(batch.x.dtype)
        binding.feed(replace(batch, x=batch.x * factors))

    # a busy machine adds nothing to the processor time, which however excludes an accelerator
    time_ns = time.process_time_ns if wait is no_wait else time.perf_counter_ns
    if reason := honesty.linear(bound.call, feed, bound.reset, n_calls, synchronise=wait, clock=time_ns):
        return reason
    first_ns: list[int] = []
    second_ns: list[int] = []
    per_call_ns: list[float] = []
    for _ in range(RESULT_PAIRS):
        feed()
        bound.reset()
        per_call_ns.append(clock.take_value(bound.call, 1, synchronise=wait, clock=time_ns).per_call_ns)
        kept_results = []  # kept, so that the second cannot reuse the memory of the first
        for times in (first_ns, second_ns):
            start_ns = time_ns()
            kept_results.append(bound.result())
            times.append(time_ns() - start_ns)
    alternating = itertools.cycle(held.inputs.batches)
    return honesty.deferred(first_ns, second_ns, min(per_call_ns)) or honesty.unasked(
        bound.call, lambda: binding.feed(next(alternating)), bound.reset, bound.result
    )


if __name__ == "__main__":
    main()
