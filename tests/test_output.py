"""What verbs print: JSON alone where that is asked for; lines and colours of a terminal or a file."""

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from declared import machine
from journals import example_records
from reports import USUAL, write_run
from trainings import write_training

from bench.api import run, train
from bench.api.options import VERBS
from bench.cli.main import main
from bench.machine import terminal
from bench.records.journal import load_run
from bench.reporting import trees
from bench.reporting.build import load_results
from bench.reporting.display import screen
from bench.training.result import load_result

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here is about power cuts."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def printed(capsys: Capture) -> Any:
    """The one JSON document that standard output holds."""
    return json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(text))


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


# JSON


def test_a_report_prints_every_result_with_its_intervals_and_what_it_could_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    write_run(tmp_path / "run", example_records())
    write_training(tmp_path / "train", {"numpy-inplace": (1e-2, 5e-3, 2e-3, 1e-3)})
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "journal.jsonl").write_bytes(b'{"seal":"')
    results = load_results([tmp_path], print)
    capsys.readouterr()
    from bench.reporting.build import Report

    summaries = {path: ("answer",) for path in results.loaded}
    monkeypatch.setattr(
        run, "write_report", lambda *_, **__: Report(tmp_path / "report.html", results, summaries, ["note"])
    )
    assert main(["report", str(tmp_path), "--json"]) == 3
    tree = printed(capsys)
    assert (tree["report"], tree["warnings"]) == (os.path.relpath(tmp_path / "report.html"), ["note"])
    assert "torn/journal.jsonl" in tree["unread"][0]
    measured, trained = tree["results"]
    assert (measured["kind"], measured["status"], measured["answer"]) == ("run", "complete", ["answer"])
    (usual,) = [pair for pair in measured["comparisons"] if pair["entry"] == USUAL]
    assert usual["verdict"] == "SLOWER"
    assert usual["low"] < usual["ratio"] < usual["high"]
    (row,) = [row for row in measured["rows"] if row["entry"] == USUAL]
    assert (row["ratio"], row["low"], row["verdict"]) == (usual["ratio"], usual["low"], "SLOWER")
    assert (trained["kind"], trained["rows"][0]["variant"]) == ("training", "numpy-inplace")


def test_the_page_on_results_shows_json_as_it_is(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    shown = json.loads(page.partition("```json\n")[2].partition("```")[0])
    folder = write_run(tmp_path, example_records())
    tree = trees.result_tree(folder, load_run(folder), ["answer"])
    printed = trees.document(folder / "report.html", [tree])
    assert (shown.keys(), shown["format"]) == (printed.keys(), printed["format"])
    (example,) = shown["results"]
    assert example.keys() == tree.keys()
    assert example["comparisons"][0].keys() == tree["comparisons"][0].keys()
    assert example["rows"][0].keys() < tree["rows"][0].keys()


def test_a_training_prints_its_result_and_moves_all_else_to_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    folder = write_training(tmp_path / "train", {"numpy-inplace": (1e-2, 5e-3, 2e-3, 1e-3)})
    result = load_result(folder)

    def trained(*_: object) -> Any:
        print("epoch 1")
        return result

    monkeypatch.setattr(train, "train", trained)
    assert main(["train", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["format"], document["warnings"], document["unread"]) == (1, [], [])
    (tree,) = document["results"]
    assert (Path(tree["path"]).resolve(), tree["status"], err) == (folder, "complete", "epoch 1\n")
    assert tree["rows"][0]["loss"] == 1e-3
    assert tree["answer"] == result.summary().splitlines()


def test_devices_and_variants_print_what_their_tables_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("bench.api.listing.find_devices", lambda: machine("cuda:0"))
    assert main(["devices", "--json"]) == 0
    assert [device["id"] for device in printed(capsys)["present"]] == ["cpu", "cuda:0"]
    assert main(["variants", "--json"]) == 0
    variants = {variant["name"]: variant for variant in printed(capsys)}
    assert variants["numpy-published"]["known_wrong"]
    assert variants["torch-layer"]["cells"] == ["rnn", "gru", "lstm"]


def test_every_verb_that_answers_has_json() -> None:
    silent = {"export"}  # it writes a file for other programs
    lacking = {name for name, verb in VERBS.items() if "json" not in verb.options.__dataclass_fields__}
    assert lacking == silent


# lines and colours


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "stream", "coloured"),
    [
        ({}, io.StringIO, False),
        ({}, Terminal, True),
        ({"NO_COLOR": "1"}, Terminal, False),
        ({"FORCE_COLOR": "1"}, io.StringIO, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, io.StringIO, False),
    ],
)
def test_colours_are_those_that_the_variables_ask_for(
    colours: pytest.MonkeyPatch, variables: dict[str, str], stream: type[io.StringIO], coloured: bool
) -> None:
    for name, value in variables.items():
        colours.setenv(name, value)
    colours.setattr(sys, "stdout", stream())
    console = terminal.console()
    console.print("[red]word[/]", "module:V:name", "sentence " * 20, soft_wrap=not console.is_terminal)
    text = sys.stdout.getvalue()  # type: ignore[attr-defined]
    assert ("\x1b[31m" in text) == coloured
    assert "module:V:name" in text  # which is no sign
    assert ("\n" in text.rstrip()) == (stream is Terminal)  # a file that is coloured is no terminal


