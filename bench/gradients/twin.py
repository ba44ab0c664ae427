"""Differentiate a user's function of PyTorch by autograd."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.gradients.function import Gradients, Guarded, convert
from bench.machine.errors import UserError


def autograd(twin: Callable[..., Any], params: Gradients, data: tuple[Any, ...]) -> tuple[float, Gradients]:
    """Return the loss of ``twin(params, *data)``, a scalar tensor, and its gradients.

    Raises:
        UserError: the function raises an error, or returns something else.
    """
    import torch

    guarded = Guarded(twin)
    tensors = {name: torch.tensor(p, requires_grad=True) for name, p in params.items()}
    loss = guarded.result(tensors, convert(torch.tensor, data))
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        what = (
            f"a tensor of shape {tuple(loss.shape)}"
            if isinstance(loss, torch.Tensor)
            else type(loss).__name__
        )
        raise UserError(f"the twin {guarded.name} returns {what}: it must return the loss, a scalar tensor")
    if not loss.requires_grad:
        advice = "leave out detach(), numpy() and no_grad()"
        raise UserError(f"the loss of the twin {guarded.name} does not depend on its parameters: {advice}")
    grads = torch.autograd.grad(loss.sum(), list(tensors.values()), allow_unused=True)
    return loss.item(), {
        name: np.zeros(p.shape) if grad is None else grad.double().numpy()
        for (name, p), grad in zip(params.items(), grads, strict=True)
    }
