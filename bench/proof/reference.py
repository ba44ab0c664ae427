"""What a variant must compute: the float64 reference's results on a case's own inputs.

``expected`` and ``expected_after`` use NumPy's BLAS and belong in a NumPy process; others read the file that
``Expected.save`` wrote.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine.arrays import read_arrays
from bench.machine.errors import UserError
from bench.proof.tolerance import Array, norm, tolerance
from bench.workload import catalog
from bench.workload.case import Case
from bench.workload.data import Batch

MAX_GROWTH = 10  # of |dL/dh_t| on its way from h_T to h_0
OTHER = "other_"
NAMES = ("y_hat", "loss", "dU", "dW", "dV", "loss_scale", "upstream")  # of the arrays in a file


@dataclass(frozen=True, slots=True)
class Results:
    """Results in float64, and the scales that errors are relative to where their own size means nothing."""

    y_hat: Array  # (B, O)
    loss: Array  # 0-d
    grads: dict[str, Array]  # U W V
    loss_scale: float  # mean(|y_hat| + |y|) delta: what rounding y_hat and y does to the loss
    upstream: float  # |dL/dy_hat|, for gradients that vanish

    def arrays(self, prefix: str = "") -> dict[str, Any]:
        """Name and array of each, for a file."""
        grads = [self.grads[name] for name in "UWV"]
        values = (self.y_hat, self.loss, *grads, self.loss_scale, self.upstream)
        return {prefix + name: value for name, value in zip(NAMES, values, strict=True)}


def read_results(file: dict[str, Array], prefix: str = "") -> Results:
    """What ``Results.arrays`` took apart."""
    y_hat, loss, dU, dW, dV, loss_scale, upstream = (file[prefix + name] for name in NAMES)
    return Results(y_hat, loss, {"U": dU, "W": dW, "V": dV}, float(loss_scale), float(upstream))


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
    def load(cls, path: Path) -> "Expected":
        """Read what ``save`` wrote; nothing is unpickled.

        Raises:
            ValueError: it is another file.
        """
        file = read_arrays(path, ("digest", *NAMES, *(f"{OTHER}{name}" for name in NAMES)))
        return _expected(read_results(file), str(file["digest"]), read_results(file, OTHER))


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
    reference = catalog.reference("numpy")
    exact = batch.astype("float64")
    params, x, y = exact.params, exact.x, exact.y
    with np.errstate(all="ignore"):  # what is not finite is refused below
        y_hat, hs = reference.forward(params, x, activation=case.activation)
        loss, grads = reference.loss_and_grads(params, x, y, activation=case.activation, delta=case.delta)
        dy_hat = np.clip(y_hat - y, -case.delta, case.delta) / y_hat.size  # (B, O)
        _, act_prime = reference.ACTIVATIONS[case.activation]
        dh_last = dh = dy_hat @ params["V"]  # (B, H)
        for h in reversed(hs[1:]):
            dh = (dh * act_prime(h)) @ params["W"]
    finite = all(np.isfinite(values).all() for values in (y_hat, loss, dh, *grads.values()))
    growth = norm(dh) / (norm(dh_last) or 1.0) if finite else math.nan
    loss_scale = float(np.mean(np.abs(y_hat) + np.abs(y))) * case.delta
    return Results(y_hat, np.asarray(loss), grads, loss_scale, norm(dy_hat)), growth


def expected_after(case: Case, batch: Batch, n_calls: int) -> dict[str, Array]:
    """Train ``n_calls`` >= 1 steps: U W V after them, the last step's ``loss``, and ``n_calls`` itself."""
    reference = catalog.reference("numpy")
    exact = batch.astype("float64")
    params = exact.params
    for _ in range(n_calls):
        loss, params = reference.sgd_step(
            params, exact.x, exact.y, lr=case.lr, activation=case.activation, delta=case.delta
        )
    return {"loss": np.asarray(loss), **params, "n_calls": np.asarray(n_calls)}
