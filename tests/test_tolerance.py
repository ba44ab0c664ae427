"""How errors are measured, and how large they may be."""

import math

import numpy as np
import pytest

from bench.proof.tolerance import Tolerance, error_between, norm, tolerance, too_small_for_float32, vanishes
from bench.workload.case import Case, Shape


@pytest.mark.parametrize("scale", [1.0, 1e-310, 1e300, 0.0])
def test_the_norm_neither_overflows_nor_loses_the_smallest_numbers(scale: float) -> None:
    assert norm(np.array([3.0, -4.0]) * scale) == pytest.approx(5 * scale, rel=1e-10)


def test_the_norm_of_nothing_is_zero_and_of_a_nan_is_no_number() -> None:
    assert norm(np.zeros(0)) == 0
    assert math.isnan(norm(np.array([1.0, np.nan])))


@pytest.mark.parametrize(("actual", "wanted", "scale"), [
    (np.nan, 1.0, 1e-20), (np.inf, 1.0, 1e-20), (1e300, 1.0, 1e-20), (1e-30, 0.0, 0.0),
])  # fmt: skip
def test_an_error_is_finite_and_huge_whatever_the_numbers_are(
    actual: float, wanted: float, scale: float
) -> None:
    assert 1e300 < error_between(np.array([actual]), np.array([wanted]), scale=scale) < math.inf
    assert error_between(np.zeros(3), np.zeros(3), scale=0.0) == 0


def test_only_the_smallest_numbers_of_a_dtype_vanish() -> None:
    small = ((1e-33, "float32"), (1e-30, "float32"), (1e-33, "float64"))
    assert [vanishes(np.full(4, size), dtype) for size, dtype in small] == [True, False, False]


@pytest.mark.parametrize(
    ("dtype", "steps", "device", "allowed"),
    [
        ("float64", 1, "cpu", (2e-14, 1e-13)),
        ("float64", 1000, "cpu", (2e-14, 1e-13)),
        ("float32", 1000, "cpu", (1e-5, 3e-5)),
        ("float32", 6, "cuda:0", (5e-5, 1e-4)),
        ("float32", 6, "mps:0", (5e-5, 1e-4)),
    ],
)
def test_tolerances_depend_on_dtype_length_and_device(
    dtype: str, steps: int, device: str, allowed: tuple[float, float]
) -> None:
    case = Case("forward", Shape(steps, 8, 1, 8, 8), "sequence", dtype)
    assert tolerance(case, device) == Tolerance(*allowed)


@pytest.mark.parametrize(("B", "H", "O", "too_small"), [(8, 4, 1, False), (7, 4, 1, True), (8, 3, 8, True)])
def test_a_float32_proof_needs_eight_outputs_and_four_hidden_units(
    B: int,
    H: int,
    O: int,  # noqa: E741
    too_small: bool,
) -> None:
    assert too_small_for_float32(Case("forward", Shape(2, B, 1, H, O))) == too_small
