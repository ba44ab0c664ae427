"""Read signs of a mistake that hold for any net, from given and exact gradients alone.

A sign predicts from the exact gradient what is given. It is told if that holds in all trials, those included
in which the gradient is right: a wrong gradient that no sign predicts gets none.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bench.gradients.finding import Finding, Kind
from bench.gradients.trial import LEAST_SHARE, Trial
from bench.machine.wording import listing
from bench.proof.tolerance import Array, error_between, norm

CLEAR = 10  # tolerances: below, what fits better than the exact gradient may be rounding
CHANCE = 1e-7  # that a sign fits other gradients: tolerance^(n - 1) for n entries
ROUND = 1e-5  # how near to a number of two digits a length is; PyTorch adds 1e-6 to it
FLOAT32 = (1e-9, 1e-5)  # errors of gradients that were computed in float32
LEFT_OUT = "{} is left out"
DERIVATIVES = (  # act, a mistake, and its factor: of 1, h and h^2 above and below the line of a fraction
    ("tanh", LEFT_OUT, (1, 0, 0), (1, 0, -1)), ("tanh", "{} is taken twice", (1, 0, -1), (1, 0, 0)),
    ("tanh", "h stands for {}", (0, 1, 0), (1, 0, -1)), ("tanh", "1 - h stands for {}", (1, 0, 0), (1, 1, 0)),
    ("tanh", "h (1 - h) stands for {}", (0, 1, 0), (1, 1, 0)),
    ("the sigmoid", LEFT_OUT, (1, 0, 0), (0, 1, -1)),
    ("the sigmoid", "{} is taken twice", (0, 1, -1), (1, 0, 0)),
    ("the sigmoid", "h stands for {}", (1, 0, 0), (1, -1, 0)),
    ("the sigmoid", "1 - h stands for {}", (1, 0, 0), (0, 1, 0)),
    ("the sigmoid", "1 - h^2 stands for {}", (1, 1, 0), (0, 1, 0)),
)  # fmt: skip
OF_STEPS = Kind.NOT_HANDED_BACK, Kind.TRUNCATED, Kind.NOT_SUMMED, Kind.STEP_LEFT_OUT
NO_SHARE = "nothing is added{}: the step is left out, or has a factor that is 0 there, as h_0 is"
AXES = {"T": "the steps", "B": "the batch", "O": "the outputs"}


class Sign(NamedTuple):
    """Hold a sign: what it predicts for a parameter's gradient in each trial, NaN where it cannot know."""

    kind: Kind
    mistake: str
    wanted: Sequence[Array]
    section: int = 0


