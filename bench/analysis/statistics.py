"""Compute estimates and exact intervals from few blocks, without assuming a normal distribution.

The numbers are logs, one per block: the log ratios (n,) of one run, or the logs ``old`` (m,) and ``new`` (n,)
of two runs, whose shift from old to new is estimated. All methods use contrasts: of one sample the Walsh
averages (x_i + x_j) / 2, i <= j; of two samples the m n differences new_j - old_i. The Hodges-Lehmann
estimate is their median. The statistic (Wilcoxon's signed rank, Mann and Whitney's U) counts the contrasts
above the hypothesis. The interval cuts the same number of contrasts off both ends (Hollander, Wolfe
and Chicken, Nonparametric Statistical Methods, ch. 3 and 4). Therefore p and interval always agree:
p(mu) <= 1 - confidence exactly where mu lies outside the interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Sizes = tuple[int, ...]  # (n,) of one sample, (m, n) of two samples
ALPHA = 0.05
FIRST_LOOK, SECOND_LOOK = 0.04, 0.01  # shares of ALPHA: the levels of a run and of an extended run
MIN_BLOCKS = 6  # for any verdict: five blocks give no 95 % interval
POWER = 0.8  # four of five runs find a detectable effect
EXACT_PAIRS = 10_000  # of two samples: up to 100 blocks against 100, U is exact
MAX_PAIRS = 4_000_000  # of two samples: all their differences are in memory at once
MAX_LOG = 700.0  # exp of a larger log is infinite
N_SIMULATED = 4000  # simulated runs, or pairs of runs
SIMULATED_BLOCKS = 30  # largest simulated sample; for larger ones, the square root law is exact enough


@dataclass(frozen=True, slots=True)
class Interval:
    """Hold an estimate, its limits, and the confidence of the limits (at least the requested confidence).

    If the numbers are too few for that confidence (fewer than 6 at 95 %), the limits are infinite and the
    confidence is 1.
    """

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def finite(self) -> bool:
        """Return whether the limits are finite."""
        return self.confidence < 1

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """Return both limits; None twice if they are infinite."""
        return (self.low, self.high) if self.finite else (None, None)

    def exp(self) -> "Interval":
        """Return the interval of the ratios; this interval holds their logs."""
        return Interval(_exp(self.estimate), _exp(self.low), _exp(self.high), self.confidence)

    def contains(self, value: float) -> bool:
        """Return whether the value lies between the limits, or equals a limit."""
        return self.low <= value <= self.high


def paired_log_ratio(entry: Mapping[int, float], baseline: Mapping[int, float]) -> float:
    """Return the median of log(entry / baseline) over the rounds in which both have a time.

    Both sides of a round are timed milliseconds apart, so a slowdown of the machine hits both.

    Raises:
        ValueError: no round has a time of both.
    """
    logs = paired_logs(entry, baseline)
    if not logs:
        raise ValueError("no round holds a value of both")
    return median(logs)


def paired_logs(entry: Mapping[int, float], baseline: Mapping[int, float]) -> list[float]:
    """Return log(entry / baseline) of every round in which both have a time."""
    return [math.log(entry[number] / baseline[number]) for number in entry.keys() & baseline.keys()]


def scatter(x: Sequence[float]) -> float:
    """Return a standard deviation that is robust to outliers: 1.4826 median |x - median x|."""
    middle = median(x)
    return 1.4826 * median(abs(value - middle) for value in x)


def rank_interval(*samples: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the Hodges-Lehmann estimate of one sample, or of the shift of two, with its exact interval.

    Raises:
        ValueError: no numbers, or a number that is not finite.
    """
    contrasts, sizes = _contrasts(*samples), _sizes(*samples)
    cut = _critical_value(sizes, 1 - confidence)
    if cut is None:
        return Interval(float(np.median(contrasts)), -math.inf, math.inf, 1.0)
    achieved = 1 - 2 * float(np.sum(_probabilities(sizes)[: cut + 1]))
    partitioned = np.partition(contrasts, (cut, len(contrasts) - 1 - cut))
    return Interval(
        float(np.median(contrasts)), float(partitioned[cut]), float(partitioned[-1 - cut]), achieved
    )


