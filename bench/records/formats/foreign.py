"""Read JSON files of pyperf and pytest-benchmark, and recognise the tool by the content.

No file is trusted: its size is limited, a repeated key refuses the file, and each used field is checked where
it is used. Other fields are ignored, also with wrong content.
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
from bench.workload.case import DEFAULT_CELL, Shape
from bench.workload.catalog import BASELINE

MAX_BYTES = 2**28  # 256 MiB, unpacked; a million values need a tenth of this
MAX_ITEMS = 2**23  # values, lists and objects; this many small objects need 1 GiB of memory
GZIP_START = b"\x1f\x8b"
LONG_INTEGER_DIGITS = 19  # longer integers may need more than 64 bits; they are read as floats
MIN_CALL_S, MAX_CALL_S = 1e-12, 1e9  # shortest and longest possible time of a call

Facts = Mapping[str, tuple[str, ...]]  # name -> texts of this fact; several texts if the processes differ
Origin = Literal[
    "stranger", "plugin", "export"
]  # written by: any program, ``pytest --benchmark`` of rnnbench, ``rnnbench export``


@dataclass(frozen=True, slots=True)
class Tool:
    """Describe a tool that times benchmarks: the names that its files use for each kind of fact."""

    name: str
    machine: tuple[str, ...]  # names of the facts that identify a machine
    versions: tuple[str, ...]
    conditions: tuple[str, ...]  # of other facts that change speed
    measured: tuple[str, ...]  # of settings of the measurement
    processor: tuple[str, ...]  # of the processor; the first name in the file counts
    cpus: str
    host: str
    environment: tuple[tuple[str, ...], ...]  # shown in a report: a title, then the names under it
    one_process: bool  # its files hold the times of one process, so no interval can be computed


OURS = "rnnbench_"  # prefix of rnnbench's metadata in pyperf files
PYPERF_VERSION = "1.0"
PYPERF_FORMATS = (PYPERF_VERSION, "6", "5", "4")  # versions 6 to 4 are of pyperf 0.7.4 to 0.9.6
MAX_UNIT_CHARACTERS = 40  # longer units are cut in a message
DEFAULT_FACTS = {
    "python_gc": "enabled",
    "loops": 1,
    "inner_loops": 1,
}  # what pyperf means if a fact is missing
DATE_FIELDS = ("perf_version", "date")
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
PYPERF_ENVIRONMENT = (*PYPERF.machine, *PYPERF.versions, *PYPERF.conditions)
PYTEST_BENCHMARK = Tool(
    name="pytest-benchmark",
    machine=("node", "machine", "cpu brand_raw", "cpu brand", "cpu count"),
    versions=("python_implementation", "python_version", "numpy", "torch", "blas", "blas_version"),
    conditions=("system", "release", "blas_kernel", "threads"),
    measured=("disable_gc", "timer", "min_rounds", "max_time", "min_time", "warmup"),
    processor=("cpu brand_raw", "cpu brand", "processor", "machine"),  # "cpu brand": py-cpuinfo < 6
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
    """Describe a peculiarity of a file, and name the benchmarks concerned."""

    what: str
    names: tuple[str, ...]


class Own(msgspec.Struct, frozen=True):
    """Hold what rnnbench wrote about its own benchmark into another tool's file."""

    variant: str
    library: str
    device: str
    threads: int | None
    dtype: str
    work: str  # the case as one line
    shape: Shape
    known_wrong: bool = False
    exported: bool = False
    errors: dict[str, float] = {}  # error of each check of the proof, by the check's name

    @property
    def is_baseline(self) -> bool:
        """Return whether other benchmarks of the same case are compared with this benchmark."""
        return self.variant == BASELINE and self.device == "cpu"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Hold one benchmark; times are nanoseconds per call."""

    name: str
    full_name: str  # with the source file, if the tool records the file
    group: str
    medians_ns: tuple[float, ...]  # one median for each process
    values: int | None  # number of values in all processes
    calls: int | None  # number of calls in a value
    facts: Facts  # where and how it was measured
    own: Own | None  # None: not written by rnnbench, so only the name is known
    iqr_ns: float | None = None
    label: str = ""  # displayed name, unique in its file


@dataclass(frozen=True, slots=True)
class ToolResults:
    """Hold one file of another tool, with its benchmarks in the order of the file."""

    tool: Tool
    facts: Facts  # of all benchmarks
    benchmarks: tuple[Benchmark, ...]
    notes: tuple[Note, ...] = ()

    @property
    def origin(self) -> Origin:
        """Return which program wrote the file."""
        own_facts = [benchmark.own for benchmark in self.benchmarks if benchmark.own]
        return "export" if any(own.exported for own in own_facts) else "plugin" if own_facts else "stranger"


def read_content(file: BinaryIO, path: object) -> bytes:
    """Return the content of a file, unpacked if needed; ``path`` is the file's name in messages.

    Raises:
        OSError: the file cannot be read.
        UserError: the content is too large, or the gzip data is damaged.
    """
    data = file.read(MAX_BYTES + 1)
    if data.startswith(GZIP_START):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(MAX_BYTES + 1)  # the extra byte shows that the content is too large
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(f"{path} is a damaged gzip file ({error}); copy it anew") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES >> 20} MiB, which is not read")
    return data


def parse_tree(data: bytes) -> dict[str, Any]:
    """Return a file's content as a JSON object, from any Unicode encoding, with or without byte order mark.

    Numbers may be infinite or NaN.

    Raises:
        ValueError: the content is no JSON object, has a repeated key, or has too many values.
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
        tree = json.loads(text, object_pairs_hook=unique_keys, parse_int=_parse_integer)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(tree, dict):
        raise ValueError("it is no object")
    return tree


