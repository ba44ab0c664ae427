"""Variant ``torch-inplace`` of the LSTM: the mathematics of lstm_manual.py in a workspace allocated once.

Mirrors ``impl_numpy/lstm_inplace.py``: every tensor is written in place (``out=``) under inference mode, the
input products of all steps and gates are one matrix product before the loop, dL/dU and dL/dW one each after
it. Only torch offers: ``addmm`` adds bias or U x_t in the product's kernel, ``addcmul`` a product in a sum's.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from impl_torch.contract import Bound, to_arrays
from impl_torch.rnn import Params
from impl_torch.rnn_inplace import times_sigmoid_prime, times_tanh_prime


@torch.inference_mode()
def bind(task: str, params: Params, x: Tensor, y: Tensor, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    T, B, I = x.shape  # noqa: E741  (the project's letter for features)
    O, H = params["V"].shape  # noqa: E741  (and for outputs)
    p = {name: tensor.clone() for name, tensor in params.items()}
    UT, WT, VT = p["U"].T, p["W"].T, p["V"].T  # views: they follow the updates
    biased = "bU" in p
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    steps = 2 if task == "forward" else T + 1  # states that are kept
    a = x.new_empty((T, B, 4 * H))  # a_t, then the gates
    hs, cs = x.new_zeros((steps, B, H)), x.new_zeros((steps, B, H))
    tanh_cs = x.new_empty((1 if task == "forward" else T, B, H)).unbind()
    a_rows, b, y_hat = a.reshape(T * B, 4 * H), x.new_empty(4 * H), x.new_empty((B, O))
    # views of every step, as slicing costs as much as computing
    a_steps, h_steps, c_steps = a.unbind(), hs.unbind(), cs.unbind()
    both = a[..., : 2 * H].unbind()  # input and forget gate
    i, f, g, o = (part.unbind() for part in a.chunk(4, dim=2))

    def forward() -> None:
        if biased:
            torch.add(p["bU"], p["bW"], out=b)
            torch.addmm(b, rows, UT, out=a_rows)  # (T B, 4H): U x_t + bU + bW of every step
        else:
            torch.mm(rows, UT, out=a_rows)
        h, c = h_steps[0], c_steps[0]
        h.zero_()
        c.zero_()
        for t in range(T):
            tanh_c, h_new, c_new = (
                tanh_cs[t % len(tanh_cs)],
                h_steps[(t + 1) % steps],
                c_steps[(t + 1) % steps],
            )
            torch.addmm(a_steps[t], h, WT, out=a_steps[t])  # (B, 4H)
            torch.sigmoid(both[t], out=both[t])
            torch.tanh(g[t], out=g[t])
            torch.sigmoid(o[t], out=o[t])
            torch.mul(f[t], c, out=c_new)
            torch.addcmul(c_new, i[t], g[t], out=c_new)
            torch.tanh(c_new, out=tanh_c)
            torch.mul(o[t], tanh_c, out=h_new)
            h, c = h_new, c_new
        if biased:
            torch.addmm(p["bV"], h, VT, out=y_hat)  # (B, O)
        else:
            torch.mm(h, VT, out=y_hat)

    grads = {name: torch.empty_like(tensor) for name, tensor in p.items()}
    e, e_clipped, part = (torch.empty_like(y_hat) for _ in range(3))
    da = x.new_empty((T, B, 4 * H))
    dh, dc, d_gate, d_c = (x.new_empty((B, H)) for _ in range(4))
    da_rows, h_rows = da.reshape(T * B, 4 * H), hs[:-1].reshape(-1, H)
    da_steps = da.unbind()
    da_i, da_f, da_g, da_o = (part.unbind() for part in da.chunk(4, dim=2))
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
        torch.mm(e_clipped, p["V"], out=dh)  # (B, H)
        dc.zero_()
        for t in range(T - 1, -1, -1):
            torch.mul(dh, tanh_cs[t], out=d_gate)
            times_sigmoid_prime(o[t], d_gate, da_o[t])
            torch.mul(dh, o[t], out=d_gate)
            times_tanh_prime(tanh_cs[t], d_gate, d_c)
            torch.add(dc, d_c, out=dc)
            torch.mul(dc, g[t], out=d_gate)
            times_sigmoid_prime(i[t], d_gate, da_i[t])
            torch.mul(dc, c_steps[t], out=d_gate)
            times_sigmoid_prime(f[t], d_gate, da_f[t])
            torch.mul(dc, i[t], out=d_gate)
            times_tanh_prime(g[t], d_gate, da_g[t])
            if t:
                torch.mm(da_steps[t], p["W"], out=dh)
                torch.mul(dc, f[t], out=dc)
        torch.mm(da_rows.T, rows, out=grads["U"])  # (4H, T B) (T B, I): the sum over t and batch
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
