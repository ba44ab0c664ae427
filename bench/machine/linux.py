"""What Linux tells of the processor, the state of the machine and its control groups, read from files.

No privileges are needed. Every function takes the folder that stands for ``/``. What a file does not tell is
left out, so that on other systems the answers are empty. Both versions of control groups are read, the
process's own group and all above it, since the tightest limit holds.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.machine.libraries import tell

CPU = "sys/devices/system/cpu"
CPU0 = f"{CPU}/cpu0"
ROOT = Path("/")
GROUPS = "sys/fs/cgroup"
NO_LIMIT = 1 << 60  # version 1 says "unlimited" with a number of about 2**63 bytes


def read(path: Path) -> str | None:
    """Return the text of a file without white space around it; None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """Return the whole number that a file holds; None where it holds none."""
    try:
        return int(read(path) or "")
    except ValueError:
        return None


def known(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that are known."""
    return {name: value for name, value in facts.items() if value not in (None, "", {}, [])}


def processor(root: Path = ROOT) -> dict[str, Any]:
    """Which processor it is: vendor, family, microcode, caches, NUMA nodes, SMT, isolated processors."""
    info = cpuinfo(root)
    return known(
        {
            "vendor": info.get("vendor_id"),
            "family": info.get("cpu family"),
            "model": info.get("model"),
            "stepping": info.get("stepping"),
            "microcode": info.get("microcode"),
            "vector_units": [unit for unit in ("avx2", "avx512f") if unit in info.get("flags", "").split()],
            "caches": _caches(root),
            "numa_nodes": len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None,
            "smt": {"1": "on", "0": "off"}.get(read(root / CPU / "smt/active") or ""),
            "siblings": read(root / CPU0 / "topology/thread_siblings_list"),
            "isolated_cpus": read(root / CPU / "isolated"),
            "nohz_full": (read(root / CPU / "nohz_full") or "").strip("() \n").removeprefix("null"),
        }
    )


def clock_speed(root: Path = ROOT, cpus: Iterable[int] = (0,)) -> dict[str, Any]:
    """Return how the clock of these processors is governed: driver, governor, turbo, MHz."""
    folders = [root / CPU / f"cpu{cpu}/cpufreq" for cpu in cpus] or [root / CPU0 / "cpufreq"]
    info = cpuinfo(root)
    mhz = {
        name: khz // 1000
        for name in ("min", "max", "cur")
        if (khz := number(folders[0] / f"scaling_{name}_freq")) is not None
    }
    if "cur" not in mhz and (now := info.get("cpu MHz")):
        with suppress(ValueError):
            mhz["cur"] = round(float(now))
    return known(
        {
            "governor": _all(read(folder / "scaling_governor") for folder in folders),
            "energy_preference": _all(read(folder / "energy_performance_preference") for folder in folders),
            "frequency_driver": read(folders[0] / "scaling_driver"),
            "turbo": _turbo(root),
            "mhz": mhz,
        }
    )


def state(root: Path = ROOT) -> dict[str, Any]:
    """Return how the system is set and how it fares: memory, pressure, steal, power, mitigations."""
    swaps = read(root / "proc/swaps")
    areas = [line.split() for line in (swaps or "").splitlines()[1:]]
    load = (read(root / "proc/loadavg") or "").split()
    return known(
        {
            "transparent_huge_pages": _chosen(read(root / "sys/kernel/mm/transparent_hugepage/enabled")),
            "aslr": number(root / "proc/sys/kernel/randomize_va_space"),
            "clocksource": read(root / "sys/devices/system/clocksource/clocksource0/current_clocksource"),
            "mitigations": _mitigations(root),
            "preloaded_everywhere": bool(read(root / "etc/ld.so.preload")) or None,
            "power": _power(root),
            "temperature_c": _temperature(root),
            "steal_share": steal_share(root),
            "pressure_percent": _pressure(root),
        }
        | tell(  # a file may hold anything
            swap_bytes=lambda: None if swaps is None else 1024 * sum(int(area[-3]) for area in areas),
            swap_used_bytes=lambda: None if swaps is None else 1024 * sum(int(area[-2]) for area in areas),
            runnable=lambda: int(load[3].partition("/")[0]) if len(load) > 3 else None,
        )
    )


def virtual(root: Path = ROOT) -> dict[str, Any]:
    """Hints at a virtual machine and at a container."""
    maker = " ".join(
        filter(None, (read(root / f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name")))
    )
    release = (read(root / "proc/sys/kernel/osrelease") or "").lower()
    hypervisor: str | None = None
    if "hypervisor" in cpuinfo(root).get("flags", "").split() or (root / "sys/hypervisor/type").exists():
        hypervisor = read(root / "sys/hypervisor/type") or maker or "of a kind it does not tell"
    if "microsoft" in release:
        hypervisor = "WSL"
    container = next(
        (
            name
            for name, path in (("docker", ".dockerenv"), ("podman", "run/.containerenv"))
            if (root / path).exists()
        ),
        None,
    )
    groups = read(root / "proc/self/cgroup") or ""
    kinds = ("kubepods", "docker", "lxc", "libpod")
    return known(
        {
            "hypervisor": hypervisor,
            "container": container or next((kind for kind in kinds if kind in groups), None),
        }
    )


def cpuinfo(root: Path = ROOT) -> dict[str, str]:
    """Return what /proc/cpuinfo says about the first processor."""
    first = (read(root / "proc/cpuinfo") or "").partition("\n\n")[0]
    lines = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def steal_share(root: Path = ROOT) -> float | None:
    """Share of the processors' time since the start of the system that the hypervisor gave to others."""
    with suppress(ValueError, IndexError, ZeroDivisionError):
        # user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in the first two
        ticks = [int(word) for word in (read(root / "proc/stat") or "").splitlines()[0].split()[1:9]]
        return round(ticks[7] / sum(ticks), 5)
    return None


def quota(root: Path = ROOT) -> float | None:
    """Return processors that the group may use (quota over period), None where there is no limit."""
    found = []
    for folder in _group_folders(root, "cpu"):
        limit, period = read(folder / "cpu.cfs_quota_us"), read(folder / "cpu.cfs_period_us")
        text = read(folder / "cpu.max") or (f"{limit} {period}" if limit and period else "")
        with suppress(ValueError, ZeroDivisionError):  # "max 100000"
            granted, over = (int(word) for word in text.split())
            if granted > 0:  # version 1 writes -1 for no limit
                found.append(granted / over)
    return min(found, default=None)


def memory_limit(root: Path = ROOT) -> int | None:
    """Return bytes that the group may use, None where there is no limit."""
    found = []
    for folder in _group_folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(ValueError):  # "max"
                found.append(int(read(folder / name) or ""))
    return min((limit for limit in found if limit < NO_LIMIT), default=None)


def throttled(root: Path = ROOT) -> tuple[int, int] | None:
    """Return the periods in which the quota was used up, and all periods; None where nobody counts."""
    for folder in _group_folders(root, "cpu"):
        lines = (read(folder / "cpu.stat") or "").splitlines()
        counts = dict(line.split() for line in lines if len(line.split()) == 2)
        with suppress(KeyError, ValueError):
            return int(counts["nr_throttled"]), int(counts["nr_periods"])
    return None


def _all(values: Iterable[str | None]) -> str | None:
    """Join all different values: on a well set machine there is one."""
    return ", ".join(dict.fromkeys(filter(None, values))) or None


def _chosen(text: str | None) -> str | None:
    """Return the word in brackets of a list to choose from, such as "always [madvise] never"."""
    found = re.search(r"\[(\w+)\]", text or "")
    return found[1] if found else None


def _caches(root: Path) -> dict[str, str]:
    found = {}
    for folder in sorted((root / CPU0 / "cache").glob("index[0-9]*")):
        level, kind, size = (read(folder / name) for name in ("level", "type", "size"))
        if level and size:
            suffix = {"Data": "d", "Instruction": "i"}.get(kind or "", "")
            found[f"L{level}{suffix}"] = size
    return found


def _turbo(root: Path) -> str | None:
    """Return whether the clock may rise above its nominal speed."""
    off, on = number(root / CPU / "intel_pstate/no_turbo"), number(root / CPU / "cpufreq/boost")
    allowed = on if off is None else 1 - off
    return None if allowed is None else ("on" if allowed else "off")


def _mitigations(root: Path) -> dict[str, list[str]]:
    """Weaknesses of the processor by what is done about them; those that it does not have are left out."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / CPU / "vulnerabilities").glob("*")):
        text = read(path) or ""
        if not text.startswith("Not affected"):
            found.setdefault("mitigated" if text.startswith("Mitigation") else "open", []).append(path.name)
    return found


def _power(root: Path) -> str | None:
    """Return mains or battery; None where nothing tells, as on a machine without a battery."""
    supplies = list((root / "sys/class/power_supply").glob("*"))
    kinds = {path: read(path / "type") for path in supplies}
    if any(kind == "Mains" and read(path / "online") == "1" for path, kind in kinds.items()):
        return "mains"
    own = (path for path, kind in kinds.items() if kind == "Battery" and read(path / "scope") != "Device")
    return "battery" if any(read(path / "status") == "Discharging" for path in own) else None


def _temperature(root: Path) -> int | None:
    zones = (number(path / "temp") for path in (root / "sys/class/thermal").glob("thermal_zone*"))
    return max((degrees // 1000 for degrees in zones if degrees), default=None)


def _pressure(root: Path) -> dict[str, float]:
    """Return percent of the last ten seconds in which some task waited, by what it waited for."""
    found = {}
    for what in ("cpu", "memory", "io"):
        if shares := re.search(r"some avg10=(\d+(?:\.\d*)?)", read(root / "proc/pressure" / what) or ""):
            found[what] = float(shares[1])
    return found


def _group_folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the process's groups for a controller, its own first, then those above."""
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers not in ("", "unified") and controller not in controllers.split(","):
            continue
        top = root / GROUPS / (controller if controllers else "")
        own = top / group.lstrip("/")
        # "..": a group outside of what this container sees
        for folder in () if ".." in group.split("/") else (own, *own.parents):
            if folder.is_relative_to(top):
                yield folder
    yield root / GROUPS
    yield root / GROUPS / controller
