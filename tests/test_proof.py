"""Proving a variant: what is checked before timing and after it, and what the checks amount to."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutants import reference, with_results

from bench import proof
from bench.proof.agreement import compare, failures
from bench.records.record import Check
from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import DTYPES, TASKS, Case, Shape, sine_case
from bench.workload.cell import CELLS
from impl_numpy.contract import Bound

CASE = Case("train_step", Shape(T=5, B=7, I=4, H=6, O=3), "positional", "float32", data="random", delta=0.5)
WRONG = ("U", "W")  # parameters whose published gradient is known to be wrong
PUBLISHED = catalog.find("numpy-published")


def run(case: Case, n_calls: int, variant: str = "numpy-batched") -> dict[str, Any]:
    """The result after so many calls."""
    binding = bind_case(catalog.find(variant).load(), "numpy", case, data.make(case), "cpu")
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
    assert {check.tolerance for check in checks if check.quantity in ("U", "W", "V")} == {200 * 1e-13}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("sizes", "error", "verdict"),
    [((1, 1, 1, 1), 2.5e-12, "ok"), ((1, 1, 1, 1), 1e-9, "disagrees"), ((7, 4, 6, 3), 5e-13, "disagrees")],
)
def test_of_few_numbers_some_may_cancel_and_what_is_wrong_is_noticed_all_the_same(
    cell: str, sizes: tuple[int, ...], error: float, verdict: str
) -> None:
    """V h and bV, and so the roundings that are left, as in an entry of dispatch."""
    case = Case("forward", Shape(6, *sizes), "sequence", "float64", data="random", cell=cell, bias=True)
    in_place = catalog.find("numpy-inplace").load(cell)
    off = with_results(lambda result: {"y_hat": result["y_hat"] * (1 + error)}, in_place)
    assert proof.status(proof.prove(off, case, data.make(case), expected_of(case))) == verdict


def test_a_relu_beyond_its_kink_is_right_and_a_wrong_gradient_is_wrong_there_too() -> None:
    sizes = Shape(T=3, B=9, I=4, H=16, O=3)
    case = Case("gradient", sizes, "positional", "float32", "relu", "random", delta=0.5, bias=True)
    batch = data.make(case)
    z = batch.x[0, 0] @ batch.params["U"].T + batch.params["bU"] + batch.params["bW"]  # of the first step
    j = int(np.argmax(z))
    batch.params["bU"][j] -= z[j]  # now it is 0 but for its rounding
    expected = proof.expected(case, batch)
    assert 1e-3 < expected.jump < 0.05

    def moved(shift: float, factor: float = 1.0) -> Any:
        def bind(task: str, params: Any, *arrays: Any, **options: Any) -> Bound:
            bU = params["bU"] + np.float32(shift) * (np.arange(sizes.H) == j)
            return reference(task, params | {"bU": bU}, *arrays, **options)

        return with_results(lambda result: result | {"dW": result["dW"] * np.float32(factor)}, bind)

    def verdicts(expected: proof.Expected, factor: float = 1.0) -> set[str]:
        checks = [proof.prove(moved(shift, factor), case, batch, expected) for shift in (-1e-7, 1e-7)]
        return {proof.status(each) for each in checks}

    assert verdicts(expected) == {"ok"}
    assert verdicts(replace(expected, jump=0.0)) == {"ok", "disagrees"}
    assert verdicts(expected, factor=1.2) == {"disagrees"}


def test_results_expected_of_other_inputs_fail_the_proof() -> None:
    checks = proof.prove(reference, CASE, data.make(CASE), expected_of(replace(CASE, seed=1)))
    assert not checks[0].passed
    assert proof.status(checks) == "disagrees"


@pytest.mark.parametrize(("n_calls", "asked_for"), [(1, 2), (100, 99), (100, 101)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_last_training_step_agrees_after_as_many_calls_and_not_after_one_more_or_less(
    dtype: str, n_calls: int, asked_for: int
) -> None:
    case = sine_case("train_step", "positional", dtype=dtype)
    expected, result = expected_of(case), run(case, n_calls, "numpy-inplace")
    for n, verdict in ((n_calls, "ok"), (asked_for, "disagrees")):
        after = proof.expected_after(case, data.make(case), n)
        assert proof.status(proof.check_last(case, result, expected, after=after)) == verdict
    with pytest.raises(ValueError, match="expected_after"):
        proof.check_last(case, result, expected, after=None)


@pytest.mark.parametrize("task", ["forward", "gradient"])
def test_the_last_output_and_gradient_are_compared_with_the_expected_ones(task: str) -> None:
    case = CASE.with_task(task)
    result, expected = run(case, 3), expected_of(case)
    assert proof.status(proof.check_last(case, result, expected, after=None)) == "ok"
    result[next(reversed(result))] *= np.float32(1.0005)
    assert proof.status(proof.check_last(case, result, expected, after=None)) == "disagrees"


@pytest.mark.parametrize(
    ("checks", "known_wrong", "verdict"),
    [
        (["passed"], False, "ok"),
        (["failed"], False, "disagrees"),
        (["failed"], True, "disagrees"),
        (["failed, marked", "passed"], True, "known_wrong"),
        (["passed, marked"], True, "known_wrong"),
        (["failed, marked", "failed"], True, "disagrees"),
        (["failed, marked"], False, "disagrees"),
    ],
)
def test_only_a_known_wrong_variant_is_excused_and_only_where_it_is_marked(
    checks: list[str], known_wrong: bool, verdict: str
) -> None:
    outcomes = [Check("dU", 0.0, 1.0, "passed" in text, known_wrong="marked" in text) for text in checks]
    assert proof.status(outcomes, known_wrong=known_wrong) == verdict


@pytest.mark.parametrize("task", ["gradient", "train_step"])
def test_the_published_gradient_is_known_wrong_and_everything_else_about_it_has_to_be_right(
    task: str,
) -> None:
    case = CASE.with_task(task)
    expected, batch = expected_of(case), data.make(case)
    checks = proof.prove(PUBLISHED.load(), case, batch, expected, known_wrong=WRONG)
    assert proof.status(checks, known_wrong=True) == "known_wrong"
    assert proof.status(proof.prove(PUBLISHED.load(), case, batch, expected)) == "disagrees"
    failed = {check.what for check in checks if not check.passed}
    assert failed >= ({"dU", "dW"} if task == "gradient" else {"update U", "update W"})
    assert not failed & {"loss", "dV", "update V"}


def test_a_missing_gradient_is_not_excused_as_known_wrong() -> None:
    case = CASE.with_task("gradient")
    without_dW = with_results(lambda result: {k: v for k, v in result.items() if k != "dW"}, PUBLISHED.load())
    checks = proof.prove(without_dW, case, data.make(case), expected_of(case), known_wrong=WRONG)
    assert proof.status(checks, known_wrong=True) == "disagrees"
    assert failures(checks).startswith("not true: result() after gradient has dW (it has loss, dU and dV)")


@pytest.mark.parametrize(("n_calls", "wrong"), [(1, {"U", "W"}), (5, {"loss", "U", "W", "V"})])
def test_along_the_published_gradient_only_the_first_step_can_be_compared(
    n_calls: int, wrong: set[str]
) -> None:
    result, expected = run(CASE, n_calls, "numpy-published"), expected_of(CASE)
    after = proof.expected_after(CASE, data.make(CASE), n_calls)
    checks = proof.check_last(CASE, result, expected, after=after, known_wrong=WRONG)
    assert proof.status(checks, known_wrong=True) == "known_wrong"
    assert {check.what for check in checks if check.known_wrong} == wrong
    result["U"] *= np.float32(np.nan)
    checks = proof.check_last(CASE, result, expected, after=after, known_wrong=WRONG)
    assert proof.status(checks, known_wrong=True) == "disagrees"


@pytest.mark.parametrize(
    ("actual", "failure"),
    [
        (None, "not true: result() has dU"),
        (np.zeros((2, 3), np.float64), "not true: dU is float32 (it is float64)"),
        (np.zeros((3, 2), np.float32), "not true: dU has shape (2, 3) (it has (3, 2))"),
        (np.full((2, 3), np.nan, np.float32), "not true: dU is finite"),
        (np.full((2, 3), 2, np.float32), "dU is off by 1, allowed is 1e-05"),
    ],
)
def test_what_fails_says_why_or_how_far_off_it_is(actual: Any, failure: str) -> None:
    check = compare("dU", actual, np.ones((2, 3)), 1e-5, "float32")
    assert not check.passed
    assert failures([check]) == failure


def test_comparing_needs_neither_torch_nor_an_implementation(tmp_path: Path) -> None:
    code = (
        "import sys, bench.proof; "
        "sys.exit(any(m.split('.')[0] in ('torch', 'impl_numpy', 'impl_torch') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("task", TASKS)
def test_comparing_does_without_numpys_blas(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that multiplies matrices is forbidden while a variant made of constants is compared."""
    case = CASE.with_task(task)
    batch, expected, result = data.make(case), expected_of(case), run(case, 1)
    after = proof.expected_after(case, batch, 1)
    constant = Bound(lambda: None, lambda: None, lambda: result)
    for name in ("dot", "matmul", "inner", "vdot", "tensordot", "einsum"):
        monkeypatch.setattr(np, name, pytest.fail)
    monkeypatch.setattr(np.linalg, "norm", pytest.fail)
    proof.prove(lambda *args, **options: constant, case, batch, expected)
    proof.check_last(case, result, expected, after=after)
    for module in ("prove", "agreement", "tolerance"):
        file = sys.modules[f"bench.proof.{module}"].__file__
        assert file is not None
        assert " @ " not in Path(file).read_text(encoding="utf-8")
