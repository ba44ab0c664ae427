"""The recurrence of rnn.py and its gradient, for sequences of different lengths (lengths.py)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from impl_numpy.rnn import ACTIVATIONS, Array, Params

Step = tuple[Array, Array, Array]  # of n sequences: x_t (n, I), h_{t-1} and h_t (n, H)


def steps(params: Params, x: Array, rows: list[slice], *, activation: str) -> Iterator[tuple[Step, Array]]:
    """Yield the steps for t = 1 .. T, each of its ``rows`` of the batch, with h_t (n, H)."""
    U, W = params["U"], params["W"]
    b = params["bU"] + params["bW"] if "bU" in params else None  # (H,)
    act, _ = ACTIVATIONS[activation]
    h = np.zeros((x.shape[1], len(W)), x.dtype)  # (B, H)
    for x_t, running in zip(x, rows, strict=True):
        x_n, h_before = x_t[running], h[running]  # (n, I), (n, H)
        a = x_n @ U.T + h_before @ W.T
        h = act(a if b is None else a + b)
        yield (x_n, h_before, h), h


def back(
    params: Params, cache: list[Step], ends: list[Any], dh_end: Array, grads: Params, *, activation: str
) -> None:
    """Add the gradients of U, W and their biases, from dL/dh (B, H) of the sequences' last steps."""
    _, act_prime = ACTIVATIONS[activation]
    dh = np.zeros_like(dh_end)  # (B, H)
    for (x, h_before, h), end in zip(reversed(cache), reversed(ends), strict=True):
        dh[end] = dh_end[end]
        n = len(h)
        da = dh[:n] * act_prime(h)  # (n, H)
        grads["U"] += da.T @ x
        grads["W"] += da.T @ h_before
        if "bU" in params:
            grads["bU"] += da.sum(axis=0)  # (H,)
        dh[:n] = da @ params["W"]
    if "bU" in params:
        grads["bW"] += grads["bU"]
