"""The folder of a run: one that holds no run yet, and its name as text."""

import os
from pathlib import Path

from bench.errors import UserError
from bench.results.files import as_path
from bench.results.reading import FILE_NAME


def free_folder(name: str) -> Path:
    """The folder of that name, which need not be there.

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
    """What a run in this folder is called."""
    return as_text(Path(os.path.normpath(folder.absolute())).name)


def as_text(word: str) -> str:
    """A file's name as text that can be written, whatever bytes it is made of."""
    return os.fsencode(word).decode(errors="replace")
