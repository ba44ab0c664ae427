"""Files that a run hands to its workers: inputs and what the reference expects of them, made once.

The main process is the NumPy process that computes the expected values, in float64; workers only
compare. So every arm gets the same bytes, and a torch worker never needs NumPy's BLAS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.random  # NumPy would load it at its first use, and the module's own start swallows a Ctrl-C

from bench import data, proof
from bench.case import Case
from bench.data import Batch
from bench.measure.messages import Job
from bench.results.record import Arm, Conditions


@dataclass(frozen=True, slots=True)
class Calibration:
    """What block 0 found for a piece of work, frozen for the other blocks."""

    n_calls: int  # in a value
    warmup_calls: int
    settled: bool | None  # whether its calls came to a steady time


class JobMaker:
    """Makes jobs; each case's files are written once into ``folder``. ``gates`` are the plan's."""

    def __init__(self, folder: Path, gates: Mapping[str, float]) -> None:
        self._folder = folder
        self._gates = dict(gates)
        self.compiled = str(folder / "compiled")  # what torch.compile makes, shared by the run's blocks
        self._batches: dict[Case, Batch] = {}
        self._paths: dict[Case, tuple[str, str]] = {}

    def job(self, case: Case, arm: Arm, found: Calibration | None) -> Job:
        """The job that proves and times ``case``; where nothing was ``found`` yet, the worker calibrates.

        Raises:
            UserError: the case is ill-conditioned, so that no tolerance would mean anything.
        """
        inputs, expected = self._files(case)
        after = None if found is None or case.task != "train_step" else self._after(case, found.n_calls)
        return Job(
            case=case,
            device=arm.device,
            inputs=inputs,
            digest=self._batches[case].digest(),
            expected=expected,
            n_calls=found.n_calls if found else None,
            warmup_calls=found.warmup_calls if found else 0,
            gates=self._gates,
            alone=arm.threads == 1 and arm.device == "cpu",
            after=after,
        )

    def conditions(self) -> list[Conditions]:
        """What a reference pass finds about each case that had a job."""
        return [proof.conditions(case, batch) for case, batch in self._batches.items()]

    def _files(self, case: Case) -> tuple[str, str]:
        if case not in self._paths:
            number = len(self._paths)
            batch = self._batches[case] = data.make(case)
            inputs = self._folder / f"inputs{number}.npz"
            expected = self._folder / f"expected{number}.npz"
            batch.save(inputs)
            proof.expected(case, batch).save(expected)
            self._paths[case] = (str(inputs), str(expected))
        return self._paths[case]

    def _after(self, case: Case, n_calls: int) -> str:
        """File of the parameters after ``n_calls`` training steps, made when it is first asked for."""
        number = list(self._paths).index(case)
        path = self._folder / f"after{number}-{n_calls}.npz"
        if not path.exists():
            after = proof.expected_after(case, self._batches[case], n_calls)
            np.savez(path, **after)  # type: ignore[arg-type]  # the stub takes any keyword for allow_pickle
        return str(path)
