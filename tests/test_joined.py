"""A sweep is read as one result: one map that says on which machine each size was measured."""

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from grids import best_map, crossing_at, grid_plan, maps_of, records_of, with_ratio, write_grid
from journals import example_records
from reports import facts_of
from sweeps import LOST, Swept, swept

import bench
from bench.analysis.crossover import lines
from bench.analysis.verdict import judge_run
from bench.cli.main import main
from bench.machine.errors import UserError
from bench.measure.plan import FixedChoice
from bench.measure.refine import load_grid, open_cases
from bench.records import sweep
from bench.records.joined import load_measured
from bench.records.journal import FILE_NAME
from bench.records.record import Arm
from bench.records.results import find_results
from bench.records.run import make_run
from bench.reporting import answer
from bench.reporting.article import run_article, starting
from bench.reporting.build import content_of, load_results, write_report
from bench.reporting.sections.crossover import map_plot
from bench.workload.case import Case

pytestmark = pytest.mark.usefixtures("unrendered")

SIZES = {"hidden": (8, 32, 128, 512), "batch": (1, 16, 128)}
TWO = {"hosts": 2, "host_of": lambda number: f"host-{number % 2 + 1}"}


def biased(case_is: Callable[[Case], bool], by: float = 1.03) -> Callable[[Arm, Case], float]:
    """Times near to a draw, of which the A/A control takes longer where ``case_is`` says so."""

    def time_ns(arm: Arm, case: Case) -> float:
        slower = by if arm.twin and case_is(case) else 1.0
        return slower * with_ratio(lambda H, B: 0.02 * math.log(H / 100))(arm, case)

    return time_ns


# ---- how it is judged


def test_a_sweep_of_one_machine_is_judged_as_a_plain_grid_of_the_same_values(tmp_path: Path) -> None:
    """Its A/A controls are one family, whose bias is taken off every size, not only off its own."""
    plan = grid_plan()
    records = records_of(plan, biased(lambda case: case.shape.H == 8))
    plain, joined = make_run(records), load_measured(Swept(tmp_path / "sweep", plan, records).write(), [])
    judged, expected = judge_run(joined), judge_run(plain)
    assert expected.control.bias > 0.02
    assert judged == expected
    assert {pair.verdict for pair in judged.headlines} > {"UNRESOLVED"}
    assert maps_of(joined) == maps_of(plain)
    of_cases = [tile.load().decision for tile in sweep.load_sweep(tmp_path / "sweep").tiles]
    assert joined.decision
    assert joined.decision.predicted_s == sum(decision.predicted_s for decision in of_cases) > 0


def test_a_machine_is_judged_by_its_own_controls_and_says_if_it_has_none(tmp_path: Path) -> None:
    plan = grid_plan(**SIZES)
    made = swept(tmp_path / "sweep", **SIZES, hosts=3)
    made.records = records_of(plan, biased(lambda case: case.shape.H == 8, by=1.3))
    controlled = [any(arm.twin for arm in part.arms) for part in made.parts.values()]
    assert (sum(controlled), controlled[0]) == (3, True)
    hosts = ["host-1" if controls or n % 2 else "host-3" for n, controls in enumerate(controlled)]
    made.host_of = ["host-2", *hosts[1:]].__getitem__
    run = load_measured(made.write(), [])
    judgement = judge_run(run)
    numbers = run.machine_numbers
    for pair in judgement.headlines:
        assert (pair.verdict == "INVALID") == (numbers[pair.entry] == 1), pair
    article = run_article(run)
    failed, without = article.banners[-2:]
    assert failed.startswith("No verdict: on ② the A/A control failed")
    assert without == "No A/A control was measured on ③: its verdicts stand without one."
    assert not judgement.control.failure
    sure = next(section for section in article.sections if section.id == "sure")
    assert "Not at all" not in sure.lead[0]


# ---- the map


def test_no_crossing_lies_between_two_machines(tmp_path: Path) -> None:
    """NumPy is faster wherever the first measured, PyTorch wherever the second did: nothing turns round."""
    plan = grid_plan(**SIZES)
    by_size = {0: crossing_at(1e6), 1: crossing_at(1)}
    sizes = [group.entries[0].case.shape for group in plan.groups]
    number = {(shape.H, shape.B): n % 2 for n, shape in enumerate(sizes)}
    records = records_of(plan, with_ratio(lambda H, B: by_size[number[H, B]](H, B)))
    assert any(line.crossings for line in lines(best_map(make_run(records))))
    made = best_map(load_measured(Swept(tmp_path / "sweep", plan, records, **TWO).write(), []))
    rows = [line for axis in ("H", "B") for line in lines(made, axis)]
    assert {(row.machine, row.first.winner) for row in rows if row.first} == {(0, "numpy"), (1, "torch")}
    assert not any(row.crossings for row in rows)
    assert answer.clause(rows[0]) == "NumPy at every H of 8 and 128"  # 32 lies between, but on the other
    assert "turns" not in answer.title([made])


