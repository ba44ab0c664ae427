r"""The reference GRU in NumPy, its gradient derived by hand (back-propagation through time, BPTT).

This file is the reference and the baseline: it stays simple for ever, a faster way is a file of its
own. Open it beside ``impl_torch/gru.py``: the same functions in the same order, where autograd does
what ``loss_and_grads`` does here line by line.

Forward, for t = 1 .. T, with s the logistic sigmoid and * elementwise. U, W and their biases hold the
rows of the reset gate r, the update gate z and the candidate n one below the other::

    u_t   = U x_t + bU                w_t = W h_{t-1} + bW        h_0 = 0, or given
    r_t   = s(u_r + w_r)
    z_t   = s(u_z + w_z)
    n_t   = tanh(u_n + r_t * w_n)
    h_t   = (1 - z_t) * n_t + z_t * h_{t-1}
    y_hat = V h_T + bV
    loss  = mean over batch and outputs of huber(e),  e = y_hat - y     (as in rnn.py)

The reset gate comes after the recurrent product, as in cuDNN and PyTorch. Cho et al. put it before,
W_n (r_t * h_{t-1}), and so do Chung et al. In Cho et al. z_t keeps the old state, as here; Chung et
al. exchange z_t and 1 - z_t. bU and bW act as their sum in the gates, not in the candidate, where bW
is inside what r_t multiplies.

Backward. h_{t-1} reaches h_t on two ways: straight, times z_t, and through w_t. s' = s (1 - s), and
da is the derivative by what stands inside s or tanh (docs/derivation.md, chapter 9, says why)::

    dL/dn_t     = dL/dh_t * (1 - z_t)
    dL/dz_t     = dL/dh_t * (h_{t-1} - n_t)
    da_n        = dL/dn_t * (1 - n_t^2)
    da_r        = da_n * w_n * r_t (1 - r_t)
    da_z        = dL/dz_t * z_t (1 - z_t)
    dL/du_t     = [da_r, da_z, da_n]
    dL/dw_t     = [da_r, da_z, da_n * r_t]
    dL/dU       = sum over t and batch of  dL/du_t  x_t^T        dL/dbU = that of dL/du_t
    dL/dW       = sum over t and batch of  dL/dw_t  h_{t-1}^T    dL/dbW = that of dL/dw_t
    dL/dh_{t-1} = dL/dh_t * z_t + W^T dL/dw_t

The arrays hold one sample a row, so ``u = x U^T`` and sums over the batch are matrix products. Without
biases, bU, bW and bV are not among the parameters, nor in the gradient.

Shapes: U (3H, I), W (3H, H), bU and bW (3H,), V (O, H), bV (O,); x (T, B, I), y and y_hat (B, O).
Sources: Cho et al., Learning phrase representations using RNN encoder-decoder (2014); Chung et al.,
Empirical evaluation of gated recurrent neural networks (2014); the documentation of ``torch.nn.GRU``.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from impl_numpy.rnn import Array, Params, output, sigmoid


class Step(NamedTuple):
    """What the backward pass needs of a step: gates, candidate, w_n and the new state, (B, H) each."""

    r: Array
    z: Array
    n: Array
    w_n: Array
    h: Array


def zero_state(params: Params, x: Array) -> Array:
    """h_0 = 0, (B, H)."""
    return np.zeros((x.shape[1], params["W"].shape[1]), dtype=np.result_type(*params.values(), x))


def steps(params: Params, x: Array, *, state: Array | None = None) -> Iterator[Step]:
    """Yield the steps for t = 1 .. T, from ``state`` = h_0."""
    U, W = params["U"], params["W"]
    h = zero_state(params, x) if state is None else state  # (B, H)
    for x_t in x:  # (B, I)
        u, w = x_t @ U.T, h @ W.T  # (B, 3H)
        if "bU" in params:
            u, w = u + params["bU"], w + params["bW"]
        (u_r, u_z, u_n), (w_r, w_z, w_n) = np.split(u, 3, axis=1), np.split(w, 3, axis=1)  # (B, H) each
        r, z = sigmoid(u_r + w_r), sigmoid(u_z + w_z)
        n = np.tanh(u_n + r * w_n)
        h = (1 - z) * n + z * h
        yield Step(r, z, n, w_n, h)


def predict(params: Params, x: Array, *, state: Array | None = None) -> Array:
    """y_hat = V h_T + bV, (B, O), keeping nothing on the way."""
    for step in steps(params, x, state=state):  # noqa: B007  (the last one is used)
        pass
    return output(params, step.h)  # (B, O)


def forward(params: Params, x: Array, *, state: Array | None = None) -> tuple[Array, list[Step]]:
    """Return ``y_hat`` (B, O) and the cache that the backward pass needs: the steps 1 .. T."""
    cache = list(steps(params, x, state=state))
    return output(params, cache[-1].h), cache  # (B, O)


def stream(params: Params, x: Array, *, state: Array | None = None) -> tuple[Array, Array]:
    """Return y_t (B, O) and the next call's state, from x_t, the one step in ``x``, and this call's state."""
    y_hat, (step,) = forward(params, x, state=state)
    return y_hat, step.h


def loss_and_grads(
    params: Params, x: Array, y: Array, *, delta: float = 0.025, state: Array | None = None
) -> tuple[Array, Params]:
    """Return the mean Huber loss (0-d) and its gradient by BPTT, a dict like ``params``."""
    W, V = params["W"], params["V"]

    y_hat, cache = forward(params, x, state=state)
    e = y_hat - y  # (B, O)
    e_clipped = np.clip(e, -delta, delta)
    loss = np.mean(e_clipped * (e - e_clipped / 2))  # both sides of huber(e) in one expression

    dy_hat = e_clipped / e.size  # (B, O)
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    grads["V"] += dy_hat.T @ cache[-1].h  # (O, H)
    dh = dy_hat @ V  # (B, H)
    h_first = zero_state(params, x) if state is None else state
    for t in range(len(x) - 1, -1, -1):  # x[t] is x_{t+1}, cache[t] its step: the arrays count from 0
        r, z, n, w_n, _ = cache[t]
        h_before = cache[t - 1].h if t else h_first
        da_n = dh * (1 - z) * (1 - n * n)  # (B, H)
        da_r = da_n * w_n * (r * (1 - r))
        da_z = dh * (h_before - n) * (z * (1 - z))
        du = np.concatenate((da_r, da_z, da_n), axis=1)  # (B, 3H)
        dw = np.concatenate((da_r, da_z, da_n * r), axis=1)
        grads["U"] += du.T @ x[t]
        grads["W"] += dw.T @ h_before
        if "bU" in params:
            grads["bU"] += du.sum(axis=0)  # (3H,)
            grads["bW"] += dw.sum(axis=0)
        dh = dh * z + dw @ W  # straight, and through w
    if "bV" in params:
        grads["bV"] += dy_hat.sum(axis=0)  # (O,)
    return loss, grads


def sgd_step(
    params: Params, x: Array, y: Array, *, lr: float = 0.1, delta: float = 0.025, state: Array | None = None
) -> tuple[Array, Params]:
    """One step of gradient descent: return the loss before it and the new p - lr dL/dp."""
    loss, grads = loss_and_grads(params, x, y, delta=delta, state=state)
    return loss, {name: p - lr * grads[name] for name, p in params.items()}
