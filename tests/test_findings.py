"""What the suite found out about the two programs it started from, each finding as a test."""

import numpy as np
import pytest

from bench import proof
from bench.proof.tolerance import error_between, norm
from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import ACTIVATIONS, DTYPES, Case, Shape, sine_case

torch = pytest.importorskip("torch")


def result_of(variant: catalog.Variant, case: Case) -> dict[str, np.ndarray]:
    """What one call gives."""
    binding = bind_case(variant.load(), variant.library, case, data.make(case), "cpu")
    binding.bound.call()
    return binding.result()


def errors_of_published(case: Case) -> dict[str, float]:
    """How far its three gradients are from the true ones."""
    result, grads = (
        result_of(catalog.find("numpy-published"), case),
        proof.expected(case, data.make(case)).grads,
    )
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
    assert min(errors["U"], errors["W"]) > 0.1


def test_at_the_tutorials_own_size_the_published_gradient_is_off_by_a_quarter_to_a_half() -> None:
    """Sigmoid and positional input, as in that program."""
    errors = errors_of_published(sine_case("gradient", "positional", dtype="float64", activation="sigmoid"))
    assert 0.2 < min(errors["U"], errors["W"]) <= max(errors["U"], errors["W"]) < 0.6


@pytest.mark.parametrize(("steps", "hidden", "right"), [(1, 8, True), (2, 8, False), (7, 1, True)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_published_gradient_is_right_for_one_time_step_or_one_hidden_unit_alone(
    activation: str, steps: int, hidden: int, right: bool
) -> None:
    """Its fault is the order of indices of a Jacobian; with one hidden unit there is only one index."""
    shape = Shape(T=steps, B=6, I=3, H=hidden, O=4)
    errors = errors_of_published(Case("gradient", shape, "positional", "float64", activation, "random"))
    assert (max(errors.values()) <= 1e-12) == right


def test_the_published_gradient_still_points_downhill() -> None:
    """Which is why that program trains all the same."""
    case = sine_case("gradient", "positional", batch=32, dtype="float64", activation="sigmoid")
    wrong = result_of(catalog.find("numpy-published"), case)
    right = proof.expected(case, data.make(case)).grads
    assert all(np.sum(wrong[f"d{name}"] * right[name]) > 0 for name in "UWV")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "variant",
    [v for v in catalog.VARIANTS if not v.compiles and "gradient" in v.tasks and "tanh" in v.activations],
    ids=lambda variant: variant.name,
)
def test_on_single_step_input_alone_the_gradient_of_w_is_exactly_zero(
    variant: catalog.Variant, dtype: str
) -> None:
    """One cell call from h_0 = 0 never uses W: the PyTorch program is not recurrent."""
    result = result_of(variant, sine_case("gradient", "single_step", dtype=dtype))
    assert np.all(result["dW"] == 0)
    assert np.any(result["dU"] != 0)
    case = sine_case("gradient", "sequence", dtype="float64")
    assert norm(proof.expected(case, data.make(case)).grads["W"]) > 1e-3
