"""Write a run's times in the formats of pyperf and pytest-benchmark, for the commands of these tools.

In pyperf's format a benchmark is an entry, and a run of pyperf is one process, so one block. Values are
seconds per call. Metadata whose names begin with ``rnnbench_`` hold the facts that the entry's name leaves
out. In pytest-benchmark's format a round is a value, and an iteration is a call. This format has only one
process, so its ratios have no intervals; the journal has the blocks and the intervals.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import msgspec

from bench.machine.errors import UserError
from bench.machine.libraries import NUMPY
from bench.machine.wording import one_line
from bench.records.formats.foreign import OURS, PYPERF_VERSION, Own, is_number, numbered
from bench.records.record import Burst, Entry
from bench.records.run import WRONG_STATUSES, Run, is_counted

# for each tool: its name of a fact -> rnnbench's name of the same fact
PYPERF_TEXTS = {
    "cpu_model_name": "processor", "hostname": "host_name", "python_version": "python_version",
    "numpy_version": "numpy", "torch_version": "torch",
}  # fmt: skip
PYPERF_NUMBERS = {"cpu_count": "cpus", "load_avg_1min": "load_1min"}
MACHINE_INFO = {
    "node": "host_name", "processor": "processor", "machine": "architecture", "release": "release",
    "system": "system_name", "python_implementation": "implementation", "python_version": "python_version",
    "python_implementation_version": "python_version", "numpy": "numpy", "torch": "torch", "blas": "blas",
    "blas_version": "blas_version", "blas_kernel": "kernel",
}  # fmt: skip


def exported(run: Run) -> Iterator[tuple[str, Entry, Own, list[Burst]]]:
    """Yield each entry with counted values, in the plan's order; skip entries with a wrong result.

    The text before each entry is its name in one line, marked if its gradient is known to be wrong.

    Raises:
        UserError: the run holds no counted value.
    """
    wrong_entries = {burst.entry for burst in run.bursts if burst.status in WRONG_STATUSES}
    wrong_entries |= {failure.entry for failure in run.failures if failure.status in WRONG_STATUSES}
    bursts_by_entry: dict[str, list[Burst]] = {}
    for burst in run.bursts:
        if burst.entry not in wrong_entries and is_counted(burst):
            bursts_by_entry.setdefault(burst.entry, []).append(burst)
    if not bursts_by_entry:
        raise UserError(f"{run.plan.run} holds no counted value, so there is nothing to export")
    arms = run.arms
    for name, entry in run.entries.items():
        if bursts := bursts_by_entry.get(name):
            arm, case, device = arms[entry.arm], entry.case, bursts[0].device
            known_wrong = any(burst.status == "known_wrong" for burst in bursts)
            errors = {check.what: check.error for burst in bursts for check in burst.checks}
            own = Own(arm.variant, arm.library, device, arm.threads, case.dtype, str(case), case.shape,
                      known_wrong=known_wrong, exported=True, errors=errors)  # fmt: skip
            yield one_line(name) + " (known wrong gradient)" * known_wrong, entry, own, bursts


def machine_facts(run: Run) -> dict[str, Any]:
    """Return the facts of a run about its machine and its program, by rnnbench's names."""
    machine = run.environment.machine
    implementation, _, version = str(machine.get("python") or "").partition(" ")
    system, _, release = str(machine.get("system") or "").partition(" ")
    libraries = {arm.id: arm.library for arm in run.plan.arms}
    numpy_facts = (worker.facts for worker in run.workers if libraries.get(worker.arms[0]) == NUMPY.name)
    return {
        **(machine.get("packages") or {}),
        **next(numpy_facts, {}),
        **machine,
        "implementation": implementation,
        "python_version": version,
        "system_name": system,
        "release": release,
    }


def pyperf_json(run: Run) -> bytes:
    """Return the counted values of a run as a pyperf file, without warm-up calls.

    Raises:
        UserError: the run holds no counted value.
    """
    entries = list(exported(run))
    benchmarks = [
        {"metadata": _entry_metadata(name, entry, own), "runs": list(map(_pyperf_run, bursts))}
        # two different names may look equal on a page
        for name, (_, entry, own, bursts) in zip(numbered(name for name, *_ in entries), entries, strict=True)
    ]
    tree = {"version": PYPERF_VERSION, "metadata": _machine_metadata(run), "benchmarks": benchmarks}
    return msgspec.json.encode(tree) + b"\n"


