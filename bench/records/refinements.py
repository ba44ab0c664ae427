"""The runs that refine a grid lie in folders of its own: ``refine-1``, ``refine-2``, ..."""

import re
from pathlib import Path

from bench.records.journal import FILE_NAME, Run, load_run

NAME = re.compile(r"refine-([1-9][0-9]{0,5})")


def load_refinements(path: Path) -> tuple[Run, ...]:
    """Read the runs that refine the one in ``path``, a folder or a journal, in their order.

    Raises:
        UserError: one of the journals cannot be read, or contradicts its own plan.
    """
    folder = path.parent if path.name == FILE_NAME else path
    if not folder.is_dir():
        return ()
    return tuple(load_run(one) for _, one in _numbered(folder) if (one / FILE_NAME).exists())


def next_folder(folder: Path) -> Path:
    """The folder of the next refinement, after all that exist."""
    last = max((number for number, _ in _numbered(folder)), default=0)
    return folder / f"refine-{last + 1}"


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    found = ((NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)
