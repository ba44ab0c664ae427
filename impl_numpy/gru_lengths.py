"""The recurrence of gru.py and its gradient, for sequences of different lengths (lengths.py)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from impl_numpy import gru
from impl_numpy.rnn import Array, Params

Step = tuple[Array, Array, gru.Step]  # of n sequences: x_t (n, I), h_{t-1}, and the rest, (n, H) each


def steps(params: Params, x: Array, rows: list[slice]) -> Iterator[tuple[Step, Array]]:
    """Yield the steps for t = 1 .. T, each of its ``rows`` of the batch, with h_t (n, H)."""
    h = gru.zero_state(params, x)  # (B, H)
    for x_t, running in zip(x, rows, strict=True):
        x_n, h_before = x_t[running], h[running]  # (n, I), (n, H)
        (step,) = gru.steps(params, x_n[None], state=h_before)
        h = step.h
        yield (x_n, h_before, step), h


def back(
    params: Params, cache: list[Step], ends: list[Any], dh_end: Array
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Yield x_t, h_{t-1}, dL/du_t and dL/dw_t for t = T .. 1, from dL/dh (B, H) of the last steps."""
    dh_all = np.zeros_like(dh_end)  # (B, H)
    for (x_n, h_before, (r, z, n, w_n, h)), end in zip(reversed(cache), reversed(ends), strict=True):
        dh_all[end] = dh_end[end]
        dh = dh_all[: len(h)]  # (n, H), a view
        da_n = dh * (1 - z) * (1 - n * n)
        da_r = da_n * w_n * (r * (1 - r))
        da_z = dh * (h_before - n) * (z * (1 - z))
        du = np.concatenate((da_r, da_z, da_n), axis=1)  # (n, 3H)
        dw = np.concatenate((da_r, da_z, da_n * r), axis=1)
        yield x_n, h_before, du, dw
        dh[...] = dh * z + dw @ params["W"]  # straight, and through w
