"""The values of a run as a file within the page, so that whoever has the page has them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from bench.analysis.outcome import Outcome
from bench.machine import wording
from bench.records.run import Run
from bench.records.table import csv_line
from bench.reporting.facts import Facts
from bench.reporting.section import File, Section, data_uri

LARGEST = 1_000_000  # bytes of a file in the page
VALUES = ("entry", "block", "round", "n_calls", "elapsed_ns")
MEDIANS = ("entry", "block", "median_ns")
NOTE = (
    "elapsed_ns is what n_calls calls took together, without waiting for a processor; block 0 does not count."
)


def download_section(facts: Facts, found: Mapping[str, Outcome], prefix: str) -> Section:
    """Return the raw values where they are small enough, else the blocks' medians, else where they are."""
    section = Section(id="values", title="The raw values", notes=(NOTE,))
    total = sum(len(burst.elapsed_ns) for burst in facts.run.bursts)
    for name, columns, lines, what in (
        ("values", VALUES, _values(facts.run), wording.count(total, "value")),
        ("medians", MEDIANS, _medians(found), "the median of every block; all values are in values.csv"),
    ):
        if text := _limited(chain([csv_line(columns)], lines)):
            file = File(f"{prefix}{name}.csv", data_uri(text, "text/csv"), f"{what}, {len(text) // 1000} kB")
            return replace(section, files=(file,))
    lead = "There are too many values for this page: they are in values.csv and in the journal beside it."
    return replace(section, lead=(lead,), notes=())


def _values(run: Run) -> Iterator[str]:
    """Yield a line for each value; block 0 is there, and does not count."""
    for burst in run.bursts:
        for number, elapsed in zip(burst.rounds, burst.elapsed_ns, strict=True):
            yield csv_line((burst.entry, burst.block, number, burst.n_calls, elapsed))


def _medians(found: Mapping[str, Outcome]) -> Iterator[str]:
    for entry, outcome in found.items():
        for block, median in outcome.medians.items():
            yield csv_line((entry, block, f"{median:.1f}"))


def _limited(lines: Iterable[str]) -> bytes:
    """Return the lines as one file; nothing where that would be too large."""
    kept, size = [], 0
    for line in lines:
        encoded = line.encode()
        size += len(encoded)
        if size > LARGEST:
            return b""
        kept.append(encoded)
    return b"".join(kept)
