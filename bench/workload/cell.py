"""Describe a recurrent cell: its parameters, their initial values, and the reference for its variants.

Write a user's cell as a ``Cell`` in a module, named ``module:object``. The module is imported wherever the
reference runs, also by the command itself: import only NumPy there.
"""

import functools
import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bench.machine.errors import UserError, did_you_mean
from bench.workload.case import ACTIVATIONS, Case, Shape
from bench.workload.objects import load_object
from bench.workload.operations import ITEMSIZE, Count, Operations

if TYPE_CHECKING:
    from numpy.random import Generator

Params = dict[str, Any]  # parameter name -> array, all of one library
CELLS = {  # name -> ``module:object`` of the cell
    "rnn": "bench.workload.rnn:RNN", "gru": "bench.workload.gru:GRU", "lstm": "bench.workload.lstm:LSTM",
}  # fmt: skip
LETTERS = "TBIHOG"  # sizes of parameters
RESERVED = {"x", "y", "y_hat", "loss", "lengths"}  # names of other arrays, forbidden for parameters


@dataclass(frozen=True, slots=True)
class Cell:
    """Describe a cell, unrolled over T steps from h_0 = 0, with a linear output on h_T.

    Attributes:
        name: the name in commands and reports.
        parameters: parameter name -> its sizes as letters of ``Shape``: {"W": "HH"}; G is ``gates`` H.
        references: library name -> the module with ``predict``, ``forward``, ``loss_and_grads`` and
            ``sgd_step``, defined as in ``impl_numpy.rnn``. Variants are proved against the "numpy" module;
            its ``forward`` must also work with complex parameters.
        baseline: the variant that others are compared with, a name or ``module:object``.
        initial: creates the initial parameters without biases, float64, from a shape and a random generator.
        hidden_gradients: yields dL/dh_T, ..., dL/dh_0, each (B, H), for ``params``, ``x``, the cache of
            ``forward`` and dL/dy_hat, with the keyword ``activation`` if there is a choice.
        hidden_states: returns [h_1, ..., h_T], each (B, H), from the cache of ``forward``; unless given, the
            cache is [h_0, ..., h_T].
        needed: counts the minimum operations of a call, for any implementation; None if unknown.
        activations: the activations to choose from; with one only, no function gets ``activation``.
        gates: the number of matrices in U and W, one below the other.
        biases: bias name -> its size as a letter; empty for a cell without biases.
        bias: whether the cell has its biases unless told otherwise.
    """

    name: str
    parameters: Mapping[str, str]
    references: Mapping[str, str]
    baseline: str
    initial: Callable[[Shape, "Generator"], Params]
    hidden_gradients: Callable[..., Iterator[Any]]
    hidden_states: Callable[[Any], list[Any]] = lambda cache: list(cache[1:])
    needed: Callable[[Case], Operations] | None = None
    activations: tuple[str, ...] = ACTIVATIONS
    gates: int = 1
    biases: Mapping[str, str] = field(default_factory=dict)
    bias: bool = False

    def arrays(self, *, bias: bool) -> dict[str, str]:
        """Return the sizes of all parameters as letters, by name, with the biases or without."""
        return {**self.parameters, **(self.biases if bias else {})}

    def shapes(self, shape: Shape, *, bias: bool) -> dict[str, tuple[int, ...]]:
        """Return the array shape of every parameter, by name."""
        sizes = {letter: getattr(shape, letter) for letter in LETTERS[:-1]} | {"G": self.gates * shape.H}
        return {
            name: tuple(sizes[letter] for letter in letters)
            for name, letters in self.arrays(bias=bias).items()
        }

    def n_params(self, shape: Shape, *, bias: bool) -> int:
        """Return how many numbers all parameters hold."""
        return sum(map(math.prod, self.shapes(shape, bias=bias).values()))

    def fits(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Return whether these are the cell's arrays and agree: each letter has the same size everywhere."""
        sizes: dict[str, int] = {}
        arrays = self.arrays(bias=bool(self.biases.keys() & shapes.keys()))
        consistent = arrays.keys() == shapes.keys() and all(
            len(letters) == len(shapes[name])
            and all(
                sizes.setdefault(letter, size) == size
                for letter, size in zip(letters, shapes[name], strict=True)
            )
            for name, letters in arrays.items()
        )
        rows = self.gates * sizes.get("H", 0)
        return consistent and sizes.get("G", rows) == rows

    def options(self, activation: str) -> dict[str, str]:
        """Return the keywords of the cell's functions: the activation, if there is a choice."""
        return {"activation": activation} if len(self.activations) > 1 else {}

    def count_needed(self, case: Case) -> Count:
        """Count the minimum operations of a call, for any implementation; empty if unknown.

        They are unknown of sequences of different lengths, which need fewer than their T steps.
        """
        known = self.needed is not None and case.shortest is None
        return Count.of(self.needed(case) if self.needed and known else (), case.dtype)

    def bytes_needed(self, case: Case) -> int:
        """Return the minimum bytes a call reads and writes, each array once."""
        s, n_params = case.shape, self.n_params(case.shape, bias=case.bias)
        n_elements = s.T * s.B * s.I + n_params + s.B * s.O  # x, parameters; y, or y_hat of a forward pass
        return ITEMSIZE[case.dtype] * (n_elements + (n_params if case.task != "forward" else 0))

    def described(self) -> str:
        """Return the parameters with their sizes as text: "U (H, I), W (H, H), V (O, H)"."""
        return ", ".join(self._described(name, letters) for name, letters in self.parameters.items())

    def _described(self, name: str, letters: str) -> str:
        sizes = [f"{self.gates}H" if letter == "G" else letter for letter in letters]
        return f"{name} ({', '.join(sizes)})"

    def reference(self, library: str = "numpy") -> ModuleType:
        """Import the module with the reference functions for this library."""
        return importlib.import_module(self.references[library])


@functools.cache
def find_cell(spec: str) -> Cell:
    """Return the cell of this name, or import the module of ``module:object`` and return that cell.

    Raises:
        UserError: no cell has this name, or the cell cannot be loaded.
    """
    if spec not in CELLS and ":" not in spec:
        hint, known = did_you_mean(spec, CELLS), ", ".join(CELLS)
        raise UserError(f"no cell {spec!r}{hint}; there are: {known}; or module:object for your own")
    return load_object(CELLS.get(spec, spec), "cell", lambda loaded: _check_cell(loaded, spec))


def _check_cell(cell: Any, spec: str) -> Cell:
    """Return the cell, or raise UserError if the object is no valid cell."""
    if not isinstance(cell, Cell):
        raise UserError(f"{spec!r} is no cell: it must be a bench.workload.cell.Cell")
    if forbidden := sorted(RESERVED & cell.arrays(bias=True).keys()):
        raise UserError(f"{spec!r}: no parameter of a cell can be called {forbidden[0]}; choose another name")
    if twice := sorted(cell.parameters.keys() & cell.biases.keys()):
        raise UserError(f"{spec!r}: {twice[0]} is a parameter and a bias; choose another name for one")
    if unknown := sorted(set("".join(cell.arrays(bias=True).values())) - set(LETTERS)):
        raise UserError(f"{spec!r}: sizes of parameters are letters of {LETTERS}, not {unknown[0]!r}")
    if not cell.activations or not set(cell.activations) <= set(ACTIVATIONS):
        raise UserError(f"{spec!r}: activations must be one or more of {', '.join(ACTIVATIONS)}")
    return cell


def built_in_cell(spec: str) -> Cell | None:
    """Return the built-in cell of this name, else None: reading a file imports no user module."""
    return find_cell(spec) if spec in CELLS else None


def fitting(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the name of the built-in cell whose parameters have these shapes; None if there is none."""
    return next((name for name in CELLS if find_cell(name).fits(shapes)), None)
