"""Estimates and exact intervals from few blocks, without the assumption of a normal distribution.

The numbers are logs, one a block: log ratios (n,) of one run, or what two runs have, ``old`` (m,) and ``new``
(n,), of which the shift from old to new is asked. Of one sample the Walsh averages (x_i + x_j) / 2, i <= j,
carry everything, of two their m n differences new_j - old_i: the Hodges-Lehmann estimate is their median, the
statistic (Wilcoxon's signed rank, Mann and Whitney's U) counts how many lie above the hypothesis, and the
interval cuts the same number off both ends (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods,
ch. 3 and 4). p and interval therefore always agree: p(mu) <= 1 - confidence exactly where mu lies outside the
interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Sizes = tuple[int, ...]  # how many numbers there are: (n,) of one sample, (m, n) of two
ALPHA = 0.05
FIRST_LOOK, SECOND_LOOK = 0.04, 0.01  # of ALPHA: what a run's verdicts may err in, and an extended run's
MIN_BLOCKS = 6  # for any verdict: from five blocks there is no interval of 95 %
POWER = 0.8  # a detectable effect is one that four runs in five would find
EXACT_PAIRS = 10_000  # of two samples: 100 blocks against 100
MOST_PAIRS = 4_000_000  # of two samples: all their differences are held at once
LARGEST_LOG = 700.0  # of a ratio
SIMULATED = 4000  # runs, or pairs of runs
SIMULATED_BLOCKS = 30  # at most, of each; beyond them the square root law is exact enough, and small


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
        """Tell whether there are limits at all."""
        return self.confidence < 1

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """Return both limits; None twice where there are none."""
        return (self.low, self.high) if self.finite else (None, None)

    def exp(self) -> "Interval":
        """Return the interval of ratios whose logs this one is of."""
        return Interval(_exp(self.estimate), _exp(self.low), _exp(self.high), self.confidence)

    def contains(self, value: float) -> bool:
        """Return whether the value lies between the limits, or on one."""
        return self.low <= value <= self.high


def paired_log_ratio(entry: Mapping[int, float], baseline: Mapping[int, float]) -> float:
    """Return the median of log(entry / baseline) over the rounds in which both took a value.

    The two sides of a round are milliseconds apart, so that what slows the machine slows both.

    Raises:
        ValueError: no round holds both.
    """
    logs = paired_logs(entry, baseline)
    if not logs:
        raise ValueError("no round holds a value of both")
    return median(logs)


def paired_logs(entry: Mapping[int, float], baseline: Mapping[int, float]) -> list[float]:
    """Return log(entry / baseline) of every round in which both took a value."""
    return [math.log(entry[number] / baseline[number]) for number in entry.keys() & baseline.keys()]


def scatter(x: Sequence[float]) -> float:
    """Return a standard deviation that a few outliers do not move: 1.4826 median |x - median x|."""
    middle = median(x)
    return 1.4826 * median(abs(value - middle) for value in x)


def rank_interval(*samples: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the Hodges-Lehmann estimate with its exact interval: of one sample, or of the shift of two.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    contrasts, sizes = _contrasts(*samples), _sizes(*samples)
    cut = _critical_value(sizes, 1 - confidence)
    if cut is None:
        return Interval(float(np.median(contrasts)), -math.inf, math.inf, 1.0)
    achieved = 1 - 2 * float(np.sum(_probabilities(sizes)[: cut + 1]))
    placed = np.partition(contrasts, (cut, len(contrasts) - 1 - cut))
    return Interval(float(np.median(contrasts)), float(placed[cut]), float(placed[-1 - cut]), achieved)


def rank_p(*samples: ArrayLike, mu: float = 0.0) -> float:
    """Return the exact two-sided p that one sample is symmetric about mu, or that mu is the shift of two.

    An average or difference equal to mu (a zero, a tie) is counted on both sides, for the hypothesis each
    time, so p is never too small. Without any, it is the textbook's p.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    contrasts = _contrasts(*samples)
    smaller = min(int(np.sum(contrasts >= mu)), int(np.sum(contrasts <= mu)))
    return min(1.0, 2 * float(np.sum(_probabilities(_sizes(*samples))[: smaller + 1])))


