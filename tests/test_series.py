"""A series is a column of a file: its values and no others, or one line that says what is wrong where."""

# ruff: noqa: E501  # what the command prints is one line, here too

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli.main import main
from bench.machine.errors import UserError
from bench.workload.series import read_series, sine_series

FILL = "the value is missing; fill it, remove the line, or give --missing=drop or --missing=interpolate"
COMMA = "; if a comma is part of a number, put the number in quotes or ; between the columns, and if it is a decimal comma, give --decimal=,"
DIGITS = "write it with nothing but digits and a decimal sign"
NO_NAMES = "the first line holds numbers or dates, not the names of columns; put a line of names before it, as: time,value"
SUM = "if it holds a sum or a note, remove it; if not, date it"
DAYS = "".join(f"2020-01-{day:02},{day % 5}.5\n" for day in range(1, 13))
EMPTY = "; if the value is missing, empty the cell and give --missing=drop or --missing=interpolate"
QUOTE = "is a quote opened and not closed?"
SHORT = ["--variant=numpy-inplace", "--epochs=1", "--window=1", "--horizon=1", "--hidden=2"]
MISSING = ("", "NA", "NaN", "null", ".", "?", "-", "\u2013", "\u2026", "n.a.", "ND", "\\N")
GUESS: dict[str, Any] = {"column": None}
INTERPOLATE, DROP = {"missing": "interpolate"}, {"missing": "drop"}


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return tmp_path / "series.csv"


def train(path: Path, *options: str) -> int:
    """Train as shortly as can be; windows of one value and the next, so that the last four are tested on."""
    return main(["train", "--series", str(path), *SHORT, "--out", str(path.with_suffix("")), *options])


def header(path: Path) -> dict[str, Any]:
    """What the training's file says of its series."""
    first, *_ = (path.with_suffix("") / "training.jsonl").read_text().splitlines()
    record: dict[str, Any] = json.loads(first)["record"]
    return record


def test_the_sine_makes_two_periods() -> None:
    assert sine_series(9) == pytest.approx([0, 1, 0, -1, 0, 1, 0, -1, 0], abs=1e-15)


def test_the_only_column_of_numbers_is_trained_on_and_named(
    csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv_file.write_text("date,level,note\n" + "".join(f"2020-01-{n:02},{n * n},a\n" for n in range(1, 13)))

    assert train(csv_file) == 0
    assert "Column 'level' of series.csv is used: it is the only one that holds" in capsys.readouterr().err
    assert header(csv_file)["settings"]["column"] == "level"
    assert "Column level of series.csv" in (csv_file.with_suffix("") / "report.md").read_text()
    assert header(csv_file)["truth"] == [[64], [81], [100], [121]]


@pytest.mark.parametrize(
    "dates",
    [
        [f"2020-{n:02}-01" for n in range(12, 0, -1)],
        [f"{n:02}.01.2021" for n in range(31, 19, -1)],
        [f"{n}/15/21" for n in range(12, 0, -1)],
        [f"{year}" for year in range(2020, 2008, -1)],
        [f"Q{quarter}-{year}" for year in (2020, 2019) for quarter in (4, 3, 2, 1)],
        [f"2020M{month:02}" for month in range(9, 0, -1)],
    ],
)
def test_dates_from_new_to_old_are_pointed_out(csv_file: Path, dates: list[str]) -> None:
    csv_file.write_text("day,level\n" + "".join(f"{date},{n}\n" for n, date in enumerate(dates)))
    (note,) = read_series(csv_file, "level").notes
    assert note.startswith("The dates in column 'day' of series.csv run from the newest to the oldest")

    csv_file.write_text("day,level\n" + "".join(f"{date},{n}\n" for n, date in enumerate(dates[::-1])))
    assert read_series(csv_file, "level").notes == ()


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (f"d,v\n{DAYS}2020-02-01,-999\n", "-999 stands in 1 of 13 cells in series.csv, far from all other"),
        ("d;v\n" + "".join(f"{n};{n % 4 + 1}.{n}00\n" for n in range(1, 10)),
         "The point in column 'v' of series.csv is read as a decimal sign; if it parts thousands, remove"),
    ],
)  # fmt: skip
def test_what_is_read_in_doubt_is_told(csv_file: Path, text: str, note: str) -> None:
    csv_file.write_text(text)
    assert note in read_series(csv_file, "v").notes[-1]


