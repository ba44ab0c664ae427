"""What is expected of a case: computed in float64 from its own inputs, or refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import proof
from bench.machine.errors import UserError
from bench.workload import data
from bench.workload.case import Case, Shape
from bench.workload.data import Batch

CASE = Case("train_step", Shape(T=5, B=7, I=4, H=6, O=3), "positional", "float32", data="random", delta=0.5)


def expected_of(case: Case) -> proof.Expected:
    return proof.expected(case, data.make(case))


def test_expected_results_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    expected = expected_of(CASE)
    expected.save(tmp_path / "expected")
    again = proof.Expected.load(tmp_path / "expected", expected.grads)
    assert np.array_equal(again.y_hat, expected.y_hat)
    assert again.loss == expected.loss
    assert again.loss.shape == ()
    assert all(np.array_equal(again.grads[name], expected.grads[name]) for name in expected.grads)
    assert (again.loss_scale, again.upstream, again.digest) == (
        expected.loss_scale,
        expected.upstream,
        expected.digest,
    )


def test_expected_results_are_float64_and_of_the_inputs_as_cast() -> None:
    batch = data.make(CASE)
    expected = proof.expected(CASE, batch)
    upcast = proof.expected(replace(CASE, dtype="float64"), batch.astype("float64"))
    assert expected.y_hat.dtype == np.float64
    assert np.array_equal(expected.y_hat, upcast.y_hat)
    uncast = expected_of(replace(CASE, dtype="float64"))
    assert not np.array_equal(expected.y_hat, uncast.y_hat)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_dynamics_that_expand_are_refused_not_tolerated(factor: float) -> None:
    case = Case("gradient", Shape(30, 4, 1, 8, 4), "sequence", "float64", data="random")
    batch = data.make(case)
    wild = Batch(batch.params | {"W": factor * batch.params["W"]}, batch.x * 0.01, batch.y)
    if factor == 1:
        assert proof.expected(case, wild).upstream > 0
    else:
        with pytest.raises(UserError, match="ill-conditioned"):
            proof.expected(case, wild)


def test_a_gradient_that_jumps_with_the_rounding_of_a_relu_is_refused() -> None:
    case = Case("gradient", Shape(1, 1, 1, 8, 8), "sequence", "float32", "relu", "random", bias=True)
    batch = data.make(case)
    for name in ("U", "bU", "bW"):
        batch.params[name][1:] = 0  # z = 0 but for the first unit
    batch.params["bU"][0] = 1
    with pytest.raises(UserError, match="its relu, so correct programs disagree; choose another seed"):
        proof.expected(case, batch)
    assert proof.expected(replace(case, dtype="float64"), batch.astype("float64")).jump == 0


def test_numbers_that_are_not_finite_are_refused() -> None:
    batch = data.make(CASE)
    batch.x[0, 0, 0] = np.nan
    with np.errstate(all="ignore"), pytest.raises(UserError, match="not finite"):
        proof.expected(CASE, batch)


def test_sequences_beyond_the_tolerances_are_refused_with_a_way_out() -> None:
    case = Case("forward", Shape(1001, 2, 1, 4, 4), "sequence", "float64", data="random")
    with pytest.raises(UserError, match=r"T = 1001.*shorter"):
        expected_of(case)
