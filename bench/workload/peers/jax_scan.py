"""Variant ``jax-jit``: a scan over the steps; gradient and update are one function, compiled by XLA."""

import time
from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any


@cache
def compiled(task: str, cell: str, activation: str) -> Callable[..., Any]:
    """Return the function of a task, which JAX compiles once for each set of shapes."""
    import jax
    from jax import numpy as jnp

    act = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}[activation]

    def rnn(state: Any, u: Any, w: Any) -> Any:
        return (act(u + w),)

    def gru(state: Any, u: Any, w: Any) -> Any:
        (u_r, u_z, u_n), (w_r, w_z, w_n) = (jnp.split(a, 3, axis=1) for a in (u, w))
        r, z = jax.nn.sigmoid(u_r + w_r), jax.nn.sigmoid(u_z + w_z)
        n = jnp.tanh(u_n + r * w_n)
        return (n + z * (state[0] - n),)

    def lstm(state: Any, u: Any, w: Any) -> Any:
        a_i, a_f, a_g, a_o = jnp.split(u + w, 4, axis=1)
        c = jax.nn.sigmoid(a_f) * state[1] + jax.nn.sigmoid(a_i) * jnp.tanh(a_g)
        return jax.nn.sigmoid(a_o) * jnp.tanh(c), c

    advance = {"rnn": rnn, "gru": gru, "lstm": lstm}[cell]

    def stream(params: Any, x: Any, state: Any) -> Any:
        """Return y_hat (B, O) and the state after the steps of x."""

        def step(state: Any, u: Any) -> Any:
            return advance(state, u, state[0] @ params["W"].T + params.get("bW", 0)), None

        state, _ = jax.lax.scan(step, state, x @ params["U"].T + params.get("bU", 0))
        return state[0] @ params["V"].T + params.get("bV", 0), state

    def forward(params: Any, x: Any, state: Any) -> Any:
        return stream(params, x, state)[0]

    def loss(params: Any, x: Any, state: Any, y: Any, delta: Any) -> Any:
        e = forward(params, x, state) - y
        e_clipped = jnp.clip(e, -delta, delta)
        return jnp.mean(e_clipped * (e - e_clipped / 2))

    gradient = jax.value_and_grad(loss)

    def train_step(params: Any, x: Any, state: Any, y: Any, delta: Any, lr: Any) -> Any:
        value, grads = gradient(params, x, state, y, delta)
        return value, {name: p - lr * grads[name] for name, p in params.items()}

    tasks = {"stream": stream, "forward": forward, "gradient": gradient, "train_step": train_step}
    return jax.jit(tasks[task])  # type: ignore[no-any-return]


def bind(
    task: str, params: Any, x: Any, y: Any, *, delta: float, lr: float, cell: str, activation: str = "tanh"
) -> Any:
    """Compile ``task`` for these shapes, unless this process has, and return its ``Bound``."""
    import numpy as np
    from jax import numpy as jnp

    function = compiled(task, cell, activation)
    zero = (jnp.zeros((x.shape[1], params["W"].shape[1]), x.dtype),) * (2 if cell == "lstm" else 1)
    inputs, current, state = [x, y], params, zero
    delta_there, lr_there = (jnp.asarray(number, x.dtype) for number in (delta, lr))
    last: dict[str, Any] = {}

    def forward() -> None:
        last["y_hat"] = function(current, inputs[0], zero)

    def stream() -> None:
        nonlocal state
        last["y_hat"], state = function(current, inputs[0], state)

    def gradient() -> None:
        last["loss"], last["gradient"] = function(current, inputs[0], zero, inputs[1], delta_there)

    def train_step() -> None:
        nonlocal current
        last["loss"], current = function(current, inputs[0], zero, inputs[1], delta_there, lr_there)

    def reset() -> None:
        nonlocal current, state
        current, state = params, zero

    def feed(x: Any, y: Any) -> None:
        inputs[0] = jnp.asarray(x)
        if task in ("gradient", "train_step"):
            inputs[1] = jnp.asarray(y)

    def result() -> dict[str, Any]:
        named = {f"d{name}": grad for name, grad in last.get("gradient", {}).items()}
        named |= {name: last[name] for name in ("y_hat", "loss") if name in last}
        named |= current if task == "train_step" else {}
        return {name: np.asarray(array) for name, array in named.items()}

    calls = {"forward": forward, "stream": stream, "gradient": gradient, "train_step": train_step}
    start_ns = time.perf_counter_ns()
    calls[task]()
    compile_ns = time.perf_counter_ns() - start_ns
    reset()
    return SimpleNamespace(call=calls[task], reset=reset, result=result, feed=feed, compile_ns=compile_ns)


rnn, gru, lstm = (partial(bind, cell=cell) for cell in ("rnn", "gru", "lstm"))
