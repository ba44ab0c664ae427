"""The two-sample interval and p values against enumeration, SciPy, textbook numbers and simulation."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from bench.analysis import two_samples as ours
from bench.analysis.statistics import holm

# Hollander, Wolfe and Chicken, example 4.1: permeability of human chorioamnion at term, and at 12 to 26 weeks
AT_TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLIER = [1.15, 0.88, 0.90, 0.74, 1.21]
SIZES = [(1, 1), (1, 7), (3, 2), (4, 4), (2, 6), (5, 4)]


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def pairs(count: int, seed: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sizes 6 to 15, shifted by up to about one standard deviation, half of them with heavy tails."""
    draw = generator(seed)
    made = []
    for number in range(count):
        m, n = (int(size) for size in draw.integers(6, 16, 2))
        noise = [draw.standard_t(2, size) if number % 2 else draw.standard_normal(size) for size in (m, n)]
        made.append((noise[0], noise[1] + draw.normal()))
    return made


@pytest.mark.parametrize(("m", "n"), SIZES)
def test_the_null_distribution_is_that_of_enumeration(m: int, n: int) -> None:
    counts = Counter(
        sum(rank for rank in ranks) - n * (n - 1) // 2 for ranks in itertools.combinations(range(m + n), n)
    )
    expected = [counts[u] / math.comb(m + n, n) for u in range(m * n + 1)]
    assert ours.rank_sum_probabilities(m, n) == pytest.approx(expected, rel=1e-13)
    assert ours.rank_sum_probabilities(n, m) == pytest.approx(expected, rel=1e-13)


def exact_counts(m: int, n: int) -> list[int]:
    """The coefficients of the Gaussian binomial in whole numbers, by its other recursion."""
    rows = [[[1] for _ in range(n + 1)] for _ in range(m + 1)]
    for i, j in itertools.product(range(1, m + 1), range(1, n + 1)):
        counts = [0] * (i * j + 1)
        for place, count in enumerate(rows[i][j - 1]):
            counts[place] += count
        for place, count in enumerate(rows[i - 1][j]):
            counts[place + j] += count
        rows[i][j] = counts
    return rows[m][n]


def test_large_samples_keep_their_tails_exact() -> None:
    m, n = 24, 30
    exact = [count / math.comb(m + n, n) for count in exact_counts(m, n)]
    found = ours.rank_sum_probabilities(m, n)
    assert found == pytest.approx(exact, rel=1e-11)
    assert found[0] == pytest.approx(1 / math.comb(54, 24), rel=1e-12)
    assert float(np.sum(found)) == pytest.approx(1, abs=1e-12)


