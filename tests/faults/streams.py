"""Variants that pretend to stream; a child of a stream finds them as ``faults.streams:NAME``."""

import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from impl_numpy.contract import Bound
from impl_numpy.contract import rnn_batched as batched


def streaming(name: str, bind: Callable[..., Any]) -> SimpleNamespace:
    return SimpleNamespace(name=name, library="numpy", bind=bind, tasks=("stream",))


def _remembering(*args: Any, **options: Any) -> Bound:
    """Keep y_t by x_t: a sample that comes again is not computed, and the state stands still."""
    bound, x, known, last = batched(*args, **options), args[2], dict[bytes, Any](), list[Any]()

    def call() -> None:
        if (key := x.tobytes()) not in known:
            bound.call()
            known[key] = dict(bound.result())
        last[:] = [known[key]]

    def reset() -> None:
        bound.reset()
        known.clear()

    return Bound(call, reset, lambda: last[0])


def _putting_off(*args: Any, **options: Any) -> Bound:
    """Keep the samples, and make their steps when the result is asked for."""
    task, params, x, y = args
    bound, samples = batched(task, params, kept := x.copy(), y, **options), list[Any]()

    def result() -> dict[str, Any]:
        for sample in samples:
            kept[...] = sample
            bound.call()
        samples.clear()
        return bound.result()

    def reset() -> None:
        samples.clear()
        bound.reset()

    return Bound(lambda: samples.append(x.copy()), reset, result)


def _hiding(*args: Any, **options: Any) -> Bound:
    """Collect no garbage while calls are timed, and put that back before the result is read."""
    bound, calls = batched(*args, **options), [0]

    def call() -> None:
        bound.call()
        calls[0] += 1
        if calls[0] > 64:
            gc.disable()

    def result() -> dict[str, Any]:
        gc.enable()
        return bound.result()

    return Bound(call, bound.reset, result)


remembering = streaming("remembering", _remembering)
putting_off = streaming("putting-off", _putting_off)
hiding = streaming("hiding", _hiding)
