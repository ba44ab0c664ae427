"""What must never count as success: a plug-in that leaves, a reader that goes, a comparison of nothing.

And what a bad day does to the command line: one line and an exit code, never a traceback.
"""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from journals import example_records
from reports import write_run

from bench.cli.main import main

SMALL = ["run", "--quick", "--blocks", "1", "--device", "cpu", "--batch", "4", "--hidden", "4"]
SMALL += ["--variant", "numpy-inplace", "--out", "mine"]
ODD = """
import types

class Raises:
    name, library, bind = "own", "numpy", print
    @property
    def summary(self):
        raise SystemExit(0)

def variant(**changed):
    return types.SimpleNamespace(**{"name": "own", "library": "numpy", "bind": print} | changed)

raises = Raises()
class Property:
    library, bind = "numpy", print
    name = property(lambda self: "own")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line on standard error."""
    (line,) = capsys.readouterr().err.splitlines()
    assert isinstance(line, str)
    return line


# plug-ins


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(0)", "its module asks to exit (SystemExit: 0)"),
        ("import os; os._exit(0)", "importing it failed: ended with exit code 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "importing it failed: killed by SIGKILL"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class Odd(BaseException): pass\nraise Odd('two\\nlines')", "Odd: two lines"),
        ("def f(", "SyntaxError"),
        ("def f(): f()\nf()", "RecursionError"),
        (
            "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
            "Odd (leaves.py, line 3, in <module>)",
        ),
    ],
)
def test_a_module_that_leaves_when_it_is_imported_is_bad_input(
    here: Path, capsys: pytest.CaptureFixture[str], code: str, said: str
) -> None:
    Path("leaves.py").write_text(code)
    for verb in ("variants", "train"):
        assert main([verb, "--variant", "leaves:variant"]) == 2
        assert said in one_line(capsys)


def test_a_module_that_prints_and_starts_threads_and_processes_is_described(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("busy.py").write_text(
        "import subprocess, sys, threading, types\n"
        "print('{}')\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "variant = types.SimpleNamespace(name='own-busy', library='numpy', bind=print)\n"
    )
    assert main(["variants", "--variant", "busy:variant"]) == 0
    assert "own-busy" in capsys.readouterr().out
    assert "busy" not in sys.modules


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("variant(name=5)", "name must be text, not int"),
        ("variant(name='a\\nb\\x1b[31m')", "visible characters, no slash, not 'a\\nb\\x1b[31m'"),
        ("variant(name='')", "visible characters"),
        ("variant(name='x' * 999)", "visible characters"),
        (
            "variant(library=__import__('numpy').ones(3))",
            "library must be 'numpy', 'torch' or module:object, not array",
        ),
        ("variant(bind=None)", "bind must be a function, not NoneType"),
        ("variant(summary=None)", "summary must be text, not NoneType"),
        ("variant(tasks=5)", "tasks must be a list of names, not int"),
        ("variant(tasks=('nope',))", "tasks must be of train_step, gradient, forward, stream, not 'nope'"),
        ("variant(tasks=())", "tasks must be of train_step"),
        ("variant(devices='gpu')", "devices must be of cpu, cuda, mps, xpu, not 'gpu'"),
        ("raises", "SystemExit"),
        ("Property", "name must be text, not property"),
        ("types", "is no variant: it lacks name, library, bind"),
    ],
)
def test_a_variant_with_odd_attributes_is_bad_input(
    here: Path, capsys: pytest.CaptureFixture[str], made: str, said: str
) -> None:
    Path("odd.py").write_text(f"{ODD}\nodd = {made}\n")
    assert main(["variants", "--variant", "odd:odd"]) == 2
    assert said in one_line(capsys)


