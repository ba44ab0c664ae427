"""Variant ``torch-inplace``: the mathematics of rnn_manual.py in a workspace that is allocated once.

Mirrors ``impl_numpy/rnn_inplace.py``: every tensor is written in place (``out=``) under inference mode, the
input products of all steps are one matrix product before the loop, dL/dU and dL/dW one each after it.
One thing only torch offers: ``addmm`` adds the recurrent product to U x_t in the same kernel.
"""

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from impl_torch.contract import Bound, to_arrays
from impl_torch.rnn import Params


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
    H, O = params["W"].shape[0], params["V"].shape[0]  # noqa: E741  (and for outputs)
    act, times_act_prime = ACTIVATIONS[activation]

    p = {name: tensor.clone() for name, tensor in params.items()}
    U, W, V = p["U"], p["W"], p["V"]
    UT, WT, VT = U.T, W.T, V.T  # views: they follow the updates
    biased = "bU" in p
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    # forward needs one hidden state at a time, the gradient needs them all
    a = x.new_empty((T, B, H))
    hs = x.new_zeros((2 if task == "forward" else T + 1, B, H))
    a_rows, a_steps, h_steps = a.reshape(T * B, H), a.unbind(), hs.unbind()
    b, y_hat = x.new_empty(H), x.new_empty((B, O))

    def forward() -> None:
        if biased:
            torch.add(p["bU"], p["bW"], out=b)
            torch.addmm(b, rows, UT, out=a_rows)  # (T B, H): U x_t + bU + bW of every step
        else:
            torch.mm(rows, UT, out=a_rows)
        h = h_steps[0]
        h.zero_()
        for t in range(T):
            a_t = a_steps[t]  # (B, H)
            torch.addmm(a_t, h, WT, out=a_t)
            h = h_steps[(t + 1) % len(h_steps)]
            act(a_t, out=h)
        if biased:
            torch.addmm(p["bV"], h, VT, out=y_hat)  # (B, O)
        else:
            torch.mm(h, VT, out=y_hat)

    grads = {name: torch.empty_like(tensor) for name, tensor in p.items()}
    e, e_clipped, part = (torch.empty_like(y_hat) for _ in range(3))
    das, dh = x.new_empty((T, B, H)), x.new_empty((B, H))
    da_steps, da_rows = das.unbind(), das.reshape(T * B, H)
    h_rows = hs[:-1].reshape(-1, H)
    loss = x.new_zeros(())

    def gradient() -> None:
        forward()
        torch.sub(y_hat, y, out=e)
        torch.clamp(e, -delta, delta, out=e_clipped)
        torch.sub(e, e_clipped, alpha=0.5, out=part)
        torch.mul(part, e_clipped, out=part)
        torch.mean(part, dim=(0, 1), out=loss)

        torch.div(e_clipped, y.numel(), out=e_clipped)  # dL/dy_hat
        torch.mm(e_clipped.T, h_steps[T], out=grads["V"])
        torch.mm(e_clipped, V, out=dh)  # (B, H)
        for t in range(T, 0, -1):
            times_act_prime(h_steps[t], dh, da_steps[t - 1])
            if t > 1:
                torch.mm(da_steps[t - 1], W, out=dh)
        torch.mm(da_rows.T, rows, out=grads["U"])  # (H, T B) (T B, I): the sum over t and batch
        torch.mm(da_rows.T, h_rows, out=grads["W"])
        if biased:
            torch.sum(da_rows, dim=0, out=grads["bU"])
            grads["bW"].copy_(grads["bU"])
            torch.sum(e_clipped, dim=0, out=grads["bV"])

    def train_step() -> None:
        gradient()
        for name, grad in grads.items():
            torch.sub(p[name], grad, alpha=lr, out=p[name])

    def reset() -> None:
        for name, tensor in params.items():
            p[name].copy_(tensor)

    def result() -> dict[str, NDArray[Any]]:
        if task == "forward":
            return to_arrays({"y_hat": y_hat})
        if task == "gradient":
            return to_arrays({"loss": loss} | {f"d{name}": grad for name, grad in grads.items()})
        return to_arrays({"loss": loss} | p)

    calls = {"forward": forward, "gradient": gradient, "train_step": train_step}
    inference = torch.inference_mode()
    return Bound(inference(calls[task]), inference(reset), result)
