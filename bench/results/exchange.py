"""Read what pytest-benchmark saves (``--benchmark-json``, ``--benchmark-save``).

Its numbers come from one process in a fixed order, so its ratios are points: no interval, no verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from bench.case import Shape
from bench.catalog import BASELINE
from bench.errors import UserError
from bench.results.foreign import is_time, read_tree

LABEL = "one process, fixed order, both libraries loaded: ratios without an interval, no verdict"


@dataclass(frozen=True, slots=True)
class PytestRow:
    """One benchmark, times in nanoseconds a call. What a benchmark of someone else does not say is empty."""

    name: str
    group: str
    median_ns: float
    iqr_ns: float
    min_ns: float
    max_ns: float
    rounds: int
    iterations: int  # calls in a round
    fullname: str = ""  # with its file; empty in files of others
    variant: str = ""  # empty: not one of ours, known by its name alone
    library: str = ""
    device: str = ""
    task: str = ""
    layout: str = ""
    dtype: str = ""
    shape: Shape | None = None
    threads: int | None = None
    known_wrong: bool = False
    errors: Mapping[str, float] | None = None  # of the proof, by what was checked
    ratio: float | None = None  # to numpy-batched on the CPU at the same work; None where there is none

    @property
    def label(self) -> str:
        """What to call it: variant and device, or the benchmark's own name."""
        return f"{self.variant}@{self.device}" if self.variant else self.name


@dataclass(frozen=True, slots=True)
class PytestResults:
    """One file of pytest-benchmark, its rows in the file's order."""

    machine_info: dict[str, Any]
    started_utc: str
    version: str  # of pytest-benchmark
    rows: tuple[PytestRow, ...]
    label: str = LABEL


class _Stats(msgspec.Struct):
    """Seconds a call."""

    median: float
    iqr: float
    min: float
    max: float
    rounds: int
    iterations: int


class _Benchmark(msgspec.Struct):
    name: str
    stats: _Stats
    fullname: str = ""
    group: str | None = None
    extra_info: dict[str, Any] = {}


class _File(msgspec.Struct):
    machine_info: dict[str, Any]
    benchmarks: list[_Benchmark]
    datetime: str = ""
    version: str = ""


def read_pytest_benchmark(path: Path) -> PytestResults:
    """Read one file that pytest-benchmark wrote.

    Raises:
        UserError: it cannot be read, is not such a file, or holds no benchmark.
    """
    return parse_pytest_benchmark(read_tree(path), path)


def parse_pytest_benchmark(tree: dict[str, Any], path: Path) -> PytestResults:
    """What a file of pytest-benchmark holds; ``path`` is what messages call it.

    Raises:
        UserError: it is no such file, or holds no benchmark.
    """
    try:
        file = msgspec.convert(tree, _File)
    except msgspec.ValidationError as error:
        raise UserError(f"{path} is no JSON file of pytest-benchmark: {error}") from error
    if not file.benchmarks:
        raise UserError(f"{path} holds no benchmark; make one with: pytest --benchmark-json=FILE")
    for stats in (one.stats for one in file.benchmarks):
        if not (is_time(stats.min) and stats.min <= stats.median <= stats.max and is_time(stats.max)):
            raise UserError(
                f"{path} holds a time that is not positive, or none at all; the file was edited or is damaged"
            )
    rows = [_row(one) for one in file.benchmarks]
    baselines: dict[object, float] = {}
    for row in rows:
        if (row.variant, row.device) == (BASELINE, "cpu"):
            baselines.setdefault(_work(row), row.median_ns)
    return PytestResults(
        machine_info=file.machine_info,
        started_utc=file.datetime,
        version=file.version,
        rows=tuple(
            replace(row, ratio=row.median_ns / baselines[_work(row)]) if _work(row) in baselines else row
            for row in rows
        ),
    )


def _row(one: _Benchmark) -> PytestRow:
    """A row of ours where the benchmark says all that we write into it, else one with its name alone."""
    stats = one.stats
    row = PytestRow(
        name=one.name,
        group=one.group or "",
        median_ns=stats.median * 1e9,
        iqr_ns=stats.iqr * 1e9,
        min_ns=stats.min * 1e9,
        max_ns=stats.max * 1e9,
        rounds=stats.rounds,
        iterations=stats.iterations,
        fullname=one.fullname,
    )
    try:
        ours = msgspec.convert(one.extra_info, _ExtraInfo)
    except msgspec.ValidationError:
        return row
    return replace(row, **{name: getattr(ours, name) for name in ours.__struct_fields__})


class _ExtraInfo(msgspec.Struct):
    """What tests/benchmarks writes; ``known_wrong`` may be absent."""

    variant: str
    library: str
    device: str
    task: str
    layout: str
    dtype: str
    shape: Shape
    threads: int | None
    errors: dict[str, float]
    known_wrong: bool = False


def _work(row: PytestRow) -> object:
    """What two rows must share for their ratio to mean anything; a row not ours says none of it."""
    return row.group, row.task, row.layout, row.dtype, row.shape, row.threads
