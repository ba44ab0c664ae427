"""Define a section of the page before it becomes HTML or Markdown: a question, its answer, and the evidence.

All its text is plain and may come from a stranger's file: code that renders a section must escape the text.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from bench.machine import units

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.reporting.facts import Facts

T = TypeVar("T")

Pairs = tuple[tuple[str, str], ...]  # names, each with its text


@dataclass(frozen=True, slots=True)
class Column:
    """Describe a column: its heading, and whether it holds numbers."""

    title: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """Hold a table's cell; ``note`` stands small below ``text``; without ``value``, sorting uses ``text``."""

    text: str
    note: str = ""
    value: float | None = None
    tone: str = ""  # good, bad, calm or trouble: drawn as a verdict; empty: plain text
    library: str = ""  # its name: shown by its colour beside the text
    link: str = ""  # the id of a result or section on the same page

    @classmethod
    def of(cls, value: float | None, form: Callable[[float], str], note: str = "") -> "Cell":
        """Return a cell that shows ``form(value)`` and is sorted by ``value``; a dash for None."""
        return cls(units.NOTHING) if value is None else cls(form(value), note, value)

    @property
    def empty(self) -> bool:
        """Return whether the cell holds neither text nor note."""
        return self.text in ("", units.NOTHING) and not self.note


@dataclass(frozen=True, slots=True)
class TextTable:
    """Hold a table with formatted numbers; the first cell of a row is the row's heading."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


# heading of a column -> function that makes the cell of an object
Fields = Mapping[str, Callable[[T], Cell | str]]


def text_table(caption: str, fields: Fields[T], things: Iterable[T], note: str = "") -> TextTable:
    """Return a table with a row for each of ``things``; columns without any content are left out.

    Columns with numbers are aligned to the right. A variant's cell has a colour and may have a sorting value,
    but is no number.
    """
    rows = [[_cell(field(thing)) for field in fields.values()] for thing in things]
    by_column = dict(zip(fields, zip(*rows, strict=True), strict=True)) if rows else {}
    filled = {title: cells for title, cells in by_column.items() if not all(cell.empty for cell in cells)}
    columns = (Column(title, any(map(_is_number, cells))) for title, cells in filled.items())
    return TextTable(caption, tuple(columns), tuple(zip(*filled.values(), strict=True)), note)


def _is_number(cell: Cell) -> bool:
    return cell.value is not None and not cell.library


def _cell(content: Cell | str) -> Cell:
    return Cell(content) if isinstance(content, str) else content


@dataclass(frozen=True, slots=True)
class Drawing:
    """Hold a picture: ``stem`` names its files; ``alt`` gives its numbers in words, for blind readers.

    ``draw(narrow=True)`` draws the version for a narrow screen, 3.4 inches wide.
    """

    stem: str
    alt: str
    draw: "Callable[..., Figure]"
    caption: str = ""

    @property
    def file(self) -> str:
        """Return the path of the picture's file, relative to the page."""
        return f"plots/{self.stem}.svg"


@dataclass(frozen=True, slots=True)
class Image:
    """Hold a picture that is already drawn; ``file`` is its path relative to the page."""

    stem: str
    alt: str
    file: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """Hold a file inside the page, for download: ``href`` is a data: URI."""

    name: str
    href: str
    what: str


def data_uri(content: bytes, kind: str) -> str:
    """Return a data: URI that contains a file; ``kind`` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True, slots=True)
class Section:
    """Hold the answer to one question: ``lead`` has its sentences, ``notes`` the small print."""

    id: str  # the anchor: "ladder"
    title: str
    lead: tuple[str, ...] = ()
    drawings: tuple[Drawing | Image, ...] = ()
    pairs: Pairs = ()
    tables: tuple[TextTable, ...] = ()
    text: str = ""  # printed output, line by line
    parts: tuple["Section", ...] = ()  # subsections
    file: File | None = None
    notes: tuple[str, ...] = ()
    open: bool = True  # whether the section is unfolded at first, on a page with scripts

    @property
    def pictures(self) -> Iterator["Drawing | Image"]:
        """Yield all its pictures, also those of its parts."""
        yield from self.drawings
        for part in self.parts:
            yield from part.pictures


@dataclass(frozen=True, slots=True)
class Hero:
    """Hold the answer of one result, for the first screen of the page."""

    title: str  # in large type: "NumPy is 3.65 times faster than PyTorch"
    word: str = ""  # the verdict, with the side that it describes
    tone: str = "calm"
    small: tuple[str, ...] = ()  # beside the word: conditions of the title, interval, noise floor, blocks
    facts: Pairs = ()  # labels, each with a sentence of the answer


@dataclass(frozen=True, slots=True)
class Article:
    """Hold one result of the page: a run, a training, or a file of another tool."""

    anchor: str
    kind: str  # "A map of sizes"
    name: str
    machine: str
    hero: Hero
    banners: tuple[str, ...]  # warnings about the answer, shown before it
    warnings: tuple[str, ...]  # about the machine and the time budget, shown after the answer
    sections: tuple[Section, ...]
    summary: tuple[str, ...] = ()  # the lines that a terminal shows
    cells: Pairs = ()  # article and name of each: ("a", "GRU")
    overview: tuple[Cell, ...] = ()  # cells in the table of all results, after name and machine
    # facts in which machines may differ, by name
    machine_facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facts: "Facts | None" = None  # of a run
    aspects: Mapping[str, str] = field(default_factory=dict)  # what was measured: {"H": "hidden 64"}
    difference: str = ""  # aspects that others of its kind on the page have not: "hidden 64, float64"

    @property
    def title(self) -> str:
        """Return the kind and the difference: "Sizes of one's own: hidden 64"."""
        return ": ".join(filter(None, (self.kind, self.difference)))

    @property
    def pictures(self) -> Iterator[Drawing | Image]:
        """Yield all pictures of the article."""
        for section in self.sections:
            yield from section.pictures
