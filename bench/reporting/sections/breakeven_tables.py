"""The tables on what it costs to start: where the lines of pairs cross, and what each arm pays."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import compress

from bench.analysis.breakeven import BreakEven, Cost
from bench.analysis.verdict import Kind
from bench.machine import units, wording
from bench.records.run import Run
from bench.reporting import words
from bench.reporting.section import Cell, Column, TextTable
from bench.reporting.sections.breakeven_words import compared, duration, gap, noun, steps
from bench.reporting.tables import HEADLINES

TOTALS = (1, 100, 10_000, 1_000_000)  # steps
HOW: dict[Kind, str] = {
    **HEADLINES,
    "compiling": "with and without a compiler",
    "tutorial": "what the tutorial's readers run",
}


def crossing_table(run: Run, made: Sequence[BreakEven]) -> TextTable:
    """A row a pair: who is ahead at first, and from how many steps on no longer."""
    columns = (
        Column("Compared"),
        Column("Ahead at first"),
        Column("Starts apart by", number=True),
        Column("Overtaken after", number=True),
        Column("A step of the slower takes", number=True),
    )
    rows = tuple(_crossing_row(run, one) for one in made)
    return TextTable("From how many steps on a later start pays", columns, rows)


def _crossing_row(run: Run, made: BreakEven) -> tuple[Cell, ...]:
    first, lead = made.ahead_first, words.lead(run, made.step)
    after = {"crosses": steps(made), "open": "open"}.get(made.kind, "never")
    note = made.reason
    if made.from_cache is not None and made.from_cache.steps is not None:
        note = f"from the cache: {steps(made.from_cache)}"
    return (
        Cell(compared(made), f"{HOW[made.step.kind]}; {words.places(made.one.arm, made.other.arm)}"),
        Cell(words.variant(first.arm), library=first.arm.library),
        Cell(gap(made), value=abs(made.gap.estimate)),
        Cell(after, note, value=made.steps),
        Cell(lead.times if lead else units.NOTHING, value=lead.factor if lead else None),
    )


def cost_table(shown: Sequence[Cost]) -> TextTable:
    """A row an arm: what it pays once, a step, and both for several numbers of steps.

    What no arm pays has no column. Totals have no limits: those of their parts stand beside them.
    """
    one = noun(shown[0])
    titles = ["Start and import", "First call", "Compiling", "Transfer", wording.capital(f"a {one}")]
    titles += [wording.count(k, one) for k in TOTALS]
    columns = [Column("Variant"), *(Column(title, number=True) for title in titles)]
    rows = [_cost_row(cost) for cost in shown]
    kept = [any(row[place].text != units.NOTHING for row in rows) for place in range(len(columns))]
    return TextTable(
        "What is paid once, and in all",
        tuple(compress(columns, kept)),
        tuple(tuple(compress(row, kept)) for row in rows),
    )


def _cost_row(cost: Cost) -> tuple[Cell, ...]:
    parts, case = cost.parts, cost.entry.case
    compiling = Cell(units.NOTHING)
    if cost.compile_ns:
        note = f"{duration(cost.from_cache_ns)} from the cache"
        compiling = Cell(duration(cost.compile_ns), note, value=cost.compile_ns)
    return (
        Cell(words.variant(cost.arm), f"{words.place(cost.arm)}; {case.dtype}", library=cost.arm.library),
        _cell(cost, lambda block: parts[block].start_ns),
        _cell(cost, lambda block: parts[block].first_call_ns),
        compiling,
        _cell(cost, lambda block: parts[block].transfer_ns),
        _cell(cost, cost.step_ns),
        *(replace(_cell(cost, partial(cost.total_ns, k)), note="") for k in TOTALS),
    )


def _cell(cost: Cost, part: Callable[[int], float]) -> Cell:
    """Something that each block has: its median, and limits where there are some."""
    found = cost.typical(part)
    if not found.estimate:
        return Cell(units.NOTHING)
    limits = f"{duration(found.low)} to {duration(found.high)}" if found.finite else ""
    return Cell(duration(found.estimate), limits, value=found.estimate)
