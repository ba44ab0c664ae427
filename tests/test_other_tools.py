"""Files of pyperf and pytest-benchmark as people have them: read, shown, compared, and trusted in nothing."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from declared import declare
from grids import run_of
from journals import example_records
from reports import BASE, USUAL, Reader, table_rows, write_run

from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records.formats.exports import pyperf_json, pytest_benchmark_json
from bench.records.formats.foreign import Own, ToolResults
from bench.records.run import Run, make_run
from bench.records.saved import load_saved
from bench.reporting.other_tools import tool_article
from bench.workload.case import Shape

Tree = dict[str, Any]
Capture = pytest.CaptureFixture[str]
HEADLINE = re.compile(r"times faster|PyTorch ÷ NumPy, as usually written \|.*\d")
SHAPE = {"T": 6, "B": 128, "I": 6, "H": 32, "O": 8}
PLUGIN = {
    "library": "numpy", "device": "cpu", "task": "train_step", "layout": "positional", "dtype": "float32",
    "shape": SHAPE, "threads": 1, "errors": {"update U": 2e-7}, "known_wrong": False,
}  # fmt: skip


def entry(name: str = "t", place: str = "a.py", seconds: object = 1e-3, **fields: Any) -> Tree:
    """A benchmark as pytest-benchmark writes it."""
    stats = {"min": 1e-5, "max": 1.0, "median": seconds, "iqr": 5e-6, "rounds": 9000, "iterations": 1}
    whole = {"name": name, "fullname": f"{place}::{name}", "group": None, "extra_info": {}, "options": {}}
    return {**whole, "stats": stats, **fields}


def by_plugin(variant: str, seconds: float, group: str = "train_step", **extra: Any) -> Tree:
    """A benchmark as ``pytest --benchmark`` writes it."""
    options = {"disable_gc": False, "timer": "perf_counter", "min_rounds": 5}
    info = {"variant": variant, **PLUGIN, **extra}
    return entry(f"test_wall_clock[{group}-{variant}-cpu]", seconds=seconds, group=group, extra_info=info,
                 options=options)  # fmt: skip


def by_pytest(*benchmarks: Tree, **fields: Any) -> Tree:
    return {"machine_info": {}, "version": "5.1.0", "benchmarks": list(benchmarks), **fields}


def process(*values: float, **metadata: Any) -> Tree:
    return {"values": list(values), "metadata": metadata}


def bench(name: str = "sort", seconds: float = 1e-3, processes: int = 8, **metadata: Any) -> Tree:
    """A benchmark as pyperf writes it."""
    runs = [process(*[seconds * (1 + place / 1000)] * 3) for place in range(processes)]
    return {"metadata": {"name": name, **metadata}, "runs": runs}


def by_pyperf(*benchmarks: Tree, **metadata: Any) -> Tree:
    return {"version": "1.0", "metadata": {"unit": "second", **metadata}, "benchmarks": list(benchmarks)}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, content: Tree | bytes, suffix: str = ".json") -> str:
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(path)

    return write


@pytest.fixture
def read(write: Any) -> Callable[[Tree | bytes], ToolResults]:
    def read(content: Tree | bytes) -> ToolResults:
        results = load_saved(Path(write("saved", content)))
        assert isinstance(results, ToolResults)
        return results

    return read


@pytest.fixture
def report(tmp_path: Path, capsys: Capture) -> Callable[..., tuple[str, str]]:
    """Report files; return the page's text and what was printed."""

    def report(*files: str) -> tuple[str, str]:
        assert main(["report", *files, "--out", str(tmp_path / "out")]) == 0
        html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        return " ".join(Reader(html).text.split()), capsys.readouterr().out

    return report


