"""Variant ``numpy-loop``: exact BPTT as a first version is written, one sample at a time.

Differs from rnn.py only in that: a Python loop over samples and vectors inside it, where rnn.py holds
the whole batch in one matrix. Same contract, same gradient. GRU and LSTM take their own reference one
sample after the other.
"""

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from impl_numpy.rnn import ACTIVATIONS, Array, Params


def predict(params: Params, x: Array, *, activation: str = "tanh") -> Array:
    """y_hat (B, O), sample by sample."""
    U, W, V = params["U"], params["W"], params["V"]
    b = params["bU"] + params["bW"] if "bU" in params else None  # (H,)
    act, _ = ACTIVATIONS[activation]
    n_steps, n_samples, _ = x.shape
    y_hat = np.empty((n_samples, V.shape[0]), dtype=x.dtype)  # (B, O)
    for n in range(n_samples):
        h = np.zeros(W.shape[0], dtype=x.dtype)  # (H,)
        for t in range(n_steps):
            a = U @ x[t, n] + W @ h  # (H,)
            h = act(a if b is None else a + b)
        y_hat[n] = output(params, h)
    return y_hat


def loss_and_grads(
    params: Params, x: Array, y: Array, *, activation: str = "tanh", delta: float = 0.025
) -> tuple[Array, Params]:
    """Mean Huber loss (0-d) and its gradient, each sample's contribution added in turn."""
    U, W, V = params["U"], params["W"], params["V"]
    b = params["bU"] + params["bW"] if "bU" in params else None  # (H,)
    act, act_prime = ACTIVATIONS[activation]
    n_steps, n_samples, _ = x.shape
    loss = np.zeros((), dtype=x.dtype)
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    for n in range(n_samples):
        hs = [np.zeros(W.shape[0], dtype=x.dtype)]  # (H,) each
        for t in range(n_steps):
            a = U @ x[t, n] + W @ hs[-1]  # (H,)
            hs.append(act(a if b is None else a + b))
        e = output(params, hs[-1]) - y[n]  # (O,)
        e_clipped = np.clip(e, -delta, delta)
        loss += np.sum(e_clipped * (e - e_clipped / 2)) / y.size

        dy_hat = e_clipped / y.size  # (O,)
        grads["V"] += np.outer(dy_hat, hs[-1])
        dh = V.T @ dy_hat  # (H,)
        for t in range(n_steps, 0, -1):
            da = dh * act_prime(hs[t])  # (H,)
            grads["U"] += np.outer(da, x[t - 1, n])
            grads["W"] += np.outer(da, hs[t - 1])
            if b is not None:
                grads["bU"] += da
            dh = W.T @ da
        if b is not None:
            grads["bV"] += dy_hat
    if b is not None:
        grads["bW"] += grads["bU"]
    return loss, grads


def output(params: Params, h: Array) -> Array:
    """y_hat (O,) of one sample from its h (H,)."""
    y_hat = params["V"] @ h
    return y_hat + params["bV"] if "bV" in params else y_hat


@dataclass(frozen=True, slots=True)
class BySample:
    """The functions of a reference, one sample after the other."""

    reference: ModuleType

    def predict(self, params: Params, x: Array) -> Array:
        """y_hat (B, O), sample by sample."""
        samples = range(x.shape[1])
        return np.concatenate([self.reference.predict(params, x[:, n : n + 1]) for n in samples])

    def loss_and_grads(
        self, params: Params, x: Array, y: Array, *, delta: float = 0.025
    ) -> tuple[Array, Params]:
        """Mean Huber loss (0-d) and its gradient, each sample's contribution added in turn."""
        n_samples = len(y)
        loss = np.zeros((), dtype=x.dtype)
        grads = {name: np.zeros_like(p) for name, p in params.items()}
        for n in range(n_samples):
            inputs, targets = x[:, n : n + 1], y[n : n + 1]  # (T, 1, I), (1, O)
            sample_loss, sample_grads = self.reference.loss_and_grads(params, inputs, targets, delta=delta)
            loss += sample_loss / n_samples
            for name, grad in sample_grads.items():
                grads[name] += grad / n_samples
        return loss, grads
