"""Prove that a variant computes what the reference computes. No entry is timed without this proof.

``expected`` and ``expected_after`` must run in a NumPy process; ``prove``, ``check_last`` and ``status`` only
compare and may run in any process.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bench.proof.agreement import Result, compare, compare_call, compare_loss, distance, mark, question
from bench.proof.reference import Expected, Results
from bench.proof.tolerance import Tolerance, norm, tolerance, too_small_for_float32, vanishes
from bench.records.record import Check
from bench.workload.binding import Bind, Binding, bind_case
from bench.workload.case import STREAM, Case
from bench.workload.data import Batch

# tolerance factor for cases of few numbers, as these may cancel, like V h and bV in a single y_hat: 8 was
# measured over 300 seeds in float32; in float64 34 over 9000 but for one, which needed 68
FACTOR_IF_SMALL = 200
READS = "reads its inputs at every call"
# a loose tolerance suffices to see which inputs were used: results of other inputs differ by about 100 %
LOOSE = Tolerance(1e-3, 1e-3)


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
    """Check a variant on a case before timing: its results against ``expected``, and its behaviour.

    A training step is proved by its update, with a learning rate that makes the update as large as the
    parameters. At the case's rate the parameters change by thousandths only, and in float32 rounding hides a
    few per cent of such a change. A step at the case's rate follows. The behaviour checks: the results have
    the right names, shapes and dtype; inputs are not changed, and are read at every call; ``reset`` restores
    the initial parameters; training continues from call to call.
    ``known_wrong`` lists parameters whose gradient may be wrong if the published gradient is wrong.

    A float32 case too small for a float32 proof is proved in float64, with the same numbers.

    Raises:
        UserError: no tolerance exists for sequences this long.
    """
    same_inputs = batch.digest() == expected.digest
    if case.dtype == "float32" and too_small_for_float32(case):
        case, batch = replace(case, dtype="float64"), batch.astype("float64")
    excused = _excused_checks(case, known_wrong)
    trial = _Trial(bind, library, case, batch, expected, device, excused)
    input_check = question("inputs are those of the expected results", same_inputs)
    return mark([input_check, *trial.checks()], excused)


def check_last(
    case: Case,
    result: Result,
    expected: Expected,
    *,
    after: Result | None,
    device: str = "cpu",
    known_wrong: Collection[str] = (),
) -> list[Check]:
    """Check the last timed result: against ``expected``; for a training step against ``after``.

    Each step rounds each parameter once, so the error of n steps grows like a random walk: the forward
    tolerance is multiplied by sqrt(n). (Over 5000 float32 steps a 25th of this tolerance was measured.)
    With a known wrong gradient only the first step's loss and the other parameters can be right.
    """
    allowed = _allowed(case, device, expected)
    excused = _excused_checks(case, known_wrong)
    if case.task != "train_step":
        return mark(compare_call(case, result, {}, expected, allowed), excused)
    if after is None:
        raise ValueError("the last result of a train_step is compared with expected_after")
    n_calls = int(after["n_calls"])
    walk_tolerance = allowed.forward * math.sqrt(n_calls)
    checks = [compare_loss(case, result, after["loss"], expected, walk_tolerance)]
    checks += [
        compare(name, result.get(name), after[name], walk_tolerance, case.dtype) for name in expected.grads
    ]
    return mark(checks, excused | {"loss", *expected.grads} if excused and n_calls > 1 else excused)


def _allowed(case: Case, device: str, expected: Results) -> Tolerance:
    """Return the tolerance of a case: of few numbers, that for its length times ``FACTOR_IF_SMALL``.

    Gradients are also allowed twice the jump of a ReLU's derivative.
    """
    usual, factor = tolerance(case, device), FACTOR_IF_SMALL if too_small_for_float32(case) else 1
    return Tolerance(factor * usual.forward, max(factor * usual.gradient, 2 * expected.jump))


def _excused_checks(case: Case, known_wrong: Collection[str]) -> frozenset[str]:
    """Return the names of the checks that fail if the gradients of these parameters are wrong."""
    wrong = known_wrong if published_gradient_is_wrong(case) else ()
    return frozenset(what + name for name in wrong for what in ("d", "update ", ""))


def published_gradient_is_wrong(case: Case) -> bool:
    """Return whether the published gradient is wrong; with one step or one hidden unit it is right."""
    return case.shape.T > 1 and case.shape.H > 1


def status(
    checks: Sequence[Check], *, known_wrong: bool = False
) -> Literal["ok", "known_wrong", "disagrees"]:
    """Return the status of the checks; for a variant known to be wrong, marked checks may fail."""
    marked = [check for check in checks if known_wrong and check.known_wrong]
    if not all(check.passed for check in checks if check not in marked):
        return "disagrees"
    return "known_wrong" if marked else "ok"


def large_rate(case: Case, batch: Batch, expected: Expected) -> float:
    """Return a learning rate with |lr g| >= |p| for every parameter p."""
    params, grads, dtype = batch.params, expected.grads, case.dtype
    rates = [norm(params[name]) / norm(grad) for name, grad in grads.items() if not vanishes(grad, dtype)]
    return max(rates, default=case.lr)


@dataclass(frozen=True, slots=True)
class _Trial:
    """Check a variant on a case; ``wrong`` holds the names of the checks known to fail."""

    bind: Bind
    library: str
    case: Case
    batch: Batch
    expected: Expected
    device: str
    wrong: frozenset[str]

    def checks(self) -> list[Check]:
        """Run and return all checks of the case's task."""
        if self.case.task != "train_step":
            return self._numbers_and_manners(self.case)
        large = replace(self.case, lr=large_rate(self.case, self.batch, self.expected))
        return self._numbers_and_manners(large) + self._own_update()

    def _numbers_and_manners(self, case: Case) -> list[Check]:
        """Check a call; then reset and call on other inputs; then reset and repeat the first call."""
        other_batch, params = self.batch.other(), self.batch.params
        allowed, other = _allowed(case, self.device, self.expected), self.expected.other
        loose = replace(LOOSE, gradient=max(LOOSE.gradient, 2 * other.jump))
        stream = case.task == STREAM
        call = _call_per_step if stream else _call_once
        first, first_other = (batch.step(0) if stream else batch for batch in (self.batch, other_batch))
        binding = self._bind(case)
        result_1, unchanged_1 = call(binding, self.batch)
        binding.feed(first_other)
        binding.bound.reset()
        result_2, unchanged_2 = call(binding, other_batch)
        binding.feed(first)
        binding.bound.reset()
        result_3, unchanged_3 = call(binding, self.batch)

        checks = compare_call(case, result_1, params, self.expected, allowed)
        reads = self._right(compare_call(case, result_2, params, other, loose))
        error = distance(result_3, result_1)
        return [
            *checks,
            Check("same again after reset", error, allowed.gradient, error <= allowed.gradient),
            question("inputs unchanged", unchanged_1 and unchanged_2 and unchanged_3),
            # if the first results are wrong, wrong results on other inputs prove nothing
            question(READS, reads or not self._right(checks)),
        ]

    def _right(self, checks: list[Check]) -> bool:
        """Return whether all checks passed, without the checks known to fail."""
        return all(check.passed for check in checks if check.what not in self.wrong)

    def _own_update(self) -> list[Check]:
        """Check the parameters after one step at the case's rate; a second step must change them again."""
        params, lr = self.batch.params, self.case.lr
        wanted = {
            name: params[name].astype(np.float64) - lr * grad for name, grad in self.expected.grads.items()
        }
        allowed, dtype = _allowed(self.case, self.device, self.expected).forward, self.case.dtype
        binding = self._bind(self.case)
        binding.bound.call()
        result_1 = binding.result()
        binding.bound.call()
        result_2 = binding.result()
        checks = [compare(name, result_1.get(name), p, allowed, dtype) for name, p in wanted.items()]
        moved = any(
            not np.array_equal(result_2.get(name, p), p) for name, p in result_1.items() if name != "loss"
        )
        return [*checks, question("training goes on", moved)]

    def _bind(self, case: Case) -> Binding:
        """Bind the variant to the case and its inputs."""
        return bind_case(self.bind, self.library, case, self.batch, self.device)


def _call_once(binding: Binding, batch: Batch) -> tuple[Result, bool]:
    """Return the result of one call, and whether the call left its inputs unchanged."""
    binding.bound.call()
    return binding.result(), binding.unchanged(batch)


def _call_per_step(binding: Binding, batch: Batch) -> tuple[Result, bool]:
    """Return the results of a stream's steps, stacked, and whether its inputs were left unchanged.

    The first sample is fed already. The next one is in the buffer before a step's result is read.
    """
    unchanged, results = True, list[Result]()
    for t in range(len(batch.x)):
        binding.bound.call()
        unchanged = unchanged and binding.unchanged(batch.step(t))
        binding.feed(batch.step((t + 1) % len(batch.x)))
        results.append(binding.result())
    return {name: np.stack([result[name] for result in results]) for name in results[0]}, unchanged
