"""Compare two descriptions of machine, libraries and variables, within one run or between two runs.

A run may be resumed hours later, and every worker reports the facts of its library. Where a fact changed,
the values before and after the change cannot be compared.

Between two runs, another version of a library, of Python or of rnnbench is what people want to compare: the
version is listed, and the verdict stands. Any other difference (BLAS kernel, clock governor, threads, limits)
would be mistaken for a change of the code: there is no verdict unless the user asks for one.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from bench.records.run import Run

Facts = Mapping[str, Any]
# facts of a machine that affect speed and change only when somebody changes them
MACHINE_FACTS = (
    "host", "processor", "vendor", "family", "model", "stepping", "microcode", "vector_units", "architecture",
    "caches", "numa_nodes", "smt", "cpus", "physical_cores", "usable_cpus", "affinity", "isolated_cpus",
    "nohz_full", "cgroup_quota", "cgroup_memory_bytes", "hypervisor", "container", "governor",
    "energy_preference", "frequency_driver", "turbo", "power", "transparent_huge_pages", "aslr",
    "clocksource", "mitigations", "preloaded_everywhere", "system", "libc", "python", "python_build",
    "python_gil", "python_flags", "packages",
)  # fmt: skip
CODE_FACTS = ("commit", "uncommitted_sha256")  # of rnnbench itself
# facts of a library or a device, as a worker reports them
LIBRARY_FACTS = (
    "version", "git", "debug", "threads", "interop_threads", "blas", "blas_version", "kernel", "threading",
    "cpu_capability", "cuda", "precision", "mkldnn", "deterministic_algorithms", "grad_mode",
    "flushes_subnormals", "mps_fallback", "device_name", "driver", "runtime", "compute_capability",
    "max_clock_mhz", "module_loading", "launch_blocking", "cublas_workspace", "allocator", "allocator_config",
    "cudnn", "cudnn_enabled", "cudnn_benchmark", "cudnn_deterministic",
)  # fmt: skip
# facts that change with a version that somebody installed on purpose
VERSION_FACTS = frozenset(
    {
        *("packages", "python", "python_build", "version", "git", "blas", "blas_version", "cuda", "runtime"),
        *("cudnn", "driver", *CODE_FACTS),
    }
)
CLOCK_LIMITS = ("min", "max")  # in MHz; the present clock rate always changes, so it is not compared


def changes(run: Run) -> list[str]:
    """Return the changes within a run that affect speed, one clause each; empty if nothing changed."""
    clauses: list[str] = []
    for environment in run.environments[1:]:
        clauses += changed(run.environment.machine, environment.machine)
        clauses += changed_variables(run.environment.kept, environment.kept)
    first_facts = {worker.name: worker.facts for worker in reversed(run.workers)}
    for worker in run.workers:
        for clause in changed(first_facts[worker.name], worker.facts):
            clauses.append(f"{run.arms[worker.arms[0]].title}: {clause}")
    return list(dict.fromkeys(clauses))


def differences(old: Run, new: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the differences between two runs that affect speed: the versions, and all other facts.

    The first environment of each run is compared, and the first worker of each arm that both runs have.
    """
    before, after = old.environment, new.environment
    versions = changed(*_selected(before.machine, after.machine, versions=True))
    conditions = changed(*_selected(before.machine, after.machine, versions=False))
    conditions += changed_variables(before.kept, after.kept)
    packages = [machine.get("packages") or {} for machine in (before.machine, after.machine)]
    for library, *facts in _common_workers(old, new):
        installed = [version_by_name.get(library) for version_by_name in packages]
        # a changed package is listed already: do not list the same version as a fact of its library
        if installed[0] != installed[1] and installed == [side.get("version") for side in facts]:
            facts = [{name: side[name] for name in side if name != "version"} for side in facts]
        versions += [f"{library} {clause}" for clause in changed(*_selected(*facts, versions=True))]
        conditions += [f"{library} {clause}" for clause in changed(*_selected(*facts, versions=False))]
    return tuple(dict.fromkeys(versions)), tuple(dict.fromkeys(conditions))


def changed(before: Facts, after: Facts) -> list[str]:
    """Return the facts that affect speed and differ between two descriptions of a machine or one library.

    A fact that only one description contains is no difference: older records contain fewer facts. A fact
    that both contain is compared, even if one value is None (a quota that was removed).

    Returns:
        One clause per fact: "governor: performance, now powersave".
    """
    clock_before, clock_after = (facts.get("mhz") or {} for facts in (before, after))
    clauses = [_clauses(name, before, after) for name in MACHINE_FACTS + LIBRARY_FACTS + CODE_FACTS]
    clauses += [_clauses(name, clock_before, clock_after, "MHz ") for name in CLOCK_LIMITS]
    return list(chain.from_iterable(clauses))


def changed_variables(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the variables that reached the workers with other values, or on one side only."""
    return list(_clauses("variable", {"variable": before}, {"variable": after}))


def _common_workers(old: Run, new: Run) -> Iterator[tuple[str, Facts, Facts]]:
    """Yield the library, the old facts and the new facts of every arm that both runs have."""
    first_facts = [
        {arm: worker.facts for worker in reversed(run.workers) for arm in worker.arms} for run in (old, new)
    ]
    for arm in new.arms.values():
        if arm.id in first_facts[0] and arm.id in first_facts[1]:
            yield arm.library, first_facts[0][arm.id], first_facts[1][arm.id]


def _selected(*facts: Facts, versions: bool) -> list[dict[str, Any]]:
    """Return the version facts of each description, or all its other facts."""
    return [{name: side[name] for name in side if (name in VERSION_FACTS) == versions} for side in facts]


def _clauses(name: str, before: Facts, after: Facts, prefix: str = "") -> Iterator[str]:
    """Yield a clause if both descriptions contain a fact and it differs; for a mapping, one per key."""
    if name not in before or name not in after or before[name] == after[name]:
        return
    old, new = before[name], after[name]
    title = prefix + name.replace("_", " ")
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(set(old) | set(new)):
            if old.get(key) != new.get(key):
                yield f"{title} {key}: {_text(old.get(key))}, now {_text(new.get(key))}"
    else:
        yield f"{title}: {_text(old)}, now {_text(new)}"


def _text(value: Any) -> str:
    if value in (None, "", [], {}):
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
