"""Exact intervals and p values of one sample and of two: enumeration, SciPy, textbooks, simulation."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from bench.analysis import statistics as ours

Samples = tuple[np.ndarray, ...]
# Hollander, Wolfe and Chicken, example 3.1: Hamilton depression scale factor IV of nine patients, after
# minus before a tranquilliser; example 4.1: permeability of human chorioamnion at term, and at 12 to 26 weeks
DEPRESSION = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]) - np.array(
    [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
)
AT_TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLIER = [1.15, 0.88, 0.90, 0.74, 1.21]
one_and_two = pytest.mark.parametrize("count", [1, 2], ids=["one sample", "two samples"])


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def drawn(count: int, runs: int, seed: int = 1) -> list[Samples]:
    """Samples of 6 to 15 numbers, shifted by up to about one standard deviation, half with heavy tails."""
    draw = generator(seed)
    runs_of = []
    for number in range(runs):
        sizes = [int(size) for size in draw.integers(6, 16, count)]
        noise = [draw.standard_t(2, n) if number % 2 else draw.standard_normal(n) for n in sizes]
        runs_of.append((*noise[:-1], noise[-1] + draw.normal()))
    return runs_of


def moved(samples: Samples, by: float) -> Samples:
    """The same, the last of them moved."""
    return (*samples[:-1], np.asarray(samples[-1]) + by)


def scipys_p(samples: Samples) -> float:
    if len(samples) == 1:
        return float(stats.wilcoxon(samples[0], method="exact").pvalue)
    return float(stats.mannwhitneyu(samples[1], samples[0], method="exact").pvalue)


def contrasts(samples: Samples) -> np.ndarray:
    """All averages of two numbers of one sample, or all differences of two, one by one."""
    if len(samples) == 1:
        return np.array([(a + b) / 2 for a, b in itertools.combinations_with_replacement(samples[0], 2)])
    return np.array([new - old for old, new in itertools.product(*samples)])


def tails(samples: Samples) -> np.ndarray:
    sizes = [len(sample) for sample in samples]
    null = ours.signed_rank_probabilities(*sizes) if len(sizes) == 1 else ours.rank_sum_probabilities(*sizes)
    return np.cumsum(null)


# the distributions


@pytest.mark.parametrize("n", range(1, 11))
def test_the_null_distribution_of_one_sample_is_that_of_enumeration(n):
    signs = itertools.product((0, 1), repeat=n)
    sums = Counter(sum(rank * sign for rank, sign in enumerate(one, start=1)) for one in signs)
    expected = [sums[total] / 2**n for total in range(n * (n + 1) // 2 + 1)]
    assert ours.signed_rank_probabilities(n).tolist() == expected


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 7), (3, 2), (4, 4), (2, 6), (5, 4)])
def test_the_null_distribution_of_two_samples_is_that_of_enumeration(m, n):
    counts = Counter(sum(ranks) - n * (n - 1) // 2 for ranks in itertools.combinations(range(m + n), n))
    expected = pytest.approx([counts[u] / math.comb(m + n, n) for u in range(m * n + 1)], rel=1e-13)
    for probabilities in (ours.rank_sum_probabilities(m, n), ours.rank_sum_probabilities(n, m)):
        assert probabilities == expected


def exact_counts(m: int, n: int) -> list[int]:
    """The coefficients of the Gaussian binomial, the product of (1 - x^(n+i)) / (1 - x^i)."""
    counts = [1] + [0] * m * n
    for i in range(1, m + 1):
        for place in range(m * n, n + i - 1, -1):
            counts[place] -= counts[place - n - i]
        for place in range(i, m * n + 1):
            counts[place] += counts[place - i]
    return counts


def test_large_samples_keep_their_tails_exact():
    m, n = 24, 30
    found = ours.rank_sum_probabilities(m, n)
    assert found == pytest.approx([count / math.comb(m + n, n) for count in exact_counts(m, n)], rel=1e-11)
    assert found[0] == pytest.approx(1 / math.comb(54, 24), rel=1e-12)
    assert float(np.sum(found)) == pytest.approx(1, abs=1e-12)


def test_beyond_a_hundred_blocks_the_normal_tails_are_close_and_never_smaller():
    m = n = 100
    exact, normal = (
        np.cumsum(one)[: m * n // 2] for one in (ours.rank_sum_probabilities(m, n), ours._normal(m, n))
    )
    for p in (0.025, 0.005, 5e-5):
        u = int(np.searchsorted(exact, p))
        assert exact[u] <= normal[u] <= (1.05 if p > 0.001 else 1.25) * exact[u]
    large = ours.rank_sum_probabilities(1000, 1000)
    assert (len(large), float(np.sum(large))) == (1_000_001, pytest.approx(1, abs=1e-12))


# p and interval


@one_and_two
def test_p_is_scipys_where_there_are_no_ties(count):
    for samples in drawn(count, 150):
        assert ours.rank_p(*samples) == pytest.approx(scipys_p(samples), rel=1e-11)
        if count == 2:
            old, new = samples[0], samples[1] - 0.3
            above = stats.mannwhitneyu(new, old, alternative="greater", method="exact").pvalue
            assert ours.exceeds_p(*samples, limit=0.3) == pytest.approx(above, rel=1e-11)


@one_and_two
@pytest.mark.parametrize("confidence", [0.90, 0.95])
def test_the_interval_is_the_inversion_of_scipys_test(confidence, count):
    """Just inside a limit SciPy does not reject, just outside it does, at both ends."""
    for samples in drawn(count, 80):
        interval = ours.rank_interval(*samples, confidence=confidence)
        for limit, inwards in ((interval.low, 1e-9), (interval.high, -1e-9)):
            inside, outside = (scipys_p(moved(samples, by - limit)) for by in (-inwards, inwards))
            assert inside > 1 - confidence >= outside


@one_and_two
def test_interval_p_and_confidence_agree_also_with_ties_and_zeros(count):
    draw = generator(2)
    for _ in range(80):
        samples = tuple(draw.integers(-3, 6, int(draw.integers(6, 12))).astype(float) for _ in range(count))
        interval = ours.rank_interval(*samples)
        for mu in np.arange(-8, 9, 0.25):
            assert interval.contains(mu) == (ours.rank_p(*samples, mu=mu) > 0.05)
    for samples in drawn(count, 50):  # at least the confidence asked for, that of the next interval is not
        interval = ours.rank_interval(*samples)
        cut = int(np.sum(contrasts(samples) < interval.low))
        assert interval.confidence == pytest.approx(1 - 2 * float(tails(samples)[cut]), abs=1e-12)
        assert interval.confidence >= 0.95 > 1 - 2 * float(tails(samples)[cut + 1])


@one_and_two
def test_with_ties_and_zeros_p_is_never_below_that_of_any_breaking_of_them(count):
    draw = generator(3)
    for _ in range(45):
        samples = [draw.integers(-2, 4 + place, 8 + place).astype(float) for place in range(count)]
        broken = [[x + draw.uniform(-1e-6, 1e-6, len(x)) for x in samples] for _ in range(20)]
        for p in (ours.rank_p, lambda *of: ours.exceeds_p(*of, limit=0.0))[:count]:
            assert p(*samples) >= max(p(*one) for one in broken) - 1e-12


SIX = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]  # whose middle Walsh average is 8.5


def test_examples_of_textbooks_and_by_hand_come_out_as_printed():
    """T+ = 5 of 45: one-sided p 0.0195; -0.46 (-0.786 to -0.01) at 96.1 %.
    W = 30: one-sided p 0.1272; 0.305 (-0.15 to 0.76) at 96.0 %.
    Six numbers on one side: p = 2 / 64, and the interval of 96.875 % runs from smallest to largest."""
    assert ours.rank_p(DEPRESSION) / 2 == pytest.approx(0.0195, abs=5e-5)
    assert ours.exceeds_p(EARLIER, AT_TERM, limit=0.0) == pytest.approx(0.1272, abs=5e-5)
    assert ours.rank_p(SIX) == 2 / 64
    for samples, expected in (
        ((DEPRESSION,), (-0.46, -0.786, -0.010, 0.961)),
        ((EARLIER, AT_TERM), (0.305, -0.15, 0.76, 0.960)),
        ((SIX,), (8.5, 1.0, 32.0, 1 - 2 / 64)),
    ):
        of = ours.rank_interval(*samples)
        assert (of.estimate, of.low, of.high, of.confidence) == pytest.approx(expected, abs=6e-4)


def test_too_few_numbers_have_an_estimate_and_no_interval():
    for n in range(1, 6):
        x = np.arange(1.0, n + 1)
        assert ours.rank_interval(x) == ours.Interval((n + 1) / 2, -math.inf, math.inf, 1.0)
        assert not ours.rank_interval(x).finite
        assert ours.rank_p(x) > 0.05
    assert ours.rank_interval([1.0, 2, 3, 4, 5], confidence=0.9).finite  # at 90 % five are enough
    assert ours.rank_interval([1.0, 2, 4], [3.0, 5, 9]) == ours.Interval(3.0, -math.inf, math.inf, 1.0)
    assert ours.rank_p([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == 2 / 20
    assert ours.rank_interval([1.0, 2, 3, 4], [5.0, 6, 7, 8]).finite  # 2 / 70


@one_and_two
def test_the_estimate_moves_with_its_numbers_and_turns_round_with_their_sign(count):
    (samples,) = drawn(count, 1, seed=4)
    plain, by = ours.rank_interval(*samples), ours.rank_interval(*moved(samples, 2.5))
    turned = ours.rank_interval(*(-x for x in samples))
    expected = np.array([plain.estimate, plain.low, plain.high])
    assert [by.estimate, by.low, by.high] == pytest.approx(expected + 2.5)
    assert [turned.estimate, turned.high, turned.low] == pytest.approx(-expected)


# what they are good for


def coverage(sizes: Sequence[int], *, values: int = 1, runs: int = 1500) -> float:
    """How often the interval holds the true 0; ``values`` of a block share its error."""
    draw, hits = generator(sum(sizes)), 0
    for _ in range(runs):
        samples = [
            np.repeat(draw.standard_normal(n), values) + 0.1 * draw.standard_normal(n * values) for n in sizes
        ]
        hits += ours.rank_interval(*samples).contains(0.0)
    return hits / runs


@pytest.mark.parametrize("sizes", [(6,), (10,), (20,), (6, 6), (10, 10), (10, 20)])
def test_the_interval_holds_the_truth_as_often_as_it_says(sizes):
    assert 0.93 <= coverage(sizes) <= 0.98


@one_and_two
def test_pooling_the_values_of_a_block_would_be_found_out(count):
    assert coverage([6] * count, values=5, runs=300) < 0.80


@one_and_two
def test_one_slow_block_hardly_moves_the_estimate_but_would_move_a_mean(count):
    draw = generator(6)
    samples = tuple(draw.normal(0.0, 0.01, 10) for _ in range(count))
    spoiled = (*samples[:-1], samples[-1] + 5.0 * (np.arange(10) == 3))
    moves = [
        abs(interval(*spoiled).estimate - interval(*samples).estimate)
        for interval in (ours.rank_interval, ours.mean_interval)
    ]
    assert moves[0] < 0.02
    assert moves[1] > 0.4


def test_the_intervals_of_means_are_scipys():
    for old, new in drawn(2, 20, seed=7):
        welch = stats.ttest_ind(new, old, equal_var=False).confidence_interval(0.95)
        student = stats.ttest_1samp(new, 0).confidence_interval(0.95)
        for interval, expected in ((ours.mean_interval(old, new), welch), (ours.mean_interval(new), student)):
            assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    same = ours.mean_interval([1.0, 1.0], [2.0, 2.0])
    assert (same.low, same.estimate, same.high) == (1.0, 1.0, 1.0)
    assert not ours.mean_interval([1.0], [2.0, 3.0]).finite
    assert not ours.mean_interval([1.0]).finite


def test_the_median_interval_is_that_of_the_binomial():
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


def test_holm_by_hand():
    """Sorted 0.01 0.02 0.03 0.04, times 4 3 2 1, never falling: 0.04 0.06 0.06 0.06."""
    assert ours.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert ours.holm([0.6, 0.001, 0.7]) == pytest.approx([1.0, 0.003, 1.0])
    assert ours.holm([]) == []
    assert ours.holm([0.2]) == [0.2]


def test_holm_keeps_false_alarms_below_five_percent_and_doing_nothing_would_not():
    draw = generator(8)
    plain = adjusted = 0
    for _ in range(400):
        p = [ours.rank_p(draw.standard_normal(12)) for _ in range(6)]
        plain += min(p) <= 0.05
        adjusted += min(ours.holm(p)) <= 0.05
    assert adjusted / 400 <= 0.07
    assert plain / 400 > 0.15


# blocks


@pytest.mark.parametrize(
    ("runs", "alpha", "comparisons", "blocks"),
    [
        (1, ours.FIRST_LOOK, *pair)
        for pair in ((0, 6), (1, 6), (2, 7), (3, 8), (5, 8), (6, 9), (9, 9), (13, 10))
    ]
    + [(2, ours.ALPHA, *pair) for pair in ((0, 4), (1, 4), (2, 5), (6, 5), (7, 6), (23, 6), (24, 7))],
)
def test_so_many_blocks_and_no_fewer_can_be_significant(runs, alpha, comparisons, blocks):
    assert ours.blocks_needed(comparisons, alpha, runs) == blocks
    smallest = [2 / (2**n if runs == 1 else math.comb(2 * n, n)) for n in (blocks, blocks - 1)]
    enough, fewer = (ours.holm([p] * max(1, comparisons)) for p in smallest)
    assert max(enough) <= alpha < min(fewer)


@pytest.mark.parametrize(
    ("sizes", "comparisons"),
    [((10,), 1), ((10,), 9), ((20,), 9), ((10, 10), 1), ((10, 10), 12), ((20, 12), 30)],
)
def test_four_runs_in_five_find_the_effect_called_detectable(sizes, comparisons):
    draw = generator(100 * sizes[0] + comparisons)

    def samples(shift: float = 0.0) -> Samples:
        return moved(tuple(draw.standard_normal(n) for n in sizes), shift)

    intervals = [ours.rank_interval(*samples()) for _ in range(150)]
    effects = [ours.detectable_effect(interval, sizes, comparisons, ours.ALPHA) for interval in intervals]
    effect = float(np.median(effects))
    found, missed = (
        np.mean([ours.rank_p(*samples(shift)) * comparisons <= 0.05 for _ in range(400)])
        for shift in (effect, effect / 3)
    )
    assert 0.70 <= found <= 0.90
    assert missed < 0.40


@one_and_two
def test_the_detectable_effect_grows_with_the_noise_and_the_family(count):
    (samples,) = drawn(count, 1, seed=8)
    sizes = tuple(len(x) for x in samples)
    interval, wider = ours.rank_interval(*samples), ours.rank_interval(*(3 * x for x in samples))
    alone = ours.detectable_effect(interval, sizes, 1)
    assert ours.detectable_effect(wider, sizes, 1) == pytest.approx(3 * alone)
    assert ours.detectable_effect(interval, sizes, 3) > alone


def test_too_few_blocks_can_detect_nothing_and_more_are_asked_for():
    interval, two = ours.rank_interval(generator(9).normal(0, 0.02, 6)), ours.rank_interval([1.0], [2.0])
    four = ours.rank_interval([1.0, 2, 3, 4], [2.0, 3, 4, 5])
    for of, sizes, comparisons in ((interval, (6,), 9), (four, (4, 4), 2), (two, (1, 1), 1)):
        assert math.isinf(ours.detectable_effect(of, sizes, comparisons, ours.ALPHA))
    assert math.isfinite(ours.detectable_effect(four, (4, 4), 1, ours.ALPHA))
    assert ours.blocks_to_detect(0.02, interval, (6,), 9) >= ours.blocks_needed(9) == 9
    assert ours.blocks_to_detect(0.02, ours.rank_interval([0.1, 0.2]), (2,), 1) is None


@one_and_two
def test_blocks_to_detect_follow_the_square_root_law_and_are_more_than_there_are(count):
    samples = [generator(10 + place).normal(0, 0.05, 10) for place in range(count)]
    intervals = [ours.rank_interval(*(factor * x for x in samples)) for factor in (1, 2)]
    few, many = (ours.blocks_to_detect(0.02, interval, (10,) * count, 1) for interval in intervals)
    assert many / few == pytest.approx(4, rel=0.05)
    assert ours.blocks_to_detect(10.0, intervals[0], (10,) * count, 1) == 11


def test_six_noisy_blocks_need_many_more_at_the_level_of_a_second_look_too():
    """Six can reach no p of 0.01: their width is known all the same."""
    interval = ours.rank_interval(generator(9).normal(0, 0.1, 6))
    first, second = (
        ours.blocks_to_detect(0.02, interval, (6,), 1, alpha) for alpha in (ours.FIRST_LOOK, ours.SECOND_LOOK)
    )
    assert second > first > 50


@one_and_two
def test_large_numbers_of_blocks_are_extrapolated_smoothly(count):
    at, beyond = (
        ours._simulated((n,) * count, 0.05) for n in (ours.SIMULATED_BLOCKS, ours.SIMULATED_BLOCKS + 1)
    )
    assert beyond == pytest.approx(at, rel=0.03)


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")], [float("inf"), 1.0], [[1.0], [2.0]], 0.5])
def test_numbers_that_carry_no_estimate_are_refused(bad):
    of_both = (ours.rank_interval, ours.rank_p, ours.mean_interval)
    pairs = itertools.product(of_both, ((bad, [1.0, 2.0]), ([1.0, 2.0], bad)))
    for function, samples in (*pairs, *((one, (bad,)) for one in (*of_both, ours.median_interval))):
        with pytest.raises(ValueError, match="an estimate needs"):
            function(*samples)


# rounds

ROUNDS = range(15)
DRIFT = [1 + 0.2 * number for number in ROUNDS]  # the machine gets slower from round to round


def test_a_paired_log_ratio_is_the_median_over_the_rounds_that_both_took_part_in():
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
def test_what_slows_both_sides_of_a_round_cancels(estimate, held):
    """A slow entry takes part in every third round, its baseline in all until something ends it."""
    entry = {number: 1.1 * DRIFT[number] for number in ROUNDS if number % 3 == 0}
    baseline = {number: DRIFT[number] for number in ROUNDS if number <= 9}
    assert (abs(estimate(entry, baseline) - math.log(1.1)) < 1e-12) == held
