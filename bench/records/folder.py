"""The folder of a run: a free one, its name as text, the runs that refine it, a report of it that fails.

The runs that refine a grid lie in folders of its own: ``refine-1``, ``refine-2``, ...
"""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.machine.errors import Unfinished, UserError, what_failed
from bench.machine.files import as_path
from bench.records.journal import FILE_NAME, load_run
from bench.records.run import Run


def free_folder(name: str) -> Path:
    """Return the folder of that name, which need not be there.

    Raises:
        UserError: it holds a run already, or cannot be looked into.
    """
    folder = as_path(name)
    try:
        taken = (folder / FILE_NAME).exists()
    except OSError as error:
        raise UserError(f"cannot look into {folder}: {error.strerror}; choose another --out") from error
    if taken:
        raise UserError(f"{folder} already holds a run; choose another --out")
    return folder


def run_name(folder: Path) -> str:
    """Return what a run in this folder is called."""
    return as_text(Path(os.path.normpath(folder.absolute())).name)


def display_path(path: Path) -> str:
    """Return a path as seen from where the user stands, or in full where nobody can stand any more."""
    with suppress(OSError):
        return os.path.relpath(path)
    return str(path)


@contextmanager
def drawing_report(folder: Path) -> Iterator[None]:
    """Say of whatever goes wrong meanwhile that the measurement is safe, and which command draws its report.

    Raises:
        Unfinished: anything but a signal was raised.
    """
    try:
        yield
    except Exception as error:
        if not folder.is_dir():  # nothing is safe
            raise
        path = display_path(folder)
        raise Unfinished(
            f"what was measured is safe in {path}, but its report could not be drawn: {what_failed(error)}; "
            f"rnnbench report {shlex.quote(path)} draws it"
        ) from error


def as_text(word: str) -> str:
    """Return a file's name as text that can be written, whatever bytes it is made of."""
    return os.fsencode(word).decode(errors="replace")


NAME = re.compile(r"refine-([1-9][0-9]{0,5})")


def load_refinements(path: Path) -> tuple[Run, ...]:
    """Read the runs that refine the one in ``path``, a folder or a journal, in their order.

    Raises:
        UserError: one of the journals cannot be read, or contradicts its own plan.
    """
    folder = path.parent if path.name == FILE_NAME else path
    if not folder.is_dir():
        return ()
    return tuple(load_run(refined) for _, refined in _numbered(folder) if (refined / FILE_NAME).exists())


def next_folder(folder: Path) -> Path:
    """Return the folder of the next refinement, after all that exist."""
    last = max((number for number, _ in _numbered(folder)), default=0)
    return folder / f"refine-{last + 1}"


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    paths = ((NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in paths if match)
