"""Variant ``torch-inplace`` of the GRU: the mathematics of gru_manual.py in a workspace allocated once.

Mirrors ``impl_numpy/gru_inplace.py``: every tensor is written in place (``out=``) under inference mode, a
column for each sample, one joined product a step for r and z (workspace.py), the gradients of all steps in
place of n, r, z and W h + bW. Only torch offers: ``bmm``, the products U x_t + bU of n of all steps in one
call, ``addcmul``, a product in a sum's kernel, and ``lerp``, which mixes the old state and the candidate.
"""

import torch
from torch import Tensor

from impl_torch.contract import Bound
from impl_torch.rnn import Params
from impl_torch.rnn_inplace import times_tanh_prime
from impl_torch.workspace import Columns, over_steps


@torch.inference_mode()
def bind(task: str, params: Params, x: Tensor, y: Tensor, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    (T, B, _), H, work = x.shape, params["W"].shape[1], Columns(task, params, x)
    weights, dweights, WT = work.p.weights, work.grads.weights, work.p.named["W"].T
    hs, split = work.h, work.x1.shape[1]
    rz, U_n, W_n = weights[: 2 * H], weights[2 * H :, :split], weights[2 * H :, split:]
    # n of all steps; r, z and w_n of every step; on the way back dL/du_n; dL/da_r, dL/da_z and dL/dw_n
    ns, parts = x.new_empty((T, H, B)), x.new_empty((work.n_steps, 3 * H, B))
    r, z, w = parts.split(H, dim=1)
    gates, U_ns = parts[:, : 2 * H], U_n.expand(T, H, split)
    # views of every step, as slicing costs as much as computing
    of_rz, of_w = work.products(rz, work.inputs), work.products(W_n, work.h1)
    views = list(zip(of_rz, of_w, hs, work.h_new, *work.steps(gates, ns, r, z, w), strict=False))

    def advance() -> None:
        work.x.copy_(work.xs)
        torch.bmm(U_ns, work.x1, out=ns)  # (T, H, B)
        for (rz, inputs), (W_n, h1), h, h_new, gates, n, r, z, w in views:
            torch.mm(rz, inputs, out=gates)  # (2H, B)
            torch.sigmoid(gates, out=gates)
            torch.mm(W_n, h1, out=w)  # (H, B)
            torch.addcmul(n, r, w, out=n)
            torch.tanh(n, out=n)
            torch.lerp(n, h, z, out=h_new)  # n + z (h - n)

    d_gates, dh, d_n = (x.new_empty((rows, B)) for rows in (2 * H, H, H))
    d_r, d_z = d_gates.split(H)
    (d_ws,) = work.steps(parts)
    sums = (
        over_steps(gates, work.inputs[:T], dweights[: 2 * H], zeros=H),
        over_steps(ns, work.x1, dweights[2 * H :, :split]),
        over_steps(w, work.h1[:T], dweights[2 * H :, split:], zeros=H),
    )

    def back() -> None:
        for t in range(T - 1, -1, -1):
            _, _, h, _, s, n, r, z, w = views[t]
            torch.sub(h, n, out=d_z)
            torch.mul(d_z, dh, out=d_z)
            torch.addcmul(dh, dh, z, value=-1, out=d_n)  # dh (1 - z)
            torch.mul(dh, z, out=dh)  # what h_{t-1} gets straight
            times_tanh_prime(n, d_n, n)
            torch.mul(n, w, out=d_r)
            torch.mul(n, r, out=w)
            torch.addcmul(s, s, s, value=-1, out=s)
            torch.mul(s, d_gates, out=s)
            if t:
                torch.addmm(dh, WT, d_ws[t], out=dh)
        for sum_up in sums:
            sum_up()

    return work.bind(y, work.h1[-1].T, dh.T, (hs[0],), advance, back, delta=delta, lr=lr)