@pytest.fixture
def compare(capsys: Capture) -> Callable[..., tuple[int, Tree]]:
    """Compare two files; return the exit code and the JSON, or else what was said."""

    def compare(*argv: str) -> tuple[int, Tree]:
        code = main(["compare", *argv, "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else {"error": printed.err}

    return compare


def names(tree: Tree) -> list[str]:
    return [row["name"] for row in tree["rows"]]


def notes(tree: Tree) -> str:
    return "; ".join(f"{note['what']}: {', '.join(note['names'])}" for note in tree["notes"])


# reading


def test_seconds_become_nanoseconds_and_everything_that_is_told_is_kept(read: Any) -> None:
    results = read(by_pytest(by_plugin("numpy-batched", 1e-4), machine_info={"numpy": "2.4.6"}))
    assert (results.facts["numpy"], results.facts["version"]) == (("2.4.6",), ("5.1.0",))
    (one,) = results.benchmarks
    assert (*one.medians_ns, one.iqr_ns) == pytest.approx((1e5, 5e3))
    assert (one.values, one.calls, one.facts["timer"]) == (9000, 1, ("perf_counter",))
    work, errors = "train_step · positional · float32", {"update U": 2e-7}
    shape = Shape(6, 128, 6, 32, 8)
    assert one.own == Own("numpy-batched", "numpy", "cpu", 1, "float32", work, shape, errors=errors)


def test_a_process_is_a_median_and_calibration_has_none(read: Any) -> None:
    tree = by_pyperf(bench(processes=0))
    tree["benchmarks"][0]["runs"] = [
        {"warmups": [[1, 0.1], [2, 0.1]], "metadata": {"calibrate_loops": 2}},
        process(1e-3, 3e-3, 2e-3, loops=8),
        process(4e-3, 6e-3, loops=8),
    ]
    (one,) = read(tree).benchmarks
    assert (one.name, one.values, one.calls, one.own) == ("sort", 5, 8, None)
    assert one.medians_ns == pytest.approx((2e6, 5e6))


@pytest.mark.parametrize(
    "extra", [{}, {"variant": "mine"}, {**PLUGIN, "variant": 3}, {**PLUGIN, "shape": {}}]
)
def test_a_benchmark_of_someone_else_is_shown_by_its_name(read: Any, extra: Tree) -> None:
    other, ours = read(by_pytest(entry(extra_info=extra), by_plugin("numpy-batched", 1e-4))).benchmarks
    assert (other.label, other.own, other.group) == ("t", None, "")
    assert ours.own is not None


REAL = {
    "pyperf": ["-m", "pyperf", "timeit", "-p2", "-n2", "-w1", "-l64", "--name=test_one", "pass", "-o"],
    "pytest-benchmark": ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-max-time=0.01",
                         "test_one.py", "--benchmark-json"],
}  # fmt: skip


@pytest.mark.parametrize("tool", REAL)
def test_a_file_that_the_tool_itself_wrote_is_read(tmp_path: Path, tool: str) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # so that ours is not looked for
    (tmp_path / "test_one.py").write_text("def test_one(benchmark):\n    benchmark(sum, range(100))\n")
    command = [sys.executable, *REAL[tool], str(tmp_path / "saved")]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    results = load_saved(tmp_path / "saved")
    assert isinstance(results, ToolResults)
    (one,) = results.benchmarks
    assert (results.tool.name, one.name, one.own) == (tool, "test_one", None)
    if tool == "pyperf":
        assert (len(one.medians_ns), one.values, one.calls) == (2, 4, 64)


@pytest.mark.parametrize(
    "row",
    [
        entry(stats={"median": 1e-3, "min": 0.0, "max": float("inf"), "iqr": float("nan"), "rounds": 0}),
        entry(extra_info={"loss": float("nan"), "more": {"x": [float("-inf")]}}),
        entry(extra_info=None, options=None, params=[[]], group=3, more=10**400),
        entry(params=json.loads(40 * "[" + 40 * "]"), extra_info={"rounds": 2**70}),
        {"fullname": "t", "stats": {"median": 1e-3}},
    ],
)
def test_an_odd_field_that_is_not_used_does_no_harm(row: Tree, write: Any, report: Any) -> None:
    text, printed = report(write("odd", by_pytest(row, machine_info=None, version=None)))
    assert "1.00 ms" in text
    assert "Left out" not in text + printed


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_damage(encoding: str, read: Any) -> None:
    content = json.dumps(by_pytest(entry("größe")), ensure_ascii=False).encode(encoding)
    assert read(content).benchmarks[0].label == "größe"


@pytest.mark.parametrize(
    "old_form",
    [
        {"version": 6, "metadata": {"hostname": "h"}},
        {"version": None, "more": 1},
        {"version": 5, "inner": "common_metadata", "values": "samples"},
        {"version": 4, "inner": "common_metadata", "values": "samples"},
    ],
)
def test_older_formats_of_pyperf_are_read(old_form: Tree, write: Any, compare: Any) -> None:
    one = bench(hostname="h")
    one[old_form.pop("inner", "metadata")] = one.pop("metadata")
    values = old_form.pop("values", "values")
    one["runs"] = [{values: run["values"], "warmups": [[8, 0.2]]} for run in one["runs"]]
    old, new = write("old", {**old_form, "benchmarks": [one]}), write("new", by_pyperf(bench(hostname="h")))
    code, tree = compare(old, new)
    assert (code, tree["rows"][0]["verdict"]) == (0, "EQUIVALENT")
    assert tree["options"] == ["warmups: 1, now 0"]


@pytest.mark.parametrize("name", ["a.JSON", "a", "a.json.gz", "a.jsonl", "journal.jsonl", "a.txt"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_content_tells_the_kind_whatever_the_name(name: str, packed: bool, write: Any) -> None:
    content = json.dumps(by_pyperf(bench()), indent=1).encode()
    path = write(name, gzip.compress(content) if packed else content, suffix="")
    assert isinstance(load_saved(Path(path)), ToolResults)


def test_a_journal_is_known_under_another_name(tmp_path: Path, report: Any, compare: Any) -> None:
    run = write_run(tmp_path / "run", example_records(quick=True))
    renamed = (run / "journal.jsonl").rename(tmp_path / "saved.json")
    assert "NumPy measured" in report(str(renamed))[0]
    other = write_run(tmp_path / "other", example_records(seed=2, quick=True))
    assert USUAL in names(compare(str(renamed), str(other))[1])


# what is refused

SORT = json.dumps(by_pyperf(bench(seconds=0.25, processes=1), cpu_count=4))
TEST = json.dumps(by_pytest(entry(seconds=0.5)))
GOOD = gzip.compress(SORT.encode())
MEDIAN = '"median": 0.5'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SORT.replace("0.25", "-0.25"), "sort (its value -0.25 is no time"),
        (SORT.replace("0.25", "NaN"), "sort (its value nan is no time"),
        (SORT.replace("0.25", "1e999"), "sort (its value inf is no time"),
        (SORT.replace("0.25", "1e300"), "sort (its value 1e+300 is no time"),
        (SORT.replace("0.25", '"0.25"'), "sort (its value '0.25' is no time"),
        (SORT.replace('"1.0"', '"1.0", "version": "1.0"'), "field `version` is there twice"),
        (SORT.replace('"1.0"', "3"), "format 3 of pyperf"),
        (SORT.replace('"1.0"', '"2.0"'), "format '2.0' of pyperf"),
        ('{"version": 1, "benchmark": {"name": "a", "runs": [[1]]}}', "from before 0.7.4"),
        (SORT.replace('"name"', '"label"'), "benchmark 1 (it has no name)"),
        (SORT.replace('"second"', '"byte"'), "sort (it is measured in byte; times alone are read)"),
        (SORT.replace(": 4", ": " + 100_000 * "["), "nested too deeply"),
        (json.dumps(by_pyperf()), "holds no benchmark"),
        (json.dumps(by_pyperf(bench(processes=0))), "sort (it holds no value"),
        ('{"version": "1.0", "benchmarks": [{"runs": 3}]}', "benchmark 1 (it holds no value"),
        ("[]", "it is no object"),
        ('{"benchmarks": 3}', "it has no list of benchmarks"),
        (TEST.replace(MEDIAN, '"median": NaN'), "its median nan is no time"),
        (TEST.replace(MEDIAN, '"median": 1e999'), "its median inf is no time"),
        (TEST.replace(MEDIAN, '"median": 5.0'), "not between its least and its largest time"),
        (TEST.replace(MEDIAN, '"median": 0.0'), "its median 0.0 is no time"),
        (TEST.replace(MEDIAN, '"median": -0.5'), "its median -0.5 is no time"),
        (TEST.replace(MEDIAN, '"median": "0.5"'), "its median '0.5' is no time"),
        (TEST.replace(MEDIAN, '"median": true'), "its median True is no time"),
        (TEST.replace(MEDIAN, f"{MEDIAN}, {MEDIAN}"), "field `median` is there twice"),
        (TEST.replace(f"{MEDIAN}, ", ""), "its median None is no time"),
        (b"", "it is empty"),
        ("<!DOCTYPE html><p>404", "no JSON file of pytest-benchmark or pyperf and no journal of rnnbench"),
        ("a,b\n1,2\n", "no JSON file of pytest-benchmark or pyperf and no journal of rnnbench"),
        (b"\x89PNG\r\n\x1a\n\xff", "it is no text"),
        ('{"benchmarks": [{"name": "x", "real_time": 1}]}', "neither stats"),
        (GOOD[:-9], "damaged gzip file"),
        (GOOD[:4], "damaged gzip file"),
        (GOOD[:40] + b"xxxx" + GOOD[44:], "damaged gzip file"),
        (GOOD[:-6] + b"\0\0" + GOOD[-4:], "damaged gzip file"),
        (gzip.compress(GOOD, mtime=0), "it is no text"),
        (gzip.compress(b'{"benchmarks":[' + b"[]," * 2**23, mtime=0), "more than 8,388,608 values"),
        (gzip.compress(b'{"seal":"', mtime=0), "is a packed journal; unpack it first"),
    ],
)  # fmt: skip
def test_what_a_tool_never_writes_is_one_clear_error(content: str | bytes, message: str, read: Any) -> None:
    assert content not in (SORT, TEST)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read(content if isinstance(content, bytes) else content.encode())
    assert "\n" not in str(caught.value)


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.records.formats.foreign.MAX_BYTES", 2**20)
    with pytest.raises(UserError, match="more than 1 MiB, which is not read"):
        read(gzip.compress(b" " * 2**24))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (by_pytest(entry(), entry("u", seconds=0.0)), "a.py::u (its median 0.0 is no time in seconds)"),
        (by_pyperf(bench(), bench("")), "benchmark 2 (it has no name)"),
    ],
)
def test_only_what_cannot_be_used_is_left_out_and_it_is_told(
    tree: Tree, message: str, write: Any, report: Any, compare: Any
) -> None:
    path = write("partly", tree)
    for text in report(path):
        assert f"Left out, since it cannot be used: {message}" in text
    assert len(compare(path, path)[1]["rows"]) == 1


