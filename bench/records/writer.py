"""Appends records to a file of sealed lines, each on the disk before the next.

Whatever happens to the program, the lines that are there stay readable. What happens to the file meanwhile
(deleted, replaced, cut short) is noticed at the next record.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec

from bench.machine.errors import UserError
from bench.machine.files import sync_folder
from bench.machine.locking import try_lock
from bench.records.seal import FIRST, sealed_line

Kind = TypeVar("Kind", bound=msgspec.Struct)
APPEND = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)


class SealedWriter(Generic[Kind]):
    """Appends records to a file that is locked meanwhile; each is on the disk before ``write`` returns.

    The lock belongs to the open file, so it ends with the process, however that ends.
    """

    def __init__(self, path: Path, decode: Callable[[bytes], Kind]) -> None:
        """Create the file; ``decode`` reads a record strictly, and what it refuses is not written.

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
        self._hold(path, descriptor, decode)
        try:
            sync_folder(path.parent)
        except OSError as error:
            self.close()
            raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error

    def _hold(self, path: Path, descriptor: int, decode: Callable[[bytes], Kind]) -> None:
        """Take over an open file, and lock it."""
        self.path = path
        self._descriptor = descriptor
        self._decode = decode
        self._end = (0, FIRST)  # where the last whole line ends; one assignment, no signal in between
        self._encoder = msgspec.json.Encoder()
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
        for where in _not_finite(msgspec.to_builtins(record)):
            raise ValueError(f"a {type(record).__name__} cannot be written: {where} is not a finite number")
        data = self._encoder.encode(record)
        self._decode(data)  # what could not be read back must not get in
        size, seal = self._end
        line, seal = sealed_line(seal, data)
        self._refuse_changed()
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

    def _refuse_changed(self) -> None:
        """Raise UserError where the open file is not, or not all of, what its name stands for."""
        own = os.fstat(self._descriptor)
        try:
            is_there = os.path.samestat(own, self.path.stat())
        except OSError:
            is_there = False
        if not is_there:
            what = "deleted, moved or replaced" if own.st_nlink else "deleted"
            raise UserError(f"{self.path} was {what} while it was written: start anew, with another --out")
        if own.st_size < self._end[0]:
            raise UserError(
                f"{self.path} was cut short by another program while it was written: start anew, with "
                "another --out"
            )

    def _cut(self) -> None:
        """Cut off what is after the last whole line."""
        if os.fstat(self._descriptor).st_size > self._end[0]:
            os.ftruncate(self._descriptor, self._end[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _refuse_locked(path: Path) -> None:
    """Raise UserError where another process writes ``path``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return
    try:
        if try_lock(descriptor) is False:
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
