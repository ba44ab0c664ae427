"""The RNN of ``numba-loop``: h_t = act(U x_t + bU + W h_{t-1} + bW)."""

import math
from typing import Any

import numpy as np

STATES, SUMS = 1, 1  # h; and on the way back dL/da_t


def forward(
    U: Any, W: Any, V: Any, bU: Any, bW: Any, bV: Any, x: Any, work: Any, y_hat: Any, activation: int
) -> None:
    """Write y_hat (B, O) and the states: all of them after h_0, or the last two in turn."""
    hs = work[0]
    kept = len(hs)
    for t in range(len(x)):
        a = hs[(t + 1) % kept]
        np.dot(hs[t % kept], W.T, a)
        for s in range(a.shape[0]):
            for j in range(a.shape[1]):
                v = a[s, j] + bU[j] + bW[j]
                for i in range(x.shape[2]):
                    v += x[t, s, i] * U[j, i]
                if activation == 0:
                    v = math.tanh(v)
                elif activation == 1:
                    v = 0.5 * math.tanh(0.5 * v) + 0.5
                elif v < 0:
                    v = v - v
                a[s, j] = v
    np.dot(hs[len(x) % kept], V.T, y_hat)
    y_hat += bV


def backward(W: Any, work: Any, dh: Any, activation: int) -> Any:
    """Return dL/da_t (T, B, H), twice; ``dh`` (B, H) is dL/dh_T at first."""
    hs, das = work
    for t in range(len(das), 0, -1):
        da, h = das[t - 1], hs[t]
        for s in range(h.shape[0]):
            for j in range(h.shape[1]):
                d = dh[s, j]
                if activation == 0:
                    d -= d * h[s, j] * h[s, j]
                elif activation == 1:
                    d = d * h[s, j] - d * h[s, j] * h[s, j]
                elif h[s, j] <= 0:
                    d = d - d
                da[s, j] = d
        np.dot(da, W, dh)
    return das, das
