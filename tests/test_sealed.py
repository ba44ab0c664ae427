"""A file of sealed lines notices any damage; and well sealed, a stranger's says nothing that is no record.

Every bit, every line and where it was cut; equal keys, unknown fields, wild numbers, depth and size.
"""

import gc
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from small_journal import seal, small_records, write

from bench.machine.errors import UserError
from bench.records import record, sealed
from bench.records.journal import FILE_NAME, decode, load_run, read_journal
from bench.records.record import AnyRecord, Burst, Environment, OwnLibrary, Worker
from bench.records.sealed import Decoder, sealed_line

RECORDS = small_records()
PLAN = msgspec.json.encode(RECORDS[0])
BURST = msgspec.json.encode(next(record for record in RECORDS if isinstance(record, Burst)))
WORKER = msgspec.json.encode(next(record for record in RECORDS if isinstance(record, Worker)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / FILE_NAME
    seal(path, RECORDS)
    return path


def nested(depth: int) -> bytes:
    return b"[" * depth + b"1" + b"]" * depth


def worker(facts: bytes) -> bytes:
    return WORKER.replace(b'"facts":{', b'"facts":{"more":' + facts + b",")


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_what_this_program_writes_is_read_at_first_sight(record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json.loads", lambda *given, **options: pytest.fail("a second look"))
    assert decode(msgspec.json.encode(record)) == record


@pytest.mark.parametrize(
    ("whole", "old", "new", "message"),
    [
        (BURST, b'"block":0', b'"block":0,"block":1', "field `block` is there twice"),
        (BURST, b'"kind":"burst"', b'"kind":"burst","kind":"burst"', "field `kind` is there twice"),
        (BURST, b'"error":', b'"error":0,"error":', "field `error` is there twice"),
        (BURST, b'"block":0', b'"mood":1,"block":0', "unknown field `mood`"),
        (BURST, b'"error":', b'"mood":1,"error":', "unknown field `mood`"),
        (BURST, b'"block":0', b'"block":NaN', "malformed"),
        (BURST, b'"error":', b'"error":-Infinity,"x":', "malformed"),
        (BURST, b'"error":', b'"error":1e999,"x":', "out of range"),
        (BURST, b'"block":0', b'"block":' + b"9" * 19, "Expected `int` <= 1000"),
        (BURST, b'"block":0', b'"block":-' + b"9" * 300, "Expected `int` >= 0"),
        (BURST, b'"block":0', b'"block":' + b"9" * 5000, "out of range"),
        (BURST, b'"block":0', b'"block":0.5', "Expected `int`"),
        (BURST, b'"block":0', b'"block":true', "Expected `int`"),
        (BURST, b'"block":0', b'"block":"0"', "Expected `int`"),
        (BURST, b'"block":0', b'"block":null', "Expected `int`"),
        (BURST, b'"kind":"burst"', b'"kind":"rumour"', "rumour"),
        (BURST, b'"device":"cpu"', b'"device":"\\ud800"', "surrogate"),
        (BURST, b'"device":"cpu"', b'"device":"\xff"', "utf-8"),
        (BURST, b'"status":"ok"', b'"status":"fine"', "fine"),
        (PLAN, b'"task":"train_step"', b'"task":"train_step","mood":1', "that no record keeps"),
        (PLAN, b'"T":6', b'"T":6,"Z":6', "that no record keeps"),
        (PLAN, b'"T":6', b'"T":6,"T":7', "field `T` is there twice"),
    ],
)
def test_what_is_no_record_is_refused(whole: bytes, old: bytes, new: bytes, message: str) -> None:
    assert old in whole
    with pytest.raises(ValueError, match=message):
        decode(whole.replace(old, new, 1))


def test_equal_keys_are_found_where_anything_may_stand() -> None:
    with pytest.raises(ValueError, match="field `a` is there twice"):
        decode(worker(b'[{"a":1,"a":1}]'))


def test_spaces_order_and_defaults_left_out_do_no_harm() -> None:
    whole = json.loads(BURST)
    fewer = {name: value for name, value in whole.items() if name not in ("gates", "flags")}
    turned = dict(reversed(fewer.items()))
    for data in (json.dumps(whole, indent=1), json.dumps(fewer), json.dumps(turned)):
        assert decode(data.encode()) == decode(BURST)


def test_depth_is_limited_far_below_what_recursion_stands() -> None:
    assert decode(worker(nested(record.DEPTH)))
    for depth in (record.DEPTH + 1, 500, 100_000):
        with pytest.raises(ValueError, match="got `array`"):
            decode(worker(nested(depth)))
    with pytest.raises(ValueError, match="nested too deeply"):
        decode(PLAN.replace(b'"T":6', b'"Z":' + nested(100_000) + b',"T":6', 1))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_plain_objects_hold_no_number_that_is_not_finite(text: str) -> None:
    with pytest.raises(ValueError, match=r"malformed|out of range"):
        decode(worker(f'{{"a":[{text}]}}'.encode()))


def test_a_file_a_line_and_a_number_of_lines_have_limits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = max(len(line) + 1 for line in path.read_bytes().split(b"\n"))
    limits = {
        "MAX_BYTES": (path.stat().st_size, "has more than 0 GiB"),
        "MAX_LINE": (longest, r"line \d+ has more than"),
        "MAX_RECORDS": (len(RECORDS), f"more than {len(RECORDS) - 1} lines"),
    }
    for name, (enough, message) in limits.items():
        with monkeypatch.context() as patch:
            patch.setattr(sealed, name, enough)
            assert read_journal(path) == (RECORDS, [])
            patch.setattr(sealed, name, enough - 1)
            with pytest.raises(UserError, match=message):
                read_journal(path)


def test_a_line_without_end_is_refused_before_it_is_in_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "MAX_LINE", 10_000)
    seal(path, [PLAN])
    with path.open("ab") as file:
        file.truncate(2**29)  # half a gigabyte of zeros, none of which is on the disk
    with pytest.raises(UserError, match="line 2 has more than"):
        load_run(path)


@pytest.mark.parametrize("most", [0, 100_000])
def test_bursts_share_what_is_equal_and_the_table_of_that_is_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("bench.records.journal.MAX_SHARED", most)
    assert read_journal(path) == (RECORDS, [])
    first, second, *_ = [r for r in read_journal(path)[0] if isinstance(r, Burst)]
    assert first.digest is second.digest
    assert (first.checks is second.checks) == (most > 0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"passed":true', b'"passed":1', "Expected `bool`"),
        (b'"passed":true', b'"passed":true,"mood":1', "unknown field `mood`"),
        (b'"passed":true', b'"passed":true,"passed":false', "field `passed` is there twice"),
        (b'"tolerance":', b'"tolerance":1e999,"x":', "range|unknown"),
        (b'],"first_call_ns":', b'],"first_call_ns":1,"checks":[],"first_call_ns":', "there twice"),
        (b'"gates":{}', b'"gates":{"checks":[],"first_call_ns":1}', "Expected `float`|twice"),
    ],
)
def test_what_is_recognised_by_its_bytes_is_read_as_strictly(
    path: Path, old: bytes, new: bytes, message: str
) -> None:
    assert old in BURST
    seal(path, [PLAN, BURST, BURST.replace(old, new, 1)])
    with pytest.raises(UserError, match=f"line 3 cannot be read: .*({message})"):
        read_journal(path)


def test_fields_in_another_order_and_facts_of_any_name_are_not_taken_for_checks(path: Path) -> None:
    fields = json.loads(BURST) | {"flags": ["noisy"]}
    moved = {name: fields.pop(name) for name in ("checks", "flags", "first_call_ns")}
    odd = Environment({"checks": [], "first_call_ns": 1}, {}, {}, {}, [])
    seal(path, [PLAN, *[fields | moved] * 3, odd])
    *bursts, last = read_journal(path)[0][1:]
    assert [burst.flags for burst in bursts if isinstance(burst, Burst)] == [["noisy"]] * 3
    assert last == odd


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_afterwards_as_it_was(path: Path, on: bool) -> None:
    (gc.enable if on else gc.disable)()
    try:
        path.write_bytes(path.read_bytes() + b"{}\n")
        with pytest.raises(UserError):
            read_journal(path)
        assert gc.isenabled() is on
    finally:
        gc.enable()


def test_no_record_is_written_that_could_not_be_read(tmp_path: Path) -> None:
    deep: AnyRecord = Environment({"deep": json.loads(nested(40))}, {}, {}, {}, [])
    huge: AnyRecord = Environment({"huge": 2**63}, {}, {}, {}, [])
    for bad, message in ((deep, "got `array`"), (huge, "<= 9223372036854775807")):
        path = tmp_path / message[:3]
        with pytest.raises(ValueError, match=message):
            write(path, [RECORDS[0], bad])
        assert read_journal(path) == (RECORDS[:1], [])


# ---- damage


def refusal(path: Path, content: bytes) -> str:
    """What is said about a file of this content, empty where it is read without a word."""
    path.write_bytes(content)
    try:
        records, warnings = read_journal(path)
    except UserError as error:
        return str(error)
    assert records == RECORDS[: len(records)], "what was read is not what was written"
    return " ".join(warnings)


def flipped(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def test_the_seal_is_the_start_of_a_sha256_over_the_seal_before_and_the_record() -> None:
    line, own = sealed_line(b"0123456789abcdef", b'{"a":1}')
    # printf '0123456789abcdef{"a":1}' | sha256sum
    assert (line, own) == (b'{"seal":"565a924995d14ab0","record":{"a":1}}\n', b"565a924995d14ab0")


def test_a_bit_that_flips_anywhere_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole) - 1):  # the last byte, a newline, is the last test's
        message = refusal(path, flipped(whole, place, place % 8))
        assert "damaged" in message or "is no journal" in message, (place, message)


