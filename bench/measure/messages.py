"""What the runner and a worker tell each other, one JSON line a message; arrays go in files beside it.

For each entry: ``Prove``, then a ``Turn`` a round, at last ``Close``. ``JobMaker`` writes the files. The main
process is the NumPy process that computes the expected values, in float64; workers only compare. So every arm
gets the same bytes, and a torch worker never needs NumPy's BLAS.
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

INPUTS, EXPECTED = "inputs{}.npz", "expected{}.npz"  # of each batch of a case


class Prove(msgspec.Struct, frozen=True, tag=True):
    """Prove a variant on a case, bind it and hold it; in block 0 find how it is to be timed."""

    key: str  # the entry's id
    spec: str
    case: Case
    device: str
    folder: str  # of inputs and what is expected of them, as `Inputs` reads them
    digest: str  # of both batches
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
    """Makes jobs; each case's files are written once, into a folder in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.compiled = str(folder / "compiled")  # what torch.compile makes, shared by the run's blocks
        self._batches: dict[Case, tuple[Batch, Batch]] = {}
        self._drawn: dict[Case, tuple[str, str]] = {}  # folder and digest

    def prove(self, entry: Entry, arm: Arm, calibration: Calibration | None) -> Prove:
        """Return the job that proves an entry; without a calibration, the worker finds one.

        Raises:
            UserError: the case is ill-conditioned, so that no tolerance would mean anything.
        """
        case = entry.case
        if case not in self._drawn:
            self._batches[case] = batches = data.make_two(case)
            folder = self._folder / f"case{len(self._drawn)}"
            folder.mkdir(exist_ok=True)  # of a case before it that could not be proved
            for which, batch in enumerate(batches):
                batch.save(folder / INPUTS.format(which))
                proof.expected(case, batch).save(folder / EXPECTED.format(which))
            self._drawn[case] = (str(folder), digest_of(batches))
        n_calls, warmup_calls = (calibration.n_calls, calibration.warmup_calls) if calibration else (None, 0)
        return Prove(entry.id, arm.spec, case, arm.device, *self._drawn[case], n_calls, warmup_calls)

    def after(self, case: Case, n_calls: int, which: int) -> str | None:
        """Return the file of the parameters that ``n_calls`` steps on a batch lead to, if the case trains."""
        if case.task != "train_step":
            return None
        path = Path(self._drawn[case][0]) / f"after{n_calls}-{which}.npz"
        if not path.exists():
            after = proof.expected_after(case, self._batches[case][which], n_calls)
            np.savez(path, **after)  # type: ignore[arg-type]  # the stub takes any keyword for allow_pickle
        return str(path)

    def digest(self, case: Case) -> str:
        """Return the SHA-256 of both batches of a case that had a job."""
        return self._drawn[case][1]

    def conditions(self) -> list[Conditions]:
        """Return what a reference pass finds about each case that had a job."""
        return [proof.conditions(case, batches[0]) for case, batches in self._batches.items()]


def digest_of(batches: Iterable[Batch]) -> str:
    """Return the SHA-256 of several batches."""
    return hashlib.sha256("".join(batch.digest() for batch in batches).encode()).hexdigest()
