"""Answers to the exercise: an RNN and its gradient by hand. For the teacher.

Check yourself: ``python answers_rnn.py``, or ``python answers_rnn.py 1`` for sequences of one step.
"""

import sys

import numpy as np


def steps(params, x):
    """Return what each step computed: a list of T tuples, the one of step t = 1 first; h_0 = 0.

    The last entry of a tuple is h_t, (B, H).
    params: U (H, I), W (H, H), bU and bW (H,), V (O, H), bV (O,). x: (T, B, I).
    """
    h = np.zeros((x.shape[1], params["V"].shape[1]))  # h_0, (B, H)
    cache = []
    for x_t in x:  # (B, I)
        h_before = h
        h = np.tanh(x_t @ params["U"].T + params["bU"] + h_before @ params["W"].T + params["bW"])
        cache.append((h_before, h))
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
    for x_t, (h_before, h) in zip(reversed(x), reversed(cache), strict=True):
        da = dh * (1 - h * h)  # (B, H)
        grads["U"] += da.T @ x_t
        grads["W"] += da.T @ h_before
        grads["bU"] += da.sum(axis=0)
        grads["bW"] += da.sum(axis=0)
        dh = da @ params["W"]
    return loss, grads


if __name__ == "__main__":
    import bench

    T, B, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 6, 5, np.random.default_rng(seed=0)
    shapes = {"U": (4, 2), "W": (4, 4), "V": (3, 4), "bU": (4,), "bW": (4,), "bV": (3,)}
    params = {name: rng.normal(scale=0.5, size=shape) for name, shape in shapes.items()}
    x, y = rng.normal(size=(T, B, 2)), rng.normal(size=(B, 3))
    try:
        print(bench.check_gradients(loss_and_grads, params, x, y))
    except bench.UserError as error:
        sys.exit(str(error))