def test_what_is_to_know_of_a_series_is_told_before_the_training_and_kept_with_it(
    csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = ["1,5", "", "4,5", "n/a", *(f"{n},25" for n in range(8))]
    rows = (f"{31 - n}.12.2020;{cell};zurück\n" for n, cell in enumerate(cells))
    csv_file.write_bytes(("Tag;Wert;Notiz\n" + "".join(rows)).encode("cp1252"))

    chosen = {"decimal": ",", "encoding": "cp1252", "missing": "interpolate"}
    assert train(csv_file, *(f"--{name}={value}" for name, value in chosen.items())) == 0
    printed = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[1] for line in printed] == ["Column", "The", "2"]
    assert "run from the newest to the oldest: time runs backwards" in printed[1]
    assert "2 of 12 values in series.csv are missing: each was put on the straight line" in printed[2]
    kept = header(csv_file)
    assert [f"rnnbench: {note}" for note in kept["notes"]] == printed
    assert chosen.items() <= kept["settings"].items()
    assert kept["truth"] == [[3.25], [4.25], [5.25], [6.25]]
    assert "time runs backwards" in (csv_file.with_suffix("") / "report.md").read_text()


ENDS_OF_LINES_ELSEWHERE = ("page\f5", "a\u20285", "a\u20295", "a\x855", "a\x1c5", "a\x0b5", '"two\n5"')


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("t,value\n0,1.5\n1,-2e3\n", "value"),
        ("t;value\n0;1.5\n1;-2e3\n", "value"),
        ("t\tvalue\n0\t1.5\n1\t-2e3\n", "value"),
        ("t|value\n0|1.5\n1|-2e3\n", "value"),
        ("value\n1.5\n-2e3\n", "value"),
        ("\ufeffvalue,t\n1.5,0\n-2e3,1\n", "value"),  # the mark that some programs put first
        (' t , value \n0, 1.5 \n\n1,"-2e3"\n', " value "),  # blanks, an empty line, quotes
        ("t,value\r\n0,1.5\r\n1,-2e3", "value"),
        ("t,value\r0,1.5\r1,-2e3\r", "value"),
        ("t,value\r\r\n0,1.5\r\r\n1,-2e3\r\r\n", "value"),
        ("value\n1.5\n-2e3\n\n\n", "value"),
        ("value,value (°C),\n0,1.5,\n0,-2e3,\n", "value (°C)"),  # a delimiter at the end of each line
        ('"a,b";value\nx;1.5\ny;-2e3\n', "value"),
        ("time;wind, m/s\n0;1.5\n1;-2e3\n", "wind, m/s"),
        ('value,note\n1.5,"a, ""b""\nc"\n-2e3,\n', "value"),
        ("country,1990,1991\nx,0,1.5\ny,0,-2e3\n", "1991"),
        ("sep=;\nt;value\n0;1.5\n1;-2e3\n", "value"),
        ('\ufeff"sep=\t"\r\nt\tvalue\r\n0\t1.5\r\n1\t-2e3\r\n', "value"),
        ("# from: a, b\n\n# and c\nt,value\n0,1.5\n1,-2e3\n", "value"),
        ("# t,value\n0,1.5\n1,-2e3\n", "value"),  # NumPy's way
        (",value\n0,1.5\n1,-2e3\n", None),  # pandas' way, with an index and without names
        (",0\n0,1.5\n1,-2e3\n", None),
        ("value,date\n1.5,05.01.2020\n-2e3,06.01.2020\n", None),
        ('d,"value\n(kg)"\n0,1.5\n1,-2e3\n', "value (kg)"),  # as the list of columns shows it
        ("d,re\u0301el\n0,1.5\n1,-2e3\n", "r\u00e9el"),  # the same letters, as another system writes them
        ("\ufeff\ufeffvalue,d\n1.5,0\n-2e3,1\n", "value"),
        *((f"value,note\n1.5,{note}\n-2e3,ok\n", "value") for note in ENDS_OF_LINES_ELSEWHERE),
    ],
)
def test_a_column_is_read_as_it_stands(csv_file: Path, text: str, column: str | None) -> None:
    csv_file.write_bytes(text.encode())
    values = read_series(csv_file, column).values
    assert (values.dtype, values.tolist()) == (float, [1.5, -2000.0])


