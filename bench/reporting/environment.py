"""On which machine, with which libraries: what the numbers of a run depend on, and what was audited.

The facts at once, and below them, closed, all that the environment record and the workers hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.machine import libraries, units, wording
from bench.records.run import Run
from bench.reporting.facts import Facts
from bench.reporting.section import Cell, Column, Fold, Pairs, Section, TextTable

# what has a place before the details
SHOWN = {
    "processor", "cpus", "usable_cpus", "physical_cores", "cgroup_quota", "memory_bytes", "system",
    "architecture", "governor", "load_1min", "python", "packages",
}  # fmt: skip
# facts of a worker that are shown beside its library; the others are among the details
BESIDE = ("cpu_capability", "threading", "cuda", "device_name", "driver", "cudnn")
NAMES = {
    "smt": "SMT", "siblings": "Threads of the first core", "numa_nodes": "NUMA nodes", "mhz": "MHz",
    "affinity": "Usable processors", "mitigations": "Weaknesses of the processor", "aslr": "ASLR",
    "hypervisor": "Virtual machine", "cgroup_memory_bytes": "Memory of the container",
    "preloaded_everywhere": "/etc/ld.so.preload", "libc": "C library", "clocks": "Clocks at the start",
    "steal_share": "Steal since the start of the system", "runnable": "Tasks that could run",
    "pressure_percent": "Waiting, of ten seconds", "python_optimised": "Python built with optimizations",
    "python_gil": "GIL", "packages_sha256": "All installed packages, SHA-256", "power": "Power from",
    "constraints_sha256": "constraints.txt, SHA-256", "uncommitted_sha256": "Uncommitted changes, SHA-256",
    "host": "Host (a hash)", "nohz_full": "Processors without ticks", "swap_bytes": "Swap",
    "cpu_baseline": "NumPy needs at least", "cpu_not_found": "Not on this processor", "git": "Commit",
    "cpu_capability": "Vector units in use", "mkldnn": "oneDNN", "cuda": "CUDA", "cudnn": "cuDNN",
    "swap_used_bytes": "Swap in use", "cur": "now", "min": "at least", "max": "at most", "blas": "BLAS",
    "blas_version": "BLAS, version",
}  # fmt: skip
UNITS = {"_c": "°C", "_percent": "%", "_ns": "ns", "_s": "s", "_mhz": "MHz", "_w": "W"}  # by a name's ending
ENDINGS = ("_bytes", "_share", *UNITS)
MOST = 400  # characters of one value
LIBRARIES = tuple(map(Column, ("Library", "Version", "BLAS", "Kernel that ran", "As its workers read it")))


def environment_section(facts: Facts, found: object, prefix: str) -> Section:
    """Return machine, libraries and variables, and whether it was fair."""
    environment = facts.run.environment
    rows = tuple(library_rows(facts.run))
    return Section(
        id="machine",
        title="On which machine, and was it fair?",
        lead=(" ".join(audit(facts.run)),),
        pairs=machine(environment.machine),
        tables=(TextTable("Libraries", LIBRARIES, rows),) if rows else (),
        notes=tuple(
            f"Variables {what}: {', '.join(f'{name}={value}' for name, value in values.items()) or 'none'}."
            for what, values in (
                ("set for one thread, and likewise for more", environment.set),
                ("dropped, so that they change no number", environment.dropped),
                ("kept", environment.kept),
            )
        ),
        folds=tuple(
            Fold(f"All that was read: {heading}", pairs=pairs) for heading, pairs in details(facts.run)
        ),
    )


def machine(facts: Mapping[str, Any]) -> Pairs:
    """Return the facts about the machine that matter most; those that are unknown are left out."""
    cores = f", on {facts['physical_cores']} physical cores" if facts.get("physical_cores") else ""
    usable = f"{facts.get('usable_cpus')} usable of {facts.get('cpus')}{cores}"
    waited = f", after {units.seconds(facts['waited_s'])} of waiting" if facts.get("waited_s") else ""
    others = facts.get("others_cpus")
    known = {
        "Processor": facts.get("processor"),
        "Processors": usable if facts.get("cpus") else None,
        "Quota of the container": facts.get("cgroup_quota"),
        "Memory": units.memory(facts["memory_bytes"]) if facts.get("memory_bytes") else None,
        "System": " ".join(str(facts[key]) for key in ("system", "architecture") if facts.get(key)),
        "Clock speed": _clock_speed(facts),
        "Virtual machine": facts.get("hypervisor"),
        "Container": facts.get("container"),
        "Load at the start": facts.get("load_1min"),
        "Used by other programs": None
        if others is None
        else f"{units.number(others)} processors at the start{waited}",
        "Python": facts.get("python"),
        "Host": facts.get("host_name"),
        "Packages": ", ".join(f"{name} {version}" for name, version in (facts.get("packages") or {}).items()),
    }
    return tuple((name, str(value)) for name, value in known.items() if value not in (None, ""))


def library_rows(run: Run) -> Iterable[tuple[Cell, ...]]:
    """Yield version, BLAS and kernel of each library, as its workers read them."""
    for library, facts in _by_library(run).items():
        more = [f"{key.replace('_', ' ')}: {told}" for key in BESIDE if (told := _values(facts, key))]
        cells = (
            libraries.library(library).label,
            _values(facts, "version"),
            f"{_values(facts, 'blas')} {_values(facts, 'blas_version')}".strip(),
            _values(facts, "kernel") or "not told by the library",
            "; ".join([*more, *_precision(facts)]),
        )
        yield tuple(map(Cell, cells))


def audit(run: Run) -> list[str]:
    """Return what was checked about fairness, and what came out."""
    arms, entries = run.arms, run.entries
    asked = [(worker, arms[worker.arms[0]].threads) for worker in run.workers]
    odd = sorted({worker.name for worker, n in asked if worker.facts.get("threads") not in (None, n)})
    unknown = sum(worker.facts.get("threads") is None for worker, _ in asked)
    how = f"not as asked for in {wording.listing(odd)}" if odd else ""
    how = how or f"as asked for in all {len(asked) - unknown} workers"
    sentences = [f"Threads, read back from each library: {how}."]
    if unknown:
        sentences.append(f"{unknown} workers could not read their threads back.")
    digests: dict[object, set[str]] = {}
    for name, digest in {(burst.entry, burst.digest) for burst in run.bursts}:
        digests.setdefault(entries[name].case, set()).add(digest)
    if digests:
        alike = all(len(of_case) == 1 for of_case in digests.values())
        sentences.append(
            f"Inputs: {'the same bytes' if alike else 'NOT the same bytes'} (SHA-256) for every entry of a "
            f"case, in {wording.count(len(digests), 'case')}."
        )
    shares = [
        burst.cpu_ns / sum(burst.elapsed_ns)
        for burst in run.bursts
        if arms[entries[burst.entry].arm].threads == 1 and burst.device == "cpu"
    ]
    if shares:
        most = units.number(max(shares))
        sentences.append(f"Processor time of entries with one thread: at most {most} times the wall clock.")
    return sentences


def details(run: Run) -> list[tuple[str, Pairs]]:
    """Return all that is known and not shown before: of the machine, and of each library in its workers."""
    machine = run.environment.machine
    told = {"the machine": [{name: value for name, value in machine.items() if name not in SHOWN}]}
    for library, facts in _by_library(run).items():
        told[f"{libraries.library(library).label} in its workers"] = facts
    return [(heading, pairs) for heading, facts in told.items() if (pairs := _pairs(facts))]


def say(name: str, value: Any) -> str:
    """Return a fact in words; nothing where it is unknown."""
    if value in (None, "", [], {}, ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        parts = ((str(key), say(str(key), one)) for key, one in value.items())
        return ", ".join(f"{NAMES.get(key, _plain(key))} {text}" for key, text in parts if text)[:MOST]
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))[:MOST]
    if isinstance(value, int | float):
        return _with_unit(name, value)
    return str(value)[:MOST]


def _by_library(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return what the workers of each library read, in the plan's order."""
    told: dict[str, list[dict[str, Any]]] = {}
    library_of = {arm.id: arm.library for arm in run.plan.arms}
    for library in library_of.values():
        facts = [worker.facts for worker in run.workers if library_of[worker.arms[0]] == library]
        if facts:
            told[library] = facts
    return told


