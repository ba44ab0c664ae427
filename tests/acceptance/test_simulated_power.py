"""Whether a run finds the differences that it says it could find, and whether stopping early is honest.

On simulated series, as in test_simulation.py; all through the real judge and the runner's own rule. A minute.
"""

import math

import numpy as np
import pytest
from acceptance.validity import Recorder
from simulated import NORMAL, SLOW_MODE, USUAL, Noise, generator, log_ratios, simulate
from simulated_runs import (
    comparisons,
    is_found,
    judged,
    misses,
    place_of,
    precise_enough,
    significant,
    stopped_at,
)

from bench.analysis.statistics import detectable_effect, rank_interval

RUNS = 2000
PAIR = (1.0, 1.0, 1.0)  # costs of a baseline, its twin and one arm


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def power(noise: Noise, seed: int, comparisons_meant: int | None = None) -> tuple[float, float]:
    """How often a fresh run finds the difference that a run said it could have seen; the median of those.

    Of the fresh runs that gave a verdict: what the twin refuses is counted under T2.
    """
    effects, found = [], []
    for values, fresh in zip(
        *(simulate(generator(seed + i), RUNS, noise=noise) for i in (0, 1)), strict=True
    ):
        row = next((row for row in comparisons(judged(values)) if row.detectable is not None), None)
        if row is None or row.detectable is None:
            continue  # refused
        effect = row.detectable
        if comparisons_meant is not None:
            interval = rank_interval(row.log_ratios)
            effect = math.expm1(detectable_effect(interval, (row.blocks,), comparisons_meant))
        fresh[:, place_of(row.entry)] += math.log1p(effect)
        judgement = judged(fresh)
        if not judgement.control.failure:
            effects.append(effect)
            found.append(is_found(judgement.rows[row.entry]))
    return float(np.mean(found)), float(np.median(effects))


@pytest.mark.parametrize(
    ("name", "words", "noise"),
    [
        ("normal", "normal noise", NORMAL),
        ("usual", "the noise of T2", USUAL),
        ("slow", "one process in ten 10 % slow", SLOW_MODE),
    ],
)
def test_what_is_said_to_be_detectable_is_detected(
    name: str, words: str, noise: Noise, validity: Recorder
) -> None:
    found, effect = power(noise, 500)
    validity.record(
        f"T4-simulated-{name}",
        claim=f"{words}: fresh runs that find the difference which a run called detectable",
        promised="at least 70 % (meant: 80 %)",
        measured=f"{percent(found)} (such differences: {percent(effect)} in the median)",
        kept=found >= 0.7,
    )
    assert found >= 0.7


def test_a_figure_for_one_comparison_would_promise_too_much_of_a_table(validity: Recorder) -> None:
    wrong, _ = power(NORMAL, 500, comparisons_meant=1)
    validity.record(
        "T4-simulated-mutant",
        claim="mutant: detectable differences computed as if the table had one comparison; found",
        promised="caught: under 70 %",
        measured=percent(wrong),
        kept=wrong < 0.7,
    )
    assert wrong < 0.7


def test_stopping_on_precision_does_not_invent_differences_and_on_significance_it_does(
    validity: Recorder,
) -> None:
    logs = log_ratios(simulate(generator(600), RUNS, blocks=40, costs=PAIR))[:, 1]
    lengths, wrong = {}, {}
    for stops in (precise_enough, significant):
        at = [stopped_at(series, stops) for series in logs]
        lengths[stops] = float(np.median(at))
        wrong[stops] = float(np.mean([misses(series[:n]) for series, n in zip(logs, at, strict=True)]))

    validity.record(
        "T4-stopping",
        claim="a run of 10 to 40 blocks that stops once its interval is ±1 %: intervals excluding 1",
        promised="at most 7 %",
        measured=f"{percent(wrong[precise_enough])} ({lengths[precise_enough]:g} blocks in the median)",
        kept=wrong[precise_enough] <= 0.07,
    )
    validity.record(
        "T4-stopping-mutant",
        claim="mutant: it stops once the difference is significant",
        promised="caught: over 10 %",
        measured=percent(wrong[significant]),
        kept=wrong[significant] > 0.1,
    )
    assert wrong[precise_enough] <= 0.07
    assert wrong[significant] > 0.1
