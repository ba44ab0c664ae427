"""Describe the machine and the libraries that a run's numbers depend on, and what was audited.

The page shows the main facts at once. All facts of the environment record and the workers are folded below.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.machine import libraries, units, wording
from bench.records.run import Run
from bench.reporting.facts import Facts
from bench.reporting.section import Fields, Pairs, Section, text_table

# facts of a worker that the table of libraries shows in its last column
LIBRARY_FACTS = ("cpu_capability", "threading", "cuda", "device_name", "driver", "cudnn")
FACT_NAMES = {
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
# unit by the ending of a fact's name
UNITS = {"_c": "°C", "_percent": "%", "_ns": "ns", "_s": "s", "_mhz": "MHz", "_w": "W"}
ENDINGS = ("_bytes", "_share", *UNITS)
MOST = 400  # characters of one value
WorkerFacts = list[dict[str, Any]]  # the facts that each worker of a library read
# field of the environment record -> what the run did with these environment variables
VARIABLE_ACTIONS = {
    "set": "set for one thread, and likewise for more",
    "dropped": "dropped, so that they change no number",
    "kept": "kept",
}


def environment_section(facts: Facts, prefix: str) -> Section:
    """Return the machine, the libraries, the environment variables, and the audit."""
    environment = facts.run.environment
    by_library = _by_library(facts.run)
    variables = [
        (text, ", ".join(f"{name}={value}" for name, value in getattr(environment, field).items()) or "none")
        for field, text in VARIABLE_ACTIONS.items()
    ]
    return Section(
        id="machine",
        title="On which machine, and was it fair?",
        lead=(" ".join(audit(facts.run)),),
        pairs=machine(environment.machine),
        tables=(text_table("Libraries", LIBRARY_COLUMNS, by_library.items()),) if by_library else (),
        notes=tuple(f"Variables {text}: {values}." for text, values in variables),
        parts=tuple(
            Section(f"read-{n}", f"All that was read: {source}", pairs=pairs, open=False)
            for n, (source, pairs) in enumerate(details(facts.run).items(), start=1)
        ),
    )


def machine(facts: Mapping[str, Any]) -> Pairs:
    """Return the most important facts about the machine, without unknown ones."""
    cores = f", on {facts['physical_cores']} physical cores" if facts.get("physical_cores") else ""
    usable = f"{facts.get('usable_cpus')} usable of {facts.get('cpus')}{cores}"
    wait_text = f", after {units.seconds(facts['waited_s'])} of waiting" if facts.get("waited_s") else ""
    others, packages = facts.get("others_cpus"), facts.get("packages") or {}
    used = None if others is None else f"{units.number(others)} processors at the start{wait_text}"
    values = {
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
    return tuple((name, str(value)) for name, value in values.items() if value not in (None, ""))


def audit(run: Run) -> list[str]:
    """Return the audited conditions and the result of each audit."""
    arms, entries = run.arms, run.entries
    threads = [
        (worker.name, arms[worker.arms[0]].threads, worker.facts.get("threads")) for worker in run.workers
    ]
    wrong = sorted({name for name, planned, read in threads if read not in (None, planned)})
    unread = sum(read is None for *_, read in threads)
    all_right = f"as asked for in all {len(threads) - unread} workers"
    result = f"not as asked for in {wording.listing(wrong)}" if wrong else all_right
    unread_text = f"; {unread} could not read theirs" * bool(unread)
    sentences = [f"Threads, read back from each library: {result}{unread_text}."]
    digests: dict[object, set[str]] = {}
    for burst in run.bursts:
        digests.setdefault(entries[burst.entry].case, set()).add(burst.digest)
    if digests:
        identical = all(len(values) == 1 for values in digests.values())
        same = "the same bytes" if identical else "NOT the same bytes"
        cases = wording.count(len(digests), "case")
        sentences.append(f"Inputs: {same} (SHA-256) for every entry of a case, in {cases}.")
    shares = [
        burst.cpu_ns / sum(burst.elapsed_ns)
        for burst in run.bursts
        if arms[entries[burst.entry].arm].threads == 1 and burst.device == "cpu"
    ]
    if shares:
        peak = units.number(max(shares))
        sentences.append(f"Processor time of entries with one thread: at most {peak} times the wall clock.")
    return sentences


def details(run: Run) -> dict[str, Pairs]:
    """Return all known facts: of the machine, and of each library as its workers read them."""
    facts = {part.host or "the machine": [part.environment.machine] for part in run.machines or (run,)}
    for key, worker_facts in _by_library(run).items():
        facts[f"{libraries.library(key).label} in its workers"] = worker_facts
    return {source: pairs for source, read in facts.items() if (pairs := _known_facts(read))}


def say(name: str, value: Any) -> str:
    """Return a fact as text; empty if unknown."""
    if value in (None, "", [], {}, ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        parts = ((str(key), say(str(key), part)) for key, part in value.items())
        texts = (f"{FACT_NAMES.get(key, _without_unit(key))} {text}" for key, text in parts if text)
        return ", ".join(texts)[:MOST]
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))[:MOST]
    if isinstance(value, int | float):
        return _with_unit(name, value)
    return str(value)[:MOST]


def _by_library(run: Run) -> dict[str, WorkerFacts]:
    """Return the facts that the workers of each library read, in the plan's order."""
    libraries_of = {arm.id: arm.library for arm in run.plan.arms}
    by_library: dict[str, WorkerFacts] = {library: [] for library in libraries_of.values()}
    for worker in run.workers:
        by_library[libraries_of[worker.arms[0]]].append(worker.facts)
    return {library: facts for library, facts in by_library.items() if facts}


