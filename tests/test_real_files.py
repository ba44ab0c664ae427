"""Files and arguments as people have them: read right, or one line that says the way out."""

# ruff: noqa: E501  # what the command prints is one line, here too

import json
from pathlib import Path

import pytest
from journals import example_records
from reports import BEST_TORCH, write_run
from test_compare import EARLIER, LATER

from bench.cli.main import main

SHORT = ["--variant", "numpy-inplace", "--epochs", "1", "--window", "1", "--horizon", "1", "--hidden", "2"]
EMPTY = "; if the value is missing, empty the cell and give --missing=drop or --missing=interpolate"
ROWS = "".join(f"2020-01-{day:02},{day % 5}.5\n" for day in range(1, 13))


def train(folder: Path, content: str | bytes, *options: str) -> int:
    path = folder / "s.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return main(["train", "--series", str(path), "--out", str(folder / "out"), *SHORT, *options])


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert isinstance(line, str)
    return line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"d,v\n{ROWS}Total,30\n", "line 14: the last row has 'Total' in column 'd': if it holds a sum"),
        (f"d,v\n{ROWS},30\n", "line 14: the last row has no date: if it holds a sum or a note, remove it"),
        ("month,v\nJan,1\nFeb,2\nGrand total:,3\n", "line 4: the last row has 'Grand total:' in column"),
        ("d,v\n,kg\n1,2\n", "line 2, column 'v': 'kg' is not a number; if this is a second line of names"),
        ("A title\nTaken,in 2020\n\nd,v\n1,2\n", "; line 4 holds it: remove the lines before that one"),
        ("% a comment\nd,v\n1,2\n", "; line 2 holds it: remove the lines before that one"),
        ('"v","Bank",\n\nName,d,v,"",\na,1,2,,\n', "if this is the line of names, remove the lines before"),
        ("d,v\n1,2\n2,#REF!\n", f"'#REF!' is not a number{EMPTY}"),
        ("d,v\n1,5 kg\n", "'5 kg' is not a number; write it with nothing but digits and a decimal sign"),
        ("v\n1^2\n", "'1^2' is not a number; commas, semicolons, tabs or | separate columns, outside quotes"),
        ("t;;v\n0;1;2\n", "'1' stands in column 2, which has no name; name the column"),
        ("d,v\n1,2\n".encode("utf-32"), "is UTF-32 text, not utf-8; give --encoding=utf-32"),
        (b"BZh91AY&SY", "is a workbook or a compressed file; save it as CSV"),
        ("a,1.5,2\nb,2.5,3\n", "choose"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_told_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | bytes, said: str
) -> None:
    column = [] if said == "choose" else ["--column", "v"]
    assert train(tmp_path, content, *column) == 2
    line = only_line(capsys)
    assert ("if these are values, put a line of names before them" if said == "choose" else said) in line


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (f"d,v\n{ROWS}2020-02-01,-999\n", [], "-999 stands in 1 of 13 cells in s.csv, far from all other values"),
        ("d;v\n" + "".join(f"{n};{n % 4 + 1}.{n}00\n" for n in range(1, 10)), ["--column", "v"],
         "is read as a decimal sign; if it parts thousands, remove it"),
        ("q,v\n" + "".join(f"Q{1 + n % 4}-{2020 - n // 4},{n % 3}\n" for n in (3, 2, 1, 0, 7, 6, 5, 4)), [],
         "run from the newest to the oldest"),
        ("m,v\n" + "".join(f"2020M{n:02},{n % 3}\n" for n in range(9, 0, -1)), [],
         "run from the newest to the oldest"),
    ],
)  # fmt: skip
def test_what_is_read_in_doubt_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, options: list[str], said: str
) -> None:
    assert train(tmp_path, content, *options) == 0
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ('d,"v\n(kg)"\n' + ROWS, "v (kg)"),  # as the list of columns shows it
        ("d,re\u0301el\n" + ROWS, "r\u00e9el"),  # the same letters, as another system writes them
        ("\ufeff\ufeffv,d\n" + "".join(f"{n % 5},{n}\n" for n in range(12)), "v"),
    ],
)  # fmt: skip
def test_a_column_is_found_by_the_name_that_is_shown(tmp_path: Path, content: str, column: str) -> None:
    assert train(tmp_path, content, "--column", column) == 0


