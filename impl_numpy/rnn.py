r"""The reference RNN in NumPy, its gradient derived by hand (back-propagation through time, BPTT).

This file is the reference and the baseline: it stays simple for ever, a faster way is a file of its
own. Open it beside ``impl_torch/rnn.py``: the same functions in the same order, where autograd does
what ``loss_and_grads`` does here line by line.

Forward, for t = 1 .. T, with act = tanh, the logistic sigmoid or relu::

    a_t   = U x_t + W h_{t-1}         h_0 = 0, or given; with biases  + bU + bW
    h_t   = act(a_t)
    y_hat = V h_T                     with a bias  + bV
    loss  = mean over batch and outputs of huber(e),  e = y_hat - y
    huber(e) = e^2 / 2                        where |e| <= delta
             = delta (|e| - delta / 2)        elsewhere

Backward. The loss reaches the weights only through h_T, and h_{t-1} only through a_t, so the chain
rule walks once from t = T down to 1 (act' is written in terms of h: 1 - h^2, h (1 - h) or h > 0)::

    dL/dy_hat   = clip(e, -delta, delta) / (B O)
    dL/dV       = sum over batch of  dL/dy_hat  h_T^T
    dL/dh_T     = V^T dL/dy_hat
    dL/da_t     = dL/dh_t * act'(a_t)
    dL/dU       = sum over t and batch of  dL/da_t  x_t^T
    dL/dW       = sum over t and batch of  dL/da_t  h_{t-1}^T
    dL/dh_{t-1} = W^T dL/da_t
    dL/dbU = dL/dbW = sum over t and batch of  dL/da_t        dL/dbV = sum over batch of  dL/dy_hat

The arrays hold one sample a row, so ``a = x U^T + h W^T`` and sums over the batch are matrix products.

Shapes: U (H, I), W (H, H), V (O, H), bU and bW (H,), bV (O,); x (T, B, I), y and y_hat (B, O).
Sources: Werbos, Backpropagation through time (Proc. IEEE 78, 1990); Goodfellow, Bengio and Courville,
Deep Learning (2016), section 10.2; Huber, Robust estimation of a location parameter (1964).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Params = dict[str, Array]


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), in the form that never overflows: exp only ever sees -|a|."""
    positive = a.real >= 0
    z = np.exp(np.where(positive, -a, a))
    return np.where(positive, 1 / (1 + z), z / (1 + z))


def relu(a: Array) -> Array:
    """max(a, 0); of complex numbers the real part decides."""
    return np.where(a.real > 0, a, 0)


# name: act(a), and act'(a) written in terms of h = act(a)
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "sigmoid": (sigmoid, lambda h: h * (1 - h)),
    "relu": (relu, lambda h: h > 0),
}


def hidden_states(
    params: Params, x: Array, *, activation: str = "tanh", state: Array | None = None
) -> Iterator[Array]:
    """Yield h_0 = ``state``, then h_t = act(U x_t + W h_{t-1}) for t = 1 .. T, each (B, H)."""
    U, W = params["U"], params["W"]
    b = params["bU"] + params["bW"] if "bU" in params else None  # (H,)
    act, _ = ACTIVATIONS[activation]
    h = np.zeros((x.shape[1], len(W)), np.result_type(U, W, x)) if state is None else state  # (B, H)
    yield h
    for x_t in x:  # (B, I)
        a = x_t @ U.T + h @ W.T  # (B, H)
        h = act(a if b is None else a + b)
        yield h


def output(params: Params, h: Array) -> Array:
    """y_hat = V h, and the bias where there is one, (B, O)."""
    y_hat = h @ params["V"].T
    return y_hat + params["bV"] if "bV" in params else y_hat


def predict(params: Params, x: Array, *, activation: str = "tanh", state: Array | None = None) -> Array:
    """y_hat = V h_T, (B, O), keeping nothing on the way."""
    for h in hidden_states(params, x, activation=activation, state=state):  # noqa: B007  (the last is used)
        pass
    return output(params, h)  # (B, O)


def forward(
    params: Params, x: Array, *, activation: str = "tanh", state: Array | None = None
) -> tuple[Array, list[Array]]:
    """Return ``y_hat`` (B, O) and the cache that the backward pass needs: [h_0, ..., h_T]."""
    hs = list(hidden_states(params, x, activation=activation, state=state))
    return output(params, hs[-1]), hs  # (B, O)


def stream(
    params: Params, x: Array, *, activation: str = "tanh", state: Array | None = None
) -> tuple[Array, Array]:
    """Return y_t (B, O) and the next call's state, from x_t, the one step in ``x``, and this call's state."""
    y_hat, (_, h) = forward(params, x, activation=activation, state=state)
    return y_hat, h


def loss_and_grads(
    params: Params,
    x: Array,
    y: Array,
    *,
    activation: str = "tanh",
    delta: float = 0.025,
    state: Array | None = None,
) -> tuple[Array, Params]:
    """Return the mean Huber loss (0-d) and its gradient by BPTT, a dict like ``params``."""
    W, V = params["W"], params["V"]
    _, act_prime = ACTIVATIONS[activation]

    y_hat, hs = forward(params, x, activation=activation, state=state)
    e = y_hat - y  # (B, O)
    e_clipped = np.clip(e, -delta, delta)
    loss = np.mean(e_clipped * (e - e_clipped / 2))  # both sides of huber(e) in one expression

    dy_hat = e_clipped / e.size  # (B, O)
    dV = dy_hat.T @ hs[-1]  # (O, H)
    dU, dW, db = np.zeros_like(params["U"]), np.zeros_like(W), np.zeros_like(W[0])
    biased = "bU" in params
    dh = dy_hat @ V  # (B, H)
    for t in range(len(x), 0, -1):
        da = dh * act_prime(hs[t])  # (B, H)
        dU += da.T @ x[t - 1]  # x[t - 1] is x_t: the array counts from 0
        dW += da.T @ hs[t - 1]
        if biased:
            db += da.sum(axis=0)  # (H,)
        dh = da @ W
    biases = {"bU": db, "bW": db.copy(), "bV": dy_hat.sum(axis=0)} if biased else {}
    return loss, {"U": dU, "W": dW, "V": dV} | biases


def sgd_step(
    params: Params,
    x: Array,
    y: Array,
    *,
    lr: float = 0.1,
    activation: str = "tanh",
    delta: float = 0.025,
    state: Array | None = None,
) -> tuple[Array, Params]:
    """One step of gradient descent: return the loss before it and the new p - lr dL/dp."""
    loss, grads = loss_and_grads(params, x, y, activation=activation, delta=delta, state=state)
    return loss, {name: p - lr * grads[name] for name, p in params.items()}
