"""Several results in one report, and results of pytest-benchmark."""

import json
import re
from pathlib import Path
from typing import Any

from journals import example_records
from reports import Reader, table_rows, write_run

from bench.reporting.build import build_report


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
    assert [link["href"] for link in reader.all("a")] == ["#result-1", "#result-2", "#result-3"]
    assert reader.text.index("All results") < reader.text.index("On this machine")
    assert {path.name for path in (tmp_path / "out").glob("*.csv")} == {"values-1.csv", "values-2.csv"}
    first = next(
        cells for cells in table_rows((path.parent / "report.md").read_text()) if "saved.json" in cells[0]
    )
    assert [cell.strip() for cell in first[1:3]] == ["Bench CPU, 4 processors", "3.65: no interval"]


def test_a_file_of_pytest_benchmark_has_times_but_no_verdict(tmp_path: Path) -> None:
    path = build_report([benchmark_file(tmp_path / "saved.json")], None)
    assert path == tmp_path / "report.html"
    text = " ".join(Reader(path.read_text(encoding="utf-8")).text.split())
    assert "one process, fixed order" in text
    assert "NumPy measured 3.65 times faster than PyTorch" in text
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
    assert "none of them PyTorch against numpy-batched" in text
