"""What ``rnnbench verify`` prints: worst errors, what is missing, what went wrong, and the conclusion."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from bench.gradients.finding import Finding, Kind
from bench.gradients.proved import Diagnosis
from bench.machine.devices import Absent
from bench.proof import gradcheck
from bench.proof.child import REFERENCE, Row
from bench.reporting import verify_table
from bench.workload.case import Shape


def row(variant: str, status: Any, error: float = 1e-9, tolerance: float = 1e-5, **changes: Any) -> Row:
    errors = {"loss": 1e-9, "dU": error, "dW": error, "dV": 1e-9}
    tolerances = {"loss": 3e-6, "dU": tolerance, "dW": tolerance, "dV": 1e-5}
    where = {"device": "cpu", "library": "numpy", "dtype": "float32", "cell": "rnn", "bias": False}
    case = {"task": "gradient", "layout": "sequence", "activation": "tanh", "shape": Shape(2, 3, 1, 4, 5)}
    options = {**where, **case, "errors": errors, "tolerances": tolerances, **changes}
    return Row(variant=variant, status=status, **options)


def reference_row(status: Any = "ok") -> Row:
    errors = dict.fromkeys(gradcheck.WAYS, 1e-16)
    return row(REFERENCE, status, errors=errors, tolerances=dict.fromkeys(errors, 1e-12))


def printed(
    rows: list[Row],
    absent: tuple[Absent, ...] = (),
    width: int = 0,
    diagnoses: Sequence[Diagnosis] = (),
) -> str:
    console = Console(file=io.StringIO(), force_terminal=bool(width), width=width or None, color_system=None)
    verify_table.show(rows, absent, diagnoses, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_line_shows_the_worst_error_of_a_cell_by_dtype_with_its_verdict() -> None:
    double = {"errors": {"y_hat": 2e-16}, "tolerances": {"y_hat": 1e-14}}
    rows = [row("a", "ok", 2e-7), row("a", "ok", 4e-7, 2e-5), row("a", "disagrees", 0.38),
            row("a", "ok", cell="gru"), row("a", "ok", dtype="float64", **double),
            row("a", "ok", device="cuda:0")]  # fmt: skip
    lines = [line.split() for line in printed([reference_row(), *rows]).splitlines()]
    assert [line for line in lines if line[-1:] in (["DISAGREES"], ["agrees"])] == [
        ["a", "rnn", "1e-9", "38%", "2e-16", "DISAGREES"],
        ["gru", "1e-9", "1e-9", "agrees"],
        ["a", "rnn", "1e-9", "1e-9", "agrees"],
    ]
    assert [line for line in lines if line[:1] == ["allowed"]] == [
        ["allowed", "3e-6", "1e-5", "1e-14"],
        ["allowed", "3e-6", "1e-5"],
    ]
    assert [line[:4] for line in lines if line[:1] == ["Worst"]] == [
        ["Worst", "errors", "on", device] for device in ("cpu", "cuda:0")
    ]


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_fits_whole(width: int) -> None:
    rows = [row(name, status, 1.3e-16, cell=cell, dtype=dtype)
            for name, status in (("numpy-published", "known_wrong"), ("torch-autograd", "oom"))
            for cell in ("rnn", "lstm") for dtype in ("float32", "float64")]  # fmt: skip
    text = printed([reference_row(), *rows], width=width)
    table = text[: text.index("numpy-published is")]
    assert "\u2026" not in table
    assert max(map(len, table.splitlines())) <= width
    for whole in ("numpy-published rnn ", "torch-autograd  rnn ", "known wrong", "OUT OF MEMORY"):
        assert whole in table


CRASHED = row("bad", "crashed", errors={}, tolerances={}, reason="it fell over")
LACKS = row("a", "missing", reason="a does not support x", errors={})
MISSING = ("MISSING a does not support x", "MISSING mps: no Mac")
SAID: list[tuple[list[Row], tuple[str, ...]]] = [
    ([LACKS, LACKS, row("b", "ok")], (*MISSING, "b claims to be right and agrees with the reference in 1")),
    ([CRASHED, row("c", "ok"), row("d", "ok")], (
        "CRASHED: bad, as told above.", "it fell over",
        "bad on cpu: crashed in 1 proof, first in rnn, gradient, sequence, float32, tanh",
        "All 2 variants that claim to be right agree with the reference in 2 proofs: rnn, in float32",
    )),
    ([row("bad", "crashed", errors={}, cell="gru"), row("b", "ok", cell="lstm"), row("b", "ok")],
     ("first in gru without biases, gradient", "in 2 proofs: lstm (without biases) and rnn, in float32")),
    ([row("b", "ok", activation="relu", bias=True),
      row("b", "ok", dtype="float64", shape=Shape(9, 3, 1, 4, 5)), row("b", "ok", cell="gru", bias=True)],
     ("in 3 proofs: rnn (relu, tanh, with biases and without) and gru (with biases), in float32 and "
      "float64, 2 to 9 steps.",)),
    ([row("b", "ok"), row("b", "ok", task="stream"), row("c", "ok")],
     ("reference in 3 proofs: rnn,", "Among them are streams, one step a call: 1 proof of b. The")),
    ([row("i", "invalid", reason="it computes with SciPy")],
     ("INVALID: i, as told above.", "i on cpu: invalid in 1 proof, first in rnn, gradient")),
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


DROPPED = Finding(
    Kind.NOT_HANDED_BACK, ("U", "W"), "dh_next is not handed back", "equal to 1e-16 at T = 1, 2 and 5",
    line="dh = da @ W", section=4,
)  # fmt: skip
HALVED = Finding(Kind.CONSTANT, ("U", "W"), "they are halved", "equal to 1e-16")
LONG_NAME = Finding(Kind.SIGN, ("weight_hh",), "its sign is wrong", "")
TOLD = (
    "dU and dW are what you get when dh_next is not handed back (equal to 1e-16 at T = 1, 2 and 5; "
    "the reference has `dh = da @ W`; docs/derivation.md, section 4)"
)


@pytest.mark.parametrize(
    ("rows", "found", "lines"),
    [
        ([row("a", "disagrees", 0.4)], {("a", "rnn"): (DROPPED,)}, [f"a: {TOLD}\n"]),
        ([row("a", "disagrees", 0.4)], {("a", "rnn"): (DROPPED, HALVED)}, [
            f"a: {TOLD}\n", "a: dU and dW are also what you get when they are halved (equal to 1e-16)\n",
        ]),
        ([row("a", "disagrees", 0.4), row("a", "disagrees", cell="gru")],
         {("a", "rnn"): (DROPPED,), ("a", "gru"): (LONG_NAME,)},
         [f"a (rnn on cpu): {TOLD}\n",
          "a (gru on cpu): The gradient of weight_hh is what you get when its sign is wrong\n"]),
        ([row("p", "known_wrong", 0.4)], {("p", "rnn"): (DROPPED,)},
         [f"are off by 40% to 40%, V's by no more than 1e-9. {TOLD}. The reference's"]),
    ],
)  # fmt: skip
def test_a_mistake_that_explains_wrong_gradients_is_a_line_or_stands_in_the_conclusion(
    rows, found, lines
) -> None:
    diagnoses = [Diagnosis(variant, "cpu", cell, findings) for (variant, cell), findings in found.items()]
    text = printed([reference_row(), *rows], diagnoses=diagnoses)
    assert [text.count(line) for line in lines] == [1] * len(lines)
    assert text.count("what you get") == len(lines)
