"""Set the gradients of a user's function beside the exact ones: on its inputs, and on shorter ones.

A mistake shows most on short inputs: one step has no recurrence, one sample no sum over the batch. Where the
function is a cell of the suite with any loss of y_hat, the reference can repeat the trial. Its loss is then
|y_hat - y|^2 / (2 B O) with a y that gives the same dL/dy_hat, found from dL/dV = (dL/dy_hat)^T h_T.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.gradients.exact import COMPLEX, Exact, Method, noise
from bench.gradients.function import Arrays, Guarded
from bench.gradients.trial import Trial
from bench.machine.errors import UserError
from bench.proof.derivative import EPS
from bench.proof.tolerance import Array
from bench.workload.cell import Cell, find_cell, fitting
from bench.workload.data import Batch

# The largest errors that pass. A correct gradient in float64 is 1e-15 off, and up to 1e-12 where much of it
# cancels; mistakes are seldom below 1e-5.
COMPLEX_TOLERANCE = 1e-9
DIFFERENCES_TOLERANCE = 1e-8  # and three times the differences' own estimate of their error
FLOAT32_TOLERANCE = 1e-2  # the suite's correct variants are 2e-6 off, but 1 - h^2 of a saturated h is 2e-3
FLOAT32_SHARE = 1e-3  # of all gradients, on which one that is 0 is judged: it is rounding, 1e-7 of them
FLOAT32_EQUAL = 1e-4  # for a diagnosis
IN_FLOAT64 = 1e-11  # the precision of a loss that is computed in float64, with a margin for cancellation
REPRODUCED = 1e-8  # by the reference
TOO_NOISY = 1e-5  # an error of an exact gradient from which no mistake could be told
STEPS, SAMPLES = (1, 2, 3), 3  # of the shorter inputs
SHARE = 5  # how many times fewer entries are computed on shorter inputs
OF_CELL = 50  # entries, enough to see whether the reference gives the gradient
OUTPUTS = ("V", "bV")  # a cell's parameters of y_hat


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold the trial of a function on inputs.

    Attributes:
        method: how the exact gradient was computed.
        exact: the exact gradient, with its own errors.
        trial: the given gradient beside it.
        in_float32: whether the function computes in float32 even of float64 inputs.
    """

    method: Method
    exact: Exact
    trial: Trial
    in_float32: bool


@dataclass(frozen=True, slots=True)
class Axes:
    """Name the axes of the data by letters: T steps, B samples.

    Attributes:
        letters: of each argument; empty for what is no array.
        cell: the built-in cell whose parameters and x the function takes; empty if there is none.
        assumed: whether nobody gave the letters.
    """

    letters: tuple[str, ...]
    cell: str = ""
    assumed: bool = False

    def sizes(self, data: Sequence[Any]) -> dict[str, int]:
        """Return the size of every axis."""
        return {
            letter: size
            for letters, array in zip(self.letters, data, strict=True)
            if letters
            for letter, size in zip(letters, array.shape, strict=True)
        }

    def cut(self, data: Sequence[Any], most: Mapping[str, int]) -> tuple[Any, ...]:
        """Return the data with at most so many entries along these axes, the first ones."""
        return tuple(
            array[tuple(slice(most.get(letter)) for letter in letters)].copy() if letters else array
            for letters, array in zip(self.letters, data, strict=True)
        )

    def alone(self, data: Sequence[Any], step: int) -> tuple[Any, ...] | None:
        """Return the data with 0 at all steps of the first sequence but one, counted from 1.

        Targets stay: a gradient may be right for probabilities alone. None if there is no such sequence, or
        one of whole numbers, as words, of which 0 is one.
        """
        place = next((place for place, letters in enumerate(self.letters) if "T" in letters), None)
        if place is None or data[place].dtype.kind != "f":
            return None
        array, axis = data[place], self.letters[place].index("T")
        steps = np.arange(array.shape[axis]).reshape([-1 if n == axis else 1 for n in range(array.ndim)])
        return (*data[:place], np.where(steps == step - 1, array, 0), *data[place + 1 :])

    def x(self, data: Sequence[Any]) -> Array:
        """Return the inputs of the cell, (T, B, I)."""
        place = next(place for place, letters in enumerate(self.letters) if sorted(letters) == sorted("TBI"))
        return np.transpose(data[place], [self.letters[place].index(letter) for letter in "TBI"])


