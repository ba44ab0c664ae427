"""Runs the child processes of ``rnnbench verify``, some at a time, and turns whatever happens into rows."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.machine.child import LOOK_S, Child, ChildError, wait_for_any
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError
from bench.machine.signals import undisturbed
from bench.proof.child import Row, make_row
from bench.workload import catalog
from bench.workload.case import Case

CHILD = "bench.proof.child"

Progress = Callable[[int], None]  # called with the number of rows so far


@dataclass(frozen=True, slots=True)
class Job:
    """A variant to prove on a device, on cases by their number: the work of a process of its own."""

    spec: str  # the variant's name or module:object
    device: str
    numbers: list[int]


def expect(folder: Path, cases: Sequence[Case], *, timeout_s: float) -> list[Row]:
    """Have a NumPy process compute the expected results; return the rows about the reference.

    Raises:
        UserError: it died; says what it printed last.
    """
    (folder / "cases.json").write_bytes(msgspec.json.encode(cases))
    with _start(folder, "expect") as child:
        try:
            rows: list[Row] = child.receive(list[Row], timeout_s)
        except ChildError as error:
            child.stop()  # what it printed is whole from here on
            reason = f"the reference could not be computed: {error}: {child.last_line()}"
            raise UserError(reason) from error
    return rows


def run_jobs(
    folder: Path,
    cases: Sequence[Case],
    jobs: Sequence[Job],
    *,
    timeout_s: float,
    parallel: int = os.cpu_count() or 1,
    progress: Progress,
) -> list[Row]:
    """Run every job in a process of its own, ``parallel`` at a time, and return all their rows.

    A process that dies, or takes longer than ``timeout_s`` for a case, costs its variant the remaining rows,
    which say so.
    """
    waiting, running = list(jobs), list[_Proving]()
    rows: list[Row] = []
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                running.append(_Proving(waiting.pop(0), folder, cases, timeout_s))
            wait_for_any([proving.child for proving in running], LOOK_S)
            for proving in running:
                rows += proving.advance()
            running = [proving for proving in running if proving.left]
            progress(len(rows))
    finally:
        with undisturbed():
            for proving in running:
                proving.child.terminate()
            for proving in running:
                proving.child.stop()
    return rows


class _Proving:
    """A job in its process, which is asked for one case after the other."""

    def __init__(self, job: Job, folder: Path, cases: Sequence[Case], timeout_s: float) -> None:
        self._job, self._cases, self._timeout_s = job, cases, timeout_s
        self.left = list(job.numbers)
        self.child = _start(folder, "prove", job.spec, job.device)
        self._ask()

    def advance(self) -> list[Row]:
        """Return the rows that are new; a process that is done, or has failed, is stopped."""
        try:
            row: Row | None = self.child.take(Row)
            if row is None and time.monotonic() > self._deadline:
                raise ChildError("timeout", f"no result within {self._timeout_s:g} s")
            if row is None:
                return []
            del self.left[0]
            if self.left:
                self._ask()
                return [row]
        except ChildError as error:
            self.child.stop()
            return self._give_up(error)
        self.child.stop()
        return [row]

    def _ask(self) -> None:
        self._deadline = time.monotonic() + self._timeout_s
        self.child.send(self.left[0])

    def _give_up(self, error: ChildError) -> list[Row]:
        """Return rows that say of each case left why it has no result."""
        reason = str(error) if error.status == "timeout" else f"{error}: {self.child.last_line()}"
        variant, device = catalog.find(self._job.spec), self._job.device
        rows = [make_row(variant, device, self._cases[n], [], error.status, reason) for n in self.left]
        self.left = []
        return rows


def _start(folder: Path, *arguments: str) -> Child:
    """Start a child with one thread, in a worker's environment; what is compiled is kept in ``folder``."""
    variables = worker_environment(threads=1).variables
    variables |= {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
    return Child(CHILD, [str(folder), *arguments], variables)
