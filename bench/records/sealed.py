"""Read files of sealed lines strictly and within limits, and append whole lines.

Each line carries a checksum over its record and the previous line's seal::

    {"seal":"<16 hex digits>","record":{...}}

Every flipped bit and every lost, repeated or moved line breaks a seal. The seal is a checksum, not
a signature: anyone can edit a file on purpose and seal it again. A file that was cut after a whole line has
only correct seals; its missing end record shows the cut.

A line is accepted only if its record keeps all fields of the line and no key is repeated. A record is decoded
before it is written, so every written line can be read. Written lines stay readable after any crash.
"""

import gc
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, Generic, Self, TypeVar

import msgspec

from bench.machine.errors import UserError
from bench.machine.files import open_regular, open_to_read, sync_folder, try_lock

Kind = TypeVar("Kind", bound=msgspec.Struct)

FIRST = b"0" * 16  # stands for the previous line's seal on the first line
SEALED = re.compile(rb'\{"seal":"(.{%d})","record":(.*)\}\n' % len(FIRST), re.DOTALL)
# bytes deleted before counting: one of the other bytes [ { , : precedes each key and each value
_UNCOUNTED_BYTES = bytes(set(range(256)) - set(b"[{,:"))

# A million values in 200,000 bursts need about 250 MB as a file, and twice this in memory. The limits are
# about four times as large, so that a larger file is refused before it fills the memory.
MAX_BYTES = 2**30
MAX_RECORDS = 1_000_000
MAX_LINE = 2**24  # 16 MB; a plan with hundreds of entries needs 1 MB
MAX_VALUES = 2**20  # values, keys and brackets in a line; a plan with hundreds of entries has a tenth of this
# Decoded records may need far more memory than their lines: an empty list has 2 bytes in a line, then 64.
MAX_MEMORY_BYTES = 2**30  # estimated bytes of all records; a million values need a quarter of this
RECORD_BYTES, VALUE_BYTES = 256, 80  # estimated memory of a record, and of a value in it
MAX_CHARACTER_BYTES = 4  # for each character of a line, if any of them is outside ASCII

APPEND = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
_encoder = msgspec.json.Encoder()


def sealed_line(before: bytes, record: bytes) -> tuple[bytes, bytes]:
    """Return the line with a record's JSON, and the line's seal; ``before`` is the previous line's seal."""
    seal = hashlib.sha256(before + record).hexdigest()[: len(FIRST)].encode()
    return b'{"seal":"%b","record":%b}\n' % (seal, record), seal


def unseal(before: bytes, line: bytes) -> tuple[bytes, bytes]:
    """Return the record's JSON in a line, and the line's seal; ``before`` is the previous line's seal.

    Raises:
        ValueError: the line has no seal, or a wrong seal.
    """
    match = SEALED.fullmatch(line)
    if match is None:
        raise ValueError("it has no seal")
    expected_line, seal = sealed_line(before, match[2])
    if expected_line != line:
        raise ValueError("its seal does not fit it and the line before")
    return match[2], seal


PATTERN_ERROR = re.compile(r"`str` matching regex '.*'(?= - at)", re.DOTALL)  # in msgspec's error texts


class Decoder(Generic[Kind]):
    """Decode JSON into records of one type, or of several types distinguished by tags.

    msgspec checks tags, fields, types and bounds, and refuses NaN. But msgspec accepts repeated keys and
    unknown fields of dataclasses, so this class searches for both. The search is slow; most lines skip it,
    because encoding their record again gives the same bytes.
    """

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Kind]:
        """Build on first use: for many types this takes longer than a command should to start."""
        return msgspec.json.Decoder(self._kind)

    def __call__(self, data: bytes) -> Kind:
        """Return the record of one JSON object.

        Raises:
            ValueError: the JSON is no record, or has a value that no record can have.
        """
        try:
            record: Kind = self._decoder.decode(data)
            if _encoder.encode(record) != data:
                tree = json.loads(data, object_pairs_hook=unique_keys)
                if not _keeps_all(tree, msgspec.to_builtins(record)):
                    raise ValueError("it has a field or a value that no record keeps")
        except msgspec.DecodeError as error:
            raise ValueError(
                PATTERN_ERROR.sub("text that can be shown as it is (a colour as #1a2b3c)", str(error))
            ) from error
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        except OverflowError as error:
            raise ValueError("it has an integer beyond 64 bits") from error
        return record


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict; raise ValueError if a key is repeated."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        repeated = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"field `{repeated[:60]}` is there twice")
    return fields


def _keeps_all(read: Any, kept: Any) -> bool:
    """Return whether a record kept all values of its line; the line may lack fields with default values."""
    if isinstance(read, dict) and isinstance(kept, dict):
        return all(name in kept and _keeps_all(value, kept[name]) for name, value in read.items())
    if isinstance(read, list) and isinstance(kept, list | tuple):
        return len(read) == len(kept) and all(map(_keeps_all, read, kept))
    return bool(read == kept)


