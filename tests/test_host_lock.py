"""One process at a time measures on a host: the others wait, say for whom, and go on, or are refused."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from faults.runs import PATIENCE_S, PROJECT, finish, records, start
from test_rnnbench_pytest import running

import bench
from bench.api.advise import Timer, advise
from bench.api.options import AdviseOptions
from bench.cli.main import main
from bench.machine import busy, files, host_lock
from bench.machine.errors import HostInUse

COMMAND = ["rnnbench", "run", "--quick"]
VERBS = [
    ["run", "--quick", "--device", "cpu", "--variant", "numpy-inplace"],
    ["advise", "--device", "cpu", "--budget", "1000m"],
    ["train", "--epochs", "1"],
    ["stream", "--quick"],
]
# it holds the lock, with a child that inherits all that can be inherited, until somebody ends it
HOLDER = f"""
import subprocess, sys
from bench.machine.host_lock import host_lock
with host_lock({COMMAND}):
    child = subprocess.Popen([sys.executable, "-c", "input()"], close_fds=False)
    print(child.pid, flush=True)
    child.wait()
"""
HERE = rf"process {os.getpid()} of \S+ \(since \d\d:\d\d\)"


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock of a host of its own."""
    path = tmp_path / "lock"
    monkeypatch.setenv(host_lock.VARIABLE, str(path))
    monkeypatch.setattr(host_lock, "POLL_S", 0.0)
    return path


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock; its child lives on until the end of the test."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=-1, stdout=-1, text=True, cwd=PROJECT
    ) as process:
        yield process
        process.kill()


