"""What ``rnnbench verify`` prints: one table, what is missing and why, and the conclusion in a sentence."""

import math
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.machine.devices import Absent
from bench.machine.wording import count, listing
from bench.proof import gradcheck
from bench.proof.child import REFERENCE, Row, claims_wrongly, wrongly_accused
from bench.workload.cell import find_cell

FORWARD = ("y_hat", "loss")
NO_TERMINAL_WIDTH = 200  # nothing is cut short in a file
VERDICTS = {
    "ok": "agrees",
    "known_wrong": "[yellow]known wrong[/]",
    "invalid": "[red]INVALID[/]",
    "oom": "[red]OUT OF MEMORY[/]",
    "timeout": "[red]TIMEOUT[/]",
    "crashed": "[red]CRASHED[/]",
    "disagrees": "[red]DISAGREES[/]",
}
SEVERITY = tuple(VERDICTS)
# what the conclusion calls a variant by the worst that happened to it
FAILED = {"disagrees": "WRONG", "crashed": "CRASHED", "timeout": "TIMEOUT"}


def show(rows: Sequence[Row], absent: Sequence[Absent], console: Console | None = None) -> None:
    """Print everything on ``console``, standard output unless given."""
    console = console or Console()
    if not console.is_terminal:
        console.width = NO_TERMINAL_WIDTH
    console.print(table(row for row in rows if row.variant != REFERENCE))
    for line in [*missing(rows, absent), *failures(rows), conclusion(rows)]:
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def table(rows: Iterable[Row]) -> Table:
    """One line per variant, device, dtype, layout and activation: its worst errors over shapes and tasks."""
    rows = list(rows)
    parameters = dict.fromkeys(name for row in rows for name in find_cell(row.cell).parameters)
    gradient = (*(f"d{name}" for name in parameters), "update")
    shown = Table(
        *("variant", "device", "dtype", "layout", "act."),
        *(*FORWARD, *gradient),
        *("allowed", "verdict"),
        title="Worst errors against the float64 reference, |a - b| / |b|",
        caption="allowed: for y_hat and loss / for gradients and the update",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    for column in shown.columns:
        column.no_wrap = True
    lines = _grouped(rows, "variant", "device", "dtype", "layout", "activation")
    previous = next(iter(lines), None)
    for key, of_line in lines.items():
        if previous and key[:2] != previous[:2]:
            shown.add_section()
        previous = key
        cells = [_worst_cell(of_line, quantity) for quantity in FORWARD + gradient]
        allowed = "/".join(filter(None, (_allowed(of_line, FORWARD), _allowed(of_line, gradient))))
        shown.add_row(*map(escape, key), *cells, allowed, VERDICTS[_worst(of_line)])
    return shown


def missing(rows: Iterable[Row], absent: Iterable[Absent]) -> list[str]:
    """What could not be proved, each reason once."""
    reasons = dict.fromkeys(row.reason for row in rows if row.status == "missing")
    return [f"MISSING {device.kind}: {device.reason}" for device in absent] + [
        f"MISSING {reason}" for reason in reasons
    ]


def failures(rows: Iterable[Row]) -> list[str]:
    """What went wrong, for each variant and device the first time in full."""
    failed = (row for row in rows if row.status in FAILED)
    return [
        f"{variant} on {device}: {first.status} in {count(len(of_arm), 'proof')}, first in {first.task}, "
        f"{first.layout}, {first.dtype}, {first.activation}, {first.shape}: {first.reason}"
        for (variant, device), of_arm in _grouped(failed, "variant", "device").items()
        for first in of_arm[:1]
    ]


def conclusion(rows: Iterable[Row]) -> str:
    """Return the answer in plain words."""
    by_variant = {name: proofs for (name,), proofs in _grouped(rows, "variant").items()}
    reference = by_variant.pop(REFERENCE)
    worst = {name: _worst(proofs) for name, proofs in by_variant.items()}
    sentences = []
    if any(map(claims_wrongly, reference)):
        sentences.append("WRONG: the reference's own gradient is not the derivative of its loss.")
    for status, word in FAILED.items():
        if names := [name for name in worst if worst[name] == status]:
            sentences.append(f"{word}: {', '.join(names)}, as told above.")
    published = [
        name
        for name, proofs in by_variant.items()
        if worst[name] not in FAILED and any(row.status == "known_wrong" for row in proofs)
    ]
    right = [name for name in by_variant if worst[name] not in FAILED and name not in published]
    if right:
        n_proofs = sum(len(by_variant[name]) for name in right)
        who = f"All {len(right)} variants that claim" if len(right) > 1 else f"{right[0]} claims"
        verb = "agree" if len(right) > 1 else "and agrees"
        sentences.append(f"{who} to be right {verb} with the reference in {count(n_proofs, 'proof')}.")
    sentences += [_published(name, by_variant[name]) for name in published]
    by_steps, by_differences = (_largest(reference, [how]) for how in gradcheck.WAYS)
    sentences.append(
        f"The reference's own gradient is within {_short(by_steps)} of complex steps and "
        f"{_short(by_differences)} of central differences."
    )
    return " ".join(sentences)


def _published(name: str, rows: list[Row]) -> str:
    """What is wrong with a gradient that is known to be wrong, or that it is not."""
    wrong = [row for row in rows if row.status == "known_wrong"]
    if accused := [row for row in wrong if wrongly_accused(row)]:
        right_in = f"{len(accused)} of {count(len(wrong), 'proof')}"
        return f"{name} is listed as known wrong, but was right in {right_in}."
    gradients = [row for row in wrong if row.task == "gradient"]
    off, right = dict[str, list[float]](), list[str]()
    for parameter in find_cell(rows[0].cell).parameters:
        errors = [row.errors[f"d{parameter}"] or 0.0 for row in gradients]
        if any(error > row.tolerances[f"d{parameter}"] for error, row in zip(errors, gradients, strict=True)):
            off[parameter] = errors
        else:
            right.append(parameter)
    every = [error for errors in off.values() for error in errors]
    nearest = _short(_largest(gradients, [f"d{parameter}" for parameter in right]))
    return (
        f"{name} is wrong where it is known to be: its gradients of {listing(list(off))} are off by "
        f"{min(every):.0%} to {max(every):.0%}, {listing(right)}'s by no more than {nearest}."
    )


def _grouped(rows: Iterable[Row], *names: str) -> dict[tuple[str, ...], list[Row]]:
    """Return the rows that were proved by these fields of theirs."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.status != "missing":
            groups.setdefault(tuple(getattr(row, name) for name in names), []).append(row)
    return groups


def _worst(rows: Iterable[Row]) -> str:
    """Return the worst that happened."""
    return max((row.status for row in rows), key=SEVERITY.index)


def _largest(rows: Iterable[Row], names: Sequence[str]) -> float:
    """The largest error of these quantities."""
    return max((row.errors.get(name) or 0.0 for row in rows for name in names), default=0.0)


def _worst_cell(rows: Iterable[Row], quantity: str) -> str:
    """The error of a quantity that is the largest part of its tolerance; ``update`` is that of U, W and V."""
    found = [
        (math.inf if error is None else error, row.tolerances[name])
        for row in rows
        for name, error in row.errors.items()
        if name.split()[0] == quantity and row.tolerances[name]
    ]
    if not found:
        return ""
    error, tolerance = max(found, key=lambda pair: pair[0] / pair[1])
    return _short(error) if error <= tolerance else f"[red]{_short(error)}[/]"


def _allowed(rows: Iterable[Row], quantities: tuple[str, ...]) -> str:
    """Return the largest tolerance of these quantities; nothing where none of them was compared."""
    tolerances = [t for row in rows for name, t in row.tolerances.items() if name.split()[0] in quantities]
    return _short(max(tolerances)) if any(tolerances) else ""


def _short(number: float) -> str:
    """3e-6, 38%, 0."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    return f"{number:.0%}" if 0.01 <= number < 100 else f"{number:.0e}".replace("e-0", "e-")
