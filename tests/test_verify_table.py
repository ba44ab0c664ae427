"""What ``rnnbench verify`` prints: worst errors, what is missing, what went wrong, and the conclusion."""

import io
from typing import Any

from rich.console import Console

from bench.machine.devices import Absent
from bench.proof import gradcheck
from bench.proof.child import REFERENCE, Row, wrongly_accused
from bench.reporting import verify_table
from bench.workload.case import Shape


def row(variant: str, status: Any, error: float = 1e-9, tolerance: float = 1e-5, **changes: Any) -> Row:
    options: dict[str, Any] = {
        "variant": variant,
        "library": "numpy",
        "device": "cpu",
        "dtype": "float32",
        "task": "gradient",
        "layout": "sequence",
        "activation": "tanh",
        "shape": Shape(2, 3, 1, 4, 5),
        "errors": {"loss": 1e-9, "dU": error, "dW": error, "dV": 1e-9},
        "tolerances": {"loss": 3e-6, "dU": tolerance, "dW": tolerance, "dV": 1e-5},
        "status": status,
        "cell": "rnn",
    }
    return Row(**options | changes)


def reference_row(status: Any = "ok") -> Row:
    errors = dict.fromkeys(gradcheck.WAYS, 1e-16)
    return row(REFERENCE, status, errors=errors, tolerances=dict.fromkeys(errors, 1e-12))


def printed(rows: list[Row], absent: tuple[Absent, ...] = ()) -> str:
    console = Console(file=io.StringIO())
    verify_table.show(rows, absent, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_line_shows_the_worst_error_over_shapes_and_tasks_with_its_verdict() -> None:
    text = printed([reference_row(), row("a", "ok", 2e-7), row("a", "ok", 4e-7), row("a", "disagrees", 0.38)])
    line = next(line for line in text.splitlines() if line.split()[:1] == ["a"])
    assert line.split() == [
        *("a", "cpu", "float32", "sequence", "tanh"),
        *("1e-9", "38%", "38%", "1e-9", "3e-6/1e-5", "DISAGREES"),
    ]


def test_every_reason_for_missing_is_told_once() -> None:
    lacks = [row("a", "missing", reason="a does not support x", errors={}) for _ in range(3)]
    text = printed([reference_row(), *lacks, row("b", "ok")], (Absent("mps", "no Mac"),))
    assert text.count("MISSING a does not support x") == 1
    assert "MISSING mps: no Mac" in text
    assert "b claims to be right and agrees with the reference in 1 proof." in text


def test_the_conclusion_names_what_is_wrong() -> None:
    wrong = row("bad", "crashed", errors={}, tolerances={}, reason="it fell over")
    text = printed([reference_row(), wrong, row("c", "ok"), row("d", "ok")])
    assert "CRASHED: bad, as told above." in text
    assert "WRONG" not in text
    assert "bad on cpu: crashed in 1 proof, first in gradient, sequence, float32, tanh" in text
    assert "it fell over" in text
    assert "All 2 variants that claim to be right agree with the reference in 2 proofs." in text


def test_a_reference_that_is_wrong_is_not_passed_over() -> None:
    assert "WRONG: the reference's own gradient" in printed([reference_row("disagrees"), row("a", "ok")])


def test_a_known_wrong_gradient_that_turns_out_right_is_told() -> None:
    accused = row("p", "known_wrong", 1e-7)
    assert wrongly_accused(accused)
    assert not wrongly_accused(row("p", "known_wrong", 0.4))
    text = printed([reference_row(), accused, row("p", "known_wrong", 0.4)])
    assert "p is listed as known wrong, but was right in 1 of 2 proofs." in text
    off = printed([reference_row(), row("p", "known_wrong", 0.25), row("p", "known_wrong", 0.4)])
    assert "its gradients of U and W are off by 25% to 40%" in off
