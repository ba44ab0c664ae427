"""Where the faster library changes is found where it is, as an interval, and only where verdicts say so."""

import math
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from grids import (
    BATCH,
    HIDDEN,
    best_map,
    crossing_at,
    grid,
    grid_plan,
    maps_of,
    run_of,
    with_ratio,
    write_grid,
)  # fmt: skip
from journals import example_records
from msgspec.structs import replace as with_values
from reports import facts_of

from bench.analysis import crossover
from bench.analysis.crossover import Crossing, Line, MapCell, lines, make_line
from bench.analysis.verdict import Comparison, Word, judge_run
from bench.measure.plan import GRID_SIZES, FixedChoice, min_blocks_for_verdicts
from bench.records.record import Arm
from bench.records.run import Run, make_run
from bench.reporting import answer
from bench.reporting.build import headline, write_report
from bench.workload.case import Case, Shape

NUMPY = Arm("numpy-inplace@cpu x1", "numpy-inplace", "numpy-inplace", "numpy", "cpu", 1)
TORCH = Arm("torch-inplace@cpu x1", "torch-inplace", "torch-inplace", "torch", "cpu", 1)


def cell(H: int, ratio: float | None, verdict: Word, width: float = 0.02) -> MapCell:
    """A size whose interval is a little wider than its ratio, or one without numbers."""
    pair = Comparison(
        kind="best", verdict=verdict, entry="", baseline="", arm=TORCH, baseline_arm=NUMPY, ratio=ratio
    )
    if ratio is not None:
        pair = replace(pair, low=ratio * math.exp(-width), high=ratio * math.exp(width))
    return MapCell(Case("train_step", Shape(6, 1, 6, H, 8)), pair, ratio, 1.0, 0)


def row(*cells: MapCell) -> Line:
    return make_line("H", 1, cells)


def decided(H: int, ratio: float) -> MapCell:
    return cell(H, ratio, "SLOWER" if ratio > 1 else "FASTER")


@pytest.fixture(scope="module")
def turning_at_256() -> Run:
    return grid(crossing_at(256))


# ---- the map


def test_a_grid_has_a_map_of_each_kind_with_every_size_and_its_ratio(turning_at_256):
    best, written = maps_of(turning_at_256)
    assert (best.kind, written.kind) == ("best", "as_written")
    for size_map, variants in (
        (best, ("numpy-inplace", "torch-inplace")),
        (written, ("numpy-batched", "torch-layer")),
    ):
        assert [(size.B, size.H) for size in size_map.cells] == [(B, H) for B in BATCH for H in HIDDEN]
        assert (size_map.device, size_map.threads, size_map.case.shape) == ("cpu", 1, Shape(6, 1, 6, 1, 8))
        pairs = [size.comparison for size in size_map.cells]
        assert {(pair.baseline_arm.variant, pair.arm.variant) for pair in pairs} == {variants}
    for size in best.cells:
        assert size.comparison.ratio == pytest.approx(math.sqrt(256 / size.H), rel=0.02)
        assert size.arm_ns / size.baseline_ns == pytest.approx(size.comparison.ratio, rel=0.02)
        assert size.winner == ("numpy" if size.H < 256 else "torch")


def test_the_preset_measures_one_task_at_36_sizes():
    plan = grid_plan(hidden=GRID_SIZES["hidden"], batch=GRID_SIZES["batch"])
    cases, arms = [group.entries[0].case for group in plan.groups], {arm.id: arm for arm in plan.arms}
    assert len({(case.shape.B, case.shape.H) for case in cases}) == len(cases) == 36
    assert {case.task for case in cases} == {"train_step"}
    assert (plan.blocks, plan.budget_s) == (8, 585.0)
    twins = [entry.case.shape for group in plan.groups for entry in group.entries if arms[entry.arm].twin]
    assert [(shape.B, shape.H) for shape in twins] == [(1, 8), (4, 512), (128, 2048)]
    assert min_blocks_for_verdicts(plan.groups, plan.arms) == plan.blocks  # a time budget can take none


