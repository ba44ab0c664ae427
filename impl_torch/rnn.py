r"""The reference RNN in PyTorch, its gradient by autograd.

This file mirrors ``impl_numpy/rnn.py`` function by function: the forward pass is the same plain
operations on tensors, and autograd replaces the hand-written backward pass. It stays simple for ever;
a faster or more idiomatic way is a file of its own.

Forward, for t = 1 .. T, with act = tanh, the logistic sigmoid or relu::

    a_t   = U x_t + W h_{t-1}         h_0 = 0, or given; with biases  + bU + bW
    h_t   = act(a_t)
    y_hat = V h_T                     with a bias  + bV
    loss  = mean over batch and outputs of huber(e),  e = y_hat - y
    huber(e) = e^2 / 2                        where |e| <= delta
             = delta (|e| - delta / 2)        elsewhere

Shapes: U (H, I), W (H, H), V (O, H), bU and bW (H,), bV (O,); x (T, B, I), y and y_hat (B, O).
Sources: Goodfellow, Bengio and Courville, Deep Learning (2016), section 10.2; Paszke et al., Automatic
differentiation in PyTorch (2017); Huber, Robust estimation of a location parameter (1964).
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Params = dict[str, Tensor]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}


def hidden_states(
    params: Params, x: Tensor, *, activation: str = "tanh", state: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield h_0 = ``state``, then h_t = act(U x_t + W h_{t-1}) for t = 1 .. T, each (B, H)."""
    U, W = params["U"], params["W"]
    b = params["bU"] + params["bW"] if "bU" in params else None  # (H,)
    act = ACTIVATIONS[activation]
    h = x.new_zeros((x.shape[1], W.shape[0])) if state is None else state  # (B, H)
    yield h
    for x_t in x:  # (B, I)
        a = x_t @ U.T + h @ W.T  # (B, H)
        h = act(a if b is None else a + b)
        yield h


def output(params: Params, h: Tensor) -> Tensor:
    """y_hat = V h, and the bias where there is one, (B, O)."""
    y_hat = h @ params["V"].T
    return y_hat + params["bV"] if "bV" in params else y_hat


def predict(params: Params, x: Tensor, *, activation: str = "tanh", state: Tensor | None = None) -> Tensor:
    """y_hat = V h_T, (B, O), keeping nothing on the way."""
    with torch.inference_mode():
        for h in hidden_states(params, x, activation=activation, state=state):  # noqa: B007  (the last is used)
            pass
        return output(params, h)  # (B, O)


def forward(
    params: Params, x: Tensor, *, activation: str = "tanh", state: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Return ``y_hat`` (B, O) and the hidden states [h_0, ..., h_T], which autograd keeps as well."""
    hs = list(hidden_states(params, x, activation=activation, state=state))
    return output(params, hs[-1]), hs  # (B, O)


def stream(
    params: Params, x: Tensor, *, activation: str = "tanh", state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return y_t (B, O) and the next call's state, from x_t, the one step in ``x``, and this call's state."""
    with torch.inference_mode():
        y_hat, (_, h) = forward(params, x, activation=activation, state=state)
    return y_hat, h


def loss_and_grads(
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    activation: str = "tanh",
    delta: float = 0.025,
    state: Tensor | None = None,
) -> tuple[Tensor, Params]:
    """Return the mean Huber loss (0-d) and its gradient by autograd, a dict like ``params``."""
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    y_hat, _ = forward(leaves, x, activation=activation, state=state)
    loss = torch.nn.functional.huber_loss(y_hat, y, delta=delta)
    grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return loss.detach(), dict(zip(leaves, grads, strict=True))


def sgd_step(
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    lr: float = 0.1,
    activation: str = "tanh",
    delta: float = 0.025,
    state: Tensor | None = None,
) -> tuple[Tensor, Params]:
    """One step of gradient descent: return the loss before it and the new p - lr dL/dp."""
    loss, grads = loss_and_grads(params, x, y, activation=activation, delta=delta, state=state)
    with torch.no_grad():
        return loss, {name: p - lr * grads[name] for name, p in params.items()}
