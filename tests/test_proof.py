"""Proving a variant: what is checked before timing and after it, and what the checks amount to."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutants import reference

from bench import proof
from bench.proof.agreement import compare, failures
from bench.records.record import Check
from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import DTYPES, Case, Shape, sine_case

CASE = Case("train_step", Shape(T=5, B=7, I=4, H=6, O=3), "positional", "float32", data="random", delta=0.5)


def run(case: Case, n_calls: int, variant: str = "numpy-batched") -> dict[str, Any]:
    """The result after so many calls."""
    found = catalog.find(variant)
    binding = bind_case(found.load(), found.library, case, data.make(case), "cpu")
    for _ in range(n_calls):
        binding.bound.call()
    return binding.result()


def expected_of(case: Case) -> proof.Expected:
    return proof.expected(case, data.make(case))


def test_a_case_too_small_for_float32_is_proved_in_float64() -> None:
    case = Case("gradient", Shape(3, 1, 2, 2, 1), "positional", "float32", data="random")
    dtypes = []

    def watched(task: str, params: Any, x: Any, y: Any, **options: Any) -> Any:
        dtypes.append(str(x.dtype))
        return reference(task, params, x, y, **options)

    checks = proof.prove(watched, case, data.make(case), expected_of(case))
    assert dtypes == ["float64"]
    assert proof.status(checks) == "ok"
    assert {check.tolerance for check in checks if check.what.startswith("d")} == {3e-14}


def test_results_expected_of_other_inputs_fail_the_proof() -> None:
    other = expected_of(replace(CASE, seed=1))
    checks = proof.prove(reference, CASE, data.make(CASE), other)
    assert not checks[0].passed
    assert proof.status(checks) == "disagrees"


@pytest.mark.parametrize(("n_calls", "asked_for"), [(1, 2), (100, 99), (100, 101)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_last_training_step_agrees_after_as_many_calls_and_not_after_one_more_or_less(
    dtype: str, n_calls: int, asked_for: int
) -> None:
    case = sine_case("train_step", "positional", dtype=dtype)
    batch, expected, result = data.make(case), expected_of(case), run(case, n_calls, "numpy-inplace")
    for n, verdict in ((n_calls, "ok"), (asked_for, "disagrees")):
        after = proof.expected_after(case, batch, n)
        assert proof.status(proof.check_last(case, result, expected, after=after)) == verdict


@pytest.mark.parametrize("task", ["forward", "gradient"])
def test_the_last_output_and_gradient_are_compared_with_the_expected_ones(task: str) -> None:
    case = CASE.with_task(task)
    result = dict(run(case, 3))
    expected = expected_of(case)
    assert proof.status(proof.check_last(case, result, expected, after=None)) == "ok"
    name = next(reversed(result))
    result[name] = result[name] * np.float32(1.0005)
    assert proof.status(proof.check_last(case, result, expected, after=None)) == "disagrees"


def test_the_last_training_step_needs_to_know_what_is_expected_after_it() -> None:
    with pytest.raises(ValueError, match="expected_after"):
        proof.check_last(CASE, run(CASE, 1), expected_of(CASE), after=None)


def check(what: str, passed: bool, known_wrong: bool = False) -> Check:
    return Check(what=what, error=0.0, tolerance=1.0, passed=passed, known_wrong=known_wrong)


@pytest.mark.parametrize(
    ("checks", "known_wrong", "verdict"),
    [
        ([check("dU", True)], False, "ok"),
        ([check("dU", False)], False, "disagrees"),
        ([check("dU", False)], True, "disagrees"),
        ([check("dU", False, True), check("dV", True)], True, "known_wrong"),
        ([check("dU", True, True)], True, "known_wrong"),
        ([check("dU", False, True), check("dV", False)], True, "disagrees"),
        ([check("dU", False, True)], False, "disagrees"),
    ],
)
def test_only_a_known_wrong_variant_is_excused_and_only_where_it_is_marked(
    checks: list[Check], known_wrong: bool, verdict: str
) -> None:
    assert proof.status(checks, known_wrong=known_wrong) == verdict


@pytest.mark.parametrize("task", ["gradient", "train_step"])
def test_the_published_gradient_is_known_wrong_and_everything_else_about_it_has_to_be_right(
    task: str,
) -> None:
    case = CASE.with_task(task)
    expected, batch = expected_of(case), data.make(case)
    bind = catalog.find("numpy-published").load()
    checks = proof.prove(bind, case, batch, expected, known_wrong=("U", "W"))
    assert proof.status(checks, known_wrong=True) == "known_wrong"
    assert proof.status(proof.prove(bind, case, batch, expected)) == "disagrees"
    failed = {check.what for check in checks if not check.passed}
    assert failed >= ({"dU", "dW"} if task == "gradient" else {"update U", "update W"})
    assert not failed & {"loss", "dV", "update V"}


def test_a_missing_gradient_is_not_excused_as_known_wrong() -> None:
    case = CASE.with_task("gradient")

    def without_dW(*args: Any, **options: Any) -> Any:
        bound = catalog.find("numpy-published").load()(*args, **options)
        full = bound.result
        return type(bound)(bound.call, bound.reset, lambda: {k: v for k, v in full().items() if k != "dW"})

    checks = proof.prove(without_dW, case, data.make(case), expected_of(case), known_wrong=("U", "W"))
    assert proof.status(checks, known_wrong=True) == "disagrees"


@pytest.mark.parametrize(("n_calls", "wrong"), [(1, {"U", "W"}), (5, {"loss", "U", "W", "V"})])
def test_along_the_published_gradient_only_the_first_step_can_be_compared(
    n_calls: int, wrong: set[str]
) -> None:
    result = run(CASE, n_calls, "numpy-published")
    after = proof.expected_after(CASE, data.make(CASE), n_calls)
    checks = proof.check_last(CASE, result, expected_of(CASE), after=after, known_wrong=("U", "W"))
    assert proof.status(checks, known_wrong=True) == "known_wrong"
    marked = {c.what for c in checks if c.known_wrong}
    assert marked == wrong
    result["U"] = result["U"] * np.float32(np.nan)
    checks = proof.check_last(CASE, result, expected_of(CASE), after=after, known_wrong=("U", "W"))
    assert proof.status(checks, known_wrong=True) == "disagrees"


@pytest.mark.parametrize(
    ("actual", "says"),
    [
        (None, "dU is there"),
        (np.zeros((2, 3), np.float64), "dU is float32 (it is float64)"),
        (np.zeros((3, 2), np.float32), "dU has shape (2, 3) (it has (3, 2))"),
        (np.full((2, 3), np.nan, np.float32), "dU is finite"),
    ],
)
def test_what_cannot_be_compared_says_why(actual: Any, says: str) -> None:
    found = compare("dU", actual, np.zeros((2, 3)), 1e-5, "float32")
    assert not found.passed
    assert failures([found]) == f"not true: {says}"


def test_failures_tell_how_far_off_and_how_far_was_allowed() -> None:
    found = compare("dU", np.ones(4, np.float32) * 2, np.ones(4), 1e-5, "float32")
    assert failures([found]) == "dU is off by 1, allowed is 1e-05"


def test_comparing_needs_neither_torch_nor_an_implementation(tmp_path: Path) -> None:
    code = (
        "import sys, bench.proof\n"
        "loaded = [m for m in sys.modules if m.split('.')[0] in ('torch', 'impl_numpy', 'impl_torch')]\n"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("task", ["forward", "gradient", "train_step"])
def test_comparing_does_without_numpys_blas(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that multiplies matrices is forbidden while a variant made of constants is compared."""
    case = CASE.with_task(task)
    batch, expected, result = data.make(case), expected_of(case), dict(run(case, 1))
    after = proof.expected_after(case, batch, 1)

    class Constant:
        def call(self) -> None: ...
        def reset(self) -> None: ...
        def result(self) -> dict[str, Any]:
            return result

    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("this is NumPy's BLAS")

    for name in ("dot", "matmul", "inner", "vdot", "tensordot", "einsum"):
        monkeypatch.setattr(np, name, forbidden)
    monkeypatch.setattr(np.linalg, "norm", forbidden)
    proof.prove(lambda *args, **options: Constant(), case, batch, expected)
    proof.check_last(case, result, expected, after=after)
    source = "".join(
        Path(module.__file__).read_text(encoding="utf-8")
        for module in map(sys.modules.get, ("bench.proof", "bench.proof.agreement", "bench.proof.tolerance"))
        if module is not None and module.__file__
    )
    assert " @ " not in source
