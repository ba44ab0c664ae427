"""Variant ``numpy-inplace`` of the GRU: the mathematics of gru.py in a workspace that is allocated once.

Differs from gru.py in five ways, each with the same result:

* every array is written in place (``out=``), so a call allocates nothing;
* a gate's numbers lie side by side, (gates, B, H): passes over columns of (B, 3H) would take up to five times
  as long; one matmul still computes all gates;
* the input products U x_t of all steps and gates are one matmul before the loop;
* the sigmoids of both gates are one pass;
* all dL/dw_t are kept, so dL/dW is one matmul after the loop, and dL/dU two.
"""

import numpy as np

from impl_numpy.contract import Bound
from impl_numpy.rnn import Array, Params
from impl_numpy.rnn_inplace import sigmoid_into, times_sigmoid_prime, times_tanh_prime
from impl_numpy.workspace import bind_in_place, copies, kept


def bind(task: str, params: Params, x: Array, y: Array, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    T, B, I = x.shape  # noqa: E741  (the project's letter for features)
    H, (keep, n_states) = params["W"].shape[1], kept(task, T)
    p = copies(task, params, B)
    # one matrix a gate, so that a gate's numbers lie side by side; views: they follow the updates
    U, W = p["U"].reshape(3, H, I), p["W"].reshape(3, H, H)
    UT, WT = U.transpose(0, 2, 1), W.transpose(0, 2, 1)
    bU, bW = (p[name].reshape(3, -1, H) if name in p else None for name in ("bU", "bW"))
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    u, w = np.empty((3, T, B, H), x.dtype), np.empty((3, keep, B, H), x.dtype)
    rz, n = np.empty((2, keep, B, H), x.dtype), np.empty((keep, B, H), x.dtype)
    hs, u_rows = np.zeros((n_states, B, H), x.dtype), u.reshape(3, T * B, H)
    u_n, w_n, (r, z) = u[2], w[2], rz  # (T, B, H) each

    def start() -> None:
        hs[0] = 0

    def advance() -> Array:
        np.matmul(rows, UT, out=u_rows)  # (3, T B, H): U x_t of every step and gate
        if bU is not None:
            np.add(u_rows, bU, out=u_rows)
        h = hs[0]
        for t in range(T):
            k = t % keep
            w_t, rz_t, n_t, h_new = w[:, k], rz[:, k], n[k], hs[(t + 1) % n_states]
            np.matmul(h, WT, out=w_t)  # (3, B, H)
            if bW is not None:
                np.add(w_t, bW, out=w_t)
            np.add(u[:2, t], w_t[:2], out=rz_t)
            sigmoid_into(rz_t, rz_t)
            np.multiply(r[k], w_n[k], out=n_t)
            np.add(n_t, u_n[t], out=n_t)
            np.tanh(n_t, out=n_t)
            np.subtract(h, n_t, out=h_new)  # n + z (h - n)
            np.multiply(h_new, z[k], out=h_new)
            np.add(h_new, n_t, out=h_new)
            h = h_new
        return h

    dw, du_n = np.empty((3, keep, B, H), x.dtype), np.empty((keep, B, H), x.dtype)
    dw_r, dw_z, dw_n = dw
    straight, d_n, d_z = (np.empty((B, H), x.dtype) for _ in range(3))
    product = np.empty((3, B, H), x.dtype)
    dw_rowsT, du_n_rows = dw.reshape(3, keep * B, H).transpose(0, 2, 1), du_n.reshape(keep * B, H)
    h_rows = hs[:keep].reshape(keep * B, H)

    def back(dh: Array, grads: Params) -> None:
        for t in range(T - 1, -1, -1):
            np.multiply(dh, z[t], out=straight)  # what h_{t-1} gets straight
            np.subtract(dh, straight, out=d_n)  # dh (1 - z)
            times_tanh_prime(n[t], d_n, du_n[t])
            np.multiply(du_n[t], r[t], out=dw_n[t])
            np.multiply(du_n[t], w_n[t], out=d_n)
            np.subtract(hs[t], n[t], out=d_z)
            np.multiply(d_z, dh, out=d_z)
            times_sigmoid_prime(r[t], d_n, dw_r[t])
            times_sigmoid_prime(z[t], d_z, dw_z[t])
            if t:
                np.matmul(dw[:, t], W, out=product)  # (3, B, H)
                np.sum(product, axis=0, out=dh)
                np.add(dh, straight, out=dh)
        np.matmul(dw_rowsT, h_rows, out=grads["W"].reshape(3, H, H))  # the sum over t and batch
        np.matmul(dw_rowsT[:2], rows, out=grads["U"][: 2 * H].reshape(2, H, I))
        np.matmul(du_n_rows.T, rows, out=grads["U"][2 * H :])
        if bU is not None:
            np.sum(dw_rowsT, axis=2, out=grads["bW"].reshape(3, H))
            np.copyto(grads["bU"][: 2 * H], grads["bW"][: 2 * H])
            np.sum(du_n_rows, axis=0, out=grads["bU"][2 * H :])

    return bind_in_place(task, params, p, y, start, advance, back, delta=delta, lr=lr)
