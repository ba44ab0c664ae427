"""Check the gradients of a user's function: which are wrong, by how much, and by which mistake."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from bench.gradients.diagnosis import diagnose
from bench.gradients.exact import Exact, noise
from bench.gradients.finding import Finding
from bench.gradients.function import Arrays, Guarded, arrays_in, as_params, convert
from bench.gradients.trial import LEAST_SHARE, Trial
from bench.gradients.trials import FLOAT32_SHARE, FLOAT32_TOLERANCE, Comparison, compare, name_axes, trials
from bench.gradients.twin import autograd
from bench.machine.errors import UserError
from bench.machine.wording import listing
from bench.proof.tolerance import Array, error_between, norm

SAME_LOSS = 1e-6  # relative, of a twin
USELESS = 0.1  # a tolerance with which nothing can be said
SLACK = 1e-3  # of the distance of the slopes on both sides of a kink
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


@np.errstate(all="ignore")  # what is infinite is found, and said
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
    if not isinstance(entries, int | np.integer) or entries < 1:
        raise UserError(f"entries={entries!r}: give the number of entries to check, a whole number from 1")
    guarded, given_params = Guarded(function), as_params(params)
    loss, narrow = guarded.steady(given_params, data)
    params = {name: p.astype(np.float64) for name, p in given_params.items()}
    inputs, notes = convert(_as_float64, data), list[str]()
    named = name_axes(axes, params, inputs, guarded.label)
    try:
        compared = compare(guarded, params, inputs, entries)
    except UserError as error:
        raise UserError(f"of float64 copies of the inputs, {error}") from error
    trial, exact, method = compared.trial, compared.exact, compared.method
    rounding = method.rounding()
    rows = [_row(name, trial, exact, rounding) for name in params]
    findings = list[Finding]()
    if any(row.verdict == Verdict.WRONG for row in rows):
        shorter = trials(compared, guarded, params, inputs, entries, named)
        findings = diagnose(shorter, named.cell if named else "")
        if not findings and axes is None:
            notes.append("More mistakes can be named if axes= names the axes of the data, as ('TBI', 'BO').")
    if still := [row.parameter for row in rows if row.verdict == Verdict.WRONG and _is_zero(exact, row)]:
        names = listing(still)
        notes.append(f"The loss does not change with {names}: is it computed from params, and not kept?")
    if any(
        array.dtype.kind == "f" and array.dtype != np.float64
        for _, array in arrays_in([given_params, data], "")
    ):
        notes.append("Checked on float64 copies of the inputs.")
        own = Trial(trial.given, narrow, FLOAT32_TOLERANCE, least_share=FLOAT32_SHARE)
        off = {row.parameter: own.error(row.parameter) for row in rows if row.verdict == Verdict.RIGHT}
        rows = [_with_narrow(row, off.get(row.parameter, 0.0), notes) for row in rows]
        if off and (worst := max(off.values())) <= FLOAT32_TOLERANCE:
            notes.append(f"Gradients in the inputs' own precision are at most {worst:.1e} off these.")
    if twin is not None:
        rows = _with_twin(rows, autograd(twin, params, inputs), float(loss), compared, notes)
    if compared.in_float32:
        notes.append(f"{guarded.name} computes in float32, at least in part, even of float64 inputs.")
    for name, grad in trial.given.items():
        if bad := int(np.sum(~np.isfinite(grad))):
            notes.append(
                f"Of the gradient of {name}, {bad} of {grad.size} entries are infinite or not a number."
            )
    if any(row.verdict == Verdict.NOT_CHECKED and row.checked for row in rows):
        notes.append("Not checked is what is too small beside the rounding errors of the loss.")
    if kinks := sum(map(len, exact.kinks.values())):
        notes.append(
            f"Left out, since the loss has a kink there, or is too steep: {kinks} of the entries. A gradient "
            "without any others must be between the slopes on both sides."
        )
    return GradientRecord(
        guarded.name, float(loss), tuple(rows), method.name, method.reason, tuple(findings), tuple(notes)
    )


def _row(name: str, trial: Trial, exact: Exact, rounding: float) -> Row:
    """Return the row of a parameter; ``rounding`` is that of the loss."""
    values, given = exact.values[name], trial.given[name]
    checked, allowed = int(np.isfinite(values).sum()), trial.tolerance
    error, tolerance = trial.error(name), allowed + noise(exact, name)
    if name in exact.along:
        along, slope = exact.along[name]
        root = np.sqrt(values.size)  # |given - exact| is about root times its part along a random direction
        total = norm(np.array([norm(grad) for grad in trial.given.values()]))
        size = max(np.nan_to_num(norm(given)), root * abs(slope.value), LEAST_SHARE * total)
        off = error_between(root * np.sum(along * given), root * np.asarray(slope.value), scale=size)
        if not off <= (allowed := allowed + 3 * root * slope.error / size):
            error, tolerance = off, allowed
    if max(norm(given), norm(values[np.isfinite(values)])) <= rounding:  # as where all of it cancels
        error, tolerance = 0.0, trial.tolerance
    if not checked and _between(exact.kinks[name], given):
        error, checked, verdict = 0.0, values.size, Verdict.RIGHT
    elif not checked or tolerance > USELESS:
        verdict = Verdict.NOT_CHECKED
    else:
        verdict = Verdict.RIGHT if error <= tolerance else Verdict.WRONG
    return Row(name, error, tolerance, verdict, checked, values.size)


def _is_zero(exact: Exact, row: Row) -> bool:
    return row.checked > 0 and not np.nan_to_num(exact.values[row.parameter]).any()


def _between(kinks: Mapping[tuple[int, ...], tuple[float, float]], given: Array) -> bool:
    """Return whether all entries of a gradient are at kinks, and between the slopes on both sides."""
    return len(kinks) == given.size and all(
        abs(given[index] - (low + high) / 2) <= (high - low) * (1 + SLACK) / 2
        for index, (low, high) in kinks.items()
    )


def _with_narrow(row: Row, error: float, notes: list[str]) -> Row:
    """Return the row, wrong if a right gradient is that far off in the precision of the inputs."""
    if error <= FLOAT32_TOLERANCE:
        return row
    what = f"d{row.parameter} is right in float64, but {error:.1e} off in float32"
    notes.append(f"{what}: numbers vanish or cancel there.")
    return replace(row, error=error, tolerance=FLOAT32_TOLERANCE, verdict=Verdict.WRONG)


def _with_twin(
    rows: list[Row], by_twin: tuple[float, Arrays], loss: float, compared: Comparison, notes: list[str]
) -> list[Row]:
    """Return the rows with the errors relative to autograd's gradients, if the twin has the same loss."""
    twin_loss, grads = by_twin
    if not abs(twin_loss - loss) <= SAME_LOSS * max(abs(twin_loss), abs(loss)):
        notes.append(f"The twin computes something else, a loss of {twin_loss:.7g} and not {loss:.7g}.")
        return rows
    trial = replace(compared.trial, exact=grads)
    errors = {row.parameter: trial.error(row.parameter) for row in rows}
    for row in rows:
        name, kinks = row.parameter, compared.exact.kinks[row.parameter]
        if row.verdict == Verdict.RIGHT and errors[name] > row.tolerance and not kinks:
            notes.append(f"Autograd finds another gradient of {name}: does the twin detach something?")
    return [replace(row, autograd=errors[row.parameter]) for row in rows]


def _as_float64(array: Any) -> Any:
    return array.astype(np.float64) if array.dtype.kind == "f" else array
