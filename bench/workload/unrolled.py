"""Count the operations of a cell unrolled over T steps: what the formulas of all cells share.

The products, and how often each is computed (``docs/limits.md`` has the whole table); G is gates x H::

    U x_t            (B, I) (I, G)    T times; if possible all steps in one product: (T B, I) (I, G)
    W h_{t-1}        (B, H) (H, G)    T times; in place T - 1, which are enough, since h_0 = 0
    V h_T            (B, H) (H, O)    once
    dL/dV            (O, B) (B, H)    once
    dL/dh_T          (B, O) (O, H)    once
    dL/dU            (G, B) (B, I)    T times; all steps in one product: (G, T B) (T B, I)
    dL/dW            (G, B) (B, H)    T times; in place all steps but the first in one product
    dL/dh_{t-1}      (B, G) (G, H)    T - 1 times; T times if dL/dh_0 is computed too

A pass is named by its cost: ``tanh``, ``sigmoid`` and ``exp`` keep their names; ``add`` adds, subtracts or
sums; ``multiply`` is any other cheap pass (a product, a quotient, a clip, a comparison, and what the library
computes in one pass, such as a Huber loss, a derivative or a + b c). The tests run every variant and count
its real library calls.

In every function ``step`` has the passes of each step forward and ``step_back`` those of each step backward,
and ``handed`` those of a step backward that only T - 1 steps need, since nothing is handed on to h_0. A cell
whose biases are ``apart`` (the GRU) adds bU and bW in different places; others add their sum. Passes that add
biases or sum their gradients are counted here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from bench.workload.case import Case
from bench.workload.cell import Cell
from bench.workload.operations import Operation, Operations, each, into, nn, nt, repeated, tn

Passes = tuple[tuple[str, int], ...]  # name, and the number of arrays of its size that it reads and writes
Products = list[tuple[int, int, int]]  # rows and columns of the left operand, and how often
# with e = y_hat - y: e; clip(e); the mean of clip (e - clip / 2); clip / n
HUBER: Passes = (
    ("add", 3), ("multiply", 2), ("multiply", 2), ("add", 3), ("multiply", 3), ("add", 1), ("multiply", 2),
)  # fmt: skip
# half of the clip is subtracted in the pass, and the mean is a product of vectors
TORCH_HUBER: Passes = (("add", 3), ("multiply", 2), ("add", 3), ("multiply", 2), ("multiply", 2))
SCALE_AND_SUBTRACT: Passes = (("multiply", 2), ("add", 3))  # p - lr dL/dp
SUBTRACT_SCALED: Passes = (("add", 3),)  # p - lr dL/dp in one pass
# NumPy's, which never overflows: a comparison, -a, two selections, exp, and twice 1 + z and a quotient
SIGMOID: Passes = (
    *(("multiply", arrays) for arrays in (2, 4, 4, 2, 3)), ("add", 2), ("add", 2), ("add", 2), ("exp", 2),
)  # fmt: skip
# sigmoid as (1 + tanh(a / 2)) / 2
SIGMOID_BY_TANH: Passes = (("multiply", 2), ("tanh", 2), ("multiply", 2), ("add", 2))
HALVED_SIGMOID = SIGMOID_BY_TANH[1:]  # the product computes a / 2
TORCH_SIGMOID: Passes = (("sigmoid", 2),)


def passes(n: int, named: Passes) -> Operations:
    """Return passes over the same n elements."""
    return [each(name, n, arrays) for name, arrays in named]


def hidden_size(case: Case) -> int:
    """Return the number of elements of h_t: B H."""
    return case.shape.B * case.shape.H


def added(rows: int, n: int) -> Operation:
    """Make the pass that adds a bias of n elements to every row."""
    return each("add", rows * n, arrays=2 if rows > 1 else 3)


def summed(rows: int, n: int) -> Operation:
    """Make the pass that sums n columns over the rows."""
    return each("add", rows * n, arrays=1 if rows > 1 else 2)


def to_parameters(case: Case, cell: Cell, named: Passes) -> Operations:
    """Return passes over each parameter of the cell."""
    sizes = map(math.prod, cell.shapes(case.shape, bias=case.bias).values())
    return [operation for n in sizes for operation in passes(n, named)]


def to_joined(case: Case, cell: Cell, named: Passes) -> Operations:
    """Return passes over the weights joined, and over those of the output."""
    s = case.shape
    sizes = cell.gates * s.H * (s.I + s.H + 2 * case.bias), s.O * (s.H + case.bias)
    return [operation for n in sizes for operation in passes(n, named)]


def of_task(
    case: Case,
    cell: Cell,
    forward: Operations,
    back: Operations,
    updates: Passes,
    over: Callable[[Case, Cell, Passes], Operations] = to_parameters,
) -> Operations:
    """Return the operations of the case's task: ``forward``, and for a gradient also ``back``.

    A training step also applies the passes ``updates``, to each parameter unless ``over`` says otherwise.
    """
    total = [*forward, *(back if case.task != "forward" else ())]
    return total + (over(case, cell, updates) if case.task == "train_step" else [])


def needed_products(case: Case, cell: Cell, *, first: int | None = None) -> Operations:
    """Count the minimum products of a call, for any implementation.

    h_0 = 0, so W h_0, its part of dL/dW, and dL/dh_0 are not counted. ``first`` is the number of gates that
    the first step needs; all unless given.
    """
    s, gates = case.shape, cell.gates * case.shape.H
    rows, later = s.H * (cell.gates if first is None else first), s.T - 1
    total = [nt(s.B, s.I, rows), nt(s.B, s.I, gates, later), nt(s.B, s.H, gates, later), nt(s.B, s.H, s.O)]
    if case.task != "forward":
        total += [tn(s.O, s.B, s.H), nn(s.B, s.O, s.H), tn(rows, s.B, s.I), tn(gates, s.B, s.I, later)]
        total += [tn(gates, s.B, s.H, later), nn(s.B, gates, s.H, later)]
    return total


def by_hand(
    case: Case,
    cell: Cell,
    step: Operations,
    step_back: Operations,
    *,
    once_back: Sequence[Operation] = (),
    apart: bool = False,
) -> Operations:
    """Count BPTT by hand, step by step, with a new array for every result.

    The backward loop also computes dL/dh_0, which is not needed. ``once_back`` has other passes after it.
    """
    s, gates = case.shape, cell.gates * case.shape.H
    forward = [*repeated(s.T, [nt(s.B, s.I, gates), nt(s.B, s.H, gates), *step]), nt(s.B, s.H, s.O)]
    back = [*passes(s.B * s.O, HUBER), tn(s.O, s.B, s.H), nn(s.B, s.O, s.H), *once_back]
    back += repeated(s.T, [tn(gates, s.B, s.I), tn(gates, s.B, s.H), nn(s.B, gates, s.H), *step_back])
    back += repeated(s.T, [each("add", gates * s.I), each("add", gates * s.H)])
    if case.bias:
        times = s.T * (1 + apart)
        forward += [
            each("add", gates, times=1 - apart),
            *repeated(times, [added(s.B, gates)]),
            added(s.B, s.O),
        ]
        back += [*repeated(times, [summed(s.B, gates), each("add", gates)]), summed(s.B, s.O)]
    return of_task(case, cell, forward, back, SCALE_AND_SUBTRACT)


def by_sample(case: Case, cell: Cell, count: Callable[[Case], Operations]) -> Operations:
    """Count a call that makes the operations of ``count`` for each window of the batch.

    Each window's gradient is divided by B and added to the sum.
    """
    task = "forward" if case.task == "forward" else "gradient"
    alone = count(replace(case, task=task, shape=replace(case.shape, B=1)))
    averaged = to_parameters(case, cell, (("multiply", 2), ("add", 3)))
    forward, back = repeated(case.shape.B, alone), repeated(case.shape.B, averaged)
    return of_task(case, cell, forward, back, SCALE_AND_SUBTRACT)


def joined_products(case: Case, cell: Cell, *, apart: bool) -> tuple[Products, Products]:
    """Return the products of the joined weights in the first step, where h_0 = 0, and in the later ones.

    Each is the rows and columns of its weights, and how often it is computed. With biases ``apart`` the last
    gate's sums of U x_t and W h_{t-1} are products of their own.
    """
    s, gates, bias = case.shape, cell.gates * case.shape.H, int(case.bias)
    # rows of the weights; their columns in the first step, and those that W adds in later ones
    parts = [(gates, s.I + 2 * bias, s.H)]
    if apart:
        parts = [(gates - s.H, s.I + 2 * bias, s.H), (s.H, s.I + bias, 0), (s.H, bias, s.H)]
    return [(m, k, int(k > 0)) for m, k, _ in parts], [(m, k + more, s.T - 1) for m, k, more in parts]


def in_place(
    case: Case,
    cell: Cell,
    step: Operations,
    step_back: Operations,
    handed: Sequence[Operation] = (),
    *,
    apart: bool = False,
) -> Operations:
    """Count BPTT in PyTorch's workspace: by rows where there is one gate, else a column for each sample.

    addmm adds within a product, addcmul and ``alpha`` multiply within another pass.
    """
    s, gates, rows = case.shape, cell.gates * case.shape.H, case.shape.T * case.shape.B
    # no W h_0, as h_0 = 0, and no part of dL/dW from it
    if cell.gates == 1:
        forward = [nn(rows, s.I, gates), nn(s.B, s.H, gates, s.T - 1), nn(s.B, s.H, s.O)]
        back = [tn(s.H, s.B, s.O), nt(s.B, gates, s.H, s.T - 1)]
        back += [tn(s.I, rows, gates), tn(s.H, rows - s.B, gates, s.T > 1)]
        if case.bias:
            forward.append(each("add", gates))
            back += [summed(rows, gates), summed(s.B, s.O)]
    else:
        first, later = joined_products(case, cell, apart=apart)
        forward = [*(tn(m, k, s.B, times) for m, k, times in first + later), tn(s.B, s.H + case.bias, s.O)]
        back = [nn(s.H + case.bias, s.B, s.O), nn(s.H, gates, s.B, s.T - 1)]
        if s.B > 1:
            back += [nt(m, s.B, k, times) for m, k, times in first + later]
        else:
            back += [tn(m, s.T, k) for m, k, _ in later]
    forward += repeated(s.T, step)
    back += [*passes(s.B * s.O, TORCH_HUBER), nt(s.B, s.O, s.H), *repeated(s.T, step_back)]
    back += repeated(s.T - 1, handed)
    return into(of_task(case, cell, forward, back, SUBTRACT_SCALED, to_joined))


def in_columns(
    case: Case,
    cell: Cell,
    step: Operations,
    step_back: Operations,
    handed: Sequence[Operation] = (),
    *,
    halved: int = 0,
    apart: bool = False,
) -> Operations:
    """Count BPTT in NumPy's workspace, which has a column for each sample, and weights and biases joined.

    An update also halves the weights of ``halved`` gates.
    """
    s, gates, rows = case.shape, cell.gates * case.shape.H, case.shape.T * case.shape.B
    of_h, (first, later) = s.H + case.bias, joined_products(case, cell, apart=apart)
    product = tn if s.B == 1 and case.task == "forward" else nn  # the weights by column
    forward = [product(m, k, s.B, times) for m, k, times in first + later]
    forward += [*repeated(s.T, step), nn(s.O, of_h, s.B)]
    # a row is a column, too, and of one sample all steps are stored as they came, (T, gates)
    of_column, over_all = (nn, tn) if s.B == 1 else (nt, nt)
    back = [*passes(s.B * s.O, HUBER), of_column(s.O, s.B, of_h), tn(s.H, s.O, s.B)]
    back += [*repeated(s.T, step_back), *repeated(s.T - 1, [tn(s.H, gates, s.B), *handed])]
    back += [over_all(m, rows, k, times) for m, k, times in first]
    back.append(over_all(gates, rows - s.B, s.H, s.T > 1))
    total = of_task(case, cell, forward, back, SUBTRACT_SCALED, to_joined)
    if case.task == "train_step" and halved:
        total.append(each("multiply", halved * s.H * (s.I + case.bias + of_h), 2))
    return into(total)


def autograd(
    case: Case,
    cell: Cell,
    step: Operations,
    step_back: Operations,
    handed: Sequence[Operation] = (),
    *,
    library: Literal["cell", "layer"] | None = None,
    apart: bool = False,
) -> Operations:
    """Count a recurrence and its autograd, plain or with the cell or layer of a ``library`` and an optimizer.

    The loss and its derivative are one pass each. A parameter that is used T times gets T gradients, and
    their sum takes T - 1 additions. A library adds its biases within its products; its layer computes U x_t
    of all steps in one.
    """
    s, gates, rows = case.shape, cell.gates * case.shape.H, case.shape.T * case.shape.B
    at_once = library == "layer"
    forward = [nt(rows, s.I, gates) if at_once else nt(s.B, s.I, gates, s.T), nt(s.B, s.H, s.O)]
    forward += repeated(s.T, [nt(s.B, s.H, gates), *step])
    back = [*passes(s.B * s.O, (("multiply", 2), ("multiply", 3))), tn(s.O, s.B, s.H), nn(s.B, s.O, s.H)]
    back += repeated(s.T, [tn(gates, s.B, s.H), *step_back])
    back += repeated(s.T - 1, [nn(s.B, gates, s.H), each("add", gates * s.H), *handed])
    if at_once:
        back.append(tn(gates, rows, s.I))
    else:
        back += [tn(gates, s.B, s.I, s.T), each("add", gates * s.I, times=s.T - 1)]
    if case.bias:
        n_biases = 1 if at_once or not (apart or library) else 2  # that get a gradient in every step
        back += [summed(rows, gates)] if at_once else []
        back += [*repeated(n_biases * s.T, [summed(s.B, gates)]), summed(s.B, s.O)]
        back += repeated(n_biases * (s.T - 1), [each("add", gates)])
        if library is None:
            forward += [*repeated(n_biases * s.T, [added(s.B, gates)]), added(s.B, s.O)]
            forward.append(each("add", gates, times=1 - apart))
    return of_task(case, cell, forward, back, SUBTRACT_SCALED if library else SCALE_AND_SUBTRACT)
