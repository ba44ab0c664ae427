"""Is the gradient right? For each variant, what was proved before it was timed, and by what margin.

A cell is the largest error that the proof met, over all entries of a variant in one place and dtype, for
what was allowed: E / tolerance, where E = |a - b| / |b| is normwise, against a float64 reference.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.analysis.outcome import Outcome
from bench.machine import units, wording
from bench.records.record import Arm, Check
from bench.reporting.answer import Facts
from bench.reporting.section import Cell, Column, Section, TextTable

QUANTITIES = {
    "y_hat": "Prediction", "loss": "Loss", "U": "Gradient of U", "W": "Gradient of W", "V": "Gradient of V",
}  # fmt: skip
PREFIXES = ("update ", "d")  # a training step is proved by its update, which is its gradient
PUBLISHED = "numpy-published"  # the tutorial's own program
HOW = (
    "Every entry is proved in its own worker, on the very inputs that are timed, before the clock starts, "
    "and once more on the last timed result. A cell is the largest error of all those proofs, relative to "
    "the size of what was expected, and below it what is allowed for such numbers; a training step is proved "
    "by its update, with a learning rate so large that a wrong gradient shows.",
    "What is expected comes from one float64 reference, back-propagation through time written out by hand. "
    "rnnbench verify checks that reference against complex steps and central differences, and every variant "
    "at more shapes.",
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

    def of(self, quantity: str) -> Check | None:
        """The check of a quantity that comes nearest to its tolerance, or passes it furthest."""
        found = (check for check in self.checks if check.tolerance and _quantity(check.what) == quantity)
        return max(found, key=lambda check: check.error / check.tolerance, default=None)


def proof_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """The table of proofs and what follows from it; None where nothing was proved."""
    proved = list(collect(facts, found))
    if not proved:
        return None
    columns = (
        Column("Variant"), *(Column(title, number=True) for title in QUANTITIES.values()),
        Column("Conclusion"),
    )  # fmt: skip
    table = TextTable("Largest error, and what is allowed", columns, tuple(_row(one) for one in proved))
    return Section(
        id="proof",
        title="Is the gradient right?",
        lead=tuple(lead(proved)),
        tables=(table,),
        notes=HOW,
    )


def collect(facts: Facts, found: dict[str, Outcome]) -> Iterator[Proved]:
    """What was proved, in the plan's order; twins repeat their originals."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for entry in facts.entries.values():
        arm = facts.run.arms[entry.arm]
        if found[entry.id].checks:
            groups.setdefault((arm.variant, arm.device, entry.case.dtype), []).append(entry.id)
    for (_, _, dtype), entries in groups.items():
        checks = dict.fromkeys(check for entry in entries for check in found[entry].checks)
        yield Proved(facts.run.arms[facts.entries[entries[0]].arm], dtype, tuple(checks))


def lead(proved: list[Proved]) -> Iterator[str]:
    """Yes or no, how near the nearest came, and which gradient is known to be wrong."""
    failed = [one for one in proved if one.failed]
    right = [one for one in proved if not one.failed and not _wrong(one)]
    wrong = _known_wrong(proved)
    if failed:
        names = wording.listing(list(dict.fromkeys(one.arm.variant for one in failed)))
        yield f"No: {names} claims to be right and is not, and has no times."
    if right:
        count = len({one.arm.variant for one in right})
        variants, agree = wording.count(count, "variant"), "agrees" if count == 1 else "agree"
        who = f"All others, {variants}, agree" if failed else f"Yes: {variants} {agree}"
        yield f"{who} with an independent float64 reference{''.join(_although(wrong))}."
    if nearest := _nearest(right):
        one, check = nearest
        yield (
            f"Nearest to its limit: {_in_a_sentence(check.what)} of {one.arm.variant} ({one.dtype}), "
            f"{units.error(check.error)} of {units.error(check.tolerance)} allowed."
        )
    for variant, checks in wrong.items():
        names = wording.listing([f"{name} by {units.percent(error)}" for name, error in checks.items()])
        yield (
            f"{variant} is known to be wrong, as it was published: its gradient is off in {names}. It is "
            "timed since the tutorial’s claim is about it, and is never called a winner."
        )


def _although(wrong: dict[str, dict[str, float]]) -> Iterator[str]:
    """Of each gradient that is known to be wrong, whose it is and what is off the most."""
    for variant, errors in wrong.items():
        whose = "the tutorial’s own gradient" if variant == PUBLISHED else f"the gradient of {variant}"
        name, error = max(errors.items(), key=lambda item: item[1])
        yield f"; {whose} is wrong ({name} off by {units.percent(error)})"


def _row(one: Proved) -> tuple[Cell, ...]:
    wrong = _wrong(one)
    word = "failed" if one.failed else "known wrong gradient" if wrong else "right"
    tone = "trouble" if one.failed or wrong else "good"
    cells = (_cell(one.of(quantity)) for quantity in QUANTITIES)
    device = "CPU" if one.arm.device == "cpu" else one.arm.device
    name = Cell(one.arm.variant, note=f"{device}, {one.dtype}", library=one.arm.library)
    return (name, *cells, Cell(word, tone=tone))


def _cell(check: Check | None) -> Cell:
    if check is None:
        return Cell(units.NOTHING)
    strain, allowed = check.error / check.tolerance, units.error(check.tolerance)
    if check.known_wrong:
        return Cell(f"off by {units.percent(check.error)}", note=f"allowed {allowed}", value=strain)
    sign = "≤" if check.passed else ">"
    return Cell(units.error(check.error), note=f"{sign} {allowed}", value=strain)


def _wrong(one: Proved) -> bool:
    return any(check.known_wrong for check in one.checks)


def _nearest(proved: Iterable[Proved]) -> tuple[Proved, Check] | None:
    """Of all that was measured as a distance, what came nearest to its tolerance."""
    found = [(one, check) for one in proved for quantity in QUANTITIES if (check := one.of(quantity))]
    return max(found, key=lambda pair: pair[1].error / pair[1].tolerance, default=None)


def _known_wrong(proved: Iterable[Proved]) -> dict[str, dict[str, float]]:
    """For each variant that is known to be wrong, the largest error of each quantity that is."""
    made: dict[str, dict[str, float]] = {}
    for one in proved:
        for check in one.checks:
            quantity = _quantity(check.what)
            if check.known_wrong and quantity in ("U", "W"):
                errors = made.setdefault(one.arm.variant, {})
                errors[quantity] = max(check.error, errors.get(quantity, 0.0))
    return made


def _in_a_sentence(what: str) -> str:
    title = QUANTITIES[_quantity(what)]
    return title[0].lower() + title[1:]


def _quantity(what: str) -> str:
    """What a check is about: "W" for "update W"; as it is where it is no quantity."""
    for prefix in PREFIXES:
        if what.removeprefix(prefix) in QUANTITIES and what != what.removeprefix(prefix):
            return what.removeprefix(prefix)
    return "" if what in "UWV" else what
