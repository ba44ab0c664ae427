"""A training child as its parent sees it: messages one by one, and an end for whatever happens."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import msgspec

from bench.host.environ import with_project
from bench.training.records import Message

GRACE_S = 2.0  # between the end of its input and KILL
LAST_WORDS = 500  # characters of it at most


class ChildError(Exception):
    """The child died before it was done; says how, and what it printed last."""


class Child:
    """One child at work. ``receive`` a message, then let it ``go_on``."""

    def __init__(self, job: Path, environment: Mapping[str, str]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.training.child", str(job)],
            env=with_project(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # Ctrl-C reaches the parent alone
        )

    def receive(self) -> Message | None:
        """Wait for the next message; None when the child is done.

        Raises:
            ChildError: it died.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.endswith(b"\n"):
            return msgspec.json.decode(line, type=Message)  # type: ignore[no-any-return]
        code = self._process.wait()
        if code == 0:
            return None
        ending = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._stderr.seek(0)
        words = self._stderr.read().decode(errors="replace").strip().rpartition("\n")[2][-LAST_WORDS:]
        raise ChildError(f"{ending}: {words or 'it printed nothing'}")

    def go_on(self) -> None:
        """Let it take its next steps; one that has died is noticed by ``receive``."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it: it may finish the steps it is at, and no more."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()
