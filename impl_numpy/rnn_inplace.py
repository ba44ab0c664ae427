"""Variant ``numpy-inplace``: the mathematics of rnn.py in a workspace that is allocated once.

Differs from rnn.py in three ways, each with the same result:

* every array is written in place (``out=``), so a call allocates nothing;
* the input products U x_t of all steps are one matrix product before the loop;
* all dL/da_t are kept, so dL/dU and dL/dW are one matrix product each after the loop.
"""

from collections.abc import Callable

import numpy as np

from impl_numpy.contract import Bound
from impl_numpy.rnn import Array, Params
from impl_numpy.workspace import bind_in_place, copies, kept


def tanh_into(a: Array, out: Array) -> None:
    """out = tanh(a)."""
    np.tanh(a, out=out)


def sigmoid_into(a: Array, out: Array) -> None:
    """out = 1 / (1 + exp(-a)) = (1 + tanh(a / 2)) / 2, which never overflows."""
    np.multiply(a, 0.5, out=out)
    np.tanh(out, out=out)
    np.multiply(out, 0.5, out=out)
    np.add(out, 0.5, out=out)


def relu_into(a: Array, out: Array) -> None:
    """out = max(a, 0)."""
    np.maximum(a, 0, out=out)


def times_tanh_prime(h: Array, dh: Array, out: Array) -> None:
    """out = dh (1 - h^2)."""
    np.multiply(h, h, out=out)
    np.subtract(1, out, out=out)
    np.multiply(out, dh, out=out)


def times_sigmoid_prime(h: Array, dh: Array, out: Array) -> None:
    """out = dh h (1 - h)."""
    np.subtract(1, h, out=out)
    np.multiply(out, h, out=out)
    np.multiply(out, dh, out=out)


def times_relu_prime(h: Array, dh: Array, out: Array) -> None:
    """out = dh where h > 0, else 0."""
    np.sign(h, out=out)
    np.multiply(out, dh, out=out)


ACTIVATIONS: dict[str, tuple[Callable[[Array, Array], None], Callable[[Array, Array, Array], None]]] = {
    "tanh": (tanh_into, times_tanh_prime),
    "sigmoid": (sigmoid_into, times_sigmoid_prime),
    "relu": (relu_into, times_relu_prime),
}


def bind(
    task: str,
    params: Params,
    x: Array,
    y: Array,
    *,
    activation: str,
    delta: float,
    lr: float,
) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    T, B, I = x.shape  # noqa: E741  (the project's letter for features)
    H, (keep, n_states) = len(params["W"]), kept(task, T)
    act, times_act_prime = ACTIVATIONS[activation]

    p = copies(task, params, B)
    UT, W, WT = p["U"].T, p["W"], p["W"].T  # views: they follow the updates
    biased = "bU" in p
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    a, hs = np.empty((T, B, H), x.dtype), np.zeros((n_states, B, H), x.dtype)
    b = np.empty_like(p["bU"]) if biased else np.empty(0)
    a_rows, b_rows, product = a.reshape(T * B, H), b.reshape(-1, H), np.empty((B, H), x.dtype)

    def start() -> None:
        hs[0] = 0

    def advance() -> Array:
        np.matmul(rows, UT, out=a_rows)  # (T B, H): U x_t of every step
        if biased:
            np.add(p["bU"], p["bW"], out=b)
            np.add(a_rows, b_rows, out=a_rows)
        h = hs[0]
        for t in range(T):
            a_t = a[t]  # (B, H)
            np.matmul(h, WT, out=product)
            np.add(a_t, product, out=a_t)
            h = hs[(t + 1) % n_states]
            act(a_t, h)
        return h

    das = np.empty((keep, B, H), x.dtype)
    da_rows, h_rows = das.reshape(keep * B, H), hs[:keep].reshape(keep * B, H)

    def back(dh: Array, grads: Params) -> None:
        for t in range(T, 0, -1):
            times_act_prime(hs[t], dh, das[t - 1])
            if t > 1:
                np.matmul(das[t - 1], W, out=dh)
        np.matmul(da_rows.T, rows, out=grads["U"])  # (H, T B) (T B, I): the sum over t and batch
        np.matmul(da_rows.T, h_rows, out=grads["W"])
        if biased:
            np.sum(da_rows, axis=0, out=grads["bU"])
            np.copyto(grads["bW"], grads["bU"])

    return bind_in_place(task, params, p, y, start, advance, back, delta=delta, lr=lr)
