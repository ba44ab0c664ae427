"""Variant ``numpy-inplace`` of the GRU: the mathematics of gru.py in a workspace that is allocated once.

Differs from gru.py in six ways, each with the same result:

* every array is written in place, so a call allocates nothing;
* an array has a column for each sample, so the numbers of a gate lie side by side, and [U bU bW W] times
  [x_t; 1; 1; h_{t-1}] is one product for r and z (workspace.py); n takes two, as r multiplies one of them;
* a sigmoid is (1 + tanh(a / 2)) / 2; its weights are halved where they change, so a product makes a / 2;
* r and z are one pass;
* the gradients of all steps are kept, in place of n, r, z and W h + bW, so that a cache holds them;
* after the loop dL/dW is one product; dL/dU and its biases' gradients are two, and one for dL/dbW of n.
"""

import numpy as np

from impl_numpy.contract import Bound
from impl_numpy.rnn import Array, Params
from impl_numpy.rnn_inplace import times_tanh_prime
from impl_numpy.workspace import Workspace, by_row


def bind(task: str, params: Params, x: Array, y: Array, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    (T, B, _), H, work = x.shape, params["W"].shape[1], Workspace(task, params, x)
    weights, hs, half, W = work.p.weights, work.h, work.half, np.empty((3 * H, H), x.dtype)
    split = work.x1.shape[1]
    halved = np.empty_like(weights[: 2 * H])
    U_n, W_n = np.empty_like(weights[2 * H :, :split]), np.empty_like(weights[2 * H :, split:])
    # n, r, z and w_n of every step; on the way back dL/du_n, dL/da_r, dL/da_z and dL/dw_n
    parts, product = np.empty((work.n_steps, 4 * H, B), x.dtype), np.empty((H, B), x.dtype)
    n, r, z, w = (parts[:, gate * H : (gate + 1) * H] for gate in range(4))
    gates = parts[:, H : 3 * H]  # r and z
    # views of every step, as slicing costs as much as computing
    operands = (work.x, *work.products(halved, work.inputs), work.x1, *work.products(W_n, work.h1))
    views = list(zip(*operands, hs, work.h_new, gates, n, r, z, w, strict=False))

    def read() -> None:
        np.copyto(W, work.p.named["W"])  # dot would copy a part of the weights in every step
        np.multiply(weights[: 2 * H], half, halved)
        np.copyto(U_n, weights[2 * H :, :split])
        np.copyto(W_n, weights[2 * H :, split:])

    def advance() -> None:
        for x_t, (x_in, multiply, inputs, x1, by_W, h1, h, h_new, gates, n, r, z, w) in work.steps(views):
            x_in[...] = x_t
            multiply(inputs, gates)  # (2H, B)
            np.tanh(gates, gates)
            np.multiply(gates, half, gates)
            np.add(gates, half, gates)
            U_n.dot(x1, n)  # (H, B)
            by_W(h1, w)
            np.multiply(r, w, product)
            np.add(n, product, n)
            np.tanh(n, n)
            np.subtract(h, n, product)  # n + z (h - n)
            np.multiply(product, z, product)
            np.add(product, n, h_new)

    d_gates, square = (np.empty((2 * H, B), x.dtype) for _ in range(2))
    d_r, d_z = d_gates[:H], d_gates[H:]
    d_rows, fill_d = by_row(parts)
    input_rows, fill_inputs = by_row(work.inputs[: work.n_steps])

    def back(dh: Array, dweights: Array) -> None:
        for t in range(T - 1, -1, -1):
            _, _, _, _, _, _, h, _, s, n, r, z, w = views[t]
            np.subtract(h, n, d_z)
            np.multiply(d_z, dh, d_z)
            np.multiply(dh, z, product)  # what h_{t-1} gets straight
            np.subtract(dh, product, dh)  # dh (1 - z)
            times_tanh_prime(n, dh, n)
            np.multiply(n, w, d_r)
            np.multiply(n, r, w)
            np.multiply(s, s, square)
            np.subtract(s, square, s)
            np.multiply(s, d_gates, s)
            if t:
                W.T.dot(parts[t, H:], dh)
                np.add(dh, product, dh)
        fill_d()
        fill_inputs()
        # the sum over t and batch
        np.matmul(d_rows[H : 3 * H], input_rows[:-H].T, out=dweights[: 2 * H, :-H])
        np.matmul(d_rows[:H], input_rows[:split].T, out=dweights[2 * H :, :split])
        np.matmul(d_rows[3 * H :], input_rows[split:-H].T, out=dweights[2 * H :, split:-H])
        np.matmul(d_rows[H:, B:], input_rows[-H:, B:].T, out=dweights[:, -H:])

    return work.bind(y, (hs[0],), read, advance, back, delta=delta, lr=lr)
