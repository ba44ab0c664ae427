"""Variant ``numpy-inplace`` of the LSTM: the mathematics of lstm.py in a workspace that is allocated once.

Differs from lstm.py in four ways, each with the same result:

* every array is written in place (``out=``), so a call allocates nothing;
* the input products U x_t of all steps and gates are one matrix product before the loop;
* the sigmoids of neighbouring gates are one pass;
* all dL/da_t are kept, so dL/dU and dL/dW are one matrix product each after the loop.
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
    a, product = np.empty((T, B, 4 * H), x.dtype), np.empty((B, 4 * H), x.dtype)  # a_t, then the gates
    hs, cs = np.zeros((keep + 1, B, H), x.dtype), np.zeros((keep + 1, B, H), x.dtype)
    tanh_c, a_rows, b = np.empty((keep, B, H), x.dtype), a.reshape(T * B, 4 * H), np.empty(4 * H, x.dtype)
    i, f, g, o = (slice(number * H, (number + 1) * H) for number in range(4))

    def advance() -> Array:
        np.matmul(rows, UT, out=a_rows)  # (T B, 4H): U x_t of every step
        if biased:
            np.add(p["bU"], p["bW"], out=b)
            np.add(a_rows, b, out=a_rows)
        h, c = hs[0], cs[0]
        h[...] = c[...] = 0
        for t in range(T):
            a_t, h_new, c_new = a[t], hs[(t + 1) % (keep + 1)], cs[(t + 1) % (keep + 1)]
            np.matmul(h, WT, out=product)
            np.add(a_t, product, out=a_t)
            sigmoid_into(a_t[:, : 2 * H], a_t[:, : 2 * H])  # i and f
            np.tanh(a_t[:, g], out=a_t[:, g])
            sigmoid_into(a_t[:, o], a_t[:, o])
            np.multiply(a_t[:, f], c, out=c_new)
            np.multiply(a_t[:, i], a_t[:, g], out=h_new)
            np.add(c_new, h_new, out=c_new)
            tanh_t = tanh_c[t % keep]
            np.tanh(c_new, out=tanh_t)
            np.multiply(a_t[:, o], tanh_t, out=h_new)
            h, c = h_new, c_new
        return h

    da = np.empty((keep, B, 4 * H), x.dtype)
    dc, d_gate, d_c = (np.empty((B, H), x.dtype) for _ in range(3))
    da_rows, h_rows = da.reshape(-1, 4 * H), hs[:-1].reshape(-1, H)

    def back(dh: Array, grads: Params) -> None:
        dc[...] = 0
        for t in range(T - 1, -1, -1):
            gates, da_t = a[t], da[t]
            np.multiply(dh, tanh_c[t], out=d_gate)
            times_sigmoid_prime(gates[:, o], d_gate, da_t[:, o])
            np.multiply(dh, gates[:, o], out=d_gate)
            times_tanh_prime(tanh_c[t], d_gate, d_c)
            np.add(dc, d_c, out=dc)
            np.multiply(dc, gates[:, g], out=d_gate)
            times_sigmoid_prime(gates[:, i], d_gate, da_t[:, i])
            np.multiply(dc, cs[t], out=d_gate)
            times_sigmoid_prime(gates[:, f], d_gate, da_t[:, f])
            np.multiply(dc, gates[:, i], out=d_gate)
            times_tanh_prime(gates[:, g], d_gate, da_t[:, g])
            if t:
                np.matmul(da_t, W, out=dh)
                np.multiply(dc, gates[:, f], out=dc)
        np.matmul(da_rows.T, rows, out=grads["U"])  # (4H, T B) (T B, I): the sum over t and batch
        np.matmul(da_rows.T, h_rows, out=grads["W"])
        if biased:
            np.sum(da_rows, axis=0, out=grads["bU"])
            np.copyto(grads["bW"], grads["bU"])

    return bind_in_place(task, params, p, y, advance, back, delta=delta, lr=lr)
