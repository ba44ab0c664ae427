"""Put a run's values into the page as a file, so that every reader of the page has them."""

from collections.abc import Iterable, Iterator
from itertools import chain

from bench.machine import wording
from bench.records.table import Cells, csv_line
from bench.reporting.facts import Facts
from bench.reporting.section import File, Section, data_uri

LARGEST = 1_000_000  # bytes of a file in the page
VALUE_COLUMNS = ("entry", "block", "round", "n_calls", "elapsed_ns")
MEDIAN_COLUMNS = ("entry", "block", "median_ns")
NOTE = (
    "elapsed_ns is what n_calls calls took together, without waiting for a processor; block 0 does not count."
)


def download_section(facts: Facts, prefix: str) -> Section:
    """Return the raw values if small enough, else the blocks' medians, else only the names of the files."""
    bursts = facts.run.bursts
    values: Iterator[Cells] = (  # block 0 included
        (burst.entry, burst.block, number, burst.n_calls, elapsed)
        for burst in bursts
        for number, elapsed in zip(burst.rounds, burst.elapsed_ns, strict=True)
    )
    medians: Iterator[Cells] = (
        (entry, block, f"{median:.1f}")
        for entry, outcome in facts.summary.outcomes.items()
        for block, median in outcome.medians.items()
    )
    total = wording.count(sum(len(burst.elapsed_ns) for burst in bursts), "value")
    for name, rows, label in (
        ("values", chain[Cells]([VALUE_COLUMNS], values), total),
        (
            "medians",
            chain[Cells]([MEDIAN_COLUMNS], medians),
            "the median of every block; all values are in values.csv",
        ),
    ):
        if csv := _csv_bytes(rows):
            file = File(f"{prefix}{name}.csv", data_uri(csv, "text/csv"), f"{label}, {len(csv) // 1000} kB")
            return Section(id="values", title="The raw values", file=file, notes=(NOTE,))
    lead = "There are too many values for this page: they are in values.csv and in the journal beside it."
    return Section(id="values", title="The raw values", lead=(lead,))


def _csv_bytes(rows: Iterable[Cells]) -> bytes:
    """Return the rows as one CSV file; empty if larger than ``LARGEST``."""
    lines, size = [], 0
    for row in rows:
        lines.append(csv_line(row).encode())
        size += len(lines[-1])
        if size > LARGEST:
            return b""
    return b"".join(lines)
