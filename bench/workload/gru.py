"""Define the GRU and count its operations; the equations stand in ``impl_numpy.gru``."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.workload.case import Shape
from bench.workload.cell import Cell, Params
from bench.workload.rnn import unit_singular_values

Array = NDArray[Any]
GATES = 3


def initial_params(shape: Shape, generator: np.random.Generator) -> Params:
    """Draw the tutorial's initial parameters for every gate."""
    return gated_params(GATES, shape, generator)


def gated_params(gates: int, shape: Shape, generator: np.random.Generator) -> Params:
    """Draw initial parameters: in U and W one matrix a gate, each as the tutorial's.

    W's matrices are Q factors of Gaussian matrices; those of U, and V, have singular values 1.
    """
    Us = [unit_singular_values(generator.standard_normal((shape.H, shape.I))) for _ in range(gates)]
    Ws = [np.linalg.qr(generator.standard_normal((shape.H, shape.H)))[0] for _ in range(gates)]
    V = unit_singular_values(generator.standard_normal((shape.O, shape.H)))  # (O, H)
    return {"U": np.concatenate(Us), "W": np.concatenate(Ws), "V": V}


def hidden_gradients(params: Params, x: Array, cache: Sequence[Any], dy_hat: Array) -> Iterator[Array]:
    """Yield dL/dh_T, ..., dL/dh_0, each (B, H), from dL/dy_hat (B, O)."""
    dh = dy_hat @ params["V"]
    yield dh
    for t in range(len(x) - 1, -1, -1):
        r, z, n, w_n, _ = cache[t]
        h_before = cache[t - 1].h if t else np.zeros_like(n)
        da_n = dh * (1 - z) * (1 - n * n)
        da_r, da_z = da_n * w_n * r * (1 - r), dh * (h_before - n) * z * (1 - z)
        dh = dh * z + np.concatenate((da_r, da_z, da_n * r), axis=1) @ params["W"]
        yield dh


def hidden_states(cache: Sequence[Any]) -> list[Array]:
    """Return h_1, ..., h_T, each (B, H)."""
    return [step.h for step in cache]


GRU = Cell(
    name="gru",
    parameters={"U": "GI", "W": "GH", "V": "OH"},
    references={"numpy": "impl_numpy.gru", "torch": "impl_torch.gru"},
    baseline="numpy-batched",
    initial=initial_params,
    hidden_gradients=hidden_gradients,
    hidden_states=hidden_states,
    activations=("tanh",),
    gates=GATES,
    biases={"bU": "G", "bW": "G", "bV": "O"},
    bias=True,
)
