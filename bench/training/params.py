"""Save and load parameters, so that any variant can continue a training, and predict with them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine.arrays import read_arrays
from bench.machine.errors import UserError
from bench.machine.files import atomic_file
from bench.machine.wording import listing
from bench.workload.case import DEFAULT_CELL
from bench.workload.cell import find_cell, fitting

Array = NDArray[Any]
Params = dict[str, Array]
MAX_QUOTED = 200  # characters of an error text, which may quote the file
MAX_BYTES = 2**28  # 256 MiB, 5000 hidden units in float64


def save_params(path: str | Path, params: Params) -> None:
    """Write the parameters as npz to exactly ``path``, without adding a suffix.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        with atomic_file(Path(path)) as file:
            np.savez(file, allow_pickle=False, **params)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another file") from error


def load_params(path: str | Path, cell: str | None = DEFAULT_CELL) -> Params:
    """Read a file written by ``save_params``, for ``cell`` or (None) for any cell; nothing is unpickled.

    Raises:
        UserError: no such file, no npz, too large, a missing array, an array of a wrong shape or with values
            that are not finite, or an unknown array.
    """
    described_cell = None if cell is None else find_cell(cell)
    names = None if described_cell is None else list(described_cell.parameters)
    optional = () if described_cell is None else tuple(described_cell.biases)
    try:
        params = read_arrays(path, names, optional, max_bytes=MAX_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; give a file of --save") from error
    except ValueError as error:
        raise UserError(
            f"{path} holds no parameters, which are the arrays {listing(names or ['of a cell'])}: "
            f"{str(error)[:MAX_QUOTED]}; give a file of --save"
        ) from error
    if bad := [name for name, p in params.items() if p.dtype.kind != "f" or not np.isfinite(p).all()]:
        raise UserError(f"{path}: {', '.join(bad)} must hold finite floating-point numbers only")
    shapes = {name: p.shape for name, p in params.items()}
    if described_cell and not described_cell.fits(shapes):
        if other := fitting(shapes):
            raise UserError(f"{path} holds parameters of the cell {other}, not {cell}; give --cell={other}")
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UserError(f"{path}: {found} do not fit together; they must be {described_cell.described()}")
    return params


def predict(
    params: Params, x: Array, activation: str = "tanh", cell: str = DEFAULT_CELL, state: Any = None
) -> Array:
    """Return the reference's y_hat (B, O) for x (T, B, I), arranged by ``data.lay_out``; no gradients.

    ``state`` is what the net starts from: h_0 (B, H), of an LSTM (h_0, c_0); None stands for zeros.
    """
    described_cell = find_cell(cell)
    options: dict[str, Any] = {**described_cell.options(activation)}
    if state is not None:
        options["state"] = state
    y_hat: Array = described_cell.reference().predict(params, x, **options)
    return y_hat
