"""How much there is to read: the words of a default page, counted in report.md and in the page, are few.

Words of prose are those of sentences, notes, captions and lists, and of table cells that have more than a
dozen; headings, the glossary, the environment and what only screen readers say are none.
"""

import re
from pathlib import Path

import pytest
from declared import declare
from grids import records_of
from reports import Prose, table_rows, write_run

from bench.reporting.build import build_report

MOST = 1_800
MOST_OF_CELLS = 1_200
CELL = 12  # words of a table's cell; more are prose
APART = {"words", "machine"}  # sections that are not read through
APART_HEADINGS = ("## What do the words mean?", "## On which machine, and was it fair?")


def count(text: str) -> int:
    return len(text.split())


def words_of_page(page: str) -> int:
    """Words of prose in a page, all sections open."""
    return sum(
        count(text) for tag, text in Prose(page, APART).texts if tag not in ("td", "th") or count(text) > CELL
    )


def words_of_markdown(text: str) -> int:
    """The same in report.md."""
    sections = [one for one in re.split(r"(?m)^(?=## )", text) if not one.startswith(APART_HEADINGS)]
    lines = "".join(sections).splitlines()
    cells = [cell for row in table_rows("\n".join(lines)) for cell in row if count(cell) > CELL]
    return sum(map(count, cells)) + sum(
        count(line) for line in lines if not line.startswith(("#", "![", "|"))
    )


@pytest.mark.parametrize(
    ("name", "counted"), [("report.html", words_of_page), ("report.md", words_of_markdown)]
)
def test_the_default_page_is_short(default_page: Path, name: str, counted) -> None:
    words = counted((default_page.parent / name).read_text(encoding="utf-8"))
    assert 300 < words <= MOST


def test_a_page_of_three_cells_is_shorter(tmp_path: Path) -> None:
    write_run(tmp_path, records_of(declare(preset="cells"), lambda arm, case: 1e5))
    page = build_report([tmp_path], None)
    assert 200 < words_of_page(page.read_text(encoding="utf-8")) <= MOST_OF_CELLS


def test_long_cells_captions_and_notes_count_and_headings_do_not() -> None:
    page = "<h2>not</h2><p>one two <b>three</b></p><ul><li>four</li></ul><p id='words'>not</p>"
    table = "<table><caption>five</caption><tr><td>{}</td></tr></table>"
    text = "# not\n\none two\n\n| a |\n|---|\n| {} |\n\n![not](x)\n\n- three\n\n"
    text += f"{APART_HEADINGS[0]}\n\nnot\n"
    for cell, count_of_cell in (("short", 0), ("long " * 13, 13)):
        assert words_of_page(page + table.format(cell)) == 5 + count_of_cell
        assert words_of_markdown(text.format(cell)) == 4 + count_of_cell  # with the list's dash
