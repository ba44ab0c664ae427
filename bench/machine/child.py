"""Start, limit, pause and end child processes: every verb starts its Python processes in this way.

A child ends with this process (see ``lifeline``), leads a process group, and sends its replies as JSON lines
on a private pipe. Each reply has a deadline and a maximum size. Of a child's output, only the end is kept.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import psutil

from bench.machine.environ import with_project
from bench.machine.errors import UserError
from bench.machine.lifeline import VARIABLE
from bench.machine.signals import signals_held_back

LAUNCHER = (sys.executable, "-P", "-m", "bench.machine.lifeline")  # -P: do not import from the current folder
MAX_REPLY_BYTES = 4 << 20
MAX_PRINTED_BYTES = 16 << 20  # on the disk at a time; older output is dropped
TAIL_BYTES = 2000  # length of the kept end of the output
GRACE_S = 1.0  # between TERM and KILL
KILLED_S = 10.0  # a process in the middle of a system call may outlive KILL for a while
DEADLINE_S = 120.0  # default for a reply
LOOK_S = 0.25  # how often to check that a child lives: its descendants may keep the pipe open
KILL_EXIT_CODES = (-int(getattr(signal, "SIGKILL", 9)), 137)  # a shell in between turns the first into 137
LIVING: set["Child"] = set()  # all that this process has started and not yet stopped


def refuse_windows() -> None:
    """Raise UserError on Windows, where process groups cannot be stopped, resumed and ended."""
    if os.name == "nt":
        raise UserError(
            "processes are stopped, woken and ended together, which Windows cannot: use WSL, or "
            "pytest --benchmark"
        )


class ChildError(Exception):
    """Report that a child gave no usable reply; ``status`` says how the child failed."""

    def __init__(self, status: Literal["crashed", "timeout", "oom"], reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Child(contextlib.AbstractContextManager["Child"]):
    """Run ``module`` in a child process: ``ask`` or ``receive`` its replies, then ``stop`` the child.

    A reply is decoded as the type that the caller expects. A reply is due ``deadline_s`` after the start, or
    after the message that asks for it. ``deadline_s`` may be changed between two replies. Leaving a ``with``
    block stops the child.

    Raises:
        UserError: this is Windows.
        OSError: the process cannot be started, or the disk has no room for its output.
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
        import fcntl  # Windows, refused above, has no such module

        self._printed = tempfile.TemporaryFile("ab+")  # noqa: SIM115  # closed in stop
        # the child appends, so that old output can be dropped meanwhile; Python leaves O_APPEND out
        flags = fcntl.fcntl(self._printed, fcntl.F_GETFL)
        fcntl.fcntl(self._printed, fcntl.F_SETFL, flags | os.O_APPEND)
        self._tail = b""  # the end of the dropped output; after stop, the end of all output
        self._terminated_at: float | None = None
        self._family: set[psutil.Process] = set()
        pipe, self._lifeline = os.pipe()
        try:
            with signals_held_back():  # a signal at this point would leave a child that nobody ends
                self._process = subprocess.Popen(
                    [*LAUNCHER, module, *arguments],
                    env=with_project(environment) | {VARIABLE: f"{os.getpid()}:{pipe}"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._printed,
                    pass_fds=(pipe,),
                    # a new group, so that Ctrl-C reaches the parent alone; in the parent's session, so that
                    # the kernel ends a stopped child when the parent is killed
                    process_group=0,
                )
                assert self._process.stdin is not None
                assert self._process.stdout is not None
                self._messages, self._replies = self._process.stdin, self._process.stdout
                LIVING.add(self)
        except BaseException:
            if self in LIVING:  # a held-back signal came
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
        """Return the process id, which is also the id of the group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether the process is alive."""
        return self._process.poll() is None

    @property
    def late(self) -> bool:
        """Return whether the reply is overdue."""
        return time.monotonic() > self._due

    def ask(self, message: object, expected: Any) -> Any:
        """Send a message and wait for the reply, of the ``expected`` type.

        Raises:
            ChildError: the child died, did not send exactly one reply a message, or missed the deadline.
        """
        self.send(message)
        return self.receive(expected)

    def send(self, message: object) -> None:
        """Send a message as a JSON line.

        Raises:
            ChildError: the child died, or sent a reply before this message.
        """
        if self._buffer or _readable([self], 0.0):  # an early reply must not count as the answer
            self._read(unwanted="sent a reply that nobody asked for")
        self._due = time.monotonic() + self.deadline_s
        try:
            self._messages.write(msgspec.json.encode(message) + b"\n")
            self._messages.flush()
        except OSError:
            raise self._ended() from None

    def receive(self, expected: Any) -> Any:
        """Wait for a reply of the ``expected`` type until the deadline; printed output does not extend this.

        Raises:
            ChildError: as in ``ask``.
        """
        while (reply := self.take(expected)) is None:
            _readable([self], min(max(0.0, self._due - time.monotonic()), LOOK_S))
        return reply

    def take(self, expected: Any) -> Any:
        """Return the reply if complete, else None; do not wait.

        Raises:
            ChildError: the child died, broke the protocol, or is late.
        """
        self._drop_old_prints()
        if b"\n" not in self._buffer:
            dead = not self.alive  # checked before reading: a dead child's last reply still counts
            if _readable([self], 0.0):
                self._read()
            elif dead:
                raise self._ended()
        if b"\n" not in self._buffer:
            if not self.late:
                return None
            partial = f", only {len(self._buffer)} bytes of one" if self._buffer else ""
            raise ChildError("timeout", f"no reply within {self.deadline_s:g} s{partial}")
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = rest
        if rest:
            raise _broken("sent more than one reply")
        try:
            return msgspec.json.decode(line, type=expected)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _broken(f"sent what is no reply: {error}") from error

    def descendants(self) -> list[psutil.Process]:
        """Return all processes that the child started, and remember them.

        After the child's end the system no longer lists them, and ``stop`` ends those that are remembered.
        """
        with contextlib.suppress(psutil.Error, OSError):
            found = psutil.Process(self.pid).children(recursive=True)
            self._family.update(found)
            return found
        return []

    def pause(self) -> None:
        """Stop the whole group: an idle thread pool that spins would slow the next child."""
        self._signal("SIGSTOP")

    def resume(self) -> None:
        """Let the group continue."""
        self._signal("SIGCONT")

    def terminate(self) -> None:
        """Ask the child, and all processes that it started, to end; ``stop`` kills what remains."""
        self.descendants()
        self._signal("SIGTERM")
        self.resume()  # a stopped process does not see TERM
        if self._terminated_at is None:
            self._terminated_at = time.monotonic()

    def stop(self) -> None:
        """End the child: send TERM, and KILL after a grace period. Safe to call twice.

        The period counts from the first ``terminate``, so several stubborn children end within one period.
        """
        self.terminate()
        assert self._terminated_at is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, self._terminated_at + GRACE_S - time.monotonic()))
        self.descendants()
        self._signal("SIGKILL")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILLED_S)
        if self._printed.closed:
            return
        self._tail = self._last_bytes()
        LIVING.discard(self)
        os.close(self._lifeline)
        for file in (self._messages, self._replies, self._printed):
            with contextlib.suppress(OSError):
                file.close()

    def explain(self, error: ChildError) -> str:
        """End the child, so that its output is complete; return the error with the output's last line."""
        self.stop()
        *_, last_line = ["it printed nothing", *self.last_words().splitlines()]
        return f"{error}: {last_line}"

    def last_words(self) -> str:
        """Return the end of the child's output."""
        tail = self._tail if self._printed.closed else self._last_bytes()
        return tail.decode(errors="replace").strip()

    def _read(self, unwanted: str = "") -> None:
        """Move received bytes from the pipe to the buffer.

        Raises:
            ChildError: the child closed the pipe, sent too much, or sent anything while ``unwanted`` is set.
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
        """Delete the child's output from the disk if it is large, except for its end."""
        if os.fstat(self._printed.fileno()).st_size > MAX_PRINTED_BYTES:
            self._tail = self._last_bytes()
            self._printed.truncate(0)

    def _last_bytes(self) -> bytes:
        descriptor = self._printed.fileno()
        start = max(0, os.fstat(descriptor).st_size - TAIL_BYTES)
        return (self._tail + os.pread(descriptor, TAIL_BYTES, start))[-TAIL_BYTES:]

    def _ended(self) -> ChildError:
        """Return how the child ended without a reply; called when its pipe is closed or the child is dead."""
        try:
            code = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return _broken("closed its pipe and went on")
        partial = f", after {len(self._buffer)} bytes of its reply" if self._buffer else ""
        if code in KILL_EXIT_CODES and self._terminated_at is None:  # not killed by this process
            return ChildError("oom", f"killed by SIGKILL, as a system does that runs out of memory{partial}")
        if code < 0:
            names = {number.value: number.name for number in signal.Signals}  # a real-time signal has none
            return ChildError("crashed", f"killed by {names.get(-code, f'signal {-code}')}{partial}")
        if partial:
            return _broken(f"ended with exit code {code}{partial}")
        return ChildError("crashed", f"ended with exit code {code} before its reply")

    def _signal(self, name: str) -> None:
        """Signal the group, the child itself, which may have left the group, and all its descendants."""
        if (number := getattr(signal, name, None)) is None:  # this platform has no such signal
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        processes: list[subprocess.Popen[bytes] | psutil.Process] = [self._process, *self._family]
        for process in processes:  # psutil checks that the process is still the same
            with contextlib.suppress(psutil.Error, OSError):
                process.send_signal(number)


