"""Files of sealed lines: read strictly and within limits, and appended to one whole line at a time.

Each line carries a checksum over its record and the seal before it::

    {"seal":"<16 hex digits>","record":{...}}

So no bit can flip and no line can be lost, doubled or moved without a seal that no longer fits. It is a
checksum and no signature: whoever edits a file on purpose can seal it anew. A file that ends early after
a whole line has only good seals; that the run has no end tells it.

What can be read is a record of ours: it holds what its line says, nothing more, and nothing twice. What is
written was decoded first, so that it can be read. Whatever happens to the program, the lines that are there
stay readable.
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
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, Generic, Self, TypeVar

import msgspec

from bench.machine.errors import UserError
from bench.machine.files import open_regular, open_to_read, sync_folder, try_lock

Kind = TypeVar("Kind", bound=msgspec.Struct)

FIRST = b"0" * 16  # stands for the seal before the first line
SEALED = re.compile(rb'\{"seal":"(.{%d})","record":(.*)\}\n' % len(FIRST), re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[{,:"))

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

APPEND = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
_encoder = msgspec.json.Encoder()


def sealed_line(before: bytes, record: bytes) -> tuple[bytes, bytes]:
    """Return the line of a record's JSON that comes after a line sealed with ``before``, and its own seal."""
    seal = hashlib.sha256(before + record).hexdigest()[: len(FIRST)].encode()
    return b'{"seal":"%b","record":%b}\n' % (seal, record), seal


def unseal(before: bytes, line: bytes) -> tuple[bytes, bytes]:
    """Return the record's JSON in the line that comes after a line sealed with ``before``, and its own seal.

    Raises:
        ValueError: it has no seal, or one that does not fit.
    """
    match = SEALED.fullmatch(line)
    if match is None:
        raise ValueError("it has no seal")
    sealed, seal = sealed_line(before, match[2])
    if sealed != line:
        raise ValueError("its seal does not fit it and the line before")
    return match[2], seal


REGEX = re.compile(r"`str` matching regex '.*'(?= - at)", re.DOTALL)  # of a label, a colour


class Decoder(Generic[Kind]):
    """Makes records of one kind, or of several that their tags tell apart.

    msgspec validates kinds, fields, types and bounds and knows no NaN. It takes the last of two equal keys
    and lets unknown fields of dataclasses pass; those are looked for here. A line of this program's own is
    recognised because writing its record anew gives the same bytes; only other lines need a second, slower
    look.
    """

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def __call__(self, data: bytes) -> Kind:
        """Return the record of one JSON object.

        Raises:
            ValueError: it is no record, or holds something that no record holds.
        """
        try:
            record: Kind = self._decoder.decode(data)
            if _encoder.encode(record) != data:
                read = json.loads(data, object_pairs_hook=unique_keys)
                if not _is_kept(read, msgspec.to_builtins(record)):
                    raise ValueError("it has a field or a value that no record keeps")
        except msgspec.DecodeError as error:
            raise ValueError(
                REGEX.sub("text that can be shown as it is (a colour as #1a2b3c)", str(error))
            ) from error
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        return record


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; raise ValueError where it has a key twice."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"field `{twice}` is there twice")
    return fields


