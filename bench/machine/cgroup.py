"""What the control group of this process grants and has taken: processors, memory, throttled periods.

Both versions of Linux's control groups are read, the process's own group and all above it, since the
tightest limit holds. Where there are none, everything is unlimited.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.machine.linux import read

GROUPS = "sys/fs/cgroup"
NO_LIMIT = 1 << 60  # version 1 says "unlimited" with a number of about 2**63 bytes


def quota(root: Path = Path("/")) -> float | None:
    """Processors that the group may use (quota over period), None where there is no limit."""
    found = []
    for folder in _folders(root, "cpu"):
        limit, period = read(folder / "cpu.cfs_quota_us"), read(folder / "cpu.cfs_period_us")
        text = read(folder / "cpu.max") or (f"{limit} {period}" if limit and period else "")
        with suppress(ValueError, ZeroDivisionError):  # "max 100000"
            granted, over = (int(word) for word in text.split())
            if granted > 0:  # version 1 writes -1 for no limit
                found.append(granted / over)
    return min(found, default=None)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes that the group may use, None where there is no limit."""
    found = []
    for folder in _folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(ValueError):  # "max"
                found.append(int(read(folder / name) or ""))
    return min((limit for limit in found if limit < NO_LIMIT), default=None)


def throttled(root: Path = Path("/")) -> tuple[int, int] | None:
    """Periods in which the group had used its quota up, and all periods, so far; None where not counted."""
    for folder in _folders(root, "cpu"):
        lines = (read(folder / "cpu.stat") or "").splitlines()
        counts = dict(line.split() for line in lines if len(line.split()) == 2)
        with suppress(KeyError, ValueError):
            return int(counts["nr_throttled"]), int(counts["nr_periods"])
    return None


def _folders(root: Path, controller: str) -> Iterator[Path]:
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
