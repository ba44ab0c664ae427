"""Make a series: the tutorial's sine wave, or a column of a CSV file.

A file is read only if its content has exactly one meaning. Ambiguous files (a decimal comma that cuts a value
in two, two columns of the same name, a first line of numbers) are refused. The message names the line and
tells what to do.
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
from collections.abc import Iterable, Iterator, Sequence
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
Row = list[str]  # the cells of one row

MAX_BYTES = 2**28  # 256 MiB: over ten million rows of two numbers
VALUES_HINT = "; if these are values, put a line of names before them"
MISSING_ADVICE = "give --missing=drop or --missing=interpolate"
DIGITS_HINT = "; write it with nothing but digits and a decimal sign"
COMMA_HINT = (
    "; if a comma is part of a number, put the number in quotes or ; between the columns, and if it is a "
    "decimal comma, give --decimal=,"
)
SEPARATORS_HINT = "; commas, semicolons, tabs or | separate columns"
# the first bytes of .xlsx and .zip, .gz, .xls, .bz2, .xz, .zst and Parquet files
PACKED_SIGNATURES = (
    b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd", b"PAR1",
)  # fmt: skip
DELIMITERS = ",;\t|"
MAX_LISTED = 30  # columns in a message
DELIMITER_ROWS = 20  # first rows, from which the delimiter is found
DATE_ROWS = 100  # first rows, from which the direction of time is found
# other programs' signs for "no value": the list of pandas, and signs of statistical offices
MISSING_SIGNS = {
    "", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", ".", "..", ":", "?", "-", "--",
    "...", "\u2026", "\u2013", "\u2014", "n.a.", "nd", "n.d.", "nil", "missing", "\\n",
}  # fmt: skip

# ASCII digits only, no underscores, no "inf" and no "nan": float() would accept all of these silently
NUMBER_PATTERNS = {
    ".": re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"),
    ",": re.compile(r"[+-]?(?:[0-9]+(?:,[0-9]*)?|,[0-9]+)(?:[eE][+-]?[0-9]+)?"),
}
NUMBER_LIKE = (
    re.compile(  # text that looks like a number, also with thousands separators, currency or per cent
        r"[+-]?[$€£]?[.,]?[0-9][0-9.,_'’ \u00a0\u2009\u202f]*(?:[eE][+-]?[0-9]+)?[$€£%]?"
    )
)
DATE_LIKE = re.compile(r"[0-9]{1,4}([-/.])[0-9]{1,2}\1[0-9]{1,4}(?:[T ].*)?", re.DOTALL)
TIME_STAMP = re.compile(  # a year, YYYYMM, YYYYMMDD, or seconds or milliseconds since 1970
    r"(?:(?:1[5-9]|20)[0-9]{2}(?:(?:0[1-9]|1[0-2])(?:[0-3][0-9])?)?|1[0-9]{9}(?:[0-9]{3})?)(?:\.[0-9]*)?"
)
PART_OF_YEAR = re.compile(  # 2020Q3, Q3-2020, 2020M03
    r"([0-9]{4})[- ]?[QMWT]([0-9]{1,2})|[QMWT]([0-9]{1,2})[-/ ]?([0-9]{4})"
)
BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with the mark of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# numbers like -999, which mean "no value" in old formats
STAND_INS = re.compile(r"-?9{2,5}(?:\.(?:0+|9+))?")
THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+")
SUM_WORDS = re.compile(r"(?:grand |sub-?)?totals?|sums?|average|mean|gesamt|summe|insgesamt", re.IGNORECASE)
SEPARATOR_LINE = re.compile(r"""\s*"?sep=([^"'\w\s]|\t)"?[,;\t]*[\r\n]*""", re.IGNORECASE)  # of Excel


def sine_series(n_points: int) -> Array:
    """Return sin at ``n_points`` equally spaced points of [0, 4 pi], two periods (float64)."""
    return np.sin(np.linspace(0, 4 * np.pi, n_points))


