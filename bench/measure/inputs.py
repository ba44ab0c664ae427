"""Files that a run hands to its workers: inputs and what the reference expects of them, made once.

The main process is the NumPy process that computes the expected values, in float64; workers only
compare. So every arm gets the same bytes, and a torch worker never needs NumPy's BLAS.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.random  # NumPy would load it at its first use, and the module's own start swallows a Ctrl-C

from bench import proof
from bench.measure.messages import Drawn, Prove
from bench.records.record import Arm, Conditions, Entry
from bench.workload import data
from bench.workload.case import Case
from bench.workload.data import Batch


@dataclass(frozen=True, slots=True)
class Calibration:
    """What block 0 found for a piece of work, frozen for the other blocks."""

    n_calls: int  # in a value
    warmup_calls: int
    settled: bool | None  # whether its calls came to a steady time
    rewarm_calls: int | None  # before each value; None while block 0 has not found it


class JobMaker:
    """Makes jobs; each case's files are written once into ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.compiled = str(folder / "compiled")  # what torch.compile makes, shared by the run's blocks
        self._batches: dict[Case, tuple[Batch, Batch]] = {}
        self._drawn: dict[Case, tuple[Drawn, Drawn]] = {}
        self._after: dict[tuple[Case, int, int], str] = {}

    def prove(self, entry: Entry, arm: Arm, found: Calibration | None) -> Prove:
        """The job that proves an entry; where nothing was ``found`` yet, the worker calibrates.

        Raises:
            UserError: the case is ill-conditioned, so that no tolerance would mean anything.
        """
        return Prove(
            key=entry.id,
            spec=arm.spec,
            case=entry.case,
            device=arm.device,
            batches=self._files(entry.case),
            n_calls=found.n_calls if found else None,
            warmup_calls=found.warmup_calls if found else 0,
        )

    def after(self, case: Case, n_calls: int, which: int) -> str | None:
        """File of the parameters after ``n_calls`` training steps on one of the batches; else None."""
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
        """SHA-256 of both batches of a case that had a job."""
        return hashlib.sha256("".join(part.digest for part in self._drawn[case]).encode()).hexdigest()

    def conditions(self) -> list[Conditions]:
        """What a reference pass finds about each case that had a job."""
        return [proof.conditions(case, batches[0]) for case, batches in self._batches.items()]

    def _files(self, case: Case) -> tuple[Drawn, Drawn]:
        if case not in self._drawn:
            self._batches[case] = data.make_two(case)
            self._drawn[case] = (self._draw(case, 0), self._draw(case, 1))
        return self._drawn[case]

    def _draw(self, case: Case, which: int) -> Drawn:
        batch = self._batches[case][which]
        place = f"{len(self._drawn)}-{which}.npz"
        inputs, expected = self._folder / f"inputs{place}", self._folder / f"expected{place}"
        batch.save(inputs)
        proof.expected(case, batch).save(expected)
        return Drawn(str(inputs), batch.digest(), str(expected))
