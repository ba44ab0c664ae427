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


def compare_loss(case: Case, result: Result, wanted: Array, expected: Results, tolerance: float) -> Check:
    """Compare the loss, relative to what rounding of y_hat and y does to it."""
    scale = expected.loss_scale
    return compare("loss", result.get("loss"), wanted, tolerance, case.dtype, scale=scale, quantity="loss")


@np.errstate(all="ignore")
def compare_call(
    case: Case, result: Result, params: Result, expected: Results, allowed: Tolerance
) -> list[Check]:
    """Compare what one call from ``params`` gives: y_hat, or the loss and dL/dp, or the loss and an update.

    An update is p_new - p = -lr dL/dp. A gradient is compared relative to its own size; where it vanishes to
    that of dL/dy_hat, so that a zero has to be a zero.
    """
    dtype = case.dtype
    if case.task == "forward":
        y_hat = result.get("y_hat")
        return [compare("y_hat", y_hat, expected.y_hat, allowed.forward, dtype, quantity="y_hat")]
    checks = [compare_loss(case, result, expected.loss, expected, allowed.forward)]
    for name, grad in expected.grads.items():
        size = expected.upstream if vanishes(grad, dtype) else norm(grad)
        what, actual, wanted, since = f"d{name}", result.get(f"d{name}"), grad, np.zeros(())
        if case.task == "train_step":
            what, actual, wanted = f"update {name}", result.get(name), -case.lr * grad
            size, since = case.lr * size, params[name].astype(np.float64)
        check = compare(
            what, actual, wanted, allowed.gradient, dtype, scale=size, since=since, quantity=name
        )  # fmt: skip
        checks.append(check)
    return checks


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
