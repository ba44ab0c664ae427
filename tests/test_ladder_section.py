"""The ladder's section: sentences, table and picture are true to the journal, and on the page."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from journals import example_plan, example_records
from ladders import MANUAL, MEASURED_AS, edited, section, taken, without
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from msgspec.structs import replace
from reports import CLAIM_NEW, CLAIM_OLD, Reader, facts_of, write_run

from bench.analysis.ladder import ladder
from bench.analysis.outcome import outcomes
from bench.machine import units
from bench.records.record import AnyRecord, Burst
from bench.records.run import Run, make_run
from bench.reporting.build import build_report
from bench.reporting.plots import COLOURS, draw
from bench.reporting.section import Drawing, Section
from bench.reporting.sections.ladder import limits, times
from bench.reporting.sections.ladder_plot import BRANCH, WAY


@pytest.fixture(scope="module")
def default() -> Run:
    return make_run(example_records())


def test_the_sentence_is_the_product_and_every_number_is_that_of_the_journal(default: Run) -> None:
    made, lead = taken(default), section(default).lead
    said = lead[0].partition(": ")[2]
    whole, _, terms = said.partition(" = ")
    assert float(whole) == pytest.approx(made.whole.value, rel=0.005)
    found = re.findall(r"(÷ |× |)([\d.]+) \((.*?)\)(?= [×÷]|\.$)", terms)
    assert [change for *_, change in found] == [step.change for step in made.way]
    values = [1 / float(x) if sign == "÷ " else float(x) for sign, x, _ in found]
    assert values == pytest.approx([step.factor.value for step in made.way], rel=0.005)
    assert math.prod(values) == pytest.approx(float(whole), rel=0.03)
    assert f"[{made.whole.low:.0f}, {made.whole.high:.0f}]" in lead[0]


def test_the_sentences_name_the_largest_change_and_who_is_ahead_at_equal_work(default: Run) -> None:
    made, lead = taken(default), section(default).lead
    assert made.largest.change == "the whole batch at once"
    rest = made.whole.value / made.largest.factor.value
    assert f"most is “the whole batch at once”, {made.largest.factor.value:.3g} times [" in lead[1]
    assert lead[1].endswith(f"all others together make it {rest:.3g} times faster.")
    equal = lead[2]
    assert "PyTorch instead of NumPy at equal work, from numpy-batched to torch-manual" in equal
    assert re.search(r"there NumPy measured 1\.\d+ times faster \[1\.\d+, 1\.\d+\] than PyTorch\.$", equal)


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (0.4, r"PyTorch measured 2\.\d+ times faster \["),
        (1.0, r"neither is measurably ahead: [×÷] \d\.\d+ \["),
    ],
)
def test_the_words_follow_the_factor(ratio: float, said: str) -> None:
    """torch-manual takes ``ratio`` of numpy-batched's time."""

    def other(burst: Burst) -> Burst:
        scaled = [round(ratio * 100 / 190 * t) for t in burst.elapsed_ns]
        return replace(burst, elapsed_ns=scaled) if burst.entry == MEASURED_AS[MANUAL] else burst

    assert re.search(said, section(edited(other)).lead[2])


def test_a_first_step_that_slows_down_and_a_whole_that_is_slower_are_said() -> None:
    later = {MEASURED_AS[rung.entry] for rung in example_plan().ladder} - {CLAIM_OLD}

    def turned(burst: Burst) -> Burst:
        slow = 1000 if burst.entry in later else 1
        return replace(burst, elapsed_ns=[slow * t for t in burst.elapsed_ns])

    run = edited(turned)
    lead = section(run).lead
    assert " = 1 ÷ " in lead[0]
    assert "torch-cell, the second being the slower one, " in lead[0]
    assert taken(run).largest.change == "tanh"


def test_the_declared_comparison_of_the_same_two_is_told_where_its_number_differs(default: Run) -> None:
    """One block of ten is far off: the mean moves, the Hodges-Lehmann estimate hardly does."""

    def late(burst: Burst) -> Burst:
        slow = 3 if burst.entry == CLAIM_OLD and burst.block == 1 else 1
        return replace(burst, elapsed_ns=[slow * t for t in burst.elapsed_ns])

    run = edited(late)
    made, claim = taken(run), facts_of(run).summary.headline("claim")
    assert claim is not None
    assert claim.ratio is not None
    own, other = units.ratio(made.whole.value), units.ratio(1 / claim.ratio)
    assert own != other
    assert section(run).lead[-1].startswith(f"{own} is the geometric mean over blocks")
    assert f"declared in advance says {other} times" in section(run).lead[-1]
    same = without(CLAIM_NEW)
    assert not any("declared in advance says" in said for said in section(same).lead)


def test_factors_are_written_from_the_side_that_is_above_one(default: Run) -> None:
    assert [times(3.8), times(1 / 1.9), times(1.0)] == ["× 3.80", "÷ 1.90", "× 1.000"]
    slower = next(step.factor for step in taken(default).way if step.factor.value < 1)
    assert slower.low is not None
    assert slower.high is not None
    assert limits(slower) == f"[{1 / slower.high:.3g}, {1 / slower.low:.3g}]"


