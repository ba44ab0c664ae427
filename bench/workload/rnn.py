"""Define the tutorial's Elman cell and count its operations: h_t = act(U x_t + W h_{t-1}), y_hat = V h_T.

The products, and how often each is computed (``docs/limits.md`` has the whole table)::

    U x_t            (B, I) (I, H)    T times; if possible all steps in one product: (T B, I) (I, H)
    W h_{t-1}        (B, H) (H, H)    T times, although T - 1 are enough, since h_0 = 0
    V h_T            (B, H) (H, O)    once
    dL/dV            (O, B) (B, H)    once
    dL/dh_T          (B, O) (O, H)    once
    dL/dU            (H, B) (B, I)    T times; all steps in one product: (H, T B) (T B, I)
    dL/dW            (H, B) (B, H)    T times; all steps in one product: (H, T B) (T B, H)
    dL/dh_{t-1}      (B, H) (H, H)    T - 1 times; T times if dL/dh_0 is computed too

A pass is named by its cost: ``tanh``, ``sigmoid`` and ``exp`` keep their names; ``add`` adds, subtracts or
sums; ``multiply`` is any other cheap pass (a product, a quotient, a clip, a comparison, and a Huber loss or a
derivative that the library computes in one pass). For one window of the batch, vectors are matrices of one
column: U x_t is a product (H, I) (I, 1), and an outer product is a pass over all elements of its result, the
only array of that size. The tests run every variant and count its real library calls.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.workload.case import Case, Shape
from bench.workload.cell import Cell, Params
from bench.workload.operations import TRANSCENDENTAL, Operation, Operations, each, into, nn, nt, repeated, tn

Array = NDArray[Any]
Passes = tuple[tuple[str, int], ...]  # name, and the number of arrays of its size that it reads and writes
# with e = y_hat - y: e; clip(e); the mean of clip (e - clip / 2); clip / n
HUBER: Passes = (
    ("add", 3), ("multiply", 2), ("multiply", 2), ("add", 3), ("multiply", 3), ("add", 1), ("multiply", 2),
)  # fmt: skip
SCALE_AND_SUBTRACT: Passes = (("multiply", 2), ("add", 3))  # p - lr dL/dp
# sigmoid as (1 + tanh(a / 2)) / 2
SIGMOID_BY_TANH: Passes = (("multiply", 2), ("tanh", 2), ("multiply", 2), ("add", 2))
SUBTRACT_SCALED: Passes = (("add", 3),)  # p - lr dL/dp in one pass
OUTER_AND_ADD: Passes = (("multiply", 1), ("add", 3))  # for one window of the batch
# dL/dh act'(a): dh (1 - h h) or dh (h (1 - h)); of relu h > 0, and dh times that
DERIVATIVE: Passes = (("multiply", 3), ("add", 2), ("multiply", 3))
DERIVATIVES = {"tanh": DERIVATIVE, "sigmoid": DERIVATIVE, "relu": (("multiply", 2), ("multiply", 3))}
# of NumPy's sigmoid, which never overflows: a comparison, -a, two selections, exp, and twice 1 + z and a
# quotient
SIGMOID: Passes = (
    *(("multiply", arrays) for arrays in (2, 4, 4, 2, 3)), ("add", 2), ("add", 2), ("add", 2), ("exp", 2),
)  # fmt: skip
NUMPY_ACTIVATIONS = {"tanh": (("tanh", 2),), "sigmoid": SIGMOID, "relu": (("multiply", 2), ("multiply", 3))}
TORCH_ACTIVATIONS = {"tanh": (("tanh", 2),), "sigmoid": (("sigmoid", 2),), "relu": (("multiply", 2),)}


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

    h_0 = 0, so W h_0, its part of dL/dW, and dL/dh_0 are not counted. All other passes are not counted
    either, since an implementation could merge them into these operations.
    """
    s, steps = case.shape, case.shape.T
    total = [nt(s.B, s.I, s.H, steps), nt(s.B, s.H, s.H, steps - 1), nt(s.B, s.H, s.O)]
    if case.activation in TRANSCENDENTAL:
        total.append(each(case.activation, s.B * s.H, arrays=2, times=steps))
    if case.task != "forward":
        total += [tn(s.O, s.B, s.H), nn(s.B, s.O, s.H)]
        total += [tn(s.H, s.B, s.I, steps), tn(s.H, s.B, s.H, steps - 1), nn(s.B, s.H, s.H, steps - 1)]
    return total


