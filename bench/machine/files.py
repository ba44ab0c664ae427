"""Files that are either the old or the new one, never half of each, whatever goes wrong meanwhile.

The content goes to a new file in the same folder, which takes the old one's place once it is on the disk.
Where the old one is a symbolic link to a file, the link is replaced; what it points to stays as it is.

Only files are replaced. A pipe or a character device, or a link to one, gets the content once that is whole.
Here are also locks, and folders for what a verb needs while it runs: they are removed at its end, or by a
later run where it was killed.
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

SYSTEM = ("dev", "proc")  # the links in there, as /dev/stdout, are nobody's to replace
IN_MEMORY = 2**24  # bytes of a content that waits for its pipe; a longer one waits in a file
PREFIX = "rnnbench-"
OWNER = "owner"  # a file that is locked for as long as the folder is in use
FILES = "files"  # all else; removed before the owner, by which a later run knows what was left
PATIENCE_S = 1.0  # with a pipe that nobody reads yet


def as_path(name: str | Path) -> Path:
    """Return a path as a person gave it.

    Raises:
        UserError: it is empty or holds a zero byte, which no file's name does.
    """
    if name == "":  # Path would take it for the folder in which the user stands
        raise UserError("an empty text is no file's name")
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
    """Yield a file to write to, which becomes ``path`` when the block ends, and nothing when it raises.

    A pipe or a device stays what it is: the content is written to it when the block ends.

    Raises:
        OSError: it cannot be written, as a folder, a disk, or a pipe that nobody reads; ``filename`` is
            ``path``.
    """
    refuse_target(path)
    real = path if is_stream(path) else _behind_system_link(path)
    temporary = real.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if is_stream(path):
            with tempfile.SpooledTemporaryFile(IN_MEMORY) as content:
                yield cast(BinaryIO, content)
                content.seek(0)
                with os.fdopen(_open_stream(path), "wb") as stream:
                    shutil.copyfileobj(content, stream)
            return
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):  # who may read the old file may read the new one, and nobody else
            if stat.S_ISREG(mode := real.lstat().st_mode):
                temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(real)
        sync_folder(real.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and str(error.filename) in ("None", str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error  # nobody knows the other name
        raise


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """Yield a file as ``atomic_file`` does, for text: UTF-8, line ends as they are written.

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


def refuse_target(path: Path) -> None:
    """Raise where a file of this name can never be written.

    Raises:
        OSError: it is a folder, a disk or a socket, or has no folder; ``filename`` is ``path``.
    """
    mode = _mode(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path))
    for is_one, what in ((stat.S_ISDIR, "a folder"), (stat.S_ISBLK, "a disk"), (stat.S_ISSOCK, "a socket")):
        if is_one(mode):
            raise OSError(errno.EISDIR, f"it is {what} and no file", str(path))


def check_writable(path: Path) -> None:
    """Raise where ``path`` could not be written now; nothing is written to it, and no pipe is opened.

    Raises:
        OSError: as ``atomic_file``.
    """
    refuse_target(path)
    if is_stream(path):
        return
    try:
        tempfile.TemporaryFile(dir=_behind_system_link(path).parent).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def is_stream(path: Path) -> bool:
    """Return whether it is a pipe or a character device, which take what is written and stay."""
    mode = _mode(path)
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def open_to_read(path: Path) -> BinaryIO:
    """Open a regular file to read it.

    Raises:
        OSError: as ``open_regular``.
    """
    return os.fdopen(open_regular(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), "rb")


def open_regular(path: Path, flags: int) -> int:
    """Open a regular file with the flags of ``os.open``; return its descriptor.

    Raises:
        OSError: it cannot be opened, or is something else: what a pipe holds may never end, or begin.
    """
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.ESPIPE
        raise OSError(number, "it is no regular file", str(path))
    return descriptor


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file for this process; the lock ends with the process, however that ends.

    Returns:
        True: it is locked. False: another process has the lock. None: nothing can be locked here, as on a
        network file system without locks, or on Windows.
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


def _mode(path: Path) -> int:
    """Return what ``path`` is, or what it points to; 0 where there is nothing yet."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


def _behind_system_link(path: Path) -> Path:
    """Return the file that a link of the system's points to; ``path`` itself where it is no such link."""
    if path.is_symlink() and path.parent.resolve().parts[1:2] in {(name,) for name in SYSTEM}:
        return path.resolve(strict=True)
    return path


def _open_stream(path: Path) -> int:
    """Open a pipe or a device to write to it; a pipe's reader may come a moment late, or never."""
    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    last = time.monotonic() + PATIENCE_S
    while True:
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > last:
                raise OSError(error.errno, "nobody reads from it", str(path)) from error
            time.sleep(0.01)
            continue
        if os.name != "nt":
            os.set_blocking(descriptor, True)  # the opening alone must not wait for ever
        return descriptor


def _remove_left_behind(parent: Path) -> None:
    """Remove our folders whose owner no longer holds its lock; other people's stay."""
    for owner in parent.glob(f"{PREFIX}*/{OWNER}"):
        with suppress(OSError), owner.open("rb") as file:
            ours = owner.stat().st_uid == os.getuid() and not owner.parent.is_symlink()
            for folder in (owner.parent / FILES, owner.parent) if ours and try_lock(file.fileno()) else ():
                shutil.rmtree(folder, ignore_errors=True)
