"""A section of the page, before it is HTML or Markdown: one question, its answer, what shows it.

Everything in it is plain text that may come from a stranger's file: whoever renders it escapes it.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from matplotlib.figure import Figure

from bench.machine import units

T = TypeVar("T")

Pairs = tuple[tuple[str, str], ...]  # names, and what there is to say about each


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, and whether numbers stand below it."""

    title: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell. ``note`` stands small below it; ``value`` is what sorting goes by, the text without one."""

    text: str
    note: str = ""
    value: float | None = None
    tone: str = ""  # good, bad, calm or trouble: drawn as a verdict; empty: plain
    library: str = ""  # numpy or torch: the colour beside it
    link: str = ""  # the id of a result or section on the same page

    @classmethod
    def of(cls, value: float | None, form: Callable[[float], str], note: str = "") -> "Cell":
        """Return a number as ``form`` writes it, which sorts by its value; a dash without one."""
        return cls(units.NOTHING) if value is None else cls(form(value), note, value)

    @property
    def empty(self) -> bool:
        """Tell whether nothing stands in it."""
        return self.text in ("", units.NOTHING) and not self.note


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table, all numbers formatted; the first cell of a row is its heading."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


Fields = Mapping[str, Callable[[T], Cell | str]]  # by a column's heading, what stands there of a thing


def text_table(caption: str, fields: Fields[T], things: Iterable[T], note: str = "") -> TextTable:
    """Return a table with a row a thing; a column in which nothing stands is left out.

    Numbers stand on the right; a variant, which has its library's colour, may sort by one and is none.
    """
    rows = [[_cell(field(thing)) for field in fields.values()] for thing in things]
    by_column = dict(zip(fields, zip(*rows, strict=True), strict=True)) if rows else {}
    kept = {title: cells for title, cells in by_column.items() if not all(cell.empty for cell in cells)}
    columns = (Column(title, any(map(_is_number, cells))) for title, cells in kept.items())
    return TextTable(caption, tuple(columns), tuple(zip(*kept.values(), strict=True)), note)


def _is_number(cell: Cell) -> bool:
    return cell.value is not None and not cell.library


def _cell(content: Cell | str) -> Cell:
    return Cell(content) if isinstance(content, str) else content


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture: ``stem`` names its files; ``alt`` says its numbers in words, for those who do not see it.

    ``draw(narrow=True)`` draws it for a narrow screen, 3.4 inches wide.
    """

    stem: str
    alt: str
    draw: Callable[..., Figure]
    caption: str = ""

    @property
    def file(self) -> str:
        """Return where it lies, seen from the page."""
        return f"plots/{self.stem}.svg"


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that is drawn already; ``file`` is where it lies, seen from the page."""

    stem: str
    alt: str
    file: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file that the page holds, for keeping: ``href`` is a data: URI."""

    name: str
    href: str
    what: str


def data_uri(content: bytes, kind: str) -> str:
    """Return a link that holds a file; ``kind`` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True, slots=True)
class Section:
    """One question's answer. ``lead`` says it in sentences; ``notes`` are the small print."""

    id: str  # the anchor: "ladder"
    title: str
    lead: tuple[str, ...] = ()
    drawings: tuple[Drawing | Image, ...] = ()
    pairs: Pairs = ()
    tables: tuple[TextTable, ...] = ()
    text: str = ""  # as it was printed, line by line
    parts: tuple["Section", ...] = ()  # sections of its own, one level below
    file: File | None = None
    notes: tuple[str, ...] = ()
    open: bool = True  # whether a page with scripts shows more than its title at first

    @property
    def pictures(self) -> Iterator["Drawing | Image"]:
        """Yield all that it shows, that of its parts included."""
        yield from self.drawings
        for part in self.parts:
            yield from part.pictures


@dataclass(frozen=True, slots=True)
class Hero:
    """The answer of one result, for its first screen."""

    title: str  # in large type: "NumPy is 3.65 times faster than PyTorch"
    word: str = ""  # the verdict's, with the side that it is about
    tone: str = "calm"
    small: tuple[str, ...] = ()  # beside the word: what the title holds for, interval, noise floor, blocks
    facts: Pairs = ()  # a few words, and the sentence that carries the answer


@dataclass(frozen=True, slots=True)
class Article:
    """One result on the page: a run, a training, a file of another tool."""

    anchor: str
    kind: str  # "A map of sizes"
    name: str
    machine: str
    hero: Hero
    banners: tuple[str, ...]  # what the answer depends on: before it
    warnings: tuple[str, ...]  # about the machine and the time budget: after it
    sections: tuple[Section, ...]
    summary: tuple[str, ...] = ()  # what a terminal says of it
    overview: tuple[Cell, ...] = ()  # its cells in the table of several results, after name and machine
    machine_facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # what tells machines apart

    @property
    def pictures(self) -> Iterator[Drawing | Image]:
        """Yield all that it shows."""
        for section in self.sections:
            yield from section.pictures
