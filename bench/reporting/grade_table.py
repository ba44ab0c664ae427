"""Show what ``rnnbench grade`` finds: a table in the terminal, and Gradescope's results.json."""

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.gradients.assignment import Grade, Mark
from bench.gradients.finding import Finding
from bench.machine.units import NOTHING
from bench.machine.wording import count, listing

FILE_WIDTH = 200  # columns, enough that no line is cut short


def show(grade: Grade, console: Console | None = None) -> None:
    """Print the grade on ``console``, by default on standard output."""
    console = console or Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
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
    """Return what went wrong, the mistakes that explain it, and the points, as lines."""
    return [
        *grade.problems,
        *map(sentence, grade.findings),
        f"{grade.points} of {count(grade.most, 'point')}.",
    ]


def sentence(finding: Finding) -> str:
    """Return a finding as a sentence."""
    names = listing([f"d{name}" for name in finding.parameters], 6)
    verb = "is" if len(finding.parameters) == 1 else "are"
    where = f" See docs/derivation.md, section {finding.section}." if finding.section else ""
    right = f" There it says: {finding.line}" if finding.line else ""
    return f"{names} {verb} what you get when {finding.mistake} ({finding.evidence}).{where}{right}"


def gradescope(grade: Grade) -> dict[str, Any]:
    """Return the grade as the content of Gradescope's results.json: a test for each result."""
    printed = f"\n\nIt printed:\n{grade.printed}" if grade.printed else ""
    return {
        "score": grade.points,
        "output": "\n".join(lines(grade)) + printed,
        "output_format": "text",
        "tests": [
            {
                "name": result,
                "score": sum(mark.points for mark in marks),
                "max_score": len(marks),
                "status": "passed" if all(mark.points for mark in marks) else "failed",
                "output": "\n".join(f"T = {mark.steps}: {mark.problem or _error(mark)}" for mark in marks),
            }
            for result, marks in _by_result(grade).items()
        ],
    }


def _by_result(grade: Grade) -> dict[str, list[Mark]]:
    by_result: dict[str, list[Mark]] = {}
    for mark in grade.marks:
        by_result.setdefault(mark.result, []).append(mark)
    return by_result


def _error(mark: Mark) -> str:
    return f"{'right' if mark.points else 'wrong'}, error {mark.error:.0e}"


def _cell(mark: Mark) -> str:
    if mark.error is None:
        return f"[red]{NOTHING}[/]"
    return f"{mark.error:.0e}" if mark.points else f"[red]{mark.error:.0e}[/]"