def test_results_of_two_kinds_or_of_none_are_not_compared(tmp_path: Path, write: Any, compare: Any) -> None:
    run = str(write_run(tmp_path / "run", example_records(quick=True)))
    one, other = write("one", by_pyperf(bench())), write("other", by_pytest(entry()))
    for files, message in (
        ((run, one), "is a run and"),
        ((other, one), "a file of pyperf; compare two of one kind"),
        ((str(tmp_path), one), "cannot read"),
    ):
        code, tree = compare(*files)
        assert code == 2
        assert message in tree["error"]
        assert tree["error"].count("\n") == 1


# what a page says


@pytest.mark.parametrize(
    ("tree", "tool", "other"),
    [
        (by_pyperf(bench("startup", 0.3), bench("unpack", 5e-8)), "pyperf", "pytest-benchmark"),
        (by_pytest(entry("startup"), entry("unpack", seconds=5e-4)), "pytest-benchmark", "pyperf"),
        # half a character, shown as its code
        (by_pytest(entry(group="g\ud800\ufeff"), entry("u")), "pytest-benchmark", "\ufeff"),
    ],
)
def test_a_strangers_file_has_no_headline_and_names_its_own_tool(
    tree: Tree, tool: str, other: str, write: Any, report: Any, tmp_path: Path
) -> None:
    """Nothing in it is PyTorch or NumPy, so no ratio of its benchmarks may stand for them."""
    text, printed = report(write("a", tree), write("b", tree))
    markdown = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert not HEADLINE.search(text)
    assert "both libraries" not in text
    assert f"A file of {tool}" in text
    assert "NumPy or PyTorch for this recurrent net?" in text
    assert other not in text + markdown
    assert "the verdict is PyTorch's" not in text + markdown
    line = next(cells for cells in table_rows(markdown) if "a.json" in cells[0])
    assert line[2].strip() == "–"
    assert "estimated from" not in printed


