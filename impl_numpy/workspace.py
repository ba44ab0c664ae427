"""What the variants in place share: output, loss and update in arrays that are allocated once.

A cell's own file has the recurrence: where its state starts, its way forward to h_T, and its way back from
dL/dh_T.
"""

from collections.abc import Callable

import numpy as np

from impl_numpy.contract import Bound
from impl_numpy.rnn import Array, Params


def kept(task: str, T: int) -> tuple[int, int]:
    """How many steps and states are kept: all for the way back, else one, written over the one before."""
    return (1, 1) if task in ("forward", "stream") else (T, T + 1)


def copies(task: str, params: Params, B: int) -> Params:
    """Copies of the parameters, which the update moves.

    A stream's biases get a row for each sample, (gates, B, H) or (1, B, O), since NumPy allocates a buffer to
    add one row to several.
    """
    p = {name: array.copy() for name, array in params.items()}
    O, H = p["V"].shape  # noqa: E741  (the project's letter for outputs)
    for name, width in {"bU": H, "bW": H, "bV": O}.items():
        if task == "stream" and name in p:
            p[name] = p[name].reshape(-1, 1, width).repeat(B, axis=1)
    return p


def bind_in_place(
    task: str,
    params: Params,
    p: Params,
    y: Array,
    start: Callable[[], None],
    advance: Callable[[], Array],
    back: Callable[[Array, Params], None],
    *,
    delta: float,
    lr: float,
) -> Bound:
    """Return the ``Bound`` of ``task``; ``p`` is the copy of ``params`` that the update moves.

    ``start`` sets the state to zero. ``advance`` makes all steps from there and returns h_T (B, H). ``back``
    writes the gradients of U, W and their biases from dL/dh_T (B, H), which it may overwrite.
    """
    V, VT, biased = p["V"], p["V"].T, "bV" in p
    bV = p["bV"].reshape(-1, len(V)) if biased else None
    y_hat = np.empty(y.shape, y.dtype)  # (B, O)

    def stream() -> Array:
        h = advance()
        np.matmul(h, VT, out=y_hat)
        if bV is not None:
            np.add(y_hat, bV, out=y_hat)
        return h

    def forward() -> Array:
        start()
        return stream()

    if task == "stream":
        return Bound(stream, start, lambda: {"y_hat": y_hat})
    if task == "forward":
        return Bound(forward, lambda: None, lambda: {"y_hat": y_hat})

    grads = {name: np.empty_like(array) for name, array in p.items()}
    e, dy_hat, part = (np.empty(y.shape, y.dtype) for _ in range(3))
    dh, loss = np.empty((len(y), V.shape[1]), y.dtype), np.zeros((), y.dtype)

    def gradient() -> None:
        h = forward()
        np.subtract(y_hat, y, out=e)
        np.clip(e, -delta, delta, out=dy_hat)
        np.multiply(dy_hat, 0.5, out=part)
        np.subtract(e, part, out=part)
        np.multiply(part, dy_hat, out=part)
        np.mean(part, out=loss)

        np.divide(dy_hat, y.size, out=dy_hat)
        np.matmul(dy_hat.T, h, out=grads["V"])
        if biased:
            np.sum(dy_hat, axis=0, out=grads["bV"])
        np.matmul(dy_hat, V, out=dh)
        back(dh, grads)

    def train_step() -> None:
        gradient()
        for name, grad in grads.items():
            np.multiply(grad, lr, out=grad)
            np.subtract(p[name], grad, out=p[name])

    def reset() -> None:
        for name, array in params.items():
            p[name][...] = array

    def result() -> dict[str, Array]:
        if task == "gradient":
            return {"loss": loss} | {f"d{name}": grad for name, grad in grads.items()}
        return {"loss": loss} | p

    return Bound({"gradient": gradient, "train_step": train_step}[task], reset, result)
