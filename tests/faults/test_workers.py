"""F10 to F13: a worker hangs, dies, or says what no worker says; each has its status and reason."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench.machine import child as child_module
from bench.machine.child import Child, ChildError
from bench.measure.messages import Ready, Refused, Value
from faults.runs import PATIENCE_S, children_of, wait_until_gone

READY = '{"type": "Ready", "facts": {}, "ready_ns": 1, "compile_ns": 0}'
VALUE = (
    '{"type": "Value", "n_calls": 1, "elapsed_ns": 17, "residual_ns": 0, "cpu_ns": 7, "preempted": 0, '
    '"rewarm_ns": []}'
)
SCRIPT = f"""
import ctypes, os, signal, sys, time
READY, VALUE = {READY!r}, {VALUE!r}
def say(text):
    os.write(1, text if isinstance(text, bytes) else text.encode())
"""
Start = Callable[..., Child]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a worker that is a script of a few lines; all are stopped at the end."""
    monkeypatch.setattr(child_module, "GRACE_S", 0.2)
    monkeypatch.setattr(child_module, "LOOK_S", 0.05)
    started: list[Child] = []

    def start(script: str, deadline_s: float = PATIENCE_S) -> Child:
        monkeypatch.setattr(child_module, "LAUNCHER", (sys.executable, "-I", "-S", "-c", SCRIPT + script))
        started.append(Child("module", [], dict(os.environ), deadline_s=deadline_s))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()
        assert wait_until_gone(worker.pid, os.getpgid) == []


@contextmanager
def fails(status: str, reason: str) -> Iterator[None]:
    """A reply is awaited that does not come."""
    with pytest.raises(ChildError) as error:
        yield
    assert (error.value.status, str(error.value)[: len(reason)]) == (status, reason)


def ask(worker: Child) -> Any:
    return worker.ask({}, Value | Refused)


def test_a_worker_that_keeps_to_the_protocol_is_understood(start: Start) -> None:
    worker = start("say(READY + '\\n'); sys.stdin.readline(); say(VALUE + '\\n'); sys.stdin.readline()")
    assert isinstance(worker.receive(Ready), Ready)
    assert ask(worker).elapsed_ns == 17


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("say('hello\\n')", "protocol: it sent what is no reply: JSON is malformed"),
        ("say(b'\\xff\\xfe\\n')", "protocol: it sent what is no reply"),
        ("say('\\n')", "protocol: it sent what is no reply"),
        ('say(\'{"type": "Rumour"}\\n\')', "protocol: it sent what is no reply: Invalid value 'Rumour'"),
        ("say(VALUE.replace('17', 'NaN') + '\\n')", "protocol: it sent what is no reply"),
        ("say(VALUE.replace('17', 'null') + '\\n')", "protocol: it sent what is no reply"),
        ("say('[' * 200_000 + '\\n')", "protocol: it sent what is no reply"),
        ("say(READY.replace('{}', '{\"a\":' * 200_000) + '\\n')", "protocol: it sent what is no reply"),
        ("say(READY + '\\n' + READY + '\\n')", "protocol: it sent more than one reply"),
        ("say(READY[:20])", "protocol: it ended with exit code 0, after 20 bytes of its reply"),
        ("say(READY[:20]); os.abort()", "killed by SIGABRT, after 20 bytes of its reply"),
        ("while True: say(b'0' * 65536)", "protocol: it sent a reply of more than 4 MiB"),
        ("os.close(1); time.sleep(1000)", "protocol: it closed its pipe and went on"),
        ("os._exit(0)", "ended with exit code 0 before its reply"),
        ("os._exit(3)", "ended with exit code 3 before its reply"),
        ("os.abort()", "killed by SIGABRT"),
        ("ctypes.string_at(0)", "killed by SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 3)", "killed by signal 37"),
    ],
)
def test_what_no_worker_says_is_a_crash_with_its_reason(start: Start, script: str, said: str) -> None:
    worker = start(script)
    with fails("crashed", said):
        worker.receive(Ready)


MEMORY = "killed by SIGKILL, as a system does that runs out of memory"


@pytest.mark.parametrize(
    "script", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(137)", "say(READY[:9]); os.kill(0, 9)"]
)
def test_killed_by_someone_else_means_that_memory_ran_out(start: Start, script: str) -> None:
    worker = start(script)
    with fails("oom", MEMORY):
        worker.receive(Ready)


def test_killed_by_us_does_not(start: Start) -> None:
    worker = start("signal.signal(signal.SIGTERM, signal.SIG_IGN); say(READY + '\\n'); time.sleep(1000)")
    worker.receive(Ready)
    worker.terminate()
    os.killpg(worker.pid, signal.SIGKILL)
    with fails("crashed", ""):
        worker.receive(Ready)


def test_a_death_between_two_jobs_is_found_at_the_next(start: Start) -> None:
    worker = start("say(READY + '\\n'); os.kill(os.getpid(), signal.SIGSTOP)")
    worker.receive(Ready)
    os.kill(worker.pid, signal.SIGKILL)
    with fails("oom", MEMORY):
        ask(worker)


