"""``rnnbench export``: pyperf and pytest-benchmark read what is written, with their own command lines."""

import csv
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from journals import example_records
from msgspec.structs import replace
from pytest_benchmark.stats import Stats
from reports import BASE, BEST_TORCH, USUAL, around, medians, with_ratios, write_run
from small_journal import on, small_records

from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records.formats.exports import pyperf_json, pytest_benchmark_json
from bench.records.formats.foreign import ToolResults, fact_text
from bench.records.journal import load_run
from bench.records.record import AnyRecord, Burst, Entry, Plan
from bench.records.run import make_run
from bench.records.saved import load_saved
from bench.workload.case import Shape

HOSTILE = "=cmd\x1b[31m\n<script>\u202e|"
PUBLISHED = "numpy-published"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs and their exports for every tool; in the second one torch-layer takes longer."""
    made = tmp_path_factory.mktemp("exports")
    for name, ratio in (("a", 3.6), ("b", 4.5)):
        records = with_ratios(example_records(seed=4, quick=True), {USUAL: around(ratio)})
        run = write_run(made / name, records)
        for tool in ("pyperf", "pytest-benchmark", "csv"):
            assert main(["export", str(run), "--to", tool]) == 0
    return made


def tool(folder: Path, *command: str) -> str:
    """What a tool prints; it must not complain."""
    child = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert child.returncode == 0, child.stdout + child.stderr
    assert "Traceback" not in child.stderr
    return child.stdout


def hostile_records() -> list[AnyRecord]:
    """A run whose variant, group and host are named by somebody who means no good."""
    records = []
    for record in small_records():
        if isinstance(record, Plan):
            group = record.groups[0]
            entries = [renamed(entry) for entry in group.entries]
            arms = [replace(arm, variant=arm.variant + HOSTILE) for arm in record.arms]
            record = replace(record, arms=arms, groups=[replace(group, entries=entries)])
        elif isinstance(record, Burst):
            record = replace(record, entry=record.entry + HOSTILE)
        records.append(record)
    records[1] = on({"processor": HOSTILE, "host_name": HOSTILE, "python": HOSTILE})
    return records


def renamed(entry: Entry) -> Entry:
    baseline = None if entry.baseline is None else entry.baseline + HOSTILE
    return replace(entry, id=entry.id + HOSTILE, baseline=baseline)


def test_pyperf_has_a_run_for_each_block_with_its_values_in_seconds() -> None:
    run = make_run(example_records(seed=4))
    tree = json.loads(pyperf_json(run))
    usual = next(one for one in tree["benchmarks"] if one["metadata"]["name"] == USUAL)
    assert [part["metadata"]["rnnbench_block"] for part in usual["runs"]] == list(range(1, 11))
    times = [statistics.median(part["values"]) * 1e9 for part in usual["runs"]]
    assert times == pytest.approx([*medians(run, USUAL).values()])
    bursts = [burst for burst in run.bursts if burst.entry == USUAL and burst.block >= 1]
    assert [part["metadata"]["loops"] for part in usual["runs"]] == [burst.n_calls for burst in bursts]
    machine = tree["metadata"]
    told = ("1.0", "Example CPU 9000", "second", "2.4.6")
    assert (tree["version"], machine["cpu_model_name"], machine["unit"], machine["numpy_version"]) == told
    assert "hostname" not in machine  # but where the record names it
    plan, _, *rest = small_records()
    tree = json.loads(pyperf_json(make_run([plan, on({"host_name": "example"}), *rest])))
    assert tree["metadata"]["hostname"] == "example"


def test_pyperf_shows_checks_and_compares_what_was_exported(folder: Path) -> None:
    shown = tool(folder, "pyperf", "show", "--quiet", "a/pyperf.json")
    tree = json.loads((folder / "a" / "pyperf.json").read_text())
    assert len(re.findall(r": Mean \+- std dev: ", shown)) == len(tree["benchmarks"])
    usual = next(one for one in tree["benchmarks"] if one["metadata"]["name"] == USUAL)
    values = [value for part in usual["runs"] for value in part["values"]]
    mean = f"{statistics.mean(values) * 1e6:.0f} us +- {statistics.stdev(values) * 1e6:.0f} us"
    assert f"{USUAL}: Mean +- std dev: {mean}" in shown
    stats = tool(folder, "pyperf", "stats", "a/pyperf.json")
    for line in ("Number of run with values: 3", "warmup per run: 0", "Start date: 2026-01-02 03:04:05"):
        assert line in stats
    checked = tool(folder, "pyperf", "check", "a/pyperf.json")
    assert USUAL in checked
    assert not re.search("shortest raw value|standard deviation", checked)
    table = tool(folder, "pyperf", "compare_to", "a/pyperf.json", "b/pyperf.json", "--table")
    assert "1.25x slower" in next(line for line in table.splitlines() if line.startswith(f"| {USUAL} "))
    metadata = tool(folder, "pyperf", "metadata", "a/pyperf.json")
    assert "cpu_model_name: Example CPU 9000" in metadata


def test_pytest_benchmark_compares_two_exports_and_their_statistics_are_its_own(folder: Path) -> None:
    files = ["a/pytest-benchmark.json", "b/pytest-benchmark.json"]
    shown = tool(folder, "pytest_benchmark", "compare", *files, "--columns=min,median,rounds")
    assert "Name (time in" in shown
    assert shown.count("torch-layer@cpu x1") >= 2
    assert f"benchmark '{BASE.partition(' | ')[0]}'" in shown
    plain = tool(folder, "pytest_benchmark", "compare", files[0], "--csv=out.csv")
    assert "Outliers: 1 Standard Deviation" in plain
    with (folder / "out.csv").open() as file:
        names = {line["name"] for line in csv.DictReader(file)}
    benchmarks = json.loads((folder / files[0]).read_text())["benchmarks"]
    assert names == {one["fullname"] for one in benchmarks}
    for stats in (one["stats"] for one in benchmarks):
        theirs = Stats()
        for value in stats.pop("data"):
            theirs.update(value)
        assert stats.pop("iterations") >= 1
        assert list(stats) == list(Stats.fields)  # all sixteen
        assert stats == pytest.approx(theirs.as_dict())


@pytest.mark.parametrize("name", ["pyperf", "pytest-benchmark"])
def test_the_export_comes_back_with_all_that_it_told(folder: Path, name: str) -> None:
    results, run = load_saved(folder / "a" / f"{name}.json"), load_run(folder / "a")
    assert isinstance(results, ToolResults)
    assert results.origin == "export"
    rows = {one.name: one for one in results.benchmarks}
    usual, base = rows[USUAL], rows[BASE]
    assert usual.own is not None
    assert base.own is not None
    own, shape = usual.own, Shape(6, 128, 6, 32, 8)
    told = ("torch-layer", "torch", "cpu", 1, "float32", shape)
    assert (own.variant, own.library, own.device, own.threads, own.dtype, own.shape) == told
    assert (base.own.is_baseline, base.own.work, base.group) == (True, own.work, usual.group)
    assert any(one.own and one.own.known_wrong for one in results.benchmarks)
    time = statistics.median(medians(run, USUAL).values())
    assert statistics.median(usual.medians_ns) == pytest.approx(time, rel=0.01)
    assert fact_text(results.facts, {"pyperf": "numpy_version"}.get(name, "numpy")) == "2.4.6"
    if name == "pytest-benchmark":
        assert "update U" in own.errors
        assert results.facts["blas_kernel"] == ("SkylakeX",)
        assert "node" not in results.facts
    export = pyperf_json if name == "pyperf" else pytest_benchmark_json
    assert export(run) == (folder / "a" / f"{name}.json").read_bytes()  # always the same bytes


# what no tool may be given


@pytest.mark.parametrize("export", [pyperf_json, pytest_benchmark_json])
def test_what_does_not_count_has_no_time_in_any_export_and_a_known_wrong_gradient_is_marked(
    export: Any,
) -> None:
    tree = json.loads(export(make_run(example_records(broken=True))))
    names = [one["name"] if "name" in one else one["metadata"]["name"] for one in tree["benchmarks"]]
    assert BEST_TORCH not in names  # it disagrees
    assert USUAL in names
    wrong = {name for name in names if PUBLISHED in name and not name.startswith("forward")}
    assert wrong == {name for name in names if name.endswith("(known wrong gradient)")} != set()
    for block, leaves in ((0, False), (1, True)):
        records = [
            replace(record, n_calls=1, elapsed_ns=[987_654_321])
            if isinstance(record, Burst) and record.block == block
            else record
            for record in small_records()
        ]
        assert (b"0.987654321" in export(make_run(records))) == leaves
    with pytest.raises(UserError, match="no counted value"):
        export(make_run(small_records()[:2]))


def test_hostile_names_reach_neither_tool_nor_spreadsheet(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", hostile_records())
    for name in ("pyperf", "pytest-benchmark", "csv"):
        assert main(["export", str(path), "--to", name, "--out", str(tmp_path / name)]) == 0
    (tmp_path / "pyperf").rename(tmp_path / "pyperf.json")
    (tmp_path / "pytest-benchmark").rename(tmp_path / "saved.json")
    shown = tool(tmp_path, "pyperf", "show", "--metadata", "pyperf.json")
    shown += tool(tmp_path, "pytest_benchmark", "compare", "saved.json", "--name=long")
    assert "=cmd\\x1b[31m <script>\\u202e|" in shown
    assert not re.search("[\x1b\u202e]", shown)
    with (tmp_path / "csv").open(newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_two_names_that_look_alike_stay_two_benchmarks(tmp_path: Path) -> None:
    plan, *rest = small_records()
    assert isinstance(plan, Plan)
    one, other = plan.groups[0].entries
    twins = {one.id: "same\tname", other.id: "same name"}
    entries = [replace(one, id=twins[one.id]), replace(other, id=twins[other.id], baseline=twins[one.id])]
    records: Sequence[AnyRecord] = [
        replace(plan, groups=[replace(plan.groups[0], entries=entries)]),
        *(
            replace(record, entry=twins[record.entry]) if isinstance(record, Burst) else record
            for record in rest
        ),
    ]
    (tmp_path / "out.json").write_bytes(pyperf_json(make_run(records)))
    shown = tool(tmp_path, "pyperf", "show", "--quiet", "out.json")
    assert "same name: Mean" in shown
    assert "same name (2): Mean" in shown


def test_the_command_says_where_and_refuses_where_it_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_run(tmp_path / "run", small_records())
    out = tmp_path / "out.json"
    assert main(["export", str(path), "--to", "pyperf", "--out", str(out)]) == 0
    assert "Exported for pyperf: " in capsys.readouterr().out
    assert out.exists()
    assert main(["export", str(path), "--to", "pyperf", "--out", str(tmp_path / "no" / "x.json")]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nowhere"), "--to", "csv"]) == 2
