"""A folder of results: what is found, copied or broken in it, the last two of a plan, several machines."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from journals import example_records
from msgspec.structs import replace
from reports import table_rows, write_run
from small_journal import small_records
from trainings import write_training

import bench
from bench.cli.main import main
from bench.machine.errors import Unfinished, UserError
from bench.records.record import AnyRecord, Entry, Environment, Plan
from bench.records.results import RESULTS, find_results, last_two, newest
from bench.records.run import make_run
from bench.reporting.article import run_article
from bench.reporting.build import content_of, load_results
from bench.reporting.facts import Facts
from bench.reporting.machines import machine_tables
from bench.reporting.page import render_markdown
from bench.reporting.section import TextTable

DAMAGED = b'{"seal":"0123456789abcdef","record":{"kind":"plan","schema":4}}\n'


def begun(day: int, records: Sequence[AnyRecord] = (), **machine: Any) -> list[AnyRecord]:
    """A run that began on this day of January, on the example's machine or one with other facts."""
    return [
        replace(one, started_utc=f"2026-01-{day:02}T00:00:00+00:00", run=f"run-{day}")
        if isinstance(one, Plan)
        else replace(one, machine=one.machine | {"load_1min": day} | machine)
        if isinstance(one, Environment)
        else one
        for one in records or small_records()
    ]


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here is about power cuts."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with three runs of one plan at several depths below results."""
    monkeypatch.chdir(tmp_path)
    for day, name in ((1, "first"), (2, "of/last/week/second"), (3, "third")):
        write_run(RESULTS / name, begun(day))
    return tmp_path


def broken(name: str, content: bytes = b"no line of a journal\n") -> Path:
    folder = RESULTS / name
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(content)
    return folder


def names(paths: Sequence[Path]) -> list[str]:
    return [path.relative_to(RESULTS).as_posix() for path in paths]


# what is found


def test_every_run_and_training_is_found_the_newest_first_and_nothing_else(here: Path) -> None:
    write_training(RESULTS / "train", {"numpy-inplace": (1e-2, 5e-3, 2e-3, 1e-3)})  # also of 1 January
    write_run(RESULTS / "third" / "refine-1", begun(4))  # which belongs to its grid
    write_run(RESULTS / "refine-2", begun(5))  # which has none
    for stranger in ("notes.txt", "log.jsonl", "first/pyperf.json"):
        (RESULTS / stranger).write_text('{"event": 1}\n')
    (RESULTS / "third" / "again").symlink_to(RESULTS.resolve())  # a circle
    (RESULTS / "latest").symlink_to("third")
    found = find_results([RESULTS])
    assert names(found.paths) == ["refine-2", "third", "of/last/week/second", "first", "train"]
    assert (found.copies, found.unread) == ({}, [])
    assert names([newest([RESULTS], print)]) == ["refine-2"]


