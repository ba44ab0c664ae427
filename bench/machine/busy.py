"""Measure how busy other programs keep the processors; report that in one line, or wait for quiet."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from bench.machine import terminal
from bench.machine.host import affinity
from bench.machine.libraries import known
from bench.machine.units import seconds
from bench.machine.wording import one_line

Say = Callable[[str], object]  # shows a line to the user

QUIET = 0.1  # of one processor: a smaller use is the usual housekeeping of the system
READING_S, WAIT_READING_S = 0.3, 3.0  # length of one reading: before a run, and while waiting
MAX_NAMES = 2  # of programs in a message
NEIGHBOURS = "other virtual machines"
IDLE_KINDS = ("idle", "iowait", "guest", "guest_nice")  # guest times are also part of user and nice


@dataclass(frozen=True, slots=True)
class Usage:
    """Hold how many of this process's allowed processors others kept busy: 0.5 is half of one."""

    others: float
    cpus: int
    load_1min: float | None
    names: tuple[str, ...]  # of the busiest programs; empty if other programs are not visible

    @property
    def quiet(self) -> bool:
        """Return whether others are quiet enough for a measurement."""
        return self.others < QUIET

    @property
    def clause(self) -> str:
        """Return the use as a clause: "other programs use 87 % of 2 processors (mostly tar), load 2.1"."""
        cpus = "one processor" if self.cpus == 1 else f"{self.cpus} processors"
        names = f" (mostly {' and '.join(self.names)})" if self.names else ""
        load = "" if self.load_1min is None else f", load {self.load_1min:.2g}"
        return f"other programs use {100 * min(1.0, self.others / self.cpus):.0f} % of {cpus}{names}{load}"


@dataclass(frozen=True, slots=True)
class Counters:
    """Hold seconds of processor time since some start; ``programs``: name and seconds by process id."""

    at_s: float
    busy: float  # of this process's allowed processors, by any program
    stolen: float  # by other virtual machines
    own: float  # of this process and its children
    programs: dict[int, tuple[str, float]]


def count() -> Counters:
    """Read all counters now.

    Raises:
        Exception: of any kind, if the system does not provide the counters.
    """
    allowed = set(affinity())
    cpu_times = [times._asdict() for cpu, times in enumerate(psutil.cpu_times(percpu=True)) if cpu in allowed]
    own, at_s = sum(os.times()[:4]), time.monotonic()  # before the walk below, which takes time of our own
    # name and processor time of every other process that is visible
    programs = {
        process.pid: (process.info["name"] or "a program", sum(process.info["cpu_times"][:2]))
        for process in psutil.process_iter(["name", "cpu_times"])
        if process.info["cpu_times"] and process.pid != os.getpid()
    }
    return Counters(
        at_s=at_s,
        busy=sum(spent_s for times in cpu_times for kind, spent_s in times.items() if kind not in IDLE_KINDS),
        stolen=sum(times.get("steal", 0.0) for times in cpu_times),
        own=own,
        programs=programs,
    )


def between(before: Counters, after: Counters, *, cpus: int, load_1min: float | None) -> Usage:
    """Return what others used between two readings."""
    passed_s = after.at_s - before.at_s
    others_s = max(0.0, after.busy - before.busy - (after.own - before.own))
    spent_s = {NEIGHBOURS: after.stolen - before.stolen}
    for pid, (name, total_s) in after.programs.items():
        used_s = total_s - before.programs.get(pid, (name, 0.0))[1]
        spent_s[name] = spent_s.get(name, 0.0) + used_s
    busiest = sorted(spent_s, key=lambda name: -spent_s[name])[:MAX_NAMES]
    names = [name for name in busiest if spent_s[name] >= QUIET / 2 * passed_s]
    return Usage(others_s / passed_s, cpus, load_1min, tuple(names))


def look(sample_s: float = READING_S, sleep: Callable[[float], None] = time.sleep) -> Usage | None:
    """Measure for a moment how much others use; None if the system does not tell."""
    try:
        before = count()
        sleep(sample_s)
        after = count()
        load = psutil.getloadavg()[0] if hasattr(psutil, "getloadavg") else None
        return between(before, after, cpus=len(affinity()), load_1min=load)
    except Exception:  # psutil fails in many ways without /proc; a run must still be possible
        return None


def complain(text: str) -> None:
    """Print a line on standard error."""
    terminal.say(f"rnnbench: {one_line(text)}", stderr=True)


def report_usage(wait_s: float | None, say: Say = complain) -> dict[str, Any]:
    """Report in one line what else runs, after waiting up to ``wait_s`` for quiet; return journal facts.

    Raises:
        KeyboardInterrupt: a signal ended the waiting.
    """
    usage, waited_s = (look(READING_S), None) if wait_s is None else wait(wait_s, say)
    if usage is None:
        return {}
    if not usage.quiet and waited_s is None:
        say(
            f"the machine is busy: {usage.clause}. Times will scatter; to wait for its end: --wait-quiet 5min"
        )
    # no names of programs in the journal: a name may tell about a person
    return known(others_cpus=round(usage.others, 2), waited_s=waited_s)


def wait(
    most_s: float, say: Say = complain, clock: Callable[[], float] = time.monotonic
) -> tuple[Usage | None, float]:
    """Wait until others are quiet, at most ``most_s``; return the last usage and the seconds waited."""
    from rich.text import Text

    start_s, console = clock(), terminal.console(stderr=True)
    usage = look(min(WAIT_READING_S, most_s))
    if usage is None or usage.quiet:
        return usage, round(clock() - start_s, 1)
    waiting_text = f"waiting until the machine is quiet, at most {seconds(most_s)}"
    if not console.is_terminal:
        say(f"{waiting_text}: {usage.clause}")
    with console.status(waiting_text) as status:
        while (left_s := most_s - (clock() - start_s)) > 0 and (latest := look(min(WAIT_READING_S, left_s))):
            usage = latest
            if usage.quiet:
                break
            status.update(Text(one_line(f"{waiting_text} ({left_s:.0f} s left): {usage.clause}")))
    waited_s = round(clock() - start_s, 1)
    still_busy = f"still busy after {seconds(waited_s)}, measuring all the same: {usage.clause}"
    say(f"the machine is {f'quiet after {seconds(waited_s)}' if usage.quiet else still_busy}")
    return usage, waited_s
