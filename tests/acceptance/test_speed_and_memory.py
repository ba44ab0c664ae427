"""What the project promises about its own speed and memory, measured: run by hand with ``make acceptance``.

The in-place variants are held against the cost of their own operations: each kernel that a training step
cannot do without is timed alone, on the case's sizes, and multiplied by how often the step needs it. The
step over that sum says what is left to Python and to the order of things.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.machine.clock import calibrate, take_value
from bench.machine.libraries import limit_threads
from bench.workload import catalog
from bench.workload.binding import bind_case
from bench.workload.case import sine_case
from bench.workload.data import make

Kernels = list[tuple[int, Callable[[], Any]]]  # how often a step needs it, and the kernel
CASE = sine_case("train_step", "positional")
T, B, I, H, O = CASE.shape.T, CASE.shape.B, CASE.shape.I, CASE.shape.H, CASE.shape.O  # noqa: E741


def numpy_kernels() -> Kernels:
    def array(*shape: int) -> np.ndarray:
        return np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    x, a_rows, h, a, e = array(T * B, I), array(T * B, H), array(B, H), array(B, H), array(B, O)
    U, W, V = array(H, I), array(H, H), array(O, H)
    dU, dW, dV, part = array(H, I), array(H, H), array(O, H), array(B, O)
    return [
        (1, lambda: np.matmul(x, U.T, out=a_rows)),
        (T + T - 1, lambda: np.matmul(h, W, out=a)),
        (1, lambda: h.fill(0)),
        (T, lambda: np.add(a, h, out=a)),
        (T, lambda: np.tanh(a, out=h)),
        (1, lambda: np.matmul(h, V.T, out=e)),
        (1, lambda: np.clip(e, -0.025, 0.025, out=part)),
        (5, lambda: np.multiply(e, part, out=part)),  # e, e_clipped / 2, their difference, product, / B O
        (1, lambda: np.mean(part)),
        (1, lambda: np.matmul(e.T, h, out=dV)),
        (1, lambda: np.matmul(e, V, out=a)),
        (3 * T, lambda: np.multiply(h, h, out=a)),
        (1, lambda: np.matmul(a_rows.T, x, out=dU)),
        (1, lambda: np.matmul(a_rows.T, a_rows, out=dW)),
        (6, lambda: np.multiply(dW, 0.1, out=dW)),
    ]


def torch_kernels() -> Kernels:
    import torch

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(0))

    x, a_rows, h, a, e = tensor(T * B, I), tensor(T * B, H), tensor(B, H), tensor(B, H), tensor(B, O)
    U, W, V = tensor(H, I), tensor(H, H), tensor(O, H)
    dU, dW, dV, part, loss = tensor(H, I), tensor(H, H), tensor(O, H), tensor(B, O), tensor()
    return [
        (1, lambda: torch.mm(x, U.T, out=a_rows)),
        (T, lambda: torch.addmm(a, h, W, out=a)),
        (T - 1, lambda: torch.mm(h, W, out=a)),
        (1, lambda: h.zero_()),
        (T, lambda: torch.tanh(a, out=h)),
        (1, lambda: torch.mm(h, V.T, out=e)),
        (1, lambda: torch.clamp(e, -0.025, 0.025, out=part)),
        (4, lambda: torch.mul(e, part, out=part)),
        (1, lambda: torch.mean(part, dim=(0, 1), out=loss)),
        (1, lambda: torch.mm(e.T, h, out=dV)),
        (1, lambda: torch.mm(e, V, out=a)),
        (T, lambda: torch.mul(h, h, out=a)),
        (T, lambda: torch.addcmul(h, a, h, value=-1, out=a)),
        (1, lambda: torch.mm(a_rows.T, x, out=dU)),
        (1, lambda: torch.mm(a_rows.T, a_rows, out=dW)),
        (3, lambda: torch.sub(W, dW, alpha=0.1, out=W)),
    ]


def cost_ns(kernel: Callable[[], Any]) -> float:
    """Median time of one call."""
    n_calls = calibrate(kernel)
    return float(np.median([take_value(kernel, n_calls).per_call_ns for _ in range(5)]))


@pytest.mark.parametrize(
    ("variant", "kernels"), [("numpy-inplace", numpy_kernels), ("torch-inplace", torch_kernels)]
)
def test_the_in_place_step_is_within_1_5_of_its_unavoidable_operations(
    variant: str, kernels: Callable[[], Kernels], capsys: pytest.CaptureFixture[str]
) -> None:
    found = catalog.find(variant)
    bind = found.load()
    limit_threads(1)
    bound = bind_case(bind, found.library, CASE, make(CASE), "cpu").bound
    with np.errstate(all="ignore"):  # the kernels run on the same arrays again and again
        unavoidable_ns = sum(count * cost_ns(kernel) for count, kernel in kernels())
    step_ns = cost_ns(bound.call)

    ratio = step_ns / unavoidable_ns
    with capsys.disabled():
        print(
            f"\n{variant}: {step_ns / 1000:.1f} us a step, {ratio:.2f} times the "
            f"{unavoidable_ns / 1000:.1f} us of its unavoidable operations"
        )
    assert ratio <= 1.5


def test_help_comes_within_150_ms(capsys: pytest.CaptureFixture[str]) -> None:
    times_s = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "bench", "--help"], check=True, capture_output=True)
        times_s.append(time.perf_counter() - started)

    with capsys.disabled():
        print(f"\nrnnbench --help: {1000 * np.median(times_s):.0f} ms")
    assert np.median(times_s) < 0.15
