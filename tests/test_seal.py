"""A journal notices any damage: every bit, every line, and where it was cut."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_journal import small_records, write

from bench.machine.errors import UserError
from bench.records import sealed
from bench.records.journal import FILE_NAME, read_journal

RECORDS = small_records()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / FILE_NAME
    write(path, RECORDS)
    return path


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


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_what_is_sealed_is_unsealed_in_the_same_order(records: list[bytes]) -> None:
    before, lines = sealed.FIRST, []
    for record in records:
        line, before = sealed.sealed_line(before, record)
        lines.append(line)
    last, before, found = before, sealed.FIRST, []
    for line in lines:
        assert sealed.is_sealed(line)
        record, before = sealed.unseal(before, line)
        found.append(record)
    assert (found, before) == (records, last)


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b'{"kind":"end"}\n', b'{"seal":"00","record":{}}\n'])
def test_a_line_without_a_seal_is_said_to_have_none(line: bytes) -> None:
    assert not sealed.is_sealed(line)
    with pytest.raises(ValueError, match="it has no seal"):
        sealed.unseal(sealed.FIRST, line)


def test_the_seal_is_the_start_of_a_sha256_over_the_seal_before_and_the_record() -> None:
    line, own = sealed.sealed_line(b"0123456789abcdef", b'{"a":1}')
    # printf '0123456789abcdef{"a":1}' | sha256sum
    assert (line, own) == (b'{"seal":"565a924995d14ab0","record":{"a":1}}\n', b"565a924995d14ab0")


def test_a_bit_that_flips_anywhere_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole) - 1):  # the last byte, a newline, is the next test's
        said = refusal(path, flipped(whole, place, place % 8))
        assert "damaged" in said or "is no journal" in said, (place, said)


def test_a_damaged_line_is_named(path: Path) -> None:
    whole = path.read_bytes()
    starts = [0, *(place + 1 for place, byte in enumerate(whole) if byte == ord("\n"))]
    for number, start in enumerate(starts[:-1], start=1):
        said = refusal(path, flipped(whole, start + 60, 0))
        assert f"line {number} cannot be read: its seal does not fit" in said


def test_a_last_newline_that_is_lost_is_a_torn_line(path: Path) -> None:
    whole = path.read_bytes()
    assert "torn" in refusal(path, whole[:-1])
    assert "torn" in refusal(path, flipped(whole, len(whole) - 1, 3))


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
    lines = path.read_bytes().splitlines(keepends=True)
    said = refusal(path, b"".join(edit(lines)))
    assert f"line {line} cannot be read" in said
    assert said.endswith("the file is damaged")


def test_seals_that_are_no_chain_would_not_notice_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chained = sealed._seal
    monkeypatch.setattr(sealed, "_seal", lambda before, record: chained(b"", record))
    path.unlink()
    write(path, RECORDS)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], *lines[5:]]))
    assert len(read_journal(path)[0]) == len(RECORDS) - 1  # the mutant: as if nothing were missing
    monkeypatch.undo()
    with pytest.raises(UserError, match="line 1 cannot be read"):
        read_journal(path)


def test_cut_at_any_byte_of_its_last_record_the_others_are_read(path: Path) -> None:
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for length in range(last, len(whole)):
        path.write_bytes(whole[:length])
        records, warnings = read_journal(path)
        assert records == RECORDS[:-1]
        torn = f"the last line of {FILE_NAME} was torn ({length - last} bytes) and is left out"
        assert warnings == ([torn] if length > last else [])
    path.write_bytes(whole)
    assert read_journal(path) == (RECORDS, [])


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 5000, b'{"seal":"'])
def test_what_a_power_cut_leaves_after_the_last_line_is_left_out(path: Path, tail: bytes) -> None:
    assert "torn" in refusal(path, path.read_bytes() + tail)


def test_a_journal_whose_seals_were_stripped_is_refused(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    assert "is no journal of rnnbench" in refusal(
        path, b"\n".join(sealed.record_of(line) for line in lines) + b"\n"
    )
