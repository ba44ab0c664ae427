"""The clock: what one value holds, and how many calls make one.

Timing model of a value, with ``N`` calls::

    synchronise; t0; N x (call + one loop step); synchronise; t1      value = (t1 - t0) / N

It contains the Python call of ``Bound.call`` and the wait for the device under test; it does not contain
the first call, transfers, or ``reset``. The garbage collector is off meanwhile, caches are warm, data is
resident. Waiting for the device belongs here, not to the variants.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

Clock = Callable[[], int]  # nanoseconds, never running backwards
Call = Callable[[], object]

MIN_VALUE_NS = 2_500_000
MIN_CLOCK_COSTS = 1000  # a value is at least this many times the clock's own cost
MAX_CALLS = 1 << 30
IN_A_ROW = 5  # long values that settle how many calls make one
WARMUP_NS = 5_000_000
MAX_RESIDUAL = 0.01  # of a value: more work than that left after the synchronise makes it invalid


class ClockError(Exception):
    """The clock stood still or ran backwards: no value can be trusted."""


class Timed(Protocol):
    """A value, in whatever form: this module's, or a worker's."""

    @property
    def elapsed_ns(self) -> int:
        """Return the time between the two readings."""

    @property
    def residual_ns(self) -> int:
        """Return what a second synchronise still cost."""


@dataclass(frozen=True, slots=True)
class Value:
    """One clock pair: ``elapsed_ns`` for ``n_calls`` calls, and what a second synchronise still cost."""

    n_calls: int
    elapsed_ns: int
    residual_ns: int

    @property
    def per_call_ns(self) -> float:
        """Time of one call in nanoseconds."""
        return self.elapsed_ns / self.n_calls


def no_wait() -> None:
    """Synchronise with the CPU: its work is done when the call returns."""


def take_value(
    call: Call, n_calls: int, *, synchronise: Call = no_wait, clock: Clock = time.perf_counter_ns
) -> Value:
    """Time ``n_calls`` calls in one clock pair.

    Raises:
        ClockError: the elapsed time is zero or negative.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        synchronise()
        start = clock()
        for _ in range(n_calls):
            call()
        synchronise()
        end = clock()
        synchronise()  # has nothing left to wait for, or the one before did not do its work
        after = clock()
    finally:
        if collecting:
            gc.enable()
    if not end > start:
        raise ClockError(f"the clock went from {start} to {end} ns over {n_calls} calls")
    return Value(n_calls, end - start, after - end)


def clock_cost_ns(clock: Clock = time.perf_counter_ns, readings: int = 200) -> int:
    """Return the median time between two readings of the clock, or its tick where that is coarser.

    Raises:
        ClockError: it did not move within a million readings.
    """
    gaps = []
    for _ in range(readings):
        start = now = clock()
        for _ in range(1_000_000 // readings):
            now = clock()
            if now != start:
                break
        if not now > start:
            raise ClockError(f"the clock stands still or runs backwards ({start} to {now} ns)")
        gaps.append(now - start)
    return sorted(gaps)[readings // 2]


def calibrate(
    call: Call,
    *,
    synchronise: Call = no_wait,
    clock: Clock = time.perf_counter_ns,
    reset: Call = no_wait,
    min_value_ns: int = MIN_VALUE_NS,
) -> int:
    """Find N: the calls that make a value of at least 2.5 ms and 1000 times the clock's cost.

    Doubles N until five values in a row are long enough (some could be hiccups of the machine), then takes
    the smallest N that the quickest of them asks for, with a tenth to spare.

    Raises:
        ClockError: not even a billion calls make a value long enough.
    """
    target_ns = max(min_value_ns, MIN_CLOCK_COSTS * clock_cost_ns(clock))
    n_calls = 1
    while True:
        values = []
        for _ in range(IN_A_ROW):
            reset()
            values.append(take_value(call, n_calls, synchronise=synchronise, clock=clock))
            if values[-1].elapsed_ns < target_ns:
                break
        quickest = min(values, key=lambda value: value.elapsed_ns)
        if quickest.elapsed_ns >= target_ns:
            break
        n_calls *= 2
        if n_calls > MAX_CALLS:
            raise ClockError(f"{MAX_CALLS} calls take less than {target_ns} ns: nothing is being done")
    wanted = -(-target_ns * 11 // (quickest.per_call_ns * 10))
    return max(1, min(n_calls, int(wanted)))


def warm_up(
    call: Call, *, synchronise: Call = no_wait, clock: Clock = time.perf_counter_ns, at_least: int = 1
) -> tuple[int, int]:
    """Call until 5 ms have passed and ``at_least`` calls are made; return (first call in ns, calls)."""
    synchronise()
    start = clock()
    call()
    synchronise()
    now = clock()
    first_call_ns, n_calls = now - start, 1
    while now - start < WARMUP_NS or n_calls < at_least:
        call()
        synchronise()
        now = clock()
        n_calls += 1
    return first_call_ns, n_calls


def still_busy(values: Sequence[Timed]) -> bool:
    """Return whether the synchronise before t1 did not wait: a second one, right after, still cost over 1 %.

    Of the median value, since a missing wait shows in all of them and a hiccup of the scheduler in one.
    """
    return median(value.residual_ns / value.elapsed_ns for value in values) > MAX_RESIDUAL
