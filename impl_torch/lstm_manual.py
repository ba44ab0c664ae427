"""Variant ``torch-manual`` of the LSTM: the hand-derived gradient of ``impl_numpy/lstm.py`` on tensors.

Differs from lstm.py beside it in that autograd is off and BPTT is written out, line for line as in
NumPy: the distance to ``torch-autograd`` is what autograd costs, the distance to ``numpy-batched``
is what the library costs.
"""

import torch
from torch import Tensor

from impl_torch.lstm import forward, zero_state
from impl_torch.lstm import predict as predict
from impl_torch.rnn import Params


@torch.no_grad()
def loss_and_grads(params: Params, x: Tensor, y: Tensor, *, delta: float = 0.025) -> tuple[Tensor, Params]:
    """Mean Huber loss (0-d) and its gradient by BPTT; the equations stand in impl_numpy/lstm.py."""
    W, V = params["W"], params["V"]

    y_hat, cache = forward(params, x)
    e = y_hat - y  # (B, O)
    e_clipped = torch.clip(e, -delta, delta)
    loss = torch.mean(e_clipped * (e - e_clipped / 2))

    dy_hat = e_clipped / e.numel()  # (B, O)
    grads = {name: torch.zeros_like(p) for name, p in params.items()}
    grads["V"] += dy_hat.T @ cache[-1].h  # (O, H)
    dh = dy_hat @ V  # (B, H)
    dc = torch.zeros_like(dh)
    first = zero_state(params, x)
    for t in range(len(x) - 1, -1, -1):  # the arrays count from 0
        i, f, g, o, c, _ = cache[t]
        h_before, c_before = (cache[t - 1].h, cache[t - 1].c) if t else first
        tanh_c = torch.tanh(c)  # (B, H)
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        da_i = dc * g * (i * (1 - i))
        da_f = dc * c_before * (f * (1 - f))
        da_g = dc * i * (1 - g * g)
        da_o = dh * tanh_c * (o * (1 - o))
        da = torch.cat((da_i, da_f, da_g, da_o), dim=1)  # (B, 4H)
        grads["U"] += da.T @ x[t]
        grads["W"] += da.T @ h_before
        if "bU" in params:
            grads["bU"] += da.sum(dim=0)  # (4H,)
        dh = da @ W
        dc = dc * f
    if "bU" in params:
        grads["bW"] += grads["bU"]
        grads["bV"] += dy_hat.sum(dim=0)  # (O,)
    return loss, grads
