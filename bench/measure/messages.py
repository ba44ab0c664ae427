"""What the runner and a worker tell each other, one JSON line a message; arrays go in files beside it.

For each entry: ``Prove``, then a ``Turn`` a round, at last ``Close``. ``JobMaker`` writes the files. The main
process is the NumPy process that computes the expected values, in float64; workers only compare. So every arm
gets the same bytes, and a torch worker never needs NumPy's BLAS.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.random  # NumPy would load it at its first use, and the module's own start swallows a Ctrl-C

from bench import proof
from bench.records.record import (
    Arm,
    Calibration,
    Check,
    Conditions,
    Count,
    Entry,
    Positive,
    Primitive,
    Proved,
    Status,
)
from bench.workload import data
from bench.workload.case import Case
from bench.workload.data import Batch
from bench.workload.operations import Kernel


class Drawn(msgspec.Struct, frozen=True):
    """One of the two batches of a case."""

    inputs: str  # npz of the Batch
    digest: str  # of those inputs
    expected: str  # npz of the proof's Expected


class Prove(msgspec.Struct, frozen=True, tag=True):
    """Prove a variant on a case, bind it and hold it; in block 0 find how it is to be timed."""

    key: str  # the entry's id
    spec: str
    case: Case
    device: str
    batches: tuple[Drawn, Drawn]
    n_calls: int | None  # of a value; None in block 0: find it
    warmup_calls: int  # at least so many, as block 0 found


class Setup(msgspec.Struct, frozen=True):
    """What a worker is: its library and place, and the first job, which it binds once while it starts."""

    library: str
    device: str
    threads: int
    rehearsal: Prove
    own_library: str = ""  # module:object of the library, where it is the user's own


class Turn(msgspec.Struct, frozen=True, tag=True):
    """Take one value of an entry that is held."""

    key: str
    batch: int  # 0 or 1: which of the two is written in for it
    n_calls: int
    rewarm_calls: int | None  # before the value; None in block 0: time them in steps
    after: str | None  # npz of the parameters expected after n_calls training steps on that batch


class Close(msgspec.Struct, frozen=True, tag=True):
    """Release what is held, and tell whether anything in the process has changed."""


class ProbeJob(msgspec.Struct, frozen=True, tag=True):
    """Time basic operations of the library."""

    device: str
    dtype: str
    wanted: list[Kernel]
    of_thread: bool = False  # by the processor time of the thread, which no other program adds to


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The library is imported and its threads are limited."""

    facts: dict[str, Any]
    ready_ns: int  # processor time: workers start side by side, so wall time would tell how many they are
    compile_ns: int  # wall time
    compile_cpu_ns: int = 0  # its part of ready_ns


class Value(msgspec.Struct, frozen=True, tag=True):
    """One value, whose result was the expected one, and what the process did meanwhile."""

    n_calls: Positive
    elapsed_ns: Positive
    residual_ns: int  # what a second synchronise right after it still cost
    cpu_ns: Count
    preempted: Count  # times that the process was put aside
    rewarm_ns: list[int]  # block 0: the steps before it, each a tenth of its calls

    @property
    def per_call_ns(self) -> float:
        """Return the time of one call."""
        return self.elapsed_ns / self.n_calls

    @property
    def waited_ns(self) -> int:
        """Return how long the process was put aside for another within the clock pair, if it has one thread.

        A scheduler lets a process run for about 3 ms where others wait, so only longer values are cut in two,
        and a pair of a short and a long one would tell of the neighbours. What the process waited for by
        itself, and was not put aside, stays in its time.
        """
        return max(0, self.elapsed_ns - self.cpu_ns) if self.preempted else 0


class Refused(msgspec.Struct, frozen=True, tag=True):
    """No values: a proof failed, the variant raised, or the worker died."""

    status: Status
    reason: str
    checks: list[Check] = []


class Closed(msgspec.Struct, frozen=True, tag=True):
    """Nothing is held any more; ``changed`` tells what of the process is no longer as it was."""

    changed: str


class Measured(msgspec.Struct, frozen=True, tag=True):
    """The values of a probe's basic operations."""

    primitives: list[Primitive]


Job = Prove | Turn | Close | ProbeJob
Reply = Ready | Proved | Value | Refused | Closed | Measured


class JobMaker:
    """Makes jobs; each case's files are written once into ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.compiled = str(folder / "compiled")  # what torch.compile makes, shared by the run's blocks
        self._batches: dict[Case, tuple[Batch, Batch]] = {}
        self._drawn: dict[Case, tuple[Drawn, Drawn]] = {}
        self._after: dict[tuple[Case, int, int], str] = {}

    def prove(self, entry: Entry, arm: Arm, calibration: Calibration | None) -> Prove:
        """Return the job that proves an entry; without a calibration, the worker finds one.

        Raises:
            UserError: the case is ill-conditioned, so that no tolerance would mean anything.
        """
        case = entry.case
        if case not in self._drawn:
            self._batches[case] = data.make_two(case)
            self._drawn[case] = (self._draw(case, 0), self._draw(case, 1))
        n_calls, warmup_calls = (calibration.n_calls, calibration.warmup_calls) if calibration else (None, 0)
        return Prove(entry.id, arm.spec, case, arm.device, self._drawn[case], n_calls, warmup_calls)

    def after(self, case: Case, n_calls: int, which: int) -> str | None:
        """Return the file of the parameters that ``n_calls`` steps on a batch lead to, if the case trains."""
        if case.task != "train_step":
            return None
        key = (case, n_calls, which)
        if key not in self._after:
            path = self._folder / f"after{len(self._after)}.npz"
            after = proof.expected_after(case, self._batches[case][which], n_calls)
            np.savez(path, **after)  # type: ignore[arg-type]  # the stub takes any keyword for allow_pickle
            self._after[key] = str(path)
        return self._after[key]

    def digest(self, case: Case) -> str:
        """Return the SHA-256 of both batches of a case that had a job."""
        return hashlib.sha256("".join(part.digest for part in self._drawn[case]).encode()).hexdigest()

    def conditions(self) -> list[Conditions]:
        """Return what a reference pass finds about each case that had a job."""
        return [proof.conditions(case, batches[0]) for case, batches in self._batches.items()]

    def _draw(self, case: Case, which: int) -> Drawn:
        batch, place = self._batches[case][which], f"{len(self._drawn)}-{which}.npz"
        inputs, expected = self._folder / f"inputs{place}", self._folder / f"expected{place}"
        batch.save(inputs)
        proof.expected(case, batch).save(expected)
        return Drawn(str(inputs), batch.digest(), str(expected))
