"""How many calls warm an entry, once and before each value: block 0 finds it, the counted blocks keep to it.

The test is pyperf's idea (its two halves of the warm-up values): the last values taken are cut in two, and
the halves must have the same quartiles. A warm-up is found once and then frozen: one that each process
adapted to itself would make the processes differ.
"""

import time
from collections.abc import Sequence
from math import ceil
from statistics import median, quantiles

from bench.machine.clock import MAX_CALLS, Call, Clock, ClockError, no_wait
from bench.measure.messages import Value

STEP_NS = 500_000  # a step is as many calls as take this long
HALF = 30  # steps; 5 where one call alone takes longer than SLOW_STEP_NS
SLOW_HALF = 5
SLOW_STEP_NS = 5_000_000
SLIDE = 5  # steps dropped at the front, and taken anew, after a test that failed
MAX_STEPS = 300
MOST_NS = 1_500_000_000  # so that slow calls on a busy machine hold nobody up for long
TOLERANCE = 0.05  # of the quartiles, between the halves
SPREAD = 0.20  # of the quartiles, among themselves: two speeds by turns are no steady time
REWARM_STEPS = 10  # of a value's calls each a tenth
REWARMED = 1.03  # a step within 3 % of the value after it was warm


def settle(
    call: Call,
    *,
    synchronise: Call = no_wait,
    clock: Clock = time.perf_counter_ns,
    max_steps: int = MAX_STEPS,
    most_ns: float = MOST_NS,
) -> tuple[bool, int, int]:
    """Call on until the time of a call is steady, or ``max_steps`` or ``most_ns`` are over.

    Returns:
        Whether it came to be steady, the calls before that, and the nanoseconds of the first one.

    Raises:
        ClockError: not even a billion calls take any time.
    """
    times: list[float] = []  # a call, by step
    counts: list[int] = []  # calls before each step
    n_calls, total = 1, 0

    def step() -> float:
        nonlocal total
        synchronise()
        start = clock()
        for _ in range(n_calls):
            call()
        synchronise()
        elapsed = clock() - start
        counts.append(total)
        times.append(elapsed / n_calls)
        total += n_calls
        return elapsed

    first_call_ns = step()
    while step() < STEP_NS:
        n_calls *= 2
        if n_calls > MAX_CALLS:
            raise ClockError(f"{MAX_CALLS} calls take less than {STEP_NS} ns: nothing is being done")
    half = SLOW_HALF if times[-1] > SLOW_STEP_NS else HALF
    start = len(times) - 1
    begun = clock()
    while len(times) < max_steps and clock() - begun < most_ns:
        while len(times) < start + 2 * half:
            step()
        step_ns = median(times[start:]) * n_calls
        if step_ns < STEP_NS / 2:  # slow calls came first: longer steps from here on
            n_calls, start = min(MAX_CALLS, ceil(n_calls * STEP_NS / max(step_ns, 1))), len(times)
        elif is_steady(times[start:]):
            break
        else:
            start += SLIDE
    window = times[start : start + 2 * half]
    settled = len(window) == 2 * half and is_steady(window)
    if len(window) < 2:  # the steps grew longer at the very end: too few of the last length for a quartile
        window = times[-2:]
    return settled, counts[_first_steady(times, window)], int(first_call_ns)


def is_steady(values: Sequence[float]) -> bool:
    """Return whether both halves have the same, near quartiles, and the first value is no slow outlier."""
    middle = len(values) // 2
    halves = quantiles(values[:middle], n=4), quantiles(values[middle:], n=4)
    if any(not abs(a - b) <= TOLERANCE * b for a, b in zip(*halves, strict=True)):
        return False
    low, _, high = quantiles(values[1:], n=4)
    if not high - low <= SPREAD * low:
        return False
    return values[0] <= high + max(1.5 * (high - low), TOLERANCE * high)


def _first_steady(times: Sequence[float], window: Sequence[float]) -> int:
    """Return the index of the first of three steps in a row that are like those of the window.

    Not the window's own start: what made the test fail may have been a hiccup long after the warm-up.
    """
    low, _, high = quantiles(window, n=4)
    like = [low * (1 - TOLERANCE) <= time <= high * (1 + TOLERANCE) for time in times]
    for index in range(len(times) - 2):
        if all(like[index : index + 3]):
            return index
    return len(times) - 1


def rewarm_step(n_calls: int) -> int:
    """Return the calls of a step of re-warming, which block 0 times."""
    return max(1, n_calls // REWARM_STEPS)


def rewarm_calls(values: Sequence[Value]) -> int:
    """Return the calls that warm an entry again: until a step is as quick as the value that follows.

    ``values`` are those of block 0, whose steps were timed. At least one step, at most all of them.
    """
    calls = rewarm_step(values[0].n_calls)
    steps = min(len(value.rewarm_ns) for value in values)
    for step in range(1, steps):
        if median(value.rewarm_ns[step] / calls / value.per_call_ns for value in values) <= REWARMED:
            return step * calls
    return steps * calls
