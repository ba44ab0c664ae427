"""What each variant does in one call, and what the mathematics needs, counted by formulas of T, B, I, H, O.

The products, with how often they are made (``docs/limits.md`` has the whole table)::

    U x_t            (B, I) (I, H)    T times; in one product over all steps where it can be: (T B, I) (I, H)
    W h_{t-1}        (B, H) (H, H)    T times, though h_0 = 0 would need T - 1
    V h_T            (B, H) (H, O)    once
    dL/dV            (O, B) (B, H)    once
    dL/dh_T          (B, O) (O, H)    once
    dL/dU            (H, B) (B, I)    T times; over all steps: (H, T B) (T B, I)
    dL/dW            (H, B) (B, H)    T times; over all steps: (H, T B) (T B, H)
    dL/dh_{t-1}      (B, H) (H, H)    T - 1 times; T times where dL/dh_0 is worked out too
"""

from collections.abc import Callable

from bench.analysis import formulas, sample_formulas
from bench.analysis.formulas import Operations
from bench.analysis.operations import ITEMSIZE, Count, each, gathered, nn, nt, tn
from bench.workload.case import Case

FORMULAS: dict[str, Callable[[Case], Operations]] = {
    "numpy-published": sample_formulas.published,
    "numpy-loop": sample_formulas.loop,
    "numpy-batched": formulas.numpy_batched,
    "numpy-inplace": formulas.numpy_inplace,
    "torch-manual": formulas.torch_manual,
    "torch-inplace": formulas.torch_inplace,
    "torch-autograd": formulas.torch_autograd,
    "torch-cell": formulas.torch_cell,
    "torch-rnn": formulas.torch_rnn,
}


def counted(spec: str, case: Case) -> Count | None:
    """What one call of a variant of the catalogue does; None where there is no formula.

    Code that a compiler made has none, and neither has a variant from outside. On an accelerator
    ``torch-rnn`` is one call of a library of the device, which makes the same products.
    """
    formula = FORMULAS.get(spec)
    return None if formula is None else Count(gathered(formula(case)), ITEMSIZE[case.dtype])


def needed(case: Case) -> Count:
    """What the mathematics needs, whoever computes it: the products, and an activation per hidden unit.

    h_0 = 0, so W h_0, its part of dL/dW and dL/dh_0 need nothing. All other passes could be made along with
    these: they add nothing here.
    """
    s, steps = case.shape, case.shape.T
    made = [nt(s.B, s.I, s.H, steps), nt(s.B, s.H, s.H, steps - 1), nt(s.B, s.H, s.O)]
    made.append(each(case.activation, s.B * s.H, arrays=2, times=steps))
    if case.task != "forward":
        made += [tn(s.O, s.B, s.H), nn(s.B, s.O, s.H)]
        made += [tn(s.H, s.B, s.I, steps), tn(s.H, s.B, s.H, steps - 1), nn(s.B, s.H, s.H, steps - 1)]
    return Count(gathered(made), ITEMSIZE[case.dtype])


def needed_bytes(case: Case) -> int:
    """Bytes that move at least: what a call reads and what it hands out, each array once."""
    s = case.shape
    params = s.H * s.I + s.H * s.H + s.O * s.H
    moved = s.T * s.B * s.I + params + s.B * s.O  # x, parameters; y, or y_hat of a forward pass
    return ITEMSIZE[case.dtype] * (moved + (params if case.task != "forward" else 0))
