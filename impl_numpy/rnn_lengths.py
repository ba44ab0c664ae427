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
    params: Params, cache: list[Step], ends: list[Any], dh_end: Array, *, activation: str
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Yield x_t, h_{t-1} and dL/da_t (n, H), twice, for t = T .. 1, from dL/dh (B, H) of the last steps."""
    _, act_prime = ACTIVATIONS[activation]
    dh = np.zeros_like(dh_end)  # (B, H)
    for (x_n, h_before, h), end in zip(reversed(cache), reversed(ends), strict=True):
        dh[end] = dh_end[end]
        n = len(h)
        da = dh[:n] * act_prime(h)  # (n, H)
        yield x_n, h_before, da, da
        dh[:n] = da @ params["W"]
