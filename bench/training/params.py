"""Parameters on disk, so that either library goes on where the other stopped, and what they predict."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import catalog
from bench.errors import UserError

Array = NDArray[Any]
Params = dict[str, Array]
NAMES = ("U", "W", "V")


def save_params(path: str | Path, params: Params) -> None:
    """Write U (H, I), W (H, H), V (O, H) as npz; ``path`` keeps its name whatever it ends in.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with Path(path).open("wb") as file:
            np.savez(file, U=params["U"], W=params["W"], V=params["V"])
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another file") from error


def load_params(path: str | Path) -> Params:
    """Read what ``save_params`` wrote; nothing is unpickled.

    Raises:
        UserError: no such file, no npz, a matrix that is missing, of another shape, or not finite.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if missing := [name for name in NAMES if name not in arrays.files]:
                raise UserError(
                    f"{path} has no {', '.join(missing)}; parameters are three arrays, U, W and V"
                )
            params = {name: arrays[name] for name in NAMES}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; give a file of --save") from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} holds no parameters ({error}); give a file of --save") from error
    if bad := [name for name, p in params.items() if p.dtype.kind != "f" or not np.isfinite(p).all()]:
        raise UserError(f"{path}: {', '.join(bad)} must hold finite floating-point numbers only")
    U, W, V = (params[name] for name in NAMES)
    H = len(W) if W.ndim else 0
    if not (U.ndim == V.ndim == 2 and W.shape == (H, H) and len(U) == H == V.shape[1]):
        shapes = ", ".join(f"{name} {p.shape}" for name, p in params.items())
        raise UserError(f"{path}: {shapes} do not fit together; they must be U (H, I), W (H, H), V (O, H)")
    return params


def predict(params: Params, x: Array, activation: str = "tanh") -> Array:
    """The reference's y_hat (B, O) for x (T, B, I), as ``bench.data.lay_out`` makes it; no gradients."""
    y_hat: Array = catalog.reference("numpy").predict(params, x, activation=activation)
    return y_hat
