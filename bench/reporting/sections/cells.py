"""Build the section on what another cell costs: the time of a GRU and an LSTM over that of the RNN."""

from collections.abc import Iterator
from functools import partial

from bench.analysis.summary import Row, Table
from bench.machine import units, wording
from bench.reporting import tables, words
from bench.reporting.facts import Facts
from bench.reporting.section import Cell, Fields, Hero, Section, TextTable, text_table
from bench.workload.catalog import by_name

NOTE = (
    "A GRU has three matrices where an RNN has one, an LSTM four, and more elementwise work. Ratios are "
    "taken within blocks, so they need not be those of the times shown."
)


def cells_section(facts: Facts, prefix: str) -> Section | None:
    """Return the section with a table for each size; None for a run of one cell."""
    measured = [table for table in facts.summary.tables if table.kind == "cells"]
    if not measured:
        return None
    return Section(
        id="cells",
        title="What does another cell cost?",
        lead=tuple(sentences(measured[0])),
        tables=tuple(map(partial(_table, facts), measured)),
        notes=(NOTE,),
    )


def hero(facts: Facts, right: str) -> Hero | None:
    """Return the answer of a run of several cells; None for a run of one cell."""
    measured = [table for table in facts.summary.tables if table.kind == "cells"]
    costs = by_cell(measured[0]) if measured else {}
    usual = {cell: [row for row in rows if _is_usual(row) and _ratio(row)] for cell, rows in costs.items()}
    clauses = []
    for cell, rows in usual.items():
        in_libraries = [f"{units.ratio(_ratio(row))} in {words.library(row.arm)}" for row in rows]
        clauses += [f"{words.cell(cell)} {wording.listing(in_libraries)}"] if rows else []
    if not clauses:
        return None
    headlines = [pair for pair in facts.summary.headlines if pair.kind == "as_written"]
    sides = [f"{words.cell(facts.case(pair.entry).cell)}: {words.clause(pair)}." for pair in headlines]
    return Hero(
        title=f"Times the cost of an RNN: {'; '.join(clauses)}",
        small=("each as usually written", wording.count(facts.summary.blocks, "block")),
        facts=(
            ("What a cell costs", " ".join(sentences(measured[0]))),
            ("NumPy or PyTorch", "\n".join(map(wording.capital, sides))),
            *((("Is it right?", right),) if right else ()),
        ),
    )


def _is_usual(row: Row) -> bool:
    """Return whether the row's variant is the usual way to write the cell in its library."""
    variant = by_name(row.arm.variant)
    return variant is not None and variant.role == "as_written"


def _ratio(row: Row) -> float:
    """Return the row's time over the RNN's; 0 if unknown."""
    return (row.comparison.ratio or 0.0) if row.comparison else 0.0


def sentences(table: Table) -> Iterator[str]:
    """Yield a sentence for each cell: what it costs in each library as usually written, and in place."""
    for cell, rows in by_cell(table).items():
        costs = [f"{units.ratio(_ratio(row))} times with {row.arm.variant}" for row in rows if _ratio(row)]
        if costs:
            work = words.TASKS[table.case.task]
            yield f"A {work} of the {words.cell(cell)} costs {wording.listing(costs)} that of the RNN."


def by_cell(table: Table) -> dict[str, list[Row]]:
    """Return the rows that have the RNN as baseline, by the name of their cell."""
    by_cell: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.entry.baseline is not None:
            by_cell.setdefault(row.entry.case.cell, []).append(row)
    return by_cell


def _table(facts: Facts, table: Table) -> TextTable:
    """Return the times of every arm by cell, each with its ratio to the RNN's."""
    by_place = {(row.arm.id, row.entry.case.cell): row for row in table.rows}

    def time(cell: str, row: Row) -> Cell:
        other = by_place.get((row.arm.id, cell))
        if other is None or other.median_ns is None:
            return Cell(units.NOTHING)
        pair = other.comparison
        note = "" if pair is None or pair.ratio is None else f"× {tables.ratio_text(pair)}"
        return Cell(units.duration(other.median_ns), note, other.median_ns)

    cells = dict.fromkeys(row.entry.case.cell for row in table.rows)
    fields: Fields[Row] = {
        "Variant": lambda row: tables.variant_cell(row.arm, tables.place(row.arm)),
        **{words.cell(cell): partial(time, cell) for cell in cells},
    }
    rows = [row for row in table.rows if row.entry.baseline is None]
    return text_table(f"Time a call by cell, {table.case.shape}", fields, rows)
