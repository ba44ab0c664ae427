r"""Variant ``numpy-published``: the recursion of the NumPy tutorial this suite started from.

**Its gradient is wrong for T > 1** (and H > 1), and the suite says so wherever the name appears. It is
kept because it was published, trains all the same, and is one side of the famous "orders of magnitude".

It differs from loop.py in the gradient: no backward pass, but two matrices carried forwards in time,
per sample, with d_t = act'(a_t) and D_t = diag(d_t) W::

    R_U <- D_t R_U + d_t x_t^T              R_W <- D_t R_W + d_t h_{t-1}^T
    dU = diag(q) R_U                        dW = diag(q) R_W              q = V^T dL/dy_hat

The true Jacobian dh_k/dU_ij has three indices, and D_t acts on k. R_U has two: it is that Jacobian
already summed over i, one index too early, so multiplying by q afterwards weights the wrong sum. At
T = 1 the Jacobian is diagonal in (k, i), nothing is lost, and the result is right; V's gradient
does not pass through the recursion and is always right.

D_t and the final products are filled column by column in Python loops, as published: that is much of
its cost. The loss is the contract's mean Huber loss; only the recursion is the tutorial's.
"""

import numpy as np

from impl_numpy.loop import predict as predict
from impl_numpy.rnn import ACTIVATIONS, Array, Params


def scale_rows(d: Array, M: Array) -> Array:
    """diag(d) M, filled one column at a time."""
    scaled = np.zeros_like(M)
    for j in range(M.shape[1]):
        scaled[:, j] = d * M[:, j]
    return scaled


def loss_and_grads(
    params: Params, x: Array, y: Array, *, activation: str = "tanh", delta: float = 0.025
) -> tuple[Array, Params]:
    """Mean Huber loss (0-d), right; gradient of V, right; of U and W, wrong for T > 1."""
    U, W, V = params["U"], params["W"], params["V"]
    act, act_prime = ACTIVATIONS[activation]
    n_steps, n_samples, _ = x.shape
    loss = np.zeros((), dtype=x.dtype)
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    for n in range(n_samples):
        h = np.zeros(W.shape[0], dtype=x.dtype)  # (H,)
        R_U, R_W = np.zeros_like(U), np.zeros_like(W)  # (H, I), (H, H)
        for t in range(n_steps):
            h_previous, h = h, act(U @ x[t, n] + W @ h)
            d = act_prime(h)  # (H,)
            D = scale_rows(d, W)  # (H, H)
            R_U = D @ R_U + np.outer(d, x[t, n])
            R_W = D @ R_W + np.outer(d, h_previous)
        e = V @ h - y[n]  # (O,)
        e_clipped = np.clip(e, -delta, delta)
        loss += np.sum(e_clipped * (e - e_clipped / 2)) / y.size

        dy_hat = e_clipped / y.size  # (O,)
        q = V.T @ dy_hat  # (H,)
        grads["V"] += np.outer(dy_hat, h)
        grads["U"] += scale_rows(q, R_U)
        grads["W"] += scale_rows(q, R_W)
    return loss, grads
