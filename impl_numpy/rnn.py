r"""The reference RNN in NumPy, its gradient derived by hand (back-propagation through time, BPTT).

This file is the reference and the baseline: it stays simple for ever, a faster way is a file of its
own. Open it beside ``impl_torch/rnn.py``: the same functions in the same order, where autograd does
what ``loss_and_grads`` does here line by line.

Forward, for t = 1 .. T, with act = tanh or the logistic sigmoid::

    a_t   = U x_t + W h_{t-1}         h_0 = 0
    h_t   = act(a_t)
    y_hat = V h_T
    loss  = mean over batch and outputs of huber(e),  e = y_hat - y
    huber(e) = e^2 / 2                        where |e| <= delta
             = delta (|e| - delta / 2)        elsewhere

Backward. The loss reaches the weights only through h_T, and h_{t-1} only through a_t, so the chain
rule walks once from t = T down to 1 (act' is written in terms of h: 1 - h^2 or h (1 - h))::

    dL/dy_hat   = clip(e, -delta, delta) / (B O)
    dL/dV       = sum over batch of  dL/dy_hat  h_T^T
    dL/dh_T     = V^T dL/dy_hat
    dL/da_t     = dL/dh_t * act'(a_t)
    dL/dU       = sum over t and batch of  dL/da_t  x_t^T
    dL/dW       = sum over t and batch of  dL/da_t  h_{t-1}^T
    dL/dh_{t-1} = W^T dL/da_t

The arrays hold one sample a row, so ``a = x U^T + h W^T`` and sums over the batch are matrix products.

Shapes: U (H, I), W (H, H), V (O, H); x (T, B, I), y and y_hat (B, O).
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


# name: act(a), and act'(a) written in terms of h = act(a)
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "sigmoid": (sigmoid, lambda h: h * (1 - h)),
}


def hidden_states(params: Params, x: Array, *, activation: str = "tanh") -> Iterator[Array]:
    """Yield h_0 = 0, then h_t = act(U x_t + W h_{t-1}) for t = 1 .. T, each (B, H)."""
    U, W = params["U"], params["W"]
    act, _ = ACTIVATIONS[activation]
    h = np.zeros((x.shape[1], W.shape[0]), dtype=np.result_type(U, W, x))  # (B, H)
    yield h
    for x_t in x:  # (B, I)
        h = act(x_t @ U.T + h @ W.T)  # (B, H)
        yield h


def predict(params: Params, x: Array, *, activation: str = "tanh") -> Array:
    """y_hat = V h_T, (B, O), keeping nothing on the way."""
    for h in hidden_states(params, x, activation=activation):  # noqa: B007  (the last one is used)
        pass
    return h @ params["V"].T  # (B, O)


def forward(params: Params, x: Array, *, activation: str = "tanh") -> tuple[Array, list[Array]]:
    """Return ``y_hat`` (B, O) and the cache that the backward pass needs: [h_0, ..., h_T]."""
    hs = list(hidden_states(params, x, activation=activation))
    return hs[-1] @ params["V"].T, hs  # (B, O)


def loss_and_grads(
    params: Params, x: Array, y: Array, *, activation: str = "tanh", delta: float = 0.025
) -> tuple[Array, Params]:
    """Return the mean Huber loss (0-d) and its gradient by BPTT, a dict like ``params``."""
    W, V = params["W"], params["V"]
    _, act_prime = ACTIVATIONS[activation]

    y_hat, hs = forward(params, x, activation=activation)
    e = y_hat - y  # (B, O)
    e_clipped = np.clip(e, -delta, delta)
    loss = np.mean(e_clipped * (e - e_clipped / 2))  # both sides of huber(e) in one expression

    dy_hat = e_clipped / e.size  # (B, O)
    dV = dy_hat.T @ hs[-1]  # (O, H)
    dU, dW = np.zeros_like(params["U"]), np.zeros_like(W)
    dh = dy_hat @ V  # (B, H)
    for t in range(len(x), 0, -1):
        da = dh * act_prime(hs[t])  # (B, H)
        dU += da.T @ x[t - 1]  # x[t - 1] is x_t: the array counts from 0
        dW += da.T @ hs[t - 1]
        dh = da @ W
    return loss, {"U": dU, "W": dW, "V": dV}


def sgd_step(
    params: Params,
    x: Array,
    y: Array,
    *,
    lr: float = 0.1,
    activation: str = "tanh",
    delta: float = 0.025,
) -> tuple[Array, Params]:
    """One step of gradient descent: return the loss before it and the new p - lr dL/dp."""
    loss, grads = loss_and_grads(params, x, y, activation=activation, delta=delta)
    return loss, {name: p - lr * grads[name] for name, p in params.items()}
