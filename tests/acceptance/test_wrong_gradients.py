"""The proof kills every variant with a fault, and nothing that is right. Seconds."""

import itertools
from collections.abc import Sequence

import pytest
from acceptance.validity import Recorder
from mutants import MUTANTS, changed
from test_mutants import case_of, verdict, verdict_on

from bench.proof.tolerance import TOLERANCES, Tolerance
from bench.workload.case import DTYPES, TASKS
from bench.workload.cell import CELLS


def alive(dtypes: Sequence[str] = DTYPES) -> list[str]:
    """The mutants that some proof, in a task in which they are wrong, lets pass."""
    return [
        mutant.name
        for mutant in MUTANTS
        if any(verdict_on(mutant, task, dtype) == "ok" for task in mutant.tasks for dtype in dtypes)
    ]


def test_every_wrong_variant_is_killed(validity: Recorder) -> None:
    survivors = alive()
    killed = len(MUTANTS) - len(survivors)
    validity.record(
        "T18",
        claim="variants with one fault each, in every task in which it shows, in float32 and float64",
        promised=f"all {len(MUTANTS)} killed by the proof",
        measured=f"{killed} killed" + "".join(f"; alive: {name}" for name in survivors),
        kept=not survivors,
    )
    assert not survivors


def test_a_gradient_times_1_0005_is_what_gradcheck_lets_pass_by_default(validity: Recorder) -> None:
    pytest.importorskip("torch")
    from test_gradients import OPTIONS
    from test_gradients import (
        test_torch_manual_passes_gradcheck_at_settings_that_reject_a_factor_of_1_0005 as gradcheck,
    )

    found = []
    for (cell, activation), factor in itertools.product(OPTIONS, (1.0, 1.0005)):
        try:  # both halves are told apart there: ours refuses the factor, the defaults do not
            gradcheck(cell, activation, factor)
            found.append(True)
        except AssertionError:
            found.append(False)
    validity.record(
        "T18-gradcheck",
        claim="gradcheck of PyTorch by hand, times 1.0005: passes by default, fails at rtol 1e-6, atol 1e-8",
        promised=f"{len(found)} of {len(found)}",
        measured=f"{sum(found)} of {len(found)}",
        kept=all(found),
    )
    assert all(found)


def test_a_looser_proof_is_caught(validity: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the relative tolerance that gradcheck has by default."""
    monkeypatch.setitem(TOLERANCES, ("float64", "cpu"), {1000: Tolerance(1e-3, 1e-3)})
    survivors = alive(["float64"])
    validity.record(
        "T18-mutant",
        claim="mutant: a proof in float64 with a tolerance of 1e-3; variants with a fault that pass",
        promised="caught: at least one",
        measured=f"{len(survivors)}: {', '.join(survivors)}",
        kept=bool(survivors),
    )
    assert survivors


def test_nothing_right_is_killed(validity: Recorder) -> None:
    cells = {cell: changed("dh = dy_hat @ V", "dh = dy_hat @ V", cell) for cell in CELLS}
    passed = [
        verdict(bind, case_of(task, dtype, cell=cell, bias=True))
        for cell, bind in cells.items()
        for task in TASKS
        for dtype in DTYPES
    ]
    validity.record(
        "T18-right",
        claim="the reference of every cell itself, without a fault",
        promised=f"{len(passed)} of {len(passed)} proofs pass",
        measured=f"{passed.count('ok')} pass",
        kept=set(passed) == {"ok"},
    )
    assert set(passed) == {"ok"}
