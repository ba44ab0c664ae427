"""Variant ``torch-inplace`` of the LSTM: the mathematics of lstm_manual.py in a workspace allocated once.

Mirrors ``impl_numpy/lstm_inplace.py``: every tensor is written in place (``out=``) under inference mode, a
column for each sample, one joined product a step for all gates (workspace.py), which stand in the order i, f,
o, g, so the sigmoids are one pass, and the gradients of all steps in place of the gates. Only torch offers
``addcmul``, a product in a sum's kernel.
"""

import torch
from torch import Tensor

from impl_torch.contract import Bound
from impl_torch.rnn import Params
from impl_torch.workspace import Columns, over_steps


@torch.inference_mode()
def bind(task: str, params: Params, x: Tensor, y: Tensor, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    (T, B, _), H = x.shape, params["W"].shape[1]
    work = Columns(task, params, x, order=torch.arange(4 * H).view(4, H)[[0, 1, 3, 2]].flatten())
    weights, dweights, WT = work.p.weights, work.grads.weights, work.p.named["W"].T
    hs, cs = work.h, x.new_zeros((work.n_states, H, B)).unbind()
    cs += cs[-1:] * (T + 1 - work.n_states)  # later steps write the last that is kept
    # i, f, o and g of every step; on the way back dL/da_t
    parts, tanh_cs = x.new_empty((work.n_steps, 4 * H, B)), x.new_empty((work.n_steps, H, B))
    gates = (parts[:, gate * H : (gate + 1) * H] for gate in range(4))
    # views of every step, as slicing costs as much as computing
    steps = work.steps(parts, parts[:, : 3 * H], *gates, tanh_cs)
    views = list(zip(work.products(weights, work.inputs), *steps, cs, cs[1:], work.h_new, strict=False))

    def advance() -> None:
        work.x.copy_(work.xs)
        for (weights, inputs), a, s, i, f, o, g, tanh_c, c, c_new, h_new in views:
            torch.mm(weights, inputs, out=a)  # (4H, B)
            torch.sigmoid(s, out=s)
            torch.tanh(g, out=g)
            torch.mul(f, c, out=c_new)
            torch.addcmul(c_new, i, g, out=c_new)
            torch.tanh(c_new, out=tanh_c)
            torch.mul(o, tanh_c, out=h_new)

    d_sigmoids, dh, dc = (x.new_empty((rows, B)) for rows in (3 * H, H, H))
    d_i, d_f, d_o = d_sigmoids.split(H)
    sum_up = over_steps(parts, work.inputs[:T], dweights, zeros=H)

    def back() -> None:
        dc.zero_()
        for t in range(T - 1, -1, -1):
            _, a, s, i, f, o, g, tanh_c, c, _, h = views[t]
            torch.mul(dh, tanh_c, out=d_o)
            torch.addcmul(o, h, tanh_c, value=-1, out=tanh_c)  # o (1 - tanh(c)^2)
            torch.addcmul(dc, dh, tanh_c, out=dc)
            torch.mul(dc, g, out=d_i)
            torch.mul(dc, c, out=d_f)
            torch.addcmul(dc, d_i, g, value=-1, out=g)  # dc (1 - g^2)
            torch.mul(g, i, out=g)
            if t:
                torch.mul(dc, f, out=dc)
            torch.addcmul(s, s, s, value=-1, out=s)
            torch.mul(s, d_sigmoids, out=s)
            if t:
                torch.mm(WT, a, out=dh)
        sum_up()

    return work.bind(y, work.h1[-1].T, dh.T, (hs[0], cs[0]), advance, back, delta=delta, lr=lr)
