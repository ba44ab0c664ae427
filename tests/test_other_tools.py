"""Files of pyperf and pytest-benchmark are read as they are written, compared, and trusted in nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from journals import example_records
from reports import BASE, USUAL, Reader, write_run

from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records.formats.foreign import Own, ToolResults
from bench.records.formats.pytest_benchmark import pytest_benchmark_json
from bench.records.run import make_run
from bench.records.saved import load_saved
from bench.reporting.build import build_report
from bench.reporting.other_tools import tool_article
from bench.workload.case import Shape

Tree = dict[str, Any]
PLUGIN = {
    "library": "numpy", "device": "cpu", "task": "train_step", "layout": "positional", "dtype": "float32",
    "shape": {"T": 6, "B": 128, "I": 6, "H": 32, "O": 8}, "threads": 1, "errors": {"update U": 2e-7},
    "known_wrong": False,
}  # fmt: skip


def by_plugin(variant: str, median: float, group: str = "train_step", **extra: Any) -> Tree:
    """A benchmark as ``pytest --benchmark`` writes it; times in seconds."""
    stats = {"min": median * 0.9, "max": median * 2, "mean": median * 1.1, "median": median,
             "iqr": median / 20, "rounds": 9000, "iterations": 1}  # fmt: skip
    name, options = f"test_wall_clock[{group}-{variant}-cpu]", {"disable_gc": False, "timer": "perf_counter"}
    names = {"name": name, "fullname": f"tests/benchmarks/test_wall_clock.py::{name}", "group": group}
    return {
        **names,
        "extra_info": {"variant": variant, **PLUGIN, **extra},
        "options": options,
        "stats": stats,
    }


def by_pytest(*benchmarks: Tree) -> Tree:
    machine = {"node": "here", "numpy": "2.4.6"}
    return {"machine_info": machine, "benchmarks": benchmarks, "version": "5.3.1"}


def process(*values: float, **metadata: Any) -> Tree:
    return {"values": list(values), "metadata": metadata}


def by_pyperf(**benchmarks: list[float]) -> Tree:
    """A file with one value, in seconds, for each process of each benchmark."""
    return {
        "version": "1.0",
        "metadata": {"cpu_model_name": "A CPU", "cpu_count": 4, "python_version": "3.11.2", "unit": "second"},
        "benchmarks": [
            {"metadata": {"name": name}, "runs": [process(value) for value in values]}
            for name, values in benchmarks.items()
        ],
    }


def around(seconds: float, spread: float = 0.002, n: int = 12) -> list[float]:
    """Times near ``seconds``, evenly spread."""
    return [seconds * (1 + spread * (2 * place / (n - 1) - 1)) for place in range(n)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saved.json"


def read(path: Path, tree: Tree) -> ToolResults:
    path.write_text(json.dumps(tree))
    results = load_saved(path)
    assert isinstance(results, ToolResults)
    return results


# reading


def test_what_a_tool_tells_is_kept_and_seconds_become_nanoseconds(path: Path) -> None:
    results = read(path, by_pytest(by_plugin("numpy-batched", 1e-4)))
    assert (results.facts["numpy"], results.facts["version"]) == (("2.4.6",), ("5.3.1",))
    (one,) = results.benchmarks
    assert (*one.medians_ns, one.iqr_ns) == pytest.approx((1e5, 5e3))
    assert (one.values, one.calls, one.facts["timer"]) == (9000, 1, ("perf_counter",))
    work, errors = "train_step · positional · float32", {"update U": 2e-7}
    assert one.own == Own(
        "numpy-batched", "numpy", "cpu", 1, "float32", work, Shape(6, 128, 6, 32, 8), errors=errors
    )
    tree = by_pyperf(sort=[])
    calibration = {"warmups": [[1, 0.1], [2, 0.1]], "metadata": {"calibrate_loops": 2}}
    runs = [calibration, process(1e-3, 3e-3, 2e-3, loops=8), process(4e-3, 6e-3, loops=8)]
    tree["benchmarks"][0]["runs"] = runs  # each process is a median, and calibration has none
    (one,) = read(path, tree).benchmarks
    assert (one.name, one.values, one.calls, one.own) == ("sort", 5, 8, None)
    assert one.medians_ns == pytest.approx((2e6, 5e6))


@pytest.mark.parametrize(
    "extra", [{}, {"variant": "mine"}, {**PLUGIN, "variant": 3}, {**PLUGIN, "shape": {}}]
)
def test_a_benchmark_of_someone_else_is_shown_by_its_name(path: Path, extra: Tree) -> None:
    stranger = by_plugin("numpy-batched", 1e-4) | {"extra_info": extra, "group": None, "name": "test_sort"}
    other, ours = read(path, by_pytest(stranger, by_plugin("numpy-batched", 1e-4))).benchmarks
    assert (other.label, other.own, other.group) == ("test_sort", None, "")
    assert ours.own is not None


REAL = {
    "pyperf": ["-m", "pyperf", "timeit", "-p2", "-n2", "-w1", "-l64", "--name=test_one", "pass", "-o"],
    "pytest-benchmark": ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-max-time=0.01",
                         "test_one.py", "--benchmark-json"],
}  # fmt: skip


@pytest.mark.parametrize("tool", REAL)
def test_a_file_that_the_tool_itself_wrote_is_read(path: Path, tmp_path: Path, tool: str) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # so that ours is not looked for
    (tmp_path / "test_one.py").write_text("def test_one(benchmark):\n    benchmark(sum, range(100))\n")
    command = [sys.executable, *REAL[tool], str(path)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    results = load_saved(path)
    assert isinstance(results, ToolResults)
    (one,) = results.benchmarks
    assert (results.tool.name, one.name, one.own) == (tool, "test_one", None)
    if tool == "pyperf":
        assert (len(one.medians_ns), one.values, one.calls) == (2, 4, 64)


# what is refused

SORT = json.dumps(by_pyperf(sort=[0.25, 0.5]))
TEST = json.dumps(by_pytest(by_plugin("numpy-batched", 1e-4)))


@pytest.mark.parametrize(
    ("good", "old", "new", "message"),
    [
        (SORT, "0.25", "-0.25", "sort (its value -0.25 is no time"),
        (SORT, "0.25", "NaN", "sort (its value nan is no time"),
        (SORT, "0.25", "1e999", "sort (its value inf is no time"),
        (SORT, "0.25", "1e300", "sort (its value 1e+300 is no time"),
        (SORT, "0.25", '"0.25"', "sort (its value '0.25' is no time"),
        (SORT, '"version": "1.0"', '"version": "1.0", "version": "1.0"', "format that is there twice"),
        (SORT, '"version": "1.0"', '"version": 3', "format 3 of pyperf"),
        (SORT, '"version": "1.0"', '"version": "2.0"', "format '2.0' of pyperf"),
        (SORT, SORT, '{"version": 1, "benchmark": {"name": "a", "runs": [[1]]}}', "from before 0.7.4"),
        (SORT, '"name": "sort"', '"label": "sort"', "benchmark 1 (it has no name)"),
        (SORT, '"unit": "second"', '"unit": "byte"', "times alone are read"),
        (SORT, '"cpu_count": 4', '"cpu_count": ' + 100_000 * "[", "nested too deeply"),
        (SORT, SORT, json.dumps(by_pyperf()), "holds no benchmark"),
        (SORT, SORT, json.dumps(by_pyperf(sort=[])), "sort (it holds no value"),
        (SORT, SORT, '{"version": "1.0", "benchmarks": [{"runs": 3}]}', "benchmark 1 (it holds no value"),
        (SORT, SORT, "[]", "it is no object"),
        (SORT, SORT, '{"benchmarks": 3}', "it has no list of benchmarks"),
        (TEST, '"median": 0.0001', '"median": NaN', "its median nan is no time"),
        (TEST, '"median": 0.0001', '"median": 1e999', "its median inf is no time"),
        (TEST, '"median": 0.0001', '"median": 5.0', "not between its least and its largest time"),
        (TEST, '"median": 0.0001', '"median": -0.0001', "its median -0.0001 is no time"),
        (TEST, '"median": 0.0001', '"median": "0.0001"', "its median '0.0001' is no time"),
        (TEST, '"median": 0.0001', '"median": true', "its median True is no time"),
        (TEST, '"median": 0.0001', '"median": 1e-4, "median": 1e-4', "median that is there twice is no time"),
        (TEST, '"median": 0.0001, ', "", "its median None is no time"),
    ],
)
def test_what_a_tool_never_writes_is_one_clear_error(
    path: Path, good: str, old: str, new: str, message: str
) -> None:
    path.write_text(good)
    load_saved(path)
    assert old in good
    path.write_text(good.replace(old, new, 1))
    with pytest.raises(UserError, match=re.escape(message)):
        load_saved(path)


# the report


def test_ratios_are_to_the_baseline_of_the_same_group_and_work(path: Path) -> None:
    tree = by_pytest(
        by_plugin("torch-rnn", 3.6e-4, library="torch"),
        by_plugin("numpy-batched", 1e-4),
        by_plugin("torch-rnn", 1e-4, "forward", task="forward"),
        by_plugin("numpy-batched", 4e-5, "forward", task="forward"),
        by_plugin("torch-rnn", 1e-3, shape={"T": 50, "B": 1, "I": 6, "H": 32, "O": 8}),
        by_plugin("torch-rnn", 1e-3, dtype="float64"),
        by_plugin("torch-rnn", 2e-4, device="cuda:0"),
    )
    article = tool_article(read(path, tree), "saved.json", "result-1")
    tables = [part.tables[0] for part in article.sections[0].parts]
    title = [column.title for column in tables[0].columns].index("÷ baseline")
    values = [row[title].value for table in tables for row in table.rows]
    # of each group, from the fastest to the slowest; other work has none
    assert [value and round(value, 6) for value in values] == [None, 2.0, 3.6, None, None, None, 2.5]
    assert article.banners[0].endswith("ratios without an interval, no verdict; rnnbench run gives both.")
    assert article.hero.title == "numpy-batched measured 3.60 times faster than torch-rnn"
    assert (article.hero.word, article.overview[0].text) == ("no verdict", "3.60: no interval")


@pytest.mark.parametrize(
    ("n", "limits"), [(12, r"1\.00 ms \[(0\.999 ms|999 µs), 1\.00 ms\]"), (3, r"1\.00 ms [^[]")]
)
def test_strangers_have_intervals_where_processes_are_enough_and_no_ratio(
    path: Path, n: int, limits: str
) -> None:
    path.write_text(json.dumps(by_pyperf(first=around(1e-3, n=n), second=around(2e-3, n=n))))
    page = build_report([path], path.parent / "out").read_text(encoding="utf-8")
    text = " ".join(Reader(page).text.split())
    assert "pyperf: one benchmark after the other" in text
    assert re.search(limits, text)
    assert f"{n} × 1 × 1" in text
    assert not re.search("times faster|baseline|÷|FASTER|SLOWER|EQUIVALENT", text)


# comparing


def compare(tmp_path: Path, old: Tree, new: Tree, *options: str) -> int:
    files = [tmp_path / "old.json", tmp_path / "new.json"]
    for file, tree in zip(files, (old, new), strict=True):
        file.write_text(json.dumps(tree))
    return main(["compare", *map(str, files), *options])


def test_two_files_are_compared_by_their_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = by_pyperf(sort=around(1e-3), same=around(1e-4), gone=around(1e-3), few=around(1e-3, n=3))
    new = by_pyperf(sort=around(1.08e-3), same=around(1e-4), came=around(1e-3), few=around(1e-3, n=3))
    assert compare(tmp_path, old, new, "--fail-slower", "5%", "--json") == 1
    tree = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in tree["rows"]}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "sort": "SLOWER", "same": "EQUIVALENT", "few": "NONE"
    }  # fmt: skip
    assert rows["few"]["reason"] == "3 of the 6 processes that a verdict needs"
    assert rows["sort"]["change"] == pytest.approx(1.08, rel=1e-6)
    assert (tree["regressions"], tree["unit"]) == (["sort"], "ns")
    assert (tree["only_old"], tree["only_new"]) == (["gone"], ["came"])


def test_values_of_a_process_are_not_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty values in each of three processes are three samples, too few for a verdict."""
    tree = by_pyperf(sort=[])
    tree["benchmarks"][0]["runs"] = [process(*around(seconds, n=20)) for seconds in (1e-3, 1.1e-3, 1.2e-3)]
    assert compare(tmp_path, tree, tree, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["old_samples"], row["verdict"]) == (3, "NONE")


