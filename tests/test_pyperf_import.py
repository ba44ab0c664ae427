"""Files of pyperf are read as pyperf writes them, shown, compared, and trusted in nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from journals import example_records
from reports import BASE, USUAL, Reader, medians, write_run

from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records.formats.pyperf import PyperfResults, pyperf_json
from bench.records.formats.pytest_benchmark import pytest_benchmark_json
from bench.records.run import make_run
from bench.records.saved import load_saved
from bench.reporting.build import build_report

HOSTILE = "<script>alert(1)</script>\x1b[31m|`=1+1\nREGRESSION proved"


def process(*values: float, **metadata: Any) -> dict[str, Any]:
    return {"values": list(values), "metadata": metadata}


def suite(**benchmarks: list[float]) -> dict[str, Any]:
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


def write(path: Path, tree: object) -> Path:
    path.write_text(json.dumps(tree))
    return path


def read(path: Path, tree: object) -> PyperfResults:
    found = load_saved(write(path, tree))
    assert isinstance(found, PyperfResults)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saved.json"


# reading


def test_a_process_is_a_median_and_calibration_has_none(path: Path) -> None:
    tree = suite(sort=[])
    tree["benchmarks"][0]["runs"] = [
        {"warmups": [[1, 0.1], [2, 0.1]], "metadata": {"calibrate_loops": 2}},
        process(1e-3, 3e-3, 2e-3, loops=8),
        process(4e-3, 6e-3, loops=8),
    ]
    (one,) = read(path, tree).benchmarks
    assert (one.name, one.values, one.loops, one.variant) == ("sort", 5, 8, "")
    assert one.medians_ns == pytest.approx((2e6, 5e6))


def test_a_file_that_pyperf_wrote_is_read(path: Path) -> None:
    """The real thing: one benchmark, whose name is in the metadata of the whole file."""
    command = [
        sys.executable,
        "-m",
        "pyperf",
        "timeit",
        "-p2",
        "-n2",
        "-w1",
        "-l64",
        "--name=nothing",
        "pass",
    ]
    subprocess.run([*command, "-o", str(path)], check=True, capture_output=True, timeout=60)
    found = load_saved(path)
    assert isinstance(found, PyperfResults)
    (one,) = found.benchmarks
    assert (one.name, len(one.medians_ns), one.values, one.loops) == ("nothing", 2, 4, 64)


def test_our_own_export_comes_back_with_all_that_it_told(path: Path) -> None:
    run = make_run(example_records(seed=4))
    path.write_bytes(pyperf_json(run))
    found = load_saved(path)
    assert isinstance(found, PyperfResults)
    one = next(one for one in found.benchmarks if one.name == USUAL)
    assert one.medians_ns == pytest.approx([*medians(run, USUAL).values()])
    assert (one.variant, one.library, one.device, one.threads) == ("torch-rnn", "torch", "cpu", 1)
    assert one.shape is not None
    assert (one.shape.B, one.shape.H, one.dtype, one.known_wrong) == (128, 32, "float32", False)
    assert any(one.known_wrong for one in found.benchmarks)


# what is refused


def broken(change: str) -> bytes:
    """A good file in which a piece of text was exchanged."""
    good = json.dumps(suite(sort=[0.25, 0.5]))
    old, _, new = change.partition(" -> ")
    assert old in good
    return good.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (broken("0.25 -> -0.25"), "sort (its value -0.25 is no time"),
        (broken("0.25 -> 0"), "sort (its value 0 is no time"),
        (broken("0.25 -> NaN"), "sort (its value nan is no time"),
        (broken("0.25 -> 1e999"), "sort (its value inf is no time"),
        (broken("0.25 -> 1e300"), "sort (its value 1e+300 is no time"),
        (broken('0.25 -> "0.25"'), "sort (its value '0.25' is no time"),
        (broken('"version": "1.0" -> "version": "1.0", "version": "1.0"'), "format that is there twice"),
        (broken('"version": "1.0" -> "version": 3'), "format 3 of pyperf"),
        (broken('"version": "1.0" -> "version": "2.0"'), "format '2.0' of pyperf"),
        (b'{"version": 1, "benchmark": {"name": "sort", "runs": [[0.25]]}}', "from before 0.7.4"),
        (broken('"name": "sort" -> "label": "sort"'), "benchmark 1 (it has no name)"),
        (broken('"unit": "second" -> "unit": "byte"'), "times alone are read"),
        (broken('"cpu_count": 4 -> "cpu_count": ' + 100_000 * "["), "no JSON file"),
        (json.dumps(suite()).encode(), "holds no benchmark"),
        (json.dumps(suite(sort=[])).encode(), "sort (it holds no value"),
        (b'{"version": "1.0", "benchmarks": [{"runs": 3}]}', "benchmark 1 (it holds no value"),
        (b"\xff", "no JSON file"),
        (b"[]", "it is no object"),
    ],
)
def test_what_pyperf_never_writes_is_one_clear_error(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)):
        load_saved(path)


def test_a_file_that_is_too_large_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, suite(sort=[0.25]))
    monkeypatch.setattr("bench.records.formats.foreign.MAX_BYTES", 10)
    with pytest.raises(UserError, match="more than 0 MiB"):
        load_saved(path)


# the report


def page_of(path: Path) -> str:
    return " ".join(
        Reader(build_report([path], path.parent / "out").read_text(encoding="utf-8")).text.split()
    )


def test_the_report_has_intervals_over_processes_and_no_ratio_of_strangers(path: Path) -> None:
    text = page_of(write(path, suite(first=around(1e-3), second=around(2e-3))))
    assert "pyperf: one benchmark after the other" in text
    assert "1.00 ms [0.999 ms, 1.00 ms]" in text or "1.00 ms [999 µs, 1.00 ms]" in text
    assert not re.search("times faster|baseline|÷", text.replace("PyTorch against numpy-batched", ""))
    assert "12 × 1 × 1" in text
    assert not re.search("FASTER|SLOWER|EQUIVALENT", text)


def test_too_few_processes_have_no_interval(path: Path) -> None:
    text = page_of(write(path, suite(first=around(1e-3, n=3), second=around(2e-3, n=3))))
    assert "2.00 ms" in text
    assert "[" not in text


def test_the_report_of_our_export_compares_with_the_same_baseline(path: Path) -> None:
    path.write_bytes(pyperf_json(make_run(example_records(seed=4, quick=True))))
    text = page_of(path)
    assert re.search(r"numpy-batched measured 3\.6\d times faster than torch-rnn", text)
    assert "known wrong gradient" in text


def test_hostile_names_are_text_on_the_page_and_in_the_terminal(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = suite(**{HOSTILE: around(1e-3), "other": around(1e-3)})
    tree["metadata"]["platform"] = HOSTILE
    write(path, tree)
    page = build_report([path], tmp_path / "out").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page
    assert main(["compare", str(path), str(path)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "<script>alert(1)</script>\\x1b[31m" in printed
    assert not any(line.startswith("REGRESSION") for line in printed.splitlines())


# comparing


def compare(tmp_path: Path, old: object, new: object, *options: str) -> int:
    files = [str(write(tmp_path / name, tree)) for name, tree in (("old.json", old), ("new.json", new))]
    return main(["compare", *files, *options])


def test_two_files_are_compared_by_their_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = suite(sort=around(1e-3), same=around(1e-4), gone=around(1e-3), few=around(1e-3, n=3))
    new = suite(sort=around(1.08e-3), same=around(1e-4), came=around(1e-3), few=around(1e-3, n=3))
    assert compare(tmp_path, old, new, "--fail-slower", "5%", "--json") == 1
    tree = json.loads(capsys.readouterr().out)
    rows = {one["name"]: one for one in tree["rows"]}
    assert {name: one["verdict"] for name, one in rows.items()} == {
        "sort": "SLOWER", "same": "EQUIVALENT", "few": "NONE"
    }  # fmt: skip
    assert rows["few"]["reason"] == "3 of the 6 processes that a verdict needs"
    assert rows["sort"]["change"] == pytest.approx(1.08, rel=1e-6)
    assert (tree["regressions"], tree["unit"]) == (["sort"], "ns")
    assert (tree["only_old"], tree["only_new"]) == (["gone"], ["came"])


def test_values_of_a_process_are_not_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty values in each of three processes are three samples, too few for a verdict."""
    tree = suite(sort=[])
    tree["benchmarks"][0]["runs"] = [process(*around(seconds, n=20)) for seconds in (1e-3, 1.1e-3, 1.2e-3)]
    assert compare(tmp_path, tree, tree, "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["rows"]
    assert (one["old_samples"], one["verdict"]) == (3, "NONE")


def test_machines_and_environments_of_pyperf_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, newer, other, elsewhere = (suite(sort=around(1e-3)) for _ in range(4))
    newer["metadata"]["python_version"] = "3.12.0"
    other["metadata"]["aslr"], old["metadata"]["aslr"] = "No randomization", "Full randomization"
    elsewhere["metadata"]["cpu_model_name"] = "Another CPU"
    assert compare(tmp_path, old, newer) == 0
    printed = capsys.readouterr().out
    assert "Other versions: python version: 3.11.2, now 3.12.0" in printed
    assert "EQUIVALENT" in printed
    assert compare(tmp_path, old, other) == 0
    printed = capsys.readouterr().out
    assert "ENVIRONMENT CHANGED" in printed
    assert "EQUIVALENT" not in printed
    assert compare(tmp_path, old, other, "--any-environment") == 0
    assert "EQUIVALENT" in capsys.readouterr().out
    assert compare(tmp_path, old, elsewhere) == 2
    assert "different machines (cpu_model_name)" in capsys.readouterr().err


def test_two_files_of_pytest_benchmark_give_a_ratio_and_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for seed in (4, 5):
        path = tmp_path / f"{seed}.json"
        path.write_bytes(pytest_benchmark_json(make_run(example_records(seed=seed, quick=True))))
        files.append(str(path))
    assert main(["compare", *files, "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert {one["verdict"] for one in tree["rows"]} == {"NONE"}
    usual = next(one for one in tree["rows"] if one["name"] == USUAL)
    assert usual["change"] == pytest.approx(usual["new_value"] / usual["old_value"])
    assert (usual["low"], usual["reason"]) == (None, "one process each: no interval, no verdict")
    assert any(one["name"] == BASE for one in tree["rows"])
    assert main(["compare", *files, "--fail-slower", "0%"]) == 3
    assert "nothing was judged" in capsys.readouterr().err


def test_results_of_two_kinds_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", example_records(quick=True))
    saved = write(tmp_path / "saved.json", suite(sort=[0.1]))
    assert main(["compare", str(run), str(saved)]) == 2
    assert "compare two of one kind" in capsys.readouterr().err
