"""Read signs of a mistake that hold for any net, from given and exact gradients alone.

A sign predicts from the exact gradient what is given. It is told if that holds in all trials, those included
in which the gradient is right: a wrong gradient that no sign predicts gets none.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from bench.gradients.finding import Finding, Kind, Section
from bench.gradients.trial import LEAST_SHARE, Trial
from bench.machine.wording import listing
from bench.proof.tolerance import Array, norm

CLEAR = 10  # tolerances: below, what fits better than the exact gradient may be rounding
CHANCE = 1e-7  # that a sign fits other gradients: tolerance^(n - 1) for n entries
ROUND = 1e-5  # of a bound: PyTorch adds 1e-6 to a length
FLOAT32 = (1e-9, 1e-5)  # errors of gradients that were computed in float32
AXES = {"T": "the steps", "B": "the batch", "O": "the outputs"}
HANDED_BACK = Kind.NOT_HANDED_BACK, Kind.TRUNCATED
OF_STEPS = *HANDED_BACK, Kind.NOT_SUMMED, Kind.STEP_LEFT_OUT
STEPS = (  # a mistake, and the steps that add nothing
    (Kind.STEP_LEFT_OUT, "the first step is left out", slice(1)),
    (Kind.STEP_LEFT_OUT, "the last step is left out", slice(-1, None)),
    (Kind.NOT_SUMMED, "the first step stands for the sum", slice(1, None)),
    (Kind.NOT_SUMMED, "the last step stands for the sum", slice(-1)),
    (Kind.NOT_HANDED_BACK, "dL/dh is not handed back to the step before", slice(-1)),
)
BETWEEN = "something between steps is wrong: what one hands back, how they are added up, or which is read"
ACROSS = {  # where gradients are right for one, and wrong from two on
    "T": (Kind.ACROSS_STEPS, BETWEEN, Section.WALK),
    "B": (Kind.ACROSS_SAMPLES, "samples are not added up as they should be", Section.BATCH),
}
Trials = Sequence[Trial]


class Sign(NamedTuple):
    """Hold a sign: what it predicts for a parameter's gradient in each trial, NaN where it cannot know."""

    kind: Kind
    mistake: str
    wanted: Sequence[Array]
    section: int = 0


class View:
    """Hold what is looked at of one parameter's gradient.

    Attributes:
        name: of the parameter.
        trials: those in view; its exact gradient is NaN in rows that are not.
        rows: those in view; empty if all are.
        single: whether trials of one step alone are in view.
        exact: the exact gradients; what follows is of each trial, too.
        given: the given gradients.
        tolerance: the largest error that passes.
        wrong: whether it is wrong.
        small: whether it is too small beside the others to show a mistake.
        clear: the trials in which it is clearly wrong, in enough numbers to tell by what.
        numbers: the exact and the given ones of these trials, as far as they are known.
        late: whether it is 0 at T = 1, as that of the weights of h_0 = 0, which goes wrong a step late.
    """

    def __init__(self, name: str, trials: Trials, rows: Sequence[int] = (), *, single: bool = False) -> None:
        """Look at some trials of a parameter, and at some rows."""
        self.name, self.trials, self.rows, self.single = name, trials, rows, single
        self.exact = [trial.exact[name] for trial in trials]
        self.given = [trial.given[name] for trial in trials]
        self.tolerance = np.array([trial.tolerance for trial in trials])
        errors, lengths = self.errors(self.exact), np.array([norm(e[np.isfinite(e)]) for e in self.exact])
        self.wrong = errors > self.tolerance
        self.small = lengths <= LEAST_SHARE * np.array([trial.length for trial in trials])
        chances = self.tolerance ** [np.count_nonzero(np.nan_to_num(e, nan=0.0)) - 1 for e in self.exact]
        clear = ~self.small & (errors > CLEAR * self.tolerance) & (chances <= CHANCE)
        self.clear: list[int] = np.flatnonzero(clear).tolist()
        known = [(self.exact[i], self.given[i], np.isfinite(self.exact[i])) for i in self.clear]
        self.numbers = [(e[at], given[at]) for e, given, at in known]
        self.late = bool((self.sizes("T")[self.small] == 1).any())

    def sizes(self, axis: str) -> Array:
        """Return the size of an axis in each trial, 0 where it has none."""
        return np.array([trial.sizes.get(axis, 0) for trial in self.trials])

    def errors(self, wanted: Sequence[Array]) -> Array:
        """Return the errors relative to ``wanted``, as ``Trial.error`` does."""
        return np.array([t.error(self.name, w) for t, w in zip(self.trials, wanted, strict=True)])

    def fits(self, wanted: Sequence[Array]) -> bool:
        """Return whether ``wanted`` is what was given, in all trials."""
        return bool((self.errors(wanted) <= self.tolerance).all())

    def narrower(self) -> Iterator["View"]:
        """Yield this view, its wrong rows, and both of single steps, where a mistake has not spread yet."""
        yield from self._with_wrong_rows()
        if single := [trial for trial in self.trials if trial.sizes.get("T") == 1]:
            yield from View(self.name, single, single=True)._with_wrong_rows()

    def _with_wrong_rows(self) -> Iterator["View"]:
        """Yield this view, and one of the rows that are wrong, as those of one gate, if some are right."""
        yield self
        if len({e.shape for e in self.exact}) > 1 or self.exact[0].ndim == 0:
            return
        exact, given = (np.stack(g).reshape(*np.shape(g)[:2], -1) for g in (self.exact, self.given))
        distances = np.sqrt(np.nansum((given - exact) ** 2, axis=2))  # (trials, rows)
        lengths = np.sqrt(np.nansum(exact**2, axis=(1, 2)))
        off = (distances > (self.tolerance * lengths)[:, None]).any(axis=0)
        if off.any() and not off.all() and not np.isnan(exact).all(axis=2).any():
            name, mask = self.name, np.where(off, 1.0, np.nan)
            trials = [replace(t, exact={**t.exact, name: (t.exact[name].T * mask).T}) for t in self.trials]
            yield View(name, trials, np.flatnonzero(off).tolist(), single=self.single)

    def where(self) -> str:
        """Return in words what is in view: " at T = 1 in rows 0 to 3 alone, counted from 0"."""
        said = " at T = 1" * self.single
        if self.rows:
            runs = np.split(self.rows, np.flatnonzero(np.diff(self.rows) > 1) + 1)
            spans = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
            said += f" in row{'s' * (len(self.rows) > 1)} {listing(spans)} alone, counted from 0"
        return said


