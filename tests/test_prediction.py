"""The time of an unmeasured size: exact where a model is, its errors those of sizes that were left out."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from grids import best_map, crossing_at, grid, grid_plan, run_of, with_ratio

from bench.analysis import prediction
from bench.analysis.prediction import (
    MODELS,
    MOST,
    Family,
    Prediction,
    count_winners,
    error_quantile,
    learn,
    predict,
    sizes_of,
    times_of,
)  # fmt: skip
from bench.analysis.summary import summarise
from bench.machine.errors import UserError
from bench.measure.plan import FixedChoice
from bench.records.run import Run
from bench.reporting.facts import Facts
from bench.reporting.sections.crossover import crossover_section
from bench.workload.case import Case, Shape

CASE = Case("train_step", Shape(6, 1, 6, 1, 8), "sequence", data="random")
HIDDEN, BATCH = (8, 32, 128, 512, 1024), (1, 4, 32, 128)
SHAPES = [Shape(6, B, 6, H, 8) for B in BATCH for H in HIDDEN]
NUMPY, TORCH = "numpy-inplace@cpu x1", "torch-inplace@cpu x1"


def costs_ns(s: Shape) -> float:
    """A call with costs of its own for everything that the model counts."""
    products = s.B * s.H * (0.02 * s.H * s.T + 0.03 * s.I * s.T + 0.01 * s.O)
    return 9000 + 1500 * s.T + 0.4 * s.T * s.B * s.H + products + 0.5 * s.H**2


def power_ns(s: Shape) -> float:
    """Linear in the logs."""
    return 300.0 * s.H**1.3 * s.B**0.6


def learnt(time_ns: Callable[[Shape], float]) -> tuple[Prediction, Family]:
    learned = learn({NUMPY: {shape: time_ns(shape) for shape in SHAPES}}, CASE)
    return learned, learned.families[NUMPY]


@pytest.mark.parametrize(("time_ns", "name"), [(costs_ns, "operations"), (power_ns, "interpolation")])
def test_what_a_model_describes_it_predicts_exactly(time_ns, name):
    learned, family = learnt(time_ns)
    assert family.model in (name, "both")
    assert error_quantile(family.errors.values(), MOST) < 1e-4
    for shape in (Shape(6, 16, 6, 300, 8), Shape(6, 2, 6, 1000, 8), Shape(6, 100, 6, 20, 8)):
        assert learned.predict(replace(CASE, shape=shape), NUMPY).ns == pytest.approx(
            time_ns(shape), rel=1e-4
        )


def test_no_cost_is_negative():
    """A time that falls with B has no positive cost of B: the prediction stays a time."""
    fitted = MODELS["operations"](sizes_of(SHAPES), np.log([1e6 / s.B for s in SHAPES]))
    assert np.all(np.isfinite(fitted(sizes_of([Shape(6, 1000, 6, 4000, 8)]))))


def test_both_beats_either_alone_where_costs_bend():
    """A matrix that leaves the cache costs more: no sum of costs, and no plane."""
    _, bent = learnt(lambda s: costs_ns(s) * (1 + 0.5 / (1 + (300 / s.H) ** 2)))
    assert bent.model == "both"
    assert error_quantile(bent.errors.values()) < 0.1


def test_an_error_is_that_of_a_size_that_was_left_out():
    """A single odd size is off by its oddity, since the model never saw it; seen, it would fit."""
    odd = Shape(6, 4, 6, 128, 8)
    _, family = learnt(lambda s: costs_ns(s) * (3.0 if s == odd else 1.0))
    assert abs(family.errors[odd]) > math.log(2)


def test_fitting_what_is_predicted_is_noticed(monkeypatch):
    """A fault: the size stays in the fit. Interpolation then has no error at all."""

    def cheating(model, times):
        sizes, logs = sizes_of(list(times)), np.log(list(times.values()))
        return dict(zip(times, model(sizes, logs)(sizes) - logs, strict=True))

    noise = np.random.Generator(np.random.PCG64(5))
    times = {shape: costs_ns(shape) * math.exp(0.2 * noise.normal()) for shape in SHAPES}
    _, honest = learnt(times.__getitem__)
    monkeypatch.setattr(prediction, "_left_out", cheating)
    _, cheated = learnt(times.__getitem__)
    assert error_quantile(honest.errors.values()) > 0.05
    assert error_quantile(cheated.errors.values()) < 1e-6


def test_errors_are_quantiles_of_their_sizes():
    errors = [math.log1p(0.01 * n) * (-1) ** n for n in range(11)]
    assert (
        error_quantile(errors),
        error_quantile(errors, MOST),
        error_quantile(errors * 2),
    ) == pytest.approx((0.05, 0.09, 0.05))


@pytest.fixture(scope="module")
def measured() -> Run:
    return grid(crossing_at(256), hidden=HIDDEN, batch=BATCH)


def test_the_faster_side_is_predicted_right_and_a_wrong_prediction_is_no_hit(measured):
    """PyTorch predicted ten times slower than it is wins nowhere."""
    learned = learn(times_of(summarise(measured), CASE), CASE)
    errors = {arm: family.errors for arm, family in learned.families.items()}
    assert set(errors) == {"numpy-batched@cpu x1", NUMPY, "torch-layer@cpu x1", TORCH}
    cells = best_map(measured).cells
    assert count_winners(cells, errors) == (len(SHAPES), len(SHAPES))
    slow = errors | {TORCH: dict.fromkeys(errors[TORCH], math.log(10))}
    assert count_winners(cells, slow)[0] == sum(cell.winner == "numpy" for cell in cells)


def test_anyone_can_ask_for_a_time(measured):
    case = replace(best_map(measured).cells[0].case, shape=Shape(6, 16, 6, 200, 8))
    predicted = predict(measured, case, NUMPY)
    assert predicted.low_ns < predicted.ns < predicted.high_ns
    assert predicted.ns == pytest.approx(20_000 * (1 + 0.01 * 16 * 200), rel=0.1)


@pytest.mark.parametrize(
    ("case", "arm", "refusal"),
    [
        (CASE, "torch-graph@cuda:0 x2", "the grid has no 'torch-graph@cuda:0 x2'; it has numpy-batched"),
        (replace(CASE, shape=Shape(6, 4, 6, 4096, 8)), NUMPY, "measured H from 8 to 1024"),
        (replace(CASE, shape=Shape(12, 4, 6, 64, 8)), NUMPY, "measured T from 6 to 6"),
        (replace(CASE, task="forward", shape=SHAPES[0]), NUMPY, "holds for no other work"),
        (replace(CASE, dtype="float64", shape=SHAPES[0]), NUMPY, "holds for no other work"),
        (replace(CASE, cell="gru", shape=SHAPES[0]), NUMPY, "holds for no other work"),
        (replace(CASE, bias=True, shape=SHAPES[0]), NUMPY, "holds for no other work"),
    ],
)
def test_what_the_grid_cannot_know_is_refused(measured, case, arm, refusal):
    with pytest.raises(UserError, match=refusal):
        predict(measured, case, arm)


def test_too_few_sizes_predict_nothing():
    with pytest.raises(UserError, match="too few sizes"):
        predict(grid(crossing_at(64), hidden=(32, 128), batch=(4,)), CASE, NUMPY)


def test_sizes_measured_afterwards_are_predicted_from_the_grid_alone(measured):
    cases = tuple(replace(best_map(measured).cells[0].case, shape=Shape(6, B, 6, 200, 8)) for B in BATCH)
    later_plan = grid_plan(exactly=FixedChoice(tuple(cases)))
    later = run_of(later_plan, with_ratio(lambda H, B: 0.5 + crossing_at(256)(H, B)))
    facts = Facts.of(measured, [later])
    section = crossover_section(facts, "")
    afterwards = {row[0].text: row[5].value for row in section.tables[-1].rows}
    assert afterwards[NUMPY] < 0.1
    assert afterwards[TORCH] == pytest.approx(math.expm1(0.5), abs=0.15)  # it takes e^0.5 as long
    assert section.lead[2].startswith("Predicted from all other sizes, a time is off by ")
    assert section.notes[-1].startswith("Predicted first and measured afterwards, at 4 sizes: off by ")
