"""Is the gradient right? For each variant, what was proved before it was timed, and by what margin.

A cell is the largest error that the proof met, over all entries of a variant in one place and dtype, for
what was allowed: E / tolerance, where E = |a - b| / |b| is normwise, against a float64 reference.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.analysis.outcome import Outcome
from bench.machine import units, wording
from bench.records.record import Arm, Check
from bench.reporting.facts import Facts
from bench.reporting.section import Cell, Section, TextTable, numbers, texts
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
    def failed(self) -> bool:
        """Whether it claims to be right and is not."""
        return any(not check.passed and not check.known_wrong for check in self.checks)

    @property
    def known_wrong(self) -> list[Check]:
        """Its checks that are known to fail."""
        return [check for check in self.checks if check.known_wrong]

    def largest(self, quantity: str) -> Check | None:
        """The check of a quantity that comes nearest to its tolerance, or passes it furthest."""
        own = (check for check in self.checks if check.tolerance and check.quantity == quantity)
        return max(own, key=_strain, default=None)


def proof_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """Return the table of proofs and what follows from it; None where nothing was proved."""
    proved = list(_collect(facts, found))
    if not proved:
        return None
    quantities = _quantities(facts, proved)
    columns = (*texts("Variant"), *numbers(*map(_title, quantities)), *texts("Conclusion"))
    rows = tuple(_row(one, quantities) for one in proved)
    table = TextTable("Largest error, and what is allowed", columns, rows)
    known = (KNOWN,) if any(one.known_wrong for one in proved) else ()
    return Section(
        id="proof",
        title="Is the gradient right?",
        lead=tuple(_lead(proved, quantities)),
        tables=(table,),
        notes=(*HOW, *known),
    )


def _collect(facts: Facts, found: dict[str, Outcome]) -> Iterator[Proved]:
    """Yield what was proved, in the plan's order; A/A controls repeat their originals."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for entry in facts.entries.values():
        arm = facts.run.arms[entry.arm]
        if found[entry.id].checks:
            groups.setdefault((arm.variant, arm.device, entry.case.dtype), []).append(entry.id)
    for (_, _, dtype), entries in groups.items():
        checks = dict.fromkeys(check for entry in entries for check in found[entry].checks)
        yield Proved(facts.run.arms[facts.entries[entries[0]].arm], dtype, tuple(checks))


def _quantities(facts: Facts, proved: list[Proved]) -> list[str]:
    """List what has a distance: the prediction and the loss, then the parameters as their cell has them."""
    cells = map(house_cell, dict.fromkeys(entry.case.cell for entry in facts.entries.values()))
    parameters = [name for cell in cells if cell for name in cell.parameters]
    measured = dict.fromkeys(check.quantity for one in proved for check in one.checks if check.tolerance)
    ordered = dict.fromkeys([*TITLES, *parameters, *measured])
    return [name for name in ordered if name and name in measured]


def _title(quantity: str) -> str:
    return TITLES.get(quantity, f"Gradient of {quantity}")


def _lead(proved: list[Proved], quantities: list[str]) -> Iterator[str]:
    """Say yes or no, which gradient is known to be wrong, and how near the nearest came to its limit."""
    failed = dict.fromkeys(one.arm.variant for one in proved if one.failed)
    right = [one for one in proved if not one.failed and not one.known_wrong]
    if failed:
        yield f"No: {wording.listing(list(failed))} claims to be right and is not, and has no times."
    if right:
        number = len({one.arm.variant for one in right})
        variants, agree = wording.count(number, "variant"), "agrees" if number == 1 else "agree"
        who = f"All others, {variants}, agree" if failed else f"Yes: {variants} {agree}"
        yield f"{who} with an independent float64 reference{_although(proved)}."
    nearest = [(check, one) for one in right for name in quantities if (check := one.largest(name))]
    if nearest:
        check, one = max(nearest, key=lambda pair: _strain(pair[0]))
        title = _title(check.quantity)
        yield (
            f"Nearest to its limit: {title[0].lower()}{title[1:]} of {one.arm.variant} ({one.dtype}), "
            f"{units.error(check.error)} of {units.error(check.tolerance)} allowed."
        )


def _although(proved: list[Proved]) -> str:
    """Say of each gradient that is known to be wrong whose it is, and what is off the most."""
    worst: dict[str, Check] = {}
    for one in proved:
        for check in one.known_wrong:
            known = worst.setdefault(one.arm.variant, check)
            worst[one.arm.variant] = max(known, check, key=lambda check: check.error)
    clauses = []
    for variant, check in worst.items():
        whose = "the tutorial’s own gradient" if variant in TUTORIAL else f"the gradient of {variant}"
        what = check.quantity or check.what
        clauses.append(f"; {whose} is wrong ({what} off by {units.percent(check.error)})")
    return "".join(clauses)


def _row(one: Proved, quantities: list[str]) -> tuple[Cell, ...]:
    word = "failed" if one.failed else "known wrong gradient" if one.known_wrong else "right"
    device = "CPU" if one.arm.device == "cpu" else one.arm.device
    return (
        Cell(one.arm.variant, note=f"{device}, {one.dtype}", library=one.arm.library),
        *(_cell(one.largest(quantity)) for quantity in quantities),
        Cell(word, tone="good" if word == "right" else "trouble"),
    )


def _cell(check: Check | None) -> Cell:
    if check is None:
        return Cell(units.NOTHING)
    allowed = units.error(check.tolerance)
    if check.known_wrong:
        return Cell(f"off by {units.percent(check.error)}", note=f"allowed {allowed}", value=_strain(check))
    return Cell(units.error(check.error), f"{'≤' if check.passed else '>'} {allowed}", _strain(check))


def _strain(check: Check) -> float:
    """Return the error for what is allowed."""
    return check.error / check.tolerance
