"""Hold the answer of a stream: what ``bench.stream()`` returns, and one JSON object for programs."""

import dataclasses
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.analysis.tail import Ratio, Tail, Tails, analyse
from bench.records.stream import CONTROL, Stream, read_stream
from bench.reporting.section import Article
from bench.reporting.tail import WIDTH, headline, label, show

JUDGED = ("kind", "ratio", "low", "high", "verdict", "reason", "machine")  # fields of a ratio
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
    def as_dict(self) -> dict[str, Any]:
        """Return all results, ready for JSON: times in nanoseconds, all numbers finite."""

    @abstractmethod
    def show(self, console: Console) -> None:
        """Print the sentence, the tables, and what stands beside them."""

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

    @classmethod
    def load(cls, path: Path) -> "Streamed":
        """Read a stream from its folder or its file.

        Raises:
            UserError: the file cannot be read, contradicts itself, or holds no whole block.
        """
        stream = read_stream(path)
        return cls(analyse(stream), stream.path)

    @property
    def stream(self) -> Stream:
        """Return what was read from the file."""
        return self.tails.stream

    @property
    def sentence(self) -> str:
        """Return the answer in one sentence."""
        return headline(self.tails)

    def show(self, console: Console) -> None:
        """Print the sentence, the tables, and what stands beside them."""
        show(self.tails, console)

    def article(self, anchor: str, *, prefix: str) -> Article:
        """Return the article for a page; ``prefix`` starts the names of its plots."""
        from bench.reporting.stream import stream_article  # matplotlib and jinja2

        return stream_article(self.tails, anchor, prefix=prefix)

    def as_dict(self) -> dict[str, Any]:
        """Return all results, ready for JSON: times in nanoseconds, all numbers finite."""
        tails, stream = self.tails, self.tails.stream
        declared, decided = ("rate", "pace", "collector"), ("calls", "group", "idle_ns")
        return {
            "sentence": self.sentence,
            "status": self.status,
            **{name: getattr(stream.declaration, name) for name in declared},
            **{name: getattr(tails.decision, name) for name in decided},
            "blocks": len(tails.control.bursts),
            "rows": [_row(tail) for tail in (*tails.arms, tails.control)],
            "ratios": [_ratio_row(ratio) for ratio in tails.ratios],
            "failures": self.failures,
            "case": dataclasses.asdict(stream.declaration.case),
            "folder": str(self.folder),
        }

    def _repr_html_(self) -> str:
        """Return the sentence, the plot and the tables, for a notebook."""
        from bench.reporting.stream import stream_cell  # matplotlib and jinja2

        return stream_cell(self.tails)


def _row(tail: Tail) -> dict[str, Any]:
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
