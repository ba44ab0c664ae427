"""Differentiate a user's function of PyTorch by autograd."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.gradients.function import Arrays, Guarded, convert, what_is
from bench.machine.errors import UserError
from bench.proof.tolerance import Array


def autograd(twin: Callable[..., Any], params: Arrays, data: tuple[Any, ...]) -> tuple[float, Arrays]:
    """Return the loss of ``twin(params, *data)``, a scalar tensor, and its gradients.

    Raises:
        UserError: there is no PyTorch, or the function raises an error, or returns something else.
    """
    guarded = Guarded(twin)
    guarded.name = f"the twin {guarded.name}"
    found: tuple[float, Arrays] = guarded.attempt(partial(_differentiate, guarded, params, data))
    return found


def _differentiate(guarded: Guarded, params: Arrays, data: tuple[Any, ...]) -> tuple[float, Arrays]:
    """Return the loss and its gradients; all errors are those of the function."""
    import torch

    def tensor(array: Array) -> Any:
        return torch.tensor(array.copy()) if array.dtype.kind in "biufc" else array  # texts stay

    tensors = {name: torch.tensor(p, requires_grad=True) for name, p in params.items()}
    loss = guarded.result(dict(tensors), convert(tensor, data))
    is_tensor = isinstance(loss, torch.Tensor)
    if not is_tensor or loss.numel() != 1:
        what = f"a tensor of shape {tuple(loss.shape)}" if is_tensor else what_is(loss)
        raise UserError(f"{guarded.name} returns {what}: it must return the loss, a scalar tensor")
    if not loss.requires_grad:
        advice = "leave out detach(), numpy() and no_grad()"
        raise UserError(f"the loss of {guarded.name} does not depend on its parameters: {advice}")
    grads = torch.autograd.grad(loss.sum(), list(tensors.values()), allow_unused=True)
    return loss.item(), {
        name: np.zeros(p.shape) if grad is None else grad.double().numpy()
        for (name, p), grad in zip(params.items(), grads, strict=True)
    }