def test_an_export_says_what_it_is_and_keeps_its_headline(write: Any, report: Any) -> None:
    run = make_run(example_records(seed=4, quick=True))
    for tool, export in (("pyperf", pyperf_json), ("pytest-benchmark", pytest_benchmark_json)):
        text, _ = report(write("exported", export(run)))
        assert re.search(r"numpy-batched measured 3\.6\d times faster than torch-layer", text)
        assert "known wrong gradient" in text
        assert f"{tool}: an export of a run" in text
        assert not re.search("one process|one after the other|both libraries", text)


def test_ratios_are_to_the_baseline_of_the_same_group_and_work(read: Any) -> None:
    tree = by_pytest(
        by_plugin("torch-layer", 3.6e-4, library="torch"),
        by_plugin("numpy-batched", 1e-4),
        by_plugin("torch-layer", 1e-4, "forward", task="forward"),
        by_plugin("numpy-batched", 4e-5, "forward", task="forward"),
        by_plugin("torch-layer", 1e-3, shape=SHAPE | {"T": 50}),
        by_plugin("torch-layer", 1e-3, dtype="float64"),
        by_plugin("torch-layer", 2e-4, device="cuda:0"),
    )
    article = tool_article(read(tree), "saved.json", "result-1")
    title = [column.title for column in article.sections[0].parts[0].tables[0].columns].index("÷ baseline")
    cells = [row[title] for part in article.sections[0].parts for row in part.tables[0].rows]
    # of each group, from the fastest to the slowest; other work has none
    assert [cell.value and round(cell.value, 6) for cell in cells] == [None, 2.0, 3.6, None, None, None, 2.5]
    assert article.banners[0].endswith("ratios without an interval, no verdict; rnnbench run gives both.")
    assert article.hero.title == "numpy-batched measured 3.60 times faster than torch-layer"
    assert (article.hero.word, article.overview[0].text) == ("no verdict", "3.60: no interval")


