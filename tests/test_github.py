"""``rnnbench compare --summary github``: what a step of GitHub Actions shows, also of hostile names."""

import dataclasses
import html
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from unittest import mock

import pytest
from markdown_it import MarkdownIt
from reports import USUAL, table_rows, write_run
from test_compare import EARLIER, LATER, on, slowed

from bench.analysis.regression import Change, Changes, compare_runs
from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records.run import make_run
from bench.reporting import github

HOSTILE = "a|b <script>alert(1)</script> `c` @team\n::error::\u202e%0A, **d** [e](f) ![g](h)"
LINES = {
    "slower": f"REGRESSION proved, over 5 % slower: {USUAL}: 1.20 times as long",
    "same": "No regression over 5 % is proved. same against old: of 28 comparisons ",
}


def write_runs(folder: Path) -> Path:
    """Write runs to compare with "old": the same, a slower and a broken one."""
    with mock.patch("os.fsync"):
        write_run(folder / "old", EARLIER)
        write_run(folder / "same", LATER)
        write_run(folder / "slower", slowed(LATER, 1.2, USUAL))
    (folder / "broken").mkdir()
    (folder / "broken" / "journal.jsonl").write_text("{", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_runs(tmp_path_factory.mktemp("saved"))
    with mock.patch("os.fsync"):
        write_run(folder / "elsewhere", on(LATER, processor="Other CPU"))
        write_run(folder / "changed", on(LATER, governor="powersave"))
    return folder


@pytest.fixture
def step(saved, tmp_path, monkeypatch) -> Path:
    """The summary's file of a step that stands where the runs are; an earlier command wrote a line there."""
    monkeypatch.chdir(saved)
    file = tmp_path / "summary"
    file.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    return file


def compare(*names: str) -> int:
    return main(["compare", *names, "--fail-slower", "5%", "--summary", "github"])


@pytest.mark.parametrize(
    ("new", "code", "level"),
    [
        ("same", 0, "notice"),
        ("slower", 1, "error"),
        ("elsewhere", 2, "error"),
        ("broken", 2, "error"),
        ("changed", 3, "error"),  # nothing can be judged
    ],
)
def test_the_summary_and_the_annotations_say_what_the_exit_code_says(step, capsys, new, code, level):
    assert compare("old", new) == code
    printed = capsys.readouterr()
    first, *_ = step.read_text(encoding="utf-8").removeprefix("before\n").splitlines()
    expected = LINES.get(new, "No answer: ")
    assert first.startswith("**")
    assert expected in html.unescape(first).replace("\\", "")
    assert first.count("times as long") == (code == 1)  # what is proved is said once
    assert "\n**What next:** " in step.read_text(encoding="utf-8")
    (annotation,) = re.findall(rf"^::{level} .*", printed.out, re.MULTILINE)
    assert (USUAL if code == 1 else expected.replace("%", "%25")) in annotation
    assert len(printed.err.splitlines()) == (code > 1)


def test_without_a_limit_a_slower_entry_is_a_warning(step, capsys):
    assert main(["compare", "old", "slower", "--summary", "github"]) == 0
    assert re.search(
        rf"^::warning title=rnnbench%3A SLOWER::{re.escape(USUAL)}", capsys.readouterr().out, re.M
    )
    assert step.read_text(encoding="utf-8").count("slower against old: of 28 comparisons 1 slower") == 1


def test_what_matters_stands_before_the_fold_with_both_runs_and_their_machine(step):
    compare("old", "slower")
    shown, _, folded = step.read_text(encoding="utf-8").partition("<details>")
    assert [row[0].strip().replace("\\", "") for row in table_rows(shown)[2:]] == [USUAL]
    assert len(table_rows(folded)) == 2 + 27
    for fact in ("* Old: old", "* New: slower", "Example CPU 9000", "command: rnnbench run", "numpy 2.4.6"):
        assert fact in shown
    assert folded.rstrip().endswith("</details>")
    page = MarkdownIt("commonmark").enable("table").render(shown + "<details>" + folded)
    assert page.count("<table>") == 2


def test_names_of_the_log_give_the_runner_no_command(step, capsys):
    compare("old", "slower")
    start, *_, last = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]
    token = start.removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert last.startswith("::error ")
    printed = capsys.readouterr().out
    compare("old", "same")
    assert f"::{token}::" not in printed + capsys.readouterr().out  # another each time
    with suppress(BrokenPipeError), github.no_commands():
        raise BrokenPipeError
    start, end = capsys.readouterr().out.splitlines()  # or the runner would ignore what comes
    assert end == f"::{start.removeprefix('::stop-commands::')}::"


