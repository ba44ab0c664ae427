"""Read signs of a mistake that hold for any net, from given and exact gradients alone.

A sign predicts from the exact gradient what is given. It is told if that holds in all trials, those included
in which the gradient is right; so a wrong gradient without a sign gets none.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.gradients.finding import Finding, Kind
from bench.gradients.trial import LEAST_SHARE, Trial
from bench.machine.wording import listing
from bench.proof.tolerance import Array, norm

CLEAR = 100  # tolerances: below, what fits better than the exact gradient may be rounding
ROUND = 1e-5  # how near to a number of two digits a bound is; PyTorch adds 1e-6 to a length
FLOAT32 = (1e-9, 1e-5)  # errors of gradients that were computed in float32
AXES = {"T": "the steps", "B": "the batch", "O": "the outputs"}


class Sign(NamedTuple):
    """Hold a sign of one parameter: the gradient that it predicts in each trial, NaN where not known."""

    kind: Kind
    mistake: str
    wanted: Sequence[Array]
    section: int = 0
    tolerance: float = 0.0  # if larger than that of the trials


def read_signs(trials: Sequence[Trial]) -> list[Finding]:
    """Return what the trials, of one function, have in common; parameters with one sign are one finding."""
    found: dict[tuple[Kind, str, int], dict[str, float]] = {}
    with np.errstate(all="ignore"):
        wrong = [name for name in trials[0].exact if any(name in trial.wrong() for trial in trials)]
        for name in wrong:
            if not any(trial.error(name) > CLEAR * trial.tolerance for trial in trials):
                continue
            for sign in itertools.chain.from_iterable(read(name, trials) for read in READERS):
                errors = [trial.error(name, w) for trial, w in zip(trials, sign.wanted, strict=True)]
                if all(e <= max(t.tolerance, sign.tolerance) for e, t in zip(errors, trials, strict=True)):
                    found.setdefault((sign.kind, sign.mistake, sign.section), {})[name] = max(errors)
        findings = [
            Finding(kind, tuple(errors), mistake, _evidence(max(errors.values()), trials), section=section)
            for (kind, mistake, section), errors in found.items()
        ]
        explained = {name for finding in findings for name in finding.parameters}
        rest = [name for name in wrong if name not in explained]
        return findings + [finding for axis in "TB" for finding in _along(axis, rest, trials)]


def _evidence(error: float, trials: Sequence[Trial]) -> str:
    """Return "equal to 1e-16 at T = 1, 2 and 5, B = 4"."""
    sizes = {axis: sorted({trial.sizes[axis] for trial in trials}) for axis in trials[0].sizes}
    where = ", ".join(f"{axis} = {listing([str(n) for n in ns], len(ns))}" for axis, ns in sizes.items())
    return f"equal to {error:.0e}" + (f" at {where}" if where else " in every entry")


def _vanishes(name: str, trial: Trial) -> bool:
    """Return whether an exact gradient is too small beside the others to show a mistake."""
    lengths = {key: norm(values[np.isfinite(values)]) for key, values in trial.exact.items()}
    return lengths[name] <= LEAST_SHARE * norm(np.array([*lengths.values()]))


def _clear(name: str, trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials in which a parameter is clearly wrong, and whose exact gradient is none or large."""
    return [t for t in trials if t.error(name) > CLEAR * t.tolerance and not _vanishes(name, t)]


def _zero(name: str, trials: Sequence[Trial]) -> Iterator[Sign]:
    """Nothing was added to the gradient, or to some of its rows: exactly 0 in all trials."""
    given = [trial.given[name] for trial in trials]
    if not any(g.any() for g in given):
        yield Sign(Kind.ZERO, "they are left at 0", given)
    elif len({g.shape for g in given}) == 1 and given[0].ndim > 0:
        rows = ~np.any([g.reshape(len(g), -1).any(axis=1) for g in given], axis=0)
        wanted = [
            np.where(rows.reshape(-1, *[1] * (e.ndim - 1)), 0, e) for e in (t.exact[name] for t in trials)
        ]
        where = listing([str(row) for row in np.flatnonzero(rows)])
        what = "entries" if given[0].ndim == 1 else "rows"
        yield Sign(Kind.ZERO, f"their {what} {where}, counted from 0, are left at 0", wanted)


def _transposed(name: str, trials: Sequence[Trial]) -> Iterator[Sign]:
    """The transpose was taken; one that is not square was given the right shape."""
    exact = [trial.exact[name] for trial in trials]
    mistake = "the transpose is taken" + ("" if len({*exact[0].shape}) == 1 else ", and reshaped")
    yield Sign(Kind.TRANSPOSED, mistake, [e.T.reshape(e.shape) for e in exact], section=3)


