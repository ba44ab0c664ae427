"""Files that are sealed well and contradict themselves: one line, exit code 2, and no traceback."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from journals import example_records

from bench.cli.main import main
from bench.machine.errors import UserError
from bench.records import sealed
from bench.records.journal import load_run
from bench.records.sealed import FIRST, sealed_line

Records = list[dict[str, Any]]
Capture = pytest.CaptureFixture[str]


def seal(path: Path, records: Records) -> None:
    """Write a file of these records, as somebody might on purpose."""
    made, before = [], FIRST
    for record in records:
        line, before = sealed_line(before, json.dumps(record, separators=(",", ":")).encode())
        made.append(line)
    path.write_bytes(b"".join(made))


def kind(records: Records, name: str, number: int = 0) -> dict[str, Any]:
    return [record for record in records if record["kind"] == name][number]


@pytest.fixture(scope="module")
def run() -> Records:
    examples = example_records(quick=True, broken=True)
    return [json.loads(msgspec.json.encode(record)) for record in examples]


def entry(records: Records, group: int = 0, number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = records[0]["groups"][group]["entries"][number]
    return found


def every_case(records: Records) -> Iterator[dict[str, Any]]:
    for group in records[0]["groups"]:
        yield from (one["case"] for one in group["entries"])


# what is changed in a run, and what is said of it
OF_RUNS: list[tuple[str, Callable[[Records], object], str]] = [
    ("task", lambda r: entry(r)["case"].update(task="juggle"), "no task is called 'juggle'"),
    ("tasks", lambda r: [case.update(task="juggle") for case in every_case(r)], "no task is called 'juggle'"),
    ("layout", lambda r: entry(r)["case"].update(layout=""), "no layout is called ''"),
    ("dtype", lambda r: entry(r)["case"].update(dtype="float16"), "no dtype is called 'float16'"),
    ("activation", lambda r: entry(r)["case"].update(activation="relu"), "no activation is called 'relu'"),
    ("data", lambda r: entry(r)["case"].update(data="\x1b[31m"), "no data is called"),
    ("negative", lambda r: entry(r)["case"]["shape"].update(B=-128), "a shape of"),
    ("empty", lambda r: entry(r)["case"]["shape"].update(H=0), "a shape of"),
    ("huge", lambda r: entry(r)["case"]["shape"].update(T=2**62), "a shape of"),
    ("rate", lambda r: entry(r)["case"].update(lr=0.0), "a learning rate of 0"),
    ("group", lambda r: r[0]["groups"][1].update(name="elsewhere"), "stands in the group 'elsewhere'"),
    ("unnamed", lambda r: r[0]["groups"][1].update(name=""), "Expected `str` of length >= 1"),
    ("no baseline", lambda r: entry(r).update(baseline=""), "the plan has no entry ''"),
    ("own baseline", lambda r: entry(r).update(baseline=entry(r)["id"]), "is its own baseline"),
    ("rung", lambda r: r[0]["ladder"][0].update(entry=""), "the plan has no entry ''"),
    ("above", lambda r: r[0]["ladder"][-1].update(above=""), "the plan has no entry ''"),
    ("pair", lambda r: r[0]["pairs"][0].update(baseline="ghost"), "the plan has no entry 'ghost'"),
    ("arm", lambda r: entry(r).update(arm="ghost"), "the plan has no arm 'ghost'"),
    ("worker", lambda r: kind(r, "worker").update(arms=["ghost"]), "the plan has no arm 'ghost'"),
    ("no arms", lambda r: kind(r, "worker").update(arms=[]), "Expected `array` of length >= 1"),
    ("twice", lambda r: r[0]["arms"].append(r[0]["arms"][0]), "two arms are called"),
    ("nothing", lambda r: r[0].update(groups=[]), "the plan has no entry"),
    ("library", lambda r: r[0]["arms"][0].update(library="jax"), "no library is called 'jax'"),
    ("threads", lambda r: r[0]["arms"][0].update(threads=0), "Expected `int` >= 1"),
    ("margin", lambda r: r[0].update(margin=-1.0), "Expected `float` > 0.0 - at `$.margin`"),
    ("blocks", lambda r: r[0].update(blocks=-3), "Expected `int` >= 1 - at `$.blocks`"),
    ("before", lambda r: kind(r, "worker").update(block=-1), "Expected `int` >= 0 - at `$.block`"),
    ("no calls", lambda r: kind(r, "burst").update(n_calls=0), "Expected `int` >= 1 - at `$.n_calls`"),
    (
        "eternal",
        lambda r: kind(r, "burst").update(elapsed_ns=[2**62]),
        "Expected `int` <= 10000000000000000",
    ),
    ("place", lambda r: kind(r, "burst")["places"].__setitem__(0, -1), "Expected `int` >= 0"),
    ("round", lambda r: kind(r, "burst")["rounds"].__setitem__(0, -1), "Expected `int` >= 0"),
    (
        "rewarmed",
        lambda r: kind(r, "burst").update(rewarm_calls=-1),
        "Expected `int` >= 0 - at `$.rewarm_calls`",
    ),
    ("places", lambda r: kind(r, "burst")["places"].pop(), "values whose rounds are not told"),
    ("rounds", lambda r: kind(r, "burst")["rounds"].pop(), "values whose rounds are not told"),
    ("values", lambda r: kind(r, "burst")["elapsed_ns"].pop(), "values whose rounds are not told"),
    ("waits", lambda r: kind(r, "burst").update(waited_ns=[1]), "some tell how long they waited"),
    ("round twice", lambda r: kind(r, "burst")["rounds"].__setitem__(1, 0), "values whose rounds"),
    ("error", lambda r: kind(r, "burst")["checks"][0].update(error=-1.0), "Expected `float` >= 0.0"),
    ("passed", lambda r: kind(r, "failure").update(status="ok"), "a failure has the status 'ok'"),
    ("cpus", lambda r: r[1]["machine"].update(cpus="many"), "cpus is 'many'"),
    ("bytes", lambda r: r[1]["machine"].update(memory_bytes=[]), "memory_bytes is []"),
    ("packages", lambda r: r[1]["machine"].update(packages=[1]), "packages is [1]"),
    ("precision", lambda r: kind(r, "worker")["facts"].update(precision="ieee"), "precision is 'ieee'"),
    ("end", lambda r: r[-1].update(seconds=-1.0), "Expected `float` >= 0.0 - at `$.seconds`"),
]


@pytest.mark.parametrize(
    ("change", "said"), [case[1:] for case in OF_RUNS], ids=[case[0] for case in OF_RUNS]
)
def test_a_run_that_contradicts_itself_is_refused(
    tmp_path: Path, run: Records, change: Callable[[Records], object], said: str
) -> None:
    changed = copy.deepcopy(run)
    change(changed)
    seal(tmp_path / "journal.jsonl", changed)
    with pytest.raises(UserError, match=re.escape(said)) as caught:
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


def test_what_contradicts_nothing_is_read(tmp_path: Path, run: Records) -> None:
    seal(tmp_path / "journal.jsonl", run)
    assert main(["export", "--to", "csv", str(tmp_path / "journal.jsonl")]) == 0


# a little text that makes much


def swollen(run: Records, facts: dict[str, Any], workers: int) -> Records:
    worker = {**kind(run, "worker"), "facts": facts}
    return [*run[:2], *[worker] * workers]


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
    tmp_path: Path, run: Records, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    seal(tmp_path / "journal.jsonl", swollen(run, facts, workers=40))
    size = (tmp_path / "journal.jsonl").stat().st_size
    monkeypatch.setattr(sealed, "MAX_MADE", 3 * size)
    assert main(["export", "--to", "csv", str(tmp_path)]) == 2
    assert "once read; so much is not read" in capsys.readouterr().err


def test_a_line_of_too_many_values_is_refused_before_it_is_decoded(
    tmp_path: Path, run: Records, capsys: Capture
) -> None:
    seal(tmp_path / "journal.jsonl", swollen(run, {"x": [[]] * 2**20}, workers=1))
    assert main(["report", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "line 3 holds more than 1048576 values" in err
    assert "memory" not in err


# what leaves for a spreadsheet


@pytest.mark.parametrize("odd", ["\x1b[31m", "\x00", "\u202e", "\u2066", "\x9b", "\u200f"])
def test_no_csv_file_carries_a_character_that_acts_unseen(
    tmp_path: Path, run: Records, odd: str, capsys: Capture
) -> None:
    changed = copy.deepcopy(run)
    changed[0]["run"] += odd
    changed[0]["arms"][0]["variant"] += odd
    kind(changed, "burst")["device"] += odd
    seal(tmp_path / "journal.jsonl", changed)
    assert main(["export", "--to", "csv", str(tmp_path)]) == 0
    text = (tmp_path / "values.csv").read_text(encoding="utf-8")
    assert odd not in text
    assert text.count(ascii(odd)[1:-1]) > 3
