"""Estimates and exact intervals from few blocks, without the assumption of a normal distribution.

The numbers are log ratios, one a block. Their Walsh averages (x_i + x_j) / 2, i <= j, carry everything:
the Hodges-Lehmann estimate is their median, the Wilcoxon signed-rank statistic counts how many lie above
the hypothesis, and the interval cuts the same number off both ends (Hollander, Wolfe and Chicken,
Nonparametric Statistical Methods, ch. 3). ``signed_rank_p`` and ``signed_rank_interval`` therefore always
agree: p(mu) <= 1 - confidence exactly where mu lies outside the interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
ALPHA = 0.05
FIRST_LOOK, SECOND_LOOK = 0.04, 0.01  # of ALPHA: what a run's verdicts may err in, and an extended run's
MIN_BLOCKS = 6  # for any verdict: from five blocks there is no interval of 95 %
POWER = 0.8  # a detectable effect is one that four runs in five would find
SIMULATED_SAMPLES = 4000
SIMULATED_BLOCKS = 30  # at most; beyond them the square root law is exact enough, and small


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between its limits, with the confidence that they really have (at least the one asked for).

    Where too few numbers are given for any limits at that confidence (fewer than 6 at 95 %), the limits are
    infinite and the confidence is 1.
    """

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def finite(self) -> bool:
        """Whether there are limits at all."""
        return math.isfinite(self.low)

    def contains(self, value: float) -> bool:
        """Whether the value lies between the limits, or on one."""
        return self.low <= value <= self.high


def paired_log_ratio(entry: Mapping[int, float], baseline: Mapping[int, float]) -> float:
    """The median of log(entry / baseline) over the rounds in which both took a value.

    The two sides of a round are milliseconds apart, so that what slows the machine slows both.

    Raises:
        ValueError: no round holds both.
    """
    logs = paired_logs(entry, baseline)
    if not logs:
        raise ValueError("no round holds a value of both")
    return median(logs)


def paired_logs(entry: Mapping[int, float], baseline: Mapping[int, float]) -> list[float]:
    """log(entry / baseline) of every round in which both took a value."""
    return [math.log(entry[number] / baseline[number]) for number in entry.keys() & baseline.keys()]


def scatter(x: Sequence[float]) -> float:
    """A standard deviation that a few outliers do not move: 1.4826 median |x - median x|."""
    middle = median(x)
    return 1.4826 * median(abs(value - middle) for value in x)


def hodges_lehmann(x: ArrayLike) -> float:
    """The median of all Walsh averages of x (n,): as robust as needed, nearly as sharp as the mean.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    return _median(_walsh_averages(x))


def signed_rank_interval(x: ArrayLike, confidence: float = 0.95) -> Interval:
    """Hodges-Lehmann estimate with the exact Wilcoxon signed-rank interval of x (n,).

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    walsh, n = _walsh_averages(x), len(np.atleast_1d(x))
    cut = _critical_value(n, 1 - confidence)
    if cut is None:
        return Interval(_median(walsh), -math.inf, math.inf, 1.0)
    achieved = 1 - 2 * float(np.sum(signed_rank_probabilities(n)[: cut + 1]))
    placed = np.partition(walsh, (cut, len(walsh) - 1 - cut))
    return Interval(_median(walsh), float(placed[cut]), float(placed[-1 - cut]), achieved)


def t_interval(x: ArrayLike, confidence: float = 0.95) -> Interval:
    """The mean of x (n,) with Student's interval, which stands beside the exact one.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    from scipy.special import stdtrit  # takes a while to load

    values = _checked(x)
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, -math.inf, math.inf, 1.0)
    reach = float(stdtrit(n - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / math.sqrt(n))
    return Interval(mean, mean - reach, mean + reach, confidence)


def signed_rank_p(x: ArrayLike, mu: float = 0.0) -> float:
    """Exact two-sided p of the Wilcoxon signed-rank test that x (n,) is symmetric about mu.

    A Walsh average equal to mu (a zero, or a tie of opposite signs) is counted on both sides, for the
    hypothesis each time, so p is never too small. Without any, it is the textbook's p.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    walsh = _walsh_averages(x)
    smaller = min(int(np.sum(walsh >= mu)), int(np.sum(walsh <= mu)))
    probabilities = signed_rank_probabilities(len(np.atleast_1d(x)))
    return min(1.0, 2 * float(np.sum(probabilities[: smaller + 1])))


