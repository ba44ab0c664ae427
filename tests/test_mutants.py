"""The proof kills every mutant, in both dtypes, and nothing else."""

from collections import Counter
from functools import cache
from typing import Any

import pytest
from mutants import (
    GRADIENT,
    KEEPING,
    MUTANTS,
    Mutant,
    changed,
    in_lower_precision,
    reference,
    with_results,
)  # fmt: skip

from bench import proof
from bench.records.record import Check
from bench.workload import data
from bench.workload.binding import Bind
from bench.workload.case import DTYPES, TASKS, Case, Shape, sine_case
from bench.workload.cell import CELLS, find_cell
from bench.workload.data import Batch

SHAPE = Shape(T=5, B=7, I=4, H=6, O=3)  # no two sizes equal


def case_of(task: str, dtype: str, activation: str = "tanh", **others: Any) -> Case:
    """Errors lie on both sides of the Huber cutoff."""
    return Case(task, SHAPE, "positional", dtype, activation, data="random", delta=0.5, **others)


@cache
def inputs(case: Case) -> tuple[Batch, proof.Expected]:
    batch = data.make(case)
    return batch, proof.expected(case, batch)


def checks_of(bind: Bind, case: Case, library: str = "numpy") -> list[Check]:
    return proof.prove(bind, case, *inputs(case), library=library)


def verdict(bind: Bind, case: Case, library: str = "numpy") -> str:
    return proof.status(checks_of(bind, case, library))


def verdict_on(mutant: Mutant, task: str, dtype: str) -> str:
    case = case_of(task, dtype, cell=mutant.cell, bias=mutant.bias)
    return verdict(mutant.bind, case, mutant.library)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_is_killed_where_it_is_wrong_and_passes_elsewhere(mutant: Mutant, dtype: str) -> None:
    pytest.importorskip(mutant.library)
    verdicts = {task: verdict_on(mutant, task, dtype) for task in TASKS}
    assert verdicts == {task: "disagrees" if task in mutant.tasks else "ok" for task in TASKS}


def test_lower_precision_is_told_apart_by_its_error_not_its_dtype() -> None:
    failed = [
        check for check in checks_of(in_lower_precision, case_of("gradient", "float64")) if not check.passed
    ]
    assert {check.quantity for check in failed} == {"loss", "U", "W", "V"}
    assert all(1e-9 < check.error < 1e-5 for check in failed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_the_source_unchanged_is_not_killed(cell: str, bias: bool, dtype: str) -> None:
    unchanged = changed("dh = dy_hat @ V", "dh = dy_hat @ V", cell)
    for activation in find_cell(cell).activations:
        cases = [case_of(task, dtype, activation, cell=cell, bias=bias) for task in TASKS]
        assert {verdict(unchanged, case) for case in cases} == {"ok"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("task", GRADIENT)
def test_h_instead_of_h_times_1_minus_h_is_killed_with_the_sigmoid(task: str, dtype: str) -> None:
    wrong = changed("lambda h: h * (1 - h)", "lambda h: h")
    assert verdict(wrong, case_of(task, dtype, "sigmoid")) == "disagrees"


def test_a_wrong_gradient_of_w_is_killed_where_the_right_one_is_zero() -> None:
    case = Case("gradient", Shape(T=1, B=7, I=4, H=6, O=3), "single_step", data="random")
    tiny = with_results(lambda r: r | {"dW": r["dW"] + r["dW"].dtype.type(1e-6)})
    assert verdict(tiny, case) == "disagrees"
    assert verdict(reference, case) == "ok"


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])  # one unit of relu is dead for x or for -x
@pytest.mark.parametrize("mutant", KEEPING, ids=lambda mutant: mutant.name)
def test_what_is_kept_of_other_inputs_fails_that_check_alone_even_for_a_single_number(
    mutant: Mutant, activation: str
) -> None:
    pytest.importorskip(mutant.library)
    for task in mutant.tasks:
        case = Case(task, Shape(1, 1, 1, 1, 1), "positional", "float64", activation, data="random")
        failed = [c.what for c in checks_of(mutant.bind, case, mutant.library) if not c.passed]
        assert failed == ["reads its inputs at every call"], task


def test_at_the_usual_learning_rate_a_gradient_wrong_by_three_per_cent_would_pass_in_float32() -> None:
    """Why the update is proved at a large rate: the parameters alone do not show the fault."""
    wrong = changed("dy_hat @ V", "dy_hat @ V * V.dtype.type(1.03)")
    case = sine_case("train_step", "positional", activation="sigmoid")
    passed = {check.what: check.passed for check in checks_of(wrong, case)}
    assert [passed[name] for name in ("U", "W", "update U", "update W")] == [True, True, False, False]


def test_the_mutants_are_many_for_every_cell_and_differ() -> None:
    assert min(Counter(mutant.cell for mutant in MUTANTS)[cell] for cell in CELLS) >= 12
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_mutant_that_finds_nothing_to_change_is_an_error() -> None:
    with pytest.raises(AssertionError, match="occurs 0 times"):
        changed("no such line", "")
