"""What an author of a variant meets: where the code fell over, and what it did that no ``Bound`` does."""

import json
import re
import sys

import psutil
import pytest

from bench.cli.main import main

MINE = """
from types import SimpleNamespace

from helper import divide
from impl_numpy import rnn
from impl_numpy.contract import Bound


class Mute(Exception):
    def __str__(self):
        raise SystemExit(0)


ERRORS = {
    "exits": SystemExit(0),
    "interrupts": KeyboardInterrupt(),
    "closes": GeneratorExit(),
    "mute": Mute(),
    "half": ValueError("a file named \\udcff"),
}


def make(where):
    def bind(task, params, x, y, *, activation, delta, lr):
        last = {}
        if where == "bind":
            params.append(1)
        if where == "tuple":
            U, W, V = params
            x @ U.T

        def call():
            if where == "call":
                1 / 0
            if where == "helper":
                divide(1, 0)
            if where == "project":
                rnn.predict(params, x, activation="none of these")
            if where in ERRORS:
                raise ERRORS[where]
            last["y_hat"] = rnn.predict(params, x, activation=activation)

        def reset():
            if where == "reset":
                raise ValueError("two\\nlines")

        def result():
            assert where != "result"
            return {"list": [1], "lists": {"y_hat": [1]}}.get(where, last)

        return None if where == "nothing" else Bound(call, reset, result)

    def bind_of_old(task, params, x, y, *, activation, delta, lr, device):
        raise AssertionError

    if where == "old":
        bind = bind_of_old
    return SimpleNamespace(name="numpy-" + where, library="numpy", bind=bind, tasks=TASKS)


TASKS = ["forward"]
NAMES = "bind tuple call helper project reset result list lists nothing old right".split()
globals().update({f"v_{name}": make(name) for name in (*NAMES, *ERRORS)})
"""


def at(text: str, function: str) -> str:
    """Where a text stands, as a message names it."""
    number = next(n for n, line in enumerate(MINE.splitlines(), start=1) if text in line)
    return f"(mine.py, line {number}, in {function})"


IN_RESULT, RAISED = at("def result", "result"), at("raise ERRORS", "call")
LEFT = {
    "exits": f"SystemExit: 0 {RAISED}",
    "interrupts": f"KeyboardInterrupt {RAISED}",
    "closes": f"GeneratorExit {RAISED}",
    "mute": f"Mute {RAISED}",
    "half": rf"ValueError: a file named \udcff {RAISED}",
}
SAID = {
    "bind": f"AttributeError: 'dict' object has no attribute 'append' {at('append', 'bind')}",
    "call": f"ZeroDivisionError: division by zero {at('1 / 0', 'call')}",
    "helper": "ZeroDivisionError: division by zero (helper.py, line 2, in divide)",
    "project": f"KeyError: 'none of these' {at('none of these', 'call')}",
    "reset": f"ValueError: two lines {at('two', 'reset')}",
    "result": f"AssertionError {at('assert', 'result')}",
    "tuple": f"AttributeError: 'str' object has no attribute 'T' {at('U.T', 'bind')}",
    "list": f"TypeError: result returned list, not a dict of arrays {IN_RESULT}",
    "lists": f"TypeError: result returned y_hat as list, not a NumPy array {IN_RESULT}",
    "nothing": "TypeError: bind returned NoneType, not a Bound: it has no function call, reset, result "
    + at("def bind(", "bind"),
    "old": "TypeError: cannot call bind_of_old: missing a required argument: 'device' "
    + at("def bind_of_old", "bind_of_old"),
    **LEFT,
}
SMALL = ["--quick", "--blocks=1", "--device=cpu", "--task=forward", "--batch=4", "--hidden=4", "--out=here"]


def specs(names):
    return [f"--variant=mine:v_{name}" for name in names]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of somebody's variants, where they stand; forgotten afterwards."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "helper.py").write_text("def divide(a, b):\n    return a / b\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in ("mine", "helper"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("few_cases")