@pytest.mark.parametrize(
    ("text", "options", "values"),
    [
        ("t;v\n0;1,5\n1;-2,0e3\n", {"decimal": ","}, [1.5, -2000]),
        ("v\n1,5\n-2000\n", {"decimal": ","}, [1.5, -2000]),
        ('t,v\n0,"1,5"\n1,"-2000,0"\n', {"decimal": ","}, [1.5, -2000]),
        ("t;v, m\n0;1,5\n1;-2000,0\n", {"decimal": ",", "column": "v, m"}, [1.5, -2000]),
        *((f"t,v\n0,1\n1,{sign}\n2,{sign}\n3,4\n", DROP, [1, 4]) for sign in MISSING),
        *((f"t,v\n0,1\n1,{sign}\n2,{sign}\n3,4\n", INTERPOLATE, [1, 2, 3, 4]) for sign in MISSING),
        ("v\n1\n\n4\n\n", INTERPOLATE, [1, 2.5, 4]),  # an empty line, where there is one column
        ("t,v\n0,1.7e308\n1,\n2,-1.7e308\n", INTERPOLATE, [1.7e308, 0, -1.7e308]),
    ],
)
def test_an_option_says_how_a_column_is_read(
    csv_file: Path, text: str, options: dict[str, Any], values: list[float]
) -> None:
    csv_file.write_text(text)
    assert read_series(csv_file, **{"column": "v", **options}).values.tolist() == values


