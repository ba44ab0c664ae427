"""Read what pytest-benchmark saves (``--benchmark-json``, ``--benchmark-save``).

Its numbers come from one process in a fixed order, so its ratios are points: no interval, no verdict.
"""

import math
import reprlib
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from bench.machine.errors import UserError
from bench.machine.wording import one_line
from bench.records.formats.foreign import (
    Facts,
    Note,
    as_fact,
    as_object,
    as_text,
    distinct,
    is_number,
    is_shape,
    is_time,
    left_out_note,
)
from bench.records.record import Arm, Burst, Entry
from bench.records.run import Run, counted_bursts, entry_name, is_known_wrong
from bench.workload.case import Shape
from bench.workload.catalog import BASELINE

LABEL = "one process, fixed order: times without an interval, no verdict"
LABEL_OF_OURS = "one process, fixed order, both libraries loaded: ratios without an interval, no verdict"
LABEL_OF_EXPORT = "an export of a run: ratios without an interval, no verdict; the journal has both"
# what identifies a machine, what comes with versions, and what else bears on speed
MACHINE = ("node", "machine", "cpu brand_raw", "cpu brand", "cpu count")
VERSIONS = ("python_implementation", "python_version", "numpy", "torch", "blas", "blas_version")
CONDITIONS = ("system", "release", "blas_kernel", "threads")


@dataclass(frozen=True, slots=True)
class PytestRow:
    """One benchmark, times in nanoseconds a call. What a benchmark does not say is empty or None."""

    name: str
    full_name: str  # with its file; the name where there is no other
    median_ns: float
    label: str = ""  # what to call it: unlike any other in its file
    group: str = ""
    iqr_ns: float | None = None
    rounds: int | None = None
    iterations: int | None = None  # calls in a round
    options: Facts = field(default_factory=dict)  # how it was measured
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
    exported: bool = False  # by rnnbench, from a run
    ratio: float | None = None  # to numpy-batched on the CPU at the same work; None where there is none


@dataclass(frozen=True, slots=True)
class PytestResults:
    """One file of pytest-benchmark, its rows in the file's order."""

    facts: Facts  # of the machine; those of its processor begin with "cpu "
    started_utc: str
    version: str  # of pytest-benchmark
    rows: tuple[PytestRow, ...]
    notes: tuple[Note, ...] = ()

    @property
    def label(self) -> str:
        """What its numbers are."""
        if any(row.exported for row in self.rows):
            return LABEL_OF_EXPORT
        return LABEL_OF_OURS if any(row.variant for row in self.rows) else LABEL


class _ExtraInfo(msgspec.Struct):
    """What tests/benchmarks and ``rnnbench export`` write; what has a default may be absent."""

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
    exported: bool = False


def parse_pytest_benchmark(tree: Mapping[str, Any], path: Path) -> PytestResults:
    """Return what a file of pytest-benchmark holds; ``path`` is what messages call it.

    Raises:
        UserError: no benchmark in it can be used.
    """
    rows, left_out = [], []
    for number, one in enumerate(tree["benchmarks"], start=1):
        one = as_object(one)
        full_name = as_text(one.get("fullname")) or as_text(one.get("name")) or f"benchmark {number}"
        try:
            rows.append(_row(one, full_name))
        except ValueError as error:
            left_out.append(f"{full_name} ({error})")
    if not rows:
        raise UserError(f"{path} holds no benchmark that can be used: {left_out[0]}")
    machine = as_object(tree.get("machine_info"))
    processor = {f"cpu {name}": fact for name, fact in as_object(machine.get("cpu")).items()}
    labels = distinct([row.name for row in rows], [row.full_name for row in rows])
    baselines: dict[object, float] = {}
    for row in rows:
        if (row.variant, row.device) == (BASELINE, "cpu"):
            baselines.setdefault(_work(row), row.median_ns)
    return PytestResults(
        facts=_facts({**machine, **processor}),
        started_utc=as_text(tree.get("datetime")),
        version=as_text(tree.get("version")),
        rows=tuple(
            replace(
                row,
                label=label,
                ratio=row.median_ns / baselines[_work(row)] if _work(row) in baselines else None,
            )
            for row, label in zip(rows, labels, strict=True)
        ),
        notes=(left_out_note(left_out),) if left_out else (),
    )


def _facts(info: Mapping[str, Any]) -> Facts:
    """Return what an object tells in a line each."""
    return {name: (told,) for name, fact in info.items() if (told := as_fact(fact))}


def _row(one: Mapping[str, Any], full_name: str) -> PytestRow:
    """Return a row of ours where the benchmark says all that we write into it, else one with its name alone.

    Raises:
        ValueError: its time cannot be used.
    """
    stats = as_object(one.get("stats"))
    median, low, high, iqr = (stats.get(name) for name in ("median", "min", "max", "iqr"))
    if not is_time(median):
        raise ValueError(f"its median {reprlib.repr(median)} is no time in seconds")
    if (is_number(low) and low > median) or (is_number(high) and high < median):
        raise ValueError("its median is not between its least and its largest time")
    row = PytestRow(
        name=as_text(one.get("name")) or full_name,
        full_name=full_name,
        group=as_text(one.get("group")),
        median_ns=median * 1e9,
        iqr_ns=iqr * 1e9 if is_number(iqr) else None,
        rounds=_count(stats.get("rounds")),
        iterations=_count(stats.get("iterations")),
        options=_facts(as_object(one.get("options"))),
    )
    try:
        ours = msgspec.convert(one.get("extra_info"), _ExtraInfo)
    except msgspec.ValidationError:
        return row
    if not is_shape(ours.shape) or not all(map(math.isfinite, ours.errors.values())):
        return row
    return replace(row, **{name: getattr(ours, name) for name in ours.__struct_fields__})


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 1 else None


