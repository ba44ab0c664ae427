"""The proof: does a variant compute what the reference computes? No entry is timed without it.

``expected`` and ``expected_after`` belong in a NumPy process; ``prove``, ``check_last`` and ``status`` only
compare and may run anywhere.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.proof.agreement import Result, compare, compare_call, compare_loss, distance, mark, question
from bench.proof.reference import Expected
from bench.proof.tolerance import Tolerance, norm, tolerance, too_small_for_float32, vanishes
from bench.records.record import Check
from bench.workload.binding import Bind, Binding, bind_case
from bench.workload.case import Case
from bench.workload.data import Batch

# for a timed float32 result whose shape is too small for a float32 proof; 23 was seen over 300 seeds
ROOM_IF_SMALL = 100
READS = "reads its inputs at every call"
NEAR = Tolerance(1e-3, 1e-3)  # results of other inputs than those fed are off by about their own size


def prove(
    bind: Bind,
    case: Case,
    batch: Batch,
    expected: Expected,
    *,
    library: str = "numpy",
    device: str = "cpu",
    known_wrong: Collection[str] = (),
) -> list[Check]:
    """Check a variant on a case before it is timed: its numbers against ``expected``, and its manners.

    A training step is proved by its update, with a learning rate that makes it as large as the parameters:
    at the case's own they move by thousandths, and in float32 a few per cent of that drown in rounding. One
    step at the case's own rate follows. Manners: names, shapes and dtype of the results; inputs stay as they
    are, and are read at every call; ``reset`` leads back to the start; training goes on from call to call.
    ``known_wrong`` are parameters whose gradient may be wrong where a published one is.

    A float32 case too small for that is proved in float64, on the same numbers.

    Raises:
        UserError: no tolerance is known for sequences this long.
    """
    same_inputs = batch.digest() == expected.digest
    if case.dtype == "float32" and too_small_for_float32(case):
        case, batch = replace(case, dtype="float64"), batch.astype("float64")
    wrong = _excused(case, known_wrong)
    trial = _Trial(bind, library, case, batch, expected, device, wrong)
    same = question("inputs are those of the expected results", same_inputs)
    return mark([same, *trial.checks()], wrong)


def check_last(
    case: Case,
    result: Result,
    expected: Expected,
    *,
    after: Result | None,
    device: str = "cpu",
    known_wrong: Collection[str] = (),
) -> list[Check]:
    """Check the last timed result: against ``expected``, or a training step's against ``after``.

    Each step rounds each parameter once, so that n steps stray from the exact path like a random walk: the
    forward tolerance is multiplied by sqrt(n). (Over 5000 float32 steps an eighth of that was seen.) Along a
    known wrong gradient only the first step's loss and other parameters can be right.
    """
    allowed = tolerance(case, device)
    if case.dtype == "float32" and too_small_for_float32(case):
        allowed = Tolerance(ROOM_IF_SMALL * allowed.forward, ROOM_IF_SMALL * allowed.gradient)
    wrong = _excused(case, known_wrong)
    if case.task != "train_step":
        return mark(compare_call(case, result, {}, expected, allowed), wrong)
    if after is None:
        raise ValueError("the last result of a train_step is compared with expected_after")
    n_calls = int(after["n_calls"])
    walk = allowed.forward * math.sqrt(n_calls)
    checks = [compare_loss(case, result, after["loss"], expected, walk)]
    checks += [compare(name, result.get(name), after[name], walk, case.dtype) for name in expected.grads]
    return mark(checks, wrong | {"loss", *expected.grads} if wrong and n_calls > 1 else wrong)


def _excused(case: Case, known_wrong: Collection[str]) -> frozenset[str]:
    """Return the names of the checks that fail along a wrong gradient of these parameters."""
    wrong = known_wrong if published_gradient_is_wrong(case) else ()
    return frozenset(what + name for name in wrong for what in ("d", "update ", ""))


def published_gradient_is_wrong(case: Case) -> bool:
    """Return whether the published recursion errs: with one step or one hidden unit it mixes nothing up."""
    return case.shape.T > 1 and case.shape.H > 1


def status(
    checks: Sequence[Check], *, known_wrong: bool = False
) -> Literal["ok", "known_wrong", "disagrees"]:
    """Return what checks amount to; a variant known to be wrong is excused only where it is marked."""
    marked = [check for check in checks if known_wrong and check.known_wrong]
    if not all(check.passed for check in checks if check not in marked):
        return "disagrees"
    return "known_wrong" if marked else "ok"


@dataclass(frozen=True, slots=True)
class _Trial:
    """A variant on trial; ``wrong`` names the checks that it is known to fail."""

    bind: Bind
    library: str
    case: Case
    batch: Batch
    expected: Expected
    device: str
    wrong: frozenset[str]

    def checks(self) -> list[Check]:
        """Return all that is checked of the case's task."""
        if self.case.task != "train_step":
            return self._numbers_and_manners(self.case)
        large = replace(self.case, lr=self._large_rate())
        return self._numbers_and_manners(large) + self._own_update()

    def _large_rate(self) -> float:
        """Return a learning rate with |lr g| >= |p| for every parameter p."""
        params, grads, dtype = self.batch.params, self.expected.grads, self.case.dtype
        rates = [norm(params[name]) / norm(grad) for name, grad in grads.items() if not vanishes(grad, dtype)]
        return max(rates, default=self.case.lr)

    def _numbers_and_manners(self, case: Case) -> list[Check]:
        """Check the first call's results; then other inputs and back, each from the start parameters."""
        other, allowed, params = self.batch.other(), tolerance(case, self.device), self.batch.params
        binding = self._bind(case)
        first, kept_first = _call(binding, self.batch)
        binding.feed(other)
        binding.bound.reset()
        fed, kept_fed = _call(binding, other)
        binding.feed(self.batch)
        binding.bound.reset()
        again, kept_again = _call(binding, self.batch)

        checks = compare_call(case, first, params, self.expected, allowed)
        reads = self._right(compare_call(case, fed, params, self.expected.other, NEAR))
        error = distance(again, first)
        return [
            *checks,
            Check("same again after reset", error, allowed.gradient, error <= allowed.gradient),
            question("inputs unchanged", kept_first and kept_fed and kept_again),
            question(READS, reads or not self._right(checks)),  # where those are wrong, others prove nothing
        ]

    def _right(self, checks: list[Check]) -> bool:
        return all(check.passed for check in checks if check.what not in self.wrong)

    def _own_update(self) -> list[Check]:
        """Check the parameters after one step at the case's own rate, and that a second moves them on."""
        params, lr = self.batch.params, self.case.lr
        wanted = {
            name: params[name].astype(np.float64) - lr * grad for name, grad in self.expected.grads.items()
        }
        allowed, dtype = tolerance(self.case, self.device).forward, self.case.dtype
        binding = self._bind(self.case)
        binding.bound.call()
        first = binding.result()
        binding.bound.call()
        second = binding.result()
        checks = [compare(name, first.get(name), values, allowed, dtype) for name, values in wanted.items()]
        moved = any(not np.array_equal(second.get(name, p), p) for name, p in first.items() if name != "loss")
        return [*checks, question("training goes on", moved)]

    def _bind(self, case: Case) -> Binding:
        return bind_case(self.bind, self.library, case, self.batch, self.device)


def _call(binding: Binding, batch: Batch) -> tuple[Result, bool]:
    """Return the result of one call, and whether it left its inputs as they were."""
    binding.bound.call()
    return binding.result(), binding.unchanged(batch)
