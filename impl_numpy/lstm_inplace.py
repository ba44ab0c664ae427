"""Variant ``numpy-inplace`` of the LSTM: the mathematics of lstm.py in a workspace that is allocated once.

Differs from lstm.py in six ways, each with the same result:

* every array is written in place, so a call allocates nothing;
* an array has a column for each sample, so the numbers of a gate lie side by side, and [U bU bW W] times
  [x_t; 1; 1; h_{t-1}] is one product for all gates (workspace.py);
* a sigmoid is (1 + tanh(a / 2)) / 2; its weights are halved where they change, so the product makes a / 2,
  and tanh of all gates is one pass;
* the gates stand in the order i, f, o, g, so the sigmoids are one pass on the way back, too;
* the gradients of all steps are kept, in place of the gates, so that a cache holds them;
* after the loop dL/dW is one product, dL/dU and its biases' gradients another.
"""

import numpy as np

from impl_numpy.contract import Bound
from impl_numpy.rnn import Array, Params
from impl_numpy.rnn_inplace import times_tanh_prime
from impl_numpy.workspace import Workspace, over_steps


def bind(task: str, params: Params, x: Array, y: Array, *, delta: float, lr: float) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    (T, B, _), H = x.shape, params["W"].shape[1]
    work = Workspace(task, params, x, order=np.arange(4 * H).reshape(4, H)[[0, 1, 3, 2]].ravel())
    weights, hs, half, W = work.p.weights, work.h, work.half, np.empty((4 * H, H), x.dtype)
    halved = np.empty_like(weights)
    cs, tanh_cs = np.zeros((len(hs), H, B), x.dtype), np.empty((work.n_steps, H, B), x.dtype)
    cs_new = [cs[t] for t in work.new]
    # i, f, o and g of every step; on the way back dL/da_t
    parts, product = np.empty((work.n_steps, 4 * H, B), x.dtype), np.empty((H, B), x.dtype)
    i, f, o, g = (parts[:, gate * H : (gate + 1) * H] for gate in range(4))
    sigmoids = parts[:, : 3 * H]  # i, f and o
    # views of every step, as slicing costs as much as computing
    products = work.products(halved, work.inputs)
    views = list(
        zip(work.x, *products, parts, sigmoids, i, f, o, g, tanh_cs, cs, cs_new, work.h_new, strict=False)
    )

    def read() -> None:
        np.copyto(W, work.p.named["W"])  # dot would copy a part of the weights in every step
        np.multiply(weights[: 3 * H], half, halved[: 3 * H])
        np.copyto(halved[3 * H :], weights[3 * H :])

    def advance() -> None:
        for x_t, (x_in, multiply, inputs, a, s, i, f, o, g, tanh_c, c, c_new, h_new) in work.steps(views):
            x_in[...] = x_t
            multiply(inputs, a)  # (4H, B)
            np.tanh(a, a)
            np.multiply(s, half, s)
            np.add(s, half, s)
            np.multiply(f, c, c_new)
            np.multiply(i, g, product)
            np.add(c_new, product, c_new)
            np.tanh(c_new, tanh_c)
            np.multiply(o, tanh_c, h_new)

    d_sigmoids, square = (np.empty((3 * H, B), x.dtype) for _ in range(2))
    d_i, d_f, d_o = (d_sigmoids[gate * H : (gate + 1) * H] for gate in range(3))
    dc = np.empty((H, B), x.dtype)
    sum_up = over_steps(parts, work.inputs[: work.n_steps], zeros=H)

    def back(dh: Array, dweights: Array) -> None:
        dc[...] = 0
        for t in range(T - 1, -1, -1):
            _, _, _, a, s, i, f, o, g, tanh_c, c, _, _ = views[t]
            np.multiply(dh, tanh_c, d_o)
            np.multiply(dh, o, dh)
            times_tanh_prime(tanh_c, dh, tanh_c)
            np.add(dc, tanh_c, dc)
            np.multiply(dc, g, d_i)
            np.multiply(dc, c, d_f)
            np.multiply(dc, i, dh)
            times_tanh_prime(g, dh, g)
            if t:
                np.multiply(dc, f, dc)
            np.multiply(s, s, square)
            np.subtract(s, square, s)
            np.multiply(s, d_sigmoids, s)
            if t:
                W.T.dot(a, dh)
        sum_up(dweights)

    return work.bind(y, (hs[0], cs[0]), read, advance, back, delta=delta, lr=lr)
