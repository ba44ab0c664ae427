"""What a variant must compute: the float64 reference's results on a case's own inputs, and their conditions.

``expected`` and ``expected_after`` use NumPy's BLAS and belong in a NumPy process; others read the file that
``Expected.save`` wrote.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine.arrays import read_arrays
from bench.machine.errors import UserError
from bench.proof.tolerance import Array, norm, tolerance
from bench.records.record import Conditions
from bench.workload.case import Case
from bench.workload.cell import find_cell
from bench.workload.data import Batch

MAX_GROWTH = 10  # of |dL/dh_t| on its way from h_T to h_0
OTHER = "other_"
NAMES = ("y_hat", "loss", "loss_scale", "upstream")  # of the arrays in a file, beside the gradients


@dataclass(frozen=True, slots=True)
class Results:
    """Results in float64, and the scales that errors are relative to where their own size means nothing."""

    y_hat: Array  # (B, O)
    loss: Array  # 0-d
    grads: dict[str, Array]  # by parameter
    loss_scale: float  # mean(|y_hat| + |y|) delta: what rounding y_hat and y does to the loss
    upstream: float  # |dL/dy_hat|, for gradients that vanish

    def arrays(self, prefix: str = "") -> dict[str, Any]:
        """Name and array of each, for a file."""
        values = (self.y_hat, self.loss, self.loss_scale, self.upstream)
        arrays = dict(zip(NAMES, values, strict=True))
        arrays |= {f"d{name}": grad for name, grad in self.grads.items()}
        return {prefix + name: value for name, value in arrays.items()}


def read_results(file: dict[str, Array], parameters: Collection[str], prefix: str = "") -> Results:
    """What ``Results.arrays`` took apart."""
    y_hat, loss, loss_scale, upstream = (file[prefix + name] for name in NAMES)
    grads = {name: file[f"{prefix}d{name}"] for name in parameters}
    return Results(y_hat, loss, grads, float(loss_scale), float(upstream))


@dataclass(frozen=True, slots=True)
class Expected(Results):
    """What a variant must compute of a case's inputs, and of other inputs that it is fed."""

    digest: str  # of the case's inputs
    other: Results  # of Batch.other

    def save(self, path: Path) -> None:
        """Write an npz file at exactly ``path``."""
        arrays = self.arrays() | self.other.arrays(OTHER) | {"digest": self.digest}
        with path.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Path, parameters: Collection[str]) -> "Expected":
        """Read what ``save`` wrote for a cell with these parameters; nothing is unpickled.

        Raises:
            ValueError: it is another file.
        """
        names = (*NAMES, *(f"d{name}" for name in parameters))
        file = read_arrays(path, ("digest", *names, *(f"{OTHER}{name}" for name in names)))
        results, other = read_results(file, parameters), read_results(file, parameters, OTHER)
        return _expected(results, str(file["digest"]), other)


def _expected(results: Results, digest: str, other: Results) -> Expected:
    y_hat, loss, grads = results.y_hat, results.loss, results.grads
    return Expected(y_hat, loss, grads, results.loss_scale, results.upstream, digest, other)


def expected(case: Case, batch: Batch) -> Expected:
    """Compute the reference's results; they serve all three tasks.

    Raises:
        UserError: the case cannot be proved. Its gradient grows on the way back through time or is not
            finite, so that correct implementations disagree, or its sequences are longer than tolerances go.
    """
    tolerance(case, "cpu")
    results, growth = _results(case, batch)
    if not growth <= MAX_GROWTH:
        how = f"grows {growth:.3g} times" if math.isfinite(growth) else "is not finite"
        raise UserError(
            f"{case}: ill-conditioned, its gradient {how} on the way from h_T to h_0, so correct programs "
            "disagree; choose shorter sequences or smaller weights"
        )
    return _expected(results, batch.digest(), _results(case, batch.other())[0])


def _results(case: Case, batch: Batch) -> tuple[Results, float]:
    """The reference's results, and how much dL/dh_t grows from h_T to h_0: NaN where one is not finite."""
    cell, exact = find_cell(case.cell), batch.astype("float64")
    reference, params, x, y = cell.reference(), exact.params, exact.x, exact.y
    with np.errstate(all="ignore"):  # what is not finite is refused below
        y_hat, hs = reference.forward(params, x, activation=case.activation)
        loss, grads = reference.loss_and_grads(params, x, y, activation=case.activation, delta=case.delta)
        dy_hat = np.clip(y_hat - y, -case.delta, case.delta) / y_hat.size  # (B, O)
        dhs = list(cell.hidden_gradients(params, x, hs, dy_hat, activation=case.activation))
    finite = all(np.isfinite(values).all() for values in (y_hat, loss, dhs[-1], *grads.values()))
    growth = norm(dhs[-1]) / (norm(dhs[0]) or 1.0) if finite else math.nan
    loss_scale = float(np.mean(np.abs(y_hat) + np.abs(y))) * case.delta
    return Results(y_hat, np.asarray(loss), grads, loss_scale, norm(dy_hat)), growth


def expected_after(case: Case, batch: Batch, n_calls: int) -> dict[str, Array]:
    """Train ``n_calls`` >= 1 steps: the parameters after them, the last step's ``loss``, and ``n_calls``."""
    reference = find_cell(case.cell).reference()
    exact = batch.astype("float64")
    params = exact.params
    for _ in range(n_calls):
        loss, params = reference.sgd_step(
            params, exact.x, exact.y, lr=case.lr, activation=case.activation, delta=case.delta
        )
    return {"loss": np.asarray(loss), **params, "n_calls": np.asarray(n_calls)}


def conditions(case: Case, batch: Batch) -> Conditions:
    """Count subnormal numbers in every h_t and dL/dh_t (B, H) of an untimed pass in the case's dtype.

    A processor may take a hundred times as long over each. Back-propagation through a contractive recurrence
    walks down through them: the weights' gradients can be free of them while a part of dL/dh_t is not.
    Neither library flushes them to zero here.
    """
    cell = find_cell(case.cell)
    params, x, y = batch.params, batch.x, batch.y
    with np.errstate(all="ignore"):  # what is not finite is refused by the proof
        y_hat, hs = cell.reference().forward(params, x, activation=case.activation)
        upstream: list[Array] = []
        if case.task != "forward":
            dy_hat = np.clip(y_hat - y, -case.delta, case.delta) / y_hat.size  # (B, O)
            upstream += cell.hidden_gradients(params, x, hs, dy_hat, activation=case.activation)
    return Conditions(
        case=case,
        hidden=sum(h.size for h in hs[1:]),
        hidden_subnormal=count_subnormals(hs[1:]),
        gradient=sum(dh.size for dh in upstream),
        gradient_subnormal=count_subnormals(upstream),
    )


def count_subnormals(arrays: list[Array]) -> int:
    """How many numbers are neither zero nor as large as the smallest normal one."""
    return sum(
        int(np.sum((array != 0) & (np.abs(array) < np.finfo(array.dtype).smallest_normal)))
        for array in arrays
    )