def test_a_map_is_of_two_libraries_whatever_they_are_called(turning_at_256):
    plan = turning_at_256.plan
    arms = [with_values(arm, library="other") if arm.library == "torch" else arm for arm in plan.arms]
    renamed = best_map(replace(turning_at_256, plan=with_values(plan, arms=arms)))
    assert (renamed.library, renamed.baseline) == ("other", "numpy")
    assert {size.winner for size in renamed.cells} == {"numpy", "other"}
    assert {crossing.winner for line in lines(renamed) for crossing in line.crossings} == {"other"}


def test_a_run_of_one_size_has_no_map():
    assert maps_of(make_run(example_records())) == ()
    assert maps_of(grid(crossing_at(64), hidden=(32,), batch=(1, 4, 16))) == ()
    assert len(maps_of(grid(crossing_at(64), hidden=(32, 128), batch=(4,)))) == 2


def test_a_later_run_adds_sizes_and_replaces_only_what_was_not_measured(turning_at_256):
    case = best_map(turning_at_256).cells[0].case
    cases = tuple(replace(case, shape=Shape(6, 1, 6, H, 8)) for H in (256, 512))
    later = run_of(grid_plan(exactly=FixedChoice(cases)), with_ratio(lambda H, B: 1.0))
    kept = [b for b in turning_at_256.bursts if b.block == 0 or "H512" not in b.entry.split(" | ")[0].split()]
    plan, decision = turning_at_256.plan, turning_at_256.decision
    lost = make_run([plan, turning_at_256.environment, *kept, decision, turning_at_256.end])
    for first, source, ratio in ((turning_at_256, 0, math.sqrt(0.5)), (lost, 1, math.e)):
        sizes = {size.H: size for size in best_map(first, later).cells if size.B == 1}
        assert sorted(sizes) == [8, 32, 128, 256, 512, 1024, 2048]
        assert (sizes[256].source, sizes[512].source) == (1, source)
        assert sizes[512].comparison.ratio == pytest.approx(ratio, rel=0.02)


def test_other_lengths_make_other_maps_which_are_told_apart():
    run = run_of(grid_plan(hidden=(32, 128), batch=(4,), seq_len=(6, 12)), with_ratio(crossing_at(64)))
    maps = maps_of(run)
    assert [one.case.shape.T for one in maps] == [6, 12, 6, 12]
    assert (
        answer.how(maps[1], maps) == "with the fastest form of each library on cpu with one thread at T = 12"
    )
    assert answer.how(maps[1], maps[1:2]) == "with the fastest form of each library on cpu with one thread"
    assert "6 steps of 6 features, 8 outputs; 12 steps of 6 features, 8 outputs, float32" in headline(run)


# ---- crossings


def test_a_known_crossing_lies_in_its_interval_between_the_sizes_that_bracket_it(turning_at_256):
    for line in lines(best_map(turning_at_256)):
        (crossing,) = line.crossings
        assert (crossing.winner, crossing.below.H, crossing.above.H) == ("torch", 128, 512)
        assert crossing.low <= 256 <= crossing.high
        assert 240 < crossing.low < crossing.at < crossing.high < 272
        assert line.undecided == ()


def test_the_interval_holds_the_crossing_as_often_as_it_says():
    plan = grid_plan(hidden=(128, 512), batch=(1,))
    runs = (run_of(with_values(plan, seed=seed), with_ratio(crossing_at(256))) for seed in range(60))
    hits = [
        crossing.low <= 256 <= crossing.high
        for run in runs
        for line in lines(best_map(run))
        for crossing in line.crossings
    ]
    assert len(hits) >= 55  # a twin may differ now and then
    assert sum(hits) / len(hits) >= 0.9