@np.errstate(all="ignore")
def read_signs(trials: Trials) -> list[Finding]:
    """Return what the trials, of one function, have in common; parameters with one sign are one finding."""
    views = [View(name, trials) for name in trials[0].exact]
    wrong = [view for view in views if view.wrong.any()]
    if together := [*_float32(wrong), *_shortened(trials)]:
        return together
    found, findings = dict[Finding, dict[str, float]](), list[Finding]()
    for one in wrong:
        read = ((view, [*_signs(view)]) for view in one.narrower())
        view, signs = next((each for each in read if each[1]), (one, []))
        for kind, mistake, wanted, section in signs:
            told = [trial for trial, w in zip(view.trials, wanted, strict=True) if np.isfinite(w).any()]
            finding = Finding(kind, (), mistake + view.where(), _sizes(told), section=section)
            found.setdefault(finding, {})[one.name] = max(float(view.errors(wanted).max()), 1e-16)
    for finding, errors in found.items():
        evidence = f"equal to {max(errors.values()):.0e}{finding.evidence}"
        findings.append(replace(finding, parameters=(*errors,), evidence=evidence))
    across = [finding for axis in ACROSS for finding in _across(axis, views, findings)]
    return [one for one in findings if one.mistake not in [each.mistake for each in across]] + across


def _signs(view: View) -> Iterator[Sign]:
    """Yield the signs that hold in all trials, and of which some that is clearly wrong is known."""
    for sign in (sign for read in READERS if view.clear for sign in read(view)):
        if view.fits(sign.wanted) and any(np.isfinite(sign.wanted[i]).any() for i in view.clear):
            yield sign


def _sizes(trials: Trials) -> str:
    """Return " at T = 1, 2 and 5, B = 4"."""
    sizes = {axis: sorted({t.sizes[axis] for t in trials}) for axis in "TB" if axis in trials[0].sizes}
    where = ", ".join(f"{axis} = {listing([*map(str, numbers)], 9)}" for axis, numbers in sizes.items())
    return f" at {where}" if where else " in every entry compared"


def _float32(wrong: Sequence[View]) -> Iterator[Finding]:
    """Yield that the wrong gradients are of float32: all their numbers are, and they are that inexact."""
    largest = max([0.0, *(one.errors(one.exact)[one.wrong & ~one.small].max(initial=0) for one in wrong)])
    exactly = all((given == given.astype(np.float32)).all() for one in wrong for given in one.given)
    if exactly and FLOAT32[0] <= largest <= FLOAT32[1]:
        names, mistake = tuple(one.name for one in wrong), "numbers are rounded to float32"
        yield Finding(Kind.PRECISION, names, mistake, f"off by {largest:.0e} at most")


