"""The task ``stream``: a step a call, its state carried; what is wrong with it is found, in both dtypes."""

import tracemalloc
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutants import changed, late, reference, without_reset

from bench import proof
from bench.machine.devices import Device, Devices
from bench.proof.child import REFERENCE
from bench.proof.verify import verify
from bench.workload import catalog, data
from bench.workload.binding import Bind, bind_case
from bench.workload.case import DTYPES, STREAM, Case, Shape
from bench.workload.cell import CELLS, find_cell
from bench.workload.data import Batch
from impl_numpy.contract import Bound
from impl_numpy.rnn import predict

SHAPES = (Shape(T=1, B=9, I=5, H=7, O=3), Shape(T=12, B=1, I=3, H=6, O=8), Shape(T=32, B=5, I=1, H=12, O=2))
STREAMING = [variant for variant in catalog.VARIANTS if STREAM in variant.tasks and not variant.compiles]


def case_of(dtype: str, shape: Shape = SHAPES[2], **others: Any) -> Case:
    return Case(STREAM, shape, "positional", dtype, data="random", **others)


@cache
def inputs(case: Case) -> tuple[Batch, proof.Expected]:
    batch = data.make(case)
    return batch, proof.expected(case, batch)


def checks_of(bind: Bind, case: Case, library: str = "numpy") -> list[Any]:
    return proof.prove(bind, case, *inputs(case), library=library)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("variant", STREAMING, ids=lambda variant: variant.name)
def test_every_step_of_a_stream_is_the_prediction_of_all_that_came(
    variant: catalog.Variant, cell: str
) -> None:
    pytest.importorskip(variant.library)
    bind = variant.load(cell)
    for shape, dtype, bias, activation in product(SHAPES, DTYPES, (False, True), find_cell(cell).activations):
        case = case_of(dtype, shape, cell=cell, bias=bias, activation=activation)
        if not variant.unsupported(case, "cpu"):
            checks = checks_of(bind, case, variant.library)
            assert proof.status(checks) == "ok", f"{case}: {proof.failures(checks)}"


LARGE = Shape(T=2, B=16, I=64, H=256, O=64)  # its arrays outweigh what Python needs for views of them
OPTIONS = [(cell, activation) for cell in CELLS for activation in find_cell(cell).activations]


def bound_of(variant: str, cell: str, activation: str, *, bias: bool) -> Any:
    case, library = (
        case_of("float64", LARGE, cell=cell, activation=activation, bias=bias),
        variant.split("-")[0],
    )
    return bind_case(catalog.find(variant).load(cell), library, case, inputs(case)[0], "cpu").bound


def bytes_allocated(bound: Any) -> int:
    """The most that NumPy and Python hold during a call beyond what they held before."""
    bound.call()
    tracemalloc.start()
    try:
        bound.call()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        bound.call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("cell", "activation"), OPTIONS)
def test_a_step_in_place_allocates_nothing(cell: str, activation: str, bias: bool) -> None:
    smallest = LARGE.H * 8  # bytes of bU + bW
    assert bytes_allocated(bound_of("numpy-inplace", cell, activation, bias=bias)) < smallest
    assert bytes_allocated(bound_of("numpy-batched", cell, activation, bias=bias)) > smallest


