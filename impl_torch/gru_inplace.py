"""Variant ``torch-inplace`` of the GRU: the mathematics of gru_manual.py in a workspace allocated once.

Mirrors ``impl_numpy/gru_inplace.py``, but for the layout of its gates: every tensor is written in place
(``out=``) under inference mode, the input products of all steps and gates are one matrix product before the
loop, dL/dW is one after it, dL/dU two. Only torch offers: ``addmm`` adds the bias in the product's kernel,
``addcmul`` a product in a sum's, and ``lerp`` mixes the old state and the candidate in one.
"""

import torch
from torch import Tensor

from impl_torch.contract import Bound
from impl_torch.rnn import Params
from impl_torch.rnn_inplace import times_tanh_prime
from impl_torch.workspace import affine, bind_in_place, copies, kept


@torch.inference_mode()
def bind(task: str, params: Params, x: Tensor, y: Tensor, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    T, B, I = x.shape  # noqa: E741  (the project's letter for features)
    H, (keep, n_states), streams = params["W"].shape[1], kept(task, T), task == "stream"
    p, grads = copies(params), copies(params)
    UT, W, WT = p["U"].T, p["W"], p["W"].T  # views: they follow the updates
    bU, bW = p.get("bU"), p.get("bW")
    w_0 = x.new_zeros(()) if bW is None else bW  # W h_0 + bW, as h_0 = 0
    rows = x.reshape(T * B, I)  # as x is contiguous a view, too: it follows what is written into x
    u, w = x.new_empty((T, B, 3 * H)), x.new_empty((keep, B, 3 * H))
    gates, n = x.new_empty((keep, B, 2 * H)), x.new_empty((keep, B, H))
    hs, u_rows = x.new_zeros((n_states, B, H)), u.reshape(T * B, 3 * H)
    # views of every step, as slicing costs as much as computing
    u_gates, u_ns = u[..., : 2 * H].unbind(), u[..., 2 * H :].unbind()
    ws, w_gates, w_ns = w.unbind(), w[..., : 2 * H].unbind(), w[..., 2 * H :].unbind()
    rzs, rs, zs, ns = gates.unbind(), gates[..., :H].unbind(), gates[..., H:].unbind(), n.unbind()
    h_steps = hs.unbind() + hs[-1:].unbind() * (T + 1 - n_states)  # later steps write the last that is kept

    def start() -> None:
        h_steps[0].zero_()

    def advance() -> Tensor:
        affine(UT, bU, rows, u_rows)  # (T B, 3H): U x_t + bU of every step
        h = h_steps[0]
        for t in range(T):
            k = t % keep
            if t or streams:
                affine(WT, bW, h, ws[k])  # (B, 3H)
            else:
                ws[k].copy_(w_0)
            torch.add(u_gates[t], w_gates[k], out=rzs[k])
            torch.sigmoid(rzs[k], out=rzs[k])
            torch.addcmul(u_ns[t], rs[k], w_ns[k], out=ns[k])
            torch.tanh(ns[k], out=ns[k])
            h_new = h_steps[t + 1]
            torch.lerp(ns[k], h, zs[k], out=h_new)  # n + z (h - n)
            h = h_new
        return h

    dw, du_n = x.new_empty((keep, B, 3 * H)), x.new_empty((keep, B, H))
    product, d_n, d_z = (x.new_empty((B, H)) for _ in range(3))
    slope = x.new_empty((B, 2 * H))  # of both sigmoids
    dw_rows, du_n_rows, h_rows = dw.reshape(-1, 3 * H), du_n.reshape(-1, H), hs[1:keep].reshape(-1, H)
    dws, dw_rs, dw_zs = dw.unbind(), dw[..., :H].unbind(), dw[..., H : 2 * H].unbind()
    dw_gates, dw_ns, du_ns = dw[..., : 2 * H].unbind(), dw[..., 2 * H :].unbind(), du_n.unbind()

    x_columns, dw_columns, du_rows = rows.T, dw_rows[B:].T, dw_rows[:, : 2 * H]
    dUT_gates, dUT_n = grads["U"].T.split([2 * H, H], dim=1)
    if bU is not None:
        (dbU_gates, dbU_n), dbW_gates = grads["bU"].split([2 * H, H]), grads["bW"][: 2 * H]

    def back(dh: Tensor) -> None:
        for t in range(T - 1, -1, -1):
            torch.mul(dh, zs[t], out=product)  # what h_{t-1} gets straight
            torch.sub(dh, product, out=d_n)  # dh (1 - z)
            times_tanh_prime(ns[t], d_n, du_ns[t])
            torch.mul(du_ns[t], rs[t], out=dw_ns[t])
            torch.mul(du_ns[t], w_ns[t], out=dw_rs[t])
            torch.sub(h_steps[t], ns[t], out=d_z)
            torch.mul(d_z, dh, out=dw_zs[t])
            torch.addcmul(rzs[t], rzs[t], rzs[t], value=-1, out=slope)
            torch.mul(slope, dw_gates[t], out=dw_gates[t])
            if t:
                torch.addmm(product, dws[t], W, out=dh)
        torch.mm(dw_columns, h_rows, out=grads["W"])  # (3H, T B) (T B, H): the sum over t and batch
        torch.mm(x_columns, du_rows, out=dUT_gates)
        torch.mm(x_columns, du_n_rows, out=dUT_n)
        if bU is not None:
            torch.sum(dw_rows, dim=0, out=grads["bW"])
            dbU_gates.copy_(dbW_gates)
            torch.sum(du_n_rows, dim=0, out=dbU_n)

    return bind_in_place(task, params, p, grads, y, start, advance, back, delta=delta, lr=lr)
