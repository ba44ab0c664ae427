"""Runs that are killed, once or again while they go on, and then completed: is anything lost?"""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.records.journal import load_run
from bench.records.record import Burst
from faults.runs import finish, records, start, start_program, wait_for_lines, wait_until_gone

BLOCKS = 2
LINES = 18  # about what the journal of such a run holds


def uninterrupted(folder: Path) -> Path:
    """A complete run in ``folder``."""
    code, errors = finish(start(folder, "--blocks", str(BLOCKS)))
    assert code == 0, errors
    return folder


def killed_and_resumed(
    folder: Path,
    generator: random.Random,
    *,
    running: subprocess.Popen[str] | None = None,
    politely: bool = False,
) -> int:
    """Kill a run at a random moment, resume it, perhaps kill that too, and resume; return how many kills."""
    running = running or start(folder, "--blocks", str(BLOCKS))
    kills = 0
    for attempt in range(1, generator.choice((1, 1, 2)) + 1):
        lines = len(records(folder)) if attempt > 1 else 0
        wait_for_lines(running, folder, lines + generator.randrange(1, LINES // attempt))
        time.sleep(generator.uniform(0, 0.3))  # a block is written when it is over
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGTERM if politely else signal.SIGKILL)
            kills += 1
        finish(running)
        assert wait_until_gone(running.pid) == []
        over = any(line["kind"] == "end" and line["status"] == "complete" for line in records(folder))
        running = start_program("run", "--resume", str(folder))
    code, errors = finish(running)
    assert code == (2 if over else 0), errors
    return kills


def problems(folder: Path, whole: Path, *, bursts: Sequence[Burst] | None = None) -> list[str]:
    """How a run differs from one without an accident and with the same seed; nothing where it does not."""
    run, model = load_run(folder), load_run(whole)
    bursts = run.bursts if bursts is None else bursts
    said = [f"the run is {run.state}"] if run.state != "complete" else []
    times = Counter((burst.block, burst.entry) for burst in bursts)
    for burst in model.bursts:
        if (count := times.pop((burst.block, burst.entry), 0)) != 1:
            said.append(f"{burst.entry} in block {burst.block} is there {count} times")
    said += [f"{entry} in block {block} is too much" for block, entry in times]
    if [(burst.block, burst.entry) for burst in bursts] != [(b.block, b.entry) for b in model.bursts]:
        said.append("the order differs")
    calls: dict[str, set[int]] = {}
    for burst in bursts:
        calls.setdefault(burst.entry, set()).add(burst.n_calls)
    said += [f"{entry} has {found} calls a value" for entry, found in calls.items() if len(found) > 1]
    said += [f"{failure.entry} failed: {failure.reason}" for failure in run.failures]
    return said
