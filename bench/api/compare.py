"""The verb ``compare``: what takes longer in a new result than in an old one."""

import dataclasses
import json
from typing import Any

from bench.analysis.regression import Change, Changes, compare_files, compare_runs
from bench.api.options import CompareOptions
from bench.machine import wording
from bench.machine.errors import Unfinished, UserError
from bench.machine.files import as_path
from bench.records.formats.foreign import ToolResults
from bench.records.run import Run
from bench.records.saved import load_saved

TOLD_OF_A_CHANGE = (
    "name", "verdict", "reason", "group", "left_out", "old_value", "new_value", "low", "high", "p", "p_holm",
    "family", "detectable", "blocks_needed", "p_regression", "regressed",
)  # fmt: skip
WIDTH = 140  # of a table that goes to a file


def main(args: CompareOptions) -> int:
    """Compare and print; return 1 for a proved regression beyond ``args.fail_slower``, else 0.

    Raises:
        Unfinished: there was nothing to compare or, with ``args.fail_slower``, something could not be judged.
        UserError: a result cannot be read, the two are of different kinds or machines.
    """
    changes = compare(args)
    if args.json:
        print(json.dumps(as_tree(changes), indent=2, allow_nan=False))
    else:
        show(changes)
    if changes.regressions:
        return 1
    if changes.why_no_answer:
        what = "compared" if changes.limit is None else "judged, so --fail-slower neither passes nor fails"
        raise Unfinished(f"nothing was {what}: {changes.why_no_answer}")
    if changes.limit is not None and (unknown := _unknown(changes)):
        raise Unfinished(f"--fail-slower neither passes nor fails: there is no answer for {unknown}")
    return 0


def compare(args: CompareOptions) -> Changes:
    """What the arguments ask for.

    Raises:
        UserError: as ``main``.
    """
    old, new = (load_saved(as_path(name)) for name in (args.old, args.new))
    names = (args.old, args.new)
    any_environment = args.any_environment or args.any_machine
    if isinstance(old, Run) and isinstance(new, Run):
        changes = compare_runs(
            old,
            new,
            names=names,
            absolute=args.absolute,
            any_environment=any_environment,
            limit=args.fail_slower,
        )
    elif isinstance(old, ToolResults) and isinstance(new, ToolResults) and old.tool is new.tool:
        changes = compare_files(
            old, new, names=names, any_environment=any_environment, limit=args.fail_slower
        )
    else:
        kinds = ["a run" if isinstance(one, Run) else f"a file of {one.tool.name}" for one in (old, new)]
        raise UserError(f"{args.old} is {kinds[0]} and {args.new} {kinds[1]}; compare two of one kind")
    if changes.machines and not args.any_machine:
        raise UserError(
            f"{args.old} and {args.new} are of different machines ({', '.join(changes.machines)}), so their "
            "times do not compare; --any-machine compares them all the same"
        )
    return changes


def _unknown(changes: Changes) -> str:
    """Name what should have been judged and is wrong or has no times; a time budget may leave out others."""

    names = [
        wording.short(row.name)
        for row in changes.rows
        if row.verdict in ("INVALID", "MISSING") and not row.left_out
    ]
    return wording.listing(names) if names else ""


def show(changes: Changes) -> None:
    """Print it for people: one sentence, what must be known, the table, what it is."""
    from rich.console import Console
    from rich.markup import escape

    from bench.machine.wording import one_line
    from bench.reporting.changes import notes_after, notes_before, summary, table

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)

    def say(text: str) -> None:
        console.print(escape(one_line(text)), soft_wrap=not console.is_terminal)

    say(summary(changes))
    for text in notes_before(changes):
        say(text)
    if changes.rows:
        console.print(table(changes))
    for text in notes_after(changes):
        say(text)


def as_tree(changes: Changes) -> dict[str, Any]:
    """The same as plain objects; times are nanoseconds a call."""
    from bench.reporting.changes import summary

    told = ("old", "new", "unit", "machines", "versions", "conditions", "options", "warning", "limit",
            "only_old", "only_new")  # fmt: skip
    return {
        "summary": summary(changes),
        **{name: getattr(changes, name) for name in told},
        "without_baseline": list(changes.without_baseline),
        "notes": [dataclasses.asdict(note) for note in changes.notes],
        "regressions": [row.name for row in changes.regressions],
        **{name: list(map(_change, getattr(changes, name))) for name in ("rows", "baselines", "twins")},
    }


def _change(change: Change) -> dict[str, Any]:
    """A change without its samples, but for how many there are."""
    old, new = change.samples or ((), ())
    return {
        **{name: getattr(change, name) for name in TOLD_OF_A_CHANGE},
        "change": change.ratio,
        "old_samples": len(old),
        "new_samples": len(new),
    }
