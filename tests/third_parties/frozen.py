"""A library from outside in the style of JAX: arrays never change, so a variant has its own ``feed``."""

from types import SimpleNamespace
from typing import Any

from bench.machine.libraries import Library
from impl_numpy.rnn import Array, loss_and_grads, predict


def freeze(array: Array) -> Array:
    """Return the array, which nobody can write into any more."""
    array.setflags(write=False)
    return array


class Frozen(Library):
    """NumPy's arrays, but frozen."""

    __slots__ = ()

    def place(self, array: Array, device: str) -> Any:
        """Return a frozen copy."""
        return freeze(array.copy())


FROZEN = Frozen(name="frozen", label="Frozen", colour="#882255", dark_colour="#d98cb3")


def bind(task: str, params: Any, x: Array, y: Array, *, activation: str, delta: float, lr: float) -> Any:
    """Bind a task to inputs that ``feed`` exchanges."""
    inputs, current, last = [x, y], dict(params), dict[str, Any]()

    def call() -> None:
        if task == "forward":
            last["y_hat"] = freeze(predict(current, inputs[0], activation=activation))
            return
        last["loss"], grads = loss_and_grads(current, *inputs, activation=activation, delta=delta)
        for name, grad in grads.items():
            if task == "gradient":
                last[f"d{name}"] = freeze(grad)
            else:
                last[name] = current[name] = freeze(current[name] - lr * grad)

    def feed(x: Array, y: Array) -> None:
        inputs[:] = freeze(x), freeze(y)

    return SimpleNamespace(call=call, reset=lambda: current.update(params), result=lambda: last, feed=feed)


arrays = SimpleNamespace(name="frozen-arrays", library=f"{__name__}:FROZEN", bind=bind)