def _ratio(name: str, trial: Trial) -> float | None:
    """Return the factor by which a gradient is off; None if a single number could not tell."""
    known = np.isfinite(trial.exact[name])
    exact, given = trial.exact[name][known], trial.given[name][known]
    magnitudes = np.abs(exact)
    if exact.size < 2 or _vanishes(name, trial) or np.ptp(magnitudes) <= 1e-3 * magnitudes.max():
        return None
    return float(given @ exact / (exact @ exact))


def _factor(name: str, trials: Sequence[Trial]) -> Iterator[Sign]:
    """A number too many or too few: one that the sizes explain, that a length explains, or just a number."""
    ratios = [_ratio(name, trial) for trial in trials]
    seen = [ratio for ratio in ratios if ratio is not None]
    if not any(seen):
        return
    exact = [trial.exact[name] for trial in trials]

    def fits(values: Sequence[float]) -> bool:
        pairs = zip(ratios, values, trials, strict=True)
        return all(r is None or abs(r - value) <= CLEAR * t.tolerance * abs(value) for r, value, t in pairs)

    explained = False
    for mistake, section, values in _expressions(trials):
        if fits(values):
            explained = True
            wanted = [value * e for value, e in zip(values, exact, strict=True)]
            yield Sign(Kind.CONSTANT, mistake, wanted, section)
    if fits([-1.0] * len(trials)):
        yield Sign(Kind.SIGN, "the sign is turned", [-e for e in exact])
    elif not explained:
        scaled = [(1.0 if ratio is None else ratio) * e for ratio, e in zip(ratios, exact, strict=True)]
        if (bound := _shortened(name, trials, ratios)) is not None:
            yield Sign(Kind.CLIPPED, bound, scaled)
        elif fits([seen[0]] * len(trials)):
            mistake = f"the right ones are multiplied by {seen[0]:.7g}"
            yield Sign(Kind.CONSTANT, mistake, [seen[0] * e for e in exact])


def _expressions(trials: Sequence[Trial]) -> Iterator[tuple[str, int, list[float]]]:
    """Yield the factors 2 and sizes, their inverses, and products of two: the mistake, section and values."""
    numbers: dict[str, list[float]] = {"2": [2.0] * len(trials)}
    for axis in trials[0].sizes:
        numbers[axis] = [float(trial.sizes.get(axis, 1)) for trial in trials]
    powers: list[dict[str, int]] = [{name: power} for name in numbers for power in (1, -1)]
    for one, other in itertools.combinations(numbers, 2):
        powers += [{one: i, other: j} for i in (1, -1) for j in (1, -1)]
    for factors in powers:
        values = np.prod([np.power(numbers[name], power) for name, power in factors.items()], axis=0)
        above = [name for name, power in factors.items() if power > 0]
        below = [name for name, power in factors.items() if power < 0]
        axes = " and ".join(AXES.get(name, name) for name in factors)
        section = 4 if "T" in factors else 2
        if "2" not in factors and not (above and below):
            taken, asked = ("sum", "mean") if above else ("mean", "sum")
            mistake = f"the {taken} over {axes} is taken where the {asked} is asked for"
        elif [*factors] == ["2"]:
            mistake = "there is a 2 too many" if above else "a 2 is missing, as that of the derivative of e^2"
        else:
            number = " ".join(above) or "1"
            mistake = f"the right ones are multiplied by {'/'.join([number, *below])}"
        yield mistake, section, values.tolist()


def _shortened(name: str, trials: Sequence[Trial], ratios: Sequence[float | None]) -> str | None:
    """Return the mistake if all gradients together, or this one, never get longer than a round number."""
    for given, what in (
        ([norm(np.array([norm(g) for g in t.given.values()])) for t in trials], "all gradients together are"),
        ([norm(t.given[name]) for t in trials], "each gradient is"),
    ):
        bound = float(f"{max(given):.2g}")
        if all(
            abs(length / bound - 1) <= ROUND and ratio is not None and ratio < 1
            if name in trial.wrong()
            else length <= bound * (1 + ROUND)
            for length, ratio, trial in zip(given, ratios, trials, strict=True)
        ):
            return f"{what} shortened to a length of {bound:g}"
    return None


def _cut(name: str, trials: Sequence[Trial]) -> Iterator[Sign]:
    """Entries beyond a bound were cut off: all others are right, and two or a round number show the bound."""
    known = [(np.isfinite(t.exact[name]), t) for t in _clear(name, trials)]
    bound = max((float(np.max(np.abs(t.given[name][k]))) for k, t in known), default=0.0)
    magnitudes = np.concatenate([np.abs(t.exact[name][k]) for k, t in known] or [np.zeros(0)])
    n_cut, n_left = np.sum(magnitudes > bound), np.sum((magnitudes < bound) & (magnitudes > bound / 1e6))
    round_number = abs(float(f"{bound:.2g}") - bound) <= 1e-12 * bound
    if bound > 0 and n_left >= 2 and n_cut >= (1 if round_number else 2):
        wanted = [np.clip(trial.exact[name], -bound, bound) for trial in trials]
        yield Sign(Kind.CLIPPED, f"entries beyond ±{bound:.4g} are cut off", wanted)


