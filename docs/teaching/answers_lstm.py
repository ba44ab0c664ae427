"""Answers to the exercise: an LSTM and its gradient by hand. For the teacher.

Check yourself: ``python answers_lstm.py``, or ``python answers_lstm.py 1`` for sequences of one step.
"""

import sys

import numpy as np


def sigmoid(a):
    """Return 1 / (1 + exp(-a)), in a form that never overflows."""
    return (1 + np.tanh(a / 2)) / 2


def steps(params, x):
    """Return what each step computed: a list of T tuples, the one of step t = 1 first; h_0 = c_0 = 0.

    The last entry of a tuple is h_t, (B, H).
    The rows of U, W, bU and bW: first those of i, then f, g and o; np.split takes them apart.
    params: U (4H, I), W (4H, H), bU and bW (4H,), V (O, H), bV (O,). x: (T, B, I).
    """
    h = c = np.zeros((x.shape[1], params["V"].shape[1]))  # h_0 and c_0, (B, H)
    cache = []
    for x_t in x:  # (B, I)
        h_before, c_before = h, c
        a = x_t @ params["U"].T + params["bU"] + h_before @ params["W"].T + params["bW"]  # (B, 4H)
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)  # (B, H) each
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c = f * c_before + i * g
        h = o * np.tanh(c)
        cache.append((h_before, c_before, i, f, g, o, np.tanh(c), h))
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
    dc = np.zeros_like(dh)
    for x_t, (h_before, c_before, i, f, g, o, tanh_c, _) in zip(reversed(x), reversed(cache), strict=True):
        dc = dc + dh * o * (1 - tanh_c * tanh_c)  # (B, H)
        da_i = dc * g * i * (1 - i)
        da_f = dc * c_before * f * (1 - f)
        da_g = dc * i * (1 - g * g)
        da_o = dh * tanh_c * o * (1 - o)
        da = np.concatenate((da_i, da_f, da_g, da_o), axis=1)  # (B, 4H)
        grads["U"] += da.T @ x_t
        grads["W"] += da.T @ h_before
        grads["bU"] += da.sum(axis=0)
        grads["bW"] += da.sum(axis=0)
        dh, dc = da @ params["W"], dc * f
    return loss, grads


if __name__ == "__main__":
    import bench

    T, B, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 6, 5, np.random.default_rng(seed=0)
    shapes = {"U": (4 * 4, 2), "W": (4 * 4, 4), "V": (3, 4), "bU": (4 * 4,), "bW": (4 * 4,), "bV": (3,)}
    params = {name: rng.normal(scale=0.5, size=shape) for name, shape in shapes.items()}
    x, y = rng.normal(size=(T, B, 2)), rng.normal(size=(B, 3))
    try:
        print(bench.check_gradients(loss_and_grads, params, x, y))
    except bench.UserError as error:
        sys.exit(str(error))
