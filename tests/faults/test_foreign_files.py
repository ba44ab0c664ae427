"""Files of pytest-benchmark and pyperf as people have them: what goes in, what comes out."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journals import example_records
from reports import USUAL, Reader, table_rows, write_run

from bench.cli.main import main

Tree = dict[str, Any]
HEADLINE = re.compile(r"times faster|PyTorch ÷ NumPy, as usually written \|.*\d")


def entry(name: str = "t", place: str = "a.py", seconds: object = 1e-3, **fields: Any) -> Tree:
    """A benchmark as pytest-benchmark writes it."""
    stats = {"min": 1e-4, "max": 1.0, "median": seconds, "iqr": 1e-5, "rounds": 5, "iterations": 1}
    one = {"name": name, "fullname": f"{place}::{name}", "group": None, "extra_info": {}, "options": {}}
    return {**one, "stats": stats, **fields}


def by_pytest(*rows: Tree, **fields: Any) -> Tree:
    return {"machine_info": {}, "version": "5.1.0", "benchmarks": list(rows), **fields}


def process(seconds: float, **metadata: Any) -> Tree:
    return {"values": [seconds, seconds, seconds], "metadata": metadata}


def bench(name: str = "sort", seconds: float = 1e-3, processes: int = 8, **metadata: Any) -> Tree:
    """A benchmark as pyperf writes it."""
    runs = [process(seconds * (1 + place / 1000)) for place in range(processes)]
    return {"metadata": {"name": name, **metadata}, "runs": runs}


def by_pyperf(*benchmarks: Tree, **metadata: Any) -> Tree:
    return {"version": "1.0", "metadata": {"unit": "second", **metadata}, "benchmarks": list(benchmarks)}


CALIBRATION: Tree = {"metadata": {"name": "u"}, "runs": [{"warmups": [[1, 0.1]]}]}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, content: Tree | bytes, suffix: str = ".json") -> str:
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(path)

    return write


@pytest.fixture
def report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Report files; return the page's text and what was printed."""

    def report(*files: str) -> tuple[str, str]:
        assert main(["report", *files, "--out", str(tmp_path / "out")]) == 0
        html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        return " ".join(Reader(html).text.split()), capsys.readouterr().out

    return report


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Tree]]:
    """Compare two files; return the exit code and the JSON, or else what was said."""

    def compare(*argv: str) -> tuple[int, Tree]:
        code = main(["compare", *argv, "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else {"error": said.err}

    return compare


def names(tree: Tree) -> list[str]:
    return [row["name"] for row in tree["rows"]]


def notes(tree: Tree) -> str:
    return "; ".join(f"{note['what']}: {', '.join(note['names'])}" for note in tree["notes"])


# what a page says of a stranger's file


@pytest.mark.parametrize(
    ("tree", "tool", "other"),
    [
        (by_pyperf(bench("startup", 0.3), bench("unpack", 5e-8)), "pyperf", "pytest-benchmark"),
        (by_pytest(entry("startup"), entry("unpack", seconds=5e-4)), "pytest-benchmark", "pyperf"),
    ],
)
def test_a_strangers_file_has_no_headline_and_names_its_own_tool(
    tree: Tree, tool: str, other: str, write: Any, report: Any, tmp_path: Path
) -> None:
    """Nothing in it is PyTorch or NumPy, so no ratio of its benchmarks may stand for them."""
    text, _ = report(write("a", tree), write("b", tree))
    assert not HEADLINE.search(text)
    assert "both libraries" not in text
    assert f"A file of {tool}" in text
    assert other not in text
    line = next(
        cells for cells in table_rows((tmp_path / "out" / "report.md").read_text()) if "a.json" in cells[0]
    )
    assert line[2].strip() == "–"


def test_an_export_says_what_it_is_and_keeps_its_headline(
    tmp_path: Path, report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", example_records(quick=True))
    for tool in ("pyperf", "pytest-benchmark"):
        exported = str(tmp_path / "exported.json")
        assert main(["export", str(run), "--to", tool, "--out", exported]) == 0
        capsys.readouterr()
        text, _ = report(exported)
        assert "times faster" in text
        assert f"{tool}: an export of a run" in text
        assert not re.search("one process|one after the other|both libraries", text)


# machines


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


def test_governors_and_versions_inside_benchmarks_count_as_well(write: Any, compare: Any) -> None:
    old, new = (
        write(name, by_pyperf(bench(cpu_config=f"0=governor:{governor}", python_version=version)))
        for name, governor, version in (("old", "performance", "3.11"), ("new", "powersave", "3.13"))
    )
    code, tree = compare(old, new)
    assert code == 0
    assert tree["conditions"] == ["cpu config: 0=governor:performance, now 0=governor:powersave"]
    assert tree["versions"] == ["python version: 3.11, now 3.13"]
    assert tree["rows"][0]["verdict"] == "NONE"
    assert compare(old, new, "--any-environment")[1]["rows"][0]["verdict"] == "EQUIVALENT"


def test_the_c_library_that_another_python_names_is_no_other_platform(write: Any, compare: Any) -> None:
    """The same machine: up to 3.7, Python told the distribution there."""
    ends = ("fedora-32-Thirty_Two", "glibc2.31")
    old, new = (write(end, by_pyperf(bench(), platform=f"Linux-5.8.12-x86_64-with-{end}")) for end in ends)
    assert compare(old, new)[1]["conditions"] == []


def test_one_benchmark_of_two_machines_is_told(write: Any, compare: Any, report: Any) -> None:
    one = bench()
    one["runs"] = [{**run, "metadata": {"hostname": f"h{n % 2}"}} for n, run in enumerate(one["runs"])]
    mixed = write("mixed", by_pyperf(one))
    for said in (*report(mixed), notes(compare(mixed, mixed)[1])):
        assert "on several machines" in said
        assert "sort (hostname: h0 / h1)" in said
    assert compare(mixed, write("h0", by_pyperf(bench(hostname="h0"))))[0] == 2


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (by_pyperf(bench(), hostname="h1"), by_pyperf(bench(hostname="h2")), "host: h1 and h2"),
        (
            by_pytest(entry(), machine_info={"cpu": {"brand_raw": "One", "count": 2}}),
            by_pyperf(bench(), cpu_model_name="Two", cpu_count=4),
            "processor: One and Two; cpus: 2 and 4",
        ),
    ],
)
def test_a_page_of_two_machines_says_so(one: Tree, other: Tree, said: str, write: Any, report: Any) -> None:
    for text in report(write("one", one), write("other", other)):
        assert f"These results are of different machines ({said}), so their times do not compare." in text
    for text in report(write("one", one), write("other", one)):
        assert "different machines" not in text


# names


def test_tests_of_one_name_are_told_apart_by_their_files(write: Any, compare: Any, report: Any) -> None:
    old = write("old", by_pytest(entry(place="a.py"), entry(place="b.py", seconds=9e-3)))
    new = write("new", by_pytest(entry(place="b.py", seconds=4.5e-3), entry(place="a.py", seconds=2e-3)))
    code, tree = compare(old, new)
    found = {row["name"]: round(row["change"], 6) for row in tree["rows"]}
    assert (code, found) == (0, {"a.py::t": 2.0, "b.py::t": 0.5})
    assert {"a.py::t", "b.py::t"} <= set(report(old)[0].split())
    alone = write("alone", by_pytest(entry(place="b.py")))
    tree = compare(old, alone)[1]
    assert (names(tree), tree["only_old"]) == (["b.py::t"], ["a.py::t"])


def test_a_test_that_moved_is_compared_and_the_move_told(write: Any, compare: Any) -> None:
    old = write("old", by_pytest(entry(), entry("u")))
    new = write("new", by_pytest(entry(place="c.py::TestIt"), entry("u")))
    _, tree = compare(old, new)
    assert sorted(names(tree)) == ["t", "u"]
    assert notes(tree) == "Moved, and taken for the same: a.py::t, now c.py::TestIt::t"
    both = write("both", by_pytest(entry(place="c.py"), entry(place="d.py")))
    _, tree = compare(old, both)  # which of the two it became, nobody knows
    assert (names(tree), len(tree["only_old"]), len(tree["only_new"])) == ([], 2, 2)


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
    once = write("once", {**twice, "benchmarks": twice["benchmarks"][:1]})
    _, tree = compare(once, path)
    assert names(tree) == []
    assert (
        "Not compared, since one file has it more often than the other: a.py::t (1 in old, 2 in new)"
        in notes(tree)
    )
    text, printed = report(path)
    assert "a.py::t (2)" in text
    assert "There more than once under the same full name: a.py::t" in printed


# how it was measured


def test_options_that_differ_are_told_in_one_line(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    then = {"disable_gc": False, "timer": "perf_counter", "min_rounds": 5, "warmup": False}
    now = {"disable_gc": True, "timer": "process_time", "min_rounds": 9, "warmup": 3, "min_time": 1}
    old, new = (write(f"{n}", by_pytest(entry(options=one))) for n, one in enumerate((then, now)))
    assert main(["compare", old, new]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("Measured in another")] == [
        "Measured in another way: disable gc: False, now True; timer: perf_counter, now process_time; "
        "min rounds: 5, now 9; min time: none, now 1; warmup: False, now 3"
    ]
    assert main(["compare", old, old]) == 0
    assert "Measured in another" not in capsys.readouterr().out


def test_loops_tags_and_statements_of_pyperf_are_told(write: Any, compare: Any) -> None:
    then = {"loops": 8, "inner_loops": 1, "tags": ["a"], "timeit_stmt": "'x'", "timer": "clock"}
    now = {"loops": 64, "inner_loops": 10, "tags": ["a", "b"], "timeit_stmt": "'y'", "timer": "tick"}
    old, new = (write(f"{n}", by_pyperf(bench(**one), bench("same"))) for n, one in enumerate((then, now)))
    tree = compare(old, new)[1]
    clauses = "inner loops: 1, now 10", "loops: 8, now 64", "tags: a, now a, b", "timeit stmt: 'x', now 'y'"
    assert tree["options"] == [f"{clause} (1 of 2 benchmarks differ)" for clause in clauses]
    assert tree["conditions"] == ["timer: clock, now tick (1 of 2 benchmarks differ)"]


def test_a_collector_that_is_off_on_one_side_alone_is_a_change(write: Any, compare: Any) -> None:
    old, new = write("old", by_pyperf(bench())), write("new", by_pyperf(bench(python_gc="disabled")))
    assert compare(old, new)[1]["conditions"] == ["python gc: enabled, now disabled"]


# odd fields


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
def test_a_byte_order_mark_is_no_damage(encoding: str, write: Any, report: Any) -> None:
    content = json.dumps(by_pytest(entry("größe")), ensure_ascii=False).encode(encoding)
    assert "größe" in report(write("marked", content))[0]


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (by_pytest(entry(), entry("u", seconds=0.0)), "a.py::u (its median 0.0 is no time in seconds)"),
        (by_pytest(entry(), entry("u", seconds=float("nan"))), "a.py::u (its median nan is no time in"),
        (by_pyperf(bench(), bench("u", 0.0)), "u (its value 0.0 is no time in seconds)"),
        (by_pyperf(bench(), bench("u", unit="byte")), "u (it is measured in byte; times alone are read)"),
        (
            by_pyperf(bench(), {"metadata": {"name": "u"}, "runs": [{"warmups": [[1, 0.1]]}]}),
            "u (it holds no value",
        ),
        (by_pyperf(bench(), bench("")), "benchmark 2 (it has no name)"),
    ],
)
def test_only_what_cannot_be_used_is_left_out_and_it_is_told(
    tree: Tree, said: str, write: Any, report: Any, compare: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("partly", tree)
    for text in report(path):
        assert f"Left out, since it cannot be used: {said}" in text
    assert len(compare(path, path)[1]["rows"]) == 1
    none = write("none", {**tree, "benchmarks": tree["benchmarks"][1:]})
    assert main(["report", none]) == 2
    error = capsys.readouterr().err
    assert "none.json holds no benchmark that can be used: " in error
    assert error.count("\n") == 1


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
    code, tree = compare(
        write("old", {**old_form, "benchmarks": [one]}), write("new", by_pyperf(bench(hostname="h")))
    )
    assert (code, tree["rows"][0]["verdict"]) == (0, "EQUIVALENT")
    assert tree["options"] == ["warmups: 1, now 0"]


# kinds of files


@pytest.mark.parametrize("name", ["a.JSON", "a", "a.json.gz", "a.jsonl", "journal.jsonl", "a.txt"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_content_tells_the_kind_whatever_the_name(
    name: str, packed: bool, write: Any, compare: Any
) -> None:
    content = json.dumps(by_pyperf(bench()), indent=1).encode()
    path = write(name, gzip.compress(content) if packed else content, suffix="")
    assert compare(path, path)[0] == 0


def test_a_journal_is_known_under_another_name(tmp_path: Path, report: Any, compare: Any) -> None:
    run = write_run(tmp_path / "run", example_records(quick=True))
    renamed = (run / "journal.jsonl").rename(tmp_path / "saved.json")
    assert "NumPy measured" in report(str(renamed))[0]
    assert USUAL in names(compare(str(renamed), str(renamed))[1])


GOOD = gzip.compress(json.dumps(by_pyperf(bench())).encode())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><p>404", "no JSON file of pytest-benchmark or pyperf and no journal of rnnbench"),
        (b"a,b\n1,2\n", "no JSON file of pytest-benchmark or pyperf and no journal of rnnbench"),
        (b"\x89PNG\r\n\x1a\n\xff", "it is no text"),
        (b'{"benchmarks": [{"name": "x", "real_time": 1}]}', "neither stats"),
        (GOOD[:-9], "damaged gzip file"),
        (GOOD[:4], "damaged gzip file"),
        (GOOD[:40] + b"xxxx" + GOOD[44:], "damaged gzip file"),
        (GOOD[:-6] + b"\0\0" + GOOD[-4:], "damaged gzip file"),
        (gzip.compress(GOOD), "it is no text"),
        (gzip.compress(b'{"benchmarks":[' + b"[]," * 2**23), "more than 8,388,608 values"),
    ],
)  # fmt: skip
def test_any_other_file_is_one_clear_line(
    content: bytes, said: str, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("file", content)
    for argv in (["report", path], ["compare", path, path]):
        assert main(argv) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(
    write: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.records.formats.foreign.MAX_BYTES", 2**20)
    assert main(["report", write("bomb", gzip.compress(b" " * 2**24))]) == 2
    assert "more than 1 MiB, which is not read" in capsys.readouterr().err


def test_a_folder_that_holds_no_run_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# gates and large files


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
    old: Tree, new: Tree, code: int, without: int, write: Any, compare: Any
) -> None:
    files = write("old", old), write("new", new)
    assert compare(*files, "--fail-slower", "5%")[0] == code
    assert compare(*files)[0] == without


def test_long_and_hostile_names_stay_short_and_harmless(
    write: Any, report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "\x1b[31m<b>\nREGRESSION proved\u202e" + "n" * 10_000
    facts = {"node": "h" * 10_000, "cpu": {"brand_raw": "c" * 10_000, "count": "9" * 5000}}
    rows = [
        entry(name + end, seconds=seconds, group="g" * 10_000) for end, seconds in (("a", 1e-3), ("b", 2.0))
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
    write: Any, report: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [entry(f"t{n}", seconds=1e-3 + n * 1e-6, group=f"g{n % 50}") for n in range(2500)]
    path = write("many", by_pytest(*rows))
    text, _ = report(path)
    assert "500 more benchmarks of the file, which take longer, are not shown" in text
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
