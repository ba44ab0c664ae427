"""The journal: a run's raw results on disk, one sealed JSON line a record, written as they come.

Whatever happens to a run, the lines that are there stay readable: a journal without an ``End`` is a run
that was cut off, and a last line that was torn in the middle is left out with a warning. Any other damage
shows in the seals, and the file is refused.
"""

import os
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec.structs import force_setattr

from bench.machine.errors import UserError
from bench.machine.files import open_regular, open_to_read
from bench.records.contradictions import refuse_contradictions
from bench.records.record import SCHEMA, AnyRecord, Burst, Plan
from bench.records.run import Run, make_run
from bench.records.sealed import APPEND, Content, Decoder, Format, SealedWriter, read_sealed

FILE_NAME = "journal.jsonl"
FORMAT = Format("journal", "plan", SCHEMA)
CHECKS, AFTER_CHECKS = b'"checks":', b'],"gates":'  # in the line of a burst
MAX_SHARED = 100_000  # a file without repetition must not fill a table of what repeats

decode = Decoder[AnyRecord](AnyRecord)


class Journal(SealedWriter[AnyRecord]):
    """Appends a run's records to its journal."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            UserError: there is one already, or it cannot be created.
        """
        super().__init__(path, decode)

    @classmethod
    def reopen(cls, path: Path) -> tuple["Journal", list[AnyRecord], list[str]]:
        """Open a journal to append to it; return it, its records so far and the warnings about the file.

        A torn last line is cut off.

        Raises:
            UserError: no such file, another run writes it, it is damaged, or of another schema.
        """
        try:
            descriptor = open_regular(path, APPEND)
        except OSError as error:
            raise UserError(f"cannot go on with {path}: {error.strerror}; give a run's folder") from error
        journal = cls.__new__(cls)
        journal._hold(path, descriptor, decode)
        try:
            with os.fdopen(os.dup(descriptor), "rb") as file:
                content = _read(file, path)
            refuse_contradictions(make_run(content.records), path)
            journal._end = (content.end, content.seal)
            journal._cut()
            os.fsync(descriptor)
        except OSError as error:
            journal.close()
            raise UserError(f"cannot go on with {path}: {error.strerror}") from error
        except BaseException:
            journal.close()
            raise
        return journal, content.records, _warnings(content, path)


def load_run(path: Path) -> Run:
    """Read a run from its folder or its journal.

    Raises:
        UserError: the journal cannot be read, or contradicts its own plan.
    """
    path = path / FILE_NAME if path.is_dir() else path
    run = make_run(*read_journal(path))
    refuse_contradictions(run, path)
    return run


def read_journal(path: Path) -> tuple[list[AnyRecord], list[str]]:
    """Read all records of a journal; return them and the warnings about the file.

    Raises:
        UserError: no such file, no plan in the first line, another schema, too large, or a damaged line.
    """
    try:
        with open_to_read(path) as file:
            content = _read(file, path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a run's folder or journal") from error
    return content.records, _warnings(content, path)


def _read(file: BinaryIO, path: Path) -> Content[AnyRecord]:
    content = read_sealed(file, path, FORMAT, _SharingDecoder())
    if any(isinstance(record, Plan) for record in content.records[1:]):
        raise UserError(f"{path} holds more than one plan; each run has a journal of its own")
    return content


def _warnings(content: Content[AnyRecord], path: Path) -> list[str]:
    if not content.torn:
        return []
    return [f"the last line of {path.name} was torn ({content.torn} bytes) and is left out"]


class _SharingDecoder:
    """Keeps equal texts and checks of many bursts once: a third of a long journal's memory, and of its time.

    The checks are most of a burst's line, and the same in nearly every block. Each list of them is read
    once and then recognised by its bytes.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def __call__(self, data: bytes) -> tuple[AnyRecord, bytes]:
        """Return the record of one JSON object, and the part of that which shares nothing with others.

        Raises:
            ValueError: it is no record, or holds something that no record holds.
        """
        # neither key can stand in a text, where its quotes would be escaped
        start = data.find(CHECKS) + len(CHECKS)
        end = data.find(AFTER_CHECKS, start)
        text = data[start : end + 1]
        checks = self._known.get(text)
        if checks is not None:
            rest = data[: start + 1] + data[end:]
            record = decode(rest)
            if isinstance(record, Burst):  # facts about a machine may have any names
                force_setattr(record, "checks", checks)
                return self._shared(record), rest
        record = decode(data)
        if isinstance(record, Burst):
            if msgspec.json.encode(record.checks) == text:
                self._known[text] = record.checks
            record.checks[:] = map(self._one, record.checks)
            return self._shared(record), data
        return record, data

    def _shared(self, burst: Burst) -> Burst:
        """Return the same burst, whose texts it now shares with others."""
        if len(self._known) > MAX_SHARED:
            self._known.clear()
        for name in ("entry", "device", "digest"):
            force_setattr(burst, name, self._one(getattr(burst, name)))
        return burst

    def _one(self, value: Any) -> Any:
        return self._known.setdefault(value, value)
