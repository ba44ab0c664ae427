"""Runs as pyperf's JSON, format 1.0, and what pyperf saves read back.

A benchmark of pyperf is one entry, a run of pyperf one process: a block. Values are seconds a call. What
an entry's name does not tell stands in the metadata, under names that begin with ``rnnbench_``.
"""

import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
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
    is_shape,
    is_time,
    left_out_note,
    several,
)
from bench.records.record import Arm, Burst, Entry
from bench.records.run import Run, counted_bursts, entry_name, is_known_wrong
from bench.workload.case import Shape

VERSION = "1.0"
OURS = "rnnbench_"
MOST_OF_UNIT = 40  # characters in a message
Metadata = dict[str, str | int | float]
LABEL = (
    "one benchmark after the other: drift of the machine between two of them is in the difference of their "
    "times"
)
LABEL_OF_EXPORT = "an export of a run: ratios without a verdict, which the journal gives"
FORMATS = (VERSION, "6", "5", "4")  # the older ones are of pyperf 0.7.4 to 0.9.6
# what identifies a machine, what comes with versions, what else bears on speed, and how it was measured
MACHINE = ("cpu_model_name", "cpu_count", "hostname")
VERSIONS = ("python_implementation", "python_version", "python_compiler", "numpy_version", "torch_version")
CONDITIONS = ("platform", "aslr", "cpu_affinity", "cpu_config", "timer", "python_gc")
MEASURED = ("inner_loops", "loops", "warmups", "values", "tags", "command")
TIMEIT = ("timeit_stmt", "timeit_setup", "timeit_teardown")
UNTOLD = {"python_gc": "enabled", "loops": 1, "inner_loops": 1}  # what it means where these are not told
DATED = ("perf_version", "date")


@dataclass(frozen=True, slots=True)
class PyperfBenchmark:
    """One benchmark, times in nanoseconds a call. What only our own exports tell may be empty."""

    name: str
    medians_ns: tuple[float, ...]  # of every process
    values: int  # of all processes
    loops: int  # calls in a value, of the first process
    facts: Facts  # of its processes
    label: str = ""  # what to call it: unlike any other in its file
    group: str = ""
    variant: str = ""  # empty: not one of ours, known by its name alone
    library: str = ""
    device: str = ""
    threads: int | None = None
    dtype: str = ""
    known_wrong: bool = False
    work: str = ""  # the case, in one line
    shape: Shape | None = None

    @property
    def full_name(self) -> str:
        """The name: pyperf knows no other."""
        return self.name


@dataclass(frozen=True, slots=True)
class PyperfResults:
    """One file of pyperf, its benchmarks in the file's order."""

    facts: Facts  # of all of them
    benchmarks: tuple[PyperfBenchmark, ...]
    notes: tuple[Note, ...] = ()

    @property
    def label(self) -> str:
        """What its numbers are."""
        return LABEL_OF_EXPORT if any(one.variant for one in self.benchmarks) else LABEL


def pyperf_json(run: Run) -> bytes:
    """The counted values of a run for pyperf; warm-ups are left out.

    Raises:
        UserError: the run holds no counted value.
    """
    found, arms, entries = counted_bursts(run), run.arms, run.entries
    benchmarks: list[dict[str, Any]] = []
    for entry, bursts in found.items():
        own = _entry_metadata(entries[entry], arms[entries[entry].arm], bursts)
        benchmarks.append({"metadata": own, "runs": [_process(burst) for burst in bursts]})
    names = [one["metadata"]["name"] for one in benchmarks]
    for place, name in enumerate(names):
        if earlier := names[:place].count(name):  # two names that differ in nothing a person sees
            benchmarks[place]["metadata"]["name"] = f"{name} ({earlier + 1})"
    tree = {"version": VERSION, "metadata": dict(_machine_metadata(run)), "benchmarks": benchmarks}
    return msgspec.json.encode(tree) + b"\n"