def name_axes(
    axes: Sequence[str] | None, params: Arrays, data: Sequence[Any], label: Callable[[int], str]
) -> Axes | None:
    """Return the names of the axes: those given, else those of a cell of the suite; None if unknown.

    Raises:
        UserError: the letters do not fit the data.
    """
    cell = fitting({name: p.shape for name, p in params.items()}) or ""
    sizes = _cell_sizes(find_cell(cell), params) if cell else {}
    shapes = [np.shape(array) if isinstance(array, np.ndarray) else () for array in data]
    if axes is None:
        fits = cell and [len(shape) for shape in shapes] == [3, 2] and shapes[1] == (shapes[0][1], sizes["O"])
        return Axes(("TBI", "BO"), cell, assumed=True) if fits and shapes[0][2] == sizes["I"] else None
    named = ["" if letters is None else letters for letters in axes] if isinstance(axes, list | tuple) else []
    if len(named) != len(data) or not all(isinstance(letters, str) for letters in named):
        names = [label(number) for number in range(len(data))]
        raise UserError(f"axes={axes!r}: give a text for each of {', '.join(names)}, as ('TBI', 'BO')")
    named, found = [letters.upper() for letters in named], dict[str, int]()
    for number, (letters, shape) in enumerate(zip(named, shapes, strict=True)):
        fits = len(set(letters)) == len(letters) == len(shape)
        if not fits or any(found.setdefault(*one) != one[1] for one in zip(letters, shape, strict=True)):
            advice = "a letter for each axis, and everywhere one size for a letter"
            raise UserError(f"axes={axes!r} do not fit {label(number)} of shape {shape}: give {advice}")
    has_x = any(sorted(letters) == sorted("TBI") for letters in named) and found["I"] == sizes.get("I")
    return Axes(tuple(named), cell if has_x else "")


def _cell_sizes(cell: Cell, params: Arrays) -> dict[str, int]:
    """Return the sizes that the parameters of a cell have."""
    letters = cell.arrays(bias=bool(cell.biases.keys() & params.keys()))
    return {
        letter: size
        for name in letters
        for letter, size in zip(letters[name], params[name].shape, strict=True)
    }


def compare(
    guarded: Guarded, params: Arrays, data: tuple[Any, ...], entries: int, *, whole: Sequence[str] = ()
) -> Comparison:
    """Call the function on float64 inputs, compute the exact gradient, and leave out the entries at kinks.

    Raises:
        UserError: the function cannot be called, or its result has another form.
    """
    loss, given = guarded(params, data)
    single = np.asarray(loss).itemsize < 8 or any(grad.itemsize < 8 for grad in given.values())
    eps = float(np.finfo(loss.dtype).eps) if loss.dtype.kind == "f" else EPS
    method = Method(guarded, params, data, eps=eps)
    given = {name: grad.astype(np.float64) for name, grad in given.items()}
    while True:
        name = method.name
        in_float32 = single or (name != COMPLEX and method.eps > IN_FLOAT64)
        tolerance = COMPLEX_TOLERANCE if name == COMPLEX else DIFFERENCES_TOLERANCE
        exact = method.exact(entries, whole)
        if in_float32:
            trial = Trial(exact.values, given, FLOAT32_TOLERANCE, least_share=FLOAT32_SHARE)
        else:
            trial = Trial(exact.values, given, tolerance)
        if name == COMPLEX:
            method.leave_out_kinks(exact, trial)
        if name == method.name:
            return Comparison(method, exact, trial, in_float32)


