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
    return SimpleNamespace(name="numpy-" + where, library="numpy", bind=bind, tasks=["forward"])


bind, tuple_, call, helper, project, reset, result, list_, lists, nothing, old, right = map(
    make,
    "bind tuple call helper project reset result list lists nothing old right".split(),
)
"""


def line_of(text: str, source: str = MINE) -> int:
    return next(n for n, line in enumerate(source.splitlines(), start=1) if text in line)


IN_RESULT = f"(mine.py, line {line_of('def result')}, in result)"
SAID = {
    "bind": f"AttributeError: 'dict' object has no attribute 'append' "
    f"(mine.py, line {line_of('append')}, in bind)",
    "call": f"ZeroDivisionError: division by zero (mine.py, line {line_of('1 / 0')}, in call)",
    "helper": "ZeroDivisionError: division by zero (helper.py, line 2, in divide)",
    "project": f"KeyError: 'none of these' (mine.py, line {line_of('none of these')}, in call)",
    "reset": f"ValueError: two lines (mine.py, line {line_of('raise')}, in reset)",
    "result": f"AssertionError (mine.py, line {line_of('assert')}, in result)",
    "tuple": f"AttributeError: 'str' object has no attribute 'T' (mine.py, line {line_of('U.T')}, in bind)",
    "list": f"TypeError: result returned list, not a dict of arrays {IN_RESULT}",
    "lists": f"TypeError: result returned y_hat as list, not a NumPy array {IN_RESULT}",
    "nothing": f"TypeError: bind returned NoneType, not a Bound: it has no function call, reset, result "
    f"(mine.py, line {line_of('def bind(')}, in bind)",
    "old": f"TypeError: cannot call bind_of_old: missing a required argument: 'device' "
    f"(mine.py, line {line_of('def bind_of_old')}, in bind_of_old)",
}


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


def test_verify_names_the_line_of_a_crash_and_calls_it_one(mine, capsys):
    specs = [f"mine:{name}" for name in (*SAID, "right")]
    specs = [re.sub("list$|tuple$", r"\g<0>_", spec) for spec in specs]
    command = ["verify", "--device", "cpu", *(f"--variant={spec}" for spec in specs)]

    assert main(command) == 1
    printed = capsys.readouterr().out
    for name, said in SAID.items():
        line = next(line for line in printed.splitlines() if line.startswith(f"numpy-{name} on cpu"))
        assert line.endswith(f": {said}"), line
    assert f"CRASHED: {', '.join(f'numpy-{name}' for name in SAID)}, as told above." in printed
    assert "WRONG" not in printed
    rows = [line.split() for line in printed.splitlines() if line.strip().startswith("numpy-")]
    crashed = [row for row in rows if row[-1] == "CRASHED"]
    assert crashed
    assert all(row[-2] in ("tanh", "sigmoid") for row in crashed)  # no tolerance where nothing was compared
    agreed = [row[-2] for row in rows if row[-1] == "agrees"]
    assert set(agreed) == {"3e-6", "1e-14"}  # of forward alone: it has no gradient


def test_run_names_the_line_of_a_crash_on_the_terminal_and_on_the_page(mine, capsys):
    small = ["--quick", "--blocks=1", "--device=cpu", "--task=forward", "--batch=4", "--hidden=4"]
    assert main(["run", *small, "--variant=mine:call", "--variant=mine:right", "--out=here"]) == 3

    said = f"numpy-call CRASHED: {SAID['call']}."
    printed = capsys.readouterr().out
    assert said in printed
    assert "A quick run, 1 block: times" in printed
    assert "1 block was measured" in printed
    assert SAID["call"] in (mine / "here" / "report.md").read_text()
    lines = (mine / "here" / "journal.jsonl").read_text().splitlines()
    records = [json.loads(line)["record"] for line in lines]
    assert {one["reason"] for one in records if one["kind"] == "failure"} == {SAID["call"]}


def test_train_names_the_line_of_a_crash(mine, capsys):
    (mine / "mine.py").write_text(MINE.replace('["forward"]', '["forward", "train_step"]'))
    assert main(["train", "--epochs=2", "--variant=mine:call", "--out=here"]) == 3
    assert SAID["call"] in capsys.readouterr().out


def test_a_module_that_cannot_be_imported_names_its_line(mine, capsys):
    (mine / "broken.py").write_text("x = 1\nimport no_such_module\n")
    sys.modules.pop("broken", None)
    assert main(["variants", "--variant", "broken:it"]) == 2
    assert "No module named 'no_such_module' (broken.py, line 2, in <module>)" in capsys.readouterr().err


def test_a_module_of_a_package_is_named_with_its_folder(mine, capsys):
    package = mine / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "fast.py").write_text("from types import SimpleNamespace\n\nfast = SimpleNamespace()\n1 / 0\n")
    assert main(["variants", "--variant", "own_package.fast:fast"]) == 2
    assert "(own_package/fast.py, line 4, in <module>)" in capsys.readouterr().err


LEAVES = """
from types import SimpleNamespace