@dataclass(frozen=True, slots=True)
class Series:
    """Hold a column of a file. ``notes`` are sentences for the user about the column."""

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

    Without ``column`` the only column of numbers is read. A missing value is an error (``error``), or its row
    is left out (``drop``: the time step there is longer), or the value is interpolated linearly between its
    neighbours (``interpolate``).

    Raises:
        UserError: no such file, not CSV, no such column, or text with two possible meanings or none (the
            message names the line).
    """
    table = _Table(str(path), _read_text(path, encoding), decimal)
    file, notes = one_line(Path(path).name), []
    if column is None:
        index = table.only_column_of_numbers()
        notes.append(f"Column {table.shown(index)} of {file} is used: it is the only one that holds numbers.")
    else:
        index = table.find(column.strip())
    numbers: list[float] = []
    first_rows: list[Row] = []
    stand_ins: Counter[str] = Counter()
    line, row = 0, Row()
    for line, row in table.rows():
        if len(first_rows) < DATE_ROWS:
            first_rows.append(row)
        cell = row[index].strip()
        if STAND_INS.fullmatch(cell):
            stand_ins[cell] += 1
        value = table.value(cell, index, line)
        if value is None and missing == "error":
            raise table.wrong(
                line, f"the value is missing; fill it, remove the line, or {MISSING_ADVICE}", index
            )
        numbers.append(math.nan if value is None else value)
    if not numbers:
        raise UserError(f"{path} has a header line and no values below it")
    table.refuse_sum(line, row, first_rows, index)
    values = np.array(numbers)
    notes += filter(None, (_stand_in_warning(cell, times, values, file) for cell, times in stand_ins.items()))
    if table.may_part_thousands(first_rows, index):
        notes.append(
            f"The point in column {table.shown(index)} of {file} is read as a decimal sign; if it parts "
            "thousands, remove it from the file."
        )
    columns = ([cells[place].strip() for cells in [*first_rows, row]] for place in range(len(table.names)))
    backwards = (place for place, cells in enumerate(columns) if place != index and _newest_first(cells))
    if (date_column := next(backwards, None)) is not None:
        notes.append(
            f"The dates in column {table.shown(date_column)} of {file} run from the newest to the oldest: "
            "time runs backwards, and the last windows, which a tail split tests on, are the oldest. Sort "
            "the rows the other way round unless that is meant."
        )
    filled, note = _fill_missing(values, missing, file)
    return Series(filled, table.names[index], (*notes, *note))


def _stand_in_warning(cell: str, times: int, values: Array, file: str) -> str:
    """Return a warning about a number far from all other values (n,), which may mean "missing" like -999.

    Return an empty text if the number is not far from the other values.
    """
    number = float(cell)
    other_values = values[np.isfinite(values) & (values != number)]
    low, high = (
        (float(other_values.min()), float(other_values.max())) if other_values.size else (number, number)
    )
    if low <= number <= high or min(abs(number - low), abs(number - high)) <= high / 2 - low / 2:
        return ""
    return (
        f"{cell} stands in {times} of {len(values)} cells in {file}, far from all other values, and is read "
        f"as a number; if it means that the value is missing, empty those cells and {MISSING_ADVICE}."
    )


def _fill_missing(values: Array, missing: Missing, file: str) -> tuple[Array, list[str]]:
    """Remove or interpolate the missing values of ``values`` (n,), and return a sentence about this."""
    present = np.isfinite(values)
    count = f"{len(values) - present.sum()} of {len(values)} values in {file} are missing"
    if present.all():
        return values, []
    if not present.any():
        raise UserError(f"{count}; there is nothing to train on")
    if missing == "drop":
        return values[present], [f"{count}: their rows were left out, so the step of time there is longer."]
    if not (present[0] and present[-1]):
        end = "last" if present[0] else "first"
        raise UserError(
            f"{count}, the {end} one too, which has no neighbour to interpolate from; remove its line, or "
            "give --missing=drop"
        )
    places = np.arange(len(values))
    # interpolate half of each value: the difference of two large values could overflow
    halves = np.interp(places[~present], places[present], values[present] / 2)
    values[~present] = 2 * halves
    return values, [f"{count}: each was put on the straight line between its neighbours."]


def _read_text(path: str | Path, encoding: str) -> str:
    """Return the file's text, or raise UserError that tells what is wrong with the bytes."""
    try:
        with open_to_read(Path(path)) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MiB; keep the column that is needed")
    if data.startswith(PACKED_SIGNATURES):
        raise UserError(f"{path} is a workbook or a compressed file; save it as CSV")
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        marked = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), None)
        line = data.count(10, 0, getattr(error, "start", 0)) + 1
        raise UserError(
            f"{path} is {marked.upper()} text, not {encoding}; give --encoding={marked}"
            if marked
            else f"{path}, line {line}: not {encoding} text; name what it was saved in with --encoding, as "
            "cp1252 (Windows), latin-1 or utf-16"
        ) from error
    except (LookupError, ValueError) as error:
        raise UserError(
            f"no text encoding is called {reprlib.repr(encoding)}; give --encoding=utf-8, cp1252 or utf-16"
        ) from error
    before, zero, _ = text.partition("\0")
    if zero:
        raise UserError(
            f"{path}, line {before.count(chr(10)) + 1}: a NUL character, which no CSV has; if it is UTF-16 "
            "text, give --encoding=utf-16"
        )
    return text.lstrip("\ufeff").replace("\r\r\n", "\r\n")  # Windows text mode writes \r\r\n for \r\n


