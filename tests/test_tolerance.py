"""How errors are measured, and how large they may be."""

import math

import numpy as np
import pytest

from bench.proof.tolerance import error_between, norm, tolerance, too_small_for_float32, vanishes
from bench.workload.case import Case, Shape


@pytest.mark.parametrize("scale", [1.0, 1e-310, 1e300])
def test_the_norm_neither_overflows_nor_loses_the_smallest_numbers(scale: float) -> None:
    assert norm(np.array([3.0, -4.0]) * scale) == pytest.approx(5 * scale, rel=1e-10)


def test_the_norm_of_zeros_and_of_nothing_is_zero_and_of_a_nan_is_no_number() -> None:
    assert norm(np.zeros((2, 3))) == norm(np.zeros(0)) == 0
    assert math.isnan(norm(np.array([1.0, np.nan])))


@pytest.mark.parametrize("actual", [np.nan, np.inf, 1e300])
def test_an_error_is_finite_and_huge_whatever_the_numbers_are(actual: float) -> None:
    error = error_between(np.array([actual]), np.array([1.0]), scale=1e-20)
    assert math.isfinite(error)
    assert error > 1e300


def test_zero_is_no_error_relative_to_zero_but_anything_else_is() -> None:
    assert error_between(np.zeros(3), np.zeros(3), scale=0.0) == 0
    assert error_between(np.full(3, 1e-30), np.zeros(3), scale=0.0) > 1e300


def test_only_the_smallest_numbers_of_a_dtype_vanish() -> None:
    assert vanishes(np.full(4, 1e-33), "float32")
    assert not vanishes(np.full(4, 1e-30), "float32")
    assert not vanishes(np.full(4, 1e-33), "float64")


@pytest.mark.parametrize(
    ("dtype", "steps", "device", "allowed"),
    [
        ("float64", 100, "cpu", (1e-14, 3e-14)),
        ("float64", 101, "cpu", (1e-14, 1e-13)),
        ("float32", 100, "cpu", (3e-6, 1e-5)),
        ("float32", 1000, "cpu", (3e-6, 2e-5)),
        ("float32", 6, "cuda:0", (1e-5, 5e-5)),
        ("float32", 6, "mps:0", (1e-5, 5e-5)),
    ],
)
def test_tolerances_depend_on_dtype_length_and_device(
    dtype: str, steps: int, device: str, allowed: tuple[float, float]
) -> None:
    found = tolerance(Case("forward", Shape(steps, 8, 1, 8, 8), "sequence", dtype), device)
    assert (found.forward, found.gradient) == allowed


@pytest.mark.parametrize(
    ("shape", "too_small"),
    [
        (Shape(2, 8, 1, 4, 1), False),
        (Shape(2, 7, 1, 4, 1), True),
        (Shape(2, 8, 1, 3, 8), True),
    ],
)
def test_a_float32_proof_needs_eight_outputs_and_four_hidden_units(shape: Shape, too_small: bool) -> None:
    assert too_small_for_float32(Case("forward", shape)) == too_small