def test_the_report_has_intervals_over_processes_and_no_ratio_of_strangers(write: Any, report: Any) -> None:
    text, _ = report(write("many", by_pyperf(bench("first", 1e-3, 12), bench("second", 2e-3, 12))))
    assert "pyperf: one benchmark after the other" in text
    assert "[1.00 ms, 1.01 ms]" in text
    assert not re.search("times faster|baseline|÷", text.replace("PyTorch against numpy-batched", ""))
    assert "12 × 3 × 1" in text
    assert not re.search("FASTER|SLOWER|EQUIVALENT", text)
    text, _ = report(write("few", by_pyperf(bench("first", 1e-3, 3), bench("second", 2e-3, 3))))
    assert "2.00 ms" in text
    assert "[" not in text  # too few processes have no interval


# machines, and how it was measured


@pytest.mark.parametrize("place", ["benchmark", "run"])
@pytest.mark.parametrize("fact", ["hostname", "cpu_model_name", "cpu_count"])
def test_machines_are_told_apart_wherever_pyperf_tells_of_them(
    place: str, fact: str, write: Any, compare: Any
) -> None:
    def of(value: str) -> str:
        one = bench(**{fact: value}) if place == "benchmark" else bench()
        if place == "run":
            one["runs"] = [{**run, "metadata": {fact: value}} for run in one["runs"]]
        return str(write(value, by_pyperf(one)))

    code, tree = compare(of("1"), of("2"))
    assert code == 2
    assert f"different machines ({fact})" in tree["error"]
    assert compare(of("1"), of("2"), "--any-machine")[1]["machines"] == [fact]
    assert compare(of("1"), of("1"))[0] == 0