def test_the_interval_is_where_the_limits_pass_1_whoever_overtakes():
    (down,) = row(cell(100, 2.0, "SLOWER", 0.1), cell(400, 0.5, "FASTER", 0.1)).crossings
    (up,) = row(cell(100, 0.5, "FASTER", 0.1), cell(400, 2.0, "SLOWER", 0.1)).crossings
    assert (up.winner, down.winner) == ("numpy", "torch")
    limits = [100 * 4 ** ((math.log(2) + of) / (2 * math.log(2))) for of in (-0.1, 0, 0.1)]
    for crossing in (up, down):
        assert [crossing.low, crossing.at, crossing.high] == pytest.approx(limits)


def test_without_a_change_there_is_no_crossing():
    for sign, side in ((1, "NumPy at every H from 8 to 2048"), (-1, "PyTorch at every H from 8 to 2048")):
        run = grid(lambda H, B, sign=sign: sign * 0.3)
        for line in lines(best_map(run)):
            assert line.crossings == line.undecided == ()
            assert answer.clause(line) == side


def test_two_crossings_are_both_found():
    there_and_back = {8: 0.5, 32: 0.3, 128: -0.3, 512: -0.3, 1024: 0.4, 2048: 0.6}
    line, *_ = lines(best_map(grid(lambda H, B: there_and_back[H])))
    ends = [(crossing.winner, crossing.below.H, crossing.above.H) for crossing in line.crossings]
    assert ends == [("torch", 32, 128), ("numpy", 512, 1024)]
    assert line.crossings[0].low <= 64 <= line.crossings[0].high
    above = r"PyTorch above some H between \d\d and \d\d, NumPy again above one between \d{3} and \d{3}"
    assert re.fullmatch(above, answer.clause(line))


def test_along_b_for_each_h_as_well():
    run = grid(lambda H, B: -0.4 * math.log(B / 8), hidden=(32, 128), batch=(1, 4, 32, 128))
    for line in lines(best_map(run), "B"):
        (crossing,) = line.crossings
        assert (crossing.below.B, crossing.above.B) == (4, 32)
        assert crossing.low <= 8 <= crossing.high


# ---- sizes without a verdict


def is_sound(line: Line) -> bool:
    """NumPy at 100, PyTorch at 1600; 800 has no verdict, so it may turn round before or behind it."""
    (crossing,) = line.crossings
    return (crossing.below.H, crossing.above.H) == (100, 1600) and crossing.low <= 801 < 802 < crossing.high


# the lower limits of 800 are above 1: without widening they pass it only behind 800
UNRESOLVED = (decided(100, 2.0), cell(800, 1.5, "UNRESOLVED", 0.05), decided(1600, 0.5))


def test_a_size_without_a_verdict_is_no_end_of_a_bracket_and_lies_within_the_interval():
    assert is_sound(row(*UNRESOLVED))
    narrow = decided(800, 1.5)
    assert row(UNRESOLVED[0], narrow, UNRESOLVED[2]).crossings[0].low > 801  # not widened


@pytest.mark.parametrize(
    ("cells", "undecided", "clause"),
    [
        *(
            (
                (decided(8, 2.0), cell(32, 0.5, word), decided(128, 2.0)),
                [32],
                f"NumPy at H = 8 and 128 ({open_} at 32)",
            )
            for word, open_ in {
                "UNRESOLVED": "undecided", "INVALID": "undecided", "NONE": "undecided",
                "EQUIVALENT": "both the same within the margin",
            }.items()
        ),
        (
            (cell(8, 1.1, "UNRESOLVED"), decided(32, 2.0), decided(128, 0.5), cell(512, 0.9, "EQUIVALENT")),
            [8, 512],
            "PyTorch above some H between 62 and 66 (undecided at 8, both the same within the margin at 512)",
        ),
        (
            (cell(8, 1.0, "UNRESOLVED"), cell(32, 1.0, "UNRESOLVED")), [8, 32],
            "neither is proved to be faster at any H from 8 to 32",
        ),
        (
            (cell(8, 1.0, "UNRESOLVED"), cell(32, None, "MISSING")), [8, 32],
            "neither is proved to be faster at any H from 8 to 32 (no result at 32)",
        ),
        (
            (cell(8, None, "MISSING"), cell(32, None, "MISSING")), [8, 32],
            "nothing was measured at any H from 8 to 32",
        ),
    ],
)  # fmt: skip
def test_no_word_but_faster_and_slower_is_a_sign_and_the_others_stay_visible(cells, undecided, clause):
    line = row(*cells)
    assert [size.H for size in line.undecided] == undecided
    assert len(line.crossings) == clause.count("above")
    assert answer.clause(line) == clause


