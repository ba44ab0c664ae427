"""Build the section on proofs: for each variant, the checks before the timing, and their margins.

A table cell shows the largest error over all entries of a variant in one place and dtype, divided by the
tolerance. The error is normwise against a float64 reference: E = |a - b| / |b|.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.machine import units, wording
from bench.records.record import Arm, Check
from bench.reporting import words
from bench.reporting.facts import Facts
from bench.reporting.section import Cell, Fields, Section, text_table
from bench.workload.catalog import VARIANTS
from bench.workload.cell import built_in_cell

QUANTITY_TITLES = {"y_hat": "Prediction", "loss": "Loss"}  # column titles; all other columns are gradients
TUTORIAL = [variant.name for variant in VARIANTS if variant.role == "tutorial"]
PROOF_NOTES = (
    "Every entry is proved in its own worker, on the inputs that are timed, before the clock starts and on "
    "the last timed result: shown is the largest error of all, and what is allowed. A training step is "
    "proved by its update, with a learning rate so large that a wrong gradient shows.",
    "The reference is back-propagation through time written out by hand; rnnbench verify checks it against "
    "complex steps and central differences, and every variant at more shapes.",
)
KNOWN_WRONG_NOTE = (
    "A gradient that is known to be wrong is timed for the tutorial's claim, and is never called a winner."
)


@dataclass(frozen=True, slots=True)
class Proved:
    """Hold all checks of one variant, in one place and dtype, and of one cell."""

    arm: Arm
    dtype: str
    cell: str  # empty in a run of one cell
    checks: tuple[Check, ...]

    @property
    def known_wrong(self) -> list[Check]:
        """Return the checks that are known to fail."""
        return [check for check in self.checks if check.known_wrong]

    @property
    def word(self) -> str:
        """Return the conclusion; "failed": a check failed that is not known to fail."""
        if any(not check.passed and not check.known_wrong for check in self.checks):
            return "failed"
        return "known wrong gradient" if self.known_wrong else "right"

    def largest(self, quantity: str) -> Check | None:
        """Return the check of a quantity with the largest error relative to its tolerance."""
        checks = (check for check in self.checks if check.tolerance and check.quantity == quantity)
        return max(checks, key=_error_ratio, default=None)


def proof_section(facts: Facts, prefix: str) -> Section | None:
    """Return the section with the table of proofs and their conclusion; None if nothing was proved."""
    proved = list(_collect(facts))
    if not proved:
        return None
    quantities = _quantities(facts, proved)
    variant: Fields[Proved] = {"Variant": _variant_cell}
    errors: Fields[Proved] = {_title(name): partial(_error_cell, name) for name in quantities}
    word: Fields[Proved] = {
        "Conclusion": lambda row: Cell(row.word, tone="good" if row.word == "right" else "trouble")
    }
    wrong_note = (KNOWN_WRONG_NOTE,) if any(row.known_wrong for row in proved) else ()
    return Section(
        id="proof",
        title="Is the gradient right?",
        lead=tuple(_lead(proved, quantities)),
        tables=(text_table("Largest error, and what is allowed", {**variant, **errors, **word}, proved),),
        notes=(*PROOF_NOTES, *wrong_note),
    )


def _collect(facts: Facts) -> Iterator[Proved]:
    """Yield the proved variants in the plan's order; A/A controls are merged with their originals."""
    groups: dict[tuple[str, str, str, str], Proved] = {}
    for entry in facts.entries.values():
        arm, dtype = facts.run.arms[entry.arm], entry.case.dtype
        if checks := facts.summary.outcomes[entry.id].checks:
            cell = words.cell(entry.case.cell) if facts.cell_tables else ""
            key = arm.variant, arm.device, dtype, cell
            previous = groups.get(key, Proved(arm, dtype, cell, ()))
            groups[key] = replace(previous, checks=tuple(dict.fromkeys((*previous.checks, *checks))))
    yield from groups.values()


def _quantities(facts: Facts, proved: Iterable[Proved]) -> list[str]:
    """List the quantities with a tolerance: prediction, loss, then parameters in the order of their cell."""
    cells = map(built_in_cell, dict.fromkeys(entry.case.cell for entry in facts.entries.values()))
    parameters = [name for cell in cells if cell for name in cell.arrays(bias=True)]
    measured = dict.fromkeys(check.quantity for row in proved for check in row.checks if check.tolerance)
    ordered = dict.fromkeys([*QUANTITY_TITLES, *parameters, *measured])
    return [name for name in ordered if name and name in measured]


def _title(quantity: str) -> str:
    return QUANTITY_TITLES.get(quantity, f"Gradient of {quantity}")


def _lead(proved: Sequence[Proved], quantities: Sequence[str]) -> Iterator[str]:
    """Yield the conclusion, which gradient is known to be wrong, and the check nearest to its tolerance."""
    failed_variants = list(dict.fromkeys(row.arm.variant for row in proved if row.word == "failed"))
    right_rows = [row for row in proved if row.word == "right"]
    if failed_variants:
        yield f"No: {wording.listing(failed_variants)} claims to be right and is not, and has no times."
    if right_rows:
        number = len({row.arm.variant for row in right_rows})
        variants, agree = wording.count(number, "variant"), "agrees" if number == 1 else "agree"
        subject = f"All others, {variants}, agree" if failed_variants else f"Yes: {variants} {agree}"
        yield f"{subject} with an independent float64 reference{_although(proved)}."
    candidates = [(check, row) for row in right_rows for name in quantities if (check := row.largest(name))]
    if candidates:
        check, row = max(candidates, key=lambda pair: _error_ratio(pair[0]))
        title = _title(check.quantity)
        yield (
            f"Nearest to its limit: {title[0].lower()}{title[1:]} of {row.arm.variant} ({row.dtype}), "
            f"{units.error(check.error)} of {units.error(check.tolerance)} allowed."
        )


def _although(proved: Iterable[Proved]) -> str:
    """Return a clause per gradient that is known to be wrong: the variant and the largest error."""
    by_variant: dict[str, list[Check]] = {}
    for row in proved:
        by_variant.setdefault(row.arm.variant, []).extend(row.known_wrong)
    clauses = []
    for variant, check in (
        (name, max(checks, key=lambda check: check.error)) for name, checks in by_variant.items() if checks
    ):
        subject = "the tutorial’s own gradient" if variant in TUTORIAL else f"the gradient of {variant}"
        error = f"{check.quantity or check.what} off by {units.percent(check.error)}"
        clauses.append(f"; {subject} is wrong ({error})")
    return "".join(clauses)


def _variant_cell(own: Proved) -> Cell:
    device = "CPU" if own.arm.device == "cpu" else own.arm.device
    note = ", ".join(filter(None, (own.cell, device, own.dtype)))
    return Cell(own.arm.variant, note, library=own.arm.library)


def _error_cell(quantity: str, own: Proved) -> Cell:
    check = own.largest(quantity)
    if check is None:
        return Cell(units.NOTHING)
    allowed = units.error(check.tolerance)
    if check.known_wrong:
        return Cell(f"off by {units.percent(check.error)}", f"allowed {allowed}", _error_ratio(check))
    return Cell(units.error(check.error), f"{'≤' if check.passed else '>'} {allowed}", _error_ratio(check))


def _error_ratio(check: Check) -> float:
    """Return the error divided by the tolerance."""
    return check.error / check.tolerance
