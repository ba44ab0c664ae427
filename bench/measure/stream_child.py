"""Stream samples through one arm, or through the control, in a process of its own.

The argument is a ``Job``. The child proves its variant, then times a slice of calls for each ``Take`` of
standard input; for ``Finish`` it compares the last result and sends the histogram of all its calls.
"""

import gc
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import proof
from bench.machine import clock as clocks
from bench.machine.arrays import read_arrays
from bench.machine.clock import Call, Clock
from bench.machine.libraries import changed_state, library, process_state, wrong_library
from bench.machine.lifeline import replies
from bench.machine.units import duration
from bench.measure.call_times import (
    Collections,
    Sleep,
    Slice,
    clock_facts,
    idle,
    others_ns,
    take_slice,
)
from bench.measure.worker import Refusal, refusal
from bench.records.stream import MAX_SLOWEST, Burst, Histogram, Pace, Slow
from bench.workload.binding import Binding, bind_case
from bench.workload.case import Case
from bench.workload.data import Array, Batch
from bench.workload.own import load_variant

INPUTS, EXPECTED = "inputs.npz", "expected.npz"
LATE_SLACK_NS = 1_000_000  # of the first reading of a result: code and memory that are cold
ORDERED = 10_000  # samples, after which their order repeats
PILOT_NS, PART_NS = 200_000_000, 20_000_000  # of the first calls, which count nowhere, and of a part of them
FEW, MAX_PART, MOST_PARTS = 10, 1000, 20  # calls of a part, and how many parts


class Job(msgspec.Struct, frozen=True):
    """Describe what a child streams in a block; without a ``spec`` it is the control."""

    block: int
    arm: str
    spec: str
    device: str
    threads: int
    case: Case
    folder: str
    collector: bool
    period_ns: float | None
    pace: Pace | None


class Take(msgspec.Struct, frozen=True, tag=True):
    """Ask to time a slice: ``warm`` calls or groups of calls that do not count, then ``n`` that do."""

    n: int
    warm: int
    group: int
    idle_ns: int


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Ask for all the times; ``after`` is a file with the result that must be the last one."""

    group: int
    after: str


class Started(msgspec.Struct, frozen=True, tag=True):
    """Report that the arm is proved: the median of its first calls, and the cost of reading the clock."""

    median_ns: float
    clock_cost_ns: int


class Done(msgspec.Struct, frozen=True, tag=True):
    """Report the end of a slice."""


class Taken(msgspec.Struct, frozen=True, tag=True):
    """Hold the record of the whole block."""

    burst: Burst


def main(kind: "type[ArmTimer] | None" = None) -> None:
    """Stream the job of the command line, and send the replies on standard output."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    with replies() as send:
        for reply in serve(job, sys.stdin, kind=kind):
            send(msgspec.json.encode(reply))


def serve(
    job: Job,
    lines: Iterable[str],
    *,
    clock: Clock = time.perf_counter_ns,
    sleep: Sleep = time.sleep,
    kind: "type[ArmTimer] | None" = None,
) -> Iterator[msgspec.Struct]:
    """Yield ``Started``, then a reply for each line; the last one is ``Refused`` if the arm fails."""
    target = job.spec
    try:
        if job.spec:
            target = load_variant(job.spec).cells[job.case.cell].target
        timer = (kind or ArmTimer)(job, clock, sleep)
        yield Started(timer.pilot(), timer.cost_ns)
        for message in map(msgspec.json.Decoder(timer.messages).decode, lines):
            yield timer.answer(message)
    except (Exception, SystemExit) as error:  # a variant may raise anything, or exit
        yield refusal(error, target)


def order(case: Case) -> list[int]:
    """Return the order of samples, which are then fed in this order again and again.

    In their own order, y_t would soon be the same for every x_t that comes again, and could be kept.
    """
    return random.Random(case.seed).choices(range(case.shape.T), k=ORDERED)


