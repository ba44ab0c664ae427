"""Every variant computes what the reference computes, and behaves. Those that compile: test_compiled.py."""

import math
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest

from bench import proof
from bench.proof import Expected
from bench.proof.cases import RANDOM, agreement_cases
from bench.proof.tolerance import error_between, norm, tolerance
from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import DTYPES, LAYOUTS, STREAM, TASKS, Case, Shape, sine_case
from bench.workload.cell import CELLS, find_cell
from bench.workload.data import Batch

torch = pytest.importorskip("torch")
QUICK = [variant for variant in catalog.VARIANTS if not variant.compiles]
EXACT = [variant for variant in QUICK if not variant.known_wrong]


@cache
def inputs(case: Case) -> tuple[Batch, Expected]:
    batch = data.make(case)
    return batch, proof.expected(case, batch)


PROOFS = [(v, cell, dtype) for v in QUICK for cell in v.cells for dtype in v.dtypes]


@pytest.mark.parametrize(
    ("variant", "cell", "dtype"), PROOFS, ids=[f"{v.name} {cell} {dtype}" for v, cell, dtype in PROOFS]
)
def test_every_variant_agrees_with_the_reference(variant: catalog.Variant, cell: str, dtype: str) -> None:
    supported = [
        case
        for case in agreement_cases(cell)
        if case.dtype == dtype and not variant.unsupported(case, "cpu") and case.layout in variant.layouts
    ]
    assert supported
    if variant.loops_over_batch:  # the slowest: ``verify`` proves the rest
        supported = [case for case in supported if case.shape.T * case.shape.B <= 200]
    for case in supported:
        batch, expected = inputs(case if case.task == STREAM else replace(case, task="gradient"))
        about = {"library": variant.library, "known_wrong": variant.wrong_gradients}
        checks = proof.prove(variant.load(cell), case, batch, expected, **about)
        wrong = variant.known_wrong and case.task != "forward" and case.shape.T > 1 and case.shape.H > 1
        verdict = proof.status(checks, known_wrong=variant.known_wrong)
        assert verdict == ("known_wrong" if wrong else "ok"), f"{case}: {proof.failures(checks)}"


def test_the_cases_are_those_where_programs_err() -> None:
    shapes = [shape for shape, _, _ in RANDOM]
    assert {1, 50, 500} <= {shape.T for shape in shapes}
    assert all(1 in {getattr(shape, size) for shape in shapes} for size in "BHO")
    assert any(len({shape.T, shape.B, shape.I, shape.H, shape.O}) == 5 for shape in shapes)
    for cell in CELLS:
        cases, found = agreement_cases(cell), find_cell(cell)
        for task, layout, dtype, activation in product(TASKS, LAYOUTS, DTYPES, found.activations):
            options = {"dtype": dtype, "activation": activation, "cell": cell, "bias": found.bias}
            assert sine_case(task, layout, **options) in cases
        for task, dtype, bias in product(TASKS, DTYPES, (False, True)):
            assert sine_case(task, LAYOUTS[0], dtype=dtype, cell=cell, bias=bias) in cases
        for bias in (False, True):
            assert {case.bias for case in agreement_cases(cell, bias)} == {bias}


OPTIONS = [(cell, activation) for cell in CELLS for activation in find_cell(cell).activations]


@pytest.mark.parametrize(("shape", "layout", "delta"), RANDOM, ids=str)
@pytest.mark.parametrize(("cell", "activation"), OPTIONS)
def test_random_data_meet_the_conditions_of_a_float32_proof(
    shape: Shape, layout: str, delta: float, cell: str, activation: str
) -> None:
    bias = find_cell(cell).bias
    case = Case("gradient", shape, layout, "float64", activation, "random", delta=delta, cell=cell, bias=bias)
    batch, expected = inputs(case)
    error = np.abs(expected.y_hat - batch.y)
    assert np.min(error) >= 0.1 * (1 - 1e-12)
    if delta > 0.15 and error.size > 8:
        assert error.min() < delta < error.max()
    _, cached = (
        find_cell(cell).reference().forward(batch.params, batch.x, **find_cell(cell).options(case.activation))
    )
    h = find_cell(cell).hidden_states(cached)[-1]
    without_cancellation = np.abs(h) @ np.abs(batch.params["V"]).T
    assert norm(expected.y_hat) >= 0.1 * norm(without_cancellation)


@pytest.mark.parametrize(("cell", "activation"), OPTIONS)
def test_200_training_steps_from_the_same_start_stay_together(cell: str, activation: str) -> None:
    sizes = {"batch": 8, "hidden": 16, "dtype": "float64"}
    case = sine_case("train_step", "positional", activation=activation, cell=cell, bias=True, **sizes)
    batch, _ = inputs(case)
    early, after = (proof.expected_after(case, batch, n) for n in (199, 200))
    allowed = math.sqrt(200) * tolerance(case, "cpu").gradient  # one error a step, in any direction
    assert all(error_between(early[name], after[name], scale=norm(after[name])) > 1e-6 for name in after)
    for variant in EXACT:
        if variant.loops_over_batch or variant.unsupported(case, "cpu"):
            continue
        binding = bind_case(variant.load(cell), variant.library, case, batch, "cpu")
        for _ in range(200):
            binding.bound.call()
        result = binding.result()
        for name in after.keys() - {"n_calls"}:
            error = error_between(result[name], after[name], scale=norm(after[name]))
            assert error <= allowed, (variant.name, name)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_contract_modifies_nothing_and_keeps_dtype_and_a_loss_without_axes(
    library: str, dtype: str, cell: str
) -> None:
    reference, shape = find_cell(cell).reference(library), Shape(3, 5, 2, 4, 3)
    batch = data.make(Case("gradient", shape, "positional", dtype, data="random", cell=cell, bias=True))
    before = [*batch.params.values(), batch.x, batch.y]
    arrays = [torch.tensor(a) if library == "torch" else a.copy() for a in before]
    params, (x, y) = dict(zip(batch.params, arrays, strict=False)), arrays[-2:]

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
