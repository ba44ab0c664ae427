"""Compute the exact gradient of a user's function: by complex steps where they work, else by differences."""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.gradients.function import Guarded, convert
from bench.gradients.trial import Trial
from bench.machine.errors import UserError
from bench.proof.derivative import (
    EPS,
    Place,
    Slope,
    Slopes,
    central_differences,
    complex_steps,
    precision,
)
from bench.proof.tolerance import Array, norm

COMPLEX, DIFFERENCES = "complex steps", "central differences"
ALL_KINKS = "no place was found at which differences confirm them"
NOT_ANALYTIC = "{} is not analytic: it takes an absolute value, a real part or a conjugate"
PROBES = 2  # entries of each parameter at which both methods are compared, beside a direction
FIRST = 8  # entries of a parameter that are tried for kinks
DROPPING = {"absolute", "fabs", "conjugate", "sign"}


@dataclass(frozen=True, slots=True)
class Exact:
    """Hold a computed gradient.

    Attributes:
        values: parameter name -> the gradient, float64; NaN in entries that were not computed.
        errors: parameter name -> the estimated errors of ``values``; 0 where not computed.
        kinks: parameter name -> index of an entry that is left out, for a kink -> the slopes on both sides.
        along: parameter name -> a direction, of length 1, and the slope along it.
    """

    values: dict[str, Array]
    errors: dict[str, Array]
    kinks: dict[str, dict[tuple[int, ...], tuple[float, float]]]
    along: dict[str, tuple[Array, Slope]]


