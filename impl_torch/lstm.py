r"""The reference LSTM in PyTorch, its gradient by autograd.

This file mirrors ``impl_numpy/lstm.py`` function by function: the forward pass is the same plain
operations on tensors, and autograd replaces the hand-written backward pass. It stays simple for ever;
a faster or more idiomatic way is a file of its own.

Forward, for t = 1 .. T, with s the logistic sigmoid and * elementwise. U, W and their biases hold the
rows of the input gate i, the forget gate f, the candidate g and the output gate o one below the
other, and so does a_t::

    a_t   = U x_t + bU + W h_{t-1} + bW         h_0 = c_0 = 0, or given
    i_t   = s(a_i)      f_t = s(a_f)      g_t = tanh(a_g)      o_t = s(a_o)
    c_t   = f_t * c_{t-1} + i_t * g_t
    h_t   = o_t * tanh(c_t)
    y_hat = V h_T + bV
    loss  = mean over batch and outputs of huber(e),  e = y_hat - y     (as in rnn.py)

impl_numpy/lstm.py says where papers differ.

Shapes: U (4H, I), W (4H, H), bU and bW (4H,), V (O, H), bV (O,); x (T, B, I), y and y_hat (B, O).
Sources: Hochreiter and Schmidhuber, Long short-term memory (1997); Gers, Schmidhuber and Cummins,
Learning to forget (2000); the documentation of ``torch.nn.LSTM``.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from impl_torch.rnn import Params, output

State = tuple[Tensor, Tensor]  # h and c, (B, H) each


class Step(NamedTuple):
    """A step: its gates, its candidate and the new states, (B, H) each. Autograd keeps them as well."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


def zero_state(params: Params, x: Tensor) -> State:
    """h_0 = c_0 = 0, (B, H) each."""
    zeros = x.new_zeros((x.shape[1], params["W"].shape[1]))
    return zeros, zeros


def steps(params: Params, x: Tensor, *, state: State | None = None) -> Iterator[Step]:
    """Yield the steps for t = 1 .. T, from ``state`` = (h_0, c_0)."""
    U, W = params["U"], params["W"]
    b = params["bU"] + params["bW"] if "bU" in params else None  # (4H,)
    h, c = state or zero_state(params, x)  # (B, H)
    for x_t in x:  # (B, I)
        a = x_t @ U.T + h @ W.T  # (B, 4H)
        a_i, a_f, a_g, a_o = (a if b is None else a + b).chunk(4, dim=1)  # (B, H) each
        i, f, g, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.tanh(a_g), torch.sigmoid(a_o)
        c = f * c + i * g
        h = o * torch.tanh(c)
        yield Step(i, f, g, o, c, h)


def predict(params: Params, x: Tensor, *, state: State | None = None) -> Tensor:
    """y_hat = V h_T + bV, (B, O), keeping nothing on the way."""
    with torch.inference_mode():
        for step in steps(params, x, state=state):  # noqa: B007  (the last one is used)
            pass
        return output(params, step.h)  # (B, O)


def forward(params: Params, x: Tensor, *, state: State | None = None) -> tuple[Tensor, list[Step]]:
    """Return ``y_hat`` (B, O) and the steps 1 .. T, which autograd keeps as well."""
    cache = list(steps(params, x, state=state))
    return output(params, cache[-1].h), cache  # (B, O)


def stream(params: Params, x: Tensor, *, state: State | None = None) -> tuple[Tensor, State]:
    """Return y_t (B, O) and the next call's state, from x_t, the one step in ``x``, and this call's state."""
    with torch.inference_mode():
        y_hat, (step,) = forward(params, x, state=state)
    return y_hat, (step.h, step.c)


def loss_and_grads(
    params: Params, x: Tensor, y: Tensor, *, delta: float = 0.025, state: State | None = None
) -> tuple[Tensor, Params]:
    """Return the mean Huber loss (0-d) and its gradient by autograd, a dict like ``params``."""
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    y_hat, _ = forward(leaves, x, state=state)
    loss = torch.nn.functional.huber_loss(y_hat, y, delta=delta)
    grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return loss.detach(), dict(zip(leaves, grads, strict=True))


def sgd_step(
    params: Params, x: Tensor, y: Tensor, *, lr: float = 0.1, delta: float = 0.025, state: State | None = None
) -> tuple[Tensor, Params]:
    """One step of gradient descent: return the loss before it and the new p - lr dL/dp."""
    loss, grads = loss_and_grads(params, x, y, delta=delta, state=state)
    with torch.no_grad():
        return loss, {name: p - lr * grads[name] for name, p in params.items()}
