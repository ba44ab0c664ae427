"""Print what ``rnnbench verify`` reports: a table per device, what is missing and why, and a conclusion."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import product

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.gradients.proved import Diagnosis
from bench.machine import terminal
from bench.machine.devices import Absent
from bench.machine.units import short_error
from bench.machine.wording import count, listing
from bench.proof import gradcheck
from bench.proof.child import REFERENCE, Row, known_wrong_but_right, proof_failed
from bench.reporting.findings import sentences
from bench.workload.case import DTYPES, STREAM
from bench.workload.cell import find_cell

# from best to worst; the conclusion names each variant's worst status
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
FAILURE_WORDS = {
    "disagrees": "WRONG", "crashed": "CRASHED", "timeout": "TIMEOUT", "oom": "OUT OF MEMORY",
    "invalid": "INVALID",
}  # fmt: skip


def show(
    rows: Sequence[Row],
    absent: Sequence[Absent],
    diagnoses: Sequence[Diagnosis] = (),
    console: Console | None = None,
) -> None:
    """Print the whole report on ``console``, by default on standard output."""
    console = console or terminal.console()
    for (device,), proofs in _grouped((row for row in rows if row.variant != REFERENCE), "device").items():
        console.print(table(device, proofs))
    for line in [*missing(rows, absent), *below(rows, diagnoses)]:
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def forward_names(row: Row) -> list[str]:
    """Return the names of the errors of the forward pass."""
    return ["y_hat", "loss"]


def gradient_names(row: Row) -> list[str]:
    """Return the names of the errors of the gradients and of the update."""
    parameters = find_cell(row.cell).arrays(bias=row.bias)
    return [f"{what}{name}" for name in parameters for what in ("d", "update ")]


PARTS: dict[str, Callable[[Row], list[str]]] = {"forward": forward_names, "gradient": gradient_names}


def table(device: str, rows: Iterable[Row]) -> Table:
    """Return a table of a device: per variant and cell the worst errors over all its cases, by dtype."""
    rows = list(rows)
    dtypes = [dtype for dtype in DTYPES if any(row.dtype == dtype for row in rows)]
    columns = [(dtype, PARTS[part]) for dtype, part in product(dtypes, PARTS)]
    error_table = Table(
        *("variant", "cell", *(f"{dtype}\n{part}" for dtype, part in product(dtypes, PARTS)), "verdict"),
        title=f"Worst errors on {device} against float64, |a - b| / |b|",
        caption="forward: y_hat, loss; gradient: all parameters, the update\n"
        "more is allowed where shapes have few numbers",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    for column in error_table.columns[2:]:
        column.no_wrap = True
    shown: set[str] = set()
    for (variant, cell), proofs in _grouped(rows, "variant", "cell").items():
        errors = (_worst_error((r for r in proofs if r.dtype == dtype), names) for dtype, names in columns)
        error_table.add_row(
            *("" if variant in shown else escape(variant), escape(cell), *errors, VERDICTS[_worst(proofs)])
        )
        shown.add(variant)
    allowed = (_allowed((row for row in rows if row.dtype == dtype), names) for dtype, names in columns)
    error_table.add_section()
    error_table.add_row("allowed", "", *allowed)
    return error_table


def missing(rows: Iterable[Row], absent: Iterable[Absent]) -> list[str]:
    """Return lines on what could not be proved, each reason once."""
    reasons = dict.fromkeys(row.reason for row in rows if row.status == "missing")
    return [f"MISSING {reason}" for reason in (*(f"{item.kind}: {item.reason}" for item in absent), *reasons)]


def below(rows: Sequence[Row], diagnoses: Sequence[Diagnosis]) -> list[str]:
    """Return the lines below the tables: failures, the mistakes that explain them, and the conclusion."""
    return [*failures(rows), *explanations(rows, diagnoses), conclusion(rows, diagnoses)]


def explanations(rows: Iterable[Row], diagnoses: Iterable[Diagnosis]) -> list[str]:
    """Return a line per finding about a variant that failed, each once; of several cells, with the cell."""
    failed = _grouped((row for row in rows if row.status in FAILURE_WORDS), "variant")
    places = {name: {(row.device, row.cell) for row in proofs} for (name,), proofs in failed.items()}
    return list(
        dict.fromkeys(
            f"{one.variant}{f' ({one.cell} on {one.device})' if len(places[one.variant]) > 1 else ''}: {text}"
            for one in diagnoses
            if one.variant in places
            for text in sentences(one.findings)
        )
    )


def failures(rows: Iterable[Row]) -> list[str]:
    """Return a line per variant and device with failures: the number of failures, and the first in full."""
    failed = _grouped((row for row in rows if row.status in FAILURE_WORDS), "variant", "device")
    return [
        f"{variant} on {device}: {first.status} in {count(1 + len(others), 'proof')}, first in {first.cell}"
        f"{_biases(first)}, {first.task}, {first.layout}, {first.dtype}, "
        f"{first.activation}, {first.shape}{first.lengths and f' lengths {first.lengths}'}: {first.reason}"
        for (variant, device), (first, *others) in failed.items()
    ]


def conclusion(rows: Iterable[Row], diagnoses: Iterable[Diagnosis] = ()) -> str:
    """Return the conclusion in sentences."""
    explained = {one.variant: sentences(one.findings) for one in diagnoses}
    by_variant = {name: proofs for (name,), proofs in _grouped(rows, "variant").items()}
    reference = by_variant.pop(REFERENCE)
    worst = {name: _worst(proofs) for name, proofs in by_variant.items()}
    known_wrong, right_names = list[str](), list[str]()
    for name, proofs in by_variant.items():
        if worst[name] not in FAILURE_WORDS:
            (known_wrong if any(row.status == "known_wrong" for row in proofs) else right_names).append(name)
    said = list[str]()
    if any(map(proof_failed, reference)):
        said.append("WRONG: the reference's own gradient is not the derivative of its loss.")
    for status, word in FAILURE_WORDS.items():
        if names := [name for name in worst if worst[name] == status]:
            said.append(f"{word}: {', '.join(names)}, as told above.")
    if right_names:
        proofs = [row for name in right_names for row in by_variant[name]]
        all_agree = f"All {len(right_names)} variants that claim to be right agree"
        subject = all_agree if len(right_names) > 1 else f"{right_names[0]} claims to be right and agrees"
        number = count(len(proofs), "proof")
        said.append(f"{subject} with the reference in {number}: {_described(proofs)}.")
        if streams := [row for row in proofs if row.task == STREAM]:
            whose = listing(list(dict.fromkeys(row.variant for row in streams)))
            said.append(
                f"Among them are streams, one step a call: {count(len(streams), 'proof')} of {whose}."
            )
    for name in known_wrong:
        said.append(_wrong_gradient(name, by_variant[name]))
        said += [f"{text}." for text in explained.get(name, [])]
    by_steps, by_differences = (short_error(_largest(reference, [way])) for way in gradcheck.WAYS)
    return " ".join(
        [
            *said,
            f"The reference's own gradient is within {by_steps} of complex steps and {by_differences} of "
            "central differences.",
        ]
    )


def _described(rows: Sequence[Row]) -> str:
    """Return what the rows prove: cells with their activations and biases, dtypes and sequence lengths."""
    cells = []
    for (cell,), proofs in _grouped(rows, "cell").items():
        activations = list(dict.fromkeys(row.activation for row in proofs))
        both = len({row.bias for row in proofs}) > 1
        biases = "with biases and without" if both else _biases(proofs[0]).strip()
        details = ", ".join([*(activations if len(activations) > 1 else ()), *filter(None, [biases])])
        cells.append(f"{cell} ({details})" if details else cell)
    dtypes = listing(list(dict.fromkeys(row.dtype for row in rows)))
    steps = sorted({row.shape.T for row in rows})
    lengths = f"{steps[0]} to {steps[-1]} steps" if len(steps) > 1 else count(steps[0], "step")
    return f"{listing(cells)}, in {dtypes}, {lengths}"


def _biases(row: Row) -> str:
    """Return " with biases", or " without biases" of a cell that usually has them, else an empty text."""
    return " with biases" if row.bias else " without biases" if find_cell(row.cell).bias else ""


def _wrong_gradient(name: str, rows: Sequence[Row]) -> str:
    """Return what is wrong with a gradient that is known to be wrong, or that the gradient is right."""
    wrong_rows = [row for row in rows if row.status == "known_wrong"]
    if accused := [row for row in wrong_rows if known_wrong_but_right(row)]:
        right_in = f"{len(accused)} of {count(len(wrong_rows), 'proof')}"
        return f"{name} is listed as known wrong, but was right in {right_in}."
    gradients = [row for row in wrong_rows if row.task == "gradient"]
    wrong_errors, correct = dict[str, list[float]](), list[str]()
    for parameter in find_cell(rows[0].cell).parameters:
        errors = [row.errors[f"d{parameter}"] or 0.0 for row in gradients]
        if any(error > row.tolerances[f"d{parameter}"] for error, row in zip(errors, gradients, strict=True)):
            wrong_errors[parameter] = errors
        else:
            correct.append(parameter)
    all_errors = [error for errors in wrong_errors.values() for error in errors]
    nearest = short_error(_largest(gradients, [f"d{parameter}" for parameter in correct]))
    return (
        f"{name} is wrong where it is known to be: its gradients of {listing(list(wrong_errors))} are off by "
        f"{min(all_errors):.0%} to {max(all_errors):.0%}, {listing(correct)}'s by no more than {nearest}."
    )


def _grouped(rows: Iterable[Row], *names: str) -> dict[tuple[str, ...], list[Row]]:
    """Return the rows except missing ones, grouped by the values of these fields."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.status != "missing":
            groups.setdefault(tuple(getattr(row, name) for name in names), []).append(row)
    return groups