def test_a_damaged_line_is_named(path: Path) -> None:
    whole = path.read_bytes()
    starts = [0, *(place + 1 for place, byte in enumerate(whole) if byte == ord("\n"))]
    for number, start in enumerate(starts[:-1], start=1):
        message = refusal(path, flipped(whole, start + 60, 0))
        assert f"line {number} cannot be read: its seal does not fit" in message


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda lines: [*lines[:4], *lines[5:]], 5),
        (lambda lines: [*lines[:5], lines[4], *lines[5:]], 6),
        (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], 5),
        (lambda lines: [lines[0], *lines], 2),
        (lambda lines: [*lines, *lines], len(RECORDS) + 1),
        (lambda lines: [*lines, lines[-1]], len(RECORDS) + 1),
        (lambda lines: [*lines[:4], b"\n", *lines[4:]], 5),
    ],
)
def test_a_line_that_is_lost_doubled_or_moved_is_noticed(
    path: Path, edit: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    message = refusal(path, b"".join(edit(path.read_bytes().splitlines(keepends=True))))
    assert f"line {line} cannot be read" in message
    assert message.endswith("the file is damaged")


def test_seals_that_are_no_chain_would_not_notice_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "sealed_line", lambda before, data: sealed_line(b"", data))
    path.write_bytes(b"".join(sealed_line(b"", msgspec.json.encode(r))[0] for r in RECORDS[:4] + RECORDS[5:]))
    assert len(read_journal(path)[0]) == len(RECORDS) - 1  # the mutant: as if nothing were missing
    monkeypatch.undo()
    with pytest.raises(UserError, match="line 1 cannot be read"):
        read_journal(path)


