"""Runs that a signal ends at some moment: are the workers gone, and can the journal be read?"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.records.journal import load_run
from faults.runs import children_of, finish, records, start, wait_for_lines, wait_until_gone

ENDLESS = ("--blocks", "500")
CTRL_C, TERM, HANG_UP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
TO_PROCESS, TO_GROUP = os.kill, os.killpg  # a terminal signals the group, `kill` the process


class Hit(NamedTuple):
    """A signal, and the moment of a run at which it is sent."""

    number: int
    send: Callable[[int, int], None]
    lines: int  # of the journal, to wait for
    seconds: float  # after the last of them


# while Python loads, before the first line, among the lines of a block, and late
TELLING = (
    Hit(CTRL_C, TO_GROUP, 0, 0.3),
    Hit(HANG_UP, TO_PROCESS, 1, 0.0),
    Hit(TERM, TO_PROCESS, 6, 0.02),
    Hit(CTRL_C, TO_GROUP, 15, 0.05),
)


def at_random(seed: int, count: int, number: int, send: Callable[[int, int], None]) -> list[Hit]:
    """Return hits at random moments of a run."""
    generator = random.Random(seed)
    return [Hit(number, send, generator.randrange(0, 18), generator.uniform(0, 0.06)) for _ in range(count)]


def check_hit(folder: Path, hit: Hit) -> None:
    """Start a run, hit it, and check what is left of it."""
    running = start(folder, *ENDLESS)
    wait_for_lines(running, folder, hit.lines)
    time.sleep(hit.seconds)
    hit.send(running.pid, hit.number)
    code, errors = finish(running)
    left = children_of(running.pid)

    if "Fatal Python error: init_" in errors:  # it hit Python itself, before a line of ours had run
        assert not records(folder)
        return
    assert code in ((130,) if hit.number == CTRL_C else (143, 128 + hit.number)), errors
    lines = records(folder)
    if lines and lines[-1]["kind"] == "end":
        assert lines[-1]["status"] == "interrupted"
        assert left == []  # at once
        assert code != 128 + HANG_UP
    if lines:
        assert load_run(folder).state == "interrupted"
    assert wait_until_gone(running.pid) == []  # those that nobody could end find their pipe closed


def check_second_ctrl_c(folder: Path, lines: int, seconds: float) -> None:
    """Hit a run twice, and check what is left of it."""
    running = start(folder, *ENDLESS)
    wait_for_lines(running, folder, lines + 1)
    os.killpg(running.pid, CTRL_C)
    time.sleep(seconds)
    _hit_if_alive(running, CTRL_C)
    code, errors = finish(running)

    assert code == 130, errors
    assert load_run(folder).state == "interrupted"
    assert wait_until_gone(running.pid) == []


def check_hit_while_drawing(folder: Path, number: int, seconds: float) -> None:
    """Hit a run while its report is drawn, and check that what was measured is whole."""
    running = start(folder, "--blocks", "1", report=True)
    while running.poll() is None and not any(one["kind"] == "end" for one in records(folder)):
        time.sleep(0.02)
    time.sleep(seconds)
    _hit_if_alive(running, number)
    code, errors = finish(running)

    assert code in (0, 128 + number), errors
    assert load_run(folder).state == "complete"
    page = folder / "report.html"
    assert not page.exists() or page.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert wait_until_gone(running.pid) == []


def _hit_if_alive(running: subprocess.Popen[str], number: int) -> None:
    if running.poll() is None:
        os.killpg(running.pid, number)
