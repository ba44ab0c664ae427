"""Several results in one report, and results of pytest-benchmark."""

import json
import re
from pathlib import Path
from typing import Any

from grids import crossing_at, grid_plan, records_of, with_ratio, write_grid
from journals import example_records
from msgspec.structs import replace
from reports import Reader, table_rows, write_run

from bench.records.record import AnyRecord, Environment
from bench.records.run import Run, make_run
from bench.reporting.build import build_report
from bench.reporting.facts import map_beside

GRID_MACHINE = {"processor": "Example CPU 9000", "cpus": 2, "usable_cpus": 2}


def benchmark_file(path: Path, **of_torch: Any) -> Path:
    """Two benchmarks as pytest-benchmark saves them."""
    shape = {"T": 6, "B": 128, "I": 6, "H": 32, "O": 8}
    common = {"device": "cpu", "task": "train_step", "layout": "positional", "dtype": "float32"}
    common |= {"shape": shape, "threads": 1, "errors": {"update U": 2e-7}}

    def one(variant: str, seconds: float, **extra: Any) -> dict[str, Any]:
        stats = {"median": seconds, "iqr": seconds / 9, "min": seconds / 2, "max": seconds * 2}
        extra = {**common, "variant": variant, "library": variant.partition("-")[0], **extra}
        return {
            "name": f"test[{variant}]",
            "group": "train_step",
            "extra_info": extra,
            "stats": {**stats, "rounds": 1200, "iterations": 1},
        }

    benchmarks = [
        one("numpy-batched", 100e-6),
        one("torch-rnn", 365e-6, **of_torch),
        one("numpy-published", 30e-3, known_wrong=True),
    ]
    info = {"cpu": {"brand_raw": "Bench CPU", "count": 4}, "numpy": "2.4.6", "blas_kernel": "SkylakeX"}
    path.write_text(json.dumps({"machine_info": info, "benchmarks": benchmarks, "datetime": "2026-01-02"}))
    return path


