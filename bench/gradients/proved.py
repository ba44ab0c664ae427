"""Diagnose the wrong gradients that ``rnnbench verify`` found: read what a child kept, beside the exact ones.

Arrays are compared in this process, which never runs a variant's code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bench.gradients.diagnosis import diagnose
from bench.gradients.finding import Finding
from bench.gradients.trial import Trial
from bench.machine.arrays import read_arrays
from bench.proof.child import given_file
from bench.proof.reference import Expected
from bench.proof.verify import Job
from bench.workload.case import WITHOUT_GRADIENT
from bench.workload.cell import CELLS
from bench.workload.data import Batch

Choice = tuple[str, bool]  # a cell, with biases or without


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Hold what explains the wrong gradients of a variant on a device, for one cell."""

    variant: str
    device: str
    cell: str
    findings: tuple[Finding, ...]


def diagnose_proved(job: Job) -> list[Diagnosis]:
    """Return a diagnosis per cell of the gradients of a job that is done, where there is a finding."""
    return [
        Diagnosis(next(iter(job.rows.values())).variant, job.device, cell, findings)
        for cell, findings in findings_by_cell(read_trials(job)).items()
    ]


def findings_by_cell(trials: Mapping[Choice, Sequence[Trial]]) -> dict[str, tuple[Finding, ...]]:
    """Return the findings of each cell that has some.

    With biases and without, the parameters differ: the choice with more trials speaks for its cell, or the
    other one where nothing is wrong in those.
    """
    chosen = {
        cell: some
        for (cell, _), some in sorted(trials.items(), key=lambda item: len(item[1]))
        if any(trial.wrong() for trial in some)
    }
    found = {cell: tuple(diagnose(some, cell if cell in CELLS else "")) for cell, some in chosen.items()}
    return {cell: findings for cell, findings in found.items() if findings}


def read_trials(job: Job) -> dict[Choice, list[Trial]]:
    """Return trials of a variant with wrong gradients, else nothing; a right gradient is the exact one.

    Only one task counts, ``gradient`` if there is one, and of the dtypes float64, if there are both.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file does not hold what the child writes.
    """
    rows = {number: row for number, row in job.rows.items() if row.task not in WITHOUT_GRADIENT}
    files = {number: given_file(job.folder, job.spec, job.device, number) for number in rows}
    wrong = [n for n, row in rows.items() if row.status in ("disagrees", "known_wrong") and files[n].exists()]
    if not wrong:
        return {}
    task, dtype = min(row.task for row in rows.values()), max(row.dtype for row in rows.values())
    found: dict[Choice, list[Trial]] = {}
    for number, row in rows.items():
        if (row.task, row.dtype) != (task, dtype) or not (number in wrong or row.status == "ok"):
            continue
        case, batch = job.cases[number], Batch.load(job.folder / f"inputs{number}.npz").astype("float64")
        exact = Expected.load(job.folder / f"expected{number}.npz", batch.params).grads
        given = read_arrays(files[number], exact) if number in wrong else exact
        trial = Trial(
            exact=exact,
            given={name: grad.astype("float64") for name, grad in given.items()},
            tolerance=max(row.tolerances.values()),
            sizes=asdict(case.shape),
            batch=batch if case.cell in CELLS and batch.lengths is None else None,
            delta=case.delta,
            activation=case.activation,
        )
        found.setdefault((case.cell, case.bias), []).append(trial)
    return found
