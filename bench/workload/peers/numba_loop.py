"""Variant ``numba-loop``: loops over preallocated arrays, compiled by Numba; products by SciPy's BLAS.

``numba_rnn``, ``numba_gru`` and ``numba_lstm`` hold what differs from cell to cell: the recurrence, its way
back, and how many arrays they write: ``STATES`` (kept + 1, B, H), whose first entry a step starts from, and
``SUMS`` (kept, B, gates H). Of the steps all are kept for the way back, else one.
"""

import time
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

ACTIVATIONS = {"tanh": 0, "sigmoid": 1, "relu": 2}


def differentiate_loss(
    V: Any, y: Any, delta: Any, h: Any, y_hat: Any, dh: Any, dy: Any, dV: Any, dbV: Any, loss: Any
) -> None:
    """Write the loss and its derivatives by V, bV and the last state h (B, H)."""
    loss[0] = 0
    dbV[:] = 0
    for s in range(y.shape[0]):
        for o in range(y.shape[1]):
            e = y_hat[s, o] - y[s, o]
            clipped = min(max(e, -delta), delta)
            loss[0] += clipped * (e - clipped / 2) / y.size
            dy[s, o] = clipped / y.size
            dbV[o] += dy[s, o]
    np.dot(dy.T, h, dV)
    np.dot(dy, V, dh)


def sum_steps(das: Any, inputs: Any, dp: Any, db: Any) -> None:
    """Write the derivative by a matrix and its bias from those by its product with each step's inputs."""
    n, width = inputs.shape[0] * inputs.shape[1], das.shape[2]
    np.dot(das.reshape(n, width).T, inputs.reshape(n, inputs.shape[2]), dp)
    db[:] = 0
    for t in range(das.shape[0]):
        for s in range(das.shape[1]):
            for j in range(width):
                db[j] += das[t, s, j]


def descend(p: Any, dp: Any, lr: Any) -> None:
    """Subtract a step of gradient descent from a parameter."""
    for i in range(p.size):
        p.flat[i] -= lr * dp.flat[i]


def bind(
    task: str, params: Any, x: Any, y: Any, *, delta: float, lr: float, cell: str, activation: str = "tanh"
) -> Any:
    """Compile the functions for these types, unless a process of this run has, and return the ``Bound``."""
    import numba

    of_cell, jit = import_module(f"{__package__}.numba_{cell}"), numba.njit(cache=True, error_model="numpy")
    predict, retreat = jit(of_cell.forward), jit(of_cell.backward)
    differentiate, total, subtract = jit(differentiate_loss), jit(sum_steps), jit(descend)
    dtype, kind, (steps, _, _) = x.dtype.type, ACTIVATIONS[activation], x.shape
    no_biases = {f"b{name}": np.zeros(len(params[name]), dtype) for name in "UWV"}
    current = {name: p.copy() for name, p in (no_biases | params).items()}
    U, W, V, bU, bW, bV = (current[name] for name in ("U", "W", "V", "bU", "bW", "bV"))
    grads = {name: np.zeros_like(p) for name, p in current.items()}
    y_hat, dy, loss = np.zeros_like(y), np.zeros_like(y), np.zeros(1, dtype)
    learns = task in ("gradient", "train_step")
    kept, batch, (gates, hidden) = steps if learns else 1, x.shape[1], W.shape
    states = tuple(np.zeros((of_cell.STATES, kept + 1, batch, hidden), dtype))
    work = (*states, *np.zeros((of_cell.SUMS, kept, batch, gates), dtype))
    dh = np.zeros_like(states[0][0])

    def advance() -> None:
        predict(U, W, V, bU, bW, bV, x, work, y_hat, kind)

    def call_forward() -> None:
        for state in states:
            state[0] = 0
        advance()

    def call_stream() -> None:
        for state in states:
            state[0] = state[1]
        advance()

    def call_gradient() -> None:
        call_forward()
        differentiate(V, y, dtype(delta), work[0][steps], y_hat, dh, dy, grads["V"], grads["bV"], loss)
        das_u, das_w = retreat(W, work, dh, kind)
        total(das_u, x, grads["U"], grads["bU"])
        total(das_w, work[0][:steps], grads["W"], grads["bW"])

    def call_train_step() -> None:
        call_gradient()
        for name in params:
            subtract(current[name], grads[name], dtype(lr))

    def reset() -> None:
        for state in states:
            state[:] = 0
        for name, p in params.items():
            current[name][:] = p

    def result() -> dict[str, Any]:
        if not learns:
            return {"y_hat": y_hat}
        if task == "gradient":
            return {"loss": loss[0]} | {f"d{name}": grads[name] for name in params}
        return {"loss": loss[0]} | {name: current[name] for name in params}

    call = {
        "forward": call_forward, "stream": call_stream, "gradient": call_gradient,
        "train_step": call_train_step,
    }[task]  # fmt: skip
    start_ns = time.perf_counter_ns()
    call()
    compile_ns = time.perf_counter_ns() - start_ns
    reset()
    return SimpleNamespace(call=call, reset=reset, result=result, compile_ns=compile_ns)


rnn, gru, lstm = (partial(bind, cell=cell) for cell in ("rnn", "gru", "lstm"))