@pytest.mark.parametrize("cell", CELLS)
def test_a_forward_pass_in_place_needs_the_same_memory_for_any_number_of_steps(cell: str) -> None:
    def bytes_needed(T: int) -> int:
        case = replace(
            case_of("float64", Shape(T=T, B=2, I=1, H=64, O=2), cell=cell, bias=True), task="forward"
        )
        batch, bind = data.make(case), catalog.find("numpy-inplace").load(cell)
        tracemalloc.start()
        try:
            bind(
                case.task,
                batch.params,
                batch.x,
                batch.y,
                delta=1.0,
                lr=1.0,
                **find_cell(cell).options("tanh"),
            ).call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # less than one state; the first step has room of its own
    assert abs(bytes_needed(1000) - bytes_needed(2)) < 2 * 64 * 8


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("cell", "activation"), OPTIONS)
def test_a_step_in_place_allocates_nothing_in_pytorch(cell: str, activation: str, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    class Outputs(TorchDispatchMode):  # type: ignore[misc]
        """Keeps the outputs of all operations, so that no memory is used again by accident."""

        def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            output = operation(*args, **(kwargs or {}))
            kept.extend(output if isinstance(output, list | tuple) else [output])
            return output

    for variant, allocates in (("torch-inplace", False), ("torch-autograd", True)):
        bound, kept, addresses = bound_of(variant, cell, activation, bias=bias), list[Any](), list[set[int]]()
        with Outputs():
            for _ in range(3):
                bound.call()
                addresses.append({output.untyped_storage().data_ptr() for output in kept})
        assert addresses[0]
        assert (addresses[1] != addresses[2]) == allocates
        assert all(isinstance(output, torch.Tensor) for output in kept)


def holds_views(task: str, params: Any, x: Any, y: Any, **options: Any) -> Bound:
    """Keeps the samples so far, as views of the one buffer, and predicts anew from all of them."""
    seen: list[Any] = []

    def result() -> dict[str, Any]:
        return {"y_hat": predict(params, np.stack(seen), activation=options["activation"])}

    return Bound(lambda: seen.append(x[0]), seen.clear, result)


def puts_off(*args: Any, **options: Any) -> Bound:
    """Makes its step when the result is asked for."""
    bound = reference(*args, **options)

    def result() -> dict[str, Any]:
        bound.call()
        return bound.result()

    return Bound(lambda: None, bound.reset, result)


MUTANTS: dict[str, tuple[str, Bind]] = {
    "forgets the state": ("rnn", changed("(_, h) = forward(params, x, activation=activation, state=state)",
                                         "(_, h) = forward(params, x, activation=activation)")),
    "forgets to reset": ("rnn", without_reset),
    "lags one step": ("rnn", changed("    return y_hat, h\n",
                                     "    return output(params, 0 * h if state is None else state), h\n")),
    "returns the result of the call before": ("rnn", late),
    "uses the second sample's state for the first": (
        "rnn", changed("x_t @ U.T + h @ W.T", "x_t @ U.T + h[[1, *range(1, len(h))]] @ W.T")),
    "keeps a view of the caller's buffer": ("rnn", holds_views),
    "computes when it is asked": ("rnn", puts_off),
    "loses c": ("lstm", changed("(step.h, step.c)", "(step.h, 0 * step.c)", "lstm")),
    "hands on the candidate": ("gru", changed("return y_hat, step.h", "return y_hat, step.n", "gru")),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_mutant_of_a_stream_is_killed(mutant: str, dtype: str) -> None:
    cell, bind = MUTANTS[mutant]
    assert proof.status(checks_of(bind, case_of(dtype, cell=cell))) == "disagrees"


OWN = """
from dataclasses import replace
from types import SimpleNamespace

from impl_numpy.contract import rnn_batched


def forgetful(*args, **options):
    bound = rnn_batched(*args, **options)
    return replace(bound, call=lambda: (bound.reset(), bound.call()))


def variant(name, bind, **more):
    return SimpleNamespace(name=name, library="numpy", bind=bind, **more)


silent = variant("numpy-silent", rnn_batched)
streams = variant("numpy-streams", rnn_batched, tasks=("forward", "stream"))
forgets = variant("numpy-forgets", forgetful, tasks=("forward", "stream"))
"""


def test_a_variant_of_ones_own_streams_if_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    cpu = Devices((Device("cpu", "cpu", "a processor", None, DTYPES),), ())
    case = case_of("float64")
    rows = verify(
        ["own:silent", "own:streams", "own:forgets"],
        ["cpu"],
        machine=cpu,
        cases=[case, replace(case, task="forward")],
    )
    assert {(row.variant, row.task): row.status for row in rows if row.variant != REFERENCE} == {
        ("numpy-silent", "forward"): "ok",
        ("numpy-streams", STREAM): "ok",
        ("numpy-streams", "forward"): "ok",
        ("numpy-forgets", STREAM): "disagrees",
        ("numpy-forgets", "forward"): "ok",
    }
    ((errors, reason),) = [(row.errors, row.reason) for row in rows if row.status == "disagrees"]
    assert errors.keys() == {"y_hat", "same again after reset"}
    assert reason.startswith("y_hat is off by ")
