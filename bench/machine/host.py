"""What machine this is, as the main process sees it: processor, system, Python, packages, clock, checkout."""

import datetime
import hashlib
import importlib.metadata
import math
import os
import platform
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.machine import linux
from bench.machine.clock import ClockError, clock_cost_ns
from bench.machine.environ import PROJECT
from bench.machine.libraries import LIBRARIES, tell
from bench.machine.linux import known

ROOT = Path("/")
PACKAGES = ("rnnbench", *LIBRARIES, "scipy", "threadpoolctl")
GIT_SECONDS = 2.0
HASH_DIGITS = 12
SLEEP_S = 0.5  # the two clocks are read one after the other; no sleep is shorter


def usable_cpus() -> int:
    """Return processors this process may use: its affinity, no more than the cgroup's quota rounded down."""
    allowed, granted = len(affinity()), linux.quota()
    return allowed if granted is None else max(1, min(allowed, math.floor(granted)))


def affinity() -> list[int]:
    """Return the processors that this process may run on."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # no affinity on macOS and Windows
        return list(range(os.cpu_count() or 1))


def utc_now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
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
        "cgroup_quota": linux.quota(root),
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
    throttled, periods = linux.throttled(root) or (None, None)
    facts |= _power() | linux.state(root)
    facts |= known(
        {
            "cgroup_memory_bytes": linux.memory_limit(root),
            "throttled_periods": throttled,
            "quota_periods": periods,
        }
    )
    return facts | python() | packages() | timer() | checkout() | {"clocks": sleep_clock()}


def memory_bytes() -> int | None:
    """Return all memory of the machine; None where nobody tells, as on Linux without ``/proc``."""
    return tell(memory=lambda: psutil.virtual_memory().total).get("memory")


def processor_name(root: Path = ROOT) -> str:
    """Return the processor's name as its vendor writes it."""
    return linux.cpuinfo(root).get("model name") or platform.processor() or platform.machine()


def host_hash(root: Path = ROOT) -> str:
    """Return twelve digits that are the same for every run on this host, and do not tell its name."""
    identity = linux.read(root / "etc/machine-id") or ""
    return digest(f"{platform.node()}\n{identity}")


def ranges(numbers: list[int]) -> str:
    """Write sorted numbers the way Linux writes them: "0-3,8"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def digest(text: str | bytes) -> str:
    """Return the first twelve hexadecimal digits of a SHA-256."""
    data = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()[:HASH_DIGITS]


def python() -> dict[str, Any]:
    """Return how this Python was built, which is the workers' too, and started."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    flags = {
        name: getattr(sys.flags, name)
        for name in ("optimize", "dev_mode", "no_site", "isolated", "safe_path", "utf8_mode")
        if getattr(sys.flags, name, 0)
    }
    arguments = sysconfig.get_config_var("CONFIG_ARGS")  # None on Windows
    return known(
        {
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "python_build": f"{' '.join(platform.python_build())}; {platform.python_compiler()}",
            "python_optimised": None if arguments is None else "--enable-optimizations" in arguments,
            "python_debug": hasattr(sys, "gettotalrefcount") or None,
            "python_gil": "on" if gil else "off",
            "python_flags": flags,
            "hash_seed": seed if (seed := os.environ.get("PYTHONHASHSEED", "")).isdecimal() else "random",
        }
    )


def packages() -> dict[str, Any]:
    """Versions of the packages that matter, and fingerprints of all that are installed and of the pins."""
    return known(
        {
            "packages": {name: version for name in PACKAGES if (version := _version(name))},
            "packages_sha256": digest("\n".join(installed())),
            "constraints_sha256": _file_digest(PROJECT / "constraints.txt"),
            "libc": _libc(),
        }
    )


def installed() -> list[str]:
    """Return name and version of every installed package, as their folders are called; sorted."""
    found = set()
    for folder in filter(None, sys.path):
        with suppress(OSError):
            found |= {path.stem for path in Path(folder).iterdir() if path.suffix == ".dist-info"}
    return sorted(found)


def timer() -> dict[str, Any]:
    """Return the clock of the values: what it is, its tick, and what one reading costs, in nanoseconds."""
    info = time.get_clock_info("perf_counter")
    cost = None
    with suppress(ClockError):  # a run finds out, and says so
        cost = clock_cost_ns()
    return {
        "timer": known(
            {"clock": info.implementation, "resolution_ns": round(info.resolution * 1e9, 3), "cost_ns": cost}
        )
    }


def checkout(folder: Path = PROJECT) -> dict[str, Any]:
    """The commit of rnnbench's own checkout, and a hash of what differs from it; nothing where it is none."""
    if not (folder / ".git").exists():  # a package's folder inside of somebody's repository is not ours
        return {}
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return {}
    lines = status.splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), "")
    changes = [line for line in lines if not line.startswith("#")]
    difference = _git(folder, "diff", "HEAD") if changes else None
    return known(
        {
            "commit": commit if commit.isalnum() else None,  # "(initial)" before the first one
            "uncommitted_files": len(changes),
            "uncommitted_sha256": digest(difference) if difference else None,
        }
    )


def sleep_clock() -> dict[str, float]:
    """Return seconds since the machine started, and how many of them it slept (where that is told)."""
    now = {"monotonic_s": round(time.monotonic(), 3)}
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux: goes on while the machine sleeps
        boottime = time.clock_gettime(time.CLOCK_BOOTTIME)
        now |= {"boottime_s": round(boottime, 3), "asleep_s": round(max(0.0, boottime - time.monotonic()), 3)}
    return now


def slept(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Seconds that the machine slept between two readings of its clocks, 0 where it did not, or nobody knows.

    A reading is a machine's ``clocks``: ``monotonic_s``, which stands still in sleep, and ``boottime_s``,
    which goes on.
    """
    names = ("monotonic_s", "boottime_s")
    if any(name not in reading for reading in (before, after) for name in names):
        return 0.0
    awake, all_in_all = (after[name] - before[name] for name in names)
    asleep = all_in_all - awake
    return asleep if asleep > SLEEP_S else 0.0


def _power() -> dict[str, str]:
    """Return what powers a machine that has a battery."""
    with suppress(AttributeError, OSError, RuntimeError):  # not on every system
        if battery := psutil.sensors_battery():
            return {"power": "mains" if battery.power_plugged else "battery"}
    return {}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _libc() -> str | None:
    with suppress(AttributeError, ValueError, OSError):  # glibc alone knows this name
        return os.confstr("CS_GNU_LIBC_VERSION")
    return None


def _file_digest(path: Path) -> str | None:
    with suppress(OSError):
        return digest(path.read_bytes())
    return None


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git says, None where it is missing, fails or takes too long. It writes and asks nothing."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        child = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *arguments],
            cwd=folder,
            env=surroundings | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return child.stdout.decode(errors="surrogateescape")