def _parse_integer(text: str) -> int | float:
    return int(text) if len(text) < LONG_INTEGER_DIGITS else float(text)


def parse_results(data: bytes, path: Path) -> ToolResults:
    """Return the results in a file of pyperf (benchmarks with runs) or pytest-benchmark (with stats).

    Raises:
        ValueError: the file has another format.
        UserError: no benchmark in the file can be used.
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
    """Return a file's benchmarks with unique labels, and a note about unusable benchmarks.

    A label is the name, or the full name if the name repeats, with a number if the full name repeats too.
    ``read`` gets a benchmark's object and a name for unnamed benchmarks; it raises ValueError if the object
    is unusable.

    Raises:
        UserError: no benchmark can be used.
    """
    benchmarks, left_out = [], []
    for number, entry in enumerate(tree["benchmarks"], start=1):
        try:
            benchmarks.append(read(as_object(entry), f"benchmark {number}"))
        except ValueError as error:
            left_out.append(str(error))
    if not benchmarks:
        raise UserError(f"{path} holds no benchmark that can be used: {left_out[0]}")
    name_counts = Counter(benchmark.name for benchmark in benchmarks)
    labels = numbered(
        benchmark.full_name if name_counts[benchmark.name] > 1 else benchmark.name for benchmark in benchmarks
    )
    notes = (Note("Left out, since it cannot be used", tuple(left_out)),) if left_out else ()
    return tuple(map(lambda benchmark, label: replace(benchmark, label=label), benchmarks, labels)), notes


def numbered(names: Iterable[str]) -> list[str]:
    """Return the names, with a number added to each repeated name: "t", "t (2)"."""
    counts: Counter[str] = Counter()
    labels = []
    for name in names:
        counts[name] += 1
        labels.append(f"{name} ({counts[name]})" if counts[name] > 1 else name)
    return labels


def own_of(facts: Mapping[str, Any]) -> Own | None:
    """Return the facts that rnnbench wrote about a benchmark; None if some are missing or invalid."""
    try:
        own = msgspec.convert(facts, Own)
    except msgspec.ValidationError:
        return None
    return own if min(astuple(own.shape)) >= 1 and all(map(math.isfinite, own.errors.values())) else None


def is_time(seconds: object) -> TypeGuard[float]:
    """Return whether a value is a possible time of a call: from a picosecond to thirty years."""
    return is_number(seconds) and MIN_CALL_S <= seconds <= MAX_CALL_S


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def as_count(value: object) -> int | None:
    """Return a value if it is a positive integer, else None."""
    return value if isinstance(value, int) and value >= 1 else None


def as_object(value: object) -> dict[str, Any]:
    """Return a value if it is a JSON object, else an empty object."""
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    """Return a value if it is a text, else an empty text."""
    return value if isinstance(value, str) else ""


def as_fact(value: object) -> str:
    """Return a scalar or a list of texts as one line of text; for anything else an empty text."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = ", ".join(value)
    return one_line(value) if isinstance(value, bool | int | float | str) and value != "" else ""


