"""Three models of the time t of a call as a function of the sizes T, B, I, H and O.

``interpolation``: log t over the logs of the sizes, a thin plate spline with a linear part, which passes
through every point. ``operations``: t is a sum of what a call does, each with a cost of its own that is not
negative; the squares of the relative errors are made small (non-negative least squares)::

    t = c0 + c1 T + c2 T B H + c3 T B H^2 + c4 T B H I + c5 B H O + c6 H^2 + c7 T H^2 + c8 T H^2 [B = 1]

that is the call itself and each time step; tanh and other elementwise work; the recurrent, input and
output products; reading, clearing and updating W, once and in each step; and the recurrent product of one
sample alone, a matrix times a vector. ``both``: operations times a thin plate spline through what they leave
over.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.workload.case import Shape

Array = NDArray[np.float64]
Fitted = Callable[[Array], Array]  # sizes (n, 5) -> log t (n,)
Model = Callable[[Array, Array], Fitted]  # sizes (n, 5), log t (n,) -> what was fitted to them
SMALLEST = 1e-3  # nanoseconds, where every cost was found to be 0


def sizes_of(shapes: Sequence[Shape]) -> Array:
    """T, B, I, H and O of each shape (n, 5)."""
    return np.array([(s.T, s.B, s.I, s.H, s.O) for s in shapes], dtype=np.float64)


def interpolation(sizes: Array, log_t: Array) -> Fitted:
    """A thin plate spline over the logs of those sizes that vary; unbent where these lie on a line."""
    from scipy.interpolate import RBFInterpolator  # takes a while to load

    varied = np.ptp(sizes, axis=0) > 0
    logs = np.log(sizes[:, varied])
    on_a_plane = np.linalg.matrix_rank(logs - logs.mean(axis=0)) < logs.shape[1]
    if on_a_plane:
        spline = RBFInterpolator(logs, log_t, kernel="linear", degree=0)
    else:
        spline = RBFInterpolator(logs, log_t, kernel="thin_plate_spline", degree=1)
    return lambda at: np.asarray(spline(np.log(at[:, varied])), dtype=np.float64)


def operations(sizes: Array, log_t: Array) -> Fitted:
    """Costs of what a call does."""
    from scipy.optimize import nnls

    t = np.exp(log_t)
    counts = _counts(sizes)
    scale = np.maximum(counts.max(axis=0), 1.0)
    costs, _ = nnls(counts / scale / t[:, None], np.ones(len(t)))
    return lambda at: np.log(np.maximum(_counts(at) / scale @ costs, SMALLEST))


def both(sizes: Array, log_t: Array) -> Fitted:
    """The costs, and what is left over interpolated."""
    counted = operations(sizes, log_t)
    rest = interpolation(sizes, log_t - counted(sizes))
    return lambda at: counted(at) + rest(at)


MODELS: dict[str, Model] = {"interpolation": interpolation, "operations": operations, "both": both}


def _counts(sizes: Array) -> Array:
    """How often a call does each thing (n, 9)."""
    T, B, I, H, O = sizes.T  # noqa: E741  (the project's letters)
    W = H**2
    counts = [np.ones_like(T), T, T * B * H, T * B * W, T * B * H * I, B * H * O, W, T * W, T * W * (B == 1)]
    return np.stack(counts, axis=1)
