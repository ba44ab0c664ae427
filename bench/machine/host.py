"""Describe this machine as the main process sees it: processor, system, Python, packages, clock, checkout."""

import datetime
import hashlib
import importlib.metadata
import math
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import psutil

from bench.machine.child import program_output
from bench.machine.clock import clock_cost_ns
from bench.machine.environ import PROJECT
from bench.machine.libraries import LIBRARIES, known
from bench.machine.linux import Linux

ROOT = Path("/")
PACKAGES = ("rnnbench", *LIBRARIES, "scipy", "threadpoolctl")
PYTHON_FLAGS = ("optimize", "dev_mode", "no_site", "isolated", "safe_path", "utf8_mode")
GIT_SECONDS = 2.0
HASH_DIGITS = 12
MIN_SLEEP_S = 0.5  # a shorter difference between the two clocks may come from reading them in turn


def usable_cpus() -> int:
    """Return how many processors this process may use: its affinity, limited by the rounded-down quota."""
    allowed, granted = len(affinity()), Linux().quota()
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


def describe(
    *, host_name: bool = False, root: Path = ROOT, plugins: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the known facts for the journal; none of them names a person.

    The host is a hash, the same for every run on that host; ``host_name`` adds the host's name. ``root`` is
    the folder with Linux's files, ``plugins`` are packages whose versions are recorded, too.
    """
    linux, allowed = Linux(root), affinity()
    always_recorded: dict[str, Any] = {
        "processor": processor_name(root),
        "cpus": os.cpu_count(),
        "usable_cpus": usable_cpus(),
        "affinity": ranges(allowed),
        "cgroup_quota": linux.quota(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "governor": None,
        "host": host_hash(root),
    }
    return (
        always_recorded
        | known(  # psutil raises without /proc
            host_name=platform.node() if host_name else None,
            physical_cores=lambda: psutil.cpu_count(logical=False),
            memory_bytes=memory_bytes(),
            load_1min=lambda: round(psutil.getloadavg()[0], 2),
            power=_power,
        )
        | linux.facts(allowed)
        | python()
        | packages(plugins or {})
        | {"timer": timer()}
        | checkout()
        | {"clocks": sleep_clock()}
    )


def memory_bytes() -> int | None:
    """Return the machine's total memory in bytes; None if unknown, as on Linux without ``/proc``."""
    return known(memory=lambda: psutil.virtual_memory().total).get("memory")


def processor_name(root: Path = ROOT) -> str:
    """Return the processor's name as its vendor writes it."""
    return Linux(root).cpuinfo().get("model name") or platform.processor() or platform.machine()


def host_hash(root: Path = ROOT) -> str:
    """Return twelve hexadecimal digits: the same for every run on this host, without the host's name."""
    return digest(f"{platform.node()}\n{Linux(root).text('etc/machine-id')}")


def ranges(numbers: list[int]) -> str:
    """Return sorted numbers in Linux's notation: "0-3,8"."""
    # number minus place is constant in a run of consecutive numbers
    places = groupby(enumerate(numbers), key=lambda place: place[1] - place[0])
    runs = [[number for _, number in run] for _, run in places]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def digest(text: str | bytes) -> str:
    """Return the first twelve hexadecimal digits of a SHA-256."""
    data = text if isinstance(text, bytes) else text.encode(errors="surrogateescape")
    return hashlib.sha256(data).hexdigest()[:HASH_DIGITS]


def python() -> dict[str, Any]:
    """Return how this Python, which workers share, was built and started."""
    seed = os.environ.get("PYTHONHASHSEED", "")
    return known(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        python_build=f"{' '.join(platform.python_build())}; {platform.python_compiler()}",
        # Windows has no such arguments: the test raises
        python_optimised=lambda: "--enable-optimizations" in sysconfig.get_config_var("CONFIG_ARGS"),
        python_debug=hasattr(sys, "gettotalrefcount") or None,
        python_gil="on" if getattr(sys, "_is_gil_enabled", lambda: True)() else "off",
        python_flags={name: flag for name in PYTHON_FLAGS if (flag := getattr(sys.flags, name, 0))},
        hash_seed=seed if seed.isdecimal() else "random",
    )


def packages(also: Mapping[str, str]) -> dict[str, Any]:
    """Return versions of relevant packages, and hashes of all installed packages and of the constraints."""
    return known(
        packages=known(**{name: partial(importlib.metadata.version, name) for name in PACKAGES}) | dict(also),
        packages_sha256=digest("\n".join(installed())),
        constraints_sha256=lambda: digest((PROJECT / "constraints.txt").read_bytes()),
        libc=lambda: os.confstr("CS_GNU_LIBC_VERSION"),  # only glibc knows this name
    )


def installed() -> list[str]:
    """Return the name and version of every installed package, as in its folder's name; sorted."""
    names = set()
    for folder in filter(None, sys.path):
        with suppress(OSError):
            names |= {path.stem for path in Path(folder).iterdir() if path.suffix == ".dist-info"}
    return sorted(names)


def timer() -> dict[str, Any]:
    """Return the clock of the values: its name, its tick and the cost of one reading, in nanoseconds."""
    info = time.get_clock_info("perf_counter")
    return known(
        clock=info.implementation,
        resolution_ns=round(info.resolution * 1e9, 3),
        cost_ns=clock_cost_ns,  # left out for a broken clock, which a run reports itself
    )


def checkout(folder: Path = PROJECT) -> dict[str, Any]:
    """Return the commit of rnnbench's checkout, and a hash of uncommitted changes; empty if there is none."""
    if not (folder / ".git").exists():  # an installed rnnbench, perhaps inside a user's repository
        return {}
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return {}
    lines = status.decode(errors="replace").splitlines()
    headers = dict(line.split(maxsplit=2)[1:] for line in lines if line.startswith("# "))
    commit = headers.get("branch.oid", "")
    changes = sum(not line.startswith("#") for line in lines)
    return known(
        commit=commit if commit.isalnum() else None,  # "(initial)" before the first commit
        uncommitted_files=changes,
        uncommitted_sha256=lambda: (
            digest(diff) if (diff := changes and _git(folder, "diff", "HEAD")) else None
        ),
    )


def sleep_clock() -> dict[str, float]:
    """Return the seconds since the machine's start, and, if known, the seconds that the machine slept."""
    now = {"monotonic_s": round(time.monotonic(), 3)}
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux: goes on while the machine sleeps
        boottime = time.clock_gettime(time.CLOCK_BOOTTIME)
        now |= {"boottime_s": round(boottime, 3), "asleep_s": round(max(0.0, boottime - time.monotonic()), 3)}
    return now


def slept(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Return the seconds that the machine slept between two readings of its clocks; 0 if unknown.

    A reading is a machine's ``clocks``: ``monotonic_s`` stops during sleep, ``boottime_s`` continues.
    """
    with suppress(KeyError):
        awake, elapsed = (after[name] - before[name] for name in ("monotonic_s", "boottime_s"))
        if elapsed - awake > MIN_SLEEP_S:
            return elapsed - awake
    return 0.0


def _power() -> str | None:
    """Return the power source if there is a battery; None on Linux, where ``Linux.facts`` reads it."""
    if platform.system() == "Linux" or not (battery := psutil.sensors_battery()):
        return None
    return "mains" if battery.power_plugged else "battery"


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return git's output, None if git fails; git writes nothing and asks no questions."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    variables |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    return program_output(["git", "-c", "core.fsmonitor=false", *arguments], GIT_SECONDS, folder, variables)