@pytest.mark.parametrize("mark", ["\u2013", "\u2026", "n.a.", "ND", "\\N"])
def test_offices_signs_for_no_value_are_missing_values(tmp_path: Path, mark: str) -> None:
    assert train(tmp_path, f"d,v\n{ROWS}2020-02-01,{mark}\n2020-02-02,3\n", "--missing", "drop") == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["run", "--out", ""], "argument --out: is empty"),
        (["train", "--save", ""], "argument --save: is empty"),
        (["train", "--series", ""], "argument --series: is empty"),
        (["report", ""], "argument FILE: is empty"),
        (["run", "--variant", ""], "argument --variant: is empty"),
        (["run", "--hidden", "\u0663"], "is not a whole number of 1 or more"),
        (["run", "--seed", "\u0663"], "is not a whole number of 0 or more"),
        (["train", "--lr", "1_0"], "argument --lr: '1_0' is not a number"),
        (["train", "--lr", "x"], "argument --lr: 'x' is not a number"),
        (["run", "--budget", "1_0"], "is no time above 0"),
        (["-"], "argument VERB: invalid choice: '-' (choose from run, verify"),
        (["run", "run"], "unrecognized arguments: run; see rnnbench run --help"),
    ],
)  # fmt: skip
def test_an_argument_is_what_it_says_or_nothing(
    capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert said in only_line(capsys)


def test_half_a_character_in_a_strangers_file_is_shown_as_its_code(tmp_path: Path) -> None:
    stats = {"median": 1e-3, "min": 1e-4, "max": 1.0}
    one = {"name": "t", "fullname": "a.py::t", "group": "g\ud800\ufeff", "stats": stats}
    (tmp_path / "a.json").write_text(json.dumps({"machine_info": {}, "benchmarks": [one]}))
    assert main(["report", str(tmp_path / "a.json")]) == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "ud800" in text
    assert "\ufeff" not in text


def test_a_gate_does_not_pass_with_an_entry_that_has_no_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "old", EARLIER)
    write_run(tmp_path / "new", example_records(seed=7, broken=True))
    write_run(tmp_path / "right", LATER)
    gate = ["compare", str(tmp_path / "old"), str(tmp_path / "new"), "--fail-slower", "300%"]
    assert main(gate) == 3
    assert f"there is no answer for {BEST_TORCH}" in only_line(capsys)
    assert main([*gate[:2], str(tmp_path / "right"), *gate[3:]]) == 0


def test_a_quotient_of_two_numbers_is_not_called_an_estimate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = {"name": "t", "fullname": "a.py::t", "stats": {"median": 1e-3, "min": 1e-4, "max": 1.0}}
    (tmp_path / "a.json").write_text(json.dumps({"machine_info": {}, "benchmarks": [one]}))
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "a.json")]) == 0
    assert "estimated from" not in capsys.readouterr().out


def test_files_without_an_answer_are_given_no_verdict(tmp_path: Path) -> None:
    for name in ("a", "b"):
        one = {"name": name, "fullname": name, "stats": {"median": 1e-3, "min": 1e-4, "max": 1.0}}
        (tmp_path / f"{name}.json").write_text(json.dumps({"machine_info": {}, "benchmarks": [one]}))
    files = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert main(["report", *files, "--out", str(tmp_path / "out")]) == 0
    for page in ("report.md", "report.html"):
        text = (tmp_path / "out" / page).read_text(encoding="utf-8")
        assert "the verdict is PyTorch's" not in text
