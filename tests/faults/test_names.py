"""F28: whatever a run, a group, a variant or a folder is called, files stay where they belong."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import POSITIONAL, example_records
from msgspec.structs import replace
from reports import write_run

import bench
from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records.record import AnyRecord, Group, Plan
from bench.records.run import make_run
from bench.reporting.article import TABLES, run_article, slug
from bench.reporting.build import build_report
from faults.runs import SMALL, finish, start
from faults.small_run import CPU_ONLY

EVIL = [
    "../../outside", "/etc/passwd", "..", "", "con", "nul.txt", "a\x00b", "x" * 300, "Name", "NAME", "näme",
    "ｎame", "a/b\\c:d*e?f", "-rf", "~", "$(id)", "trailing. ", "\u202egnp.exe", "line\nbreak",
]  # fmt: skip


@given(st.one_of(st.text(max_size=400), st.sampled_from(EVIL)))
def test_a_slug_is_a_name_that_every_file_system_takes(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]{0,60}", slug(name))


def renamed(records: list[AnyRecord], names: dict[str, str]) -> list[AnyRecord]:
    """The same records with other names of groups, and the run called by the first of them."""

    def group_of(group: Group) -> Group:
        name = names.get(group.name, group.name)
        return replace(group, name=name, entries=[replace(entry, group=name) for entry in group.entries])

    return [
        replace(record, groups=[*map(group_of, record.groups)], run=next(iter(names.values())))
        if isinstance(record, Plan)
        else record
        for record in records
    ]


@pytest.mark.parametrize("evil", [EVIL, EVIL[8:], [name * 40 for name in EVIL[8:]]])
def test_plots_have_stems_of_their_own_even_where_names_differ_in_case_alone(evil: list[str]) -> None:
    groups = next(record for record in example_records() if isinstance(record, Plan)).groups
    names = [group.name for group in groups if group.kind in TABLES]
    run = make_run(renamed(example_records(), dict(zip(names, evil, strict=False))))
    stems = [drawing.stem for drawing in run_article(run).pictures]
    assert len({stem.lower() for stem in stems}) == len(stems)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,80}", stem) for stem in stems)


@pytest.mark.parametrize("evil", ["../../outside", "x" * 300, "/tmp/absolute"])
def test_a_report_writes_nothing_outside_its_folder(tmp_path: Path, evil: str) -> None:
    folder = write_run(tmp_path / "a" / "b" / "run", renamed(example_records(quick=True), {POSITIONAL: evil}))
    build_report([folder], tmp_path / "a" / "b" / "out")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    inside = (tmp_path / "a" / "b" / "out", folder)
    assert written
    assert all(any(path.is_relative_to(place) for place in inside) for path in written)


def test_a_report_replaces_links_and_leaves_what_they_point_to(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", example_records(quick=True))
    precious = tmp_path / "precious"
    precious.write_text("precious")
    for name in ("report.html", "report.md", "values.csv"):
        (folder / name).symlink_to(precious)
    build_report([folder], None)
    assert precious.read_text() == "precious"
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_journal_is_not_written_through_a_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    (tmp_path / "run").mkdir()
    for there in (True, False):
        precious.write_text("precious") if there else precious.unlink()
        (tmp_path / "run" / "journal.jsonl").unlink(missing_ok=True)
        (tmp_path / "run" / "journal.jsonl").symlink_to(precious)
        code, errors = finish(start(tmp_path / "run", "--blocks", "1"))
        assert code == 2, errors
        assert "Traceback" not in errors
        assert precious.exists() == there
    assert not precious.exists()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, on a machine that has a CPU only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.api.run.find_devices", lambda: CPU_ONLY)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "arguments",
    [
        *([*SMALL, "--out", out] for out in ("x" * 300, "file", "file/below", "loop/below", "/proc/nowhere")),
        *(
            ["--quick", "--variant", spec]
            for spec in ("../evil:x", "a\0b:x", "x" * 300 + ":x", "os.path:../x")
        ),
        *(["--quick", "--variant", spec] for spec in (":", "a:", ":b")),
    ],
)
def test_a_folder_that_cannot_be_and_a_variant_that_is_a_path_are_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    Path("file").write_text("precious")
    Path("loop").symlink_to("loop")
    assert main(["run", "--blocks", "1", *arguments]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.count("\n") == 1
    assert len(error) < 700
    assert Path("file").read_text() == "precious"


@pytest.mark.usefixtures("here")
def test_a_folder_with_a_zero_byte_in_its_name_is_refused() -> None:
    with pytest.raises(UserError):
        bench.run(quick=True, variants="numpy-inplace", batch=4, hidden=4, blocks=1, out="a\0b")
    with pytest.raises(UserError):
        bench.load("a\0b")
    assert os.listdir() == []  # noqa: PTH208
