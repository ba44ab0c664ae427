"""Two other ways to the gradient, against which the hand-derived one is checked. Both need ``forward`` only.

* Complex step: dL/dp = Im L(p + i h) / h. Nothing cancels, so h can be tiny and the result is exact to the
  last bits; ``forward`` and the loss have to be analytic functions all the way.
* Central differences: (L(p + h) - L(p - h)) / 2h, exact to about 1e-10 at the best h, for anyone who doubts
  complex numbers.

Sources: Squire and Trapp, Using complex variables to estimate derivatives of real functions (SIAM Review 40,
1998); Martins, Sturdza and Alonso, The complex-step derivative approximation (ACM TOMS 29, 2003).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.proof.agreement import compare
from bench.proof.tolerance import Array
from bench.records.record import Check
from bench.workload.case import Case
from bench.workload.cell import find_cell
from bench.workload.data import Batch, make

COMPLEX_STEP = 1e-20
COMPLEX_TOLERANCE = 1e-12  # seen: 1e-15, whatever h
CENTRAL_STEP = 6e-6  # about the cube root of float64's precision, where truncation and rounding balance
CENTRAL_TOLERANCE = 1e-8  # seen: 1e-9


def huber(e: Array, delta: float) -> Any:
    """Return the mean Huber loss of errors; for complex ones the real part decides the side."""
    quadratic = e * e / 2
    linear = delta * (np.sign(e.real) * e - delta / 2)
    return np.mean(np.where(np.abs(e.real) <= delta, quadratic, linear))


def loss(case: Case, batch: Batch) -> Any:
    """Return the loss through the reference's ``forward``, real or complex as the parameters are."""
    y_hat, _ = find_cell(case.cell).reference().forward(batch.params, batch.x, activation=case.activation)
    return huber(y_hat - batch.y, case.delta)


def complex_step(case: Case, batch: Batch, *, h: float = COMPLEX_STEP) -> dict[str, Array]:
    """Return the gradient by complex steps: a forward pass a parameter, so for small shapes."""
    start = batch.astype("complex128")
    grads = {name: np.empty(p.shape) for name, p in batch.params.items()}
    for name, index in entries(batch):
        grads[name][index] = loss(case, shifted(start, name, index, 1j * h)).imag / h
    return grads


def central_differences(case: Case, batch: Batch, *, h: float = CENTRAL_STEP) -> dict[str, Array]:
    """Return the gradient by central differences: two forward passes for every parameter."""
    start = batch.astype("float64")
    grads = {name: np.empty(p.shape) for name, p in batch.params.items()}
    for name, index in entries(batch):
        above, below = (loss(case, shifted(start, name, index, by)) for by in (h, -h))
        grads[name][index] = (above - below) / (2 * h)
    return grads


def entries(batch: Batch) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and index of every parameter."""
    return ((name, index) for name, p in batch.params.items() for index in np.ndindex(p.shape))


def shifted(batch: Batch, name: str, index: tuple[int, ...], by: complex) -> Batch:
    """Return the same batch with one parameter moved."""
    moved = batch.params[name].copy()
    moved[index] += by
    return Batch(batch.params | {name: moved}, batch.x, batch.y)


# how -> the gradient by that way, and what it may be off by
WAYS = {
    "complex step": (complex_step, COMPLEX_TOLERANCE),
    "central differences": (central_differences, CENTRAL_TOLERANCE),
}


def check_reference(case: Case) -> list[Check]:
    """Compare the reference's gradient, by hand, with the two by differences: a check a parameter and way."""
    batch = make(case)
    reference = find_cell(case.cell).reference()
    _, grads = reference.loss_and_grads(
        batch.params, batch.x, batch.y, activation=case.activation, delta=case.delta
    )
    checks = []
    for how, (differentiate, tolerance) in WAYS.items():
        others = differentiate(case, batch)
        checks += [
            compare(f"d{name}, {how}", grads[name], others[name], tolerance, "float64", quantity=how)
            for name in grads
        ]
    return checks
