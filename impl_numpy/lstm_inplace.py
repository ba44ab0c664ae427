"""Variant ``numpy-inplace`` of the LSTM: the mathematics of lstm.py in a workspace that is allocated once.

Differs from lstm.py in five ways, each with the same result:

* every array is written in place (``out=``), so a call allocates nothing;
* a gate's numbers lie side by side, (gates, B, H): passes over columns of (B, 4H) would take up to five times
  as long; one matmul still computes all gates;
* the input products U x_t of all steps and gates are one matmul before the loop;
* the sigmoids of input and forget gate are one pass;
* all dL/da_t are kept, so dL/dU and dL/dW are one matmul each after the loop.
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
    U, W = p["U"].reshape(4, H, I), p["W"].reshape(4, H, H)
    UT, WT = U.transpose(0, 2, 1), W.transpose(0, 2, 1)
    biased = "bU" in p
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    a, product = np.empty((4, T, B, H), x.dtype), np.empty((4, B, H), x.dtype)  # a_t, then the gates
    hs, cs = np.zeros((n_states, B, H), x.dtype), np.zeros((n_states, B, H), x.dtype)
    b = np.empty_like(p["bU"]) if biased else np.empty(0)
    tanh_c, a_rows, b_rows = np.empty((keep, B, H), x.dtype), a.reshape(4, T * B, H), b.reshape(4, -1, H)
    both, (i, f, g, o) = a[:2], a  # input and forget gate; (T, B, H) each

    def start() -> None:
        hs[0] = cs[0] = 0

    def advance() -> Array:
        np.matmul(rows, UT, out=a_rows)  # (4, T B, H): U x_t of every step and gate
        if biased:
            np.add(p["bU"], p["bW"], out=b)
            np.add(a_rows, b_rows, out=a_rows)
        h, c = hs[0], cs[0]
        for t in range(T):
            a_t, h_new, c_new = a[:, t], hs[(t + 1) % n_states], cs[(t + 1) % n_states]
            np.matmul(h, WT, out=product)  # (4, B, H)
            np.add(a_t, product, out=a_t)
            sigmoid_into(both[:, t], both[:, t])
            np.tanh(g[t], out=g[t])
            sigmoid_into(o[t], o[t])
            np.multiply(f[t], c, out=c_new)
            np.multiply(i[t], g[t], out=h_new)
            np.add(c_new, h_new, out=c_new)
            tanh_t = tanh_c[t % keep]
            np.tanh(c_new, out=tanh_t)
            np.multiply(o[t], tanh_t, out=h_new)
            h, c = h_new, c_new
        return h

    da = np.empty((4, keep, B, H), x.dtype)
    da_i, da_f, da_g, da_o = da
    dc, d_gate, d_c = (np.empty((B, H), x.dtype) for _ in range(3))
    da_rows, h_rows = da.reshape(4, keep * B, H), hs[:keep].reshape(keep * B, H)
    da_rowsT = da_rows.transpose(0, 2, 1)

    def back(dh: Array, grads: Params) -> None:
        dc[...] = 0
        for t in range(T - 1, -1, -1):
            np.multiply(dh, tanh_c[t], out=d_gate)
            times_sigmoid_prime(o[t], d_gate, da_o[t])
            np.multiply(dh, o[t], out=d_gate)
            times_tanh_prime(tanh_c[t], d_gate, d_c)
            np.add(dc, d_c, out=dc)
            np.multiply(dc, g[t], out=d_gate)
            times_sigmoid_prime(i[t], d_gate, da_i[t])
            np.multiply(dc, cs[t], out=d_gate)
            times_sigmoid_prime(f[t], d_gate, da_f[t])
            np.multiply(dc, i[t], out=d_gate)
            times_tanh_prime(g[t], d_gate, da_g[t])
            if t:
                np.matmul(da[:, t], W, out=product)
                np.sum(product, axis=0, out=dh)
                np.multiply(dc, f[t], out=dc)
        np.matmul(da_rowsT, rows, out=grads["U"].reshape(4, H, I))  # the sum over t and batch
        np.matmul(da_rowsT, h_rows, out=grads["W"].reshape(4, H, H))
        if biased:
            np.sum(da_rows, axis=1, out=grads["bU"].reshape(4, H))
            np.copyto(grads["bW"], grads["bU"])

    return bind_in_place(task, params, p, y, start, advance, back, delta=delta, lr=lr)
