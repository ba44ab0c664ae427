"""Checks: how far a variant's results are from those expected, and whether they are results at all.

Only compares, without NumPy's BLAS, so that a torch worker stays one. A check that is a question rather
than a distance ("inputs unchanged", "dU is finite") has error 0 or 1 and tolerance 0.
"""

import sys
from collections.abc import Collection, Iterable

import msgspec
import numpy as np

from bench.proof.reference import Results
from bench.proof.tolerance import Array, Tolerance, error_between, norm, vanishes
from bench.records.record import Check
from bench.workload.case import Case

Result = dict[str, Array]


def question(what: str, answer: bool) -> Check:
    """Make a check without a distance."""
    return Check(what=what, error=0.0 if answer else 1.0, tolerance=0.0, passed=answer)


@np.errstate(all="ignore")  # whatever the variant has set: here it would raise in our own arithmetic
def compare(
    what: str,
    actual: Array | None,
    wanted: Array,
    tolerance: float,
    dtype: str,
    *,
    scale: float | None = None,
    since: Array | float = 0.0,
    quantity: str = "",
) -> Check:
    """Hold |actual - since - wanted| / scale against a tolerance; ``scale`` is |wanted| unless given.

    What cannot be compared fails as a question.
    """
    if actual is None:
        return question(f"{what} is there", False)
    if actual.dtype != dtype:
        return question(f"{what} is {dtype} (it is {actual.dtype})", False)
    if actual.shape != wanted.shape:
        return question(f"{what} has shape {wanted.shape} (it has {actual.shape})", False)
    if not np.isfinite(actual).all():
        return question(f"{what} is finite", False)
    difference = actual.astype(np.float64) - since
    error = error_between(difference, wanted, scale=norm(wanted) if scale is None else scale)
    return Check(what, error, tolerance, passed=error <= tolerance, quantity=quantity)


def failures(checks: Iterable[Check]) -> str:
    """Tell the failed checks in words; those known to fail are left out."""
    return "; ".join(
        f"{check.what} is off by {check.error:.2g}, allowed is {check.tolerance:.2g}"
        if check.tolerance
        else f"not true: {check.what}"
        for check in checks
        if not check.passed and not check.known_wrong
    )


def compare_output(case: Case, result: Result, expected: Results, allowed: Tolerance) -> list[Check]:
    """Compare y_hat of a ``forward``."""
    return [
        compare("y_hat", result.get("y_hat"), expected.y_hat, allowed.forward, case.dtype, quantity="y_hat")
    ]


def compare_loss(case: Case, result: Result, wanted: Array, expected: Results, tolerance: float) -> Check:
    """Compare the loss, relative to what rounding of y_hat and y does to it."""
    scale = expected.loss_scale
    return compare("loss", result.get("loss"), wanted, tolerance, case.dtype, scale=scale, quantity="loss")


def compare_gradient(case: Case, result: Result, expected: Results, allowed: Tolerance) -> list[Check]:
    """Compare the loss and the gradients of a ``gradient``."""
    checks = [compare_loss(case, result, expected.loss, expected, allowed.forward)]
    for name, grad in expected.grads.items():
        scale = gradient_scale(grad, expected, case.dtype)
        what, actual = f"d{name}", result.get(f"d{name}")
        checks.append(compare(what, actual, grad, allowed.gradient, case.dtype, scale=scale, quantity=name))
    return checks


@np.errstate(all="ignore")
def compare_update(
    case: Case, result: Result, params: Result, expected: Results, allowed: Tolerance, lr: float
) -> list[Check]:
    """Compare the loss, and p_new - p_old = -lr dL/dp of a ``train_step``."""
    checks = [compare_loss(case, result, expected.loss, expected, allowed.forward)]
    for name, grad in expected.grads.items():
        scale, since = lr * gradient_scale(grad, expected, case.dtype), params[name].astype(np.float64)
        new, what = result.get(name), f"update {name}"
        checks.append(
            compare(
                what,
                new,
                -lr * grad,
                allowed.gradient,
                case.dtype,
                scale=scale,
                since=since,
                quantity=name,
            )
        )
    return checks


def gradient_scale(grad: Array, expected: Results, dtype: str) -> float:
    """Return a gradient's own size; where it vanishes that of dL/dy_hat, so that a zero has to be a zero."""
    return expected.upstream if vanishes(grad, dtype) else norm(grad)


@np.errstate(all="ignore")
def distance(again: Result, first: Result) -> float:
    """Return how far two results are apart, all their arrays taken together."""
    shapes = [[(name, values.shape) for name, values in result.items()] for result in (again, first)]
    if shapes[0] != shapes[1] or not first:
        return sys.float_info.max
    now, before = (np.concatenate([a.ravel() for a in result.values()]) for result in (again, first))
    return error_between(now, before, scale=norm(before))


def mark(checks: list[Check], names: Collection[str]) -> list[Check]:
    """Mark the distances of these names as known to fail; anything else about them still has to be right."""
    return [
        msgspec.structs.replace(check, known_wrong=True) if check.what in names else check for check in checks
    ]
