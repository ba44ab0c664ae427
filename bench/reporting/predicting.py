"""What a grid predicts of sizes that it did not measure, and how far off that proved to be, in words."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from bench.analysis.crossover import MapCell, SizeMap
from bench.analysis.prediction import Errors, Prediction, Times, Winners, learn, times_of
from bench.machine import units, wording
from bench.reporting.answer import Facts
from bench.reporting.section import Cell, Column, TextTable
from bench.workload.case import Case

MODELS = {
    "interpolation": "interpolation in log sizes",
    "operations": "costs of what a call does",
    "both": "costs of what a call does, the rest interpolated",
}
FAMILIES = (
    Column("Variant and place"), Column("Model"), Column("Median error", number=True),
    Column("Nine of ten within", number=True), Column("Sizes", number=True),
    Column("Median error at sizes measured afterwards", number=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """A prediction and what became of it: left out of the grid, and measured afterwards."""

    prediction: Prediction
    left_out: Winners
    afterwards: dict[str, Errors]  # by family; empty without refinements
    winners: Winners  # among sizes measured afterwards


def tell(facts: Facts) -> Told | None:
    """Learn from the run alone, then look at what those that refine it measured."""
    case = facts.maps[0].case
    grid = times_of(facts.summary, case)
    prediction = learn(grid, case)
    if prediction is None:
        return None
    later: Times = {}
    for _, summary in facts.sources[1:]:
        for arm, times in times_of(summary, case).items():
            new = {shape: ns for shape, ns in times.items() if shape not in grid.get(arm, {})}
            later.setdefault(arm, {}).update(new)
    cells = [cell for one in facts.maps for cell in one.cells]
    return Told(
        prediction=prediction,
        left_out=prediction.winners_left_out(cells),
        afterwards=prediction.errors_at(later),
        winners=prediction.winners_at(cells, later),
    )


def sentences(told: Told, size_map: SizeMap) -> Iterator[str]:
    """How good the prediction is, and one that nobody measured."""
    families = told.prediction.families.values()
    errors = Errors.pooled(family.errors for family in families)
    yield (
        "Times at sizes in between can be predicted. Each size left out in turn and predicted from the "
        f"others, {_off(errors)}{_right(told.left_out)}."
    )
    if told.afterwards:
        sizes = {shape for errors in told.afterwards.values() for shape in errors.logs}
        yield (
            f"Predicted from the grid and only then measured, at {wording.count(len(sizes), 'size')}, "
            f"{_off(Errors.pooled(told.afterwards.values()))}{_right(told.winners)}."
        )
    if (example := _example(told.prediction, size_map)) is not None:
        yield example


def table(facts: Facts, told: Told) -> TextTable:
    """The model of every family, and its errors."""
    rows = []
    for arm, family in told.prediction.families.items():
        errors, after = family.errors, told.afterwards.get(arm)
        rows.append(
            (
                Cell(arm, library=facts.run.arms[arm].library),
                Cell(MODELS[family.model]),
                Cell(units.percent(errors.median), value=errors.median),
                Cell(units.percent(errors.ninth), value=errors.ninth),
                Cell(str(len(errors.logs)), value=len(errors.logs)),
                Cell(
                    units.NOTHING if after is None else units.percent(after.median),
                    value=None if after is None else after.median,
                ),
            )
        )
    note = (
        "An error is how far a predicted time is from the measured one. The model of a variant is the one of "
        "three with the smallest mean error when every size is left out in turn. At the grid's edge that "
        "asks more of it than any size in between."
    )
    return TextTable("How well times are predicted", FAMILIES, tuple(rows), note)


def _off(errors: Errors) -> str:
    return (
        f"half of the times are off by at most {units.percent(errors.median)} and nine of ten by at most "
        f"{units.percent(errors.ninth)}"
    )


def _right(winners: Winners) -> str:
    if not winners.total:
        return ""
    return f"; the faster library is named rightly at {winners.right} of {winners.total} sizes with a verdict"


def _example(prediction: Prediction, size_map: SizeMap) -> str | None:
    """The size in the middle of the widest gap of H, at the batch in the middle."""
    hidden, batches = size_map.sizes("H"), size_map.sizes("B")
    low, high = max(pairwise(hidden), key=lambda pair: pair[1] / pair[0])
    middle, B = round(math.sqrt(low * high)), batches[len(batches) // 2]
    near = {(cell.B, cell.H): cell for cell in size_map.cells}.get((B, low))
    if near is None or middle in hidden:
        return None
    case = replace(near.case, shape=replace(near.case.shape, H=middle))
    said = [_said(prediction, case, near, side) for side in ("numpy", "torch")]
    return None if None in said else f"For instance H = {middle} at B = {B}: {said[0]}, {said[1]}."


def _said(prediction: Prediction, case: Case, near: MapCell, side: str) -> str | None:
    arm = near.numpy if side == "numpy" else near.torch
    if arm.id not in prediction.families:
        return None
    time = prediction.predict(case, arm.id)
    limits = f"{units.duration(time.low_ns)} to {units.duration(time.high_ns)}"
    return f"{arm.variant} {units.duration(time.ns)} ({limits})"
