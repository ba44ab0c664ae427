"""Define what ``bench.check_gradients`` returns: the answer, a table of the gradients, and the mistakes."""

import html
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from textwrap import wrap
from typing import TYPE_CHECKING

from bench.gradients.check import GradientRecord, Verdict
from bench.machine import units
from bench.machine.wording import full_stop, listing
from bench.reporting.findings import sentences

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80  # columns
HEADER = ("gradient", "error", "tolerance", "verdict", "checked")
TWIN = "off autograd"  # the column of a twin


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
        rows = table(self.record)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        # the mistakes before the table: of a failed assert, pytest shows the beginning
        said = [answer(self.record), *mistakes(self.record)]
        return "\n".join([*_wrapped(said), *lines, *_wrapped(explanation(self.record))])

    def _repr_html_(self) -> str:
        """Return the same as HTML."""
        head, *body = ("".join(f"<td>{html.escape(text)}</td>" for text in row) for row in table(self.record))
        lines = "".join(f"<tr>{row}</tr>" for row in [head.replace("td>", "th>"), *body])
        before, after = (
            "".join(f"<p>{html.escape(line)}</p>" for line in lines)
            for lines in ([answer(self.record), *mistakes(self.record)], explanation(self.record))
        )
        return f"{before}<table>{lines}</table>{after}"


def answer(record: GradientRecord) -> str:
    """Return in one sentence which gradients are wrong."""
    by_verdict = {
        verdict: [f"d{row.parameter}" for row in record.rows if row.verdict == verdict] for verdict in Verdict
    }
    wrong, unknown = by_verdict[Verdict.WRONG], by_verdict[Verdict.NOT_CHECKED]
    if wrong:
        worst = max((row for row in record.rows if row.verdict == Verdict.WRONG), key=lambda row: row.error)
        off = f"off by up to {_error(worst.error)}, allowed {_error(worst.tolerance)}"
        return f"WRONG: {listing(wrong)} of {record.function}, {off}."
    if unknown:
        return f"NOT CHECKED: {listing(unknown)} of {record.function}."
    return f"All gradients of {record.function} are right: {listing(by_verdict[Verdict.RIGHT])}."


def table(record: GradientRecord) -> list[tuple[str, ...]]:
    """Return the texts of the table, first its header, then a row per gradient."""
    has_twin = any(row.autograd is not None for row in record.rows)
    return [
        (*HEADER, TWIN) if has_twin else HEADER,
        *(
            (
                f"d{row.parameter}",
                *map(_error, (row.error, row.tolerance)),
                row.verdict,
                f"{row.checked} of {row.entries}",
                *([] if row.autograd is None else [_error(row.autograd)]),
            )
            for row in record.rows
        ),
    ]


def mistakes(record: GradientRecord) -> list[str]:
    """Return a sentence for each finding."""
    return [full_stop(text) for text in sentences(record.findings)]


def explanation(record: GradientRecord) -> list[str]:
    """Return the method and the notes, a sentence or two each."""
    because = f", since complex steps cannot be used: {record.reason}" if record.reason else ""
    method = f"Compared with {record.method}{because}."
    return [method, *record.notes]


def _error(error: float) -> str:
    return units.error(error) if error < sys.float_info.max else "infinite"


def _wrapped(sentences: Sequence[str]) -> list[str]:
    return [line for one in sentences for line in wrap(one, WIDTH, break_on_hyphens=False)]
