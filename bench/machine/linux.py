"""Read facts from Linux's files: the processor, the machine's state and the process's control groups.

No privileges are needed. Unknown facts are left out, so that other systems get empty answers. Both versions
of control groups are read, for the process's own group and all groups above: the tightest limit counts.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine.libraries import known

CPU = "sys/devices/system/cpu"
CGROUPS = "sys/fs/cgroup"
NO_LIMIT = 1 << 60  # version 1 writes about 2**63 bytes for "unlimited"
CPUINFO = {"vendor": "vendor_id", "family": "cpu family"} | {
    name: name for name in ("model", "stepping", "microcode")
}
ON_IF_1, OFF_IF_1 = {"1": "on", "0": "off"}, {"0": "on", "1": "off"}


@dataclass(frozen=True, slots=True)
class Linux:
    """Read the files of a Linux system; the folder ``root`` stands for ``/``."""

    root: Path = Path("/")

    def text(self, name: str | Path) -> str:
        """Return a file's text without surrounding white space; empty if the file cannot be read."""
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def number(self, name: str | Path) -> int | None:
        """Return the whole number that a file holds; None if there is none."""
        with suppress(ValueError):
            return int(self.text(name))
        return None

    def cpuinfo(self) -> dict[str, str]:
        """Return what ``/proc/cpuinfo`` says about the first processor."""
        first_block = self.text("proc/cpuinfo").partition("\n\n")[0]
        lines = (line.partition(":") for line in first_block.splitlines())
        return {name.strip(): value.strip() for name, _, value in lines}

    def facts(self, cpus: Sequence[int]) -> dict[str, Any]:
        """Return all known facts; clocks and governors are those of the processors ``cpus``."""
        text, number, info = self.text, self.number, self.cpuinfo()
        clocks = [f"{CPU}/cpu{cpu}/cpufreq" for cpu in cpus or [0]]
        return known(
            **{name: info.get(key) for name, key in CPUINFO.items()},
            vector_units=[unit for unit in ("avx2", "avx512f") if unit in info.get("flags", "").split()],
            caches=self._caches,
            numa_nodes=len(list(self.root.glob("sys/devices/system/node/node[0-9]*"))) or None,
            smt=ON_IF_1.get(text(f"{CPU}/smt/active")),
            siblings=text(f"{CPU}/cpu0/topology/thread_siblings_list"),
            isolated_cpus=text(f"{CPU}/isolated"),
            nohz_full=text(f"{CPU}/nohz_full").strip("() \n").removeprefix("null"),
            governor=_all_of(text(f"{folder}/scaling_governor") for folder in clocks),
            energy_preference=_all_of(text(f"{folder}/energy_performance_preference") for folder in clocks),
            frequency_driver=text(f"{clocks[0]}/scaling_driver"),
            turbo=OFF_IF_1.get(text(f"{CPU}/intel_pstate/no_turbo"))
            or ON_IF_1.get(text(f"{CPU}/cpufreq/boost")),
            mhz=known(cur=lambda: round(float(info["cpu MHz"])))
            | {
                name: khz // 1000
                for name in ("min", "max", "cur")
                if (khz := number(f"{clocks[0]}/scaling_{name}_freq")) is not None
            },
            hypervisor=self._hypervisor(info),
            container=self._container(),
            # the word in brackets, as in "always [madvise] never"
            transparent_huge_pages=lambda: re.findall(
                r"\[(\w+)\]", text("sys/kernel/mm/transparent_hugepage/enabled")
            )[0],
            aslr=number("proc/sys/kernel/randomize_va_space"),
            clocksource=text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            mitigations=self._mitigations,
            preloaded_everywhere=bool(text("etc/ld.so.preload")) or None,
            power=self._power,
            temperature_c=lambda: max(
                degrees // 1000
                for zone in self.root.glob("sys/class/thermal/thermal_zone*/temp")
                if (degrees := number(zone))
            ),
            steal_share=self._steal_share,
            pressure_percent=self._pressure,
            swap_bytes=lambda: self._swap_bytes(-3),
            swap_used_bytes=lambda: self._swap_bytes(-2),
            runnable=lambda: int(text("proc/loadavg").split()[3].partition("/")[0]),
            cgroup_memory_bytes=self.memory_limit,
            **self._throttled(),
        )

    def quota(self) -> float | None:
        """Return the processors that the group may use (quota over period); None without a limit."""
        limits = []
        for group in self._groups("cpu"):
            # version 2 has both numbers in one file
            numbers = self.text(group / "cpu.max") or " ".join(
                self.text(group / f"cpu.cfs_{name}_us") for name in ("quota", "period")
            )
            with suppress(ValueError, ZeroDivisionError):  # version 2 writes "max 100000" for no limit
                quota_us, period_us = map(int, numbers.split())
                if quota_us > 0:  # version 1 writes -1 for no limit
                    limits.append(quota_us / period_us)
        return min(limits, default=None)

    def memory_limit(self) -> int | None:
        """Return the bytes of memory that the group may use; None without a limit."""
        names = ("memory.max", "memory.limit_in_bytes")
        limits = [self.number(group / name) for group in self._groups("memory") for name in names]
        return min((limit for limit in limits if limit is not None and limit < NO_LIMIT), default=None)

    def _throttled(self) -> dict[str, int]:
        """Return the periods in which the quota was used up, and all periods; empty if not counted."""
        for group in self._groups("cpu"):
            counts = dict(re.findall(r"^(\w+) (\d+)$", self.text(group / "cpu.stat"), re.MULTILINE))
            with suppress(KeyError):
                names = {"throttled_periods": "nr_throttled", "quota_periods": "nr_periods"}
                return {name: int(counts[key]) for name, key in names.items()}
        return {}

    def _groups(self, controller: str) -> Iterator[Path]:
        """Yield a controller's folders: of the process's own group first, then of the groups above."""
        for line in self.text("proc/self/cgroup").splitlines():
            controllers, _, group = line.partition(":")[2].partition(":")
            if controllers not in ("", "unified") and controller not in controllers.split(","):
                continue
            top = self.root / CGROUPS / (controller if controllers else "")
            group_folder = top / group.lstrip("/")
            # "..": the group is outside of what this container sees
            for folder in () if ".." in group.split("/") else (group_folder, *group_folder.parents):
                if folder.is_relative_to(top):
                    yield folder
        yield self.root / CGROUPS
        yield self.root / CGROUPS / controller

    def _caches(self) -> dict[str, str]:
        """Return the sizes of the caches, such as "L1d": "48K"."""
        sizes = {}
        for folder in sorted(self.root.glob(f"{CPU}/cpu0/cache/index[0-9]*")):
            level, kind, size = (self.text(folder / name) for name in ("level", "type", "size"))
            if level and size:
                sizes[f"L{level}{ {'Data': 'd', 'Instruction': 'i'}.get(kind, '') }"] = size
        return sizes

    def _mitigations(self) -> dict[str, list[str]]:
        """Return the processor's vulnerabilities as two lists: mitigated and open."""
        vulnerabilities: dict[str, list[str]] = {}
        for path in sorted(self.root.glob(f"{CPU}/vulnerabilities/*")):
            if not (state := self.text(path)).startswith("Not affected"):
                kind = "mitigated" if state.startswith("Mitigation") else "open"
                vulnerabilities.setdefault(kind, []).append(path.name)
        return vulnerabilities

    def _power(self) -> str | None:
        """Return mains or battery; None if unknown, as on a machine without a battery."""
        supplies = list(self.root.glob("sys/class/power_supply/*"))
        kinds = {path: self.text(path / "type") for path in supplies}
        if any(kind == "Mains" and self.text(path / "online") == "1" for path, kind in kinds.items()):
            return "mains"
        batteries = [path for path, kind in kinds.items() if kind == "Battery"]
        # scope Device: the battery of a mouse, for example
        internal = [path for path in batteries if self.text(path / "scope") != "Device"]
        states = {self.text(path / "status") for path in internal}
        if "Discharging" in states:
            return "battery"
        return "mains" if states & {"Charging", "Full"} else None  # from a supply of another type, as USB

    def _pressure(self) -> dict[str, float]:
        """Return the percent of the last ten seconds in which some task waited, by kind of wait."""
        return {
            kind: float(share[1])
            for kind in ("cpu", "memory", "io")
            if (share := re.search(r"some avg10=(\d+(?:\.\d*)?)", self.text(f"proc/pressure/{kind}")))
        }

    def _steal_share(self) -> float:
        """Return the share of processor time since the start that the hypervisor gave to others."""
        # user, nice, system, idle, iowait, irq, softirq, steal; the later columns are part of the first two
        ticks = [int(word) for word in self.text("proc/stat").splitlines()[0].split()[1:9]]
        return round(ticks[7] / sum(ticks), 5)

    def _swap_bytes(self, column: int) -> int:
        """Return the sum of a column of ``/proc/swaps``, which counts in KiB."""
        _heading, *areas = self.text("proc/swaps").splitlines()
        return 1024 * sum(int(area.split()[column]) for area in areas)

    def _hypervisor(self, info: dict[str, str]) -> str | None:
        if "microsoft" in self.text("proc/sys/kernel/osrelease").lower():
            return "WSL"
        kind = self.text("sys/hypervisor/type")
        if not kind and "hypervisor" not in info.get("flags", "").split():
            return None
        product = " ".join(self.text(f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
        return kind or product.strip() or "of a kind it does not tell"

    def _container(self) -> str | None:
        for name, path in (("docker", ".dockerenv"), ("podman", "run/.containerenv")):
            if (self.root / path).exists():
                return name
        groups = self.text("proc/self/cgroup")
        return next((kind for kind in ("kubepods", "docker", "lxc", "libpod") if kind in groups), None)


def _all_of(values: Iterator[str]) -> str:
    """Join the different values; usually all are equal."""
    return ", ".join(dict.fromkeys(filter(None, values)))