def numpy_batched(case: Case) -> Operations:
    """Count the operations of impl_numpy/rnn.py: BPTT by hand, a new array for every result."""
    return _by_hand(case, NUMPY_ACTIVATIONS[case.activation])


def torch_manual(case: Case) -> Operations:
    """Count the operations of impl_torch/rnn_manual.py: the same computation as impl_numpy/rnn.py."""
    return _by_hand(case, TORCH_ACTIVATIONS[case.activation])


def numpy_inplace(case: Case) -> Operations:
    """Count the operations of impl_numpy/rnn_inplace.py: no allocation, one product each for dL/dU and dL/dW.

    The sigmoid is computed as (1 + tanh(a / 2)) / 2.
    """
    activation = {"tanh": (("tanh", 2),), "sigmoid": SIGMOID_BY_TANH, "relu": (("multiply", 2),)}
    passes_a = (("add", 3), *activation[case.activation])
    bias = (("add", 3),), (("add", 2),), (("add", 2),)
    return _in_place(case, passes_a, HUBER, DERIVATIVES[case.activation], SCALE_AND_SUBTRACT, bias)


def torch_inplace(case: Case) -> Operations:
    """Count the operations of impl_torch/rnn_inplace.py: as impl_numpy/rnn_inplace.py, with fewer passes.

    addmm adds U x_t within the product; addcmul and ``alpha`` multiply within another pass.
    """
    huber = HUBER[:2] + HUBER[3:]
    derivative = (("multiply", 3), ("multiply", 4)) if case.activation != "relu" else DERIVATIVES["relu"]
    activation = TORCH_ACTIVATIONS[case.activation]
    return _in_place(case, activation, huber, derivative, SUBTRACT_SCALED, ((("add", 3),), (), ()))


def torch_autograd(case: Case) -> Operations:
    """Count the operations of impl_torch/rnn.py: autograd over the plain recurrence."""
    return _autograd(case, SCALE_AND_SUBTRACT)


def torch_cell(case: Case) -> Operations:
    """Count the operations of ``nn.RNNCell``, step by step, with an optimizer."""
    return _autograd(case, SUBTRACT_SCALED, library=True)


def torch_layer(case: Case) -> Operations:
    """Count the operations of ``nn.RNN``, with U x_t of all steps in one product, and an optimizer."""
    return _autograd(case, SUBTRACT_SCALED, library=True, at_once=True)


def passes(n: int, named: Passes) -> Operations:
    """Return passes over the same n elements."""
    return [each(name, n, arrays) for name, arrays in named]


def of_task(case: Case, cell: Cell, forward: Operations, back: Operations, updates: Passes) -> Operations:
    """Return the operations of the case's task: ``forward``, and for a gradient also ``back``.

    A training step also applies the passes ``updates`` to each parameter of the cell.
    """
    total = [*forward, *(back if case.task != "forward" else ())]
    sizes = map(math.prod, cell.shapes(case.shape, bias=case.bias).values())
    for n in sizes if case.task == "train_step" else ():
        total += passes(n, updates)
    return total


