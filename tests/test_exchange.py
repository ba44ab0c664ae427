"""pytest-benchmark's JSON is read as it is written, and what it does not know is left empty."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.machine.errors import UserError
from bench.records.formats.pytest_benchmark import PytestResults
from bench.records.saved import load_saved
from bench.workload.case import Shape

OURS = {
    "library": "numpy",
    "device": "cpu",
    "task": "train_step",
    "layout": "positional",
    "dtype": "float32",
    "shape": {"T": 6, "B": 128, "I": 6, "H": 32, "O": 8},
    "threads": 1,
    "errors": {"update U": 2e-7},
    "known_wrong": False,
}


def benchmark(variant: str, median: float, group: str = "train_step", **extra: Any) -> dict[str, Any]:
    """One benchmark as pytest-benchmark writes it; times in seconds."""
    return {
        "group": group,
        "name": f"test_wall_clock[{group}-{variant}-cpu]",
        "fullname": f"tests/benchmarks/test_wall_clock.py::test_wall_clock[{group}-{variant}-cpu]",
        "params": None,
        "param": None,
        "extra_info": {"variant": variant, **OURS, **extra},
        "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": 5},
        "stats": {
            "min": median * 0.9,
            "max": median * 2,
            "mean": median * 1.1,
            "stddev": median / 10,
            "median": median,
            "iqr": median / 20,
            "rounds": 9000,
            "iterations": 1,
            "outliers": "12;30",
        },
    }


def write(path: Path, benchmarks: list[dict[str, Any]]) -> Path:
    content = {
        "machine_info": {"node": "here", "numpy": "2.4.6", "blas_kernel": "SkylakeX"},
        "commit_info": {"id": "0" * 40},
        "benchmarks": benchmarks,
        "datetime": "2026-01-02T03:04:05+00:00",
        "version": "5.3.1",
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "benchmark.json"


def test_seconds_become_nanoseconds_and_everything_said_is_kept(path: Path) -> None:
    results = load_saved(write(path, [benchmark("numpy-batched", 1e-4)]))
    assert isinstance(results, PytestResults)
    assert (results.facts["numpy"], results.version) == (("2.4.6",), "5.3.1")
    (row,) = results.rows
    assert (row.median_ns, row.iqr_ns) == pytest.approx((1e5, 5e3))
    assert (row.rounds, row.iterations, row.threads, row.known_wrong) == (9000, 1, 1, False)
    assert (row.variant, row.library, row.device, row.task) == ("numpy-batched", "numpy", "cpu", "train_step")
    assert (row.shape, row.errors) == (Shape(6, 128, 6, 32, 8), {"update U": 2e-7})


def test_ratios_are_to_the_baseline_of_the_same_group_and_work(path: Path) -> None:
    rows = load_saved(
        write(
            path,
            [
                benchmark("torch-rnn", 3.6e-4, library="torch"),
                benchmark("numpy-batched", 1e-4),
                benchmark("torch-rnn", 1e-4, "forward", task="forward"),
                benchmark("numpy-batched", 4e-5, "forward", task="forward"),
                benchmark("torch-rnn", 1e-3, shape={"T": 50, "B": 1, "I": 6, "H": 32, "O": 8}),
                benchmark("torch-rnn", 1e-3, dtype="float64"),
                benchmark("torch-rnn", 2e-4, device="cuda:0"),
            ],
        )
    ).rows
    ratios = [row.ratio for row in rows]
    assert ratios[:4] == pytest.approx([3.6, 1.0, 2.5, 1.0])
    assert ratios[4:6] == [None, None]  # other work
    assert ratios[6] == pytest.approx(2.0)


def test_the_label_says_that_these_are_points(path: Path) -> None:
    label = load_saved(write(path, [benchmark("numpy-batched", 1e-4)])).label
    assert "one process" in label
    assert "without an interval" in label


def test_a_known_wrong_gradient_stays_marked(path: Path) -> None:
    found = [benchmark("numpy-published", 2e-2, known_wrong=True), benchmark("numpy-loop", 7e-3)]
    assert [row.known_wrong for row in load_saved(write(path, found)).rows] == [True, False]


@pytest.mark.parametrize("extra", [{}, {"variant": "mine"}, {"variant": 3, "shape": "big"}])
def test_a_benchmark_of_someone_else_is_shown_by_its_name(path: Path, extra: dict[str, Any]) -> None:
    stranger = benchmark("numpy-batched", 1e-4) | {"extra_info": extra, "group": None, "name": "test_sort"}
    row, ours = load_saved(write(path, [stranger, benchmark("numpy-batched", 1e-4)])).rows
    assert (row.label, row.variant, row.group, row.ratio) == ("test_sort", "", "", None)
    assert (ours.variant, ours.ratio) == ("numpy-batched", 1.0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b'{"benchmarks": 3}',
        b"\xff\xfe",
        b'{"machine_info": {}, "benchmarks": [{"name": "x"}]}',
        b"\x1f\x8b",
        b"<!DOCTYPE html>",
        b"time,value\n1,2\n",
    ],
)
def test_any_other_file_is_a_clear_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"no JSON file of pytest-benchmark|damaged gzip file"):
        load_saved(path)


def test_a_file_without_benchmarks_a_missing_one_and_impossible_times_are_clear_errors(path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load_saved(path)
    with pytest.raises(UserError, match="holds no benchmark"):
        load_saved(write(path, []))
    broken = benchmark("numpy-batched", 1e-4)
    broken["stats"]["median"] = 0.0
    with pytest.raises(UserError, match=r"its median 0\.0 is no time"):
        load_saved(write(path, [broken]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"median": 0.0001', '"median": NaN', "its median nan is no time"),
        ('"median": 0.0001', '"median": 1e999', "its median inf is no time"),
        ('"median": 0.0001', '"median": 5.0', "not between its least and its largest time"),
        ('"median": 0.0001', '"median": -0.0001', "its median -0.0001 is no time"),
        ('"median": 0.0001', '"median": "0.0001"', "its median '0.0001' is no time"),
        ('"median": 0.0001', '"median": true', "its median True is no time"),
        (
            '"median": 0.0001',
            '"median": 0.0001, "median": 0.0001',
            "its median that is there twice is no time",
        ),
        ('"median": 0.0001, ', "", "its median None is no time"),
    ],
)
def test_a_time_that_is_none_is_refused(path: Path, old: str, new: str, message: str) -> None:
    text = write(path, [benchmark("numpy-batched", 1e-4)]).read_text()
    assert text.count(old) == 1
    assert len(load_saved(path).rows) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        load_saved(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"max": 0.0002', '"max": 1e300'),
        ('"params": null', '"params": ' + 40 * "[" + 40 * "]"),
        ('"rounds": 9000', f'"rounds": {2**70}'),
        ('"rounds": 9000', '"rounds": ' + "9" * 5000),
        ('"mean"', '"mean": 1, "mean"'),
    ],
)
def test_what_is_odd_and_unused_does_no_harm(path: Path, old: str, new: str) -> None:
    text = write(path, [benchmark("numpy-batched", 1e-4)]).read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    (row,) = load_saved(path).rows
    assert row.median_ns == pytest.approx(1e5)


def test_a_file_that_pytest_benchmark_wrote_is_read(
    path: Path, pytester_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real thing, in a process of its own: one benchmark of nothing much."""
    import subprocess
    import sys

    (pytester_path / "test_one.py").write_text(
        "def test_one(benchmark):\n    benchmark.extra_info['note'] = 1\n    benchmark(sum, range(100))\n"
    )
    options = ["-q", "-p", "no:cacheprovider", "--benchmark-max-time=0.01", f"--benchmark-json={path}"]
    command = [sys.executable, "-m", "pytest", *options, "test_one.py"]
    subprocess.run(command, cwd=pytester_path, check=True, capture_output=True, timeout=60)
    (row,) = load_saved(path).rows
    assert (row.name, row.variant) == ("test_one", "")
    assert 1 < row.median_ns < 1e9


@pytest.fixture
def pytester_path(tmp_path: Path) -> Path:
    """A folder with a configuration of its own, so that ours is not looked for."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder
