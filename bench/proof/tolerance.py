"""Define the error measure and the tolerances of the proof, each tolerance with its origin.

Errors are normwise, E = |a - b| / |b| over a whole tensor, since single values near zero have no relative
accuracy even in correct code. No NumPy BLAS here (``np.linalg.norm`` calls BLAS), since torch workers
compare too.
"""

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine.errors import UserError
from bench.workload.case import Case

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Hold the largest errors that pass: for results of the forward pass, and for gradients and updates."""

    forward: float
    gradient: float


# (dtype, device) -> {largest T: tolerance}. One table for all cells and lengths: errors do not grow with T up
# to 1000, in any cell, while the dynamics are contractive.
TOLERANCES: dict[tuple[str, str], dict[int, Tolerance]] = {
    # 10 to 25 times the largest errors measured between all correct variants for T = 1 to 1000, B = 1 to 128
    # and H = 4 to 128, forward and for gradients: RNN 1.7e-15 and 4e-15, GRU 8e-16 and 1.5e-15, LSTM 8e-16
    # and 1.2e-15
    ("float64", "cpu"): {1000: Tolerance(2e-14, 1e-13)},
    # likewise: RNN 6.5e-7 and 1.8e-6, GRU 3.2e-7 and 7e-7, LSTM 3.2e-7 and 2.1e-6, this of nn.LSTM's biases,
    # whose sums over T and B are 7e-6 off for B = 4096. Not covered: gradients of a relu one of whose z is
    # rounded beyond its kink, up to 2e-3 off; ``Results.jump`` allows them more
    ("float32", "cpu"): {1000: Tolerance(1e-5, 3e-5)},
    # accelerators sum in another order; of the RNN alone, on one NVIDIA H200, 3e-15 at T = 6, with a margin
    ("float64", "accelerator"): {1000: Tolerance(1e-13, 1e-12)},
    # there cuDNN's nn.RNN was 8e-6 and 1e-5 off, all else 1e-6; TF32, which is 1e-3 off, does not pass
    ("float32", "accelerator"): {1000: Tolerance(5e-5, 1e-4)},
}

# float32 errors average out over a large tensor; in a smaller tensor a single large error decides
MIN_FLOAT32_ERRORS = 8  # B O
MIN_FLOAT32_HIDDEN = 4  # H


def tolerance(case: Case, device: str) -> Tolerance:
    """Return the tolerance for a case's dtype and sequence length on a device.

    Raises:
        UserError: the sequence is longer than all sequences with a measured tolerance.
    """
    where = "cpu" if device.partition(":")[0] == "cpu" else "accelerator"
    by_length = TOLERANCES[case.dtype, where]
    for longest, allowed in by_length.items():
        if longest >= case.shape.T:
            return allowed
    raise UserError(
        f"no proof for T = {case.shape.T}: tolerances end at T = {longest}; take shorter sequences"
    )


def too_small_for_float32(case: Case) -> bool:
    """Return whether the shape has too few values for a meaningful float32 error."""
    shape = case.shape
    return shape.B * shape.O < MIN_FLOAT32_ERRORS or shape.H < MIN_FLOAT32_HIDDEN


def norm(values: Array) -> float:
    """Return sqrt(sum of squares) in float64, scaled so that neither huge nor tiny values are lost."""
    magnitudes = np.abs(np.asarray(values, dtype=np.float64))
    largest = float(np.max(magnitudes, initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * float(np.sqrt(np.sum(np.square(magnitudes / largest))))


def vanishes(wanted: Array, dtype: str) -> bool:
    """Return whether a tensor is too near to the dtype's smallest numbers for meaningful relative errors."""
    smallest = float(np.finfo(dtype).tiny)
    return norm(wanted) <= 1e6 * smallest * math.sqrt(wanted.size)


def error_between(actual: Array, wanted: Array, *, scale: float) -> float:
    """Return |actual - wanted| / scale as a finite number, since JSON has no infinity and no NaN."""
    distance = norm(np.asarray(actual, dtype=np.float64) - wanted)
    if distance == 0:
        return 0.0
    if not math.isfinite(distance) or scale <= 0:
        return sys.float_info.max
    return min(distance / scale, sys.float_info.max)
