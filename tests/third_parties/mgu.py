"""A cell from outside, the minimal gated unit: its reference in NumPy, a variant and a wrong one.

For t = 1 .. T, with s the logistic sigmoid and act one of the RNN's::

    f_t = s(Uf x_t + Wf h_{t-1})
    n_t = act(Un x_t + Wn (f_t * h_{t-1}))
    h_t = (1 - f_t) * h_{t-1} + f_t * n_t        y_hat = V h_T

Source: Zhou, Wu, Zhang and Zhou, Minimal gated unit for recurrent neural networks (2016).
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

PARAMETERS = {"Uf": "HI", "Wf": "HH", "Un": "HI", "Wn": "HH", "V": "OH"}


def gate_and_candidate(params: Params, x_t: Array, h: Array, activation: str) -> tuple[Array, Array]:
    """f_t and n_t, each (B, H)."""
    act, _ = ACTIVATIONS[activation]
    f = sigmoid(x_t @ params["Uf"].T + h @ params["Wf"].T)
    return f, act(x_t @ params["Un"].T + (f * h) @ params["Wn"].T)


def forward(params: Params, x: Array, *, activation: str = "tanh") -> tuple[Array, list[Array]]:
    """Return y_hat (B, O) and [h_0, ..., h_T]."""
    first = params["Wf"]
    hs = [np.zeros((x.shape[1], len(first)), dtype=np.result_type(*params.values(), x))]
    for x_t in x:
        f, n = gate_and_candidate(params, x_t, hs[-1], activation)
        hs.append((1 - f) * hs[-1] + f * n)
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
        f, n = gate_and_candidate(params, x_t, h, activation)
        da_n = dh * f * act_prime(n)
        d_kept = da_n @ params["Wn"]  # of f_t * h_{t-1}
        da_f = (dh * (n - h) + d_kept * h) * f * (1 - f)
        yield dh, {"Uf": da_f.T @ x_t, "Wf": da_f.T @ h, "Un": da_n.T @ x_t, "Wn": da_n.T @ (f * h)}
        dh = dh * (1 - f) + d_kept * f + da_f @ params["Wf"]
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
    params = {f"U{part}": generator.standard_normal((shape.H, shape.I)) / (2 * shape.I) for part in "fn"}
    for part in "fn":
        params[f"W{part}"], _ = np.linalg.qr(generator.standard_normal((shape.H, shape.H)))
    params["V"] = 4 * generator.standard_normal((shape.O, shape.H)) / np.sqrt(shape.H)
    return {name: params[name] for name in PARAMETERS}


def bind(
    wrong: bool, task: str, params: Params, x: Array, y: Array, *, activation: str, delta: float, lr: float
) -> Bound:
    """Bind the reference; where it is to be ``wrong``, without what flows back through the gate."""
    current, last = dict(params), dict[str, Any]()

    def call() -> None:
        if task == "forward":
            last["y_hat"] = predict(current, x, activation=activation)
            return
        last["loss"], grads = loss_and_grads(current, x, y, activation=activation, delta=delta)
        if wrong:
            grads["Wf"] = 0 * grads["Wf"]
        for name, grad in grads.items():
            if task == "gradient":
                last[f"d{name}"] = grad
            else:
                last[name] = current[name] = current[name] - lr * grad

    return Bound(call, lambda: current.update(params), lambda: last)


MGU = Cell(
    name="mgu",
    parameters=PARAMETERS,
    references={"numpy": __name__},
    baseline=f"{__name__}:numpy",
    initial=initial,
    hidden_gradients=hidden_gradients,
)
CELL = f"{__name__}:MGU"
numpy = SimpleNamespace(name="mgu-numpy", library="numpy", cell=CELL, bind=partial(bind, False))
wrong = SimpleNamespace(name="mgu-wrong", library="numpy", cell=CELL, bind=partial(bind, True))