def exceeds_p(*samples: ArrayLike, limit: float) -> float:
    """Return the exact one-sided p that the middle of one sample, or the shift of two, is ``limit`` or less.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    for_it = int(np.sum(_contrasts(*samples) <= limit))
    return min(1.0, float(np.sum(_probabilities(_sizes(*samples))[: for_it + 1])))


def mean_interval(*samples: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the mean with Student's interval, or the difference of two means with Welch's.

    It stands beside the exact one. Welch's does not take for granted that both samples scatter equally.

    Raises:
        ValueError: no numbers, or one that is not finite.
    """
    from scipy.special import stdtrit  # takes a while to load

    arrays = [_checked(sample) for sample in samples]
    means = [float(np.mean(sample)) for sample in arrays]
    estimate = means[-1] - (means[0] if len(means) > 1 else 0.0)
    if min(map(len, arrays)) < 2:
        return Interval(estimate, -math.inf, math.inf, 1.0)
    if len(arrays) == 1:
        n = len(arrays[0])
        reach = float(stdtrit(n - 1, (1 + confidence) / 2) * np.std(arrays[0], ddof=1) / math.sqrt(n))
    else:
        parts = [float(np.var(sample, ddof=1)) / len(sample) for sample in arrays]
        if not sum(parts):
            return Interval(estimate, estimate, estimate, confidence)
        shares = [(part / sum(parts)) ** 2 / (len(of) - 1) for part, of in zip(parts, arrays, strict=True)]
        reach = float(stdtrit(1 / sum(shares), (1 + confidence) / 2)) * math.sqrt(sum(parts))
    return Interval(estimate, estimate - reach, estimate + reach, confidence)


@lru_cache(maxsize=64)
def signed_rank_probabilities(n: int) -> Array:
    """Return P(T = t), t = 0 ... n (n + 1) / 2, of the sum T of the ranks of those above 0 among n.

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


@lru_cache(maxsize=64)
def rank_sum_probabilities(m: int, n: int) -> Array:
    """Return P(U = u), u = 0 ... m n: of m and n exchangeable numbers, U pairs have a larger second one.

    By dynamic programming: the largest of i and j numbers is one of the j with probability j / (i + j), and
    then beats all i of the others; without it there are j - 1, and otherwise i - 1. Beyond EXACT_PAIRS pairs
    the normal distribution of the same mean and variance stands for it; its tails are the larger ones.
    Read-only.
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
    """Return P(u - 1/2 < X < u + 1/2) of the normal X with U's mean and variance."""
    from scipy.special import ndtr

    edges = np.arange(m * n + 2) - 0.5 - m * n / 2
    probabilities: Array = np.diff(ndtr(edges / math.sqrt(m * n * (m + n + 1) / 12)))
    return probabilities


