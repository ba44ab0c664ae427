"""What a run left out to keep within its time budget: named in one line, instead of tables full of dashes."""

from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.outcome import WITHIN_BUDGET
from bench.machine import wording
from bench.reporting.view import TableView

MOST = 6  # names in the line


def timed(table: TableView) -> TableView:
    """The table without the rows that were left out."""
    return replace(table, lines=tuple(line for line in table.lines if not line.left_out))


def left_out(tables: Sequence[TableView]) -> list[str]:
    """The line, where it has anything to say."""
    names: dict[str, None] = {}  # as a set that keeps its order
    for table in tables:
        if all(line.left_out for line in table.lines):
            names[_plain(table, tables)] = None
        else:
            names |= dict.fromkeys(_rows(table))
    return [f"Not timed in this run, {WITHIN_BUDGET}: {wording.listing(list(names), MOST)}."] if names else []


def _plain(table: TableView, tables: Sequence[TableView]) -> str:
    """A whole table, by what tells it from the first, "sequence input"; else by its shape."""
    first = tables[0].title.split(", ")
    own = [part for part in table.title.split(", ") if part not in first]
    if not own:
        return table.shape if len(tables) > 1 else wording.capital(table.title)
    return wording.listing([part[:1].lower() + part[1:] for part in own])


def _rows(table: TableView) -> list[str]:
    """Rows of a table of which others were timed: "2 threads" where nothing was in that place."""
    kept = {line.place for line in table.lines if not line.left_out}
    return [
        f"{line.variant} ({line.place})" if line.place in kept else line.place.removeprefix("CPU, ")
        for line in table.lines
        if line.left_out
    ]
