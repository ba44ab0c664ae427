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


def bind(task: str, params: Params, x: Array, y: Array, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    T, B, I = x.shape  # noqa: E741  (the project's letter for features)
    O, H = params["V"].shape  # noqa: E741  (and for outputs)
    p = {name: array.copy() for name, array in params.items()}
    UT, WT, VT = p["U"].T, p["W"].T, p["V"].T  # views: they follow the updates
    biased = "bU" in p
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    steps = 2 if task == "forward" else T + 1  # states that are kept
    a, product = np.empty((T, B, 4 * H), x.dtype), np.empty((B, 4 * H), x.dtype)  # a_t, then the gates
    hs, cs = np.zeros((steps, B, H), x.dtype), np.zeros((steps, B, H), x.dtype)
    tanh_c = np.empty((1 if task == "forward" else T, B, H), x.dtype)
    a_rows, b, y_hat = a.reshape(T * B, 4 * H), np.empty(4 * H, x.dtype), np.empty((B, O), x.dtype)
    i, f, g, o = (slice(number * H, (number + 1) * H) for number in range(4))

    def forward() -> None:
        np.matmul(rows, UT, out=a_rows)  # (T B, 4H): U x_t of every step
        if biased:
            np.add(p["bU"], p["bW"], out=b)
            np.add(a_rows, b, out=a_rows)
        h, c = hs[0], cs[0]
        h[...] = c[...] = 0
        for t in range(T):
            a_t, h_new, c_new = a[t], hs[(t + 1) % steps], cs[(t + 1) % steps]
            np.matmul(h, WT, out=product)
            np.add(a_t, product, out=a_t)
            sigmoid_into(a_t[:, : 2 * H], a_t[:, : 2 * H])  # i and f
            np.tanh(a_t[:, g], out=a_t[:, g])
            sigmoid_into(a_t[:, o], a_t[:, o])
            np.multiply(a_t[:, f], c, out=c_new)
            np.multiply(a_t[:, i], a_t[:, g], out=h_new)
            np.add(c_new, h_new, out=c_new)
            tanh_t = tanh_c[t % len(tanh_c)]
            np.tanh(c_new, out=tanh_t)
            np.multiply(a_t[:, o], tanh_t, out=h_new)
            h, c = h_new, c_new
        np.matmul(h, VT, out=y_hat)  # (B, O)
        if biased:
            np.add(y_hat, p["bV"], out=y_hat)

    if task == "forward":
        return Bound(forward, lambda: None, lambda: {"y_hat": y_hat})

    grads = {name: np.empty_like(array) for name, array in p.items()}
    e, e_clipped, part = (np.empty((B, O), x.dtype) for _ in range(3))
    da = np.empty((T, B, 4 * H), x.dtype)
    dh, dc, d_gate, d_c = (np.empty((B, H), x.dtype) for _ in range(4))
    da_rows, h_rows = da.reshape(T * B, 4 * H), hs[:-1].reshape(T * B, H)
    loss = np.zeros((), x.dtype)

    def gradient() -> None:
        forward()
        np.subtract(y_hat, y, out=e)
        np.clip(e, -delta, delta, out=e_clipped)
        np.multiply(e_clipped, 0.5, out=part)
        np.subtract(e, part, out=part)
        np.multiply(part, e_clipped, out=part)
        np.mean(part, out=loss)

        np.divide(e_clipped, y.size, out=e_clipped)  # dL/dy_hat
        np.matmul(e_clipped.T, hs[T], out=grads["V"])
        np.matmul(e_clipped, p["V"], out=dh)  # (B, H)
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
                np.matmul(da_t, p["W"], out=dh)
                np.multiply(dc, gates[:, f], out=dc)
        np.matmul(da_rows.T, rows, out=grads["U"])  # (4H, T B) (T B, I): the sum over t and batch
        np.matmul(da_rows.T, h_rows, out=grads["W"])
        if biased:
            np.sum(da_rows, axis=0, out=grads["bU"])
            np.copyto(grads["bW"], grads["bU"])
            np.sum(e_clipped, axis=0, out=grads["bV"])

    def train_step() -> None:
        gradient()
        for name, grad in grads.items():
            np.multiply(grad, lr, out=grad)
            np.subtract(p[name], grad, out=p[name])

    def reset() -> None:
        for name, array in params.items():
            p[name][...] = array

    def result() -> dict[str, Array]:
        if task == "gradient":
            return {"loss": loss} | {f"d{name}": grad for name, grad in grads.items()}
        return {"loss": loss} | p

    return Bound({"gradient": gradient, "train_step": train_step}[task], reset, result)
