"""Parameters on disk, so that either library goes on where the other stopped, and what they predict."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine.arrays import read_arrays
from bench.machine.errors import UserError
from bench.machine.files import atomic_file
from bench.workload import catalog

Array = NDArray[Any]
Params = dict[str, Array]
NAMES = ("U", "W", "V")
SHOWN = 200  # characters of what is wrong, which may quote the file
MAX_BYTES = 2**28  # 256 MiB, 5000 hidden units in float64


def save_params(path: str | Path, params: Params) -> None:
    """Write U (H, I), W (H, H), V (O, H) as npz; ``path`` keeps its name whatever it ends in.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with atomic_file(Path(path)) as file:
            np.savez(file, U=params["U"], W=params["W"], V=params["V"])
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another file") from error


def load_params(path: str | Path) -> Params:
    """Read what ``save_params`` wrote; nothing is unpickled.

    Raises:
        UserError: no such file, no npz, too large, a matrix that is missing, of another shape, or not finite,
            or something else beside the three.
    """
    try:
        params = read_arrays(path, NAMES, max_bytes=MAX_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; give a file of --save") from error
    except ValueError as error:
        raise UserError(
            f"{path} holds no parameters, which are three arrays, U, W and V: {str(error)[:SHOWN]}; give "
            "a file of --save"
        ) from error
    if bad := [name for name, p in params.items() if p.dtype.kind != "f" or not np.isfinite(p).all()]:
        raise UserError(f"{path}: {', '.join(bad)} must hold finite floating-point numbers only")
    U, W, V = (params[name] for name in NAMES)
    H = len(W) if W.ndim else 0
    if not (U.ndim == V.ndim == 2 and W.shape == (H, H) and len(U) == H == V.shape[1]):
        shapes = ", ".join(f"{name} {p.shape}" for name, p in params.items())
        raise UserError(f"{path}: {shapes} do not fit together; they must be U (H, I), W (H, H), V (O, H)")
    return params


def predict(params: Params, x: Array, activation: str = "tanh") -> Array:
    """The reference's y_hat (B, O) for x (T, B, I), as ``data.lay_out`` makes it; no gradients."""
    y_hat: Array = catalog.reference("numpy").predict(params, x, activation=activation)
    return y_hat