OPTIONS = {"disable_gc": False, "timer": "perf_counter", "min_rounds": 5, "warmup": False}
LOOPS = {"loops": 8, "inner_loops": 1, "tags": ["a"], "timeit_stmt": "'x'", "timer": "clock"}
MORE = {"loops": 64, "inner_loops": 10, "tags": ["a", "b"], "timeit_stmt": "'y'", "timer": "tick"}
GOVERNED = {"cpu_config": "0=governor:performance", "python_version": "3.11"}
PLATFORM = "Linux-5.8.12-x86_64-with-"
SOME = " (1 of 2 benchmarks differ)"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (by_pyperf(bench(**GOVERNED)),
         by_pyperf(bench(cpu_config="0=governor:powersave", python_version="3.13")),
         {"conditions": ["cpu config: 0=governor:performance, now 0=governor:powersave"],
          "versions": ["python version: 3.11, now 3.13"]}),
        # the same machine: up to 3.7, Python told the distribution there
        (by_pyperf(bench(), platform=f"{PLATFORM}fedora-32-Thirty_Two"),
         by_pyperf(bench(), platform=f"{PLATFORM}glibc2.31"), {}),
        (by_pyperf(bench(**LOOPS), bench("same")), by_pyperf(bench(**MORE), bench("same")),
         {"conditions": [f"timer: clock, now tick{SOME}"],
          "options": [f"inner loops: 1, now 10{SOME}", f"loops: 8, now 64{SOME}",
                      f"tags: a, now a, b{SOME}", f"timeit stmt: 'x', now 'y'{SOME}"]}),
        (by_pyperf(bench()), by_pyperf(bench(python_gc="disabled")),
         {"conditions": ["python gc: enabled, now disabled"]}),
        (by_pytest(entry(options=OPTIONS)),
         by_pytest(entry(options={"disable_gc": True, "timer": "process_time", "min_time": 1})),
         {"options": ["disable gc: False, now True", "timer: perf_counter, now process_time",
                      "min rounds: 5, now none", "min time: none, now 1", "warmup: False, now none"]}),
    ],
)  # fmt: skip
def test_what_was_measured_in_another_way_or_environment_is_told(
    old: Tree, new: Tree, told: Tree, write: Any, compare: Any, capsys: Capture
) -> None:
    files = write("old", old), write("new", new)
    code, tree = compare(*files)
    assert code == 0
    assert {name: tree[name] for name in ("conditions", "versions", "options") if tree[name]} == told
    words = {row["verdict"] for row in tree["rows"]}
    if "conditions" in told:
        assert words == {"NONE"}
        words = {row["verdict"] for row in compare(*files, "--any-environment")[1]["rows"]}
    assert words == ({"NONE"} if "stats" in old["benchmarks"][0] else {"EQUIVALENT"})
    main(["compare", *files])
    assert ("Measured in another way: " in capsys.readouterr().out) == ("options" in told)


def test_one_benchmark_of_two_machines_is_told(write: Any, compare: Any, report: Any) -> None:
    one = bench()
    one["runs"] = [{**run, "metadata": {"hostname": f"h{n % 2}"}} for n, run in enumerate(one["runs"])]
    mixed = write("mixed", by_pyperf(one))
    for text in (*report(mixed), notes(compare(mixed, mixed)[1])):
        assert "on several machines" in text
        assert "sort (hostname: h0 / h1)" in text
    assert compare(mixed, write("h0", by_pyperf(bench(hostname="h0"))))[0] == 2


@pytest.mark.parametrize(
    ("one", "other", "different"),
    [
        (by_pyperf(bench(), hostname="h1"), by_pyperf(bench(hostname="h2")), "host: h1 and h2"),
        (
            by_pytest(entry(), machine_info={"cpu": {"brand_raw": "One", "count": 2}}),
            by_pyperf(bench(), cpu_model_name="Two", cpu_count=4),
            "processor: One and Two; cpus: 2 and 4",
        ),
    ],
)
def test_a_page_of_two_machines_says_so(
    one: Tree, other: Tree, different: str, write: Any, report: Any
) -> None:
    told = f"These results are of different machines ({different}), so their times do not compare."
    for text in report(write("one", one), write("other", other)):
        assert told in text
    for text in report(write("other", one), write("one", one)):
        assert "different machines" not in text


# names


