"""What pytest-benchmark saves, read and written: a file that its own ``compare`` and we read.

It knows one process, in a fixed order, so its ratios are points: no interval, no verdict. Of a run that is
exported a round is a value, an iteration a call; block by block, with intervals, the journal has it.
"""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from bench.machine.wording import one_line
from bench.records.formats.foreign import (
    Benchmark,
    Facts,
    Tool,
    ToolResults,
    as_count,
    as_fact,
    as_object,
    as_text,
    is_number,
    is_time,
    own_of,
    read_benchmarks,
)
from bench.records.record import Arm, Burst, Entry
from bench.records.run import Run, counted_bursts, entry_name, is_known_wrong

TOOL = Tool(
    name="pytest-benchmark",
    machine=("node", "machine", "cpu brand_raw", "cpu brand", "cpu count"),
    versions=("python_implementation", "python_version", "numpy", "torch", "blas", "blas_version"),
    conditions=("system", "release", "blas_kernel", "threads"),
    measured=("disable_gc", "timer", "min_rounds", "max_time", "min_time", "warmup"),
    processor=("cpu brand_raw", "cpu brand", "processor", "machine"),  # the second up to py-cpuinfo 5
    cpus="cpu count",
    host="node",
    environment=(
        ("System", "system", "release"), ("Python", "python_version"), ("NumPy", "numpy"),
        ("PyTorch", "torch"), ("BLAS of NumPy", "blas", "blas_version"),
        ("BLAS kernel that ran", "blas_kernel"), ("Threads of each library", "threads"),
        ("pytest-benchmark", "version"), ("Started", "datetime"),
    ),
    one_process=True,
)  # fmt: skip


def parse_pytest_benchmark(tree: Mapping[str, Any], path: Path) -> ToolResults:
    """Return what a file of pytest-benchmark holds; ``path`` is what messages call it.

    Raises:
        UserError: no benchmark in it can be used.
    """
    machine = as_object(tree.get("machine_info"))
    processor = {f"cpu {name}": fact for name, fact in as_object(machine.get("cpu")).items()}
    named = {name: as_text(tree.get(name)) for name in ("version", "datetime")}
    facts = _facts({**machine, **processor, **named})
    benchmarks, notes = read_benchmarks(tree, path, lambda one, name: _benchmark(one, name, facts))
    return ToolResults(TOOL, facts, benchmarks, notes)


def _facts(info: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what an object tells in a line each."""
    return {name: (text,) for name, fact in info.items() if (text := as_fact(fact))}


def _benchmark(one: Mapping[str, Any], name: str, facts: Facts) -> Benchmark:
    """Return one benchmark of a file with these ``facts``.

    Raises:
        ValueError: its time cannot be used.
    """
    full_name = as_text(one.get("fullname")) or as_text(one.get("name")) or name
    stats, info = as_object(one.get("stats")), as_object(one.get("extra_info"))
    median, low, high, iqr = (stats.get(name) for name in ("median", "min", "max", "iqr"))
    if not is_time(median):
        raise ValueError(f"{full_name} (its median {reprlib.repr(median)} is no time in seconds)")
    if (is_number(low) and low > median) or (is_number(high) and high < median):
        raise ValueError(f"{full_name} (its median is not between its least and its largest time)")
    options = as_object(one.get("options"))
    work = " · ".join(as_text(info.get(name)) for name in ("task", "layout", "dtype"))
    return Benchmark(
        name=as_text(one.get("name")) or full_name,
        full_name=full_name,
        group=as_text(one.get("group")),
        medians_ns=(median * 1e9,),
        values=as_count(stats.get("rounds")),
        calls=as_count(stats.get("iterations")),
        facts={**facts, **_facts({name: options[name] for name in TOOL.measured if name in options})},
        own=own_of({**info, "work": work}),
        iqr_ns=iqr * 1e9 if is_number(iqr) else None,
    )


def pytest_benchmark_json(run: Run) -> bytes:
    """Return the counted values of a run as a file of pytest-benchmark.

    Raises:
        UserError: the run holds no counted value.
    """
    from pytest_benchmark import __version__

    arms, entries = run.arms, run.entries
    tree = {
        "machine_info": _machine_info(run),
        "commit_info": _commit_info(run),
        "benchmarks": [
            _exported(entries[entry], arms[entries[entry].arm], bursts)
            for entry, bursts in counted_bursts(run).items()
        ],
        "datetime": run.plan.started_utc,
        "version": __version__,
    }
    return msgspec.json.encode(tree) + b"\n"


def _exported(entry: Entry, arm: Arm, bursts: list[Burst]) -> dict[str, Any]:
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
        "stats": {**_statistics(data), "data": data, "iterations": bursts[0].n_calls},
    }


def _statistics(data: Sequence[float]) -> dict[str, Any]:
    """Return what pytest-benchmark tells of times in seconds (n,), n >= 1, by its own code."""
    from pytest_benchmark.stats import Stats

    untyped: Any = Stats
    stats = untyped()
    stats.data = data
    return dict(stats.as_dict())


def _machine_info(run: Run) -> dict[str, Any]:
    """Return what the record tells, under pytest-benchmark's names and those of ``pytest --benchmark``."""
    machine = run.environment.machine
    packages = machine.get("packages") or {}
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