from impl_numpy.contract import Bound, batched


class Mute(Exception):
    def __str__(self):
        raise SystemExit(0)


def leaving(name, error, *, binds=False):
    def bind(*arguments, **options):
        if binds:
            raise error
        bound = batched(*arguments, **options)

        def call():
            raise error

        return Bound(call, bound.reset, bound.result)

    return SimpleNamespace(name=name, library="numpy", bind=bind)


exits = leaving("exits", SystemExit(0), binds=True)
interrupts = leaving("interrupts", KeyboardInterrupt())
closes = leaving("closes", GeneratorExit())
mute = leaving("mute", Mute())
half = leaving("half", ValueError("a file named \\udcff"))
"""
LEFT = {
    "exits": f"SystemExit: 0 (leaves.py, line {line_of('raise error', LEAVES)}, in bind)",
    "interrupts": "KeyboardInterrupt (leaves.py, line 19, in call)",
    "closes": "GeneratorExit (leaves.py, line 19, in call)",
    "mute": "Mute (leaves.py, line 19, in call)",
    "half": r"ValueError: a file named \udcff (leaves.py, line 19, in call)",
}


@pytest.fixture
def leaves(tmp_path, monkeypatch):
    """Specs of variants that leave the process, or raise what cannot be printed."""
    (tmp_path / "leaves.py").write_text(LEAVES)
    monkeypatch.chdir(tmp_path)
    return [f"--variant=leaves:{name}" for name in LEFT]


def test_a_variant_that_leaves_its_process_is_named_with_its_line_by_verify(leaves, capsys):
    assert main(["verify", "--device=cpu", *leaves]) == 1
    printed = capsys.readouterr().out
    for name, said in LEFT.items():
        line = next(line for line in printed.splitlines() if line.startswith(f"{name} on cpu"))
        assert line.endswith(f": {said}"), line


def test_a_variant_that_leaves_its_process_is_named_with_its_line_by_run_and_train(leaves, capsys):
    small = ["--quick", "--blocks=1", "--device=cpu", "--task=forward", "--batch=4", "--hidden=4"]
    assert main(["run", *small, *leaves, "--out=here"]) == 3
    printed = capsys.readouterr().out
    assert [f"{name} CRASHED: {said}." in printed for name, said in LEFT.items()] == [True] * len(LEFT)

    assert main(["train", "--epochs=2", "--hidden=4", "--batch=8", *leaves, "--out=trained"]) == 3
    printed = capsys.readouterr().out
    assert [said in printed for said in LEFT.values()] == [True] * len(LEFT)


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("json:fast", "Python has another module of that name: rename json.py"),
        ("./json.py:fast", "give the name of the module, json, and run from its folder"),
    ],
)
def test_a_name_that_is_not_the_users_file_is_told_with_what_to_do(tmp_path, monkeypatch, capsys, spec, hint):
    (tmp_path / "json.py").write_text("fast = 1\n")
    monkeypatch.chdir(tmp_path)
    assert main(["variants", "--variant", spec]) == 2
    assert capsys.readouterr().err.rstrip().endswith(f"; {hint}")


def test_what_a_module_starts_when_it_is_imported_is_ended(tmp_path, monkeypatch, capsys):
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
        "from mine import right\n"
        "if sys.argv[-1][0] == '{': raise SystemExit('not here')\n"  # only a worker is told so much
    )
    small = ["--quick", "--blocks=1", "--device=cpu", "--task=forward", "--batch=4", "--hidden=4"]
    assert main(["run", *small, "--variant=twice:right", "--out=here"]) == 3
    assert "its module asks to exit (SystemExit: not here)" in capsys.readouterr().out
