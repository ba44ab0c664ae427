"""Explain a wrong gradient of a cell of the suite: by the mistake in the reference that gives the same."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.gradients.edits import Edit, edits_of
from bench.gradients.finding import Finding, Kind, Section
from bench.gradients.published import published
from bench.gradients.trial import Trial, wrong_in
from bench.machine.wording import listing
from bench.proof.tolerance import Array
from bench.workload.cell import find_cell

OF_THE_LOSS = ("e", "e_clipped", "dy_hat")
OF_THE_WALK = (Kind.NOT_HANDED_BACK, Kind.STEP_LEFT_OUT, Kind.TRUNCATED)
MOST_NAMED = 2  # mistakes that give the same gradients


@dataclass(frozen=True, slots=True)
class Explanation:
    """Hold an edit and the wrong gradients that it gives exactly, of several only if it leaves the others."""

    edit: Edit
    parameters: tuple[str, ...]
    error: float  # the largest, relative

    def finding(self, cell: str, trials: Sequence[Trial]) -> Finding:
        """Return the explanation as a finding, with what shows it."""
        lengths = sorted({trial.sizes["T"] for trial in trials})
        evidence = (
            f"equal to {max(self.error, 1e-16):.0e} at T = {listing([*map(str, lengths)], len(lengths))}"
        )
        edit, section, line = self.edit, self.edit.section or Section[cell.upper()], self.edit.line
        if edit.target in OF_THE_LOSS:
            section = Section.LOSS
        elif section == Section.RNN and edit.kind in OF_THE_WALK:
            section = Section.WALK
        if section == Section.LOSS and trials[0].delta == np.inf:  # another loss has other lines
            section, line = 0, ""
        mistake = edit.mistake if line else edit.mistake.replace("e_clipped", "e")
        return Finding(edit.kind, self.parameters, mistake, evidence, line, section)


def explain(trials: Sequence[Trial], cell: str) -> list[Finding]:
    """Return the mistakes that give the wrong gradients of all trials, which need a batch.

    One mistake that explains all of them is preferred, and another that gives the same is named, too. Else
    several are returned that explain one or more parameters each, and leave those of the others right.
    """
    # the first sieve: the trial in which most is wrong, of them the smallest
    first, *others = sorted(trials, key=lambda trial: (-len(trial.wrong()), _size(trial)))
    wrong = wrong_in(trials)
    partial, complete = list[Explanation](), list[Explanation]()
    edits = edits_of(find_cell(cell).reference().loss_and_grads)
    for edit in itertools.chain(published(cell, bias="bU" in first.exact), edits):
        if complete and edit.rank > complete[0].edit.rank:
            break
        if explanation := _compared(edit, [first, *others], cell):
            (complete if wrong == set(explanation.parameters) else partial).append(explanation)
    if complete:
        by_line = {each.edit.line: each for each in reversed(complete)}
        chosen = [each for each in complete if by_line[each.edit.line] is each][:MOST_NAMED]
    else:
        explained, chosen = set[str](), list[Explanation]()
        for each in sorted(partial, key=lambda each: -len(each.parameters)):
            if not explained & set(each.parameters):
                explained |= set(each.parameters)
                chosen.append(each)
        if explained != wrong:  # what is left may be the way back, which spoils W in part
            chosen = [each for each in chosen if not set(each.parameters) & {"U", "W", "bU", "bW"}]
    return [each.finding(cell, trials) for each in chosen] or _decay(trials)


def _decay(trials: Sequence[Trial]) -> list[Finding]:
    """Return the wrong gradients to which a multiple of the parameter itself is added."""
    factors: dict[float, list[str]] = {}
    for name in trials[0].exact:
        pairs = [(t, t.batch.params[name]) for t in trials if t.batch]
        slopes = [float(np.vdot(t.given[name] - t.exact[name], p) / np.vdot(p, p)) for t, p in pairs]
        decay = float(np.mean(slopes))
        fits = [t.error(name, t.exact[name] + decay * p) <= t.tolerance for t, p in pairs]
        if all(fits) and any(name in trial.wrong() for trial in trials):
            factors.setdefault(float(f"{decay:.6g}"), []).append(name)
    return [
        Finding(Kind.TERM, tuple(names), f"{decay:g} times the parameter is added", "in every entry")
        for decay, names in factors.items()
    ]


def _size(trial: Trial) -> int:
    """Return how many numbers a trial's gradients have, times its steps."""
    return trial.sizes["T"] * sum(exact.size for exact in trial.exact.values())


def _compared(edit: Edit, trials: Sequence[Trial], cell: str) -> Explanation | None:
    """Return what an edit explains in all trials, None if nothing, or if it gives something else."""
    explained, largest = set(trials[0].exact), 0.0
    touched = set[str]()  # whose gradients the edit changes
    for trial in trials:
        grads = _gradients(edit, trial, cell)
        if grads is None:
            return None
        for name, grad in grads.items():
            error = trial.error(name, grad)
            if not error <= trial.tolerance:
                explained.discard(name)
            if not trial.distance(grad, trial.exact[name]) <= trial.tolerance:
                touched.add(name)
            if name in touched - explained:
                return None
            largest = max(largest, error if name in explained else 0.0)
    names = tuple(name for name in trials[0].exact if name in explained & touched)
    return Explanation(edit, names, largest) if names else None


@np.errstate(all="ignore")
def _gradients(edit: Edit, trial: Trial, cell: str) -> Mapping[str, Array] | None:
    """Return the gradients of an edit, None if it fails or gives other shapes."""
    assert trial.batch is not None
    params = {name: _protected(p) for name, p in trial.batch.params.items()}
    x, y = _protected(trial.batch.x), _protected(trial.batch.y)
    options = find_cell(cell).options(trial.activation)
    try:
        _, grads = edit.function(params, x, y, delta=trial.delta, **options)
    except Exception:  # many edits do not fit these shapes
        return None
    fits = all(
        name in grads and np.shape(grads[name]) == exact.shape and np.isfinite(grads[name]).all()
        for name, exact in trial.exact.items()
    )
    return grads if fits else None


def _protected(array: Array) -> Array:
    """Return a view that an edit cannot write into."""
    view = array.view()
    view.flags.writeable = False
    return view
