"""The hand-derived gradient is the derivative of the loss, by means that share nothing with it."""

from importlib import import_module
from itertools import product

import numpy as np
import pytest

from bench import proof
from bench.proof import gradcheck
from bench.proof.cases import reference_cases
from bench.proof.tolerance import error_between, norm
from bench.workload import data
from bench.workload.case import ACTIVATIONS, Case, Shape, sine_case
from bench.workload.cell import CELLS, find_cell

torch = pytest.importorskip("torch")
CASES = [case for cell in CELLS for case in reference_cases(cell)]


def errors(actual: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: error_between(actual[name], wanted[name], scale=norm(wanted[name])) for name in wanted}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_reference_is_the_complex_step_derivative_to_1e_12_and_the_central_difference_to_1e_8(
    case: Case,
) -> None:
    checks = gradcheck.check_reference(case)
    names = ["U", "W", "V", *(("bU", "bW", "bV") if case.bias else ())]
    assert {check.what: check.tolerance for check in checks} == {
        **{f"d{name}, complex step": 1e-12 for name in names},
        **{f"d{name}, central differences": 1e-8 for name in names},
    }
    assert all(check.error <= check.tolerance for check in checks)


@pytest.mark.parametrize("cell", CELLS)
def test_one_number_of_a_gradient_that_is_slightly_off_is_refused(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = reference_cases(cell)[-2]
    loss_and_grads = find_cell(cell).reference().loss_and_grads
    for wrong in find_cell(cell).arrays(bias=case.bias):

        def slightly_wrong(*args, wrong=wrong, **options):
            loss, grads = loss_and_grads(*args, **options)
            largest = np.unravel_index(np.argmax(np.abs(grads[wrong])), grads[wrong].shape)
            grads[wrong] = grads[wrong].copy()
            grads[wrong][largest] *= 1 + 1e-10
            return loss, grads

        monkeypatch.setattr(find_cell(cell).reference(), "loss_and_grads", slightly_wrong)
        failed = [check.what for check in gradcheck.check_reference(case) if not check.passed]
        assert failed == [f"d{wrong}, complex step"]


def test_the_cases_cover_every_activation_both_sides_of_the_loss_and_sizes_of_one() -> None:
    assert {case.activation for case in CASES} == set(ACTIVATIONS)
    assert {(case.cell, case.bias) for case in CASES} == set(product(CELLS, (False, True)))
    assert len({case.shape for case in CASES}) >= 4
    assert all(1 in {getattr(case.shape, size) for case in CASES} for size in "TBIHO")
    sides = set()
    for case in CASES:
        batch = data.make(case)
        sides |= set((np.abs(proof.expected(case, batch).y_hat - batch.y) < case.delta).ravel().tolist())
    assert sides == {True, False}


def test_the_complex_step_does_not_depend_on_its_size() -> None:
    case, batch = CASES[2], data.make(CASES[2])
    wanted = gradcheck.complex_step(case, batch)
    for h in (1e-8, 1e-100, 1e-200):
        assert max(errors(gradcheck.complex_step(case, batch, h=h), wanted).values()) <= 1e-12


@pytest.mark.parametrize("factor", [1.0005, 1 + 1e-11])
def test_a_gradient_that_is_slightly_off_is_refused(factor: float) -> None:
    case, batch = CASES[2], data.make(CASES[2])
    off = {name: factor * grad for name, grad in proof.expected(case, batch).grads.items()}
    assert min(errors(off, gradcheck.complex_step(case, batch)).values()) > 1e-12


def test_the_complex_step_knows_the_published_gradient_for_wrong() -> None:
    from impl_numpy import published

    case, batch = CASES[2], data.make(CASES[2])
    _, grads = published.loss_and_grads(batch.params, batch.x, batch.y, delta=case.delta)
    off = errors(grads, gradcheck.complex_step(case, batch))
    assert min(off["U"], off["W"]) > 0.01
    assert off["V"] <= 1e-12


def test_both_sides_of_the_complex_huber_loss_are_the_definition() -> None:
    e = np.array([[-2.0, -0.1], [0.2, 3.0]])
    wanted = np.mean([0.5 * (2 - 0.25), 0.1**2 / 2, 0.2**2 / 2, 0.5 * (3 - 0.25)])
    assert gradcheck.huber(e, 0.5) == pytest.approx(wanted, rel=1e-15)
    derivative = gradcheck.huber(e + 1e-20j, 0.5).imag / 1e-20
    assert derivative == pytest.approx((-0.5 - 0.1 + 0.2 + 0.5) / 4, rel=1e-14)


OPTIONS = [(cell, activation) for cell in CELLS for activation in find_cell(cell).activations]


@pytest.mark.parametrize(("cell", "activation"), OPTIONS)
@pytest.mark.parametrize("factor", [1.0, 1.0005])
def test_torch_manual_passes_gradcheck_at_settings_that_reject_a_factor_of_1_0005(
    cell: str, activation: str, factor: float
) -> None:
    manual = import_module(f"impl_torch.{cell}_manual")
    case = Case("gradient", Shape(4, 3, 2, 5, 3), dtype="float64", activation=activation, data="random",
                delta=0.5, cell=cell, bias=True)  # fmt: skip
    batch, options = data.make(case), find_cell(cell).options(case.activation)
    x, y = torch.tensor(batch.x), torch.tensor(batch.y)

    class Loss(torch.autograd.Function):
        """The loss, with the hand-derived gradient as its backward pass."""

        @staticmethod
        def forward(ctx, *arrays):
            params = {name: p.detach() for name, p in zip(batch.params, arrays, strict=True)}
            loss, grads = manual.loss_and_grads(params, x, y, delta=case.delta, **options)
            ctx.save_for_backward(*grads.values())
            return loss

        @staticmethod
        def backward(ctx, dloss):
            return tuple(factor * dloss * grad for grad in ctx.saved_tensors)

    params = [torch.tensor(p, requires_grad=True) for p in batch.params.values()]
    check = torch.autograd.gradcheck
    passes = check(Loss.apply, params, eps=1e-6, rtol=1e-6, atol=1e-8, raise_exception=False)
    assert passes == (factor == 1.0)
    assert check(Loss.apply, params), "gradcheck's defaults let the factor pass: too loose to prove anything"


@pytest.mark.parametrize(("cell", "activation"), OPTIONS)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_saturated_network_gives_finite_results_without_a_warning(
    library: str, cell: str, activation: str
) -> None:
    sizes = {"batch": 4, "hidden": 8, "dtype": "float64"}
    case = sine_case("gradient", "sequence", activation=activation, cell=cell, bias=True, **sizes)
    batch = data.make(case)
    arrays = {**batch.params, "U": 1e6 * batch.params["U"], "x": batch.x, "y": batch.y}
    if library == "torch":
        arrays = {name: torch.tensor(array) for name, array in arrays.items()}
    x, y = arrays.pop("x"), arrays.pop("y")
    loss, grads = (
        find_cell(cell)
        .reference(library)
        .loss_and_grads(arrays, x, y, **find_cell(cell).options(case.activation))
    )
    assert all(np.isfinite(np.asarray(result)).all() for result in (loss, *grads.values()))
