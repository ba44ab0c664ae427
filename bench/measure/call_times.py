"""Time the calls of a stream one by one, back to back or at a rate.

Timing model of a call::

    copy the sample into the buffer; wait until the call is due; t0; call; t1

The time of the call is t1 - t0. At a rate R, call n is due at start + n / R, whatever the calls before it
took: one that starts late counts from when it was due (no coordinated omission). Its response is t1 - due.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise, repeat
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine.clock import Call, Clock, clock_cost_ns
from bench.machine.errors import UserError
from bench.machine.units import duration
from bench.records.stream import MIN_CLOCK_COSTS, Pace

Sleep = Callable[[float], object]
Times = NDArray[np.int64]
READINGS = 1000
SLEEPS = 20
EARLIEST_NS = 1_000_000  # from the begin of a slice to its first call


@dataclass(frozen=True, slots=True)
class Slice:
    """Hold when each call was due (back to back, when it began), began and ended, in ns of the clock.

    ``used``: how often the process was put aside, its page faults without and with reading a disk.
    """

    dues: Times
    starts: Times
    ends: Times
    used: Times


def take_slice(
    call: Call,
    feed: Callable[[Any], object],
    samples: Iterator[Any],
    n: int,
    *,
    group: int = 1,
    period_ns: float | None = None,
    pace: Pace | None = None,
    clock: Clock = time.perf_counter_ns,
    sleep: Sleep = time.sleep,
) -> Slice:
    """Time ``n`` calls, or groups of ``group`` calls of the same sample; ``feed`` copies a sample in."""
    starts, ends = np.full((2, n), 0)  # written now, so that no page faults later, as with zeros
    offsets = (np.arange(n) * (period_ns or 0.0)).astype(np.int64)
    wait = waiting(pace, clock, sleep)
    timed = call if group == 1 else _grouped(call, group)
    offset_list, before = offsets.tolist(), usage()
    begin = clock() + EARLIEST_NS  # read when all is prepared, or the first calls would be late
    for index, offset in enumerate(offset_list):
        feed(next(samples))
        wait(begin + offset)
        start = clock()
        timed()
        end = clock()
        starts[index] = start
        ends[index] = end
    return Slice(begin + offsets if period_ns else starts, starts, ends, usage() - before)


def usage() -> Times:
    """Return how often this process was put aside, and its page faults without and with reading a disk."""
    import resource  # Windows has none, and refuses the command

    used = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([used.ru_nivcsw, used.ru_minflt, used.ru_majflt])


def others_ns() -> int:
    """Return the processor time of this process's threads but the one that asks."""
    return time.process_time_ns() - time.thread_time_ns()


def _grouped(call: Call, group: int) -> Call:
    def calls() -> None:
        for _ in repeat(None, group):
            call()

    return calls


def waiting(pace: Pace | None, clock: Clock, sleep: Sleep) -> Callable[[int], None]:
    """Return a function that waits until a time of the clock; back to back, without a pace, it does not."""
    return {None: lambda due: None, "sleep": _sleeping(clock, sleep), "spin": _spinning(clock)}[pace]


def _sleeping(clock: Clock, sleep: Sleep) -> Callable[[int], None]:
    """Return a function that waits as a server does: it sleeps until the system wakes it."""

    def wait(due: int) -> None:
        while (left_ns := due - clock()) > 0:
            sleep(left_ns * 1e-9)

    return wait


def _spinning(clock: Clock) -> Callable[[int], None]:
    """Return a function that waits as audio does: it reads the clock all the time."""

    def wait(due: int) -> None:
        while clock() < due:
            pass

    return wait


def idle(idle_ns: int, clock: Clock = time.perf_counter_ns) -> Call:
    """Return the control's call, which computes nothing: it reads the clock until ``idle_ns`` have passed.

    An interruption hits a call in proportion to its length, so an empty function would hardly ever be hit.
    """
    wait = _spinning(clock)
    return lambda: wait(clock() + idle_ns)


def clock_facts(clock: Clock = time.perf_counter_ns) -> tuple[int, int]:
    """Return the cost of a reading, or the clock's tick if that is longer, and the smallest step, in ns.

    Raises:
        ClockError: the clock stands still.
    """
    gaps = [after - before for before, after in pairwise([clock() for _ in range(READINGS)])]
    step_ns = min((gap for gap in gaps if gap > 0), default=0) or clock_cost_ns(clock)
    return max(step_ns, int(median(gaps))), step_ns


def group_for(median_ns: float, cost_ns: int) -> int:
    """Return how many calls must be timed together, so that the clock's cost is a twentieth at most."""
    return max(1, -(-MIN_CLOCK_COSTS * cost_ns // max(1, int(median_ns))))


def refuse_rate(
    rate: float, pace: Pace, clock: Clock = time.perf_counter_ns, sleep: Sleep = time.sleep
) -> None:
    """Raise UserError if the clock, or sleeping, is too coarse for this rate here."""
    period_ns, (cost_ns, _) = 1e9 / rate, clock_facts(clock)
    given = f"--rate {rate:g}: a sample every {duration(period_ns)}, and"
    if period_ns < MIN_CLOCK_COSTS * cost_ns:
        raise UserError(
            f"{given} reading the clock takes {duration(cost_ns)}; give at most "
            f"{_floor(1e9 / (MIN_CLOCK_COSTS * cost_ns))}, or no --rate to measure back to back"
        )
    if pace == "sleep":
        late_ns = []
        for _ in range(SLEEPS):
            start = clock()
            sleep(period_ns * 1e-9 if period_ns < 1e7 else 1e-2)  # the length hardly matters
            late_ns.append(clock() - start - min(period_ns, 1e7))
        if period_ns < 2 * (late := median(late_ns)):
            raise UserError(
                f"{given} a sleep here ends {duration(late)} late; give at most {_floor(5e8 / late)}, or "
                "--pace spin"
            )


def _floor(rate: float) -> str:
    """Return a rate rounded down to two digits, as text that can be typed."""
    digits = 10 ** max(0, len(str(int(rate))) - 2)
    return str(int(rate) // digits * digits)


@dataclass(slots=True)
class Collections:
    """Hold when garbage was collected, and of which generation."""

    spans: list[tuple[int, int]] = field(default_factory=list)
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])

    @property
    def total_ns(self) -> int:
        """Return the time of all collections."""
        return sum(end - start for start, end in self.spans)

    def within(self, start: int, end: int) -> bool:
        """Return whether a collection ran between two readings of the clock."""
        return any(start <= begun <= end for begun, _ in self.spans)

    @contextmanager
    def noted(self, clock: Clock = time.perf_counter_ns) -> Iterator[None]:
        """Note the collections until the block ends."""
        begun = 0

        def note(phase: str, info: dict[str, int]) -> None:
            nonlocal begun
            if phase == "start":
                begun = clock()
            else:
                self.spans.append((begun, clock()))
                self.counts[info["generation"]] += 1

        gc.callbacks.append(note)
        try:
            yield
        finally:
            gc.callbacks.remove(note)
