"""Run a student's file in a child process, within bounds on time, memory, processes and output.

What comes back are arrays, from files that are read without unpickling anything, and short texts. The bounds
stop accidents; they are no sandbox against malice, for the child has the rights of its user.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil

from bench.gradients.student import Reply, Settings, results_of
from bench.machine.arrays import read_arrays
from bench.machine.child import Child, ChildError
from bench.machine.environ import worker_environment
from bench.machine.wording import short
from bench.workload.data import Array, Batch

CHILD = "bench.gradients.student"
MOST_PROCESSES = 4  # that a student's code may start
PYTHON_BYTES = 256 << 20  # that Python and NumPy take at most, beside the student's memory
MAX_ANSWER_BYTES = 1 << 20  # of the arrays of a case
LOAD = -1  # in place of a case's number
MAX_LINE = 300  # characters of a text from the child
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what a student's functions returned for a case.

    Attributes:
        arrays: name of a result ("y_hat", "loss", "dW") -> its array, of the right shape.
        problems: name of a result -> why there is no array of it.
        notes: what else the student should know.
    """

    arrays: dict[str, Array]
    problems: dict[str, str]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold the answers to the first cases, what ended the child before the others, and what it printed."""

    answers: list[Answer]
    problem: str
    printed: str


class _Excess(Exception):
    """Report that a bound is exceeded."""


def run(batches: Sequence[Batch], settings: Settings) -> Outcome:
    """Write the inputs for the child, run it, and return its answers.

    Raises:
        OSError: the child cannot be started, or the disk is full.
    """
    folder, answers, stage = Path(settings.folder), list[Answer](), ""
    for number, batch in enumerate(batches):
        batch.save(folder / f"inputs{number}.npz")
    arguments = [msgspec.json.encode(settings).decode()]
    with Child(CHILD, arguments, worker_environment(1).variables) as child:
        try:
            child.receive(str)  # it is ready
            ends = time.monotonic() + settings.time_s
            problem = _ask(child, LOAD, str, ends, settings)
            for number, batch in enumerate(() if problem else batches):
                stage = f"T = {len(batch.x)}: "
                reply = _ask(child, number, Reply, ends, settings)
                answers.append(_read(folder / f"answer{number}.npz", batch, reply))
        except _Excess as error:
            problem = f"{stage}{error}"
        except ChildError as error:
            why = str(error).removeprefix("protocol: it ")
            problem = f"{stage}its process {why}: let its functions only compute and return"
            if error.status == "timeout":
                problem = (
                    f"{stage}it takes more than the {settings.time_s:g} s of --time: look for endless loops, "
                    "and for processes that it starts"
                )
        child.pause()  # it must not start another process while those that it started are listed
        child.stop()
        return Outcome(answers, problem and short(problem, MAX_LINE), child.last_words())


def _ask(child: Child, message: int, expected: Any, ends: float, settings: Settings) -> Any:
    """Send a message and wait for the reply, while the child and all that it started keep the bounds.

    Raises:
        _Excess: the child started too many processes, or they take too much memory.
        ChildError: the child died, broke the protocol, or took too long.
    """
    child.deadline_s = ends - time.monotonic()
    child.send(message)
    while (reply := child.take(expected)) is None:
        with suppress(psutil.Error):
            started = child.descendants()
            if len(started) > MOST_PROCESSES:
                raise _Excess(f"it starts more than {MOST_PROCESSES} processes: let it compute in its own")
            resident = sum(process.memory_info().rss for process in (psutil.Process(child.pid), *started))
            if resident > settings.memory_bytes + PYTHON_BYTES:
                raise _Excess(
                    f"it and the processes that it starts need more than the {settings.memory_bytes >> 20} "
                    "MiB of --memory"
                )
        time.sleep(POLL_S)
    return reply


def _read(path: Path, batch: Batch, reply: Reply) -> Answer:
    """Return the answer in a file; arrays that the child should not have sent are dropped."""
    shapes: Mapping[str, tuple[int, ...]] = {
        what: shape for results in results_of(batch).values() for what, shape in results.items()
    }
    problems = {what: short(text, MAX_LINE) for what, text in reply.problems.items() if what in shapes}
    try:
        read = read_arrays(path, None, max_bytes=MAX_ANSWER_BYTES)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else short(error)
        problems |= dict.fromkeys(shapes, f"its arrays cannot be read: {why}")
        read = {}
    arrays = {
        what: array
        for what, array in read.items()
        if array.shape == shapes.get(what)
        and np.can_cast(array.dtype, np.float64)
        and np.isfinite(array).all()
    }
    return Answer(arrays, problems, [short(note, MAX_LINE) for note in reply.notes])
