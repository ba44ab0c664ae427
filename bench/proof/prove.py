"""The proof: does a variant compute what the reference computes? No entry is timed without it.

``expected`` and ``expected_after`` belong in a NumPy process; ``prove``, ``check_last`` and ``status`` only
compare and may run anywhere.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.case import Case
from bench.catalog import Bound
from bench.data import Batch
from bench.proof.agreement import (
    Result,
    compare,
    compare_gradient,
    compare_loss,
    compare_output,
    copy,
    distance,
    gradient_scale,
    mark,
    question,
)
from bench.proof.reference import Expected
from bench.proof.tolerance import Tolerance, norm, tolerance, too_small_for_float32, vanishes
from bench.results.record import Check

# for a timed float32 result whose shape is too small for a float32 proof; 23 was seen over 300 seeds
ROOM_IF_SMALL = 100

Bind = Callable[..., Bound]


def prove(
    bind: Bind,
    case: Case,
    batch: Batch,
    expected: Expected,
    *,
    device: str = "cpu",
    known_wrong: bool = False,
) -> list[Check]:
    """Check a variant on a case before it is timed: its numbers against ``expected``, and its manners.

    A training step is proved by its update, with a learning rate that makes it as large as the parameters:
    at the case's own they move by thousandths, and in float32 a few per cent of that drown in rounding. One
    step at the case's own rate follows. Manners: names, shapes, dtype and device of the results; inputs stay
    as they are; ``reset`` leads back to the start; training goes on from call to call.

    A float32 case too small for that is proved in float64, on the same numbers.

    Raises:
        UserError: no tolerance is known for sequences this long.
    """
    same_inputs = batch.digest() == expected.digest
    if case.dtype == "float32" and too_small_for_float32(case):
        case, batch = replace(case, dtype="float64"), batch.astype("float64")
    trial = _Trial(bind, case, batch, expected, tolerance(case, device), device)
    task = {"forward": trial.forward, "gradient": trial.gradient, "train_step": trial.train_step}[case.task]
    checks = [question("inputs are those of the expected results", same_inputs), *task()]
    if known_wrong and published_gradient_is_wrong(case):
        checks = mark(checks, {"dU", "dW", "update U", "update W", "U", "W"})
    return checks


def check_last(
    case: Case,
    result: Result,
    expected: Expected,
    *,
    after: Result | None,
    device: str = "cpu",
    known_wrong: bool = False,
) -> list[Check]:
    """Check the last timed result: against ``expected``, or a training step's against ``after``.

    Each step rounds each parameter once, so that n steps stray from the exact path like a random walk: the
    forward tolerance is multiplied by sqrt(n). (Over 5000 float32 steps an eighth of that was seen.) Along a
    known wrong gradient only the first step's loss and V can be right.
    """
    result, allowed = copy(result), tolerance(case, device)
    if case.dtype == "float32" and too_small_for_float32(case):
        allowed = Tolerance(ROOM_IF_SMALL * allowed.forward, ROOM_IF_SMALL * allowed.gradient)
    if case.task == "forward":
        return compare_output(case, result, expected, allowed)
    wrong = {"dU", "dW", "U", "W"} if known_wrong and published_gradient_is_wrong(case) else set()
    if case.task == "gradient":
        return mark(compare_gradient(case, result, expected, allowed), wrong)

    if after is None:
        raise ValueError("the last result of a train_step is compared with expected_after")
    n_calls = int(after["n_calls"])
    walk = allowed.forward * math.sqrt(n_calls)
    checks = [compare_loss(case, result, after["loss"], expected, walk)]
    checks += [compare(name, result.get(name), after[name], walk, case.dtype) for name in "UWV"]
    return mark(checks, wrong | {"loss", "V"} if wrong and n_calls > 1 else wrong)


def published_gradient_is_wrong(case: Case) -> bool:
    """Where the published recursion errs: with one time step or one hidden unit it mixes nothing up."""
    return case.shape.T > 1 and case.shape.H > 1


def status(
    checks: Sequence[Check], *, known_wrong: bool = False
) -> Literal["ok", "known_wrong", "disagrees"]:
    """What an entry's checks amount to; a variant known to be wrong is excused only where it is marked."""
    marked = [check for check in checks if known_wrong and check.known_wrong]
    if not all(check.passed for check in checks if check not in marked):
        return "disagrees"
    return "known_wrong" if marked else "ok"