def _work(row: PytestRow) -> object:
    """Return what two rows must share for their ratio to mean anything; a row not ours says none of it."""
    return row.group, row.task, row.layout, row.dtype, row.shape, row.threads


VERSION = "5.1.0"  # of pytest-benchmark, the first to write exactly these fields


def pytest_benchmark_json(run: Run) -> bytes:
    """The counted values of a run for pytest-benchmark.

    Raises:
        UserError: the run holds no counted value.
    """
    found, arms, entries = counted_bursts(run), run.arms, run.entries
    tree = {
        "machine_info": _machine_info(run),
        "commit_info": _commit_info(run),
        "benchmarks": [
            _benchmark(entries[entry], arms[entries[entry].arm], bursts) for entry, bursts in found.items()
        ],
        "datetime": run.plan.started_utc,
        "version": VERSION,
    }
    return msgspec.json.encode(tree) + b"\n"


def _benchmark(entry: Entry, arm: Arm, bursts: list[Burst]) -> dict[str, Any]:
    name = entry_name(entry.id, bursts)
    data = [elapsed / burst.n_calls * 1e-9 for burst in bursts for elapsed in burst.elapsed_ns]
    case = entry.case
    return {
        "group": one_line(entry.group),
        "name": name,
        "fullname": f"rnnbench::{name}",
        "params": None,
        "param": None,
        "extra_info": {
            "variant": arm.variant,
            "library": arm.library,
            "device": bursts[0].device,
            "task": case.task,
            "layout": case.layout,
            "dtype": case.dtype,
            "shape": asdict(case.shape),
            "threads": arm.threads,
            "errors": {check.what: check.error for burst in bursts for check in burst.checks},
            "known_wrong": is_known_wrong(bursts),
            "exported": True,  # and not measured by pytest-benchmark
        },
        "options": {
            "disable_gc": True,
            "timer": "perf_counter",
            "min_rounds": len(bursts[0].elapsed_ns),
            "max_time": None,
            "min_time": None,
            "warmup": bursts[0].warmup_calls,
        },
        "stats": {**stats(data), "data": data, "iterations": bursts[0].n_calls},
    }


def stats(data: Sequence[float]) -> dict[str, Any]:
    """The 16 statistics of times in seconds (n,), n >= 1, with pytest-benchmark's quartiles.

    They are the medians of both halves; of an odd number, interpolated between two values ("method 3").
    """
    ordered, mean, total = sorted(data), statistics.mean(data), sum(data)
    stddev = statistics.stdev(data) if len(data) > 1 else 0.0
    q1, q3 = _quartiles(ordered)
    reach = 1.5 * (q3 - q1)
    around = sum(not mean - stddev <= value <= mean + stddev for value in data)
    beyond = sum(not q1 - reach <= value <= q3 + reach for value in data)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": stddev,
        "rounds": len(data),
        "median": statistics.median(data),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond,
        "stddev_outliers": around,
        "outliers": f"{around};{beyond}",
        "ld15iqr": ordered[bisect_left(ordered, q1 - reach)],
        "hd15iqr": ordered[bisect_right(ordered, q3 + reach) - 1],
        "ops": len(data) / total,
        "total": total,
    }


def _quartiles(ordered: Sequence[float]) -> tuple[float, float]:
    n, rest = divmod(len(ordered), 4)
    if len(ordered) == 1:
        return ordered[0], ordered[0]
    if len(ordered) % 2 == 0:
        half = len(ordered) // 2
        return statistics.median(ordered[:half]), statistics.median(ordered[half:])
    if rest == 1:
        return (
            0.25 * ordered[n - 1] + 0.75 * ordered[n],
            0.75 * ordered[3 * n] + 0.25 * ordered[3 * n + 1],
        )
    return (
        0.75 * ordered[n] + 0.25 * ordered[n + 1],
        0.25 * ordered[3 * n + 1] + 0.75 * ordered[3 * n + 2],
    )


def _machine_info(run: Run) -> dict[str, Any]:
    """What the record tells, under pytest-benchmark's names and those that ``pytest --benchmark`` adds."""
    machine = run.environment.machine
    packages = machine.get("packages")
    packages = packages if isinstance(packages, dict) else {}
    implementation, _, version = str(machine.get("python") or "").partition(" ")
    system, _, release = str(machine.get("system") or "").partition(" ")
    libraries = {arm.id: arm.library for arm in run.plan.arms}
    numpy = next((worker.facts for worker in run.workers if libraries.get(worker.arms[0]) == "numpy"), {})
    return {
        "node": machine.get("host_name") or "",  # only where the record has it
        "processor": machine.get("processor") or "",
        "machine": machine.get("architecture") or "",
        "python_compiler": "",
        "python_implementation": implementation,
        "python_implementation_version": version,
        "python_version": version,
        "python_build": [machine.get("python_build") or "", ""],
        "release": release,
        "system": system,
        "cpu": {"brand_raw": machine.get("processor") or "", "count": machine.get("cpus")},
        "numpy": packages.get("numpy"),
        "torch": packages.get("torch"),
        "blas": numpy.get("blas"),
        "blas_version": numpy.get("blas_version"),
        "blas_kernel": numpy.get("kernel"),
    }


def _commit_info(run: Run) -> dict[str, Any]:
    machine = run.environment.machine
    return {
        "id": machine.get("commit") or "unversioned",
        "time": None,
        "author_time": None,
        "dirty": bool(machine.get("uncommitted_sha256")),
        "project": "rnnbench",
        "branch": "(unknown)",
    }