def test_a_crossing_is_found_between_two_sizes_of_one_machine(tmp_path: Path) -> None:
    made = best_map(load_measured(swept(tmp_path / "sweep", turns_at=64.0, **SIZES, **TWO).write(), []))
    crossings = [(row, crossing) for row in lines(made) for crossing in row.crossings]
    assert {row.machine for row, _ in crossings} == {0, 1}
    for row, crossing in crossings:
        assert crossing.below.machine == crossing.above.machine == row.machine
        assert crossing.low <= 64 <= crossing.high
    assert [cell.machine for cell in made.cells] == [n % 2 for n in range(12)]
    for narrow in (False, True):
        (axes,) = map_plot(made, narrow=narrow).axes
        assert Counter(text.get_text() for text in axes.texts if text.get_text() in ("①", "②")) == {
            "①": 6,
            "②": 6,
        }
        assert not axes.lines  # which would join sizes of two machines
        assert not axes.collections


def test_machines_of_one_size_a_row_have_no_lines(tmp_path: Path) -> None:
    made = swept(tmp_path / "sweep", hidden=(8, 512), batch=(1, 16), hosts=2)
    made.host_of = ("host-1", "host-2", "host-2", "host-1").__getitem__
    run = load_measured(made.write(), [])
    assert answer.by_batch(best_map(run)) == ["no machine measured two sizes of a row"]
    assert run_article(run).hero.facts[0][1] == "no machine measured two sizes of a row."


def test_the_page_says_of_each_size_on_which_machine_and_of_what_is_missing_why(tmp_path: Path) -> None:
    made = swept(tmp_path / "sweep", **SIZES, hosts=2)
    made.host_of = lambda number: "" if number == 5 else f"host-{number % 2 + 1}"
    folder = made.write()
    report = write_report([folder], None, png=True)
    text = (folder / "report.md").read_text().replace("\\", "")
    missing = "train_step random T6 B16 I6 H32 O8"
    machines = "① host-1: Example CPU 9000, 2 processors; ② host-2: Sample Processor X2, 2 processors"
    for shown in (
        f"hatched: no verdict. {machines}.",
        "NumPy is faster at 8 of 12 sizes",
        "| decided | ① |",
        "| decided | ② |",
        f"> Missing: {missing}: {LOST}.",
        f"Not measured here: {missing}: {LOST}.",
        f"| 16 | 32 | – | – | – | MISSING (not measured, {LOST}) |",
        "| Of what | ① host-1 | ② host-2 |",
        "| Processor | Example CPU 9000 | Sample Processor X2 |",
    ):
        assert shown in text, shown
    assert len(best_map(load_measured(folder, [])).cells) == 12  # also the one that is missing
    (answered,) = report.answers.values()
    for shown in (
        "On which machine: " + machines.replace("; ", ";\n") + ". Both sides of a ratio",
        f"Missing: {missing}: {LOST}.",
        " on ①: ",
        "; each measured on one of 2 machines",
    ):
        assert shown in answered, shown


def test_starts_of_several_machines_are_not_put_together() -> None:
    run = make_run(example_records())
    assert starting(facts_of(run), "") is not None
    assert starting(facts_of(replace(run, machines=(run, run))), "") is None


def test_json_names_the_machine_of_each_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = swept(tmp_path / "sweep", **SIZES, hosts=2)
    made.host_of = lambda number: "" if number == 5 else f"host-{number % 2 + 1}"
    assert main(["report", str(made.write()), "--json"]) == 3  # the case that no host measured
    (told,) = json.loads(capsys.readouterr().out)["results"]
    assert told["machines"][1] == "② host-2: Sample Processor X2, 2 processors"
    for row in (*told["rows"], *told["comparisons"]):
        lost = "B16 I6 H32" in row["entry"]
        assert (row["host"] is None) == lost
    assert {row["host"] for row in told["rows"]} == {"host-1", "host-2", None}
    assert set(bench.load(tmp_path / "sweep").frame["run"]) == {"host-1", "host-2"}


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (4, "Nothing was measured at any of 4 sizes"),
        (3, "Neither is proved to be faster at any of 1 size, and 3 without a result"),
    ],
)
def test_of_sizes_that_were_not_measured_nothing_is_said(lost: int, said: str, tmp_path: Path) -> None:
    made = swept(tmp_path / "sweep", hidden=(8, 512), batch=(1, 16))
    made.records = records_of(made.plan, with_ratio(lambda H, B: 0.0))
    made.host_of = lambda number: "" if number < lost else "host-1"
    assert answer.title([best_map(load_measured(made.write(), []))]) == said


# ---- what is broken


def damage(journal: Path) -> None:
    data = journal.read_bytes()
    journal.write_bytes(data.replace(b'"cpus":2', b'"cpus":3'))


def cut_off(journal: Path) -> None:
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))


def other_seed(journal: Path) -> None:
    """The journal of the same case of another sweep, whose folder it is put into."""
    shutil.copy(journal.parents[2] / "twin" / journal.parent.name / FILE_NAME, journal)


