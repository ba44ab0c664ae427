"""Make the cells that tables on one stream and on many share, and print such a table on a terminal."""

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from bench.analysis import concurrency, tail
from bench.machine import libraries, units, wording
from bench.records.record import Arm
from bench.records.stream import CONTROL
from bench.reporting.section import Cell, TextTable

MACHINE = "*"  # marks what the control explains
TONES = {"FASTER": "good", "SLOWER": "bad"}
Ratio = tail.Ratio | concurrency.Ratio


def label(q: float) -> str:
    """Return a percentile's name: p99.9."""
    return f"p{100 * q:g}"


def library_name(arm: Arm) -> str:
    """Return the label of an arm's library, and its device unless that is the CPU: PyTorch on cuda:0."""
    return libraries.library(arm.library).label + f" on {arm.device}" * (arm.device != "cpu")


def both(sides: Sequence[Arm]) -> str:
    """Return "both", or which libraries these are where one is on an accelerator."""
    names = dict.fromkeys(map(library_name, sides))
    return "both" if all(arm.device == "cpu" for arm in sides) else wording.listing([*names])


def variant_cell(arm: Arm | None) -> Cell:
    """Return the title of an arm, or of the control."""
    return Cell(arm.title, library=arm.library) if arm else Cell(CONTROL, "computes nothing")


def quantile_cell(quantile: tail.Quantile | None) -> Cell:
    """Return a percentile, with its interval as a note; a dash where too few steps were timed."""
    if quantile is None:
        return Cell(units.NOTHING)
    low, high = quantile.low, quantile.high
    limits = f"{units.duration(low)} to {units.duration(high)}" * bool(low)
    return Cell(units.duration(quantile.ns) + MACHINE * quantile.machine, limits, quantile.ns)


def share_cell(share: float | None, machine: bool = False) -> Cell:
    """Return a share of late steps."""
    return Cell.of(share, lambda share: units.percent(share) + MACHINE * machine)


def ratio_cell(ratio: Ratio) -> Cell:
    """Return a ratio with its interval."""
    return Cell(units.with_interval(ratio.ratio, ratio.low, ratio.high), "", ratio.ratio)


def verdict_cell(ratio: Ratio, *, quick: bool) -> Cell:
    """Return a verdict, or that it is the machine's, with the reason; of a quick run it says nothing new."""
    word = "the machine" if ratio.machine and ratio.verdict == "NONE" else ratio.verdict
    return Cell(
        word.replace("NONE", "no verdict"),
        "" if quick else ratio.reason,
        tone=TONES.get(ratio.verdict, "calm"),
    )


def printed(table: TextTable) -> Table:
    """Return a table for a terminal, of cells without their notes."""
    columns = Table(title=table.caption, box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in table.columns:
        columns.add_column(column.title, justify="right" if column.number else "left")
    for row in table.rows:
        columns.add_row(*(escape(cell.text) for cell in row))
    return columns
