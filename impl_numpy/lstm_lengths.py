"""The recurrence of lstm.py and its gradient, for sequences of different lengths (lengths.py)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from impl_numpy import lstm
from impl_numpy.rnn import Array, Params

Step = tuple[Array, lstm.State, lstm.Step]  # of n sequences: x_t (n, I), h_{t-1} and c_{t-1}, and the rest


def steps(params: Params, x: Array, rows: list[slice]) -> Iterator[tuple[Step, Array]]:
    """Yield the steps for t = 1 .. T, each of its ``rows`` of the batch, with h_t (n, H)."""
    h, c = lstm.zero_state(params, x)  # (B, H)
    for x_t, running in zip(x, rows, strict=True):
        x_n, before = x_t[running], (h[running], c[running])  # (n, I), (n, H) each
        (step,) = lstm.steps(params, x_n[None], state=before)
        h, c = step.h, step.c
        yield (x_n, before, step), h


def back(
    params: Params, cache: list[Step], ends: list[Any], dh_end: Array
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Yield x_t, h_{t-1} and dL/da_t (n, 4H), twice, for t = T .. 1, from dL/dh (B, H) of the last steps."""
    dh_all, dc_all = np.zeros_like(dh_end), np.zeros_like(dh_end)  # (B, H)
    for step, end in zip(reversed(cache), reversed(ends), strict=True):
        x_n, (h_before, c_before), (i, f, g, o, c, h) = step
        dh_all[end] = dh_end[end]
        dh, dc_after = dh_all[: len(h)], dc_all[: len(h)]  # (n, H), views
        tanh_c = np.tanh(c)
        dc = dc_after + dh * o * (1 - tanh_c * tanh_c)  # from step t + 1, and from this step's h
        da_i = dc * g * (i * (1 - i))
        da_f = dc * c_before * (f * (1 - f))
        da_g = dc * i * (1 - g * g)
        da_o = dh * tanh_c * (o * (1 - o))
        da = np.concatenate((da_i, da_f, da_g, da_o), axis=1)  # (n, 4H)
        yield x_n, h_before, da, da
        dh[...] = da @ params["W"]
        dc_after[...] = dc * f  # straight