class Method:
    """Choose how to differentiate a function on its inputs, and do it.

    Attributes:
        name: the method.
        reason: why it is not complex steps; empty if it is.
        eps: the relative precision of the loss, at least that given.
        differences: slopes by central differences, in any case.
    """

    def __init__(
        self, function: Guarded, params: dict[str, Array], data: tuple[Any, ...], *, eps: float = EPS
    ) -> None:
        def loss(moved: dict[str, Array]) -> Any:
            return function.loss(moved, data)

        self._params, self._loss, self.name, self.reason = params, loss, COMPLEX, ""
        self._dropped = partial(_dropped, function, params, data)
        self.eps = max(eps, precision(loss, params))
        self.differences = central_differences(loss, params, eps=self.eps)
        self.slopes: Slopes = self.differences
        # an array made like one of the data, as zeros_like(x), holds complex numbers only if the data do
        for inputs in (data, convert(_as_complex, data)):
            steps = complex_steps(partial(_complex_loss, function, inputs), params)
            try:
                agree = self._agree(steps)
                if agree:
                    self.slopes, self.name, self.reason = steps, COMPLEX, ""
                    return
                reason = ALL_KINKS if agree is None else self._dropped() or NOT_ANALYTIC.format(function.name)
            except UserError as error:
                reason = str(error).removeprefix(f"{function.name} fails: ")
            self._give_up(self.reason or reason)

    def _agree(self, steps: Slopes) -> bool | None:
        """Return whether complex steps are the slopes that differences find; None if these find none."""
        generator, agree = np.random.default_rng(1), None
        for name, p in self._params.items():
            places: list[Place] = [direction(p, generator), *sample(p, FIRST, generator)]
            compared = 0
            for place in places:
                wanted = self.differences(name, place)
                if wanted.smooth:
                    if not _equal(steps(name, place).value, wanted):
                        return False
                    agree, compared = True, compared + 1
                    if compared > PROBES:
                        break
        return agree

    def rounding(self) -> float:
        """Return the rounding error of the part of the loss that changes with the parameters."""
        generator, here = np.random.default_rng(0), float(self._loss(self._params))
        ahead = {name: p + generator.choice([-1.0, 1.0], p.shape) for name, p in self._params.items()}
        try:
            change = abs(float(self._loss(ahead)) - here)
        except UserError:  # the function refuses such parameters
            change = np.inf
        return EPS * float(np.fmin(abs(here), change))

    def exact(self, most: int, whole: Collection[str] = ()) -> Exact:
        """Compute the gradient in all entries, or in about ``most`` of them and along a direction each.

        ``whole`` names parameters of which no entry is left out.
        """
        generator = np.random.default_rng(0)
        params = self._params
        share = max(1, most // len(params))
        if sum(p.size for p in params.values()) <= most:
            whole = params.keys()
        found = Exact({}, {}, {name: {} for name in params}, {})
        for name, p in params.items():
            values, errors = np.full(p.shape, np.nan), np.zeros(p.shape)
            for index in sample(p, p.size if name in whole else share, generator):
                slope = self.slopes(name, index)
                if slope.smooth:
                    values[index], errors[index] = slope.value, slope.error
                else:
                    found.kinks[name][index] = slope.sides
            found.values[name], found.errors[name] = values, errors
            if name not in whole:
                along = direction(p, generator)
                if self.differences(name, along).smooth:
                    found.along[name] = along, self.slopes(name, along)
        return found

    def leave_out_kinks(self, found: Exact, trial: Trial) -> None:
        """Leave out wrong entries at which the loss has a kink: a complex step sees one side of it.

        All entries of a parameter are tried only if one of the first is at a kink. Complex steps are given
        up where differences are nearer to the given slope, or prove nothing and a part of a number is
        dropped.
        """
        for name in trial.wrong():
            for number, index in enumerate(_worst(trial, name)):
                if number >= FIRST and not found.kinks[name]:
                    break
                slope, value = self.differences(name, index), found.values[name][index]
                off = abs(trial.given[name][index] - slope.value)
                if not slope.smooth:
                    found.values[name][index] = np.nan
                    found.kinks[name][index] = slope.sides
                elif not _equal(value, slope) or max(off, 10 * slope.error) < abs(value - slope.value):
                    return self._give_up(f"they disagree with differences at {name}{list(index)}")
                elif off <= 10 * slope.error and (reason := self._dropped()):
                    return self._give_up(reason)
        return None

    def _give_up(self, reason: str) -> None:
        self.name, self.reason, self.slopes = DIFFERENCES, reason, self.differences


def _worst(trial: Trial, name: str) -> list[tuple[int, ...]]:
    """Return the indices of the wrong ones of the computed entries of a gradient, the worst first."""
    distance = np.abs(trial.given[name] - trial.exact[name])
    order = np.argsort(-np.nan_to_num(distance, nan=-1.0), axis=None)
    limit = trial.tolerance * np.nanmax(np.abs(trial.exact[name]), initial=0) / 10
    indices = [tuple(map(int, np.unravel_index(n, distance.shape))) for n in order]
    return [index for index in indices if distance[index] > limit]


def _equal(value: float, slope: Slope) -> bool:
    return abs(value - slope.value) <= 1e-6 * abs(slope.value) + 10 * slope.error


def noise(found: Exact, name: str) -> float:
    """Return the largest error that a gradient may show because ``found`` itself has errors, relative."""
    values = found.values[name]
    return Trial(found.values, {name: values + 3 * found.errors[name]}, 0.0).error(name)


def direction(p: Array, generator: np.random.Generator) -> Array:
    """Return a random direction of length 1 in which every entry takes part, each with another share."""
    along: Array = generator.normal(size=p.shape)
    return along / norm(along)


def sample(p: Array, most: int, generator: np.random.Generator) -> list[tuple[int, ...]]:
    """Return the indices of all entries, or of ``most`` random ones."""
    flat = np.arange(p.size) if p.size <= most else np.sort(generator.choice(p.size, most, replace=False))
    return [tuple(map(int, np.unravel_index(n, p.shape))) for n in flat]


def _as_complex(array: Array) -> Array:
    return array.astype(np.complex128) if array.dtype.kind == "f" else array


def _complex_loss(function: Guarded, data: tuple[Any, ...], params: Mapping[str, Array]) -> Any:
    """Return the loss; to drop an imaginary part is an error, with its place in the user's code."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        return function.loss(params, data)


class NotAnalytic(TypeError):
    """Report an operation that drops a part of a complex number."""


class _Traced(np.ndarray):
    """Carry complex numbers, and refuse the operations that are not analytic."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [_untraced(one) for one in inputs]
        if "out" in options:
            options["out"] = tuple(map(_untraced, options["out"]))
        if ufunc.__name__ in DROPPING and any(np.iscomplexobj(one) for one in plain):
            raise NotAnalytic(f"np.{ufunc.__name__} drops a part of a complex number")
        result = getattr(ufunc, method)(*plain, **options)
        return np.asarray(result).view(_Traced) if np.iscomplexobj(result) else result

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        result = super().__array_function__(function, types, arguments, options)
        if getattr(result, "dtype", None) == np.float64 and not function.__name__.endswith("_like"):
            raise NotAnalytic(f"np.{function.__name__} drops a part of a complex number")
        return result


def _untraced(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, _Traced) else value


def _dropped(function: Guarded, params: Mapping[str, Array], data: tuple[Any, ...]) -> str:
    """Return which operation is not analytic, and where; empty if one call of traced arrays shows none."""
    try:
        function.loss({name: p.astype(np.complex128).view(_Traced) for name, p in params.items()}, data)
    except UserError as error:
        return str(error).removeprefix(f"{function.name} fails: ")
    return ""
