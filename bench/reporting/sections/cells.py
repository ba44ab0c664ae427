"""Build the answer and the section on what another cell costs: a GRU's and an LSTM's time over the RNN's.

A cost compares a variant with itself on another cell, at the same size and in the same blocks.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from bench.analysis.summary import Row, Table
from bench.analysis.verdict import Comparison
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.reporting import tables, words
from bench.reporting.facts import Facts
from bench.reporting.plots import Mark
from bench.reporting.section import Cell, Fields, Hero, Section, TextTable, text_table
from bench.workload.case import Case
from bench.workload.catalog import by_name

TITLE = "What does another cell cost?"
MATRICES_NOTE = (
    "Where an RNN multiplies by one matrix, a GRU has three below each other and an LSTM four, so large "
    "products cost three and four times as much. Gates add elementwise work, which can cost more than that, "
    "and calls, which can cost less."
)
RATIO_NOTE = "× is the time over that of the same variant on the RNN, taken within each block."
BIASES_NOTE = "Measured are {}; `--bias` gives them to all, `--no-bias` to none."
MAX_SIZES = 6  # of which the answer tells the costs; the table has all
CAPTION = (
    "A dot is the median time of a call{}, a small dot the median of one block, the dashed line the RNN."
)


def cells_section(facts: Facts, prefix: str) -> Section | None:
    """Return the section with all costs, drawn for the first size; None for a run of one cell."""
    measured = facts.cell_tables
    if not measured:
        return None
    first = _marks(measured[0])
    caption = CAPTION.format(", the bar its 95 % interval" * facts.intervals)
    return Section(
        id="cells",
        title=TITLE,
        lead=tuple(_lead(facts)),
        drawings=tables.dot_plot(f"{prefix}cells", first, ratio_title="× the RNN", caption=caption),
        tables=(_table(facts, measured),),
        notes=(RATIO_NOTE, MATRICES_NOTE, BIASES_NOTE.format(_biases(measured[0]))),
    )


def hero(facts: Facts, right: str, noise: Sequence[str]) -> Hero | None:
    """Return the answer of a run of several cells; None for other runs, and if no cost is known.

    ``right`` says whether results are correct, ``noise`` how far the same code differs.
    """
    measured = facts.cell_tables
    costs = _by_cell(measured[0]) if measured else {}
    usual = {cell: _usual(rows) for cell, rows in costs.items()}
    known = [pair for pairs in usual.values() for pair in pairs]
    if not known:
        return None
    every = [row.comparison for rows in costs.values() for row in rows if row.comparison]
    decided = sum(map(words.is_decided, every))
    case = measured[0].case
    sides = list(_sides(facts, case))  # none where PyTorch was not measured
    sizes = f", {_difference(case, measured)}" if len(measured) > 1 else ""
    return Hero(
        title=_title(usual, known) + sizes,
        word=f"{decided} of {wording.count(len(every), 'cost')} decided"
        if facts.run.plan.verdicts
        else "no verdict",
        tone="good" if decided == len(every) else "calm",
        small=("each as usually written", *noise),
        facts=(
            *_cost_facts(facts, measured),
            *((("NumPy or PyTorch", "\n".join(sides)),) if sides else ()),
            ("What was measured", f"{_setting(measured[0])} Ratios are taken within blocks."),
            *((("Is it right?", right),) if right else ()),
        ),
    )


def _title(usual: dict[str, list[Comparison]], known: Sequence[Comparison]) -> str:
    """Return what each cell costs in each library: "A GRU costs 3.1 times an RNN in NumPy, ..."."""
    decided = [words.is_decided(pair) for pair in known]
    verb = "costs" if all(decided) else "measured"
    end = "" if all(decided) else ": not all decided" if any(decided) else ": undecided"
    clauses: list[str] = []
    for cell, pairs in usual.items():
        times = [f"{units.ratio(pair.ratio or 0)} times" for pair in pairs]
        if not clauses and times:
            times[0] += " an RNN"
        sides = [f"{text} in {words.on_device(pair.arm)}" for text, pair in zip(times, pairs, strict=True)]
        start = "" if clauses else f" {verb}"
        clauses += [f"{words.article(cell)} {words.cell(cell)}{start} {wording.listing(sides)}"] * bool(sides)
    return wording.capital("; ".join(clauses)) + end


def _usual(rows: Sequence[Row]) -> list[Comparison]:
    """Return the known costs of the usual forms: one for each library, in its first place."""
    by_library: dict[str, Comparison] = {}
    for row in rows:
        variant = by_name(row.arm.variant)
        if variant and variant.role == "as_written" and row.comparison and row.comparison.ratio is not None:
            by_library.setdefault(row.arm.library, row.comparison)
    return list(by_library.values())


def _cost_facts(facts: Facts, measured: Sequence[Table]) -> Iterator[tuple[str, str]]:
    """Yield each cell with its costs, a line a size."""
    for cell in _by_cell(measured[0]):
        lines = []
        for table in measured[:MAX_SIZES]:
            start = f"{_difference(table.case, measured)}: " if len(measured) > 1 else ""
            costs = [_cost(facts, row.comparison) for row in _by_cell(table).get(cell, []) if row.comparison]
            lines.append(full_stop(start + wording.listing(costs, len(costs))))
        if len(measured) > MAX_SIZES:
            lines.append(f"{len(measured) - MAX_SIZES} more sizes stand in the table.")
        yield (
            f"{words.article(cell).capitalize()} {words.cell(cell)}’s time over an RNN’s",
            "\n".join(lines),
        )


def _cost(facts: Facts, pair: Comparison) -> str:
    """Return a cost as its verdict allows: "3.10 times [3.05, 3.15] with numpy-batched"."""
    if pair.ratio is None:
        return f"unknown with {pair.arm.title} ({pair.reason})"
    times = f"{units.ratio(pair.ratio)} times {units.interval(pair.low, pair.high)}".rstrip()
    if words.is_decided(pair):
        return f"{times} with {pair.arm.title}"
    verdict = f" ({words.verdict(pair)})" * facts.run.plan.verdicts
    return f"measured {times} with {pair.arm.title}{verdict}"


def _sides(facts: Facts, first: Case) -> Iterator[str]:
    """Yield for each cell which library is faster at the first size: as usually written, and at best."""
    work, by_cell = (first.shape, first.task, first.layout), dict[str, list[str]]()
    pairs = [pair for pair in facts.summary.headlines if pair.kind in words.FORM_PHRASES]
    several = len({words.place(pair.arm) for pair in pairs}) > 1
    for pair in pairs:
        case = facts.case(pair.entry)
        if (case.shape, case.task, case.layout) == work:
            where = f" ({words.places(pair.baseline_arm, pair.arm)})" * several
            clause = f"{words.FORM_PHRASES[pair.kind]}{where}, {words.clause(pair)}"
            by_cell.setdefault(case.cell, []).append(clause)
    for cell, clauses in by_cell.items():
        yield full_stop(f"{words.cell(cell)}: {'; '.join(clauses)}")


def _setting(table: Table) -> str:
    """Return the work, size and places of a table."""
    case, places = table.case, dict.fromkeys(words.place(row.arm) for row in table.rows)
    inputs = "on random data" if case.data == "random" else f"with {case.layout} input"
    size = f"{words.shape(case)}; {_biases(table)}; {case.dtype}"
    return f"The {words.TASKS[case.task]} {inputs}, {size}; {wording.listing([*places])}."


def _lead(facts: Facts) -> Iterator[str]:
    """Yield how many costs are decided."""
    costs = [pair for pair in facts.summary.headlines if pair.kind == "cell" and not pair.left_out]
    if not facts.run.plan.verdicts:
        yield f"These are {wording.count(len(costs), 'cost')} of a quick run, without verdicts."
        return
    decided = sum(map(words.is_decided, costs))
    verb = "is" if len(costs) == 1 else "are"
    yield f"{decided} of {wording.count(len(costs), 'cost')} {verb} proved to differ from the RNN’s time."


def _by_cell(table: Table) -> dict[str, list[Row]]:
    """Return the rows that have the RNN as baseline, by the name of their cell."""
    by_cell: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.entry.baseline is not None:
            by_cell.setdefault(row.entry.case.cell, []).append(row)
    return by_cell


def _difference(case: Case, measured: Sequence[Table]) -> str:
    """Return how the work of a table differs from that of the others: "gradient, H = 128"."""
    cases = [table.case for table in measured]
    names = [words.TASKS[case.task]] * (len({other.task for other in cases}) > 1)
    names += [f"{case.layout} input"] * (len({other.layout for other in cases}) > 1)
    names += [
        f"{letter} = {getattr(case.shape, letter)}"
        for letter in "TBIHO"
        if len({getattr(other.shape, letter) for other in cases if other.layout == case.layout}) > 1
    ]
    return ", ".join(names)


def _biases(table: Table) -> str:
    """Return which of the cells have biases: "GRU and LSTM with biases, RNN without"."""
    cases = [row.entry.case for row in table.rows]
    with_biases, without = (
        list(dict.fromkeys(words.cell(case.cell) for case in cases if case.bias == bias))
        for bias in (True, False)
    )
    texts = [f"{wording.listing(with_biases)} with biases"] * bool(with_biases)
    texts += [f"{wording.listing(without)} without"] * bool(without)
    return ", ".join(texts)


def _marks(table: Table) -> tuple[Mark, ...]:
    """Return the rows of a table for its picture: a section for each arm, a row for each cell."""
    rows = sorted(table.rows, key=lambda row: [other.arm.id for other in table.rows].index(row.arm.id))
    return tuple(
        tables.mark(
            row,
            label=words.cell(row.entry.case.cell),
            section=row.arm.title,
            baseline=row.entry.baseline is None,
        )
        for row in rows
        if row.median_ns is not None
    )


def _table(facts: Facts, measured: Sequence[Table]) -> TextTable:
    """Return the time of every arm by cell, each with its ratio to the RNN's."""
    by_place = {
        (table.name, row.arm.id, row.entry.case.cell): row for table in measured for row in table.rows
    }

    def time(cell: str, row: Row) -> Cell:
        other = by_place.get((row.entry.group, row.arm.id, cell))
        if other is None:
            return Cell(units.NOTHING)
        pair = other.comparison
        if other.median_ns is None:
            return Cell(units.NOTHING, other.outcome.reason)
        note = "" if pair is None or pair.ratio is None else f"× {tables.ratio_text(pair)}"
        open_verdict = facts.run.plan.verdicts and pair is not None and not words.is_decided(pair)
        verdict = f" {words.verdict(pair)}" if open_verdict and pair else ""
        return Cell(units.duration(other.median_ns), note + verdict, other.median_ns)

    def variant(row: Row) -> Cell:
        work = _difference(row.entry.case, measured)
        return tables.variant_cell(row.arm, "; ".join(filter(None, (words.place(row.arm), work))))

    cells = dict.fromkeys(row.entry.case.cell for table in measured for row in table.rows)
    fields: Fields[Row] = {"Variant": variant, **{words.cell(cell): partial(time, cell) for cell in cells}}
    rows = [row for table in measured for row in table.rows if row.entry.baseline is None]
    return text_table("Time of a call, by cell", fields, rows)
