"""Bind a variant to arrays that the harness owns: its library's own, on the device that computes.

The harness alone writes into them, between calls. Every call reads them anew, so nothing that is computed
from one set of inputs can be kept for the next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.machine.errors import place_of
from bench.machine.libraries import Library
from bench.machine.libraries import library as find_library
from bench.workload.case import Case
from bench.workload.catalog import Bound
from bench.workload.data import Array, Batch

Bind = Callable[..., Bound]


@dataclass(frozen=True, slots=True)
class Binding:
    """A variant's ``Bound`` and the arrays that it was given."""

    bound: Bound
    library: Library
    device: str  # where the arrays are: cpu, cuda:0
    params: dict[str, Any]
    x: Any
    y: Any
    first: Batch  # what was in the arrays when they were bound

    def feed(self, batch: Batch) -> None:
        """Write the x and y of another batch of the same shapes where the calls read them."""
        if own := getattr(self.bound, "feed", None):
            own(batch.x.copy(), batch.y.copy())
            return
        self.library.write(self.x, batch.x)
        self.library.write(self.y, batch.y)

    def result(self) -> dict[str, Array]:
        """Return the results of the last call, as copies: some variants hand out their workspace.

        Raises:
            TypeError: it is no dict of NumPy arrays; the message has the place of the variant's ``result``.
        """
        result, place = self.bound.result(), place_of(self.bound.result)
        if not isinstance(result, dict):
            raise TypeError(f"result returned {type(result).__name__}, not a dict of arrays{place}")
        for name, value in result.items():
            if not isinstance(value, np.ndarray | np.generic):
                raise TypeError(f"result returned {name} as {type(value).__name__}, not a NumPy array{place}")
        return {name: np.array(value) for name, value in result.items()}

    def unchanged(self, batch: Batch) -> bool:
        """Return whether x and y are still those of ``batch``, fed last, and the parameters as bound."""
        inputs = self.first if hasattr(self.bound, "feed") else batch  # a feed of its own leaves ours alone
        pairs = [(self.x, inputs.x), (self.y, inputs.y)]
        pairs += [(held, self.first.params[name]) for name, held in self.params.items()]
        return all(np.array_equal(self.library.as_numpy(held), array) for held, array in pairs)


def bind_case(bind: Bind, library: str, case: Case, batch: Batch, device: str) -> Binding:
    """Place a batch as arrays of ``library`` on ``device``, and bind a case to them.

    Raises:
        ValueError: the library has no arrays there.
    """
    own_library = find_library(library)
    params = {name: own_library.place(p, device) for name, p in batch.params.items()}
    x, y = own_library.place(batch.x, device), own_library.place(batch.y, device)
    own = dict(params)  # what a variant puts into the dict is its own, what it writes into an array is not
    bound = bind(case.task, own, x, y, activation=case.activation, delta=case.delta, lr=case.lr)
    return Binding(bound, own_library, device, params, x, y, batch)
