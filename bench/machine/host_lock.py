"""Let one process at a time measure on this host: the owner of the blocks holds a lock, and others wait.

The lock is flock's, on a file that all users share. The kernel frees it when its owner ends, however it ends,
and no child inherits it. The text in the file only says, for people, who measures: the lock decides.
"""

import datetime
import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
import psutil

from bench.machine.busy import Say, complain
from bench.machine.errors import HostInUse
from bench.machine.files import open_regular, try_lock
from bench.machine.libraries import known
from bench.machine.wording import short

# TMPDIR would give each user a file of their own
VARIABLE, DEFAULT_PATH = "RNNBENCH_LOCK", "/tmp/rnnbench.lock"
EVERYBODY = 0o666  # of the file: each owner writes who measures
POLL_S = 0.5  # how often a waiting process looks: seldom, so as not to disturb what it waits for
CLOCK_S = 3.0  # by how much the system may be off about when a process began
MAX_BYTES = 4096  # of the text
MAX_CHARS = 200  # of the command in it


class Owner(msgspec.Struct, frozen=True):
    """Hold who measures, as the file says in JSON."""

    pid: int
    user: str
    since: datetime.datetime
    command: str

    @property
    def lives(self) -> bool:
        """Return whether the process is still there; one that began later has got its number anew."""
        began = known(s=lambda: psutil.Process(self.pid).create_time())
        return bool(began) and began["s"] <= self.since.timestamp() + CLOCK_S

    def __str__(self) -> str:
        since, now = self.since.astimezone(), datetime.datetime.now().astimezone()
        when = f"{since:%H:%M}" if since.date() == now.date() else f"{since:%Y-%m-%d %H:%M}"
        return f"process {self.pid} of {short(self.user, 40)} (since {when})"


@contextmanager
def host_lock(
    command: Sequence[str],
    *,
    no_wait: bool | None = False,
    say: Say = complain,
) -> Iterator[float]:
    """Hold the host's lock for the block, after the process that has it; yield the seconds waited.

    ``say`` is called for each process that is waited for. ``no_wait`` is None for a command without such an
    option. Where nothing can be locked, ``say`` is called once and the block runs all the same. A block
    within the block would wait for ever.

    Raises:
        HostInUse: another process has the lock, and ``no_wait`` is set.
    """
    path, begun_s, told = Path(os.environ.get(VARIABLE) or DEFAULT_PATH), time.monotonic(), ""
    hint = "" if no_wait is None else "; --no-wait refuses"
    with ExitStack() as stack:
        try:
            descriptor = _open(path)
            stack.callback(os.close, descriptor)
        except OSError as error:
            locked, why = None, error.strerror
        else:
            why = "its file system has no locks"
            while (locked := try_lock(descriptor)) is False:
                owner = _owner(descriptor)
                if no_wait:
                    raise HostInUse(f"{owner} measures on this host; without --no-wait this one waits for it")
                if (line := f"waits for {owner}{hint}") != told:
                    say(line)
                    told = line
                time.sleep(POLL_S)
        if locked:
            stack.callback(_write, descriptor, b"")
            _write(descriptor, _text(command))
        else:
            say(f"cannot lock {path} ({why}), so others may measure meanwhile; {VARIABLE} names another file")
        yield time.monotonic() - begun_s


def _open(path: Path) -> int:
    """Open the lock file, for writing if possible, and make it if it is missing.

    The folder is one in which everybody writes. So links are not followed, a file that has a second name is
    refused, as it may be anybody's, and an existing file is opened without O_CREAT, which Linux refuses there
    for a file of another user (fs.protected_regular).

    Raises:
        OSError: the file cannot be made or opened, or is not regular.
    """
    with suppress(FileExistsError):
        made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, EVERYBODY)
        try:
            os.fchmod(made, EVERYBODY)  # the umask has taken something away
        finally:
            os.close(made)
    try:
        descriptor = open_regular(path, os.O_RDWR | os.O_NOFOLLOW)
    except PermissionError:
        descriptor = open_regular(path, os.O_RDONLY | os.O_NOFOLLOW)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EMLINK, "it has another name", str(path))
    return descriptor


def _owner(descriptor: int) -> str:
    """Return who measures; the text of a process that has ended is not believed."""
    with suppress(Exception):  # anybody may have written anything
        owner = msgspec.json.decode(os.pread(descriptor, MAX_BYTES, 0), type=Owner)
        if owner.lives:
            return str(owner)
    return "another process"


def _text(command: Sequence[str]) -> bytes:
    """Return what the file says of this process."""
    user = known(name=lambda: psutil.Process().username()).get("name", "?")
    since = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    owner = Owner(os.getpid(), user, since, short(" ".join(command), MAX_CHARS))
    return msgspec.json.encode(owner) + b"\n"


def _write(descriptor: int, text: bytes) -> None:
    """Replace the text, which nothing depends on: the disk may be full, or the file another user's."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
