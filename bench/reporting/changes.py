"""Describe the changes between two saved results for a terminal: a sentence, then a table."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from bench.analysis.outcome import WITHIN_BUDGET
from bench.analysis.regression import OTHER_ENVIRONMENT, Change, Changes
from bench.analysis.verdict import Word
from bench.machine import units, wording
from bench.machine.wording import one_line
from bench.reporting import words

if TYPE_CHECKING:
    from rich.table import Table

# verdict -> its word after a count, and its colour; in the order of the table
VERDICT_STYLES: dict[Word, tuple[str, str]] = {
    "SLOWER": ("slower", "red"),
    "FASTER": ("faster", "green"),
    "EQUIVALENT": ("equivalent", "cyan"),
    "UNRESOLVED": ("unresolved", "yellow"),
    "INVALID": ("invalid", "magenta"),
    "MISSING": ("missing", "magenta"),
    "NONE": ("without a verdict", "dim"),
}
MAX_NAMES = 6  # names in a note
MAX_BASELINES = 3  # baselines that a note describes one by one
MAX_ROWS = 200  # of the table


def summary(changes: Changes) -> str:
    """Return what is proved with a limit, the counts of the verdicts, and the largest slowdown or speedup."""
    if not changes.rows:
        because = f": {changes.warning}" if changes.warning else ""
        return f"{changes.new} and {changes.old} hold nothing that compares{because}."
    verdicts = Counter(row.verdict for row in changes.rows)
    counts = [
        f"{verdicts[verdict]} {word}" for verdict, (word, _) in VERDICT_STYLES.items() if verdicts[verdict]
    ]
    changed = [(row.ratio, row) for row in changes.rows if row.verdict in words.DECIDED and row.ratio]
    extreme = ""
    if changed and not changes.regressions:
        _, largest = max(changed, key=lambda pair: (pair[0] > 1, max(pair[0], 1 / pair[0])))
        extreme = f"; most of all {wording.short(largest.name)}, {times(largest)}"
    because = f" ({changes.warning})" if changes.warning else ""
    count = wording.count(len(changes.rows), "comparison")
    verdicts_text = f"of {count} {wording.listing(counts, 7)}{extreme}{because}"
    return f"{_finding(changes)}{changes.new} against {changes.old}: {verdicts_text}."


def _finding(changes: Changes) -> str:
    """Return what is proved to be slower than the limit permits; empty without a limit."""
    if changes.limit is None:
        return ""
    beyond = f"over {units.percent(changes.limit)}"
    if changes.regressions:
        slower = (f"{wording.short(row.name)}: {times(row)}" for row in changes.regressions)
        return f"REGRESSION proved, {beyond} slower: {_names(slower)}. "
    if changes.why_no_answer:
        return f"Nothing was judged, so no regression {beyond} could be proved. "
    return f"No regression {beyond} is proved. "


def times(change: Change) -> str:
    """Return a change with its limits: "1.08 times as long [1.06, 1.10]"."""
    if change.ratio is None:
        return "nothing to compare"
    return f"{units.ratio(change.ratio)} times as long {units.interval(change.low, change.high)}".rstrip()


def notes_before(changes: Changes) -> Iterator[str]:
    """Yield the notes to read before the table."""
    if changes.machines:
        yield f"DIFFERENT MACHINES: {', '.join(changes.machines)}"
    no_verdict = ", so there is no verdict; --any-environment gives one"
    for heading, clauses in (
        (f"ENVIRONMENT CHANGED{no_verdict * (changes.warning == OTHER_ENVIRONMENT)}", changes.conditions),
        ("Other versions", changes.versions),
        ("Measured in another way", changes.options),
    ):
        if clauses:
            yield f"{heading}: {'; '.join(wording.short(clause, 400) for clause in clauses)}"
    yield from map(words.note, changes.notes)
    if measured := [change for change in changes.baselines if change.ratio is not None]:
        yield _drift(changes, measured)


def notes_after(changes: Changes) -> Iterator[str]:
    """Yield the notes after the table: the numbers' meaning, and what is left out."""
    if changes.rows:
        interval = ", with its own 95 % interval" * any(row.low is not None for row in changes.rows)
        meaning = f"the change is new over old, above 1 is slower{interval}"
        if any(row.samples for row in changes.rows):
            meaning += (
                f"; estimated from all {changes.samples}, it need not be the quotient of the two beside it"
            )
        if changes.unit == "ratio":
            yield f"Old and new are ratios to the baseline of a run, without the machine's drift; {meaning}."
        else:
            yield f"Old and new are times of a call, with the machine's drift between them; {meaning}."
    left_out = [row.group for row in changes.rows if row.left_out]
    groups = changes.without_baseline.values()
    for heading, noun, names, end in (
        ("Only in old", "", changes.only_old, ""),
        ("Only in new", "", changes.only_new, ""),
        ("No baseline beside it, so no ratio to compare", "measurement", groups, "; see --absolute"),
        (f"Not in the table, left out of a run {WITHIN_BUDGET}", "comparison", left_out, ""),
    ):
        if names:
            counted = f"{wording.count(len(names), noun)} of " if noun else ""
            yield f"{heading}: {counted}{_names(names)}{end}"
    if (n_more := len(changes.rows) - len(left_out) - MAX_ROWS) > 0:
        yield f"Not in the table, which has {MAX_ROWS} rows at most: {units.whole(n_more)} more; see --json"
    if needed := [row.blocks_needed for row in changes.rows if row.blocks_needed is not None]:
        blocks_range = " to ".join(dict.fromkeys(map(units.whole, (min(needed), max(needed)))))
        yield f"What is unresolved would need {blocks_range} {changes.samples} in each"


