"""The journal: a run's raw results on disk, one sealed JSON line a record, written as they come.

Whatever happens to a run, the lines that are there stay readable: a journal without an ``End`` is a run
that was cut off, and a last line that was torn in the middle is left out with a warning. Any other damage
shows in the seals, and the file is refused.
"""

import os
from pathlib import Path

from bench.machine.errors import UserError
from bench.machine.files import open_regular
from bench.records import strict
from bench.records.contradictions import refuse_contradictions
from bench.records.reading import FILE_NAME, read_content, read_journal
from bench.records.record import AnyRecord, Plan
from bench.records.run import Run, different_machines, make_run
from bench.records.writer import APPEND, SealedWriter

__all__ = [
    "FILE_NAME",
    "Journal",
    "Run",
    "different_machines",
    "load_run",
    "make_run",
    "read_journal",
]


class Journal(SealedWriter[AnyRecord]):
    """Appends a run's records to its journal."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            UserError: there is one already, or it cannot be created.
        """
        super().__init__(path, strict.decode)

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
        journal._hold(path, descriptor, strict.decode)
        try:
            with os.fdopen(os.dup(descriptor), "rb") as file:
                content = read_content(file, path)
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
        return journal, content.records, content.warnings


def load_run(path: Path) -> Run:
    """Read a run from its folder or its journal.

    Raises:
        UserError: the journal cannot be read, or contradicts its own plan.
    """
    path = path / FILE_NAME if path.is_dir() else path
    records, warnings = read_journal(path)
    if sum(isinstance(record, Plan) for record in records) > 1:
        raise UserError(f"{path} holds more than one plan; each run has a journal of its own")
    run = make_run(records, warnings)
    refuse_contradictions(run, path)
    return run
