"""The recurrence of lstm.py and its gradient, for sequences of different lengths (lengths.py)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from impl_numpy.rnn import Array, Params, sigmoid


class Step(NamedTuple):
    """What the backward pass needs of a step of n sequences: x_t (n, I), else (n, H) each."""

    x: Array
    h_before: Array
    c_before: Array
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


def steps(params: Params, x: Array, rows: list[slice]) -> Iterator[Step]:
    """Yield the steps for t = 1 .. T, each of its ``rows`` of the batch."""
    U, W = params["U"], params["W"]
    b = params["bU"] + params["bW"] if "bU" in params else None  # (4H,)
    h = c = np.zeros((x.shape[1], W.shape[1]), x.dtype)  # (B, H)
    for x_t, running in zip(x, rows, strict=True):
        x_n, h_before, c_before = x_t[running], h[running], c[running]  # (n, I), (n, H), (n, H)
        a = x_n @ U.T + h_before @ W.T  # (n, 4H)
        a_i, a_f, a_g, a_o = np.split(a if b is None else a + b, 4, axis=1)  # (n, H) each
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c = f * c_before + i * g
        h = o * np.tanh(c)
        yield Step(x_n, h_before, c_before, i, f, g, o, c, h)


def back(params: Params, cache: list[Step], ends: list[Any], dh_end: Array, grads: Params) -> None:
    """Add the gradients of U, W and their biases, from dL/dh (B, H) of the sequences' last steps."""
    dh_all, dc_all = np.zeros_like(dh_end), np.zeros_like(dh_end)  # (B, H)
    for (x, h_before, c_before, i, f, g, o, c, h), end in zip(reversed(cache), reversed(ends), strict=True):
        dh_all[end] = dh_end[end]
        dh, dc_after = dh_all[: len(h)], dc_all[: len(h)]  # (n, H), views
        tanh_c = np.tanh(c)
        dc = dc_after + dh * o * (1 - tanh_c * tanh_c)  # from step t + 1, and from this step's h
        da_i = dc * g * (i * (1 - i))
        da_f = dc * c_before * (f * (1 - f))
        da_g = dc * i * (1 - g * g)
        da_o = dh * tanh_c * (o * (1 - o))
        da = np.concatenate((da_i, da_f, da_g, da_o), axis=1)  # (n, 4H)
        grads["U"] += da.T @ x
        grads["W"] += da.T @ h_before
        if "bU" in params:
            grads["bU"] += da.sum(axis=0)  # (4H,)
        dh[...] = da @ params["W"]
        dc_after[...] = dc * f  # straight
    if "bU" in params:
        grads["bW"] += grads["bU"]
