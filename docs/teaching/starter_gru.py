"""Exercise: a GRU and its gradient by hand. assignment.md says what to do; hand in this file.

Check yourself: ``python starter_gru.py``, or ``python starter_gru.py 1`` for sequences of one step.
"""

import sys

import numpy as np


def sigmoid(a):
    """Return 1 / (1 + exp(-a)), in a form that never overflows."""
    return (1 + np.tanh(a / 2)) / 2


def steps(params, x):
    """Return what each step computed: a list of T tuples, the one of step t = 1 first; h_0 = 0.

    Put into the tuple what you need on the way back. Its last entry must be h_t, (B, H).
    The rows of U, W, bU and bW: first those of r, then z, then n; np.split takes them apart.
    params: U (3H, I), W (3H, H), bU and bW (3H,), V (O, H), bV (O,). x: (T, B, I).
    """
    raise NotImplementedError("TODO 1: compute the steps t = 1 .. T")


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

    raise NotImplementedError("TODO 2: compute dL/dy_hat, and the gradients of V and bV")

    # Delete the next line as soon as TODO 2 is done: a gradient that is still 0 costs only its own points.
    raise NotImplementedError("TODO 3: walk back from t = T to t = 1 and add up the other gradients")
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