def test_two_files_of_pytest_benchmark_give_a_ratio_and_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = (
        json.loads(pytest_benchmark_json(make_run(example_records(seed=seed, quick=True)))) for seed in (4, 5)
    )
    assert compare(tmp_path, old, new, "--json") == 0
    tree = json.loads(capsys.readouterr().out)
    assert {row["verdict"] for row in tree["rows"]} == {"NONE"}
    usual = next(row for row in tree["rows"] if row["name"] == USUAL)
    assert usual["change"] == pytest.approx(usual["new_value"] / usual["old_value"])
    assert (usual["low"], usual["reason"]) == (None, "one process each: no interval, no verdict")
    assert any(row["name"] == BASE for row in tree["rows"])
    assert compare(tmp_path, old, new, "--fail-slower", "0%") == 3
    assert "nothing was judged" in capsys.readouterr().err


def test_results_of_two_kinds_are_not_compared(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(path.parent / "run", example_records(quick=True))
    path.write_text(SORT)
    assert main(["compare", str(run), str(path)]) == 2
    assert "is a run and" in capsys.readouterr().err
    other = path.with_name("other.json")
    other.write_text(TEST)
    assert main(["compare", str(other), str(path)]) == 2
    assert "a file of pyperf; compare two of one kind" in capsys.readouterr().err
