"""Two independent samples: how far the new one is shifted against the old one, with exact intervals.

The numbers are logs, one a block: ``old`` (m,) and ``new`` (n,). Their m n differences new_j - old_i carry
everything: the median is the Hodges-Lehmann estimate of the shift, the Mann-Whitney statistic U counts how
many lie above the hypothesis, and the interval cuts the same number off both ends (Hollander, Wolfe and
Chicken, Nonparametric Statistical Methods, ch. 4). ``rank_sum_p`` and ``shift_interval`` therefore always
agree: p(shift) <= 1 - confidence exactly where the shift lies outside the interval.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.analysis.statistics import ALPHA, POWER, Interval

Array = NDArray[np.float64]
EXACT_PAIRS = 10_000  # of two samples: 100 blocks against 100
MOST_PAIRS = 4_000_000  # of two samples: all their differences are held at once
SIMULATED_PAIRS = 4000
SIMULATED_BLOCKS = 30  # at most, of each sample; what is taken from them hardly changes beyond


def shift_interval(old: ArrayLike, new: ArrayLike, confidence: float = 0.95) -> Interval:
    """Hodges-Lehmann estimate of the shift from old (m,) to new (n,), with the exact Mann-Whitney interval.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    differences = _differences(old, new)
    estimate, sizes = float(np.median(differences)), _sizes(old, new)
    cut = _critical_value(*sizes, 1 - confidence)
    if cut is None:
        return Interval(estimate, -math.inf, math.inf, 1.0)
    achieved = 1 - 2 * float(np.sum(rank_sum_probabilities(*sizes)[: cut + 1]))
    return Interval(estimate, float(differences[cut]), float(differences[-1 - cut]), achieved)


def rank_sum_p(old: ArrayLike, new: ArrayLike, shift: float = 0.0) -> float:
    """Exact two-sided p of the Mann-Whitney test that new (n,) is old (m,) moved by ``shift``.

    A difference that equals the shift is counted on both sides, for the hypothesis each time, so p is never
    too small. Without any, it is the textbook's p.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    differences = _differences(old, new)
    smaller = min(int(np.sum(differences >= shift)), int(np.sum(differences <= shift)))
    return min(1.0, 2 * float(np.sum(rank_sum_probabilities(*_sizes(old, new))[: smaller + 1])))


def exceeds_p(old: ArrayLike, new: ArrayLike, limit: float) -> float:
    """Exact one-sided p of the hypothesis that new (n,) is old (m,) moved by ``limit`` or less.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    for_it = int(np.sum(_differences(old, new) <= limit))
    return min(1.0, float(np.sum(rank_sum_probabilities(*_sizes(old, new))[: for_it + 1])))


def welch_interval(old: ArrayLike, new: ArrayLike, confidence: float = 0.95) -> Interval:
    """The difference of the means with Welch's interval, which stands beside the exact one.

    Unlike the rank sum test it does not take for granted that both samples scatter equally.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    from scipy.special import stdtrit  # takes a while to load

    _differences(old, new)
    samples = [np.asarray(sample, dtype=np.float64) for sample in (old, new)]
    shift = float(np.mean(samples[1]) - np.mean(samples[0]))
    if min(map(len, samples)) < 2:
        return Interval(shift, -math.inf, math.inf, 1.0)
    parts = [float(np.var(sample, ddof=1)) / len(sample) for sample in samples]
    if not sum(parts):
        return Interval(shift, shift, shift, confidence)
    squares = sum(
        (part / sum(parts)) ** 2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True)
    )
    reach = float(stdtrit(1 / squares, (1 + confidence) / 2)) * math.sqrt(sum(parts))
    return Interval(shift, shift - reach, shift + reach, confidence)


@lru_cache(maxsize=64)
def rank_sum_probabilities(m: int, n: int) -> Array:
    """P(U = u), u = 0 ... m n: of m and n exchangeable numbers, U pairs have a larger second one. Read-only.

    By dynamic programming: the largest of i and j numbers is one of the j with probability j / (i + j), and
    then beats all i of the others; without it there are j - 1, and otherwise i - 1. Beyond EXACT_PAIRS pairs
    the normal distribution of the same mean and variance stands for it; its tails are the larger ones.
    """
    m, n = sorted((m, n))
    if m * n > EXACT_PAIRS:
        probabilities = _normal(m, n)
    else:
        before = [np.ones(1)] * (m + 1)  # of i = 0 ... m and j - 1 numbers
        for j in range(1, n + 1):
            now = [np.ones(1)]
            for i in range(1, m + 1):
                now.append(np.zeros(i * j + 1))
                now[i][i:] = j / (i + j) * before[i]
                now[i][: (i - 1) * j + 1] += i / (i + j) * now[i - 1]
            before = now
        probabilities = before[m]
    probabilities.flags.writeable = False  # whoever asks next gets the same ones
    return probabilities


def _normal(m: int, n: int) -> Array:
    """P(u - 1/2 < X < u + 1/2) of the normal X with U's mean m n / 2 and variance m n (m + n + 1) / 12."""
    from scipy.special import ndtr

    edges = np.arange(m * n + 2) - 0.5 - m * n / 2
    probabilities: Array = np.diff(ndtr(edges / math.sqrt(m * n * (m + n + 1) / 12)))
    return probabilities


