"""Variant ``torch-manual``: the hand-derived gradient of ``impl_numpy/rnn.py`` on torch tensors.

Differs from rnn.py beside it in that autograd is off and BPTT is written out, line for line as in
NumPy: the distance to ``torch-autograd`` is what autograd costs, the distance to ``numpy-batched``
is what the library costs.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from impl_torch.rnn import Params, forward
from impl_torch.rnn import predict as predict

ACTIVATION_PRIMES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda h: 1 - h * h,
    "sigmoid": lambda h: h * (1 - h),
    "relu": lambda h: h > 0,
}


@torch.no_grad()
def loss_and_grads(
    params: Params, x: Tensor, y: Tensor, *, activation: str = "tanh", delta: float = 0.025
) -> tuple[Tensor, Params]:
    """Mean Huber loss (0-d) and its gradient by BPTT; the equations stand in impl_numpy/rnn.py."""
    W, V = params["W"], params["V"]
    act_prime = ACTIVATION_PRIMES[activation]

    y_hat, hs = forward(params, x, activation=activation)
    e = y_hat - y  # (B, O)
    e_clipped = torch.clip(e, -delta, delta)
    loss = torch.mean(e_clipped * (e - e_clipped / 2))

    dy_hat = e_clipped / e.numel()  # (B, O)
    dV = dy_hat.T @ hs[-1]  # (O, H)
    dU, dW, db = torch.zeros_like(params["U"]), torch.zeros_like(W), torch.zeros_like(W[0])
    biased = "bU" in params
    dh = dy_hat @ V  # (B, H)
    for t in range(len(x), 0, -1):
        da = dh * act_prime(hs[t])  # (B, H)
        dU += da.T @ x[t - 1]
        dW += da.T @ hs[t - 1]
        if biased:
            db += da.sum(dim=0)  # (H,)
        dh = da @ W
    biases = {"bU": db, "bW": db.clone(), "bV": dy_hat.sum(dim=0)} if biased else {}
    return loss, {"U": dU, "W": dW, "V": dV} | biases
