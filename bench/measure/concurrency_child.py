"""Serve many streams in a process, by one worker or by several threads.

The argument is the ``Job`` of a stream. The child proves its variant, binds as many streams as ``Hold`` of
standard input says, and steps them for each ``Serve``. After its last step each has the reference's y_t.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from typing import Any

import msgspec
import numpy as np

from bench.machine.clock import Clock
from bench.measure.call_times import Sleep, idle, others_ns
from bench.measure.stream import reference_last
from bench.measure.stream_child import ArmTimer, Done, Job, connected, main, order
from bench.measure.turns import Step, Turns, take_turns
from bench.records.stream import Histogram, Pace
from bench.workload.binding import Binding, bind_case


class Hold(msgspec.Struct, frozen=True, tag=True):
    """Ask to bind streams, until there are so many."""

    n: int


class Serve(msgspec.Struct, frozen=True, tag=True):
    """Ask to step streams; worker w of ``workers`` has the streams w, w + workers, ... of all ``streams``.

    Of the workers, this process is those from ``first`` on, ``threads`` in number.
    """

    streams: int
    workers: int
    first: int
    threads: int
    begin_ns: int
    length_ns: int
    period_ns: float | None
    pace: Pace | None
    idle_ns: int


class Served(msgspec.Struct, frozen=True, tag=True):
    """Hold what the workers of this process took."""

    times: Histogram
    response: Histogram | None
    missed: int
    began_ns: int
    ended_ns: int
    facts: dict[str, Any]  # of the library


class Server(ArmTimer):
    """Hold the streams of an arm, or of the control, each with a state of its own."""

    messages = Hold | Serve

    def __init__(self, job: Job, clock: Clock = time.perf_counter_ns, sleep: Sleep = time.sleep) -> None:
        # the first calls, of a single stream, are timed back to back, also for a rate
        super().__init__(msgspec.structs.replace(job, period_ns=None, pace=None), clock, sleep)
        self._bindings: list[Binding] = [self._binding] if job.spec else []
        self._ordered = [self._batch.x[t : t + 1] for t in order(job.case)]

    def answer(self, message: Any) -> msgspec.Struct:
        """Do what a message asks; return the reply."""
        if isinstance(message, Serve):
            return self.serve(message)
        self.hold(message.n)
        return Done()

    def hold(self, n: int) -> None:
        """Bind streams until there are ``n``; they share the parameters' arrays."""
        job = self._job
        while job.spec and len(self._bindings) < n:
            bind, library = self._variant.load(job.case.cell), self._variant.library
            binding = bind_case(bind, library, job.case, self._batch, job.device, self._binding)
            self._bindings.append(binding)

    def serve(self, request: Serve) -> Served:
        """Step each worker's streams from a state of zero, all workers at once; check every last result.

        Raises:
            Refusal: a result is wrong, or the process is not as it was.
        """
        all_workers = range(request.first, request.first + request.threads)
        shares = [range(worker, request.streams, request.workers) for worker in all_workers]
        streams = iter(self._bindings)
        by_worker = [list(islice(streams, len(share))) for share in shares]
        run = partial(self._take_turns, request)
        self._others_ns, self._workers_ns = others_ns(), list[int]()
        if len(shares) == 1:
            turns = [run(shares[0], by_worker[0])]
        else:
            with ThreadPoolExecutor(len(shares)) as pool:
                turns = list(pool.map(run, shares, by_worker))
        if self._bindings:
            calls_ns = sum(int(turn.times.sum()) for turn in turns)
            self._refuse_other_threads(calls_ns, sum(self._workers_ns) * (len(shares) > 1))
        for turn, bindings in zip(turns, by_worker, strict=True):
            if bindings:
                y_hat = reference_last(self._job.case, self._batch, turn.cycles, 1)
                self._check(bindings, y_hat, int(turn.times.sum()) // len(bindings))
        responses = np.hstack([turn.responses for turn in turns])
        return Served(
            Histogram.of(np.hstack([turn.times for turn in turns])),
            Histogram.of(responses) if request.period_ns else None,
            int(np.sum(responses > (request.period_ns or 0))),
            min(turn.began_ns for turn in turns), max(turn.ended_ns for turn in turns), self._facts,
        )  # fmt: skip

    def _take_turns(self, request: Serve, share: range, bindings: list[Binding]) -> Turns:
        """Step the streams of one worker, each from a state of zero."""
        clock, begun_ns = self._clock, time.thread_time_ns()
        steps: list[Step] = [connected(binding) for binding in bindings]
        steps = steps or [(idle(request.idle_ns, clock), self._feed)] * len(share)
        for binding in bindings:
            binding.bound.reset()
        turns = take_turns(
            steps, cycle(self._ordered), request.begin_ns, request.length_ns,
            places=[stream / request.streams for stream in share], period_ns=request.period_ns,
            pace=request.pace, clock=clock, sleep=self._sleep,
        )  # fmt: skip
        self._workers_ns.append(time.thread_time_ns() - begun_ns)
        return turns


if __name__ == "__main__":
    main(Server)
