"""Basic operations of a library: what is called, how often, and that each does what its name says."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import MS, US, World

from bench.measure import primitives
from bench.measure.messages import ProbeJob
from bench.measure.primitives import PEAK_COPY, PEAK_ELEMENTS, make_call, time_call, wanted
from bench.workload.case import Case, Shape
from bench.workload.operations import Kernel, Size, Stored, each, into, nn, nt, tn

RAMP = partial(np.linspace, -1, 1, dtype="float32")
SHAPE = Shape(T=5, B=7, I=4, H=6, O=3)


def numpy_call(name: str, *size: int, stored: Stored = "NN", into: bool = False) -> Any:
    return make_call(np, RAMP, Kernel(name, size, stored, into))


@pytest.mark.parametrize(
    ("host", "device", "first_ns", "n_calls", "value_ns", "calls"),
    [
        (500, 0, 0, 4000, 2 * MS, None),
        (10 * MS, 0, 0, 1, 10 * MS, 5),  # once before, once to see, three values
        (1 * US, 0, 50 * MS, 2000, 2 * MS, None),  # the first call decides nothing
        (1 * US, 20 * US, 0, 100, 100 * 20 * US + 1 * US, None),  # with the wait
    ],
)
def test_calls_make_a_value_of_two_milliseconds_and_three_are_kept(
    host: int, device: int, first_ns: int, n_calls: int, value_ns: int, calls: int | None
) -> None:
    world, costs = World(), iter([first_ns])
    work = world.call(host, device)

    def call() -> None:
        world.now += next(costs, 0)
        work()

    timed = time_call(call, synchronise=world.synchronise, clock=world.clock)
    assert timed == (pytest.approx(n_calls, rel=0.01), [pytest.approx(value_ns, rel=0.01)] * 3)
    assert calls in (None, world.events.count("call"))


@pytest.mark.parametrize(
    ("stored", "transposed"), [("NN", (False, False)), ("NT", (False, True)), ("TN", (True, False))]
)
@pytest.mark.parametrize("into", [False, True])
def test_a_product_has_the_operands_that_its_form_says(
    stored: Stored, transposed: tuple[bool, bool], into: bool
) -> None:
    call = numpy_call("product", 2, 3, 4, stored=stored, into=into)
    left, right = call.args
    assert (left.shape, right.shape) == ((2, 3), (3, 4))
    assert (left.flags.f_contiguous, right.flags.f_contiguous) == transposed
    result = call()
    assert result.shape == (2, 4)
    assert (result is call.keywords.get("out")) == into
    np.testing.assert_allclose(result, left @ right)


@pytest.mark.parametrize("name", ["tanh", "exp", "add", "multiply"])
def test_a_pass_is_the_function_of_its_name(name: str) -> None:
    call = numpy_call(name, 5, into=True)
    assert len(call.args) == (2 if name in ("add", "multiply") else 1)
    assert call() is call.keywords["out"]
    np.testing.assert_allclose(numpy_call(name, 5)(), getattr(np, name)(*call.args))
    assert call.args[0].dtype == np.float32


def test_a_copy_fills_the_array_that_is_there_and_an_empty_call_has_no_elements() -> None:
    copy = numpy_call("copy", 6)
    target, source = copy.func.args[0] if isinstance(copy.func, partial) else copy.args[0], copy.args[-1]
    target[...] = 0
    copy()
    assert (target == source).all()
    assert source.size == 6
    assert numpy_call("call", 0)().shape == (0,)


def test_an_operation_that_the_library_lacks_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sigmoid'"):
        numpy_call("sigmoid", 3)


def test_torch_is_asked_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    ramp = partial(torch.linspace, -1, 1, dtype=torch.float32)
    products = [nn(2, 3, 4), nt(2, 3, 4), *into([tn(2, 3, 4)])]
    passes = [each("tanh", 4), *into([each("add", 4)]), each("multiply", 4), each("copy", 4)]
    for operation in (*products, *passes):
        ours = make_call(torch, ramp, operation.kernel)()
        theirs = make_call(np, RAMP, operation.kernel)()
        if theirs is not None:  # np.copyto returns nothing
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5)
    assert make_call(torch, ramp, Kernel("sigmoid", (3,)))().shape == (3,)
    monkeypatch.setattr(primitives, "VALUE_NS", 1)
    kernel = Kernel("product", (2, 2, 2), "NT", into=True)
    (timed,) = primitives.measure("torch", ProbeJob("cpu", "float64", [kernel]))
    assert (timed.kernel, timed.n_calls, len(timed.elapsed_ns)) == (kernel, 1, 3)


def test_all_that_is_asked_for_is_timed_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primitives, "VALUE_NS", 1)
    asked = [Kernel("call", (0,)), Kernel("tanh", (8,)), nt(2, 3, 4).kernel, Kernel("copy", (8,))]
    timed = primitives.measure("numpy", ProbeJob("cpu", "float64", asked))
    assert [one.kernel for one in timed] == asked
    assert all(len(one.elapsed_ns) == 3 and min(one.elapsed_ns) > 0 for one in timed)


def sizes(task: str, *specs: str, **changes: Any) -> dict[tuple[str, Stored, bool], list[Size]]:
    """Return the sizes that are asked for, by form."""
    asked: dict[tuple[str, Stored, bool], list[Size]] = {}
    for kernel in wanted(Case(task, SHAPE, "sequence", data="random", **changes), specs):
        asked.setdefault((kernel.name, kernel.stored, kernel.into), []).append(kernel.size)
    return asked


def test_every_product_of_the_variants_is_asked_for_and_its_form_at_1_x_1() -> None:
    asked = sizes("train_step", "numpy-batched", "numpy-inplace", "numpy-loop")
    assert asked["product", "NT", False] == [(7, 4, 6), (1, 1, 1), (7, 6, 6), (7, 6, 3)]
    assert sorted(asked["product", "TN", False]) == [(1, 1, 1), (3, 7, 6), (6, 7, 4), (6, 7, 6)]
    assert sorted(asked["product", "NN", False]) == [(1, 1, 1), (7, 3, 6), (7, 6, 6), (512, 512, 512)]
    assert (6, 35, 4) in asked["product", "NT", True]
    assert (6, 6, 7) in asked["product", "TN", True]
    assert asked["tanh", "NN", False] == [(1,), (21,), (36,), (42,), (PEAK_ELEMENTS,)]
    assert asked["multiply", "NN", True] == [(1,), (42,)]
    assert asked["call", "NN", False] == [(0,)]
    moved = 5 * 7 * 4 + 2 * (24 + 36 + 18) + 21
    assert asked["copy", "NN", False] == [(1,), (moved // 2,), (PEAK_COPY,)]


@pytest.mark.parametrize(("cell", "gates"), [("gru", 18), ("lstm", 24)])
def test_a_pass_is_also_timed_over_the_gates_of_a_step(cell: str, gates: int) -> None:
    asked = sizes("train_step", "numpy-batched", "numpy-inplace", cell=cell, bias=True)
    assert asked["tanh", "NN", False] == [(1,), (21,), (36,), (42,), (7 * gates,), (PEAK_ELEMENTS,)]
    assert asked["multiply", "NN", True] == [(1,), (42,), (7 * gates,)]
    assert {(7, 4, gates), (7, 6, gates)} < set(asked["product", "NT", False])


def test_what_the_task_and_the_activation_do_not_need_is_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = sizes("forward", "torch-manual")
    assert ("product", "TN", False) not in forward
    assert forward["product", "NN", False] == [(512, 512, 512)]
    assert forward["product", "NT", False] == [(7, 4, 6), (1, 1, 1), (7, 6, 6), (7, 6, 3)]
    for variant, name in {"numpy-batched": "exp", "torch-manual": "sigmoid"}.items():
        assert sizes("forward", variant, activation="sigmoid")[name, "NN", False][-1] == (PEAK_ELEMENTS,)
    assert ("tanh", "NN", True) in sizes("forward", "numpy-inplace", activation="sigmoid")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where a child finds the variant
    without_formula = sizes("train_step", "third_parties.toy:lists")
    assert [name for name, _, _ in without_formula] == ["call", "product", "tanh", "copy"]
