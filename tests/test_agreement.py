"""Every variant computes what the reference computes, and behaves. Those that compile: test_compiled.py."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest

import impl_numpy.rnn
from bench import proof
from bench.proof import Expected
from bench.proof.cases import RANDOM, agreement_cases
from bench.proof.tolerance import error_between, norm
from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, TASKS, Case, Shape, sine_case
from bench.workload.data import Batch
from bench.workload.rnn import RNN

torch = pytest.importorskip("torch")
QUICK = [variant for variant in catalog.VARIANTS if not variant.compiles]
EXACT = [variant for variant in QUICK if not variant.known_wrong]


@cache
def inputs(case: Case) -> tuple[Batch, Expected]:
    batch = data.make(case)
    return batch, proof.expected(case, batch)


PROOFS = [(v, dtype, activation) for v in QUICK for dtype in v.dtypes for activation in v.activations]


@pytest.mark.parametrize(
    ("variant", "dtype", "activation"), PROOFS, ids=[f"{v.name} {dtype} {act}" for v, dtype, act in PROOFS]
)
def test_every_variant_agrees_with_the_reference(
    variant: catalog.Variant, dtype: str, activation: str
) -> None:
    cases = [case for case in agreement_cases() if (case.dtype, case.activation) == (dtype, activation)]
    supported = [
        case for case in cases if not variant.unsupported(case, "cpu") and case.layout in variant.layouts
    ]
    assert supported
    for case in supported:
        batch, expected = inputs(replace(case, task="gradient"))
        about = {"library": variant.library, "known_wrong": variant.wrong_gradients}
        checks = proof.prove(variant.load(), case, batch, expected, **about)
        wrong = variant.known_wrong and case.task != "forward" and case.shape.T > 1 and case.shape.H > 1
        verdict = proof.status(checks, known_wrong=variant.known_wrong)
        assert verdict == ("known_wrong" if wrong else "ok"), f"{case}: {proof.failures(checks)}"


def test_the_cases_are_those_where_programs_err() -> None:
    shapes = [shape for shape, _, _ in RANDOM]
    assert {1, 50, 500} <= {shape.T for shape in shapes}
    assert all(1 in {getattr(shape, size) for shape in shapes} for size in "BHO")
    assert any(len({shape.T, shape.B, shape.I, shape.H, shape.O}) == 5 for shape in shapes)
    cases = agreement_cases()
    for task, layout, dtype, activation in product(TASKS, LAYOUTS, DTYPES, ACTIVATIONS):
        assert sine_case(task, layout, dtype=dtype, activation=activation) in cases


@pytest.mark.parametrize(("shape", "layout", "delta"), RANDOM, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_random_data_meet_the_conditions_of_a_float32_proof(
    shape: Shape, layout: str, delta: float, activation: str
) -> None:
    case = Case("gradient", shape, layout, "float64", activation, data="random", delta=delta)
    batch, expected = inputs(case)
    error = np.abs(expected.y_hat - batch.y)
    assert np.min(error) >= 0.1 * (1 - 1e-12)
    if delta > 0.15 and error.size > 8:
        assert error.min() < delta < error.max()
    _, hs = impl_numpy.rnn.forward(batch.params, batch.x, activation=activation)
    without_cancellation = np.abs(hs[-1]) @ np.abs(batch.params["V"]).T
    assert norm(expected.y_hat) >= 0.1 * norm(without_cancellation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_200_training_steps_from_the_same_start_stay_together(activation: str) -> None:
    case = sine_case("train_step", "positional", batch=16, hidden=16, dtype="float64", activation=activation)
    batch, _ = inputs(case)
    early, after = (proof.expected_after(case, batch, n) for n in (199, 200))
    assert all(error_between(early[name], after[name], scale=norm(after[name])) > 1e-6 for name in after)
    for variant in EXACT:
        if variant.unsupported(case, "cpu"):
            continue
        binding = bind_case(variant.load(), variant.library, case, batch, "cpu")
        for _ in range(200):
            binding.bound.call()
        result = binding.result()
        for name in ("loss", "U", "W", "V"):
            error = error_between(result[name], after[name], scale=norm(after[name]))
            assert error <= 1e-9, (variant.name, name)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_contract_modifies_nothing_and_keeps_dtype_and_a_loss_without_axes(
    library: str, dtype: str
) -> None:
    reference = RNN.reference(library)
    batch = data.make(Case("gradient", Shape(3, 5, 2, 4, 3), "positional", dtype, data="random"))
    before = [*batch.params.values(), batch.x, batch.y]
    arrays = [torch.tensor(a) if library == "torch" else a.copy() for a in before]
    params, (x, y) = dict(zip(batch.params, arrays, strict=False)), arrays[3:]

    y_hat, _ = reference.forward(params, x)
    loss, grads = reference.loss_and_grads(params, x, y)
    step_loss, new = reference.sgd_step(params, x, y)

    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(arrays, before, strict=True))
    assert list(grads) == list(new) == list(params)
    for result in (y_hat, loss, step_loss, *grads.values(), *new.values()):
        assert str(result.dtype).removeprefix("torch.") == dtype
        assert not getattr(result, "requires_grad", False)
    assert loss.shape == step_loss.shape == ()
    assert all(grads[name].shape == new[name].shape == params[name].shape for name in params)
    for old, grad, p in zip(params.values(), grads.values(), new.values(), strict=True):
        assert np.allclose(np.asarray(old - 0.1 * grad), np.asarray(p), rtol=1e-5)
