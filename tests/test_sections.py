"""Sentences, tables and pictures of every section are true to the journal that they are made of."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import limit_runs
import numpy as np
import pytest
from declared import declare, machine
from grids import BATCH, HIDDEN, best_map, crossing_at, grid, grid_plan, maps_of, run_of, with_ratio
from journals import example_plan, example_records
from ladders import MANUAL, MEASURED_AS, edited, taken, without
from limit_runs import BATCHED, BLOCKS, CELL
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from msgspec.structs import replace
from reports import CLAIM_NEW, CLAIM_OLD, facts_of
from test_answer import cell_time

from bench.analysis.crossover import lines
from bench.analysis.statistics import Interval
from bench.machine import units
from bench.measure.plan import FixedChoice
from bench.records.record import Burst, Check, Worker
from bench.records.run import Run, make_run
from bench.reporting import answer
from bench.reporting.article import Maker
from bench.reporting.facts import Facts
from bench.reporting.plots import colour_of, draw
from bench.reporting.section import Cell, Drawing, Section, TextTable, text_table
from bench.reporting.sections.breakeven import breakeven_section
from bench.reporting.sections.cells import cells_section, hero
from bench.reporting.sections.crossover import crossover_section, lines_plot, map_plot
from bench.reporting.sections.glossary import words_section
from bench.reporting.sections.ladder import BRANCH, WAY, ladder_section, limits, times
from bench.reporting.sections.limits import limits_section
from bench.reporting.sections.proof import proof_section
from bench.workload.case import Shape


def section(maker: Maker, run: Run, *refinements: Run) -> Section:
    made = maybe(maker, Facts.of(run, refinements))
    assert made is not None
    return made


def maybe(maker: Maker, facts: Facts) -> Section | None:
    return maker(facts, "")


def picture(made: Section) -> tuple[Drawing, Axes]:
    """The first drawing, and the axes that it draws."""
    drawing = made.drawings[0]
    assert isinstance(drawing, Drawing)
    return drawing, drawing.draw().axes[0]


def by_title(table: TextTable) -> dict[str, list[Cell]]:
    return {column.title: [row[n] for row in table.rows] for n, column in enumerate(table.columns)}


def row_of(table: TextTable, name: str, note: str = "") -> dict[str, Cell]:
    """The first row of that name by column."""
    row = next(row for row in table.rows if row[0].text == name and note in row[0].note)
    return {column.title: cell for column, cell in zip(table.columns, row, strict=True)}


def xs(line: Line2D) -> tuple[float, ...]:
    return tuple(np.asarray(line.get_xdata(), dtype=float))


MAKERS = (ladder_section, limits_section, breakeven_section, crossover_section)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_drawing_is_the_same_bytes_twice_and_another_one_on_a_narrow_screen(
    maker: Maker, default_run: Run
) -> None:
    run = grid(crossing_at(256)) if maker is crossover_section else default_run
    first, second = (section(maker, run).drawings for _ in range(2))
    assert first
    for one, again in zip(first, second, strict=True):
        assert isinstance(one, Drawing)
        assert isinstance(again, Drawing)
        assert draw(one.draw()) == draw(again.draw()) != draw(one.draw(narrow=True))
        assert one.alt == again.alt


def test_a_table_drops_what_is_empty_and_puts_numbers_on_the_right() -> None:
    fields: Mapping[str, Callable[[int], Cell | str]] = {
        "name": lambda n: Cell(f"row {n}", value=n, library="numpy"),
        "nothing": lambda n: Cell.of(None, units.ratio),
        "half": lambda n: Cell.of(n / 2 if n else None, units.ratio),
        "word": lambda n: "" if n else "none",
    }
    table = text_table("caption", fields, range(3))
    numbers = {column.title: column.number for column in table.columns}
    assert numbers == {"name": False, "half": True, "word": False}
    assert [cell.text for row in table.rows[:2] for cell in row] == [
        "row 0",
        "–",
        "none",
        "row 1",
        "0.500",
        "",
    ]
    assert text_table("caption", fields, []).rows == ()


# the ladder


def slowed(factors: Mapping[str, float], blocks: Sequence[int] = range(99)) -> Run:
    """The example run, some entries of the ladder taking so many times as long."""
    by_name = {MEASURED_AS[entry]: factor for entry, factor in factors.items()}

    def slow(burst: Burst) -> Burst:
        factor = by_name.get(burst.entry, 1) if burst.block in blocks else 1
        return replace(burst, elapsed_ns=[round(factor * t) for t in burst.elapsed_ns])

    return edited(slow)


AFTER_THE_FIRST = {rung.entry: 1000.0 for rung in example_plan().ladder if rung.entry != CLAIM_OLD}
INTERVAL = r"\[[\d.]+, [\d.]+\]"
PROGRAMS = r"The tutorial's two programs, numpy-published \(known wrong gradient\) and torch-cell, "
CARRIES = rf"The change that carries most is “the whole batch at once”: [\d.]+ times {INTERVAL}\."
UNDECIDED = ["That is undecided: the run gives no verdict on it."]
EQUAL = r"At equal work, from numpy-batched to torch-manual, "
WINS = rf"measured [12]\.\d+ times faster {INTERVAL} than"
FIRST = f"{PROGRAMS}.*"
LADDERS: list[tuple[Callable[[], Run], list[str]]] = [
    (lambda: slowed({}), [rf"{PROGRAMS}are \d+ times {INTERVAL} apart\.", CARRIES, f"{EQUAL}NumPy.*"]),
    (lambda: slowed({MANUAL: 0.4 * 100 / 190}), [FIRST, CARRIES, f"{EQUAL}PyTorch {WINS} NumPy."]),
    (lambda: slowed({MANUAL: 100 / 190}), [FIRST, CARRIES, f"{EQUAL}neither is measurably.*"]),
    (lambda: slowed(AFTER_THE_FIRST), [".* apart, the second being the slower one.", *UNDECIDED]),
    (lambda: make_run(example_records(quick=True)), [rf"{PROGRAMS}measured .* apart\.", *UNDECIDED]),
]  # fmt: skip


@pytest.mark.parametrize("case", LADDERS)
def test_the_ladders_sentences_say_how_far_what_carries_most_and_who_is_ahead(
    case: tuple[Callable[[], Run], list[str]],
) -> None:
    run, patterns = case
    lead = section(ladder_section, run()).lead
    assert all(re.fullmatch(pattern, line) for line, pattern in zip(lead, patterns, strict=True)), lead


def test_the_ladders_numbers_are_those_of_its_factors(default_run: Run) -> None:
    steps, lead = taken(default_run), section(ladder_section, default_run).lead
    for factor, sentence in ((steps.whole.factor, lead[0]), (steps.largest.factor, lead[1])):
        assert f"{units.ratio(factor.estimate)} times {limits(factor)}" in sentence
    both = (Interval(value, 0.5, 0.55, 0.95) for value in (3.8, 1 / 1.9, 1.0))
    assert [times(factor) for factor in both] == ["× 3.80", "÷ 1.90", "× 1.000"]
    assert limits(Interval(1 / 1.9, 0.5, 0.55, 0.95)) == "[1.82, 2.00]"


def test_the_declared_comparison_of_the_same_two_is_named_where_its_number_differs() -> None:
    """One block of ten is far off: the mean moves, the Hodges-Lehmann estimate hardly does."""
    run = slowed({CLAIM_OLD: 3}, blocks=[1])
    claim = facts_of(run).summary.headline("claim")
    assert claim is not None
    assert claim.ratio is not None
    own, other = units.ratio(taken(run).whole.factor.estimate), units.ratio(1 / claim.ratio)
    assert own != other
    note = f"So it is {own} here and {other} in the declared comparison."
    assert note in section(ladder_section, run).notes[0]
    assert "declared" not in section(ladder_section, without(CLAIM_NEW)).notes[0]


def test_the_ladders_table_holds_every_rung_with_its_case_and_the_time_it_has_everywhere(
    default_run: Run,
) -> None:
    steps, (table,) = taken(default_run), section(ladder_section, default_run).tables
    rungs = [steps.whole.above, *(step.rung for step in (*steps.way, *steps.branches))]
    columns, rows = by_title(table), facts_of(default_run).rows
    assert [cell.value for cell in columns["Time a call"]] == [
        rows[rung.entry.id].median_ns for rung in rungs
    ]
    factors = [step.factor for step in (*steps.way, *steps.branches)]
    assert [cell.text for cell in columns["Factor"]] == ["–", *map(times, factors)]
    assert [cell.note for cell in columns["Factor"]] == ["", *map(limits, factors)]
    assert columns["What changed"][1].text == "tanh"
    assert "float64, tanh, positional" in columns["Variant"][1].note
    beside = [cell.note.startswith("beside the way, from ") for cell in columns["What changed"]]
    assert beside == [False] * 9 + [True] * 4
    names = [cell.text for cell in columns["Variant"]]
    assert [name for name in names if "published" in name] == ["numpy-published (known wrong gradient)"] * 2


def test_every_bar_leads_from_the_time_above_to_its_own(default_run: Run) -> None:
    steps = taken(default_run)
    drawing, axes = picture(section(ladder_section, default_run))
    assert axes.get_xscale() == "log"
    bars = {xs(line): line for line in axes.get_lines() if line.get_linewidth() == 8}
    for step, strength in [(step, WAY) for step in steps.way] + [(step, BRANCH) for step in steps.branches]:
        line = bars[step.above.time_ns, step.rung.time_ns]
        assert (line.get_color(), line.get_alpha()) == (colour_of(step.rung.arm.library), strength)
    assert len(bars) == 1 + len(steps.way) + 1 + len(steps.branches)
    whiskers = [xs(line) for line in axes.get_lines() if line.get_marker() == "|"]
    step = steps.way[2]
    assert (step.above.time_ns / step.factor.high, step.above.time_ns / step.factor.low) in whiskers
    low, high = axes.get_xlim()
    assert all(low < time < high for ends in (*bars, *whiskers) for time in ends)
    texts = {text.get_text() for text in axes.texts}
    assert {"the whole batch at once", "all of it", "torch-compile", times(step.factor)} < texts
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    dots.sort(key=lambda line: float(np.asarray(line.get_ydata())[0]))
    hollow = [dot.get_markerfacecolor() == "white" for dot in dots]
    assert hollow == [True, True, *[False] * 12]  # two of published, the others, the whole
    for entry in (CLAIM_OLD, CLAIM_NEW):
        assert facts_of(default_run).time(entry) in drawing.alt


def test_an_accelerator_stands_beside_the_way() -> None:
    run = make_run(example_records(with_gpu=True))
    (step,) = (step for step in taken(run).branches if step.change == "on cuda:0")
    assert (step.above.entry.id, step.library_alone) == (CLAIM_NEW, False)
    (row,) = (row for row in section(ladder_section, run).tables[0].rows if row[1].text == "on cuda:0")
    assert row[1].note == "beside the way, from CPU, one thread"
    assert row[0].note.endswith("cuda:0")


# where the time goes


def alike(us: float) -> list[float]:
    return [us] * BLOCKS


ONE = "of (numpy-batched|torch-cell)'s training step is"
EACH, BEST = rf".* {ONE} .*; .* {ONE} .*\.", r"At its library's best rates .* % \[.*\] .*"
TIMES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, [
        r"PyTorch spends 296 µs more on dispatch \(asking for its operations, whatever their size\); in all, "
        "300 µs lie between torch-cell and numpy-batched.", EACH, BEST,
    ]),
    (
        {"times": {BATCHED: alike(200), CELL: alike(100)}, "alone": {BATCHED: alike(66), CELL: alike(65)}},
        ["NumPy spends .* more on the rest; in all, 100 µs lie between numpy-batched and .*", EACH, BEST],
    ),
    (
        {"times": {BATCHED: alike(100), CELL: alike(110)}, "alone": {BATCHED: alike(5), CELL: alike(90)}},
        [".*; its other parts are shorter, so that only 10.0 µs lie between torch-cell and .*", EACH, BEST],
    ),
    (
        {"alone": {CELL: [330.0, 332.0, 336.0, 336.0, 336.0, 338.0, 340.0]}},
        [".*", rf"84 % \[82, 85\] {ONE} dispatch \(336 µs, 65 operations\); .*", BEST],
    ),
    (
        {"times": {BATCHED: alike(200), CELL: alike(210)}, "alone": {BATCHED: alike(2), CELL: alike(3)},
         "priced": lambda kernel, arm: (5 if kernel.is_product else 1) * limit_runs.price(kernel, arm)},
        [".*", rf".* {ONE} matrix products \(.*", BEST],
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", TIMES)
def test_the_sentences_say_on_what_the_slower_one_spends_its_time_and_each_one_most(
    case: tuple[dict[str, Any], list[str]],
) -> None:
    options, patterns = case
    lead = section(limits_section, limit_runs.run(**options)).lead
    assert all(re.fullmatch(pattern, line) for line, pattern in zip(lead, patterns, strict=True)), lead


def test_the_tables_hold_shares_bounds_counts_and_what_each_library_can_do() -> None:
    shares, amounts, speeds = section(limits_section, limit_runs.run()).tables
    parts, counts = row_of(shares, "torch-cell"), row_of(amounts, "torch-cell")
    assert (parts["Dispatch"].text, parts["Dispatch"].note) == ("84 % [84, 84]", "336 µs")
    assert list(parts) == ["Variant", "Dispatch", "Matrix products", "Elementwise", "Rest"]
    assert [counts[title].text for title in ("Operations", "Mflop", "MB")] == ["65", "5.33", "1.83"]
    assert counts["Lower bound"].note == "by arithmetic"
    assert counts["Efficiency"].text.endswith("]")
    for table in (shares, amounts):
        assert [row[0].library for row in table.rows] == ["numpy", "torch", "numpy"]
    both = ("NumPy, CPU, one thread", "PyTorch, CPU, one thread")
    assert [column.title for column in speeds.columns] == ["Operation", *both]
    call = row_of(speeds, "a call that has nothing to do")
    assert [(call[one].text, call[one].note) for one in both] == [("500 ns", "[500, 500]")] * 2
    assert row_of(speeds, "product 512 × 512 by 512 × 512")[both[0]].text == "250 Gflop/s"
    assert row_of(speeds, "product 128 × 6 by 6 × 32")[both[0]].text.endswith(" Gflop/s")


def test_what_overlaps_what_failed_and_what_was_not_taken_apart_stand_in_the_notes() -> None:
    run = limit_runs.with_rates(
        limit_runs.run(times={CELL: alike(300)}),
        lambda rates: (
            limit_runs.without_primitives(rates) if rates.arm == BATCHED and rates.block == 2 else rates
        ),
    )
    notes = " ".join(section(limits_section, run).notes)
    assert "to which they are scaled: torch-cell in 7 of 7 blocks (median 26 %)." in notes
    assert f"{BATCHED} did not time its library in 1 block: no memory." in notes
    run = limit_runs.run(limit_runs.plan("torch-cell", threads=(1, 2)))
    notes = " ".join(section(limits_section, run).notes)
    assert re.search(r"Not taken apart, .*: numpy-batched \(CPU, 2 threads\) and torch-cell \(CPU, 2", notes)


def test_of_a_variant_without_a_formula_all_but_dispatch_is_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_runs.without_formula(monkeypatch, "torch-cell")
    made = section(limits_section, limit_runs.run())
    rest = row_of(made.tables[0], "torch-cell")["Rest"]
    assert (rest.text, rest.note) == ("16 % [16, 16]", "64.0 µs")
    assert "All but dispatch is the rest where operations cannot be counted: torch-cell." in made.notes


def test_the_bars_are_as_long_as_their_times_and_in_the_librarys_colour() -> None:
    drawing, axes = picture(section(limits_section, limit_runs.run()))
    bars = {(round(bar.get_y() + bar.get_height() / 2), bar.get_x()): bar for bar in axes.patches}
    ends = [max(x + bar.get_width() for (y, x), bar in bars.items() if y == row) for row in range(3)]
    assert ends == pytest.approx([100_000, 400_000, 80_000], rel=1e-3)
    colours = [to_rgba(colour_of(library)) for library in ("numpy", "torch", "numpy")]
    assert [bars[row, 0].get_facecolor() for row in range(3)] == colours
    assert "torch-cell 400 µs" in drawing.alt


# what starting costs

MS, US = 1_000_000, 1_000


def test_the_default_run_says_at_most_three_sentences_of_starting_one_for_each_kind(default_run: Run) -> None:
    made = section(breakeven_section, default_run)
    assert (made.id, made.title) == ("breakeven", "What does it cost to start?")
    starts = ("PyTorch never catches up", "Compiling pays after", "torch-layer overtakes numpy-published")
    assert [sentence.startswith(start) for sentence, start in zip(made.lead, starts, strict=True)] == [
        True
    ] * 3
    fastest = (cell.note.startswith("fastest form of each") for cell in by_title(made.tables[0])["Compared"])
    assert any(fastest)


def test_totals_are_sums_of_parts_and_have_no_limits_of_their_own(default_run: Run) -> None:
    _, paid = section(breakeven_section, default_run).tables
    totals = ("1 step", "100 steps", "10\u202f000 steps", "1\u202f000\u202f000 steps")
    rows = [row_of(paid, row[0].text, row[0].note) for row in paid.rows]
    for row in rows:
        assert {row[total].note for total in totals} == {""}
        assert row["Start and import"].note  # its parts have them
        first, hundred, *_, last = (row[total].value or 0 for total in totals)
        assert (last - first) / 999_999 == pytest.approx((hundred - first) / 99, rel=0.05)
    assert "from the cache" in row_of(paid, "torch-compile")["Compiling"].note
    assert len(rows) == len({(row[0].text, row[0].note) for row in paid.rows})
    main = {default_run.arms[entry.arm].variant for entry in default_run.plan.groups[0].entries}
    assert main < {row[0].text.removesuffix(" (known wrong gradient)") for row in paid.rows}


def test_what_no_arm_pays_has_no_column(default_run: Run) -> None:
    on_gpu = example_records(with_gpu=True)
    cold = [replace(r, compile_ns=0, compile_cpu_ns=0) if isinstance(r, Worker) else r for r in on_gpu]
    found = {}
    for name, run in {"cpu": default_run, "gpu": make_run(on_gpu), "cold": make_run(cold)}.items():
        made = section(breakeven_section, run)
        columns = by_title(made.tables[1])
        found[name] = {title for title in ("Compiling", "Transfer") if title in columns}
        assert {word for word in ("Compiling", "Transfer") if word in " ".join(made.notes)} == found[name]
    assert found == {"cpu": {"Compiling"}, "gpu": {"Compiling", "Transfer"}, "cold": {"Transfer"}}


def test_a_crossing_has_one_number_in_picture_and_table(default_run: Run) -> None:
    made = section(breakeven_section, default_run)
    drawing, axes = picture(made)
    rows = [row_of(made.tables[0], row[0].text, row[0].note) for row in made.tables[0].rows]
    numbered = [row for row in rows if row["In the picture"].value is not None]
    drawn = {text.get_text(): text.xy[0] for text in axes.texts if isinstance(text, Annotation)}
    assert drawn == pytest.approx(
        {row["In the picture"].text: row["Overtaken after"].value for row in numbered}
    )
    assert "1" in drawn
    for row in numbered:
        assert f"{row['Compared'].text} at {row['Overtaken after'].text}" in drawing.alt
    legend = axes.get_legend()
    assert legend is not None
    names = {text.get_text() for text in legend.get_texts()}
    assert {"numpy-batched", "torch-layer", "torch-compile"} < names


# where it turns round


@pytest.fixture(scope="module")
def turning_at_256() -> Run:
    return grid(crossing_at(256))


def test_the_section_holds_every_size_and_every_crossing(turning_at_256: Run) -> None:
    made = section(crossover_section, turning_at_256)
    batches, crossings, best, written, families = made.tables
    assert [row[0].text for row in batches.rows] == [str(B) for B in BATCH]
    assert batches.rows[0][1].text == answer.clause(lines(best_map(turning_at_256))[0])
    assert len(best.rows) == len(written.rows) == len(HIDDEN) * len(BATCH)
    assert {cell.text for cell in by_title(crossings)["Faster from there on"]} == {"PyTorch"}
    assert by_title(crossings)["Measured below it"][0].text == "H = 128"
    assert by_title(crossings)["Measured below it"][0].note.startswith("NumPy 1.41 times [")
    assert (len(crossings.rows), len(families.rows)) == (4, 4)
    assert all("B = 128: PyTorch above some H between " in drawing.alt for drawing in made.drawings)
    assert answer.certainty(maps_of(turning_at_256)) in made.lead


def test_dots_are_named_only_where_there_are_any(turning_at_256: Run) -> None:
    cases = (dataclasses.replace(best_map(turning_at_256).cells[0].case, shape=Shape(6, 1, 6, 200, 8)),)
    later = run_of(grid_plan(exactly=FixedChoice(cases)), with_ratio(crossing_at(256)))
    for refinements, dotted in (((), False), ((later,), True)):
        made = section(crossover_section, turning_at_256, *refinements)
        assert ["A dot is" in one.caption for one in made.drawings] == [dotted, False, dotted]


def test_a_map_is_drawn_whose_ratios_all_lie_at_one_size() -> None:
    """As where the larger size fails at every batch."""
    size_map = best_map(grid(lambda H, B: math.log(3) * (1 if B == 1 else -1)))
    missing = {"ratio": None, "low": None, "high": None, "verdict": "MISSING"}
    cells = tuple(
        cell
        if min(HIDDEN) == cell.case.shape.H
        else dataclasses.replace(cell, comparison=dataclasses.replace(cell.comparison, **missing))
        for cell in size_map.cells
    )
    assert map_plot(dataclasses.replace(size_map, cells=cells)).axes


def test_a_factor_reads_the_same_from_either_side() -> None:
    """One side is up to 3 times faster at small sizes, the other at large ones."""
    size_map = best_map(grid(lambda H, B: math.log(3) * (1 if H < 100 else -1)))
    (axes,) = lines_plot(size_map).axes
    ticks = [tick for tick in axes.yaxis.get_major_locator()() if 0.3 < tick < 3.1]
    labels = [axes.yaxis.get_major_formatter()(tick, None) for tick in ticks]
    assert labels == ["2.5", "2", "1.6", "1.25", "1", "1.25", "1.6", "2", "2.5"]
    (narrow,) = lines_plot(size_map, narrow=True).axes
    assert [list(drawn.get_xticks()) for drawn in (axes, narrow)] == [list(HIDDEN[::-1]), list(HIDDEN[::-2])]


def test_tiles_and_table_speak_of_the_faster_side() -> None:
    run = grid(crossing_at(100), hidden=(8, 512), batch=(1, 4))
    table = section(crossover_section, run).tables[2]
    for row, cell in zip(table.rows, best_map(run).cells, strict=True):
        sides = ["numpy", "torch"] if cell.H == 8 else ["torch", "numpy"]
        assert [row[2].library, row[3].library] == sides
        assert cell.comparison.ratio is not None
        assert row[4].value == pytest.approx(max(cell.comparison.ratio, 1 / cell.comparison.ratio))
        assert row[5].text == "decided"
    (axes,) = map_plot(best_map(run)).axes
    heads = [text.get_text() for text in axes.texts if isinstance(text, Annotation)]
    assert heads[:2] == ["■ NumPy is faster", "■ PyTorch is faster"]
    numbers = [text.get_text() for text in axes.texts if not isinstance(text, Annotation)]
    assert sorted(numbers) == sorted(row[4].text for row in table.rows)


def test_a_run_of_one_size_says_so_and_what_to_do(default_run: Run) -> None:
    made = section(crossover_section, default_run)
    (sentence,) = made.lead
    assert sentence.startswith("This is one size, B = 128 and H = 32; rnnbench run --preset grid finds ")
    assert made.drawings == made.tables == ()


# is it right?


YES = "Yes: 9 variants agree with an independent float64 reference; the tutorial’s own gradient is wrong"
PUBLISHED, CELLS = "numpy-published float64", "torch-cell float32"
LOSES = "claims to be right and is not, and has no times."
# checks besides, of which variant; a sentence; variant and dtype; a column, its text and its note
Proof = tuple[str, tuple[Check, ...], str, str, str, str, str]
PROOFS: list[Proof] = [
    ("", (), YES, "torch-layer float32", "Gradient of W", "6.3e-07", "≤ 1.0e-05"),
    ("", (), YES, "torch-layer float32", "Conclusion", "right", ""),
    ("", (), f"{YES} (U off by 31 %).", PUBLISHED, "Gradient of U", "off by 31 %", "allowed 3.0e-14"),
    ("", (), YES, PUBLISHED, "Conclusion", "known wrong gradient", ""),
    (
        "torch-cell", (Check("update V", 9.5e-6, 1e-5, True, quantity="V"),),
        "Nearest to its limit: gradient of V of torch-cell (float32), 9.5e-06 of 1.0e-05 allowed.",
        CELLS, "Gradient of V", "9.5e-06", "≤ 1.0e-05",
    ),
    (
        "torch-cell", (Check("update V", 0.2, 1e-5, False, quantity="V"),),
        f"No: torch-cell {LOSES}", CELLS, "Gradient of V", "2.0e-01", "> 1.0e-05",
    ),
    (  # a question is no distance, but its no counts
        "torch-cell", (Check("inputs unchanged", 1.0, 0.0, False),),
        f"No: torch-cell {LOSES}", CELLS, "Loss", "1.0e-07", "≤ 3.0e-06",
    ),
    (  # what fails without being known is not taken for the known error
        "numpy-published", (Check("update V", 0.2, 3e-14, False, quantity="V"),),
        f"No: numpy-published {LOSES}", PUBLISHED, "Conclusion", "failed", "",
    ),
    (
        "numpy-published", (Check("update U", 0.9, 3e-14, False, True, "U"),),
        f"{YES} (U off by 90 %).", PUBLISHED, "Gradient of U", "off by 90 %", "allowed 3.0e-14",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", PROOFS)
def test_the_proof_says_yes_or_no_and_shows_the_largest_error_and_what_is_allowed(case: Proof) -> None:
    changed, checks, sentence, entry, title, text, note = case
    records = [
        replace(record, checks=[*record.checks, *checks])
        if isinstance(record, Burst) and f"| {changed}@" in record.entry
        else record
        for record in example_records()
    ]
    made = section(proof_section, make_run(records))
    assert any(line.startswith(sentence) for line in made.lead)
    cells = row_of(made.tables[0], *entry.split())
    assert (cells[title].text, cells[title].note) == (text, note)
    words = {cell.text: cell.tone for cell in by_title(made.tables[0])["Conclusion"]}
    assert words.items() <= {"right": "good", "failed": "trouble", "known wrong gradient": "trouble"}.items()
    assert made.lead[0].startswith("No: ") is ("failed" in words)
    assert ("All others, " in made.lead[1]) is ("failed" in words)
    assert made.notes[-1].endswith("and is never called a winner.")


# what another cell costs


def test_the_cells_stand_side_by_side_each_with_what_it_costs() -> None:
    run = run_of(declare(preset="cells"), cell_time)
    made = section(cells_section, run)
    (table,) = made.tables
    assert [column.title for column in table.columns] == ["Variant", "RNN", "GRU", "LSTM"]
    facts = facts_of(run)
    for row in table.rows:
        assert [cell.value for cell in row[1:]] == [
            facts.rows[f"{facts.cell_tables[0].name} | {cell} {row[0].text}@cpu x1"].median_ns
            for cell in ("rnn", "gru", "lstm")
        ]
        assert row[1].note == ""
        assert re.fullmatch(r"× [\d.]+ \[[\d.]+, [\d.]+\](| EQUIVALENT)", row[2].note)
    assert made.lead == ("6 of 8 costs are proved to differ from the RNN’s time.",)
    assert "GRU and LSTM with biases, RNN without" in made.notes[-1]
    drawing, axes = picture(made)
    assert re.search(r"torch-layer: GRU 3[12]\d µs, 1\.[56]\d+ \[", drawing.alt)
    labels = [text.get_text() for text in axes.texts]
    assert labels.count("GRU") == labels.count("LSTM") == 4
    assert maybe(cells_section, facts_of(grid(crossing_at(64)))) is None
    words = dict(section(words_section, run).pairs)
    assert {"GRU", "LSTM", "hidden state", "bU, bW, bV"} <= words.keys()
    of_the_rnn = dict(section(words_section, grid(crossing_at(64))).pairs)
    assert not {"GRU", "LSTM", "bU, bW, bV"} & of_the_rnn.keys()


def test_a_cell_of_several_sizes_has_a_row_a_size_and_a_map_a_cell() -> None:
    run = run_of(declare(preset="cells", hidden=(8, 32, 128)), cell_time)
    (table,) = section(cells_section, run).tables
    assert len(table.rows) == 3 * 4
    assert [row[0].note for row in table.rows[::4]] == [f"CPU, one thread; H = {H}" for H in (8, 32, 128)]
    headings = {column.title for column in section(crossover_section, run).tables[0].columns}
    assert {heading.rpartition(", ")[2] for heading in headings} == {"B", "RNN", "GRU", "LSTM"}
    assert not facts_of(run).is_grid


@pytest.mark.parametrize("missing", [{}, {"torch": "PyTorch is not installed"}])
def test_libraries_are_compared_by_cell_where_both_were_measured(missing: dict[str, str]) -> None:
    run = run_of(declare(preset="cells", devices=machine(missing=missing)), cell_time)
    answer = hero(facts_of(run), "", ())
    assert answer
    assert all(text for _, text in answer.facts)
    assert ("NumPy or PyTorch" in dict(answer.facts)) is not bool(missing)


# where there is nothing to show


def test_a_section_without_anything_to_show_is_left_out(default_run: Run) -> None:
    plan, *others = example_records(quick=True)
    no_ladder = make_run([replace(plan, ladder=[]), *others])
    no_workers = make_run([record for record in example_records() if not isinstance(record, Worker)])
    absent: list[tuple[Maker, Facts]] = [
        (ladder_section, facts_of(no_ladder)),
        (limits_section, facts_of(limit_runs.run(limit_runs.plan("numpy-inplace", quick=True)))),
        (breakeven_section, facts_of(no_workers)),
        (proof_section, facts_of(make_run([example_plan()]))),
        # sizes that make no row; and a map, of which the first size is no answer
        (crossover_section, facts_of(grid(crossing_at(64), hidden=(32,), batch=(1, 4)))),
        (breakeven_section, dataclasses.replace(facts_of(default_run), maps=maps_of(grid(crossing_at(64))))),
    ]
    assert [maybe(maker, facts) for maker, facts in absent] == [None] * len(absent)
