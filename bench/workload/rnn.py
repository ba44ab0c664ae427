"""Define the tutorial's Elman cell and count its operations: h_t = act(U x_t + W h_{t-1}), y_hat = V h_T.

``unrolled`` counts what all cells share. For one window of the batch, vectors are matrices of one column:
U x_t is a product (H, I) (I, 1), and an outer product is a pass over all elements of its result, the only
array of that size.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.workload.case import Case, Shape
from bench.workload.cell import Cell, Params
from bench.workload.operations import TRANSCENDENTAL, Operation, Operations, each, nn, repeated, tn
from bench.workload.unrolled import (
    HUBER,
    SCALE_AND_SUBTRACT,
    SIGMOID,
    SIGMOID_BY_TANH,
    TORCH_SIGMOID,
    Passes,
    autograd,
    by_hand,
    hidden_size,
    in_columns,
    in_place,
    needed_products,
    of_task,
    passes,
)

Array = NDArray[Any]
OUTER_AND_ADD: Passes = (("multiply", 1), ("add", 3))  # for one window of the batch
# dL/dh act'(a): dh (1 - h h) or dh (h (1 - h)); of relu h > 0, and dh times that
DERIVATIVE: Passes = (("multiply", 3), ("add", 2), ("multiply", 3))
IN_PLACE_DERIVATIVE: Passes = (("multiply", 3), ("multiply", 3), ("add", 3))  # dh - h h dh, or (h - h h) dh
RELU_DERIVATIVE: Passes = (("multiply", 2), ("multiply", 3))
DERIVATIVES = {"tanh": DERIVATIVE, "sigmoid": DERIVATIVE, "relu": RELU_DERIVATIVE}
NUMPY_ACTIVATIONS = {"tanh": (("tanh", 2),), "sigmoid": SIGMOID, "relu": (("multiply", 2), ("multiply", 3))}
TORCH_ACTIVATIONS = {"tanh": (("tanh", 2),), "sigmoid": TORCH_SIGMOID, "relu": (("multiply", 2),)}


def initial_params(shape: Shape, generator: np.random.Generator) -> Params:
    """Draw initial parameters as the tutorial does.

    W is the Q factor of a Gaussian matrix; U and V have singular values 1.
    """
    U = unit_singular_values(generator.standard_normal((shape.H, shape.I)))  # (H, I)
    W, _ = np.linalg.qr(generator.standard_normal((shape.H, shape.H)))  # (H, H)
    V = unit_singular_values(generator.standard_normal((shape.O, shape.H)))  # (O, H)
    return {"U": U, "W": W, "V": V}


def hidden_gradients(
    params: Params, x: Array, hs: list[Array], dy_hat: Array, *, activation: str
) -> Iterator[Array]:
    """Yield dL/dh_T, ..., dL/dh_0, each (B, H), from dL/dy_hat (B, O)."""
    _, act_prime = RNN.reference().ACTIVATIONS[activation]
    dh = dy_hat @ params["V"]
    yield dh
    for h in reversed(hs[1:]):
        dh = (dh * act_prime(h)) @ params["W"]
        yield dh


def unit_singular_values(matrix: Array) -> Array:
    """Return the matrix with all singular values set to 1."""
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    product: Array = left @ right
    return product


def needed(case: Case) -> Operations:
    """Count the minimum operations of a call, for any implementation: products and activations.

    All other passes are not counted, since an implementation could merge them into these operations.
    """
    total = needed_products(case, RNN)
    if case.activation in TRANSCENDENTAL:
        total.append(each(case.activation, hidden_size(case), arrays=2, times=case.shape.T))
    return total


def numpy_batched(case: Case) -> Operations:
    """Count the operations of impl_numpy/rnn.py: BPTT by hand, a new array for every result."""
    return _by_hand(case, NUMPY_ACTIVATIONS[case.activation])


def torch_manual(case: Case) -> Operations:
    """Count the operations of impl_torch/rnn_manual.py: the same computation as impl_numpy/rnn.py."""
    return _by_hand(case, TORCH_ACTIVATIONS[case.activation])


def _by_hand(case: Case, activation: Passes) -> Operations:
    n = hidden_size(case)
    return by_hand(case, RNN, passes(n, (("add", 3), *activation)), passes(n, DERIVATIVES[case.activation]))


def numpy_inplace(case: Case) -> Operations:
    """Count the operations of impl_numpy/rnn_inplace.py; the sigmoid is computed as (1 + tanh(a / 2)) / 2."""
    activations = {"tanh": (("tanh", 2),), "sigmoid": SIGMOID_BY_TANH, "relu": (("multiply", 2),)}
    step = passes(hidden_size(case), activations[case.activation])
    derivative = RELU_DERIVATIVE if case.activation == "relu" else IN_PLACE_DERIVATIVE
    return in_columns(case, RNN, step, passes(hidden_size(case), derivative))


def torch_inplace(case: Case) -> Operations:
    """Count the operations of impl_torch/rnn_inplace.py: as impl_numpy/rnn_inplace.py, with fewer passes."""
    derivative = RELU_DERIVATIVE if case.activation == "relu" else (("multiply", 3), ("multiply", 4))
    step = passes(hidden_size(case), TORCH_ACTIVATIONS[case.activation])
    return in_place(case, RNN, step, passes(hidden_size(case), derivative))


def torch_autograd(case: Case) -> Operations:
    """Count the operations of impl_torch/rnn.py: autograd over the plain recurrence."""
    return _autograd(case)


def torch_cell(case: Case) -> Operations:
    """Count the operations of ``nn.RNNCell``, step by step, with an optimizer."""
    return _autograd(case, library="cell")


def torch_layer(case: Case) -> Operations:
    """Count the operations of ``nn.RNN``, with U x_t of all steps in one product, and an optimizer."""
    return _autograd(case, library="layer")


def _autograd(case: Case, **library: Any) -> Operations:
    """Count the recurrence and its autograd; the derivative of the activation is one pass."""
    step = passes(hidden_size(case), (("add", 3), *TORCH_ACTIVATIONS[case.activation]))
    return autograd(case, RNN, step, [each("multiply", hidden_size(case))], **library)


def numpy_loop(case: Case) -> Operations:
    """Count the operations of impl_numpy/loop.py: exact BPTT, one window of the batch after the other."""
    s = case.shape
    start, step, end, step_back, end_back = (list[Operation]() for _ in range(5))
    if case.bias:
        start, step, end = [each("add", s.H)], [each("add", s.H)], [each("add", s.O)]
        step_back, end_back = [each("add", s.H)], [each("add", s.O)]
    forward = [*repeated(s.T, [*_one_step(case), *step]), nn(s.O, s.H, 1), *end]
    step_back += [
        *passes(s.H, DERIVATIVES[case.activation]),
        *passes(s.H * s.I, OUTER_AND_ADD),
        *passes(s.H * s.H, OUTER_AND_ADD),
    ]
    back = [*_one_output(case), *repeated(s.T, [*step_back, tn(s.H, s.H, 1)]), *end_back]
    # at the end the gradient of bW is that of bU
    return of_task(
        case, RNN, [*start, *repeated(s.B, forward)], [*repeated(s.B, back), *start], SCALE_AND_SUBTRACT
    )


def numpy_published(case: Case) -> Operations:
    """Count the operations of impl_numpy/published.py: gradients by forward recursion of R_U and R_W.

    The products diag(d) M are computed column by column.
    """
    if case.task == "forward":
        return numpy_loop(case)
    s = case.shape
    columns, rows = each("multiply", s.H, times=s.H), each("multiply", s.H, times=s.I)
    derivative = {"relu": (("multiply", 2),)}.get(case.activation, DERIVATIVE[:2])
    step = [*_one_step(case), *passes(s.H, derivative), columns, nn(s.H, s.H, s.I), nn(s.H, s.H, s.H)]
    step += [*passes(s.H * s.I, OUTER_AND_ADD), *passes(s.H * s.H, OUTER_AND_ADD)]
    one_window = [*repeated(s.T, step), nn(s.O, s.H, 1), *_one_output(case)]
    one_window += [rows, each("add", s.H * s.I), columns, each("add", s.H * s.H)]
    return of_task(case, RNN, repeated(s.B, one_window), [], SCALE_AND_SUBTRACT)


def _one_step(case: Case) -> Operations:
    """Count the operations of h_t = act(U x_t + W h_{t-1}) for one window of the batch."""
    s = case.shape
    activation = NUMPY_ACTIVATIONS[case.activation]
    return [nn(s.H, s.I, 1), nn(s.H, s.H, 1), *passes(s.H, (("add", 3), *activation))]


def _one_output(case: Case) -> Operations:
    """Count the operations of the loss, dL/dV and dL/dh_T for one window of the batch."""
    s = case.shape
    return [*passes(s.O, HUBER), *passes(s.O * s.H, OUTER_AND_ADD), tn(s.H, s.O, 1)]


RNN = Cell(
    name="rnn",
    parameters={"U": "HI", "W": "HH", "V": "OH"},
    references={"numpy": "impl_numpy.rnn", "torch": "impl_torch.rnn"},
    baseline="numpy-batched",
    initial=initial_params,
    hidden_gradients=hidden_gradients,
    needed=needed,
    biases={"bU": "H", "bW": "H", "bV": "O"},
)
