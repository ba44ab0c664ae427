"""What ``pytest --benchmark`` times: every variant of a cell at the primer's shape, float32, one thread.

This view has one process, a fixed order and both libraries loaded; ``rnnbench run`` has none of these.
"""

from dataclasses import asdict

import pytest
from benchmark_plugin import timed
from pytest_benchmark.fixture import BenchmarkFixture

from bench import proof
from bench.machine.libraries import library
from bench.records.record import Check
from bench.workload.binding import bind_case
from bench.workload.case import Case
from bench.workload.catalog import Variant
from bench.workload.data import make


@pytest.mark.benchmark(disable_gc=True)
def test_wall_clock(benchmark: BenchmarkFixture, entry: Variant, case: Case, device: str) -> None:
    batch = make(case)
    expected = proof.expected(case, batch)
    bind = entry.load(case.cell)
    checks = proof.prove(
        bind, case, batch, expected, library=entry.library, device=device, known_wrong=entry.wrong_gradients
    )
    fail_where_wrong(checks, entry)

    benchmark.group = case.task
    benchmark.extra_info.update(
        variant=entry.name,
        library=entry.library,
        device=device,
        cell=case.cell,
        bias=case.bias,
        task=case.task,
        layout=case.layout,
        dtype=case.dtype,
        shape=asdict(case.shape),
        threads=library(entry.library).facts()["threads"],
        errors={check.what: check.error for check in checks},
        known_wrong=entry.known_wrong,
    )
    binding = bind_case(bind, entry.library, case, batch, device)
    bound = binding.bound

    benchmark(timed(bound.call, device))

    bound.reset()
    bound.call()
    after = proof.expected_after(case, batch, 1) if case.task == "train_step" else None
    last = proof.check_last(
        case, binding.result(), expected, after=after, device=device, known_wrong=entry.wrong_gradients
    )
    fail_where_wrong(last, entry)


def fail_where_wrong(checks: list[Check], entry: Variant) -> None:
    """Fail the test, and so keep its time out of table and file, when the variant disagrees."""
    if proof.status(checks, known_wrong=entry.known_wrong) == "disagrees":
        wrong = [
            f"{check.what}: error {check.error:.2g}, allowed {check.tolerance:.2g}"
            for check in checks
            if not check.passed
        ]
        pytest.fail(f"{entry.name} disagrees with the reference: {'; '.join(wrong)}", pytrace=False)
