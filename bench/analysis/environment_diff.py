"""What differs between two descriptions of machine, libraries and variables, of one run or of two.

A run is resumed hours later, and a worker tells what its library really is each time: where that changed,
values before and after are no samples of the same thing. Of two runs, another version of a library, of
Python or of rnnbench is what people compare, so it is listed and the verdict stands. Another processor
kernel of the BLAS, another clock governor, other threads or limits are not: what they change would be taken
for a change of the code, so there is no verdict unless that is asked for.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from bench.records.run import Run

Facts = Mapping[str, Any]
# facts of a machine that bear on speed and stand still while nobody changes anything
MACHINE = (
    "host", "processor", "vendor", "family", "model", "stepping", "microcode", "vector_units", "architecture",
    "caches", "numa_nodes", "smt", "cpus", "physical_cores", "usable_cpus", "affinity", "isolated_cpus",
    "nohz_full", "cgroup_quota", "cgroup_memory_bytes", "hypervisor", "container", "governor",
    "energy_preference", "frequency_driver", "turbo", "power", "transparent_huge_pages", "aslr",
    "clocksource", "mitigations", "preloaded_everywhere", "system", "libc", "python", "python_build",
    "python_gil", "python_flags", "packages",
)  # fmt: skip
CODE = ("commit", "uncommitted_sha256")  # of rnnbench itself
# facts of a library or a device, as a worker tells them
LIBRARY = (
    "version", "git", "debug", "threads", "interop_threads", "blas", "blas_version", "kernel", "threading",
    "cpu_capability", "cuda", "precision", "mkldnn", "deterministic_algorithms", "grad_mode",
    "flushes_subnormals", "mps_fallback", "device_name", "driver", "runtime", "compute_capability",
    "max_clock_mhz", "module_loading", "launch_blocking", "cublas_workspace", "allocator", "allocator_config",
    "cudnn", "cudnn_enabled", "cudnn_benchmark", "cudnn_deterministic",
)  # fmt: skip
# what comes with another version of something that is installed on purpose
VERSIONS = frozenset(
    {
        *("packages", "python", "python_build", "version", "git", "blas", "blas_version", "cuda", "runtime"),
        *("cudnn", "driver", *CODE),
    }
)
LIMITS = ("min", "max")  # of the clock's MHz; the present one always changes


def changes(run: Run) -> list[str]:
    """Return what bears on speed and changed within the run, in words; empty where nothing did."""
    clauses: list[str] = []
    for later in run.environments[1:]:
        clauses += changed(run.environment.machine, later.machine)
        clauses += changed_variables(run.environment.kept, later.kept)
    first = {worker.name: worker.facts for worker in reversed(run.workers)}
    for worker in run.workers:
        for clause in changed(first[worker.name], worker.facts):
            clauses.append(f"{run.arms[worker.arms[0]].title}: {clause}")
    return list(dict.fromkeys(clauses))


def differences(old: Run, new: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what differs between two runs: the versions, and all else that bears on speed.

    The first environments of the two are compared, and the first workers of each arm that both have.
    """
    before, after = old.environment, new.environment
    versions = changed(*_parts(before.machine, after.machine, versions=True))
    conditions = changed(*_parts(before.machine, after.machine, versions=False))
    conditions += changed_variables(before.kept, after.kept)
    packages = [machine.get("packages") or {} for machine in (before.machine, after.machine)]
    for library, *facts in _workers(old, new):
        installed = [of.get(library) for of in packages]
        if installed[0] != installed[1] and installed == [of.get("version") for of in facts]:
            facts = [{name: of[name] for name in of if name != "version"} for of in facts]
        versions += [f"{library} {clause}" for clause in changed(*_parts(*facts, versions=True))]
        conditions += [f"{library} {clause}" for clause in changed(*_parts(*facts, versions=False))]
    return tuple(dict.fromkeys(versions)), tuple(dict.fromkeys(conditions))


def changed(before: Facts, after: Facts) -> list[str]:
    """Return what bears on speed and differs between two descriptions of a machine, or of one library.

    What either of them does not tell is no difference: a record of an older version knows less. What both
    could tell, and one does not (a quota that was lifted is None), is one.

    Returns:
        One clause a fact: "governor: performance, now powersave".
    """
    was, now = (facts.get("mhz") or {} for facts in (before, after))
    clauses = [_differs(name, before, after) for name in MACHINE + LIBRARY + CODE]
    clauses += [_differs(name, was, now, "MHz ") for name in LIMITS]
    return list(chain.from_iterable(clauses))


def changed_variables(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return variables that reached the workers with other values, or at one time only."""
    return list(_differs("variable", {"variable": before}, {"variable": after}))


def _workers(old: Run, new: Run) -> Iterator[tuple[str, Facts, Facts]]:
    """Yield library, facts then and facts now of every arm that both runs have."""
    first = [
        {arm: worker.facts for worker in reversed(run.workers) for arm in worker.arms} for run in (old, new)
    ]
    for arm in new.arms.values():
        if arm.id in first[0] and arm.id in first[1]:
            yield arm.library, first[0][arm.id], first[1][arm.id]


def _parts(*facts: Facts, versions: bool) -> list[dict[str, Any]]:
    """Return of each the facts that are versions, or the others."""
    return [{name: of[name] for name in of if (name in VERSIONS) == versions} for of in facts]


def _differs(name: str, before: Facts, after: Facts, prefix: str = "") -> Iterator[str]:
    """Yield a clause where both tell a fact, and not alike; of a mapping one a key."""
    if name not in before or name not in after or before[name] == after[name]:
        return
    was, now = before[name], after[name]
    title = prefix + name.replace("_", " ")
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in sorted(set(was) | set(now)):
            if was.get(key) != now.get(key):
                yield f"{title} {key}: {_word(was.get(key))}, now {_word(now.get(key))}"
    else:
        yield f"{title}: {_word(was)}, now {_word(now)}"


def _word(value: Any) -> str:
    if value in (None, "", [], {}):
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
