"""What machine this is, from the main process's side: processor, system, versions, state."""

import datetime
import math
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.machine import cgroup, linux, software
from bench.machine.libraries import tell

ROOT = Path("/")


def usable_cpus() -> int:
    """Processors this process may use: its affinity, no more than the cgroup's quota rounded down."""
    allowed, granted = len(affinity()), cgroup_quota()
    return allowed if granted is None else max(1, min(allowed, math.floor(granted)))


def affinity() -> list[int]:
    """The processors that this process may run on."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # no affinity on macOS and Windows
        return list(range(os.cpu_count() or 1))


def cgroup_quota(root: Path = ROOT) -> float | None:
    """Processors that the cgroup grants (quota over period), None where there is no limit."""
    return cgroup.quota(root)


def utc_now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe(*, host_name: bool = False, root: Path = ROOT) -> dict[str, Any]:
    """Facts for the journal, those that are known. Nothing in it names a person.

    The host is a hash, the same for every run on it; ``host_name`` adds its name. ``root`` is where
    Linux's files are looked for.
    """
    allowed = affinity()
    facts: dict[str, Any] = {
        "processor": processor_name(root),
        "cpus": os.cpu_count(),
        "usable_cpus": usable_cpus(),
        "affinity": ranges(allowed),
        "cgroup_quota": cgroup_quota(root),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "governor": None,
        "host": host_hash(root),
    }
    facts |= tell(  # psutil raises where there is no /proc
        physical_cores=lambda: psutil.cpu_count(logical=False),
        memory_bytes=memory_bytes,
        load_1min=lambda: round(psutil.getloadavg()[0], 2),
    )
    if host_name:
        facts["host_name"] = platform.node()
    facts |= linux.processor(root) | linux.clock_speed(root, allowed) | linux.virtual(root)
    facts |= _power() | linux.state(root) | _limits(root)
    facts |= software.python() | software.libraries() | software.timer() | software.checkout()
    return facts | {"clocks": software.sleep_clock()}


def memory_bytes() -> int | None:
    """All memory of the machine; None where nobody tells, as on Linux without ``/proc``."""
    return tell(memory=lambda: psutil.virtual_memory().total).get("memory")


def processor_name(root: Path = ROOT) -> str:
    """The processor's name as its vendor writes it."""
    return linux.cpuinfo(root).get("model name") or platform.processor() or platform.machine()


def host_hash(root: Path = ROOT) -> str:
    """Twelve digits that are the same for every run on this host, and do not tell its name."""
    identity = linux.read(root / "etc/machine-id") or ""
    return software.digest(f"{platform.node()}\n{identity}")


def ranges(numbers: list[int]) -> str:
    """Sorted numbers the way Linux writes them: "0-3,8"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def _limits(root: Path) -> dict[str, Any]:
    throttled, periods = cgroup.throttled(root) or (None, None)
    return linux.known(
        {
            "cgroup_memory_bytes": cgroup.memory_limit(root),
            "throttled_periods": throttled,
            "quota_periods": periods,
        }
    )


def _power() -> dict[str, str]:
    """What powers a machine that has a battery."""
    with suppress(AttributeError, OSError, RuntimeError):  # not on every system
        if battery := psutil.sensors_battery():
            return {"power": "mains" if battery.power_plugged else "battery"}
    return {}
