"""What pyperf saves, format 1.0, written and, with the formats before it, read.

A benchmark of pyperf is one entry, a run of pyperf one process: a block. Values are seconds a call. What
an entry's name does not tell stands in the metadata, under names that begin with ``rnnbench_``.
"""

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.machine.errors import UserError
from bench.machine.wording import one_line
from bench.records.formats.foreign import (
    Benchmark,
    Note,
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
    numbered,
    own_of,
    read_benchmarks,
    several,
)
from bench.records.record import Burst, Entry
from bench.records.run import Run

VERSION = "1.0"
FORMATS = (VERSION, "6", "5", "4")  # the older ones are of pyperf 0.7.4 to 0.9.6
OURS = "rnnbench_"
MOST_OF_UNIT = 40  # characters in a message
UNTOLD = {"python_gc": "enabled", "loops": 1, "inner_loops": 1}  # what it means where these are not told
DATED = ("perf_version", "date")
TOOL = Tool(
    name="pyperf",
    machine=("cpu_model_name", "cpu_count", "hostname"),
    versions=("python_implementation", "python_version", "python_compiler", "numpy_version", "torch_version"),
    conditions=("platform", "aslr", "cpu_affinity", "cpu_config", "timer", "python_gc"),
    measured=(
        "inner_loops", "loops", "warmups", "values", "tags", "command", "timeit_stmt", "timeit_setup",
        "timeit_teardown",
    ),
    processor=("cpu_model_name",),
    cpus="cpu_count",
    host="hostname",
    environment=(
        ("System", "platform"), ("Host", "hostname"), ("Processors", "cpu_config"),
        ("Python", "python_version"), ("NumPy", "numpy_version"), ("PyTorch", "torch_version"),
        ("pyperf", "perf_version"), ("Started", "date"),
    ),
    one_process=False,
)  # fmt: skip
# pyperf's names of facts that a run tells
TEXTS = {
    "cpu_model_name": "processor", "hostname": "host_name", "python_version": "python_version",
    "numpy_version": "numpy", "torch_version": "torch",
}  # fmt: skip
NUMBERS = {"cpu_count": "cpus", "load_avg_1min": "load_1min"}
SURROUNDINGS = (*TOOL.machine, *TOOL.versions, *TOOL.conditions)


def parse_pyperf(tree: Mapping[str, Any], path: Path) -> ToolResults:
    """Return what a file of pyperf holds; ``path`` is what messages call it.

    As in pyperf, metadata of the file count for each benchmark, and both for each of its runs, unless these
    tell otherwise.

    Raises:
        UserError: it has an unknown format, or no benchmark in it can be used.
    """
    version = tree.get("version")
    if version is not None and as_fact(version) not in FORMATS:
        raise UserError(
            f"{path} has format {reprlib.repr(version)} of pyperf; those that are read are "
            f"{', '.join(FORMATS)}, so measure anew"
        )
    common = as_object(tree.get("metadata"))
    benchmarks, notes = read_benchmarks(tree, path, lambda entry, name: _benchmark(entry, name, common))
    facts = {
        name: _once(fact for one in benchmarks for fact in one.facts.get(name, ()))
        for name in (*SURROUNDINGS, *DATED)
    }
    mixed = [(one.name, several(one.facts, SURROUNDINGS)) for one in benchmarks]
    if mixed_up := tuple(f"{name} ({'; '.join(clauses)})" for name, clauses in mixed if clauses):
        notes += (Note("Measured on several machines or in several environments", mixed_up),)
    elif machines := several(facts, TOOL.machine):
        notes += (Note("Its benchmarks are of several machines, so their times do not compare", machines),)
    return ToolResults(TOOL, facts, benchmarks, notes)


def _benchmark(entry: Mapping[str, Any], number: str, common: Mapping[str, Any]) -> Benchmark:
    """Return one benchmark of a file with this ``common`` metadata.

    Raises:
        ValueError: it cannot be used.
    """
    common = {**common, **as_object(entry.get("common_metadata")), **as_object(entry.get("metadata"))}
    processes = [
        (values, {**common, **as_object(run.get("metadata")), "warmups": len(_list(run.get("warmups")))})
        for run in map(as_object, _list(entry.get("runs")))
        if (values := _list(run.get("values", run.get("samples"))))  # their name up to format 5
    ]
    first = processes[0][1] if processes else common
    name = as_text(first.get("name")).strip()
    if problem := _problem(name, processes):
        raise ValueError(f"{name or number} ({problem})")
    facts = {
        field: _once(metadata.get(field, UNTOLD.get(field)) for _, metadata in processes)
        for field in (*SURROUNDINGS, *TOOL.measured)
    }
    facts |= {field: _once([first.get(field)]) for field in DATED}
    # after "-with-", another Python of the same machine tells another thing
    facts["platform"] = _once(fact.partition("-with-")[0] for fact in facts["platform"])
    facts["values"] = _once(len(values) for values, _ in processes)
    ours = {field.removeprefix(OURS): fact for field, fact in first.items() if field.startswith(OURS)}
    own = own_of({**ours, "shape": ours, "known_wrong": ours.get("known_wrong") == 1, "exported": True})
    return Benchmark(
        name=name,
        full_name=name,
        group=as_text(ours.get("group")) if own else "",
        medians_ns=tuple(1e9 * median(values) for values, _ in processes),
        values=sum(len(values) for values, _ in processes),
        calls=as_count(first.get("loops")) or 1,
        facts=facts,
        own=own,
    )


def _problem(name: str, processes: list[tuple[list[Any], dict[str, Any]]]) -> str:
    """Return why a benchmark cannot be used; empty where it can."""
    if not processes:
        return "it holds no value, as after calibration alone"
    if not name:
        return "it has no name"
    if units := {as_fact(facts["unit"]) for _, facts in processes if "unit" in facts} - {"second"}:
        unit = ", ".join(sorted(units))[:MOST_OF_UNIT] if units != {""} else "what is no text"
        return f"it is measured in {unit}; times alone are read"
    if wrong := [value for values, _ in processes for value in values if not is_time(value)]:
        return f"its value {reprlib.repr(wrong[0])} is no time in seconds"
    return ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _once(facts: Iterable[object]) -> tuple[str, ...]:
    """Return what is told, each fact once and sorted."""
    different = {id(fact): fact for fact in facts}.values()  # most are those of the file, the same object
    return tuple(sorted(set(map(as_fact, different)) - {""}))


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
    tree = {"version": VERSION, "metadata": _machine_metadata(run), "benchmarks": benchmarks}
    return msgspec.json.encode(tree) + b"\n"


def _process(burst: Burst) -> dict[str, Any]:
    values = [elapsed / burst.n_calls * 1e-9 for elapsed in burst.elapsed_ns]
    return {"metadata": {"loops": burst.n_calls, f"{OURS}block": burst.block}, "values": values}


def _own_metadata(name: str, entry: Entry, own: Own) -> dict[str, Any]:
    """Return the name, and what that does not tell as texts and numbers."""
    facts = {**msgspec.to_builtins(own), **asdict(own.shape), "group": entry.group, "data": entry.case.data}
    del facts["shape"], facts["errors"], facts["exported"]
    told = {OURS + name: one_line(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
    return {"name": name, **told, f"{OURS}known_wrong": int(own.known_wrong)}


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
    texts |= {name: facts.get(ours) for name, ours in TEXTS.items()}
    numbers = {name: facts.get(ours) for name, ours in NUMBERS.items()}
    return {name: one_line(fact) for name, fact in texts.items() if fact} | {
        name: fact for name, fact in numbers.items() if is_number(fact) and fact >= 0
    }