def test_a_reply_that_nobody_asked_for_is_not_taken_for_the_next_one(start: Start) -> None:
    """Nor is being ready an answer to a job."""
    worker = start(
        "signal.signal(signal.SIGUSR1, lambda *_: say(VALUE + '\\n')); say(READY + '\\n'); "
        "sys.stdin.readline(); say(VALUE + '\\n'); time.sleep(1000)"
    )
    worker.receive(Ready)
    os.kill(worker.pid, signal.SIGUSR1)
    assert child_module._readable([worker], PATIENCE_S)
    with fails("crashed", "protocol: it sent a reply that nobody asked for"):
        ask(worker)
    worker = start("say(READY + '\\n'); sys.stdin.readline(); say(READY + '\\n'); time.sleep(1000)")
    worker.receive(Ready)
    with fails("crashed", "protocol: it sent what is no reply: Invalid value 'Ready'"):
        ask(worker)


@pytest.mark.parametrize(
    "script",
    [
        "time.sleep(1000)",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "while True: time.sleep(0.005); say('x')",
        "while True: time.sleep(0.005); print('still busy', file=sys.stderr, flush=True)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1000)",
    ],
)
def test_the_deadline_holds_whatever_it_prints_or_ignores(start: Start, script: str) -> None:
    worker = start(script, 0.1)
    with fails("timeout", "no reply within 0.1 s"):
        worker.receive(Ready)
    worker.stop()
    assert wait_until_gone(worker.pid, os.getpgid) == []


def test_of_several_those_are_heard_that_speak_have_ended_or_are_late(start: Start) -> None:
    silent = start("time.sleep(1000)")
    for script, deadline_s in (
        ("say(READY + '\\n'); time.sleep(1000)", PATIENCE_S),
        ("os.fork() or time.sleep(1000); os._exit(0)", PATIENCE_S),  # whose child keeps the pipe open
        ("time.sleep(1000)", 0.1),
    ):
        heard = start(script, deadline_s)
        assert child_module.wait_for_any([silent, heard]) == [heard]


@pytest.mark.parametrize("own_group", [False, True])
def test_a_grandchild_that_keeps_the_pipe_open_does_not_hide_that_the_worker_died(
    start: Start, own_group: bool
) -> None:
    worker = start(
        f"child = os.fork()\n"
        f"if child == 0:\n"
        f"    if {own_group}: os.setsid()\n"
        f"    signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        f"    print(os.getpid(), file=sys.stderr, flush=True); time.sleep(1000)\n"
        f"time.sleep(0.1); os._exit(5)\n"
    )
    with fails("crashed", "ended with exit code 5 before its reply"):
        worker.receive(Ready)
    deadline = time.monotonic() + PATIENCE_S
    while not worker.last_words() and time.monotonic() < deadline:
        time.sleep(0.01)
    grandchild = int(worker.last_words())
    assert psutil.pid_exists(grandchild)
    assert own_group or [left.pid for left in children_of(worker.pid, os.getpgid)] == [grandchild]
    worker.stop()
    if own_group:  # it left the group on purpose: ours to end, and the run is not held up
        os.kill(grandchild, signal.SIGKILL)
    assert wait_until_gone(worker.pid, os.getpgid) == []


def test_several_stubborn_workers_take_one_period_of_grace_together(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); say(READY + '\\n'); time.sleep(1000)"
    workers = [start(stubborn) for _ in range(3)]
    for worker in workers:
        worker.receive(Ready)
    now = time.monotonic()
    monkeypatch.setattr(child_module, "time", SimpleNamespace(monotonic=lambda: now))
    for worker in workers:
        worker.terminate()
    now += child_module.GRACE_S
    waited = []
    wait = subprocess.Popen.wait

    def watched(self: Any, timeout: float | None = None) -> int:
        waited.append(timeout)
        return wait(self, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", watched)
    for worker in workers:
        worker.stop()
    assert waited == [0.0, child_module.KILLED_S] * 3
    assert not any(worker.alive for worker in workers)


def test_a_worker_that_ctrl_c_found_half_started_is_not_left_behind(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = []
    popen = subprocess.Popen

    def interrupted(*args: Any, **options: Any) -> Any:
        made = popen(*args, **options)
        pids.append(made.pid)
        signal.raise_signal(signal.SIGINT)
        return made

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start("time.sleep(1000)")
    assert len(pids) == 1
    assert wait_until_gone(pids[0], os.getpgid) == []


def test_a_ctrl_c_before_the_worker_is_started_is_raised_as_it_is(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment in which signals are about to be held back."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(child_module, "signals_held_back", interrupted)
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    before = psutil.Process().num_fds()
    with pytest.raises(KeyboardInterrupt):
        start("time.sleep(1000)")
    assert psutil.Process().num_fds() == before


def test_a_ctrl_c_before_anybody_holds_the_worker_leaves_none_behind(start: Start) -> None:
    before = start("time.sleep(1000)")
    pids = []

    def interrupted() -> Child:
        pids.append(start("time.sleep(1000)").pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), child_module.ending_children():
        interrupted()
    assert wait_until_gone(pids[0], os.getpgid) == []
    assert before.alive


def test_what_a_worker_said_last_is_kept_and_no_more(start: Start) -> None:
    worker = start("sys.stderr.write('x' * 10_000_000 + 'the end'); sys.stderr.flush(); os._exit(3)")
    with pytest.raises(ChildError):
        worker.receive(Ready)
    worker.stop()
    assert len(worker.last_words()) == child_module.TAIL_BYTES
    assert worker.last_words().endswith("the end")
