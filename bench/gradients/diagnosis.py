"""Name the mistake in a gradient: what known mistakes would give is compared with what was given."""

from collections.abc import Sequence

from bench.gradients.finding import Finding
from bench.gradients.mistakes import explain
from bench.gradients.signs import read_signs
from bench.gradients.trial import Trial, wrong_in
from bench.workload.cell import CELLS


def diagnose(trials: Sequence[Trial], cell: str = "") -> list[Finding]:
    """Return the mistakes that explain the wrong gradients of all trials; several fit equally well.

    ``cell`` names the cell of the trials' batches; without it, only signs that hold for any net are looked
    for. Nothing is returned if nothing fits.
    """
    wrong = wrong_in(trials)
    of_cell = [trial for trial in trials if trial.batch is not None]
    if not wrong:
        return []
    findings = explain(of_cell, cell) if of_cell and cell in CELLS else []
    if any(wrong == set(finding.parameters) for finding in findings):
        return findings
    signs = read_signs(trials)
    if complete := [sign for sign in signs if wrong == set(sign.parameters)]:
        return complete
    explained = {name for finding in findings for name in finding.parameters}
    return findings + [sign for sign in signs if not explained & set(sign.parameters)]
