"""The operations of the variants that take the whole batch at once, as they ask their library for them.

A pass is named after what it costs: ``tanh``, ``sigmoid`` and ``exp`` as they are; ``add`` adds, subtracts or
sums; ``multiply`` is any other cheap one (a product, a quotient, a clip, a comparison, and a Huber loss or a
derivative that the library has in one). The tests run every variant and count what it really asks for.
"""

from bench.analysis.operations import Operation, each, into, nn, nt, repeated, tn
from bench.workload.case import Case, Shape

Operations = list[Operation]
Passes = tuple[tuple[str, int], ...]  # name, and how many arrays of its size it reads and writes
# e, its clip, its mean product with e - clip / 2, and clip / n
HUBER: Passes = (
    ("add", 3), ("multiply", 2), ("multiply", 2), ("add", 3), ("multiply", 3), ("add", 1), ("multiply", 2),
)  # fmt: skip
SCALE_AND_SUBTRACT: Passes = (("multiply", 2), ("add", 3))  # p - lr dL/dp
SUBTRACT_SCALED: Passes = (("add", 3),)  # the same in one
# dL/dh act'(a): dh (1 - h h) or dh (h (1 - h))
DERIVATIVE: Passes = (("multiply", 3), ("add", 2), ("multiply", 3))


def numpy_batched(case: Case) -> Operations:
    """impl_numpy/rnn.py: BPTT by hand, an array for every result."""
    return _by_hand(case, numpy_activation(case))


def torch_manual(case: Case) -> Operations:
    """impl_torch/manual.py: the same, line by line."""
    return _by_hand(case, ((case.activation, 2),))


def numpy_inplace(case: Case) -> Operations:
    """impl_numpy/inplace.py: nothing is allocated, dL/dU and dL/dW are one product each.

    Its sigmoid is (1 + tanh(a / 2)) / 2.
    """
    halves = (("multiply", 2), ("multiply", 2), ("add", 2)) if case.activation == "sigmoid" else ()
    activation = (("add", 3), ("tanh", 2), *halves)
    return _in_place(case, activation, HUBER, DERIVATIVE, SCALE_AND_SUBTRACT)


def torch_inplace(case: Case) -> Operations:
    """impl_torch/inplace.py: the same, but addmm adds U x_t within the product, addcmul and ``alpha``
    multiply within another pass."""
    huber = tuple(one for place, one in enumerate(HUBER) if place != 2)
    return _in_place(
        case, ((case.activation, 2),), huber, (("multiply", 3), ("multiply", 4)), SUBTRACT_SCALED
    )


def torch_autograd(case: Case) -> Operations:
    """impl_torch/rnn.py: autograd over the plain recurrence."""
    return _autograd(case, SCALE_AND_SUBTRACT)


def torch_cell(case: Case) -> Operations:
    """``nn.RNNCell`` step by step, and an optimizer."""
    return _autograd(case, SUBTRACT_SCALED)


def torch_rnn(case: Case) -> Operations:
    """``nn.RNN``, which makes U x_t of all steps in one product, and an optimizer."""
    return _autograd(case, SUBTRACT_SCALED, at_once=True)


def numpy_activation(case: Case) -> Passes:
    """tanh; or the sigmoid that never overflows: a comparison, -a, two selections, one exp, and twice 1 + z
    and a quotient."""
    if case.activation == "tanh":
        return (("tanh", 2),)
    selections = tuple(("multiply", arrays) for arrays in (2, 4, 4, 2, 3))
    return (*selections, *((("add", 2),) * 3), ("exp", 2))


def passes(n: int, named: Passes) -> Operations:
    """Passes over the same n elements."""
    return [each(name, n, arrays) for name, arrays in named]


def update(s: Shape, named: Passes) -> Operations:
    """Passes over each of U, W and V."""
    return [one for n in (s.H * s.I, s.H * s.H, s.O * s.H) for one in passes(n, named)]


def _by_hand(case: Case, activation: Passes) -> Operations:
    """The gradient written out. The walk back goes on to dL/dh_0, which nobody needs."""
    s, hidden = case.shape, case.shape.B * case.shape.H
    step = [nt(s.B, s.I, s.H), nt(s.B, s.H, s.H), *passes(hidden, (("add", 3), *activation))]
    made = [*repeated(s.T, step), nt(s.B, s.H, s.O)]
    if case.task == "forward":
        return made
    back = [tn(s.H, s.B, s.I), tn(s.H, s.B, s.H), nn(s.B, s.H, s.H), *passes(hidden, DERIVATIVE)]
    back += [each("add", s.H * s.I), each("add", s.H * s.H)]
    made += [*passes(s.B * s.O, HUBER), tn(s.O, s.B, s.H), nn(s.B, s.O, s.H), *repeated(s.T, back)]
    return made + (update(s, SCALE_AND_SUBTRACT) if case.task == "train_step" else [])


def _in_place(
    case: Case, activation: Passes, huber: Passes, derivative: Passes, updates: Passes
) -> Operations:
    """Everything written into a workspace, and as much as can be in one product over all steps."""
    s, hidden = case.shape, case.shape.B * case.shape.H
    made = [nt(s.T * s.B, s.I, s.H), nt(s.B, s.H, s.H, s.T), nt(s.B, s.H, s.O)]
    made += repeated(s.T, passes(hidden, activation))
    if case.task != "forward":
        made += [*passes(s.B * s.O, huber), tn(s.O, s.B, s.H), nn(s.B, s.O, s.H)]
        made += [*repeated(s.T, passes(hidden, derivative)), *repeated(s.T - 1, [nn(s.B, s.H, s.H)])]
        made += [tn(s.H, s.T * s.B, s.I), tn(s.H, s.T * s.B, s.H)]
    return into(made + (update(s, updates) if case.task == "train_step" else []))


def _autograd(case: Case, updates: Passes, *, at_once: bool = False) -> Operations:
    """The recurrence and what autograd makes of it; ``at_once``: U x_t of all steps in one product.

    The loss, its derivative and that of the activation are a pass each. A parameter that is used T times
    has T gradients, which take T - 1 additions.
    """
    s, hidden, errors = case.shape, case.shape.B * case.shape.H, case.shape.B * case.shape.O
    step = [nt(s.B, s.H, s.H), *passes(hidden, (("add", 3), (case.activation, 2)))]
    inputs = nt(s.T * s.B, s.I, s.H) if at_once else nt(s.B, s.I, s.H, s.T)
    made = [inputs, *repeated(s.T, step), nt(s.B, s.H, s.O)]
    if case.task == "forward":
        return made
    made += [*passes(errors, (("multiply", 2), ("multiply", 3))), tn(s.O, s.B, s.H), nn(s.B, s.O, s.H)]
    made += repeated(s.T, [each("multiply", hidden), tn(s.H, s.B, s.H)])
    made += repeated(s.T - 1, [nn(s.B, s.H, s.H), each("add", s.H * s.H)])
    if at_once:
        made += [tn(s.H, s.T * s.B, s.I)]
    else:
        made += [*repeated(s.T, [tn(s.H, s.B, s.I)]), *repeated(s.T - 1, [each("add", s.H * s.I)])]
    return made + (update(s, updates) if case.task == "train_step" else [])
