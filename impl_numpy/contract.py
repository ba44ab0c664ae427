"""Turn functions of the reference contract into something that can be timed.

``bind`` does what is not timed (hold the arrays, choose the task) and returns a ``Bound``. The arrays are the
caller's, who writes other numbers into x and y between calls: every call reads them anew.

* ``call()``    the work, and the only thing inside the clock. Of the task ``stream`` it is one step, from
  x_t, which is all that x (1, B, I) holds, and the state that the call before left;
* ``reset()``   parameters back to the start, and the state of a stream to zero;
* ``result()``  the last call's output as a dict of arrays: ``y_hat``; or ``loss`` and the gradients
  ``dU dW dV ...``; or ``loss`` and the updated parameters.

The variants ``numpy-batched`` (rnn.py, gru.py, lstm.py), ``numpy-loop`` and ``numpy-published`` are bound
here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from impl_numpy import gru, loop, lstm, published, rnn
from impl_numpy.rnn import Array, Params


@dataclass(frozen=True, slots=True)
class Bound:
    """One task on one set of arrays, ready to be called."""

    call: Callable[[], object]
    reset: Callable[[], None]
    result: Callable[[], dict[str, Array]]


def bind(
    functions: Any,
    task: str,
    params: Params,
    x: Array,
    y: Array,
    *,
    delta: float,
    lr: float,
    **options: Any,
) -> Bound:
    """Bind a module's function to the task that it is for; ``options`` are those of its cell, and
    ``lengths`` (B,) where the sequences have lengths of their own."""
    current = dict(params)
    last: dict[str, Array] = {}
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
        return last | (current if task == "train_step" else {})

    calls = {"forward": forward, "gradient": gradient, "train_step": train_step, "stream": stream}
    return Bound(calls[task], reset, result)


rnn_batched, gru_batched, lstm_batched = (partial(bind, functions) for functions in (rnn, gru, lstm))
rnn_loop = partial(bind, loop)
gru_loop, lstm_loop = (partial(bind, loop.BySample(functions)) for functions in (gru, lstm))
rnn_published = partial(bind, published)