def blocks_needed(comparisons: int, alpha: float = ALPHA) -> int:
    """The fewest blocks in each of two runs at which every comparison can reach a Holm-adjusted p of alpha.

    The smallest p there is, all of one run above all of the other, is 2 n! n! / (2 n)!.
    """
    n = 1
    while max(1, comparisons) * 2 / math.comb(2 * n, n) > alpha:
        n += 1
    return n


def detectable_shift(interval: Interval, m: int, n: int, comparisons: int, alpha: float = ALPHA) -> float:
    """The true shift that four pairs of samples in five would tell from 0 among ``comparisons``.

    The noise is taken from the width of the 95 % interval of samples of m and n numbers, since a single slow
    block hardly moves it. Infinite where they are too few for any verdict.
    """
    if not interval.finite or max(1, comparisons) * 2 / math.comb(m + n, m) > alpha:
        return math.inf
    sizes = min(m, SIMULATED_BLOCKS), min(n, SIMULATED_BLOCKS)
    return (interval.high - interval.low) / 2 * _half_widths_to_detect(*sizes, alpha / max(1, comparisons))


@lru_cache(maxsize=256)
def _half_widths_to_detect(m: int, n: int, alpha: float) -> float:
    """The shift that the test at ``alpha`` finds with the power asked for, in half-widths of the interval.

    Simulated from standard normal numbers, always from the same seed. A pair of samples is found to be
    shifted by d when its difference number ``cut`` + 1 plus d is above 0.
    """
    wide, cut = _critical_value(m, n, ALPHA), _critical_value(m, n, alpha)
    if wide is None or cut is None:
        return math.inf
    draw = np.random.Generator(np.random.PCG64([m, n]))
    old, new = draw.standard_normal((SIMULATED_PAIRS, m, 1)), draw.standard_normal((SIMULATED_PAIRS, 1, n))
    differences = (new - old).reshape(SIMULATED_PAIRS, m * n)
    differences.partition(sorted({cut, wide, m * n - 1 - wide}), axis=1)
    half_widths = (differences[:, -1 - wide] - differences[:, wide]) / 2
    # the width that the shift will be taken from is another pair's: an estimate, with an error of its own
    return float(np.quantile(-differences[:, cut] / np.roll(half_widths, 1), POWER))


@lru_cache(maxsize=256)
def _critical_value(m: int, n: int, alpha: float) -> int | None:
    """The largest u with 2 P(U <= u) <= alpha; None where not even u = 0 has it."""
    tails = 2 * np.cumsum(rank_sum_probabilities(m, n))
    u = int(np.searchsorted(tails, alpha * (1 + 1e-12), side="right")) - 1
    return u if u >= 0 else None


def _sizes(old: ArrayLike, new: ArrayLike) -> tuple[int, int]:
    return len(np.atleast_1d(old)), len(np.atleast_1d(new))


def _differences(old: ArrayLike, new: ArrayLike) -> Array:
    """All new_j - old_i, sorted."""
    one, other = (np.atleast_1d(np.asarray(sample, dtype=np.float64)) for sample in (old, new))
    for sample in (one, other):
        if sample.ndim != 1 or not len(sample) or not np.all(np.isfinite(sample)):
            raise ValueError("a shift needs two lists of finite numbers")
    differences: Array = np.sort(np.subtract.outer(other, one), axis=None)
    return differences
