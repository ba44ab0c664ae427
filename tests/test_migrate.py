"""A journal of every past schema is kept, and read as one of the present schema."""

import json
from pathlib import Path

import msgspec
import pytest

from bench.answer.summary import summarise
from bench.errors import UserError
from bench.results.journal import FILE_NAME, Journal, load_run, read_journal
from bench.results.migrate import STEPS, migrate
from bench.results.record import SCHEMA, Burst, Plan

DATA = Path(__file__).with_name("data")
KEPT = {schema: DATA / f"journal-schema-{schema}.jsonl" for schema in range(1, SCHEMA)}


def lines(schema: int) -> list[bytes]:
    return KEPT[schema].read_bytes().splitlines(keepends=True)


def rewritten(tmp_path: Path, content: list[bytes]) -> Path:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"".join(content))
    return path


@pytest.mark.parametrize("schema", KEPT)
def test_a_journal_of_each_past_schema_is_kept_and_read(schema: int) -> None:
    assert json.loads(lines(schema)[0])["schema"] == schema
    run = load_run(KEPT[schema])
    assert (run.plan.schema, run.state, run.warnings) == (SCHEMA, "complete", ())
    assert summarise(run).tables


def test_there_is_a_step_from_every_past_schema() -> None:
    assert list(STEPS) == list(range(1, SCHEMA))


def test_schema_1_keeps_every_number_and_gains_what_it_did_not_read() -> None:
    records, warnings = read_journal(KEPT[1])
    assert warnings == []
    old = [json.loads(line) for line in lines(1)]
    assert len(records) == len(old)
    for record, before in zip(records, old, strict=True):
        after = msgspec.to_builtins(record)
        assert {name: after[name] for name in before if name != "schema"} == {
            name: value for name, value in before.items() if name != "schema"
        }
    plan, *_, burst = [record for record in records if isinstance(record, Plan | Burst)]
    assert isinstance(plan, Plan)
    assert isinstance(burst, Burst)
    assert (plan.gates, plan.precision) == ({}, None)
    assert (burst.gates, burst.flags, burst.disturbed, burst.settled) == ({}, [], None, None)


def test_what_was_migrated_can_be_written_as_a_journal_of_today(tmp_path: Path) -> None:
    records, _ = read_journal(KEPT[1])
    with Journal(tmp_path / FILE_NAME) as journal:
        for record in records:
            journal.write(record)
    assert read_journal(tmp_path / FILE_NAME) == (records, [])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"kind":"burst",', b'"kind":"burst","gates":{},', "a burst of schema 1 has no field `gates`"),
        (b'"kind":"plan",', b'"kind":"plan","precision":0.1,', "a plan of schema 1 has no field `precision`"),
        (b'"kind":"burst",', b'"kind":"burst","mood":1,', "unknown field `mood`"),
        (b'"kind":"burst",', b'"kind":"burst","kind":"burst",', "field `kind` is there twice"),
        (b'"kind":"burst"', b'"kind":"conditions"', "schema 1 has no record of kind conditions"),
        (b'"kind":"end"', b'"kind":"resumed"', "schema 1 has no record of kind resumed"),
        (b'"kind":"burst","block":0', b'"kind":"burst","block":NaN', "no finite number"),
        (b'"load_1min":', b'"load_1min":1e999,"x":', "no finite number"),
        (b'"kind":"burst"', b'"kind":["burst"]', "Expected `str`"),
        (b'"device":"cpu","digest"', b'"device":"\\ud800","digest"', "surrogates"),
    ],
)
def test_a_damaged_line_of_schema_1_is_named(tmp_path: Path, old: bytes, new: bytes, said: str) -> None:
    whole = KEPT[1].read_bytes()
    assert old in whole
    path = rewritten(tmp_path, [whole.replace(old, new, 1)])
    with pytest.raises(UserError, match=rf"line \d+ cannot be read: .*{said}.*; the file is damaged"):
        read_journal(path)


@pytest.mark.parametrize("line", [b"[]\n", b"7\n", b"{\n", b"\n", b"[" * 9999 + b"\n"])
def test_a_line_of_schema_1_that_is_no_object_is_named(tmp_path: Path, line: bytes) -> None:
    content = lines(1)
    with pytest.raises(UserError, match="line 3 cannot be read"):
        read_journal(rewritten(tmp_path, [*content[:2], line, *content[2:]]))


def test_a_torn_last_line_of_schema_1_is_left_out(tmp_path: Path) -> None:
    content = lines(1)
    records, warnings = read_journal(rewritten(tmp_path, [*content[:-1], content[-1][:-1]]))
    assert len(records) == len(content) - 1
    assert "torn" in warnings[0]


def test_lines_without_seals_are_of_schema_1_only(tmp_path: Path) -> None:
    content = KEPT[1].read_bytes().replace(b'"schema":1', b'"schema":2', 1)
    with pytest.raises(UserError, match="line 1 cannot be read: it has no seal"):
        read_journal(rewritten(tmp_path, [content]))


@pytest.mark.parametrize("schema", [b"0", b"-1", b"true", b"1.0", b'"1"', b"null"])
def test_a_schema_that_never_was_is_no_journal(tmp_path: Path, schema: bytes) -> None:
    content = KEPT[1].read_bytes().replace(b'"schema":1', b'"schema":' + schema, 1)
    with pytest.raises(UserError, match="no journal of rnnbench"):
        read_journal(rewritten(tmp_path, [content]))


def test_a_newer_schema_is_refused_sealed_or_not(tmp_path: Path) -> None:
    content = KEPT[1].read_bytes().replace(b'"schema":1', b'"schema":99', 1)
    with pytest.raises(UserError, match="has schema 99, written by rnnbench 0"):
        read_journal(rewritten(tmp_path, [content]))


def test_a_journal_of_an_older_schema_is_not_gone_on_with(tmp_path: Path) -> None:
    path = rewritten(tmp_path, lines(1))
    with pytest.raises(UserError, match="has schema 1, and records of schema 2 do not belong into it"):
        Journal.reopen(path)
    assert path.read_bytes() == KEPT[1].read_bytes()


def test_a_record_of_today_needs_no_step() -> None:
    record = {"kind": "conditions"}
    assert migrate(record, SCHEMA) is record