def hostile(n_rows: int = 1) -> Changes:
    changes = compare_runs(make_run(EARLIER), make_run(slowed(LATER, 1.2, USUAL)), limit=0.05)
    row = next(row for row in changes.rows if row.regressed)
    rows = tuple(dataclasses.replace(row, name=f"{HOSTILE} {n}", reason=HOSTILE) for n in range(n_rows))
    return dataclasses.replace(
        changes, old=HOSTILE, new=HOSTILE, rows=rows, versions=(HOSTILE,), origins=({"host": HOSTILE}, {})
    )


def test_a_hostile_name_ends_no_cell_holds_no_html_and_notifies_nobody():
    lines = list(github.markdown(hostile(), None))
    text = "\n".join(lines)
    assert {len(row) for row in table_rows(text)} == {5}
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    allowed = "p|strong|table|thead|tbody|tr|th|td|ul|li|details|summary|code|br"
    assert re.findall(rf"<(?!/?(?:{allowed})\b)[^>]*>", page) == []
    assert "<code>" not in page
    assert "<strong>d</strong>" not in page
    assert not re.search(r"(?<!\w)@\w", page)
    assert "@\u200bteam" in page
    assert "\u202e" not in page
    assert not any(line.startswith("::") for line in lines)


def test_an_annotation_is_one_command_whatever_its_text_holds():
    assert github.command("error", "a: b, c%\n", "50 %: x, y\r\n::add-mask::z") == (
        "::error title=a%3A b%2C c%25%0A::50 %25: x, y%0D%0A::add-mask::z"
    )
    found = list(github.annotations(hostile(30), None))
    assert [level for level, *_ in found] == ["error"] * github.MAX_ANNOTATIONS
    assert found[-1][2] == "21 more: see the summary of this step"


def test_the_longest_summary_stays_below_the_limits_of_github_and_says_what_is_left_out():
    """A summary has 1 MiB at most. A comment ends at the fold, and has 65536 characters."""
    name = HOSTILE * 4
    rows = tuple(Change(name=f"{name} {n}", verdict="NONE", ratio=1.0, reason=name) for n in range(4000))
    text = "\n".join(github.markdown(Changes("old", "new", "ratio", rows=rows), None))
    assert len(text.encode()) < 2**20
    assert len(table_rows(text)) == 2 + github.MAX_FOLDED
    assert "\n3\N{NARROW NO-BREAK SPACE}600 rows more: see compare --json.\n" in text
    text = "\n".join(github.markdown(hostile(500), None))
    assert len(text.partition(github.FOLD)[0]) < 60000
    assert " rows more" not in "\n".join(github.markdown(hostile(github.MAX_ROWS + github.MAX_FOLDED), None))


def test_a_summary_that_cannot_be_written_never_makes_a_gate_green(step, capsys):
    step.unlink()
    step.mkdir()
    for new, code in (("same", 3), ("slower", 1), ("broken", 2)):
        assert compare("old", new) == code
        printed = capsys.readouterr()
        assert f"::error title=rnnbench::{step}: the summary could not be written" in printed.out
        assert len(printed.err.splitlines()) == (code != 1)


def test_outside_of_a_step_and_with_json_there_is_one_line(saved, monkeypatch, capsys):
    monkeypatch.chdir(saved)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert compare("old", "same") == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "GITHUB_STEP_SUMMARY names no file" in printed.err
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", os.devnull)
    assert main(["compare", "old", "same", "--json", "--summary", "github"]) == 2
    assert "--json and --summary" in capsys.readouterr().err
    assert main(["compare", "old", "same", "--json"]) == 0
    before, _ = json.loads(capsys.readouterr().out)["origins"]
    assert before["processor"] == "Example CPU 9000"


def test_an_error_of_the_system_is_in_the_summary_too(tmp_path):
    error = PermissionError(13, "Permission denied", "journal.jsonl")
    assert github.outcome(None, error) == "No answer: journal.jsonl: Permission denied"
    assert github.outcome(None, UserError("no run")) == "No answer: no run"
