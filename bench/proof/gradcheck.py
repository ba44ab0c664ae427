"""Check the hand-derived gradient against two other methods, which use only ``forward``.

* Complex step: dL/dp = Im L(p + i h) / h. Nothing cancels, so h can be tiny and the result is exact to the
  last bits. ``forward`` and the loss must be analytic functions.
* Central differences: (L(p + h) - L(p - h)) / 2h, exact to about 1e-10 at the best h, a check without complex
  numbers.

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
COMPLEX_TOLERANCE = 1e-12  # measured error: 1e-15, for every h
CENTRAL_STEP = 6e-6  # about the cube root of float64's precision: truncation and rounding errors are equal
CENTRAL_TOLERANCE = 1e-8  # measured error: 1e-9


def huber(e: Array, delta: float) -> Any:
    """Return the mean Huber loss of errors; for complex errors the real part selects the branch."""
    quadratic = e * e / 2
    linear = delta * (np.sign(e.real) * e - delta / 2)
    return np.mean(np.where(np.abs(e.real) <= delta, quadratic, linear))


def loss(case: Case, batch: Batch) -> Any:
    """Return the loss computed by the reference's ``forward``; complex if the parameters are complex."""
    cell = find_cell(case.cell)
    y_hat, _ = cell.reference().forward(batch.params, batch.x, **cell.options(case.activation))
    return huber(y_hat - batch.y, case.delta)


def complex_step(case: Case, batch: Batch, *, h: float = COMPLEX_STEP) -> dict[str, Array]:
    """Return the gradient by complex steps; one forward pass per parameter, so only for small shapes."""
    start = batch.astype("complex128")
    grads = {name: np.empty(p.shape) for name, p in batch.params.items()}
    for name, index in entries(batch):
        grads[name][index] = loss(case, shifted(start, name, index, 1j * h)).imag / h
    return grads


def central_differences(case: Case, batch: Batch, *, h: float = CENTRAL_STEP) -> dict[str, Array]:
    """Return the gradient by central differences: two forward passes per parameter."""
    start = batch.astype("float64")
    grads = {name: np.empty(p.shape) for name, p in batch.params.items()}
    for name, index in entries(batch):
        loss_above, loss_below = (loss(case, shifted(start, name, index, by)) for by in (h, -h))
        grads[name][index] = (loss_above - loss_below) / (2 * h)
    return grads


def entries(batch: Batch) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the array name and the index of every scalar parameter."""
    return ((name, index) for name, p in batch.params.items() for index in np.ndindex(p.shape))


def shifted(batch: Batch, name: str, index: tuple[int, ...], by: complex) -> Batch:
    """Return the same batch with ``by`` added to one scalar parameter."""
    array = batch.params[name].copy()
    array[index] += by
    return Batch(batch.params | {name: array}, batch.x, batch.y)


# name of the method -> function that computes the gradient, and the tolerance
WAYS = {
    "complex step": (complex_step, COMPLEX_TOLERANCE),
    "central differences": (central_differences, CENTRAL_TOLERANCE),
}


def check_reference(case: Case) -> list[Check]:
    """Compare the reference's hand-derived gradient with both methods: one check per array and method."""
    batch = make(case)
    cell = find_cell(case.cell)
    _, grads = cell.reference().loss_and_grads(
        batch.params, batch.x, batch.y, delta=case.delta, **cell.options(case.activation)
    )
    checks = []
    for method, (differentiate, tolerance) in WAYS.items():
        wanted = differentiate(case, batch)
        checks += [
            compare(f"d{name}, {method}", grads[name], wanted[name], tolerance, "float64", quantity=method)
            for name in grads
        ]
    return checks
