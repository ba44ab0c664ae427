"""Differentiate any function of a dict of arrays by means that use only its values.

* Complex step: dL/dp = Im L(p + i h) / h. Nothing cancels, so h can be tiny and the result is exact to the
  last bits. The function must be analytic, and work with complex numbers.
* Central differences C(h) = (L(p + h) - L(p - h)) / 2h with two steps: (4 C(h) - C(2h)) / 3 has no error of
  order h^2 (Richardson). They need no complex numbers, and estimate their own error.

Sources: Squire and Trapp, Using complex variables to estimate derivatives of real functions (SIAM Review 40,
1998); Martins, Sturdza and Alonso, The complex-step derivative approximation (ACM TOMS 29, 2003); Richardson,
The approximate arithmetical solution by finite differences (Phil. Trans. A 210, 1911).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.proof.tolerance import Array

COMPLEX_STEP = 1e-20
EPS = float(np.finfo(np.float64).eps)
FINER = (1.0, 1 / 30)  # of the first step: for a function that bends sharply, or has a kink nearby
TINY = 1e-3  # of a parameter
NOISE_STEP = 3e-8  # of the line on which the precision is measured: float32 rounds to 6e-8
SURE = 1e-5  # a relative error beyond which there may be a kink
GOOD_ENOUGH = 1e-8  # a relative error with which no finer step is tried

Place = tuple[int, ...] | Array  # the index of an entry; or a direction, an array of the parameter's shape


@dataclass(frozen=True, slots=True)
class Slope:
    """Hold the derivative at a place, the estimate of its error, and whether there is one: no kink.

    ``sides`` are the slopes below and above, the smaller one first.
    """

    value: float
    error: float = 0.0
    smooth: bool = True
    sides: tuple[float, float] = (np.nan, np.nan)


Loss = Callable[[dict[str, Array]], Any]
Slopes = Callable[[str, Place], Slope]  # of a parameter's name and a place in that parameter


def complex_steps(loss: Loss, params: Mapping[str, Array], *, h: float = COMPLEX_STEP) -> Slopes:
    """Return a function that computes a slope of the loss by a complex step: one call of ``loss``."""
    start = {name: p.astype(np.complex128) for name, p in params.items()}
    return lambda name, place: Slope(float(np.imag(loss(moved(start, name, place, 1j * h)))) / h)


def central_differences(loss: Loss, params: Mapping[str, Array], *, eps: float = EPS) -> Slopes:
    """Return a function that computes a slope by differences: four calls of ``loss``, or more.

    ``eps`` is the relative precision of the loss: of float64, unless it is computed in float32.
    """
    start, here = dict(params), float(loss(dict(params)))

    def differences(name: str, place: Place, h: float) -> Slope:
        losses = [float(loss(moved(start, name, place, n * h))) for n in (-2, -1, 1, 2)]
        return _richardson(losses, here, h, eps)

    def slope(name: str, place: Place) -> Slope:
        best = Slope(np.nan, np.inf, smooth=False)
        scale = max(1.0, float(np.max(np.abs(start[name][place] if isinstance(place, tuple) else place))))
        for finer in FINER:
            h = scale * finer * eps ** (1 / 3)
            found = differences(name, place, h)
            best = min(best, found, key=lambda one: one.error)
            if found.smooth and found.error <= GOOD_ENOUGH * abs(found.value):
                break
        if not best.smooth and isinstance(place, tuple) and 0 < (size := abs(start[name][place])) < scale:
            found = differences(name, place, size * eps ** (1 / 3))  # as of 1e-6 under a logarithm
            if found.error <= SURE * abs(found.value):
                best = found
            elif size < scale * eps ** (
                1 / 3
            ):  # 0 lies between, where the kink may be: the sides are not its
                best = replace(best, sides=(np.nan, np.nan))
        return best

    return slope


def _richardson(losses: list[float], here: float, h: float, eps: float) -> Slope:
    """Return the slope from the losses at -2h, -h, h and 2h, and ``here`` between them."""
    far_below, below, above, far_above = losses
    near, far = (above - below) / (2 * h), (far_above - far_below) / (4 * h)
    # the slopes on both sides differ by h L'', and twice as much at 2h; but equally at a kink
    bend, far_bend = (above - 2 * here + below) / h, (far_above - 2 * here + far_below) / (2 * h)
    rounding = eps * max(map(abs, [*losses, here])) / h
    value = (4 * near - far) / 3
    error = abs(far - near) / 3 + abs(far_bend - 2 * bend) / 2 + rounding
    low, high = sorted([(here - below) / h, (above - here) / h])
    return Slope(value, error, error <= SURE * abs(value) + 100 * rounding, (low, high))


def precision(loss: Loss, params: Mapping[str, Array]) -> float:
    """Return the relative precision of a loss: 2e-16, or about 1e-8 if something is rounded to float32.

    The third differences of many losses on a short line are their rounding errors; most of them are none of
    a kink.
    """
    generator = np.random.default_rng(2)
    ahead = {
        name: NOISE_STEP * _scales(p) * generator.choice([-1.0, 1.0], p.shape) for name, p in params.items()
    }
    losses = [float(loss({name: p + n * ahead[name] for name, p in params.items()})) for n in range(-8, 9)]
    size = np.max(np.abs(losses))
    return max(EPS, float(np.median(np.abs(np.diff(losses, 3))) / size)) if size > 0 else EPS


def _scales(p: Array) -> Array:
    """Return the sizes on which a loss is taken to be even; a tiny parameter may stand under a logarithm."""
    sizes = np.abs(p)
    return np.where((sizes > 0) & (sizes < TINY), sizes, np.maximum(1, sizes))


def gradient(slopes: Slopes, params: Mapping[str, Array]) -> dict[str, Array]:
    """Return the slope at every entry of every parameter."""
    return {
        name: np.array([slopes(name, index).value for index in np.ndindex(p.shape)]).reshape(p.shape)
        for name, p in params.items()
    }


def moved(params: Mapping[str, Array], name: str, place: Place, by: complex) -> dict[str, Array]:
    """Return the parameters with ``by`` added to one at a place: to an entry, or along a direction."""
    array = params[name].copy()
    if isinstance(place, tuple):
        array[place] += by
    else:
        array += by * place
    return {**params, name: array}
