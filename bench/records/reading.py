"""Reads a journal line by line, within limits: a file may be damaged, of another schema, or a stranger's."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from bench.machine.errors import UserError
from bench.machine.files import open_to_read
from bench.records import strict
from bench.records.record import SCHEMA, AnyRecord, Burst, Check
from bench.records.seal import FIRST, is_sealed, record_of, unseal

FILE_NAME = "journal.jsonl"
# A million values in 200,000 bursts make about 250 MB and, read, twice that in memory. Four times as much
# is refused, before it fills the machine.
MAX_BYTES = 2**30
MAX_RECORDS = 1_000_000
MAX_LINE = 2**24  # 16 MB; a plan with hundreds of entries has a megabyte,
MAX_VALUES = 2**20  # and a tenth of so many values, keys and brackets
# What is made of the lines may take far more memory than they do: an empty list has two bytes, and takes 64.
MAX_MADE = 2**30  # bytes, about; the million values take a quarter of it
A_RECORD, A_VALUE = 256, 80  # bytes, about
WIDEST = 4  # bytes of a character, in a text in which one is not ASCII
CHECKS, AFTER_CHECKS = b'"checks":', b'],"gates":'  # in the line of a burst
MAX_SHARED = 100_000  # a file without repetition must not fill a table of what repeats


@dataclass(frozen=True, slots=True)
class Content:
    """What a journal's file holds."""

    records: list[AnyRecord]
    end: int  # bytes of whole lines; what is after them is torn
    seal: bytes  # of the last whole line
    warnings: list[str]


def read_journal(path: Path) -> tuple[list[AnyRecord], list[str]]:
    """Read all records of a journal; return them and the warnings about the file.

    Raises:
        UserError: no such file, no plan in the first line, another schema, too large, or a damaged line.
    """
    try:
        with open_to_read(path) as file:
            content = read_content(file, path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a run's folder or journal") from error
    return content.records, content.warnings


def read_content(file: BinaryIO, path: Path) -> Content:
    """Read a journal's file from its start; ``path`` is what messages call it.

    A last line without its newline was torn while it was written, and is left out.

    Raises:
        OSError: it cannot be read.
        UserError: no plan in the first line, another schema, too large, or a damaged line.
    """
    lines = bounded_lines(file, path)
    first = next(lines, b"")
    _refuse_other_schema(first, path)
    records: list[AnyRecord] = []
    share, room = _Sharer(), Room(path)
    end, seal, warnings = 0, FIRST, []
    with collector_paused():
        for number, line in enumerate(chain([first], lines), start=1):
            if not line.endswith(b"\n"):
                warnings.append(f"the last line of {path.name} was torn ({len(line)} bytes) and is left out")
                break
            try:
                data, seal = unseal(seal, line)
                record = share.decode(data)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number} cannot be read: {error}; the file is damaged"
                ) from error
            room.take(share.made, record)
            records.append(record)
            end += len(line)
    return Content(records, end, seal, warnings)


def bounded_lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """The lines of a file of records, none held longer than needed; the last may have no newline.

    Raises:
        OSError: it cannot be read.
        UserError: the file, a line, or their number is too large.
    """
    if (size := os.fstat(file.fileno()).st_size) > MAX_BYTES:
        raise UserError(
            f"{path} has {size / 2**30:.1f} GiB; files up to {MAX_BYTES / 2**30:.0f} GiB are read"
        )
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
        if len(line) > MAX_LINE:
            raise UserError(f"{path}, line {number} has more than {MAX_LINE >> 20} MiB; so long is no record")
        if number > MAX_RECORDS:
            raise UserError(f"{path} has more than {MAX_RECORDS} lines; so many records are not read")
        if strict.values_in(line) > MAX_VALUES:
            raise UserError(
                f"{path}, line {number} holds more than {MAX_VALUES} values; no record has so many"
            )
        yield line


class Room:
    """The memory that what is read from a file may take."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = MAX_MADE

    def take(self, data: bytes, record: msgspec.Struct) -> None:
        """Count what was made of a record's JSON.

        Raises:
            UserError: it is too much, with all before it.
        """
        width = 1 if data.isascii() and b"\\u" not in data else WIDEST
        values = strict.values_in(data) - 2 * len(record.__struct_fields__)  # a key and its end make nothing
        self._left -= A_RECORD + width * len(data) + A_VALUE * max(0, values)
        if self._left < 0:
            raise UserError(
                f"{self._path} would take more than {MAX_MADE / 2**30:.0f} GiB once read; so much is not read"
            )


def first_record(line: bytes) -> dict[str, Any]:
    """The record of a file's first line, whatever program wrote it; empty where there is none."""
    try:
        first = msgspec.json.decode(record_of(line) if is_sealed(line) else line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return first if isinstance(first, dict) else {}


def _refuse_other_schema(line: bytes, path: Path) -> None:
    """Look at the first line alone: what another program wrote there need not fit our records."""
    first = first_record(line)
    schema = first.get("schema") if first.get("kind") == "plan" else None
    if type(schema) is not int or schema < 1 or not line.endswith(b"\n"):
        raise UserError(f"{path} is no journal of rnnbench: its first line is not a plan")
    if schema == SCHEMA:
        return
    if is_sealed(line):
        try:  # a flipped bit can turn a 3 into a 2
            unseal(FIRST, line)
        except ValueError as error:
            raise UserError(f"{path}, line 1 cannot be read: {error}; the file is damaged") from error
    version = first.get("version", "?")
    advice = "measure anew" if schema < SCHEMA else "install that version"
    raise UserError(f"{path} has schema {schema}, of rnnbench {version}; this one reads {SCHEMA}: {advice}")


class _Sharer:
    """Keeps equal texts and checks of many bursts once: a third of a long journal's memory, and of its time.

    The checks are most of a burst's line, and the same in nearly every block. Each list of them is read
    once and then recognised by its bytes.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}
        self.made = b""  # the part of the last line that was not shared
        self._decode_checks = strict.Decoder[list[Check]](list[Check])

    def decode(self, data: bytes) -> AnyRecord:
        """The record of one JSON object, parts of which it now shares with others.

        Raises:
            ValueError: it is no record, or holds something that no record holds.
        """
        # neither key can stand in a text, where its quotes would be escaped
        self.made = data
        start = data.find(CHECKS) + len(CHECKS)
        end = data.find(AFTER_CHECKS, start)
        if start < len(CHECKS) or end < 0:
            return self(strict.decode(data))
        told, rest = data[start : end + 1], data[: start + 1] + data[end:]
        checks = self._known.get(told)
        if checks is not None:
            self.made = rest
        else:
            try:
                checks = [self._one(check) for check in self._decode_checks(told)]
            except ValueError:  # let the whole line say what is wrong with it
                return self(strict.decode(data))
            self._known[told] = checks
        record = self(strict.decode(rest))
        if not isinstance(record, Burst):  # facts about a machine may have any names
            return self(strict.decode(data))
        msgspec.structs.force_setattr(record, "checks", checks)
        return record

    def __call__(self, record: AnyRecord) -> AnyRecord:
        """The same record, parts of which it now shares with others."""
        if isinstance(record, Burst):
            if len(self._known) > MAX_SHARED:
                self._known.clear()
            for name in ("entry", "device", "digest"):
                msgspec.structs.force_setattr(record, name, self._one(getattr(record, name)))
            record.checks[:] = map(self._one, record.checks)
        return record

    def _one(self, value: Any) -> Any:
        return self._known.setdefault(value, value)


@contextmanager
def collector_paused() -> Iterator[None]:
    """No search for garbage while millions of objects are made, or read, of which none is."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
