"""A run's times in the formats of pyperf and pytest-benchmark, which their own commands read.

A benchmark of pyperf is one entry, a run of pyperf one process: a block. Values are seconds a call. What an
entry's name does not tell stands in the metadata, under names that begin with ``rnnbench_``. For
pytest-benchmark a round is a value, an iteration a call; it knows one process, so that its ratios are
points: block by block, with intervals, the journal has them.
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
from bench.records.run import SPOILED, Run, is_counted

# pyperf's names of facts that a run tells, and those of pytest-benchmark and of ``pytest --benchmark``
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
    """Yield the entries of a run that have counted values, in the plan's order; none that is wrong.

    The first of each is its name in one line, marked where its gradient is known to be wrong.

    Raises:
        UserError: the run holds no counted value.
    """
    spoiled = {burst.entry for burst in run.bursts if burst.status in SPOILED}
    spoiled |= {failure.entry for failure in run.failures if failure.status in SPOILED}
    counted: dict[str, list[Burst]] = {}
    for burst in run.bursts:
        if burst.entry not in spoiled and is_counted(burst):
            counted.setdefault(burst.entry, []).append(burst)
    if not counted:
        raise UserError(f"{run.plan.run} holds no counted value, so there is nothing to export")
    arms = run.arms
    for name, entry in run.entries.items():
        if bursts := counted.get(name):
            arm, case, device = arms[entry.arm], entry.case, bursts[0].device
            wrong = any(burst.status == "known_wrong" for burst in bursts)
            errors = {check.what: check.error for burst in bursts for check in burst.checks}
            own = Own(arm.variant, arm.library, device, arm.threads, case.dtype, str(case), case.shape,
                      known_wrong=wrong, exported=True, errors=errors)  # fmt: skip
            yield one_line(name) + " (known wrong gradient)" * wrong, entry, own, bursts


def machine_facts(run: Run) -> dict[str, Any]:
    """Return what a run tells of its machine and its program, each fact under one name."""
    machine = run.environment.machine
    implementation, _, version = str(machine.get("python") or "").partition(" ")
    system, _, release = str(machine.get("system") or "").partition(" ")
    libraries = {arm.id: arm.library for arm in run.plan.arms}
    numpy = (worker.facts for worker in run.workers if libraries.get(worker.arms[0]) == NUMPY.name)
    return {
        **(machine.get("packages") or {}),
        **next(numpy, {}),
        **machine,
        "implementation": implementation,
        "python_version": version,
        "system_name": system,
        "release": release,
    }


def pyperf_json(run: Run) -> bytes:
    """Return the counted values of a run as a file of pyperf; warm-ups are left out.

    Raises:
        UserError: the run holds no counted value.
    """
    entries = list(exported(run))
    benchmarks = [
        {"metadata": _own_metadata(name, entry, own), "runs": list(map(_process, bursts))}
        # two names may differ in nothing a person sees
        for name, (_, entry, own, bursts) in zip(numbered(name for name, *_ in entries), entries, strict=True)
    ]
    tree = {"version": PYPERF_VERSION, "metadata": _machine_metadata(run), "benchmarks": benchmarks}
    return msgspec.json.encode(tree) + b"\n"


def _process(burst: Burst) -> dict[str, Any]:
    values = [elapsed / burst.n_calls * 1e-9 for elapsed in burst.elapsed_ns]
    return {"metadata": {"loops": burst.n_calls, f"{OURS}block": burst.block}, "values": values}


def _own_metadata(name: str, entry: Entry, own: Own) -> dict[str, Any]:
    """Return the name, and what that does not tell as texts and numbers."""
    facts = {**msgspec.to_builtins(own), **asdict(own.shape), "group": entry.group, "data": entry.case.data}
    del facts["shape"], facts["errors"], facts["exported"]
    texts = {OURS + name: one_line(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
    return {"name": name, **texts, f"{OURS}known_wrong": int(own.known_wrong)}


def _machine_metadata(run: Run) -> dict[str, str | int | float]:
    """Return what the record tells, under pyperf's names; the host's name only where the record has it."""
    facts = machine_facts(run)
    system = (facts.get("system"), facts.get("architecture"))
    texts: dict[str, Any] = {
        "unit": "second",
        "date": run.plan.started_utc,
        "description": "NumPy or PyTorch for an RNN; exported from a journal of rnnbench",
        "platform": " ".join(str(fact) for fact in system if fact),
        "python_implementation": facts["implementation"].lower(),
        f"{OURS}run": run.plan.run,
        f"{OURS}version": run.plan.version,
    }
    texts |= {name: facts.get(ours) for name, ours in PYPERF_TEXTS.items()}
    numbers = {name: facts.get(ours) for name, ours in PYPERF_NUMBERS.items()}
    return {name: one_line(fact) for name, fact in texts.items() if fact} | {
        name: fact for name, fact in numbers.items() if is_number(fact) and fact >= 0
    }


def pytest_benchmark_json(run: Run) -> bytes:
    """Return the counted values of a run as a file of pytest-benchmark.

    Raises:
        UserError: the run holds no counted value.
    """
    from pytest_benchmark import __version__

    facts = machine_facts(run)
    tree = {
        "machine_info": {
            **{name: facts.get(ours) or "" for name, ours in MACHINE_INFO.items()},
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
            "disable_gc": True, "timer": "perf_counter", "min_rounds": len(first.elapsed_ns),
            "max_time": None, "min_time": None, "warmup": first.warmup_calls,
        },
        "stats": {**stats.as_dict(), "data": stats.data, "iterations": first.n_calls},
    }  # fmt: skip
