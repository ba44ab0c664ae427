"""Hold the answer of one stream or of many: what ``bench.stream()`` returns, and JSON for programs."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from bench.analysis.concurrency import Concurrency, analyse_many
from bench.analysis.tail import Quantile, Tail, Tails, analyse
from bench.records.record import Arm
from bench.records.stream import CONTROL, Stream, read_stream
from bench.reporting import concurrency, tail
from bench.reporting.section import Article, TextTable
from bench.reporting.stream_tables import label, printed

SIDES = ("entry", "baseline")
JUDGED = ("ratio", "low", "high", "verdict", "reason", "machine")
# fields of a row of many streams; no arm is the control
POINT = ("arm", "streams", "workers", "step", "quantiles", "late")
SERVED = ("arm", "least", "capped", "allowed", "machine")
RATIO = ("what", "streams", "workers", *SIDES, *JUDGED)
WIDTH = 80  # of the tables
FAILED = ("block", "entry", "status", "reason")  # fields of a failure


@dataclass(frozen=True, slots=True, repr=False)
class StreamAnswer:
    """Hold the answer of one stream, or of many: its sentence, and everything as plain objects."""

    summary: Tails | Concurrency
    sentence: str
    tables: tuple[TextTable, ...]
    notes: tuple[str, ...]  # beside the tables
    results: dict[str, Any]  # the rows of all tables, ready for JSON
    article: Callable[[str, str], Article]  # of an anchor on its page, and the prefix of its plots' names

    @property
    def stream(self) -> Stream:
        """Return what was read from the file."""
        return self.summary.stream

    @property
    def folder(self) -> Path:
        """Return where it is saved."""
        return self.stream.path

    @property
    def status(self) -> str:
        """Return "complete", "partial" or "interrupted"."""
        return self.stream.end.status if self.stream.end else "interrupted"

    @property
    def stopped_by(self) -> str | None:
        """Return "user" or "signal" if one of these ended it; otherwise None."""
        return self.stream.end.stopped_by if self.stream.end else None

    @property
    def disagrees(self) -> bool:
        """Return whether a result was proved wrong."""
        return any(failure.status == "disagrees" for failure in self.stream.failures)

    def as_dict(self) -> dict[str, Any]:
        """Return all results, ready for JSON: times in nanoseconds, all numbers finite."""
        declared = self.stream.declaration
        return {
            "sentence": self.sentence,
            "status": self.status,
            **_row(declared, "rate", "pace", "collector"),
            "blocks": self.stream.blocks,
            **self.results,
            "failures": [_row(failure, *FAILED) for failure in self.stream.failures],
            "case": dataclasses.asdict(declared.case),
            "folder": str(self.folder),
        }

    def show(self, console: Console) -> None:
        """Print the sentence, the tables, and what stands beside them."""
        console.print(f"{self.sentence}\n", markup=False, soft_wrap=not console.is_terminal)
        for table in self.tables:
            console.print(printed(table))
        for line in self.notes:
            console.print(line, markup=False, soft_wrap=not console.is_terminal)

    def _repr_html_(self) -> str:
        """Return the sentence, the plot and the tables, for a notebook."""
        from bench.reporting.stream import stream_cell  # matplotlib and jinja2

        return stream_cell(self.article("", ""))

    def to_json(self) -> str:
        """Return ``as_dict`` as JSON text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        console = Console(file=StringIO(), width=WIDTH, highlight=False)
        self.show(console)
        text: str = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
        return text

    __repr__ = __str__


def answer_one(tails: Tails) -> StreamAnswer:
    """Return the answer of one stream."""

    def article(anchor: str, prefix: str) -> Article:
        from bench.reporting.stream import stream_article  # matplotlib and jinja2

        return stream_article(tails, anchor, prefix=prefix)

    results = {
        **_row(tails.decision, "calls", "group"),
        "idle_ns": median(tails.idle_ns),
        "rows": [*map(_tail_row, (*tails.arms, tails.control))],
        "ratios": [{"at": label(ratio.q), **_row(ratio, *SIDES, "kind", *JUDGED)} for ratio in tails.ratios],
    }
    tables, notes = tail.tables(tails), tail.notes(tails)
    return StreamAnswer(tails, tail.headline(tails), tuple(tables), tuple(notes), results, article)


def answer_many(summary: Concurrency) -> StreamAnswer:
    """Return the answer of many streams."""

    def article(anchor: str, prefix: str) -> Article:
        from bench.reporting.concurrency_page import concurrency_article  # matplotlib and jinja2

        return concurrency_article(summary, anchor, prefix=prefix)

    results = {
        **_row(summary.stream.declaration, "streams", "workers", "share"),
        "rows": [_row(point, *POINT) for point in summary.points],
        "served": [_row(served, *SERVED) for served in summary.served],
        "ratios": [_row(ratio, *RATIO) for ratio in summary.ratios],
    }
    tables, notes = concurrency.tables(summary), concurrency.notes(summary)
    sentence = concurrency.headline(summary)
    return StreamAnswer(summary, sentence, tuple(tables), tuple(notes), results, article)


def load_streamed(path: Path) -> StreamAnswer:
    """Read one stream, or many at once, from its folder or its file.

    Raises:
        UserError: the file cannot be read, contradicts itself, or holds no whole block.
    """
    stream = read_stream(path)
    if stream.declaration.streams:
        return answer_many(analyse_many(stream))
    return answer_one(analyse(stream))


def _tail_row(tail: Tail) -> dict[str, Any]:
    """Return what an arm, or the control, took, ready for JSON."""
    return {
        "arm": tail.arm.id if tail.arm else CONTROL,
        "library": tail.arm.library if tail.arm else None,
        **_row(tail, "times", "response"),
        "longest_ns": tail.longest_ns(),
        **_row(tail, "missed", "missed_by_machine"),
        "clock_cost_ns": [max(burst.clock_cost_ns) for burst in tail.bursts],
        "clock_step_ns": min(burst.clock_step_ns for burst in tail.bursts),
        **tail.causes,
    }


def _row(record: object, *names: str) -> dict[str, Any]:
    """Return these fields, ready for JSON."""
    return {name: _plain(getattr(record, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Arm):
        return value.id
    if isinstance(value, Quantile):
        return dataclasses.asdict(value)
    return {label(q): _plain(at) for q, at in value.items()} if isinstance(value, dict) else value
