"""Define the messages between the runner and a worker: one JSON line per message; arrays go into files.

For each entry the runner sends ``Prove``, then one ``Turn`` per round; ``Close`` ends a session. ``JobMaker``
writes the files. The main process computes the expected values with NumPy in float64; workers only compare.
So every arm gets the same bytes, and a torch worker never needs NumPy's BLAS.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

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
    Ready,
    Status,
)
from bench.workload import data
from bench.workload.case import Case
from bench.workload.data import Batch
from bench.workload.operations import Kernel

INPUTS, EXPECTED = "inputs{}.npz", "expected{}.npz"  # one file of each per batch of a case


class Prove(msgspec.Struct, frozen=True, tag=True):
    """Ask to prove a variant on a case, bind it and hold it; in block 0 also to calibrate it."""

    key: str  # the entry's id
    spec: str
    case: Case
    device: str
    folder: str  # of the inputs and the expected results, for `Inputs.load`
    digest: str  # of both batches
    n_calls: int | None  # calls per sample; None in block 0: the worker calibrates
    warmup_calls: int  # minimum, as found in block 0


class Setup(msgspec.Struct, frozen=True):
    """Describe a worker: its library, device and threads, and the job that it binds once while it starts."""

    library: str
    device: str
    threads: int
    rehearsal: Prove
    own_library: str = ""  # module:object of a user's library, else empty


class Turn(msgspec.Struct, frozen=True, tag=True):
    """Ask for one sample of an entry that the worker holds."""

    key: str
    batch: int  # 0 or 1: the batch to write into the bound arrays
    n_calls: int
    rewarm_calls: int | None  # before the sample; None in block 0: run and time the re-warming in steps
    after: str | None  # npz file: parameters expected after n_calls training steps on this batch


class Close(msgspec.Struct, frozen=True, tag=True):
    """Ask to release all entries and to report changes of the process settings."""


class ProbeJob(msgspec.Struct, frozen=True, tag=True):
    """Ask to time basic operations of the library."""

    device: str
    dtype: str
    wanted: list[Kernel]
    of_thread: bool = False  # use the processor time of the thread: other programs do not add to it


class Value(msgspec.Struct, frozen=True, tag=True):
    """Hold one sample whose result was correct, and what happened to the process during the sample."""

    n_calls: Positive
    elapsed_ns: Positive
    residual_ns: int  # duration of a second synchronise directly after the sample
    cpu_ns: Count
    preempted: Count  # involuntary context switches of the process
    rewarm_ns: list[int]  # block 0: times of the re-warming steps, each a tenth of the sample's calls

    @property
    def per_call_ns(self) -> float:
        """Return the time of one call."""
        return self.elapsed_ns / self.n_calls

    @property
    def waited_ns(self) -> int:
        """Return how long other programs preempted the process within the sample, if it has one thread.

        A scheduler lets a process run for about 3 ms while others wait. So only longer samples are
        interrupted, and the ratio of a short and a long sample would depend on the other programs. Time in
        which the process itself waited, without preemption, stays in the sample's time.
        """
        return max(0, self.elapsed_ns - self.cpu_ns) if self.preempted else 0


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Report that there is no sample: a proof failed, the variant raised, or the worker died."""

    status: Status
    reason: str
    checks: list[Check] = []


class Closed(msgspec.Struct, frozen=True, tag=True):
    """Report that nothing is held any more; ``changed`` describes changed process settings, else empty."""

    changed: str


class Measured(msgspec.Struct, frozen=True, tag=True):
    """Hold the times of a probe's basic operations."""

    primitives: list[Primitive]


Job = Prove | Turn | Close | ProbeJob
Reply = Ready | Proved | Value | Refused | Closed | Measured


class JobMaker:
    """Make jobs, and write the files of each case once, in a new folder in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.compiled = str(folder / "compiled")  # output of torch.compile, shared by the run's blocks
        self._batches: dict[Case, tuple[Batch, Batch]] = {}
        self._drawn: dict[Case, tuple[str, str]] = {}  # folder and digest

    def prove(self, entry: Entry, arm: Arm, calibration: Calibration | None) -> Prove:
        """Return the job that proves an entry; without ``calibration`` the worker calibrates.

        Raises:
            UserError: the case is ill-conditioned, so that no tolerance would mean anything.
        """
        case = entry.case
        if case not in self._drawn:
            self._batches[case] = batches = data.make_two(case)
            folder = self._folder / f"case{len(self._drawn)}"
            folder.mkdir(exist_ok=True)  # it exists if the case before could not be proved
            for index, batch in enumerate(batches):
                batch.save(folder / INPUTS.format(index))
                proof.expected(case, batch).save(folder / EXPECTED.format(index))
            self._drawn[case] = (str(folder), digest_of(batches))
        n_calls, warmup_calls = (calibration.n_calls, calibration.warmup_calls) if calibration else (None, 0)
        return Prove(entry.id, arm.spec, case, arm.device, *self._drawn[case], n_calls, warmup_calls)

    def after(self, case: Case, n_calls: int, which: int) -> str | None:
        """Return the file of the parameters after ``n_calls`` training steps on a batch, else None."""
        if case.task != "train_step":
            return None
        path = Path(self._drawn[case][0]) / f"after{n_calls}-{which}.npz"
        if not path.exists():
            after = proof.expected_after(case, self._batches[case][which], n_calls)
            np.savez(path, **after)  # type: ignore[arg-type]  # the stub takes any keyword for allow_pickle
        return str(path)

    def digest(self, case: Case) -> str:
        """Return the SHA-256 of both batches of a case; the case must have had a job."""
        return self._drawn[case][1]

    def conditions(self) -> list[Conditions]:
        """Count the subnormal numbers of a reference pass, for each case that had a job."""
        return [proof.conditions(case, batches[0]) for case, batches in self._batches.items()]


def digest_of(batches: Iterable[Batch]) -> str:
    """Return the SHA-256 of several batches."""
    return hashlib.sha256("".join(batch.digest() for batch in batches).encode()).hexdigest()
