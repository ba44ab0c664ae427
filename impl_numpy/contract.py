"""Turn functions of the reference contract into something that can be timed.

``bind`` does what is not timed (hold the arrays, choose the task) and returns a ``Bound``. The arrays are the
caller's, who writes other numbers into x and y between calls: every call reads them anew.

* ``call()``    the work, and the only thing inside the clock;
* ``reset()``   parameters back to the start;
* ``result()``  the last call's output as a dict of arrays: ``y_hat``; or ``loss`` and the gradients
  ``dU dW dV``; or ``loss`` and the updated ``U W V``.

The variants ``numpy-batched`` (rnn.py), ``numpy-loop`` and ``numpy-published`` are bound here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType

from impl_numpy import loop as loop_functions
from impl_numpy import published as published_functions
from impl_numpy import rnn
from impl_numpy.rnn import Array, Params


@dataclass(frozen=True, slots=True)
class Bound:
    """One task on one set of arrays, ready to be called."""

    call: Callable[[], object]
    reset: Callable[[], None]
    result: Callable[[], dict[str, Array]]


def bind(
    functions: ModuleType,
    task: str,
    params: Params,
    x: Array,
    y: Array,
    *,
    activation: str,
    delta: float,
    lr: float,
) -> Bound:
    """Bind a module's ``predict`` and ``loss_and_grads`` to a task."""
    current = dict(params)
    last: dict[str, Array] = {}

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
        return last | (current if task == "train_step" else {})

    calls = {"forward": forward, "gradient": gradient, "train_step": train_step}
    return Bound(calls[task], reset, result)


batched = partial(bind, rnn)
loop = partial(bind, loop_functions)
published = partial(bind, published_functions)
