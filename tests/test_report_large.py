"""A run of many tables, rows and blocks still makes a page that can be read, and says what it left out."""

from itertools import pairwise

import pytest
from acceptance.tools.big_journal import big_records

from bench.records.run import Run, make_run
from bench.reporting import view as views
from bench.reporting.chapters import times
from bench.reporting.tables import MOST_DOTS, spread
from bench.reporting.view import MOST_PLOTS, view


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


def test_many_tables_are_one_that_sorts_without_plots(wide: Run) -> None:
    shown = view(wide)
    assert [table.plot for table in shown.tables] == [None] * (MOST_PLOTS + 2)
    section = times(shown.tables)
    assert section is not None
    (table,) = section.tables
    assert len(table.rows) == 3 * (MOST_PLOTS + 2)
    assert len({row[0].text for row in table.rows}) == MOST_PLOTS + 2  # each says its size
    assert section.parts == ()


def test_few_tables_have_a_plot_each() -> None:
    shown = view(make_run(list(big_records(shapes=MOST_PLOTS, arms=3, blocks=6))))
    assert all(table.plot is not None for table in shown.tables)
    section = times(shown.tables)
    assert section is not None
    assert len(section.parts) == MOST_PLOTS


def test_a_table_of_too_many_rows_has_no_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    one = make_run(list(big_records(shapes=1, arms=3, blocks=6)))
    assert not any("plot" in warning for warning in view(one).warnings)
    monkeypatch.setattr(views, "MOST_ROWS", 2)
    assert view(one).tables[0].plot is None
    assert any(warning.startswith("No plot for 1 of 1 table:") for warning in view(one).warnings)
