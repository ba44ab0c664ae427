"""A run as pytest-benchmark's JSON, which its own ``compare`` and our ``pytest_benchmark`` read.

A round is a value, an iteration a call; what a whole process did is lost there, since pytest-benchmark knows
one process alone. Block by block, with intervals, the journal has it.
"""

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from bench.machine.wording import one_line
from bench.records.counted import counted_bursts, entry_name, is_known_wrong
from bench.records.record import Arm, Burst, Entry
from bench.records.run import Run

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
