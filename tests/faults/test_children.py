"""Children of every verb: they end with their parent, are bounded, and change nothing that goes unseen."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import psutil
import pytest

from bench.api import train
from bench.cli.main import main
from bench.machine import child, files, gates
from bench.proof import cases, verify
from bench.training import load_result
from bench.training import train as training
from faults.runs import PATIENCE_S, TESTS, finish, records, start_program, wait_until_gone

SMALL = ("--quick", "--batch", "4", "--hidden", "4", "--layout", "positional", "--task", "forward")
VERBS = {
    "run": (*SMALL, "--out", "out"),
    "verify": ("--device", "cpu"),
    "train": ("--epochs", "5", "--out", "out"),
    "stream": ("--hidden", "4", "--out", "out"),
}


PATHS = os.pathsep.join([str(TESTS.parent), str(TESTS)])
NO_LOCKS = Mock(side_effect=OSError("no locks here"))


def at_work(verb: str, folder: Path, variant: str = "busy") -> subprocess.Popen[str]:
    """Start a verb with a variant that computes for ever, and wait until it does."""
    (folder / "temporary").mkdir()
    running = start_program(
        *(verb, *VERBS[verb], "--variant", f"faults.variants:{variant}"),
        PYTHONPATH=PATHS,
        TMPDIR=str(folder / "temporary"),
        cwd=str(folder),
    )
    ends = time.monotonic() + PATIENCE_S
    while not list((folder / "temporary").glob("busy-*")):
        assert running.poll() is None, finish(running)
        assert time.monotonic() < ends
        time.sleep(0.02)
    return running


def in_here(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a verb on our own variants here; return its exit code."""
    monkeypatch.syspath_prepend(TESTS)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    return main(list(arguments))


@pytest.mark.parametrize(
    ("verb", "number", "code"),
    [
        *(
            (verb, number, code)
            for verb in VERBS
            for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, 137))
        ),
        ("run", signal.SIGHUP, 143),  # every verb takes it as SIGTERM
    ],
)
def test_a_verb_that_is_ended_leaves_no_process_and_no_folder(tmp_path, verb, number, code, monkeypatch):
    running = at_work(verb, tmp_path)
    os.kill(running.pid, number)
    assert finish(running)[0] == code
    assert wait_until_gone(running.pid) == []
    temporary = tmp_path / "temporary"
    if number == signal.SIGKILL:  # nobody could remove it: the next run does
        assert len(list(temporary.glob("rnnbench-*"))) == 1
        monkeypatch.setattr("tempfile.tempdir", str(temporary))
        with files.scratch_folder("test"):
            assert len(list(temporary.glob("rnnbench-*"))) == 1  # its own
    assert list(temporary.glob("rnnbench-*")) == []


@pytest.mark.parametrize(
    ("verb", "variant"), [("run", "deserting"), ("run", "with_children"), ("train", "orphaning")]
)
def test_a_variant_that_leaves_its_group_or_starts_others_is_ended_with_them(tmp_path, verb, variant):
    if variant == "orphaning" and sys.platform != "linux":
        pytest.skip("only Linux tells whose a process was")
    running = at_work(verb, tmp_path, variant)
    family = psutil.Process(running.pid).children(recursive=True)
    if variant == "orphaning":  # has left a process to itself
        family.append(psutil.Process(int((tmp_path / "temporary" / "orphan").read_text())))
    os.kill(running.pid, signal.SIGTERM)
    assert finish(running)[0] == 143
    assert psutil.wait_procs(family, timeout=PATIENCE_S)[1] == []


