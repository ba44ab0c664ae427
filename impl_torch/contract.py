"""Turn functions of the reference contract into something that can be timed, as impl_numpy/contract.py.

The tensors say which device computes. ``call`` never waits for it: that belongs to the clock. ``result``
copies back to NumPy arrays and so does wait.

The variants ``torch-autograd`` (rnn.py, gru.py, lstm.py) and ``torch-manual`` are bound here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from impl_torch import gru, lstm, rnn
from impl_torch import gru_manual as gru_by_hand
from impl_torch import lstm_manual as lstm_by_hand
from impl_torch import rnn_manual as rnn_by_hand
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
    delta: float,
    lr: float,
    **options: str,
) -> Bound:
    """Bind a module's function to the task that it is for; ``options`` are those of its cell."""
    current = dict(params)
    last: dict[str, Tensor] = {}
    state: Any = None

    def forward() -> None:
        last["y_hat"] = functions.predict(current, x, **options)

    def gradient() -> None:
        loss, grads = functions.loss_and_grads(current, x, y, delta=delta, **options)
        last.update({"loss": loss} | {f"d{name}": grad for name, grad in grads.items()})

    def train_step() -> None:
        loss, grads = functions.loss_and_grads(current, x, y, delta=delta, **options)
        last["loss"] = loss
        for name, grad in grads.items():
            current[name] = current[name] - lr * grad

    def stream() -> None:
        nonlocal state
        last["y_hat"], state = functions.stream(current, x, state=state, **options)

    def reset() -> None:
        nonlocal state
        state = None
        current.update(params)

    def result() -> dict[str, Array]:
        return to_arrays(last | (current if task == "train_step" else {}))

    calls = {"forward": forward, "gradient": gradient, "train_step": train_step, "stream": stream}
    return Bound(calls[task], reset, result)


rnn_autograd, gru_autograd, lstm_autograd = (partial(bind, functions) for functions in (rnn, gru, lstm))
rnn_manual, gru_manual, lstm_manual = (
    partial(bind, functions) for functions in (rnn_by_hand, gru_by_hand, lstm_by_hand)
)
