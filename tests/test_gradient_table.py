"""What ``bench.check_gradients`` shows: in a terminal, in a notebook, and when a test fails."""

from typing import Any

import pytest
from reports import Reader

from bench.gradients.check import GradientRecord, Row, Verdict
from bench.gradients.finding import Finding, Kind
from bench.reporting.gradient_table import GradientCheck

FOUND = Finding(
    Kind.NOT_HANDED_BACK, ("U", "W"), "dh_next is not handed back", "equal to 2e-16 at T = 1, 2, 3 and 6",
    line="dh = da @ W", section=4,
)  # fmt: skip
WRONG = Row("U", 5.4, 1e-9, Verdict.WRONG, 15, 15)
RIGHT = Row("V", 1.6e-16, 1e-9, Verdict.RIGHT, 10, 12)
UNKNOWN = Row("weight_ih", 0.0, 0.2, Verdict.NOT_CHECKED, 0, 7)


def check(*rows: Row, **more: Any) -> GradientCheck:
    fields = {"method": "complex steps", "reason": "", "findings": (), "notes": (), **more}
    return GradientCheck(GradientRecord(function="<lambda>", loss=0.5, rows=rows, **fields))


def test_a_wrong_gradient_is_told_first_then_its_mistake_then_the_table() -> None:
    shown = repr(check(WRONG, RIGHT, findings=(FOUND,)))
    assert shown.splitlines() == [
        "WRONG in <lambda>: dU, off by up to 540%.",
        "dU and dW are what you get when dh_next is not handed back (equal to 2e-16 at T",
        "= 1, 2, 3 and 6; the reference has `dh = da @ W`; docs/derivation.md, section",
        "4).",
        "gradient  verdict  error  allowed  checked",
        "dU        WRONG    540%   1e-9     15 of 15",
        "dV        right    2e-16  1e-9     10 of 12",
        "Errors are |given - exact| / |exact|; exact is computed by complex steps.",
    ]


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        ([RIGHT], {}, "All gradients of <lambda> are right: dV."),
        ([RIGHT, UNKNOWN], {}, "NOT CHECKED in <lambda>: weight_ih."),
        ([RIGHT], {"method": "central differences", "reason": "abs drops a part"},
         "by central differences, since complex steps cannot be used: abs drops a part."),
        ([RIGHT], {"notes": ("dU is zero.",)}, "complex steps. dU is zero."),
        ([Row("V", 1e-16, 1e-9, Verdict.RIGHT, 1, 1, autograd=0.5)], {}, "off autograd dV"),
    ],
)  # fmt: skip
def test_the_same_is_said_in_plain_text_and_in_a_notebook(rows, more, said) -> None:
    made = check(*rows, **more)
    assert said in " ".join(repr(made).split())
    assert said in " ".join(Reader(made._repr_html_()).text.split())
    assert max(map(len, repr(made).splitlines())) <= 80
    assert made.ok == all(row.verdict == Verdict.RIGHT for row in rows)


def test_long_names_make_no_wide_table() -> None:
    name = "a_long_name_\nof_a_layer" * 9
    shown = repr(check(WRONG, Row(name, 0.0, 0.2, Verdict.NOT_CHECKED, 2000, 80000, autograd=0.5)))
    assert max(map(len, shown.splitlines())) <= 80
    assert "yer  not checked  0      20%      2000 of 80000  50%" in shown


def test_of_a_failed_assert_pytest_shows_what_is_wrong_and_by_which_mistake() -> None:
    made = check(WRONG, findings=(FOUND,))
    assert "dh_next is not handed back" in repr(made)[:120]  # as much as pytest leaves of a long text
    with pytest.raises(AssertionError, match="dh_next is not handed back"):
        made.raise_if_wrong()
    check(RIGHT).raise_if_wrong()
