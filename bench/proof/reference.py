"""What a variant must compute: the float64 reference's results on a case's own inputs, and their conditions.

``expected`` and ``expected_after`` use NumPy's BLAS and belong in a NumPy process; others read the file that
``Expected.save`` wrote.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
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
    loss_scale: float  # mean(|y_hat| + |y|) delta: what rounding y_hat and y does to the loss
    upstream: float  # |dL/dy_hat|, for gradients that vanish
    grads: dict[str, Array]  # by parameter

    def arrays(self, prefix: str = "") -> dict[str, Any]:
        """Return name and array of each, for a file."""
        named = {name: getattr(self, name) for name in NAMES}
        named |= {f"d{name}": grad for name, grad in self.grads.items()}
        return {prefix + name: value for name, value in named.items()}


@dataclass(frozen=True, slots=True)
class Expected(Results):
    """What a variant must compute of a case's inputs, and of other inputs that it is fed."""

    digest: str  # of the case's inputs
    other: Results  # of Batch.other

    def save(self, path: Path) -> None:
        """Write an npz file at exactly ``path``."""
        with path.open("wb") as file:
            np.savez(file, **self.arrays(), **self.other.arrays(OTHER), digest=self.digest)

    @classmethod
    def load(cls, path: Path, parameters: Collection[str]) -> "Expected":
        """Read what ``save`` wrote for a cell with these parameters; nothing is unpickled.

        Raises:
            ValueError: it is another file.
        """
        names = (*NAMES, *(f"d{name}" for name in parameters))
        file = read_arrays(path, ("digest", *names, *(f"{OTHER}{name}" for name in names)))

        def results(prefix: str) -> Results:
            y_hat, loss, loss_scale, upstream = (file[prefix + name] for name in NAMES)
            grads = {name: file[f"{prefix}d{name}"] for name in parameters}
            return Results(y_hat, loss, float(loss_scale), float(upstream), grads)

        return _expected(results(""), str(file["digest"]), results(OTHER))


def _expected(results: Results, digest: str, other: Results) -> Expected:
    own = {field.name: getattr(results, field.name) for field in fields(results)}
    return Expected(**own, digest=digest, other=other)


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
    """Return the reference's results, and |dL/dh_0| / |dL/dh_T|: NaN where a result is not finite."""
    exact = batch.astype("float64")
    y_hat, _, dy_hat, dhs = _both_ways(case, exact)
    with np.errstate(all="ignore"):  # what is not finite is refused by the caller
        loss, grads = find_cell(case.cell).reference().loss_and_grads(
            exact.params, exact.x, exact.y, activation=case.activation, delta=case.delta
        )  # fmt: skip
    finite = all(np.isfinite(values).all() for values in (y_hat, loss, dhs[-1], *grads.values()))
    growth = norm(dhs[-1]) / (norm(dhs[0]) or 1.0) if finite else math.nan
    loss_scale = float(np.mean(np.abs(y_hat) + np.abs(exact.y))) * case.delta
    return Results(y_hat, np.asarray(loss), loss_scale, norm(dy_hat), grads), growth


@np.errstate(all="ignore")  # what is not finite is refused by the proof
def _both_ways(case: Case, batch: Batch) -> tuple[Array, list[Array], Array, list[Array]]:
    """Return y_hat (B, O), h_0 ... h_T, dL/dy_hat (B, O), and dL/dh_T ... dL/dh_0, each h (B, H)."""
    cell = find_cell(case.cell)
    y_hat, hs = cell.reference().forward(batch.params, batch.x, activation=case.activation)
    dy_hat = np.clip(y_hat - batch.y, -case.delta, case.delta) / y_hat.size
    back = cell.hidden_gradients(batch.params, batch.x, hs, dy_hat, activation=case.activation)
    return y_hat, hs, dy_hat, list(back)


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
    _, (_, *hs), _, dhs = _both_ways(case, batch)
    if case.task == "forward":
        dhs = []
    return Conditions(
        case=case,
        hidden=sum(h.size for h in hs),
        hidden_subnormal=count_subnormals(hs),
        gradient=sum(dh.size for dh in dhs),
        gradient_subnormal=count_subnormals(dhs),
    )


def count_subnormals(arrays: list[Array]) -> int:
    """Count numbers that are neither zero nor as large as the smallest normal one."""
    return sum(
        int(np.sum((array != 0) & (np.abs(array) < np.finfo(array.dtype).smallest_normal)))
        for array in arrays
    )
