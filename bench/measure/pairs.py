"""Time two callables in turn, in one process: the values of ``rnnbench_pytest``.

Each has its own number of calls per value, found as for an entry of a run. In half of the pairs the first
comes first, in the other half the second; which pairs these are is drawn. Before each value the callable is
warmed again, since the other one has run meanwhile.
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.machine.clock import Call, Clock, calibrate, clock_cost_ns, take_value, warm_up

MAX_PAIRS = 30  # as the rounds of a block
MIN_PAIRS = 6  # fewer give no 95 % interval
BUDGET_NS = 1_000_000_000  # for all pairs; slow callables get fewer, down to the minimum
REWARM_SHARE = 10  # a tenth of the calls of a value, as a step of ``bench.measure.steady``


@dataclass(frozen=True, slots=True)
class Pairs:
    """Hold the calls per value of both callables, and of each pair of values the nanoseconds of one call."""

    n_calls: tuple[int, int]
    values_ns: tuple[tuple[float, float], ...]

    @property
    def logs(self) -> list[float]:
        """Return the log ratio, first over second, of every pair."""
        return [math.log(first / second) for first, second in self.values_ns]


def take_pairs(
    first: Call, second: Call, order: random.Random, *, clock: Clock = time.perf_counter_ns
) -> Pairs:
    """Warm up, calibrate, and take an even number of pairs, fixed before the first counted value.

    Raises:
        ClockError: the clock stands still, runs backwards, or is not moved by a billion calls.
    """
    clock_cost_ns(clock)  # raises where the clock stands still: a warm-up would not end
    both = (first, second)
    for call in both:
        warm_up(call, clock=clock)
    n_calls = [calibrate(call, clock=clock) for call in both]

    def value_ns(index: int) -> float:
        for _ in range(max(1, n_calls[index] // REWARM_SHARE)):
            both[index]()
        return take_value(both[index], n_calls[index], clock=clock).per_call_ns

    pair_ns = sum(value_ns(index) * n_calls[index] for index in (0, 1))
    n_pairs = max(MIN_PAIRS, min(MAX_PAIRS, int(BUDGET_NS / pair_ns))) // 2 * 2
    values_ns = []
    for first_index in balanced(n_pairs, order):
        times = {index: value_ns(index) for index in (first_index, 1 - first_index)}
        values_ns.append((times[0], times[1]))
    return Pairs((n_calls[0], n_calls[1]), tuple(values_ns))


def balanced(n_pairs: int, order: random.Random) -> Sequence[int]:
    """Return which of the two, 0 or 1, comes first in each pair: both equally often, in a drawn order."""
    return order.sample([0, 1] * (n_pairs // 2), n_pairs)
