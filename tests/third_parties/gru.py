"""A cell from outside, the gated recurrent unit: its reference in NumPy, a variant and a wrong one.

For t = 1 .. T, with s the logistic sigmoid and act tanh or s::

    z_t = s(Uz x_t + Wz h_{t-1})      r_t = s(Ur x_t + Wr h_{t-1})
    n_t = act(Un x_t + r_t * Wn h_{t-1})
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}        y_hat = V h_T

Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014).
"""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.workload.case import Shape
from bench.workload.cell import Cell, Params
from impl_numpy.contract import Bound
from impl_numpy.rnn import ACTIVATIONS, Array, sigmoid

GATES = "zrn"
ORDER = [f"{kind}{gate}" for gate in GATES for kind in "UW"]


def gates(params: Params, x_t: Array, h: Array, activation: str) -> tuple[Array, Array, Array, Array]:
    """z_t, r_t, n_t and Wn h_{t-1}, each (B, H)."""
    act, _ = ACTIVATIONS[activation]
    z, r = (sigmoid(x_t @ params[f"U{gate}"].T + h @ params[f"W{gate}"].T) for gate in "zr")
    m = h @ params["Wn"].T
    return z, r, act(x_t @ params["Un"].T + r * m), m


def forward(params: Params, x: Array, *, activation: str = "tanh") -> tuple[Array, list[Array]]:
    """Return y_hat (B, O) and [h_0, ..., h_T]."""
    first = params["Wz"]
    hs = [np.zeros((x.shape[1], len(first)), dtype=np.result_type(first, x))]
    for x_t in x:
        z, _, n, _ = gates(params, x_t, hs[-1], activation)
        hs.append((1 - z) * n + z * hs[-1])
    return hs[-1] @ params["V"].T, hs


def predict(params: Params, x: Array, *, activation: str = "tanh") -> Array:
    """y_hat (B, O)."""
    return forward(params, x, activation=activation)[0]


def walk_back(
    params: Params, x: Array, hs: list[Array], dy_hat: Array, *, activation: str
) -> Iterator[tuple[Array, Params]]:
    """Yield dL/dh_t and what step t adds to the gradients, for t = T .. 1; at last dL/dh_0 and nothing."""
    _, act_prime = ACTIVATIONS[activation]
    dh = dy_hat @ params["V"]
    for t in range(len(x), 0, -1):
        h, x_t = hs[t - 1], x[t - 1]
        z, r, n, m = gates(params, x_t, h, activation)
        da_n = dh * (1 - z) * act_prime(n)
        da = {"z": dh * (h - n) * z * (1 - z), "r": da_n * m * r * (1 - r), "n": da_n * r}
        grads = {f"W{gate}": da[gate].T @ h for gate in GATES}
        grads |= {f"U{gate}": (da_n if gate == "n" else da[gate]).T @ x_t for gate in GATES}
        yield dh, grads
        dh = dh * z + sum(da[gate] @ params[f"W{gate}"] for gate in GATES)
    yield dh, {}


def hidden_gradients(
    params: Params, x: Array, hs: list[Array], dy_hat: Array, **options: Any
) -> Iterator[Array]:
    """Yield dL/dh_T, ..., dL/dh_0."""
    return (dh for dh, _ in walk_back(params, x, hs, dy_hat, **options))


def loss_and_grads(
    params: Params, x: Array, y: Array, *, activation: str = "tanh", delta: float = 0.025
) -> tuple[Array, Params]:
    """Return the mean Huber loss and its gradient by BPTT."""
    y_hat, hs = forward(params, x, activation=activation)
    e = y_hat - y
    clipped = np.clip(e, -delta, delta)
    dy_hat = clipped / e.size
    sums = {name: np.zeros_like(p) for name, p in params.items()}
    sums["V"] += dy_hat.T @ hs[-1]
    for _, grads in walk_back(params, x, hs, dy_hat, activation=activation):
        for name, grad in grads.items():
            sums[name] += grad
    return np.mean(clipped * (e - clipped / 2)), sums


def sgd_step(
    params: Params, x: Array, y: Array, *, lr: float = 0.1, activation: str = "tanh", delta: float = 0.025
) -> tuple[Array, Params]:
    """Return the loss before one step of gradient descent, and the new parameters."""
    loss, grads = loss_and_grads(params, x, y, activation=activation, delta=delta)
    return loss, {name: p - lr * grads[name] for name, p in params.items()}


def initial(shape: Shape, generator: np.random.Generator) -> Params:
    """Draw the start: Gaussian input and output weights, orthogonal recurrent ones."""
    params = {f"U{gate}": generator.standard_normal((shape.H, shape.I)) / (2 * shape.I) for gate in GATES}
    for gate in GATES:
        params[f"W{gate}"], _ = np.linalg.qr(generator.standard_normal((shape.H, shape.H)))
    return params | {"V": 4 * generator.standard_normal((shape.O, shape.H)) / np.sqrt(shape.H)}


def bind(
    wrong: bool, task: str, params: Params, x: Array, y: Array, *, activation: str, delta: float, lr: float
) -> Bound:
    """Bind the reference; where it is to be ``wrong``, without what flows back through the gate r."""
    current, last = dict(params), dict[str, Any]()

    def call() -> None:
        if task == "forward":
            last["y_hat"] = predict(current, x, activation=activation)
            return
        last["loss"], grads = loss_and_grads(current, x, y, activation=activation, delta=delta)
        if wrong:
            grads["Wr"] = 0 * grads["Wr"]
        for name, grad in grads.items():
            if task == "gradient":
                last[f"d{name}"] = grad
            else:
                last[name] = current[name] = current[name] - lr * grad

    return Bound(call, lambda: current.update(params), lambda: last)


GRU = Cell(
    name="gru",
    parameters={name: {"U": "HI", "W": "HH"}[name[0]] for name in ORDER} | {"V": "OH"},
    references={"numpy": __name__},
    baseline=f"{__name__}:numpy",
    initial=initial,
    hidden_gradients=hidden_gradients,
)
CELL = f"{__name__}:GRU"
numpy = SimpleNamespace(name="gru-numpy", library="numpy", cell=CELL, bind=partial(bind, False))
wrong = SimpleNamespace(name="gru-wrong", library="numpy", cell=CELL, bind=partial(bind, True))
