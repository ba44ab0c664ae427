"""Time two callables in turn, in one process: the values of ``rnnbench_pytest``.

Each has its own number of calls per value, found as for an entry of a run. In half of the rounds the first
comes first, in the other half the second; which rounds these are is drawn. Before each value the callable is
warmed again, since the other one has run meanwhile.
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.machine.clock import Call, Clock, calibrate, clock_cost_ns, take_value, warm_up

MAX_ROUNDS = 30  # as in a session of a run
MIN_ROUNDS = 6  # fewer give no 95 % interval
BUDGET_NS = 1_000_000_000  # for all rounds; slow callables get fewer, down to the minimum
REWARM_SHARE = 10  # a tenth of the calls of a value, as a step of ``bench.measure.steady``


@dataclass(frozen=True, slots=True)
class Pairs:
    """Hold the calls per value of both callables, and of each round the nanoseconds of one call of both."""

    n_calls: tuple[int, int]
    rounds: tuple[tuple[float, float], ...]

    @property
    def logs(self) -> list[float]:
        """Return the log ratio, first over second, of every round."""
        return [math.log(first / second) for first, second in self.rounds]


def take_pairs(
    first: Call, second: Call, order: random.Random, *, clock: Clock = time.perf_counter_ns
) -> Pairs:
    """Warm up, calibrate, and take an even number of rounds, fixed before the first counted value.

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

    round_ns = sum(value_ns(index) * n_calls[index] for index in (0, 1))
    n_rounds = max(MIN_ROUNDS, min(MAX_ROUNDS, int(BUDGET_NS / round_ns))) // 2 * 2
    rounds = []
    for first_index in balanced(n_rounds, order):
        times = {index: value_ns(index) for index in (first_index, 1 - first_index)}
        rounds.append((times[0], times[1]))
    return Pairs((n_calls[0], n_calls[1]), tuple(rounds))


def balanced(n_rounds: int, order: random.Random) -> Sequence[int]:
    """Return which of the two, 0 or 1, comes first in each round: both equally often, in a drawn order."""
    return order.sample([0, 1] * (n_rounds // 2), n_rounds)
