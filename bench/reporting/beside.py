"""Which other result of the same page answers what a run of one size cannot: a map of that work's sizes."""

from collections.abc import Iterable
from dataclasses import replace

from bench.analysis.crossover import KINDS
from bench.records.run import Run, different_machines
from bench.reporting.facts import MANY_SIZES
from bench.workload.case import Case

ANY = {"layout": "", "data": "", "split": "", "seed": 0}  # draw the numbers; the work is the shape's


def map_beside(run: Run, others: Iterable[Run]) -> str:
    """The name of the first run on the same machine that maps the sizes of a run's work; empty: none.

    The work is the same where task, dtype, activation and T, I and O are.
    """
    works = {work for work, _ in _sizes(run)}
    for other in others:
        sizes = {size for work, size in _sizes(other) if work in works}
        is_map = len(sizes) >= MANY_SIZES or (len(sizes) > 1 and other.plan.preset == "grid")
        if other is not run and is_map and not different_machines([run, other]):
            return other.plan.run
    return ""


def _sizes(run: Run) -> set[tuple[Case, tuple[int, int]]]:
    """What a run compared the two libraries at: the work, and its B and H."""
    declared = [*run.plan.pairs, *(run.decision.pairs if run.decision else ())]
    cases = [run.entries[pair.entry].case for pair in declared if pair.kind in KINDS]
    return {(_work(case), (case.shape.B, case.shape.H)) for case in cases}


def _work(case: Case) -> Case:
    return replace(case, shape=replace(case.shape, B=1, H=1), **ANY)  # type: ignore[arg-type]
