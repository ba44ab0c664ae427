"""JSON files of pyperf and pytest-benchmark, read: within limits, told apart by what they hold, and trusted
in nothing.

A file may be anybody's. What is used of it is checked where it is used; what is odd and unused does no harm.
"""

import gzip
import io
import json
import math
import reprlib
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO, Literal, TypeGuard

import msgspec

from bench.machine.errors import UserError
from bench.machine.wording import one_line
from bench.records.sealed import unique_keys
from bench.workload.case import Shape
from bench.workload.catalog import BASELINE

MAX_BYTES = 2**28  # 256 MiB, unpacked; a million values have a tenth of it
MAX_ITEMS = 2**23  # values, lists and objects; of small objects, so many fill a gigabyte of memory
GZIP = b"\x1f\x8b"
LONG_INTEGER = 19  # digits; longer numbers may be beyond 64 bits
SHORTEST_S, LONGEST_S = 1e-12, 1e9  # of a call

Facts = Mapping[str, tuple[str, ...]]  # what is told under each name: several things where they differ
Origin = Literal["stranger", "plugin", "export"]  # whose file: anybody's, by pytest --benchmark, exported


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that times benchmarks: under which names its files tell what."""

    name: str
    machine: tuple[str, ...]  # what identifies a machine
    versions: tuple[str, ...]
    conditions: tuple[str, ...]  # what else bears on speed
    measured: tuple[str, ...]  # how it was measured
    processor: tuple[str, ...]  # the first of these that is told
    cpus: str
    host: str
    environment: tuple[tuple[str, ...], ...]  # for people: a title, and what stands under it
    one_process: bool  # so that nothing tells how sure its times are


OURS = "rnnbench_"  # how our own names begin in the metadata of pyperf
PYPERF_VERSION = "1.0"
PYPERF_FORMATS = (PYPERF_VERSION, "6", "5", "4")  # the older ones are of pyperf 0.7.4 to 0.9.6
MOST_OF_UNIT = 40  # characters in a message
UNTOLD = {"python_gc": "enabled", "loops": 1, "inner_loops": 1}  # what it means where these are not told
DATED = ("perf_version", "date")
PYPERF = Tool(
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
SURROUNDINGS = (*PYPERF.machine, *PYPERF.versions, *PYPERF.conditions)
PYTEST_BENCHMARK = Tool(
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


@dataclass(frozen=True, slots=True)
class Note:
    """What must be told of a file, and the benchmarks that it is about."""

    what: str
    names: tuple[str, ...]


class Own(msgspec.Struct, frozen=True):
    """What rnnbench tells of a benchmark of its own in the file of another tool."""

    variant: str
    library: str
    device: str
    threads: int | None
    dtype: str
    work: str  # in one line
    shape: Shape
    known_wrong: bool = False
    exported: bool = False
    errors: dict[str, float] = {}  # of the proof, by what was checked

    @property
    def is_baseline(self) -> bool:
        """Return whether others of the same work are compared with it."""
        return self.variant == BASELINE and self.device == "cpu"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark; times in nanoseconds a call."""

    name: str
    full_name: str  # with its file, where the tool knows one
    group: str
    medians_ns: tuple[float, ...]  # of every process
    values: int | None  # of all processes
    calls: int | None  # in a value
    facts: Facts  # where and how it was measured
    own: Own | None  # None: not one of ours, known by its name alone
    iqr_ns: float | None = None
    label: str = ""  # what to call it: unlike any other in its file


@dataclass(frozen=True, slots=True)
class ToolResults:
    """One file of another tool, its benchmarks in the file's order."""

    tool: Tool
    facts: Facts  # of all of them
    benchmarks: tuple[Benchmark, ...]
    notes: tuple[Note, ...] = ()

    @property
    def origin(self) -> Origin:
        """Return whose file it is."""
        ours = [benchmark.own for benchmark in self.benchmarks if benchmark.own]
        return "export" if any(own.exported for own in ours) else "plugin" if ours else "stranger"


