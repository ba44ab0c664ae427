"""Times ``work`` with one tool, named on the command line, and prints the seconds of a call.

pyperf and pytest-benchmark, which start and name their own files, have ``pyperf_work`` and
``pytest_work``. Every process works for half a second first, as those do while they calibrate: a processor
that was idle a moment ago, or a process that has just begun, is another question than which tool is asked.
"""

import sys
import time
import timeit
from collections.abc import Callable
from statistics import median

from work import work

from bench.machine.clock import Value, calibrate, take_value

Take = Callable[[Callable[[], object], int], Value]
BEFORE_S = 0.5
VALUES = 50  # about 0.3 s of them, as the others take


def ours(take: Take = take_value) -> float:
    """The median of values as a worker takes them."""
    n_calls = calibrate(work)
    return median(take(work, n_calls).per_call_ns for _ in range(VALUES)) * 1e-9


def forgetful(call: Callable[[], object], n_calls: int) -> Value:
    """A value that says it holds all the calls, and makes half of them."""
    half = take_value(call, n_calls // 2)
    return Value(n_calls, half.elapsed_ns, half.residual_ns)


def ours_forgetful() -> float:
    """A harness with a fault."""
    return ours(forgetful)


def python_timeit() -> float:
    """As ``python -m timeit`` does it, but the median: five times as many calls as make 0.2 s."""
    timer = timeit.Timer(work)
    n_calls, _ = timer.autorange()
    return median(timer.repeat(5, n_calls)) / n_calls


def torch_timer() -> float:
    """Median of blocked_autorange."""
    from torch.utils.benchmark import Timer

    return float(Timer("work()", globals={"work": work}).blocked_autorange(min_run_time=0.3).median)


TOOLS = {"ours": ours, "forgetful": ours_forgetful, "timeit": python_timeit, "torch": torch_timer}

if __name__ == "__main__":
    until = time.perf_counter() + BEFORE_S
    while time.perf_counter() < until:
        work()
    print(TOOLS[sys.argv[1]]())
