"""The minimal gated unit of ``mgu`` in PyTorch, its gradient by autograd."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from impl_torch.contract import Bound, to_arrays
from impl_torch.rnn import ACTIVATIONS, Params


def predict(params: Params, x: Tensor, activation: str) -> Tensor:
    """y_hat (B, O)."""
    h = x.new_zeros((x.shape[1], len(params["Wf"])))
    for x_t in x:
        f = torch.sigmoid(x_t @ params["Uf"].T + h @ params["Wf"].T)
        n = ACTIVATIONS[activation](x_t @ params["Un"].T + (f * h) @ params["Wn"].T)
        h = (1 - f) * h + f * n
    return h @ params["V"].T


def bind(
    task: str, params: Params, x: Tensor, y: Tensor, *, activation: str, delta: float, lr: float
) -> Bound:
    """Bind the cell to its tensors."""
    current, last = dict(params), dict[str, Any]()

    def call() -> None:
        if task == "forward":
            with torch.inference_mode():
                last["y_hat"] = predict(current, x, activation)
            return
        leaves = {name: p.detach().requires_grad_() for name, p in current.items()}
        loss = torch.nn.functional.huber_loss(predict(leaves, x, activation), y, delta=delta)
        grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        last["loss"] = loss
        for name, grad in zip(leaves, grads, strict=True):
            if task == "gradient":
                last[f"d{name}"] = grad
            else:
                last[name] = current[name] = current[name] - lr * grad

    return Bound(call, lambda: current.update(params), lambda: to_arrays(last))


autograd = SimpleNamespace(name="mgu-torch", library="torch", cell="third_parties.mgu:MGU", bind=bind)