def _by_hand(case: Case, activation: Passes) -> Operations:
    """Count BPTT by hand, step by step. The backward loop also computes dL/dh_0, which is not needed."""
    s, hidden, errors = case.shape, case.shape.B * case.shape.H, case.shape.B * case.shape.O
    step = [nt(s.B, s.I, s.H), nt(s.B, s.H, s.H), *passes(hidden, (("add", 3), *activation))]
    step_back = [tn(s.H, s.B, s.I), tn(s.H, s.B, s.H), nn(s.B, s.H, s.H)]
    step_back += [
        *passes(hidden, DERIVATIVES[case.activation]),
        each("add", s.H * s.I),
        each("add", s.H * s.H),
    ]
    start, end, back_end = list[Operation](), list[Operation](), list[Operation]()
    if case.bias:
        start, end, back_end = [each("add", s.H)], [each("add", errors, 2)], [each("add", errors, 1)]
        step.append(each("add", hidden, 2))
        step_back += [each("add", hidden, 1), each("add", s.H)]
    forward = [*start, *repeated(s.T, step), nt(s.B, s.H, s.O), *end]
    back = [
        *passes(errors, HUBER),
        tn(s.O, s.B, s.H),
        nn(s.B, s.O, s.H),
        *repeated(s.T, step_back),
        *back_end,
    ]
    return of_task(case, RNN, forward, back, SCALE_AND_SUBTRACT)


def _in_place(
    case: Case,
    activation: Passes,
    huber: Passes,
    derivative: Passes,
    updates: Passes,
    bias: tuple[Passes, Passes, Passes],
) -> Operations:
    """Count BPTT in a workspace: no allocation, and if possible one product over all steps.

    ``bias`` has the passes that add both biases, their sum to every a_t, and the output's.
    """
    s, hidden, errors = case.shape, case.shape.B * case.shape.H, case.shape.B * case.shape.O
    forward = [nt(s.T * s.B, s.I, s.H), nt(s.B, s.H, s.H, s.T), nt(s.B, s.H, s.O)]
    forward += repeated(s.T, passes(hidden, activation))
    back = [*passes(errors, huber), tn(s.O, s.B, s.H), nn(s.B, s.O, s.H)]
    back += [*repeated(s.T, passes(hidden, derivative)), *repeated(s.T - 1, [nn(s.B, s.H, s.H)])]
    back += [tn(s.H, s.T * s.B, s.I), tn(s.H, s.T * s.B, s.H)]
    if case.bias:
        for n, added in zip((s.H, s.T * hidden, errors), bias, strict=True):
            forward += passes(n, added)
        back += [each("add", s.T * hidden, 1), each("add", errors, 1)]
    return into(of_task(case, RNN, forward, back, updates))


def _autograd(case: Case, updates: Passes, *, library: bool = False, at_once: bool = False) -> Operations:
    """Count the recurrence and its autograd; ``at_once``: U x_t of all steps in one product.

    The loss, its derivative and the derivative of the activation are one pass each. A parameter that is used
    T times gets T gradients, and their sum takes T - 1 additions. A ``library``'s cell adds its biases
    within its products.
    """
    s, hidden, errors = case.shape, case.shape.B * case.shape.H, case.shape.B * case.shape.O
    step = [nt(s.B, s.H, s.H), *passes(hidden, (("add", 3), *TORCH_ACTIVATIONS[case.activation]))]
    forward = [nt(s.T * s.B, s.I, s.H) if at_once else nt(s.B, s.I, s.H, s.T)]
    back = [*passes(errors, (("multiply", 2), ("multiply", 3))), tn(s.O, s.B, s.H), nn(s.B, s.O, s.H)]
    back += repeated(s.T, [each("multiply", hidden), tn(s.H, s.B, s.H)])
    back += repeated(s.T - 1, [nn(s.B, s.H, s.H), each("add", s.H * s.H)])
    if at_once:
        back += [tn(s.H, s.T * s.B, s.I)]
    else:
        back += [*repeated(s.T, [tn(s.H, s.B, s.I)]), *repeated(s.T - 1, [each("add", s.H * s.I)])]
    if case.bias:
        n_biases = 1 if at_once or not library else 2  # that get a gradient in every step
        back += repeated(n_biases * s.T, [each("add", hidden, 1)])
        back += [*repeated(n_biases * (s.T - 1), [each("add", s.H)]), each("add", errors, 1)]
        if at_once:
            back.append(each("add", s.T * hidden, 1))
        if not library:
            step.append(each("add", hidden, 2))
            forward += [each("add", s.H), each("add", errors, 2)]
    return of_task(case, RNN, [*forward, *repeated(s.T, step), nt(s.B, s.H, s.O)], back, updates)


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