@dataclass(frozen=True)
class Series:
    """Hold one parameter's gradients in all trials, those of zero length beside the others marked."""

    name: str
    trials: Sequence[Trial]
    exact: list[Array]
    given: list[Array]
    lengths: list[float]  # of all exact gradients together

    def error(self, wanted: Sequence[Array]) -> Array:
        """Return the errors relative to ``wanted``, as ``Trial.error`` does."""
        errors = []
        for w, given, length in zip(wanted, self.given, self.lengths, strict=True):
            known = np.isfinite(w)
            scale = max(norm(w[known]), LEAST_SHARE * length)
            errors.append(error_between(given[known], w[known], scale=scale))
        return np.array(errors)

    @cached_property
    def tolerance(self) -> Array:
        return np.array([trial.tolerance for trial in self.trials])

    @cached_property
    def wrong(self) -> Array:
        return self.error(self.exact) > self.tolerance

    @cached_property
    def small(self) -> Array:
        """Whether the exact gradient is too small beside the others to show a mistake."""
        lengths = [norm(e[np.isfinite(e)]) for e in self.exact]
        return np.array(lengths) <= LEAST_SHARE * np.array(self.lengths)

    @cached_property
    def clear(self) -> list[int]:
        """Return the trials in which it is clearly wrong, in enough numbers to tell by what."""
        wrong = ~self.small & (self.error(self.exact) > CLEAR * self.tolerance)
        sizes = [np.count_nonzero(np.nan_to_num(e, nan=0.0)) for e in self.exact]
        return [int(i) for i in np.flatnonzero(wrong) if self.tolerance[i] ** (sizes[i] - 1) <= CHANCE]

    def at(self, places: Sequence[int]) -> "Series":
        """Return the series of some trials."""
        exact, given = ([one[i] for i in places] for one in (self.exact, self.given))
        trials, lengths = [self.trials[i] for i in places], [self.lengths[i] for i in places]
        return Series(self.name, trials, exact, given, lengths)

    def part(self) -> tuple["Series", str] | None:
        """Return the series of the rows that are wrong, as those of one gate; None if all are."""
        if len({e.shape for e in self.exact}) > 1 or self.exact[0].ndim == 0:
            return None
        off = np.zeros(len(self.exact[0]), dtype=bool)
        for e, given, tolerance in zip(self.exact, self.given, self.tolerance, strict=True):
            errors = np.nan_to_num(given - e, nan=0.0).reshape(len(e), -1)
            off |= np.sqrt(np.sum(errors**2, axis=1)) > tolerance * norm(e[np.isfinite(e)])
        rows = np.flatnonzero(off)
        known = [np.isfinite(e).reshape(len(e), -1).any(axis=1).all() for e in self.exact]
        if len(rows) in (0, len(off)) or not all(known):
            return None
        runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
        spans = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
        mask = np.where(off, 1.0, np.nan).reshape(-1, *[1] * (self.exact[0].ndim - 1))
        where = f" in rows {listing(spans)} alone, counted from 0"
        return replace(self, exact=[e * mask for e in self.exact]), where


def read_signs(trials: Sequence[Trial]) -> list[Finding]:
    """Return what the trials, of one function, have in common; parameters with one sign are one finding."""
    lengths = [norm(np.array([norm(e[np.isfinite(e)]) for e in trial.exact.values()])) for trial in trials]
    found: dict[tuple[Kind, str, int, str], dict[str, float]] = {}
    with np.errstate(all="ignore"):
        series = [
            Series(name, trials, [t.exact[name] for t in trials], [t.given[name] for t in trials], lengths)
            for name in trials[0].exact
        ]
        wrong = [one for one in series if one.wrong.any()]
        if finding := _float32(wrong):
            return [finding]
        unexplained = []
        for one in wrong:
            read = ((view, where, [*_signs(view)]) for view, where in _views(one))
            view, where, signs = next((one for one in read if one[2]), (one, "", []))
            for sign, error in signs:
                mistake = sign.mistake + where
                if sign.kind == Kind.ZERO and " at T" in where:
                    sign, mistake = sign._replace(kind=Kind.ACROSS_STEPS), NO_SHARE.format(where)
                told = zip(view.trials, sign.wanted, strict=True)
                sizes = _sizes([trial for trial, wanted in told if np.isfinite(wanted).any()])
                key = sign.kind, mistake, sign.section, sizes
                found.setdefault(key, {})[one.name] = error
            if not signs or signs[0][0].kind in OF_STEPS:
                unexplained.append(one)
        T = np.array([trial.sizes.get("T", 0) for trial in trials])
        is_handed = any((T[one.small] == 1).any() and T.max() > 2 and not one.wrong.any() for one in series)
        findings = [
            Finding(kind, (*errors,), mistake, f"equal to {max(errors.values()):.0e}{sizes}", section=section)
            for (kind, mistake, section, sizes), errors in found.items()
            if not (is_handed and kind == Kind.NOT_HANDED_BACK)
        ]
        across = [finding for axis in "TB" for finding in _along(axis, unexplained, series, findings)]
        merged = [(finding.kind, finding.mistake) for finding in across]
        return [finding for finding in findings if (finding.kind, finding.mistake) not in merged] + across


