"""Define a trial: the gradients that a function gave on known inputs, beside the exact ones."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.proof.tolerance import Array, error_between, norm
from bench.workload.data import Batch

# of all exact gradients together: the scale for the error of a gradient that is 0. Rounding makes such a
# gradient 1e-16 of all of them, or more where many terms cancel; with 1e-5, a tolerance of 1e-9 passes it
LEAST_SHARE = 1e-5


@dataclass(frozen=True)
class Trial:
    """Hold given and exact gradients on the same inputs, float64.

    Attributes:
        exact: parameter name -> the exact gradient; NaN in entries that were not computed.
        given: parameter name -> the gradient that was given, of the same shape.
        tolerance: the largest error |given - exact| / |exact| of a gradient that passes.
        sizes: name of an axis -> its size, as {"T": 6, "B": 4}; empty if the axes have no names.
        batch: the inputs, if the parameters are those of a cell of the suite; else None.
        delta: cutoff of the Huber loss of ``batch``.
        activation: of the cell, for ``batch``.
        only_step: the step, counted from 1, outside which the data of all steps are 0; None if they are not.
        least_share: of all exact gradients together, the smallest scale for an error.
    """

    exact: Mapping[str, Array]
    given: Mapping[str, Array]
    tolerance: float
    sizes: Mapping[str, int] = field(default_factory=dict)
    batch: Batch | None = None
    delta: float = np.inf
    activation: str = "tanh"
    only_step: int | None = None
    least_share: float = LEAST_SHARE

    @functools.cached_property
    def length(self) -> float:
        """Return the norm of all exact gradients together."""
        return norm(np.array([norm(values[np.isfinite(values)]) for values in self.exact.values()]))

    def error(self, name: str, wanted: Array | None = None) -> float:
        """Return |given - wanted| / |wanted| over the entries of ``wanted`` that are no NaN.

        ``wanted`` is the exact gradient unless given.
        """
        return self.distance(self.given[name], self.exact[name] if wanted is None else wanted)

    def distance(self, given: Array, wanted: Array) -> float:
        """Return the error of a gradient, as ``error`` does."""
        known = np.isfinite(wanted)
        scale = max(norm(wanted[known]), self.least_share * self.length)
        return error_between(given[known], wanted[known], scale=scale)

    def wrong(self) -> tuple[str, ...]:
        """Return the parameters whose given gradients are off by more than the tolerance."""
        return tuple(name for name in self.exact if not self.error(name) <= self.tolerance)


def wrong_in(trials: Iterable[Trial]) -> set[str]:
    """Return the parameters whose given gradients are wrong in a trial or more."""
    return {name for trial in trials for name in trial.wrong()}
