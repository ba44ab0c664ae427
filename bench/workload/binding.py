"""Bind a variant to arrays of its library, owned by the harness, on the compute device.

Only the harness writes into these arrays, and only between calls. Every call must read the arrays again, so
a variant cannot reuse results of earlier inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.machine.errors import place_of
from bench.machine.libraries import Library
from bench.machine.libraries import library as find_library
from bench.workload.case import STREAM, Case
from bench.workload.catalog import Bound
from bench.workload.cell import find_cell
from bench.workload.data import Array, Batch

Bind = Callable[..., Bound]


@dataclass(frozen=True, slots=True)
class Binding:
    """Hold a variant's ``Bound`` and the arrays that the variant received."""

    bound: Bound
    library: Library
    device: str  # where the arrays are: cpu, cuda:0
    params: dict[str, Any]
    x: Any
    y: Any
    lengths: Any  # None if all sequences have T steps
    first: Batch  # the content of the arrays when the variant was bound

    def feed(self, batch: Batch) -> None:
        """Write another batch's x, y and lengths, of the same shapes, into the bound arrays."""
        if variant_feed := getattr(self.bound, "feed", None):
            variant_feed(*(array.copy() for array in batch.inputs.values()))
            return
        for name, array in batch.inputs.items():
            self.library.write(getattr(self, name), array)

    def result(self) -> dict[str, Array]:
        """Return copies of the last call's results, since some variants return their workspace.

        Raises:
            TypeError: the result is no dict of NumPy arrays. The message contains the place of the variant's
                ``result`` function.
        """
        result, place = self.bound.result(), place_of(self.bound.result)
        if not isinstance(result, dict):
            raise TypeError(f"result returned {type(result).__name__}, not a dict of arrays{place}")
        for name, value in result.items():
            if not isinstance(value, np.ndarray | np.generic):
                raise TypeError(f"result returned {name} as {type(value).__name__}, not a NumPy array{place}")
        return {name: np.array(value) for name, value in result.items()}

    def unchanged(self, batch: Batch) -> bool:
        """Return whether the inputs equal ``batch`` (fed last) and the parameters their first values."""
        # if the variant has a feed function, the harness never writes into self.x and self.y
        inputs = self.first if hasattr(self.bound, "feed") else batch
        pairs = [(getattr(self, name), array) for name, array in inputs.inputs.items()]
        pairs += [(param, self.first.params[name]) for name, param in self.params.items()]
        return all(np.array_equal(self.library.as_numpy(array), before) for array, before in pairs)


def bind_case(
    bind: Bind, library: str, case: Case, batch: Batch, device: str, beside: Binding | None = None
) -> Binding:
    """Copy a batch to arrays of ``library`` on ``device``, and bind the variant to these arrays.

    For a stream, x is the buffer of one step; feed it ``batch.step(t)``. ``beside`` is another binding of the
    same parameters, whose arrays this one shares. Lengths stay on the CPU, where PyTorch wants them.

    Raises:
        ValueError: the library does not support the device.
    """
    if case.task == STREAM:
        batch = batch.step(0)
    array_library = find_library(library)
    params = beside.params if beside else None
    if params is None:
        params = {name: array_library.place(p, device) for name, p in batch.params.items()}
    x, y = array_library.place(batch.x, device), array_library.place(batch.y, device)
    variant_params = dict(params)  # shallow copy: the dict is private to the variant, the arrays are shared
    options: dict[str, Any] = dict(find_cell(case.cell).options(case.activation))
    if batch.lengths is not None:
        options["lengths"] = array_library.place(batch.lengths, "cpu")
    bound = bind(case.task, variant_params, x, y, delta=case.delta, lr=case.lr, **options)
    return Binding(bound, array_library, device, params, x, y, options.get("lengths"), batch)