def test_a_size_that_was_not_measured_leaves_the_bracket_as_it_is():
    ends = decided(100, 2.0), decided(400, 0.5)
    (with_it,), (without,) = (row(*ends, *more).crossings for more in ((cell(200, None, "MISSING"),), ()))
    assert (with_it.low, with_it.high) == (without.low, without.high)


def test_noise_decides_nothing():
    run = grid(lambda H, B: 0.0, hidden=(8, 32), batch=(1,), noise=0.05)
    assert all(line.crossings == () for line in lines(best_map(run)))
    assert {one.winner for one in best_map(run).cells} == {None}


# ---- mutants


def test_interpolating_in_linear_h_is_noticed(turning_at_256, monkeypatch):
    monkeypatch.setattr(crossover, "_position", float)
    monkeypatch.setattr(crossover, "_size_at", float)
    (crossing,) = lines(best_map(turning_at_256))[0].crossings
    assert not crossing.low <= 256 <= crossing.high


def test_taking_unresolved_for_a_sign_is_noticed(monkeypatch):
    baselines = property(
        lambda cell: (
            cell.comparison.arm if cell.comparison.verdict == "FASTER" else cell.comparison.baseline_arm
        )
    )
    monkeypatch.setattr(crossover.MapCell, "faster", baselines)
    assert not is_sound(row(*UNRESOLVED))


# ---- words, section, page


def only_at(H: float, *batches: int, others: float = 0.5) -> Callable[[int, int], float]:
    """It turns round at these batches; at others one side is ahead throughout."""
    return lambda hidden, B: crossing_at(H)(hidden, B) if B in batches else others


ABOVE_64 = r", above an H of about 6\d( to 6\d)?"
TITLES: dict[str, Callable[[int, int], float]] = {
    "NumPy is faster at all 10 sizes": lambda H, B: 0.3,
    "PyTorch is faster at all 10 sizes": lambda H, B: -0.3,
    "NumPy is faster at 5 of 10 sizes": lambda H, B: 0.3 if H == 32 else 0.0,
    "NumPy is faster at 6 of 10 sizes, PyTorch at 4": lambda H, B: 0.5 if B < 64 else -0.5,
    "Neither is proved to be faster at any of 10 sizes": lambda H, B: 0.0,
    f"NumPy is faster at 5 of 10 sizes, PyTorch at 5; PyTorch overtakes at every B{ABOVE_64}": crossing_at(
        64
    ),
    f"PyTorch is faster at 5 of 10 sizes, NumPy at 5; NumPy overtakes at every B{ABOVE_64}": (
        crossing_at(64, slope=-0.5)
    ),
    f"PyTorch is faster at 7 of 10 sizes, NumPy at 3; PyTorch overtakes at B = 4 to 64{ABOVE_64}": (
        only_at(64, 4, 16, 64, others=-0.5)
    ),
    f"NumPy is faster at 8 of 10 sizes, PyTorch at 2; PyTorch overtakes at B = 1{ABOVE_64}; "
    f"NumPy overtakes at B = 128{ABOVE_64}": (
        lambda H, B: crossing_at(64)(H, B) * (1 if B == 1 else -1) if B in (1, 128) else 0.5
    ),
}


