"""Stream samples through one arm, or through the control, in a process of its own.

The argument is a ``Job``. The child proves its variant, then answers each message of standard input: it times
a slice of calls, and in the end compares its last result and sends the histogram of all its calls.
"""

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import proof
from bench.machine import clock as clocks
from bench.machine.arrays import read_arrays
from bench.machine.clock import Call, Clock
from bench.machine.libraries import changed_state, library, process_state, wrong_library
from bench.machine.lifeline import replies
from bench.measure.call_times import Collections, Sleep, Slice, clock_facts, idle, take_slice
from bench.measure.messages import Refused
from bench.measure.worker import Refusal, refusal
from bench.records.stream import MAX_SLOWEST, Histogram, Pace, Slow
from bench.workload.binding import Binding, bind_case
from bench.workload.case import Case
from bench.workload.data import Batch
from bench.workload.own import load_variant

INPUTS, EXPECTED = "inputs.npz", "expected.npz"
PILOT_NS = 50_000_000
MAX_PILOT, FEW = 2000, 10  # calls


class Job(msgspec.Struct, frozen=True):
    """Describe what a child streams; without a ``spec`` it is the control."""

    spec: str
    device: str
    threads: int
    case: Case
    folder: str
    collector: bool
    period_ns: float | None
    pace: Pace | None


class Pilot(msgspec.Struct, frozen=True, tag=True):
    """Ask for the median of a few calls, which count nowhere; the state is then reset."""


class Take(msgspec.Struct, frozen=True, tag=True):
    """Ask to time a slice: ``warm`` calls or groups that do not count, then ``n`` that do."""

    n: int
    warm: int
    group: int
    idle_ns: int


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Ask for all the times, taken of groups of this size; ``after`` holds the expected last result."""

    group: int
    after: str


class Started(msgspec.Struct, frozen=True, tag=True):
    """Report that the arm is proved, and what a reading of the clock costs here."""

    clock_cost_ns: int


class Done(msgspec.Struct, frozen=True, tag=True):
    """Report the end of a slice, and the median of its calls."""

    median_ns: float


class Taken(msgspec.Struct, frozen=True, tag=True):
    """Hold a burst's fields, but those that the parent knows."""

    times: Histogram
    response: Histogram | None
    missed: int
    slowest: list[Slow]
    first_call_ns: int
    clock_cost_ns: tuple[int, int]
    clock_step_ns: int
    collections: list[int]
    collecting_ns: int
    preempted: int
    faults: tuple[int, int]
    facts: dict[str, Any]


Reply = Started | Done | Taken | Refused


