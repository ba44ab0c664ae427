"""Run the ``compare`` command: find what takes longer in a new result than in an old result."""

import math
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from bench.analysis.regression import Change, Changes, compare_files, compare_runs
from bench.api.options import CompareOptions
from bench.machine import terminal, wording
from bench.machine.busy import complain
from bench.machine.errors import Unfinished, UserError
from bench.machine.files import as_path
from bench.records.folder import display_path
from bench.records.formats.foreign import ToolResults
from bench.records.results import last_two, read_head
from bench.records.run import Run
from bench.records.saved import load_saved


def main(args: CompareOptions) -> int:
    """Compare two results and print the changes; return 1 for a proved regression, else 0.

    Raises:
        Unfinished: nothing could be compared or, with ``args.fail_slower``, something could not be judged.
        UserError: a result cannot be read, or the results are of different kinds or machines.
    """
    if args.summary is None:
        return gate(print_changes(args, compare(args)))
    from bench.reporting import github  # needs jinja2

    if args.json:
        raise UserError("--json and --summary both print what a program reads; give one of them")
    file = github.summary_file()
    changes: Changes | None = None
    try:
        changes = compare(args)
        with github.no_commands():
            print_changes(args, changes)
        code = gate(changes)
    except (UserError, OSError) as error:
        with suppress(Unfinished):  # what was found before counts more
            github.publish(file, changes, error)
        raise
    with suppress(*[Unfinished] * code):
        github.publish(file, changes, None)
    return code


def print_changes(args: CompareOptions, changes: Changes) -> Changes:
    """Print the changes as text or as JSON, and return them."""
    if args.json:
        terminal.print_json(as_tree(changes))
    else:
        show(changes)
    return changes


def gate(changes: Changes) -> int:
    """Return 1 for a proved regression, else 0.

    Raises:
        Unfinished: nothing could be compared or, with a limit, something could not be judged.
    """
    if changes.regressions:
        return 1
    if changes.why_no_answer:
        action = "compared" if changes.limit is None else "judged, so --fail-slower neither passes nor fails"
        raise Unfinished(f"nothing was {action}: {changes.why_no_answer}")
    # rows with a wrong result or without times, except rows that a time budget left out
    without_answer = [
        row.name for row in changes.rows if row.verdict in ("INVALID", "MISSING") and not row.left_out
    ]
    if changes.limit is not None and without_answer:
        names = wording.listing(list(map(wording.short, without_answer)))
        raise Unfinished(f"--fail-slower neither passes nor fails: there is no answer for {names}")
    return 0


def compare(args: CompareOptions) -> Changes:
    """Return the changes between the two results in the arguments, else between the last two of a plan.

    Raises:
        Unfinished: the two are the same run, or are to be chosen, and no two of one plan are there.
        UserError: a result cannot be read, or the results are of different kinds or machines.
    """
    if args.old is None or args.new is None:
        given = None if args.old is None else as_path(args.old)
        paths = last_two(given, complain, strict=args.fail_slower is not None)
        return compare(replace(args, old=display_path(paths[0]), new=display_path(paths[1])))
    old, new = (load_saved(as_path(name)) for name in (args.old, args.new))
    options: dict[str, Any] = {
        "names": (args.old, args.new),
        "any_environment": args.any_environment or args.any_machine,
        "limit": args.fail_slower,
    }
    if isinstance(old, Run) and isinstance(new, Run):
        if len({read_head(as_path(name)).seal for name in (args.old, args.new)}) == 1:
            raise Unfinished(f"nothing was compared: {args.old} and {args.new} are the same run")
        changes = compare_runs(old, new, absolute=args.absolute, **options)
    elif isinstance(old, ToolResults) and isinstance(new, ToolResults) and old.tool is new.tool:
        changes = compare_files(old, new, **options)
    else:
        kinds = [
            "a run" if isinstance(result, Run) else f"a file of {result.tool.name}" for result in (old, new)
        ]
        raise UserError(f"{args.old} is {kinds[0]} and {args.new} {kinds[1]}; compare two of one kind")
    if changes.machines and not args.any_machine:
        raise UserError(
            f"{args.old} and {args.new} are of different machines ({', '.join(changes.machines)}), so their "
            "times do not compare; --any-machine compares them all the same"
        )
    return changes


def show(changes: Changes) -> None:
    """Print the changes as text: a sentence, notes, the table, more notes."""
    from rich.markup import escape

    from bench.reporting.changes import notes_after, notes_before, summary, table

    console = terminal.console()
    parts: list[Any] = [summary(changes), *notes_before(changes)]
    parts += [table(changes)] if changes.rows else []
    for part in (*parts, *notes_after(changes)):
        if isinstance(part, str):
            console.print(escape(wording.one_line(part)), soft_wrap=not console.is_terminal)
        else:
            console.print(part)


def as_tree(changes: Changes) -> dict[str, Any]:
    """Return the changes as plain objects; times are nanoseconds per call."""
    from bench.reporting.changes import summary

    return {
        "summary": summary(changes),
        **asdict(changes),
        "without_baseline": list(changes.without_baseline),
        "regressions": [row.name for row in changes.regressions],
        **{name: list(map(_change, getattr(changes, name))) for name in ("rows", "baselines", "twins")},
    }


def _change(change: Change) -> dict[str, Any]:
    """Return a change as a plain object, with the number of samples instead of the samples."""
    tree = asdict(change)
    old, new = tree.pop("samples") or ((), ())
    sizes = {"old_samples": len(old), "new_samples": len(new)}
    tree = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in tree.items()}
    return tree | {"change": tree.pop("ratio"), "regressed": change.regressed, **sizes}
