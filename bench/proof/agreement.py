"""Check a variant's results: their error relative to the expected results, and their form.

This module only compares, without NumPy's BLAS, so that a torch worker never loads a second library. A yes/no
check ("inputs unchanged", "dU is finite") has error 0 or 1 and tolerance 0.
"""

import sys
from collections.abc import Collection, Iterable

import msgspec
import numpy as np

from bench.machine.wording import listing
from bench.proof.reference import Results
from bench.proof.tolerance import Array, Tolerance, error_between, norm, vanishes
from bench.records.record import Check
from bench.workload.case import WITHOUT_GRADIENT, Case

Result = dict[str, Array]


def question(what: str, answer: bool) -> Check:
    """Make a yes/no check."""
    return Check(what=what, error=0.0 if answer else 1.0, tolerance=0.0, passed=answer)


@np.errstate(all="ignore")  # a variant may have set NumPy to raise, also for the arithmetic here
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
    """Check |actual - since - wanted| / scale against a tolerance; ``scale`` is |wanted| unless given.

    An array that cannot be compared fails a yes/no check.
    """
    if actual is None:
        return question(f"result() has {what}", False)
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
    """Describe the failed checks in words, without the checks known to fail."""
    return "; ".join(
        f"{check.what} is off by {check.error:.2g}, allowed is {check.tolerance:.2g}"
        if check.tolerance
        else f"not true: {check.what}"
        for check in checks
        if not check.passed and not check.known_wrong
    )


def compare_loss(case: Case, result: Result, wanted: Array, expected: Results, tolerance: float) -> Check:
    """Compare the loss, relative to the effect on the loss of rounding y_hat and y."""
    scale = expected.loss_scale
    return compare("loss", result.get("loss"), wanted, tolerance, case.dtype, scale=scale, quantity="loss")


@np.errstate(all="ignore")
def compare_call(
    case: Case, result: Result, params: Result, expected: Results, allowed: Tolerance
) -> list[Check]:
    """Compare the results of one call from ``params``: y_hat; loss and dL/dp; or loss and updates.

    An update is p_new - p = -lr dL/dp. The error of a gradient is relative to the norm of the gradient. For
    a gradient that vanishes, the error is relative to |dL/dy_hat|, so a zero gradient must come out as zero.
    """
    dtype = case.dtype
    prefix = "" if case.task == "train_step" else "d"
    no_gradient = case.task in WITHOUT_GRADIENT
    names = ["y_hat"] if no_gradient else ["loss", *(prefix + name for name in expected.grads)]
    if missing := [name for name in names if name not in result]:
        what = f"result() after {case.task} has {listing(missing, 9)}"
        return [question(f"{what} (it has {listing(list(result), 9) or 'nothing'})", False)]
    if no_gradient:
        y_hat = result.get("y_hat")
        return [compare("y_hat", y_hat, expected.y_hat, allowed.forward, dtype, quantity="y_hat")]
    checks = [compare_loss(case, result, expected.loss, expected, allowed.forward)]
    for name, grad in expected.grads.items():
        scale = expected.upstream if vanishes(grad, dtype) else norm(grad)
        what, actual, wanted, since = f"d{name}", result.get(f"d{name}"), grad, np.zeros(())
        if case.task == "train_step":
            what, actual, wanted = f"update {name}", result.get(name), -case.lr * grad
            scale, since = case.lr * scale, params[name].astype(np.float64)
        check = compare(
            what, actual, wanted, allowed.gradient, dtype, scale=scale, since=since, quantity=name
        )  # fmt: skip
        checks.append(check)
    return checks


@np.errstate(all="ignore")
def distance(again: Result, first: Result) -> float:
    """Return the relative distance |again - first| / |first|, over all arrays of the results together."""
    shapes = [[(name, values.shape) for name, values in result.items()] for result in (again, first)]
    if shapes[0] != shapes[1] or not first:
        return sys.float_info.max
    now, before = (np.concatenate([array.ravel() for array in result.values()]) for result in (again, first))
    return error_between(now, before, scale=norm(before))


def mark(checks: list[Check], names: Collection[str]) -> list[Check]:
    """Mark the checks with these names as known to fail.

    Other checks of the same arrays (shape, dtype, finite) have other names and must still pass.
    """
    return [
        msgspec.structs.replace(check, known_wrong=True) if check.what in names else check for check in checks
    ]
