"""Diagnose the wrong gradients that ``rnnbench verify`` found."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.gradients.diagnosis import diagnose
from bench.gradients.finding import Finding
from bench.gradients.trial import Trial
from bench.proof.given import Given
from bench.workload.cell import CELLS


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Hold what explains the wrong gradients of a variant on a device, for one cell."""

    variant: str
    device: str
    cell: str
    findings: tuple[Finding, ...]


def diagnose_proved(given: Sequence[Given]) -> list[Diagnosis]:
    """Return a diagnosis per cell, where there is a finding, of the gradients of a variant on a device.

    With biases and without, the parameters differ: the choice with more cases speaks for its cell, or the
    other one where nothing is wrong in those.
    """
    by_choice: dict[tuple[str, bool], list[Trial]] = {}
    for one in given:
        by_choice.setdefault((one.case.cell, one.case.bias), []).append(_trial(one))
    by_cell: dict[str, list[Trial]] = {}
    for (cell, _), trials in sorted(by_choice.items(), key=lambda item: len(item[1])):
        if any(trial.wrong() for trial in trials):
            by_cell[cell] = trials
    return [
        Diagnosis(given[0].row.variant, given[0].row.device, cell, tuple(findings))
        for cell, trials in by_cell.items()
        if (findings := diagnose(trials, cell if cell in CELLS else ""))
    ]


def _trial(one: Given) -> Trial:
    """Return the trial of a case, with the tolerance of its proof."""
    case = one.case
    return Trial(
        exact=one.exact,
        given=one.given,
        tolerance=max(one.row.tolerances.values()),
        sizes={letter: getattr(case.shape, letter) for letter in "TBIHO"},
        batch=one.batch if case.cell in CELLS else None,
        delta=case.delta,
        activation=case.activation,
    )