def _shortened(trials: Sequence[Trial]) -> Iterator[Finding]:
    """Yield that all gradients together are never longer than a bound, two lengths of which show it."""
    wrong = [trial for trial in trials if trial.wrong()]
    given = [norm(np.array([norm(grad) for grad in trial.given.values()])) for trial in wrong]
    bound = max(given, default=0.0)
    if len({trial.length for trial in wrong}) < 2 or min(given) < bound * (1 - ROUND):
        return
    if any(trial.length > bound * (1 + ROUND) for trial in trials if not trial.wrong()):
        return
    shares = [length / trial.length for length, trial in zip(given, wrong, strict=True)]
    pairs = [(trial, name, share) for trial, share in zip(wrong, shares, strict=True) for name in trial.exact]
    if max(shares) < 1 and all(t.error(name, s * t.exact[name]) <= t.tolerance for t, name, s in pairs):
        names = tuple(name for name in trials[0].exact if any(name in trial.wrong() for trial in wrong))
        mistake = f"all gradients together are shortened to a length of {bound:.4g}"
        yield Finding(Kind.CLIPPED, names, mistake, f"in {len(wrong)} of {len(trials)} trials")


def _zero(view: View) -> Iterator[Sign]:
    """Read that nothing was added to the gradient, or nothing is left of what was."""
    zeros = [0 * e for e in view.exact]
    yield Sign(Kind.ACROSS_STEPS if view.single else Kind.ZERO, "every entry is left at 0", zeros)
    if view.late:
        mistake = "the first step stands for the sum, or h_0 for every h_{t-1}: h_0 is 0"
        yield Sign(Kind.NOT_SUMMED, mistake, zeros, Section.WALK)


def _factor(view: View) -> Iterator[Sign]:
    """Read a factor: a sign, one that the sizes explain, or just a number."""
    # of numbers of one size, anything is a multiple
    several = [(e, given) for e, given in view.numbers if np.ptp(np.abs(e)) > 1e-3 * np.abs(e).max()]
    ratio = next((float(given @ e / (e @ e)) for e, given in several), 0.0)
    if not ratio:
        return

    def scaled(mistake: str, factor: Any, section: int = 0, kind: Kind = Kind.CONSTANT) -> Sign:
        factors = factor * np.ones(len(view.trials))
        return Sign(kind, mistake, [n * e for n, e in zip(factors, view.exact, strict=True)], section)

    fits = [t.error(name, ratio * e) <= t.tolerance for t in view.trials for name, e in t.exact.items()]
    loss, section = (True, Section.LOSS) if all(fits) and not view.where() else (False, 0)  # of all gradients
    signs = [scaled("the sign is turned", -1, kind=Kind.SIGN)]
    signs.append(scaled("the right ones are doubled" + loss * ", as by the 2 of e^2", 2, section))
    signs.append(scaled("the right ones are halved" + loss * ", as without the 2 of e^2", 0.5, section))
    axes = [axis for axis in view.trials[0].sizes if view.sizes(axis).max() > 1]
    for some in (*((axis,) for axis in axes), *itertools.combinations(axes, 2)):
        size = np.prod([view.sizes(axis) for axis in some], axis=0, dtype=float)
        over = f"over {' and '.join(AXES.get(axis, axis) for axis in some)} is taken where the"
        section = Section.WALK if "T" in some else Section.LOSS
        signs.append(scaled(f"the sum {over} mean is asked for", size, section))
        signs.append(scaled(f"the mean {over} sum is asked for", 1 / size, section))
    signs = [sign for sign in signs if view.fits(sign.wanted)]
    yield from signs or [scaled(f"the right ones are multiplied by {ratio:.9g}", ratio)]


def _transposed(view: View) -> Iterator[Sign]:
    """Read that the transpose was taken; if it is not square, it was given the right shape."""
    mistake = "the transpose is taken" + ("" if len({*view.exact[0].shape}) == 1 else ", and reshaped")
    yield Sign(Kind.TRANSPOSED, mistake, [e.T.reshape(e.shape) for e in view.exact], Section.STEP)


