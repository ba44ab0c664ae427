"""Whether the environment of a run changed: between its parts, or between two runs that are compared."""

from collections.abc import Iterator, Mapping
from typing import Any

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