def connected(binding: Binding) -> tuple[Call, Callable[[Any], object]]:
    """Return a call of the step, and the function that brings it a sample.

    On a CPU both libraries' buffers get the same copy, before the clock is read. A sample for an accelerator
    is in host memory when the clock is read, so that its way there and the result's way back are timed.
    """
    bound, used_library = binding.bound, binding.library
    write: Callable[[Any], object] = partial(used_library.write, binding.x)
    if own_feed := getattr(bound, "feed", None):
        y = np.array(binding.first.y)
        write = lambda sample: own_feed(sample.copy(), y)  # noqa: E731
    if binding.device == "cpu":
        buffer = used_library.as_numpy(binding.x)
        shared = not own_feed and np.shares_memory(buffer, used_library.as_numpy(binding.x))
        return bound.call, partial(np.copyto, buffer) if shared else write
    arrived: list[Any] = [None]

    def call() -> None:
        write(arrived[0])
        bound.call()
        bound.result()

    return call, partial(arrived.__setitem__, 0)


class ArmTimer:
    """Time the slices of an arm, and sum up what they took."""

    messages: Any = Take | Finish  # that it answers

    def __init__(self, job: Job, clock: Clock = time.perf_counter_ns, sleep: Sleep = time.sleep) -> None:
        """Prove the arm of the job, or make the control.

        Raises:
            Refusal: the proof failed.
        """
        self._job, self._clock, self._sleep = job, clock, sleep
        if not job.collector:
            gc.disable()
        self._batch = Batch.load(Path(job.folder) / INPUTS)
        self._call: Call = clocks.no_wait
        self._reset: Call = clocks.no_wait
        self._first_call_ns, self._facts = 0, dict[str, Any]()
        self._feed: Callable[[Any], object] = partial(np.copyto, np.array(self._batch.x[:1]))
        if job.spec:
            self._prove()
        self.cost_ns, self._step_ns = clock_facts(clock)
        self._parts, self._collections, self._idle_ns = list[Slice](), Collections(), 0
        gc.collect()  # what the proof left behind is not the stream's

    def _prove(self) -> None:
        """Bind the variant and prove it; its very first call is timed.

        Raises:
            Refusal: the proof failed.
        """
        job, batch, self._variant = self._job, self._batch, load_variant(self._job.spec)
        name = self._variant.library
        bind, used_library = self._variant.load(job.case.cell), library(name)
        used_library.prepare(job.threads)
        self._state = process_state(name)
        self._expected = proof.Expected.load(Path(job.folder) / EXPECTED, batch.params)
        first, self._binding = (bind_case(bind, name, job.case, batch, job.device) for _ in range(2))
        wait = used_library.synchroniser(job.device)
        self._first_call_ns = clocks.take_value(first.bound.call, 1, synchronise=wait).elapsed_ns
        checks = proof.prove(bind, job.case, batch, self._expected, library=name, device=job.device)
        if proof.status(checks) == "disagrees":
            raise Refusal("disagrees", proof.failures(checks), checks)
        self._facts = used_library.facts() | used_library.device_facts(job.device)
        (self._call, self._feed), self._reset = connected(self._binding), self._binding.bound.reset

    def _timed(self, call: Call, n: int, group: int = 1) -> Slice:
        job = self._job
        return take_slice(
            call, self._feed, self._samples, n,
            group=group, period_ns=job.period_ns, pace=job.pace, clock=self._clock, sleep=self._sleep,
        )  # fmt: skip

    def pilot(self) -> float:
        """Return the median time of a first call in ns; then begin anew: first sample, a state of zero.

        It is the least of several parts' medians, the first part left out: calls are cold at first, and slow
        while another program is at work.
        """
        n, left_ns, medians = FEW, PILOT_NS, list[float]()
        steps = [self._batch.x[t : t + 1] for t in range(len(self._batch.x))]
        samples = [steps[t] for t in order(self._job.case)]
        self._samples = cycle(samples)
        while left_ns > 0 and len(medians) < MOST_PARTS:
            part = self._timed(self._call, n)
            medians.append(float(np.median(part.ends - part.starts)))
            part_ns = int(part.ends[-1] - part.starts[0])
            left_ns -= part_ns
            n = n if part_ns >= PART_NS else min(2 * n, MAX_PART)
        self._samples = cycle(samples)
        self._reset()
        self._others_ns = others_ns()
        return min(medians[1:] or medians)

    def answer(self, message: Any) -> msgspec.Struct:
        """Do what a message asks; return the reply."""
        if isinstance(message, Finish):
            return Taken(self.finish(message))
        self.take(message)
        return Done()

    def take(self, request: Take) -> None:
        """Time a slice."""
        call = self._call
        if not self._job.spec:
            self._idle_ns, call = request.idle_ns, idle(request.idle_ns, self._clock)
        self._timed(call, request.warm, request.group)
        with self._collections.noted(self._clock):
            self._parts.append(self._timed(call, request.n, request.group))

    def finish(self, request: Finish) -> Burst:
        """Compare the last result, and return the times of all slices.

        Raises:
            Refusal: the result is wrong, or the process is not as it was.
        """
        job, group, parts, within = self._job, request.group, self._parts, self._collections.within
        costs = self.cost_ns, clock_facts(self._clock)[0]
        if job.spec:
            calls_ns = sum(int(np.sum(part.ends - part.starts)) for part in parts)
            self._refuse_other_threads(calls_ns)
            self._check([self._binding], read_arrays(request.after, ("y_hat",))["y_hat"], calls_ns)
        starts, ends = np.hstack([part.starts for part in parts]), np.hstack([part.ends for part in parts])
        late = ends - np.hstack([part.dues for part in parts])
        times, period_ns = ends - starts, job.period_ns
        slowest = np.argsort(-times, kind="stable")[:MAX_SLOWEST].tolist()
        preempted, minor, major = np.sum([part.used for part in parts], axis=0).tolist()
        return Burst(
            job.block, job.arm, Histogram.of(times / group), Histogram.of(late) if period_ns else None,
            int(np.sum(late > period_ns)) if period_ns else 0,
            [Slow(k, round(times[k] / group), within(int(starts[k]), int(ends[k]))) for k in slowest],
            self._first_call_ns, costs, self._step_ns, self._collections.counts, self._collections.total_ns,
            preempted, (minor, major), self._facts, self._idle_ns,
        )  # fmt: skip

    def _left_to_result(self, binding: Binding, calls_ns: int) -> str:
        """Return an error text if the calls have left their work to whoever reads the result first."""
        # other programs add nothing to the processor time, which however leaves an accelerator out
        clock = time.process_time_ns if self._job.device == "cpu" else time.perf_counter_ns
        readings = [clock()]
        for _ in range(2):
            binding.bound.result()
            readings.append(clock())
        extra_ns = 2 * readings[1] - readings[0] - readings[2]
        if extra_ns <= calls_ns / 2 + LATE_SLACK_NS:
            return ""
        return (
            f"leaves its work to result(), which takes {duration(extra_ns)} less when asked again; all calls "
            f"took {duration(calls_ns)}"
        )

    def _refuse_other_threads(self, calls_ns: int, workers_ns: int = 0) -> None:
        """Raise Refusal if other threads than the workers have computed for longer than the calls took.

        A call that waits for its own threads takes as long as they do. Warm calls are not in ``calls_ns``.
        It comes before ``_check``, which calls the variant again, perhaps for a third of a second.
        """
        job, elsewhere_ns = self._job, others_ns() - self._others_ns - workers_ns
        if job.device == "cpu" and job.threads == 1 and elsewhere_ns > 1.5 * calls_ns + LATE_SLACK_NS:
            raise Refusal(
                "invalid",
                f"{self._variant.name} leaves its work to threads of its own, which took "
                f"{duration(elsewhere_ns)}; all calls took {duration(calls_ns)}",
            )

    def _check(self, bindings: Sequence[Binding], y_hat: Array, calls_ns: int) -> None:
        """Raise Refusal if a last result is not ``y_hat``, or the process is not as it was.

        The calls of each binding took ``calls_ns``.
        """
        job, name = self._job, self._variant.library
        expected = replace(self._expected, y_hat=y_hat)
        changes = changed_state(self._state, process_state(name))  # before ``result``, which may undo them
        late_work = self._left_to_result(bindings[0], calls_ns)
        for binding in bindings:
            checks = proof.check_last(job.case, binding.result(), expected, after=None, device=job.device)
            if proof.status(checks) == "disagrees":
                raise Refusal("disagrees", f"after the last call: {proof.failures(checks)}", checks)
        fault = wrong_library(name) or library(name).computes_elsewhere(bindings[0].bound.call)
        if changes:
            fault = f"changed its process: {changes}"
        if fault := late_work or fault:
            raise Refusal("invalid", f"{self._variant.name} {fault}")


if __name__ == "__main__":
    main()