def _process(burst: Burst) -> dict[str, Any]:
    values = [elapsed / burst.n_calls * 1e-9 for elapsed in burst.elapsed_ns]
    return {"metadata": {"loops": burst.n_calls, f"{OURS}block": burst.block}, "values": values}


def _entry_metadata(entry: Entry, arm: Arm, bursts: list[Burst]) -> Metadata:
    case = entry.case
    told: Metadata = {
        "group": entry.group,
        "variant": arm.variant,
        "library": arm.library,
        "device": bursts[0].device,
        "threads": arm.threads,
        "dtype": case.dtype,
        "work": str(case),
        "data": case.data,
        "known_wrong": int(is_known_wrong(bursts)),
        **{size: getattr(case.shape, size) for size in Shape.__slots__},
    }
    ours = {OURS + name: one_line(fact) if isinstance(fact, str) else fact for name, fact in told.items()}
    return {"name": entry_name(entry.id, bursts), **ours}


def _machine_metadata(run: Run) -> Iterator[tuple[str, str | int | float]]:
    """What the record tells, under pyperf's names; the host's name only where the record has it."""
    machine = run.environment.machine
    packages = machine.get("packages")
    packages = packages if isinstance(packages, Mapping) else {}
    implementation, _, version = str(machine.get("python") or "").partition(" ")
    system = [machine.get("system"), machine.get("architecture")]
    facts = {
        "unit": "second",
        "date": run.plan.started_utc,
        "description": "NumPy or PyTorch for an RNN; exported from a journal of rnnbench",
        "cpu_model_name": machine.get("processor"),
        "platform": " ".join(str(fact) for fact in system if fact),
        "hostname": machine.get("host_name"),
        "python_implementation": implementation.lower(),
        "python_version": version,
        "numpy_version": packages.get("numpy"),
        "torch_version": packages.get("torch"),
        f"{OURS}run": run.plan.run,
        f"{OURS}version": run.plan.version,
    }
    yield from ((name, one_line(fact)) for name, fact in facts.items() if fact)
    for name, fact in (("cpu_count", machine.get("cpus")), ("load_avg_1min", machine.get("load_1min"))):
        if isinstance(fact, int | float) and fact >= 0:
            yield name, fact


class _Ours(msgspec.Struct, rename=lambda name: OURS + name):
    """What an export of ours tells of an entry."""

    group: str
    variant: str
    library: str
    device: str
    threads: int
    dtype: str
    work: str
    known_wrong: int
    T: int
    B: int
    I: int  # noqa: E741  (the project's letter for features)
    H: int
    O: int  # noqa: E741  (and for outputs)


def parse_pyperf(tree: Mapping[str, Any], path: Path) -> PyperfResults:
    """Return what a file of pyperf holds; ``path`` is what messages call it.

    As in pyperf, metadata of the file count for each benchmark, and both for each of its runs, unless these
    tell otherwise.

    Raises:
        UserError: it has an unknown format, or no benchmark in it can be used.
    """
    version = tree.get("version")
    if version is not None and as_fact(version) not in FORMATS:
        said = f"{path} has format {reprlib.repr(version)} of pyperf"
        raise UserError(f"{said}; those that are read are {', '.join(FORMATS)}, so measure anew")
    found, left_out = [], []
    for number, one in enumerate(tree["benchmarks"], start=1):
        one = as_object(one)
        common = {**as_object(tree.get("metadata")), **as_object(one.get("common_metadata"))}
        common |= as_object(one.get("metadata"))
        runs = one.get("runs")
        told = [
            (
                _values(run),
                {**common, **as_object(run.get("metadata")), "warmups": _length(run.get("warmups"))},
            )
            for run in map(as_object, runs if isinstance(runs, list) else ())
            if _values(run)
        ]
        name = as_text((told[0][1] if told else common).get("name")).strip()
        try:
            found.append(_benchmark(name, told))
        except ValueError as error:
            left_out.append(f"{name or f'benchmark {number}'} ({error})")
    if not found:
        raise UserError(f"{path} holds no benchmark that can be used: {left_out[0]}")
    names = [one.name for one in found]
    facts = {
        name: _once(fact for one in found for fact in one.facts.get(name, ()))
        for name in (*MACHINE, *VERSIONS, *CONDITIONS, *DATED)
    }
    mixed = [(one.name, several(one.facts, (*MACHINE, *VERSIONS, *CONDITIONS))) for one in found]
    mixed_up = tuple(f"{name} ({'; '.join(clauses)})" for name, clauses in mixed if clauses)
    machines = several(facts, MACHINE)
    notes = [left_out_note(left_out)]
    if mixed_up:
        notes.append(Note("Measured on several machines or in several environments", mixed_up))
    elif machines:
        notes.append(Note("Its benchmarks are of several machines, so their times do not compare", machines))
    return PyperfResults(
        facts=facts,
        benchmarks=tuple(
            replace(one, label=label) for one, label in zip(found, distinct(names, names), strict=True)
        ),
        notes=tuple(note for note in notes if note.names),
    )