def read(lock: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(lock.read_text())
    return told


def is_free() -> bool:
    try:
        with host_lock.host_lock(COMMAND, no_wait=True):
            return True
    except HostInUse:
        return False


def later(seen: list[bool | None], monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Let each look at the lock find the next of these; ``act`` gets the file before."""

    def look(descriptor: int) -> bool | None:
        act(descriptor)
        return seen.pop(0)

    monkeypatch.setattr(host_lock, "try_lock", look)


# two processes


def test_a_run_waits_and_goes_on_when_the_owner_is_killed_though_its_child_lives(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.stdout is not None
    child = psutil.Process(int(holder.stdout.readline()))
    out = tmp_path / "out"
    waiting = start(out)
    assert waiting.stderr is not None
    line = waiting.stderr.readline()
    assert re.fullmatch(
        rf"rnnbench: waits for process {holder.pid} of \S+ \(since \d\d:\d\d\); --no-wait refuses\n", line
    )
    assert len(line) <= 80
    assert not out.exists()
    holder.kill()
    code, errors = finish(waiting)
    assert code == 0, errors
    assert records(out)[-1]["status"] == "complete"
    assert child.is_running()


def test_a_pytest_with_fresh_processes_waits_too(tmp_path: Path) -> None:
    test = "def test_it(paired_benchmark):\n    paired_benchmark(int, int)\n"
    with host_lock.host_lock(COMMAND):
        session = running(tmp_path, "--paired-blocks=6", "--paired-max-time=0.001", test_it=test)
        guard = threading.Timer(PATIENCE_S, session.kill)
        guard.start()
        assert session.stdout is not None
        line = next((line for line in session.stdout if "waits for" in line), "none")
        guard.cancel()
        assert re.search(rf"rnnbench: waits for {HERE}\n", line)
    assert "process 1 had not ended when time was up" in session.communicate()[0]


# the verbs


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_with_no_wait_a_verb_is_refused_in_one_line(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with host_lock.host_lock(COMMAND):
        assert main([*verb, "--no-wait", "--out", str(out)]) == 75
    said = capsys.readouterr().err
    assert re.fullmatch(
        rf"rnnbench: {HERE} measures on this host; without --no-wait this one waits for it\n", said
    )
    assert not out.exists()
    assert is_free()


@pytest.mark.parametrize("option", ["--resume", "--refine"])
def test_what_goes_on_with_a_run_takes_the_lock_too(option: str, tmp_path: Path) -> None:
    with host_lock.host_lock(COMMAND):
        assert main(["run", option, str(tmp_path), "--no-wait"]) == 75
    assert main(["run", option, str(tmp_path), "--no-wait"]) == 2  # there is no run


def test_from_python_the_refusal_speaks_of_the_keyword() -> None:
    with host_lock.host_lock(COMMAND):
        for verb in (bench.run, bench.advise, bench.train):
            with pytest.raises(bench.UserError, match="measures on this host; without no_wait= this one"):
                verb(no_wait=True)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_signal_ends_the_waiting(
    verb: list[str], sent: signal.Signals, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_lock, "POLL_S", 3600.0)
    out = tmp_path / "out"
    looked: list[bool | None] = [False]
    alarm = signal.signal(signal.SIGALRM, lambda number, frame: signal.raise_signal(sent))
    try:
        later(looked, monkeypatch, lambda descriptor: signal.setitimer(signal.ITIMER_REAL, 0.01))
        assert main([*verb, "--out", str(out)]) == code
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
    assert looked == []
    assert not out.exists()


def test_what_needs_no_look_at_the_machine_is_refused_before_the_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "journal.jsonl").touch()
    with host_lock.host_lock(COMMAND):
        assert main(["run", "--out", str(tmp_path), "--no-wait"]) == 2
        assert "already holds a run" in capsys.readouterr().err
        with (tmp_path / "journal.jsonl").open() as journal:
            assert files.try_lock(journal.fileno())
            assert main(["run", "--resume", str(tmp_path), "--no-wait"]) == 2
        assert "is being written by another run" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_other_programs_are_looked_for_while_the_lock_is_held(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(sample_s: float) -> None:
        seen.append(is_free())
        raise KeyboardInterrupt

    monkeypatch.setattr(busy, "look", look)
    assert main([*verb, "--wait-quiet", "5min", "--out", str(tmp_path / "out")]) == 130
    assert seen == [False]
    assert is_free()


def test_an_advice_waits_without_loss_of_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    timer = Timer(30.0, clock=lambda: now)

    def wait(descriptor: int) -> None:
        nonlocal now
        now += 7200.0

    def declare(args: AdviseOptions, timer: Timer) -> None:
        raise KeyboardInterrupt(timer.left_s)

    monkeypatch.setattr(host_lock.time, "monotonic", lambda: now)
    monkeypatch.setattr("bench.api.advise.declare", declare)
    later([False, True], monkeypatch, wait)
    with pytest.raises(KeyboardInterrupt) as left:
        advise(AdviseOptions(), timer, say=lambda text: None)
    assert left.value.args == (29.0,)


# what the file says


def test_the_file_says_who_measures_as_long_as_it_lasts(lock: Path) -> None:
    umask = os.umask(0o077)
    try:
        with host_lock.host_lock([*COMMAND, "x" * 9999]) as waited_s:
            told = read(lock)
            assert told["pid"] == os.getpid()
            assert told["user"] == psutil.Process().username()
            assert told["command"].startswith("rnnbench run --quick xxx")
            assert lock.stat().st_size < host_lock.MAX_BYTES
            assert 0 <= waited_s < 10
    finally:
        os.umask(umask)
    assert lock.read_bytes() == b""
    assert lock.stat().st_mode & 0o777 == 0o666  # for other users, whatever the umask


LONG_AGO = "2001-02-03T04:05:06Z"
EVER = "9999-01-01T00:00:00Z"
TEXT = '{"pid":%s,"user":"ann","since":"%s","command":"x"}'


@pytest.mark.parametrize(
    "stale",
    [
        TEXT % (os.getpid(), LONG_AGO),  # the number of a process that has ended is given anew
        TEXT % (2**22 + 1, EVER),  # more than a system gives
        TEXT % (-1, EVER),
        TEXT % (2**80, EVER),
        TEXT % (os.getpid(), "yesterday"),
        '{"pid":1',
        "[" * 4000,
        '{"x":' + "[" * 4000,
        TEXT % (os.getpid(), "9999-12-31T23:59:59-12:00"),
        "\x00" * 99,
        "",
    ],
    ids=range(11),  # the texts hold this process's number: each process of pytest-xdist has its own
)
def test_what_a_dead_owner_left_is_not_believed(lock: Path, stale: str) -> None:
    lock.write_text(stale)
    with lock.open() as file:
        assert files.try_lock(file.fileno())
        with pytest.raises(HostInUse, match=r"^another process measures on this host"):
            host_lock.host_lock(COMMAND, no_wait=True).__enter__()
    with host_lock.host_lock(COMMAND, no_wait=True):  # the lock decides, not the text
        assert read(lock)["pid"] == os.getpid()


def test_each_owner_is_told_once_and_on_one_line(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = iter(["ann", "ann", "bob\x1b[31m\nrnnbench: done" + "x" * 2000, ""])

    def change(descriptor: int) -> None:
        owner = {"pid": os.getpid(), "user": next(users), "since": EVER, "command": "x"}
        lock.write_text(json.dumps(owner))

    later([False, False, False, True], monkeypatch, change)
    said: list[str] = []
    with host_lock.host_lock(COMMAND, no_wait=None, say=said.append):
        pass
    assert said[0] == f"waits for process {os.getpid()} of ann (since 9999-01-01 00:00)"
    assert said[1].startswith(rf"waits for process {os.getpid()} of bob\x1b[31m rnnb")
    assert len(said) == 2
    assert len(said[1]) < 120


# where nothing can be locked


def make_link(path: Path) -> None:
    path.symlink_to("target")
    path.with_name("target").write_text("precious")


def make_second_name(path: Path) -> None:
    path.with_name("target").write_text("precious")
    path.hardlink_to(path.with_name("target"))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_link, "Too many levels of symbolic links"),
        (make_second_name, "it has another name"),
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "it is no regular file"),
        (lambda path: path.parent.chmod(0o500) or path.parent.rename(f"{path.parent}-away"), "No such file"),
    ],
)
def test_where_nothing_can_be_locked_that_is_said_once(
    make: Callable[[Path], object], why: str, lock: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make(lock)
    for said in range(2):
        with host_lock.host_lock(COMMAND, no_wait=True) as waited_s:
            assert waited_s < 10
        line = capfd.readouterr().err
        assert line.startswith(f"rnnbench: cannot lock {lock} ({why}")
        assert line.endswith("RNNBENCH_LOCK names another file\n")
        assert line.count("\n") == 1, said
    if (target := lock.with_name("target")).exists():
        assert target.read_text() == "precious"


def test_a_file_system_without_locks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    later([None], monkeypatch, lambda descriptor: None)
    said: list[str] = []
    with host_lock.host_lock(COMMAND, say=said.append):
        assert re.fullmatch(r"cannot lock .* \(its file system has no locks\), so others may .*", said[0])
    assert len(said) == 1


def test_a_file_that_only_another_user_may_write_is_locked_all_the_same(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_writing(path: Path, flags: int) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", str(path))
        return files.open_regular(path, flags)

    lock.touch()
    monkeypatch.setattr(host_lock, "open_regular", refuse_writing)
    with host_lock.host_lock(COMMAND, say=pytest.fail):
        assert not is_free()
    assert lock.read_bytes() == b""


def test_tests_have_a_lock_of_their_own(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    path = Path(os.environ[host_lock.VARIABLE])
    assert path != Path(host_lock.DEFAULT_PATH)
    assert path.parent.is_dir()