def _order(view: View) -> Iterator[Sign]:
    """Read that the rows or columns are the right ones in another order, in blocks perhaps, as of gates."""
    first = view.clear[0]
    if len({e.shape for e in view.exact}) > 1 or not np.isfinite(view.exact[first]).all():
        return
    for axis, n in enumerate(view.exact[0].shape):
        exact, given = (np.moveaxis(g[first], axis, 0).reshape(n, -1) for g in (view.exact, view.given))
        weights = np.cos(np.arange(1, exact.shape[1] + 1))  # equal sums of different rows are unlikely
        order = np.argsort(exact @ weights)[np.argsort(np.argsort(given @ weights))]
        what = "columns" if axis else "rows" if view.exact[0].ndim > 1 else "entries"
        size = np.gcd.reduce([n, *np.flatnonzero(np.diff(order) != 1) + 1])  # of the largest blocks
        what, places = f"blocks of {size} {what}" if size > 1 else what, [*map(str, order[::size] // size)]
        mistake = f"the {what} are in another order: {listing(places, 8)}, counted from 0"
        yield Sign(Kind.ORDER, mistake, [np.take(e, order, axis=axis) for e in view.exact])


def _cut(view: View) -> Iterator[Sign]:
    """Read that entries beyond a bound were cut off: two or a round number show it, others are right."""
    bound = float(max(np.abs(given).max() for _, given in view.numbers))
    sizes = np.concatenate([np.abs(e) for e, _ in view.numbers])
    n_cut, n_left = np.sum(sizes > bound), np.sum((sizes < bound) & (sizes > bound / 1e6))
    if n_left >= 2 and (n_cut > 1 or bound == float(f"{bound:.2g}")):
        wanted = [np.clip(e, -bound, bound) for e in view.exact]
        yield Sign(Kind.CLIPPED, f"entries beyond ±{bound:.4g} are cut off", wanted)


def _steps(view: View) -> Iterator[Sign]:
    """Read which steps add to it, as the data of single steps show: it is 0 for those that are left out."""
    sizes, steps = view.sizes("T"), [trial.only_step for trial in view.trials]
    handed = any(o.late and not o.wrong.any() for o in (View(n, view.trials) for n in view.trials[0].exact))
    walks = [
        (Kind.TRUNCATED, f"the walk back ends after {n} steps", slice(-n)) for n in range(2, sizes.max())
    ]
    for kind, mistake, left_out in (*STEPS, *walks):
        missing = [range(1, T + 1)[left_out] for T in sizes]
        expected = view.small | (view.wrong == [len(some) > 0 for some in missing])
        refuted = handed and kind in HANDED_BACK and sizes.max() > 1 - left_out.stop  # by weights of h_{t-1}
        if expected[[step is None for step in steps]].all() and not refuted:
            pairs = zip(steps, missing, view.exact, strict=True)
            wanted = [e * (np.nan if step is None else step not in some) for step, some, e in pairs]
            yield Sign(kind, mistake, wanted, Section.WALK)


READERS = _zero, _factor, _transposed, _order, _cut, _steps


def _across(axis: str, views: Sequence[View], found: Sequence[Finding]) -> Iterator[Finding]:
    """Yield what is right for one step or sample and wrong from two on, while something else stays right."""
    sizes = np.array([t.sizes.get(axis, 0) * (t.only_step is None) for t in views[0].trials])
    if np.any([view.wrong[sizes == 1].any() for view in views]):
        return  # it is not only there
    steady = np.any([~view.wrong & ~view.small for view in views], axis=0)
    late = {view.name for view in views if axis == "T" and view.late}
    spans = dict[str, tuple[int, int]]()  # the last right size, the first wrong
    explained = {name for one in found if one.kind not in OF_STEPS for name in one.parameters}
    for view in (view for view in views if view.name not in explained):
        right, off = ~view.wrong & ~view.small & (sizes > 0), view.wrong & (sizes > 0)
        shown = right.sum() > 1 and off.any() and steady[off].all()  # once it may be by chance
        if shown and sizes[right].max() < sizes[off].min():
            spans[view.name] = int(sizes[right].max()), int(sizes[off].min())
    last = {name: right - (name in late) for name, (right, _) in spans.items()}
    kind, mistake, section = ACROSS[axis]
    # of all that is wrong, the weights of h_{t-1} show whether what is handed back is right
    wrong = {view.name for view in views if view.wrong.any()}
    walked = late & wrong and wrong == {*spans} and len({*last.values()}) == 1
    if walked and (steps := [one for one in found if one.kind in HANDED_BACK]):
        kind, mistake = steps[0].kind, steps[0].mistake
    else:
        known = {name for one in found if one.kind in OF_STEPS for name in one.parameters}
        spans = {name: span for name, span in spans.items() if last[name] == 1 and name not in known}
    names = {span: listing([name for name in spans if spans[name] == span]) for span in spans.values()}
    said = [f"{name} right up to {axis} = {right}, wrong from {off}" for (right, off), name in names.items()]
    if spans:
        yield Finding(kind, tuple(spans), mistake, "; ".join(said), section=section)