def _worst(rows: Iterable[Row]) -> str:
    """Return the worst status of the rows."""
    return max((row.status for row in rows), key=SEVERITY.index)


def _largest(rows: Iterable[Row], names: Iterable[str]) -> float:
    """Return the largest error of these quantities."""
    return max((row.errors.get(name) or 0.0 for row in rows for name in names), default=0.0)


def _worst_error(rows: Iterable[Row], names: Callable[[Row], list[str]]) -> str:
    """Return the error of these quantities with the largest ratio to its tolerance."""
    errors = [
        (math.inf if (error := row.errors[name]) is None else error, row.tolerances[name])
        for row in rows
        for name in names(row)
        if name in row.errors and row.tolerances[name]
    ]
    error, tolerance = max(errors, key=lambda pair: pair[0] / pair[1], default=(math.nan, 0.0))
    if math.isnan(error):
        return ""
    return short_error(error) if error <= tolerance else f"[red]{short_error(error)}[/]"


def _allowed(rows: Iterable[Row], names: Callable[[Row], list[str]]) -> str:
    """Return the smallest tolerance of these quantities; empty if nothing was compared."""
    tolerances = [row.tolerances[name] for row in rows for name in names(row) if name in row.tolerances]
    return short_error(min(filter(None, tolerances))) if any(tolerances) else ""
