"""Variant ``torch-manual`` of the GRU: the hand-derived gradient of ``impl_numpy/gru.py`` on tensors.

Differs from gru.py beside it in that autograd is off and BPTT is written out, line for line as in
NumPy: the distance to ``torch-autograd`` is what autograd costs, the distance to ``numpy-batched``
is what the library costs.
"""

import torch
from torch import Tensor

from impl_torch.gru import forward, zero_state
from impl_torch.gru import predict as predict
from impl_torch.rnn import Params


@torch.no_grad()
def loss_and_grads(params: Params, x: Tensor, y: Tensor, *, delta: float = 0.025) -> tuple[Tensor, Params]:
    """Mean Huber loss (0-d) and its gradient by BPTT; the equations stand in impl_numpy/gru.py."""
    W, V = params["W"], params["V"]

    y_hat, cache = forward(params, x)
    e = y_hat - y  # (B, O)
    e_clipped = torch.clip(e, -delta, delta)
    loss = torch.mean(e_clipped * (e - e_clipped / 2))

    dy_hat = e_clipped / e.numel()  # (B, O)
    grads = {name: torch.zeros_like(p) for name, p in params.items()}
    grads["V"] += dy_hat.T @ cache[-1].h  # (O, H)
    dh = dy_hat @ V  # (B, H)
    for t in range(len(x) - 1, -1, -1):  # the arrays count from 0
        r, z, n, w_n, _ = cache[t]
        h_before = cache[t - 1].h if t else zero_state(params, x)
        da_n = dh * (1 - z) * (1 - n * n)  # (B, H)
        da_r = da_n * w_n * (r * (1 - r))
        da_z = dh * (h_before - n) * (z * (1 - z))
        du = torch.cat((da_r, da_z, da_n), dim=1)  # (B, 3H)
        dw = torch.cat((da_r, da_z, da_n * r), dim=1)
        grads["U"] += du.T @ x[t]
        grads["W"] += dw.T @ h_before
        if "bU" in params:
            grads["bU"] += du.sum(dim=0)  # (3H,)
            grads["bW"] += dw.sum(dim=0)
        dh = dh * z + dw @ W
    if "bV" in params:
        grads["bV"] += dy_hat.sum(dim=0)  # (O,)
    return loss, grads
