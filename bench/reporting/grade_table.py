"""Show what ``rnnbench grade`` finds: a table in the terminal, and Gradescope's results.json."""

import dataclasses
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.gradients.assignment import Grade, Mark
from bench.machine import terminal
from bench.machine.units import NOTHING, short_error
from bench.machine.wording import count, full_stop
from bench.reporting.findings import sentences


def show(grade: Grade, console: Console | None = None) -> None:
    """Print the grade on ``console``, by default on standard output."""
    console = console or terminal.console()
    console.print(table(grade))
    for line in lines(grade):
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def table(grade: Grade) -> Table:
    """Return a table of the errors: a row for each result, a column for each length of the sequences."""
    by_result = _by_result(grade)
    lengths = [mark.steps for mark in next(iter(by_result.values()))]
    errors = Table(
        *("", *(f"T = {steps}" for steps in lengths), "points"),
        title=f"{escape(grade.submission)} as {grade.assignment}: errors, |a - b| / |b|",
        caption=f"a point for each error up to {grade.tolerance:.0e}",
        box=box.SIMPLE_HEAD,
    )
    for result, marks in by_result.items():
        errors.add_row(result, *map(_cell, marks), str(sum(mark.points for mark in marks)))
    errors.add_section()
    errors.add_row("together", *[""] * len(lengths), f"{grade.points} of {grade.most}")
    return errors


def lines(grade: Grade) -> list[str]:
    """Return what was printed, what went wrong, the mistakes that explain it, and the points, as lines.

    The points are last, where no print of the submission can pretend to be them.
    """
    printed = ["It printed, at the end:", grade.printed, ""] if grade.printed else []
    went_wrong = map(full_stop, [*grade.problems, *sentences(grade.findings)])
    return [*printed, *went_wrong, f"{grade.points} of {count(grade.most, 'point')}."]


def gradescope(grade: Grade) -> dict[str, Any]:
    """Return the grade as the content of Gradescope's results.json: a test for each result.

    Students read it, so it names their mistakes, but does not write down the right lines.
    """
    unsolved = [dataclasses.replace(finding, line="") for finding in grade.findings]
    return {
        "score": grade.points,
        "output": "\n".join(lines(msgspec.structs.replace(grade, findings=unsolved))),
        "output_format": "text",
        "tests": [
            {
                "name": result,
                "score": sum(mark.points for mark in marks),
                "max_score": len(marks),
                "status": "passed" if all(mark.points for mark in marks) else "failed",
                "output": "\n".join(f"T = {mark.steps}: {_test_output(mark)}" for mark in marks),
            }
            for result, marks in _by_result(grade).items()
        ],
    }


def _by_result(grade: Grade) -> dict[str, list[Mark]]:
    by_result: dict[str, list[Mark]] = {}
    for mark in grade.marks:
        by_result.setdefault(mark.result, []).append(mark)
    return by_result


def _test_output(mark: Mark) -> str:
    """Return what a test says of one length."""
    return mark.problem or f"{'right' if mark.points else 'wrong'}, error {_short(mark.error)}"


def _cell(mark: Mark) -> str:
    return _short(mark.error) if mark.points else f"[red]{_short(mark.error)}[/]"


def _short(error: float | None) -> str:
    return NOTHING if error is None else short_error(error)