def _views(series: Series) -> Iterator[tuple[Series, str]]:
    """Yield a series, its wrong rows, and both of single steps, where a mistake has not spread yet."""
    views = [(series, "")]
    if single := [i for i, trial in enumerate(series.trials) if trial.sizes.get("T") == 1]:
        views.append((series.at(single), " at T = 1"))
    for view, where in views:
        yield view, where
        if part := view.part():
            yield part[0], where + part[1]


def _signs(series: Series) -> Iterator[tuple[Sign, float]]:
    """Yield the signs that hold in all trials, and their largest errors."""
    for sign in (sign for read in READERS if series.clear for sign in read(series)):
        errors = series.error(sign.wanted)
        n_known = max(np.isfinite(sign.wanted[i]).sum() for i in series.clear)
        if n_known > 1 and (errors <= series.tolerance).all():
            yield sign, max(float(errors.max()), 1e-16)


def _sizes(trials: Sequence[Trial]) -> str:
    """Return " at T = 1, 2 and 5, B = 4"."""
    axes = [axis for axis in "TB" if axis in trials[0].sizes]
    sizes = {axis: sorted({trial.sizes.get(axis, 1) for trial in trials}) for axis in axes}
    where = ", ".join(f"{axis} = {listing([*map(str, numbers)], 9)}" for axis, numbers in sizes.items())
    return f" at {where}" if where else " in every entry compared"


def _float32(wrong: Sequence[Series]) -> Finding | None:
    """Return that the wrong gradients are of float32, or that they are as inexact."""
    largest = max((float(one.error(one.exact)[one.wrong].max()) for one in wrong), default=0.0)
    if not FLOAT32[0] <= largest <= FLOAT32[1] or any((one.wrong & one.small).any() for one in wrong):
        return None
    given = np.concatenate([g.ravel() for one in wrong for g in one.given])
    exactly = (given == given.astype(np.float32)).all()
    mistake = "all is computed in float32" if exactly else "something is as inexact as float32"
    return Finding(Kind.PRECISION, tuple(one.name for one in wrong), mistake, f"off by {largest:.0e} at most")


def _zero(series: Series) -> Iterator[Sign]:
    """Nothing was added to the gradient, or nothing is left of what was."""
    zeros = [0 * e for e in series.exact]
    yield Sign(Kind.ZERO, "every entry is left at 0", zeros)
    T = np.array([trial.sizes.get("T", 0) for trial in series.trials])
    if (T[series.small] == 1).any():
        mistake = "the first step stands for the sum, or h_0 for every h_{t-1}: h_0 is 0"
        yield Sign(Kind.NOT_SUMMED, mistake, zeros, section=4)


def _transposed(series: Series) -> Iterator[Sign]:
    """The transpose was taken; if it is not square, it was given the right shape."""
    mistake = "the transpose is taken" + ("" if len({*series.exact[0].shape}) == 1 else ", and reshaped")
    yield Sign(Kind.TRANSPOSED, mistake, [e.T.reshape(e.shape) for e in series.exact], section=3)


def _ratio(exact: Array, given: Array) -> float:
    """Return the factor by which a gradient is off; NaN if its numbers are of one size, too few to tell."""
    known = np.isfinite(exact)
    exact, given, sizes = exact[known], given[known], np.abs(exact[known])
    several = exact.size > 0 and np.ptp(sizes) > 1e-3 * sizes.max()
    return float(given @ exact / (exact @ exact)) if several else np.nan


def _factor(series: Series) -> Iterator[Sign]:
    """A number too many or too few: one that the sizes explain, that a length explains, or just a number."""
    pairs = zip(series.exact, series.given, series.small, strict=True)
    ratios = np.array([np.nan if small else _ratio(exact, given) for exact, given, small in pairs])
    told = np.isfinite(ratios) & (ratios != 0)
    if not told.any():
        return

    def scaled(kind: Kind, mistake: str, values: Array, section: int = 0) -> Iterator[Sign]:
        if (np.abs(ratios - values) <= CLEAR * series.tolerance * np.abs(values))[told].all():
            wanted = [value * e for value, e in zip(values, series.exact, strict=True)]
            yield Sign(kind, mistake, wanted, section)

    same = np.full(len(ratios), ratios[told][0])
    signs = [*scaled(Kind.SIGN, "the sign is turned", -np.ones(len(ratios)))]
    for n in (1, 2):
        numbers = () if signs else _expressions(series.trials, n)
        signs += [sign for number in numbers for sign in scaled(Kind.CONSTANT, *number)]
    if not signs and (bound := _shortened(series, ratios)):
        signs += scaled(Kind.CLIPPED, bound, np.where(told, ratios, 1))
    yield from signs or scaled(Kind.CONSTANT, f"the right ones are multiplied by {same[0]:.7g}", same)


