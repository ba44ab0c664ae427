"""What the variants in place share: weights, inputs, output, loss and update in tensors allocated once.

As in ``impl_numpy/workspace.py``, weights and biases are joined, [U bU bW W] and [bV V], and of a GRU or an
LSTM tensors have a column for each sample, so that the numbers of a gate lie side by side: one product of
[x_t; 1; 1; h_{t-1}] (I + 2 + H, B) makes a_t of its gates. The RNN, which has one, is faster by rows, so
the inputs have a class of their own here. BLAS takes parts of tensors as they lie. No call makes a view: it
costs as much as an operation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from impl_torch.contract import Bound, to_arrays
from impl_torch.rnn import Params


@dataclass(frozen=True, slots=True)
class Joined:
    """Parameters or their gradients, joined; ``named`` has a view of each."""

    weights: Tensor  # [U bU bW W]
    output: Tensor  # [bV V]
    named: Params


def join(params: Params) -> Joined:
    """Allocate what holds tensors of these shapes, column by column.

    So dL/dU has long rows: a product of many rows and few columns takes up to twelve times as long.
    """
    (G, I), (O, H) = params["U"].shape, params["V"].shape  # noqa: E741  (the project's letters)
    biased, new = "bU" in params, params["U"].new_empty
    weights, output = new((I + 2 * biased + H, G)).T, new((biased + H, O)).T
    named = {"U": weights[:, :I], "W": weights[:, -H:], "V": output[:, -H:]}
    if biased:
        named |= {"bU": weights[:, I], "bW": weights[:, I + 1], "bV": output[:, 0]}
    return Joined(weights, output, named)


def affine(weights: Tensor, bias: Tensor | None, x: Tensor, out: Tensor) -> None:
    """out = x weights + bias, in one kernel."""
    if bias is None:
        torch.mm(x, weights, out=out)
    else:
        torch.addmm(bias, x, weights, out=out)


def inference(call: Callable[[], None]) -> Callable[[], None]:
    """Return the call under inference mode; used as a decorator, the mode is made anew in every call."""
    mode = torch.inference_mode()

    def under_mode() -> None:
        with mode:
            call()

    return under_mode


class Workspace:
    """Hold the joined parameters and their gradients, and how many steps and states are kept.

    For the way back all are, else one. Before the states stands h_0 = 0, but in a stream, which has no first
    step: it goes on from the state that it has.
    """

    def __init__(self, task: str, params: Params, x: Tensor, order: Any = slice(None)) -> None:
        """Allocate; ``order`` are the rows of U, W and their biases as the workspace has them."""
        T = len(x)
        self.n_steps, self.n_states = {"stream": (1, 1), "forward": (1, 2)}.get(task, (T, T + 1))
        self.task, self.params, self.order, self.p = task, params, order, join(params)
        self.grads = join(params)

    def given(self, joined: Joined) -> Params:
        """Return the tensors with their rows in the order in which they were given."""
        inverse = torch.arange(len(joined.weights))[self.order].argsort()
        return {
            name: tensor if name in ("V", "bV") else tensor[inverse] for name, tensor in joined.named.items()
        }

    def bind(
        self,
        y: Tensor,
        h1: Tensor,
        dh: Tensor,
        first: Sequence[Tensor],
        advance: Callable[[], None],
        back: Callable[[], None],
        *,
        delta: float,
        lr: float,
    ) -> Bound:
        """Return the ``Bound`` of the task.

        ``first`` are the states that the first step starts from: zero, but a stream changes them. ``advance``
        makes all steps from there, so that ``h1`` is h_T (B, H), or [1 h_T], which [bV V] multiplies.
        ``back`` writes the gradient of the weights from ``dh``, dL/dh_T (B, H), which it may overwrite.
        """
        p, grads, k = self.p, self.grads, h1.shape[1]
        V, bV, dbV = p.named["V"], p.named.get("bV"), grads.named.get("bV")
        if k > V.shape[1]:
            bV = dbV = None
        weights, dweights, h1T = p.output[:, -k:].T, grads.output[:, -k:].T, h1.T
        y_hat = torch.empty_like(y)  # (B, O)

        def reset() -> None:
            for name, tensor in self.params.items():
                p.named[name].copy_(tensor if name in ("V", "bV") else tensor[self.order])
            for state in first:
                state.zero_()

        def forward() -> None:
            advance()
            affine(weights, bV, h1, y_hat)

        reset()
        if self.task in ("stream", "forward"):
            return Bound(inference(forward), inference(reset), lambda: to_arrays({"y_hat": y_hat}))

        e, dy_hat, part = (torch.empty_like(y) for _ in range(3))
        flat, dy_flat = part.view(-1), dy_hat.view(-1)
        size, loss = y.new_tensor(y.numel()), y.new_zeros(())  # of a number, each call would make a tensor

        def gradient() -> None:
            forward()
            torch.sub(y_hat, y, out=e)
            torch.clamp(e, -delta, delta, out=dy_hat)
            torch.sub(e, dy_hat, alpha=0.5, out=part)
            torch.dot(flat, dy_flat, out=loss)
            torch.div(loss, size, out=loss)

            torch.div(dy_hat, size, out=dy_hat)
            torch.mm(h1T, dy_hat, out=dweights)
            if dbV is not None:
                torch.sum(dy_hat, dim=0, out=dbV)
            torch.mm(dy_hat, V, out=dh)
            back()

        def train_step() -> None:
            gradient()
            torch.sub(p.weights, grads.weights, alpha=lr, out=p.weights)
            torch.sub(p.output, grads.output, alpha=lr, out=p.output)

        def result() -> dict[str, NDArray[Any]]:
            if self.task == "gradient":
                return to_arrays(
                    {"loss": loss} | {f"d{name}": grad for name, grad in self.given(grads).items()}
                )
            return to_arrays({"loss": loss} | self.given(p))

        call = {"gradient": gradient, "train_step": train_step}[self.task]
        return Bound(inference(call), inference(reset), result)


class Columns(Workspace):
    """Hold the inputs of every step as well, a column for each sample."""

    def __init__(self, task: str, params: Params, x: Tensor, order: Any = slice(None)) -> None:
        """Allocate; ``order`` are the rows of U, W and their biases as the workspace has them."""
        super().__init__(task, params, x, order)
        (self.T, B, I), streams = x.shape, task == "stream"  # noqa: E741  (the project's letter for features)
        self.H, biased = params["V"].shape[1], "bU" in params
        self.xs = x.transpose(1, 2)  # (T, I, B): a view, which follows what is written into x
        self.inputs = x.new_ones((self.T + (not streams), I + 2 * biased + self.H, B))
        self.x, self.h = self.inputs[: self.T, :I], self.inputs[:, -self.H :].unbind()
        self.h_new = self.h[1:] or self.h
        # what U and bU multiply; what bW and W, bV and V multiply
        self.x1, self.h1 = self.inputs[: self.T, : I + biased], self.inputs[:, I + biased :]

    def products(self, weights: Tensor, inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return weights and inputs of each step; W is left out where h_0 = 0."""
        operands = [(weights, step) for step in inputs.unbind()]
        if self.task != "stream":
            operands[0] = weights[:, : -self.H], inputs[0, : -self.H]
        return operands

    def steps(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """Return the views of every step of each tensor; one that is kept serves all steps."""
        return [tensor.unbind() * (self.T // len(tensor)) for tensor in tensors]


def over_steps(left: Tensor, right: Tensor, out: Tensor, zeros: int = 0) -> Callable[[], object]:
    """Return what writes the sum over t of left_t right_t^T (n, k), from (T, n, B) and (T, k, B).

    In the first step the last rows of ``right``, as many as ``zeros``, are zero.
    """
    if left.shape[2] == 1:  # one sample: the steps are the columns of one product
        return partial(torch.mm, left[..., 0].T, right[..., 0], out=out)
    k, rows = out.shape[1] - zeros, right.transpose(1, 2)
    if not zeros:
        return partial(torch.addbmm, out, left, rows, beta=0, out=out)
    operands, of_first, of_zeros = (left[0], rows[0, :, :k]), out[:, :k], out[:, k:]
    later = out, left[1:], rows[1:]

    def write() -> None:
        torch.mm(*operands, out=of_first)
        of_zeros.zero_()
        torch.addbmm(*later, out=out)

    return write
