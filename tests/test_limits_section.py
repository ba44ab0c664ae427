"""The section that says why: its sentences, its table and its picture, in runs with exact numbers."""

import limit_runs
import pytest
from journals import example_records
from limit_runs import BATCHED, BLOCKS, CELL
from reports import facts_of

from bench.analysis.outcome import outcomes
from bench.records.run import Run, make_run
from bench.reporting import plots
from bench.reporting.section import Section, TextTable
from bench.reporting.sections.limits import limits_section


def section(run: Run) -> Section:
    made = limits_section(facts_of(run), outcomes(run), "")
    assert made is not None
    return made


def cells(table: TextTable) -> dict[str, list[tuple[str, str]]]:
    return {row[0].text: [(cell.text, cell.note) for cell in row[1:]] for row in table.rows}


def test_the_first_sentence_says_what_the_slower_one_spends_its_extra_time_on() -> None:
    assert section(limit_runs.run()).lead[0] == (
        "PyTorch spends 296 µs more on dispatch (asking for its operations, whatever their size); in all, "
        "300 µs lie between torch-cell and numpy-batched."
    )
    times = {BATCHED: [200.0] * BLOCKS, CELL: [100.0] * BLOCKS}
    alone = {BATCHED: [66.0] * BLOCKS, CELL: [65.0] * BLOCKS}
    turned = section(limit_runs.run(times=times, alone=alone)).lead[0]
    assert turned.startswith("NumPy spends ")
    assert " more on the rest; in all, 100 µs lie between numpy-batched and torch-cell" in turned
    offset = section(
        limit_runs.run(
            times={BATCHED: [100.0] * BLOCKS, CELL: [110.0] * BLOCKS},
            alone={BATCHED: [5.0] * BLOCKS, CELL: [90.0] * BLOCKS},
        )
    ).lead[0]
    assert "; its other parts are shorter, so that only 10.0 µs lie between torch-cell and" in offset


def test_each_side_has_its_largest_share_with_its_interval() -> None:
    alone = [330.0, 332.0, 336.0, 336.0, 336.0, 338.0, 340.0]
    lead = section(limit_runs.run(alone={CELL: alone})).lead
    assert lead[1].startswith(
        "84 % [82, 85] of torch-cell's training step is dispatch (336 µs, 65 operations); "
    )
    assert len(lead) == 3


def test_where_products_take_most_the_sentence_says_so() -> None:
    def slow_products(kernel, arm):
        return limit_runs.price(kernel, arm) * (5 if kernel.is_product else 1)

    run = limit_runs.run(
        times={BATCHED: [200.0] * BLOCKS, CELL: [210.0] * BLOCKS},
        alone={BATCHED: [2.0] * BLOCKS, CELL: [3.0] * BLOCKS},
        priced=slow_products,
    )
    lead = section(run).lead
    assert any("of numpy-batched's training step is matrix products (" in sentence for sentence in lead)


def test_the_table_holds_shares_bounds_and_counts() -> None:
    shares, amounts, *_ = section(limit_runs.run()).tables
    dispatch, products, passes, rest = cells(shares)["torch-cell"]
    *counts, bound, efficiency = cells(amounts)["torch-cell"]
    assert dispatch == ("84 % [84, 84]", "336 µs")
    assert bound[1] == "by arithmetic"
    assert [text.endswith("]") for text, _ in (products, passes, rest, efficiency)] == [True] * 4
    assert [text for text, _ in counts] == ["65", "5.33", "1.83"]
    for table in (shares, amounts):
        assert [row[0].library for row in table.rows] == ["numpy", "torch", "numpy"]
        assert len({len(row) for row in table.rows} | {len(table.columns)}) == 1


def test_the_libraries_table_has_a_column_for_each_and_a_row_for_each_operation() -> None:
    table = section(limit_runs.run()).tables[-1]
    assert [column.title for column in table.columns] == [
        "Operation", "NumPy, CPU, one thread", "PyTorch, CPU, one thread"
    ]  # fmt: skip
    made = cells(table)
    assert made["a call that has nothing to do"] == [("500 ns", "[500, 500]")] * 2
    assert made["product 512 × 512 by 512 × 512"][0][0] == "250 Gflop/s"
    assert made["product 128 × 6 by 6 × 32"][0][0].endswith(" Gflop/s")


def test_parts_that_overlap_and_probes_that_failed_stand_in_the_notes() -> None:
    run = limit_runs.with_rates(
        limit_runs.run(times={CELL: [300.0] * BLOCKS}),
        lambda rates: (
            limit_runs.without_primitives(rates) if rates.arm == BATCHED and rates.block == 2 else rates
        ),
    )
    notes = " ".join(section(run).notes)
    assert "to which they are scaled: torch-cell in 7 of 7 blocks (median 26 %)." in notes
    assert f"{BATCHED} did not time its library in 1 block: no memory." in notes


def test_entries_that_were_not_taken_apart_are_named() -> None:
    run = limit_runs.run(limit_runs.plan("torch-cell", threads=(1, 2), all_threads=2))
    notes = " ".join(section(run).notes)
    assert "Not taken apart, " in notes
    assert "numpy-batched (CPU, 2 threads) and torch-cell (CPU, 2 threads)." in notes


def test_of_a_variant_without_a_formula_all_but_dispatch_is_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_runs.without_formula(monkeypatch, "torch-cell")
    made = section(limit_runs.run())
    assert cells(made.tables[0])["torch-cell"][3] == ("16 % [16, 16]", "64.0 µs")


def test_a_quick_run_has_no_such_section() -> None:
    run = limit_runs.run(limit_runs.plan("numpy-inplace", quick=True))
    assert limits_section(facts_of(run), outcomes(run), "") is None


@pytest.mark.parametrize("with_gpu", [False, True])
def test_the_default_run_has_its_picture_and_the_picture_its_words(with_gpu: bool) -> None:
    made = section(make_run(example_records(with_gpu=with_gpu)))
    (drawing,) = made.drawings
    assert drawing.stem == "limits"
    assert "torch-cell" in drawing.alt
    files, again = (plots.draw(drawing.draw()) for _ in range(2))
    assert files == again
    assert plots.draw(drawing.draw(narrow=True)) != files


def test_the_bars_are_as_long_as_their_times_and_in_the_librarys_colour() -> None:
    (drawing,) = section(limit_runs.run()).drawings
    (axes,) = drawing.draw().axes
    ends: dict[float, float] = {}
    for bar in axes.patches:
        ends[round(bar.get_y() + bar.get_height() / 2)] = bar.get_x() + bar.get_width()
    assert [ends[row] for row in (0, 1, 2)] == pytest.approx([100_000, 400_000, 80_000], rel=1e-3)
    firsts = {
        round(bar.get_y() + bar.get_height() / 2): bar.get_facecolor()
        for bar in axes.patches
        if bar.get_x() == 0
    }
    from matplotlib.colors import to_rgba

    assert [firsts[row] for row in (0, 1, 2)] == [
        to_rgba(plots.colour_of(library)) for library in ("numpy", "torch", "numpy")
    ]
