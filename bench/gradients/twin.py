"""Differentiate a user's function of PyTorch by autograd."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.gradients.function import Gradients, Guarded, convert, kind
from bench.machine.errors import UserError
from bench.proof.tolerance import Array


def autograd(twin: Callable[..., Any], params: Gradients, data: tuple[Any, ...]) -> tuple[float, Gradients]:
    """Return the loss of ``twin(params, *data)``, a scalar tensor, and its gradients.

    Raises:
        UserError: there is no PyTorch, or the function raises an error, or returns something else.
    """
    guarded = Guarded(twin)
    guarded.name = f"the twin {guarded.name}"
    tensors, loss = guarded.attempt(partial(_loss, guarded, params, data))
    if not hasattr(loss, "requires_grad") or loss.numel() != 1:
        what = f"a tensor of shape {tuple(loss.shape)}" if hasattr(loss, "requires_grad") else kind(loss)
        raise UserError(f"{guarded.name} returns {what}: it must return the loss, a scalar tensor")
    if not loss.requires_grad:
        advice = "leave out detach(), numpy() and no_grad()"
        raise UserError(f"the loss of {guarded.name} does not depend on its parameters: {advice}")
    return loss.item(), guarded.attempt(partial(_gradients, tensors, loss))


def _loss(guarded: Guarded, params: Gradients, data: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
    """Return the parameters as tensors, and the loss of them."""
    import torch

    def tensor(array: Array) -> Any:
        return torch.tensor(array.copy()) if array.dtype.kind in "biufc" else array  # texts stay

    tensors = {name: torch.tensor(p, requires_grad=True) for name, p in params.items()}
    return tensors, guarded.result(dict(tensors), convert(tensor, data))


def _gradients(tensors: dict[str, Any], loss: Any) -> Gradients:
    import torch

    grads = torch.autograd.grad(loss.sum(), list(tensors.values()), allow_unused=True)
    return {
        name: np.zeros(p.shape) if grad is None else grad.double().numpy()
        for (name, p), grad in zip(tensors.items(), grads, strict=True)
    }
