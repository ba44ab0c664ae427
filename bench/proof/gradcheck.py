"""Check the hand-derived gradient against two other methods, which use only ``forward``.

They are complex steps and central differences (bench/proof/derivative.py). ``forward`` and the loss must be
analytic functions.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from bench.proof.agreement import compare
from bench.proof.derivative import COMPLEX_STEP, gradient
from bench.proof.derivative import central_differences as differences
from bench.proof.derivative import complex_steps as steps
from bench.proof.tolerance import Array
from bench.records.record import Check
from bench.workload.case import Case
from bench.workload.cell import find_cell
from bench.workload.data import Batch, make

COMPLEX_TOLERANCE = 1e-12  # measured error: 1e-15, for every h
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
    return gradient(
        steps(lambda params: loss(case, replace(start, params=params)), batch.params, h=h), batch.params
    )


def central_differences(case: Case, batch: Batch) -> dict[str, Array]:
    """Return the gradient by central differences: at least four forward passes per parameter."""
    start = batch.astype("float64")
    return gradient(
        differences(lambda params: loss(case, replace(start, params=params)), start.params), batch.params
    )


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
