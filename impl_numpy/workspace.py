"""What the variants in place share: weights, inputs, output, loss and update in arrays allocated once.

Arrays have a column for each sample, so the numbers of a gate lie side by side, and so do a step's input, its
state, and a one for each bias. With the weights joined in the same way, one product makes a_t of all gates::

    inputs    [x_t; 1; 1; h_{t-1}]    (I + 2 + H, B)
    weights   [U bU bW W]             (gates H, I + 2 + H)
    output    [bV V]                  (O, 1 + H)

Without biases, these ones are left out. As h_0 = 0, W multiplies nothing in the first step, and dL/dW has no
part of it. A cell's own file has the recurrence: its way forward to h_T, and its way back from dL/dh_T.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle
from typing import Any, Literal

import numpy as np

from impl_numpy.contract import Bound
from impl_numpy.rnn import Array, Params


@dataclass(frozen=True, slots=True)
class Joined:
    """Parameters or their gradients, joined; ``named`` has a view of each."""

    weights: Array  # [U bU bW W]
    output: Array  # [bV V]
    named: Params


def join(params: Params, stored: Literal["C", "F"] = "C") -> Joined:
    """Allocate what holds arrays of these shapes, row by row or (``F``) column by column."""
    (G, I), (O, H) = params["U"].shape, params["V"].shape  # noqa: E741  (the project's letters)
    biased, dtype = "bU" in params, params["U"].dtype
    weights = np.empty((G, I + 2 * biased + H), dtype, stored)
    output = np.empty((O, biased + H), dtype)
    named = {"U": weights[:, :I], "W": weights[:, -H:], "V": output[:, -H:]}
    if biased:
        named |= {"bU": weights[:, I], "bW": weights[:, I + 1], "bV": output[:, 0]}
    return Joined(weights, output, named)


class Workspace:
    """Hold the joined parameters and the inputs of all steps; without a way back, of the first and one more.

    A stream has no first step: it goes on from the state that it has.
    """

    def __init__(self, task: str, params: Params, x: Array, order: Any = slice(None)) -> None:
        """Allocate; ``order`` are the rows of U, W and their biases as the workspace has them."""
        T, B, I = x.shape  # noqa: E741  (the project's letter for features)
        n_states = 1 if task == "stream" else 2 if task == "forward" else T + 1
        self.n_steps = min(n_states, T)
        self.new = [min(t + 1, n_states - 1) for t in range(self.n_steps)]  # the state that a step writes
        # a product with one column sums columns sooner than it sums rows
        stored: Literal["C", "F"] = "F" if B == 1 and task in ("forward", "stream") else "C"
        self.task, self.params, self.order, self.p = task, params, order, join(params, stored)
        H, biased = params["V"].shape[1], "bU" in params
        self.xs = x.transpose(0, 2, 1)  # (T, I, B): a view, which follows what is written into x
        self.inputs = np.ones((n_states, self.p.weights.shape[1], B), x.dtype)
        self.x, self.h = self.inputs[:, :I], self.inputs[:, -H:]
        self.h_new = [self.h[t] for t in self.new]
        # what U and bU multiply; what bW and W, bV and V multiply
        self.x1, self.h1 = self.inputs[:, : I + biased], self.inputs[:, I + biased :]
        self.half = np.array(0.5, x.dtype)  # from a number, each call would make such an array

    def products(self, weights: Array, inputs: Array) -> tuple[list[Callable[..., Any]], list[Array]]:
        """Return what multiplies the inputs of each step, states and what stands above them, and the inputs.

        It is a method, since np.dot takes 0.2 us more, and np.matmul, which takes parts of arrays, 0.5.
        """
        H, multiply, operands = self.h.shape[1], [weights.dot] * self.n_steps, list(inputs)
        if self.task != "stream":
            multiply[0], operands[0] = partial(np.matmul, weights[:, :-H]), inputs[0, :-H]
        return multiply, operands

    def steps(self, views: list[Any]) -> Iterator[tuple[Array, Any]]:
        """Return x_t (I, B) and the views of every step; the last that is kept serves all later ones."""
        return zip(self.xs, chain(views[:1], cycle(views[1:])), strict=False)

    def given(self, joined: Joined) -> Params:
        """Return the arrays with their rows in the order in which they were given."""
        inverse = np.argsort(np.arange(len(joined.weights))[self.order])
        return {
            name: array if name in ("V", "bV") else array[inverse] for name, array in joined.named.items()
        }

    def bind(
        self,
        y: Array,
        first: Sequence[Array],
        read: Callable[[], None],
        advance: Callable[[], None],
        back: Callable[[Array, Array], None],
        *,
        delta: float,
        lr: float,
    ) -> Bound:
        """Return the ``Bound`` of the task.

        ``first`` are the states that the first step starts from: zero, but a stream changes them. ``read``
        reads the parameters, whenever they have changed. ``advance`` makes all steps, so that h_T is the last
        state. ``back`` writes the gradient of the weights from dL/dh_T (H, B), which it may overwrite.
        """
        p, h1, (B, O) = self.p, self.h1[-1], y.shape  # noqa: E741  (the project's letter for outputs)
        y_hat = np.empty((O, B), y.dtype)

        def reset() -> None:
            for name, array in self.params.items():
                p.named[name][...] = array if name in ("V", "bV") else array[self.order]
            read()
            for state in first:
                state[...] = 0

        def forward() -> None:
            advance()
            p.output.dot(h1, y_hat)

        reset()
        if self.task in ("stream", "forward"):
            return Bound(forward, reset, lambda: {"y_hat": y_hat.T})

        grads, VT = join(self.params), p.named["V"].T
        e, dy_hat, part = (np.empty((O, B), y.dtype) for _ in range(3))
        dh, loss = np.empty((len(VT), B), y.dtype), np.zeros((), y.dtype)
        # the learning rate multiplies dL/dy_hat, and with it all gradients
        rate = lr if self.task == "train_step" else 1.0
        numbers = (-delta, delta, rate / y.size, y.size)
        low, high, factor, size = (np.array(number, y.dtype) for number in numbers)

        def gradient() -> None:
            forward()
            np.subtract(y_hat, y.T, e)
            e.clip(low, high, dy_hat)
            np.multiply(dy_hat, self.half, part)
            np.subtract(e, part, part)
            np.multiply(part, dy_hat, part)
            np.add.reduce(part, axis=None, out=loss)  # np.mean takes four times as long
            np.divide(loss, size, loss)

            np.multiply(dy_hat, factor, dy_hat)
            dy_hat.dot(h1.T, grads.output)
            np.matmul(VT, dy_hat, out=dh)
            back(dh, grads.weights)

        def train_step() -> None:
            gradient()
            np.subtract(p.weights, grads.weights, p.weights)
            np.subtract(p.output, grads.output, p.output)
            read()

        def result() -> dict[str, Array]:
            if self.task == "gradient":
                return {"loss": loss} | {f"d{name}": grad for name, grad in self.given(grads).items()}
            return {"loss": loss} | self.given(p)

        return Bound({"gradient": gradient, "train_step": train_step}[self.task], reset, result)


def over_steps(left: Array, right: Array, zeros: int) -> Callable[[Array], None]:
    """Return what writes the sum over t of left_t right_t^T (n, k), from (T, n, B) and (T, k, B).

    In the first step the last rows of ``right``, as many as ``zeros``, are zero.
    """
    (left_rows, fill_left), (right_rows, fill_right), B = by_row(left), by_row(right), left.shape[2]

    def write(out: Array) -> None:
        fill_left()
        fill_right()
        np.matmul(left_rows, right_rows[:-zeros].T, out=out[:, :-zeros])
        np.matmul(left_rows[:, B:], right_rows[-zeros:, B:].T, out=out[:, -zeros:])

    return write


def by_row(steps: Array) -> tuple[Array, Callable[[], None]]:
    """Return an array (n, T B) and what fills it with all steps (T, n, B)."""
    T, n, B = steps.shape
    if B == 1:
        return steps.reshape(T, n).T, lambda: None
    rows = np.empty((n, T, B), steps.dtype)
    return rows.reshape(n, T * B), partial(np.copyto, rows, steps.transpose(1, 0, 2))
