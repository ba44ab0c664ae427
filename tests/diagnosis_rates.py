"""Measure how often a diagnosis names a mistake rightly, wrongly or not at all.

``python tests/diagnosis_rates.py sealed_a [GROUP ...]`` prints rates, and by name what was said of whom.

A mistake is named rightly if a finding is of an accepted kind, in an accepted line where both name one, and
such findings cover all parameters that are wrong; in another net than the suite's cells, one of them. A
finding is wrong if its kind or its line is not accepted, unless it is true of inputs that the diagnosis has
not seen: a constant factor or a sign there, or an accepted kind in another line with the same effect, as the
diagnosis finds it there again.
"""

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import numpy as np
import sealed_nets
from gradient_mistakes import Wrong, edited

import bench
from bench.gradients.check import Verdict
from bench.gradients.diagnosis import diagnose
from bench.gradients.finding import Finding, Kind
from bench.gradients.trial import Trial, wrong_in
from bench.workload.case import Shape
from bench.workload.cell import CELLS, find_cell
from bench.workload.data import Batch

Diagnose = Callable[[Sequence[Trial], str], list[Finding]]
GROUPS = ("SINGLES", "STUDENTS", "OTHERS", "PAIRS", "RANDOM", "ROUNDED")
MISTAKES = ("SINGLES", "STUDENTS", "OTHERS")
SHAPES = (Shape(1, 6, 4, 5, 3), Shape(2, 5, 3, 7, 4), Shape(3, 4, 2, 6, 5), Shape(5, 7, 3, 6, 2))
FRESH = (Shape(1, 3, 2, 5, 4), Shape(2, 7, 6, 4, 3), Shape(4, 3, 5, 6, 2))  # on which findings are tried
DELTAS = (np.inf, 2.0)
AT_ONE = "at T = 1"  # in what holds there alone
TOLERANCE = 1e-10  # of a right gradient; float32 is off by 1e-8
EXACT = {cell: edited(cell, ()) for cell in CELLS}


@dataclass(frozen=True)
class Judged:
    """Hold what was said of a wrong gradient: whether that is right, and what of it is false."""

    wrong: Wrong
    findings: list[Finding]
    rightly: bool
    wrongly: list[Finding]

    @property
    def word(self) -> str:
        """Return "wrongly", "rightly", "true" (of another kind) or "silent"."""
        if self.wrongly:
            return "wrongly"
        return "rightly" if self.rightly else "true" if self.findings else "silent"


def trials_of(wrong: Wrong, shapes: Sequence[Shape] = SHAPES, seed: int = 0) -> list[Trial]:
    """Return trials of a function: of a cell on random batches, with its parameters; of a net on its data."""
    if wrong.cell not in CELLS:
        return [_trial_of_net(wrong, shape.T, seed) for shape in shapes]
    trials = []
    for shape, delta in itertools.product(shapes, DELTAS):
        generator = np.random.default_rng([seed, shape.T, DELTAS.index(delta)])
        sizes = find_cell(wrong.cell).shapes(shape, bias=True)
        params = {name: generator.standard_normal(size) / np.sqrt(shape.H) for name, size in sizes.items()}
        x = generator.standard_normal((shape.T, shape.B, shape.I))
        y = 8 * generator.standard_normal((shape.B, shape.O))  # errors on both sides of delta
        _, exact = EXACT[wrong.cell](params, x, y, delta=delta)
        _, given = wrong.function(params, x, y, delta=delta)
        named = asdict(shape)
        trials.append(_trial(exact, given, named, batch=Batch(params, x, y), delta=delta))
    return trials


def _trial_of_net(wrong: Wrong, steps: int, seed: int) -> Trial:
    params, data, axes = sealed_nets.inputs_of(wrong.cell, [seed, steps], steps)
    _, exact = getattr(sealed_nets, wrong.cell)(params, *data)
    _, given = wrong.function(params, *data)
    lengths = itertools.chain(*map(np.shape, data))
    sizes = dict(zip("".join(axes), lengths, strict=True))
    return _trial(exact, given, {"T": steps} | sizes)


def _trial(exact: Any, given: Any, sizes: dict[str, int], **others: Any) -> Trial:
    given = {name: np.asarray(given[name], dtype=np.float64) for name in exact}
    return Trial(exact=exact, given=given, tolerance=TOLERANCE, sizes=sizes, **others)


def judge(wrong: Wrong, diagnosis: Diagnose = diagnose) -> Judged:
    """Diagnose a wrong gradient, and judge what is said."""
    if wrong.cell in CELLS:
        trials = trials_of(wrong)
        findings = diagnosis(trials, wrong.cell)
        parameters = wrong_in(trials)
    else:
        findings, parameters = check_net(wrong)
    accepted = [finding for finding in findings if accepts(wrong, finding)]
    covered = {name for finding in accepted for name in finding.parameters}
    fresh = trials_of(wrong, FRESH, seed=1)
    if any(AT_ONE in finding.mistake for finding in accepted):  # what is right there shows nothing
        parameters &= {name for trial in _at_one(fresh) for name in trial.wrong()}
    wrongly = [one for one in findings if one not in accepted and not is_true(one, fresh, wrong)]
    rightly = bool(accepted) and (wrong.cell not in CELLS or parameters <= covered)
    return Judged(wrong, findings, rightly, wrongly)


