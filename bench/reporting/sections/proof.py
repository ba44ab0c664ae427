"""Is the gradient right? For each variant, what was proved before it was timed, and by what margin.

A cell is the largest error that the proof met, over all entries of a variant in one place and dtype, for
what was allowed: E / tolerance, where E = |a - b| / |b| is normwise, against a float64 reference.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.machine import units, wording
from bench.records.record import Arm, Check
from bench.reporting.facts import Facts
from bench.reporting.section import Cell, Fields, Section, text_table
from bench.workload.catalog import VARIANTS
from bench.workload.cell import house_cell

TITLES = {"y_hat": "Prediction", "loss": "Loss"}  # of a column; others are gradients of parameters
TUTORIAL = [variant.name for variant in VARIANTS if variant.role == "tutorial"]
HOW = (
    "Every entry is proved in its own worker, on the inputs that are timed, before the clock starts and on "
    "the last timed result: shown is the largest error of all, and what is allowed. A training step is "
    "proved by its update, with a learning rate so large that a wrong gradient shows.",
    "The reference is back-propagation through time written out by hand; rnnbench verify checks it against "
    "complex steps and central differences, and every variant at more shapes.",
)
KNOWN = (
    "A gradient that is known to be wrong is timed for the tutorial's claim, and is never called a winner."
)


@dataclass(frozen=True, slots=True)
class Proved:
    """All checks of one variant, in one place and dtype."""

    arm: Arm
    dtype: str
    checks: tuple[Check, ...]

    @property
    def known_wrong(self) -> list[Check]:
        """Its checks that are known to fail."""
        return [check for check in self.checks if check.known_wrong]

    @property
    def word(self) -> str:
        """What follows from its checks; "failed": it claims to be right and is not."""
        if any(not check.passed and not check.known_wrong for check in self.checks):
            return "failed"
        return "known wrong gradient" if self.known_wrong else "right"

    def largest(self, quantity: str) -> Check | None:
        """The check of a quantity that comes nearest to its tolerance, or passes it furthest."""
        own = (check for check in self.checks if check.tolerance and check.quantity == quantity)
        return max(own, key=_strain, default=None)


def proof_section(facts: Facts, prefix: str) -> Section | None:
    """Return the table of proofs and what follows from it; None where nothing was proved."""
    proved = list(_collect(facts))
    if not proved:
        return None
    quantities = _quantities(facts, proved)
    variant: Fields[Proved] = {"Variant": _variant_cell}
    errors: Fields[Proved] = {_title(name): partial(_error_cell, name) for name in quantities}
    word: Fields[Proved] = {
        "Conclusion": lambda own: Cell(own.word, tone="good" if own.word == "right" else "trouble")
    }
    known = (KNOWN,) if any(own.known_wrong for own in proved) else ()
    return Section(
        id="proof",
        title="Is the gradient right?",
        lead=tuple(_lead(proved, quantities)),
        tables=(text_table("Largest error, and what is allowed", {**variant, **errors, **word}, proved),),
        notes=(*HOW, *known),
    )


def _collect(facts: Facts) -> Iterator[Proved]:
    """Yield what was proved, in the plan's order; A/A controls repeat their originals."""
    groups: dict[tuple[str, str, str], Proved] = {}
    for entry in facts.entries.values():
        arm, dtype = facts.run.arms[entry.arm], entry.case.dtype
        if checks := facts.summary.outcomes[entry.id].checks:
            key = arm.variant, arm.device, dtype
            before = groups.get(key, Proved(arm, dtype, ()))
            groups[key] = replace(before, checks=tuple(dict.fromkeys((*before.checks, *checks))))
    yield from groups.values()


def _quantities(facts: Facts, proved: Iterable[Proved]) -> list[str]:
    """List what has a distance: the prediction and the loss, then the parameters as their cell has them."""
    cells = map(house_cell, dict.fromkeys(entry.case.cell for entry in facts.entries.values()))
    parameters = [name for cell in cells if cell for name in cell.parameters]
    measured = dict.fromkeys(check.quantity for own in proved for check in own.checks if check.tolerance)
    ordered = dict.fromkeys([*TITLES, *parameters, *measured])
    return [name for name in ordered if name and name in measured]


def _title(quantity: str) -> str:
    return TITLES.get(quantity, f"Gradient of {quantity}")


def _lead(proved: Sequence[Proved], quantities: Sequence[str]) -> Iterator[str]:
    """Say yes or no, which gradient is known to be wrong, and how near the nearest came to its limit."""
    failed = list(dict.fromkeys(own.arm.variant for own in proved if own.word == "failed"))
    right = [own for own in proved if own.word == "right"]
    if failed:
        yield f"No: {wording.listing(failed)} claims to be right and is not, and has no times."
    if right:
        number = len({own.arm.variant for own in right})
        variants, agree = wording.count(number, "variant"), "agrees" if number == 1 else "agree"
        who = f"All others, {variants}, agree" if failed else f"Yes: {variants} {agree}"
        yield f"{who} with an independent float64 reference{_although(proved)}."
    nearest = [(check, own) for own in right for name in quantities if (check := own.largest(name))]
    if nearest:
        check, own = max(nearest, key=lambda pair: _strain(pair[0]))
        title = _title(check.quantity)
        yield (
            f"Nearest to its limit: {title[0].lower()}{title[1:]} of {own.arm.variant} ({own.dtype}), "
            f"{units.error(check.error)} of {units.error(check.tolerance)} allowed."
        )


def _although(proved: Iterable[Proved]) -> str:
    """Say of each gradient that is known to be wrong whose it is, and what is off the most."""
    checks: dict[str, list[Check]] = {}
    for own in proved:
        checks.setdefault(own.arm.variant, []).extend(own.known_wrong)
    clauses = []
    for variant, check in (
        (name, max(known, key=lambda check: check.error)) for name, known in checks.items() if known
    ):
        whose = "the tutorial’s own gradient" if variant in TUTORIAL else f"the gradient of {variant}"
        off = f"{check.quantity or check.what} off by {units.percent(check.error)}"
        clauses.append(f"; {whose} is wrong ({off})")
    return "".join(clauses)


def _variant_cell(own: Proved) -> Cell:
    device = "CPU" if own.arm.device == "cpu" else own.arm.device
    return Cell(own.arm.variant, f"{device}, {own.dtype}", library=own.arm.library)


def _error_cell(quantity: str, own: Proved) -> Cell:
    check = own.largest(quantity)
    if check is None:
        return Cell(units.NOTHING)
    allowed = units.error(check.tolerance)
    if check.known_wrong:
        return Cell(f"off by {units.percent(check.error)}", f"allowed {allowed}", _strain(check))
    return Cell(units.error(check.error), f"{'≤' if check.passed else '>'} {allowed}", _strain(check))


def _strain(check: Check) -> float:
    """Return the error for what is allowed."""
    return check.error / check.tolerance