def _pyperf_run(burst: Burst) -> dict[str, Any]:
    values = [elapsed / burst.n_calls * 1e-9 for elapsed in burst.elapsed_ns]
    return {"metadata": {"loops": burst.n_calls, f"{OURS}block": burst.block}, "values": values}


def _entry_metadata(name: str, entry: Entry, own: Own) -> dict[str, Any]:
    """Return the entry's name, and as further metadata the facts that the name leaves out."""
    facts = {**msgspec.to_builtins(own), **asdict(own.shape), "group": entry.group, "data": entry.case.data}
    del facts["shape"], facts["errors"], facts["exported"]
    texts = {OURS + key: one_line(fact) if isinstance(fact, str) else fact for key, fact in facts.items()}
    return {"name": name, **texts, f"{OURS}known_wrong": int(own.known_wrong)}


def _machine_metadata(run: Run) -> dict[str, str | int | float]:
    """Return the facts of the run under pyperf's names; the host's name only if the run has the name."""
    facts = machine_facts(run)
    system = (facts.get("system"), facts.get("architecture"))
    texts: dict[str, Any] = {
        "unit": "second",
        "date": run.plan.started_utc,
        "description": "NumPy or PyTorch for a recurrent net; exported from a journal of rnnbench",
        "platform": " ".join(str(fact) for fact in system if fact),
        "python_implementation": facts["implementation"].lower(),
        f"{OURS}run": run.plan.run,
        f"{OURS}version": run.plan.version,
    }
    texts |= {name: facts.get(fact_name) for name, fact_name in PYPERF_TEXTS.items()}
    numbers = {name: facts.get(fact_name) for name, fact_name in PYPERF_NUMBERS.items()}
    return {name: one_line(fact) for name, fact in texts.items() if fact} | {
        name: fact for name, fact in numbers.items() if is_number(fact) and fact >= 0
    }


def pytest_benchmark_json(run: Run) -> bytes:
    """Return the counted values of a run as a pytest-benchmark file.

    Raises:
        UserError: the run holds no counted value.
    """
    from pytest_benchmark import __version__

    facts = machine_facts(run)
    tree = {
        "machine_info": {
            **{name: facts.get(fact_name) or "" for name, fact_name in MACHINE_INFO.items()},
            "python_compiler": "",
            "python_build": [facts.get("python_build") or "", ""],
            "cpu": {"brand_raw": facts.get("processor") or "", "count": facts.get("cpus")},
        },
        "commit_info": {
            "id": facts.get("commit") or "unversioned", "dirty": bool(facts.get("uncommitted_sha256")),
            "project": "rnnbench", "branch": "(unknown)", "time": None, "author_time": None,
        },
        "benchmarks": [_benchmark_tree(*entry) for entry in exported(run)],
        "datetime": run.plan.started_utc,
        "version": __version__,
    }  # fmt: skip
    return msgspec.json.encode(tree) + b"\n"


def _benchmark_tree(name: str, entry: Entry, own: Own, bursts: list[Burst]) -> dict[str, Any]:
    """Return an entry as a pytest-benchmark benchmark; pytest-benchmark's code computes the statistics."""
    from pytest_benchmark.stats import Stats

    stats_class: Any = Stats
    stats, first_burst = stats_class(), bursts[0]
    stats.data = [elapsed / burst.n_calls * 1e-9 for burst in bursts for elapsed in burst.elapsed_ns]
    return {
        "group": one_line(entry.group),
        "name": name,
        "fullname": f"rnnbench::{name}",
        "params": None,
        "param": None,
        "extra_info": msgspec.to_builtins(own) | {"task": entry.case.task, "layout": entry.case.layout},
        "options": {
            "disable_gc": True, "timer": "perf_counter", "min_rounds": len(first_burst.elapsed_ns),
            "max_time": None, "min_time": None, "warmup": first_burst.warmup_calls,
        },
        "stats": {**stats.as_dict(), "data": stats.data, "iterations": first_burst.n_calls},
    }  # fmt: skip
