"""Tell a step of GitHub Actions what a comparison says: a summary in Markdown, and annotations.

All names come from files and may be hostile: they may not end a table's cell, hold HTML, notify anybody or
give the runner a command.
"""

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.analysis.regression import Change, Changes
from bench.machine import units, wording
from bench.machine.errors import Unfinished, UserError, error_text
from bench.machine.files import open_regular
from bench.reporting.changes import cells, kept_rows, notes_after, notes_before, reason, summary, times
from bench.reporting.page import escape_markdown

VARIABLE = "GITHUB_STEP_SUMMARY"  # names the file of a step's summary
MAX_ANNOTATIONS = 10  # of a level; GitHub shows no more of a step
MAX_ROWS = 40  # before the fold, which a comment leaves out: it has 65536 characters at most
MAX_FOLDED = 400  # rows; GitHub shows nothing of a step's summary of more than 1 MiB
FOLD = "<details>"


def summary_file() -> Path:
    """Return the file of this step's summary.

    Raises:
        UserError: this process is not part of a step of GitHub Actions.
    """
    if not (name := os.environ.get(VARIABLE)):
        raise UserError(
            f"--summary github: {VARIABLE} names no file, so this is no step of GitHub Actions; leave it out"
        )
    return Path(name)


def publish(file: Path, changes: Changes | None, failure: Exception | None) -> None:
    """Print the annotations and append the summary to ``file``.

    ``failure`` is why there is no answer, and ``changes`` is None if nothing could be compared.

    Raises:
        Unfinished: the summary could not be written.
    """
    for level, title, text in annotations(changes, failure):
        print(command(level, title, text))
    try:
        descriptor = open_regular(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in markdown(changes, failure))
    except OSError as error:
        why = f"{file}: the summary could not be written: {error.strerror}"
        print(command("error", "rnnbench", why))
        raise Unfinished(why) from error


@contextmanager
def no_commands() -> Iterator[None]:
    """Keep the runner from taking a line that is printed meanwhile for a command."""
    token = secrets.token_hex()
    print(f"::stop-commands::{token}")
    try:
        yield
    finally:
        print(f"::{token}::")


def command(level: str, title: str, text: str) -> str:
    """Return an annotation for the runner: "::error title=...::...", with what could end it escaped."""
    for character in "%\r\n":
        title, text = (part.replace(character, f"%{ord(character):02X}") for part in (title, text))
    title = title.replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{text}"


def annotations(changes: Changes | None, failure: Exception | None) -> Iterator[tuple[str, str, str]]:
    """Yield level, title and text: a line for each regression, or why there is no answer, then the rest."""
    rows = kept_rows(changes) if changes else []
    slower = [row for row in rows if row.regressed]
    doubtful = [row for row in rows if row.verdict in ("SLOWER", "INVALID", "MISSING") and not row.regressed]
    for level, named in (("error", slower), ("warning", doubtful)):
        for row in named[: MAX_ANNOTATIONS - 1]:  # leaves one for what follows
            title = f"rnnbench: {row.verdict}"
            yield level, title, f"{wording.short(row.name)}: {times(row) if row.ratio else row.reason}"
        if n_more := len(named[MAX_ANNOTATIONS - 1 :]):
            yield level, "rnnbench", f"{n_more} more: see the summary of this step"
    if failure is not None or not slower:
        yield (
            "notice" if failure is None else "error",
            "rnnbench",
            wording.one_line(outcome(changes, failure)),
        )


def outcome(changes: Changes | None, failure: Exception | None) -> str:
    """Return the answer in one sentence."""
    if failure is not None or changes is None:
        return f"No answer: {error_text(failure) if failure else 'nothing was compared'}"
    return summary(changes)


def markdown(changes: Changes | None, failure: Exception | None) -> Iterator[str]:
    """Yield the lines of the summary: answer, rows that matter, what was compared, what next, the rest."""
    yield f"**{_text(outcome(changes, failure))}**"
    if changes is not None:
        if failure is not None:
            yield from ("", _text(summary(changes)))
        first, rest = _by_weight(kept_rows(changes))
        yield from _table(changes, first)
        yield from ("", *_compared(changes))
        yield from (f"* {_text(note)}" for note in notes_before(changes))
    yield from ("", f"**What next:** {_text(_next(changes, failure))}", "")
    if changes is not None and changes.rows:
        yield from (FOLD, f"<summary>{f'{len(rest)} more, and notes' if rest else 'Notes'}</summary>")
        yield from _table(changes, rest[:MAX_FOLDED])
        if n_more := len(rest[MAX_FOLDED:]):
            yield from ("", f"{units.whole(n_more)} rows more: see compare --json.")
        yield from ("", *(f"* {_text(note)}" for note in notes_after(changes)), "", "</details>", "")


def _by_weight(rows: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """Return the rows that matter to a gate, as many as are shown before the fold, and all others."""
    matters, others = list[Change](), list[Change]()
    for row in rows:
        weighs = row.regressed or row.verdict in ("SLOWER", "FASTER", "INVALID", "MISSING")
        (matters if weighs and len(matters) < MAX_ROWS else others).append(row)
    return matters, others


def _text(text: object) -> str:
    """Return foreign text as one line in which GitHub finds no markup and no user to notify."""
    return re.sub(r"(?<!\w)@(?=\w)", "@&#8203;", escape_markdown(wording.one_line(text)))


def _table(changes: Changes, rows: Sequence[Change]) -> Iterator[str]:
    if not rows:
        return
    measured = "time over the baseline's" if changes.unit == "ratio" else "time of a call"
    yield from ("", f"| {measured} | old | new | new ÷ old | verdict |", "|---|--:|--:|--:|---|")
    for row in rows:
        verdict = f"{row.verdict} {wording.short(reason(changes, row)) if reason(changes, row) else ''}"
        yield f"| {' | '.join(map(_text, (*cells(changes, row), verdict)))} |"


def _compared(changes: Changes) -> Iterator[str]:
    """Yield a line for each side, with the facts in which the two differ, and a line with all others."""
    before, after = changes.origins or ({}, {})
    both = {name: fact for name, fact in after.items() if before.get(name) == fact}
    for title, name, origin in (("Old", changes.old, before), ("New", changes.new, after)):
        own = [f"{what}: {fact}" for what, fact in origin.items() if what not in both]
        yield f"* {title}: {_text('; '.join([wording.short(name), *own]))}"
    if both:
        yield f"* Both: {_text('; '.join(f'{what}: {fact}' for what, fact in both.items()))}"


def _next(changes: Changes | None, failure: Exception | None) -> str:
    if failure is not None or changes is None:
        return "mend what the first line names, then run this again; nothing is proved in either direction."
    if changes.regressions:
        return (
            "find the cause in what changed between old and new. If the cost is meant, accept the change: it "
            "is in the next baseline."
        )
    return "nothing has to be done."
