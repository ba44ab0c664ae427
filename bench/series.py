"""Where a series comes from: the primer's sine wave, or a column of a CSV file."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError

Array = NDArray[Any]


def sine_series(n_points: int) -> Array:
    """sin over two periods, [0, 4 pi], at ``n_points`` equal steps (float64)."""
    return np.sin(np.linspace(0, 4 * np.pi, n_points))


def read_series(path: str | Path, column: str) -> Array:
    """Read one numeric column of a CSV file with a header line (comma, semicolon or tab), as float64.

    Raises:
        UserError: no such file, not CSV, no such column, or a value that is missing or no number (the
            message names the line).
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a UTF-8 text file; save it as CSV in UTF-8") from error

    lines = text.splitlines()
    if not lines:
        raise UserError(f"{path} is empty; a header line and one value a line are needed")
    delimiter = max(",;\t", key=lines[0].count)
    rows = csv.reader(lines, delimiter=delimiter)
    try:
        header = [name.strip() for name in next(rows)]
        if column not in header:
            raise UserError(f"{path} has no column {column!r}; its columns are: {', '.join(header)}")
        values = [_number(row, header, column, f"{path}, line {rows.line_num}") for row in rows if row]
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: not CSV: {error}") from error
    return np.array(values, dtype=np.float64)


def _number(row: list[str], header: list[str], column: str, where: str) -> float:
    """The row's value, or a UserError that says which line is wrong and how."""
    if any(cell.strip() for cell in row[len(header) :]):  # 1,5 in a single column would be read as 1
        raise UserError(f"{where}: {len(row)} values, but {len(header)} columns; is a comma a decimal point?")
    where = f"{where}, column {column!r}"
    index = header.index(column)
    cell = row[index].strip() if index < len(row) else ""
    if not cell:
        raise UserError(f"{where}: the value is missing; fill it or remove the line")
    try:
        value = float(cell)
    except ValueError:
        raise UserError(f"{where}: {cell!r} is not a number") from None
    if not math.isfinite(value):
        raise UserError(f"{where}: {cell!r} is not a finite number; fill it or remove the line")
    return value
