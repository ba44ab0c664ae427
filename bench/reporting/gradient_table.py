"""Define what ``bench.check_gradients`` returns: the answer, a table of the gradients, and the mistakes."""

import html
from dataclasses import asdict
from functools import cached_property
from textwrap import wrap
from typing import TYPE_CHECKING

from bench.gradients.check import GradientRecord, Row, Verdict
from bench.machine import units
from bench.machine.wording import full_stop, listing
from bench.reporting.findings import sentences

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80  # columns
HEADER = ("gradient", "error", "tolerance", "verdict", "checked")


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
        if not self.ok:
            raise AssertionError(repr(self))

    def __repr__(self) -> str:
        """Return the answer, the table, and what explains it, in plain text."""
        rows = [HEADER, *map(cells, self.record.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*_wrapped(answer(self.record)), *table, *_wrapped(*explanation(self.record))])

    def _repr_html_(self) -> str:
        """Return the same as HTML."""
        head = "".join(f"<th>{html.escape(text)}</th>" for text in HEADER)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in cells(row))}</tr>"
            for row in self.record.rows
        )
        said = "".join(f"<p>{html.escape(line)}</p>" for line in explanation(self.record))
        return f"<p>{html.escape(answer(self.record))}</p><table><tr>{head}</tr>{body}</table>{said}"


def answer(record: GradientRecord) -> str:
    """Return in one sentence which gradients are wrong."""
    by_verdict = {
        verdict: [f"d{row.parameter}" for row in record.rows if row.verdict == verdict] for verdict in Verdict
    }
    wrong, unknown = by_verdict[Verdict.WRONG], by_verdict[Verdict.NOT_CHECKED]
    if wrong:
        return f"WRONG: {listing(wrong)} of {record.function}."
    if unknown:
        return f"NOT CHECKED: {listing(unknown)} of {record.function}."
    return f"All gradients of {record.function} are right: {listing(by_verdict[Verdict.RIGHT])}."


def cells(row: Row) -> tuple[str, ...]:
    """Return the texts of a gradient's row."""
    error, tolerance = (units.error(x) if x < 1e9 else "infinite" for x in (row.error, row.tolerance))
    return f"d{row.parameter}", error, tolerance, row.verdict, f"{row.checked} of {row.entries}"


def explanation(record: GradientRecord) -> list[str]:
    """Return the findings, the method and the notes, a sentence or two each."""
    because = f", since complex steps cannot be used: {record.reason}" if record.reason else ""
    method = f"Compared with {record.method}{because}."
    return [*map(full_stop, sentences(record.findings)), method, *record.notes]


def _wrapped(*sentences: str) -> list[str]:
    return [line for one in sentences for line in wrap(one, WIDTH, break_on_hyphens=False)]