def _values(run: Mapping[str, Any]) -> list[Any]:
    """Return the values of a run; none where it was for calibration, or is no run."""
    values = run.get("values", run.get("samples"))  # their name up to format 5
    return values if isinstance(values, list) else []


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _benchmark(name: str, told: list[tuple[list[Any], dict[str, Any]]]) -> PyperfBenchmark:
    """Return one benchmark from the values and the metadata of each of its processes.

    Raises:
        ValueError: it cannot be used.
    """
    if not told:
        raise ValueError("it holds no value, as after calibration alone")
    if not name:
        raise ValueError("it has no name")
    if units := {as_fact(facts["unit"]) for _, facts in told if "unit" in facts} - {"second"}:
        unit = ", ".join(sorted(units))[:MOST_OF_UNIT] if units != {""} else "what is no text"
        raise ValueError(f"it is measured in {unit}; times alone are read")
    if wrong := [value for values, _ in told for value in values if not is_time(value)]:
        raise ValueError(f"its value {reprlib.repr(wrong[0])} is no time in seconds")
    first = told[0][1]
    fields = (*MACHINE, *VERSIONS, *CONDITIONS, *MEASURED, *TIMEIT)
    facts = {name: _once(own.get(name, UNTOLD.get(name)) for _, own in told) for name in fields}
    facts |= {name: _once([first.get(name)]) for name in DATED}
    # after "-with-", another Python of the same machine tells another thing
    facts["platform"] = _once(fact.partition("-with-")[0] for fact in facts["platform"])
    facts["values"] = _once(len(values) for values, _ in told)
    made: dict[str, Any] = {
        "name": name,
        "medians_ns": tuple(1e9 * median(values) for values, _ in told),
        "values": sum(len(values) for values, _ in told),
        "loops": loops if isinstance(loops := first.get("loops"), int) and loops >= 1 else 1,
        "facts": facts,
    }
    try:
        ours = msgspec.convert(first, _Ours)
    except msgspec.ValidationError:
        return PyperfBenchmark(**made)
    shape = Shape(ours.T, ours.B, ours.I, ours.H, ours.O)
    if not is_shape(shape):
        return PyperfBenchmark(**made)
    return PyperfBenchmark(
        **made,
        group=ours.group,
        variant=ours.variant,
        library=ours.library,
        device=ours.device,
        threads=ours.threads,
        dtype=ours.dtype,
        known_wrong=bool(ours.known_wrong),
        work=ours.work,
        shape=shape,
    )


def _once(facts: Iterable[object]) -> tuple[str, ...]:
    """Return what is told, each fact once and sorted."""
    different = {id(fact): fact for fact in facts}.values()  # most are those of the file, the same object
    return tuple(sorted(set(map(as_fact, different)) - {""}))