def test_beyond_a_hundred_blocks_the_normal_tails_are_close_and_never_smaller() -> None:
    m = n = 100
    exact, normal = (
        np.cumsum(one)[: m * n // 2] for one in (ours.rank_sum_probabilities(m, n), ours._normal(m, n))
    )
    for p in (0.025, 0.005, 5e-5):
        u = int(np.searchsorted(exact, p))
        assert exact[u] <= normal[u] <= (1.05 if p > 0.001 else 1.25) * exact[u]
    large = ours.rank_sum_probabilities(1000, 1000)
    assert (len(large), float(np.sum(large))) == (1_000_001, pytest.approx(1, abs=1e-12))


def test_p_is_scipys_where_there_are_no_ties() -> None:
    for old, new in pairs(150):
        expected = stats.mannwhitneyu(new, old, method="exact").pvalue
        assert ours.rank_sum_p(old, new) == pytest.approx(expected, rel=1e-11)
        above = stats.mannwhitneyu(new - 0.3, old, alternative="greater", method="exact").pvalue
        assert ours.exceeds_p(old, new, 0.3) == pytest.approx(above, rel=1e-11)


@pytest.mark.parametrize("confidence", [0.90, 0.95])
def test_the_interval_is_the_inversion_of_scipys_test(confidence: float) -> None:
    """Just inside a limit SciPy does not reject, just outside it does, at both ends."""
    alpha, step = 1 - confidence, 1e-9
    for old, new in pairs(60):
        interval = ours.shift_interval(old, new, confidence)
        for limit, inwards in ((interval.low, step), (interval.high, -step)):
            inside, outside = (
                stats.mannwhitneyu(new - (limit + moved), old, method="exact").pvalue
                for moved in (inwards, -inwards)
            )
            assert inside > alpha
            assert outside <= alpha


def test_the_achieved_confidence_is_at_least_the_one_asked_for_and_the_next_interval_is_below_it() -> None:
    for old, new in pairs(40):
        interval = ours.shift_interval(old, new)
        cut = int(np.sum(np.subtract.outer(new, old) < interval.low))
        tails = np.cumsum(ours.rank_sum_probabilities(len(old), len(new)))
        assert interval.confidence >= 0.95
        assert interval.confidence == pytest.approx(1 - 2 * float(tails[cut]), abs=1e-12)
        assert 1 - 2 * float(tails[cut + 1]) < 0.95


def test_interval_and_p_agree_also_with_ties() -> None:
    draw = generator(2)
    for _ in range(60):
        old, new = (draw.integers(-3, 6, int(draw.integers(5, 11))).astype(float) for _ in range(2))
        interval = ours.shift_interval(old, new)
        for shift in np.arange(-8, 9, 0.5):
            assert interval.contains(shift) == (ours.rank_sum_p(old, new, shift) > 0.05)


def test_with_ties_p_is_never_below_that_of_any_breaking_of_them() -> None:
    draw = generator(3)
    for _ in range(40):
        old, new = draw.integers(-2, 4, 8).astype(float), draw.integers(-1, 5, 9).astype(float)
        broken = [
            [values + draw.uniform(-1e-6, 1e-6, len(values)) for values in (old, new)] for _ in range(20)
        ]
        assert ours.rank_sum_p(old, new) >= max(ours.rank_sum_p(*pair) for pair in broken) - 1e-12
        assert ours.exceeds_p(old, new, 0.0) >= max(ours.exceeds_p(*pair, 0.0) for pair in broken) - 1e-12


def test_a_textbook_example_comes_out_as_printed() -> None:
    """W = 30, one-sided p 0.1272; estimate 0.305; interval (-0.15, 0.76) at 96.0 %."""
    differences = np.subtract.outer(EARLIER, AT_TERM)
    assert int(np.sum(differences > 0)) == 15  # W = 15 + 5 * 6 / 2
    assert ours.exceeds_p(EARLIER, AT_TERM, 0.0) == pytest.approx(0.1272, abs=5e-5)
    interval = ours.shift_interval(EARLIER, AT_TERM)
    assert interval.estimate == pytest.approx(0.305, abs=0.0005)
    assert (interval.low, interval.high) == pytest.approx((-0.15, 0.76), abs=0.0005)
    assert interval.confidence == pytest.approx(0.960, abs=0.001)


def test_the_estimate_moves_with_its_numbers_and_turns_round_with_the_sides() -> None:
    (old, new), *_ = pairs(1, seed=4)
    plain = ours.shift_interval(old, new)
    moved, swapped = ours.shift_interval(old, new + 2.5), ours.shift_interval(new, old)
    assert (moved.estimate, moved.low, moved.high) == pytest.approx(
        (plain.estimate + 2.5, plain.low + 2.5, plain.high + 2.5)
    )
    assert (swapped.estimate, swapped.low, swapped.high) == pytest.approx(
        (-plain.estimate, -plain.high, -plain.low)
    )


def test_too_few_numbers_have_an_estimate_and_no_interval() -> None:
    interval = ours.shift_interval([1.0, 2.0, 4.0], [3.0, 5.0, 9.0])
    assert (interval.estimate, interval.finite, interval.confidence) == (3.0, False, 1.0)
    assert ours.rank_sum_p([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == 2 / 20
    assert ours.shift_interval([1.0, 2, 3, 4], [5.0, 6, 7, 8]).finite  # 2 / 70


def coverage(m: int, n: int, draw: np.random.Generator, *, values: int = 1, runs: int = 1000) -> float:
    """How often the interval holds the true 0; ``values`` of a block share its error."""
    hits = 0
    for _ in range(runs):
        old, new = (
            np.repeat(draw.standard_normal(size), values) + 0.1 * draw.standard_normal(size * values)
            for size in (m, n)
        )
        hits += ours.shift_interval(old, new).contains(0.0)
    return hits / runs


@pytest.mark.parametrize(("m", "n"), [(6, 6), (10, 10), (10, 20)])
def test_the_interval_holds_the_truth_as_often_as_it_says(m: int, n: int) -> None:
    assert 0.93 <= coverage(m, n, generator(m + n)) <= 0.98


def test_pooling_the_values_of_a_block_would_be_found_out() -> None:
    assert coverage(6, 6, generator(5), values=5, runs=300) < 0.75


def test_one_slow_block_hardly_moves_the_estimate_but_would_move_a_mean() -> None:
    draw = generator(6)
    old, new = draw.normal(0.0, 0.01, 10), draw.normal(0.0, 0.01, 10)
    spoiled = new.copy()
    spoiled[3] += 5.0
    assert abs(ours.shift_interval(old, spoiled).estimate - ours.shift_interval(old, new).estimate) < 0.02
    assert abs(ours.welch_interval(old, spoiled).estimate - ours.welch_interval(old, new).estimate) > 0.4


def test_welchs_interval_is_scipys() -> None:
    for old, new in pairs(20, seed=7):
        expected = stats.ttest_ind(new, old, equal_var=False).confidence_interval(0.95)
        interval = ours.welch_interval(old, new)
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    same = ours.welch_interval([1.0, 1.0], [2.0, 2.0])
    assert (same.low, same.estimate, same.high) == (1.0, 1.0, 1.0)
    assert not ours.welch_interval([1.0], [2.0, 3.0]).finite


@pytest.mark.parametrize(("m", "n", "comparisons"), [(10, 10, 1), (10, 10, 12), (20, 12, 30)])
def test_four_pairs_in_five_find_the_shift_called_detectable(m: int, n: int, comparisons: int) -> None:
    draw = generator(100 * m + n + comparisons)

    def pair(shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        return draw.standard_normal(m), draw.standard_normal(n) + shift

    shifts = [ours.detectable_shift(ours.shift_interval(*pair()), m, n, comparisons) for _ in range(150)]
    shift = float(np.median(shifts))
    found = [ours.rank_sum_p(*pair(shift)) * comparisons <= 0.05 for _ in range(300)]
    missed = [ours.rank_sum_p(*pair(shift / 3)) * comparisons <= 0.05 for _ in range(300)]
    assert 0.70 <= np.mean(found) <= 0.90
    assert np.mean(missed) < 0.40


def test_the_detectable_shift_grows_with_the_noise_and_the_family() -> None:
    (old, new), *_ = pairs(1, seed=8)
    m, n = len(old), len(new)
    interval, wider = ours.shift_interval(old, new), ours.shift_interval(3 * old, 3 * new)
    one = ours.detectable_shift(interval, m, n, 1)
    assert ours.detectable_shift(wider, m, n, 1) == pytest.approx(3 * one)
    assert ours.detectable_shift(interval, m, n, 20) > one


def test_too_few_blocks_can_detect_nothing() -> None:
    interval = ours.shift_interval([1.0, 2, 3, 4], [2.0, 3, 4, 5])
    assert math.isfinite(ours.detectable_shift(interval, 4, 4, 1))
    assert math.isinf(ours.detectable_shift(interval, 4, 4, 2))
    assert math.isinf(ours.detectable_shift(ours.shift_interval([1.0], [2.0]), 1, 1, 1))


@pytest.mark.parametrize(
    ("comparisons", "blocks"), [(0, 4), (1, 4), (2, 5), (6, 5), (7, 6), (23, 6), (24, 7)]
)
def test_blocks_needed(comparisons: int, blocks: int) -> None:
    assert ours.blocks_needed(comparisons) == blocks
    smallest_p = 2 / math.comb(2 * blocks, blocks)
    assert max(holm([smallest_p] * max(1, comparisons))) <= 0.05
    fewer = 2 / math.comb(2 * blocks - 2, blocks - 1)
    assert min(holm([fewer] * max(1, comparisons))) > 0.05


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")], [float("inf"), 1.0], [[1.0], [2.0]]])
def test_numbers_that_carry_no_shift_are_refused(bad: list) -> None:
    for function in (ours.shift_interval, ours.rank_sum_p, ours.welch_interval):
        for pair in ((bad, [1.0, 2.0]), ([1.0, 2.0], bad)):
            with pytest.raises(ValueError, match="two lists of finite numbers"):
                function(*pair)