def _clock_speed(facts: Mapping[str, Any]) -> str:
    """Return governor, turbo and MHz, without unknown ones."""
    texts = [f"{name} {facts[name]}" for name in ("governor", "turbo") if facts.get(name)]
    if isinstance(facts.get("mhz"), dict) and (speed := say("mhz", facts["mhz"])):
        texts.append(f"{speed} MHz")
    return "; ".join(texts)


def _values(facts: Iterable[Mapping[str, Any]], key: str) -> str:
    """Return all values of one fact, each once."""
    return ", ".join(dict.fromkeys(str(fact[key]) for fact in facts if fact.get(key) not in (None, "")))


def _known_facts(facts: Iterable[Mapping[str, Any]]) -> Pairs:
    """Return the names and values of the known facts; a fact that workers read differently has all values."""
    values: dict[str, dict[str, None]] = {}
    for worker_facts in facts:
        for name, value in worker_facts.items():
            if text := say(name, value):
                values.setdefault(name, {})[text] = None
    return tuple(
        (FACT_NAMES.get(name) or wording.capital(_without_unit(name)), " / ".join(texts)[:MOST])
        for name, texts in values.items()
    )


def _without_unit(name: str) -> str:
    """Return a fact's name without the unit at its end."""
    ending = next((ending for ending in ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending).replace("_", " ")


def _with_unit(name: str, value: int | float) -> str:
    """Return a number with the unit that the ending of its name gives."""
    if name.endswith("_bytes"):
        return units.memory(value) if value else "none"
    if name.endswith("_share"):
        return units.percent(value)
    return next((f"{value} {unit}" for ending, unit in UNITS.items() if name.endswith(ending)), str(value))


def _library_text(facts: WorkerFacts) -> str:
    """Return what a library's workers read; float32 is IEEE unless a precision switch differs."""
    switches = {switch for fact in facts for switch in (fact.get("precision") or {}).items()}
    not_ieee = ", ".join(sorted(f"{name}={value}" for name, value in switches if value != "ieee"))
    values = {key.replace("_", " "): _values(facts, key) for key in LIBRARY_FACTS}
    values["float32 precision"] = (not_ieee or "IEEE in every switch") if switches else ""
    return "; ".join(f"{key}: {value}" for key, value in values.items() if value)


LIBRARY_COLUMNS: Fields[tuple[str, WorkerFacts]] = {
    "Library": lambda library: libraries.library(library[0]).label,
    "Version": lambda library: _values(library[1], "version"),
    "BLAS": lambda library: f"{_values(library[1], 'blas')} {_values(library[1], 'blas_version')}".strip(),
    "Kernel that ran": lambda library: _values(library[1], "kernel") or "not told by the library",
    "As its workers read it": lambda library: _library_text(library[1]),
}