@dataclass(frozen=True, slots=True)
class Format:
    """Describe a kind of sealed file, recognised by its first record."""

    name: str  # "journal"
    file_name: str  # inside the folder
    first: str  # kind of the first record, which must not repeat
    schema: int  # version number in the first record
    wanted: str  # advice if the file is missing: "a run's folder or journal"


class _FirstRecord(msgspec.Struct):
    """Decode the fields that the first record has in every format."""

    kind: str
    schema: Annotated[int, msgspec.Meta(ge=1)]
    version: Any = "?"


@dataclass(frozen=True, slots=True)
class Content(Generic[Kind]):
    """Hold the content of a file of sealed lines."""

    records: list[Kind]
    end: int  # length of the whole lines in bytes
    seal: bytes  # of the last whole line
    warnings: list[str]  # about an incomplete last line


def load_sealed(
    path: Path, expected: Format, decode: Callable[[bytes], tuple[Kind, bytes]], most: int | None = None
) -> Content[Kind]:
    """Open a file, or the file in a folder, and read its records with ``read_sealed``.

    Raises:
        UserError: ``read_sealed`` raised UserError, or the file cannot be opened.
    """
    path = path / expected.file_name if path.is_dir() else path
    try:
        with open_to_read(path) as file:
            return read_sealed(file, path, expected, decode, most)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give {expected.wanted}") from error


def read_sealed(
    file: BinaryIO,
    path: Path,
    expected: Format,
    decode: Callable[[bytes], tuple[Kind, bytes]],
    most: int | None = None,
) -> Content[Kind]:
    """Read a file from its start, ``most`` lines of it or all; ``path`` is the file's name in messages.

    ``decode`` returns a record, and its JSON without the parts shared with earlier records.

    Raises:
        OSError: the file cannot be read.
        UserError: the file is too large, has another format or schema, or has a damaged line.
    """
    records: list[Kind] = []
    warnings: list[str] = []
    length, seal, memory_left, data = 0, FIRST, MAX_MEMORY_BYTES, b""
    with collector_paused():
        for number, line in enumerate(islice(bounded_lines(file, path), most), start=1):
            if not line.endswith(b"\n"):
                warnings = [f"the last line of {path.name} was torn ({len(line)} bytes) and is left out"]
                break
            try:
                if number > 1 or SEALED.fullmatch(line):
                    data, seal = unseal(seal, line)
                if number == 1:
                    _refuse_other_format(data, path, expected)
                record, json_to_count = decode(data)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number} cannot be read: {error}; the file is damaged"
                ) from error
            memory_left -= _memory_bytes(json_to_count, record)
            if memory_left < 0:
                raise _too_large(f"{path} would take more than {MAX_MEMORY_BYTES >> 30} GiB once read")
            records.append(record)
            length += len(line)
    if not records:
        _refuse_other_format(b"", path, expected)
    if any(isinstance(record, type(records[0])) for record in records[1:]):
        raise UserError(f"{path} holds more than one {expected.first}; each {expected.name} has a single one")
    return Content(records, length, seal, warnings)


