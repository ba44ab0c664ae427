"""On which machine, with which libraries: what the numbers of a run depend on, and what was audited.

The facts at once, and below them, closed, all that the environment record and the workers hold.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.machine import libraries, units, wording
from bench.records.run import Run
from bench.reporting.facts import Facts
from bench.reporting.section import Fields, Pairs, Section, text_table

# facts of a worker that are shown beside its library
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
    "host": "Host (a hash)", "nohz_full": "Processors without ticks", "git": "Commit", "max": "at most",
    "cpu_baseline": "NumPy needs at least", "cpu_not_found": "Not on this processor", "cur": "now",
    "cpu_capability": "Vector units in use", "mkldnn": "oneDNN", "cuda": "CUDA", "cudnn": "cuDNN",
    "min": "at least", "blas": "BLAS", "blas_version": "BLAS, version",
}  # fmt: skip
UNITS = {"_c": "°C", "_percent": "%", "_ns": "ns", "_s": "s", "_mhz": "MHz", "_w": "W"}  # by a name's ending
ENDINGS = ("_bytes", "_share", *UNITS)
MOST = 400  # characters of one value
Read = list[dict[str, Any]]  # what each worker of a library read
VARIABLES = {
    "set": "set for one thread, and likewise for more",
    "dropped": "dropped, so that they change no number",
    "kept": "kept",
}


def environment_section(facts: Facts, prefix: str) -> Section:
    """Return machine, libraries and variables, and whether it was fair."""
    environment = facts.run.environment
    by_library = _by_library(facts.run)
    variables = [
        (what, ", ".join(f"{name}={value}" for name, value in getattr(environment, field).items()) or "none")
        for field, what in VARIABLES.items()
    ]
    return Section(
        id="machine",
        title="On which machine, and was it fair?",
        lead=(" ".join(audit(facts.run)),),
        pairs=machine(environment.machine),
        tables=(text_table("Libraries", LIBRARIES, by_library.items()),) if by_library else (),
        notes=tuple(f"Variables {what}: {values}." for what, values in variables),
        parts=tuple(
            Section(f"read-{n}", f"All that was read: {whose}", pairs=pairs, open=False)
            for n, (whose, pairs) in enumerate(details(facts.run).items(), start=1)
        ),
    )


def machine(facts: Mapping[str, Any]) -> Pairs:
    """Return the facts about the machine that matter most; those that are unknown are left out."""
    cores = f", on {facts['physical_cores']} physical cores" if facts.get("physical_cores") else ""
    usable = f"{facts.get('usable_cpus')} usable of {facts.get('cpus')}{cores}"
    waited = f", after {units.seconds(facts['waited_s'])} of waiting" if facts.get("waited_s") else ""
    others, packages = facts.get("others_cpus"), facts.get("packages") or {}
    used = None if others is None else f"{units.number(others)} processors at the start{waited}"
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
        "Used by other programs": used,
        "Python": facts.get("python"),
        "Host": facts.get("host_name"),
        "Packages": ", ".join(f"{name} {version}" for name, version in packages.items()),
    }
    return tuple((name, str(value)) for name, value in known.items() if value not in (None, ""))


def audit(run: Run) -> list[str]:
    """Return what was checked about fairness, and what came out."""
    arms, entries = run.arms, run.entries
    threads = [(one.name, arms[one.arms[0]].threads, one.facts.get("threads")) for one in run.workers]
    odd = sorted({name for name, asked, read in threads if read not in (None, asked)})
    unread = sum(read is None for *_, read in threads)
    right = f"as asked for in all {len(threads) - unread} workers"
    how = f"not as asked for in {wording.listing(odd)}" if odd else right
    unknown = f"; {unread} could not read theirs" * bool(unread)
    sentences = [f"Threads, read back from each library: {how}{unknown}."]
    digests: dict[object, set[str]] = {}
    for burst in run.bursts:
        digests.setdefault(entries[burst.entry].case, set()).add(burst.digest)
    if digests:
        alike = "the same bytes" if all(len(own) == 1 for own in digests.values()) else "NOT the same bytes"
        cases = wording.count(len(digests), "case")
        sentences.append(f"Inputs: {alike} (SHA-256) for every entry of a case, in {cases}.")
    shares = [
        burst.cpu_ns / sum(burst.elapsed_ns)
        for burst in run.bursts
        if arms[entries[burst.entry].arm].threads == 1 and burst.device == "cpu"
    ]
    if shares:
        most = units.number(max(shares))
        sentences.append(f"Processor time of entries with one thread: at most {most} times the wall clock.")
    return sentences


def details(run: Run) -> dict[str, Pairs]:
    """Return all that is known: of the machine, and of each library in its workers."""
    facts = {"the machine": [run.environment.machine]}
    facts |= {f"{libraries.library(key).label} in its workers": own for key, own in _by_library(run).items()}
    return {whose: pairs for whose, own in facts.items() if (pairs := _pairs(own))}


def say(name: str, value: Any) -> str:
    """Return a fact in words; nothing where it is unknown."""
    if value in (None, "", [], {}, ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        parts = ((str(key), say(str(key), part)) for key, part in value.items())
        return ", ".join(f"{NAMES.get(key, _plain(key))} {text}" for key, text in parts if text)[:MOST]
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))[:MOST]
    if isinstance(value, int | float):
        return _with_unit(name, value)
    return str(value)[:MOST]


def _by_library(run: Run) -> dict[str, Read]:
    """Return what the workers of each library read, in the plan's order."""
    libraries_of = {arm.id: arm.library for arm in run.plan.arms}
    by_library: dict[str, Read] = {library: [] for library in libraries_of.values()}
    for worker in run.workers:
        by_library[libraries_of[worker.arms[0]]].append(worker.facts)
    return {library: facts for library, facts in by_library.items() if facts}


