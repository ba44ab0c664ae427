"""The Elman cell of the tutorial: h_t = act(U x_t + W h_{t-1}), y_hat = V h_T."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.workload.case import Shape
from bench.workload.cell import Cell, Params
from bench.workload.rnn_operations import needed

Array = NDArray[Any]


def initial_params(shape: Shape, generator: np.random.Generator) -> Params:
    """Draw the primer's start: W the QR factor of a Gaussian matrix, U and V with singular values 1."""
    U = _unit_singular_values(generator.standard_normal((shape.H, shape.I)))  # (H, I)
    W, _ = np.linalg.qr(generator.standard_normal((shape.H, shape.H)))  # (H, H)
    V = _unit_singular_values(generator.standard_normal((shape.O, shape.H)))  # (O, H)
    return {"U": U, "W": W, "V": V}


def hidden_gradients(
    params: Params, x: Array, hs: list[Array], dy_hat: Array, *, activation: str
) -> Iterator[Array]:
    """Yield dL/dh_T, ..., dL/dh_0, each (B, H), for dL/dy_hat (B, O)."""
    _, act_prime = RNN.reference().ACTIVATIONS[activation]
    dh = dy_hat @ params["V"]
    yield dh
    for h in reversed(hs[1:]):
        dh = (dh * act_prime(h)) @ params["W"]
        yield dh


def _unit_singular_values(matrix: Array) -> Array:
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    product: Array = left @ right
    return product


RNN = Cell(
    name="rnn",
    parameters={"U": "HI", "W": "HH", "V": "OH"},
    references={"numpy": "impl_numpy.rnn", "torch": "impl_torch.rnn"},
    baseline="numpy-batched",
    initial=initial_params,
    hidden_gradients=hidden_gradients,
    needed=needed,
)
