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
from pathlib import Path

import msgspec

from bench.measure.messages import Job, Reply
from bench.results.record import Arm, Status

PROJECT = Path(__file__).parents[2]  # where `bench` is found, also when it is not installed
WORKER = (sys.executable, "-P", "-m", "bench.measure.worker")  # -P: not from where the user stands
MAX_REPLY_BYTES = 4 << 20
STDERR_TAIL = 2000
GRACE_S = 1.0  # between TERM and KILL


class WorkerError(Exception):
    """The worker gave no usable reply; ``status`` says how: crashed or timeout."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WorkerProcess:
    """One worker. Start it, ``receive`` its ``Ready``, then ``ask`` it job by job; always ``stop`` it."""

    def __init__(self, arm: Arm, rehearsal: Job, environment: Mapping[str, str]) -> None:
        self.arm = arm
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in stop)
        paths = [str(PROJECT), environment.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [*WORKER, arm.spec, str(arm.threads), msgspec.json.encode(rehearsal)],
            env=dict(environment) | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            # a group of its own, so that Ctrl-C reaches the runner alone; in the runner's session, so that
            # the kernel ends what is stopped when the runner is killed
            process_group=0,
        )
        self._buffer = b""
        self._last_words = ""

    @property
    def pid(self) -> int:
        """Process id, also that of the group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def ask(self, job: Job, deadline_s: float) -> Reply:
        """Wake the worker, send it a job, wait for the reply, put it to sleep again.

        Raises:
            WorkerError: it died, sent rubbish, or gave no reply before the deadline.
        """
        assert self._process.stdin is not None
        self.resume()
        try:
            self._process.stdin.write(msgspec.json.encode(job) + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerError("crashed", self._epitaph()) from None
        reply = self.receive(deadline_s)
        self.pause()
        return reply

    def receive(self, deadline_s: float) -> Reply:
        """Wait for one line on the private pipe.

        Raises:
            WorkerError: as ``ask``.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + deadline_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                if not selector.select(max(0.0, left)):
                    raise WorkerError("timeout", f"no reply within {deadline_s:g} s")
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise WorkerError("crashed", self._epitaph())
                self._buffer += chunk
                if len(self._buffer) > MAX_REPLY_BYTES:
                    raise WorkerError("crashed", "its reply does not end")
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return msgspec.json.decode(line, type=Reply)  # type: ignore[no-any-return]
        except msgspec.MsgspecError as error:
            raise WorkerError("crashed", f"its reply is not readable: {error}") from error

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

    def stop(self) -> None:
        """End the group: TERM, and KILL for what is left after a grace period. Safe to call twice."""
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
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

    def _epitaph(self) -> str:
        """How the process ended, once its pipe has closed."""
        try:
            code = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code} before its reply"

    def _signal(self, number: int | None) -> None:
        if number is None:  # this platform has no such signal
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
