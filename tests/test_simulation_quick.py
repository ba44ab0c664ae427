"""The acceptance tests' simulation, small: equal arms are found equal, and faults of a harness show.

The bounds are wide, for a few hundred series; the real ones are in tests/acceptance.
"""

import numpy as np
import pytest
from simulated import (
    NO_DRIFT,
    SLOW_MODE,
    USUAL,
    Noise,
    cold_start,
    fixed_order,
    generator,
    log_ratios,
    one_after_the_other,
    ramp,
    simulate,
    step,
    wave,
)  # fmt: skip
from simulated_runs import (
    alarms,
    judged,
    misses,
    pooled,
    precise_enough,
    recorded,
    significant,
    stopped_at,
)  # fmt: skip

from bench.analysis.verdict import judge_run

RUNS = 200
PAIR = (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("drift", "noise"),
    [(wave(0.02), USUAL), (step(0.03), SLOW_MODE)],
    ids=["wave", "step and slow processes"],
)
def test_among_equal_arms_little_is_found(drift, noise):
    found = alarms(simulate(generator(1), RUNS // 2, drift=drift, noise=noise))
    assert 0.02 <= found.intervals <= 0.09
    assert found.tables <= 0.08
    assert found.refused <= 0.12


def test_the_interval_holds_the_truth():
    logs = log_ratios(simulate(generator(2), RUNS, costs=PAIR, drift=ramp(0.03)))[:, 1] + 0.1
    assert 0.88 <= 1 - np.mean([misses(series, 0.1) for series in logs]) <= 0.99
    assert np.mean([misses(series, 0.0) for series in logs]) > 0.99


def test_records_give_the_words_that_values_give():
    for values in simulate(generator(3), 3, noise=SLOW_MODE):
        values[:, 4] += 0.1
        one, other = judged(values), judge_run(recorded(values))
        assert [row.verdict for row in one.rows.values()] == [row.verdict for row in other.rows.values()]
        assert "SLOWER" in {row.verdict for row in one.rows.values()} or one.control.failure


def test_pooled_values_and_a_then_b_are_caught():
    together = simulate(generator(4), RUNS, costs=PAIR)
    assert np.mean([misses(pooled(values)) for values in together]) > 0.09
    apart = simulate(generator(5), RUNS, costs=(1.0, 1.0), drift=step(0.03), order=one_after_the_other)
    assert np.mean([misses(series) for series in log_ratios(apart)[:, 0]]) > 0.09


def test_a_fixed_order_is_caught_by_the_twin_alone():
    runs = simulate(generator(6), 20, drift=cold_start(0.05), order=fixed_order)
    assert alarms(runs).tables == 0
    assert alarms(runs, twin=False).tables > 0.8


def test_stopping_on_precision_is_honest_and_stopping_on_significance_is_not():
    logs = log_ratios(simulate(generator(7), RUNS, blocks=30, costs=PAIR))[:, 1]
    wrong = [
        np.mean([misses(series[: stopped_at(series, stops)]) for series in logs])
        for stops in (precise_enough, significant)
    ]
    assert wrong[0] <= 0.09 < wrong[1]


def test_the_series_are_what_they_say():
    """Spread, share of slow processes, the size of a drift; and the same seed gives the same numbers."""
    still = Noise(process=0, neighbours=0, value=0, spikes=0)
    drifted = simulate(generator(8), 3, noise=still, drift=ramp(0.03))
    assert drifted.min() == 0
    assert drifted.max() == pytest.approx(0.03, abs=0.0001)
    noisy = simulate(generator(9), RUNS, noise=Noise(slow=0.1, spikes=0))
    assert np.array_equal(
        noisy, simulate(generator(9), RUNS, noise=Noise(slow=0.1, spikes=0), drift=NO_DRIFT)
    )
    assert np.mean(np.median(noisy, axis=3) > 0.05) == pytest.approx(0.1, abs=0.01)
    within = noisy - noisy.mean(axis=3, keepdims=True)
    assert within.std() == pytest.approx(np.hypot(0.01, 0.02), rel=0.2)
    ordered = simulate(generator(10), 1, noise=still, drift=ramp(1), order=one_after_the_other)[0]
    assert ordered[:, 0].max() < ordered[:, 1].min()