class _Table:
    """Read the rows of a CSV file, all as long as the header."""

    def __init__(self, path: str, text: str, decimal: Decimal) -> None:
        """Find the header and the delimiter.

        Raises:
            UserError: the file has no header, or two delimiters are possible.
        """
        self._path, self._decimal, self._delimiter = path, decimal, ""
        self._file = io.StringIO(text, newline="")  # a cell in quotes may contain line ends
        self._start = self._lines_before = 0
        # the header is the first line that is neither empty nor a comment
        comment = ""  # the last line before the header
        for line in iter(self._file.readline, ""):
            if not self._start and (separator := SEPARATOR_LINE.fullmatch(line)):
                self._delimiter = separator[1]
            elif line.strip() and not line.startswith("#"):
                break
            else:
                comment = line.strip()
            self._start, self._lines_before = self._file.tell(), self._lines_before + 1
        else:
            raise UserError(f"{path} is empty; a header line and one value a line are needed")
        self._delimiter = self._delimiter or self._find_delimiter()
        self._header_line, header = next(self._parse(self._delimiter))
        self._rows_to_skip = 1
        if comment and any(NUMBER_LIKE.fullmatch(cell.strip()) for cell in header):
            names = [name.strip(' "') for name in comment.lstrip("#").split(self._delimiter)]
            if len(names) == len(header):  # "# t,v" above "0,1.5", as NumPy writes it
                header, self._rows_to_skip = names, 0
        self.names = [name.strip() for name in header]
        self._unnamed = [place for place, name in enumerate(self.names) if place and not name]
        # an index column without a name, then columns 0, 1, 2: pandas writes such files
        self._numbered = len(header) > 1 and self.names == ["", *map(str, range(len(header) - 1))]
        if all(map(_is_value, filter(None, self.names))) and not self._numbered:
            raise self.wrong(
                self._header_line,
                "the first line holds numbers or dates, not the names of columns; put a line of names before "
                "it, as: time,value",
            )

    def wrong(self, line: int, what: str, index: int | None = None) -> UserError:
        """Return a UserError that names the line, the column if given, and the fault ``what``."""
        where = "" if index is None else f", column {self.shown(index)}"
        return UserError(f"{self._path}, line {line}{where}: {what}")

    def shown(self, index: int) -> str:
        """Return a column's name for a message: in quotes, at most one line."""
        return reprlib.repr(one_line(self.names[index]))

    def find(self, column: str) -> int:
        """Return the index of the column of this name.

        Raises:
            UserError: no column or several columns have this name.
        """
        places = [
            place
            for place, name in enumerate(self.names)
            if name and _normalised(name) == _normalised(column)
        ]
        if not column or not places:
            line = 0 if NUMBER_LIKE.fullmatch(column) else self._later_header(column)
            hint = _first_hint(
                (any(map(_is_value, self.names)), VALUES_HINT),
                (line, f"; line {line} holds it: remove the lines before that one"),
                (len(self.names) == 1, SEPARATORS_HINT),
            )
            suggestion = did_you_mean(column, map(one_line, self.names))
            columns = self._listed(range(len(self.names)))
            raise UserError(
                f"{self._path} has no column {column!r}{suggestion}; its columns are: {columns}{hint}"
            )
        if len(places) > 1:
            which = ", ".join(str(place + 1) for place in places)
            text = f"columns {which} are all called {column!r}; rename all but the one that is meant"
            raise self.wrong(self._header_line, text)
        return places[0]

    def only_column_of_numbers(self) -> int:
        """Return the index of the only column with numbers, in any notation, in most of its rows.

        Raises:
            UserError: no column or several columns hold numbers, or the column's name is a number too.
        """
        if len(self.names) == 1:
            return 0
        named = [place for place, name in enumerate(self.names) if name]
        balance: Counter[int] = Counter()  # column -> count of numbers minus count of other cells
        for _, row in self.rows():
            for place in named:
                if (cell := row[place].strip()).casefold() not in MISSING_SIGNS:
                    balance[place] += 1 if _is_number(cell) else -1
        numbers = [place for place in named if balance[place] > 0]
        other_columns = self._listed([place for place in named if place not in numbers])
        if not numbers:
            raise UserError(f"no column of {self._path} holds numbers; its columns are: {other_columns}")
        if len(numbers) > 1:
            without_numbers = f" (no numbers: {other_columns})" if other_columns else ""
            hint = VALUES_HINT if any(_is_value(self.names[place]) for place in numbers) else ""
            raise UserError(
                f"{self._path} has several columns of numbers; choose its column: "
                f"{self._listed(numbers)}{without_numbers}{hint}"
            )
        (index,) = numbers
        if NUMBER_LIKE.fullmatch(self.names[index]) and not self._numbered:
            raise self.wrong(
                self._header_line,
                f"{self.shown(index)} would be the name of the column; if it is a value, put a line of names "
                "before it; if it is the name, choose that column",
            )
        return self.find(self.names[index])

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield each row below the header, with the number of the row's first line.

        Raises:
            UserError: a row is not as long as the header, or a column without a name is not empty.
        """
        width = len(self.names)
        empty_lines: list[int] = []
        for line, row in itertools.islice(self._parse(self._delimiter), self._rows_to_skip, None):
            if not row or (width > 1 and len(row) == 1 and not row[0].strip()):
                empty_lines.append(line)
                continue
            if width == 1:  # a spreadsheet saves an empty cell of a single column as an empty line
                yield from ((number, [""]) for number in empty_lines)
            empty_lines.clear()
            if len(row) != width:
                raise self.wrong(line, f"columns here: {len(row)}, in the header: {width}{self._why(row)}")
            for place in self._unnamed:
                if row[place].strip():
                    hint = f"{comma}; otherwise" if (comma := self._comma_hint()) else ";"
                    where = f"stands in column {place + 1}, which has no name"
                    raise self.wrong(line, f"{reprlib.repr(row[place])} {where}{hint} name the column")
            yield line, row

    def value(self, cell: str, index: int, line: int) -> float | None:
        """Return a cell's number, or None for a missing value.

        Raises:
            UserError: the cell is not a number, or float64 cannot hold the number.
        """
        if NUMBER_PATTERNS[self._decimal].fullmatch(cell):
            value = float(cell.replace(",", "."))
            digits = cell.lower().partition("e")[0]
            if math.isfinite(value) and (value or not digits.strip("+-0.,")):
                return value
            fault = f"is {'too large' if value else 'too near to 0'} for a float64"
        elif cell.casefold() in MISSING_SIGNS:
            return None
        else:
            fault = f"is not a number{self._number_hint(cell, line)}"
        raise self.wrong(line, f"{reprlib.repr(cell)} {fault}", index)

    def refuse_sum(self, line: int, row: Row, sample: Sequence[Row], index: int) -> None:
        """Refuse a last row that holds a sum of the column, which would be read as a value of the series.

        Raises:
            UserError: another cell of the row names a sum, or has no digits where all earlier cells are
                dates.
        """
        for place in set(range(len(row))) - {index} if len(sample) > 1 else ():
            cell, before = row[place].strip(), [earlier[place].strip() for earlier in sample[:-1]]
            is_sum = SUM_WORDS.fullmatch(cell.rstrip(":")) and not any(map(SUM_WORDS.fullmatch, before))
            is_date_column = len(before) > 1 and all(map(DATE_LIKE.fullmatch, before))
            if is_sum or (is_date_column and not any(map(str.isdigit, cell))):
                content = f"{reprlib.repr(cell)} in column {self.shown(place)}" if cell else "no date"
                text = f"the last row has {content}: if it holds a sum or a note, remove it; if not, date it"
                raise self.wrong(line, text)

    def may_part_thousands(self, sample: Sequence[Row], index: int) -> bool:
        """Return whether points may separate thousands, as in countries that write ; and 1.234,5."""
        cells = [row[index].strip() for row in sample if "." in row[index]]
        semicolons_and_points = (self._delimiter, self._decimal) == (";", ".")
        return semicolons_and_points and bool(cells) and all(map(THOUSANDS.fullmatch, cells))

    def _listed(self, places: Iterable[int]) -> str:
        """Return the names of these columns as a list for a message."""
        names = [one_line(self.names[place]) if self.names[place] else "(no name)" for place in places]
        names = [repr(name) if ", " in name else name for name in names]
        more = [f"and {len(names) - MAX_LISTED} more"] if len(names) > MAX_LISTED else []
        return ", ".join([*names[:MAX_LISTED], *more])

    def _parse(self, delimiter: str) -> Iterator[tuple[int, Row]]:
        """Yield each row from the header on, with the number of the row's first line.

        Raises:
            UserError: the file is not CSV.
        """
        self._file.seek(self._start)
        rows = csv.reader(self._file, delimiter=delimiter, skipinitialspace=True, strict=True)
        while True:
            line = self._lines_before + rows.line_num + 1
            try:
                yield line, next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise self.wrong(line, f"not CSV: {error}; is a quote opened and not closed?") from error

    def _find_delimiter(self) -> str:
        """Return the delimiter: the sign that cuts each of the first rows into the same number of columns."""
        widths: dict[str, list[int]] = {}
        for delimiter in DELIMITERS:
            with contextlib.suppress(UserError):  # with this delimiter the file is no CSV
                rows = (row for _, row in self._parse(delimiter) if any(row))
                widths[delimiter] = [len(row) for row in itertools.islice(rows, DELIMITER_ROWS)]
        candidates = {sign: lengths for sign, lengths in widths.items() if lengths and lengths[0] > 1}
        fitting = [sign for sign, lengths in candidates.items() if len(set(lengths)) == 1]
        if len(fitting) > 1 and self._decimal in fitting:
            fitting.remove(self._decimal)
        if len(fitting) > 1:
            raise UserError(
                f"{self._path}: both {fitting[0]!r} and {fitting[1]!r} could separate its columns; say which "
                f"in a first line, as: {'sep=' + fitting[1]!r}{self._comma_hint()}"
            )
        if not candidates:
            return ";" if self._decimal == "," else ","
        return fitting[0] if fitting else max(candidates, key=lambda delimiter: candidates[delimiter][0])

    def _later_header(self, column: str) -> int:
        """Return the number of the first line after the header with a cell of this name; 0 for none."""
        for delimiter in DELIMITERS:
            with contextlib.suppress(UserError):
                for line, row in itertools.islice(self._parse(delimiter), 1, DELIMITER_ROWS):
                    if _normalised(column) in map(_normalised, row) and len(row) > 1:
                        return line
        return 0

    def _why(self, row: Row) -> str:
        """Return a hint why a row is longer or shorter than the header."""
        width, numbers = len(self.names), sum(map(_is_value, row))
        row_delimiter = next(
            (sign for sign in DELIMITERS if len(row) == 1 and row[0].count(sign) + 1 == width), ""
        )
        return _first_hint(
            (row[0].startswith("#"), "; a comment can only stand above the header: remove it"),
            (row_delimiter, f"; {row_delimiter!r} separates the values here, {self._delimiter!r} the names"),
            (
                len(row) > width and 2 * numbers < len(row),
                "; if this is the line of names, remove the lines before it",
            ),
            (len(row) < width, "; is a value missing, or is this no row of the table?"),
            (
                not any(cell.strip() for cell in row[width:]),
                "; remove what separates columns from the end of the line",
            ),
            (True, self._comma_hint()),
        )

    def _comma_hint(self) -> str:
        """Return the hint about commas in numbers if the delimiter is a comma or unknown, else no text."""
        return COMMA_HINT if self._delimiter in ("", ",") else ""

    def _number_hint(self, cell: str, line: int) -> str:
        """Return a hint what to do about a number in another notation, or about a cell without a number."""
        other_sign: Decimal = "." if self._decimal == "," else ","
        decimal = (
            f"; if {other_sign!r} is its decimal sign, give --decimal={other_sign}; if it parts thousands, "
            "remove it"
        )
        no_digit = not any(map(str.isdigit, cell))
        comma = self._decimal == "." and cell.rfind(",") > cell.rfind(".") >= 0
        return _first_hint(
            (len(self.names) == 1 and re.search(r"[\s,;:^~|<{]", cell), f"{SEPARATORS_HINT}, outside quotes"),
            (no_digit and line == self._header_line + 1, "; if this is a second line of names, remove it"),
            (no_digit, f"; if the value is missing, empty the cell and {MISSING_ADVICE}"),
            (DATE_LIKE.fullmatch(cell), "; choose another column"),
            (NUMBER_PATTERNS[other_sign].fullmatch(cell), decimal),
            (comma and NUMBER_LIKE.fullmatch(cell), f"{DIGITS_HINT}, and give --decimal=,"),
            (True, DIGITS_HINT),
        )


def _first_hint(*hints: tuple[object, str]) -> str:
    """Return the first hint that applies, else an empty text."""
    return next((hint for applies, hint in hints if applies), "")


def _normalised(name: str) -> str:
    """Return a column's name as a user types the name: in one line, each letter as one character (NFC)."""
    return one_line(unicodedata.normalize("NFC", name))


