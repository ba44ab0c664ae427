"""Runs as pyperf's JSON, format 1.0, and what pyperf saves read back.

A benchmark of pyperf is one entry, a run of pyperf one process: a block. Values are seconds a call. What
an entry's name does not tell stands in the metadata, under names that begin with ``rnnbench_``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.case import Shape
from bench.errors import UserError
from bench.printable import one_line
from bench.results.counted import counted_bursts, entry_name, is_known_wrong
from bench.results.foreign import is_time
from bench.results.record import Arm, Burst, Entry
from bench.results.run import Run

VERSION = "1.0"
OURS = "rnnbench_"
Metadata = dict[str, str | int | float]
LABEL = (
    "pyperf measured these benchmarks one after the other: drift of the machine between two of them is not "
    "in the interval of their ratio, so there is no verdict"
)


@dataclass(frozen=True, slots=True)
class PyperfBenchmark:
    """One benchmark, times in nanoseconds a call. What only our own exports tell may be empty."""

    name: str
    medians_ns: tuple[float, ...]  # of every process
    values: int  # of all processes
    loops: int  # calls in a value, of the first process
    group: str = ""
    variant: str = ""  # empty: not one of ours, known by its name alone
    library: str = ""
    device: str = ""
    threads: int | None = None
    dtype: str = ""
    known_wrong: bool = False
    work: str = ""  # the case, in one line
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class PyperfResults:
    """One file of pyperf, its benchmarks in the file's order."""

    metadata: Mapping[str, Any]  # what all of them share
    benchmarks: tuple[PyperfBenchmark, ...]
    label: str = LABEL


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


class _Run(msgspec.Struct):
    values: list[float] = []
    metadata: dict[str, Any] = {}


class _Benchmark(msgspec.Struct):
    runs: list[_Run]
    metadata: dict[str, Any] = {}


class _File(msgspec.Struct):
    version: str | int
    benchmarks: list[_Benchmark]
    metadata: dict[str, Any] = {}


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


def parse_pyperf(tree: dict[str, Any], path: Path) -> PyperfResults:
    """What a file of pyperf holds; ``path`` is what messages call it.

    Raises:
        UserError: it is no such file, of another format, measures no time, or holds no benchmark.
    """
    try:
        file = msgspec.convert(tree, _File)
    except msgspec.ValidationError as error:
        raise UserError(f"{path} is no JSON file of pyperf: {error}") from error
    if file.version != VERSION:
        raise UserError(f"{path} has format {file.version} of pyperf, {VERSION} is read; try: pyperf convert")
    benchmarks = [_benchmark(one, file.metadata, path) for one in file.benchmarks]
    found = {one.name: one for one in benchmarks if one is not None}
    if not found:
        raise UserError(f"{path} holds no benchmark with values")
    if len(found) < sum(one is not None for one in benchmarks):
        raise UserError(f"{path} holds two benchmarks of one name; the file was edited or is damaged")
    return PyperfResults(file.metadata, tuple(found.values()))


def _benchmark(one: _Benchmark, common: dict[str, Any], path: Path) -> PyperfBenchmark | None:
    """One benchmark; None where it has no values, as after calibration alone."""
    runs = [run for run in one.runs if run.values]
    if not runs:
        return None
    told = {**common, **one.metadata, **one.runs[0].metadata}
    name = told.get("name")
    if not isinstance(name, str) or not name:
        raise UserError(f"{path} holds a benchmark without a name; the file was edited or is damaged")
    if (unit := told.get("unit", "second")) != "second":
        raise UserError(f"{path}: {name!r} is measured in {unit!r}; times alone are read")
    if not all(is_time(value) for run in runs for value in run.values):
        raise UserError(
            f"{path} holds a time that is not positive, or none at all; the file was edited or is damaged"
        )
    loops = runs[0].metadata.get("loops", told.get("loops", 1))
    made: dict[str, Any] = {
        "name": name,
        "medians_ns": tuple(1e9 * median(run.values) for run in runs),
        "values": sum(len(run.values) for run in runs),
        "loops": loops if isinstance(loops, int) and loops >= 1 else 1,
    }
    try:
        ours = msgspec.convert(told, _Ours)
    except msgspec.ValidationError:
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
        shape=Shape(ours.T, ours.B, ours.I, ours.H, ours.O),
    )
