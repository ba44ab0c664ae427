"""Find how many calls warm up an entry once, and how many re-warm it before each sample.

Block 0 finds both numbers; the counted blocks use the same numbers. The test for a steady time is an idea of
pyperf: cut the last times into two halves; both halves must have the same quartiles. A warm-up that each
process adapted for itself would make the processes differ.
"""

import time
from collections.abc import Sequence
from math import ceil
from statistics import median, quantiles

from bench.machine.clock import MAX_CALLS, Call, Clock, ClockError, no_wait
from bench.measure.messages import Value

STEP_NS = 500_000  # a step is the number of calls that takes this long
HALF_STEPS = 30  # steps in each half; SLOW_HALF_STEPS if one call takes longer than SLOW_STEP_NS
SLOW_HALF_STEPS = 5
SLOW_STEP_NS = 5_000_000
SLIDE_STEPS = 5  # after a failed test, drop the oldest 5 steps and time 5 new steps
MAX_STEPS = 300
MAX_NS = 1_500_000_000  # limits the delay by slow calls on a busy machine
QUARTILE_TOLERANCE = 0.05  # between the quartiles of the two halves, relative
MAX_QUARTILE_SPREAD = 0.20  # between upper and lower quartile: two alternating speeds are not steady
REWARM_STEPS = 10  # each step has a tenth of the sample's calls
MAX_REWARM_RATIO = 1.03  # a step within 3 % of the sample after it was warm


def settle(
    call: Call,
    *,
    synchronise: Call = no_wait,
    clock: Clock = time.perf_counter_ns,
    max_steps: int = MAX_STEPS,
    most_ns: float = MAX_NS,
) -> tuple[bool, int, int]:
    """Call until the time of a call is steady, or until ``max_steps`` or ``most_ns`` is reached.

    Returns:
        Whether the time became steady, the number of calls before the steady time, and the nanoseconds of the
        first call.

    Raises:
        ClockError: ``MAX_CALLS`` calls take less time than one step.
    """
    times: list[float] = []  # nanoseconds per call, of each step
    counts: list[int] = []  # calls before each step
    n_calls, total = 1, 0

    def step() -> float:
        nonlocal total
        synchronise()
        start_ns = clock()
        for _ in range(n_calls):
            call()
        synchronise()
        elapsed_ns = clock() - start_ns
        counts.append(total)
        times.append(elapsed_ns / n_calls)
        total += n_calls
        return elapsed_ns

    first_call_ns = step()
    while step() < STEP_NS:
        n_calls *= 2
        if n_calls > MAX_CALLS:
            raise ClockError(f"{MAX_CALLS} calls take less than {STEP_NS} ns: nothing is being done")
    half = SLOW_HALF_STEPS if times[-1] > SLOW_STEP_NS else HALF_STEPS
    window_start = len(times) - 1
    loop_start_ns = clock()
    while len(times) < max_steps and clock() - loop_start_ns < most_ns:
        while len(times) < window_start + 2 * half:
            step()
        step_ns = median(times[window_start:]) * n_calls
        if step_ns < STEP_NS / 2:  # calls got faster: use more calls per step from here on
            n_calls, window_start = min(MAX_CALLS, ceil(n_calls * STEP_NS / max(step_ns, 1))), len(times)
        elif is_steady(times[window_start:]):
            break
        else:
            window_start += SLIDE_STEPS
    window = times[window_start : window_start + 2 * half]
    settled = len(window) == 2 * half and is_steady(window)
    if len(window) < 2:  # n_calls changed at the very end: too few steps of the new size for quartiles
        window = times[-2:]
    return settled, counts[_first_steady(times, window)], int(first_call_ns)


def is_steady(values: Sequence[float]) -> bool:
    """Return whether both halves have the same quartiles, close together, and the first value is not slow."""
    middle = len(values) // 2
    halves = quantiles(values[:middle], n=4), quantiles(values[middle:], n=4)
    if any(not abs(a - b) <= QUARTILE_TOLERANCE * b for a, b in zip(*halves, strict=True)):
        return False
    low, _, high = quantiles(values[1:], n=4)
    if not high - low <= MAX_QUARTILE_SPREAD * low:
        return False
    return values[0] <= high + max(1.5 * (high - low), QUARTILE_TOLERANCE * high)


def _first_steady(times: Sequence[float], window: Sequence[float]) -> int:
    """Return the index of the first of three consecutive steps whose times are like those of the window.

    The start of the window would be too late if a disturbance long after the warm-up made the test fail.
    """
    low, _, high = quantiles(window, n=4)
    similar = [low * (1 - QUARTILE_TOLERANCE) <= time <= high * (1 + QUARTILE_TOLERANCE) for time in times]
    for index in range(len(times) - 2):
        if all(similar[index : index + 3]):
            return index
    return len(times) - 1


def rewarm_step(n_calls: int) -> int:
    """Return the number of calls in a re-warming step; block 0 times these steps."""
    return max(1, n_calls // REWARM_STEPS)


def rewarm_calls(values: Sequence[Value]) -> int:
    """Return the calls that re-warm an entry, so that a step is as fast as the following sample.

    ``values`` holds the samples of block 0, with timed steps. The result is between one step and all steps.
    """
    calls = rewarm_step(values[0].n_calls)
    steps = min(len(value.rewarm_ns) for value in values)
    for step in range(1, steps):
        if median(value.rewarm_ns[step] / calls / value.per_call_ns for value in values) <= MAX_REWARM_RATIO:
            return step * calls
    return steps * calls