def fact_text(facts: Facts, name: str) -> str:
    """Return the texts of a fact, joined: "h1 / h2"; empty if the fact is missing."""
    return " / ".join(facts.get(name, ()))


def several(facts: Facts, names: Iterable[str]) -> tuple[str, ...]:
    """Return each fact with several texts: "hostname: h1 / h2"."""
    return tuple(f"{name}: {fact_text(facts, name)}" for name in names if len(facts.get(name, ())) > 1)


def _parse_pyperf(tree: Mapping[str, Any], path: Path) -> ToolResults:
    """Return the content of a pyperf file; ``path`` is the file's name in messages.

    As in pyperf, metadata of the file apply to each benchmark, metadata of a benchmark to each of its runs;
    more specific metadata win.

    Raises:
        UserError: the file has an unknown format, or no benchmark in it can be used.
    """
    version = tree.get("version")
    if version is not None and as_fact(version) not in PYPERF_FORMATS:
        raise UserError(
            f"{path} has format {reprlib.repr(version)} of pyperf; those that are read are "
            f"{', '.join(PYPERF_FORMATS)}, so measure anew"
        )
    common = as_object(tree.get("metadata"))
    benchmarks, notes = read_benchmarks(
        tree, path, lambda entry, name: _pyperf_benchmark(entry, name, common)
    )
    facts = {
        name: _unique_facts(fact for benchmark in benchmarks for fact in benchmark.facts.get(name, ()))
        for name in (*PYPERF_ENVIRONMENT, *DATE_FIELDS)
    }
    clauses_by_name = [
        (benchmark.name, several(benchmark.facts, PYPERF_ENVIRONMENT)) for benchmark in benchmarks
    ]
    if mixed_benchmarks := tuple(
        f"{name} ({'; '.join(clauses)})" for name, clauses in clauses_by_name if clauses
    ):
        notes += (Note("Measured on several machines or in several environments", mixed_benchmarks),)
    elif machines := several(facts, PYPERF.machine):
        notes += (Note("Its benchmarks are of several machines, so their times do not compare", machines),)
    return ToolResults(PYPERF, facts, benchmarks, notes)


def _pyperf_benchmark(entry: Mapping[str, Any], number: str, common: Mapping[str, Any]) -> Benchmark:
    """Return one benchmark of a file with this ``common`` metadata.

    Raises:
        ValueError: the benchmark cannot be used.
    """
    common = {**common, **as_object(entry.get("common_metadata")), **as_object(entry.get("metadata"))}
    processes = [
        (values, {**common, **as_object(run.get("metadata")), "warmups": len(_as_list(run.get("warmups")))})
        for run in map(as_object, _as_list(entry.get("runs")))
        if (values := _as_list(run.get("values", run.get("samples"))))  # called "samples" up to format 5
    ]
    first_metadata = processes[0][1] if processes else common
    name = as_text(first_metadata.get("name")).strip()
    if problem := _why_unusable(name, processes):
        raise ValueError(f"{name or number} ({problem})")
    facts = {
        field: _unique_facts(metadata.get(field, DEFAULT_FACTS.get(field)) for _, metadata in processes)
        for field in (*PYPERF_ENVIRONMENT, *PYPERF.measured)
    }
    facts |= {field: _unique_facts([first_metadata.get(field)]) for field in DATE_FIELDS}
    # the text after "-with-" depends on the Python build, not on the machine
    facts["platform"] = _unique_facts(fact.partition("-with-")[0] for fact in facts["platform"])
    facts["values"] = _unique_facts(len(values) for values, _ in processes)
    own_facts = {
        field.removeprefix(OURS): fact for field, fact in first_metadata.items() if field.startswith(OURS)
    }
    own = own_of(
        {**own_facts, "shape": own_facts, "known_wrong": own_facts.get("known_wrong") == 1, "exported": True}
    )
    return Benchmark(
        name=name,
        full_name=name,
        group=as_text(own_facts.get("group")) if own else "",
        medians_ns=tuple(1e9 * median(values) for values, _ in processes),
        values=sum(len(values) for values, _ in processes),
        calls=as_count(first_metadata.get("loops")) or 1,
        facts=facts,
        own=own,
    )


