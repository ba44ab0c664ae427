"""F1, F2: whenever Ctrl-C, TERM or a hang-up comes, the workers are gone and the journal can be read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine.signals import Terminated, loading, signals_held_back, terminable
from bench.records.journal import FILE_NAME
from faults.hits import (
    CTRL_C,
    ENDLESS,
    HANG_UP,
    TELLING,
    TERM,
    Hit,
    check_hit,
    check_hit_while_drawing,
    check_second_ctrl_c,
)
from faults.runs import PROJECT, children_of, finish, records, start, start_program, wait_for_lines


@pytest.mark.parametrize("hit", TELLING)
def test_a_signal_at_any_moment_ends_run_and_workers_and_keeps_the_journal(tmp_path: Path, hit: Hit) -> None:
    check_hit(tmp_path, hit)


def test_a_second_ctrl_c_ends_it_too(tmp_path: Path) -> None:
    check_second_ctrl_c(tmp_path, 11, 0.02)


def test_a_signal_while_the_report_is_drawn_harms_nothing_that_was_measured(tmp_path: Path) -> None:
    check_hit_while_drawing(tmp_path, CTRL_C, 0.05)


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
        with signals_held_back():
            signal.raise_signal(number)
            signal.raise_signal(number)
            reached.append("the end")
        reached.append("beyond")
    assert reached == ["the end"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_library_that_swallows_a_signal_while_it_loads_does_not_lose_it(tmp_path: Path, name: str) -> None:
    """A compiled module that is interrupted while it loads tells of an ImportError instead."""
    swallows = f"try: signal.raise_signal(signal.{name})\nexcept BaseException: raise ImportError"
    (tmp_path / "matplotlib.py").write_text(f"import signal\n{swallows}")
    paths = os.pathsep.join([str(tmp_path), str(PROJECT)])
    reporting = start_program("report", str(tmp_path), report=True, PYTHONPATH=paths)
    code, errors = finish(reporting)
    assert code == 128 + signal.Signals[name]
    assert errors == f"rnnbench: {'interrupted' if name == 'SIGINT' else 'ended by a signal'}\n"


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (CTRL_C, TERM, HANG_UP)]
    with loading(), terminable(), signals_held_back():
        assert [signal.getsignal(number) for number in (CTRL_C, TERM, HANG_UP)] != before
    assert [signal.getsignal(number) for number in (CTRL_C, TERM, HANG_UP)] == before


def test_a_run_under_nohup_does_not_hear_the_terminal_hang_up() -> None:
    before = signal.signal(HANG_UP, signal.SIG_IGN)
    try:
        with terminable():
            signal.raise_signal(HANG_UP)
        with signals_held_back():
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