def main() -> None:
    """Stream the job of the command line, and send the replies on standard output."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    with replies() as send:
        for reply in serve(job, sys.stdin):
            send(msgspec.json.encode(reply))


def serve(
    job: Job, lines: Iterable[str], *, clock: Clock = time.perf_counter_ns, sleep: Sleep = time.sleep
) -> Iterator[Reply]:
    """Yield ``Started``, then a reply for each line; the last one is ``Refused`` if the arm fails."""
    target = job.spec
    try:
        if job.spec:
            target = load_variant(job.spec).cells[job.case.cell].target
        streamed = Streamed(job, clock, sleep)
        yield Started(streamed.cost_ns)
        for message in map(msgspec.json.Decoder(Pilot | Take | Finish).decode, lines):
            if isinstance(message, Finish):
                yield streamed.finish(message)
            else:
                yield Done(streamed.pilot() if isinstance(message, Pilot) else streamed.take(message))
    except (Exception, SystemExit) as error:  # a variant may raise anything, or exit
        yield refusal(error, target)


@dataclass(frozen=True, slots=True)
class Arm:
    """Hold what is called: ``call`` inside the clock, ``feed``, which copies a sample in, before it."""

    call: Call
    feed: Callable[[Any], object]
    reset: Call
    check: Callable[[str], None]  # raises Refusal if the last result, or the process, is not as it should be
    facts: dict[str, Any]
    first_call_ns: int


def prove_arm(job: Job, batch: Batch, expected: proof.Expected) -> Arm:
    """Bind the variant and prove it; its very first call is timed.

    Raises:
        Refusal: the proof failed.
    """
    variant, case = load_variant(job.spec), job.case
    bind, used_library = variant.load(case.cell), library(variant.library)
    used_library.prepare(job.threads)
    state = process_state(variant.library)

    def bind_anew() -> Binding:
        return bind_case(bind, variant.library, case, batch, job.device)

    first_call_ns = clocks.take_value(
        bind_anew().bound.call, 1, synchronise=used_library.synchroniser(job.device)
    ).elapsed_ns
    checks = proof.prove(bind, case, batch, expected, library=variant.library, device=job.device)
    if proof.status(checks) == "disagrees":
        raise Refusal("disagrees", proof.failures(checks), checks)
    binding = bind_anew()

    def check(after: str) -> None:
        last = replace(expected, y_hat=read_arrays(after, ("y_hat",))["y_hat"])
        checks = proof.check_last(case, binding.result(), last, after=None, device=job.device)
        if proof.status(checks) == "disagrees":
            raise Refusal("disagrees", f"after the last call: {proof.failures(checks)}", checks)
        fault = wrong_library(variant.library) or used_library.computes_elsewhere(binding.bound.call)
        if changes := changed_state(state, process_state(variant.library)):
            fault = f"changed its process: {changes}"
        if fault:
            raise Refusal("invalid", f"{variant.name} {fault}")

    facts = used_library.facts() | used_library.device_facts(job.device)
    return Arm(*connected(binding), binding.bound.reset, check, facts, first_call_ns)


def connected(binding: Binding) -> tuple[Call, Callable[[Any], object]]:
    """Return a call of the step, and the function that brings it a sample.

    On a CPU both libraries' buffers get the same copy, before the clock is read. A sample for an accelerator
    is in host memory when the clock is read, so that its way there and the result's way back are timed.
    """
    bound, held, used_library = binding.bound, binding.x, binding.library
    own_feed: Callable[..., object] | None = getattr(bound, "feed", None)
    write: Callable[[Any], object] = partial(used_library.write, held)
    if own_feed:
        y = np.array(binding.first.y)
        write = lambda sample: own_feed(sample.copy(), y)  # noqa: E731
    if binding.device == "cpu":
        buffer = used_library.as_numpy(held)
        shared = not own_feed and np.shares_memory(buffer, used_library.as_numpy(held))
        return bound.call, partial(np.copyto, buffer) if shared else write
    arrived: list[Any] = [None]

    def call() -> None:
        write(arrived[0])
        bound.call()
        bound.result()

    return call, partial(arrived.__setitem__, 0)


class Streamed:
    """Time the slices of an arm, and sum up what they took."""

    def __init__(self, job: Job, clock: Clock = time.perf_counter_ns, sleep: Sleep = time.sleep) -> None:
        """Prove the arm of the job, or make the control.

        Raises:
            Refusal: the proof failed.
        """
        if not job.collector:
            gc.disable()
        batch = Batch.load(Path(job.folder) / INPUTS)
        self._job, self._clock, self._sleep = job, clock, sleep
        self._xs = [batch.x[t : t + 1] for t in range(len(batch.x))]
        if job.spec:
            expected = proof.Expected.load(Path(job.folder) / EXPECTED, batch.params)
            self.arm = prove_arm(job, batch, expected)
        else:
            copy = partial(np.copyto, np.array(self._xs[0]))
            self.arm = Arm(clocks.no_wait, copy, clocks.no_wait, lambda after: None, {}, 0)
        self.cost_ns, self._step_ns = clock_facts(clock)
        self._rewind()
        self._parts = list[Slice]()
        self._collections = Collections()
        self._usage = np.zeros(3, int)
        gc.collect()  # what the proof left behind is not the stream's

    def _rewind(self) -> None:
        """Begin anew with the first sample and a state of zero."""
        self._samples = cycle(self._xs)
        self.arm.reset()

    def _timed(self, call: Call, n: int, group: int = 1) -> Slice:
        job = self._job
        return take_slice(
            call, self.arm.feed, self._samples, n,
            group=group, period_ns=job.period_ns, pace=job.pace, clock=self._clock, sleep=self._sleep,
        )  # fmt: skip

    def pilot(self) -> float:
        """Return the median time of a few calls in ns."""
        n = FEW
        while True:
            part = self._timed(self.arm.call, n)
            if int(part.ends[-1] - part.starts[0]) >= PILOT_NS or n >= MAX_PILOT:
                self._rewind()
                return float(np.median(part.ends - part.starts))
            n *= 4

    def take(self, wanted: Take) -> float:
        """Time a slice, and return the median time of its calls in ns."""
        call = self.arm.call if self._job.spec else idle(wanted.idle_ns, self._clock)
        self._timed(call, wanted.warm, wanted.group)
        before = usage()
        with self._collections.noted(self._clock):
            part = self._timed(call, wanted.n, wanted.group)
        self._usage += usage() - before
        self._parts.append(part)
        return float(np.median(part.ends - part.starts)) / wanted.group

    def finish(self, wanted: Finish) -> Taken:
        """Compare the last result, and return the times of all slices.

        Raises:
            Refusal: the result is wrong, or the process is not as it was.
        """
        cost_after_ns, _ = clock_facts(self._clock)
        self.arm.check(wanted.after)
        group = wanted.group
        starts, ends = (
            np.concatenate([getattr(part, name) for part in self._parts]) for name in ("starts", "ends")
        )
        response, missed, times = None, 0, ends - starts
        if self._job.period_ns:
            late = ends - np.concatenate([part.dues for part in self._parts if part.dues is not None])
            response, missed = Histogram.of(late), int(np.sum(late > self._job.period_ns))
        slowest = np.argsort(times, kind="stable")[::-1][:MAX_SLOWEST]
        within = self._collections.within
        preempted, *faults = self._usage.tolist()
        return Taken(
            times=Histogram.of(times / group),
            response=response,
            missed=missed,
            slowest=[
                Slow(int(place), round(times[place] / group), within(int(starts[place]), int(ends[place])))
                for place in slowest
            ],
            first_call_ns=self.arm.first_call_ns,
            clock_cost_ns=(self.cost_ns, cost_after_ns),
            clock_step_ns=self._step_ns,
            collections=self._collections.counts,
            collecting_ns=self._collections.total_ns,
            preempted=preempted,
            faults=(faults[0], faults[1]),
            facts=self.arm.facts,
        )  # fmt: skip


def usage() -> NDArray[np.int64]:
    """Return how often this process was put aside, and its page faults without and with reading a disk."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([used.ru_nivcsw, used.ru_minflt, used.ru_majflt])


if __name__ == "__main__":
    main()