def end_all(children: Collection[Child]) -> None:
    """End children; the grace periods of stubborn children overlap."""
    with signals_held_back():
        for child in children:
            child.terminate()
        for child in children:
            child.stop()


@contextlib.contextmanager
def ending_children() -> Iterator[None]:
    """End, after the block, all children that were started in it and live, whoever holds them, if anybody.

    A signal may come between the start of a child and its assignment to a name.
    """
    before = LIVING.copy()
    try:
        yield
    finally:
        end_all(LIVING - before)


def wait_for_any(children: Collection[Child]) -> list[Child]:
    """Wait until a child has sent something, has ended or is late; return all such children."""
    while not (ready := _readable(children, LOOK_S)):
        if ready := [child for child in children if child.late or not child.alive]:
            break
    return ready


def _readable(children: Collection[Child], wait_s: float) -> list[Child]:
    """Return the children whose pipes have data or are closed; wait up to ``wait_s`` seconds for one."""
    with selectors.DefaultSelector() as selector:
        for child in children:
            selector.register(child._replies, selectors.EVENT_READ, child)
        return [key.data for key, _ in selector.select(wait_s)]


def program_output(
    command: Sequence[str], timeout_s: float, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> bytes | None:
    """Return another program's output; None if the program is missing, fails or takes too long."""
    devnull = subprocess.DEVNULL
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.check_output(
            command, cwd=cwd, env=env, stdin=devnull, stderr=devnull, timeout=timeout_s
        )
    return None


def _broken(how: str) -> ChildError:
    """Return the error of a child that broke the protocol."""
    return ChildError("crashed", f"protocol: it {how}")
