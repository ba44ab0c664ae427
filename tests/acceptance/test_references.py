"""Our statistics against SciPy and against plain definitions in exact arithmetic.

A thousand samples of 6 to 20 numbers, every other one full of ties and zeros. Seconds.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from acceptance.validity import Recorder
from scipy import stats

from bench.analysis import statistics as ours

SAMPLES = 1000
NEAR = 1e-9


def samples(*, ties: bool) -> list[np.ndarray]:
    """Half of the samples: with ties, or with numbers that differ, light and heavy tails in turn."""
    draw = np.random.Generator(np.random.PCG64(15 + ties))
    made = []
    for number in range(SAMPLES // 2):
        n = int(draw.integers(6, 21))
        if ties:
            made.append(draw.integers(-4, 8, n) / 4)
        else:
            noise = draw.standard_t(2, n) if number % 2 else draw.standard_normal(n)
            made.append(noise + draw.normal())
    return made


def everything() -> list[np.ndarray]:
    return samples(ties=False) + samples(ties=True)


def walsh(x: Sequence[float]) -> list[Fraction]:
    """All averages of two numbers, each with itself too, in exact arithmetic."""
    exact = [Fraction(float(value)) for value in x]
    return sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(exact, 2))


def median_of(ordered: Sequence[Fraction]) -> float:
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def subsets_by_sum(n: int) -> list[int]:
    """How many subsets of the ranks 1 to n have each sum, by counting."""
    counts = [1]
    for rank in range(1, n + 1):
        longer = counts + [0] * rank
        for total, count in enumerate(counts):
            longer[total + rank] += count
        counts = longer
    return counts


def exact_p(x: Sequence[float]) -> float:
    """Two-sided; an average that is zero counts for the hypothesis on both sides."""
    averages, counts = walsh(x), subsets_by_sum(len(x))
    smaller = min(sum(a >= 0 for a in averages), sum(a <= 0 for a in averages))
    return float(min(Fraction(1), Fraction(2 * sum(counts[: smaller + 1]), 2 ** len(x))))


def exact_limits(x: Sequence[float]) -> tuple[float, float]:
    """The averages that cut off at most 2.5 % of all subsets of ranks at each end."""
    counts = subsets_by_sum(len(x))
    cut = max(
        t for t in range(len(counts)) if Fraction(2 * sum(counts[: t + 1]), 2 ** len(x)) <= Fraction(1, 20)
    )
    averages = walsh(x)
    return float(averages[cut]), float(averages[-1 - cut])


def closed_testing(p: Sequence[float]) -> list[float]:
    """Holm from its definition: a hypothesis goes if every set of them that holds it goes by Bonferroni."""
    sets = [s for k in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), k)]
    of_set = [min(1.0, len(s) * min(p[i] for i in s)) for s in sets]
    return [max(q for s, q in zip(sets, of_set, strict=True) if i in s) for i in range(len(p))]


def p_values() -> list[list[float]]:
    """Up to seven, some of them equal."""
    draw = np.random.Generator(np.random.PCG64(17))
    return [
        np.round(draw.random(int(draw.integers(1, 8))) ** 3, 2 if number % 2 else 12).tolist()
        for number in range(SAMPLES)
    ]


def inversion_error(x: np.ndarray) -> float:
    """0 where SciPy's test turns round within ``NEAR`` of both limits, 1 where it does not."""
    interval = ours.rank_interval(x)
    for limit, inwards in ((interval.low, NEAR), (interval.high, -NEAR)):
        inside, outside = (
            stats.wilcoxon(x - (limit + by), method="exact").pvalue for by in (inwards, -inwards)
        )
        if not (inside > 0.05 >= outside):
            return 1.0
    return 0.0


def of_limits(ours_is: ours.Interval, wanted: Sequence[float]) -> float:
    return max(abs(ours_is.low - wanted[0]), abs(ours_is.high - wanted[1]))


def t_error(x: np.ndarray) -> float:
    wanted = stats.t.interval(0.95, len(x) - 1, loc=np.mean(x), scale=stats.sem(x))
    return max(
        of_limits(ours.mean_interval(x), wanted), abs(ours.mean_interval(x).estimate - float(np.mean(x)))
    )


