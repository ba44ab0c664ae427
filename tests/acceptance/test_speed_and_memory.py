"""What the project promises about its own speed and memory, measured: run by hand with ``make acceptance``.

The in-place variants are held against the cost of their own operations: each that their formula counts
(docs/limits.md) is timed alone, as a probe times it, and multiplied by how often a call makes it. The call
over that sum says what is left to Python and to the order of things. All take turns, warmed up in each, so
that the machine's slow phases hit both sides of a ratio.
"""

import subprocess
import sys
import time

import numpy as np
import pytest

from bench.machine.clock import calibrate, take_value, warm_up
from bench.machine.libraries import library, limit_threads
from bench.measure.primitives import make_call
from bench.workload import catalog
from bench.workload.binding import bind_case
from bench.workload.case import TASKS, sine_case
from bench.workload.cell import CELLS, find_cell
from bench.workload.data import make

ROUNDS = 25


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("variant", "most"), [("numpy-inplace", 1.2), ("torch-inplace", 1.3)])
def test_a_call_in_place_takes_little_more_than_its_operations(
    variant: str, most: float, cell: str, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, case = catalog.find(variant), sine_case(task, "positional", cell=cell, bias=find_cell(cell).bias)
    used, count, bind = library(found.library), found.count(case), found.load(cell)
    limit_threads(1)  # of what is loaded
    bound = bind_case(bind, found.library, case, make(case), "cpu").bound
    with used.operations(case.dtype, "cpu") as operations:
        assert operations is not None
        assert count is not None
        parts = [(one.times, make_call(*operations, one.kernel)) for one in count.operations]
        timed = [(times, kernel, calibrate(kernel)) for times, kernel in [*parts, (1, bound.call)]]
        ratios = []
        for _ in range(ROUNDS):
            times_ns = []
            for times, call, n_calls in timed:
                warm_up(call)
                times_ns.append(times * take_value(call, n_calls).per_call_ns)
            ratios.append(times_ns[-1] / sum(times_ns[:-1]))
    ratio = float(np.median(ratios))
    with capsys.disabled():
        print(f"\n{variant}, {cell}, {task}: {ratio:.2f} times the time of its operations")
    assert ratio <= most


def test_help_comes_within_150_ms(capsys: pytest.CaptureFixture[str]) -> None:
    times_s = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "bench", "--help"], check=True, capture_output=True)
        times_s.append(time.perf_counter() - started)

    with capsys.disabled():
        print(f"\nrnnbench --help: {1000 * np.median(times_s):.0f} ms")
    assert np.median(times_s) < 0.15