def _order(name: str, trials: Sequence[Trial]) -> Iterator[Sign]:
    """The rows or columns are the right ones, in another order."""
    if len({trial.exact[name].shape for trial in trials}) > 1:
        return
    for trial, axis in itertools.product(_clear(name, trials), range(trials[0].exact[name].ndim)):
        exact, given = (np.moveaxis(g[name], axis, 0) for g in (trial.exact, trial.given))
        if not np.isfinite(exact).all():
            continue
        weights = np.cos(np.arange(1, exact[0].size + 1))  # equal sums of different rows are unlikely
        order = np.empty(len(exact), dtype=int)
        order[np.argsort(given.reshape(len(exact), -1) @ weights)] = np.argsort(
            exact.reshape(len(exact), -1) @ weights
        )
        what = ("entries" if exact.ndim == 1 else "rows") if axis == 0 else "columns"
        for n_blocks in (2, 3, 4):
            blocks = order.reshape(-1, len(order) // n_blocks)[:, 0] if len(order) % n_blocks == 0 else order
            size = len(order) // len(blocks)
            if size > 1 and (order == (blocks[:, None] + np.arange(size)).ravel()).all():
                order_text, what = [str(block // size) for block in blocks], f"blocks of {size} {what}"
                break
        else:
            order_text = [str(i) for i in order]
        mistake = f"their {what} are in another order: {listing(order_text, 8)}, counted from 0"
        wanted = [np.take(trial.exact[name], order, axis=axis) for trial in trials]
        yield Sign(Kind.ORDER, mistake, wanted)


def _float32(name: str, trials: Sequence[Trial]) -> Iterator[Sign]:
    """The gradient has the errors of float32, as have all wrong ones."""
    errors = [trial.error(key) for trial in trials for key in trial.wrong()]
    if FLOAT32[0] <= max(errors) <= FLOAT32[1]:
        numbers = np.concatenate([trial.given[name].ravel() for trial in trials])
        single = (numbers == numbers.astype(np.float32)).all() and np.count_nonzero(numbers) > 1
        mistake = "they are computed in float32" if single else "something is as inexact as float32"
        wanted = [trial.exact[name] for trial in trials]
        yield Sign(Kind.PRECISION, mistake, wanted, tolerance=FLOAT32[1])


READERS: tuple[Callable[[str, Sequence[Trial]], Iterator[Sign]], ...] = (
    _zero, _factor, _transposed, _order, _cut, _float32,
)  # fmt: skip


def _along(axis: str, names: Sequence[str], trials: Sequence[Trial]) -> Iterator[Finding]:
    """Yield what goes wrong from a length or a batch size on, if something else is right throughout."""
    sized = [trial for trial in trials if axis in trial.sizes]
    spans: dict[str, tuple[int, int, int]] = {}  # how late, the largest size that is right, the first wrong
    for name in names:
        wrong = {trial.sizes[axis] for trial in sized if name in trial.wrong()}
        shown = [trial for trial in sized if not _vanishes(name, trial)]
        right = {trial.sizes[axis] for trial in shown if name not in trial.wrong()}
        late = int(any(t.sizes[axis] == 1 and _vanishes(name, t) for t in sized))
        n_right = sum(name not in trial.wrong() for trial in shown)
        steady = all(
            any(other not in trial.wrong() and not _vanishes(other, trial) for other in trial.exact)
            for trial in sized
            if name in trial.wrong()
        )
        if wrong and right and max(right) < min(wrong) and (steady or n_right > 1):
            spans[name] = late, max(right), min(wrong)
    if not spans:
        return
    last = max(right - late for late, right, _ in spans.values())
    first = min(wrong - late for late, _, wrong in spans.values())
    if last >= first:
        return
    yield _span_finding(axis, spans, last, first)


def _span_finding(axis: str, spans: Mapping[str, tuple[int, int, int]], last: int, first: int) -> Finding:
    """Return the finding for parameters that are right up to a size, and wrong from another on."""
    by_size: dict[tuple[int, int], list[str]] = {}
    for name, (_, right, wrong) in spans.items():
        by_size.setdefault((right, wrong), []).append(name)
    evidence = "; ".join(
        f"{listing(names)} right up to {axis} = {right}, wrong from {axis} = {wrong}"
        for (right, wrong), names in by_size.items()
    )
    if axis == "B":
        mistake = "the samples of a batch are not added up as they should be"
        return Finding(Kind.NOT_SUMMED, tuple(spans), mistake, evidence, section=5)
    if last == first - 1 and last > 1:
        return Finding(
            Kind.TRUNCATED, tuple(spans), f"the walk back ends after {last} steps", evidence, section=4
        )
    mistake = "what one step hands back to the step before is wrong, or how the steps are added up"
    return Finding(Kind.ACROSS_STEPS, tuple(spans), mistake, evidence, section=4)
