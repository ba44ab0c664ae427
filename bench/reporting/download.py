"""The values of a run as a file within the page, so that whoever has the page has them."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from bench.analysis.outcome import Outcome
from bench.machine import wording
from bench.records.run import Run
from bench.records.table import csv_line
from bench.reporting.section import File, Section

LARGEST = 1_000_000  # bytes of a file in the page
VALUES = ("entry", "block", "round", "n_calls", "elapsed_ns")
MEDIANS = ("entry", "block", "median_ns")
COUNTED = (
    "elapsed_ns is what n_calls calls took together, without waiting for a processor. Block 0, which checks "
    "results, does not count."
)


def download_section(run: Run, found: Mapping[str, Outcome], prefix: str) -> Section:
    """The raw values where they are small enough, else the medians of the blocks, else where they are."""
    total = sum(len(burst.elapsed_ns) for burst in run.bursts)
    note = "All that was recorded is in the journal beside this page, one JSON record a line."
    for name, columns, lines, what in (
        ("values", VALUES, _values(run), wording.count(total, "value")),
        ("medians", MEDIANS, _medians(found), "the median of every block; all values are in values.csv"),
    ):
        text = _limited(chain([csv_line(columns)], lines))
        if text:
            file = File(f"{prefix}{name}.csv", data_uri(text, "text/csv"), f"{what}, {len(text) // 1000} kB")
            return Section(id="values", title="The raw values", files=(file,), notes=(COUNTED, note))
    lead = "There are too many values for this page: they are in values.csv and in the journal beside it."
    return Section(id="values", title="The raw values", lead=(lead,), notes=(note,))


def data_uri(content: bytes, kind: str) -> str:
    """A file as a link that holds it; ``kind`` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _values(run: Run) -> Iterator[str]:
    """One line a value; block 0 is there, and does not count."""
    for burst in run.bursts:
        for number, elapsed in zip(burst.rounds, burst.elapsed_ns, strict=True):
            yield csv_line((burst.entry, burst.block, number, burst.n_calls, elapsed))


def _medians(found: Mapping[str, Outcome]) -> Iterator[str]:
    for entry, outcome in found.items():
        for block, median in outcome.medians.items():
            yield csv_line((entry, block, f"{median:.1f}"))


def _limited(lines: Iterable[str]) -> bytes:
    """The lines as one file; empty where that would be too large."""
    kept, size = [], 0
    for line in lines:
        encoded = line.encode()
        size += len(encoded)
        if size > LARGEST:
            return b""
        kept.append(encoded)
    return b"".join(kept)
