"""docs/performance.md: the page that ``make performance`` writes, from simulated runs."""

import json
import runpy
from pathlib import Path

import pytest
from declared import declare
from grids import records_of
from journals import example_records
from reports import write_run

from bench.records.record import Arm
from bench.workload.case import Case

DOCS = Path(__file__).parents[1] / "docs"
COMMAND = runpy.run_path(str(DOCS / "performance.py"))


def rows(page: str, first: str) -> list[list[str]]:
    """The cells of the table rows whose first cell is this."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith(f"| {first} |")]
    return [[cell.strip() for cell in line] for line in lines]


def time_ns(arm: Arm, case: Case) -> float:
    """NumPy's time is proportional to H; PyTorch's does not grow up to H = 64, then with its square."""
    H = case.shape.H
    return 1000.0 * H if arm.library == "numpy" else 50_000.0 * max(1.0, H / 64) ** 2


def test_a_size_has_the_fastest_and_usual_forms_with_their_distance_from_the_bound(tmp_path):
    write_run(tmp_path / "tutorial" / "rnn", example_records())
    page = COMMAND["page"](tmp_path)
    (answer,) = rows(page, "tutorial")
    assert answer[0].startswith("tutorial")
    assert answer[1].startswith("NumPy ")
    assert answer[2:] == ["not measured"] * 2
    fastest, usual = rows(page.split("## Growth")[0], "rnn")
    assert (fastest[1], usual[1]) == ("fastest", "as usually written")
    assert fastest[2].startswith("numpy-inplace")
    assert usual[2].startswith("numpy-batched")
    assert usual[3].startswith("torch-layer")
    assert float(fastest[4].split()[0]) > 1
    assert fastest[5] == "SLOWER"
    assert [float(bound) > 1 for bound in fastest[6].split(", ")] == [True, True]
    assert fastest[-1] == "none measured"
    assert "Example CPU 9000" in page


def test_growth_is_the_slope_of_each_library_and_where_it_begins(tmp_path):
    sizes = {"hidden": (16, 64, 256, 1024), "batch": (128,), "features": (6,), "threads": (1,)}
    plan = declare("numpy-batched", "numpy-inplace", "torch-inplace", blocks=8, **sizes)
    write_run(tmp_path / "growth hidden" / "rnn", records_of(plan, time_ns, noise=0.001))
    numpy, torch = rows(COMMAND["page"](tmp_path).split("## Growth")[1], "rnn")
    assert numpy[1:3] == ["H", "NumPy"]
    assert [round(float(slope.split()[0]), 1) for slope in numpy[3:5]] == [1.0, 1.0]
    assert numpy[5] == "H = 16"
    assert torch[2] == "PyTorch"
    assert [round(float(slope.split()[0]), 1) for slope in torch[3:5]] == [1.4, 2.0]
    assert torch[5] == "H = 64"


def test_memory_is_told_beyond_the_import_and_in_all(tmp_path):
    saved = [{"size": "large", "cell": "gru", "library": "torch", "peaks": [210.0, 322.5]}]
    (tmp_path / "memory.json").write_text(json.dumps(saved))
    assert rows(COMMAND["page"](tmp_path), "large") == [["large", "gru", "PyTorch", "112.5 MB", "322 MB"]]


def test_nothing_measured_is_told():
    page = COMMAND["page"](Path("nowhere"))
    assert "Not measured yet: `make performance`" in page
    assert page.count("\nNot measured yet.\n") == 8


@pytest.mark.parametrize("name", ["performance", "figures"])
def test_earlier_results_are_refused_before_anything_is_measured(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(DOCS / f"{name}.py"))["main"]
    folder = tmp_path / "results" / name
    folder.mkdir(parents=True)
    monkeypatch.setitem(main.__globals__, "ROOT", tmp_path)
    monkeypatch.setitem(main.__globals__, "measure", lambda folder: pytest.fail("it measured"))
    monkeypatch.setattr("sys.argv", [f"{name}.py"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{folder} is there: ")
    assert line.endswith(f"(--from {folder}), or move it away first")


@pytest.mark.parametrize("name", ["performance", "figures"])
def test_a_folder_that_is_not_there_leaves_the_pages_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(DOCS / f"{name}.py"))["main"]
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--from", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"--from {tmp_path / 'none'}: there is no such folder\n"