@dataclass(frozen=True, slots=True)
class _Trial:
    """A variant on trial, one method a task."""

    bind: Bind
    case: Case
    batch: Batch
    expected: Expected
    allowed: Tolerance
    device: str

    def forward(self) -> list[Check]:
        result, manners = self._call_reset_call(self.case.lr)
        return compare_output(self.case, result, self.expected, self.allowed) + manners

    def gradient(self) -> list[Check]:
        result, manners = self._call_reset_call(self.case.lr)
        return compare_gradient(self.case, result, self.expected, self.allowed) + manners

    def train_step(self) -> list[Check]:
        return self._large_update() + self._own_update()

    def _large_update(self) -> list[Check]:
        """The update p_new - p_old with |lr g| >= |p| for every parameter p."""
        dtype, grads, params = self.case.dtype, self.expected.grads, self.batch.params
        rates = [norm(params[name]) / norm(grads[name]) for name in "UWV" if not vanishes(grads[name], dtype)]
        lr = max(rates, default=self.case.lr)
        wanted = {
            name: -lr * grad for name, grad in grads.items()
        }  # now: what is called may set NumPy to raise

        result, manners = self._call_reset_call(lr)
        checks = [compare_loss(self.case, result, self.expected.loss, self.expected, self.allowed.forward)]
        for name, grad in grads.items():
            scale = lr * gradient_scale(grad, self.expected, dtype)
            old, new = params[name].astype(np.float64), result.get(name)
            what, tolerance = f"update {name}", self.allowed.gradient
            checks.append(compare(what, new, wanted[name], tolerance, dtype, scale=scale, since=old))
        return checks + manners

    def _own_update(self) -> list[Check]:
        """The parameters after one step at the case's own learning rate, and that a second moves them on."""
        params, lr = self.batch.params, self.case.lr
        wanted = {
            name: params[name].astype(np.float64) - lr * grad for name, grad in self.expected.grads.items()
        }
        bound = self._bound(self.batch.astype(self.case.dtype), lr)
        bound.call()
        first = copy(bound.result())
        bound.call()
        second = bound.result()
        allowed, dtype = self.allowed.forward, self.case.dtype
        checks = [compare(name, first.get(name), values, allowed, dtype) for name, values in wanted.items()]
        moved = any(not np.array_equal(second.get(name, p), p) for name, p in first.items() if name != "loss")
        return [*checks, question("training goes on", moved)]

    def _call_reset_call(self, lr: float) -> tuple[Result, list[Check]]:
        """The result of the first call, and the variant's manners."""
        own = self.batch.astype(self.case.dtype)  # a copy: who writes into it spoils nobody else's inputs
        bound = self._bound(own, lr)
        bound.call()
        first = copy(bound.result())
        bound.reset()
        bound.call()
        error = distance(copy(bound.result()), first)
        tolerance = self.allowed.gradient
        kind = str(getattr(bound, "device", "cpu")).partition(":")[0]
        return first, [
            Check(what="same again after reset", error=error, tolerance=tolerance, passed=error <= tolerance),
            question("inputs unchanged", own.digest() == self.batch.digest()),
            question(f"computed on {self.device}", kind == self.device.partition(":")[0]),
        ]

    def _bound(self, batch: Batch, lr: float) -> Bound:
        return bind_case(self.bind, replace(self.case, lr=lr), batch, self.device)


def bind_case(bind: Bind, case: Case, batch: Batch, device: str) -> Bound:
    """Return what ``bind`` makes of a case and its arrays."""
    options = {"activation": case.activation, "delta": case.delta, "lr": case.lr, "device": device}
    return bind(case.task, batch.params, batch.x, batch.y, **options)