def test_verify_names_the_line_of_a_crash_or_of_who_leaves_and_calls_it_one(mine, capsys):
    assert main(["verify", "--device", "cpu", *specs([*SAID, "right"])]) == 1
    printed = capsys.readouterr().out
    for name, told in SAID.items():
        line = next(line for line in printed.splitlines() if line.startswith(f"numpy-{name} on cpu"))
        assert line.endswith(f": {told}"), line
    assert f"CRASHED: {', '.join(f'numpy-{name}' for name in SAID)}, as told above." in printed
    assert "WRONG" not in printed
    rows = [line.split() for line in printed.splitlines() if line.strip().startswith("numpy-")]
    # no error where nothing was compared
    assert all(row[1:] == ["rnn", "CRASHED"] for row in rows if row[-1] == "CRASHED")
    assert [len(row) for row in rows if row[-1] == "agrees"] == [5]  # errors of forward alone: no gradient
    assert ["allowed", "1e-5", "2e-14"] in map(str.split, printed.splitlines())


def test_run_names_the_line_on_the_terminal_in_the_journal_and_on_the_page(mine, capsys):
    told = {"call": SAID["call"], **LEFT}
    del told["closes"]  # more than five are counted, not named
    assert main(["run", *SMALL, *specs([*told, "right"])]) == 3
    printed = capsys.readouterr().out
    assert f"numpy-call CRASHED: {SAID['call']}." in printed
    assert "A quick run, 1 block: times" in printed
    assert "1 block was measured" in printed
    assert SAID["call"] in (mine / "here" / "report.md").read_text()
    lines = (mine / "here" / "journal.jsonl").read_text().splitlines()
    records = [json.loads(line)["record"] for line in lines]
    assert {record["reason"] for record in records if record["kind"] == "failure"} == {*told.values()}


def test_train_names_the_line(mine, capsys):
    (mine / "mine.py").write_text(MINE.replace('["forward"]', '["forward", "train_step"]'))
    small = ["--epochs=2", "--hidden=4", "--batch=8", "--out=here"]
    assert main(["train", *small, *specs(["call", *LEFT])]) == 3
    printed = capsys.readouterr().out
    assert [told in printed for told in (SAID["call"], *LEFT.values())] == [True] * 6


@pytest.mark.parametrize(
    ("file", "text", "spec", "told"),
    [
        ("broken.py", "x = 1\nimport no_such_module\n", "broken:it",
         "No module named 'no_such_module' (broken.py, line 2, in <module>)"),
        ("own_package/fast.py", "fast = 1\n1 / 0\n", "own_package.fast:fast",
         "(own_package/fast.py, line 2, in <module>)"),
        ("json.py", "fast = 1\n", "json:fast",
         "; Python has another module of that name: rename json.py"),
        ("json.py", "fast = 1\n", "./json.py:fast",
         "; give the name of the module, json, and run from its folder"),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_imported_is_told_with_its_line_or_what_to_do(
    mine, capsys, file, text, spec, told
):
    (mine / "own_package").mkdir()
    (mine / "own_package" / "__init__.py").touch()
    (mine / file).write_text(text)
    assert main(["variants", "--variant", spec]) == 2
    assert told in re.sub("\n$", "", capsys.readouterr().err)


def test_what_a_module_starts_when_it_is_imported_is_ended(tmp_path, monkeypatch):
    (tmp_path / "starts.py").write_text(
        "import subprocess\n"
        "started = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(started.pid))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["variants", "--variant", "starts:nothing"]) == 2
    try:
        started = psutil.Process(int((tmp_path / "pid").read_text()))
    except psutil.NoSuchProcess:
        return
    assert psutil.wait_procs([started], timeout=30)[1] == []


def test_a_module_that_leaves_a_worker_alone_is_told_by_run(mine, capsys):
    (mine / "twice.py").write_text(
        "import sys\n"
        "from mine import v_right\n"
        "if sys.argv[-1][0] == '{': raise SystemExit('not here')\n"  # only a worker is told so much
    )
    assert main(["run", *SMALL, "--variant=twice:v_right"]) == 3
    assert "its module asks to exit (SystemExit: not here)" in capsys.readouterr().out
