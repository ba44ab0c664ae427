"""JSON files of other tools: what all of them share, read within limits, trusted in nothing, and written.

A file may be anybody's. What is used of it is checked where it is used; what is odd and unused does no harm.
"""

import gzip
import io
import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any, BinaryIO, Literal, TypeGuard

import msgspec

from bench.machine.errors import UserError
from bench.machine.libraries import NUMPY
from bench.machine.wording import one_line
from bench.records.record import Burst, Entry
from bench.records.run import SPOILED, Run, is_counted
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
        own = [one.own for one in self.benchmarks if one.own]
        return "export" if any(one.exported for one in own) else "plugin" if own else "stranger"


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
            own = Own(
                arm.variant,
                arm.library,
                device,
                arm.threads,
                case.dtype,
                str(case),
                case.shape,
                wrong,
                True,
                errors,
            )
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