@lru_cache(maxsize=64)
def signed_rank_probabilities(n: int) -> Array:
    """P(T = t), t = 0 ... n (n + 1) / 2, for the rank sum T of the positive ones among n symmetric numbers.

    By dynamic programming: rank r joins the sum or does not, each with probability 1/2. Read-only.
    """
    probabilities = np.zeros(n * (n + 1) // 2 + 1)
    probabilities[0] = 1.0
    for rank in range(1, n + 1):
        joined = np.zeros_like(probabilities)
        joined[rank:] = probabilities[:-rank]
        probabilities = 0.5 * (probabilities + joined)
    probabilities.flags.writeable = False  # whoever asks next gets the same ones
    return probabilities


def median_interval(x: ArrayLike, confidence: float = 0.95) -> Interval:
    """The median of x (n,) between two of its order statistics: exact, whatever the distribution.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    ordered = np.sort(_checked(x))
    n = len(ordered)
    below, cut = 0.0, -1  # P(fewer than cut + 1 numbers lie below the true median)
    ways, all_ways = 1, 2**n  # ways: of cut + 1 numbers to lie below it
    while 2 * (below + ways / all_ways) <= 1 - confidence:
        cut += 1
        below += ways / all_ways
        ways = ways * (n - cut) // (cut + 1)
    estimate = float(np.median(ordered))
    if cut < 0:
        return Interval(estimate, -math.inf, math.inf, 1.0)
    return Interval(estimate, float(ordered[cut]), float(ordered[-1 - cut]), 1 - 2 * below)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given: <= alpha keeps all false alarms together below alpha."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def geometric_mean(ratios: ArrayLike) -> float:
    """The mean of ratios: that of a ratio and its inverse is 1, whichever side is called the baseline.

    Raises:
        ValueError: no numbers, or one that is not positive and finite.
    """
    values = _checked(ratios)
    if np.min(values) <= 0:
        raise ValueError(f"a geometric mean needs positive numbers, not {np.min(values):g}")
    return float(np.exp(np.mean(np.log(values))))


def blocks_needed(comparisons: int, alpha: float = FIRST_LOOK) -> int:
    """The fewest blocks at which each of that many comparisons can reach a Holm-adjusted p of alpha.

    The smallest p there is, all n blocks on one side, is 2 / 2^n; Holm multiplies it by ``comparisons``.
    """
    n = 1
    while max(1, comparisons) * 2 / 2**n > alpha:
        n += 1
    return n


def detectable_effect(interval: Interval, n: int, comparisons: int, alpha: float = FIRST_LOOK) -> float:
    """The true value that four runs in five of this noise would tell from 0 among ``comparisons``.

    The noise is taken from the width of the 95 % interval of n numbers, since a single slow block hardly
    moves it. Infinite where n is too small for any verdict.
    """
    if not interval.finite or n < blocks_needed(comparisons, alpha):
        return math.inf
    half_width, shift = _simulated(n, alpha / max(1, comparisons))
    return (interval.high - interval.low) / 2 / half_width * shift


def blocks_to_detect(
    effect: float, interval: Interval, n: int, comparisons: int, alpha: float = FIRST_LOOK
) -> int | None:
    """About how many blocks would find a true value of ``effect``, by the square root law; None: unknown."""
    if not interval.finite:
        return None
    half_width, _ = _simulated(n, alpha)
    enough = max(n, blocks_needed(comparisons, alpha))
    _, shift = _simulated(enough, alpha / max(1, comparisons))
    detectable = (interval.high - interval.low) / 2 / half_width * shift
    return max(n + 1, blocks_needed(comparisons, alpha), math.ceil(enough * (detectable / effect) ** 2))


@lru_cache(maxsize=256)
def _simulated(n: int, alpha: float) -> tuple[float, float]:
    """For n standard normal numbers: the median half-width of the 95 % interval, and the shift that the
    test at ``alpha`` finds with the power asked for. Simulated, always from the same seed.

    A sample is found to be shifted by d when its Walsh average number ``cut`` + 1 plus d is above 0.
    """
    if n > SIMULATED_BLOCKS:
        half_width, shift = _simulated(SIMULATED_BLOCKS, alpha)
        shrink = math.sqrt(SIMULATED_BLOCKS / n)
        return half_width * shrink, shift * shrink
    rows, columns = np.triu_indices(n)
    samples = np.random.Generator(np.random.PCG64(n)).standard_normal((SIMULATED_SAMPLES, n))
    walsh = np.sort((samples[:, rows] + samples[:, columns]) / 2, axis=1)  # (samples, n (n + 1) / 2)
    wide, cut = _critical_value(n, ALPHA), _critical_value(n, alpha)
    if wide is None or cut is None:
        return math.inf, math.inf
    half_widths = (walsh[:, -1 - wide] - walsh[:, wide]) / 2
    width = float(np.median(half_widths))
    # the width that the shift will be taken from is another sample's: an estimate, with an error of its own
    return width, float(np.quantile(-walsh[:, cut] / np.roll(half_widths, 1), POWER)) * width


@lru_cache(maxsize=256)
def _critical_value(n: int, alpha: float) -> int | None:
    """The largest t with 2 P(T <= t) <= alpha; None where not even t = 0 has it."""
    tails = 2 * np.cumsum(signed_rank_probabilities(n))
    t = int(np.searchsorted(tails, alpha * (1 + 1e-12), side="right")) - 1
    return t if t >= 0 else None


def _walsh_averages(x: ArrayLike) -> Array:
    """All (x_i + x_j) / 2 with i <= j, in no order; x_i themselves among them. Not to be written to."""
    return _walsh_of(_checked(x).tobytes())


@lru_cache(maxsize=4)  # the estimate, both intervals and the p of one comparison ask for the same ones
def _walsh_of(x: bytes) -> Array:
    values = np.frombuffer(x)
    return np.concatenate([values[i:] + value for i, value in enumerate(values)]) / 2


def _median(numbers: Array) -> float:
    below, above = (len(numbers) - 1) // 2, len(numbers) // 2
    placed = np.partition(numbers, (below, above))
    return float(placed[below] + placed[above]) / 2


def _checked(x: ArrayLike) -> Array:
    values = np.atleast_1d(np.asarray(x, dtype=np.float64))
    if values.ndim != 1 or not len(values):
        raise ValueError("an estimate needs a list of at least one number")
    if not np.all(np.isfinite(values)):
        raise ValueError("an estimate needs finite numbers")
    return values