def rank_p(*samples: ArrayLike, mu: float = 0.0) -> float:
    """Return the exact two-sided p that one sample is symmetric about mu, or that the shift of two is mu.

    A contrast equal to mu (a zero, a tie) counts for the hypothesis on both sides, so p is never too small.
    Without such contrasts, p is the textbook value.

    Raises:
        ValueError: no numbers, or a number that is not finite.
    """
    contrasts = _contrasts(*samples)
    smaller_count = min(int(np.sum(contrasts >= mu)), int(np.sum(contrasts <= mu)))
    return min(1.0, 2 * float(np.sum(_probabilities(_sizes(*samples))[: smaller_count + 1])))


def exceeds_p(*samples: ArrayLike, limit: float) -> float:
    """Return the exact one-sided p that the centre of one sample, or the shift of two, is at most ``limit``.

    Raises:
        ValueError: no numbers, or a number that is not finite.
    """
    n_within_limit = int(np.sum(_contrasts(*samples) <= limit))
    return min(1.0, float(np.sum(_probabilities(_sizes(*samples))[: n_within_limit + 1])))


def mean_interval(*samples: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the mean with Student's interval, or the difference of two means with Welch's interval.

    It complements the exact interval. Welch's interval does not assume equal variances.

    Raises:
        ValueError: no numbers, or a number that is not finite.
    """
    from scipy.special import stdtrit  # slow to import

    arrays = [_checked(sample) for sample in samples]
    means = [float(np.mean(sample)) for sample in arrays]
    estimate = means[-1] - (means[0] if len(means) > 1 else 0.0)
    if min(map(len, arrays)) < 2:
        return Interval(estimate, -math.inf, math.inf, 1.0)
    if len(arrays) == 1:
        n = len(arrays[0])
        half_width = float(stdtrit(n - 1, (1 + confidence) / 2) * np.std(arrays[0], ddof=1) / math.sqrt(n))
    else:
        squared_errors = [float(np.var(sample, ddof=1)) / len(sample) for sample in arrays]
        if not sum(squared_errors):
            return Interval(estimate, estimate, estimate, confidence)
        inverse_dofs = [
            (squared_error / sum(squared_errors)) ** 2 / (len(sample) - 1)
            for squared_error, sample in zip(squared_errors, arrays, strict=True)
        ]
        standard_error = math.sqrt(sum(squared_errors))
        half_width = float(stdtrit(1 / sum(inverse_dofs), (1 + confidence) / 2)) * standard_error
    return Interval(estimate, estimate - half_width, estimate + half_width, confidence)


@lru_cache(maxsize=64)
def signed_rank_probabilities(n: int) -> Array:
    """Return P(T = t), t = 0 ... n (n + 1) / 2: T is the sum of the ranks of the positive numbers.

    By dynamic programming: each rank joins the sum with probability 1/2. The array is read-only.
    """
    probabilities = np.zeros(n * (n + 1) // 2 + 1)
    probabilities[0] = 1.0
    for rank in range(1, n + 1):
        joined = np.zeros_like(probabilities)
        joined[rank:] = probabilities[:-rank]
        probabilities = 0.5 * (probabilities + joined)
    probabilities.flags.writeable = False  # the cache gives all callers the same array
    return probabilities


@lru_cache(maxsize=64)
def rank_sum_probabilities(m: int, n: int) -> Array:
    """Return P(U = u), u = 0 ... m n: of m and n exchangeable numbers, U pairs have a larger second number.

    By dynamic programming: the largest of i and j numbers is one of the j with probability j / (i + j), and
    then exceeds all i others. The case (i, j - 1) remains, or else the case (i - 1, j). Beyond EXACT_PAIRS
    pairs, U is approximated by a normal distribution of the same mean and variance, with larger tails. The
    array is read-only.
    """
    m, n = sorted((m, n))
    if m * n > EXACT_PAIRS:
        probabilities = _normal(m, n)
    else:
        previous = [np.ones(1)] * (m + 1)  # for j - 1 numbers, and i = 0 ... m
        for j in range(1, n + 1):
            current = [np.ones(1)]
            for i in range(1, m + 1):
                current.append(np.zeros(i * j + 1))
                current[i][i:] = j / (i + j) * previous[i]
                current[i][: (i - 1) * j + 1] += i / (i + j) * current[i - 1]
            previous = current
        probabilities = previous[m]
    probabilities.flags.writeable = False  # the cache gives all callers the same array
    return probabilities


def _normal(m: int, n: int) -> Array:
    """Return P(u - 1/2 < X < u + 1/2), u = 0 ... m n: X is normal with the mean and variance of U."""
    from scipy.special import ndtr

    edges = np.arange(m * n + 2) - 0.5 - m * n / 2
    probabilities: Array = np.diff(ndtr(edges / math.sqrt(m * n * (m + n + 1) / 12)))
    return probabilities


def median_interval(x: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the median of x (n,) between two of its order statistics: exact for any distribution.

    Raises:
        ValueError: no numbers, or a number that is not finite.
    """
    ordered = np.sort(_checked(x))
    n = len(ordered)
    tail, cut = 0.0, -1  # tail: P(at most cut numbers lie below the true median)
    ways, all_ways = 1, 2**n  # ways: binomial coefficient (n, cut + 1)
    while 2 * (tail + ways / all_ways) <= 1 - confidence:
        cut += 1
        tail += ways / all_ways
        ways = ways * (n - cut) // (cut + 1)
    estimate = float(np.median(ordered))
    if cut < 0:
        return Interval(estimate, -math.inf, math.inf, 1.0)
    return Interval(estimate, float(ordered[cut]), float(ordered[-1 - cut]), 1 - 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p values, in the given order.

    If adjusted p values up to alpha are significant, P(any false alarm in the family) is at most alpha.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def blocks_needed(comparisons: int, alpha: float = FIRST_LOOK, runs: int = 1) -> int:
    """Return the minimum blocks, in each of ``runs`` (1 or 2), with which all comparisons can be significant.

    With fewer blocks, no Holm-adjusted p reaches alpha: Holm multiplies the smallest p by ``comparisons``.
    """
    n = 1
    while max(1, comparisons) * _smallest_p((n,) * runs) > alpha:
        n += 1
    return n


def detectable_effect(interval: Interval, sizes: Sizes, comparisons: int, alpha: float = FIRST_LOOK) -> float:
    """Return the effect that four of five runs with this noise would detect, among ``comparisons``.

    The noise is estimated from the width of the 95 % interval, which a single slow block hardly changes. The
    effect is infinite if the samples are too small for any verdict.
    """
    if not interval.finite or max(1, comparisons) * _smallest_p(sizes) > alpha:
        return math.inf
    _, half_widths = _simulated(sizes, alpha / max(1, comparisons))
    return (interval.high - interval.low) / 2 * half_widths


def blocks_to_detect(
    effect: float, interval: Interval, sizes: Sizes, comparisons: int, alpha: float = FIRST_LOOK
) -> int | None:
    """Return about how many blocks, in each run, would detect a true value of ``effect``.

    The square root law is applied to the width of the interval; None if the interval has no limits.
    """
    if not interval.finite:
        return None
    min_blocks = blocks_needed(comparisons, alpha, len(sizes))
    larger_sizes = tuple(max(n, min_blocks) for n in sizes)
    width_now, _ = _simulated(sizes, alpha)
    width, half_widths = _simulated(larger_sizes, alpha / max(1, comparisons))
    detectable = (interval.high - interval.low) / 2 / width_now * width * half_widths
    return max(min(sizes) + 1, min_blocks, math.ceil(min(larger_sizes) * (detectable / effect) ** 2))


@lru_cache(maxsize=256)
def _simulated(sizes: Sizes, alpha: float) -> tuple[float, float]:
    """Return two numbers from a simulation with standard normal numbers, always with the same seed.

    The first is the median half-width of the 95 % interval. The second is the true shift that the test at
    ``alpha`` detects with probability POWER, in half-widths. A shift d is detected if the contrast number
    ``test_cut`` + 1, in ascending order, plus d is above 0.
    """
    if max(sizes) > SIMULATED_BLOCKS:
        smaller_sizes = tuple(min(n, SIMULATED_BLOCKS) for n in sizes)
        width, shift = _simulated(smaller_sizes, alpha)
        return width * math.sqrt(sum(1 / n for n in sizes) / sum(1 / n for n in smaller_sizes)), shift
    interval_cut, test_cut = _critical_value(sizes, ALPHA), _critical_value(sizes, alpha)
    if interval_cut is None:
        return math.inf, math.inf
    generator = np.random.Generator(np.random.PCG64(list(sizes)))
    contrasts = _contrasts_of([generator.standard_normal((N_SIMULATED, n)) for n in sizes])
    contrasts.partition(sorted({test_cut or 0, interval_cut, contrasts.shape[1] - 1 - interval_cut}), axis=1)
    half_widths = (contrasts[:, -1 - interval_cut] - contrasts[:, interval_cut]) / 2
    width = float(np.median(half_widths))
    if test_cut is None:
        return width, math.inf
    # divide by the half-width of another sample: in use, the half-width is an estimate with its own error
    return width, float(np.quantile(-contrasts[:, test_cut] / np.roll(half_widths, 1), POWER))


def _smallest_p(sizes: Sizes) -> float:
    """Return the smallest possible p: all numbers on one side of 0, or all new above all old numbers."""
    return 2 / (2 ** sizes[0] if len(sizes) == 1 else math.comb(sum(sizes), sizes[0]))


def _probabilities(sizes: Sizes) -> Array:
    """Return the null distribution of the statistic of one sample, or of two samples."""
    return signed_rank_probabilities(*sizes) if len(sizes) == 1 else rank_sum_probabilities(*sizes)


@lru_cache(maxsize=256)
def _critical_value(sizes: Sizes, alpha: float) -> int | None:
    """Return the largest t with 2 P(T <= t) <= alpha; None if even t = 0 is too large."""
    tails = 2 * np.cumsum(_probabilities(sizes))
    t = int(np.searchsorted(tails, alpha * (1 + 1e-12), side="right")) - 1
    return t if t >= 0 else None


def _contrasts(*samples: ArrayLike) -> Array:
    """Return the Walsh averages of one sample, or the differences of two, unsorted. Read-only."""
    return _contrasts_of_bytes(*(_checked(sample).tobytes() for sample in samples))


@lru_cache(maxsize=4)  # the estimate, the intervals and the p of one comparison use the same contrasts
def _contrasts_of_bytes(*samples: bytes) -> Array:
    contrasts: Array = _contrasts_of([np.frombuffer(sample)[np.newaxis] for sample in samples])[0]
    return contrasts


def _contrasts_of(samples: Sequence[Array]) -> Array:
    """Return the averages or the differences in each row of one or two samples (rows, n)."""
    first, last = samples[0], samples[-1]  # the same sample, if there is only one
    if len(samples) == 1:
        rows, columns = np.triu_indices(first.shape[1])
        contrasts: Array = (first[:, rows] + first[:, columns]) / 2
    else:
        contrasts = (last[:, np.newaxis, :] - first[:, :, np.newaxis]).reshape(len(first), -1)
    return contrasts


def _exp(log: float) -> float:
    """Return exp(log), or infinity if the log is too large."""
    return math.exp(log) if log < MAX_LOG else math.inf


def _sizes(*samples: ArrayLike) -> Sizes:
    return tuple(len(np.asarray(sample)) for sample in samples)


def _checked(x: ArrayLike) -> Array:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError("an estimate needs a list of at least one number")
    if not np.all(np.isfinite(values)):
        raise ValueError("an estimate needs finite numbers")
    return values
