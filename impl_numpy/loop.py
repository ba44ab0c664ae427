"""Variant ``numpy-loop``: exact BPTT as a first version is written, one sample at a time.

Differs from rnn.py only in that: a Python loop over samples and vectors inside it, where rnn.py holds
the whole batch in one matrix. Same contract, same gradient.
"""

import numpy as np

from impl_numpy.rnn import ACTIVATIONS, Array, Params


def predict(params: Params, x: Array, *, activation: str = "tanh") -> Array:
    """y_hat (B, O), sample by sample."""
    U, W, V = params["U"], params["W"], params["V"]
    act, _ = ACTIVATIONS[activation]
    n_steps, n_samples, _ = x.shape
    y_hat = np.empty((n_samples, V.shape[0]), dtype=x.dtype)  # (B, O)
    for n in range(n_samples):
        h = np.zeros(W.shape[0], dtype=x.dtype)  # (H,)
        for t in range(n_steps):
            h = act(U @ x[t, n] + W @ h)  # (H,)
        y_hat[n] = V @ h
    return y_hat


def loss_and_grads(
    params: Params, x: Array, y: Array, *, activation: str = "tanh", delta: float = 0.025
) -> tuple[Array, Params]:
    """Mean Huber loss (0-d) and its gradient, each sample's contribution added in turn."""
    U, W, V = params["U"], params["W"], params["V"]
    act, act_prime = ACTIVATIONS[activation]
    n_steps, n_samples, _ = x.shape
    loss = np.zeros((), dtype=x.dtype)
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    for n in range(n_samples):
        hs = [np.zeros(W.shape[0], dtype=x.dtype)]  # (H,) each
        for t in range(n_steps):
            hs.append(act(U @ x[t, n] + W @ hs[-1]))
        e = V @ hs[-1] - y[n]  # (O,)
        e_clipped = np.clip(e, -delta, delta)
        loss += np.sum(e_clipped * (e - e_clipped / 2)) / y.size

        dy_hat = e_clipped / y.size  # (O,)
        grads["V"] += np.outer(dy_hat, hs[-1])
        dh = V.T @ dy_hat  # (H,)
        for t in range(n_steps, 0, -1):
            da = dh * act_prime(hs[t])  # (H,)
            grads["U"] += np.outer(da, x[t - 1, n])
            grads["W"] += np.outer(da, hs[t - 1])
            dh = W.T @ da
    return loss, grads
