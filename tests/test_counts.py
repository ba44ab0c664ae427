"""The formulas of operations, flops and bytes, against what every variant really asks its library for."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module

import counting
import pytest
from msgspec import structs

from bench.workload import catalog
from bench.workload.case import TASKS, Case, Shape
from bench.workload.catalog import counted
from bench.workload.cell import CELLS, find_cell
from bench.workload.operations import Operation

SHAPES = (Shape(T=5, B=7, I=4, H=6, O=3), Shape(T=2, B=3, I=8, H=5, O=9), Shape(T=1, B=6, I=2, H=4, O=5))
COUNTED = [
    (variant.name, cell)
    for variant in catalog.VARIANTS
    for cell, implementation in variant.cells.items()
    if implementation.operations
]
IN_PLACE = ("numpy-inplace", "torch-inplace")
WHAT = [
    (spec, cell, bias, task, activation)
    for spec, cell in COUNTED
    for bias in catalog.find(spec).biases
    for task in TASKS
    for activation in find_cell(cell).activations
    if activation in catalog.find(spec).activations
]


def case_of(
    task: str,
    shape: Shape,
    activation: str = "tanh",
    dtype: str = "float32",
    *,
    cell: str = "rnn",
    bias: bool = False,
) -> Case:
    return Case(task, shape, "sequence", dtype, activation, data="random", cell=cell, bias=bias)


def times(operations: Iterable[Operation]) -> Counter[Operation]:
    """Return how often there is each operation, whether it is written in place or not."""
    totals: Counter[Operation] = Counter()
    for one in operations:
        totals[replace(one, kernel=structs.replace(one.kernel, into=False), times=1)] += one.times
    return totals


@pytest.mark.parametrize(("spec", "cell", "bias", "task", "activation"), WHAT)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_variant_asks_for_exactly_what_its_formula_counts(
    spec: str, cell: str, bias: bool, task: str, activation: str, shape: Shape
) -> None:
    if catalog.find(spec).library == "torch":
        pytest.importorskip("torch")
    case = case_of(task, shape, activation, cell=cell, bias=bias)
    count = counted(spec, case)
    assert count is not None
    operations = counting.run(spec, case)
    assert times(count.operations) == times(operations)
    if spec in IN_PLACE:
        assert all(one.kernel.into for one in (*count.operations, *operations))


@pytest.mark.parametrize("spec", IN_PLACE)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_workspaces_are_counted_with_one_sample_too(spec: str, task: str, bias: bool, cell: str) -> None:
    def totals(operations: Iterable[Operation]) -> Counter[Operation]:
        if spec == "torch-inplace":  # strides of one column do not tell how it is stored
            operations = [replace(one, kernel=structs.replace(one.kernel, stored="NN")) for one in operations]
        return times(operations)

    if catalog.find(spec).library == "torch":
        pytest.importorskip("torch")
    case = case_of(task, Shape(T=3, B=1, I=4, H=6, O=5), cell=cell, bias=bias)
    count = counted(spec, case)
    assert count is not None
    assert totals(count.operations) == totals(counting.run(spec, case))


def test_formulas_are_of_variants_of_the_catalogue_and_what_has_none_is_not_counted() -> None:
    assert not any(catalog.find(spec).compiles for spec, _ in COUNTED)
    for cell in CELLS:
        assert counted("torch-compile", case_of("forward", SHAPES[0], cell=cell)) is None
    assert counted("numpy-published", case_of("forward", SHAPES[0], cell="gru")) is None
    assert counted("mine:variant", case_of("forward", SHAPES[0])) is None


@pytest.mark.parametrize("task", TASKS)
def test_nn_lstm_has_no_formula_as_it_is_one_call_in_float32(task: str) -> None:
    """If this fails, torch computes it in another way: it can be given a formula."""
    torch = pytest.importorskip("torch")
    case = case_of(task, SHAPES[0], cell="lstm", bias=True)
    assert counted("torch-layer", case) is None
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    with pytest.raises(AssertionError, match=r"nobody knows what aten\.mkldnn_rnn_layer\.default costs"):
        counting.run("torch-layer", case)


@pytest.mark.parametrize("cell", sorted({cell for _, cell in COUNTED}))
def test_a_formula_with_one_product_less_is_noticed(monkeypatch: pytest.MonkeyPatch, cell: str) -> None:
    case, formulas = case_of("gradient", SHAPES[0], cell=cell), import_module(f"bench.workload.{cell}")
    honest = formulas.numpy_batched

    def forgetful(case: Case) -> list[Operation]:
        operations = honest(case)
        last = max(place for place, one in enumerate(operations) if one.kernel.is_product)
        return operations[:last] + operations[last + 1 :]

    monkeypatch.setattr(formulas, "numpy_batched", forgetful)
    count = counted("numpy-batched", case)
    assert count is not None
    assert times(count.operations) != times(counting.run("numpy-batched", case))


def test_flops_and_bytes_of_the_tutorials_training_step_by_hand() -> None:
    """T 6, B 128, I 6, H 32, O 8 in float32: 2 m k n a product, 1 an element of a pass."""
    count = counted("numpy-batched", case_of("train_step", Shape(6, 128, 6, 32, 8)))
    assert count is not None
    products = (
        2 * 128 * (6 * 32 * 6 * 2 + 6 * 32 * 32 * 3 + 3 * 32 * 8)
    )  # U and dU; W, dW and dh; V, dV, dh_T
    passes = 6 * 5 * 4096 + 7 * 1024 + 6 * (192 + 1024) + 2 * (192 + 1024 + 256)
    assert count.product_flops == products
    assert count.flops == products + passes
    assert count.activations == 6 * 4096
    assert count.calls == 6 * (2 + 3) + 3 + 6 * (2 + 3) + 7 + 12 + 6
    forward = counted("numpy-batched", case_of("forward", Shape(1, 2, 3, 4, 5), dtype="float64"))
    assert forward is not None
    moved = (2 * 3 + 3 * 4 + 2 * 4) + (2 * 4 + 4 * 4 + 2 * 4) + 3 * 8 + 2 * 8 + (2 * 4 + 4 * 5 + 2 * 5)
    assert forward.bytes == 8 * moved


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_variant_does_less_than_the_mathematics_needs(task: str, bias: bool, shape: Shape) -> None:
    for spec, cell in COUNTED:
        case = case_of(task, shape, cell=cell, bias=bias)
        least, count = find_cell(cell).count_needed(case), counted(spec, case)
        assert count is not None
        assert count.flops >= least.flops  # an outer product of one sample is a pass, not a product
        assert count.activations >= least.activations
        assert count.activations == least.activations or cell != "rnn"
        assert count.bytes >= find_cell(cell).bytes_needed(case)


@pytest.mark.parametrize(
    ("cell", "bias", "products", "activations"),
    [
        # W h_0 and its part of dL/dW
        ("rnn", False, 2 * (2 * 7 * 6 * 6), 0),
        ("rnn", True, 2 * (2 * 7 * 6 * 6), 0),
        ("gru", True, 2 * (2 * 7 * 18 * 6), 0),
        # r_1 multiplies W h_0 = 0: nor its rows of U x_1 and of that part of dL/dU
        ("gru", False, 2 * (2 * 7 * 18 * 6 + 2 * 7 * 6 * 4), 7 * 6),
        # likewise f_1, which multiplies c_0 = 0
        ("lstm", False, 2 * (2 * 7 * 24 * 6 + 2 * 7 * 6 * 4), 7 * 6),
        ("lstm", True, 2 * (2 * 7 * 24 * 6 + 2 * 7 * 6 * 4), 7 * 6),
    ],
)
def test_what_is_needed_leaves_out_what_h_0_makes_zero(
    cell: str, bias: bool, products: int, activations: int
) -> None:
    case = case_of("gradient", Shape(T=5, B=7, I=4, H=6, O=3), cell=cell, bias=bias)
    least, count = find_cell(cell).count_needed(case), counted("torch-autograd", case)
    assert count is not None
    assert count.product_flops - least.product_flops == products
    assert count.activations - least.activations == activations


def test_the_bytes_that_must_move_are_those_of_inputs_and_results() -> None:
    shape = Shape(T=2, B=3, I=5, H=7, O=11)
    params = 7 * 5 + 7 * 7 + 11 * 7
    assert find_cell("rnn").bytes_needed(case_of("forward", shape)) == 4 * (2 * 3 * 5 + params + 3 * 11)
    assert find_cell("rnn").bytes_needed(case_of("train_step", shape, dtype="float64")) == 8 * (
        2 * 3 * 5 + 2 * params + 3 * 11
    )
