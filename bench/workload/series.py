"""Where a series comes from: the primer's sine wave, or a column of a CSV file.

A file is read only where it can be read in one way. Whatever could give values that it does not hold (a
decimal comma that cuts a value in two, a name that two columns share, a first line of numbers) is refused
with its line, and what to do.
"""

import codecs
import contextlib
import csv
import io
import itertools
import math
import re
import reprlib
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.machine.errors import UserError, did_you_mean
from bench.machine.files import open_to_read
from bench.machine.wording import one_line

Array = NDArray[Any]
Decimal = Literal[".", ","]
Missing = Literal["error", "drop", "interpolate"]
Row = tuple[int, list[str]]  # the line that it starts in, and its cells

MAX_BYTES = 2**28  # 256 MiB: over ten million rows of two numbers
IF_VALUES = "; if these are values, put a line of names before them"
# what .xlsx and .zip, .gz, .xls, .bz2, .xz, .zst and Parquet files begin with
PACKED = (
    b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd", b"PAR1",
)  # fmt: skip
DELIMITERS = ",;\t|"
MOST_LISTED = 30  # columns in a message
FIRST_ROWS = 20  # that tell the delimiter
SAMPLE = 1000  # cells that tell whether a column holds numbers
DATES = 100  # rows that tell which way time runs
# what other programs write for "no value": pandas' own list, and statistical offices' signs
NO_VALUE = {
    "", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", ".", "..", ":", "?", "-", "--",
    "...", "\u2026", "\u2013", "\u2014", "n.a.", "nd", "n.d.", "nil", "missing", "\\n",
}  # fmt: skip

