"""Hold the answer of many streams, and load that of one stream or of many."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.analysis.concurrency import Concurrency, Point, Ratio, Served, analyse_many
from bench.analysis.tail import Quantile, analyse
from bench.machine.wording import full_stop
from bench.records.record import Arm
from bench.records.stream import Stream, read_stream
from bench.reporting.concurrency import headline, tables
from bench.reporting.section import Article, TextTable
from bench.reporting.streamed import JUDGED, StreamAnswer, Streamed
from bench.reporting.tail import label, troubles

# fields of a row; no arm is the control
POINT = ("arm", "streams", "workers", "step", "quantiles", "late")
SERVED = ("arm", "least", "capped", "allowed", "machine")
RATIO = ("what", "streams", "workers", "entry", "baseline", *JUDGED[1:])


@dataclass(frozen=True, slots=True, repr=False)
class ManyStreamed(StreamAnswer):
    """Hold the answer of many streams."""

    found: Concurrency
    folder: Path

    @property
    def stream(self) -> Stream:
        """Return what was read from the file."""
        return self.found.stream

    @property
    def sentence(self) -> str:
        """Return the answer in one sentence."""
        return headline(self.found)

    def as_dict(self) -> dict[str, Any]:
        """Return all results, ready for JSON: times in nanoseconds, all numbers finite."""
        declared = self.stream.declaration
        names = ("rate", "pace", "collector", "streams", "workers", "share")
        return {
            "sentence": self.sentence,
            "status": self.status,
            **{name: getattr(declared, name) for name in names},
            "blocks": self.stream.blocks,
            "rows": [_row(point, *POINT) for point in self.found.points],
            "served": [_row(one, *SERVED) for one in self.found.served],
            "ratios": [_row(ratio, *RATIO) for ratio in self.found.ratios],
            "failures": self.failures,
            "case": dataclasses.asdict(declared.case),
            "folder": str(self.folder),
        }

    def show(self, console: Console) -> None:
        """Print the sentence, the tables, and what stands beside them."""
        console.print(f"{self.sentence}\n", markup=False, soft_wrap=not console.is_terminal)
        notes = list[str]()
        for table in tables(self.found):
            console.print(_printed(table))
            notes += filter(None, [table.note])
        reasons = {f"{r.entry.title}: {full_stop(r.reason)}": None for r in self.found.ratios if r.reason}
        for line in (*notes, *reasons, *troubles(self.stream)):
            console.print(line, markup=False, soft_wrap=not console.is_terminal)

    def article(self, anchor: str, *, prefix: str) -> Article:
        """Return the article for a page; ``prefix`` starts the names of its plots."""
        from bench.reporting.concurrency_page import concurrency_article  # matplotlib and jinja2

        return concurrency_article(self.found, anchor, prefix=prefix)

    def _repr_html_(self) -> str:
        """Return the sentence, the plot and the tables, for a notebook."""
        from bench.reporting.concurrency_page import concurrency_cell

        return concurrency_cell(self.found)


def load_streamed(path: Path) -> StreamAnswer:
    """Read one stream, or many at once, from its folder or its file.

    Raises:
        UserError: the file cannot be read, contradicts itself, or holds no whole block.
    """
    stream = read_stream(path)
    if stream.declaration.streams:
        return ManyStreamed(analyse_many(stream), stream.path)
    return Streamed(analyse(stream), stream.path)


def _printed(table: TextTable) -> Table:
    """Return a table for a terminal, of cells without their notes."""
    printed = Table(title=table.caption, box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in table.columns:
        printed.add_column(column.title, justify="right" if column.number else "left")
    for row in table.rows:
        printed.add_row(*(escape(cell.text) for cell in row))
    return printed


def _row(found: Point | Served | Ratio, *names: str) -> dict[str, Any]:
    """Return these fields, ready for JSON."""
    return {name: _plain(getattr(found, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Arm):
        return value.id
    if isinstance(value, Quantile):
        return dataclasses.asdict(value)
    return {label(q): _plain(at) for q, at in value.items()} if isinstance(value, dict) else value
