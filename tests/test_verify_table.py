"""What ``rnnbench verify`` prints: worst errors, what is missing, what went wrong, and the conclusion."""

import io
from typing import Any

import pytest
from rich.console import Console

from bench.machine.devices import Absent
from bench.proof import gradcheck
from bench.proof.child import REFERENCE, Row
from bench.reporting import verify_table
from bench.workload.case import Shape


def row(variant: str, status: Any, error: float = 1e-9, tolerance: float = 1e-5, **changes: Any) -> Row:
    errors = {"loss": 1e-9, "dU": error, "dW": error, "dV": 1e-9}
    tolerances = {"loss": 3e-6, "dU": tolerance, "dW": tolerance, "dV": 1e-5}
    where = {"device": "cpu", "library": "numpy", "dtype": "float32"}
    case = {"task": "gradient", "layout": "sequence", "activation": "tanh", "shape": Shape(2, 3, 1, 4, 5)}
    options = {**where, **case, "errors": errors, "tolerances": tolerances, "cell": "rnn", **changes}
    return Row(variant=variant, status=status, **options)


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


CRASHED = row("bad", "crashed", errors={}, tolerances={}, reason="it fell over")
LACKS = row("a", "missing", reason="a does not support x", errors={})
MISSING = ("MISSING a does not support x", "MISSING mps: no Mac")
SAID: list[tuple[list[Row], tuple[str, ...]]] = [
    ([LACKS, LACKS, row("b", "ok")], (*MISSING, "b claims to be right and agrees with the reference in 1")),
    ([CRASHED, row("c", "ok"), row("d", "ok")], (
        "CRASHED: bad, as told above.", "it fell over",
        "bad on cpu: crashed in 1 proof, first in gradient, sequence, float32, tanh",
        "All 2 variants that claim to be right agree with the reference in 2 proofs.",
    )),
    ([row("p", "known_wrong", 1e-7), row("p", "known_wrong", 0.4)],
     ("p is listed as known wrong, but was right in 1 of 2 proofs.",)),
    ([row("p", "known_wrong", 0.25), row("p", "known_wrong", 0.4)],
     ("its gradients of U and W are off by 25% to 40%",)),
]  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_the_lines_below_say_what_is_missing_what_failed_and_what_follows(
    case: tuple[list[Row], tuple[str, ...]],
) -> None:
    rows, lines = case
    text = printed([reference_row(), *rows], (Absent("mps", "no Mac"),))
    assert [text.count(line) for line in lines] == [1] * len(lines)
    assert "WRONG" not in text


def test_a_reference_that_is_wrong_is_not_passed_over() -> None:
    assert "WRONG: the reference's own gradient" in printed([reference_row("disagrees"), row("a", "ok")])
