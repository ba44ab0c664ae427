"""Read the system's counters around a burst; above its limit, a gate flags the burst as disturbed.

=============  ======================================================================  =====  =============
name           what is read                                                            limit  of
=============  ======================================================================  =====  =============
wall_over_cpu  wall clock over the process's own processor time                        1.02   1 thread, cpu
preempted      times a second that the system interrupted the process                  200    every process
waiting        share of the time in which tasks waited for a processor (Linux, PSI)    0.05   the machine
steal          share of the time that the hypervisor gave to others (Linux)            0.01   the machine
throttled      times that the cgroup used up its quota (Linux)                         0      the cgroup
=============  ======================================================================  =====  =============

A gate only informs: flagged values count, too, since the two arms of a round run milliseconds apart.
Counters that are missing here are left out. This module uses only the standard library. Evidence for the
list: the Linux kernel's documentation of ``/proc/pressure``, ``/proc/stat`` and ``cpu.stat``.
"""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LIMITS = {"wall_over_cpu": 1.02, "preempted": 200.0, "waiting": 0.05, "steal": 0.01, "throttled": 0.0}
TICK_NS = 10_000_000  # /proc/stat counts in hundredths of a second
GATE_TEXTS = {
    "wall_over_cpu": "the wall clock ran {:.3g} times as fast as the process's own time",
    "preempted": "it was put aside {:.3g} times a second",
    "waiting": "tasks waited for a processor {:.0%} of the time",
    "steal": "the hypervisor took {:.0%} of the time",
    "throttled": "the cgroup's quota was used up {:.0f} times",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold counters that only grow; None if this system lacks the counter."""

    wall_ns: int
    preempted: int | None
    waiting_us: int | None
    steal_ticks: int | None
    throttled: int | None


def read(root: Path = Path("/")) -> Reading:
    """Read all counters now, from both versions of control groups."""
    groups = root / "sys/fs/cgroup"
    return Reading(
        wall_ns=time.perf_counter_ns(),
        preempted=preempted(),
        waiting_us=_counter(r"^some .*total=(\d+)", root / "proc/pressure/cpu"),
        steal_ticks=_counter(r"^cpu +(?:\d+ ){7}(\d+)", root / "proc/stat"),
        throttled=_counter(r"^nr_throttled (\d+)", groups / "cpu.stat", groups / "cpu/cpu.stat"),
    )


def between(before: Reading, after: Reading) -> dict[str, float]:
    """Return the gates' values between two readings; a burst adds ``wall_over_cpu`` from its own values."""
    wall_ns = after.wall_ns - before.wall_ns
    if wall_ns <= 0:
        return {}
    values: dict[str, float] = {}
    for gate, counter, per_unit in (
        ("preempted", "preempted", 1e9 / wall_ns),
        ("waiting", "waiting_us", 1e3 / wall_ns),
        ("steal", "steal_ticks", TICK_NS / wall_ns),
        ("throttled", "throttled", 1.0),
    ):
        start, end = getattr(before, counter), getattr(after, counter)
        if start is not None and end is not None:
            values[gate] = (end - start) * per_unit
    return {name: round(value, 4) for name, value in values.items()}


def fired(gates: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    """Return the names of the gates above their limits."""
    return [name for name, value in gates.items() if name in limits and not value <= limits[name]]


def in_words(name: str, value: float) -> str:
    """Return a gate's value as a text for readers."""
    return GATE_TEXTS.get(name, name + " {:.3g}").format(value)


def preempted() -> int | None:
    """Return how often the system interrupted this process for another; None if that is not counted."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _counter(pattern: str, *paths: Path) -> int | None:
    """Return the number that a pattern finds in the first file with a match; None without a match."""
    for path in paths:
        with suppress(OSError):
            text = path.read_text(encoding="ascii", errors="replace")
            if match := re.search(pattern, text, re.MULTILINE):
                return int(match[1])
    return None
