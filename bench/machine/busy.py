"""What else uses the processors: read over a moment before a run, told in a line, and waited for."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from bench.machine.host import affinity
from bench.machine.libraries import known
from bench.machine.units import seconds
from bench.machine.wording import one_line

Say = Callable[[str], object]

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
        """Return whether nothing is in the way of measuring."""
        return self.others < QUIET

    @property
    def clause(self) -> str:
        """Return what is seen: "other programs use 87 % of 2 processors (mostly tar), load 2.1"."""
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
    times = [each._asdict() for cpu, each in enumerate(psutil.cpu_times(percpu=True)) if cpu in allowed]
    # name and processor time of every other process that is visible
    programs = {
        process.pid: (process.info["name"] or "a program", sum(process.info["cpu_times"][:2]))
        for process in psutil.process_iter(["name", "cpu_times"])
        if process.info["cpu_times"] and process.pid != os.getpid()
    }
    return Counters(
        at_s=time.monotonic(),
        busy=sum(spent for each in times for kind, spent in each.items() if kind not in IDLE),
        stolen=sum(each.get("steal", 0.0) for each in times),
        own=sum(os.times()[:4]),
        programs=programs,
    )


def between(before: Counters, after: Counters, *, cpus: int, load_1min: float | None) -> Usage:
    """Return what others used between two readings."""
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


def complain(text: str) -> None:
    """Print a line on standard error."""
    print(f"rnnbench: {one_line(text)}", file=sys.stderr, flush=True)


def look_around(wait_s: float | None, say: Say = complain) -> dict[str, Any]:
    """Say in a line what else runs, having waited ``wait_s`` at most for its end; return it for the journal.

    Raises:
        KeyboardInterrupt: a signal ended the waiting.
    """
    usage, waited_s = (look(MOMENT_S), None) if wait_s is None else wait(wait_s, say)
    if usage is None:
        return {}
    if not usage.quiet and waited_s is None:
        say(
            f"the machine is busy: {usage.clause}. Times will scatter; to wait for its end: --wait-quiet 5min"
        )
    # names of programs may tell about a person, and stay out of it
    return known(others_cpus=round(usage.others, 2), waited_s=waited_s)


def wait(
    most_s: float, say: Say = complain, clock: Callable[[], float] = time.monotonic
) -> tuple[Usage | None, float]:
    """Wait until others are quiet, ``most_s`` at most; return what was seen last and the seconds it took."""
    from rich.console import Console
    from rich.text import Text

    begun, console = clock(), Console(stderr=True)
    usage = look(min(WINDOW_S, most_s))
    if usage is None or usage.quiet:
        return usage, round(clock() - begun, 1)
    goal = f"waiting until the machine is quiet, at most {seconds(most_s)}"
    if not console.is_terminal:
        say(f"{goal}: {usage.clause}")
    with console.status(goal) as status:
        while (left_s := most_s - (clock() - begun)) > 0 and (latest := look(min(WINDOW_S, left_s))):
            usage = latest
            if usage.quiet:
                break
            status.update(Text(one_line(f"{goal} ({left_s:.0f} s left): {usage.clause}")))
    waited_s = round(clock() - begun, 1)
    still = f"still busy after {seconds(waited_s)}, measuring all the same: {usage.clause}"
    say(f"the machine is {f'quiet after {seconds(waited_s)}' if usage.quiet else still}")
    return usage, waited_s
