"""The task ``stream``: a step a call, its state carried; what is wrong with it is found, in both dtypes."""

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from mutants import changed, late, reference, without_reset

from bench import proof
from bench.workload import catalog, data
from bench.workload.binding import Bind
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