def check_net(wrong: Wrong) -> tuple[list[Finding], set[str]]:
    """Return what ``bench.check_gradients`` finds in the gradients of a net, and which it calls wrong."""
    params, data, axes = sealed_nets.inputs_of(wrong.cell, 0, max(shape.T for shape in SHAPES))
    record = bench.check_gradients(wrong.function, params, *data, axes=axes).record
    findings = list(record.findings)
    if any("computes in float32" in note for note in record.notes):  # it is said in a note
        findings.append(Finding(Kind.PRECISION, tuple(params), "", ""))
    return findings, {row.parameter for row in record.rows if row.verdict == Verdict.WRONG}


def accepts(wrong: Wrong, finding: Finding) -> bool:
    """Return whether kind and line are what a careful teacher would say."""
    line = left_side(finding.line)
    return finding.kind in wrong.kinds and (not wrong.lines or not line or line in wrong.lines)


def left_side(line: str) -> str:
    """Return the name that a line computes: "dW" of ``grads["W"] += ...``; empty if there is none."""
    left, equals, _ = line.partition("=")
    name = left.rstrip("+-*/ ").strip()
    if name.startswith("grads["):
        name = "d" + name[6:].strip("]\"'")
    return name if equals else ""


def is_true(finding: Finding, fresh: Sequence[Trial], wrong: Wrong) -> bool:
    """Return whether a finding that was not expected is true, of inputs that were not diagnosed."""
    if AT_ONE in finding.mistake:
        fresh = _at_one(fresh)
    elif finding.kind == Kind.ACROSS_STEPS:
        steps = {trial.sizes["T"] for trial in fresh if {*trial.wrong()} & {*finding.parameters}}
        return bool(steps) and 1 not in steps
    if finding.kind == Kind.ACROSS_SAMPLES:
        samples = {trial.sizes["B"] for trial in fresh if {*trial.wrong()} & {*finding.parameters}}
        return bool(samples) and 1 not in samples
    if finding.kind == Kind.NOT_SUMMED and {Kind.NOT_HANDED_BACK, Kind.TRUNCATED} <= wrong.kinds:
        return True  # but for the last step all are lost, either way
    if finding.kind in wrong.kinds and finding.line:  # in another line
        return any(again.mistake == finding.mistake for again in diagnose(fresh, wrong.cell))
    fact = FACTS.get(finding.kind)
    return fact is not None and all(
        fact(trial.exact[name], trial.given[name]) for trial in fresh for name in finding.parameters
    )


def _near(one: Any, other: Any) -> bool:
    return bool(
        one.shape == other.shape
        and np.all(np.abs(one - other) <= 1e-9 * np.max(np.abs(other), initial=0) + 1e-13)
    )


def _at_one(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.sizes["T"] == 1]


def _off(fact: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Return whether a fact holds of the rows that are wrong, of gates perhaps."""

    def holds(exact: Any, given: Any) -> bool:
        off = [row for row in range(len(exact)) if not _near(given[row], exact[row])]
        return fact(exact[off], given[off])

    return holds


def _in_proportion(exact: Any, given: Any) -> bool:
    size = np.sum(exact * exact)
    return size == 0 or _near(given, np.sum(given * exact) / size * exact)


def _clipped(exact: Any, given: Any) -> bool:
    bound = np.abs(given).max()
    return _near(given, np.clip(exact, -bound, bound)) or _in_proportion(exact, given)


FACTS: dict[Kind, Callable[[Any, Any], bool]] = {
    Kind.CONSTANT: _off(_in_proportion),
    Kind.SIGN: _off(lambda exact, given: _near(given, -exact)),
    Kind.ZERO: _off(lambda exact, given: not given.any()),
    Kind.ACROSS_STEPS: _off(lambda exact, given: not given.any()),  # at T = 1
    Kind.TRANSPOSED: lambda exact, given: _near(given, exact.T),
    Kind.CLIPPED: _clipped,
    Kind.PRECISION: lambda exact, given: np.array_equal(given, given.astype(np.float32)),
}


def measure(wrongs: Iterable[Wrong], diagnosis: Diagnose = diagnose) -> list[Judged]:
    """Judge what is said of each."""
    return [judge(wrong, diagnosis) for wrong in wrongs]


def rates(judged: Sequence[Judged]) -> Counter[str]:
    """Count the words."""
    return Counter(one.word for one in judged)


def main(module: str, *groups: str) -> None:
    """Print rates by group and cell, then what was said, by name."""
    cases = import_module(module)
    for group in groups or GROUPS:
        judged = measure(getattr(cases, group))
        for cell in dict.fromkeys(one.wrong.cell for one in judged):
            words = rates([one for one in judged if one.wrong.cell == cell])
            print(f"{group} {cell}: {words.total()}, {dict(words)}")
        for one in judged:
            if one.word != ("silent" if group in ("RANDOM", "ROUNDED") else "rightly"):
                print(f"  {one.word}: {one.wrong.name} {sorted(one.wrong.kinds)} {one.wrong.lines}")
                for finding in one.findings:
                    mark = "FALSE" if finding in one.wrongly else "     "
                    said = f"{finding.parameters} {finding.mistake}: {finding.line}"
                    print(f"    {mark} {finding.kind.name} {said}")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
