"""Turn functions of the reference contract into something that can be timed, as impl_numpy/contract.py.

The tensors say which device computes. ``call`` never waits for it: that belongs to the clock. ``result``
copies back to NumPy arrays and so does wait.

The variants ``torch-autograd`` (rnn.py) and ``torch-manual`` are bound here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from impl_torch import manual as manual_functions
from impl_torch import rnn
from impl_torch.rnn import Params

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Bound:
    """One task on one set of tensors, ready to be called."""

    call: Callable[[], object]
    reset: Callable[[], None]
    result: Callable[[], dict[str, Array]]


def to_arrays(tensors: dict[str, Tensor]) -> dict[str, Array]:
    """NumPy copies of the tensors; waits for the device."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def bind(
    functions: ModuleType,
    task: str,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    activation: str,
    delta: float,
    lr: float,
) -> Bound:
    """Bind a module's ``predict`` and ``loss_and_grads`` to a task."""
    current = dict(params)
    last: dict[str, Tensor] = {}

    def forward() -> None:
        last["y_hat"] = functions.predict(current, x, activation=activation)

    def gradient() -> None:
        loss, grads = functions.loss_and_grads(current, x, y, activation=activation, delta=delta)
        last.update(loss=loss, dU=grads["U"], dW=grads["W"], dV=grads["V"])

    def train_step() -> None:
        loss, grads = functions.loss_and_grads(current, x, y, activation=activation, delta=delta)
        last["loss"] = loss
        for name, grad in grads.items():
            current[name] = current[name] - lr * grad

    def reset() -> None:
        current.update(params)

    def result() -> dict[str, Array]:
        return to_arrays(last | (current if task == "train_step" else {}))

    calls = {"forward": forward, "gradient": gradient, "train_step": train_step}
    return Bound(calls[task], reset, result)


autograd = partial(bind, rnn)
manual = partial(bind, manual_functions)
