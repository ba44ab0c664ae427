"""Define the GRU and count its operations; the equations stand in ``impl_numpy.gru``."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.workload.case import Case, Shape
from bench.workload.cell import Cell, Params
from bench.workload.operations import Operations, each
from bench.workload.rnn import unit_singular_values
from bench.workload.unrolled import (
    HALVED_SIGMOID,
    SIGMOID,
    TORCH_SIGMOID,
    Passes,
    autograd,
    by_hand,
    by_sample,
    hidden_size,
    in_columns,
    in_place,
    needed_products,
    passes,
)

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


def needed(case: Case) -> Operations:
    """Count the minimum operations of a call, for any implementation: products, tanh and sigmoids.

    Without biases the first r_t is not counted: W h_0 = 0, so it is multiplied by 0. All other passes are not
    counted, since an implementation could merge them into these operations.
    """
    n, steps = hidden_size(case), case.shape.T
    total = needed_products(case, GRU, first=GATES if case.bias else GATES - 1)
    return [*total, each("sigmoid", n, 2, 2 * steps - (not case.bias)), each("tanh", n, 2, steps)]


def numpy_batched(case: Case) -> Operations:
    """Count the operations of impl_numpy/gru.py: BPTT by hand, a new array for every result."""
    return _by_hand(case, SIGMOID)


def numpy_loop(case: Case) -> Operations:
    """Count the operations of impl_numpy/gru.py on one window of the batch after the other."""
    return by_sample(case, GRU, numpy_batched)


def torch_manual(case: Case) -> Operations:
    """Count the operations of impl_torch/gru_manual.py: the same computation as impl_numpy/gru.py."""
    return _by_hand(case, TORCH_SIGMOID)


def _by_hand(case: Case, sigmoid: Passes) -> Operations:
    n, s = hidden_size(case), case.shape
    # back: 1 - z, 1 - n n, and 1 - s of both sigmoids; h_{t-1} - n_t, and the sum dL/dh_{t-1}; all products
    step_back = [each("add", n, 2, 4), each("add", n, 3, 2), each("multiply", n, 3, 11)]
    once_back = [each("add", s.O * s.H), *([each("add", s.O)] if case.bias else [])]  # to a gradient of zeros
    return by_hand(case, GRU, _step(case, sigmoid), step_back, once_back=once_back, apart=True)


def _step(case: Case, sigmoid: Passes) -> Operations:
    """Count the passes of a step as its equations are written."""
    gate = (("add", 3), *sigmoid)  # u + w, and its sigmoid
    candidate = (("multiply", 3), ("add", 3), ("tanh", 2))
    state = (("add", 2), ("multiply", 3), ("multiply", 3), ("add", 3))  # (1 - z) n + z h
    return passes(hidden_size(case), (*gate, *gate, *candidate, *state))


def numpy_inplace(case: Case) -> Operations:
    """Count the operations of impl_numpy/gru_inplace.py: both sigmoids in one pass, n + z (h - n)."""
    n = hidden_size(case)
    step = passes(2 * n, HALVED_SIGMOID)
    step += passes(n, (("multiply", 3), ("add", 3), ("tanh", 2), ("add", 3), ("multiply", 3), ("add", 3)))
    # dh (1 - z), h_{t-1} - n_t and dh - n n dh; s - s s of both sigmoids at once; all products
    step_back = [each("add", n, 3, 3), each("add", 2 * n)]
    step_back += [each("multiply", n, 3, 6), each("multiply", 2 * n, 3, 2)]
    return in_columns(case, GRU, step, step_back, [each("add", n)], halved=2, apart=True)


def torch_inplace(case: Case) -> Operations:
    """Count the operations of impl_torch/gru_inplace.py: as impl_numpy/gru_inplace.py, with fewer passes."""
    n = hidden_size(case)
    step = passes(2 * n, TORCH_SIGMOID) + passes(n, (("multiply", 4), ("tanh", 2), ("multiply", 4)))
    step_back = [each("add", n), each("multiply", n, 4, 2), each("multiply", n, 3, 5)]
    step_back += [each("multiply", 2 * n, 4), each("multiply", 2 * n, 3)]  # both sigmoids
    return in_place(case, GRU, step, step_back, apart=True)


def torch_autograd(case: Case) -> Operations:
    """Count the operations of impl_torch/gru.py: autograd over the plain recurrence."""
    n = hidden_size(case)
    # -dL/d(1 - z), the sum dL/dz; three activations, and the factors of r w_n, (1 - z) n and z h but for h
    step_back = [each("add", n, 2), each("add", n, 3), each("multiply", n, 3, 3 + 2 + 2 + 1)]
    handed = [each("multiply", n), each("add", n)]  # that of h in z h, the sum dL/dh_{t-1}
    return autograd(case, GRU, _step(case, TORCH_SIGMOID), step_back, handed, apart=True)


def torch_cell(case: Case) -> Operations:
    """Count the operations of ``nn.GRUCell``, step by step, with an optimizer."""
    return _library(case, library="cell")


def torch_layer(case: Case) -> Operations:
    """Count the operations of ``nn.GRU``, with U x_t of all steps in one product, and an optimizer."""
    return _library(case, library="layer")


def _library(case: Case, **library: Any) -> Operations:
    """Count the library's step, whose state is n + z (h - n), and its autograd."""
    n = hidden_size(case)
    step = [each("add", n, 3, 5), each("sigmoid", n, 2, 2), each("tanh", n, 2), each("multiply", n, 3, 2)]
    # -dL/d(h - n), the sum dL/dn; three activations, and the factors of r w_n and z (h - n)
    step_back = [each("add", n, 2), each("add", n, 3), each("multiply", n, 3, 3 + 2 + 2)]
    return autograd(case, GRU, step, step_back, [each("add", n)], apart=True, **library)


GRU = Cell(
    name="gru",
    parameters={"U": "GI", "W": "GH", "V": "OH"},
    references={"numpy": "impl_numpy.gru", "torch": "impl_torch.gru"},
    baseline="numpy-batched",
    initial=initial_params,
    hidden_gradients=hidden_gradients,
    hidden_states=hidden_states,
    needed=needed,
    activations=("tanh",),
    gates=GATES,
    biases={"bU": "G", "bW": "G", "bV": "O"},
    bias=True,
)
