"""Define what ``bench.check_gradients`` returns: the answer, a table of the gradients, and the mistakes."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from textwrap import wrap
from typing import TYPE_CHECKING

from bench.gradients.check import GradientRecord, Row, Verdict
from bench.machine import units
from bench.machine.wording import full_stop, listing, one_line, short
from bench.reporting.findings import gradient, sentences
from bench.reporting.section import Cell, Fields, TextTable, text_table

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80  # columns
MOST_NAMED = 9  # gradients in a sentence


class GradientCheck:
    """Hold the check of a function's gradients; true if all are right. ``record`` holds all of it."""

    def __init__(self, record: GradientRecord) -> None:
        self.record = record

    @property
    def ok(self) -> bool:
        """Return whether every gradient was checked and is right."""
        return all(row.verdict == Verdict.RIGHT for row in self.record.rows)

    def __bool__(self) -> bool:
        """Return ``ok``, for ``assert bench.check_gradients(...)``."""
        return self.ok

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """Return a row per parameter: error, tolerance, verdict, and how many entries were checked."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.record.rows])

    def raise_if_wrong(self) -> None:
        """Raise AssertionError with the whole table unless every gradient is right."""
        __tracebackhide__ = True  # pytest shows the line that called it
        if not self.ok:
            raise AssertionError(repr(self))

    def __repr__(self) -> str:
        """Return the answer, the table, and what explains it, in plain text."""
        shown = table(self.record)
        rows = [
            [column.title for column in shown.columns],
            *([cell.text for cell in row] for row in shown.rows),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        if (over := sum(widths) + 2 * len(widths[1:]) - WIDTH) > 0:  # of long names
            widths[0] = max(widths[0] - over, 8)
            rows = [[short(name, widths[0] - 3), *others] for name, *others in rows]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        # the mistakes before the table: of a failed assert, pytest shows the first 120 characters
        return "\n".join([*_wrapped(said(self.record)), *lines, *_wrapped(explanation(self.record))])

    def _repr_html_(self) -> str:
        """Return the same as HTML."""
        from bench.reporting.page import render_cell

        return render_cell(said(self.record), [table(self.record)])


def said(record: GradientRecord) -> list[str]:
    """Return a sentence on which gradients are wrong, and one for each mistake that explains them."""
    of = {verdict: [row for row in record.rows if row.verdict == verdict] for verdict in Verdict}
    wrong, unknown = of[Verdict.WRONG], of[Verdict.NOT_CHECKED]
    if wrong:
        worst = _error(max(row.error for row in wrong))
        answer = f"WRONG in {record.function}: {_names(wrong)}, off by up to {worst}."
    elif unknown:
        answer = f"NOT CHECKED in {record.function}: {_names(unknown)}."
    else:
        answer = f"All gradients of {record.function} are right: {_names(record.rows)}."
    return [answer, *map(full_stop, sentences(record.findings))]


def table(record: GradientRecord) -> TextTable:
    """Return the table of the gradients, with a column on autograd if there was a twin."""
    fields: Fields[Row] = {
        "gradient": lambda row: one_line(gradient(row.parameter)),
        "verdict": lambda row: row.verdict.upper() if row.verdict == Verdict.WRONG else row.verdict,
        "error": lambda row: Cell.of(row.error, _error),
        "allowed": lambda row: Cell.of(row.tolerance, _error),
        "checked": lambda row: f"{row.checked} of {row.entries}",
        "off autograd": lambda row: "" if row.autograd is None else Cell.of(row.autograd, _error),
    }
    note = " ".join(explanation(record))
    return text_table(f"Gradients of {record.function}", fields, record.rows, note)


def explanation(record: GradientRecord) -> list[str]:
    """Return the method and the notes, a sentence or two each."""
    because = f", since complex steps cannot be used: {record.reason}" if record.reason else ""
    return [
        f"Errors are |given - exact| / |exact|; exact is computed by {record.method}{because}.",
        *record.notes,
    ]


def _names(rows: Sequence[Row]) -> str:
    return listing([gradient(row.parameter) for row in rows], MOST_NAMED)


def _error(error: float) -> str:
    return units.short_error(error) if error < sys.float_info.max else "infinite"


def _wrapped(paragraphs: Sequence[str]) -> list[str]:
    return [line for one in paragraphs for line in wrap(one, WIDTH, break_on_hyphens=False)]