def test_tests_of_one_name_are_told_apart_by_their_files(write: Any, compare: Any, report: Any) -> None:
    old = write("old", by_pytest(entry(place="a.py"), entry(place="b.py", seconds=9e-3)))
    new = write("new", by_pytest(entry(place="b.py", seconds=4.5e-3), entry(place="a.py", seconds=2e-3)))
    code, tree = compare(old, new)
    changes = {row["name"]: round(row["change"], 6) for row in tree["rows"]}
    assert (code, changes) == (0, {"a.py::t": 2.0, "b.py::t": 0.5})
    assert {"a.py::t", "b.py::t"} <= set(report(old)[0].split())
    tree = compare(old, write("alone", by_pytest(entry(place="b.py"))))[1]
    assert (names(tree), tree["only_old"]) == (["b.py::t"], ["a.py::t"])


def test_a_test_that_moved_is_compared_and_the_move_told(write: Any, compare: Any) -> None:
    old = write("old", by_pytest(entry(), entry("u")))
    _, tree = compare(old, write("new", by_pytest(entry(place="c.py::TestIt"), entry("u"))))
    assert sorted(names(tree)) == ["t", "u"]
    assert notes(tree) == "Moved, and taken for the same: a.py::t, now c.py::TestIt::t"
    both = write("both", by_pytest(entry(place="c.py"), entry(place="d.py")))
    _, tree = compare(old, both)  # which of the two it became, nobody knows
    assert (names(tree), len(tree["only_old"]), len(tree["only_new"])) == ([], 2, 2)


def by_plugin_of_gru(run: Run) -> bytes:
    """A file of the plugin, which times a GRU with the biases of the run."""
    bias = run.plan.groups[0].entries[0].case.bias
    return json.dumps(by_pytest(by_plugin("numpy-loop", 1e-3, cell="gru", bias=bias))).encode()


@pytest.mark.parametrize("export", [by_plugin_of_gru, pyperf_json, pytest_benchmark_json])
def test_benchmarks_of_one_name_and_other_work_are_not_compared(
    export: Callable[[Run], bytes], write: Any, compare: Any
) -> None:
    plans = [declare(cell="gru", bias=bias, task=("train_step",)) for bias in (True, False)]
    runs = [run_of(plan, lambda arm, case: 1e5) for plan in plans]
    paths = [write(str(n), export(run)) for n, run in enumerate(runs)]
    _, tree = compare(*paths)
    assert names(tree) == []
    told = r"since the work differs: .* \(gru · train_step · .*bias.*, now gru · train_step · [^)]*"
    assert re.search(told, notes(tree))
    assert names(compare(paths[0], paths[0])[1])


@pytest.mark.parametrize(
    "twice",
    [by_pytest(entry(), entry(seconds=5e-3)), by_pyperf(bench("a.py::t"), bench("a.py::t", 5e-3))],
)
def test_a_benchmark_that_is_there_twice_is_shown_twice_and_told(
    twice: Tree, write: Any, compare: Any, report: Any
) -> None:
    path = write("twice", twice)
    _, tree = compare(path, path)
    assert names(tree) == ["a.py::t", "a.py::t (2)"]
    assert [row["old_value"] for row in tree["rows"]] == pytest.approx([1e6, 5e6], rel=0.01)
    assert notes(tree) == "Several times in each file, and paired in their order: a.py::t"
    _, tree = compare(write("once", {**twice, "benchmarks": twice["benchmarks"][:1]}), path)
    more = "Not compared, since one file has it more often than the other: a.py::t (1 in old, 2 in new)"
    assert (names(tree), more in notes(tree)) == ([], True)
    text, printed = report(path)
    assert "a.py::t (2)" in text
    assert "There more than once under the same full name: a.py::t" in printed


# comparing


def test_two_files_are_compared_by_their_processes(write: Any, compare: Any) -> None:
    same, few = bench("same", 1e-4, 12), bench("few", processes=3)
    old = write("old", by_pyperf(bench(processes=12), same, few, bench("gone")))
    new = write("new", by_pyperf(bench(seconds=1.08e-3, processes=12), same, few, bench("came")))
    code, tree = compare(old, new, "--fail-slower", "5%")
    assert code == 1
    rows = {row["name"]: row for row in tree["rows"]}
    words = {name: row["verdict"] for name, row in rows.items()}
    assert words == {"sort": "SLOWER", "same": "EQUIVALENT", "few": "NONE"}
    # three values in each of three processes are three samples
    assert rows["few"]["reason"] == "3 of the 6 processes that a verdict needs"
    assert rows["few"]["old_samples"] == 3
    assert rows["sort"]["change"] == pytest.approx(1.08, rel=1e-6)
    assert (tree["regressions"], tree["unit"]) == (["sort"], "ns")
    assert (tree["only_old"], tree["only_new"]) == (["gone"], ["came"])


