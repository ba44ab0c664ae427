r"""The reference LSTM in NumPy, its gradient derived by hand (back-propagation through time, BPTT).

This file is the reference and the baseline: it stays simple for ever, a faster way is a file of its
own. Open it beside ``impl_torch/lstm.py``: the same functions in the same order, where autograd does
what ``loss_and_grads`` does here line by line.

Forward, for t = 1 .. T, with s the logistic sigmoid and * elementwise. U, W and the biases hold the
rows of the input gate i, the forget gate f, the candidate g and the output gate o one below the
other, and so does a_t::

    a_t   = U x_t + bU + W h_{t-1} + bW         h_0 = c_0 = 0, or given
    i_t   = s(a_i)      f_t = s(a_f)      g_t = tanh(a_g)      o_t = s(a_o)
    c_t   = f_t * c_{t-1} + i_t * g_t
    h_t   = o_t * tanh(c_t)
    y_hat = V h_T + bV
    loss  = mean over batch and outputs of huber(e),  e = y_hat - y     (as in rnn.py)

The first LSTM of Hochreiter and Schmidhuber had no forget gate; Gers et al. added it. There are no
peepholes (connections from c to the gates). The order of the gates is that of cuDNN, PyTorch and
Keras; ONNX has i, o, f, g. bU and bW act as their sum, so their gradients are equal.

Backward. Two states go back from step to step: h_{t-1} through a_t, and c_{t-1} straight, times f_t.
dL/dc_t begins as what step t + 1 handed back, 0 at t = T. s' = s (1 - s), and docs/derivation.md,
chapter 10, says why::

    dL/dc_t    += dL/dh_t * o_t * (1 - tanh(c_t)^2)
    dL/di_t     = dL/dc_t * g_t             dL/df_t = dL/dc_t * c_{t-1}
    dL/dg_t     = dL/dc_t * i_t             dL/do_t = dL/dh_t * tanh(c_t)
    dL/da_t     = [dL/di_t * i_t (1 - i_t),  dL/df_t * f_t (1 - f_t),
                   dL/dg_t * (1 - g_t^2),    dL/do_t * o_t (1 - o_t)]
    dL/dU       = sum over t and batch of  dL/da_t  x_t^T        dL/dbU = dL/dbW = that of dL/da_t
    dL/dW       = sum over t and batch of  dL/da_t  h_{t-1}^T
    dL/dh_{t-1} = W^T dL/da_t
    dL/dc_{t-1} = dL/dc_t * f_t

The arrays hold one sample a row, so ``a = x U^T + h W^T`` and sums over the batch are matrix products.
Without biases, bU, bW and bV are not among the parameters, nor in the gradient.

Shapes: U (4H, I), W (4H, H), bU and bW (4H,), V (O, H), bV (O,); x (T, B, I), y and y_hat (B, O).
Sources: Hochreiter and Schmidhuber, Long short-term memory (1997); Gers, Schmidhuber and Cummins,
Learning to forget (2000); the documentation of ``torch.nn.LSTM``.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from impl_numpy.rnn import Array, Params, output, sigmoid

State = tuple[Array, Array]  # h and c, (B, H) each


class Step(NamedTuple):
    """What the backward pass needs of a step: gates, candidate and the new states, (B, H) each."""

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


def zero_state(params: Params, x: Array) -> State:
    """h_0 = c_0 = 0, (B, H) each."""
    zeros = np.zeros((x.shape[1], params["W"].shape[1]), dtype=np.result_type(*params.values(), x))
    return zeros, zeros


def steps(params: Params, x: Array, *, state: State | None = None) -> Iterator[Step]:
    """Yield the steps for t = 1 .. T, from ``state`` = (h_0, c_0)."""
    U, W = params["U"], params["W"]
    b = params["bU"] + params["bW"] if "bU" in params else None  # (4H,)
    h, c = state or zero_state(params, x)  # (B, H)
    for x_t in x:  # (B, I)
        a = x_t @ U.T + h @ W.T  # (B, 4H)
        a_i, a_f, a_g, a_o = np.split(a if b is None else a + b, 4, axis=1)  # (B, H) each
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c = f * c + i * g
        h = o * np.tanh(c)
        yield Step(i, f, g, o, c, h)


def predict(params: Params, x: Array, *, state: State | None = None) -> Array:
    """y_hat = V h_T + bV, (B, O), keeping nothing on the way."""
    for step in steps(params, x, state=state):  # noqa: B007  (the last one is used)
        pass
    return output(params, step.h)  # (B, O)


def forward(params: Params, x: Array, *, state: State | None = None) -> tuple[Array, list[Step]]:
    """Return ``y_hat`` (B, O) and the cache that the backward pass needs: the steps 1 .. T."""
    cache = list(steps(params, x, state=state))
    return output(params, cache[-1].h), cache  # (B, O)


def stream(params: Params, x: Array, *, state: State | None = None) -> tuple[Array, State]:
    """Return y_t (B, O) and the next call's state, from x_t, the one step in ``x``, and this call's state."""
    y_hat, (step,) = forward(params, x, state=state)
    return y_hat, (step.h, step.c)


def loss_and_grads(
    params: Params, x: Array, y: Array, *, delta: float = 0.025, state: State | None = None
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
    dc = np.zeros_like(dh)
    first = state or zero_state(params, x)
    for t in range(len(x) - 1, -1, -1):  # x[t] is x_{t+1}, cache[t] its step: the arrays count from 0
        i, f, g, o, c, _ = cache[t]
        h_before, c_before = (cache[t - 1].h, cache[t - 1].c) if t else first
        tanh_c = np.tanh(c)  # (B, H)
        dc = dc + dh * o * (1 - tanh_c * tanh_c)  # from step t + 1, and from this step's h
        da_i = dc * g * (i * (1 - i))
        da_f = dc * c_before * (f * (1 - f))
        da_g = dc * i * (1 - g * g)
        da_o = dh * tanh_c * (o * (1 - o))
        da = np.concatenate((da_i, da_f, da_g, da_o), axis=1)  # (B, 4H)
        grads["U"] += da.T @ x[t]
        grads["W"] += da.T @ h_before
        if "bU" in params:
            grads["bU"] += da.sum(axis=0)  # (4H,)
        dh = da @ W
        dc = dc * f  # straight
    if "bU" in params:
        grads["bW"] += grads["bU"]
        grads["bV"] += dy_hat.sum(axis=0)  # (O,)
    return loss, grads


def sgd_step(
    params: Params, x: Array, y: Array, *, lr: float = 0.1, delta: float = 0.025, state: State | None = None
) -> tuple[Array, Params]:
    """One step of gradient descent: return the loss before it and the new p - lr dL/dp."""
    loss, grads = loss_and_grads(params, x, y, delta=delta, state=state)
    return loss, {name: p - lr * grads[name] for name, p in params.items()}
