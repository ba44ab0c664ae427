"""The recurrence of gru.py and its gradient, for sequences of different lengths (lengths.py)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from impl_numpy.rnn import Array, Params, sigmoid


class Step(NamedTuple):
    """What the backward pass needs of a step of n sequences: x_t (n, I), else (n, H) each."""

    x: Array
    h_before: Array
    r: Array
    z: Array
    n: Array
    w_n: Array
    h: Array


def steps(params: Params, x: Array, rows: list[slice]) -> Iterator[Step]:
    """Yield the steps for t = 1 .. T, each of its ``rows`` of the batch."""
    U, W = params["U"], params["W"]
    h = np.zeros((x.shape[1], W.shape[1]), x.dtype)  # (B, H)
    for x_t, running in zip(x, rows, strict=True):
        x_n, h_before = x_t[running], h[running]  # (n, I), (n, H)
        u, w = x_n @ U.T, h_before @ W.T  # (n, 3H)
        if "bU" in params:
            u, w = u + params["bU"], w + params["bW"]
        (u_r, u_z, u_n), (w_r, w_z, w_n) = np.split(u, 3, axis=1), np.split(w, 3, axis=1)  # (n, H) each
        r, z = sigmoid(u_r + w_r), sigmoid(u_z + w_z)
        n = np.tanh(u_n + r * w_n)
        h = (1 - z) * n + z * h_before
        yield Step(x_n, h_before, r, z, n, w_n, h)


def back(params: Params, cache: list[Step], ends: list[Any], dh_end: Array, grads: Params) -> None:
    """Add the gradients of U, W and their biases, from dL/dh (B, H) of the sequences' last steps."""
    dh_all = np.zeros_like(dh_end)  # (B, H)
    for (x, h_before, r, z, n, w_n, h), end in zip(reversed(cache), reversed(ends), strict=True):
        dh_all[end] = dh_end[end]
        dh = dh_all[: len(h)]  # (n, H), a view
        da_n = dh * (1 - z) * (1 - n * n)
        da_r = da_n * w_n * (r * (1 - r))
        da_z = dh * (h_before - n) * (z * (1 - z))
        du = np.concatenate((da_r, da_z, da_n), axis=1)  # (n, 3H)
        dw = np.concatenate((da_r, da_z, da_n * r), axis=1)
        grads["U"] += du.T @ x
        grads["W"] += dw.T @ h_before
        if "bU" in params:
            grads["bU"] += du.sum(axis=0)  # (3H,)
            grads["bW"] += dw.sum(axis=0)
        dh[...] = dh * z + dw @ params["W"]  # straight, and through w
