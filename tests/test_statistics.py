"""Our exact intervals and p values against enumeration, SciPy, textbook numbers and simulation."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from bench.analysis import statistics as ours

# Hollander, Wolfe and Chicken, example 3.1: Hamilton depression scale factor IV of nine patients, after
# minus before a tranquilliser
DEPRESSION = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]) - np.array(
    [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def samples(count: int) -> list[np.ndarray]:
    """Sizes 6 to 20, shifted by up to about one standard deviation, half of them with heavy tails."""
    draw = generator(1)
    made = []
    for number in range(count):
        n = int(draw.integers(6, 21))
        noise = draw.standard_t(2, n) if number % 2 else draw.standard_normal(n)
        made.append(noise + draw.normal())
    return made


@pytest.mark.parametrize("n", range(1, 11))
def test_the_null_distribution_is_that_of_enumeration(n: int) -> None:
    sums = Counter(
        sum(rank for rank, sign in enumerate(signs, start=1) if sign)
        for signs in itertools.product((False, True), repeat=n)
    )
    expected = [sums[total] / 2**n for total in range(n * (n + 1) // 2 + 1)]
    assert ours.signed_rank_probabilities(n).tolist() == expected


def test_p_is_scipys_where_there_are_no_ties() -> None:
    for x in samples(200):
        assert ours.signed_rank_p(x) == pytest.approx(stats.wilcoxon(x, method="exact").pvalue, rel=1e-12)


@pytest.mark.parametrize("confidence", [0.90, 0.95])
def test_the_interval_is_the_inversion_of_scipys_test(confidence: float) -> None:
    """Just inside a limit SciPy does not reject, just outside it does, at both ends."""
    alpha, step = 1 - confidence, 1e-9
    for x in samples(120):
        interval = ours.signed_rank_interval(x, confidence)
        for limit, inwards in ((interval.low, step), (interval.high, -step)):
            assert stats.wilcoxon(x - (limit + inwards), method="exact").pvalue > alpha
            assert stats.wilcoxon(x - (limit - inwards), method="exact").pvalue <= alpha


def test_the_achieved_confidence_is_at_least_the_one_asked_for_and_the_next_interval_is_below_it() -> None:
    for x in samples(60):
        interval = ours.signed_rank_interval(x)
        assert interval.confidence >= 0.95
        n = len(x)
        cut = round(float(np.sum(ours._walsh_averages(x) < interval.low)))
        tail = float(np.sum(ours.signed_rank_probabilities(n)[: cut + 1]))
        assert interval.confidence == pytest.approx(1 - 2 * tail, abs=1e-12)
        assert 1 - 2 * float(np.sum(ours.signed_rank_probabilities(n)[: cut + 2])) < 0.95


def test_interval_and_p_agree_also_with_ties_and_zeros() -> None:
    draw = generator(2)
    for _ in range(100):
        x = draw.integers(-3, 6, int(draw.integers(6, 13))).astype(float)
        interval = ours.signed_rank_interval(x)
        for mu in np.arange(-4, 7, 0.25):
            assert interval.contains(mu) == (ours.signed_rank_p(x, mu) > 0.05)


def test_with_ties_and_zeros_p_is_never_below_that_of_any_breaking_of_them() -> None:
    draw = generator(3)
    for _ in range(50):
        x = draw.integers(-2, 4, 9).astype(float)
        broken = [ours.signed_rank_p(x + draw.uniform(-1e-6, 1e-6, 9)) for _ in range(20)]
        assert ours.signed_rank_p(x) >= max(broken)


def test_a_textbook_example_comes_out_as_printed() -> None:
    """T+ = 5 of 45: one-sided p 0.0195; estimate -0.46; interval (-0.786, -0.01) at 96.1 %."""
    walsh = ours._walsh_averages(DEPRESSION)
    assert int(np.sum(walsh > 0)) == 5
    assert ours.signed_rank_p(DEPRESSION) / 2 == pytest.approx(0.0195, abs=5e-5)
    interval = ours.signed_rank_interval(DEPRESSION)
    assert interval.estimate == pytest.approx(-0.46, abs=0.0005)
    assert (interval.low, interval.high) == pytest.approx((-0.786, -0.010), abs=0.0005)
    assert interval.confidence == pytest.approx(0.961, abs=0.0005)


def test_six_numbers_by_hand() -> None:
    """Six numbers on one side: p = 2 / 64, and the interval of 96.875 % runs from smallest to largest."""
    x = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    interval = ours.signed_rank_interval(x)
    assert (interval.low, interval.high, interval.confidence) == (1.0, 32.0, 1 - 2 / 64)
    assert ours.signed_rank_p(x) == 2 / 64
    # the 21 Walsh averages in order: 1 1.5 2 2.5 3 4 4.5 5 6 8 8.5 9 10 12 16 16.5 17 18 20 24 32
    assert interval.estimate == ours.hodges_lehmann(x) == 8.5


def test_below_six_numbers_there_is_no_interval_of_95_percent() -> None:
    for n in range(1, 6):
        interval = ours.signed_rank_interval(np.arange(1.0, n + 1))
        assert (interval.low, interval.high, interval.confidence) == (-math.inf, math.inf, 1.0)
        assert not interval.finite
        assert interval.estimate == (n + 1) / 2
        assert ours.signed_rank_p(np.arange(1.0, n + 1)) > 0.05
    assert ours.signed_rank_interval([1.0, 2, 3, 4, 5], 0.9).finite  # at 90 % five are enough


def test_the_estimate_moves_with_its_numbers_and_turns_round_with_their_sign() -> None:
    x = generator(4).standard_normal(11)
    one, other = ours.signed_rank_interval(x + 2.5), ours.signed_rank_interval(-x)
    plain = ours.signed_rank_interval(x)
    assert (one.estimate, one.low, one.high) == pytest.approx(
        (plain.estimate + 2.5, plain.low + 2.5, plain.high + 2.5)
    )
    assert (other.estimate, other.low, other.high) == pytest.approx(
        (-plain.estimate, -plain.high, -plain.low)
    )


def coverage(n: int, draw: np.random.Generator, *, per_block: int = 1, runs: int = 2000) -> float:
    """How often the interval holds the true 0; ``per_block`` values share one error of the block."""
    hits = 0
    for _ in range(runs):
        blocks = draw.standard_normal(n // per_block)
        x = np.repeat(blocks, per_block) + 0.1 * draw.standard_normal(n // per_block * per_block)
        hits += ours.signed_rank_interval(x).contains(0.0)
    return hits / runs


@pytest.mark.parametrize("n", [6, 10, 20])
def test_the_interval_holds_the_truth_as_often_as_it_says(n: int) -> None:
    assert 0.93 <= coverage(n, generator(n)) <= 0.98


def test_pooling_the_values_of_a_block_would_be_found_out() -> None:
    assert coverage(30, generator(5), per_block=5, runs=500) < 0.80


def test_one_slow_block_hardly_moves_the_estimate_but_would_move_a_mean() -> None:
    x = generator(6).normal(0.0, 0.01, 10)
    spoiled = x.copy()
    spoiled[3] += 5.0
    assert abs(ours.hodges_lehmann(spoiled) - ours.hodges_lehmann(x)) < 0.02
    assert abs(np.mean(spoiled) - np.mean(x)) > 0.4


def test_the_median_interval_is_that_of_the_binomial() -> None:
    draw = generator(7)
    for n in range(6, 21):
        x = draw.standard_normal(n)
        interval, ordered = ours.median_interval(x), np.sort(x)
        cut = int(stats.binom.ppf(0.025, n, 0.5))  # the largest k with P(X < k) <= 0.025
        assert (interval.low, interval.high) == (ordered[cut - 1], ordered[n - cut])
        assert interval.confidence == pytest.approx(1 - 2 * stats.binom.cdf(cut - 1, n, 0.5), abs=1e-12)
        assert interval.confidence >= 0.95 > 1 - 2 * stats.binom.cdf(cut, n, 0.5)
    assert ours.median_interval([3.0, 1.0, 2.0]).estimate == 2.0
    assert not ours.median_interval([3.0, 1.0, 2.0, 4.0, 5.0]).finite


def test_holm_by_hand() -> None:
    """Sorted 0.01 0.02 0.03 0.04, times 4 3 2 1, never falling: 0.04 0.06 0.06 0.06."""
    assert ours.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert ours.holm([0.6, 0.001, 0.7]) == pytest.approx([1.0, 0.003, 1.0])
    assert ours.holm([]) == []
    assert ours.holm([0.2]) == [0.2]


def test_holm_keeps_false_alarms_below_five_percent_and_doing_nothing_would_not() -> None:
    draw = generator(8)
    plain = adjusted = 0
    for _ in range(400):
        p = [ours.signed_rank_p(draw.standard_normal(12)) for _ in range(6)]
        plain += min(p) <= 0.05
        adjusted += min(ours.holm(p)) <= 0.05
    assert adjusted / 400 <= 0.07
    assert plain / 400 > 0.15


def test_a_geometric_mean_does_not_depend_on_the_side_called_baseline() -> None:
    ratios = np.array([0.5, 2.0, 8.0])
    assert ours.geometric_mean(ratios) == pytest.approx(2.0)
    assert ours.geometric_mean(1 / ratios) == pytest.approx(0.5)
    assert np.mean(ratios) * np.mean(1 / ratios) > 1.5  # the arithmetic one does


@pytest.mark.parametrize(
    ("comparisons", "blocks"), [(0, 6), (1, 6), (2, 7), (3, 8), (5, 8), (6, 9), (9, 9), (13, 10)]
)
def test_blocks_needed(comparisons: int, blocks: int) -> None:
    assert ours.blocks_needed(comparisons) == blocks
    smallest_p = 2 / 2**blocks
    assert max(ours.holm([smallest_p] * max(1, comparisons))) <= ours.FIRST_LOOK
    assert min(ours.holm([2 * smallest_p] * max(1, comparisons))) > ours.FIRST_LOOK


@pytest.mark.parametrize(("n", "comparisons"), [(10, 1), (10, 9), (20, 9)])
def test_four_runs_in_five_find_the_effect_called_detectable(n: int, comparisons: int) -> None:
    draw = generator(100 * n + comparisons)
    effects = [
        ours.detectable_effect(ours.signed_rank_interval(draw.standard_normal(n)), n, comparisons)
        for _ in range(200)
    ]
    effect = float(np.median(effects))
    found = [ours.signed_rank_p(draw.standard_normal(n) + effect) * comparisons <= 0.05 for _ in range(400)]
    assert 0.70 <= np.mean(found) <= 0.90
    missed = [
        ours.signed_rank_p(draw.standard_normal(n) + effect / 3) * comparisons <= 0.05 for _ in range(400)
    ]
    assert np.mean(missed) < 0.40


def test_too_few_blocks_can_detect_nothing_and_more_are_asked_for() -> None:
    interval = ours.signed_rank_interval(generator(9).normal(0, 0.02, 6))
    assert math.isinf(ours.detectable_effect(interval, 6, 9))
    assert ours.blocks_to_detect(0.02, interval, 6, 9) >= ours.blocks_needed(9) == 9
    nothing = ours.signed_rank_interval([0.1, 0.2])
    assert ours.blocks_to_detect(0.02, nothing, 2, 1) is None


def test_blocks_to_detect_follow_the_square_root_law_and_are_more_than_there_are() -> None:
    x = generator(10).normal(0, 0.05, 10)
    one, other = ours.signed_rank_interval(x), ours.signed_rank_interval(2 * x)
    few, many = (ours.blocks_to_detect(0.02, interval, 10, 1) for interval in (one, other))
    assert many / few == pytest.approx(4, rel=0.05)
    assert ours.blocks_to_detect(10.0, one, 10, 1) == 11


def test_large_numbers_of_blocks_are_extrapolated_smoothly() -> None:
    at, beyond = (ours._simulated(n, 0.05) for n in (ours.SIMULATED_BLOCKS, ours.SIMULATED_BLOCKS + 1))
    assert beyond == pytest.approx(at, rel=0.03)


@pytest.mark.parametrize("x", [[], [1.0, float("nan")], [float("inf"), 1.0], [[1.0], [2.0]]])
def test_numbers_that_carry_no_estimate_are_refused(x: list) -> None:
    for function in (
        ours.hodges_lehmann,
        ours.signed_rank_interval,
        ours.signed_rank_p,
        ours.median_interval,
    ):
        with pytest.raises(ValueError, match="an estimate needs"):
            function(x)
    with pytest.raises(ValueError, match="positive"):
        ours.geometric_mean([1.0, 0.0])


ROUNDS = range(15)
DRIFT = [1 + 0.2 * number for number in ROUNDS]  # the machine gets slower from round to round


def test_a_paired_log_ratio_is_the_median_over_the_rounds_that_both_took_part_in() -> None:
    entry = {0: 2.0, 1: 8.0, 3: 4.0, 7: 1e9}
    assert ours.paired_log_ratio(entry, {0: 1.0, 1: 1.0, 2: 1e-9, 3: 1.0}) == pytest.approx(math.log(4))
    assert ours.paired_log_ratio(entry, {1: 1.0, 3: 1.0}) == pytest.approx(math.log(32) / 2)  # of two: mean
    assert ours.paired_log_ratio({0: 1.0}, entry) == -ours.paired_log_ratio(entry, {0: 1.0})
    with pytest.raises(ValueError, match="no round holds a value of both"):
        ours.paired_log_ratio({0: 1.0}, {1: 1.0})


def ratio_of_medians(entry: dict[int, float], baseline: dict[int, float]) -> float:
    """A fault: what it was before rounds were paired."""
    return math.log(np.median([*entry.values()]) / np.median([*baseline.values()]))


@pytest.mark.parametrize(
    ("estimate", "held"), [(ours.paired_log_ratio, True), (ratio_of_medians, False)], ids=["ours", "mutant"]
)
def test_what_slows_both_sides_of_a_round_cancels(estimate, held: bool) -> None:
    """A slow entry takes part in every third round, its baseline in all until something ends it."""
    entry = {number: 1.1 * DRIFT[number] for number in ROUNDS if number % 3 == 0}
    baseline = {number: DRIFT[number] for number in ROUNDS if number <= 9}
    assert (abs(estimate(entry, baseline) - math.log(1.1)) < 1e-12) == held
