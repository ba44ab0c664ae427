"""A refinement measures the middles of open brackets, nothing else, and stops."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from grids import best_map, crossing_at, grid, grid_plan, maps_of, records_of, with_ratio, write_grid
from journals import example_records
from test_cli import CPU_ONLY

from bench.analysis.crossover import lines
from bench.api import run
from bench.cli.main import main
from bench.machine.errors import UserError
from bench.measure import refine as refining_rounds
from bench.measure.refine import NARROW, Refined, middle_of, open_cases, refine
from bench.records.folder import load_refinements, next_folder
from bench.records.journal import load_run
from bench.records.record import Burst, End, Plan

LogRatio = Callable[[int, int], float]
SIZES = (8, 128, 512)
DONE = End("complete", "all blocks done", 10.0, "2026-01-02T03:11:05+00:00")


@pytest.fixture(autouse=True)
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals need not outlive a power cut here."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


class Machine:
    """Measures plans by writing what a synthetic machine would; its clock advances by 10 s a round."""

    def __init__(self, log_ratio: LogRatio, *, noise: float = 0.004, end: End = DONE) -> None:
        self.log_ratio, self.noise, self.end = log_ratio, noise, end
        self.rounds: list[list[tuple[int, int]]] = []
        self.plans: list[Plan] = []
        self.now = 0.0

    def measure(self, plan: Plan, folder: Path) -> End:
        shapes = [group.entries[0].case.shape for group in plan.groups]
        self.rounds.append([(shape.B, shape.H) for shape in shapes])
        self.plans.append(plan)
        self.now += 10.0
        records = records_of(plan, with_ratio(self.log_ratio), noise=self.noise)
        write_grid(folder, [*records[:-1], self.end])
        return self.end

    def refine(self, folder: Path, **options: object) -> Refined:
        options |= {"command": ["rnnbench"], "clock": lambda: self.now}
        return refine(folder, self.measure, CPU_ONLY, **options)  # type: ignore[arg-type]


def grid_folder(tmp_path: Path, log_ratio: LogRatio, **sizes: object) -> Path:
    plan = grid_plan(**{"hidden": SIZES, "batch": (1,), **sizes})  # type: ignore[arg-type]
    return write_grid(tmp_path / "grid", records_of(plan, with_ratio(log_ratio)))


def test_it_bisects_towards_the_crossing_until_the_bracket_is_narrow(tmp_path: Path) -> None:
    machine = Machine(crossing_at(200))
    folder = grid_folder(tmp_path, machine.log_ratio)
    refined = machine.refine(folder)

    assert machine.rounds == [[(1, 256)], [(1, 184), (1, 360)], [(1, 216), (1, 304)]]
    assert [path.name for path in refined.rounds] == ["refine-1", "refine-2", "refine-3"]
    (crossing,) = lines(best_map(load_run(folder), *load_refinements(folder)))[0].crossings
    assert (crossing.below.H, crossing.above.H) == (184, 216)
    assert crossing.above.H <= NARROW * crossing.below.H
    assert crossing.low <= 200 <= crossing.high
    assert refined.end == DONE
    assert "within a factor of 1.25" in refined.reason
    assert machine.refine(folder).rounds == ()


def test_both_kinds_of_comparison_are_gone_after(tmp_path: Path) -> None:
    """As written, PyTorch's form is slower by another factor than NumPy's: it overtakes later."""
    machine = Machine(crossing_at(200))
    folder = grid_folder(tmp_path, machine.log_ratio)
    machine.refine(folder)
    later = 200 * (1.6 / 1.3) ** 2
    for made, truth in zip(maps_of(load_run(folder), *load_refinements(folder)), (200, later), strict=True):
        (crossing,) = lines(made)[0].crossings
        assert crossing.low <= truth <= crossing.high


def test_only_open_brackets_are_measured(tmp_path: Path) -> None:
    machine = Machine(lambda H, B: crossing_at(200)(H, B) if B == 16 else 0.5)
    folder = grid_folder(tmp_path, machine.log_ratio, batch=(1, 16, 128), seed=2)
    machine.refine(folder)
    assert {B for sizes in machine.rounds for B, _ in sizes} == {16}
    assert all(128 < H < 512 for sizes in machine.rounds for _, H in sizes)


def test_without_a_crossing_nothing_is_measured(tmp_path: Path) -> None:
    machine = Machine(lambda H, B: 0.5)
    refined = machine.refine(grid_folder(tmp_path, machine.log_ratio))
    assert (refined.rounds, refined.end, machine.rounds) == ((), None, [])
    assert "does not turn round" in refined.reason


def test_a_middle_without_a_verdict_is_the_crossing(tmp_path: Path) -> None:
    folder = grid_folder(tmp_path, crossing_at(256))
    machine = Machine(crossing_at(256), noise=0.05)  # too noisy to tell anything there
    refined = machine.refine(folder)
    assert machine.rounds[0] == [(1, 256)]
    assert all((1, 256) not in sizes for sizes in machine.rounds[1:])
    measured = [cell for cell in best_map(load_run(folder), *load_refinements(folder)).cells if cell.H == 256]
    assert [cell.winner for cell in measured] == [None]
    assert "has no verdict" in refined.reason or "rounds were measured" in refined.reason


def test_after_four_rounds_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refining_rounds, "NARROW", 1.001)
    machine = Machine(crossing_at(700.0, slope=2.0))
    refined = machine.refine(grid_folder(tmp_path, machine.log_ratio, hidden=(8, 2048)))
    assert len(refined.rounds) == 4
    assert "4 rounds were measured; " in refined.reason
    assert "could be narrower" in refined.reason


def test_it_keeps_within_its_time_budget(tmp_path: Path) -> None:
    machine = Machine(crossing_at(200))
    refined = machine.refine(grid_folder(tmp_path, machine.log_ratio), budget_s=25.0)
    assert len(refined.rounds) == 2  # the third would end at 30 s
    assert "time budget is spent" in refined.reason
    assert [plan.budget_s for plan in machine.plans] == [25.0, 15.0]
    again = machine.refine(tmp_path / "grid", budget_s=9.0)
    assert again.rounds == ()  # what a round takes is known from those before: 10 s
    assert machine.refine(tmp_path / "grid", budget_s=11.0).rounds != ()


def test_an_interrupted_round_is_the_last(tmp_path: Path) -> None:
    machine = Machine(crossing_at(200), end=End("interrupted", "stopped by the user", 1.0, DONE.ended_utc))
    refined = machine.refine(grid_folder(tmp_path, machine.log_ratio))
    assert len(refined.rounds) == 1
    assert refined.end is not None
    assert (refined.end.status, refined.reason) == ("interrupted", "stopped by the user")


def test_a_round_is_declared_as_the_grid_was(tmp_path: Path) -> None:
    machine = Machine(crossing_at(200))
    folder = grid_folder(tmp_path, machine.log_ratio, dtype="float64", task=("forward",), seed=7)
    machine.refine(folder)
    grid_of, first = load_run(folder).plan, machine.plans[0]
    assert first.arms == grid_of.arms
    assert first.verdicts
    assert (first.seed, first.groups[0].entries[0].case.seed) == (7, 7)
    cases = {entry.case for group in first.groups for entry in group.entries}
    assert {(case.task, case.dtype, case.shape.I, case.shape.O) for case in cases} == {
        ("forward", "float64", 6, 8)
    }
    assert {pair.kind for pair in first.pairs} == {"as_written", "twin"}
    assert machine.plans[1].run == "refine-2"


def test_a_round_keeps_the_cell_and_its_biases(tmp_path: Path) -> None:
    machine = Machine(crossing_at(200))
    machine.refine(grid_folder(tmp_path, machine.log_ratio, cell="gru", bias=False))
    cases = {entry.case for group in machine.plans[0].groups for entry in group.entries}
    assert {(case.cell, case.bias) for case in cases} == {("gru", False)}


def test_an_order_that_was_drawn_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = itertools.count(7)  # the noise depends on them too: with one in 25 nothing is left to refine
    monkeypatch.setattr("bench.measure.plan.secrets.randbelow", lambda most: next(drawn))
    machine = Machine(crossing_at(200))
    folder = grid_folder(tmp_path, machine.log_ratio, seed=None)
    machine.refine(folder)
    assert load_run(folder).plan.seed not in {plan.seed for plan in machine.plans}
    assert {group.entries[0].case.seed for plan in machine.plans for group in plan.groups} == {0}


@pytest.mark.parametrize(
    ("low", "high", "middle"),
    [(8, 32, 16), (128, 512, 256), (128, 256, 184), (16, 20, None), (16, 21, 18), (1024, 2048, 1448),
     (72, 88, None), (1, 2, None), (1, 3, 2)],
)  # fmt: skip
def test_a_middle_is_a_whole_number_and_above_64_a_multiple_of_8(
    low: int, high: int, middle: int | None
) -> None:
    run = grid(crossing_at(math.sqrt(low * high), slope=2.0), hidden=(low, high), batch=(4,))
    (crossing,) = lines(best_map(run))[0].crossings
    assert middle_of(crossing) == middle


def test_bisecting_in_linear_h_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(crossing_at(200))
    folder = grid_folder(tmp_path, machine.log_ratio)
    monkeypatch.setattr(refining_rounds.math, "sqrt", lambda product: (128 + 512) / 2)
    assert [case.shape.H for case in open_cases([best_map(load_run(folder))])] != [256]


def test_what_cannot_be_refined_is_refused(tmp_path: Path) -> None:
    machine = Machine(crossing_at(200))
    primer = write_grid(tmp_path / "primer", example_records())
    with pytest.raises(UserError, match="preset primer, which has no grid"):
        machine.refine(primer)
    plan = grid_plan(batch=(1,), quick=True)
    records = records_of(plan, with_ratio(machine.log_ratio))
    with pytest.raises(UserError, match="preset quick, which has no grid"):
        machine.refine(write_grid(tmp_path / "quick", records))
    with pytest.raises(UserError, match="cannot read"):
        machine.refine(tmp_path / "absent")


def test_folders_are_numbered_in_their_order(tmp_path: Path) -> None:
    for name in ("refine-2", "refine-10", "refine-x", "other"):
        (tmp_path / name).mkdir()
    assert next_folder(tmp_path).name == "refine-11"
    assert load_refinements(tmp_path) == ()  # none holds a journal
    machine = Machine(crossing_at(200))
    plans = [grid_plan(hidden=(8, 32), batch=(1,), seed=seed) for seed in (2, 10)]
    for plan in plans:
        machine.measure(plan, tmp_path / f"refine-{plan.seed}")
    assert [run.plan.seed for run in load_refinements(tmp_path)] == [2, 10]
    assert [run.plan.seed for run in load_refinements(tmp_path / "journal.jsonl")] == [2, 10]


def test_the_command_measures_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(crossing_at(200))
    folder = grid_folder(tmp_path, machine.log_ratio)
    monkeypatch.setattr(run, "measure", lambda plan, where, **_: machine.measure(plan, where))
    monkeypatch.setattr(run, "different_machines", lambda runs: [])
    monkeypatch.setattr(run, "find_devices", lambda: CPU_ONLY)
    assert main(["run", "--refine", str(folder)]) == 0
    printed = capsys.readouterr()
    assert "PyTorch above some H between" in printed.out
    assert "3 rounds measured: every crossing lies within" in printed.err
    assert (folder / "report.html").exists()
    assert main(["run", "--refine", str(folder)]) == 0
    assert "No round measured" in capsys.readouterr().err


def test_other_options_do_not_go_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--refine", "somewhere", "--hidden", "64", "--blocks", "9"]) == 2
    assert "leave out --hidden, --blocks" in capsys.readouterr().err


def test_another_machine_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = grid_folder(tmp_path, crossing_at(200))
    assert main(["run", "--refine", str(folder)]) == 2
    assert "measured on another machine" in capsys.readouterr().err
    assert not any(isinstance(one, Burst) for one in load_refinements(folder))
