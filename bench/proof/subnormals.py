"""Subnormal numbers in a case: counted, since a processor may take a hundred times as long over each.

Back-propagation through a contractive recurrence walks down through them: the weights' gradients can be free
of subnormals while a part of dL/dh_t is not. Neither library flushes them to zero here.
"""

import numpy as np

from bench.proof.tolerance import Array
from bench.records.record import Conditions
from bench.workload.case import Case
from bench.workload.cell import find_cell
from bench.workload.data import Batch


def conditions(case: Case, batch: Batch) -> Conditions:
    """Count them in every h_t and dL/dh_t (B, H) of an untimed reference pass in the case's dtype."""
    cell = find_cell(case.cell)
    params, x, y = batch.params, batch.x, batch.y
    with np.errstate(all="ignore"):  # what is not finite is refused by the proof
        y_hat, hs = cell.reference().forward(params, x, activation=case.activation)
        upstream: list[Array] = []
        if case.task != "forward":
            dy_hat = np.clip(y_hat - y, -case.delta, case.delta) / y_hat.size  # (B, O)
            upstream += cell.hidden_gradients(params, x, hs, dy_hat, activation=case.activation)
    return Conditions(
        case=case,
        hidden=sum(h.size for h in hs[1:]),
        hidden_subnormal=count(hs[1:]),
        gradient=sum(dh.size for dh in upstream),
        gradient_subnormal=count(upstream),
    )


def count(arrays: list[Array]) -> int:
    """How many numbers are neither zero nor as large as the smallest normal one."""
    return sum(
        int(np.sum((array != 0) & (np.abs(array) < np.finfo(array.dtype).smallest_normal)))
        for array in arrays
    )
