"""The page of measured rates is what its file says, and says what fell short."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from acceptance import validity as page
from acceptance.validity_page import order, render

DOCS = Path(__file__).parents[1] / "docs"
MACHINE = {
    "processor": "Example CPU 9000", "cpus": 4, "usable_cpus": 2, "system": "Linux 6.1",
    "python": "CPython 3.11.2", "numpy": "2.4.6", "torch": "2.13.0",
}  # fmt: skip


def made(folder: Path, date: str = "2026-01-02", **facts: Any) -> page.Validity:
    return page.Validity(folder, date, MACHINE | facts)


def write(validity: page.Validity, key: str, claim: str = "a claim", *, kept: bool = True) -> None:
    validity.record(key, claim=claim, promised="at most 1 %", measured="0.1 %", kept=kept, seconds=1.23)


def lines(folder: Path) -> list[str]:
    return render(page.load(folder)).splitlines()


def test_the_page_in_docs_is_exactly_what_its_file_renders_to() -> None:
    data = page.load(DOCS)
    assert data["rows"], "docs/validity.json has no rows"
    assert (DOCS / page.PAGE_NAME).read_text(encoding="utf-8") == render(data)
    assert (DOCS / page.JSON_NAME).read_text(encoding="utf-8") == page.dump(data)


def test_rendering_does_not_depend_on_the_order_of_writing(tmp_path: Path) -> None:
    keys = ["T10", "SPEED-journal", "F3", "T2-b", "T2-mutant-a", "T2-a", "T2-a10", "T2-a9", "T1", "OTHER"]
    for name, these in (("one", keys), ("other", keys[::-1])):
        (tmp_path / name).mkdir()
        for key in these:
            write(made(tmp_path / name), key, f"claim {key}")
        made(tmp_path / name).table("TIME-verdict", "Seconds", "Text.", ["a"], [[1]])
        made(tmp_path / name).write_page()
    one, other = (
        [(tmp_path / name / file).read_bytes() for file in (page.JSON_NAME, page.PAGE_NAME)]
        for name in ("one", "other")
    )
    assert one == other
    wanted = ["T1", "T2-a", "T2-a9", "T2-a10", "T2-b", "T2-mutant-a", "T10", "F3", "SPEED-journal", "OTHER"]
    shown = [line.split(" |")[0].removeprefix("| claim ") for line in lines(tmp_path / "one")]
    assert [key for key in shown if key in keys] == wanted == sorted(keys, key=order)


def test_a_row_that_was_not_kept_is_listed_under_what_fell_short(tmp_path: Path) -> None:
    write(made(tmp_path), "T5", "kept")
    assert lines(tmp_path)[-2:] == ["", "Nothing."]
    write(made(tmp_path), "T6", "broken", kept=False)
    found = lines(tmp_path)
    short = found[found.index("## What fell short") :]
    assert short[-1] == "* T6: broken. Promised: at most 1 %. Measured: 0.1 %."
    assert not any("kept" in line for line in short)
    assert "| broken | at most 1 % | 0.1 % | **NO** | 2026-01-02 |" in found


@pytest.mark.parametrize("bad", ["a | b", "a\nb", "a\r\n\n## b", "a \\| b", "<b>a", "a \\"])
def test_no_text_can_break_a_table(bad: str, tmp_path: Path) -> None:
    made(tmp_path).record("T5", claim=bad, promised=bad, measured=bad, kept=False, seconds=0)
    made(tmp_path).table("T5-table", bad, bad, ["one", bad], [[bad, bad]])
    found = lines(tmp_path)
    rows = [line for line in found if line.startswith("|")]
    columns = [unescaped_pipes(row) - 1 for row in rows]
    assert columns == [5, 5, 5, 2, 2, 2]
    headings = [line for line in found if line.startswith("#")]
    assert len(headings) == 4
    assert not any("<" in line for line in found)


def unescaped_pipes(line: str) -> int:
    """Pipes that part cells: those after an even number of backslashes."""
    count = backslashes = 0
    for character in line:
        count += character == "|" and backslashes % 2 == 0
        backslashes = backslashes + 1 if character == "\\" else 0
    return count


def test_a_row_stays_with_its_date_until_its_test_runs_again(tmp_path: Path) -> None:
    write(made(tmp_path, "2026-01-02"), "T5")
    write(made(tmp_path, "2026-01-02"), "T6")
    write(made(tmp_path, "2026-03-04"), "T6", "a new claim")
    assert [line for line in lines(tmp_path) if line.startswith("| a ")] == [
        "| a claim | at most 1 % | 0.1 % | yes | 2026-01-02 |",
        "| a new claim | at most 1 % | 0.1 % | yes | 2026-03-04 |",
    ]


def test_rows_of_two_machines_say_which_and_a_machine_without_rows_is_forgotten(tmp_path: Path) -> None:
    write(made(tmp_path), "T5")
    write(made(tmp_path), "T6")
    assert sum(line.startswith("The machine: Example CPU 9000") for line in lines(tmp_path)) == 1
    write(made(tmp_path, processor="Another"), "T6")
    found = lines(tmp_path)
    assert [line.split(":")[0] for line in found if line.startswith("Machine")] == ["Machine 1", "Machine 2"]
    assert [line.split(" | ")[-1] for line in found if line.startswith("| a ")] == [
        "2026-01-02, machine 1 |",
        "2026-01-02, machine 2 |",
    ]
    write(made(tmp_path, processor="Another"), "T5")
    assert [machine["processor"] for machine in page.load(tmp_path)["machines"]] == ["Another"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(made(tmp_path), "T5")
    before = (tmp_path / page.JSON_NAME).read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(page.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write(made(tmp_path), "T6")
    assert [path.name for path in tmp_path.iterdir()] == [page.JSON_NAME]
    assert (tmp_path / page.JSON_NAME).read_bytes() == before


@pytest.mark.parametrize("key", ["", "t5", "T5 x", "T5|", "T5-", "-T5", "T5\n"])
def test_a_key_that_is_none_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="is no key"):
        write(made(tmp_path), key)


def test_nothing_in_the_file_names_a_host() -> None:
    facts = page.describe_machine()
    assert facts.keys() == MACHINE.keys()
    assert json.loads(json.dumps(facts)) == facts


def test_a_file_of_tests_that_changed_since_its_last_whole_run_is_named(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text("def test_it():\n    assert 1\n")
    made(tmp_path / "docs").checks(file, {"test_b": "failed", "test_a": "failed", "test_c": "passed"})
    made(tmp_path / "docs").write_page()
    assert "| test_it.py | 1 | test_a, test_b | none | 2026-01-02 |" in lines(tmp_path / "docs")
    assert page.not_run_since(tmp_path / "docs", tmp_path) == []
    file.write_text('"""Texts do not count."""\n\n\ndef test_it():  # nor this\n    assert 1\n')
    assert page.not_run_since(tmp_path / "docs", tmp_path) == []
    file.write_text("def test_it():\n    assert 2\n")
    (tmp_path / "test_new.py").write_text("")  # never run whole
    assert page.not_run_since(tmp_path / "docs", tmp_path) == ["test_it.py", "test_new.py"]


def test_only_a_file_that_was_run_whole_counts_as_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--validity={tmp_path}"]
    file = Path("tests/acceptance/test_schedule.py")
    for choice, names in ((["-k", "nothing"], []), ([], [file.name])):
        subprocess.run([*command, *choice, file], cwd=DOCS.parent, check=False, stdout=subprocess.DEVNULL)
        assert [*page.load(tmp_path)["checks"]] == names
