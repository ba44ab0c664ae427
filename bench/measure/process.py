"""A worker as the runner sees it: a process group with a private pipe, deadlines and a pause button."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping

import msgspec

from bench.host.environ import with_project
from bench.measure.messages import AnyJob, Job, Ready, Reply
from bench.measure.signals import undisturbed
from bench.results.record import Arm, Status

WORKER = (sys.executable, "-P", "-m", "bench.measure.worker")  # -P: not from where the user stands
MAX_REPLY_BYTES = 4 << 20
STDERR_TAIL = 2000
GRACE_S = 1.0  # between TERM and KILL
LOOK_S = 1.0  # how often to see whether it still lives: a child of its own may keep the pipe open
KILLED = (-int(getattr(signal, "SIGKILL", 9)), 137)  # 137 is what a shell in between makes of it


class WorkerError(Exception):
    """The worker gave no usable reply; ``status`` says how: crashed, timeout or oom."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WorkerProcess:
    """One worker. Start it, ``receive`` its ``Ready``, then ``ask`` it job by job; always ``stop`` it."""

    def __init__(self, arm: Arm, rehearsal: Job, environment: Mapping[str, str]) -> None:
        self.arm = arm
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in stop)
        self._buffer = b""
        self._last_words = ""
        self._terminated_at: float | None = None
        try:
            with undisturbed():  # a signal now would leave a worker that nobody knows of
                self._process = subprocess.Popen(
                    [*WORKER, arm.spec, str(arm.threads), msgspec.json.encode(rehearsal)],
                    env=with_project(environment),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._stderr,
                    # a group of its own, so that Ctrl-C reaches the runner alone; in the runner's session,
                    # so that the kernel ends what is stopped when the runner is killed
                    process_group=0,
                )
        except KeyboardInterrupt:  # held back until here
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Process id, also that of the group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def ask(self, job: AnyJob, deadline_s: float) -> Reply:
        """Wake the worker, send it a job, wait for the reply, put it to sleep again.

        Raises:
            WorkerError: it died, broke the protocol of one reply a job, or gave none before the deadline.
        """
        assert self._process.stdin is not None
        if self._buffer or self._readable(0.0):  # rather than take it for the answer to this job
            self._receive_more("sent a reply that nobody asked for")
        self.resume()
        try:
            self._process.stdin.write(msgspec.json.encode(job) + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        reply = self.receive(deadline_s)
        self.pause()
        if isinstance(reply, Ready):
            raise _broken("said once more that it is ready")
        return reply

    def receive(self, deadline_s: float) -> Reply:
        """Wait for one line on the private pipe, until a deadline that nothing it prints puts off.

        Raises:
            WorkerError: as ``ask``.
        """
        deadline = time.monotonic() + deadline_s
        while b"\n" not in self._buffer:
            if (left := deadline - time.monotonic()) <= 0:
                begun = f", only {len(self._buffer)} bytes of one" if self._buffer else ""
                raise WorkerError("timeout", f"no reply within {deadline_s:g} s{begun}")
            dead = not self.alive  # before looking: what it sent before it died is still read
            if self._readable(0.0 if dead else min(left, LOOK_S)):
                self._receive_more()
            elif dead:
                raise self._ended()
        line, _, self._buffer = self._buffer.partition(b"\n")
        if self._buffer:
            raise _broken("sent more than one reply")
        try:
            return msgspec.json.decode(line, type=Reply)  # type: ignore[no-any-return]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _broken(f"sent what is no reply: {error}") from error

    def _receive_more(self, unwanted: str = "") -> None:
        """Read what is there into the buffer.

        Raises:
            WorkerError: it has closed the pipe, sent too much, or sent anything while that is ``unwanted``.
        """
        assert self._process.stdout is not None
        chunk = os.read(self._process.stdout.fileno(), 1 << 16)
        if not chunk:
            raise self._ended()
        self._buffer += chunk
        if unwanted:
            raise _broken(unwanted)
        if len(self._buffer) > MAX_REPLY_BYTES:
            raise _broken(f"sent a reply of more than {MAX_REPLY_BYTES >> 20} MiB")

    def _readable(self, wait_s: float) -> bool:
        """Whether the pipe has something, or its end, within ``wait_s`` seconds."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            return bool(selector.select(wait_s))

    def pause(self) -> None:
        """Stop the whole group: an idle thread pool that spins would slow the next arm down."""
        self._signal(getattr(signal, "SIGSTOP", None))

    def resume(self) -> None:
        """Let the group run again."""
        self._signal(getattr(signal, "SIGCONT", None))

    def terminate(self) -> None:
        """Ask the group to end; ``stop`` sees to it that it does."""
        self._signal(signal.SIGTERM)
        self.resume()  # a stopped process does not see TERM
        if self._terminated_at is None:
            self._terminated_at = time.monotonic()

    def stop(self) -> None:
        """End the group: TERM, and KILL for what is left after a grace period. Safe to call twice.

        The period counts from the first ``terminate``, so several stubborn workers take no longer than one.
        """
        self.terminate()
        assert self._terminated_at is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, self._terminated_at + GRACE_S - time.monotonic()))
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        self._process.wait()
        self._last_words = self.stderr_tail()
        for file in (self._process.stdin, self._process.stdout, self._stderr):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()

    def stderr_tail(self) -> str:
        """The last lines it printed."""
        if self._stderr.closed:
            return self._last_words
        end = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, end - STDERR_TAIL))
        return self._stderr.read().decode(errors="replace").strip()

    def _ended(self) -> WorkerError:
        """How it ended without a reply: called when its pipe has closed, or it is dead."""
        try:
            code = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return _broken("closed its pipe and went on")
        torn = f", after {len(self._buffer)} bytes of its reply" if self._buffer else ""
        if code in KILLED and self._terminated_at is None:  # and it was not us
            return WorkerError("oom", f"killed by SIGKILL, as a system does that runs out of memory{torn}")
        if code < 0:
            return WorkerError("crashed", f"killed by {_signal_name(-code)}{torn}")
        if torn:
            return _broken(f"ended with exit code {code}{torn}")
        return WorkerError("crashed", f"ended with exit code {code} before its reply")

    def _signal(self, number: int | None) -> None:
        if number is None:  # this platform has no such signal
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _broken(how: str) -> WorkerError:
    """The worker did what no worker of ours does."""
    return WorkerError("crashed", f"protocol: it {how}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"
