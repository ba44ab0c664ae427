"""The operations of the variants that take one sample at a time: B times what one sample asks for.

Vectors are matrices of one column: U x_t is a product (H, I) (I, 1). An outer product is a pass over all
elements of its result, the only array of that size.
"""

from bench.analysis.formulas import (
    DERIVATIVE,
    HUBER,
    SCALE_AND_SUBTRACT,
    Operations,
    numpy_activation,
    passes,
    update,
)
from bench.analysis.operations import each, nn, repeated, tn
from bench.workload.case import Case

OUTER_AND_ADD = (("multiply", 1), ("add", 3))


def loop(case: Case) -> Operations:
    """impl_numpy/loop.py: exact BPTT, sample by sample."""
    s = case.shape
    made = [*repeated(s.T, _step(case)), nn(s.O, s.H, 1)]
    if case.task == "forward":
        return repeated(s.B, made)
    back = [*passes(s.H, DERIVATIVE), *passes(s.H * s.I, OUTER_AND_ADD), *passes(s.H * s.H, OUTER_AND_ADD)]
    made += [*_output(case), *repeated(s.T, [*back, tn(s.H, s.H, 1)])]
    return _whole(case, made)


def published(case: Case) -> Operations:
    """impl_numpy/published.py: R_U and R_W carried forwards; diag(d) M column by column."""
    if case.task == "forward":
        return loop(case)
    s = case.shape
    columns, rows = each("multiply", s.H, times=s.H), each("multiply", s.H, times=s.I)
    forwards = [*_step(case), *passes(s.H, DERIVATIVE[:2]), columns, nn(s.H, s.H, s.I), nn(s.H, s.H, s.H)]
    forwards += [*passes(s.H * s.I, OUTER_AND_ADD), *passes(s.H * s.H, OUTER_AND_ADD)]
    made = [*repeated(s.T, forwards), nn(s.O, s.H, 1), *_output(case)]
    made += [rows, each("add", s.H * s.I), columns, each("add", s.H * s.H)]
    return _whole(case, made)


def _step(case: Case) -> Operations:
    """h_t = act(U x_t + W h_{t-1}) of one sample."""
    s = case.shape
    return [nn(s.H, s.I, 1), nn(s.H, s.H, 1), *passes(s.H, (("add", 3), *numpy_activation(case)))]


def _output(case: Case) -> Operations:
    """The loss of one sample, its part of dL/dV, and dL/dh_T."""
    s = case.shape
    return [*passes(s.O, HUBER), *passes(s.O * s.H, OUTER_AND_ADD), tn(s.H, s.O, 1)]


def _whole(case: Case, sample: Operations) -> Operations:
    """All samples, and the update."""
    updates = update(case.shape, SCALE_AND_SUBTRACT) if case.task == "train_step" else []
    return [*repeated(case.shape.B, sample), *updates]
