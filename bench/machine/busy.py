"""What else uses the processors: read over a moment before a run, and waited for until it has ended."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from bench.machine.host import affinity

QUIET = 0.1  # of one processor: below, what others do is the system's usual housekeeping
MOMENT_S, WINDOW_S = 0.3, 3.0  # how long a reading takes: before a run, and while waiting
MOST_NAMES = 2
NEIGHBOURS = "other virtual machines"
IDLE = ("idle", "iowait", "guest", "guest_nice")  # guests are counted in user and nice as well


@dataclass(frozen=True, slots=True)
class Usage:
    """Processors that others kept busy, of those this process may use: 0.5 is half of one."""

    others: float
    cpus: int
    load_1min: float | None
    names: tuple[str, ...]  # of the programs that used most; empty where they are not visible from here

    @property
    def quiet(self) -> bool:
        """Whether nothing is in the way of measuring."""
        return self.others < QUIET

    @property
    def clause(self) -> str:
        """What is seen: "other programs use 87 % of 2 processors (mostly tar), load 2.1"."""
        of = "one processor" if self.cpus == 1 else f"{self.cpus} processors"
        names = f" (mostly {' and '.join(self.names)})" if self.names else ""
        load = "" if self.load_1min is None else f", load {self.load_1min:.2g}"
        return f"other programs use {100 * min(1.0, self.others / self.cpus):.0f} % of {of}{names}{load}"


@dataclass(frozen=True, slots=True)
class Counters:
    """Seconds of processor time since some start; ``programs`` by process id, with the process's name."""

    at_s: float
    busy: float  # of the processors that this process may use, by whomever
    stolen: float  # by other virtual machines
    own: float  # of this process and its children
    programs: dict[int, tuple[str, float]]


def count() -> Counters:
    """Read all counters now.

    Raises:
        Exception: of any kind, where the system does not tell.
    """
    allowed = set(affinity())
    times = [one._asdict() for cpu, one in enumerate(psutil.cpu_times(percpu=True)) if cpu in allowed]
    own = os.times()
    return Counters(
        at_s=time.monotonic(),
        busy=sum(spent for one in times for kind, spent in one.items() if kind not in IDLE),
        stolen=sum(one.get("steal", 0.0) for one in times),
        own=sum(own[:4]),
        programs=_programs(),
    )


def between(before: Counters, after: Counters, *, cpus: int, load_1min: float | None) -> Usage:
    """What others used between two readings."""
    passed_s = after.at_s - before.at_s
    others_s = max(0.0, after.busy - before.busy - (after.own - before.own))
    spent = {NEIGHBOURS: after.stolen - before.stolen}
    for pid, (name, total_s) in after.programs.items():
        used_s = total_s - before.programs.get(pid, (name, 0.0))[1]
        spent[name] = spent.get(name, 0.0) + used_s
    most = sorted(spent, key=lambda name: -spent[name])[:MOST_NAMES]
    names = [name for name in most if spent[name] >= QUIET / 2 * passed_s]
    return Usage(others_s / passed_s, cpus, load_1min, tuple(names))


def look(sample_s: float = MOMENT_S, sleep: Callable[[float], None] = time.sleep) -> Usage | None:
    """Watch for a moment what others do; None where the system does not tell."""
    try:
        before = count()
        sleep(sample_s)
        after = count()
        load = psutil.getloadavg()[0] if hasattr(psutil, "getloadavg") else None
        return between(before, after, cpus=len(affinity()), load_1min=load)
    except Exception:  # psutil fails in many ways without /proc, and this is no reason not to measure
        return None


def _programs() -> dict[int, tuple[str, float]]:
    """Name and processor time of every other process that is visible."""
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid():
                spent = process.cpu_times()
                found[process.pid] = (process.name(), spent.user + spent.system)
    return found
