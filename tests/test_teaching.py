"""docs/teaching: starters, answers and pages work together, alone in a folder, and print what is shown.

``python tests/test_teaching.py`` renews the outputs in three_mistakes.md.
"""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import __version__
from bench.cli.main import build_parser, main

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "teaching"
PAGES = sorted(FOLDER.glob("*.md"))
MISTAKES = FOLDER / "three_mistakes.md"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
CELLS = ("rnn", "gru", "lstm")
SHOWN = re.compile(r"```sh\n([^\n]+)\n```\n\n```text\n(.*?)```", re.DOTALL)  # a command, and what it prints
CHANGED = re.compile(r"```diff\n(.*?)```", re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder alone, where a teacher copied it, as the working directory."""
    copy = shutil.copytree(FOLDER, tmp_path / "class", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(copy)
    return copy


def commands(page: Path) -> Iterator[list[str]]:
    """The words after every ``rnnbench`` of a page's blocks and of its running text."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for line in "\n".join(re.sub(r"^   ", "", block) for block in lines).splitlines():
        if found := re.match(r"(?:\S*/)?rnnbench (.*)", line.strip()):
            yield shlex.split(re.sub(r" (>|\|\|) .*", "", found[1]), comments=True)
    yield from (shlex.split(words) for words in re.findall(r"`rnnbench (\w+ [^`]+)`", text))


def script(name: str) -> str:
    """A script that README.md tells to write: the first block after its name."""
    found = re.search(rf"^`{name}` [^\n]*:\n\n```sh\n(.*?)```", README, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def printed(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command of a page prints, run in this process and in the working directory."""
    program, *words = shlex.split(command, comments=True)
    capsys.readouterr()
    if program == "rnnbench":
        main(words)
    else:
        monkeypatch.setattr(sys, "argv", words)
        runpy.run_path(words[0], run_name="__main__")
    return capsys.readouterr().out


def plain(text: str) -> str:
    """An output without empty lines and the space that all lines begin or end with."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return textwrap.dedent("\n".join(lines)) + "\n"


def steady(text: str) -> list[str]:
    """The words of an output, wrapped as it may be, with numbers of the size of rounding errors as 0."""
    return re.sub(r"\b\d(?:\.\d+)?e-1[1-9]\b", "0", text).split()


def mistakes(text: str) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """The page's sections: the cell, the diff, and commands with what they print."""
    found = []
    for section in text.split("\n## ")[1:]:
        change = CHANGED.search(section)
        cell = re.search(r"starter_(\w+)\.py", section)
        assert change
        assert cell
        found.append((cell[1], change[1], SHOWN.findall(section)))
    return found


def make_mistake(folder: Path, cell: str, change: str) -> None:
    """Write the answers with the lines of a diff exchanged, as the file that a student hands in."""
    code = (folder / f"answers_{cell}.py").read_text(encoding="utf-8")
    right, wrong = (
        "".join(line[1:] + "\n" for line in change.splitlines() if line[0] == sign) for sign in "-+"
    )
    assert code.count(right) == 1
    (folder / f"starter_{cell}.py").write_text(code.replace(right, wrong), encoding="utf-8")


@pytest.mark.parametrize("section", [0, 1, 2])
def test_the_three_mistakes_print_what_is_shown(section, folder, capsys, monkeypatch):
    cell, change, shown = mistakes(MISTAKES.read_text(encoding="utf-8"))[section]
    make_mistake(folder, cell, change)
    assert shown
    for command, output in shown:
        renew = "python tests/test_teaching.py renews the page"
        assert steady(output) == steady(printed(command, capsys, monkeypatch)), renew


def test_an_output_that_has_drifted_is_noticed():
    line = "  dU         2e-16   7e-1    1e+00   1e+00   1  "
    assert steady(line) == steady(line.replace("2e-16", "0    "))
    assert steady(line) != steady(line.replace("7e-1 ", "8e-1 "))
    assert steady(line) != steady(line.replace("2e-16", "2e-10"))


@pytest.mark.parametrize("cell", CELLS)
def test_answers_get_all_points_and_starters_none_with_the_place_to_go_on(cell, folder, capsys, monkeypatch):
    assert main(["grade", f"answers_{cell}.py", "--assignment", cell]) == 0
    assert "32 of 32 points." in capsys.readouterr().out
    assert main(["grade", f"starter_{cell}.py", "--assignment", cell]) == 3
    out = capsys.readouterr().out
    assert "TODO 1: compute the steps t = 1 .. T" in out
    assert "0 of 32 points." in out
    with pytest.raises(SystemExit, match=r"fails: NotImplementedError: TODO 1: .* \(starter_"):
        printed(f"python starter_{cell}.py", capsys, monkeypatch)


@pytest.mark.parametrize("cell", CELLS)
def test_the_answers_are_the_starter_with_its_three_places_filled(cell):
    """So that a student who fills them has a file that works, and nothing else differs."""
    starter, answers = (
        (FOLDER / f"{kind}_{cell}.py").read_text(encoding="utf-8") for kind in ("starter", "answers")
    )
    place = r"(?:^ *#[^\n]*\n)?^ +raise NotImplementedError\(\"TODO \d: [^\n]*\n"
    _, starter = starter.split("import sys", 1)
    pieces = re.split(place, starter, flags=re.MULTILINE)
    assert len(pieces) == 4
    pieces[0] = pieces[0].replace(
        "Put into the tuple what you need on the way back. Its last entry must be", ""
    )
    for piece in (piece.strip() for text in pieces for piece in text.split("\n\n")):
        assert piece.partition("Return what each step")[0] in answers


def test_points_grow_from_place_to_place(folder, capsys):
    answers = (folder / "answers_rnn.py").read_text(encoding="utf-8")
    way_back = re.search(r"^    dh = .*?(?=    return loss)", answers, re.MULTILINE | re.DOTALL)
    assert way_back
    points = []
    for code in (answers.replace("    dy_hat =", '    raise NotImplementedError("TODO 2")\n    dy_hat ='),
                 answers.replace(way_back[0], "")):  # fmt: skip
        (folder / "part.py").write_text(code, encoding="utf-8")
        assert main(["grade", "part.py", "--assignment", "rnn", "--json"]) == 1
        points.append(json.loads(capsys.readouterr().out)["points"])
    assert points == [4, 17]
    assert "it is 17 (the loss is given, and dW is 0 at T = 1)" in " ".join(README.split())


def test_every_command_of_the_pages_is_understood_and_links_stay_in_the_folder():
    found = [command for page in PAGES for command in commands(page)]
    assert len(found) >= 8
    for command in found:
        build_parser().parse_args(command)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        titles = {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))
                  for title in re.findall(r"^#+ (.*)", text, re.MULTILINE)}  # fmt: skip
        for target in re.findall(r"\]\(([^)]+)\)", text):
            assert target[1:] in titles if target[0] == "#" else (FOLDER / target).parent == FOLDER
            assert target[0] == "#" or (FOLDER / target).is_file()


def shell(text: str, folder: Path, **variables: str) -> str:
    """Run lines of a page in bash, ``rnnbench`` and ``python`` in the path; return what they print."""
    path = folder / "bin"
    path.mkdir(exist_ok=True)
    for name, words in (("rnnbench", "-m bench"), ("python", "")):
        (path / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n', encoding="utf-8")
        (path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"} | variables
    done = subprocess.run(["bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_of_submissions_is_graded_as_the_page_says(folder):
    (folder / "submissions").mkdir()
    shutil.copy("answers_rnn.py", "submissions/ada.py")
    (folder / "submissions" / "bob.py").write_text("def forward(params x):\n", encoding="utf-8")
    loop = re.search(r"^for file in .*?^done$", README, re.MULTILINE | re.DOTALL)
    assert loop
    lines = shell(loop[0], folder).splitlines()
    assert lines == ["submissions/ada.py: 32 of 32 points.", "submissions/bob.py: 0 of 32 points."]
    assert "SyntaxError" in (folder / "submissions" / "bob.txt").read_text(encoding="utf-8")


def test_the_points_of_one_length_are_counted_as_the_page_says(folder):
    first, second = re.findall(r"^(.*answers_rnn\.json.*)$", README, re.MULTILINE)
    assert shell(f"{first}\n{second}", folder) == "8\n"


def test_gradescope_runs_with_what_its_scripts_install(folder):
    """Nothing else can be imported; this folder stands for the one of Gradescope's machine."""
    installed = re.findall(r"pip install (\w+(?: \w+)*)$", script("setup.sh"), re.MULTILINE)
    assert installed == re.findall(r"^    pip install (\w+(?: \w+)*)$", README, re.MULTILINE)
    assert set(re.findall(r"rnnbench-\S+\.whl", README)) == {f"rnnbench-{__version__}-py3-none-any.whl"}
    (folder / "setup.sh").write_text(script("setup.sh"), encoding="utf-8")
    shell("bash -n setup.sh", folder)  # its syntax; it is not run
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    absent = {re.split(r"\W", name)[0] for name in project["dependencies"]} - set(installed[0].split())
    assert absent > {"torch", "pandas", "matplotlib", "scipy"}
    for name in absent:
        (folder / f"{name}.py").write_text('raise ImportError("not installed")\n', encoding="utf-8")
    for name in ("submission", "results"):
        (folder / name).mkdir()
    run = script("run_autograder").replace("/autograder/venv/bin/", "").replace("/autograder", str(folder))
    assert re.findall(r"^\w+", run, re.MULTILINE) == ["cd", "rnnbench"]  # nothing is installed here
    scores = []
    for handed_in in ("other.py", "starter_rnn.py"):
        shutil.copy("answers_rnn.py", folder / "submission" / handed_in)
        shell(run, folder, PYTHONPATH=str(folder))
        results = json.loads((folder / "results" / "results.json").read_text(encoding="utf-8"))
        scores.append(results["score"])
    assert scores == [0, 32]
    assert [test["max_score"] for test in results["tests"]] == [4] * 8
    out = shell("python answers_rnn.py", folder, PYTHONPATH=str(folder))
    assert "All gradients of loss_and_grads are right" in out


def renew() -> None:
    """Write into three_mistakes.md what its commands print now."""
    text = MISTAKES.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = shutil.copytree(FOLDER, Path(name) / "class")
        for cell, change, _ in mistakes(text):
            make_mistake(folder, cell, change)

        def shown(match: re.Match[str]) -> str:
            out = shell(f"{match[1]} || true", folder)
            return f"```sh\n{match[1]}\n```\n\n```text\n{plain(out)}```"

        MISTAKES.write_text(SHOWN.sub(shown, text), encoding="utf-8")


if __name__ == "__main__":
    renew()
