"""Name the folder of a run, find its refinements, and say where the results are if its report fails.

The runs that refine a grid are stored inside the folder of the grid: ``refine-1``, ``refine-2``, ...
"""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.machine.errors import Unfinished, UserError, error_text
from bench.machine.files import as_path
from bench.records.journal import FILE_NAME, load_run
from bench.records.run import Run


def free_folder(name: str) -> Path:
    """Return the path of a folder without a run; the folder itself may be missing.

    Raises:
        UserError: the folder already holds a run, or cannot be read.
    """
    folder = as_path(name)
    try:
        holds_run = (folder / FILE_NAME).exists()
    except OSError as error:
        raise UserError(f"cannot look into {folder}: {error.strerror}; choose another --out") from error
    if holds_run:
        raise UserError(f"{folder} already holds a run; choose another --out")
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder of results, and those above it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another --out") from error


def run_name(folder: Path) -> str:
    """Return the name of a run in this folder, as valid text."""
    return as_text(Path(os.path.normpath(folder.absolute())).name)


def display_path(path: Path) -> str:
    """Return a path relative to the working directory, or in full if that directory no longer exists."""
    with suppress(OSError):
        return os.path.relpath(path)
    return str(path)


@contextmanager
def drawing_report(folder: Path) -> Iterator[None]:
    """Tell the user after a failed report that the measurement is saved, and how to draw the report again.

    Raises:
        Unfinished: drawing raised an exception other than a signal.
    """
    try:
        yield
    except Exception as error:
        if not folder.is_dir():  # nothing was saved
            raise
        path = display_path(folder)
        raise Unfinished(
            f"what was measured is safe in {path}, but its report could not be drawn: {error_text(error)}; "
            f"rnnbench report {shlex.quote(path)} draws it"
        ) from error


def as_text(word: str) -> str:
    """Return a file name as valid text; invalid bytes become a replacement character."""
    return os.fsencode(word).decode(errors="replace")


REFINEMENT_NAME = re.compile(r"refine-([1-9][0-9]{0,5})")


def load_refinements(path: Path) -> tuple[Run, ...]:
    """Read the runs that refine the run in ``path``, a folder or a journal, in the order of their numbers.

    Raises:
        UserError: one of the journals cannot be read, or contradicts its own plan.
    """
    return tuple(map(load_run, refinement_folders(path)))


def refinement_folders(path: Path) -> list[Path]:
    """Return the folders of the runs that refine the run in ``path``, in the order of their numbers."""
    folder = path.parent if path.name == FILE_NAME else path
    if not folder.is_dir():
        return []
    return [subfolder for _, subfolder in _numbered(folder) if (subfolder / FILE_NAME).exists()]


def next_folder(folder: Path) -> Path:
    """Return the folder of the next refinement, numbered after all existing ones."""
    last_number = max((number for number, _ in _numbered(folder)), default=0)
    return folder / f"refine-{last_number + 1}"


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    paths = ((REFINEMENT_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in paths if match)
