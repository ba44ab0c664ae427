r"""The reference GRU in PyTorch, its gradient by autograd.

This file mirrors ``impl_numpy/gru.py`` function by function: the forward pass is the same plain
operations on tensors, and autograd replaces the hand-written backward pass. It stays simple for ever;
a faster or more idiomatic way is a file of its own.

Forward, for t = 1 .. T, with s the logistic sigmoid and * elementwise. U, W and their biases hold the
rows of the reset gate r, the update gate z and the candidate n one below the other::

    u_t   = U x_t + bU                w_t = W h_{t-1} + bW        h_0 = 0, or given
    r_t   = s(u_r + w_r)
    z_t   = s(u_z + w_z)
    n_t   = tanh(u_n + r_t * w_n)
    h_t   = (1 - z_t) * n_t + z_t * h_{t-1}
    y_hat = V h_T + bV
    loss  = mean over batch and outputs of huber(e),  e = y_hat - y     (as in rnn.py)

impl_numpy/gru.py says where papers differ.

Shapes: U (3H, I), W (3H, H), bU and bW (3H,), V (O, H), bV (O,); x (T, B, I), y and y_hat (B, O).
Sources: Cho et al., Learning phrase representations using RNN encoder-decoder (2014); the documentation
of ``torch.nn.GRU``.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from impl_torch.rnn import Params, output


class Step(NamedTuple):
    """A step: its gates, its candidate, w_n and the new state, (B, H) each. Autograd keeps them as well."""

    r: Tensor
    z: Tensor
    n: Tensor
    w_n: Tensor
    h: Tensor


def zero_state(params: Params, x: Tensor) -> Tensor:
    """h_0 = 0, (B, H)."""
    return x.new_zeros((x.shape[1], params["W"].shape[1]))


def steps(params: Params, x: Tensor, *, state: Tensor | None = None) -> Iterator[Step]:
    """Yield the steps for t = 1 .. T, from ``state`` = h_0."""
    U, W = params["U"], params["W"]
    h = zero_state(params, x) if state is None else state  # (B, H)
    for x_t in x:  # (B, I)
        u, w = x_t @ U.T, h @ W.T  # (B, 3H)
        if "bU" in params:
            u, w = u + params["bU"], w + params["bW"]
        (u_r, u_z, u_n), (w_r, w_z, w_n) = u.chunk(3, dim=1), w.chunk(3, dim=1)  # (B, H) each
        r, z = torch.sigmoid(u_r + w_r), torch.sigmoid(u_z + w_z)
        n = torch.tanh(u_n + r * w_n)
        h = (1 - z) * n + z * h
        yield Step(r, z, n, w_n, h)


def predict(params: Params, x: Tensor, *, state: Tensor | None = None) -> Tensor:
    """y_hat = V h_T + bV, (B, O), keeping nothing on the way."""
    with torch.inference_mode():
        for step in steps(params, x, state=state):  # noqa: B007  (the last one is used)
            pass
        return output(params, step.h)  # (B, O)


def forward(params: Params, x: Tensor, *, state: Tensor | None = None) -> tuple[Tensor, list[Step]]:
    """Return ``y_hat`` (B, O) and the steps 1 .. T, which autograd keeps as well."""
    cache = list(steps(params, x, state=state))
    return output(params, cache[-1].h), cache  # (B, O)


def stream(params: Params, x: Tensor, *, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return y_t (B, O) and the next call's state, from x_t, the one step in ``x``, and this call's state."""
    with torch.inference_mode():
        y_hat, (step,) = forward(params, x, state=state)
    return y_hat, step.h


def loss_and_grads(
    params: Params, x: Tensor, y: Tensor, *, delta: float = 0.025, state: Tensor | None = None
) -> tuple[Tensor, Params]:
    """Return the mean Huber loss (0-d) and its gradient by autograd, a dict like ``params``."""
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    y_hat, _ = forward(leaves, x, state=state)
    loss = torch.nn.functional.huber_loss(y_hat, y, delta=delta)
    grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return loss.detach(), dict(zip(leaves, grads, strict=True))


def sgd_step(
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    lr: float = 0.1,
    delta: float = 0.025,
    state: Tensor | None = None,
) -> tuple[Tensor, Params]:
    """One step of gradient descent: return the loss before it and the new p - lr dL/dp."""
    loss, grads = loss_and_grads(params, x, y, delta=delta, state=state)
    with torch.no_grad():
        return loss, {name: p - lr * grads[name] for name, p in params.items()}
