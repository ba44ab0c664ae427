"""Files that are either the old or the new one, never half of each, whatever goes wrong meanwhile.

The content goes to a new file in the same folder, which takes the old one's place once it is on the disk.
Where the old one is a symbolic link, the link is replaced; what it points to stays as it is.
"""

import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from bench.errors import UserError


def as_path(name: str | Path) -> Path:
    """A path as a person gave it.

    Raises:
        UserError: it holds a zero byte, which no file's name does.
    """
    if "\0" in str(name):
        raise UserError(f"{str(name)!r} can be no file's name: it holds a zero byte")
    return Path(name)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a whole file, or leave what is there untouched.

    Raises:
        OSError: it cannot be written; ``filename`` is ``path``.
    """
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which becomes ``path`` when the block ends, and nothing when it raises.

    Raises:
        OSError: it cannot be written; ``filename`` is ``path``.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _keep_mode(path, temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and str(error.filename) in ("None", str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error  # nobody knows the other name
        raise


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """As ``atomic_file``, for text: UTF-8, line ends as they are written.

    Raises:
        OSError: it cannot be written; ``filename`` is ``path``.
    """
    with atomic_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        try:
            yield text
        finally:
            text.detach()  # else it would close the file when it goes


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk, so that a new name outlives a power cut; not on Windows.

    Raises:
        OSError: the disk cannot do it.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders; elsewhere one may be writable but not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that syncs files only
            raise
    finally:
        os.close(descriptor)


def _keep_mode(path: Path, temporary: Path) -> None:
    """Who may read the old file may read the new one, and nobody else."""
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            temporary.chmod(stat.S_IMODE(mode))
