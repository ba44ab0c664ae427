"""Compute the expected results of a case with the float64 reference, and check that they are reliable.

``expected`` and ``expected_after`` use NumPy's BLAS and must run in a NumPy process; other processes read
the file written by ``Expected.save``.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine.arrays import read_arrays
from bench.machine.errors import UserError
from bench.proof.tolerance import Array, error_between, norm, tolerance
from bench.records.record import Conditions
from bench.workload import catalog
from bench.workload.binding import bind_case
from bench.workload.case import DEFAULT_CELL, STREAM, WITHOUT_GRADIENT, Case
from bench.workload.cell import find_cell
from bench.workload.data import Batch

MAX_GROWTH = 10  # of |dL/dh_t| from h_T back to h_0
MAX_JUMP = 0.05  # of the gradients, if z of a ReLU falls on the other side of its kink
OTHER_PREFIX = "other_"
NAMES = ("y_hat", "loss", "loss_scale", "upstream", "jump")  # of the arrays in a file, without the gradients


@dataclass(frozen=True, slots=True)
class Results:
    """Hold results in float64, and the scales for errors of the loss and of vanishing gradients."""

    y_hat: Array  # (B, O); of a stream (T, B, O), one for every step
    loss: Array  # 0-d
    loss_scale: float  # mean(|y_hat| + |y|) delta: the effect on the loss of rounding y_hat and y
    upstream: float  # |dL/dy_hat|, for gradients that vanish
    jump: float  # relative change of the gradients if z of a ReLU, by rounding, falls beyond its kink
    grads: dict[str, Array]  # by parameter

    def arrays(self, prefix: str = "") -> dict[str, Any]:
        """Return all arrays by name, each name with ``prefix``, to write to a file."""
        arrays = {name: getattr(self, name) for name in NAMES}
        arrays |= {f"d{name}": grad for name, grad in self.grads.items()}
        return {prefix + name: value for name, value in arrays.items()}


@dataclass(frozen=True, slots=True)
class Expected(Results):
    """Hold the expected results for a case's inputs, and for the second inputs ``Batch.other``."""

    digest: str  # SHA-256 of the case's inputs
    other: Results  # for the inputs of ``Batch.other``

    def save(self, path: Path) -> None:
        """Write an npz file to exactly ``path``, without adding a suffix."""
        with path.open("wb") as file:
            np.savez(file, **self.arrays(), **self.other.arrays(OTHER_PREFIX), digest=self.digest)

    @classmethod
    def load(cls, path: Path, parameters: Collection[str]) -> "Expected":
        """Read a file written by ``save`` for a cell with these parameters; nothing is unpickled.

        Raises:
            ValueError: the file was not written by ``save``.
        """
        names = (*NAMES, *(f"d{name}" for name in parameters))
        file = read_arrays(path, ("digest", *names, *(f"{OTHER_PREFIX}{name}" for name in names)))

        def results(prefix: str) -> Results:
            y_hat, loss, *numbers = (file[prefix + name] for name in NAMES)
            loss_scale, upstream, jump = map(float, numbers)
            grads = {name: file[f"{prefix}d{name}"] for name in parameters}
            return Results(y_hat, loss, loss_scale, upstream, jump, grads)

        return _as_expected(results(""), str(file["digest"]), results(OTHER_PREFIX))


def _as_expected(results: Results, digest: str, other: Results) -> Expected:
    """Return ``Expected`` with the fields of ``results``, the digest and the other results."""
    values = {field.name: getattr(results, field.name) for field in fields(results)}
    return Expected(**values, digest=digest, other=other)


def expected(case: Case, batch: Batch) -> Expected:
    """Compute the reference's results: of a stream those of its steps, else those of all three tasks.

    Raises:
        UserError: the case cannot be proved. The gradient grows too much from h_T back to h_0 or is not
            finite, so that correct implementations disagree, or no tolerance exists for sequences this long.
    """
    tolerance(case, "cpu")
    results, growth = _results(case, batch)
    if not growth <= MAX_GROWTH:
        problem = f"grows {growth:.3g} times" if math.isfinite(growth) else "is not finite"
        raise UserError(
            f"{case}: ill-conditioned, its gradient {problem} on the way from h_T to h_0, so correct "
            "programs disagree; choose shorter sequences or smaller weights"
        )
    if results.jump > MAX_JUMP:
        raise UserError(
            f"{case}: ill-conditioned, its gradient changes by {results.jump:.0%} with the rounding of its "
            "relu, so correct programs disagree; choose another seed or shorter sequences"
        )
    return _as_expected(results, batch.digest(), _results(case, batch.other())[0])


def _loss_and_grads(case: Case, batch: Batch) -> tuple[Array, dict[str, Array]]:
    """Return the reference's loss and gradient; of sequences of different lengths those of each length."""
    cell = find_cell(case.cell)
    parts = [
        (len(part.y) / len(batch.y), *cell.reference().loss_and_grads(
            part.params, part.x, part.y, delta=case.delta, **cell.options(case.activation)
        ))
        for _, part in batch.by_length()
    ]  # fmt: skip
    grads = {name: sum(share * part[name] for share, _, part in parts) for name in batch.params}
    return sum(share * loss for share, loss, _ in parts), grads