def _expressions(trials: Sequence[Trial], n: int) -> Iterator[tuple[str, Array, int]]:
    """Yield products of n of 2 and the sizes, or of their inverses: the mistake, values and section."""
    numbers = {axis: np.array([float(t.sizes.get(axis, 1)) for t in trials]) for axis in trials[0].sizes}
    numbers["2"] = np.full(len(trials), 2.0)
    powers = [*itertools.product((1, -1), repeat=n)]
    for chosen in itertools.product(itertools.combinations(numbers, n), powers):
        factors: dict[str, int] = dict(zip(*chosen, strict=True))
        above, below = ([name for name, power in factors.items() if power == sign] for sign in (1, -1))
        if "2" not in factors and not (above and below):
            taken, asked = ("sum", "mean") if above else ("mean", "sum")
            axes = " and ".join(AXES.get(name, name) for name in factors)
            mistake = f"the {taken} over {axes} is taken where the {asked} is asked for"
        elif len(factors) == 1:
            mistake = f"the right ones are {'doubled, as by' if above else 'halved, as without'} the 2 of e^2"
        else:
            mistake = f"the right ones are multiplied by {'/'.join([' '.join(sorted(above)) or '1', *below])}"
        values = np.prod([numbers[name] ** power for name, power in factors.items()], axis=0)
        yield mistake, values, 4 if "T" in factors else 2


def _shortened(series: Series, ratios: Array) -> str:
    """Return the mistake if all gradients together, or each, never get longer than a round number."""
    together = [norm(np.array([norm(g) for g in trial.given.values()])) for trial in series.trials]
    each = [norm(given) for given in series.given]
    for lengths, what in ((together, "all gradients together are"), (each, "each gradient is")):
        bound = float(f"{max(lengths):.2g}")
        reached = np.abs(np.array(lengths) - bound) <= ROUND * bound
        if np.where(series.wrong, reached & (ratios < 1), reached | (np.array(lengths) < bound)).all():
            return f"{what} shortened to a length of {bound:g}"
    return ""


def _cut(series: Series) -> Iterator[Sign]:
    """Entries beyond a bound were cut off: all others are right, and two or a round number show the bound."""
    clear = [(np.isfinite(series.exact[i]), i) for i in series.clear]
    bound = float(np.max([np.max(np.abs(series.given[i][known])) for known, i in clear]))
    sizes = np.concatenate([np.abs(series.exact[i][known]) for known, i in clear])
    n_cut, n_left = np.sum(sizes > bound), np.sum((sizes < bound) & (sizes > bound / 1e6))
    if n_left >= 2 and (n_cut > 1 or bound == float(f"{bound:.2g}")):
        wanted = [np.clip(e, -bound, bound) for e in series.exact]
        yield Sign(Kind.CLIPPED, f"entries beyond ±{bound:.4g} are cut off", wanted)