OTHER_JOURNAL = "has another journal than was measured; rnnbench report"


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (damage, "line 2 cannot be read"),
        (Path.unlink, "cannot read"),
        (cut_off, OTHER_JOURNAL),
        (other_seed, OTHER_JOURNAL),
    ],
)
def test_a_journal_that_cannot_be_used_is_one_line_and_the_rest_stands(
    breaks: Callable[[Path], None], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"hidden": (8, 512), "batch": (1, 16)}
    swept(tmp_path / "twin", **sizes, seed=2).write()
    made = swept(tmp_path / "sweep", **sizes)
    folder = made.write()
    part = list(made.parts)[2]
    breaks(folder / part / FILE_NAME)
    assert main(["report", str(folder)]) == 3
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if told in line]
    assert part in line
    assert "1 of 4 cases missing" in printed.out
    assert "B = 16: PyTorch at H = 512 (no result at 8)" in printed.out
    assert "of 4 sizes" in printed.out
    assert sum(cell.measured for cell in best_map(load_measured(folder, [])).cells) == 3


def test_a_torn_file_of_the_sweep_is_read_up_to_there_and_a_damaged_one_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = swept(tmp_path / "results" / "torn", hidden=(8, 512), batch=(1, 16))
    made.folder.parent.mkdir()
    file = made.write() / sweep.FILE_NAME
    whole = file.read_bytes()
    last = whole.splitlines(keepends=True)[-2:]
    file.write_bytes(whole[: -len(last[1]) - 10])
    run = load_measured(file.parent)
    assert run.state == "interrupted"
    assert [cell.measured for cell in best_map(run).cells] == [True] * 3 + [False]
    assert any("torn" in warning or "incomplete" in warning for warning in run.warnings), run.warnings
    file.write_bytes(whole.replace(b'"everywhere":false', b'"everywhere":true'))
    swept(tmp_path / "results" / "whole", hidden=(8, 512), batch=(1, 16)).write()
    assert main(["report", str(tmp_path / "results")]) == 3
    printed = capsys.readouterr()
    assert [line for line in printed.err.splitlines() if "torn/sweep.jsonl" in line]
    assert "of 4 sizes" in printed.out


# ---- among other results


def test_a_sweep_is_one_result_in_a_folder_and_its_copy_is_left_out(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    swept(results / "shared", **SIZES, **TWO).write()
    shutil.copytree(results / "shared", results / "copy")
    found = find_results([results])
    assert [path.name for path in found.paths] in (["shared"], ["copy"])
    assert len(found.copies) == 1
    assert not found.unread
    assert bench.report(results, out=tmp_path / "page", latest=True).exists()


@pytest.mark.parametrize("alike", [False, True])
def test_where_every_host_measured_all_each_is_a_result_and_the_page_has_a_column_for_each(
    alike: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = swept(tmp_path / "sweep", **SIZES, hosts=2, everywhere=True, alike=alike).write()
    found = find_results([folder])
    assert [path.name for path in found.paths] == ["host-1", "host-2"]
    assert main(["report", str(folder)]) == 0
    capsys.readouterr()
    by_machine, versions = content_of(
        [run_article(run) for run, *_ in load_results([folder], print).runs.values()]
    )["by_machine"]
    other = "Example CPU 9000" if alike else "Sample Processor X2"
    titles = ("host-1: Example CPU 9000, 2 processors", f"host-2: {other}, 2 processors")
    assert tuple(column.title for column in by_machine.columns[1:]) == titles
    assert len(by_machine.rows) == 2 * 12
    assert all(cell.value for _, *cells in by_machine.rows for cell in cells)
    assert versions.rows[0][0].text == "Processor"
    assert "By machine" in (folder / "report.html").read_text()
    with pytest.raises(UserError, match=r"every host; give the folder of one: .*host-1, .*host-2"):
        load_measured(folder)
    assert main(["compare", str(folder / "host-1"), str(folder / "host-2"), "--any-machine"]) == 0


def test_compare_takes_sweeps_of_one_machine_and_says_so_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    for name, fields in (("one", {}), ("two", {"turns_at": 201.0, "seed": 2}), ("several", TWO)):
        swept(Path("results", name), **SIZES, **fields).write()
    assert main(["compare", "results/one", "results/two"]) == 0
    assert main(["compare"]) == 0
    capsys.readouterr()
    assert main(["compare", "results/one", "results/several"]) == 2
    assert "results/several is of 2 machines, and this takes one" in capsys.readouterr().err


def test_a_sweep_of_one_machine_can_be_refined_and_one_of_several_not(tmp_path: Path) -> None:
    folder = swept(tmp_path / "one", turns_at=64.0, **SIZES).write()
    grid = load_grid(folder)
    cases = tuple(open_cases(maps_of(grid)))
    assert {case.shape.H for case in cases} == {64}
    plan = grid_plan(exactly=FixedChoice(cases))
    write_grid(folder / "refine-1", records_of(plan, with_ratio(crossing_at(64.0))))
    assert [path.name for path in find_results([tmp_path]).paths] == ["one"]
    write_report([folder], None)
    assert "refinement 1 |" in (folder / "report.md").read_text()
    with pytest.raises(UserError, match="several is of 2 machines, and this takes one"):
        load_grid(swept(tmp_path / "several", **SIZES, **TWO).write())
