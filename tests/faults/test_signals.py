"""F1, F2: whenever Ctrl-C, TERM or a hang-up comes, the workers are gone and the journal can be read."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.machine.signals import Terminated, loading, terminable, undisturbed
from bench.records.journal import FILE_NAME, load_run
from faults.runs import PROJECT, children_of, finish, records, start, wait_for_lines, wait_until_gone

ENDLESS = ("--blocks", "500")
TO_PROCESS, TO_GROUP = os.kill, os.killpg  # a terminal signals the group, `kill` the process


def moments(seed: int, count: int) -> list[tuple[int, float]]:
    """Moments of a run: a number of journal lines to wait for, and seconds after the last of them."""
    generator = random.Random(seed)
    return [(generator.randrange(0, 18), generator.uniform(0, 0.06)) for _ in range(count)]


CTRL_C, TERM, HANG_UP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
HITS = [
    *((CTRL_C, TO_GROUP, *moment) for moment in moments(1, 10)),
    *((TERM, TO_PROCESS, *moment) for moment in moments(2, 6)),
    *((TERM, TO_GROUP, *moment) for moment in moments(3, 2)),
    *((HANG_UP, TO_PROCESS, *moment) for moment in moments(4, 2)),
]


@pytest.mark.parametrize(("number", "send", "lines", "seconds"), HITS)
def test_a_signal_at_any_moment_ends_run_and_workers_and_keeps_the_journal(
    tmp_path: Path, number: int, send, lines: int, seconds: float
) -> None:
    running = start(tmp_path, *ENDLESS)
    wait_for_lines(running, tmp_path, lines)
    time.sleep(seconds)
    send(running.pid, number)
    code, errors = finish(running)
    left = children_of(running.pid)

    if "Fatal Python error: init_" in errors:  # it hit Python itself, before a line of ours had run
        assert not records(tmp_path)
        return
    assert code in ((130,) if number == CTRL_C else (143, 128 + number)), errors
    found = records(tmp_path)
    if found and found[-1]["kind"] == "end":
        assert found[-1]["status"] == "interrupted"
        assert left == []  # at once
        assert code != 128 + HANG_UP
    if found:
        assert load_run(tmp_path).state == "interrupted"
    assert wait_until_gone(running.pid) == []  # those that nobody could end find their pipe closed


@pytest.mark.parametrize(("lines", "seconds"), moments(5, 2))
def test_a_second_ctrl_c_ends_it_too(tmp_path: Path, lines: int, seconds: float) -> None:
    running = start(tmp_path, *ENDLESS)
    wait_for_lines(running, tmp_path, lines + 1)
    os.killpg(running.pid, CTRL_C)
    time.sleep(seconds)
    if running.poll() is None:
        os.killpg(running.pid, CTRL_C)
    code, errors = finish(running)

    assert code == 130, errors
    assert load_run(tmp_path).state == "interrupted"
    assert wait_until_gone(running.pid) == []


@pytest.mark.parametrize(("number", "seconds"), [(CTRL_C, 0.05), (TERM, 0.8)])
def test_a_signal_while_the_report_is_drawn_harms_nothing_that_was_measured(
    tmp_path: Path, number: int, seconds: float
) -> None:
    running = start(tmp_path, "--blocks", "1", report=True)
    while running.poll() is None and not any(one["kind"] == "end" for one in records(tmp_path)):
        time.sleep(0.02)
    time.sleep(seconds)
    if running.poll() is None:
        os.killpg(running.pid, number)
    code, errors = finish(running)

    assert code in (0, 128 + number), errors
    assert load_run(tmp_path).state == "complete"
    page = tmp_path / "report.html"
    assert not page.exists() or page.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert wait_until_gone(running.pid) == []


def test_a_process_that_is_left_would_be_seen() -> None:
    sleeping = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(1000)"], start_new_session=True
    )
    try:
        assert [process.pid for process in children_of(sleeping.pid)] == [sleeping.pid]
    finally:
        sleeping.kill()
        sleeping.wait()
    assert children_of(sleeping.pid) == []


@pytest.mark.parametrize(("number", "raised"), [(CTRL_C, KeyboardInterrupt), (TERM, Terminated)])
def test_a_signal_while_workers_are_stopped_is_held_back_and_not_lost(number: int, raised: type) -> None:
    reached = []
    with terminable(), pytest.raises(raised):  # noqa: PT012  (where it is raised is what is tested)
        with undisturbed():
            signal.raise_signal(number)
            signal.raise_signal(number)
            reached.append("the end")
        reached.append("beyond")
    assert reached == ["the end"]


@pytest.mark.parametrize(("around", "code"), [("loading", -CTRL_C), ("terminable", 0)])
def test_a_module_that_swallows_a_ctrl_c_while_it_loads_does_not_lose_it(around: str, code: int) -> None:
    swallows = "try: signal.raise_signal(signal.SIGINT)\n    except BaseException: pass"
    program = f"import signal\nfrom bench.machine.signals import {around}\nwith {around}():\n    {swallows}"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == code


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (CTRL_C, TERM, HANG_UP)]
    with loading(), terminable(), undisturbed():
        assert [signal.getsignal(number) for number in (CTRL_C, TERM, HANG_UP)] != before
    assert [signal.getsignal(number) for number in (CTRL_C, TERM, HANG_UP)] == before


def test_a_run_under_nohup_does_not_hear_the_terminal_hang_up() -> None:
    before = signal.signal(HANG_UP, signal.SIG_IGN)
    try:
        with terminable():
            signal.raise_signal(HANG_UP)
        with undisturbed():
            signal.raise_signal(HANG_UP)
    finally:
        signal.signal(HANG_UP, before)


def test_an_end_is_written_wherever_the_run_was(tmp_path: Path) -> None:
    """A journal that stops in the middle of a block has the worker's records and the end, and no more."""
    running = start(tmp_path, *ENDLESS)
    wait_for_lines(running, tmp_path, 9)
    os.kill(running.pid, TERM)
    assert finish(running)[0] == 143
    kinds = [one["kind"] for one in records(tmp_path)]
    assert (kinds[0], kinds[-1], kinds.count("end")) == ("plan", "end", 1)
    assert (tmp_path / FILE_NAME).read_bytes().endswith(b"\n")