def test_cut_at_any_byte_of_its_last_record_the_others_are_read(path: Path) -> None:
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for length in range(last, len(whole)):
        path.write_bytes(whole[:length])
        torn = f"the last line of {FILE_NAME} was torn ({length - last} bytes) and is left out"
        assert read_journal(path) == (RECORDS[:-1], [torn] if length > last else [])


def test_a_journal_whose_seals_were_stripped_is_refused(path: Path) -> None:
    stripped = b"".join(msgspec.json.encode(record) + b"\n" for record in RECORDS)
    assert "is no journal of rnnbench" in refusal(path, stripped)


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 5000, b'{"seal":"'])
def test_what_a_power_cut_leaves_after_the_last_line_is_left_out(path: Path, tail: bytes) -> None:
    whole = path.read_bytes()
    torn = f"the last line of {FILE_NAME} was torn ({len(tail)} bytes) and is left out"
    assert refusal(path, whole + tail) == torn
    assert load_run(path).warnings == (torn,)
    assert "torn" in refusal(path, flipped(whole, len(whole) - 1, 3))  # its newline is none any more


@pytest.mark.parametrize(("field", "value"), [("label", "two\nlines"), ("colour", "red")])
def test_a_label_that_cannot_be_shown_is_refused_without_its_regular_expression(field, value):
    fields = {"name": "toy", "label": "Toy", "colour": "#112233", "dark_colour": "#112233"} | {field: value}
    with pytest.raises(ValueError, match="Expected text that can be shown as it is") as refused:
        Decoder(OwnLibrary)(json.dumps(fields).encode())
    assert "regex" not in str(refused.value)