def _is_kept(read: Any, kept: Any) -> bool:
    """Return whether a record kept all that its line says; defaults may be left out of the line."""
    if isinstance(read, dict) and isinstance(kept, dict):
        return all(name in kept and _is_kept(value, kept[name]) for name, value in read.items())
    if isinstance(read, list) and isinstance(kept, list | tuple):
        return len(read) == len(kept) and all(map(_is_kept, read, kept))
    return bool(read == kept)


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of sealed file, known by its first record."""

    name: str  # "journal"
    file_name: str  # within its folder
    first: str  # kind of its first record, of which there is one
    schema: int  # which that tells
    wanted: str  # what to give where there is no such file: "a run's folder or journal"


class _First(msgspec.Struct):
    """What the first record of any format tells."""

    kind: str
    schema: Annotated[int, msgspec.Meta(ge=1)]
    version: Any = "?"


@dataclass(frozen=True, slots=True)
class Content(Generic[Kind]):
    """What a file of sealed lines holds."""

    records: list[Kind]
    end: int  # bytes of whole lines
    seal: bytes  # of the last whole line
    warnings: list[str]  # of a last line that was torn while it was written


def load_sealed(path: Path, expected: Format, decode: Callable[[bytes], tuple[Kind, bytes]]) -> Content[Kind]:
    """Read a file, or that of a folder, as ``read_sealed`` does.

    Raises:
        UserError: as ``read_sealed``, or it cannot be opened.
    """
    path = path / expected.file_name if path.is_dir() else path
    try:
        with open_to_read(path) as file:
            return read_sealed(file, path, expected, decode)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give {expected.wanted}") from error


def read_sealed(
    file: BinaryIO, path: Path, expected: Format, decode: Callable[[bytes], tuple[Kind, bytes]]
) -> Content[Kind]:
    """Read a file from its start; ``path`` is what messages call it.

    ``decode`` returns a record, and that part of its JSON which takes memory of its own.

    Raises:
        OSError: it cannot be read.
        UserError: it begins with something else, has another schema, is too large, or a line is damaged.
    """
    records: list[Kind] = []
    warnings: list[str] = []
    end, seal, left, data = 0, FIRST, MAX_MADE, b""
    with collector_paused():
        for number, line in enumerate(bounded_lines(file, path), start=1):
            if not line.endswith(b"\n"):
                warnings = [f"the last line of {path.name} was torn ({len(line)} bytes) and is left out"]
                break
            try:
                if number > 1 or SEALED.fullmatch(line):
                    data, seal = unseal(seal, line)
                if number == 1:
                    _refuse_other(data, path, expected)
                record, own = decode(data)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number} cannot be read: {error}; the file is damaged"
                ) from error
            left -= _memory(own, record)
            if left < 0:
                raise _too_large(f"{path} would take more than {MAX_MADE >> 30} GiB once read")
            records.append(record)
            end += len(line)
    if not records:
        _refuse_other(b"", path, expected)
    if any(isinstance(record, type(records[0])) for record in records[1:]):
        raise UserError(f"{path} holds more than one {expected.first}; each {expected.name} has a single one")
    return Content(records, end, seal, warnings)


def _refuse_other(data: bytes, path: Path, expected: Format) -> None:
    """Raise UserError where a file's first record is another's; what that holds need not fit our records."""
    try:
        first = msgspec.json.decode(data, type=_First)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        first = _First("", 1)
    if first.kind != expected.first:
        raise UserError(f"{path} is no {expected.name} of rnnbench: its first line is not a {expected.first}")
    if first.schema != expected.schema:
        raise UserError(
            f"{path} has schema {first.schema}, of rnnbench {first.version}; this one reads "
            f"{expected.schema}: measure anew, or install that version"
        )


def bounded_lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file of records, none held longer than needed; the last may have no newline.

    Raises:
        OSError: it cannot be read.
        UserError: the file, a line, or their number is too large.
    """
    if os.fstat(file.fileno()).st_size > MAX_BYTES:
        raise _too_large(f"{path} has more than {MAX_BYTES >> 30} GiB")
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
        if number > MAX_RECORDS:
            raise _too_large(f"{path} has more than {MAX_RECORDS} lines")
        if len(line) > MAX_LINE:
            raise _too_large(f"{path}, line {number} has more than {MAX_LINE >> 20} MiB")
        if _values_in(line) > MAX_VALUES:
            raise _too_large(f"{path}, line {number} holds more than {MAX_VALUES} values")
        yield line


def _too_large(what: str) -> UserError:
    return UserError(f"{what}; so much is not read, and no run writes it")