def _is_number(cell: str) -> bool:
    """Return whether a person would read the cell as a number, in any notation."""
    return bool(NUMBER_LIKE.fullmatch(cell)) and not DATE_LIKE.fullmatch(cell)


def _is_value(cell: str) -> bool:
    """Return whether a person would read the cell as a number or a date, not as a name."""
    return bool(NUMBER_LIKE.fullmatch(cell.strip()) or DATE_LIKE.fullmatch(cell.strip()))


def _newest_first(cells: Iterable[str]) -> bool:
    """Return whether these cells are dates or time stamps in descending order."""
    present = [cell for cell in cells if cell.casefold() not in MISSING_SIGNS]
    return any(
        len(times) > 1 and times[0] > times[-1] and all(a >= b for a, b in itertools.pairwise(times))
        for times in _as_times(present)
    )


def _as_times(cells: list[str]) -> Iterator[Sequence[Any]]:
    """Yield the cells as times, once for each possible reading as dates or time stamps."""
    if all(matches := [PART_OF_YEAR.fullmatch(cell) for cell in cells]):
        yield [(match[1] or match[4], int(match[2] or match[3])) for match in matches if match]
    elif all(map(TIME_STAMP.fullmatch, cells)):
        yield [float(cell) for cell in cells]
    elif all(len(re.findall("[0-9]", cell)) > 1 and not _is_number(cell) for cell in cells):
        import pandas as pd  # here, since this takes half a second and training processes import this module

        year_first = re.match("[0-9]{4}", cells[0])  # such dates have one possible reading
        for day_first in (False,) if year_first else (False, True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pandas warns about ambiguous dates: both readings are tried
                yield pd.to_datetime(
                    cells, errors="coerce", format="mixed", dayfirst=day_first, utc=True
                ).tolist()
