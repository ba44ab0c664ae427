"""Whether the environment of a run changed: between its parts, or between two runs that are compared.

Whether a run stood on the same ground from its first block to its last.

Runs are resumed hours later, and a worker tells what its library really is each time: where that changed,
values before and after are no samples of the same thing.

What is different around two runs that are compared: what somebody may want to compare, and what spoils it.

Another version of a library, of Python or of rnnbench is what people compare, so it is listed and the verdict
stands. Another processor kernel of the BLAS, another clock governor, other threads or limits are not: what
they change would be taken for a change of the code, so there is no verdict unless that is asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.records.run import Run

# facts of a machine that bear on speed and stand still while nobody changes anything
MACHINE = (
    "host", "processor", "vendor", "family", "model", "stepping", "microcode", "vector_units", "architecture",
    "caches", "numa_nodes", "smt", "cpus", "physical_cores", "usable_cpus", "affinity", "isolated_cpus",
    "nohz_full", "cgroup_quota", "cgroup_memory_bytes", "hypervisor", "container", "governor",
    "energy_preference", "frequency_driver", "turbo", "power", "transparent_huge_pages", "aslr",
    "clocksource", "mitigations", "preloaded_everywhere", "system", "libc", "python", "python_build",
    "python_gil", "python_flags", "packages",
)  # fmt: skip
CODE = ("commit", "uncommitted_sha256")
# facts of a library or a device, as a worker tells them
LIBRARY = (
    "version", "git", "debug", "threads", "interop_threads", "blas", "blas_version", "kernel", "threading",
    "cpu_capability", "cuda", "precision", "mkldnn", "deterministic_algorithms", "grad_mode",
    "flushes_subnormals", "mps_fallback", "device_name", "driver", "runtime", "compute_capability",
    "max_clock_mhz", "module_loading", "launch_blocking", "cublas_workspace", "allocator", "allocator_config",
    "cudnn", "cudnn_enabled", "cudnn_benchmark", "cudnn_deterministic",
)  # fmt: skip
LIMITS = ("min", "max")  # of the clock's MHz; the present one always changes


def changed(before: Mapping[str, Any], after: Mapping[str, Any], *, code: bool = False) -> list[str]:
    """What bears on speed and differs between two descriptions of a machine, or of one library by a worker.

    What either of them does not tell is no difference: a record of an older version knows less. What both
    could tell, and one does not (a quota that was lifted is None), is one. ``code`` looks at rnnbench's own
    commit as well: for a run that goes on, not for comparing two versions.

    Returns:
        One clause a fact: "governor: performance, now powersave".
    """
    fields = MACHINE + LIBRARY + (CODE if code else ())
    found = [clause for name in fields for clause in _differs(name, before, after)]
    if not code:
        found = [clause for clause in found if not clause.startswith("packages rnnbench:")]
    speeds = [facts.get("mhz") or {} for facts in (before, after)]
    return found + [clause for name in LIMITS for clause in _differs(name, *speeds, prefix="MHz ")]


def changed_variables(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Variables that reached the workers with other values, or at one time only: two records' ``kept``."""
    return list(_differs("variable", {"variable": before}, {"variable": after}))


def _differs(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any], *, prefix: str = ""
) -> Iterator[str]:
    if name not in before or name not in after or before[name] == after[name]:
        return
    was, now = before[name], after[name]
    said = prefix + name.replace("_", " ")
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in sorted(set(was) | set(now)):
            if was.get(key) != now.get(key):
                yield f"{said} {key}: {_word(was.get(key))}, now {_word(now.get(key))}"
    else:
        yield f"{said}: {_word(was)}, now {_word(now)}"


def _word(value: Any) -> str:
    if value in (None, "", [], {}):
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def changes(run: Run) -> list[str]:
    """What bears on speed and changed within the run, in words; empty where nothing did."""
    return list(dict.fromkeys([*_of_machine(run), *_of_libraries(run)]))


def _of_machine(run: Run) -> Iterator[str]:
    for later in run.environments[1:]:
        yield from changed(run.environment.machine, later.machine, code=True)
        yield from changed_variables(run.environment.kept, later.kept)


def _of_libraries(run: Run) -> Iterator[str]:
    """Each worker against the first one of its name."""
    first = {worker.name: worker.facts for worker in reversed(run.workers)}
    for worker in run.workers:
        for clause in changed(first[worker.name], worker.facts):
            yield f"{run.arms[worker.arms[0]].title}: {clause}"


# what comes with another version of something that is installed on purpose
VERSIONS = frozenset(
    {
        *("packages", "python", "python_build", "version", "git", "blas", "blas_version", "cuda", "runtime"),
        *("cudnn", "driver", *CODE),
    }
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Clauses such as "governor: performance, now powersave"."""

    versions: tuple[str, ...]
    conditions: tuple[str, ...]  # all else that bears on speed


def surroundings(old: Run, new: Run) -> Surroundings:
    """What differs between the first environments of two runs, and between the first workers of each arm."""
    return Surroundings(
        versions=tuple(dict.fromkeys(_versions(old, new))),
        conditions=tuple(dict.fromkeys(_conditions(old, new))),
    )


def _versions(old: Run, new: Run) -> Iterator[str]:
    facts = [_only(run.environment.machine, versions=True) for run in (old, new)]
    packages = changed(facts[0], facts[1], code=True)
    yield from packages
    for library, before, after in _workers(old, new):
        for clause in changed(_only(before, versions=True), _only(after, versions=True)):
            if f"packages {library}{clause.removeprefix('version')}" not in packages:
                yield f"{library} {clause}"


def _conditions(old: Run, new: Run) -> Iterator[str]:
    yield from changed(*(_only(run.environment.machine, versions=False) for run in (old, new)))
    yield from changed_variables(old.environment.kept, new.environment.kept)
    for library, before, after in _workers(old, new):
        for clause in changed(_only(before, versions=False), _only(after, versions=False)):
            yield f"{library} {clause}"


def _workers(old: Run, new: Run) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Library, facts then and facts now of every arm that both runs have."""
    first = [
        {arm: worker.facts for worker in reversed(run.workers) for arm in worker.arms} for run in (old, new)
    ]
    for arm in new.arms.values():
        if arm.id in first[0] and arm.id in first[1]:
            yield arm.library, first[0][arm.id], first[1][arm.id]


def _only(facts: Mapping[str, Any], *, versions: bool) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if (name in VERSIONS) == versions}
