"""Variant ``numpy-inplace`` of the GRU: the mathematics of gru.py in a workspace that is allocated once.

Differs from gru.py in four ways, each with the same result:

* every array is written in place (``out=``), so a call allocates nothing;
* the input products U x_t of all steps and gates are one matrix product before the loop;
* the sigmoids of both gates are one pass, as their rows lie side by side;
* all dL/dw_t are kept, so dL/dW is one matrix product after the loop, and dL/dU two.
"""

import numpy as np

from impl_numpy.contract import Bound
from impl_numpy.rnn import Array, Params
from impl_numpy.rnn_inplace import sigmoid_into, times_sigmoid_prime, times_tanh_prime
from impl_numpy.workspace import bind_in_place


def bind(task: str, params: Params, x: Array, y: Array, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    T, B, I = x.shape  # noqa: E741  (the project's letter for features)
    H, keep = params["W"].shape[1], 1 if task == "forward" else T  # steps that are kept for the way back
    p = {name: array.copy() for name, array in params.items()}
    UT, W, WT = p["U"].T, p["W"], p["W"].T  # views: they follow the updates
    biased = "bU" in p
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    u, w = np.empty((T, B, 3 * H), x.dtype), np.empty((keep, B, 3 * H), x.dtype)
    gates, n = np.empty((keep, B, 2 * H), x.dtype), np.empty((keep, B, H), x.dtype)
    hs, u_rows = np.zeros((keep + 1, B, H), x.dtype), u.reshape(T * B, 3 * H)

    def advance() -> Array:
        np.matmul(rows, UT, out=u_rows)  # (T B, 3H): U x_t of every step
        if biased:
            np.add(u_rows, p["bU"], out=u_rows)
        h = hs[0]
        h[...] = 0
        for t in range(T):
            u_t, w_t, rz, n_t = u[t], w[t % keep], gates[t % keep], n[t % keep]
            np.matmul(h, WT, out=w_t)  # (B, 3H)
            if biased:
                np.add(w_t, p["bW"], out=w_t)
            np.add(u_t[:, : 2 * H], w_t[:, : 2 * H], out=rz)
            sigmoid_into(rz, rz)
            np.multiply(rz[:, :H], w_t[:, 2 * H :], out=n_t)  # r * w_n
            np.add(n_t, u_t[:, 2 * H :], out=n_t)
            np.tanh(n_t, out=n_t)
            h_new = hs[(t + 1) % len(hs)]
            np.subtract(h, n_t, out=h_new)  # n + z (h - n)
            np.multiply(h_new, rz[:, H:], out=h_new)
            np.add(h_new, n_t, out=h_new)
            h = h_new
        return h

    dw, du_n = np.empty((keep, B, 3 * H), x.dtype), np.empty((keep, B, H), x.dtype)
    product, d_n, d_z = (np.empty((B, H), x.dtype) for _ in range(3))
    dw_rows, du_n_rows, h_rows = dw.reshape(-1, 3 * H), du_n.reshape(-1, H), hs[:-1].reshape(-1, H)

    def back(dh: Array, grads: Params) -> None:
        for t in range(T - 1, -1, -1):
            r, z, n_t, h, dw_t = gates[t, :, :H], gates[t, :, H:], n[t], hs[t], dw[t]
            np.multiply(dh, z, out=product)  # what h_{t-1} gets straight
            np.subtract(dh, product, out=d_n)  # dh (1 - z)
            times_tanh_prime(n_t, d_n, du_n[t])
            np.multiply(du_n[t], r, out=dw_t[:, 2 * H :])
            np.multiply(du_n[t], w[t, :, 2 * H :], out=d_n)
            np.subtract(h, n_t, out=d_z)
            np.multiply(d_z, dh, out=d_z)
            times_sigmoid_prime(r, d_n, dw_t[:, :H])
            times_sigmoid_prime(z, d_z, dw_t[:, H : 2 * H])
            if t:
                np.matmul(dw_t, W, out=dh)
                np.add(dh, product, out=dh)
        np.matmul(dw_rows.T, h_rows, out=grads["W"])  # (3H, T B) (T B, H): the sum over t and batch
        np.matmul(dw_rows[:, : 2 * H].T, rows, out=grads["U"][: 2 * H])
        np.matmul(du_n_rows.T, rows, out=grads["U"][2 * H :])
        if biased:
            np.sum(dw_rows, axis=0, out=grads["bW"])
            np.sum(dw_rows[:, : 2 * H], axis=0, out=grads["bU"][: 2 * H])
            np.sum(du_n_rows, axis=0, out=grads["bU"][2 * H :])

    return bind_in_place(task, params, p, y, advance, back, delta=delta, lr=lr)
