"""Exchange parameters with PyTorch's ``state_dict``: its names, its shapes, without importing PyTorch.

A ``state_dict`` of a model with one recurrent layer or cell and one linear output has the same arrays as this
project's parameters, under other names::

    rnn.weight_ih_l0  U      rnn.weight_hh_l0  W      linear.weight  V
    rnn.bias_ih_l0    bU     rnn.bias_hh_l0    bW     linear.bias    bV

The order of the gates is the same. What stands before the last dot may be anything.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine.arrays import read_arrays
from bench.machine.errors import UserError
from bench.machine.wording import listing
from bench.training.params import MAX_BYTES, MAX_QUOTED, predict
from bench.workload.cell import CELLS, built_in_cell, find_cell

Array = NDArray[Any]
Params = dict[str, Array]
RECURRENT = {"weight_ih": "U", "weight_hh": "W", "bias_ih": "bU", "bias_hh": "bW"}
OUTPUT = {"weight": "V", "bias": "bV"}
NAME = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)(?:_l([0-9]+))?(_reverse)?")
SUPPORTED = "one layer, one direction, no projection, then one linear layer"


@dataclass(frozen=True, slots=True)
class Net:
    """Hold a trained net: the name of its cell, and its parameters."""

    cell: str
    params: Params

    def predict(self, x: Array, *, activation: str = "tanh", state: Any = None) -> Array:
        """Return y_hat (B, O) for x (T, B, I), computed by NumPy.

        ``activation`` is the RNN's nonlinearity. ``state`` is what the net starts from: h_0 (B, H), of an
        LSTM (h_0, c_0), without PyTorch's first axis; None stands for zeros.
        """
        return predict(self.params, x, activation, self.cell, state)


def load_torch(source: Mapping[str, Any] | str | Path) -> Net:
    """Return the net of a ``state_dict``, or of an npz file with its arrays; PyTorch is not needed.

    Write the file where PyTorch is::

        np.savez("net.npz", **{name: p.numpy() for name, p in net.state_dict().items()})

    Raises:
        UserError: the file cannot be read, or the net is not supported: the message says what is.
    """
    title = "the state_dict" if isinstance(source, Mapping) else str(source)
    if isinstance(source, Mapping):
        arrays = {str(name): _as_array(value, f"{title}: {name}") for name, value in source.items()}
    else:
        arrays = _read(source)
    params: Params = {}
    for name, array in arrays.items():
        key = _parameter(name, array, title)
        if key in params:
            twice = name.rpartition(".")[2]
            raise UserError(f"{title} has more than one {twice!r}; supported is: {SUPPORTED}")
        params[key] = array
    if missing := [name for name in "UWV" if name not in params]:
        theirs = {ours: name for name, ours in (RECURRENT | OUTPUT).items()}
        raise UserError(f"{title} has no {theirs[missing[0]]!r}; supported is: {SUPPORTED}")
    return Net(_cell(params, title), {name: params[name] for name in _order(params)})


def to_torch(params: Params, *, recurrent: str = "rnn", output: str = "linear", layer: bool = True) -> Params:
    """Return the parameters under the names of a ``state_dict``.

    ``recurrent`` and ``output`` are the names of the model's modules; ``layer`` is False for a cell such as
    ``nn.GRUCell``, whose names have no ``_l0``.
    """
    end = "_l0" if layer else ""
    names = {ours: f"{recurrent}.{theirs}{end}" for theirs, ours in RECURRENT.items()}
    names |= {ours: f"{output}.{theirs}" for theirs, ours in OUTPUT.items()}
    return {names[name]: array for name, array in params.items()}


def _as_array(value: Any, title: str) -> Array:
    """Return a tensor or an array as an array; a tensor may need gradients or lie on an accelerator."""
    for step in ("detach", "cpu", "numpy"):
        value = getattr(value, step)() if hasattr(value, step) else value
    array: Array = np.asarray(value)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise UserError(f"{title} must hold finite floating-point numbers only")
    return array


def _read(path: str | Path) -> Params:
    """Read all arrays of an npz file.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    try:
        arrays = read_arrays(path, None, max_bytes=MAX_BYTES)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot read {path}: {reason}; give an npz of a state_dict") from error
    except ValueError as error:
        raise UserError(
            f"{path}: {str(error)[:MAX_QUOTED]}; give an npz of a state_dict (a .pt file needs PyTorch)"
        ) from error
    return {name: _as_array(array, f"{path}: {name}") for name, array in arrays.items()}


def _parameter(name: str, array: Array, title: str) -> str:
    """Return our name of an array of a ``state_dict``.

    Raises:
        UserError: the array belongs to a net that is not supported.
    """
    last = name.rpartition(".")[2]
    if match := NAME.fullmatch(last):
        kind, layer, reverse = match.groups()
        fault = ""
        if reverse:
            fault = "is of a bidirectional net"
        elif kind == "weight_hr":
            fault = "is of an LSTM with a projection"
        elif layer and int(layer):
            fault = f"is of layer {int(layer) + 1}"
        if fault:
            raise UserError(f"{title}: {name!r} {fault}; supported is: {SUPPORTED}")
        return RECURRENT[kind]
    if last in OUTPUT and array.ndim == {"weight": 2, "bias": 1}[last]:
        return OUTPUT[last]
    raise UserError(f"{title}: {name!r} is of no net that is known here; supported is: {SUPPORTED}")


def _cell(params: Params, title: str) -> str:
    """Return the name of the cell with these shapes.

    Raises:
        UserError: no cell has them.
    """
    shapes = {name: array.shape for name, array in params.items()}
    for name in CELLS:
        cell = find_cell(name)
        complete = cell.arrays(bias=bool(cell.biases.keys() & shapes.keys())).keys() == shapes.keys()
        if complete and cell.fits(shapes):
            return name
    given = listing([f"{name} {shape}" for name, shape in shapes.items()])
    cells = "; ".join(f"{name}: {found.described()}" for name in CELLS if (found := built_in_cell(name)))
    raise UserError(f"{title}: {given} are of no cell; there are {cells}, with all three biases or none")


def _order(params: Iterable[str]) -> list[str]:
    """Return the names of parameters in the order of a cell."""
    return sorted(params, key=["U", "W", "V", "bU", "bW", "bV"].index)