def test_a_variant_that_leaves_while_it_trains_has_not_trained(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("leaves.py").write_text(
        "import sys, types\n"
        "def bind(*args, **options): sys.exit(0)\n"
        "variant = types.SimpleNamespace(name='own', library='numpy', bind=bind)\n"
    )
    assert main(["train", "--variant", "leaves:variant", "--epochs", "3", "--out", "mine"]) == 3
    assert "SystemExit: 0 (leaves.py, line 2, in bind)" in capsys.readouterr().out


@pytest.mark.usefixtures("few_cases", "unrendered")
def test_a_variant_that_was_asked_for_and_has_no_part_is_a_missing_answer(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--variant", "torch-layer", "--activation", "sigmoid"]) == 3
    assert "asked for and not measured: torch-layer" in capsys.readouterr().err
    assert "torch-layer does not support activation sigmoid" in Path("mine/report.md").read_text()
    Path("own.py").write_text(
        "import types\nown = types.SimpleNamespace(name='own', library='numpy', bind=print, devices='cuda')\n"
    )
    assert main(["verify", "--device", "cpu", "--variant", "own:own"]) == 3
    assert "own does not support device cpu" in capsys.readouterr().out


# readers


def command(
    *arguments: str, cwd: Path, shell: str = '"$@"', stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run rnnbench by a line of the shell, ``"$@"`` with redirections."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "bench", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@pytest.mark.parametrize(
    ("shell", "code", "error"),
    [
        ('"$@" >&-', 141, f"rnnbench: cannot write standard output: {os.strerror(errno.EBADF)}\n"),
        ('"$@" >&- 2>&- <&-', 141, ""),
        ('"$@" 2>&- >out', 0, ""),
        pytest.param(
            '"$@" >/dev/full',
            141,
            f"rnnbench: cannot write standard output: {os.strerror(errno.ENOSPC)}\n",
            marks=needs_full,
        ),
        pytest.param('"$@" 2>/dev/full >out', 0, "", marks=needs_full),
    ],
)
@pytest.mark.parametrize("words", [["variants"], ["--help"]], ids=" ".join)
def test_output_that_nobody_gets_is_no_success(
    tmp_path: Path, words: list[str], shell: str, code: int, error: str
) -> None:
    ended = command(*words, shell=shell, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (code, error)


def test_a_reader_that_has_gone_is_no_success(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = command("variants", cwd=tmp_path, stdout=writer)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")  # as of any program before a `head`


def test_a_training_that_loses_its_reader_is_interrupted_and_keeps_what_it_has(tmp_path: Path) -> None:
    ended = command(
        *("train", "--variant", "numpy-inplace", "--epochs", "20", "--every", "1", "--out", "mine"),
        shell='"$@" >&-',
        cwd=tmp_path,
    )
    assert ended.returncode == 141, ended.stderr
    kept = training_records(tmp_path / "mine")
    assert [record["kind"] for record in kept] == ["header", "start", "point", "stop"]
    assert kept[-1]["status"] == "interrupted"


def training_records(folder: Path) -> list[dict[str, Any]]:
    """What stands in a training's sealed lines."""
    return [json.loads(line)["record"] for line in (folder / "training.jsonl").read_text().splitlines()]


# comparisons


def test_a_comparison_of_nothing_passes_no_gate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(("quick", "later")):
        write_run(here / name, example_records(seed=seed, quick=True))
    for name, benchmark in (("one", "sort"), ("other", "hash")):
        row = {"name": benchmark, "fullname": benchmark, "group": None, "params": None, "options": {}}
        row["stats"] = {"min": 1.0, "max": 1.0, "mean": 1.0, "median": 1.0, "stddev": 0.0, "rounds": 5}
        row["stats"] |= {"iterations": 1, "iqr": 0.0, "q1": 1.0, "q3": 1.0}
        file = {"machine_info": {}, "commit_info": {}, "benchmarks": [row], "version": "5.1.0"}
        Path(f"{name}.json").write_text(json.dumps(file | {"datetime": "2026-11-26T00:00:00+00:00"}))

    assert main(["compare", "quick", "later"]) == 0
    assert main(["compare", "quick", "later", "--fail-slower", "5%"]) == 3
    printed = capsys.readouterr()
    assert "Nothing was judged" in printed.out
    assert "nothing was judged, so --fail-slower neither passes nor fails" in printed.err
    assert main(["compare", "one.json", "other.json"]) == 3
    assert "nothing was compared: the two have nothing in common" in one_line(capsys)


# bad days


def test_a_report_that_fails_leaves_the_measurement_and_says_how_to_draw_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine/report.html").mkdir(parents=True)  # where the page should go
    assert main(SMALL) == 3
    said = capsys.readouterr().err.splitlines()[-1]
    assert "what was measured is safe in mine" in said
    assert said.endswith("rnnbench report mine draws it")

    Path("mine/report.html").rmdir()
    assert main(["report", "mine"]) == 0


def test_a_folder_that_is_gone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (SMALL, ["train"], ["variants"], ["devices"], ["report", "x"], ["verify"], ["advise"]):
        assert main(words) == 2
        assert "the folder you stand in cannot be used" in one_line(capsys)


def test_a_machine_that_tells_nothing_is_described_all_the_same(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(*args: object, **options: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "/proc/meminfo")

    for name in ("virtual_memory", "cpu_count", "getloadavg", "Process"):
        monkeypatch.setattr(f"psutil.{name}", silent)
    assert main(["train", "--variant", "numpy-inplace", "--epochs", "2", "--out", "mine"]) == 0
    assert "memory_bytes" not in training_records(Path("mine"))[0]["machine"]


def test_a_fault_of_our_own_is_neither_success_nor_a_wrong_result(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for fault in (KeyError("x"), SystemExit(0)):
        monkeypatch.setattr("bench.api.listing.variants_main", lambda args, fault=fault: _raise(fault))
        assert main(["variants"]) == 70
        assert "a fault of its own" in one_line(capsys)


def _raise(fault: BaseException) -> None:
    raise fault


def test_a_folder_whose_name_is_no_text_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = os.fsdecode(b"r\xff")
    assert main(["train", "--variant", "numpy-inplace", "--epochs", "2", "--out", folder]) == 2
    assert "is not UTF-8" in one_line(capsys)


def test_a_table_is_never_narrowed_down_to_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    assert main(["variants"]) == 0
    assert "torch" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--seed", "-1"],
        ["train", "--seed", "9" * 30],
        ["train", "--epochs=--"],
        ["train", "--lr", "nan"],
        ["train", "--delta", "0"],
        ["train", "--target", "nan"],
        ["train", "--hidden", "1" + "0" * 9],
        ["train", "--epochs", "1" + "0" * 12],
        ["run", "--seed", "9" * 30],
        ["run", "--budget", "1e99"],
        ["run", "--budget", "-1s"],
        ["advise", "--budget", "1e99"],
        ["advise", "--budget", "nan"],
        ["run", "--out", "file"],
        ["report", ""],
        ["compare", "", ""],
    ],
    ids=" ".join,
)
def test_numbers_and_names_that_make_no_sense_are_bad_input(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    Path("file").write_text("")
    try:
        code: object = main(words)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("rnnbench")
