"""A child process: the one way in which every verb starts a Python of ours, bounds it, pauses it and ends it.

It is tied to this process's life (lifeline), leads a process group, and sends its replies as JSON lines on
a private pipe. Each reply has a deadline and a largest size; of what a child prints, only the end is kept.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import psutil

from bench.machine.environ import with_project
from bench.machine.errors import UserError
from bench.machine.lifeline import VARIABLE
from bench.machine.signals import undisturbed

LAUNCHER = (sys.executable, "-P", "-m", "bench.machine.lifeline")  # -P: not from where the user stands
MAX_REPLY_BYTES = 4 << 20
MAX_PRINTED_BYTES = 16 << 20  # on the disk at a time; what is older is dropped
TAIL_BYTES = 2000  # of what it printed, that may be asked for
GRACE_S = 1.0  # between TERM and KILL
KILLED_S = 10.0  # a process in the middle of a system call may outlive KILL for a while
DEADLINE_S = 120.0  # of a reply, where nobody asks for another
LOOK_S = 0.25  # how often to see whether it still lives, since a child of its own may keep the pipe open
KILLED = (-int(getattr(signal, "SIGKILL", 9)), 137)  # 137 is what a shell in between makes of it


def refuse_windows() -> None:
    """Raise UserError where children cannot be stopped, woken and ended."""
    if os.name == "nt":
        raise UserError(
            "processes are stopped, woken and ended together, which Windows cannot: use WSL, or "
            "pytest --benchmark"
        )


class ChildError(Exception):
    """The child gave no usable reply; ``status`` says how."""

    def __init__(self, status: Literal["crashed", "timeout", "oom"], reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Child(contextlib.AbstractContextManager["Child"]):
    """One child that runs ``module``: ``receive`` what it sends by itself, ``ask`` for the rest, ``stop`` it.

    Replies are decoded as the type that the caller expects; leaving a ``with`` block stops the child. A reply
    is due ``deadline_s`` after the start, or after the message that asks for it; the attribute may be changed
    between two replies.

    Raises:
        UserError: this is Windows.
        OSError: no process can be started, or there is no room for what it prints.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        deadline_s: float = DEADLINE_S,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        refuse_windows()
        self.deadline_s = deadline_s
        self._due = time.monotonic() + deadline_s
        self._max_reply_bytes = max_reply_bytes
        self._buffer = bytearray()
        # closed in stop; the child appends, so that what is old can be dropped while it prints
        self._printed = tempfile.TemporaryFile("ab+")  # noqa: SIM115
        self._tail = b""  # what came last of what was dropped; at the end, of everything
        self._terminated_at: float | None = None
        self._family: set[psutil.Process] = set()
        pipe, self._lifeline = os.pipe()
        try:
            with undisturbed():  # a signal now would leave a child that nobody knows of
                self._process = subprocess.Popen(
                    [*LAUNCHER, module, *arguments],
                    env=with_project(environment) | {VARIABLE: f"{os.getpid()}:{pipe}"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._printed,
                    pass_fds=(pipe,),
                    # a group of its own, so that Ctrl-C reaches the parent alone; in the parent's session,
                    # so that the kernel ends what is stopped when the parent is killed
                    process_group=0,
                )
                assert self._process.stdin is not None
                assert self._process.stdout is not None
                self._messages, self._replies = self._process.stdin, self._process.stdout
        except BaseException:
            if hasattr(self, "_messages"):  # a signal that was held back until here
                self.stop()
            else:
                os.close(self._lifeline)
                self._printed.close()
            raise
        finally:
            os.close(pipe)

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Return the process id, also that of the group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether the process is still there."""
        return self._process.poll() is None

    @property
    def late(self) -> bool:
        """Return whether its reply should be there by now."""
        return time.monotonic() > self._due

    def ask(self, message: object, expected: Any) -> Any:
        """Send a message and wait for the reply, of the ``expected`` type.

        Raises:
            ChildError: it died, broke the protocol of one reply a message, or gave none before the deadline.
        """
        self.send(message)
        return self.receive(expected)

    def send(self, message: object) -> None:
        """Send a message as a JSON line.

        Raises:
            ChildError: it died, or sent a reply before it was asked.
        """
        if self._buffer or _readable([self], 0.0):  # rather than take it for the answer to this message
            self._read(unwanted="sent a reply that nobody asked for")
        self._due = time.monotonic() + self.deadline_s
        try:
            self._messages.write(msgspec.json.encode(message) + b"\n")
            self._messages.flush()
        except OSError:
            raise self._ended() from None

    def receive(self, expected: Any) -> Any:
        """Wait for a reply of the ``expected`` type, until its deadline, which nothing it prints puts off.

        Raises:
            ChildError: as ``ask``.
        """
        while (reply := self.take(expected)) is None:
            _readable([self], min(max(0.0, self._due - time.monotonic()), LOOK_S))
        return reply

    def take(self, expected: Any) -> Any:
        """Return the reply if it is there as a whole, else None; do not wait for it.

        Raises:
            ChildError: it died, broke the protocol, or is late.
        """
        self._drop_old_prints()
        if b"\n" not in self._buffer:
            dead = not self.alive  # before looking: what it sent before it died is still read
            if _readable([self], 0.0):
                self._read()
            elif dead:
                raise self._ended()
        if b"\n" not in self._buffer:
            if not self.late:
                return None
            begun = f", only {len(self._buffer)} bytes of one" if self._buffer else ""
            raise ChildError("timeout", f"no reply within {self.deadline_s:g} s{begun}")
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = rest
        if rest:
            raise _broken("sent more than one reply")
        try:
            return msgspec.json.decode(line, type=expected)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _broken(f"sent what is no reply: {error}") from error

    def pause(self) -> None:
        """Stop the whole group: an idle thread pool that spins would slow the next child down."""
        self._signal("SIGSTOP")

    def resume(self) -> None:
        """Let the group run again."""
        self._signal("SIGCONT")

    def terminate(self) -> None:
        """Ask it, and all that it has started, to end; ``stop`` sees to it that they do."""
        self._note_family()
        self._signal("SIGTERM")
        self.resume()  # a stopped process does not see TERM
        if self._terminated_at is None:
            self._terminated_at = time.monotonic()

    def stop(self) -> None:
        """End it: TERM, and KILL for what is left after a grace period. Safe to call twice.

        The period counts from the first ``terminate``, so several stubborn children take no longer than one.
        """
        self.terminate()
        assert self._terminated_at is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, self._terminated_at + GRACE_S - time.monotonic()))
        self._note_family()
        self._signal("SIGKILL")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILLED_S)
        if self._printed.closed:
            return
        self._tail = self._last_bytes()
        os.close(self._lifeline)
        for file in (self._messages, self._replies, self._printed):
            with contextlib.suppress(OSError):
                file.close()

    def explain(self, error: ChildError) -> str:
        """End it, since what it printed is whole then; return the error with the last line of that."""
        self.stop()
        *_, last_line = ["it printed nothing", *self.last_words().splitlines()]
        return f"{error}: {last_line}"

    def last_words(self) -> str:
        """Return the end of what it printed."""
        tail = self._tail if self._printed.closed else self._last_bytes()
        return tail.decode(errors="replace").strip()

    def _read(self, unwanted: str = "") -> None:
        """Move what is in the pipe to the buffer.

        Raises:
            ChildError: it has closed the pipe, sent too much, or sent anything while that is ``unwanted``.
        """
        chunk = os.read(self._replies.fileno(), 1 << 20)
        if not chunk:
            raise self._ended()
        self._buffer += chunk
        if unwanted:
            raise _broken(unwanted)
        if len(self._buffer) > self._max_reply_bytes:
            raise _broken(f"sent a reply of more than {self._max_reply_bytes >> 20} MiB")

    def _drop_old_prints(self) -> None:
        """Free the disk of what it printed, where that is much, but for the end."""
        if os.fstat(self._printed.fileno()).st_size > MAX_PRINTED_BYTES:
            self._tail = self._last_bytes()
            self._printed.truncate(0)

    def _last_bytes(self) -> bytes:
        file = self._printed.fileno()
        start = max(0, os.fstat(file).st_size - TAIL_BYTES)
        return (self._tail + os.pread(file, TAIL_BYTES, start))[-TAIL_BYTES:]

    def _ended(self) -> ChildError:
        """Tell how it ended without a reply: called when its pipe has closed, or it is dead."""
        try:
            code = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return _broken("closed its pipe and went on")
        torn = f", after {len(self._buffer)} bytes of its reply" if self._buffer else ""
        if code in KILLED and self._terminated_at is None:  # and it was not us
            return ChildError("oom", f"killed by SIGKILL, as a system does that runs out of memory{torn}")
        if code < 0:
            names = {number.value: number.name for number in signal.Signals}  # a real-time signal has none
            return ChildError("crashed", f"killed by {names.get(-code, f'signal {-code}')}{torn}")
        if torn:
            return _broken(f"ended with exit code {code}{torn}")
        return ChildError("crashed", f"ended with exit code {code} before its reply")

    def _note_family(self) -> None:
        """Remember all that it has started: who is who can no longer be seen once it has ended."""
        with contextlib.suppress(psutil.Error, OSError):
            self._family.update(psutil.Process(self.pid).children(recursive=True))

    def _signal(self, name: str) -> None:
        """Signal the group, the process itself, which may have left it, and all that it has started."""
        if (number := getattr(signal, name, None)) is None:  # this platform has no such signal
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        processes: list[subprocess.Popen[bytes] | psutil.Process] = [self._process, *self._family]
        for process in processes:  # psutil sees to it that it is still the same process
            with contextlib.suppress(psutil.Error, OSError):
                process.send_signal(number)


def end_all(children: Collection[Child]) -> None:
    """End children, the stubborn ones together."""
    with undisturbed():
        for child in children:
            child.terminate()
        for child in children:
            child.stop()


def wait_for_any(children: Collection[Child]) -> list[Child]:
    """Return the children that have sent something, have ended or are late; wait for the first of them."""
    while not (ready := _readable(children, LOOK_S)):
        if ready := [child for child in children if child.late or not child.alive]:
            break
    return ready


def _readable(children: Collection[Child], wait_s: float) -> list[Child]:
    """Return the children whose pipes have something, or their end, within ``wait_s`` seconds."""
    with selectors.DefaultSelector() as selector:
        for child in children:
            selector.register(child._replies, selectors.EVENT_READ, child)
        return [key.data for key, _ in selector.select(wait_s)]


def program_output(
    command: Sequence[str], timeout_s: float, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> bytes | None:
    """Return what a program that is not ours prints; None where it is missing, fails or takes too long."""
    silent = subprocess.DEVNULL
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.check_output(
            command, cwd=cwd, env=env, stdin=silent, stderr=silent, timeout=timeout_s
        )
    return None


def _broken(how: str) -> ChildError:
    """Return the error of a child that did what no child of ours does."""
    return ChildError("crashed", f"protocol: it {how}")
