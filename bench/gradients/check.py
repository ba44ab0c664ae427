"""Check the gradients of a user's function: which are wrong, by how much, and by which mistake."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from bench.gradients.exact import COMPLEX, Exact, Method
from bench.gradients.finding import Finding
from bench.gradients.function import Gradients, Guarded, arrays_in, as_params, convert
from bench.gradients.trial import Trial
from bench.machine.errors import UserError
from bench.machine.wording import count
from bench.proof.tolerance import error_between, norm

# The largest errors that pass. A correct gradient in float64 is 1e-15 off, and up to 1e-12 where much of it
# cancels; mistakes are seldom below 1e-5.
COMPLEX_TOLERANCE = 1e-9
DIFFERENCES_TOLERANCE = 1e-8  # and three times the differences' own estimate of their error
FLOAT32_TOLERANCE = 1e-3  # the suite's correct variants are 2e-6 off; losses of small differences are more
IN_FLOAT64 = 1e-11  # the precision of a loss that is computed in float64, with a margin for cancellation
USELESS = 0.1  # a tolerance with which nothing can be said
ENTRIES = 2000  # all of them are checked if there are no more


class Verdict(StrEnum):
    """Name what became of a gradient."""

    RIGHT = "right"
    WRONG = "wrong"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Row:
    """Hold the check of one gradient.

    Attributes:
        parameter: the name of the parameter.
        error: |given - exact| / |exact| over the checked entries, or along a random direction.
        tolerance: the largest error that passes.
        verdict: right, wrong or not checked.
        checked: how many entries were compared.
        entries: how many there are.
        autograd: the error relative to autograd's gradient; None without a twin.
    """

    parameter: str
    error: float
    tolerance: float
    verdict: Verdict
    checked: int
    entries: int
    autograd: float | None = None


@dataclass(frozen=True, slots=True)
class GradientRecord:
    """Hold the check of a function's gradients.

    Attributes:
        function: its name.
        loss: on the inputs of the check.
        rows: one for each parameter.
        method: how the exact gradient was computed: complex steps or central differences.
        reason: why not by complex steps; empty if it was.
        findings: the mistakes that explain the wrong gradients.
        notes: what else a reader should know, sentences.
    """

    function: str
    loss: float
    rows: tuple[Row, ...]
    method: str
    reason: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def check(
    function: Callable[..., Any],
    params: Any,
    data: tuple[Any, ...],
    *,
    twin: Callable[..., Any] | None = None,
    axes: Sequence[str] | None = None,
    entries: int = ENTRIES,
) -> GradientRecord:
    """Check the gradients that ``function(params, *data)`` returns, as ``bench.check_gradients`` says.

    Raises:
        UserError: the inputs cannot be used, or the function's result has another form.
    """
    if isinstance(entries, bool) or not isinstance(entries, int) or entries < 1:
        raise UserError(f"entries={entries!r}: give the number of entries to check, a whole number from 1")
    guarded, given_params = Guarded(function), as_params(params)
    loss, narrow = guarded.steady(given_params, data)
    wide = {name: p.astype(np.float64) for name, p in given_params.items()}
    wide_data, notes = convert(_as_float64, data), list[str]()
    is_narrow = any(p.dtype != np.float64 for p in given_params.values()) or any(
        array.dtype.kind == "f" and array.dtype != np.float64 for _, array in arrays_in(data, "")
    )
    if is_narrow:
        loss, given = guarded.steady(wide, wide_data)
        notes.append("Checked on float64 copies of the inputs.")
    else:
        given = narrow
    results = [loss, *given.values()]
    eps = max(
        float(np.finfo(np.asarray(one).dtype).eps) for one in results if np.asarray(one).dtype.kind == "f"
    )
    method = Method(guarded, wide, wide_data, eps=eps)
    if in_float32 := method.eps > IN_FLOAT64:
        notes.append(f"{guarded.name} computes in float32, at least in part, even of float64 inputs.")
    exact, trial = compare(method, wide, given, entries, in_float32=in_float32)
    rows = [_row(name, trial, exact) for name in wide]
    if is_narrow:
        rows = _with_narrow(rows, narrow, given, notes)
    for name, grad in given.items():
        if bad := int(np.sum(~np.isfinite(grad))):
            notes.append(f"d{name} is not a number or infinite in {count(bad, 'entry')} of {grad.size}.")
    if kinks := sum(exact.kinks.values()):
        notes.append(f"Left out where the loss has a kink, and no gradient: {kinks} entries.")
    return GradientRecord(
        guarded.name, float(loss), tuple(rows), method.name, method.reason, (), tuple(notes)
    )


def compare(
    method: Method, params: Gradients, given: Gradients, entries: int, *, in_float32: bool = False
) -> tuple[Exact, Trial]:
    """Compute the exact gradient, and set the given one beside it, without the entries at kinks."""
    given = {name: grad.astype(np.float64) for name, grad in given.items()}
    while True:
        exact, name = method.exact(entries), method.name
        tolerance = COMPLEX_TOLERANCE if name == COMPLEX else DIFFERENCES_TOLERANCE
        trial = Trial(exact.values, given, FLOAT32_TOLERANCE if in_float32 else tolerance)
        if name == COMPLEX:
            method.leave_out_kinks(exact, {name: _worst(trial, name) for name in trial.wrong()})
        if name == method.name:
            return exact, trial


def _worst(trial: Trial, name: str) -> list[tuple[int, ...]]:
    """Return the indices of the wrong ones of the computed entries of a gradient, the worst first."""
    distance = np.abs(trial.given[name] - trial.exact[name])
    order = np.argsort(-np.nan_to_num(distance, nan=-1.0), axis=None)
    limit = trial.tolerance * np.nanmax(np.abs(trial.exact[name]), initial=0) / 10
    indices = [tuple(map(int, np.unravel_index(n, distance.shape))) for n in order]
    return [index for index in indices if distance[index] > limit]


def _row(name: str, trial: Trial, exact: Exact) -> Row:
    values = exact.values[name]
    noise = Trial(exact.values, {name: values + 3 * exact.errors[name]}, 0.0).error(name)
    error, tolerance, checked = trial.error(name), trial.tolerance + noise, int(np.isfinite(values).sum())
    if name in exact.along and checked:
        along, slope = exact.along[name]
        size = max(
            norm(values[np.isfinite(values)]) / np.sqrt(checked), abs(slope)
        )  # of |exact| / sqrt(entries)
        error = max(error, error_between(np.sum(along * trial.given[name]), np.asarray(slope), scale=size))
    if not checked or tolerance > USELESS >= error:
        verdict = Verdict.NOT_CHECKED
    else:
        verdict = Verdict.RIGHT if error <= tolerance else Verdict.WRONG
    return Row(name, error, tolerance, verdict, checked, values.size)


def _with_narrow(rows: list[Row], narrow: Gradients, wide: Gradients, notes: list[str]) -> list[Row]:
    """Return the rows with what float32 makes of gradients that are right in float64."""
    trial = Trial(wide, narrow, FLOAT32_TOLERANCE)
    off = {row.parameter: trial.error(row.parameter) for row in rows if row.verdict == Verdict.RIGHT}
    lost = {name: error for name, error in off.items() if error > FLOAT32_TOLERANCE}
    if off and not lost:
        notes.append(f"Gradients in the inputs' own precision are at most {max(off.values()):.1e} off these.")
    for name, error in lost.items():
        notes.append(
            f"d{name} is right in float64, but {error:.1e} off in float32: numbers vanish or cancel there."
        )
    return [
        replace(row, error=lost[row.parameter], tolerance=FLOAT32_TOLERANCE, verdict=Verdict.WRONG)
        if row.parameter in lost
        else row
        for row in rows
    ]


def _as_float64(array: Any) -> Any:
    return array.astype(np.float64) if array.dtype.kind == "f" else array
