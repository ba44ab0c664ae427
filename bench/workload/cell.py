"""Describe a recurrent cell: its parameters, their initial values, and the reference for its variants.

Write a user's cell as a ``Cell`` in a module, named ``module:object``. The module is imported wherever the
reference runs, also by the command itself: import only NumPy there.
"""

import functools
import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bench.machine.errors import UserError
from bench.workload.case import Case, Shape
from bench.workload.operations import ITEMSIZE, Count, Operations
from bench.workload.own import load_object

if TYPE_CHECKING:
    from numpy.random import Generator

Params = dict[str, Any]  # parameter name -> array, all of one library
CELLS = {"rnn": "bench.workload.rnn:RNN"}  # name -> ``module:object`` of the cell
RESERVED = {"x", "y", "y_hat", "loss"}  # names of other arrays, forbidden for parameters


@dataclass(frozen=True, slots=True)
class Cell:
    """Describe a cell, unrolled over T steps from h_0 = 0, with a linear output on h_T.

    Attributes:
        name: the name in commands and reports.
        parameters: parameter name -> its sizes as letters of ``Shape``: {"W": "HH"}.
        references: library name -> the module with ``predict``, ``forward``, ``loss_and_grads`` and
            ``sgd_step``, defined as in ``impl_numpy.rnn``. Variants are proved against the "numpy" module;
            its ``forward`` must also work with complex parameters.
        baseline: the variant that others are compared with, a name or ``module:object``.
        initial: creates the initial parameters, float64, from a shape and a random generator.
        hidden_gradients: yields dL/dh_T, ..., dL/dh_0, each (B, H), for ``params``, ``x``, the hidden states
            [h_0, ..., h_T] and dL/dy_hat, with the keyword ``activation``.
        needed: counts the minimum operations of a call, for any implementation; None if unknown.
    """

    name: str
    parameters: Mapping[str, str]
    references: Mapping[str, str]
    baseline: str
    initial: Callable[[Shape, "Generator"], Params]
    hidden_gradients: Callable[..., Iterator[Any]]
    needed: Callable[[Case], Operations] | None = None

    def shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        """Return the array shape of every parameter, by name."""
        return {
            name: tuple(getattr(shape, letter) for letter in letters)
            for name, letters in self.parameters.items()
        }

    def fits(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Return whether the shapes agree: each letter has the same size everywhere."""
        sizes: dict[str, int] = {}
        return all(
            len(letters) == len(shapes[name])
            and all(
                sizes.setdefault(letter, size) == size
                for letter, size in zip(letters, shapes[name], strict=True)
            )
            for name, letters in self.parameters.items()
        )

    def count_needed(self, case: Case) -> Count:
        """Count the minimum operations of a call, for any implementation; empty if unknown."""
        return Count.of(self.needed(case) if self.needed else (), case.dtype)

    def bytes_needed(self, case: Case) -> int:
        """Return the minimum bytes a call reads and writes, each array once."""
        s, n_params = case.shape, sum(map(math.prod, self.shapes(case.shape).values()))
        n_elements = s.T * s.B * s.I + n_params + s.B * s.O  # x, parameters; y, or y_hat of a forward pass
        return ITEMSIZE[case.dtype] * (n_elements + (n_params if case.task != "forward" else 0))

    def described(self) -> str:
        """Return the parameters with their sizes as text: "U (H, I), W (H, H), V (O, H)"."""
        return ", ".join(f"{name} ({', '.join(letters)})" for name, letters in self.parameters.items())

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
        raise UserError(f"no cell {spec!r}; there are: {', '.join(CELLS)}; or module:object for your own")
    return load_object(CELLS.get(spec, spec), "cell", lambda loaded: _check_cell(loaded, spec))


def _check_cell(cell: Any, spec: str) -> Cell:
    """Return the cell, or raise UserError if the object is no valid cell."""
    if not isinstance(cell, Cell):
        raise UserError(f"{spec!r} is no cell: it must be a bench.workload.cell.Cell")
    if forbidden := sorted(RESERVED & cell.parameters.keys()):
        raise UserError(f"{spec!r}: no parameter of a cell can be called {forbidden[0]}; choose another name")
    return cell


def built_in_cell(spec: str) -> Cell | None:
    """Return the built-in cell of this name, else None: reading a file imports no user module."""
    return find_cell(spec) if spec in CELLS else None