def test_a_copy_and_an_earlier_state_are_told_and_left_out_but_no_other_run_of_the_plan(here: Path) -> None:
    shutil.copytree(RESULTS / "first", RESULTS / "again")
    data = (RESULTS / "third" / "journal.jsonl").read_bytes()
    broken("cut\noff", data[: 2 * len(data) // 3])
    found = find_results([RESULTS])
    assert names(found.paths) == ["third", "of/last/week/second", "again"]
    assert sorted(found.copy_lines) == [
        "results/cut off is a copy of results/third, and is left out",
        "results/first is a copy of results/again, and is left out",
    ]
    named = find_results([RESULTS / "third", RESULTS / "third" / "journal.jsonl"])
    assert (names(named.paths), len(named.copies)) == (["third"], 1)
    other_end = broken("other", data[: len(data) // 2] + data[: len(data) // 2])
    assert other_end in find_results([RESULTS]).paths  # what differs is no copy, even where it is damaged


def test_what_is_broken_is_a_line_each_and_the_rest_is_loaded(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (RESULTS / "third" / "journal.jsonl").read_bytes()
    broken("no-plan", DAMAGED)
    broken("damaged", data[:-40].replace(b'"block":1', b'"block":2') + b"\n")
    broken("empty", b"")
    broken("third/refine-1")
    (RESULTS / "locked").mkdir()
    (RESULTS / "deep").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        if Path(path).name == "deep":
            raise OSError(36, "File name too long", str(path) + 4000 * "/deeper")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    told: list[str] = []
    results = load_results([RESULTS], told.append)
    assert names(list(results.loaded)) == ["third", "of/last/week/second", "first"]
    assert told == results.selection.unread
    assert [line.partition(" ")[0] for line in sorted(told) if line.startswith("results")] == [
        "results/damaged/journal.jsonl,",
        "results/empty/journal.jsonl",
        "results/no-plan/journal.jsonl,",
        "results/third/refine-1/journal.jsonl",
    ]
    assert "cannot look into results/locked: Permission denied" in told
    (deep,) = (line for line in told if line.endswith("deeper: File name too long"))
    assert len(deep) < 250
    assert not any("\n" in line for line in told)
    with pytest.raises(UserError, match="no-plan"):  # what is named must be there
        load_results([RESULTS / "first", RESULTS / "no-plan"], told.append)


def test_a_folder_without_results_or_with_broken_ones_alone_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (RESULTS / "a" / "b").mkdir(parents=True)
    assert main(["report", "results"]) == 2
    assert capsys.readouterr().err == (
        "rnnbench: results holds no run, training or stream; rnnbench run makes one\n"
    )
    assert main(["report", "--latest", "nowhere"]) == 2
    assert "nowhere: no run, training or stream is there to read" in capsys.readouterr().err
    broken("c")
    assert main(["report", "results"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "results/c/journal.jsonl is no journal" in first
    assert second == "rnnbench: nothing in results can be read"
    assert main(["report"]) == 2
    assert "nothing to report on" in capsys.readouterr().err


def test_the_page_of_a_folder_has_all_and_says_what_is_missing_with_code_3(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RESULTS / "first", RESULTS / "zcopy")
    assert main(["report", "results"]) == 0
    out, err = capsys.readouterr()
    assert "results/zcopy is a copy of results/first, and is left out\n" in out
    assert out.startswith("results/third\n")
    assert [f"\n{out}".count(f"\nresults/{name}\n") for name in ("first", "third", "zcopy")] == [1, 1, 0]
    assert (err, out.rstrip().endswith("Report: results/report/report.html")) == ("", True)
    everything = map(str, sorted(RESULTS.iterdir()))  # as results/* names them
    assert main(["report", *everything, "--out=page"]) == 0
    assert "results/report" not in capsys.readouterr().out
    broken("c")
    write_run(RESULTS / "elsewhere", begun(4, processor="Another CPU"))
    assert main(["report", "results"]) == 3
    assert capsys.readouterr().err.splitlines()[1:] == [
        "rnnbench: not all could be read: 1 result, named above"
    ]
    text = (RESULTS / "report" / "report.md").read_text(encoding="utf-8")
    assert "Not on this page: results/c/journal.jsonl is no journal of rnnbench" in text
    assert text.count("> results/zcopy is a copy") == 1
    assert {f"run-{day}" for day in (1, 2, 3, 4)} == {row[0].strip() for row in table_rows(text)[2:6]}
    assert main(["report", "--latest"]) == 3  # what cannot be read may be newer
    assert "Report: results/elsewhere/report.html" in capsys.readouterr().out
    assert bench.report(RESULTS / "third", latest=True) == RESULTS / "third" / "report.html"


# the last two of a plan


def test_the_last_two_of_one_plan_are_taken_and_of_one_given_its_newest_fellow(here: Path) -> None:
    assert names(last_two(None, print)) == ["of/last/week/second", "third"]
    quick = [replace(one, verdicts=True) if isinstance(one, Plan) else one for one in begun(5)]
    write_run(RESULTS / "with-verdicts", quick)
    write_run(RESULTS / "elsewhere", begun(6, processor="Another CPU"))
    write_run(RESULTS / "others", begun(7, other_work()))
    assert names(last_two(None, print)) == ["of/last/week/second", "third"]
    assert names(last_two(RESULTS / "first", print)) == ["first", "third"]
    assert names(last_two(RESULTS / "third", print)) == ["of/last/week/second", "third"]
    write_training(RESULTS / "train", {"numpy-inplace": (1e-2, 5e-3, 2e-3, 1e-3)})
    for alone in ("with-verdicts", "elsewhere", "others", "train"):
        with pytest.raises(Unfinished, match=f"no two have the same cases and arms as results/{alone} on"):
            last_two(RESULTS / alone, print)


def test_the_fellow_of_a_run_elsewhere_is_beside_it_and_what_is_cut_off_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(RESULTS, "elsewhere")
    write_run(RESULTS / "newest", begun(9))
    elsewhere = here / "elsewhere"
    told: list[str] = []
    assert last_two(Path("elsewhere/first"), told.append) == (Path("elsewhere/first"), elsewhere / "third")
    assert told == []
    data = (elsewhere / "third" / "journal.jsonl").read_bytes()
    (elsewhere / "third" / "journal.jsonl").write_bytes(data[: 2 * len(data) // 3])
    monkeypatch.chdir(elsewhere / "first")
    last_two(Path("journal.jsonl"), told.append)
    assert told == [f"{elsewhere}/third was interrupted or is being measured: what it has so far is compared"]


def other_work() -> list[AnyRecord]:
    """The small run at another batch."""

    def wider(entry: Entry) -> Entry:
        shape = type(entry.case.shape)(6, 64, 6, 32, 8)
        return replace(
            entry, case=type(entry.case)(entry.case.task, shape, entry.case.layout, "float32", "tanh")
        )

    plan, *rest = small_records()
    assert isinstance(plan, Plan)
    groups = [replace(group, entries=[*map(wider, group.entries)]) for group in plan.groups]
    return [replace(plan, groups=groups), *rest]


def test_compare_says_which_two_it_took_and_what_it_could_not_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RESULTS / "third", RESULTS / "zcopy")  # a run is not compared with itself
    broken("c")
    main(["compare"])
    out, err = capsys.readouterr()
    assert out.startswith("results/third and results/of/last/week/second hold nothing that compares")
    assert "results/c/journal.jsonl is no journal" in err
    assert "results/zcopy is a copy of results/third" in err
    assert main(["compare", "--fail-slower", "5%"]) == 3  # c may be the newest
    assert "rnnbench: what cannot be read in results may be one of the last two: results/c/" in (
        capsys.readouterr().err
    )
    shutil.rmtree(RESULTS / "third")
    shutil.rmtree(RESULTS / "of")
    shutil.rmtree(RESULTS / "zcopy")
    assert main(["compare"]) == 3
    assert (
        "of 1 run in results no two have the same cases and arms on one machine; name the two: rnnbench"
        in (capsys.readouterr().err)
    )
    shutil.rmtree(RESULTS)
    assert main(["compare"]) == 3
    assert "there is no folder results here" in capsys.readouterr().err


# several machines


def facts_of(day: int, seed: int, **machine: Any) -> Facts:
    return Facts.of(make_run(begun(day, example_records(seed=seed, quick=day == 3), **machine)))


@pytest.fixture(scope="module")
def runs() -> list[Facts]:
    """Two runs of one machine and a quick one, and one of another machine with another NumPy."""
    other = {"processor": "Another CPU", "packages": {"numpy": "9.9.0", "torch": "2.13.0"}}
    return [facts_of(1, 1), facts_of(2, 2), facts_of(3, 3), facts_of(4, 4, **other)]


def test_each_machine_has_a_column_with_its_own_verdict_ratio_and_versions(runs: list[Facts]) -> None:
    results, versions = machine_tables(runs)
    titles = ["Example CPU 9000, 2 processors", "Another CPU, 2 processors"]
    for table in (results, versions):
        assert [column.title for column in table.columns][1:] == titles
    usual, here, there = results.rows[0]
    assert usual.text == "as usually written: torch-layer ÷ numpy-batched"
    assert "training step, positional input" in usual.note
    for cell, facts in ((here, runs[1]), (there, runs[3])):
        (pair, *_) = facts.summary.headlines
        assert (cell.text, cell.value) == (pair.verdict, pair.ratio)
        assert f"[{pair.low:.2f}, {pair.high:.2f}]" in cell.note
    assert here.note.endswith("; in run-2, one of 3 runs")  # the last that has a verdict
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in versions.rows}
    assert rows["numpy"] == ["2.4.6", "9.9.0"]
    assert rows["Processor"] == ["Example CPU 9000", "Another CPU"]
    fastest = [row for row in results.rows if row[0].text == "fastest form of each"]
    assert all("torch-inplace ÷ numpy-inplace" in cell.note for row in fastest for cell in row[1:])


def test_runs_of_one_machine_have_no_such_table_and_equal_names_are_counted(runs: list[Facts]) -> None:
    assert machine_tables(runs[:3]) == machine_tables([]) == ()
    twins = [facts_of(1, 1, host="aa"), facts_of(2, 2, host="bb"), facts_of(4, 4, host="cc")]
    titles = [column.title for column in machine_tables(twins)[0].columns[1:]]
    name = "Example CPU 9000, 2 processors"
    assert titles == [name, f"{name} (2)", f"{name} (3)"]


def test_the_tables_stand_on_a_page_of_several_machines(runs: list[Facts]) -> None:
    def shown(*chosen: Facts) -> str:
        return render_markdown(content_of([run_article(facts.run) for facts in chosen]))

    assert "## By machine" in shown(runs[0], runs[3])
    assert "## By machine" not in shown(runs[0], runs[1])
    assert all(isinstance(table, TextTable) for table in machine_tables(runs))
