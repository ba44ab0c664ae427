"""Standard output and error of the command line: no reader is lost unnoticed, and none of it is a traceback.

What cannot be written to standard output raises ``OutputLost``; what cannot be written to standard error is
only dropped, since progress and warnings are no reason to end a measurement.
"""

import io
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO


class OutputLost(KeyboardInterrupt):
    """Standard output cannot be written: whatever is at work ends as after Ctrl-C; ``reason`` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.reason = error.strerror
        self.reader_has_gone = isinstance(error, BrokenPipeError)  # as `head` does, when it has enough


class _Raw(io.RawIOBase):
    """A raw stream whose failures are lost output, or are nothing where ``needed`` is False."""

    def __init__(self, raw: io.RawIOBase, *, needed: bool) -> None:
        self._raw = raw
        self.needed = needed

    def write(self, data: Any) -> int | None:
        try:
            return self._raw.write(data)
        except OSError as error:
            if self.needed:
                raise OutputLost(error) from error
            return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()


def prepare() -> None:
    """Make the standard streams of a process those described above; other streams in their place stay."""
    _occupy(range(3))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no µ shows a ? and no traceback
    if sys.stdout is sys.__stdout__:
        sys.stdout = _checked(sys.stdout, 1, needed=True)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _checked(sys.stderr, 2, needed=False)


def give_up_output() -> None:
    """Drop what is left for standard output, also when the interpreter exits."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Raw):
        raw.needed = False


def _occupy(descriptors: Sequence[int]) -> None:
    """Open those that the caller has closed (``>&-``), or the next file that is opened would become one.

    They are open for reading only, so that writing fails as it did.
    """
    for descriptor in descriptors:
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)  # the lowest that is free


def _checked(stream: TextIO | None, descriptor: int, *, needed: bool) -> TextIO:
    """Return a text stream to where ``stream`` goes; None is one that was closed before Python started."""
    raw: Any = io.FileIO(descriptor, "w", closefd=False)
    encoding, line_buffering, write_through = "utf-8", False, False
    if isinstance(stream, io.TextIOWrapper):
        raw = getattr(stream.buffer, "raw", stream.buffer)  # without a buffer under PYTHONUNBUFFERED
        encoding, line_buffering = stream.encoding, stream.line_buffering
        write_through = stream.write_through
    buffer = io.BufferedWriter(_Raw(raw, needed=needed))
    # a terminal that has no µ shows a ? and no traceback
    return io.TextIOWrapper(
        buffer, encoding, "replace", line_buffering=line_buffering, write_through=write_through
    )