def test_a_training_leaves_no_folder_of_torch_in_the_place_for_temporary_files(tmp_path):
    (tmp_path / "temporary").mkdir()
    running = start_program(
        *("train", "--variant", "torch-layer", "--epochs", "2", "--out", str(tmp_path / "out")),
        TMPDIR=str(tmp_path / "temporary"),
    )
    assert finish(running)[0] == 0
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("by_kernel", [True, False])
def test_a_child_dies_with_its_parent_by_the_kernel_or_by_a_pipe(by_kernel):
    """A parent that is killed outright, with a child that sleeps for ever."""
    launch = "from bench.machine import lifeline; lifeline.main()"
    if not by_kernel:
        launch = launch.replace("; ", "; lifeline.die_with_parent = lambda: False; ", 1)
    parent = (
        f"import os, sys, time; from bench.machine import child; "
        f"child.LAUNCHER = (sys.executable, '-P', '-c', {launch!r}); "
        f"sleep = 'import time; time.sleep(1000)'; "
        f"sleeper = child.Child('timeit', ['-n', '1', '-r', '1', sleep], os.environ); "
        f"print(sleeper.pid, flush=True); time.sleep(1000)"
    )
    command = [sys.executable, "-c", parent]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TESTS.parent)
    assert running.stdout is not None
    sleeper = psutil.Process(int(running.stdout.readline()))
    assert sleeper.is_running()
    running.kill()
    running.communicate()
    assert psutil.wait_procs([sleeper], timeout=PATIENCE_S)[1] == []


