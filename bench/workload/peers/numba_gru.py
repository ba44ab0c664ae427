"""The GRU of ``numba-loop``: gates r, z and n, with h_t = n + z (h_{t-1} - n)."""

import math
from typing import Any

import numpy as np

STATES, SUMS = 1, 2  # h; U x_t + bU and then r, z, n, and W h_{t-1} + bW


def forward(
    U: Any, W: Any, V: Any, bU: Any, bW: Any, bV: Any, x: Any, work: Any, y_hat: Any, activation: int
) -> None:
    """Write y_hat (B, O) and the states: all of them after h_0, or the last two in turn."""
    hs, us, ws = work
    kept, H, half = len(hs), W.shape[1], W.dtype.type(0.5)
    for t in range(len(x)):
        h, h_next, u, w = hs[t % kept], hs[(t + 1) % kept], us[t % len(us)], ws[t % len(ws)]
        np.dot(h, W.T, w)
        for s in range(h.shape[0]):
            for k in range(3 * H):
                v = bU[k]
                for i in range(x.shape[2]):
                    v += x[t, s, i] * U[k, i]
                u[s, k] = v
                w[s, k] += bW[k]
            for j in range(H):
                r = half * math.tanh(half * (u[s, j] + w[s, j])) + half
                z = half * math.tanh(half * (u[s, H + j] + w[s, H + j])) + half
                n = math.tanh(u[s, 2 * H + j] + r * w[s, 2 * H + j])
                u[s, j], u[s, H + j], u[s, 2 * H + j] = r, z, n
                h_next[s, j] = n + z * (h[s, j] - n)
    np.dot(hs[len(x) % kept], V.T, y_hat)
    y_hat += bV


def backward(W: Any, work: Any, dh: Any, activation: int) -> Any:
    """Return the derivatives (T, B, 3 H) by U x_t and by W h_{t-1}; ``dh`` (B, H) is dL/dh_T at first."""
    hs, us, ws = work
    H, dh_past = W.shape[1], np.zeros_like(dh)
    for t in range(len(us) - 1, -1, -1):
        h, u, w = hs[t], us[t], ws[t]
        for s in range(h.shape[0]):
            for j in range(H):
                r, z, n, d = u[s, j], u[s, H + j], u[s, 2 * H + j], dh[s, j]
                da_n = d - d * z
                da_n -= da_n * n * n
                dr, dz = da_n * w[s, 2 * H + j], d * (h[s, j] - n)
                u[s, j] = w[s, j] = dr * r - dr * r * r
                u[s, H + j] = w[s, H + j] = dz * z - dz * z * z
                u[s, 2 * H + j], w[s, 2 * H + j] = da_n, da_n * r
                dh[s, j] = d * z
        np.dot(w, W, dh_past)
        dh += dh_past
    return us, ws
