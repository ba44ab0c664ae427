"""Small runs, here or in a process of their own that can be hit at any moment, and what they leave behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).parents[2]
SMALL_RUN = Path(__file__).with_name("small_run.py")
SMALL = ("--quick", "--variant", "numpy-inplace", "--batch", "4", "--hidden", "4", "--seed", "5")
PATIENCE_S = 60.0  # a guard against tests that never end, no measure of anything
JOURNAL = "journal.jsonl"
TESTS = Path(__file__).parents[1]
GOOD_ARMS = {"numpy-batched@cpu x1", "numpy-batched@cpu x1 twin"}  # the baseline's, in every plan


def start(folder: Path, *options: str, report: bool = False, **environ: str) -> subprocess.Popen[str]:
    """Start ``rnnbench run`` on the smallest plan, in a session of its own."""
    return start_program("run", *SMALL, *options, "--out", str(folder), report=report, **environ)


def start_program(
    *arguments: str, report: bool = False, cwd: str | None = None, **environ: str
) -> subprocess.Popen[str]:
    """Start ``rnnbench`` with ``arguments``, in a session of its own."""
    command = [sys.executable, str(SMALL_RUN), *(() if report else ("--without-report",)), *arguments]
    paths = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": paths} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=cwd,
    )


def wait_for_lines(process: subprocess.Popen[str], folder: Path, lines: int) -> None:
    """Wait until the journal has so many lines, or the run is over."""
    journal = folder / JOURNAL
    ends = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < ends:
        if lines == 0 or (journal.exists() and journal.read_bytes().count(b"\n") >= lines):
            return
        time.sleep(0.005)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; the exit code as a shell tells it, and what went to standard error."""
    try:
        _, errors = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    code = process.returncode
    return (128 - code if code < 0 else code), errors


def children_of(number: int, kind: Callable[[int], int] = os.getsid) -> list[psutil.Process]:
    """Processes that are still there of a session, or of a group where ``kind`` is ``os.getpgid``."""
    found = []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if kind(process.pid) == number and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until_gone(number: int, kind: Callable[[int], int] = os.getsid) -> list[psutil.Process]:
    """Wait until no process of the session or group is left; those that are, in the end."""
    ends = time.monotonic() + PATIENCE_S
    while (left := children_of(number, kind)) and time.monotonic() < ends:
        time.sleep(0.02)
    return left


def records(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of the journal, as plain objects."""
    journal = folder / JOURNAL
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    return [json.loads(line)["record"] for line in lines]
