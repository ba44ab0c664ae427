"""Answers to the exercise: a GRU and its gradient by hand. For the teacher.

Check yourself: ``python answers_gru.py``, or ``python answers_gru.py 1`` for sequences of one step.
"""

import sys

import numpy as np


def sigmoid(a):
    """Return 1 / (1 + exp(-a)), in a form that never overflows."""
    return (1 + np.tanh(a / 2)) / 2


def steps(params, x):
    """Return what each step computed: a list of T tuples, the one of step t = 1 first; h_0 = 0.

    The last entry of a tuple is h_t, (B, H).
    The rows of U, W, bU and bW: first those of r, then z, then n; np.split takes them apart.
    params: U (3H, I), W (3H, H), bU and bW (3H,), V (O, H), bV (O,). x: (T, B, I).
    """
    h = np.zeros((x.shape[1], params["V"].shape[1]))  # h_0, (B, H)
    cache = []
    for x_t in x:  # (B, I)
        h_before = h
        u = x_t @ params["U"].T + params["bU"]  # (B, 3H)
        w = h_before @ params["W"].T + params["bW"]
        (u_r, u_z, u_n), (w_r, w_z, w_n) = np.split(u, 3, axis=1), np.split(w, 3, axis=1)  # (B, H) each
        r, z = sigmoid(u_r + w_r), sigmoid(u_z + w_z)
        n = np.tanh(u_n + r * w_n)
        h = (1 - z) * n + z * h_before
        cache.append((h_before, r, z, n, w_n, h))
    return cache


def output(params, h):
    """Return y_hat = V h + bV, (B, O); h: (B, H). One sample a row, so V h becomes h @ V.T."""
    return h @ params["V"].T + params["bV"]


def forward(params, x):
    """Return the prediction y_hat, (B, O), made from the last hidden state."""
    return output(params, steps(params, x)[-1][-1])


def loss_and_grads(params, x, y):
    """Return the loss, and its gradient: a dict with the names and the shapes of ``params``.

    The loss is the mean of (y_hat - y)^2 / 2 over batch and outputs. y: (B, O).
    """
    cache = steps(params, x)
    e = output(params, cache[-1][-1]) - y  # (B, O)
    loss = np.mean(e * e) / 2
    grads = {name: np.zeros_like(p) for name, p in params.items()}

    dy_hat = e / e.size  # (B, O)
    grads["V"] += dy_hat.T @ cache[-1][-1]
    grads["bV"] += dy_hat.sum(axis=0)

    dh = dy_hat @ params["V"]  # (B, H)
    for x_t, (h_before, r, z, n, w_n, _) in zip(reversed(x), reversed(cache), strict=True):
        da_n = dh * (1 - z) * (1 - n * n)  # (B, H)
        da_r = da_n * w_n * r * (1 - r)
        da_z = dh * (h_before - n) * z * (1 - z)
        du = np.concatenate((da_r, da_z, da_n), axis=1)  # (B, 3H)
        dw = np.concatenate((da_r, da_z, da_n * r), axis=1)
        grads["U"] += du.T @ x_t
        grads["W"] += dw.T @ h_before
        grads["bU"] += du.sum(axis=0)
        grads["bW"] += dw.sum(axis=0)
        dh = dh * z + dw @ params["W"]
    return loss, grads


if __name__ == "__main__":
    import bench

    T, B, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 6, 5, np.random.default_rng(seed=0)
    shapes = {"U": (3 * 4, 2), "W": (3 * 4, 4), "V": (3, 4), "bU": (3 * 4,), "bW": (3 * 4,), "bV": (3,)}
    params = {name: rng.normal(scale=0.5, size=shape) for name, shape in shapes.items()}
    x, y = rng.normal(size=(T, B, 2)), rng.normal(size=(B, 3))
    try:
        print(bench.check_gradients(loss_and_grads, params, x, y))
    except bench.UserError as error:
        sys.exit(str(error))
