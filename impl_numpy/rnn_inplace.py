"""Variant ``numpy-inplace``: the mathematics of rnn.py in a workspace that is allocated once.

Differs from rnn.py in four ways, each with the same result:

* every array is written in place, so a call allocates nothing; where NumPy takes the array to write as a last
  argument, it stands there, as the word ``out=`` takes 40 ns a call;
* an array has a column for each sample, and [U bU bW W] times [x_t; 1; 1; h_{t-1}] is one product a step
  (workspace.py);
* all dL/da_t are kept, so dL/dU and its biases' gradients are one product after the loop, and dL/dW another;
* tanh' and the sigmoid's derivative are written without the number 1, since NumPy makes an array of it.
"""

from collections.abc import Callable

import numpy as np

from impl_numpy.contract import Bound
from impl_numpy.rnn import Array, Params
from impl_numpy.workspace import Workspace, over_steps


def sigmoid_into(a: Array, out: Array) -> None:
    """out = 1 / (1 + exp(-a)) = (1 + tanh(a / 2)) / 2, which never overflows."""
    np.multiply(a, 0.5, out)
    np.tanh(out, out)
    np.multiply(out, 0.5, out)
    np.add(out, 0.5, out)


def relu_into(a: Array, out: Array) -> None:
    """out = max(a, 0)."""
    np.maximum(a, 0, out=out)


def times_tanh_prime(h: Array, dh: Array, out: Array) -> None:
    """out = dh - h^2 dh."""
    np.multiply(h, h, out)
    np.multiply(out, dh, out)
    np.subtract(dh, out, out)


def times_sigmoid_prime(h: Array, dh: Array, out: Array) -> None:
    """out = (h - h^2) dh."""
    np.multiply(h, h, out)
    np.subtract(h, out, out)
    np.multiply(out, dh, out)


def times_relu_prime(h: Array, dh: Array, out: Array) -> None:
    """out = dh where h > 0, else 0."""
    np.sign(h, out)
    np.multiply(out, dh, out)


ACTIVATIONS: dict[str, tuple[Callable[[Array, Array], object], Callable[[Array, Array, Array], None]]] = {
    "tanh": (np.tanh, times_tanh_prime),
    "sigmoid": (sigmoid_into, times_sigmoid_prime),
    "relu": (relu_into, times_relu_prime),
}


def bind(
    task: str,
    params: Params,
    x: Array,
    y: Array,
    *,
    activation: str,
    delta: float,
    lr: float,
) -> Bound:
    """Allocate the workspace of ``task`` and return its ``Bound``."""
    (T, B, _), H, work = x.shape, len(params["W"]), Workspace(task, params, x)
    act, times_act_prime = ACTIVATIONS[activation]
    weights, hs, W = work.p.weights, work.h, np.empty((H, H), x.dtype)
    a = np.empty((work.n_steps, H, B), x.dtype)  # a_t, on the way back dL/da_t
    # views of every step, as slicing costs as much as computing
    views = list(zip(work.x, *work.products(weights, work.inputs), a, work.h_new, strict=False))

    def read() -> None:
        np.copyto(W, work.p.named["W"])  # dot would copy a part of the weights in every step

    def advance() -> None:
        for x_t, (x_in, multiply, inputs, a_t, h) in work.steps(views):
            x_in[...] = x_t
            multiply(inputs, a_t)  # (H, B)
            act(a_t, h)

    sum_up = over_steps(a, work.inputs[: work.n_steps], zeros=H)

    def back(dh: Array, dweights: Array) -> None:
        for t in range(T, 0, -1):
            times_act_prime(hs[t], dh, a[t - 1])
            if t > 1:
                W.T.dot(a[t - 1], dh)
        sum_up(dweights)

    return work.bind(y, (hs[0],), read, advance, back, delta=delta, lr=lr)