def median_interval_error(x: np.ndarray) -> float:
    """Against the binomial quantile: the largest cut with at most 2.5 % beyond."""
    ordered, below = np.sort(x), int(stats.binom.ppf(0.025, len(x), 0.5))
    return of_limits(ours.median_interval(x), (ordered[below - 1], ordered[len(x) - below]))


def holm_error(p: list[float]) -> float:
    return float(np.max(np.abs(np.subtract(ours.holm(p), closed_testing(p)))))


CHECKS: dict[str, tuple[str, Callable[[], list], Callable]] = {
    "estimate": (
        "Hodges-Lehmann estimate against exact fractions, ties included",
        everything,
        lambda x: abs(ours.rank_interval(x).estimate - median_of(walsh(x))),
    ),
    "p": (
        "signed-rank p against counting in exact fractions, ties included",
        everything,
        lambda x: abs(ours.rank_p(x) - exact_p(x)),
    ),
    "p-scipy": (
        "signed-rank p against scipy.stats.wilcoxon, no ties",
        lambda: samples(ties=False),
        lambda x: abs(ours.rank_p(x) - stats.wilcoxon(x, method="exact").pvalue),
    ),
    "interval": (
        "signed-rank interval against counting in exact fractions, ties included",
        everything,
        lambda x: of_limits(ours.rank_interval(x), exact_limits(x)),
    ),
    "interval-scipy": (
        "scipy.stats.wilcoxon turns round within 1e-9 of both limits, no ties (0; 1 where it does not)",
        lambda: samples(ties=False),
        inversion_error,
    ),
    "t": ("Student's interval against scipy.stats.t, ties included", everything, t_error),
    "median": ("the median's interval against scipy.stats.binom", everything, median_interval_error),
    "holm": ("Holm's p against closed testing over all subsets, ties included", p_values, holm_error),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_statistics_are_those_of_the_references(name: str, validity: Recorder) -> None:
    claim, given, error = CHECKS[name]
    inputs = given()
    worst = max(map(error, inputs))
    validity.record(
        f"T15-{name}",
        claim=f"{claim}: largest deviation, of {len(inputs)} samples",
        promised="at most 1e-9",
        measured=f"{worst:.1g}",
        kept=worst <= NEAR,
    )
    assert worst <= NEAR


def test_wrong_statistics_are_caught(validity: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one wrong in a way that is easy to get wrong."""
    normal = stats.norm.ppf(0.975)

    def t_with_normal_quantile(x: np.ndarray, confidence: float = 0.95) -> ours.Interval:
        mean, reach = float(np.mean(x)), float(normal * np.std(x, ddof=1) / math.sqrt(len(x)))
        return ours.Interval(mean, mean - reach, mean + reach, confidence)

    def holm_without_running_maximum(p: list[float]) -> list[float]:
        ranks = np.argsort(np.argsort(p, kind="stable"))
        return [min(1.0, (len(p) - rank) * value) for rank, value in zip(ranks, p, strict=True)]

    def normal_p(x: np.ndarray) -> float:
        return float(stats.wilcoxon(x, zero_method="zsplit", method="asymptotic").pvalue)

    wrong: dict[str, tuple[str, Callable]] = {
        "estimate": ("rank_interval", ours.median_interval),
        "p": ("rank_p", normal_p),
        "p-scipy": ("rank_p", normal_p),
        "interval": ("rank_interval", ours.median_interval),
        "interval-scipy": ("rank_interval", ours.median_interval),
        "t": ("mean_interval", t_with_normal_quantile),
        "median": ("median_interval", ours.rank_interval),
        "holm": ("holm", holm_without_running_maximum),
    }
    caught = []
    for name, (function, mutant) in wrong.items():
        _, given, error = CHECKS[name]
        with monkeypatch.context() as patch:
            patch.setattr(ours, function, mutant)
            caught += [name] if max(map(error, given()[:50])) > NEAR else []
    validity.record(
        "T15-mutant",
        claim="mutants: the median for Hodges-Lehmann, normal quantiles for Student's, and so on, one a row",
        promised=f"all {len(CHECKS)} caught",
        measured=f"{len(caught)} caught",
        kept=caught == [*CHECKS],
    )
    assert caught == [*CHECKS]
