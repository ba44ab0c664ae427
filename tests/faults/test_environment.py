"""F15, F17, F19, F32 to F34: what is missing is said; surroundings change nothing and are left unchanged."""

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl
from journals import example_records
from reports import write_run

from bench.cli.main import main
from bench.machine.devices import Absent, Devices
from faults.runs import PATIENCE_S, PROJECT, SMALL, TESTS, finish, records, start
from faults.small_run import CPU, CPU_ONLY
from faults.snapshot import state

NO_TORCH = Devices(
    (CPU,), (Absent("cuda", "PyTorch is not installed"),), missing={"torch": "PyTorch is not installed"}
)
TINY = ["--quick", "--batch", "4", "--hidden", "4", "--blocks", "1"]
SMALLEST = ["run", *SMALL, "--blocks", "1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and a machine whose devices need no child process to find."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.api.run.find_devices", lambda: CPU_ONLY)
    return tmp_path


# --- F15, F17, F32: something is missing


@pytest.mark.usefixtures("unrendered")
def test_without_torch_numpy_is_measured_and_the_reason_is_said(here, monkeypatch, capsys):
    monkeypatch.setattr("bench.api.run.find_devices", lambda: NO_TORCH)
    code = main([*SMALLEST, "--variant", "torch-layer", "--out", "mine"])
    assert code in (0, 3), capsys.readouterr().err  # what was asked for is missing, the rest is complete
    measured = {one["entry"].partition(" | ")[2] for one in records(here / "mine") if one["kind"] == "burst"}
    assert "numpy-inplace@cpu x1" in measured
    assert not any("torch" in arm for arm in measured)
    assert "PyTorch is not installed" in Path("mine/report.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--variant", "torch-layer", "--variant", "torch-cell"], "PyTorch is not installed"),
        (["--variant", "torch-layer", "--device", "cuda"], "no device 'cuda' here: PyTorch is not installed"),
        (["--variant", "numpy-inplace", "--seq-len", "2000"], "no proof for T = 2000"),
    ],
)
def test_where_nothing_can_be_measured_there_is_a_sentence_and_no_success(
    here, monkeypatch, capsys, arguments, said
):
    monkeypatch.setattr("bench.api.run.find_devices", lambda: NO_TORCH)
    code = main(["run", *TINY, "--out", "mine", *arguments])
    printed = "".join(capsys.readouterr())
    report = Path("mine/report.md")
    assert code in (2, 3), printed
    assert said in printed + (report.read_text() if report.exists() else "")
    assert "Traceback" not in printed
    if report.exists():
        assert "burst" not in {record["kind"] for record in records(here / "mine")}
        assert records(here / "mine")[-1]["status"] == "partial"


@pytest.mark.usefixtures("unrendered")
def test_a_wrong_answer_has_neither_time_nor_ratio_anywhere(here, monkeypatch, capsys):
    monkeypatch.chdir(TESTS)
    folder = here / "mine"
    assert main(["run", *TINY, "--variant", "faults.variants:wrong", "--out", str(folder)]) == 1
    assert not [one for one in records(folder) if one["kind"] == "burst" and "wrong" in one["entry"]]
    assert "wrong@" not in (folder / "values.csv").read_text()
    rows = [line for line in (folder / "report.md").read_text().splitlines() if line.startswith("| wrong |")]
    assert rows
    assert not any(unit in row for row in rows for unit in (" ns", " µs", " ms"))


# --- F33: languages, paths, closed pipes


def program(command: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own, which finds the project."""
    environ = os.environ | {"PYTHONPATH": str(PROJECT)} | more.pop("environ", {})
    return subprocess.run(command, env=environ, stderr=subprocess.PIPE, timeout=PATIENCE_S, **more)


def small_run(*arguments: str) -> list[str]:
    return [sys.executable, str(TESTS / "faults" / "small_run.py"), *arguments]


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
GERMAN = {"LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "3"}


def test_a_report_is_the_same_bytes_in_any_language_time_zone_and_folder(tmp_path):
    folder = write_run(tmp_path / os.fsdecode(b"r\xe9sultat \xf0"), example_records(quick=True, broken=True))
    outs = {}
    for name, environ in (("ascii", ASCII), ("german", GERMAN)):
        command = [sys.executable, "-m", "bench", "report", str(folder), "--out", str(tmp_path / name)]
        child = program(command, environ=environ, stdout=subprocess.DEVNULL)
        assert child.returncode == 1, child.stderr.decode(errors="replace")  # the run has a wrong answer
        assert b"Traceback" not in child.stderr
        outs[name] = {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")}
    assert outs["ascii"] == outs["german"]
    assert {"report.html", "report.md", "values.csv"} < {path.name for path in outs["ascii"]}


@pytest.mark.usefixtures("unrendered")
def test_a_run_into_a_folder_whose_name_is_no_text_works(here, capsys):
    name = os.fsdecode(b"r\xe9sultat")
    code = main([*SMALLEST, "--out", name])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "Report: " in printed.out
    assert Path(name, "report.html").exists()


@pytest.mark.parametrize("arguments", [["variants"], SMALLEST], ids=["variants", "run"])
def test_a_reader_that_has_gone_is_told_by_the_code_alone(tmp_path, arguments):
    """As in ``rnnbench variants | head -1``."""
    reading, writing = os.pipe()
    os.close(reading)
    out = ["--out", str(tmp_path / "mine")] if arguments[0] == "run" else []
    with os.fdopen(writing, "wb") as pipe:
        child = program(small_run(*arguments, *out), stdout=pipe)
    assert b"Traceback" not in child.stderr
    assert b"BrokenPipe" not in child.stderr
    assert child.returncode == 141
    assert not out or (tmp_path / "mine" / "report.html").exists()


def test_without_standard_streams_a_run_works_too(tmp_path):
    """No terminal, nothing to print to: what was to be shown could not be, but all is there."""
    closed = f"exec {' '.join(small_run(*SMALLEST, '--out', str(tmp_path)))} <&- >&- 2>&-"
    assert program(["sh", "-c", closed]).returncode == 141
    assert (tmp_path / "report.html").exists()
    assert records(tmp_path)[-1]["status"] == "complete"


def test_without_a_terminal_no_control_sequence_is_printed(tmp_path):
    code, errors = finish(start(tmp_path, "--blocks", "1"))
    assert code == 0
    assert "\x1b" not in errors
    assert "\r" not in errors


# --- F34: everything is left as it was found


def surroundings() -> dict[str, Any]:
    """Return the state of this process that a run could change and forget to change back."""
    return state() | {
        "frozen": gc.get_freeze_count(),
        "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0,  # noqa: PTH208
    }


def test_the_command_leaves_the_process_as_it_found_it_and_no_files_beside_its_own(here):
    with threadpoolctl.threadpool_limits(2):
        main([*SMALLEST, "--out", "first"])
        surroundings()  # the first time that torch, if it is loaded, is asked for its threads, it sets them
        before = surroundings()
        assert main([*SMALLEST, "--out", "second"]) == 0
        assert surroundings() == before
    assert {path.name for path in here.iterdir()} == {"first", "second"}
    left = {path.name for path in Path("second").iterdir()}
    assert left == {"journal.jsonl", "report.html", "report.md", "values.csv", "plots"}


def test_what_changes_is_seen(monkeypatch):
    before = surroundings()
    monkeypatch.setenv("RNNBENCH_LEFT", "1")
    with np.errstate(all="ignore"):
        changed = surroundings()
    different = {name for name, value in changed.items() if value != before[name]}
    assert different == {"environment", "floating errors"}