def test_two_files_of_pytest_benchmark_give_a_ratio_and_no_verdict(write: Any, compare: Any) -> None:
    old, new = (
        write(str(seed), pytest_benchmark_json(make_run(example_records(seed=seed, quick=True))))
        for seed in (4, 5)
    )
    code, tree = compare(old, new)
    assert (code, {row["verdict"] for row in tree["rows"]}) == (0, {"NONE"})
    usual = next(row for row in tree["rows"] if row["name"] == USUAL)
    assert usual["change"] == pytest.approx(usual["new_value"] / usual["old_value"])
    assert (usual["low"], usual["reason"]) == (None, "one process each: no interval, no verdict")
    assert BASE in names(tree)


@pytest.mark.parametrize(
    ("old", "new", "code", "without"),
    [
        (by_pytest(entry()), by_pytest(entry(seconds=0.5)), 3, 0),
        (by_pyperf(bench()), by_pyperf(bench("other")), 3, 3),
        (by_pyperf(bench(processes=3)), by_pyperf(bench(processes=3)), 3, 0),
        (by_pyperf(bench(), aslr="on"), by_pyperf(bench(), aslr="off"), 3, 0),
        (by_pyperf(bench()), by_pyperf(bench()), 0, 0),
        (by_pyperf(bench()), by_pyperf(bench(seconds=2e-3)), 1, 0),
    ],
)
def test_a_gate_is_green_only_where_something_was_judged(
    old: Tree, new: Tree, code: int, without: int, write: Any, capsys: Capture
) -> None:
    files = ["compare", write("old", old), write("new", new)]
    assert main([*files, "--fail-slower", "5%"]) == code
    assert ("nothing was judged" in capsys.readouterr().err) == (code == 3)
    assert main(files) == without


# large files


def test_long_and_hostile_names_stay_short_and_harmless(write: Any, report: Any, capsys: Capture) -> None:
    name = "\x1b[31m<b>\nREGRESSION proved\u202e" + "n" * 10_000
    facts = {"node": "h" * 10_000, "cpu": {"brand_raw": "c" * 10_000, "count": "9" * 5000}}
    rows = [
        entry(name + end, seconds=seconds, group="g" * 10_000) for end, seconds in (("a", 1e-3), ("b", 1))
    ]
    path = write("long", by_pytest(*rows, machine_info=facts))
    text, _ = report(path)
    assert main(["compare", path, path]) == 0
    printed = capsys.readouterr().out
    for shown in (text, printed):
        assert "n" * 200 not in shown
        assert "\x1b" not in shown
    assert not any(line.startswith("REGRESSION") for line in printed.splitlines())


def test_a_file_of_thousands_stays_a_page_of_few(
    write: Any, report: Any, tmp_path: Path, capsys: Capture
) -> None:
    rows = [entry(f"t{n}", seconds=1e-3 + n * 1e-6, group=f"g{n % 50}") for n in range(2500)]
    path = write("many", by_pytest(*rows))
    assert "500 more benchmarks of the file, which take longer, are not shown" in report(path)[0]
    assert not list((tmp_path / "out" / "plots").iterdir())
    assert main(["compare", path, path]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) < 250
    assert re.search(r"Not in the table, which has 200 rows at most: 2.300 more", printed)


def test_very_many_processes_are_told_and_not_judged(write: Any, report: Any, compare: Any) -> None:
    path = write("processes", by_pyperf(bench(processes=2500)))
    assert "2 500 × 3 × 1" in report(path)[0]
    code, tree = compare(path, path, "--fail-slower", "5%")
    assert code == 3
    assert tree["rows"][0]["reason"] == "2500 and 2500 processes are too many for the exact test"
