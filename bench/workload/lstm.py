"""Define the LSTM and count its operations; the equations stand in ``impl_numpy.lstm``."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.workload.case import Case, Shape
from bench.workload.cell import Cell, Params
from bench.workload.gru import gated_params, hidden_states
from bench.workload.operations import Operations, each
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
GATES = 4
# f c + i g, o tanh(c)
STATE: Passes = (("multiply", 3), ("multiply", 3), ("add", 3), ("tanh", 2), ("multiply", 3))
FUSED_STATE: Passes = (("multiply", 3), ("multiply", 4), ("tanh", 2), ("multiply", 3))  # with addcmul


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


def needed(case: Case) -> Operations:
    """Count the minimum operations of a call, for any implementation: products, tanh and sigmoids.

    The first f_t is not counted: it is multiplied by c_0 = 0. All other passes are not counted, since an
    implementation could merge them into these operations.
    """
    n, steps = hidden_size(case), case.shape.T
    activations = [each("sigmoid", n, 2, 3 * steps - 1), each("tanh", n, 2, 2 * steps)]
    return [*needed_products(case, LSTM, first=GATES - 1), *activations]


def numpy_batched(case: Case) -> Operations:
    """Count the operations of impl_numpy/lstm.py: BPTT by hand, a new array for every result."""
    return _by_hand(case, SIGMOID)


def numpy_loop(case: Case) -> Operations:
    """Count the operations of impl_numpy/lstm.py on one window of the batch after the other."""
    return by_sample(case, LSTM, numpy_batched)


def torch_manual(case: Case) -> Operations:
    """Count the operations of impl_torch/lstm_manual.py: the same computation as impl_numpy/lstm.py."""
    return _by_hand(case, TORCH_SIGMOID)


def _by_hand(case: Case, sigmoid: Passes) -> Operations:
    n, s = hidden_size(case), case.shape
    # back: tanh(c_t) again; 1 - s of three sigmoids and 1 - h h of both tanh; the sum dL/dc_t; all products
    step_back = [each("tanh", n, 2), each("add", n, 2, 5), each("add", n), each("multiply", n, 3, 5 * 3 + 1)]
    # to gradients of zeros; at the end that of bU also to that of bW
    once_back = [each("add", s.O * s.H), *([each("add", s.O), each("add", GATES * s.H)] if case.bias else [])]
    return by_hand(case, LSTM, _step(case, sigmoid), step_back, once_back=once_back)


def _step(case: Case, sigmoid: Passes) -> Operations:
    """Count the passes of a step as its equations are written."""
    n = hidden_size(case)
    return [each("add", GATES * n), *passes(n, (*3 * sigmoid, ("tanh", 2), *STATE))]


def numpy_inplace(case: Case) -> Operations:
    """Count the operations of impl_numpy/lstm_inplace.py: tanh of all gates in one pass."""
    n = hidden_size(case)
    step = [each("tanh", GATES * n, 2), *passes(3 * n, HALVED_SIGMOID[1:]), *passes(n, STATE)]
    # dh - h h dh of both tanh, the sum dL/dc_t; s - s s of three sigmoids; all products but dL/dc_{t-1}
    step_back = [each("add", n, 3, 3), each("multiply", n, 3, 9), each("add", 3 * n)]
    step_back += [each("multiply", 3 * n, 3, 2)]
    return in_columns(case, LSTM, step, step_back, [each("multiply", n)], halved=3)


def torch_inplace(case: Case) -> Operations:
    """Count the operations of impl_torch/lstm_inplace.py: as in NumPy, with fewer passes."""
    n = hidden_size(case)
    step = passes(3 * n, TORCH_SIGMOID) + passes(n, (("tanh", 2), *FUSED_STATE))
    step_back = [each("multiply", n, 4, 3), each("multiply", n, 3, 4)]
    step_back += [each("multiply", 3 * n, 4), each("multiply", 3 * n, 3)]  # three sigmoids
    return in_place(case, LSTM, step, step_back, [each("multiply", n)])


def torch_autograd(case: Case) -> Operations:
    """Count the operations of impl_torch/lstm.py: autograd over the plain recurrence."""
    return _autograd(case)


def torch_cell(case: Case) -> Operations:
    """Count the operations of ``nn.LSTMCell``, step by step, with an optimizer."""
    return _autograd(case, library="cell")


def _autograd(case: Case, **library: Any) -> Operations:
    n = hidden_size(case)
    # five activations, and the factors of o tanh(c), i g and f c but for c
    step_back = [each("multiply", n, 3, 5 + 2 + 2 + 1)]
    handed = [each("multiply", n), each("add", n)]  # that of c in f c, the sum dL/dc_{t-1}
    return autograd(case, LSTM, _step(case, TORCH_SIGMOID), step_back, handed, **library)


LSTM = Cell(
    name="lstm",
    parameters={"U": "GI", "W": "GH", "V": "OH"},
    references={"numpy": "impl_numpy.lstm", "torch": "impl_torch.lstm"},
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
