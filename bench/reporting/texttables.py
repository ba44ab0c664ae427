"""The tables of a run in the form that HTML and Markdown share."""

from collections.abc import Iterable, Sequence

from bench.reporting.environment import Library
from bench.reporting.overview import OverviewLine
from bench.reporting.section import Cell, Column, TextTable
from bench.reporting.tables import Headline, Line
from bench.reporting.view import TableView
from bench.reporting.words import RATIOS

Three = tuple[str, str, str]
Trouble = tuple[str, str, str, str, str]

ENTRIES = (
    Column("Variant"), Column("Time a call", True), Column("÷ baseline", True),
    Column("Than the baseline"), Column("Samples/s", True), Column("Where"), Column("Proof"),
)  # fmt: skip
EVERY_SHAPE = (Column("Size"), *ENTRIES)
T_INTERVAL = Column("Student’s t interval", True)
HEADLINES = (
    Column("Comparison"), Column("Entry"), Column("Against"), Column("Entry ÷ other", True),
    T_INTERVAL, Column("Verdict"),
)  # fmt: skip
WITH_INTERVALS = (
    "A ratio has its exact interval below it; beside it stands Student’s t interval of the same blocks: "
    "where the two disagree about 1, there is no verdict. "
)
CHOSEN = "The fastest form of each library was chosen in block 0, which is not among the values."
OVERVIEW = (
    Column("Result"), Column("Machine"), Column("PyTorch ÷ NumPy, as usually written"),
    Column("PyTorch ÷ NumPy, fastest form of each"), Column("The tutorial's claim"),
    Column("Noise floor", True),
)  # fmt: skip


def entries_table(table: TableView) -> TextTable:
    """One case: a row an entry."""
    return TextTable(table.title, ENTRIES, tuple(_entry(line) for line in table.lines))


def every_shape(tables: Sequence[TableView]) -> TextTable:
    """Many cases in one table, which sorts and filters."""
    rows = tuple(
        (Cell(table.shape, note=table.title), *_entry(line)) for table in tables for line in table.lines
    )
    note = "T steps of I features, B samples at once, H hidden units, O outputs."
    return TextTable("Times at every size", EVERY_SHAPE, rows, note)


def headlines_table(lines: Iterable[Headline], caption: str) -> TextTable:
    """The comparisons that were declared before they were measured."""
    lines = tuple(lines)
    intervals = any(line.interval for line in lines)
    rows = tuple(
        (
            Cell(line.what, note=line.where),
            Cell(line.entry, note=line.entry_time),
            Cell(line.baseline, note=line.baseline_time),
            Cell(line.ratio, note=line.interval, value=line.quotient),
            *([Cell(line.t_interval)] if intervals else []),
            Cell(line.verdict, note=line.reason, tone=line.tone),
        )
        for line in lines
    )
    columns = HEADLINES if intervals else tuple(one for one in HEADLINES if one is not T_INTERVAL)
    note = f"{WITH_INTERVALS if intervals else ''}{RATIOS} {CHOSEN}"
    return TextTable(caption, columns, rows, note)


def noise_table(noise: Iterable[Three], caption: str) -> TextTable:
    """The twins: the same thing measured twice."""
    columns = (Column("Table and place"), Column("Twin ÷ baseline", True), Column("Noise floor", True))
    return TextTable(caption, columns, _plain(noise))


def troubles_table(troubles: Iterable[Trouble]) -> TextTable:
    """Entries that failed, how often and why."""
    names = ("Entry", "What happened", "In block", "Why")
    return TextTable("What failed", tuple(map(Column, names)), _plain(one[:4] for one in troubles))


def starts_table(starts: Iterable[Three]) -> TextTable:
    """What is not in the times: starting, and the first call."""
    columns = (
        Column("Not in the times above"), Column("Start and import", True), Column("First call", True)
    )  # fmt: skip
    note = (
        "Medians over all blocks. A start is the processor time until a fresh process is ready: interpreter, "
        "imports (with the garbage collector off), a first binding (and compiling, for compiled code). The "
        "first call is that of the process, with all that a library sets up once."
    )
    return TextTable("Start and first call", columns, _plain(starts), note)


def libraries_table(libraries: Iterable[Library]) -> TextTable:
    """Version, BLAS and kernel of each library."""
    names = ("Library", "Version", "BLAS", "Kernel that ran", "As its workers read it")
    rows = ((one.name, one.version, one.blas, one.kernel, one.other) for one in libraries)
    return TextTable("Libraries", tuple(map(Column, names)), _plain(rows))


def overview_table(lines: Iterable[OverviewLine], anchors: Iterable[str]) -> TextTable:
    """Several results side by side, each with a link to its part of the page."""
    lines = tuple(lines)
    rows = tuple(
        (Cell(line.name, link=anchor), *(Cell(text) for text in (line.machine, *line.ratios, line.noise)))
        for line, anchor in zip(lines, anchors, strict=True)
    )
    note = (
        "Above 1 NumPy is faster; the verdict is PyTorch's. The claim is the tutorial's PyTorch program over "
        "its NumPy program: different work."
    )
    told = any(line.told for line in lines)
    return TextTable("Results side by side", OVERVIEW, rows, note if told else "")


def _entry(line: Line) -> tuple[Cell, ...]:
    return (
        Cell(line.variant, note=", ".join(line.marks), library=line.library),
        Cell(line.time, note=line.range, value=line.median_ns),
        Cell(line.ratio, note=line.interval, value=line.quotient),
        Cell(line.verdict, note=line.reason, tone=line.tone if line.verdict else ""),
        Cell(line.samples, value=line.rate),
        Cell(line.place),
        Cell(line.proof, note=line.proof_detail),
    )


def _plain(rows: Iterable[Iterable[str]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(tuple(map(Cell, row)) for row in rows)
