"""Variant ``torch-inplace``: the mathematics of rnn_manual.py in a workspace that is allocated once.

Mirrors ``impl_numpy/rnn_inplace.py``: every tensor is written in place (``out=``) under inference mode, the
input products of all steps are one matrix product before the loop, dL/dU and dL/dW one each after it.
One thing only torch offers: ``addmm`` adds the recurrent product to U x_t in the same kernel.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from impl_torch.contract import Bound
from impl_torch.rnn import Params
from impl_torch.workspace import Workspace, affine


def times_tanh_prime(h: Tensor, dh: Tensor, out: Tensor) -> None:
    """out = dh (1 - h^2)."""
    torch.mul(h, h, out=out)
    torch.addcmul(dh, out, dh, value=-1, out=out)


def times_sigmoid_prime(h: Tensor, dh: Tensor, out: Tensor) -> None:
    """out = dh h (1 - h)."""
    torch.addcmul(h, h, h, value=-1, out=out)
    torch.mul(out, dh, out=out)


def relu(a: Tensor, out: Tensor) -> Tensor:
    """out = max(a, 0)."""
    return torch.clamp(a, min=0, out=out)


def times_relu_prime(h: Tensor, dh: Tensor, out: Tensor) -> None:
    """out = dh where h > 0, else 0."""
    torch.sign(h, out=out)
    torch.mul(out, dh, out=out)


ACTIVATIONS: dict[str, tuple[Callable[..., Tensor], Callable[[Tensor, Tensor, Tensor], None]]] = {
    "tanh": (torch.tanh, times_tanh_prime),
    "sigmoid": (torch.sigmoid, times_sigmoid_prime),
    "relu": (relu, times_relu_prime),
}


@torch.inference_mode()
def bind(
    task: str,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    activation: str,
    delta: float,
    lr: float,
) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    T, B, I = x.shape  # noqa: E741  (the project's letter for features)
    H, work = len(params["W"]), Workspace(task, params, x)
    act, times_act_prime = ACTIVATIONS[activation]

    p, d, streams = work.p.named, work.grads.named, task == "stream"
    UT, W, WT, biased = p["U"].T, p["W"], p["W"].T, "bU" in p  # views: they follow the updates
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    # a: a_t, on the way back dL/da_t
    a, b, hs = x.new_empty((T, B, H)), x.new_empty(H), x.new_zeros((work.n_states, B, H))
    a_rows, a_steps = a.reshape(T * B, H), a.unbind()
    # later steps write the last that is kept
    h_steps = hs.unbind() + hs[-1:].unbind() * (T + 1 - work.n_states)

    # views of every step, as slicing costs as much as computing; h_0 = 0, but in a stream
    views = list(zip(a_steps, h_steps, h_steps[1:], strict=False))[not streams :]

    def advance() -> None:
        if biased:
            torch.add(p["bU"], p["bW"], out=b)
        affine(UT, b if biased else None, rows, a_rows)  # (T B, H): U x_t + bU + bW of every step
        if not streams:
            act(a_steps[0], out=h_steps[1])
        for a_t, h, h_new in views:
            torch.addmm(a_t, h, WT, out=a_t)  # (B, H)
            act(a_t, out=h_new)

    dh, h_rows = x.new_empty((B, H)), hs[1 : work.n_steps].reshape(-1, H)
    x_columns, h_columns, later, dUT, dWT = rows.T, h_rows.T, a_rows[B:], d["U"].T, d["W"].T

    def back() -> None:
        for t in range(T, 0, -1):
            times_act_prime(h_steps[t], dh, a_steps[t - 1])
            if t > 1:
                torch.mm(a_steps[t - 1], W, out=dh)
        torch.mm(x_columns, a_rows, out=dUT)  # (I, T B) (T B, H): the sum over t and batch
        torch.mm(h_columns, later, out=dWT)
        if biased:
            torch.sum(a_rows, dim=0, out=d["bU"])
            d["bW"].copy_(d["bU"])

    return work.bind(y, h_steps[T], dh, (h_steps[0],), advance, back, delta=delta, lr=lr)