def trials(
    first: Comparison,
    guarded: Guarded,
    params: Arrays,
    data: tuple[Any, ...],
    entries: int,
    axes: Axes | None,
) -> list[Trial]:
    """Return trials for a diagnosis: of the first comparison, and with ``axes`` those of shorter inputs."""
    if axes is None:
        return [_clear(first)]
    cell = find_cell(axes.cell) if axes.cell else None
    sizes = axes.sizes(data)
    hidden = _cell_sizes(cell, params)["H"] if cell else SAMPLES
    samples = min(SAMPLES, hidden)
    wishes: list[dict[str, int]] = [{}, {"B": samples}, {"B": 1}]
    wishes += [{"T": steps, "B": few} for steps in STEPS for few in (1, samples)]
    cuts = [{letter: n for letter, n in wish.items() if n < sizes.get(letter, 0)} for wish in wishes]
    inputs: list[tuple[tuple[Any, ...], int | None]]
    inputs = [(axes.cut(data, most), None) for n, most in enumerate(cuts) if most not in cuts[:n]]
    if (steps := min(sizes.get("T", 1), STEPS[-1])) > 1:
        short = axes.cut(data, {"T": steps, "B": samples})
        alone = [(axes.alone(short, step), step) for step in range(1, steps + 1)]
        inputs += [(some, step) for some, step in alone if some is not None]
    found = []
    for number, (some, step) in enumerate(inputs):
        try:
            most, whole = (OF_CELL, OUTPUTS) if cell else (entries // SHARE + 1, ())
            one = compare(guarded, params, some, most, whole=whole) if number else first
        except UserError:
            continue  # the function needs longer sequences, or more samples
        trial = replace(_clear(one), sizes=axes.sizes(some), only_step=step)
        if cell and trial.sizes["B"] <= hidden:  # else dL/dV does not tell dL/dy_hat
            trial = _as_batch(trial, cell, params, axes.x(some))
            if number and not trial.batch and axes.assumed:
                return [_clear(first)]  # the letters may be wrong, too
            cell = cell if trial.batch or not number else None  # it is another net
        found.append(trial)
    return found


def _clear(comparison: Comparison) -> Trial:
    """Return the trial without exact gradients that are too noisy; the noise of the others is allowed."""
    exact = comparison.exact
    errors = {name: noise(exact, name) for name in exact.values}
    values = {
        name: np.full(value.shape, np.nan) if errors[name] > TOO_NOISY else value
        for name, value in exact.values.items()
    }
    allowed = max((error for error in errors.values() if error <= TOO_NOISY), default=0.0)
    tolerance = min(comparison.trial.tolerance, FLOAT32_EQUAL)
    return replace(comparison.trial, exact=values, tolerance=tolerance + allowed)


@np.errstate(all="ignore")
def _as_batch(trial: Trial, cell: Cell, params: Arrays, x: Array) -> Trial:
    """Return the trial with a batch for which the reference gives the exact gradient, if there is one."""
    outputs = [trial.exact[name].reshape(len(params["V"]), -1).T for name in OUTPUTS if name in params]
    targets = np.concatenate(outputs)  # (H, O), and a row for the bias
    if not np.isfinite(targets).all():
        return trial
    reference = cell.reference()
    for activation in cell.activations:
        options = cell.options(activation)
        y_hat, cache = reference.forward(params, x, **options)  # (B, O)
        h = cell.hidden_states(cache)[-1]  # (B, H)
        rows = [h.T, np.ones((1, len(h)))][: len(outputs)]
        dy_hat = np.linalg.lstsq(np.concatenate(rows), targets)[0]  # (B, O)
        y = y_hat - y_hat.size * dy_hat
        _, grads = reference.loss_and_grads(params, x, y, delta=np.inf, **options)
        if not Trial(trial.exact, grads, max(REPRODUCED, trial.tolerance)).wrong():
            return replace(trial, exact=grads, batch=Batch(params, x, y), activation=activation)
    return trial