def test_a_folder_in_use_is_not_removed_and_nothing_is_where_nothing_can_be_locked(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with files.scratch_folder("one") as one, files.scratch_folder("two"):
        assert one.is_dir()
    (tmp_path / "rnnbench-left").mkdir()
    (tmp_path / "rnnbench-left" / files.OWNER).touch()
    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", NO_LOCKS)
        with files.scratch_folder("three") as three:
            assert three.is_dir()
        assert [path.name for path in tmp_path.iterdir()] == ["rnnbench-left"]
    with files.scratch_folder("four"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_killed_while_it_removes_its_folder_leaves_what_a_later_run_knows(tmp_path):
    killed_there = (
        "import os, signal; from bench.machine.files import scratch_folder; remove = os.unlink\n"
        "def unlink(name, **folder):\n"
        "    remove(name, **folder)\n"
        "    if os.path.basename(name) == 'owner': os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.unlink = unlink\n"
        "with scratch_folder('test') as folder: (folder / 'left').touch()"
    )
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", killed_there], cwd=TESTS.parent, env=environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_without_pausing_death_signal_pressure_counters_and_locks_a_run_is_complete(tmp_path, monkeypatch):
    """As on macOS, in a container that hides much of /proc, and on a network file system."""
    lacking = "from bench.machine import lifeline; lifeline.die_with_parent = lambda: False; lifeline.main()"
    monkeypatch.setattr(child, "LAUNCHER", (sys.executable, "-P", "-c", lacking))
    monkeypatch.setattr(gates, "read", partial(gates.read, Path("/nowhere")))
    monkeypatch.delattr(signal, "SIGSTOP")
    monkeypatch.delattr(signal, "SIGCONT")
    monkeypatch.setattr("fcntl.flock", NO_LOCKS)
    monkeypatch.setattr("bench.api.run.write_report", lambda paths, out: SimpleNamespace(disagrees=False))
    monkeypatch.setattr("bench.api.run.show_report", lambda report, **options: None)
    out = tmp_path / "out"
    asked = ["run", *SMALL, "--device", "cpu", "--blocks", "1", "--variant", "numpy-inplace"]
    assert main([*asked, "--out", str(out)]) == 0
    bursts = [record for record in records(out) if record["kind"] == "burst"]
    assert records(out)[-1]["status"] == "complete"
    assert bursts
    assert all("waiting" not in burst["gates"] for burst in bursts)


def test_a_training_that_hangs_ends_at_its_deadline(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(training, "FIRST_DEADLINE_S", 0.5)
    monkeypatch.setattr(train, "draw", lambda folder: None)
    out = tmp_path / "out"
    verb = ("train", "--epochs", "5", "--out", str(out), "--variant", "faults.variants:busy")
    assert in_here(*verb, monkeypatch=monkeypatch) == 3
    (stop,) = load_result(out).stops
    assert (stop.status, stop.reason.partition(" within")[0]) == ("crashed", "no reply")


def test_what_a_child_prints_takes_little_room(monkeypatch):
    monkeypatch.setattr(child, "MAX_PRINTED_BYTES", 1 << 20)
    code = (
        "import os, sys\nfor n in range(20):\n"
        "    sys.stderr.write('x' * (1 << 20) + 'the end' * (n == 19)); sys.stderr.flush()\n"
        "    os.write(1, b'{}\\n'); sys.stdin.readline()\n"
        "sys.stderr.write('RuntimeError: x'); sys.stderr.flush(); os.write(1, b'{}\\n'); sys.stdin.readline()"
    )
    monkeypatch.setattr(child, "LAUNCHER", (sys.executable, "-c", code))
    with child.Child("module", [], os.environ) as talking:
        talking.receive(dict)
        for _ in range(20):
            talking.ask("go on", dict)
        assert os.fstat(talking._printed.fileno()).st_blocks * 512 <= 4 << 20
    assert talking.last_words().endswith("xthe endRuntimeError: x")
    assert "\0" not in talking.last_words()  # nor a hole where old output was


# a variant that changes its process, or computes with another library


PRIORITY = os.getpriority(os.PRIO_PROCESS, 0)
CHANGED = {
    "threads": "changed its process: threads was 1, is 2",
    "no-gc": "changed its process: garbage collection was True, is False",
    "nice": f"changed its process: priority was {PRIORITY}, is 17",
    "traced": "changed its process: tracing was False, is True",
    "flushing": "changed its process: flushes subnormals was False, is True",
    "disguised": "is a PyTorch variant, but PyTorch has 0% of its call: something else computes",
}


def test_what_a_variant_changes_in_its_process_is_seen_and_invalid_where_it_bears_on_time(tmp_path):
    """What ``erring`` does to NumPy's errors bears on no time."""
    names = [f"--variant=faults.variants:{name.replace('-', '_')}" for name in (*CHANGED, "erring")]
    running = start_program("run", *SMALL, "--blocks", "1", "--out", str(tmp_path), *names, PYTHONPATH=PATHS)
    code, errors = finish(running)
    reasons = {
        record["entry"].partition(" | ")[2].partition("@")[0]: record["reason"]
        for record in records(tmp_path)
        if record["kind"] == "failure" and record["status"] == "invalid"
    }
    assert code == 3, errors
    assert reasons == {name: f"{name} {reason}" for name, reason in CHANGED.items()}


def test_verify_finds_what_errs_or_computes_with_another_library(capsys, monkeypatch):
    """What a variant does to NumPy fails no other, neither before it nor after it."""
    longest = [case for case in cases.agreement_cases() if case.shape.T == cases.LONG]  # numbers get tiny
    monkeypatch.setattr(verify, "agreement_cases", lambda *asked: longest)
    monkeypatch.setattr(verify, "reference_cases", lambda cell: [])  # test_gradients has them
    mine = [f"faults.variants:{name}" for name in ("erring_hard", "disguised")]
    named = [f"--variant={spec}" for spec in ("numpy-batched", *mine, "numpy-inplace")]
    code = in_here("verify", "--json", "--device", "cpu", "--cell=rnn", *named, monkeypatch=monkeypatch)
    rows = json.loads(capsys.readouterr().out)
    wrong = {row["variant"] for row in rows if row["status"] not in ("ok", "missing")}
    assert (code, wrong) == (1, {"erring-hard", "disguised"})
    statuses = {row["status"] for row in rows if row["variant"] == "disguised"}
    assert statuses <= {"invalid", "missing"}


def test_a_training_says_of_which_library_it_is(tmp_path, capsys, monkeypatch):
    names = [f"--variant=faults.variants:{name}" for name in ("disguised", "converted")]
    assert in_here("train", "--epochs", "2", *names, "--out", str(tmp_path), monkeypatch=monkeypatch) == 3
    printed = capsys.readouterr().out
    assert "disguised is a PyTorch variant, but PyTorch has 0% of its call: something else comp" in printed
    assert "converted is a NumPy variant, but imported torch" in printed
