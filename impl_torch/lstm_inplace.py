"""Variant ``torch-inplace`` of the LSTM: the mathematics of lstm_manual.py in a workspace allocated once.

Mirrors ``impl_numpy/lstm_inplace.py``, but that a sample is a row: every tensor is written in place
(``out=``) under inference mode, the gates stand in the order i, f, o, g, so the sigmoids are one pass, the
input products of all steps and gates are one matrix product before the loop, dL/dU and dL/dW one each after
it. Only torch offers: ``addmm`` adds bias or U x_t in the product's kernel, ``addcmul`` a product in a sum's.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from impl_torch.contract import Bound
from impl_torch.rnn import Params
from impl_torch.rnn_inplace import times_tanh_prime
from impl_torch.workspace import affine, bind_in_place, copies, kept


def exchanged(arrays: dict[str, Any], H: int) -> dict[str, Any]:
    """Exchange the rows of the last two gates of parameters, gradients or results, there or back."""
    order = [*range(2 * H), *range(3 * H, 4 * H), *range(2 * H, 3 * H)]
    gated = ("U", "W", "bU", "bW")
    return {name: a[order] if name.removeprefix("d") in gated else a for name, a in arrays.items()}


@torch.inference_mode()
def bind(task: str, params: Params, x: Tensor, y: Tensor, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    T, B, I = x.shape  # noqa: E741  (the project's letter for features)
    H, (keep, n_states) = params["W"].shape[1], kept(task, T)
    params = exchanged(params, H)
    p, grads = copies(params), copies(params)
    UT, W, WT = p["U"].T, p["W"], p["W"].T  # views: they follow the updates
    biased, streams = "bU" in p, task == "stream"
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    a, b = x.new_empty((T, B, 4 * H)), x.new_empty(4 * H)  # a_t, then the gates; bU + bW
    hs, cs = x.new_zeros((n_states, B, H)), x.new_zeros((n_states, B, H))
    tanh_cs, a_rows = x.new_empty((keep, B, H)).unbind(), a.reshape(T * B, 4 * H)
    # views of every step, as slicing costs as much as computing
    a_steps = a.unbind()
    # later steps write the last state that is kept
    h_steps, c_steps = (s.unbind() + s[-1:].unbind() * (T + 1 - n_states) for s in (hs, cs))
    sigmoids = a[..., : 3 * H].unbind()  # i, f and o
    i, f, o, a_g = (part.unbind() for part in a.chunk(4, dim=2))
    # of parts of rows a tanh takes three times as long; one sample is no part
    g = a_g if B == 1 else x.new_empty((keep, B, H)).unbind() * (T // keep)

    def start() -> None:
        h_steps[0].zero_()
        c_steps[0].zero_()

    def advance() -> Tensor:
        if biased:
            torch.add(p["bU"], p["bW"], out=b)
        affine(UT, b if biased else None, rows, a_rows)  # (T B, 4H): U x_t + bU + bW of every step
        h, c = h_steps[0], c_steps[0]
        for t in range(T):
            h_new, c_new = h_steps[t + 1], c_steps[t + 1]
            if t or streams:  # h_0 = 0
                torch.addmm(a_steps[t], h, WT, out=a_steps[t])  # (B, 4H)
            torch.sigmoid(sigmoids[t], out=sigmoids[t])
            if B > 1:
                g[t].copy_(a_g[t])
            torch.tanh(g[t], out=g[t])
            torch.mul(f[t], c, out=c_new)
            torch.addcmul(c_new, i[t], g[t], out=c_new)
            torch.tanh(c_new, out=tanh_cs[t % keep])
            torch.mul(o[t], tanh_cs[t % keep], out=h_new)
            h, c = h_new, c_new
        return h

    da = x.new_empty((keep, B, 4 * H))
    dc, d_gate, d_c = (x.new_empty((B, H)) for _ in range(3))
    slope = x.new_empty((B, 3 * H))  # of the sigmoids
    da_rows, da_steps, h_rows = da.reshape(-1, 4 * H), da.unbind(), hs[1:keep].reshape(-1, H)
    da_sigmoids = da[..., : 3 * H].unbind()
    da_i, da_f, da_o, da_g = (part.unbind() for part in da.chunk(4, dim=2))

    x_columns, da_columns, dUT = rows.T, da_rows[B:].T, grads["U"].T

    def back(dh: Tensor) -> None:
        dc.zero_()
        for t in range(T - 1, -1, -1):
            torch.mul(dh, tanh_cs[t], out=da_o[t])
            torch.mul(dh, o[t], out=d_gate)
            times_tanh_prime(tanh_cs[t], d_gate, d_c)
            torch.add(dc, d_c, out=dc)
            torch.mul(dc, g[t], out=da_i[t])
            torch.mul(dc, c_steps[t], out=da_f[t])
            torch.mul(dc, i[t], out=d_gate)
            times_tanh_prime(g[t], d_gate, da_g[t])
            torch.addcmul(sigmoids[t], sigmoids[t], sigmoids[t], value=-1, out=slope)
            torch.mul(slope, da_sigmoids[t], out=da_sigmoids[t])
            if t:
                torch.mm(da_steps[t], W, out=dh)
                torch.mul(dc, f[t], out=dc)
        torch.mm(x_columns, da_rows, out=dUT)  # (I, T B) (T B, 4H): the sum over t and batch
        torch.mm(da_columns, h_rows, out=grads["W"])
        if biased:
            torch.sum(da_rows, dim=0, out=grads["bU"])
            grads["bW"].copy_(grads["bU"])

    bound = bind_in_place(task, params, p, grads, y, start, advance, back, delta=delta, lr=lr)
    return replace(bound, result=lambda: exchanged(bound.result(), H))
