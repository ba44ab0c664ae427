"""Turn functions of the reference contract into something that can be timed, as impl_numpy/contract.py.

Untimed, ``bind`` also moves the arrays to the device. ``call`` never waits for the device: that belongs
to the clock. ``result`` copies back to NumPy arrays and so does wait.

The variants ``torch-autograd`` (rnn.py) and ``torch-manual`` are bound here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from impl_torch import manual as manual_functions
from impl_torch import rnn

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Bound:
    """One task on one set of tensors, ready to be called; ``device`` is where they really are."""

    call: Callable[[], object]
    reset: Callable[[], None]
    result: Callable[[], dict[str, Array]]
    device: str


def to_device(array: Array, device: str) -> Tensor:
    """A copy of ``array`` on ``device``, never sharing its memory."""
    return torch.tensor(array, device=device)


def to_arrays(tensors: dict[str, Tensor]) -> dict[str, Array]:
    """NumPy copies of the tensors; waits for the device."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def bind(
    functions: ModuleType,
    task: str,
    params: dict[str, Array],
    x: Array,
    y: Array,
    *,
    activation: str,
    delta: float,
    lr: float,
    device: str,
) -> Bound:
    """Bind a module's ``predict`` and ``loss_and_grads`` to a task on a device."""
    start = {name: to_device(p, device) for name, p in params.items()}
    x_there, y_there = to_device(x, device), to_device(y, device)
    current = dict(start)
    last: dict[str, Tensor] = {}

    def forward() -> None:
        last["y_hat"] = functions.predict(current, x_there, activation=activation)

    def gradient() -> None:
        loss, grads = functions.loss_and_grads(current, x_there, y_there, activation=activation, delta=delta)
        last.update(loss=loss, dU=grads["U"], dW=grads["W"], dV=grads["V"])

    def train_step() -> None:
        loss, grads = functions.loss_and_grads(current, x_there, y_there, activation=activation, delta=delta)
        last["loss"] = loss
        for name, grad in grads.items():
            current[name] = current[name] - lr * grad

    def reset() -> None:
        current.update(start)

    def result() -> dict[str, Array]:
        return to_arrays(last | (current if task == "train_step" else {}))

    calls = {"forward": forward, "gradient": gradient, "train_step": train_step}
    return Bound(calls[task], reset, result, str(x_there.device))


autograd = partial(bind, rnn)
manual = partial(bind, manual_functions)
