"""Runs the child processes of ``rnnbench verify``, some at a time, and turns whatever happens into rows."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import catalog
from bench.case import Case
from bench.errors import UserError
from bench.host.environ import with_project, worker_environment
from bench.results.record import Status
from bench.verification.child import Job, Row, make_row

POLL_S = 0.05
LAST_WORDS = 500  # characters of it at most

Progress = Callable[[int], None]  # called with the number of rows so far


@dataclass(slots=True)
class _Child:
    """A job in its process."""

    job: Job
    process: subprocess.Popen[bytes]
    output: Path  # all that it prints
    deadline: float


def expect(folder: Path, cases: Sequence[Case], *, timeout_s: float) -> list[Row]:
    """Have a NumPy process compute the expected results; return the rows about the reference.

    Raises:
        UserError: it died; says what it printed last.
    """
    (folder / "cases.json").write_bytes(msgspec.json.encode(cases))
    child = _start(["expect", str(folder)], folder / "reference.txt")
    try:
        code = child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise UserError(f"the reference took more than {timeout_s:g} s; is the machine busy?") from None
    finally:
        child.kill()
        child.wait()
    if code != 0:
        words = _last_words(folder / "reference.txt")
        raise UserError(f"the reference could not be computed ({_ending(code)}): {words}")
    return _read_rows(folder / "reference.jsonl")


def run_jobs(
    folder: Path,
    cases: Sequence[Case],
    jobs: Sequence[Job],
    *,
    timeout_s: float,
    parallel: int,
    progress: Progress,
) -> list[Row]:
    """Run every job in a process of its own, ``parallel`` at a time, and return all their rows.

    A process that dies or hangs costs the variant it was busy with its remaining rows, which say so; another
    one goes on with the variants after it.
    """
    waiting, running = list(jobs), list[_Child]()
    rows: list[Row] = []
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                running.append(_start_job(folder, waiting.pop(0), timeout_s))
            time.sleep(POLL_S)
            for child in list(running):
                status = _ended(child)
                if status is None:
                    continue
                running.remove(child)
                found, rest = _settle(folder, cases, child, status)
                rows += found
                waiting += rest
            progress(len(rows) + sum(len(_read_rows(folder / child.job.rows)) for child in running))
    finally:
        for child in running:
            child.process.kill()
            child.process.wait()
    return rows


def _start_job(folder: Path, job: Job, timeout_s: float) -> _Child:
    file = folder / f"{job.rows}.job"
    file.write_bytes(msgspec.json.encode(job))
    output = folder / f"{job.rows}.txt"
    process = _start(["prove", str(folder), file.name], output)
    return _Child(job, process, output, time.monotonic() + timeout_s)


def _start(arguments: list[str], output: Path) -> subprocess.Popen[bytes]:
    """Start a child with one thread, in a worker's environment; what it compiles goes beside ``output``."""
    variables = worker_environment(threads=1).variables
    with output.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.verification.child", *arguments],
            env=with_project(variables) | {"TORCHINDUCTOR_CACHE_DIR": str(output.with_name("compiled"))},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def _ended(child: _Child) -> Status | None:
    """How the child ended, or None while it runs; one that is too slow is killed."""
    code = child.process.poll()
    if code is None and time.monotonic() < child.deadline:
        return None
    if code is None:
        child.process.kill()
        child.process.wait()
        return "timeout"
    return "ok" if code == 0 else "crashed"


def _settle(
    folder: Path, cases: Sequence[Case], child: _Child, status: Status
) -> tuple[list[Row], list[Job]]:
    """The rows of a child that ended, and a job for the variants that it did not come to."""
    job = child.job
    rows = _read_rows(folder / job.rows)
    left = job.work[len(rows) :]
    if not left:
        return rows, []
    culprit = left[0][0]
    variant = catalog.find(culprit)
    if status == "timeout":
        reason = "took too long"
    else:
        status, reason = "crashed", f"{_ending(child.process.returncode)}: {_last_words(child.output)}"
    for spec, number in left:
        if spec == culprit:
            rows.append(make_row(variant, job.device, cases[number], [], status, reason))
    rest = [(spec, number) for spec, number in left if spec != culprit]
    again = Job(job.library, job.device, rest, f"{job.rows}+")
    return rows, [again] if rest else []


def _read_rows(path: Path) -> list[Row]:
    """All complete lines of a file that may still be written to, or not be there yet."""
    if not path.exists():
        return []
    complete = path.read_bytes().rpartition(b"\n")[0]
    return [msgspec.json.decode(line, type=Row) for line in complete.splitlines()]


def _ending(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _last_words(output: Path) -> str:
    """The last line a child printed, which of a traceback is the error."""
    words = output.read_text(encoding="utf-8", errors="replace").strip()
    return words.rpartition("\n")[2][-LAST_WORDS:] or "it printed nothing"
