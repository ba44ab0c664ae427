"""Store a run's raw results in the journal, a file with one sealed JSON line per record.

Records are written when they arise. A journal without an ``End`` record is a run that was cut off: its lines
stay readable, and an incomplete last line is left out with a warning. Any other damage breaks a seal, and
the file is refused.
"""

import sys
from pathlib import Path

import msgspec
from msgspec.structs import force_setattr

from bench.machine.errors import UserError
from bench.records.contradictions import of_run, refuse_contradictions
from bench.records.record import SCHEMA, AnyRecord, Burst, Check
from bench.records.run import Run, make_run
from bench.records.sealed import Content, Decoder, Format, SealedWriter, load_sealed

FILE_NAME = "journal.jsonl"
FORMAT = Format("journal", FILE_NAME, "plan", SCHEMA, "a run's folder or journal")
CHECKS_KEY, KEY_AFTER_CHECKS = b'"checks":', b'],"first_call_ns":'  # in the line of a burst
MAX_SHARED = 100_000  # limit of stored lists of checks, for files in which no list repeats

decode = Decoder[AnyRecord](AnyRecord)


class Journal(SealedWriter[AnyRecord]):
    """Append a run's records to its journal."""

    decode = decode

    @classmethod
    def reopen(cls, path: Path) -> tuple["Journal", list[AnyRecord], list[str]]:
        """Open a journal to append records; return it, its records so far and warnings about the file.

        An incomplete last line is cut off.

        Raises:
            UserError: the file is missing, damaged, in use by another run, or has another schema.
        """
        journal, content = cls.reopened(
            path,
            FORMAT,
            _SharingDecoder(),
            lambda records: refuse_contradictions(path, of_run(make_run(records))),
        )
        return journal, content.records, content.warnings


def load_run(path: Path, seal: str | None = None) -> Run:
    """Read a run from its folder or its journal; ``seal``, if given, is that of its last line.

    Raises:
        UserError: the journal cannot be read, has another seal, or contradicts its own plan.
    """
    return load_sealed_run(path, seal)[0]


def load_sealed_run(path: Path, seal: str | None = None) -> tuple[Run, str]:
    """Read a run as ``load_run`` does; return it with the seal of its last line."""
    content = load_sealed(path, FORMAT, _SharingDecoder())
    if seal not in (None, content.seal.decode()):
        raise UserError(f"{path} has another journal than was measured; rnnbench report {path} shows it")
    run = make_run(content.records, content.warnings)
    refuse_contradictions(path / FILE_NAME if path.is_dir() else path, of_run(run))
    return run, content.seal.decode()


def read_begin(path: Path, lines: int) -> Content[AnyRecord]:
    """Read the first lines of a journal; errors are those of ``read_journal``."""
    return load_sealed(path, FORMAT, _SharingDecoder(), lines)


def read_journal(path: Path) -> tuple[list[AnyRecord], list[str]]:
    """Read all records of a journal; return them and the warnings about the file.

    Raises:
        UserError: the file is missing, damaged, too large, without plan, or has another schema.
    """
    content = load_sealed(path, FORMAT, _SharingDecoder())
    return content.records, content.warnings


class _SharingDecoder:
    """Decode records, and store equal texts and equal lists of checks once.

    This saves a third of a long journal's memory and reading time: checks are most of a burst's line and
    equal in nearly every block. Each list is decoded once and later recognised by its bytes.
    """

    def __init__(self) -> None:
        self._checks: dict[bytes, list[Check]] = {}

    def __call__(self, data: bytes) -> tuple[AnyRecord, bytes]:
        """Return the record of a JSON object, and the part of the JSON that no other record shares.

        Raises:
            ValueError: the JSON is no record, or has a value that no record can have.
        """
        # neither key can occur inside a text: its quotes would be escaped
        start = data.find(CHECKS_KEY) + len(CHECKS_KEY)
        end = data.find(KEY_AFTER_CHECKS, start)
        text = data[start : end + 1]
        checks = self._checks.get(text)
        unshared = data if checks is None else data[: start + 1] + data[end:]
        record = decode(unshared)
        if not isinstance(record, Burst):  # a fact of a machine may be named "checks"
            return (record if checks is None else decode(data)), data
        if checks is not None:
            force_setattr(record, "checks", checks)
        elif len(self._checks) < MAX_SHARED and msgspec.json.encode(record.checks) == text:
            self._checks[text] = record.checks
        for name in ("entry", "device", "digest"):
            force_setattr(record, name, sys.intern(getattr(record, name)))
        return record, unshared
