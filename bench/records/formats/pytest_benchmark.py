"""What pytest-benchmark saves, read and written: a file that its own ``compare`` and we read.

It knows one process, in a fixed order, so its ratios are points: no interval, no verdict. Of a run that is
exported a round is a value, an iteration a call; block by block, with intervals, the journal has it.
"""

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.machine.wording import one_line
from bench.records.formats.foreign import (
    Benchmark,
    Facts,
    Own,
    Tool,
    ToolResults,
    as_count,
    as_fact,
    as_object,
    as_text,
    exported,
    is_number,
    is_time,
    machine_facts,
    own_of,
    read_benchmarks,
)
from bench.records.record import Burst, Entry
from bench.records.run import Run

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

# its names of facts that a run tells, and those of ``pytest --benchmark``; the host's only where it is told
MACHINE = {
    "node": "host_name", "processor": "processor", "machine": "architecture", "release": "release",
    "system": "system_name", "python_implementation": "implementation", "python_version": "python_version",
    "python_implementation_version": "python_version",
}  # fmt: skip
LIBRARIES = {
    "numpy": "numpy", "torch": "torch", "blas": "blas", "blas_version": "blas_version",
    "blas_kernel": "kernel",
}  # fmt: skip


def parse_pytest_benchmark(tree: Mapping[str, Any], path: Path) -> ToolResults:
    """Return what a file of pytest-benchmark holds; ``path`` is what messages call it.

    Raises:
        UserError: no benchmark in it can be used.
    """
    machine = as_object(tree.get("machine_info"))
    processor = {f"cpu {name}": fact for name, fact in as_object(machine.get("cpu")).items()}
    named = {name: as_text(tree.get(name)) for name in ("version", "datetime")}
    facts = _facts({**machine, **processor, **named})
    benchmarks, notes = read_benchmarks(tree, path, lambda entry, name: _benchmark(entry, name, facts))
    return ToolResults(TOOL, facts, benchmarks, notes)


def _facts(info: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what an object tells in a line each."""
    return {name: (text,) for name, fact in info.items() if (text := as_fact(fact))}


def _benchmark(entry: Mapping[str, Any], name: str, facts: Facts) -> Benchmark:
    """Return one benchmark of a file with these ``facts``.

    Raises:
        ValueError: its time cannot be used.
    """
    full_name = as_text(entry.get("fullname")) or as_text(entry.get("name")) or name
    stats, info = as_object(entry.get("stats")), as_object(entry.get("extra_info"))
    median, low, high, iqr = (stats.get(name) for name in ("median", "min", "max", "iqr"))
    if not is_time(median):
        raise ValueError(f"{full_name} (its median {reprlib.repr(median)} is no time in seconds)")
    if (is_number(low) and low > median) or (is_number(high) and high < median):
        raise ValueError(f"{full_name} (its median is not between its least and its largest time)")
    options = as_object(entry.get("options"))
    work = " · ".join(as_text(info.get(name)) for name in ("task", "layout", "dtype"))
    return Benchmark(
        name=as_text(entry.get("name")) or full_name,
        full_name=full_name,
        group=as_text(entry.get("group")),
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

    facts = machine_facts(run)
    tree = {
        "machine_info": {
            **{name: facts.get(ours) or "" for name, ours in MACHINE.items()},
            **{name: facts.get(ours) for name, ours in LIBRARIES.items()},
            "python_compiler": "",
            "python_build": [facts.get("python_build") or "", ""],
            "cpu": {"brand_raw": facts.get("processor") or "", "count": facts.get("cpus")},
        },
        "commit_info": {
            "id": facts.get("commit") or "unversioned",
            "time": None,
            "author_time": None,
            "dirty": bool(facts.get("uncommitted_sha256")),
            "project": "rnnbench",
            "branch": "(unknown)",
        },
        "benchmarks": [_benchmark_tree(*entry) for entry in exported(run)],
        "datetime": run.plan.started_utc,
        "version": __version__,
    }
    return msgspec.json.encode(tree) + b"\n"


def _benchmark_tree(name: str, entry: Entry, own: Own, bursts: list[Burst]) -> dict[str, Any]:
    """Return an entry as pytest-benchmark writes a benchmark; its statistics are by that tool's own code."""
    from pytest_benchmark.stats import Stats

    untyped: Any = Stats
    stats, first = untyped(), bursts[0]
    stats.data = [elapsed / burst.n_calls * 1e-9 for burst in bursts for elapsed in burst.elapsed_ns]
    return {
        "group": one_line(entry.group),
        "name": name,
        "fullname": f"rnnbench::{name}",
        "params": None,
        "param": None,
        "extra_info": msgspec.to_builtins(own) | {"task": entry.case.task, "layout": entry.case.layout},
        "options": {
            "disable_gc": True,
            "timer": "perf_counter",
            "min_rounds": len(first.elapsed_ns),
            "max_time": None,
            "min_time": None,
            "warmup": first.warmup_calls,
        },
        "stats": {**stats.as_dict(), "data": stats.data, "iterations": first.n_calls},
    }
