"""Files that are sealed well and contradict themselves: one line, exit code 2, and no traceback."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from journals import example_records
from small_journal import seal

from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records import sealed
from bench.records.journal import load_run

Records = list[dict[str, Any]]
Capture = pytest.CaptureFixture[str]


def kind(records: Records, name: str) -> dict[str, Any]:
    return next(record for record in records if record["kind"] == name)


@pytest.fixture(scope="module")
def run() -> Records:
    examples = example_records(quick=True, broken=True)
    return [json.loads(msgspec.json.encode(record)) for record in examples]


def entry(records: Records) -> dict[str, Any]:
    found: dict[str, Any] = records[0]["groups"][0]["entries"][1]
    return found


def case(records: Records) -> dict[str, Any]:
    found: dict[str, Any] = entry(records)["case"]
    return found


def rates(records: Records, size: list[int]) -> dict[str, Any]:
    primitives = [{"kernel": {"name": "copy", "size": size}, "n_calls": 1, "elapsed_ns": [1]}]
    arm = entry(records)["arm"]
    return {"kind": "rates", "block": 1, "arm": arm, "case": case(records), "primitives": primitives}


# what is changed in a run, and what is said of it
OF_RUNS: list[tuple[Callable[[Records], object], str]] = [
    (lambda r: case(r).update(task="juggle"), "no task is called 'juggle'"),
    (lambda r: case(r).update(layout=""), "no layout is called ''"),
    (lambda r: case(r).update(dtype="float16"), "no dtype is called 'float16'"),
    (lambda r: case(r).update(activation="gelu"), "no activation is called 'gelu'"),
    (lambda r: case(r).update(cell="transformer"), "no cell is called 'transformer'"),
    (lambda r: case(r).update(cell="gru", activation="relu"), "the cell gru has no activation 'relu'"),
    (lambda r: r[0]["groups"][0].update(kind="cells"), "is not the same arm on another cell"),
    (lambda r: case(r).update(data="\x1b[31m"), "no data is called"),
    (lambda r: case(r)["shape"].update(B=-128), "a shape of"),
    (lambda r: case(r)["shape"].update(H=0), "a shape of"),
    (lambda r: case(r)["shape"].update(T=2**62), "a shape of"),
    (lambda r: case(r).update(lr=0.0), "a learning rate of 0"),
    (lambda r: r[0]["groups"][1].update(name="elsewhere"), "stands in the group 'elsewhere'"),
    (lambda r: r[0]["groups"].append(r[0]["groups"][0]), "two groups are called"),
    (lambda r: r[0]["groups"][0]["entries"].append(entry(r)), "two entries are called"),
    (lambda r: r[0]["groups"][1].update(name=""), "Expected `str` of length >= 1"),
    (lambda r: entry(r).update(baseline=""), "the plan has no entry ''"),
    (lambda r: entry(r).update(baseline=entry(r)["id"]), "is its own baseline"),
    (lambda r: r[0]["pairs"][0].update(baseline=r[0]["pairs"][0]["entry"]), "is its own baseline"),
    (lambda r: r[0]["ladder"][0].update(entry=""), "the plan has no entry ''"),
    (lambda r: r[0]["ladder"][-1].update(above=""), "the plan has no entry ''"),
    (lambda r: r[0]["pairs"][0].update(baseline="ghost"), "the plan has no entry 'ghost'"),
    (lambda r: entry(r).update(arm="ghost"), "the plan has no arm 'ghost'"),
    (lambda r: kind(r, "worker").update(arms=["ghost"]), "the plan has no arm 'ghost'"),
    (lambda r: kind(r, "worker").update(arms=[]), "Expected `array` of length >= 1"),
    (lambda r: r[0]["arms"].append(r[0]["arms"][0]), "two arms are called"),
    (lambda r: r[0].update(groups=[]), "the plan has no entry;"),
    (lambda r: r[0]["arms"][0].update(library="jax"), "no library is called 'jax'"),
    (
        lambda r: r[0].update(libraries=[{"name": "a\nb", "label": "", "colour": "", "dark_colour": ""}]),
        "at `$.libraries[0].name`",
    ),
    (
        lambda r: r[0].update(libraries=[{"name": "a", "label": "A", "colour": "red", "dark_colour": ""}]),
        "at `$.libraries[0].colour`",
    ),
    (lambda r: r[0]["arms"][0].update(threads=0), "Expected `int` >= 1"),
    (lambda r: r[0].update(margin=-1.0), "Expected `float` > 0.0 - at `$.margin`"),
    (lambda r: r[0].update(blocks=-3), "Expected `int` >= 1 - at `$.blocks`"),
    (lambda r: kind(r, "worker").update(block=-1), "Expected `int` >= 0 - at `$.block`"),
    (lambda r: kind(r, "burst").update(n_calls=0), "Expected `int` >= 1 - at `$.n_calls`"),
    (lambda r: kind(r, "burst").update(elapsed_ns=[2**62]), "Expected `int` <= 10000000000000000"),
    (lambda r: kind(r, "burst")["places"].__setitem__(0, -1), "Expected `int` >= 0"),
    (lambda r: kind(r, "burst")["rounds"].__setitem__(0, -1), "Expected `int` >= 0"),
    (lambda r: kind(r, "burst").update(rewarm_calls=-1), "Expected `int` >= 0 - at `$.rewarm_calls`"),
    (lambda r: kind(r, "burst")["places"].pop(), "values whose rounds are not told"),
    (lambda r: kind(r, "burst")["rounds"].pop(), "values whose rounds are not told"),
    (lambda r: kind(r, "burst")["elapsed_ns"].pop(), "values whose rounds are not told"),
    (lambda r: kind(r, "burst")["rounds"].__setitem__(1, 0), "values whose rounds"),
    (lambda r: kind(r, "burst").update(waited_ns=[1]), "some tell how long they waited"),
    (lambda r: kind(r, "burst")["checks"][0].update(error=-1.0), "Expected `float` >= 0.0"),
    (lambda r: r.append(rates(r, [1, 2])), "[1, 2] is no size of its basic operation"),
    (lambda r: kind(r, "failure").update(status="ok"), "a failure has the status 'ok'"),
    (lambda r: r[1]["machine"].update(cpus="many"), "got `str` - at `$.cpus`"),
    (lambda r: r[1]["machine"].update(cpus=-1), "Expected `int` >= 0 - at `$.cpus`"),
    (lambda r: r[1]["machine"].update(memory_bytes=[]), "got `array` - at `$.memory_bytes`"),
    (lambda r: r[1]["machine"].update(packages=[1]), "got `array` - at `$.packages`"),
    (lambda r: r[1]["machine"].update(processor=1), "got `int` - at `$.processor`"),
    (lambda r: kind(r, "worker")["facts"].update(precision="ieee"), "got `str` - at `$.precision`"),
    (lambda r: r[-1].update(seconds=-1.0), "Expected `float` >= 0.0 - at `$.seconds`"),
]


@pytest.mark.parametrize(("change", "message"), OF_RUNS)
def test_a_run_that_contradicts_itself_is_refused(
    tmp_path: Path, run: Records, change: Callable[[Records], object], message: str
) -> None:
    changed = copy.deepcopy(run)
    change(changed)
    seal(tmp_path / "journal.jsonl", changed)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load_run(tmp_path)
    assert "journal.jsonl contradicts itself: " in str(caught.value) or ", line " in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("verb", ["report", "export --to csv", "compare", "run --resume"])
def test_every_verb_refuses_such_a_run(tmp_path: Path, run: Records, verb: str, capsys: Capture) -> None:
    changed = copy.deepcopy(run)
    entry(changed).update(arm="ghost")
    seal(tmp_path / "journal.jsonl", changed)
    files = [str(tmp_path)] * (2 if verb == "compare" else 1)
    assert main([*verb.split(), *files]) == 2
    assert "journal.jsonl contradicts itself: the plan has no arm 'ghost'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]
    seal(tmp_path / "journal.jsonl", run)  # what contradicts nothing is read
    assert load_run(tmp_path).state == "interrupted"


# a little text that makes much


def swollen(run: Records, facts: dict[str, Any], workers: int) -> Records:
    return [*run[:2], *[{**kind(run, "worker"), "facts": facts}] * workers]


@pytest.mark.parametrize(
    "facts",
    [
        {"x": [[]] * 2000},
        {"x": [{}] * 2000},
        {f"{n:x}": 1 for n in range(2000)},
        {"x": [999] * 4000},
        {"x": "a" * 40_000 + "\U0001f600"},
    ],
    ids=["lists", "objects", "keys", "numbers", "wide"],
)
def test_a_journal_is_bounded_by_what_is_made_of_it(
    tmp_path: Path, run: Records, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(tmp_path / "journal.jsonl", swollen(run, facts, workers=40))
    monkeypatch.setattr(sealed, "MAX_MEMORY_BYTES", 3 * (tmp_path / "journal.jsonl").stat().st_size)
    with pytest.raises(UserError, match="once read; so much is not read"):
        load_run(tmp_path)


def test_a_line_of_too_many_values_is_refused_before_it_is_decoded(tmp_path: Path, run: Records) -> None:
    seal(tmp_path / "journal.jsonl", swollen(run, {"x": [[]] * 2**20}, workers=1))
    with pytest.raises(UserError, match="line 3 holds more than 1048576 values"):
        load_run(tmp_path)


# what leaves for a spreadsheet


@pytest.mark.parametrize("odd", ["\x1b[31m", "\x00", "\u202e", "\u2066", "\x9b", "\u200f"])
def test_no_csv_file_carries_a_character_that_acts_unseen(tmp_path: Path, run: Records, odd: str) -> None:
    changed = copy.deepcopy(run)
    changed[0]["run"] += odd
    changed[0]["arms"][0]["variant"] += odd
    kind(changed, "burst")["device"] += odd
    seal(tmp_path / "journal.jsonl", changed)
    assert main(["export", "--to", "csv", str(tmp_path)]) == 0
    text = (tmp_path / "values.csv").read_text(encoding="utf-8")
    assert odd not in text
    assert text.count(ascii(odd)[1:-1]) > 3
