"""Hold the answer of one stream or of many: what ``bench.stream()`` returns, and JSON for programs."""

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.analysis.concurrency import Concurrency, analyse_many
from bench.analysis.tail import Quantile, Ratio, Tail, Tails, analyse
from bench.records.record import Arm
from bench.records.stream import CONTROL, Stream, read_stream
from bench.reporting import concurrency, tail
from bench.reporting.section import Article, TextTable
from bench.reporting.stream_tables import label, printed

JUDGED = ("kind", "ratio", "low", "high", "verdict", "reason", "machine")  # fields of a ratio
# fields of a row of many streams; no arm is the control
POINT = ("arm", "streams", "workers", "step", "quantiles", "late")
SERVED = ("arm", "least", "capped", "allowed", "machine")
RATIO = ("what", "streams", "workers", "entry", "baseline", *JUDGED[1:])
WIDTH = 80  # of the tables
FAILED = ("block", "entry", "status", "reason")  # fields of a failure


class StreamAnswer(ABC):
    """Hold the answer of one stream, or of many: its sentence, and everything as plain objects."""

    __slots__ = ()
    folder: Path

    @property
    @abstractmethod
    def stream(self) -> Stream:
        """Return what was read from the file."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """Return the answer in one sentence."""

    @abstractmethod
    def tables(self) -> Iterator[TextTable]:
        """Yield the tables."""

    @abstractmethod
    def notes(self) -> Iterator[str]:
        """Yield what stands beside the tables."""

    @abstractmethod
    def results(self) -> dict[str, Any]:
        """Return the rows of all tables, ready for JSON."""

    @abstractmethod
    def article(self, anchor: str, *, prefix: str) -> Article:
        """Return the article for a page; ``prefix`` starts the names of its plots."""

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

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Return what failed, ready for JSON."""
        return [{name: getattr(failure, name) for name in FAILED} for failure in self.stream.failures]

    def as_dict(self) -> dict[str, Any]:
        """Return all results, ready for JSON: times in nanoseconds, all numbers finite."""
        declared = self.stream.declaration
        return {
            "sentence": self.sentence,
            "status": self.status,
            **{name: getattr(declared, name) for name in ("rate", "pace", "collector")},
            "blocks": self.stream.blocks,
            **self.results(),
            "failures": self.failures,
            "case": dataclasses.asdict(declared.case),
            "folder": str(self.folder),
        }

    def show(self, console: Console) -> None:
        """Print the sentence, the tables, and what stands beside them."""
        console.print(f"{self.sentence}\n", markup=False, soft_wrap=not console.is_terminal)
        for table in self.tables():
            console.print(printed(table))
        for line in self.notes():
            console.print(line, markup=False, soft_wrap=not console.is_terminal)

    def _repr_html_(self) -> str:
        """Return the sentence, the plot and the tables, for a notebook."""
        from bench.reporting.stream import stream_cell  # matplotlib and jinja2

        return stream_cell(self.article("", prefix=""))

    def to_json(self) -> str:
        """Return ``as_dict`` as JSON text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        console = Console(file=StringIO(), width=WIDTH, highlight=False)
        self.show(console)
        text: str = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
        return text

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class Streamed(StreamAnswer):
    """Hold the answer of one stream."""

    tails: Tails
    folder: Path

    @property
    def stream(self) -> Stream:
        """Return what was read from the file."""
        return self.tails.stream

    @property
    def sentence(self) -> str:
        """Return the answer in one sentence."""
        return tail.headline(self.tails)

    def tables(self) -> Iterator[TextTable]:
        """Yield the tables."""
        return tail.tables(self.tails)

    def notes(self) -> Iterator[str]:
        """Yield what stands beside the tables."""
        return tail.notes(self.tails)

    def article(self, anchor: str, *, prefix: str) -> Article:
        """Return the article for a page; ``prefix`` starts the names of its plots."""
        from bench.reporting.stream import stream_article  # matplotlib and jinja2

        return stream_article(self.tails, anchor, prefix=prefix)

    def results(self) -> dict[str, Any]:
        """Return what is decided, and the rows of all tables, ready for JSON."""
        tails = self.tails
        return {
            **{name: getattr(tails.decision, name) for name in ("calls", "group", "idle_ns")},
            "rows": [_tail_row(each) for each in (*tails.arms, tails.control)],
            "ratios": [_ratio_row(ratio) for ratio in tails.ratios],
        }


@dataclass(frozen=True, slots=True, repr=False)
class ManyStreamed(StreamAnswer):
    """Hold the answer of many streams."""

    summary: Concurrency
    folder: Path

    @property
    def stream(self) -> Stream:
        """Return what was read from the file."""
        return self.summary.stream

    @property
    def sentence(self) -> str:
        """Return the answer in one sentence."""
        return concurrency.headline(self.summary)

    def tables(self) -> Iterator[TextTable]:
        """Yield the tables."""
        return concurrency.tables(self.summary)

    def notes(self) -> Iterator[str]:
        """Yield what stands beside the tables."""
        return concurrency.notes(self.summary)

    def article(self, anchor: str, *, prefix: str) -> Article:
        """Return the article for a page; ``prefix`` starts the names of its plots."""
        from bench.reporting.concurrency_page import concurrency_article  # matplotlib and jinja2

        return concurrency_article(self.summary, anchor, prefix=prefix)

    def results(self) -> dict[str, Any]:
        """Return how many streams on what, and the rows of all tables, ready for JSON."""
        return {
            **_row(self.stream.declaration, "streams", "workers", "share"),
            "rows": [_row(point, *POINT) for point in self.summary.points],
            "served": [_row(served, *SERVED) for served in self.summary.served],
            "ratios": [_row(ratio, *RATIO) for ratio in self.summary.ratios],
        }


def load_streamed(path: Path) -> StreamAnswer:
    """Read one stream, or many at once, from its folder or its file.

    Raises:
        UserError: the file cannot be read, contradicts itself, or holds no whole block.
    """
    stream = read_stream(path)
    if stream.declaration.streams:
        return ManyStreamed(analyse_many(stream), stream.path)
    return Streamed(analyse(stream), stream.path)


def _tail_row(tail: Tail) -> dict[str, Any]:
    """Return what an arm, or the control, took, ready for JSON."""
    both = (("times", tail.times), ("response", tail.response))
    return {
        "arm": tail.arm.id if tail.arm else CONTROL,
        "library": tail.arm.library if tail.arm else None,
        **{name: {label(q): dataclasses.asdict(each) for q, each in found.items()} for name, found in both},
        "longest_ns": tail.longest_ns(),
        "missed": tail.missed,
        "missed_by_machine": tail.missed_by_machine,
        "clock_cost_ns": [max(burst.clock_cost_ns) for burst in tail.bursts],
        "clock_step_ns": min(burst.clock_step_ns for burst in tail.bursts),
        **tail.causes,
    }


def _ratio_row(ratio: Ratio) -> dict[str, Any]:
    sides = {"at": label(ratio.q), "entry": ratio.entry.id, "baseline": ratio.baseline.id}
    return sides | {name: getattr(ratio, name) for name in JUDGED}


def _row(thing: object, *names: str) -> dict[str, Any]:
    """Return these fields, ready for JSON."""
    return {name: _plain(getattr(thing, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Arm):
        return value.id
    if isinstance(value, Quantile):
        return dataclasses.asdict(value)
    return {label(q): _plain(at) for q, at in value.items()} if isinstance(value, dict) else value