def _refuse_other_format(data: bytes, path: Path, expected: Format) -> None:
    """Raise UserError if the first record has another format or schema; its other fields do not matter."""
    try:
        first_record = msgspec.json.decode(data, type=_FirstRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        first_record = _FirstRecord("", 1)
    if first_record.kind != expected.first:
        raise UserError(f"{path} is no {expected.name} of rnnbench: its first line is not a {expected.first}")
    if first_record.schema != expected.schema:
        raise UserError(
            f"{path} has schema {first_record.schema}, of rnnbench {first_record.version}; this one reads "
            f"{expected.schema}: measure anew, or install that version"
        )


def bounded_lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file of records one by one; the last line may have no newline.

    Raises:
        OSError: the file cannot be read.
        UserError: the file or a line is too large, or the file has too many lines.
    """
    if os.fstat(file.fileno()).st_size > MAX_BYTES:
        raise _too_large(f"{path} has more than {MAX_BYTES >> 30} GiB")
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
        if number > MAX_RECORDS:
            raise _too_large(f"{path} has more than {MAX_RECORDS} lines")
        if len(line) > MAX_LINE:
            raise _too_large(f"{path}, line {number} has more than {MAX_LINE >> 20} MiB")
        if _count_values(line) > MAX_VALUES:
            raise _too_large(f"{path}, line {number} holds more than {MAX_VALUES} values")
        yield line


def _too_large(what: str) -> UserError:
    return UserError(f"{what}; so much is not read, and no run writes it")


def _count_values(data: bytes) -> int:
    """Return an upper bound of the number of values, keys and brackets in a JSON text."""
    return len(data.translate(None, _UNCOUNTED_BYTES))


def _memory_bytes(data: bytes, record: msgspec.Struct) -> int:
    """Return the estimated memory in bytes of the record decoded from this JSON."""
    width = 1 if data.isascii() and b"\\u" not in data else MAX_CHARACTER_BYTES
    # each field counts twice, for its : and its , or {; RECORD_BYTES covers the fields
    values = _count_values(data) - 2 * len(record.__struct_fields__)
    return RECORD_BYTES + width * len(data) + VALUE_BYTES * max(0, values)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which would search millions of new objects without finding garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class SealedWriter(Generic[Kind]):
    """Append records to a locked file; each record is on the disk before ``write`` returns.

    The lock belongs to the open file, so the end of the process releases the lock. If the file was deleted,
    replaced or cut, the next ``write`` fails.
    """

    decode: ClassVar[Decoder[Any]]  # decodes strictly; a record that fails is not written
    _descriptor = -1  # negative: no file is open

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            UserError: the file exists already, or cannot be created.
        """
        try:
            self._hold(path, os.open(path, APPEND | os.O_CREAT | os.O_EXCL, 0o666))
            sync_folder(path.parent)
        except FileExistsError as error:
            refuse_locked(path)
            raise UserError(f"{path} exists already; choose another --out") from error
        except OSError as error:
            self.close()
            raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error

    @classmethod
    def reopened(
        cls,
        path: Path,
        expected: Format,
        decode: Callable[[bytes], tuple[Kind, bytes]],
        check: Callable[[list[Kind]], object],
    ) -> tuple[Self, Content[Kind]]:
        """Open a file to append records; return it and its content. An incomplete last line is cut off.

        Raises:
            UserError: the file is missing, damaged, in use or of another schema, or ``check`` raised it.
        """
        writer = cls.__new__(cls)
        try:
            writer._hold(path, open_regular(path, APPEND))
            try:
                with os.fdopen(os.dup(writer._descriptor), "rb") as file:
                    content = read_sealed(file, path, expected, decode)
                check(content.records)
                writer._end = (content.end, content.seal)
                writer._cut()
                os.fsync(writer._descriptor)
            except BaseException:
                writer.close()
                raise
        except OSError as error:
            raise UserError(f"cannot go on with {path}: {error.strerror}; give {expected.wanted}") from error
        return writer, content

    def _hold(self, path: Path, descriptor: int) -> None:
        """Store the descriptor of an open file, and lock the file."""
        self.path, self._descriptor = path, descriptor
        # length of the whole lines, and the last seal: in one tuple, so that no signal can separate the two
        self._end = (0, FIRST)
        if try_lock(descriptor) is False:  # None: locks are not available, so run without
            self.close()
            raise _being_written(path)

    def write(self, record: Kind) -> None:
        """Append one record.

        Raises:
            ValueError: the file is closed, or the record could not be read back, for example because of a
                number that is not finite.
            OSError: the record cannot be written; the earlier lines stay readable.
            UserError: another program deleted, replaced or cut the file.
        """
        if self._descriptor < 0:
            raise ValueError(f"{self.path} is closed")
        data = _encoder.encode(record)
        try:
            json.dumps(msgspec.to_builtins(record), allow_nan=False)
            self.decode(data)  # a record that cannot be read back must not be written
        except ValueError as error:
            raise ValueError(f"a {type(record).__name__} cannot be written: {error}") from error
        length, previous_seal = self._end
        line, seal = sealed_line(previous_seal, data)
        length_and_seal = (length + len(line), seal)
        self._refuse_changed()
        self._cut()  # removes the rest of an interrupted write
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):
                self._cut()
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._end = length_and_seal

    def close(self) -> None:
        """Close and unlock the file; later writes fail."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _refuse_changed(self) -> None:
        """Raise UserError if ``path`` no longer leads to the open file, or the file has become shorter."""
        file_status = os.fstat(self._descriptor)
        try:
            is_there = os.path.samestat(file_status, self.path.stat())
        except OSError:
            is_there = False
        if is_there and file_status.st_size >= self._end[0]:
            return
        change = "cut short by another program" if is_there else "deleted, moved or replaced"
        raise UserError(f"{self.path} was {change} while it was written: start anew, with another --out")

    def _cut(self) -> None:
        """Cut off everything after the last whole line."""
        if os.fstat(self._descriptor).st_size > self._end[0]:
            os.ftruncate(self._descriptor, self._end[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def refuse_locked(path: Path) -> None:
    """Raise UserError if another process is writing ``path``."""
    with suppress(OSError):
        descriptor = open_regular(path, os.O_RDONLY)
        try:
            if try_lock(descriptor) is False:
                raise _being_written(path)
        finally:
            os.close(descriptor)


def _being_written(path: Path) -> UserError:
    return UserError(f"{path} is being written by another run; wait for its end or choose another --out")
