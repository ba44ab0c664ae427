"""Name the mistake in a gradient: what known mistakes would give is compared with what was given."""

from collections.abc import Sequence

from bench.gradients.finding import Finding
from bench.gradients.mistakes import explain
from bench.gradients.trial import Trial
from bench.workload.cell import CELLS


def diagnose(trials: Sequence[Trial], cell: str = "") -> list[Finding]:
    """Return the mistakes that explain the wrong gradients of all trials; several fit equally well.

    ``cell`` names the cell of the trials' batches; without it, only signs that hold for any net are looked
    for. Nothing is returned if nothing fits.
    """
    if not any(trial.wrong() for trial in trials):
        return []
    of_cell = [trial for trial in trials if trial.batch is not None]
    return explain(of_cell, cell) if of_cell and cell in CELLS else []