def test_several_results_get_a_section_each_and_a_table_across(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a", example_records(quick=True))]
    folders.append(write_run(tmp_path / "b", example_records(quick=True, seed=3)))
    other = benchmark_file(tmp_path / "saved.json")
    path = build_report([*folders, other], tmp_path / "out")
    reader = Reader(path.read_text(encoding="utf-8"))
    assert [article["id"] for article in reader.all("article")] == ["result-1", "result-2", "result-3"]
    links = [str(link["href"]) for link in reader.all("a")]
    assert all(links.count(f"#result-{number}") == 3 for number in (1, 2, 3))  # answers, table, contents
    targets = {str(attributes.get("id")) for _, attributes in reader.tags}
    assert {link[1:] for link in links if link.startswith("#")} <= targets
    places = [
        reader.text.index(said) for said in ("NumPy measured", "Results side by side", "On this machine")
    ]
    assert places == sorted(places)
    assert {path.name for path in (tmp_path / "out").glob("*.csv")} == {"values-1.csv", "values-2.csv"}
    first = next(
        cells for cells in table_rows((path.parent / "report.md").read_text()) if "saved.json" in cells[0]
    )
    assert [cell.strip() for cell in first[1:3]] == ["Bench CPU, 4 processors", "3.65: no interval"]


def test_a_map_of_sizes_is_no_line_of_the_table_across(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", example_records(quick=True))
    plan = grid_plan(hidden=(8, 2048), batch=(1,))
    map_ = write_grid(tmp_path / "map", records_of(plan, with_ratio(crossing_at(300.0))))
    text = build_report([run, map_], tmp_path / "out", any_machine=True).read_text(encoding="utf-8")
    assert text.count('class="claim"') == 2
    assert "Results side by side" not in text
    second = write_run(tmp_path / "second", example_records(quick=True, seed=3))
    text = build_report([run, map_, second], tmp_path / "out", any_machine=True).read_text(encoding="utf-8")
    rows = table_rows((tmp_path / "out" / "report.md").read_text(encoding="utf-8"))
    assert "Results side by side" in text
    assert [cells[0].strip() for cells in rows[2:4]] == ["example-0-quick", "example-3-quick"]


def of_machine(records: list[AnyRecord], **facts: Any) -> list[AnyRecord]:
    """The records, told from the machine of the grids, or one that differs from it."""
    machine = {**GRID_MACHINE, **facts}
    return [replace(r, machine=machine) if isinstance(r, Environment) else r for r in records]


def test_a_run_of_one_size_points_to_the_map_on_its_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", of_machine(example_records(quick=True)))
    map_ = write_grid(tmp_path / "map", records_of(grid_plan(batch=(1,)), with_ratio(crossing_at(300.0))))
    build_report([run, map_], tmp_path / "out")
    said = "the map on this page (grid)"
    for name in ("report.html", "report.md"):
        text = " ".join((tmp_path / "out" / name).read_text(encoding="utf-8").split())
        assert said in text
        assert "rnnbench run --preset grid" not in re.sub("</?code>", "", text)


def test_only_a_map_of_the_same_work_on_the_same_machine_is_pointed_to() -> None:
    def grid_of(**wishes: Any) -> Run:
        return make_run(records_of(grid_plan(**{"batch": (1,), **wishes}), with_ratio(crossing_at(300.0))))

    run, other = (make_run(of_machine(example_records(), processor=name)) for name in
                  (GRID_MACHINE["processor"], "Another CPU"))  # fmt: skip
    assert map_beside(run, [run, grid_of()]) == "grid"
    assert map_beside(run, [run]) == ""
    assert map_beside(other, [other, grid_of()]) == ""
    assert map_beside(run, [run, grid_of(tasks=("forward",))]) == ""
    assert map_beside(run, [run, grid_of(features=(7,))]) == ""
    assert map_beside(run, [run, grid_of(hidden=(32,))]) == ""  # one size more is no map


def test_the_machine_of_several_results_is_told_once_unless_they_differ(tmp_path: Path) -> None:
    def places(*folders: Path) -> list[str]:
        page = build_report(list(folders), tmp_path / "out", any_machine=True).read_text(encoding="utf-8")
        return re.findall('<p class="where">(.*)</p>', page)

    runs = [write_run(tmp_path / f"{n}", of_machine(example_records(quick=True, seed=n))) for n in (1, 2)]
    assert [place.count("Example CPU 9000") for place in places(*runs)] == [1, 0, 0, 0, 0]
    other = write_run(
        tmp_path / "3", of_machine(example_records(quick=True, seed=3), processor="Another CPU")
    )
    assert [len(re.findall("Example CPU 9000|Another CPU", place)) for place in places(runs[0], other)] == [
        1
    ] * 4


def test_a_file_of_pytest_benchmark_has_times_but_no_verdict(tmp_path: Path) -> None:
    path = build_report([benchmark_file(tmp_path / "saved.json")], None)
    assert path == tmp_path / "report.html"
    text = " ".join(Reader(path.read_text(encoding="utf-8")).text.split())
    assert "one process, fixed order" in text
    assert "numpy-batched measured 3.65 times faster than torch-rnn" in text
    assert (
        "numpy-batched 100 µs, torch-rnn 365 µs a call (T6 B128 I6 H32 O8; float32; cpu, threads: 1)" in text
    )
    assert "known wrong gradient" in text
    assert not re.search(r"FASTER|SLOWER|\[\d", text)
    assert not (tmp_path / "values.csv").exists()


def test_benchmarks_of_others_are_shown_under_their_names(tmp_path: Path) -> None:
    path = build_report([benchmark_file(tmp_path / "saved.json", threads="many")], None)
    text = " ".join(Reader(path.read_text(encoding="utf-8")).text.split())
    assert "test[torch-rnn]" in text
    assert "none of them another library's against numpy-batched" in text
