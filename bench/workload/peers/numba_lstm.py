"""The LSTM of ``numba-loop``: gates i, f, g and o, with c_t = f c_{t-1} + i g and h_t = o tanh(c_t)."""

import math
from typing import Any

import numpy as np

STATES, SUMS = 2, 1  # h and c; W h_{t-1} and then i, f, g, o


def forward(
    U: Any, W: Any, V: Any, bU: Any, bW: Any, bV: Any, x: Any, work: Any, y_hat: Any, activation: int
) -> None:
    """Write y_hat (B, O) and the states: all of them after h_0 and c_0, or the last two in turn."""
    hs, cs, gates = work
    kept, H, half = len(hs), W.shape[1], W.dtype.type(0.5)
    for t in range(len(x)):
        h, c, c_next, a = hs[(t + 1) % kept], cs[t % kept], cs[(t + 1) % kept], gates[t % len(gates)]
        np.dot(hs[t % kept], W.T, a)
        for s in range(h.shape[0]):
            for k in range(4 * H):
                v = a[s, k] + bU[k] + bW[k]
                for n in range(x.shape[2]):
                    v += x[t, s, n] * U[k, n]
                is_g = 2 * H <= k < 3 * H
                a[s, k] = math.tanh(v) if is_g else half * math.tanh(half * v) + half
            for j in range(H):
                c_next[s, j] = a[s, H + j] * c[s, j] + a[s, j] * a[s, 2 * H + j]
                h[s, j] = a[s, 3 * H + j] * math.tanh(c_next[s, j])
    np.dot(hs[len(x) % kept], V.T, y_hat)
    y_hat += bV


def backward(W: Any, work: Any, dh: Any, activation: int) -> Any:
    """Return the derivatives (T, B, 4 H) by the gates' sums, twice; ``dh`` (B, H) is dL/dh_T at first."""
    _, cs, gates = work
    H, dc = W.shape[1], np.zeros_like(dh)
    for t in range(len(gates) - 1, -1, -1):
        a, c = gates[t], cs[t]
        for s in range(c.shape[0]):
            for j in range(H):
                i, f, g, o = a[s, j], a[s, H + j], a[s, 2 * H + j], a[s, 3 * H + j]
                v = math.tanh(cs[t + 1, s, j])
                d = dh[s, j] * o
                d += dc[s, j] - d * v * v  # dL/dc_t
                do, di, df, dg = dh[s, j] * v, d * g, d * c[s, j], d * i
                a[s, j], a[s, H + j] = di * i - di * i * i, df * f - df * f * f
                a[s, 2 * H + j], a[s, 3 * H + j] = dg - dg * g * g, do * o - do * o * o
                dc[s, j] = d * f
        np.dot(a, W, dh)
    return gates, gates