def test_a_terminal_gets_lines_of_its_width_and_a_file_whole_ones(colours: pytest.MonkeyPatch) -> None:
    text = f"first line {'word ' * 40}\n  second/{'path/' * 30}"
    for stream, stderr in ((Terminal(), True), (Terminal(), False), (io.StringIO(), True)):
        colours.setattr(sys, "stderr" if stderr else "stdout", stream)
        terminal.say(text, stderr=stderr)
        lines = stream.getvalue().splitlines()
        if isinstance(stream, Terminal):
            assert all(len(line) <= 80 for line in lines[:-1])
            assert lines[-1].strip() == f"second/{'path/' * 30}"  # no path is broken
        else:
            assert "\n".join(lines) == text


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_a_lasting_line_of_a_display_is_broken_on_a_terminal_alone(
    stream: type[io.StringIO], colours: pytest.MonkeyPatch
) -> None:
    colours.setattr(sys, "stderr", stream())
    with screen() as display:
        display.line("word " * 40)
    lines = strip(sys.stderr.getvalue()).splitlines()  # type: ignore[attr-defined]
    assert (max(map(len, lines)) <= 80) == (stream is Terminal)


def test_a_long_name_costs_a_display_neither_its_bar_nor_the_time_left(colours: pytest.MonkeyPatch) -> None:
    colours.setattr(sys, "stderr", Terminal())
    with screen() as display:
        display.update("block 3 of 10: " + "name " * 30, 4, 10, "about 119 s left")
    shown = strip(sys.stderr.getvalue())  # type: ignore[attr-defined]
    assert re.search(r"━{9}.* about 119 s left block 3 of 10: name .*…", shown)


def test_no_verb_writes_beyond_80_columns_of_a_terminal(tmp_path: Path, colours: pytest.MonkeyPatch) -> None:
    colours.setattr(
        "bench.api.listing.find_devices", lambda: machine("cuda:0", missing={"torch": "gone " * 30})
    )
    one, other = (str(write_run(tmp_path / name, example_records(seed=n))) for n, name in enumerate("ab"))
    for arguments in (["compare", one, other], ["devices"], ["variants"], ["report", "nowhere " * 20]):
        colours.setattr(sys, "stdout", Terminal())
        colours.setattr(sys, "stderr", Terminal())
        colours.setenv("NO_COLOR", "1")
        main(arguments)
        text = sys.stdout.getvalue() + sys.stderr.getvalue()  # type: ignore[attr-defined]
        assert max(len(line) for line in strip(text).splitlines()) <= 80, arguments
        if arguments[0] == "compare":
            assert "…" not in text  # nothing is cut
    colours.setattr(sys, "stdout", io.StringIO())
    main(["variants"])  # into a pipe, for which COLUMNS asks for 80
    assert max(map(len, sys.stdout.getvalue().splitlines())) <= 80  # type: ignore[attr-defined]


def strip(text: str) -> str:
    """A text without the codes of bold and dim letters."""
    return "".join(part.partition("m")[2] if n else part for n, part in enumerate(text.split("\x1b[")))


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_fits_80_columns(verb: str, colours: pytest.MonkeyPatch, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main([*filter(None, [verb]), "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
