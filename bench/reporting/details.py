"""All that a run's environment record holds, in groups: what the first view of the page leaves out."""

from collections.abc import Iterable, Mapping
from typing import Any

from bench.machine import units, wording
from bench.records.run import Run
from bench.reporting import words

Pairs = tuple[tuple[str, str], ...]

GROUPS = {
    "Processor": (
        "vendor", "family", "model", "stepping", "microcode", "vector_units", "caches", "numa_nodes", "smt",
        "siblings", "affinity", "isolated_cpus", "nohz_full", "mitigations",
    ),
    "Clock speed": ("energy_preference", "frequency_driver", "turbo", "mhz", "temperature_c", "power"),
    "System": (
        "host", "host_name", "hypervisor", "container", "cgroup_memory_bytes", "quota_periods",
        "throttled_periods", "transparent_huge_pages", "aslr", "swap_bytes", "swap_used_bytes",
        "preloaded_everywhere", "libc", "clocksource", "timer", "clocks",
    ),
    "State at the start": ("runnable", "steal_share", "pressure_percent"),
    "Software": (
        "python_build", "python_optimised", "python_debug", "python_gil", "python_flags", "hash_seed",
        "commit", "uncommitted_files", "uncommitted_sha256", "packages_sha256", "constraints_sha256",
    ),
}  # fmt: skip
# what has a place before the details
SHOWN = {
    "processor", "cpus", "usable_cpus", "physical_cores", "cgroup_quota", "memory_bytes", "system",
    "architecture", "governor", "load_1min", "python", "packages",
}  # fmt: skip
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


def details(run: Run) -> list[tuple[str, Pairs]]:
    """Headings and what stands below them; groups of which nothing is known are left out."""
    facts = run.environment.machine
    grouped = {name for names in GROUPS.values() for name in names} | SHOWN
    groups: Mapping[str, Iterable[str]] = GROUPS | {
        "Other": tuple(name for name in facts if name not in grouped)
    }
    found = [(heading, _pairs([facts], names)) for heading, names in groups.items()]
    arms = run.arms
    for library in dict.fromkeys(arm.library for arm in arms.values()):
        told = [worker.facts for worker in run.workers if arms[worker.arms[0]].library == library]
        names = dict.fromkeys(name for one in told for name in one)
        heading = f"{words.LIBRARIES.get(library, library)} in its workers"
        found.append((heading, _pairs(told, names)))
    return [(heading, pairs) for heading, pairs in found if pairs]


def say(name: str, value: Any) -> str:
    """A fact in words; empty where nothing is known."""
    if value in (None, "", [], {}, ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        said = ((str(key), say(str(key), one)) for key, one in value.items())
        return ", ".join(f"{NAMES.get(key, _plain(key))} {text}" for key, text in said if text)[:MOST]
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))[:MOST]
    if isinstance(value, int | float):
        return _with_unit(name, value)
    return str(value)[:MOST]


def _pairs(told: Iterable[Mapping[str, Any]], names: Iterable[str]) -> Pairs:
    """Name and value of every fact that is known; all different values where several workers told."""
    made = []
    told = list(told)
    for name in names:
        values = dict.fromkeys(text for facts in told if (text := say(name, facts.get(name))))
        if values:
            made.append((NAMES.get(name) or wording.capital(_plain(name)), " / ".join(values)[:MOST]))
    return tuple(made)


def _plain(name: str) -> str:
    """The name of a fact without its unit."""
    ending = next((ending for ending in ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending).replace("_", " ")


def _with_unit(name: str, value: int | float) -> str:
    said = str(value)
    if name.endswith("_bytes"):
        return units.memory(value) if value else "none"
    if name.endswith("_share"):
        return units.percent(value)
    return next((f"{said} {unit}" for ending, unit in UNITS.items() if name.endswith(ending)), said)