@pytest.mark.parametrize("title", TITLES)
def test_the_title_says_at_how_many_sizes_who_is_faster_and_where_that_changes(title):
    run = grid(TITLES[title], hidden=(32, 128), batch=(1, 4, 16, 64, 128))
    assert re.fullmatch(title, answer.title(maps_of(run)))
    assert "about 5 % may be called wrongly" in answer.certainty(maps_of(run))


def test_sizes_are_a_range_only_where_none_between_is_missing():
    run = grid(lambda H, B: 0.5 if B < 64 else -0.5, hidden=(8, 32), batch=(1, 4, 16, 64))
    numpy, torch = "B = 1 to 16: NumPy at every H from 8 to 32", "B = 64: PyTorch at every H from 8 to 32"
    assert answer.by_batch(best_map(run)) == [numpy, torch]
    assert answer.reach([4, 16, 64], [1, 4, 16, 32, 64]) == "4, 16 and 64"
    assert answer.reach([4, 16], [1, 4, 16]) == "4 and 16"


def test_ends_of_an_interval_are_rounded_outwards():
    line = row(decided(1000, 2.0), decided(4000, 0.5))
    (crossing,) = line.crossings
    low, high = map(int, answer.between(crossing).split(" and "))
    assert low <= crossing.low < crossing.high <= high
    assert (low % 10, high % 10) == (0, 0)
    assert answer.between(Crossing("torch", 62.9, 63.0, 63.1, line.cells[0], line.cells[1])) == "62 and 64"


def test_the_answer_of_two_sizes_stays_a_comparison():
    plan = grid_plan(hidden=(32, 128), batch=(4,), variant=("torch-layer",))
    facts = facts_of(run_of(with_values(plan, preset="custom"), with_ratio(crossing_at(64))))
    assert not facts.is_grid
    assert "times faster" in answer.terminal_lines(facts)[0]


@pytest.mark.usefixtures("unrendered")
def test_the_report_of_a_grid_takes_its_refinements_in(tmp_path, turning_at_256):
    records = [turning_at_256.plan, turning_at_256.environment]
    records += [burst for burst in turning_at_256.bursts if burst.block == 0]
    records += [turning_at_256.decision, *(b for b in turning_at_256.bursts if b.block), turning_at_256.end]
    folder = write_grid(tmp_path / "grid", records)
    before = write_report([folder], None).answers[folder]
    case = replace(best_map(turning_at_256).cells[0].case, shape=Shape(6, 128, 6, 200, 8))
    later = run_of(grid_plan(exactly=FixedChoice((case,))), with_ratio(crossing_at(256)))
    write_grid(folder / "refine-1", [later.plan, later.environment, *later.bursts, later.decision, later.end])
    report = write_report([folder], None)
    assert report.answers[folder] != before
    for text in (report.page.read_text(encoding="utf-8"), (folder / "report.md").read_text(encoding="utf-8")):
        assert "refinement 1" in text
        assert "Comparisons declared before the first value" not in text  # no list of all pairs
    assert {path.name for path in folder.glob("*.csv")} == {"values.csv", "values-refine-1.csv"}


def test_a_size_without_a_twin_borrows_the_noise_floor_of_the_one_nearest_in_work():
    def noise(case: Case) -> float:
        return 0.05 if case.shape.H == 8 else 0.002

    floors = judge_run(
        grid(crossing_at(100), hidden=(8, 16, 512, 1024, 2048), batch=(1,), noise=noise)
    ).control.floors
    by_hidden = {int(name.partition(" H")[2].split()[0]): floor for name, floor in floors.items()}
    assert by_hidden[16] == by_hidden[8] > 0.01  # its twin is at 8, the others' at 512 and 2048
    assert by_hidden[1024] in (by_hidden[512], by_hidden[2048])
    assert by_hidden[1024] < 0.01