def read_content(file: BinaryIO, path: object) -> bytes:
    """Return what a file holds, unpacked where gzip has packed it; ``path`` is what messages call it.

    Raises:
        OSError: it cannot be read.
        UserError: it is too large, or its packing is damaged.
    """
    data = file.read(MAX_BYTES + 1)
    if data.startswith(GZIP):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(MAX_BYTES + 1)  # of what is too large, no more than shows that
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(f"{path} is a damaged gzip file ({error}); copy it anew") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES >> 20} MiB, which is not read")
    return data


def parse_tree(data: bytes) -> dict[str, Any]:
    """Return the JSON object that a file's content is, in any Unicode encoding, with or without its mark.

    Numbers may be infinite or none at all.

    Raises:
        ValueError: it is no such JSON, has a key twice, or holds more than is read.
    """
    if not data.strip():
        raise ValueError("it is empty")
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_ITEMS:
        raise ValueError(f"it holds more than {MAX_ITEMS:,} values")
    try:
        text = data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError("it is no text") from error
    try:
        tree = json.loads(text, object_pairs_hook=unique_keys, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(tree, dict):
        raise ValueError("it is no object")
    return tree


def _integer(text: str) -> int | float:
    return int(text) if len(text) < LONG_INTEGER else float(text)


def parse_results(data: bytes, path: Path) -> ToolResults:
    """Return the results of the tool that wrote a file: benchmarks of pyperf have runs, the other's stats.

    Raises:
        ValueError: neither wrote it.
        UserError: nothing in it can be used.
    """
    tree = parse_tree(data)
    benchmarks = tree.get("benchmarks", tree.get("benchmark"))
    if "version" in tree and isinstance(benchmarks, dict):
        raise UserError(f"{path} has a format of pyperf from before 0.7.4, which is not read; measure anew")
    if not isinstance(benchmarks, list):
        raise ValueError("it has no list of benchmarks")
    if not benchmarks:
        raise UserError(f"{path} holds no benchmark")
    kinds = {name for entry in benchmarks for name in ("runs", "stats") if name in as_object(entry)}
    if not kinds:
        raise ValueError("its benchmarks have neither stats, as pytest-benchmark's, nor runs, as pyperf's")
    return _parse_pytest_benchmark(tree, path) if "stats" in kinds else _parse_pyperf(tree, path)


def read_benchmarks(
    tree: Mapping[str, Any], path: object, read: Callable[[Mapping[str, Any], str], Benchmark]
) -> tuple[tuple[Benchmark, ...], tuple[Note, ...]]:
    """Return a file's benchmarks, each with a label of its own, and a note of those that cannot be used.

    A label is the name, the full name where names repeat, numbered where both do. ``read`` makes a benchmark
    from its object and a name for where it has none; it raises ValueError where it cannot.

    Raises:
        UserError: none can be used.
    """
    benchmarks, left_out = [], []
    for number, entry in enumerate(tree["benchmarks"], start=1):
        try:
            benchmarks.append(read(as_object(entry), f"benchmark {number}"))
        except ValueError as error:
            left_out.append(str(error))
    if not benchmarks:
        raise UserError(f"{path} holds no benchmark that can be used: {left_out[0]}")
    names = Counter(benchmark.name for benchmark in benchmarks)
    labels = numbered(
        benchmark.full_name if names[benchmark.name] > 1 else benchmark.name for benchmark in benchmarks
    )
    notes = (Note("Left out, since it cannot be used", tuple(left_out)),) if left_out else ()
    return tuple(map(lambda benchmark, label: replace(benchmark, label=label), benchmarks, labels)), notes


def numbered(names: Iterable[str]) -> list[str]:
    """Return the names, those that were there before with a number: "t", "t (2)"."""
    seen: Counter[str] = Counter()
    labels = []
    for name in names:
        seen[name] += 1
        labels.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return labels


def own_of(facts: Mapping[str, Any]) -> Own | None:
    """Return what rnnbench tells of a benchmark; None where it is not one of ours, or not all is told."""
    try:
        own = msgspec.convert(facts, Own)
    except msgspec.ValidationError:
        return None
    return own if min(astuple(own.shape)) >= 1 and all(map(math.isfinite, own.errors.values())) else None


def is_time(seconds: object) -> TypeGuard[float]:
    """Return whether a call can have taken so long: a number from a picosecond to thirty years."""
    return is_number(seconds) and SHORTEST_S <= seconds <= LONGEST_S


def is_number(value: object) -> TypeGuard[float]:
    """Return whether it is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def as_count(value: object) -> int | None:
    """Return how many there are of something; None where a file does not tell."""
    return value if isinstance(value, int) and value >= 1 else None


def as_object(value: object) -> dict[str, Any]:
    """Return an object of a file; an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    """Return a text of a file; an empty one where there is none."""
    return value if isinstance(value, str) else ""


def as_fact(value: object) -> str:
    """Return a fact in one line; empty where there is none, or more than a line tells."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = ", ".join(value)
    return one_line(value) if isinstance(value, bool | int | float | str) and value != "" else ""


def fact_text(facts: Facts, name: str) -> str:
    """Return all that is told under a name: "h1 / h2"; empty where nothing is."""
    return " / ".join(facts.get(name, ()))


def several(facts: Facts, names: Iterable[str]) -> tuple[str, ...]:
    """Return what is told in several ways: "hostname: h1 / h2"."""
    return tuple(f"{name}: {fact_text(facts, name)}" for name in names if len(facts.get(name, ())) > 1)


def _parse_pyperf(tree: Mapping[str, Any], path: Path) -> ToolResults:
    """Return what a file of pyperf holds; ``path`` is what messages call it.

    As in pyperf, metadata of the file count for each benchmark, and both for each of its runs, unless these
    tell otherwise.

    Raises:
        UserError: it has an unknown format, or no benchmark in it can be used.
    """
    version = tree.get("version")
    if version is not None and as_fact(version) not in PYPERF_FORMATS:
        raise UserError(
            f"{path} has format {reprlib.repr(version)} of pyperf; those that are read are "
            f"{', '.join(PYPERF_FORMATS)}, so measure anew"
        )
    common = as_object(tree.get("metadata"))
    benchmarks, notes = read_benchmarks(tree, path, lambda entry, name: _of_pyperf(entry, name, common))
    facts = {
        name: _once(fact for benchmark in benchmarks for fact in benchmark.facts.get(name, ()))
        for name in (*SURROUNDINGS, *DATED)
    }
    mixed = [(benchmark.name, several(benchmark.facts, SURROUNDINGS)) for benchmark in benchmarks]
    if mixed_up := tuple(f"{name} ({'; '.join(clauses)})" for name, clauses in mixed if clauses):
        notes += (Note("Measured on several machines or in several environments", mixed_up),)
    elif machines := several(facts, PYPERF.machine):
        notes += (Note("Its benchmarks are of several machines, so their times do not compare", machines),)
    return ToolResults(PYPERF, facts, benchmarks, notes)


def _of_pyperf(entry: Mapping[str, Any], number: str, common: Mapping[str, Any]) -> Benchmark:
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
        for field in (*SURROUNDINGS, *PYPERF.measured)
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


def _parse_pytest_benchmark(tree: Mapping[str, Any], path: Path) -> ToolResults:
    """Return what a file of pytest-benchmark holds; ``path`` is what messages call it.

    Raises:
        UserError: no benchmark in it can be used.
    """
    machine = as_object(tree.get("machine_info"))
    processor = {f"cpu {name}": fact for name, fact in as_object(machine.get("cpu")).items()}
    named = {name: as_text(tree.get(name)) for name in ("version", "datetime")}
    facts = _each_fact({**machine, **processor, **named})
    benchmarks, notes = read_benchmarks(
        tree, path, lambda entry, name: _of_pytest_benchmark(entry, name, facts)
    )
    return ToolResults(PYTEST_BENCHMARK, facts, benchmarks, notes)


def _each_fact(info: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what an object tells in a line each."""
    return {name: (text,) for name, fact in info.items() if (text := as_fact(fact))}


def _of_pytest_benchmark(entry: Mapping[str, Any], name: str, facts: Facts) -> Benchmark:
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
        facts={
            **facts,
            **_each_fact({name: options[name] for name in PYTEST_BENCHMARK.measured if name in options}),
        },
        own=own_of({**info, "work": work}),
        iqr_ns=iqr * 1e9 if is_number(iqr) else None,
    )
