"""Write files safely: after any failure, a file is the old or the new one, never half of each.

The content goes to a new file in the same folder, which replaces the old file once the content is on the
disk. If the old file is a symbolic link to a file, the link is replaced and its target stays unchanged.

Only files are replaced. A pipe or a character device, or a link to one, gets the content at the end.
This module also has locks, and temporary folders for a verb: removed when the verb ends, or, if the verb was
killed, by a later run.
"""

import errno
import io
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from bench.machine.errors import UserError

SYSTEM_FOLDERS = ("dev", "proc")  # links in these folders, such as /dev/stdout, are never replaced
MAX_BYTES_IN_MEMORY = 2**24  # of content for a pipe; longer content is first written to a file
FOLDER_PREFIX = "rnnbench-"
OWNER = "owner"  # a file in a temporary folder, locked while the folder is in use
FILES = "files"  # all else; removed before the owner file, by which a later run finds leftovers
PATIENCE_S = 1.0  # how long to wait for the reader of a pipe


def as_path(name: str | Path) -> Path:
    """Return a user's file name as a path.

    Raises:
        UserError: the name is empty or holds a zero byte, and cannot be a file's name.
    """
    if name == "":  # Path would turn it into the current folder
        raise UserError("an empty text is no file's name")
    if "\0" in str(name):
        raise UserError(f"{str(name)!r} can be no file's name: it holds a zero byte")
    return Path(name)


def write_atomic(path: Path, content: bytes) -> None:
    """Write a whole file, or leave the old file unchanged.

    Raises:
        OSError: the file cannot be written; ``filename`` is ``path``.
    """
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that replaces ``path`` when the block ends; if the block raises, ``path`` stays unchanged.

    A pipe or a device is not replaced: the content is written to it when the block ends.

    Raises:
        OSError: ``path`` cannot be written: a folder, a disk, a pipe without a reader, or another reason;
            ``filename`` is ``path``.
    """
    refuse_target(path)
    target = path if is_stream(path) else _behind_system_link(path)
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if is_stream(path):
            with tempfile.SpooledTemporaryFile(MAX_BYTES_IN_MEMORY) as content:
                yield cast(BinaryIO, content)
                content.seek(0)
                with os.fdopen(_open_stream(path), "wb") as stream:
                    shutil.copyfileobj(content, stream)
            return
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):  # the new file keeps the access rights of the old file
            if stat.S_ISREG(mode := target.lstat().st_mode):
                temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
        sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and str(error.filename) in ("None", str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error  # hide the temporary name
        raise


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """Yield a text file as ``atomic_file`` does: UTF-8, with line ends as written.

    Raises:
        OSError: the file cannot be written; ``filename`` is ``path``.
    """
    with atomic_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        try:
            yield text
        finally:
            text.detach()  # else the wrapper closes the file when deleted


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk, so that a new name survives a power cut; not on Windows.

    Raises:
        OSError: the disk fails.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders; elsewhere, a folder may be writable but not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: the file system syncs files only
            raise
    finally:
        os.close(descriptor)


def refuse_target(path: Path) -> None:
    """Raise if a file of this name can never be written.

    Raises:
        OSError: ``path`` is a folder, a disk or a socket, or its folder is missing; ``filename`` is ``path``.
    """
    mode = _mode(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path))
    for is_kind, kind in ((stat.S_ISDIR, "a folder"), (stat.S_ISBLK, "a disk"), (stat.S_ISSOCK, "a socket")):
        if is_kind(mode):
            raise OSError(errno.EISDIR, f"it is {kind} and no file", str(path))


def check_writable(path: Path) -> None:
    """Raise if ``path`` cannot be written now; write nothing, and open no pipe.

    Raises:
        OSError: as in ``atomic_file``.
    """
    refuse_target(path)
    if is_stream(path):
        return
    try:
        tempfile.TemporaryFile(dir=_behind_system_link(path).parent).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def is_stream(path: Path) -> bool:
    """Return whether the path is a pipe or a character device: these are written to and never replaced."""
    mode = _mode(path)
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def open_to_read(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: as in ``open_regular``.
    """
    return os.fdopen(open_regular(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), "rb")


def open_regular(path: Path, flags: int) -> int:
    """Open a regular file with the flags of ``os.open``; return its descriptor.

    Raises:
        OSError: the file cannot be opened, or is not regular: a pipe's content may never begin or end.
    """
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.ESPIPE
        raise OSError(code, "it is no regular file", str(path))
    return descriptor


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file for this process; the lock ends with the process, even if that is killed.

    Returns:
        True: locked. False: another process has the lock. None: locks are impossible here, as on a network
        file system without locks, or on Windows.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


@contextmanager
def scratch_folder(verb: str) -> Iterator[Path]:
    """Yield a new temporary folder; first, remove the folders that killed runs left behind.

    Raises:
        OSError: no room, or no right to create the folder.
    """
    _remove_left_behind(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{FOLDER_PREFIX}{verb}-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (folder / f".{OWNER}").open("wb") as owner:
            if try_lock(owner.fileno()):  # rename only a locked file: else another run removes the folder
                (folder / f".{OWNER}").rename(folder / OWNER)
            (folder / FILES).mkdir()
            try:
                yield folder / FILES
            finally:
                shutil.rmtree(folder / FILES, ignore_errors=True)


def _mode(path: Path) -> int:
    """Return the file mode of ``path``, or of a link's target; 0 if nothing exists there."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


def _behind_system_link(path: Path) -> Path:
    """Return the target of a link in a system folder; for other paths, ``path`` itself."""
    if path.is_symlink() and path.parent.resolve().parts[1:2] in {(name,) for name in SYSTEM_FOLDERS}:
        return path.resolve(strict=True)
    return path


def _open_stream(path: Path) -> int:
    """Open a pipe or a device for writing; wait a moment for a pipe's reader."""
    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline_s:
                raise OSError(error.errno, "nobody reads from it", str(path)) from error
            time.sleep(0.01)
            continue
        if os.name != "nt":
            os.set_blocking(descriptor, True)  # only the opening must not block
        return descriptor


def _remove_left_behind(parent: Path) -> None:
    """Remove this user's folders whose owner file is no longer locked."""
    for owner in parent.glob(f"{FOLDER_PREFIX}*/{OWNER}"):
        with suppress(OSError), owner.open("rb") as file:
            is_ours = owner.stat().st_uid == os.getuid() and not owner.parent.is_symlink()
            for folder in (owner.parent / FILES, owner.parent) if is_ours and try_lock(file.fileno()) else ():
                shutil.rmtree(folder, ignore_errors=True)
