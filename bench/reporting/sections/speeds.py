"""The table of what the libraries can do by themselves: a column a library, a row an operation."""

from collections.abc import Callable, Sequence

from bench.analysis.time_split import Estimate, Library, Speed
from bench.machine import units, wording
from bench.reporting import words
from bench.reporting.section import Cell, Column, TextTable
from bench.workload.operations import INTO, NT, TN, plain

STORED = {NT: "the right one stored transposed", TN: "the left one stored transposed"}
NOTE = (
    "A product of (m, k) and (k, n) matrices makes 2 m k n flops; the best rate of a column, at any size, "
    "is what lower bounds are taken at. A copy counts the bytes that it reads and those that it writes. A "
    "call that has nothing to do adds two arrays without elements. All are medians over blocks, with 95 % "
    "intervals."
)

UNITS = ("ns", "Gflop/s", "G elements/s", "GB/s")  # in the order of the table
Row = tuple[str, str, str]  # what it is, a note, its unit


def speeds_table(libraries: Sequence[Library]) -> tuple[TextTable, ...]:
    """One table, or none without a library that has values."""
    if not libraries:
        return ()
    columns = [Column("Operation")]
    columns += [Column(f"{words.library(one.arm)}, {words.place(one.arm)}", number=True) for one in libraries]
    by_library = [_rows(one) for one in libraries]
    heads = sorted(
        {head: None for rows in by_library for head in rows}, key=lambda head: UNITS.index(head[2])
    )
    made = tuple(
        (Cell(head[0], head[1]), *(_cell(rows.get(head), head[2]) for rows in by_library)) for head in heads
    )
    return (TextTable("What the libraries can do by themselves", tuple(columns), made, NOTE),)


def _rows(library: Library) -> dict[Row, Estimate]:
    """A library's speeds by what they are; what was written in place is left out."""
    rows: dict[Row, Estimate] = {}
    if library.call_ns:
        rows["a call that has nothing to do", "", "ns"] = library.call_ns
    rows |= _of(library.products, _product, "Gflop/s")
    rows |= _of(
        library.activations,
        lambda one: (f"{plain(one.name)} of {_elements(one.size[0])}", ""),
        "G elements/s",
    )
    if library.copy:
        rows[f"copy of {_elements(library.copy.size[0])}", "", "GB/s"] = library.copy.rate
    return rows


def _of(speeds: Sequence[Speed], head: Callable[[Speed], tuple[str, str]], unit: str) -> dict[Row, Estimate]:
    return {(*head(one), unit): one.rate for one in speeds if not one.name.endswith(INTO)}


def _product(one: Speed) -> tuple[str, str]:
    m, k, n = one.size
    return f"product {m} × {k} by {k} × {n}", STORED.get(one.name, "")


def _elements(n: int) -> str:
    return wording.count(n, "element")


def _cell(made: Estimate | None, unit: str) -> Cell:
    if made is None:
        return Cell(units.NOTHING)
    limits = ""
    if made.low is not None and made.high is not None:
        limits = f"[{units.number(made.low)}, {units.number(made.high)}]"
    return Cell(f"{units.number(made.value)} {unit}", limits, made.value)
