"""Time calls: measure a value, and find how many calls a value needs.

Timing model of a value, with ``N`` calls::

    synchronise; t0; N x (call + one loop step); synchronise; t1      value = (t1 - t0) / N

A value contains the Python call of ``Bound.call`` and the wait for the device. A value does not contain the
first call, transfers, or ``reset``. Meanwhile the garbage collector is off, caches are warm, and data is on
the device. Waiting for the device belongs here, not to the variants.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

Clock = Callable[[], int]  # returns nanoseconds, and never runs backwards
Call = Callable[[], object]

MIN_VALUE_NS = 2_500_000
MIN_CLOCK_COSTS = 1000  # a value takes at least this many times the cost of a clock reading
MAX_CALLS = 1 << 30
LONG_VALUES = 5  # consecutive values that must be long enough before N is settled
WARMUP_NS = 5_000_000
MAX_RESIDUAL = 0.01  # share of a value: if the second synchronise takes longer, the value is invalid


class ClockError(Exception):
    """Report that the clock stood still or ran backwards, so that no value can be trusted."""


class Timed(Protocol):
    """Describe the fields that a value has in this module and in a worker."""

    @property
    def elapsed_ns(self) -> int:
        """Return the time between the two clock readings."""

    @property
    def residual_ns(self) -> int:
        """Return the time of a second synchronise, right after the value."""


@dataclass(frozen=True, slots=True)
class Value:
    """Hold ``elapsed_ns``, the time of ``n_calls`` calls, and the time of a second synchronise."""

    n_calls: int
    elapsed_ns: int
    residual_ns: int

    @property
    def per_call_ns(self) -> float:
        """Return the time of one call in nanoseconds."""
        return self.elapsed_ns / self.n_calls


def no_wait() -> None:
    """Return at once: the CPU's work is done when a call returns, so no wait is needed."""


def take_value(
    call: Call, n_calls: int, *, synchronise: Call = no_wait, clock: Clock = time.perf_counter_ns
) -> Value:
    """Time ``n_calls`` calls between two readings of the clock.

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
        synchronise()  # costs time only if the synchronise before ``end`` did not wait
        after = clock()
    finally:
        if collecting:
            gc.enable()
    if not end > start:
        raise ClockError(f"the clock went from {start} to {end} ns over {n_calls} calls")
    return Value(n_calls, end - start, after - end)


def clock_cost_ns(clock: Clock = time.perf_counter_ns, readings: int = 200) -> int:
    """Return the median time between two readings of the clock, or the clock's tick if that is longer.

    Raises:
        ClockError: the clock did not move within a million readings.
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
    """Find N, the number of calls for a value of at least 2.5 ms and 1000 times the clock's cost.

    Doubles N until five values in a row are long enough, since a single long value may be a hiccup.
    Then returns the smallest N that suffices for the fastest of the five, plus a tenth.

    Raises:
        ClockError: a billion calls are still too short for a value.
    """
    target_ns = max(min_value_ns, MIN_CLOCK_COSTS * clock_cost_ns(clock))
    n_calls = 1
    while True:
        values = []
        for _ in range(LONG_VALUES):
            reset()
            values.append(take_value(call, n_calls, synchronise=synchronise, clock=clock))
            if values[-1].elapsed_ns < target_ns:
                break
        fastest = min(values, key=lambda value: value.elapsed_ns)
        if fastest.elapsed_ns >= target_ns:
            break
        n_calls *= 2
        if n_calls > MAX_CALLS:
            raise ClockError(f"{MAX_CALLS} calls take less than {target_ns} ns: nothing is being done")
    needed_calls = -(-target_ns * 11 // (fastest.per_call_ns * 10))
    return max(1, min(n_calls, int(needed_calls)))


def warm_up(
    call: Call, *, synchronise: Call = no_wait, clock: Clock = time.perf_counter_ns, at_least: int = 1
) -> tuple[int, int]:
    """Call for 5 ms and at least ``at_least`` times; return (nanoseconds of the first call, calls)."""
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
    """Return whether the synchronise before t1 did not wait: a second synchronise still took over 1 %.

    The median of the values decides: a missing wait shows in all values, a scheduler's hiccup in one.
    """
    return median(value.residual_ns / value.elapsed_ns for value in values) > MAX_RESIDUAL