def table(changes: Changes) -> "Table":
    """Return a table with a row per change, the slower ones first."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    of_ratio = changes.unit == "ratio"
    rich_table = Table(box=box.SIMPLE_HEAD, highlight=False)
    rich_table.add_column("time over the baseline's" if of_ratio else "time of a call", overflow="fold")
    for title in ("old", "new", "new ÷ old"):
        rich_table.add_column(title, justify="right", no_wrap=True)
    rich_table.add_column("verdict")
    for row in kept_rows(changes)[:MAX_ROWS]:
        name, *numbers = cells(changes, row)
        colour = VERDICT_STYLES[row.verdict][1]
        why = reason(changes, row)
        rich_table.add_row(
            escape(name),
            *numbers,
            f"[{colour}]{row.verdict}[/] [dim]{escape(one_line(why)) if why else ''}[/]",
        )
    return rich_table


def kept_rows(changes: Changes) -> list[Change]:
    """Return the rows of a table, the slower ones first; none that a time budget left out."""
    order = list(VERDICT_STYLES)
    kept = (row for row in changes.rows if not row.left_out)
    return sorted(kept, key=lambda row: (not row.regressed, order.index(row.verdict), -(row.ratio or 0)))


def cells(changes: Changes, row: Change) -> tuple[str, ...]:
    """Return a row's name, its old and its new value, and its change."""
    form = units.ratio if changes.unit == "ratio" else units.duration
    values = (units.NOTHING if side is None else form(side) for side in (row.old_value, row.new_value))
    return (wording.short(row.name), *values, units.with_interval(row.ratio, row.low, row.high))


def reason(changes: Changes, row: Change) -> str:
    """Return why a row has its verdict; empty if a note before the table says it, or nothing has to."""
    if row.detectable is not None:
        return f"{units.percent(row.detectable)} would have shown"
    return row.reason if row.reason != changes.warning else ""


def _names(names: Iterable[str]) -> str:
    """Join the names, each once; beyond a maximum, count the rest."""
    return wording.listing(list(dict.fromkeys(map(wording.short, names))), MAX_NAMES)


def _drift(changes: Changes, measured: Sequence[Change]) -> str:
    """Return the change of the baselines' absolute times and its cause: each of a few, the range of many."""
    why = "Its code and libraries are the same, so the machine drifted; no ratio below contains this."
    if changes.machines:
        why = "It is another machine."
    elif changes.versions or changes.conditions:
        why = "The machine drifted, or the baseline itself changed, which moves every ratio to it."
    ratios = [change.ratio or 0 for change in measured]
    text = "; ".join(f"{change.name} took {times(change)}" for change in measured)
    if len(measured) > MAX_BASELINES:
        ratio_range = f"{units.ratio(min(ratios))} to {units.ratio(max(ratios))}"
        text = f"{len(measured)} baselines took {ratio_range} times as long"
    return f"In absolute time {text}. {why}"
