"""What machine this is, from the main process's side: processor, system, versions, load."""

import contextlib
import datetime
import importlib.metadata
import math
import os
import platform
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("rnnbench", "numpy", "torch", "scipy", "threadpoolctl")


def usable_cpus() -> int:
    """Processors this process may use: its affinity, no more than the cgroup's quota rounded down."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # no affinity on macOS and Windows
        allowed = os.cpu_count() or 1
    quota = cgroup_quota()
    return allowed if quota is None else max(1, min(allowed, math.floor(quota)))


def cgroup_quota(path: str = "/sys/fs/cgroup/cpu.max") -> float | None:
    """Processors that the cgroup grants (quota over period), None where there is no limit."""
    text = _read(path)
    if text is None or text.startswith("max"):
        return None
    quota, period = text.split()
    return int(quota) / int(period)


def utc_now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe() -> dict[str, Any]:
    """Facts for the journal; nothing in it names a person or a host."""
    memory = psutil.virtual_memory()
    return {
        "processor": processor_name(),
        "cpus": os.cpu_count(),
        "usable_cpus": usable_cpus(),
        "physical_cores": psutil.cpu_count(logical=False),
        "cgroup_quota": cgroup_quota(),
        "memory_bytes": memory.total,
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load_1min": round(psutil.getloadavg()[0], 2),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def warnings(
    machine: dict[str, Any], dropped: dict[str, str], kept: dict[str, str], threads: int
) -> list[str]:
    """What a reader of the numbers should know about the state of this machine."""
    found = []
    pinned = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # a BLAS kernel, at up to half of NumPy's speed
    if here := [f"{name}={dropped[name]}" for name in pinned if name in dropped]:
        found.append(
            f"{' and '.join(here)}, set here to pin a BLAS kernel, did not reach the workers; "
            "--keep-env NAME times with such a variable"
        )
    if here := [f"{name}={kept[name]}" for name in pinned if name in kept]:
        found.append(f"{' and '.join(here)} pinned a BLAS kernel: NumPy may be slower than it can be")
    if threads > machine["usable_cpus"]:
        found.append(f"{threads} threads on {machine['usable_cpus']} usable processors: they compete")
    if machine["load_1min"] > 0.5 * machine["usable_cpus"]:
        found.append(f"the machine was busy at the start (load {machine['load_1min']}): intervals widen")
    if machine["governor"] in ("powersave", "conservative"):
        found.append(f"the processor's governor is {machine['governor']}: its clock may stay low")
    return found


def processor_name() -> str:
    """The processor's name as its vendor writes it."""
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read(path: str) -> str | None:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8").strip()
    return None
