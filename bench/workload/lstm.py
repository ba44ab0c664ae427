"""Define the LSTM and count its operations; the equations stand in ``impl_numpy.lstm``."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.workload.case import Shape
from bench.workload.cell import Cell, Params
from bench.workload.gru import gated_params, hidden_states

Array = NDArray[Any]
GATES = 4


def initial_params(shape: Shape, generator: np.random.Generator) -> Params:
    """Draw the tutorial's initial parameters for every gate."""
    return gated_params(GATES, shape, generator)


def hidden_gradients(params: Params, x: Array, cache: Sequence[Any], dy_hat: Array) -> Iterator[Array]:
    """Yield dL/dh_T, ..., dL/dh_0, each (B, H), from dL/dy_hat (B, O)."""
    dh = dy_hat @ params["V"]
    dc = np.zeros_like(dh)
    yield dh
    for t in range(len(x) - 1, -1, -1):
        i, f, g, o, c, _ = cache[t]
        c_before, tanh_c = cache[t - 1].c if t else np.zeros_like(c), np.tanh(c)
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        da_i, da_f = dc * g * i * (1 - i), dc * c_before * f * (1 - f)
        da_g, da_o = dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)
        dh, dc = np.concatenate((da_i, da_f, da_g, da_o), axis=1) @ params["W"], dc * f
        yield dh


LSTM = Cell(
    name="lstm",
    parameters={"U": "GI", "W": "GH", "V": "OH"},
    references={"numpy": "impl_numpy.lstm", "torch": "impl_torch.lstm"},
    baseline="numpy-batched",
    initial=initial_params,
    hidden_gradients=hidden_gradients,
    hidden_states=hidden_states,
    activations=("tanh",),
    gates=GATES,
    biases={"bU": "G", "bW": "G", "bV": "O"},
    bias=True,
)
