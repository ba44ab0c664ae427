"""A series comes from a CSV column, and every way to get that wrong has one clear line of its own."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UserError
from bench.series import read_series, sine_series


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return tmp_path / "series.csv"


def test_the_sine_makes_two_periods() -> None:
    series = sine_series(5)
    assert series == pytest.approx([0, 0, 0, 0, 0], abs=1e-15)
    assert sine_series(9)[[1, 3, 5, 7]] == pytest.approx([1, -1, 1, -1])


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("t,value\n0,1.5\n1,-2e3\n", "value"),
        ("t;value\n0;1.5\n1;-2e3\n", "value"),
        ("t\tvalue\n0\t1.5\n1\t-2e3\n", "value"),
        ("value\n1.5\n-2e3\n", "value"),
        ("\ufeffvalue,t\n1.5,0\n-2e3,1\n", "value"),  # the mark that some programs put first
        (' t , value \n0, 1.5 \n\n1,"-2e3"\n', "value"),  # blanks, an empty line, quotes
        ("t,value\r\n0,1.5\r\n1,-2e3", "value"),
        ("value,value (°C),\n0,1.5,\n0,-2e3,\n", "value (°C)"),  # a delimiter at the end of each line
    ],
)
def test_a_column_is_read_from_comma_semicolon_or_tab(csv_file: Path, text: str, column: str) -> None:
    csv_file.write_bytes(text.encode())
    series = read_series(csv_file, column)
    assert series.dtype == np.float64
    assert series.tolist() == [1.5, -2000.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "{path} is empty; a header line and one value a line are needed"),
        (b"t,wind\n0,1\n", "{path} has no column 'value'; its columns are: t, wind"),
        (b"value\n1\ntwo\n", "{path}, line 3, column 'value': 'two' is not a number"),
        (b"value\n1,5\n", "{path}, line 2: 2 values, but 1 columns; is a comma a decimal point?"),
        (b"t;value\n0;1,5\n", "{path}, line 2, column 'value': '1,5' is not a number"),
        (b"t,value\n0,1\n1,\n", "{path}, line 3, column 'value': the value is missing; {fill}"),
        (b"t,value\n0,1\n1\n", "{path}, line 3, column 'value': the value is missing; {fill}"),
        (b"value\nnan\n", "{path}, line 2, column 'value': 'nan' is not a finite number; {fill}"),
        (b"value\n1\n-inf\n", "{path}, line 3, column 'value': '-inf' is not a finite number; {fill}"),
        (b"value\n1e999\n", "{path}, line 2, column 'value': '1e999' is not a finite number; {fill}"),
        (b"value\n\xff\xfe\n", "{path} is not a UTF-8 text file; save it as CSV in UTF-8"),
        ("value\n1\n".encode("utf-16"), "{path} is not a UTF-8 text file; save it as CSV in UTF-8"),
        (b"value\n" + b"1" * 200_000, "{path}, line 2: not CSV: field larger than field limit (131072)"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line_that_says_what_and_where(csv_file: Path, text: bytes, said: str) -> None:
    csv_file.write_bytes(text)
    with pytest.raises(UserError) as error:
        read_series(csv_file, "value")
    assert str(error.value) == said.format(path=csv_file, fill="fill it or remove the line")


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*nowhere.csv: No such file or directory"):
        read_series(tmp_path / "nowhere.csv", "value")
    with pytest.raises(UserError, match=r"cannot read .*: Is a directory"):
        read_series(tmp_path, "value")


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60))
def test_no_file_ever_makes_anything_but_numbers_or_a_clear_line(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"t,value\n" + tail)
    said, values = "", []
    try:
        values = read_series(path, "value").tolist()
    except UserError as error:
        said = str(error)
    assert all(map(math.isfinite, values))
    assert said == "" or (str(path) in said and "\n" not in said)
