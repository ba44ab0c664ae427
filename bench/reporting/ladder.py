"""The tutorial's claim taken apart: from its NumPy program to its PyTorch program, one change at a time.

Each rung is an entry that the run measured; a rung that it did not measure is left out, and what changed
there joins what changed at the next one. The first and the last rung are the claim's declared pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.answer.comparison import Comparison, compare
from bench.answer.outcome import Outcome
from bench.answer.summary import Row
from bench.case import Case
from bench.reporting.answer import CLAIM, Facts
from bench.results.record import Entry, Pair


@dataclass(frozen=True, slots=True)
class Rung:
    """A measured entry, what is different from the one above, and its time over that one's."""

    row: Row
    change: str
    step: Comparison | None  # None for the first rung


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs, the claim itself (last over first) and the part of it that is equal work."""

    rungs: tuple[Rung, ...]
    claim: Comparison


def ladder(facts: Facts, found: dict[str, Outcome]) -> Ladder | None:
    """Build the ladder; None where the run has no claim, or one side of it was not measured."""
    claim = facts.summary.headline(CLAIM)
    if claim is None or claim.ratio is None:
        return None
    rungs: list[Rung] = []
    passed: list[str] = []
    for entry, change in _path(facts, claim):
        passed.append(change)
        row = facts.rows[entry] if entry else None
        if row is None or row.median_ns is None:
            continue
        above = rungs[-1].row.entry if rungs else None
        step = compare(facts.run, found, Pair(row.entry, row.entry, above)) if above else None
        rungs.append(Rung(row, "; ".join(passed), step))
        passed = []
    return Ladder(tuple(rungs), claim)


def _path(facts: Facts, claim: Comparison) -> Iterator[tuple[str | None, str]]:
    """The rungs in order: an entry's id, or None where the plan has none, and what changes there."""
    first, last = facts.entries[claim.baseline], facts.entries[claim.entry]
    same = replace(first.case, dtype=last.case.dtype, activation=last.case.activation)
    steps, dtype, activation = first.case.shape.T, same.dtype, same.activation
    published = facts.arm(first.id).spec
    yield first.id, f"as published: {first.case.activation}, {first.case.dtype}"
    yield _entry(facts, published, same, first), f"{activation} and {dtype}"
    yield _entry(facts, "numpy-loop", same, first), "the exact gradient"
    yield _entry(facts, "numpy-batched", same, first), "the whole batch at once"
    yield _entry(facts, "torch-rnn", same, first), "the same work in PyTorch"
    yield last.id, f"less work: {last.case.shape.T} recurrent step instead of {steps}"


def _entry(facts: Facts, spec: str, case: Case, like: Entry) -> str | None:
    """The entry of a variant on a case, in the place where the claim was measured."""
    place = facts.arm(like.id)
    for entry in facts.entries.values():
        arm = facts.arm(entry.id)
        same_place = (arm.device, arm.threads, arm.twin) == (place.device, place.threads, False)
        # the seed draws the numbers, not the work
        if arm.spec == spec and replace(entry.case, seed=case.seed) == case and same_place:
            return entry.id
    return None