def test_the_table_holds_every_rung_with_its_case_and_both_estimates(default: Run) -> None:
    made, (table,) = taken(default), section(default).tables
    assert len(table.rows) == 1 + len(made.way) + len(made.branches) == 13
    first, second = table.rows[0], table.rows[1]
    assert [cell.text for cell in first[3:]] == ["–", "–"]
    assert (second[1].text, second[3].text) == ("tanh", times(made.way[0].factor.value))
    assert second[3].note == limits(made.way[0].factor)
    assert second[4].value == made.way[0].factor.hodges_lehmann
    assert "float64, tanh, positional" in second[0].note
    assert [row[1].note for row in table.rows[:9]] == [""] * 9
    assert all(row[1].note.startswith("beside the way, from ") for row in table.rows[9:])
    own = [made.first.time_ns, *(step.rung.time_ns for step in made.way)]
    assert [row[2].value for row in table.rows[:9]] == own


def test_what_is_known_to_be_wrong_is_marked_in_words_and_picture(default: Run) -> None:
    made = section(default)
    names = [row[0].text for row in made.tables[0].rows]
    assert [name for name in names if "published" in name] == ["numpy-published (known wrong gradient)"] * 2
    assert any("gradient of numpy-published is known to be wrong" in note for note in made.notes)
    hollow = [dot.get_markerfacecolor() == "white" for dot in dots(made)]
    assert hollow == [True, True, *[False] * 12]  # two of published, the others, the whole


def dots(made: Section) -> list[Line2D]:
    """The dots of the picture, one a row, from top to bottom."""
    drawing = made.drawings[0]
    assert isinstance(drawing, Drawing)
    lines = drawing.draw().axes[0].get_lines()
    found = [line for line in lines if line.get_marker() == "o"]
    return sorted(found, key=lambda line: float(np.asarray(line.get_ydata())[0]))


def test_every_bar_leads_from_the_time_above_to_its_own(default: Run) -> None:
    made, shown = taken(default), section(default)
    drawing = shown.drawings[0]
    assert isinstance(drawing, Drawing)
    axes = drawing.draw().axes[0]
    assert axes.get_xscale() == "log"
    bars = [line for line in axes.get_lines() if line.get_linewidth() == 10]
    drawn = {tuple(np.asarray(line.get_xdata(), dtype=float)): line for line in bars}
    for step in (*made.way, *made.branches):
        line = drawn[step.above.time_ns, step.rung.time_ns]
        assert to_hex(str(line.get_color())) == COLOURS[step.rung.arm.library].lower()
    assert len(bars) == 1 + len(made.way) + 1 + len(made.branches)
    beside = {drawn[step.above.time_ns, step.rung.time_ns].get_alpha() for step in made.branches}
    assert beside == {BRANCH}
    assert {line.get_alpha() for line in bars} == {WAY, BRANCH}
    assert BRANCH < WAY
    lines = [line for line in axes.get_lines() if line.get_marker() == "|"]
    whiskers = [tuple(np.asarray(line.get_xdata(), dtype=float)) for line in lines]
    step = made.way[2]
    assert step.factor.low is not None
    assert step.factor.high is not None
    assert (step.above.time_ns / step.factor.high, step.above.time_ns / step.factor.low) in whiskers
    low, high = axes.get_xlim()
    assert all(low < time < high for ends in (*drawn, *whiskers) for time in ends)
    texts = [text.get_text() for text in axes.texts]
    assert {"the whole batch at once", "all of it", "torch-compile, from torch-autograd"} < set(texts)


def test_the_pictures_bytes_are_the_same_twice_and_its_numbers_stand_in_words(default: Run) -> None:
    one, other = (section(make_run(example_records())).drawings[0] for _ in range(2))
    assert isinstance(one, Drawing)
    assert isinstance(other, Drawing)
    assert one.stem == "ladder"
    assert draw(one.draw()) == draw(other.draw())
    assert one.alt == other.alt
    for step in taken(default).way:
        assert f"{step.change}: " in one.alt
        assert f"{times(step.factor.value)} {limits(step.factor)}" in one.alt


def test_a_quick_run_has_the_ladder_too() -> None:
    run = make_run(example_records(quick=True))
    made = taken(run)
    assert made.whole.blocks == 3
    assert math.prod(step.factor.value for step in made.way) == pytest.approx(made.whole.value, rel=1e-12)
    lead = section(run).lead
    assert " measured " in lead[0]
    assert lead[1] == "That is undecided: the run gives no verdict on it."
    assert not any("carries most" in said or "ahead" in said for said in lead)


def test_an_accelerator_stands_beside_the_way() -> None:
    run = make_run(example_records(with_gpu=True))
    (step,) = (step for step in taken(run).branches if step.change == "on cuda:0")
    assert step.above.entry.id == CLAIM_NEW
    assert not step.library_alone
    (row,) = (row for row in section(run).tables[0].rows if row[1].text == "on cuda:0")
    assert row[1].note == "beside the way, from CPU, one thread"
    assert row[0].note.endswith("cuda:0")


def test_a_run_without_a_ladder_makes_a_report_without_its_section(tmp_path: Path) -> None:
    plan, *others = example_records(quick=True)
    records = [replace(plan, ladder=[]), *others]
    run = make_run(records)
    assert ladder(run, outcomes(run)) is None
    page = build_report([write_run(tmp_path / "run", records)], None).read_text(encoding="utf-8")
    assert "ladder" not in {attributes.get("id") for _, attributes in Reader(page).tags}


def test_the_page_shows_the_ladder_and_no_table_of_its_group(tmp_path: Path) -> None:
    records: list[AnyRecord] = example_records(quick=True)
    page = build_report([write_run(tmp_path / "run", records)], None).read_text(encoding="utf-8")
    text = " ".join(Reader(page).text.split())
    for sentence in section(make_run(records)).lead:
        assert " ".join(sentence.split()) in text
    assert (tmp_path / "run" / "plots" / "ladder.svg").is_file()