def _values_in(data: bytes) -> int:
    """Return how many values, keys and brackets a JSON text has at most; each takes memory."""
    return len(data.translate(None, _OTHERS))


def _memory(data: bytes, record: msgspec.Struct) -> int:
    """Return about how many bytes of memory the record of such JSON takes."""
    width = 1 if data.isascii() and b"\\u" not in data else WIDEST
    values = _values_in(data) - 2 * len(record.__struct_fields__)  # a key and its end make nothing
    return A_RECORD + width * len(data) + A_VALUE * max(0, values)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Search for no garbage while millions of objects are made, or read, of which none is."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class SealedWriter(Generic[Kind]):
    """Appends records to a file that is locked meanwhile; each is on the disk before ``write`` returns.

    The lock belongs to the open file, so it ends with the process, however that ends. What happens to the
    file meanwhile (deleted, replaced, cut short) is noticed at the next record.
    """

    decode: ClassVar[Decoder[Any]]  # reads a record strictly; what it refuses is not written
    _descriptor = -1  # of a file that is not open

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            UserError: there is one already, or it cannot be created.
        """
        try:
            self._hold(path, os.open(path, APPEND | os.O_CREAT | os.O_EXCL, 0o666))
            sync_folder(path.parent)
        except FileExistsError as error:
            _refuse_locked(path)
            raise UserError(f"{path} exists already; choose another --out") from error
        except OSError as error:
            self.close()
            raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error

    def _hold(self, path: Path, descriptor: int) -> None:
        """Take over an open file, and lock it."""
        self.path, self._descriptor = path, descriptor
        self._end = (0, FIRST)  # where the last whole line ends; one assignment, no signal in between
        if try_lock(descriptor) is False:  # where nothing can be locked: better no lock than no run
            self.close()
            raise _being_written(path)

    def write(self, record: Kind) -> None:
        """Append one record.

        Raises:
            ValueError: it holds a number that is not finite, which JSON cannot express, or something else
                that could not be read back; or the file is closed.
            OSError: it cannot be written; the lines before it stay readable.
            UserError: somebody deleted, replaced or cut the file.
        """
        if self._descriptor < 0:
            raise ValueError(f"{self.path} is closed")
        data = _encoder.encode(record)
        try:
            json.dumps(msgspec.to_builtins(record), allow_nan=False)
            self.decode(data)  # what could not be read back must not get in
        except ValueError as error:
            raise ValueError(f"a {type(record).__name__} cannot be written: {error}") from error
        size, before = self._end
        line, seal = sealed_line(before, data)
        end = (size + len(line), seal)
        self._refuse_changed()
        self._cut()  # what a write left behind that was interrupted
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):
                self._cut()
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._end = end

    def close(self) -> None:
        """Close the file, which unlocks it; nothing can be written any more."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _refuse_changed(self) -> None:
        """Raise UserError where the open file is not, or not all of, what its name stands for."""
        own = os.fstat(self._descriptor)
        try:
            is_there = os.path.samestat(own, self.path.stat())
        except OSError:
            is_there = False
        if is_there and own.st_size >= self._end[0]:
            return
        what = "cut short by another program" if is_there else "deleted, moved or replaced"
        raise UserError(f"{self.path} was {what} while it was written: start anew, with another --out")

    def _cut(self) -> None:
        """Cut off what is after the last whole line."""
        if os.fstat(self._descriptor).st_size > self._end[0]:
            os.ftruncate(self._descriptor, self._end[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _refuse_locked(path: Path) -> None:
    """Raise UserError where another process writes ``path``."""
    with suppress(OSError):
        descriptor = open_regular(path, os.O_RDONLY)
        try:
            if try_lock(descriptor) is False:
                raise _being_written(path)
        finally:
            os.close(descriptor)


def _being_written(path: Path) -> UserError:
    return UserError(f"{path} is being written by another run; wait for its end or choose another --out")
