"""Step many streams in turn, back to back or at a rate, as one of several workers that begin together.

Timing model of a step, as of one stream: copy the sample in; wait until it is due; t0; call; t1. At a rate R
the samples of N streams are due evenly over the period, of stream i in cycle c at begin + (c + i / N) / R.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.machine.clock import Call, Clock
from bench.measure.call_times import Sleep, Times, waiting
from bench.records.stream import Pace

MOST_STEPS = 20_000  # of a worker at a level, back to back
STEP_BYTES = 100  # what is held of a step until its level is over
Step = tuple[Call, Callable[[Any], object]]  # the call of a stream, and what copies a sample in before


@dataclass(frozen=True, slots=True)
class Turns:
    """Hold what counted: times and responses in ns (none back to back); ``cycles`` counts all, from zero."""

    times: Times
    responses: Times
    cycles: int
    began_ns: int
    ended_ns: int


def take_turns(
    steps: Sequence[Step],
    samples: Iterator[Any],
    begin_ns: int,
    length_ns: int,
    *,
    places: Sequence[float] = (),
    period_ns: float | None = None,
    pace: Pace | None = None,
    clock: Clock = time.perf_counter_ns,
    sleep: Sleep = time.sleep,
) -> Turns:
    """Step streams in turn, in whole cycles, from a tenth of ``length_ns`` before ``begin_ns`` on.

    What began, or was due, before ``begin_ns`` does not count. At a rate, ``places`` are those of the streams
    in a period, from 0 to 1. Who falls behind ends after twice the time; the response of a step that is then
    undone counts as the time since it was due.
    """
    warm_ns, stop_ns = length_ns // 10, begin_ns + length_ns
    dues = np.zeros(max(1, MOST_STEPS // len(steps)) * len(steps), np.int64)
    if period_ns:
        cycles = np.arange(-math.floor(warm_ns / period_ns), max(1, math.ceil(length_ns / period_ns)))
        dues = (begin_ns + period_ns * (cycles[:, None] + np.array(places))).ravel().astype(np.int64)
    starts, ends = np.full((2, len(dues)), 0)
    due_list, wait, done = dues.tolist(), waiting(pace, clock, sleep), 0
    waiting("spin", clock, sleep)(begin_ns - warm_ns)
    while not done or (done < len(dues) and clock() < stop_ns + (length_ns if period_ns else 0)):
        sample = next(samples)
        for call, feed in steps:
            feed(sample)
            wait(due_list[done])
            start = clock()
            call()
            ends[done] = clock()
            starts[done] = start
            done += 1
    began = dues if period_ns else starts
    counts = began >= begin_ns
    if not counts[:done].any():  # the first cycle took all the time
        counts[:done] = True
    finished = counts[:done]
    times, last = (ends - starts)[:done][finished], int(ends[done - 1])
    ends[done:] = clock()
    responses = (ends - dues)[counts] if period_ns else np.zeros(0, np.int64)
    return Turns(times, responses, done // len(steps), int(starts[:done][finished][0]), last)
