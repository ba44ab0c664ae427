"""What the suite found out about the two programs it started from, each finding as a test."""

import numpy as np
import pytest

from bench import proof
from bench.proof.tolerance import error_between, norm
from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import ACTIVATIONS, DTYPES, Case, Shape, sine_case

torch = pytest.importorskip("torch")


def errors_of_published(case: Case) -> dict[str, float]:
    """How far its three gradients are from the true ones."""
    batch = data.make(case)
    binding = bind_case(catalog.find("numpy-published").load(), "numpy", case, batch, "cpu")
    binding.bound.call()
    grads, result = proof.expected(case, batch).grads, binding.result()
    return {
        name: error_between(result[f"d{name}"], grad, scale=norm(grad) or 1.0) for name, grad in grads.items()
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layout", ["positional", "sequence"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_published_gradient_is_right_for_v_and_wrong_for_u_and_w(
    activation: str, layout: str, seed: int
) -> None:
    case = sine_case("gradient", layout, batch=32, dtype="float64", activation=activation, seed=seed)
    errors = errors_of_published(case)
    assert errors["V"] <= 1e-12
    assert errors["U"] > 0.1
    assert errors["W"] > 0.1


def test_at_the_tutorials_own_size_the_published_gradient_is_off_by_a_quarter_to_a_half() -> None:
    """Sigmoid and positional input, as in that program."""
    errors = errors_of_published(sine_case("gradient", "positional", dtype="float64", activation="sigmoid"))
    assert 0.2 < errors["U"] < 0.6
    assert 0.2 < errors["W"] < 0.6


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_published_gradient_is_right_for_one_time_step_and_wrong_from_two_on(
    activation: str, steps: int
) -> None:
    shape = Shape(T=steps, B=6, I=3, H=8, O=4)
    errors = errors_of_published(Case("gradient", shape, "positional", "float64", activation, "random"))
    assert (max(errors.values()) <= 1e-12) == (steps == 1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_with_one_hidden_unit_the_published_gradient_is_right_at_any_length(activation: str) -> None:
    """Its fault is the order of indices of a Jacobian; with one hidden unit there is only one index."""
    shape = Shape(T=7, B=6, I=3, H=1, O=4)
    errors = errors_of_published(Case("gradient", shape, "positional", "float64", activation, "random"))
    assert max(errors.values()) <= 1e-12


def test_the_published_gradient_still_points_downhill() -> None:
    """Which is why that program trains all the same."""
    case = sine_case("gradient", "positional", batch=32, dtype="float64", activation="sigmoid")
    batch = data.make(case)
    from impl_numpy import published

    _, wrong = published.loss_and_grads(batch.params, batch.x, batch.y, activation="sigmoid")
    right = proof.expected(case, batch).grads
    assert all(np.sum(wrong[name] * right[name]) > 0 for name in "UWV")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "variant",
    [v for v in catalog.VARIANTS if not v.compiles and "gradient" in v.tasks and "tanh" in v.activations],
    ids=lambda variant: variant.name,
)
def test_on_single_step_input_the_gradient_of_w_is_exactly_zero(variant: catalog.Variant, dtype: str) -> None:
    """One cell call from h_0 = 0 never uses W: the PyTorch program is not recurrent."""
    case = sine_case("gradient", "single_step", dtype=dtype)
    binding = bind_case(variant.load(), variant.library, case, data.make(case), "cpu")
    binding.bound.call()
    result = binding.result()
    assert np.all(result["dW"] == 0)
    assert np.any(result["dU"] != 0)


def test_on_a_sequence_the_gradient_of_w_is_not_zero() -> None:
    case = sine_case("gradient", "sequence", dtype="float64")
    assert norm(proof.expected(case, data.make(case)).grads["W"]) > 1e-3