def _clock_speed(facts: Mapping[str, Any]) -> str:
    """Return governor, turbo and MHz, as far as they are known."""
    told = [f"{name} {facts[name]}" for name in ("governor", "turbo") if facts.get(name)]
    speed = facts.get("mhz")
    if isinstance(speed, dict) and speed:
        told.append(", ".join(f"{NAMES.get(key, key)} {value}" for key, value in speed.items()) + " MHz")
    return "; ".join(told)


def _values(facts: Iterable[Mapping[str, Any]], key: str) -> str:
    """Return all values that the workers found under one key."""
    return ", ".join(dict.fromkeys(str(fact[key]) for fact in facts if fact.get(key) not in (None, "")))


def _precision(facts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what float32 means: IEEE everywhere, or the switches that say otherwise."""
    switches = {switch for fact in facts for switch in (fact.get("precision") or {}).items()}
    other = sorted(f"{name}={value}" for name, value in switches if value != "ieee")
    return [f"float32 precision: {', '.join(other) or 'IEEE in every switch'}"] if switches else []


def _pairs(told: Sequence[Mapping[str, Any]]) -> Pairs:
    """Return name and value of every fact that is known; all different values where several workers told."""
    pairs = []
    for name in dict.fromkeys(name for facts in told for name in facts):
        values = dict.fromkeys(text for facts in told if (text := say(name, facts.get(name))))
        if values:
            pairs.append((NAMES.get(name) or wording.capital(_plain(name)), " / ".join(values)[:MOST]))
    return tuple(pairs)


def _plain(name: str) -> str:
    """Return the name of a fact without its unit."""
    ending = next((ending for ending in ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending).replace("_", " ")


def _with_unit(name: str, value: int | float) -> str:
    if name.endswith("_bytes"):
        return units.memory(value) if value else "none"
    if name.endswith("_share"):
        return units.percent(value)
    return next((f"{value} {unit}" for ending, unit in UNITS.items() if name.endswith(ending)), str(value))
