"""A library from outside, in pure Python: matrices are lists of lists of floats, and so float64 alone."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.machine.libraries import Library

Matrix = list[list[float]]


class Toy(Library):
    """Lists, which have no dtype and no device."""

    __slots__ = ()

    def place(self, array: Any, device: str) -> Any:
        """Return the numbers as lists."""
        return array.tolist()

    def write(self, held: Any, array: Any) -> None:
        """Put other numbers into the lists."""
        held[:] = array.tolist()

    def as_numpy(self, held: Any) -> Any:
        """Return the numbers of the lists."""
        return np.array(held)


TOY = Toy(name="lists", label="Lists", colour="#117733", dark_colour="#7fd49b")


def product(left: Matrix, right: Matrix) -> Matrix:
    """(m, k) (k, n)."""
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*right, strict=True)]
        for row in left
    ]


def turned(matrix: Matrix) -> Matrix:
    """The transpose."""
    return [list(column) for column in zip(*matrix, strict=True)]


def each(function: Any, *matrices: Matrix) -> Matrix:
    """Elementwise."""
    return [[function(*values) for values in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]


def add(left: Matrix, right: Matrix) -> Matrix:
    """Elementwise sum."""
    return each(lambda a, b: a + b, left, right)


def loss_and_grads(params: dict[str, Matrix], x: Any, y: Matrix, act: Any, slope: Any, delta: float) -> Any:
    """Return y_hat, the mean Huber loss, and its gradient by BPTT."""
    U, W, V = params["U"], params["W"], params["V"]
    hs = [[[0.0] * len(W) for _ in y]]
    for x_t in x:
        hs.append(each(act, add(product(x_t, turned(U)), product(hs[-1], turned(W)))))
    y_hat, size = product(hs[-1], turned(V)), len(y) * len(y[0])
    e = each(lambda a, b: a - b, y_hat, y)
    clipped = each(lambda a: min(max(a, -delta), delta), e)
    loss = sum(map(sum, each(lambda c, a: c * (a - c / 2), clipped, e))) / size
    dy_hat = each(lambda c: c / size, clipped)
    dU, dW = each(lambda a: 0 * a, U), each(lambda a: 0 * a, W)
    dh = product(dy_hat, V)
    for t in range(len(x), 0, -1):
        da = each(lambda d, h: d * slope(h), dh, hs[t])
        dU, dW = add(dU, product(turned(da), x[t - 1])), add(dW, product(turned(da), hs[t - 1]))
        dh = product(da, W)
    return y_hat, loss, {"U": dU, "W": dW, "V": product(turned(dy_hat), hs[-1])}


def bind(task: str, params: Any, x: Any, y: Any, *, activation: str, delta: float, lr: float) -> Any:
    """Bind a task to lists."""
    import math

    act, slope = {
        "tanh": (math.tanh, lambda h: 1 - h * h),
        "sigmoid": (lambda a: (1 + math.tanh(a / 2)) / 2, lambda h: h * (1 - h)),
    }[activation]
    current, last = dict(params), dict[str, Any]()

    def call() -> None:
        y_hat, loss, grads = loss_and_grads(current, x, y, act, slope, delta)
        if task == "forward":
            last["y_hat"] = y_hat
            return
        last["loss"] = loss
        for name, grad in grads.items():
            if task == "gradient":
                last[f"d{name}"] = grad
            else:
                last[name] = current[name] = each(lambda p, g: p - lr * g, current[name], grad)

    def result() -> dict[str, Any]:
        return {name: np.array(value) for name, value in last.items()}

    return SimpleNamespace(call=call, reset=lambda: current.update(params), result=result)


lists = SimpleNamespace(name="toy-lists", library=f"{__name__}:TOY", dtypes="float64", bind=bind)
