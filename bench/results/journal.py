"""The journal: a run's raw results on disk, one sealed JSON line a record, written as they come.

Whatever happens to a run, the lines that are there stay readable: a journal without an ``End`` is a run
that was cut off, and a last line that was torn in the middle is left out with a warning. Any other damage
shows in the seals, and the file is refused.
"""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from bench.errors import UserError
from bench.results import strict
from bench.results.files import sync_folder
from bench.results.reading import FILE_NAME, read_content, read_journal
from bench.results.record import SCHEMA, AnyRecord
from bench.results.run import Run, different_machines, load_run, make_run
from bench.results.seal import FIRST, sealed_line

try:
    import fcntl
except ImportError:  # Windows, which cannot measure; a journal there has no lock
    fcntl = None  # type: ignore[assignment]  # a module or nothing

__all__ = [
    "FILE_NAME",
    "Journal",
    "Run",
    "different_machines",
    "load_run",
    "make_run",
    "read_journal",
]

APPEND = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Journal:
    """Appends records to a file that is locked meanwhile; each is on the disk before ``write`` returns.

    The lock belongs to the open file, so it ends with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            UserError: there is one already, or it cannot be created.
        """
        try:
            descriptor = os.open(path, APPEND | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError as error:
            _refuse_locked(path)
            raise UserError(f"{path} exists already; choose another --out") from error
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error
        self._hold(path, descriptor, 0, FIRST)
        try:
            sync_folder(path.parent)
        except OSError as error:
            self.close()
            raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error

    @classmethod
    def reopen(cls, path: Path) -> tuple["Journal", list[AnyRecord], list[str]]:
        """Open a journal to append to it; return it, its records so far and the warnings about the file.

        A torn last line is cut off.

        Raises:
            UserError: no such file, another run writes it, it is damaged, or of another schema.
        """
        try:
            descriptor = os.open(path, APPEND)
        except OSError as error:
            raise UserError(f"cannot go on with {path}: {error.strerror}; give a run's folder") from error
        journal = cls.__new__(cls)
        journal._hold(path, descriptor, 0, FIRST)
        try:
            with os.fdopen(os.dup(descriptor), "rb") as file:
                content = read_content(file, path)
            if content.schema != SCHEMA:
                raise UserError(
                    f"{path} has schema {content.schema}, and records of schema {SCHEMA} do not belong into "
                    "it; run anew"
                )
            journal._end = (content.end, content.seal)
            journal._cut()
            os.fsync(descriptor)
        except OSError as error:
            journal.close()
            raise UserError(f"cannot go on with {path}: {error.strerror}") from error
        except BaseException:
            journal.close()
            raise
        return journal, content.records, content.warnings

    def _hold(self, path: Path, descriptor: int, size: int, seal: bytes) -> None:
        """Take over an open file, and lock it."""
        self.path = path
        self._descriptor = descriptor
        self._end = (size, seal)  # where the last whole line ends; one assignment, no signal in between
        self._encoder = msgspec.json.Encoder()
        if not _lock(descriptor):
            self.close()
            raise _being_written(path)

    def write(self, record: AnyRecord) -> None:
        """Append one record.

        Raises:
            ValueError: it holds a number that is not finite, which JSON cannot express, or something else
                that could not be read back; or the journal is closed.
            OSError: it cannot be written; the lines before it stay readable.
        """
        if self._descriptor < 0:
            raise ValueError(f"{self.path} is closed")
        for where in _not_finite(msgspec.to_builtins(record)):
            raise ValueError(f"a {type(record).__name__} cannot be written: {where} is not a finite number")
        data = self._encoder.encode(record)
        strict.decode(data)  # what could not be read back must not get in
        size, seal = self._end
        line, seal = sealed_line(seal, data)
        self._cut()  # what a write left behind that was interrupted
        try:
            rest = line
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):
                self._cut()
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._end = (size + len(line), seal)

    def close(self) -> None:
        """Close the file, which unlocks it; nothing can be written any more."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _cut(self) -> None:
        """Cut off what is after the last whole line."""
        if os.fstat(self._descriptor).st_size > self._end[0]:
            os.ftruncate(self._descriptor, self._end[0])

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lock(descriptor: int) -> bool:
    """Lock an open file for this process; False where another has it."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a network file system without locks; better none than no run
            pass
    return True


def _refuse_locked(path: Path) -> None:
    """Raise UserError where another process writes ``path``."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        if not _lock(descriptor):
            raise _being_written(path)
    finally:
        os.close(descriptor)


def _being_written(path: Path) -> UserError:
    return UserError(f"{path} is being written by another run; wait for its end or choose another --out")


def _not_finite(value: Any, where: str = "") -> Iterator[str]:
    """Paths of all numbers in a tree of plain objects that are NaN or infinite."""
    children: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list | tuple):
        children = enumerate(value)
    elif isinstance(value, float) and not math.isfinite(value):
        yield where
    for name, child in children:
        yield from _not_finite(child, f"{where}.{name}" if where else str(name))
