"""Variant ``torch-inplace`` of the LSTM: the mathematics of lstm_manual.py in a workspace allocated once.

Mirrors ``impl_numpy/lstm_inplace.py``, but for the layout of its gates: every tensor is written in place
(``out=``) under inference mode, the input products of all steps and gates are one matrix product before the
loop, dL/dU and dL/dW one each after it. Only torch offers: ``addmm`` adds bias or U x_t in the product's
kernel, ``addcmul`` a product in a sum's.
"""

import torch
from torch import Tensor

from impl_torch.contract import Bound
from impl_torch.rnn import Params
from impl_torch.rnn_inplace import times_sigmoid_prime, times_tanh_prime
from impl_torch.workspace import affine, bind_in_place, copies, kept


@torch.inference_mode()
def bind(task: str, params: Params, x: Tensor, y: Tensor, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    T, B, I = x.shape  # noqa: E741  (the project's letter for features)
    H, (keep, n_states) = params["W"].shape[1], kept(task, T)
    p = copies(params)
    UT, W, WT = p["U"].T, p["W"], p["W"].T  # views: they follow the updates
    biased = "bU" in p
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    a, b = x.new_empty((T, B, 4 * H)), x.new_empty(4 * H)  # a_t, then the gates; bU + bW
    hs, cs = x.new_zeros((n_states, B, H)), x.new_zeros((n_states, B, H))
    tanh_cs, a_rows = x.new_empty((keep, B, H)).unbind(), a.reshape(T * B, 4 * H)
    # views of every step, as slicing costs as much as computing
    a_steps, h_steps, c_steps = a.unbind(), hs.unbind(), cs.unbind()
    both = a[..., : 2 * H].unbind()  # input and forget gate
    i, f, g, o = (part.unbind() for part in a.chunk(4, dim=2))

    def start() -> None:
        h_steps[0].zero_()
        c_steps[0].zero_()

    def advance() -> Tensor:
        if biased:
            torch.add(p["bU"], p["bW"], out=b)
        affine(UT, b if biased else None, rows, a_rows)  # (T B, 4H): U x_t + bU + bW of every step
        h, c = h_steps[0], c_steps[0]
        for t in range(T):
            h_new, c_new = h_steps[(t + 1) % n_states], c_steps[(t + 1) % n_states]
            torch.addmm(a_steps[t], h, WT, out=a_steps[t])  # (B, 4H)
            torch.sigmoid(both[t], out=both[t])
            torch.tanh(g[t], out=g[t])
            torch.sigmoid(o[t], out=o[t])
            torch.mul(f[t], c, out=c_new)
            torch.addcmul(c_new, i[t], g[t], out=c_new)
            torch.tanh(c_new, out=tanh_cs[t % keep])
            torch.mul(o[t], tanh_cs[t % keep], out=h_new)
            h, c = h_new, c_new
        return h

    da = x.new_empty((keep, B, 4 * H))
    dc, d_gate, d_c = (x.new_empty((B, H)) for _ in range(3))
    da_rows, da_steps, h_rows = da.reshape(-1, 4 * H), da.unbind(), hs[:keep].reshape(-1, H)
    da_i, da_f, da_g, da_o = (part.unbind() for part in da.chunk(4, dim=2))

    def back(dh: Tensor, grads: Params) -> None:
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
                torch.mm(da_steps[t], W, out=dh)
                torch.mul(dc, f[t], out=dc)
        torch.mm(rows.T, da_rows, out=grads["U"].T)  # (I, T B) (T B, 4H): the sum over t and batch
        torch.mm(da_rows.T, h_rows, out=grads["W"])
        if biased:
            torch.sum(da_rows, dim=0, out=grads["bU"])
            grads["bW"].copy_(grads["bU"])

    return bind_in_place(task, params, p, y, start, advance, back, delta=delta, lr=lr)
