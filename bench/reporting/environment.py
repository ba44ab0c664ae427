"""What the numbers of a run depend on: machine, libraries, variables; and what was audited."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.machine import units, wording
from bench.records.run import Run
from bench.reporting import words

# facts of a worker that are shown beside its library; the others are among the details
SHOWN = ("cpu_capability", "threading", "cuda", "device_name", "driver", "cudnn")


@dataclass(frozen=True, slots=True)
class Library:
    """A library as its workers found it."""

    name: str
    version: str
    blas: str
    kernel: str
    other: str


@dataclass(frozen=True, slots=True)
class Variables:
    """Environment variables that bear on speed, under what was done with them."""

    what: str
    values: tuple[str, ...]


def machine(run: Run) -> list[tuple[str, str]]:
    """Facts about the machine, by name; those that are unknown are left out."""
    facts = run.environment.machine
    processors = f"{facts.get('usable_cpus')} usable of {facts.get('cpus')}"
    if facts.get("physical_cores"):
        processors += f", on {facts['physical_cores']} physical cores"
    packages = facts.get("packages") or {}
    found = [
        ("Processor", facts.get("processor")),
        ("Processors", processors if facts.get("cpus") else None),
        ("Quota of the container", facts.get("cgroup_quota")),
        ("Memory", units.memory(facts["memory_bytes"]) if facts.get("memory_bytes") else None),
        ("System", " ".join(str(facts[k]) for k in ("system", "architecture") if facts.get(k))),
        ("Clock speed", _clock_speed(facts)),
        ("Virtual machine", facts.get("hypervisor")),
        ("Container", facts.get("container")),
        ("Load at the start", facts.get("load_1min")),
        ("Used by other programs", _others(facts)),
        ("Python", facts.get("python")),
        ("Host", facts.get("host_name")),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
    ]
    return [(name, str(value)) for name, value in found if value not in (None, "")]


def _others(facts: dict[str, Any]) -> str | None:
    """What was seen before the run, and how long its end was waited for."""
    if (others := facts.get("others_cpus")) is None:
        return None
    waited = f", after {units.seconds(facts['waited_s'])} of waiting" if facts.get("waited_s") else ""
    return f"{units.number(others)} processors at the start{waited}"


def _clock_speed(facts: dict[str, Any]) -> str:
    """Governor, turbo and MHz, as far as they are known."""
    told = [f"{name} {facts[name]}" for name in ("governor", "turbo") if facts.get(name)]
    speed = facts.get("mhz")
    if isinstance(speed, dict) and speed:
        said = {"min": "at least", "max": "at most", "cur": "now"}
        told.append(", ".join(f"{said.get(key, key)} {value}" for key, value in speed.items()) + " MHz")
    return "; ".join(told)


def libraries(run: Run) -> list[Library]:
    """Version, BLAS and kernel of each library, as its workers read them."""
    arms = run.arms
    made = []
    for library in dict.fromkeys(arm.library for arm in arms.values()):
        facts = [worker.facts for worker in run.workers if arms[worker.arms[0]].library == library]
        if not facts:
            continue
        more = [f"{key.replace('_', ' ')}: {said}" for key in SHOWN if (said := _values(facts, key))]
        if precision := _precision(facts):
            more.append(precision)
        made.append(
            Library(
                words.LIBRARIES.get(library, library),
                _values(facts, "version"),
                f"{_values(facts, 'blas')} {_values(facts, 'blas_version')}".strip(),
                _values(facts, "kernel") or "not told by the library",
                "; ".join(more),
            )
        )
    return made


def variables(run: Run) -> list[Variables]:
    """What was set for the workers, dropped from them, and kept."""
    environment = run.environment
    return [
        Variables(what, tuple(f"{name}={value}" for name, value in values.items()))
        for what, values in (
            ("set for one thread, and likewise for more", environment.set),
            ("dropped, so that they change no number", environment.dropped),
            ("kept", environment.kept),
        )
    ]


def audit(run: Run) -> list[str]:
    """What was checked about fairness, and what came out."""
    arms, entries = run.arms, run.entries
    asked = [(worker, arms[worker.arms[0]].threads) for worker in run.workers]
    odd = sorted({w.name for w, n in asked if w.facts.get("threads") not in (None, n)})
    unknown = sum(worker.facts.get("threads") is None for worker, _ in asked)
    made = [
        f"Threads, read back from each library: not as asked for in {wording.listing(odd)}."
        if odd
        else f"Threads, read back from each library: as asked for in all {len(asked) - unknown} workers."
    ]
    if unknown:
        made.append(f"{unknown} workers could not read their threads back.")
    digests: dict[object, set[str]] = {}
    for name, digest in {(burst.entry, burst.digest) for burst in run.bursts}:
        digests.setdefault(entries[name].case, set()).add(digest)
    if digests:
        alike = all(len(found) == 1 for found in digests.values())
        made.append(
            f"Inputs: {'the same bytes' if alike else 'NOT the same bytes'} (SHA-256) for every entry of a "
            f"case, in {len(digests)} cases."
        )
    shares = [
        burst.cpu_ns / sum(burst.elapsed_ns)
        for burst in run.bursts
        if arms[entries[burst.entry].arm].threads == 1 and burst.device == "cpu"
    ]
    if shares:
        most = units.number(max(shares))
        made.append(f"Processor time of entries with one thread: at most {most} times the wall clock.")
    return made


def _values(facts: Iterable[dict[str, Any]], key: str) -> str:
    """All values that the workers found under one key."""
    found = dict.fromkeys(str(fact[key]) for fact in facts if fact.get(key) not in (None, ""))
    return ", ".join(found)


def _precision(facts: Iterable[dict[str, Any]]) -> str:
    """What float32 means: IEEE everywhere, or the switches that say otherwise."""
    switches = {switch for fact in facts for switch in (fact.get("precision") or {}).items()}
    if not switches:
        return ""
    other = sorted(f"{name}={value}" for name, value in switches if value != "ieee")
    return f"float32 precision: {', '.join(other) if other else 'IEEE in every switch'}"
