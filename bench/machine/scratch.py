"""Folders for what a verb needs while it runs: removed at its end, or by a later run where it was killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.machine.locking import try_lock

PREFIX = "rnnbench-"
OWNER = "owner"  # a file that is locked for as long as the folder is in use
FILES = "files"  # all else; removed before the owner, by which a later run knows what was left


@contextmanager
def scratch_folder(verb: str) -> Iterator[Path]:
    """Yield a new folder; before that, remove those that runs left which are no longer there.

    Raises:
        OSError: there is no room for it, or no right to make it.
    """
    _remove_left_behind(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{verb}-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / f".{OWNER}").open("wb") as owner:
            if try_lock(owner.fileno()):  # renamed only once it is: nobody may take it for left behind
                (folder / f".{OWNER}").rename(folder / OWNER)
            (folder / FILES).mkdir()
            try:
                yield folder / FILES
            finally:
                shutil.rmtree(folder / FILES, ignore_errors=True)


def _remove_left_behind(parent: Path) -> None:
    """Remove our folders whose owner no longer holds its lock; other people's stay."""
    for owner in parent.glob(f"{PREFIX}*/{OWNER}"):
        with suppress(OSError), owner.open("rb") as file:
            if (
                try_lock(file.fileno())
                and not owner.parent.is_symlink()
                and owner.stat().st_uid == os.getuid()
            ):
                shutil.rmtree(owner.parent / FILES, ignore_errors=True)
                shutil.rmtree(owner.parent, ignore_errors=True)
