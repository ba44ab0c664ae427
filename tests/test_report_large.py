"""A run of many tables, rows and blocks still makes a page that can be read, and says what it left out."""

from dataclasses import replace as replaced
from itertools import pairwise

import pytest
from acceptance.tools.big_journal import big_records

from bench.reporting import view as views
from bench.reporting.tables import MOST_DOTS, spread
from bench.reporting.view import MOST_PLOTS, view
from bench.results.run import Run, make_run


@pytest.fixture(scope="module")
def wide() -> Run:
    """Two tables more than there are plots."""
    return make_run(list(big_records(shapes=MOST_PLOTS + 2, arms=3, blocks=6)))


def test_few_blocks_are_all_drawn_and_many_are_thinned_out_by_rank() -> None:
    few, many = [float(n) for n in range(MOST_DOTS)], [float(n) for n in range(1000)]
    assert spread(few[::-1]) == tuple(few[::-1])
    drawn = spread(many[::-1])
    assert (len(drawn), drawn[0], drawn[-1]) == (MOST_DOTS, 0.0, 999.0)
    gaps = {round(after - before) for before, after in pairwise(drawn)}
    assert gaps <= {20, 21}


def test_the_first_tables_have_plots_and_the_page_says_so(wide: Run) -> None:
    shown = view(wide)
    assert [table.plot is not None for table in shown.tables] == [True] * MOST_PLOTS + [False] * 2
    assert all(len(table.lines) == 3 for table in shown.tables)
    (said,) = [warning for warning in shown.warnings if "plot" in warning]
    assert said.startswith(f"No plot for 2 of {MOST_PLOTS + 2} tables")


def test_a_table_of_too_many_rows_has_no_plot(wide: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    group = wide.plan.groups[0]
    entries = {entry.id for entry in group.entries}
    one = replaced(wide, bursts=tuple(burst for burst in wide.bursts if burst.entry in entries))
    assert not any("plot" in warning for warning in view(one).warnings)
    monkeypatch.setattr(views, "MOST_ROWS", 2)
    assert view(one).tables[0].plot is None
    assert any(warning.startswith("No plot for 1 of 1 table:") for warning in view(one).warnings)