@pytest.mark.parametrize(
    ("text", "options", "refusal"),
    [
        ("", {}, "FILE is empty; a header line and one value a line are needed"),
        ("\n# nothing\n", {}, "FILE is empty; a header line and one value a line are needed"),
        ("t,value\n", {}, "FILE has a header line and no values below it"),
        ("t,wind\n0,1\n", {}, "FILE has no column 'value'; its columns are: t, wind"),
        ("t,wind\n0,1\n", {"column": "1.5"}, "FILE has no column '1.5'; its columns are: t, wind"),
        ("t,values\n0,1\n", {}, "FILE has no column 'value' (did you mean 'values'?); its columns are: t, values"),
        ("t value\n0 1\n", {}, "FILE has no column 'value' (did you mean 't value'?); its columns are: t value; commas, semicolons, tabs or | separate columns"),
        ("d0,20.0\nd1,21.0\n", {}, "FILE has no column 'value'; its columns are: d0, 20.0; if these are values, put a line of names before them"),
        ("value\n1\ntwo\n", {}, "FILE, line 3, column 'value': 'two' is not a number" + EMPTY),
        ("t,value,value\n0,1,2\n", {}, "FILE, line 1: columns 2, 3 are all called 'value'; rename all but the one that is meant"),
        ("value, value\n0,1\n", {}, "FILE, line 1: columns 1, 2 are all called 'value'; rename all but the one that is meant"),
        ("t,value,\nd0,20,\nd1,21,9\n", {}, f"FILE, line 3: '9' stands in column 3, which has no name{COMMA}; otherwise name the column"),
        ("t;;value\n0;1;2\n", {}, "FILE, line 2: '1' stands in column 2, which has no name; name the column"),
        ("value\n1,5\n", {}, f"FILE, line 2: columns here: 2, in the header: 1{COMMA}"),
        ("t,value\n0,1,234\n", {}, f"FILE, line 2: columns here: 3, in the header: 2{COMMA}"),
        ("t,value\n0,1,\n", {}, "FILE, line 2: columns here: 3, in the header: 2; remove what separates columns from the end of the line"),
        ("t,value\n0,1\n1\n", {}, "FILE, line 3: columns here: 1, in the header: 2; is a value missing, or is this no row of the table?"),
        ("t,value\n0,1\n1;2\n", {}, "FILE, line 3: columns here: 1, in the header: 2; ';' separates the values here, ',' the names"),
        ("t,value\n0,1\n# end\n", {}, "FILE, line 3: columns here: 1, in the header: 2; a comment can only stand above the header: remove it"),
        ("t;value, m\n0;1,5\n", {}, f"FILE: both ',' and ';' could separate its columns; say which in a first line, as: 'sep=;'{COMMA}"),
        ("t;value\n0;1,5\n", {}, "FILE, line 2, column 'value': '1,5' is not a number; if ',' is its decimal sign, give --decimal=,; if it parts thousands, remove it"),
        ("t;value\n0;1.234,5\n", {}, f"FILE, line 2, column 'value': '1.234,5' is not a number; {DIGITS}, and give --decimal=,"),
        ("t;value\n0;1 234\n", {}, f"FILE, line 2, column 'value': '1 234' is not a number; {DIGITS}"),
        ("t;value\n0;$12\n", {}, f"FILE, line 2, column 'value': '$12' is not a number; {DIGITS}"),
        ("t,value\n0,2020_01\n", {}, f"FILE, line 2, column 'value': '2020_01' is not a number; {DIGITS}"),
        ("value\n٣\n", {}, "FILE, line 2, column 'value': '٣' is not a number; " + DIGITS),
        ("value\n0x10\n", {}, "FILE, line 2, column 'value': '0x10' is not a number; " + DIGITS),
        ("value\n1\n-infinity\n", {}, "FILE, line 3, column 'value': '-infinity' is not a number" + EMPTY),
        ("value\n1e999\n", {}, "FILE, line 2, column 'value': '1e999' is too large for a float64"),
        ("value\n1e-999\n", {}, "FILE, line 2, column 'value': '1e-999' is too near to 0 for a float64"),
        ("t,value\n0,1\n1,\n", {}, f"FILE, line 3, column 'value': {FILL}"),
        ("value\nnan\n", {}, f"FILE, line 2, column 'value': {FILL}"),
        ("1.5\n2.5\n", {}, f"FILE, line 1: {NO_NAMES}"),
        ("2020-01-01,1.5\n2020-01-02,2.5\n", {}, f"FILE, line 1: {NO_NAMES}"),
        ("#" + "x" * 200_000 + "\n1.5,1\n2.5,2\n", {}, f"FILE, line 2: {NO_NAMES}"),
        ('t,value\n0,"1\n1,2\n', {}, f"FILE, line 2: not CSV: unexpected end of data; {QUOTE}"),
        ('t,value\n\n"a\nb",1\n0,"1"2\n', {}, f"FILE, line 5: not CSV: ',' expected after '\"'; {QUOTE}"),
        ("t,value\n0,1\n1,\0\n", {}, "FILE, line 3: a NUL character, which no CSV has; if it is UTF-16 text, give --encoding=utf-16"),
        ("value\n" + "1" * 200_000, {}, f"FILE, line 2: not CSV: field larger than field limit (131072); {QUOTE}"),
        (b"value\n1\n\xff\xfe\n", {}, "FILE, line 3: not utf-8 text; name what it was saved in with --encoding, as cp1252 (Windows), latin-1 or utf-16"),
        ("value\n1\n".encode("utf-16"), {}, "FILE is UTF-16 text, not utf-8; give --encoding=utf-16"),
        (b"PK\x03\x04\x14\0", {}, "FILE is a workbook or a compressed file; save it as CSV"),
        ("t,open,close,note\na,1,2,b\n", GUESS, "FILE has several columns of numbers; choose its column: open, close (no numbers: t, note)"),
        ("t;value\n0;1,5\n1;2,5\n", GUESS, "FILE has several columns of numbers; choose its column: t, value"),
        ("id,price\n1,$5\n2,$6\n", GUESS, "FILE has several columns of numbers; choose its column: id, price"),
        ("t,note\na,b\n", GUESS, "no column of FILE holds numbers; its columns are: t, note"),
        ("t,value\na,1\nb,x\nc,3\n", GUESS, "FILE, line 3, column 'value': 'x' is not a number" + EMPTY),
        ("d0,1.5,ok\nd1,2.5,ok\n", GUESS, "FILE, line 1: '1.5' would be the name of the column; if it is a value, put a line of names before it; if it is the name, choose that column"),
        ("a,a\nx,1\ny,2\n", GUESS, "FILE, line 1: columns 1, 2 are all called 'a'; rename all but the one that is meant"),
        ("t;v\n0;1.5\n", {"column": "v", "decimal": ","}, "FILE, line 2, column 'v': '1.5' is not a number; if '.' is its decimal sign, give --decimal=.; if it parts thousands, remove it"),
        ("t,v,\nd0,20,0\n", {"column": "v", "decimal": ","}, f"FILE, line 2: '0' stands in column 3, which has no name{COMMA}; otherwise name the column"),
        ("v\n1\n", {"encoding": "klingon"}, "no text encoding is called 'klingon'; give --encoding=utf-8, cp1252 or utf-16"),
        ("v\n1\n", {"encoding": "hex"}, "no text encoding is called 'hex'; give --encoding=utf-8, cp1252 or utf-16"),
        ("t,v\n0,\n1,2\n", {"column": "v", **INTERPOLATE}, "1 of 2 values in series.csv are missing, the first one too, which has no neighbour to interpolate from; remove its line, or give --missing=drop"),
        ("t,v\n0,1\n1,\n", {"column": "v", **INTERPOLATE}, "1 of 2 values in series.csv are missing, the last one too, which has no neighbour to interpolate from; remove its line, or give --missing=drop"),
        ("t,v\n0,\n1,\n", {"column": "v", **DROP}, "2 of 2 values in series.csv are missing; there is nothing to train on"),
        ("t,v\n0,1\n1,inf\n", {"column": "v", **DROP}, "FILE, line 3, column 'v': 'inf' is not a number" + EMPTY),
        (f"d,value\n{DAYS}Total,30\n", {}, f"FILE, line 14: the last row has 'Total' in column 'd': {SUM}"),
        (f"d,value\n{DAYS},30\n", {}, f"FILE, line 14: the last row has no date: {SUM}"),
        ("m,value\nJan,1\nFeb,2\nTotal:,3\n", {}, f"FILE, line 4: the last row has 'Total:' in column 'm': {SUM}"),
        ("d,value\n,kg\n1,2\n", {}, "FILE, line 2, column 'value': 'kg' is not a number; if this is a second line of names, remove it"),
        ("Title\nTaken,in 2020\n\nd,value\n1,2\n", {}, "FILE has no column 'value'; its columns are: Title; line 4 holds it: remove the lines before that one"),
        ("% a comment\nd,value\n1,2\n", {}, "FILE has no column 'value'; its columns are: % a comment; line 2 holds it: remove the lines before that one"),
        ('"value","Bank",\n\nName,d,value,"",\na,1,2,,\n', {}, "FILE, line 3: columns here: 5, in the header: 3; if this is the line of names, remove the lines before it"),
        ("d,value\n1,2\n2,#REF!\n", {}, f"FILE, line 3, column 'value': '#REF!' is not a number{EMPTY}"),
        ("d,value\n1,5 kg\n", {}, f"FILE, line 2, column 'value': '5 kg' is not a number; {DIGITS}"),
        ("value\n1^2\n", {}, "FILE, line 2, column 'value': '1^2' is not a number; commas, semicolons, tabs or | separate columns, outside quotes"),
        ("value\n1\n".encode("utf-32"), {}, "FILE is UTF-32 text, not utf-8; give --encoding=utf-32"),
        (b"BZh91AY&SY", {}, "FILE is a workbook or a compressed file; save it as CSV"),
        ("a,1.5,2\nb,2.5,3\n", GUESS, "FILE has several columns of numbers; choose its column: 1.5, 2 (no numbers: a); if these are values, put a line of names before them"),
        *((f"t,value\n0,1\n1,{sign}\n", {}, f"FILE, line 3, column 'value': {FILL}") for sign in MISSING),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line_that_says_what_and_where(
    csv_file: Path, text: str | bytes, options: dict[str, Any], refusal: str
) -> None:
    csv_file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError) as refused:
        read_series(csv_file, **{"column": "value", **options})
    assert str(refused.value).replace(str(csv_file), "FILE") == refusal


def test_a_refusal_is_one_line_of_the_command_and_nothing_is_written(
    csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv_file.write_text("value\nnan\n")
    assert train(csv_file) == 2
    assert capsys.readouterr() == ("", f"rnnbench: {csv_file}, line 2, column 'value': {FILL}\n")
    assert not csv_file.with_suffix("").exists()


@pytest.mark.parametrize(("name", "why"), [("nowhere.csv", "No such file"), (".", "it is no regular file")])
def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(UserError, match=f"cannot read .*: {why}"):
        read_series(tmp_path / name, "value")


@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=60), st.sampled_from([b"t,value\n", b"value\n", b""]), st.sampled_from(["value", None])
)
def test_no_file_ever_makes_anything_but_numbers_or_a_clear_line(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, head: bytes, column: str | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(head + tail)
    text, values = path.name, []
    try:
        values = read_series(path, column).values.tolist()
    except UserError as error:
        text = str(error)
    assert all(map(math.isfinite, values))
    assert path.name in text
    assert "\n" not in text