def _results(case: Case, batch: Batch) -> tuple[Results, float]:
    """Return the reference's results and the growth |dL/dh_0| / |dL/dh_T|, NaN if a result is not finite."""
    exact = batch.astype("float64")
    y_hat, hs, dy_hat, dhs = _forward_and_back(case, exact)
    cell = find_cell(case.cell)
    with np.errstate(all="ignore"):  # the caller refuses results that are not finite
        loss, grads = _loss_and_grads(case, exact)
    last, first = (np.concatenate([of_length[place] for of_length in dhs]) for place in (0, -1))
    finite = all(np.isfinite(values).all() for values in (y_hat, loss, first, *grads.values()))
    growth = norm(first) / (norm(last) or 1.0) if finite else math.nan
    loss_scale = float(np.mean(np.abs(y_hat) + np.abs(exact.y))) * case.delta
    jump = _jump(case, exact, hs, grads) if finite else 0.0
    if case.task == STREAM:  # computed with the state of no step handed on
        y_hat = np.stack([
            cell.reference().predict(exact.params, exact.x[:n], **cell.options(case.activation))
            for n in range(1, case.shape.T + 1)
        ])  # fmt: skip
    return Results(y_hat, np.asarray(loss), loss_scale, norm(dy_hat), jump, grads), growth


def _jump(case: Case, exact: Batch, hs: list[Array], grads: dict[str, Array]) -> float:
    """Return how far the gradients change if all z of a float32 ReLU are moved by their rounding.

    The derivative of a ReLU jumps at z = 0. Where z is nearer to 0 than its rounding, correct programs fall
    on either side: of 128 units and a batch of 128, gradients were 2e-3 apart in 3 of 400 seeds.
    """
    cell = find_cell(case.cell)
    if (case.cell, case.activation, case.dtype) != (DEFAULT_CELL, "relu", "float32"):
        return 0.0
    rounding = float(np.finfo(case.dtype).eps) * max(float(np.max(h)) for h in hs)
    zeros = {name: np.zeros(shape) for name, shape in cell.shapes(case.shape, bias=True).items()}
    changes = [0.0]
    for shift in (-rounding, rounding):
        params = zeros | exact.params
        params["bU"] = params["bU"] + shift
        _, moved = _loss_and_grads(case, replace(exact, params=params))
        changes += [
            error_between(moved[name], grad, scale=norm(grad)) for name, grad in grads.items() if norm(grad)
        ]
    return max(changes)


@np.errstate(all="ignore")  # the proof refuses results that are not finite
def _forward_and_back(case: Case, batch: Batch) -> tuple[Array, list[Array], Array, list[list[Array]]]:
    """Return y_hat (B, O), h_1 ... h_T, dL/dy_hat (B, O), and dL/dh_T ... dL/dh_0 by length.

    h and dL/dh are (B, H) where all sequences have T steps, else of the sequences of each length.
    """
    cell = find_cell(case.cell)
    options = cell.options(case.activation)
    y_hat, dy_hat = np.empty_like(batch.y), np.empty_like(batch.y)
    hs, dhs = list[Array](), list[list[Array]]()
    for rows, part in batch.by_length():
        y_hat[rows], cache = cell.reference().forward(part.params, part.x, **options)
        dy_hat[rows] = np.clip(y_hat[rows] - part.y, -case.delta, case.delta) / y_hat.size
        hs += cell.hidden_states(cache)
        dhs.append(list(cell.hidden_gradients(part.params, part.x, cache, dy_hat[rows], **options)))
    return y_hat, hs, dy_hat, dhs


def expected_after(case: Case, batch: Batch, n_calls: int) -> dict[str, Array]:
    """Train ``n_calls`` >= 1 steps; return the parameters after the steps, the last ``loss``, ``n_calls``.

    Sequences of different lengths are trained by the baseline, proved like any other: by length takes long.
    """
    cell = find_cell(case.cell)
    exact = batch.astype("float64")
    if case.shortest is not None:
        bind = catalog.find(catalog.baseline_of(case)).load(case.cell)
        trained = bind_case(bind, "numpy", replace(case, dtype="float64"), exact, "cpu").bound
        for _ in range(n_calls):
            trained.call()
        return {**trained.result(), "n_calls": np.asarray(n_calls)}
    params = exact.params
    for _ in range(n_calls):
        loss, params = cell.reference().sgd_step(
            params, exact.x, exact.y, lr=case.lr, delta=case.delta, **cell.options(case.activation)
        )
    return {"loss": np.asarray(loss), **params, "n_calls": np.asarray(n_calls)}


def conditions(case: Case, batch: Batch) -> Conditions:
    """Count subnormal numbers in all h_t and dL/dh_t (B, H) of an untimed pass in the case's dtype.

    A processor may need a hundred times as long for a subnormal number. In a contractive recurrence dL/dh_t
    shrinks at every step back and can become subnormal, even if no gradient of the weights is subnormal.
    Neither library sets subnormal numbers to zero here.
    """
    _, hs, _, dhs = _forward_and_back(case, batch)
    back = [] if case.task in WITHOUT_GRADIENT else list(chain.from_iterable(dhs))
    return Conditions(
        case=case,
        hidden=sum(h.size for h in hs),
        hidden_subnormal=count_subnormals(hs),
        gradient=sum(dh.size for dh in back),
        gradient_subnormal=count_subnormals(back),
    )


def count_subnormals(arrays: list[Array]) -> int:
    """Count numbers that are not zero but smaller in size than the smallest normal number."""
    return sum(
        int(np.sum((array != 0) & (np.abs(array) < np.finfo(array.dtype).smallest_normal)))
        for array in arrays
    )
