"""Exchange parameters with PyTorch under the names of a ``state_dict``; PyTorch is not imported.

One recurrent layer or cell and a linear layer have this project's arrays, the gates in the same order::

    rnn.weight_ih_l0  U      rnn.weight_hh_l0  W      linear.weight  V
    rnn.bias_ih_l0    bU     rnn.bias_hh_l0    bW     linear.bias    bV

The modules may have any names (here ``rnn`` and ``linear``); the names of cells end without ``_l0``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine.arrays import read_arrays
from bench.machine.errors import UserError
from bench.machine.files import as_path
from bench.machine.wording import one_line
from bench.training.params import MAX_BYTES, MAX_QUOTED, Array, Params, predict
from bench.workload.cell import find_cell, fitting

NAMES = {
    "weight_ih": "U", "weight_hh": "W", "weight": "V",
    "bias_ih": "bU", "bias_hh": "bW", "bias": "bV",
}  # fmt: skip
SUPPORTED = (
    "an RNN, GRU or LSTM of one layer and one direction without a projection, then one linear layer; all "
    "with biases, or all without"
)
EARLY = "; if it is the output, put its names last"
SHAPES = (
    "weight_ih (G, I), weight_hh (G, H) and weight (O, H), biases (G,), (G,) and (O,), where G is H for an "
    "RNN, 3 H for a GRU, 4 H for an LSTM"
)


@dataclass(frozen=True, slots=True, eq=False)
class Net:
    """Hold a trained net: the name of its cell, its parameters, and its activation."""

    cell: str
    params: Params = field(repr=False)
    activation: str

    def predict(self, x: Any, *, state: Any = None) -> Array:
        """Return y_hat (B, O) for x (T, B, I), computed by NumPy.

        ``state`` is what the net starts from: h_0 (B, H), of an LSTM (h_0, c_0), without PyTorch's first
        axis; None stands for zeros.

        Raises:
            UserError: ``x`` or ``state`` has another shape, or numbers that are not finite.
        """
        x, n_features = _as_array(x, "x"), self.params["U"].shape[1]
        if x.ndim != 3 or x.shape[2] != n_features:
            raise UserError(
                f"x must be (T, B, {n_features}), steps first, not {x.shape}; of one with the batch first "
                "give x.swapaxes(0, 1)"
            )
        if state is not None:
            is_pair, shape = self.cell == "lstm", (x.shape[1], self.params["W"].shape[1])
            state = _as_array(state, "state")
            if state.shape != ((2, *shape) if is_pair else shape):
                raise UserError(
                    f"state must be {'(h_0, c_0), each' if is_pair else 'h_0'} {shape}, not {state.shape} in "
                    "all; of PyTorch's (1, B, H) give h[0]"
                )
            state = tuple(state) if is_pair else state
        return predict(self.params, x, self.activation, self.cell, state)


def load_torch(source: Mapping[str, Any] | str | Path, *, activation: str = "tanh") -> Net:
    """Return the net of a ``state_dict``, or of an npz file with its arrays or with those of ``--save``.

    Write the file where PyTorch is::

        np.savez("net.npz", **{name: p.numpy() for name, p in net.state_dict().items()})

    ``activation`` is that of an ``nn.RNN``, which no ``state_dict`` holds. The numbers are copied.

    Raises:
        UserError: the file cannot be read, or the net is not supported: the message says what is.
    """
    title = "the state_dict" if isinstance(source, Mapping) else str(source)
    arrays: Mapping[str, Any] = source if isinstance(source, Mapping) else _read(source)
    try:
        names = _names(arrays)
    except UserError as error:
        raise UserError(f"{title}: {error}; supported is {SUPPORTED}") from error
    params = {ours: _as_array(arrays[name], f"{title}: {name}") for ours, name in names.items()}
    cell = fitting({ours: p.shape for ours, p in params.items()})
    if cell is None:
        shapes = ", ".join(f"{name} {params[ours].shape}" for ours, name in names.items())
        raise UserError(f"{title}: {shapes} do not fit together; they must be {SHAPES}")
    if activation not in (known := find_cell(cell).activations):
        choices = ", ".join(known)
        raise UserError(f"{title}: the cell {cell} has no activation {activation!r}, only {choices}")
    return Net(cell, params, activation)


def to_torch(
    params: Mapping[str, Any], *, recurrent: str = "rnn", output: str = "linear", layer: bool = True
) -> Params:
    """Return the parameters, still NumPy arrays, under the names of a ``state_dict``.

    ``recurrent`` and ``output`` are the names of the model's modules; ``layer`` is False for a cell such as
    ``nn.GRUCell``, whose names have no ``_l0``.

    Raises:
        UserError: a parameter that no model of PyTorch has.
    """
    names = {
        ours: f"{output}.{name}" if ours in ("V", "bV") else f"{recurrent}.{name}{'_l0' * layer}"
        for name, ours in NAMES.items()
    }
    if not isinstance(params, Mapping) or not params.keys() <= names.keys():
        known = ", ".join(names)
        raise UserError(f"to_torch takes a dict of parameters, of {known}, as Net.params is one")
    return {names[ours]: params[ours] for ours in params}


def _names(theirs: Iterable[str]) -> dict[str, str]:
    """Return PyTorch's name of each parameter, by our name and in our order.

    A ``state_dict`` has the order of the modules: an early ``weight`` is of a layer that reads x, such as
    ``nn.Embedding``, not of the output.

    Raises:
        UserError: a name that does not belong to a supported net, two for one parameter, or one too few.
    """
    names: dict[str, str] = {}
    if set("UWV") <= set(theirs := list(theirs)):  # a file of --save has our own names
        return {name: name for name in theirs}
    for name in theirs:
        kind, _, layer = str(name).rpartition(".")[2].partition("_l")
        fault = (
            "is of a projection" if kind == "weight_hr"
            else "is of a second direction" if layer.endswith("_reverse")
            else "is of a second layer" if layer.isdecimal() and layer != "0"
            else "is of no such net" if kind not in NAMES or layer not in ("", "0")
            else f"is one too many beside {names[NAMES[kind]]!r}" if NAMES[kind] in names
            else f"is of a layer before the recurrent one{EARLY}" if kind == "weight" and not names
            else ""
        )  # fmt: skip
        if fault:
            raise UserError(f"{name!r} {fault}")
        names[NAMES[kind]] = name
    biased = any(ours.startswith("b") for ours in names)
    wanted = {ours: kind for kind, ours in NAMES.items() if biased or not ours.startswith("b")}
    if missing := [kind for ours, kind in wanted.items() if ours not in names]:
        raise UserError(f"it has no {missing[0]!r}")
    return {ours: names[ours] for ours in wanted}


def _as_array(value: Any, title: str) -> Array:
    """Return the numbers of a tensor or an array, copied; a tensor may need gradients.

    Raises:
        UserError: they are not finite, not floating-point numbers, or none.
    """
    try:
        for step in ("detach", "cpu", "numpy"):
            value = getattr(value, step)() if hasattr(value, step) else value
        array: Array = np.array(value)
    except Exception as error:  # somebody's object may raise anything; NumPy has no bfloat16
        reason = one_line(error)[:MAX_QUOTED]
        raise UserError(
            f"{title} cannot be read as an array: {reason}; give float32 or float64, as after net.float()"
        ) from error
    if array.dtype.kind != "f" or not array.size or not np.isfinite(array).all():
        raise UserError(f"{title} must hold finite floating-point numbers only")
    return array


def _read(path: Any) -> Params:
    """Read all arrays of an npz file.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    if not isinstance(path, str | Path):
        kind = type(path).__name__
        raise UserError(f"load_torch takes net.state_dict() or the path of an npz file, no {kind}")
    advice = "give an npz file of a state_dict"
    try:
        return read_arrays(as_path(path), None, max_bytes=MAX_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; {advice}") from error
    except ValueError as error:
        raise UserError(f"{path}: {str(error)[:MAX_QUOTED]}; {advice}, not of torch.save") from error
