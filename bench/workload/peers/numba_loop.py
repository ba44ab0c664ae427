"""Variant ``numba-loop``: loops over preallocated arrays, compiled by Numba; products by SciPy's BLAS."""

import math
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

ACTIVATIONS = {"tanh": 0, "sigmoid": 1, "relu": 2}


def forward(
    U: Any, W: Any, V: Any, bU: Any, bW: Any, bV: Any, x: Any, hs: Any, y_hat: Any, activation: int
) -> None:
    """Write y_hat (B, O) and the states to ``hs``: all of them after h_0 = hs[0], or the last two in turn."""
    kept = len(hs)
    for t in range(len(x)):
        a = hs[(t + 1) % kept]
        np.dot(hs[t % kept], W.T, a)
        for s in range(a.shape[0]):
            for j in range(a.shape[1]):
                v = a[s, j] + bU[j] + bW[j]
                for i in range(x.shape[2]):
                    v += x[t, s, i] * U[j, i]
                if activation == 0:
                    v = math.tanh(v)
                elif activation == 1:
                    v = 0.5 * math.tanh(0.5 * v) + 0.5
                elif v < 0:
                    v = v - v
                a[s, j] = v
    np.dot(hs[len(x) % kept], V.T, y_hat)
    y_hat += bV


def backward(
    W: Any, V: Any, x: Any, y: Any, delta: Any, hs: Any, y_hat: Any, das: Any, dh: Any, dy: Any, dU: Any,
    dW: Any, dV: Any, db: Any, dbV: Any, loss: Any, activation: int,
) -> None:  # fmt: skip
    """Write the loss and its gradient; dL/da_t is kept in ``das`` (T, B, H) for products of all steps."""
    loss[0] = 0
    dbV[:] = 0
    for s in range(y.shape[0]):
        for o in range(y.shape[1]):
            e = y_hat[s, o] - y[s, o]
            clipped = min(max(e, -delta), delta)
            loss[0] += clipped * (e - clipped / 2) / y.size
            dy[s, o] = clipped / y.size
            dbV[o] += dy[s, o]
    T, B, H = das.shape
    np.dot(dy.T, hs[T], dV)
    np.dot(dy, V, dh)
    db[:] = 0
    for t in range(T, 0, -1):
        da, h = das[t - 1], hs[t]
        for s in range(B):
            for j in range(H):
                d = dh[s, j]
                if activation == 0:
                    d -= d * h[s, j] * h[s, j]
                elif activation == 1:
                    d = d * h[s, j] - d * h[s, j] * h[s, j]
                elif h[s, j] <= 0:
                    d = d - d
                da[s, j] = d
                db[j] += d
        np.dot(da, W, dh)
    flat = das.reshape(T * B, H).T
    np.dot(flat, x.reshape(T * B, x.shape[2]), dU)
    np.dot(flat, hs[:T].reshape(T * B, H), dW)


def descend(p: Any, dp: Any, lr: Any) -> None:
    """Subtract a step of gradient descent from a parameter."""
    for i in range(p.size):
        p.flat[i] -= lr * dp.flat[i]


def bind(task: str, params: Any, x: Any, y: Any, *, delta: float, lr: float, activation: str) -> Any:
    """Compile the functions for these types, unless a process of this run has, and return the ``Bound``."""
    import numba

    jit = numba.njit(cache=True, error_model="numpy")
    predict, differentiate, subtract = jit(forward), jit(backward), jit(descend)
    dtype, kind, (steps, batch, _), (outputs, hidden) = (
        x.dtype.type, ACTIVATIONS[activation], x.shape, params["V"].shape,
    )  # fmt: skip
    no_biases = {"bU": np.zeros(hidden, dtype), "bW": np.zeros(hidden, dtype), "bV": np.zeros(outputs, dtype)}
    current = {name: p.copy() for name, p in (no_biases | params).items()}
    U, W, V, bU, bW, bV = (current[name] for name in ("U", "W", "V", "bU", "bW", "bV"))
    dU, dW, dV, db, dbV = map(np.zeros_like, (U, W, V, bU, bV))
    grads = {"U": dU, "W": dW, "V": dV, "bU": db, "bW": db, "bV": dbV}
    y_hat, dy, loss = np.zeros_like(y), np.zeros_like(y), np.zeros(1, dtype)
    kept = steps + 1 if task in ("gradient", "train_step") else 2
    hs, das, dh = (np.zeros((n, batch, hidden), dtype) for n in (kept, steps, 1))

    def call_forward() -> None:
        hs[0] = 0
        predict(U, W, V, bU, bW, bV, x, hs, y_hat, kind)

    def call_stream() -> None:
        hs[0] = hs[1]
        predict(U, W, V, bU, bW, bV, x, hs, y_hat, kind)

    def call_gradient() -> None:
        call_forward()
        differentiate(
            W, V, x, y, dtype(delta), hs, y_hat, das, dh[0], dy, dU, dW, dV, db, dbV, loss, kind
        )  # fmt: skip

    def call_train_step() -> None:
        call_gradient()
        for name in params:
            subtract(current[name], grads[name], dtype(lr))

    def reset() -> None:
        hs[:] = 0
        for name, p in params.items():
            current[name][:] = p

    def result() -> dict[str, Any]:
        if task in ("forward", "stream"):
            return {"y_hat": y_hat}
        named = {f"d{name}": grads[name] for name in params} if task == "gradient" else current
        return {"loss": loss[0]} | {name: array for name, array in named.items() if name not in unused}

    calls = {
        "forward": call_forward, "stream": call_stream, "gradient": call_gradient,
        "train_step": call_train_step,
    }  # fmt: skip
    unused = no_biases.keys() - params.keys()
    start_ns = time.perf_counter_ns()
    calls[task]()
    compile_ns = time.perf_counter_ns() - start_ns
    reset()
    return SimpleNamespace(call=calls[task], reset=reset, result=result, compile_ns=compile_ns)
