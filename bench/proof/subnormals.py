"""Subnormal numbers in a case: counted, since a processor may take a hundred times as long over each.

Back-propagation through a contractive recurrence walks down through them: the weights' gradients can be free
of subnormals while a part of dL/dh_t is not. Neither library flushes them to zero here.
"""

import numpy as np

from bench.proof.tolerance import Array
from bench.records.record import Conditions
from bench.workload import catalog
from bench.workload.case import Case
from bench.workload.data import Batch


def conditions(case: Case, batch: Batch) -> Conditions:
    """Count them in every h_t and dL/dh_t (B, H) of an untimed reference pass in the case's dtype."""
    reference = catalog.reference("numpy")
    params, x, y = batch.params, batch.x, batch.y
    with np.errstate(all="ignore"):  # what is not finite is refused by the proof
        y_hat, hs = reference.forward(params, x, activation=case.activation)
        upstream: list[Array] = []
        if case.task != "forward":
            _, act_prime = reference.ACTIVATIONS[case.activation]
            dh = (np.clip(y_hat - y, -case.delta, case.delta) / y_hat.size) @ params["V"]  # (B, H)
            for h in reversed(hs[1:]):
                upstream.append(dh)
                dh = (dh * act_prime(h)) @ params["W"]
            upstream.append(dh)
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