def median_interval(x: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the median of x (n,) between two of its order statistics: exact, whatever the distribution.

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
    """Return Holm's adjusted p values, in the order given.

    One of alpha or less each keeps all false alarms together below alpha."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def blocks_needed(comparisons: int, alpha: float = FIRST_LOOK, runs: int = 1) -> int:
    """Return the fewest blocks, in each of ``runs`` (1 or 2), of which every comparison can be significant.

    With so many a Holm-adjusted p can be alpha or less: Holm multiplies the smallest p by ``comparisons``.
    """
    n = 1
    while max(1, comparisons) * _smallest_p((n,) * runs) > alpha:
        n += 1
    return n


def detectable_effect(interval: Interval, sizes: Sizes, comparisons: int, alpha: float = FIRST_LOOK) -> float:
    """Return the true value that four runs in five of this noise would tell from 0 among ``comparisons``.

    The noise is taken from the width of the 95 % interval of so many numbers, since a single slow block
    hardly moves it. Infinite where they are too few for any verdict.
    """
    if not interval.finite or max(1, comparisons) * _smallest_p(sizes) > alpha:
        return math.inf
    _, half_widths = _simulated(sizes, alpha / max(1, comparisons))
    return (interval.high - interval.low) / 2 * half_widths


def blocks_to_detect(
    effect: float, interval: Interval, sizes: Sizes, comparisons: int, alpha: float = FIRST_LOOK
) -> int | None:
    """Return about how many blocks, in each run, would find a true value of ``effect``.

    By the square root law, from the width of the interval; None where it has no limits.
    """
    if not interval.finite:
        return None
    least = blocks_needed(comparisons, alpha, len(sizes))
    enough = tuple(max(n, least) for n in sizes)
    width_now, _ = _simulated(sizes, alpha)
    width, half_widths = _simulated(enough, alpha / max(1, comparisons))
    detectable = (interval.high - interval.low) / 2 / width_now * width * half_widths
    return max(min(sizes) + 1, least, math.ceil(min(enough) * (detectable / effect) ** 2))


@lru_cache(maxsize=256)
def _simulated(sizes: Sizes, alpha: float) -> tuple[float, float]:
    """Return the median half-width of the 95 % interval of standard normal numbers, and in such half-widths
    the true value that the test at ``alpha`` finds with the power asked for.

    Simulated, always from the same seed. A sample is found to be shifted by d when its average or difference
    number ``cut`` + 1 plus d is above 0.
    """
    if max(sizes) > SIMULATED_BLOCKS:
        fewer = tuple(min(n, SIMULATED_BLOCKS) for n in sizes)
        width, shift = _simulated(fewer, alpha)
        return width * math.sqrt(sum(1 / n for n in sizes) / sum(1 / n for n in fewer)), shift
    wide, cut = _critical_value(sizes, ALPHA), _critical_value(sizes, alpha)
    if wide is None:
        return math.inf, math.inf
    draw = np.random.Generator(np.random.PCG64(list(sizes)))
    contrasts = _contrasts_of([draw.standard_normal((SIMULATED, n)) for n in sizes])
    contrasts.partition(sorted({cut or 0, wide, contrasts.shape[1] - 1 - wide}), axis=1)
    half_widths = (contrasts[:, -1 - wide] - contrasts[:, wide]) / 2
    width = float(np.median(half_widths))
    if cut is None:
        return width, math.inf
    # the width that the shift will be taken from is another sample's: an estimate, with an error of its own
    return width, float(np.quantile(-contrasts[:, cut] / np.roll(half_widths, 1), POWER))


def _smallest_p(sizes: Sizes) -> float:
    """Return the smallest p there is: all numbers on one side, or all new ones above all old ones."""
    return 2 / (2 ** sizes[0] if len(sizes) == 1 else math.comb(sum(sizes), sizes[0]))


def _probabilities(sizes: Sizes) -> Array:
    """Return the distribution of the statistic of one sample, or of two, where nothing differs."""
    return signed_rank_probabilities(*sizes) if len(sizes) == 1 else rank_sum_probabilities(*sizes)


@lru_cache(maxsize=256)
def _critical_value(sizes: Sizes, alpha: float) -> int | None:
    """Return the largest t with 2 P(T <= t) <= alpha; None where not even t = 0 has it."""
    tails = 2 * np.cumsum(_probabilities(sizes))
    t = int(np.searchsorted(tails, alpha * (1 + 1e-12), side="right")) - 1
    return t if t >= 0 else None


def _contrasts(*samples: ArrayLike) -> Array:
    """Return the Walsh averages of one sample, or the differences of two, in no order. Read-only."""
    return _contrasts_of_bytes(*(_checked(sample).tobytes() for sample in samples))


@lru_cache(maxsize=4)  # the estimate, the intervals and the p of one comparison ask for the same ones
def _contrasts_of_bytes(*samples: bytes) -> Array:
    contrasts: Array = _contrasts_of([np.frombuffer(sample)[np.newaxis] for sample in samples])[0]
    return contrasts


def _contrasts_of(samples: Sequence[Array]) -> Array:
    """Return the averages or differences in each row of one or two samples (rows, n)."""
    first, last = samples[0], samples[-1]
    if len(samples) == 1:
        rows, columns = np.triu_indices(first.shape[1])
        contrasts: Array = (first[:, rows] + first[:, columns]) / 2
    else:
        contrasts = (last[:, np.newaxis, :] - first[:, :, np.newaxis]).reshape(len(first), -1)
    return contrasts


def _exp(log: float) -> float:
    """Return exp(log), infinite where that is no number any more."""
    return math.exp(log) if log < LARGEST_LOG else math.inf


def _sizes(*samples: ArrayLike) -> Sizes:
    return tuple(len(np.asarray(sample)) for sample in samples)


def _checked(x: ArrayLike) -> Array:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError("an estimate needs a list of at least one number")
    if not np.all(np.isfinite(values)):
        raise ValueError("an estimate needs finite numbers")
    return values
