"""The ladder's section: sentences, table and picture are true to the journal, and on the page."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from journals import example_plan, example_records
from ladders import MANUAL, MEASURED_AS, edited, section, taken, without
from matplotlib.lines import Line2D
from msgspec.structs import replace
from reports import CLAIM_NEW, CLAIM_OLD, Reader, facts_of, write_run

from bench.analysis.ladder import Factor, ladder
from bench.analysis.outcome import outcomes
from bench.machine import units
from bench.records.record import AnyRecord, Burst
from bench.records.run import Run, make_run
from bench.reporting.build import build_report
from bench.reporting.plots import colour_of, draw
from bench.reporting.section import Drawing, Section
from bench.reporting.sections.ladder import BRANCH, WAY, limits, times


@pytest.fixture(scope="module")
def default() -> Run:
    return make_run(example_records())


def test_the_sentences_say_how_far_what_carries_most_and_who_is_ahead(
    default: Run,
) -> None:
    steps, lead = taken(default), section(default).lead
    whole, largest = steps.whole, steps.largest.factor
    assert lead[0] == (
        "The tutorial's two programs, numpy-published (known wrong gradient) and torch-cell, are "
        f"{units.ratio(whole.value)} times {units.interval(whole.low, whole.high)} apart."
    )
    assert steps.largest.change == "the whole batch at once"
    assert lead[1] == (
        "The change that carries most is “the whole batch at once”: "
        f"{units.ratio(largest.value)} times {units.interval(largest.low, largest.high)}."
    )
    assert re.fullmatch(
        r"At equal work, from numpy-batched to torch-manual, NumPy measured 1\.\d+ times faster "
        r"\[1\.\d+, 1\.\d+\] than PyTorch\.",
        lead[2],
    )
    assert len(lead) == 3


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


def test_a_whole_that_is_slower_is_said() -> None:
    later = {MEASURED_AS[rung.entry] for rung in example_plan().ladder} - {CLAIM_OLD}

    def turned(burst: Burst) -> Burst:
        slow = 1000 if burst.entry in later else 1
        return replace(burst, elapsed_ns=[slow * t for t in burst.elapsed_ns])

    run = edited(turned)
    lead = section(run).lead
    assert lead[0].endswith(" apart, the second being the slower one.")
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
    declared = f"So it is {own} here and {other} in the declared comparison."
    assert declared in section(run).notes[0]
    assert "declared" not in section(without(CLAIM_NEW)).notes[0]


def test_factors_are_written_from_the_side_that_is_above_one(default: Run) -> None:
    assert [*(times(Factor(value, None, None, 9)) for value in (3.8, 1 / 1.9, 1.0))] == [
        "× 3.80",
        "÷ 1.90",
        "× 1.000",
    ]
    slower = next(step.factor for step in taken(default).way if step.factor.value < 1)
    assert slower.low is not None
    assert slower.high is not None
    assert limits(slower) == f"[{1 / slower.high:.3g}, {1 / slower.low:.3g}]"


def test_the_table_holds_every_rung_with_its_case_and_the_time_it_has_everywhere(default: Run) -> None:
    steps, (table,) = taken(default), section(default).tables
    rungs = [steps.first, *(step.rung for step in (*steps.way, *steps.branches))]
    assert len(table.rows) == len(rungs) == 13
    first, second = table.rows[0], table.rows[1]
    assert first[3].text == "–"
    assert (second[1].text, second[3].text) == ("tanh", times(steps.way[0].factor))
    assert second[3].note == limits(steps.way[0].factor)
    assert "float64, tanh, positional" in second[0].note
    assert [row[1].note for row in table.rows[:9]] == [""] * 9
    assert all(row[1].note.startswith("beside the way, from ") for row in table.rows[9:])
    rows = facts_of(default).rows
    assert [row[2].value for row in table.rows] == [rows[rung.entry.id].median_ns for rung in rungs]


def test_what_is_known_to_be_wrong_is_marked_in_words_and_picture(default: Run) -> None:
    made = section(default)
    names = [row[0].text for row in made.tables[0].rows]
    assert [name for name in names if "published" in name] == ["numpy-published (known wrong gradient)"] * 2
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
    bars = [line for line in axes.get_lines() if line.get_linewidth() == 8]
    drawn = {tuple(np.asarray(line.get_xdata(), dtype=float)): line for line in bars}
    for step in (*made.way, *made.branches):
        line = drawn[step.above.time_ns, step.rung.time_ns]
        assert line.get_color() == colour_of(step.rung.arm.library)
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
    assert {"the whole batch at once", "all of it", "torch-compile", times(step.factor)} < set(texts)


def test_the_pictures_bytes_are_the_same_twice_and_its_ends_stand_in_words(default: Run) -> None:
    one, other = (section(make_run(example_records())).drawings[0] for _ in range(2))
    assert isinstance(one, Drawing)
    assert isinstance(other, Drawing)
    assert one.stem == "ladder"
    assert draw(one.draw()) == draw(other.draw())
    assert one.alt == other.alt
    rows = facts_of(default).rows
    for entry in (CLAIM_OLD, CLAIM_NEW):
        assert units.duration(rows[entry].median_ns) in one.alt


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
