"""Guard standard output and error of the command line: no failed write is unnoticed or prints a traceback.

A failed write to standard output raises ``OutputLost``. A failed write to standard error is ignored, since
progress and warnings must not end a measurement.
"""

import io
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO


class OutputLost(KeyboardInterrupt):
    """Report that standard output cannot be written: work ends as after Ctrl-C; ``reason`` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.reason = error.strerror
        self.reader_has_gone = isinstance(error, BrokenPipeError)  # as `head` does after enough lines


class _GuardedRaw(io.RawIOBase):
    """Write to a raw stream; a failure raises ``OutputLost``, or, if ``needed`` is False, is ignored."""

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
    """Guard the standard streams as described above; a stream that replaced a standard one stays."""
    _occupy(range(3))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal without the character µ shows ?, not a traceback
            stream.reconfigure(errors="replace")
    if sys.stdout is sys.__stdout__:
        sys.stdout = _checked(sys.stdout, 1, needed=True)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _checked(sys.stderr, 2, needed=False)


def give_up_output() -> None:
    """Drop the rest of standard output, also when the interpreter exits."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _GuardedRaw):
        raw.needed = False


def _occupy(descriptors: Sequence[int]) -> None:
    """Open the descriptors that the caller closed (``>&-``), or the next opened file would get such a number.

    The descriptors are opened for reading only, so that writing still fails.
    """
    for descriptor in descriptors:
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)  # uses the lowest free descriptor


def _checked(stream: TextIO | None, descriptor: int, *, needed: bool) -> TextIO:
    """Return a guarded text stream with the target of ``stream``; None: closed before Python started."""
    raw: Any = io.FileIO(descriptor, "w", closefd=False)
    encoding, line_buffering, write_through = "utf-8", False, False
    if isinstance(stream, io.TextIOWrapper):
        raw = getattr(stream.buffer, "raw", stream.buffer)  # under PYTHONUNBUFFERED there is no buffer
        encoding, line_buffering = stream.encoding, stream.line_buffering
        write_through = stream.write_through
    buffer = io.BufferedWriter(_GuardedRaw(raw, needed=needed))
    # a terminal without the character µ shows ?, not a traceback
    return io.TextIOWrapper(
        buffer, encoding, "replace", line_buffering=line_buffering, write_through=write_through
    )