def _clock_speed(facts: Mapping[str, Any]) -> str:
    """Return governor, turbo and MHz, as far as they are known."""
    known = [f"{name} {facts[name]}" for name in ("governor", "turbo") if facts.get(name)]
    if isinstance(facts.get("mhz"), dict) and (speed := say("mhz", facts["mhz"])):
        known.append(f"{speed} MHz")
    return "; ".join(known)


def _values(facts: Iterable[Mapping[str, Any]], key: str) -> str:
    """Return all values that the workers found under one key."""
    return ", ".join(dict.fromkeys(str(fact[key]) for fact in facts if fact.get(key) not in (None, "")))


def _pairs(facts: Iterable[Mapping[str, Any]]) -> Pairs:
    """Return name and value of every fact that is known; all values where several workers read others."""
    values: dict[str, dict[str, None]] = {}
    for own in facts:
        for name, value in own.items():
            if text := say(name, value):
                values.setdefault(name, {})[text] = None
    return tuple(
        (NAMES.get(name) or wording.capital(_plain(name)), " / ".join(texts)[:MOST])
        for name, texts in values.items()
    )


def _plain(name: str) -> str:
    """Return the name of a fact without its unit."""
    ending = next((ending for ending in ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending).replace("_", " ")


def _with_unit(name: str, value: int | float) -> str:
    """Return a number with the unit that its name tells."""
    if name.endswith("_bytes"):
        return units.memory(value) if value else "none"
    if name.endswith("_share"):
        return units.percent(value)
    return next((f"{value} {unit}" for ending, unit in UNITS.items() if name.endswith(ending)), str(value))


def _read(facts: Read) -> str:
    """Return what the workers of a library read of it; float32 is IEEE's unless a switch says otherwise."""
    switches = {switch for fact in facts for switch in (fact.get("precision") or {}).items()}
    other = ", ".join(sorted(f"{name}={value}" for name, value in switches if value != "ieee"))
    values = {key.replace("_", " "): _values(facts, key) for key in BESIDE}
    values["float32 precision"] = (other or "IEEE in every switch") if switches else ""
    return "; ".join(f"{key}: {value}" for key, value in values.items() if value)


LIBRARIES: Fields[tuple[str, Read]] = {
    "Library": lambda own: libraries.library(own[0]).label,
    "Version": lambda own: _values(own[1], "version"),
    "BLAS": lambda own: f"{_values(own[1], 'blas')} {_values(own[1], 'blas_version')}".strip(),
    "Kernel that ran": lambda own: _values(own[1], "kernel") or "not told by the library",
    "As its workers read it": lambda own: _read(own[1]),
}
