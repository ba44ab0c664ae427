"""The journal: a run's raw results on disk, one sealed JSON line a record, written as they come.

Whatever happens to a run, the lines that are there stay readable: a journal without an ``End`` is a run
that was cut off, and a last line that was torn in the middle is left out with a warning. Any other damage
shows in the seals, and the file is refused.
"""

import os
import sys
from pathlib import Path

import msgspec
from msgspec.structs import force_setattr

from bench.machine.errors import UserError
from bench.machine.files import open_regular
from bench.records.contradictions import of_run, refuse_contradictions
from bench.records.record import SCHEMA, AnyRecord, Burst, Check
from bench.records.run import Run, make_run
from bench.records.sealed import APPEND, Decoder, Format, SealedWriter, load_sealed, read_sealed

FILE_NAME = "journal.jsonl"
FORMAT = Format("journal", FILE_NAME, "plan", SCHEMA, "a run's folder or journal")
CHECKS, AFTER_CHECKS = b'"checks":', b'],"first_call_ns":'  # in the line of a burst
MAX_SHARED = 100_000  # a file without repetition must not fill a table of what repeats

decode = Decoder[AnyRecord](AnyRecord)


class Journal(SealedWriter[AnyRecord]):
    """Appends a run's records to its journal."""

    decode = decode

    @classmethod
    def reopen(cls, path: Path) -> tuple["Journal", list[AnyRecord], list[str]]:
        """Open a journal to append to it; return it, its records so far and the warnings about the file.

        A torn last line is cut off.

        Raises:
            UserError: no such file, another run writes it, it is damaged, or of another schema.
        """
        journal = cls.__new__(cls)
        try:
            journal._hold(path, open_regular(path, APPEND))
            try:
                with os.fdopen(os.dup(journal._descriptor), "rb") as file:
                    content = read_sealed(file, path, FORMAT, _SharingDecoder())
                refuse_contradictions(path, of_run(make_run(content.records)))
                journal._end = (content.end, content.seal)
                journal._cut()
                os.fsync(journal._descriptor)
            except BaseException:
                journal.close()
                raise
        except OSError as error:
            raise UserError(f"cannot go on with {path}: {error.strerror}; give a run's folder") from error
        return journal, content.records, content.warnings


def load_run(path: Path) -> Run:
    """Read a run from its folder or its journal.

    Raises:
        UserError: the journal cannot be read, or contradicts its own plan.
    """
    run = make_run(*read_journal(path))
    refuse_contradictions(path / FILE_NAME if path.is_dir() else path, of_run(run))
    return run


def read_journal(path: Path) -> tuple[list[AnyRecord], list[str]]:
    """Read all records of a journal; return them and the warnings about the file.

    Raises:
        UserError: no such file, no plan in the first line, another schema, too large, or a damaged line.
    """
    content = load_sealed(path, FORMAT, _SharingDecoder())
    return content.records, content.warnings


class _SharingDecoder:
    """Keeps equal texts and checks of many bursts once: a third of a long journal's memory, and of its time.

    The checks are most of a burst's line, and the same in nearly every block. Each list of them is read
    once and then recognised by its bytes.
    """

    def __init__(self) -> None:
        self._checks: dict[bytes, list[Check]] = {}

    def __call__(self, data: bytes) -> tuple[AnyRecord, bytes]:
        """Return the record of one JSON object, and the part of that which shares nothing with others.

        Raises:
            ValueError: it is no record, or holds something that no record holds.
        """
        # neither key can stand in a text, where its quotes would be escaped
        start = data.find(CHECKS) + len(CHECKS)
        end = data.find(AFTER_CHECKS, start)
        text = data[start : end + 1]
        checks = self._checks.get(text)
        own = data if checks is None else data[: start + 1] + data[end:]
        record = decode(own)
        if not isinstance(record, Burst):  # facts about a machine may have any names
            return (record if checks is None else decode(data)), data
        if checks is not None:
            force_setattr(record, "checks", checks)
        elif len(self._checks) < MAX_SHARED and msgspec.json.encode(record.checks) == text:
            self._checks[text] = record.checks
        for name in ("entry", "device", "digest"):
            force_setattr(record, name, sys.intern(getattr(record, name)))
        return record, own