def _why_unusable(name: str, processes: list[tuple[list[Any], dict[str, Any]]]) -> str:
    """Return why a benchmark cannot be used; an empty text if it can be used."""
    if not processes:
        return "it holds no value, as after calibration alone"
    if not name:
        return "it has no name"
    if units := {as_fact(facts["unit"]) for _, facts in processes if "unit" in facts} - {"second"}:
        unit = ", ".join(sorted(units))[:MAX_UNIT_CHARACTERS] if units != {""} else "what is no text"
        return f"it is measured in {unit}; times alone are read"
    if not_times := [value for values, _ in processes for value in values if not is_time(value)]:
        return f"its value {reprlib.repr(not_times[0])} is no time in seconds"
    return ""


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _unique_facts(facts: Iterable[object]) -> tuple[str, ...]:
    """Return the texts of the facts, each text once, sorted."""
    # most facts are one shared object: convert each object once
    distinct = {id(fact): fact for fact in facts}.values()
    return tuple(sorted(set(map(as_fact, distinct)) - {""}))


def _parse_pytest_benchmark(tree: Mapping[str, Any], path: Path) -> ToolResults:
    """Return the content of a pytest-benchmark file; ``path`` is the file's name in messages.

    Raises:
        UserError: no benchmark in it can be used.
    """
    machine = as_object(tree.get("machine_info"))
    processor = {f"cpu {name}": fact for name, fact in as_object(machine.get("cpu")).items()}
    file_facts = {name: as_text(tree.get(name)) for name in ("version", "datetime")}
    facts = _facts_of({**machine, **processor, **file_facts})
    benchmarks, notes = read_benchmarks(tree, path, lambda entry, name: _pytest_benchmark(entry, name, facts))
    return ToolResults(PYTEST_BENCHMARK, facts, benchmarks, notes)


def _facts_of(info: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the facts of an object as texts; facts without a one-line text are left out."""
    return {name: (text,) for name, fact in info.items() if (text := as_fact(fact))}


def _pytest_benchmark(entry: Mapping[str, Any], name: str, facts: Facts) -> Benchmark:
    """Return one benchmark of a file with these ``facts``.

    Raises:
        ValueError: the median cannot be used.
    """
    full_name = as_text(entry.get("fullname")) or as_text(entry.get("name")) or name
    stats, info = as_object(entry.get("stats")), as_object(entry.get("extra_info"))
    median, low, high, iqr = (stats.get(name) for name in ("median", "min", "max", "iqr"))
    if not is_time(median):
        raise ValueError(f"{full_name} (its median {reprlib.repr(median)} is no time in seconds)")
    if (is_number(low) and low > median) or (is_number(high) and high < median):
        raise ValueError(f"{full_name} (its median is not between its least and its largest time)")
    options = as_object(entry.get("options"))
    known = [as_text(info.get(name)) for name in ("task", "layout", "dtype")]
    if (cell := as_text(info.get("cell"))) not in ("", DEFAULT_CELL):
        known.insert(0, cell)
    if info.get("bias") is True:
        known.append("bias")
    work = as_text(info.get("work")) or " · ".join(known)  # an export has the whole case
    return Benchmark(
        name=as_text(entry.get("name")) or full_name,
        full_name=full_name,
        group=as_text(entry.get("group")),
        medians_ns=(median * 1e9,),
        values=as_count(stats.get("rounds")),
        calls=as_count(stats.get("iterations")),
        facts={
            **facts,
            **_facts_of({name: options[name] for name in PYTEST_BENCHMARK.measured if name in options}),
        },
        own=own_of({**info, "work": work}),
        iqr_ns=iqr * 1e9 if is_number(iqr) else None,
    )