def _order(series: Series) -> Iterator[Sign]:
    """The rows or columns are the right ones, in another order."""
    if len({e.shape for e in series.exact}) > 1 or not np.isfinite(series.exact[series.clear[0]]).all():
        return
    for i, axis in itertools.product(series.clear[:1], range(series.exact[0].ndim)):
        exact, given = (
            np.moveaxis(g[i], axis, 0).reshape(g[i].shape[axis], -1) for g in (series.exact, series.given)
        )
        weights = np.cos(np.arange(1, exact.shape[1] + 1))  # equal sums of different rows are unlikely
        order, n = np.empty(len(exact), dtype=int), len(exact)
        order[np.argsort(given @ weights)] = np.argsort(exact @ weights)
        what = ("entries" if series.exact[0].ndim == 1 else "rows") if axis == 0 else "columns"
        for size in (n // parts for parts in (2, 3, 4) if n % parts == 0 and n > parts):  # as of gates
            blocks = order[::size]
            if (order == (blocks[:, None] + np.arange(size)).ravel()).all():
                order_of, what = blocks // size, f"blocks of {size} {what}"
                break
        else:
            order_of = order
        mistake = f"the {what} are in another order: {listing([*map(str, order_of)], 8)}, counted from 0"
        yield Sign(Kind.ORDER, mistake, [np.take(e, order, axis=axis) for e in series.exact])


def _steps(series: Series) -> Iterator[Sign]:
    """Only some steps add to it, as the data of single steps show: it is 0 for those that are left out."""
    lengths, steps = zip(*((t.sizes.get("T", 0), t.only_step) for t in series.trials), strict=True)
    alone = np.array([step is not None for step in steps])
    if not alone.any():
        return
    rules = [  # which steps add nothing
        (Kind.STEP_LEFT_OUT, "the first step is left out", [range(1, 2) for _ in lengths]),
        (Kind.STEP_LEFT_OUT, "the last step is left out", [range(T, T + 1) for T in lengths]),
        (Kind.NOT_SUMMED, "the first step stands for the sum", [range(2, T + 1) for T in lengths]),
        (Kind.NOT_SUMMED, "the last step stands for the sum", [range(1, T) for T in lengths]),
        (Kind.NOT_HANDED_BACK, "dL/dh is not handed back to the step before", [range(1, T) for T in lengths]),
    ]
    for k in range(2, max(lengths)):
        mistake = f"the walk back ends after {k} steps"
        rules.append((Kind.TRUNCATED, mistake, [range(1, T - k + 1) for T in lengths]))
    for kind, mistake, left_out in rules:
        wrong = [len(missing) > 0 for missing in left_out]
        if (alone | series.small | (series.wrong == wrong)).all():
            there = zip(steps, left_out, strict=True)
            shares = [np.nan if s is None else float(s not in missing) for s, missing in there]
            yield Sign(kind, mistake, [s * e for s, e in zip(shares, series.exact, strict=True)], section=4)


def _derivative(series: Series) -> Iterator[Sign]:
    """Each row of one step and sample has a factor that depends on h, as the gradient of its reader does."""
    factors: dict[int, Array] = {}  # of trials
    for i, (trial, e, given) in enumerate(zip(series.trials, series.exact, series.given, strict=True)):
        if (trial.sizes.get("T", 1), trial.sizes.get("B")) == (1, 1) and e.ndim > 0 and len(e) > 2:
            rows, others = e.reshape(len(e), -1), given.reshape(len(e), -1)
            factors[i] = np.sum(others * rows, axis=1, keepdims=True) / np.sum(rows**2, axis=1, keepdims=True)
            if not norm(others - factors[i] * rows) <= trial.tolerance * norm(others) or not factors[i].all():
                return
    readers = series.trials[0].exact if factors else ()
    for reader, (act, mistake, *fraction) in itertools.product(readers, DERIVATIVES):
        wanted = [np.nan * e for e in series.exact]
        for i, factor in factors.items():
            e, seen = series.exact[i], series.trials[i].exact[reader]
            if reader == series.name or seen.shape[1:] != (len(e),):
                continue
            powers = seen[np.argmax(np.sum(seen**2, axis=1)), :, None] ** np.arange(3)  # of h but for a scale
            above, below = (np.array(part) * powers for part in fraction)  # (rows, 3)
            terms = factor * below - above  # 0 = terms (1, scale, scale^2)
            if not np.isfinite(terms).all():
                continue
            scale, square = np.linalg.lstsq(terms[:, 1:], -terms[:, 0])[0]
            scale = scale if terms[:, 1].any() else np.sqrt(square)
            h, scales = scale * powers[:, 1], scale ** np.arange(3)
            fits = (np.abs(h) < 1).all() and (act == "tanh" or (h > 0).all())
            wanted[i] = ((above @ scales) / (below @ scales) * fits)[:, None] * e.reshape(len(e), -1)
        mistakes = [(Kind.DERIVATIVE, mistake)]
        if mistake == LEFT_OUT and "T" in series.trials[0].sizes:  # act'(a_0) may be 1
            mistakes.append((Kind.OFF_BY_ONE, "{} is that of the step before"))
        for kind, words in mistakes:
            shaped = [one.reshape(e.shape) for one, e in zip(wanted, series.exact, strict=True)]
            yield Sign(kind, words.format(f"the derivative of {act}"), shaped, section=3)


READERS = _zero, _factor, _transposed, _order, _cut, _steps, _derivative


def _along(
    axis: str, wrong: Sequence[Series], all_series: Sequence[Series], found: Sequence[Finding]
) -> Iterator[Finding]:
    """Yield what is right for one step or sample and wrong from two on, while something else stays right.

    Where h_0 = 0, weights that multiply it have no gradient at T = 1, and go wrong a step late.
    """
    sizes = np.array([0 if t.only_step else t.sizes.get(axis, 0) for t in all_series[0].trials])
    steady = np.any([~other.wrong & ~other.small for other in all_series], axis=0)
    late = {one.name for one in all_series if axis == "T" and (sizes[one.small] == 1).any()}
    spans, n_right = dict[str, tuple[int, int]](), 0  # the last right size, the first wrong
    for one in wrong:
        right, off = ~one.wrong & ~one.small & (sizes > 0), one.wrong & (sizes > 0)
        shown = right.any() and off.any() and steady[off].all()
        if shown and sizes[right].max() < sizes[off].min():
            spans[one.name] = int(sizes[right].max()), int(sizes[off].min())
            n_right = max(n_right, int(right.sum()))
    if n_right < 2:  # once it may be by chance
        return
    last = {right - (name in late) for name, (right, _) in spans.items()}
    first = {off - (name in late) for name, (_, off) in spans.items()}
    # of all that is wrong, the weights of h_{t-1} show whether what is handed back is right
    alone = not any(one.wrong.any() for one in all_series if one.name not in spans)
    walked = alone and bool(late & {*spans}) and bool({*spans} - late) and max(last) == min(first) - 1
    kind, section = Kind.ACROSS_STEPS, 4
    if axis == "B":
        kind, section, mistake = Kind.ACROSS_SAMPLES, 5, "samples are not added up as they should be"
    elif walked and (steps := [one for one in found if one.kind in (Kind.NOT_HANDED_BACK, Kind.TRUNCATED)]):
        kind, mistake = steps[0].kind, steps[0].mistake
    elif walked and min(first) > 2:
        kind, mistake = Kind.TRUNCATED, f"the walk back ends after {max(last)} steps"
    elif walked:
        mistake = "what a step hands back to the step before is wrong, or how the steps are added up"
    elif alone and late and sizes.max() > 2:
        mistake = "the steps are not added up as they should be, or something is of the wrong step"
    else:
        mistake = "something is wrong that a single step does not have, as what depends on the step before"
    if kind in (Kind.ACROSS_STEPS, Kind.ACROSS_SAMPLES):
        known = {name for one in found if one.kind in OF_STEPS for name in one.parameters}
        spans = {name: span for name, span in spans.items() if name not in known and max(last) == 1}
    names = {span: listing([f"d{name}" for name in spans if spans[name] == span]) for span in spans.values()}
    said = [f"{name} right up to {axis} = {right}, wrong from {off}" for (right, off), name in names.items()]
    if spans:
        yield Finding(kind, tuple(spans), mistake, "; ".join(said), section=section)
