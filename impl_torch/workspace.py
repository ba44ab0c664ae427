"""What the variants in place share: output, loss and update in tensors that are allocated once.

Mirrors ``impl_numpy/workspace.py``. A cell's own file has the recurrence: where its state starts, its way
forward to h_T, and its way back from dL/dh_T.
"""

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from impl_torch.contract import Bound, to_arrays
from impl_torch.rnn import Params


def affine(weights: Tensor, bias: Tensor | None, x: Tensor, out: Tensor) -> None:
    """out = x weights + bias, in one kernel."""
    if bias is None:
        torch.mm(x, weights, out=out)
    else:
        torch.addmm(bias, x, weights, out=out)


def kept(task: str, T: int) -> tuple[int, int]:
    """How many steps and states are kept: all for the way back, else one; and h_0 = 0, but in a stream."""
    return {"stream": (1, 1), "forward": (1, 2)}.get(task, (T, T + 1))


def copies(params: Params) -> Params:
    """Copies of the parameters, which the update moves.

    U, and so dL/dU, is stored as U^T: a product of few rows and many columns sums over t and batch, since
    many rows and few columns take up to twelve times as long.
    """
    p = {name: tensor.clone() for name, tensor in params.items()}
    return p | {"U": params["U"].T.clone(memory_format=torch.contiguous_format).T}


def bind_in_place(
    task: str,
    params: Params,
    p: Params,
    grads: Params,
    y: Tensor,
    start: Callable[[], None],
    advance: Callable[[], Tensor],
    back: Callable[[Tensor], None],
    *,
    delta: float,
    lr: float,
) -> Bound:
    """Return the ``Bound`` of ``task``; ``p`` is the copy of ``params`` that the update moves.

    ``start`` sets the first state to zero; only a stream changes it. ``advance`` makes all steps from there
    and returns h_T (B, H). ``back`` writes ``grads`` of U, W and their biases from dL/dh_T (B, H), which it
    may overwrite.
    """
    V, VT, bV = p["V"], p["V"].T, p.get("bV")
    y_hat = torch.empty_like(y)  # (B, O)

    def forward() -> Tensor:
        h = advance()
        affine(VT, bV, h, y_hat)
        return h

    inference = torch.inference_mode()
    if task in ("stream", "forward"):
        return Bound(inference(forward), inference(start), lambda: to_arrays({"y_hat": y_hat}))

    e, dy_hat, part = (torch.empty_like(y) for _ in range(3))
    dy_columns, dV = dy_hat.T, grads["V"]  # no call makes a view: it costs as much as an operation
    dh, loss = y.new_empty((len(y), V.shape[1])), y.new_zeros(())

    def gradient() -> None:
        h = forward()
        torch.sub(y_hat, y, out=e)
        torch.clamp(e, -delta, delta, out=dy_hat)
        torch.sub(e, dy_hat, alpha=0.5, out=part)
        torch.mul(part, dy_hat, out=part)
        torch.mean(part, dim=(0, 1), out=loss)

        torch.div(dy_hat, y.numel(), out=dy_hat)
        torch.mm(dy_columns, h, out=dV)
        if bV is not None:
            torch.sum(dy_hat, dim=0, out=grads["bV"])
        torch.mm(dy_hat, V, out=dh)
        back(dh)

    def train_step() -> None:
        gradient()
        for name, grad in grads.items():
            torch.sub(p[name], grad, alpha=lr, out=p[name])

    def reset() -> None:
        for name, tensor in params.items():
            p[name].copy_(tensor)

    def result() -> dict[str, NDArray[Any]]:
        if task == "gradient":
            return to_arrays({"loss": loss} | {f"d{name}": grad for name, grad in grads.items()})
        return to_arrays({"loss": loss} | p)

    call = {"gradient": gradient, "train_step": train_step}[task]
    return Bound(inference(call), inference(reset), result)