# ASCII digits only, no underscores, no "inf" and no "nan": all of those float() takes without a word
NUMBERS = {
    ".": re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"),
    ",": re.compile(r"[+-]?(?:[0-9]+(?:,[0-9]*)?|,[0-9]+)(?:[eE][+-]?[0-9]+)?"),
}
NUMBER_LIKE = re.compile(  # what a person takes for a number, with signs of thousands, money and per cent
    r"[+-]?[$€£]?[.,]?[0-9][0-9.,_'’ \u00a0\u2009\u202f]*(?:[eE][+-]?[0-9]+)?[$€£%]?"
)
DATE_LIKE = re.compile(r"[0-9]{1,4}([-/.])[0-9]{1,2}\1[0-9]{1,4}(?:[T ].*)?", re.DOTALL)
TIME_STAMP = re.compile(  # a year, YYYYMM, YYYYMMDD, or seconds or milliseconds since 1970
    r"(?:(?:1[5-9]|20)[0-9]{2}(?:(?:0[1-9]|1[0-2])(?:[0-3][0-9])?)?|1[0-9]{9}(?:[0-9]{3})?)(?:\.[0-9]*)?"
)
MARKS = (  # the longer first: that of UTF-16 begins it
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# -999 and the like, which stand for "no value" in old formats
STAND_INS = re.compile(r"-?9{2,5}(?:\.(?:0+|9+))?")
THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+")
NUMBERED_PART = re.compile(r"(?:([0-9]{4})[- ]?([QMWT])([0-9]{1,2})|([QMWT])([0-9]{1,2})[-/ ]?([0-9]{4}))")
SUMS = re.compile(r"(?:grand |sub-?)?totals?|sums?|average|mean|gesamt|summe|insgesamt", re.IGNORECASE)
SEPARATOR_LINE = re.compile(r"""\s*"?sep=([^"'\w\s]|\t)"?[,;\t]*[\r\n]*""", re.IGNORECASE)  # Excel's own


def sine_series(n_points: int) -> Array:
    """Sample sin over two periods, [0, 4 pi], at ``n_points`` equal steps (float64)."""
    return np.sin(np.linspace(0, 4 * np.pi, n_points))


@dataclass(frozen=True, slots=True)
class Series:
    """A column of a file. ``notes`` are sentences about what a person should know of it."""

    values: Array  # (n,) float64
    column: str
    notes: tuple[str, ...] = ()


def read_series(
    path: str | Path,
    column: str | None = None,
    *,
    decimal: Decimal = ".",
    encoding: str = "utf-8",
    missing: Missing = "error",
) -> Series:
    """Read a numeric column of a CSV file with a header line (comma, semicolon, tab or ``|``), as float64.

    Without ``column`` it is the only one that holds numbers. A missing value is an error, or its row is left
    out (``drop``: the step of time there is longer), or it is put on the straight line between its neighbours
    (``interpolate``).

    Raises:
        UserError: no such file, not CSV, no such column, or something that can be read in two ways or not at
            all (the message names the line).
    """
    table = _Table(str(path), _read_text(path, encoding), decimal)
    notes: list[str] = []
    file = one_line(Path(path).name)
    if column is None:
        index = table.only_column_of_numbers()
        notes.append(f"Column {table.shown(index)} of {file} is used: it is the only one that holds numbers.")
    else:
        index = table.find(column.strip())

    values: list[float] = []
    first_rows: list[list[str]] = []
    row: list[str] = []
    line = 0
    stand_ins: Counter[str] = Counter()
    for line, row in table.rows():
        if len(first_rows) < DATES:
            first_rows.append(row)
        cell = row[index].strip()
        if STAND_INS.fullmatch(cell):
            stand_ins[cell] += 1
        value = table.value(cell, index, line)
        if value is None and missing == "error":
            raise table.wrong(
                line,
                "the value is missing; fill it, remove the line, or give --missing=drop or "
                "--missing=interpolate",
                index,
            )
        values.append(math.nan if value is None else value)
    if not values:
        raise UserError(f"{path} has a header line and no values below it")
    table.refuse_sums(line, row, first_rows, index)
    notes += _stand_ins(np.array(values), stand_ins, file)
    if table.may_part_thousands(first_rows, index):
        notes.append(
            f"The point in column {table.shown(index)} of {file} is read as a decimal sign; if it parts "
            "thousands, remove it from the file."
        )
    for other in range(len(table.names)):
        if other != index and _newest_first([cells[other].strip() for cells in [*first_rows, row]]):
            notes.append(
                f"The dates in column {table.shown(other)} of {file} run from the newest to the oldest: time "
                "runs backwards, and the last windows, which a tail split tests on, are the oldest. Sort the "
                "rows the other way round unless that is meant."
            )
            break
    filled, note = _fill(np.array(values), missing, file)
    return Series(filled, table.names[index], (*notes, *note))


def _stand_ins(values: Array, written: Counter[str], file: str) -> Iterator[str]:
    """Tell of numbers far from all others (n,) that may stand for a missing value, as -999 does."""
    for cell, times in written.items():
        rest = values[np.isfinite(values) & (values != float(cell))]
        if not rest.size:
            continue
        low, high = float(rest.min()), float(rest.max())
        if min(abs(float(cell) - low), abs(float(cell) - high)) > high / 2 - low / 2 and not (
            low <= float(cell) <= high
        ):
            yield (
                f"{cell} stands in {times} of {len(values)} cells in {file}, far from all other values, and "
                "is read as a number; if it means that the value is missing, empty those cells and give "
                "--missing=drop or --missing=interpolate."
            )


def _fill(values: Array, missing: Missing, file: str) -> tuple[Array, list[str]]:
    """Leave the missing of values (n,) out, or put others in their place; return a sentence about that."""
    there = np.isfinite(values)
    count = f"{len(values) - there.sum()} of {len(values)} values in {file} are missing"
    if there.all():
        return values, []
    if not there.any():
        raise UserError(f"{count}; there is nothing to train on")
    if missing == "drop":
        return values[there], [f"{count}: their rows were left out, so the step of time there is longer."]
    if not (there[0] and there[-1]):
        end = "last" if there[0] else "first"
        raise UserError(
            f"{count}, the {end} one too, which has no neighbour to interpolate from; remove its line, or "
            "give --missing=drop"
        )
    places = np.arange(len(values))
    halves = np.interp(places[~there], places[there], values[there] / 2)  # a difference of halves is finite
    values[~there] = 2 * halves
    return values, [f"{count}: each was put on the straight line between its neighbours."]


def _read_text(path: str | Path, encoding: str) -> str:
    """Return the file's text, or raise UserError that says what is wrong with its bytes."""
    try:
        with open_to_read(Path(path)) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MiB; keep the column that is needed")
    if data.startswith(PACKED):
        raise UserError(f"{path} is a workbook or a compressed file; save it as CSV")
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        for mark, name in MARKS:
            if data.startswith(mark):
                raise UserError(
                    f"{path} is {name.upper()} text, not {encoding}; give --encoding={name}"
                ) from error
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        raise UserError(
            f"{path}, line {data.count(10, 0, at) + 1}: not {encoding} text; name what it was saved in with "
            "--encoding, as cp1252 (Windows), latin-1 or utf-16"
        ) from error
    except (LookupError, ValueError) as error:
        raise UserError(
            f"no text encoding is called {reprlib.repr(encoding)}; give --encoding=utf-8, cp1252 or utf-16"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(
            f"{path}, line {line}: a NUL character, which no CSV has; if it is UTF-16 text, give "
            "--encoding=utf-16"
        )
    return text.lstrip("\ufeff").replace("\r\r\n", "\r\n")  # what Windows makes of \r\n


class _Table:
    """The rows of a CSV file, all as long as its header."""

    def __init__(self, path: str, text: str, decimal: Decimal) -> None:
        """Find header and delimiter.

        Raises:
            UserError: it has no header, or not one delimiter.
        """
        self._path, self._decimal = path, decimal
        self._file = io.StringIO(text, newline="")  # with quotes, a cell may go on in the next line
        self._start = self._lines_before = 0
        self._delimiter = ""
        comment = self._skip_to_header()
        self._delimiter = self._delimiter or self._find_delimiter()
        self._header_line, header = next(self._parse(self._delimiter))
        self._rows_to_skip = 1
        if comment and any(NUMBER_LIKE.fullmatch(cell.strip()) for cell in header):
            named = [name.strip(' "') for name in comment.lstrip("#").split(self._delimiter)]
            if len(named) == len(header):  # "# t,v" above "0,1.5", as NumPy writes it
                header, self._rows_to_skip = named, 0
        self.names = [name.strip() for name in header]
        named = [name for name in self.names if name]
        self._unnamed = [place for place, name in enumerate(self.names) if place and not name]
        values = [name for name in named if NUMBER_LIKE.fullmatch(name) or DATE_LIKE.fullmatch(name)]
        if len(values) == len(named) and not self._numbered:
            raise self.wrong(
                self._header_line,
                "the first line holds numbers or dates, not the names of columns; put a line of names before "
                "it, as: time,value",
            )

    def wrong(self, line: int, what: str, index: int | None = None) -> UserError:
        """Return the error that tells what is wrong in a line, and in which column."""
        where = "" if index is None else f", column {self.shown(index)}"
        return UserError(f"{self._path}, line {line}{where}: {what}")

    def shown(self, index: int) -> str:
        """Return a column's name for a message: in quotes, and never more than a line."""
        return reprlib.repr(one_line(self.names[index]))

    def find(self, column: str) -> int:
        """Return the place of the column of this name.

        Raises:
            UserError: there is none, or there are several.
        """
        places = [place for place, name in enumerate(self.names) if name and _plain(name) == _plain(column)]
        if not column or not places:
            known = self._listed(range(len(self.names)))
            more = "" if len(self.names) > 1 else "; commas, semicolons, tabs or | separate columns"
            if any(NUMBER_LIKE.fullmatch(name) or DATE_LIKE.fullmatch(name) for name in self.names):
                more = IF_VALUES
            elif not NUMBER_LIKE.fullmatch(column) and (line := self._later_header(column)):
                more = f"; line {line} holds it: remove the lines before that one"
            near = did_you_mean(column, map(one_line, self.names))
            raise UserError(f"{self._path} has no column {column!r}{near}; its columns are: {known}{more}")
        if len(places) > 1:
            which = ", ".join(str(place + 1) for place in places)
            raise self.wrong(
                self._header_line,
                f"columns {which} are all called {column!r}; rename all but the one that is meant",
            )
        return places[0]

    def only_column_of_numbers(self) -> int:
        """Return the place of the only column that holds numbers, in whatever writing, in most of its rows.

        Raises:
            UserError: there is none, there are several, or its name is a number too.
        """
        if len(self.names) == 1:
            return 0
        named = [place for place, name in enumerate(self.names) if name]
        held: Counter[int] = Counter()
        numeric: Counter[int] = Counter()
        undecided = named
        for _, row in self.rows():
            for place in undecided:
                cell = row[place].strip()
                if cell.casefold() not in NO_VALUE:
                    held[place] += 1
                    numeric[place] += bool(NUMBER_LIKE.fullmatch(cell)) and not DATE_LIKE.fullmatch(cell)
            undecided = [place for place in undecided if held[place] < SAMPLE]
            if not undecided:
                break
        of_numbers = [place for place in named if 2 * numeric[place] > held[place]]
        others = [place for place in named if place not in of_numbers]
        if not of_numbers:
            raise UserError(
                f"no column of {self._path} holds numbers; its columns are: {self._listed(others)}"
            )
        if len(of_numbers) > 1:
            rest = f" (no numbers: {self._listed(others)})" if others else ""
            choice = self._listed(of_numbers)
            more = (
                IF_VALUES if any(map(NUMBER_LIKE.fullmatch, map(self.names.__getitem__, of_numbers))) else ""
            )
            raise UserError(
                f"{self._path} has several columns of numbers; choose its column: {choice}{rest}{more}"
            )
        (index,) = of_numbers
        if NUMBER_LIKE.fullmatch(self.names[index]) and not self._numbered:
            raise self.wrong(
                self._header_line,
                f"{self.shown(index)} would be the name of the column; if it is a value, put a line of names "
                "before it; if it is the name, choose that column",
            )
        return self.find(self.names[index])

    def rows(self) -> Iterator[Row]:
        """Yield each row below the header.

        Raises:
            UserError: a row is not as long as the header, or holds something in a column without a name.
        """
        width = len(self.names)
        empty: list[int] = []
        for line, row in itertools.islice(self._parse(self._delimiter), self._rows_to_skip, None):
            if not row or (width > 1 and len(row) == 1 and not row[0].strip()):
                empty.append(line)
                continue
            if width == 1 and empty:  # so a spreadsheet saves a single column's empty cell
                yield from ((number, [""]) for number in empty)
            empty.clear()
            if len(row) != width:
                lengths = f"columns here: {len(row)}, in the header: {width}"
                raise self.wrong(line, lengths + self._why(row))
            for place in self._unnamed:
                if row[place].strip():
                    cell = reprlib.repr(row[place])
                    stands = f"{cell} stands in column {place + 1}, which has no name"
                    hint = self._comma_hint()
                    raise self.wrong(line, f"{stands}{hint}; {'otherwise ' * bool(hint)}name the column")
            yield line, row

    def value(self, cell: str, index: int, line: int) -> float | None:
        """Return a cell's number, None where it is missing.

        Raises:
            UserError: it is not a number, or one that float64 cannot hold.
        """
        if NUMBERS[self._decimal].fullmatch(cell):
            value = float(cell.replace(",", "."))
            digits = cell.lower().partition("e")[0]
            if math.isfinite(value) and (value or not digits.strip("+-0.,")):
                return value
            wrong = f"{reprlib.repr(cell)} {'is too large' if value else 'is too near to 0'} for a float64"
        elif cell.casefold() in NO_VALUE:
            return None
        else:
            wrong = f"{reprlib.repr(cell)} is not a number{self._number_hint(cell, line)}"
        raise self.wrong(line, wrong, index)

    @property
    def _numbered(self) -> bool:
        """Return whether the names are those that pandas gives: none for the index, then 0, 1, 2."""
        return len(self.names) > 1 and self.names == ["", *map(str, range(len(self.names) - 1))]

    def _listed(self, places: "range | list[int]") -> str:
        names = [one_line(self.names[place]) if self.names[place] else "(no name)" for place in places]
        names = [repr(name) if ", " in name else name for name in names]
        more = [f"and {len(names) - MOST_LISTED} more"] if len(names) > MOST_LISTED else []
        return ", ".join([*names[:MOST_LISTED], *more])

    def _skip_to_header(self) -> str:
        """Go to the first line that is neither empty nor a comment; return the comment right before it."""
        comment = ""
        while line := self._file.readline():
            if not self._start and (separator := SEPARATOR_LINE.fullmatch(line)):
                self._delimiter = separator[1]
            elif line.strip() and not line.startswith("#"):
                return comment
            else:
                comment = line.strip()
            self._start, self._lines_before = self._file.tell(), self._lines_before + 1
        raise UserError(f"{self._path} is empty; a header line and one value a line are needed")

    def _parse(self, delimiter: str) -> Iterator[Row]:
        """Yield each row from the header on.

        Raises:
            UserError: it is not CSV.
        """
        self._file.seek(self._start)
        rows = csv.reader(self._file, delimiter=delimiter, skipinitialspace=True, strict=True)
        while True:
            line = self._lines_before + rows.line_num + 1
            try:
                row = next(rows, None)
            except csv.Error as error:
                raise self.wrong(line, f"not CSV: {error}; is a quote opened and not closed?") from error
            if row is None:
                return
            yield line, row

    def _find_delimiter(self) -> str:
        """Return what separates the columns: what makes several, as many in each of the first rows."""
        widths = {delimiter: self._widths(delimiter) for delimiter in DELIMITERS}
        several = [delimiter for delimiter in DELIMITERS if widths[delimiter][0] > 1]
        fitting = [delimiter for delimiter in several if len(set(widths[delimiter])) == 1]
        if len(fitting) > 1 and self._decimal in fitting:
            fitting.remove(self._decimal)
        if len(fitting) > 1:
            raise UserError(
                f"{self._path}: both {fitting[0]!r} and {fitting[1]!r} could separate its columns; say which "
                f"in a first line, as: {'sep=' + fitting[1]!r}{self._comma_hint()}"
            )
        if not several:
            return ";" if self._decimal == "," else ","
        return fitting[0] if fitting else max(several, key=lambda delimiter: widths[delimiter][0])

    def _widths(self, delimiter: str) -> list[int]:
        """Return the lengths of the first rows that are not empty; [0] where this delimiter makes no CSV."""
        try:
            rows = (row for _, row in self._parse(delimiter) if any(row))
            return [len(row) for row in itertools.islice(rows, FIRST_ROWS)] or [0]
        except UserError:
            return [0]

    def _why(self, row: list[str]) -> str:
        """Guess why a row is longer or shorter than the header."""
        if row[0].startswith("#"):
            return "; a comment can only stand above the header: remove it"
        for other in DELIMITERS:
            if len(row) == 1 and row[0].count(other) + 1 == len(self.names) > 1:
                return f"; {other!r} separates the values here, {self._delimiter!r} the names"
        numbers = sum(bool(NUMBER_LIKE.fullmatch(cell.strip())) for cell in row)
        if len(row) > len(self.names) and 2 * numbers < len(row):
            return "; if this is the line of names, remove the lines before it"
        if len(row) < len(self.names):
            return "; is a value missing, or is this no row of the table?"
        if not any(cell.strip() for cell in row[len(self.names) :]):
            return "; remove what separates columns from the end of the line"
        return self._comma_hint()

    def refuse_sums(self, line: int, row: list[str], first_rows: list[list[str]], index: int) -> None:
        """Refuse a last row that is none of the series but its sum: its value would be one of the series'.

        Raises:
            UserError: what stands beside its value names a sum, or is no date where all others are dates.
        """
        others = [place for place in range(len(row)) if place != index and len(first_rows) > 1]
        for place in others:
            cell, before = row[place].strip(), [earlier[place].strip() for earlier in first_rows[:-1]]
            word = SUMS.fullmatch(cell.rstrip(":")) and not any(map(SUMS.fullmatch, before))
            dates = len(before) > 1 and all(map(DATE_LIKE.fullmatch, before))
            if word or (dates and not any(map(str.isdigit, cell))):
                shown = f"{reprlib.repr(cell)} in column {self.shown(place)}" if cell else "no date"
                raise self.wrong(
                    line, f"the last row has {shown}: if it holds a sum or a note, remove it; if not, date it"
                )

    def may_part_thousands(self, first_rows: list[list[str]], index: int) -> bool:
        """Return whether points may part thousands: in the files of countries that write ; and 1.234,5."""
        cells = [row[index].strip() for row in first_rows if "." in row[index]]
        return (
            self._delimiter == ";"
            and self._decimal == "."
            and all(map(THOUSANDS.fullmatch, cells))
            and any(cells)
        )

    def _later_header(self, column: str) -> int:
        """Return the first line after the header that has this name among its cells; 0 for none."""
        for delimiter in DELIMITERS:
            with contextlib.suppress(UserError):
                for line, row in itertools.islice(self._parse(delimiter), 1, FIRST_ROWS):
                    if _plain(column) in map(_plain, row) and len(row) > 1:
                        return line
        return 0

    def _comma_hint(self) -> str:
        if self._delimiter not in ("", ","):
            return ""
        return (
            "; if a comma is part of a number, put the number in quotes or ; between the columns, and if it "
            "is a decimal comma, give --decimal=,"
        )

    def _number_hint(self, cell: str, line: int) -> str:
        """Say what to do about a number that is written in another way, or about what is none."""
        other: Decimal = "." if self._decimal == "," else ","
        if len(self.names) == 1 and re.search(r"[\s,;:^~|<{]", cell):
            return "; commas, semicolons, tabs or | separate columns, outside quotes"
        if not any(map(str.isdigit, cell)):
            if line == self._header_line + 1:
                return "; if this is a second line of names, remove it"
            return (
                "; if the value is missing, empty the cell and give --missing=drop or --missing=interpolate"
            )
        if DATE_LIKE.fullmatch(cell):
            return "; choose another column"
        if not NUMBER_LIKE.fullmatch(cell):
            return "; write it with nothing but digits and a decimal sign"
        if NUMBERS[other].fullmatch(cell):
            thousands = "if it parts thousands, remove it"
            return f"; if {other!r} is its decimal sign, give --decimal={other}; {thousands}"
        comma = self._decimal == "." and cell.rfind(",") > cell.rfind(".") >= 0
        return "; write it with nothing but digits and a decimal sign" + (
            ", and give --decimal=," if comma else ""
        )


def _plain(name: str) -> str:
    """Return a column's name as a person types it: in one line, and each letter as one character."""
    return one_line(unicodedata.normalize("NFC", name))


def _newest_first(cells: list[str]) -> bool:
    """Return whether these are dates or time stamps that go back and never forward."""
    cells = [cell for cell in cells if cell.casefold() not in NO_VALUE]
    if len(cells) < 2 or cells[0] == cells[-1]:
        return False
    if all(parts := [NUMBERED_PART.fullmatch(cell) for cell in cells]):  # 2020Q3, Q3-2020, 2020M03
        cells = [f"{m[1] or m[6]}{int(m[3] or m[5]):02}" for m in parts if m]
    if all(parts) or all(TIME_STAMP.fullmatch(cell) for cell in cells):
        times = [float(cell) for cell in cells]
        return times[0] > times[-1] and all(a >= b for a, b in itertools.pairwise(times))
    if any(
        (NUMBER_LIKE.fullmatch(c) and not DATE_LIKE.fullmatch(c)) or len(re.findall("[0-9]", c)) < 2
        for c in cells
    ):
        return False

    import pandas as pd  # takes half a second, and the processes that train import this module

    for day_first in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it finds dates that can be read in two ways; both are tried
            dates = pd.to_datetime(cells, errors="coerce", format="mixed", dayfirst=day_first, utc=True)
        if not dates.hasnans and dates.is_monotonic_decreasing and dates[0] > dates[-1]:
            return True
        if re.match("[0-9]{4}", cells[0]):
            break  # the year comes first: there is one way to read it
    return False
