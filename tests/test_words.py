"""How much there is to read: the words of a default page, counted in report.md and in the page, are few.

Words of prose are those of sentences, notes, captions and lists, and of table cells that have more than a
dozen; headings, the glossary, the environment and what only screen readers say are none.
"""

import re
from pathlib import Path

import pytest
from reports import Prose, table_rows

MOST = 1_800
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


def test_long_cells_captions_and_notes_count_and_headings_do_not() -> None:
    page = "<section id='a'><h2>not counted</h2><p>one two <b>three</b></p><ul><li>four</li></ul>{}</section>"
    table = "<table><caption>five</caption><tr><td>{}</td></tr></table>"
    assert words_of_page(page.format(table.format("short"))) == 5
    assert words_of_page(page.format(table.format("long " * 13))) == 18
    assert words_of_page("<section id='words'><p>one</p></section><p>two</p>") == 1
    text = "# not\n\none two\n\n| a | b |\n|---|---|\n| c | {} |\n\n![alt text](x)\n\n{}\n\n- three\n"
    assert words_of_markdown(text.format("d", "## Times")) == 3 + 1  # with the list's dash
    assert words_of_markdown(text.format("d " * 13, "## Times")) == 17
    assert words_of_markdown(text.format("d", APART_HEADINGS[0])) == 2
