"""A recurrent cell: its parameters, where they start, and the reference by which its variants are proved.

A cell of one's own is such a record in a module of its own, named as ``module:object``. Its module is
imported wherever the reference is computed, in the process of the command too: it should import NumPy alone.
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

Params = dict[str, Any]  # by name, arrays of one library
CELLS = {"rnn": "bench.workload.rnn:RNN"}  # by name, where the record is
RESERVED = {"x", "y", "y_hat", "loss"}  # names of what stands beside parameters


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell, unrolled over T steps from h_0 = 0, with a linear output on h_T.

    Attributes:
        name: what people call it.
        parameters: by name, the sizes of each parameter as letters of ``Shape``: {"W": "HH"}.
        references: by library, the module with ``predict``, ``forward``, ``loss_and_grads`` and ``sgd_step``
            as ``impl_numpy.rnn`` defines them. That of "numpy" is the one by which variants are proved; its
            ``forward`` also computes with complex parameters.
        baseline: the variant that others are compared with, by name or as ``module:object``.
        initial: makes the parameters at the start, float64, for a shape and a generator of random numbers.
        hidden_gradients: yields dL/dh_T, ..., dL/dh_0, each (B, H), for ``params``, ``x``, the states
            [h_0, ..., h_T] and dL/dy_hat, with the keyword ``activation``.
        needed: counts the operations that the mathematics of a call needs, whoever computes it; None where
            nobody has counted them.
    """

    name: str
    parameters: Mapping[str, str]
    references: Mapping[str, str]
    baseline: str
    initial: Callable[[Shape, "Generator"], Params]
    hidden_gradients: Callable[..., Iterator[Any]]
    needed: Callable[[Case], Operations] | None = None

    def shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter."""
        return {
            name: tuple(getattr(shape, letter) for letter in letters)
            for name, letters in self.parameters.items()
        }

    def fits(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Return whether arrays of these shapes are parameters of one cell: every letter one size."""
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
        """Count what the mathematics of a call needs; nothing where nobody has counted it."""
        return Count.of(self.needed(case) if self.needed else (), case.dtype)

    def bytes_needed(self, case: Case) -> int:
        """Return the bytes that move at least: what a call reads and what it hands out, each array once."""
        s, params = case.shape, sum(map(math.prod, self.shapes(case.shape).values()))
        moved = s.T * s.B * s.I + params + s.B * s.O  # x, parameters; y, or y_hat of a forward pass
        return ITEMSIZE[case.dtype] * (moved + (params if case.task != "forward" else 0))

    def described(self) -> str:
        """Return the parameters as people write them: "U (H, I), W (H, H), V (O, H)"."""
        return ", ".join(f"{name} ({', '.join(letters)})" for name, letters in self.parameters.items())

    def reference(self, library: str = "numpy") -> ModuleType:
        """Import the module with the reference functions in that library."""
        return importlib.import_module(self.references[library])


@functools.cache
def find_cell(spec: str) -> Cell:
    """Return the cell of this name, or of ``module:object``, whose module is imported here.

    Raises:
        UserError: there is no such cell, or it cannot be loaded.
    """
    if spec not in CELLS and ":" not in spec:
        raise UserError(f"no cell {spec!r}; there are: {', '.join(CELLS)}; or module:object for your own")
    return load_object(CELLS.get(spec, spec), "cell", lambda own: _checked(own, spec))


def _checked(cell: Any, spec: str) -> Cell:
    if not isinstance(cell, Cell):
        raise UserError(f"{spec!r} is no cell: it must be a bench.workload.cell.Cell")
    if taken := sorted(RESERVED & cell.parameters.keys()):
        raise UserError(f"{spec!r}: no parameter of a cell can be called {taken[0]}; choose another name")
    return cell


def house_cell(spec: str) -> Cell | None:
    """Return the cell of this name; None for one from outside, which no reader of a file imports."""
    return find_cell(spec) if spec in CELLS else None
