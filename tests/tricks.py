"""Variants that would win by not computing within the clock, for tests of what notices them.

Each wraps an honest ``bind(task, params, x, y, *, activation, delta, lr)``, which gets arrays of its own
library that change between calls. On inputs that stay the same, most hand out the right results.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.workload.rnn import RNN

Bind = Callable[..., "Bound"]


@dataclass(frozen=True)
class Bound:
    """What every ``bind`` returns."""

    call: Callable[[], object]
    reset: Callable[[], object]
    result: Callable[[], dict[str, Any]]


def honest(
    library: str, task: str, params: Any, x: Any, y: Any, *, activation: str, delta: float, lr: float
) -> Bound:
    """The reference of a library, which reads its arrays in every call."""
    reference = RNN.reference(library)
    current, last = dict(params), dict[str, Any]()

    def call() -> None:
        if task == "forward":
            last["y_hat"] = reference.predict(current, x, activation=activation)
            return
        last["loss"], grads = reference.loss_and_grads(current, x, y, activation=activation, delta=delta)
        for name, grad in grads.items():
            if task == "gradient":
                last[f"d{name}"] = grad
            else:
                last[name] = current[name] = current[name] - lr * grad

    return Bound(
        call,
        lambda: current.update(params),
        lambda: {name: np.asarray(values).copy() for name, values in last.items()},
    )


def hoisted(bind: Bind, task: str, params: Any, x: Any, y: Any, **options: Any) -> Bound:
    """Has worked everything out in ``bind``: from whatever lay in its inputs then."""
    bound = bind(task, params, x, y, **options)
    bound.call()
    return Bound(lambda: None, bound.reset, bound.result)


def lazy(bind: Bind, *arrays: Any, **options: Any) -> Bound:
    """Counts its calls, and makes them when it is asked for the result."""
    bound, asked = bind(*arrays, **options), [0]

    def call() -> None:
        asked[0] += 1

    def reset() -> None:
        asked[0] = 0
        bound.reset()

    def result() -> dict[str, Any]:
        while asked[0]:
            bound.call()
            asked[0] -= 1
        return bound.result()

    return Bound(call, reset, result)


def asynchronous(bind: Bind, *arrays: Any, pool: Any = ThreadPoolExecutor, **options: Any) -> Bound:
    """Leaves its calls to a thread, and waits for it when it is asked for the result."""
    bound, thread, pending = bind(*arrays, **options), pool(1), list[Any]()

    def wait() -> None:
        while pending:
            pending.pop(0).result()

    def reset() -> None:
        wait()
        bound.reset()

    def result() -> dict[str, Any]:
        wait()
        return bound.result()

    return Bound(lambda: pending.append(thread.submit(bound.call)), reset, result)


def memo(bind: Bind, task: str, params: Any, x: Any, y: Any, **options: Any) -> Bound:
    """Keeps what it has computed for the inputs that it knows, of a training every step."""
    bound = bind(task, params, x, y, **options)
    results, steps, last = dict[Any, Any](), {"asked": 0, "done": 0}, dict[str, Any]()

    def call() -> None:
        steps["asked"] += task == "train_step"
        key = (_seen(x), _seen(y), steps["asked"])
        if key not in results:
            for _ in range(steps["asked"] - steps["done"] if task == "train_step" else 1):
                bound.call()
            steps["done"] = steps["asked"]
            results[key] = bound.result()
        last.update(results[key])

    def reset() -> None:
        steps.update(asked=0, done=0)
        bound.reset()

    return Bound(call, reset, lambda: last)


def some_calls(
    bind: Bind,
    task: str,
    params: Any,
    x: Any,
    y: Any,
    *,
    computes: Callable[[int, int], bool],
    **options: Any,
) -> Bound:
    """Leaves calls out: ``computes`` tells from a call's number, and from that since its inputs changed."""
    bound = bind(task, params, x, y, **options)
    seen, number, since = None, 0, 0

    def call() -> None:
        nonlocal seen, number, since
        if (now := (_seen(x), _seen(y))) != seen:
            seen, since = now, 0
        if computes(number, since):
            bound.call()
        number, since = number + 1, since + 1

    return Bound(call, bound.reset, bound.result)


def _seen(array: Any) -> float:
    """One number of it, by which new inputs are told: a hash of all would cost more."""
    return float(array[(0,) * array.ndim])


TRICKS: dict[str, Callable[..., Bound]] = {
    "worked out in bind": hoisted,
    "kept by content": memo,
    "kept for 3 calls": partial(some_calls, computes=lambda number, since: since % 3 == 0),
    "worked out in result": lazy,
    "left to a thread": asynchronous,
    "nothing after 50 calls": partial(some_calls, computes=lambda number, since: number < 50),
    "nothing 50 calls after new inputs": partial(some_calls, computes=lambda number, since: since < 50),
    "nothing after the first call": partial(some_calls, computes=lambda number, since: number == 0),
}
