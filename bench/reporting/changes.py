"""What changed between two saved results, as a terminal shows it: a sentence, then a table."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.analysis.outcome import WITHIN_BUDGET
from bench.analysis.regression import OTHER_ENVIRONMENT, Change, Changes
from bench.analysis.verdict import Word
from bench.machine import units, wording
from bench.machine.wording import one_line
from bench.reporting import words

if TYPE_CHECKING:
    from rich.table import Table

# in the order of the table: what a sentence calls so many of them, and the word's colour
WORDS: dict[Word, tuple[str, str]] = {
    "SLOWER": ("slower", "red"),
    "FASTER": ("faster", "green"),
    "EQUIVALENT": ("equivalent", "cyan"),
    "UNRESOLVED": ("unresolved", "yellow"),
    "INVALID": ("invalid", "magenta"),
    "MISSING": ("missing", "magenta"),
    "NONE": ("without a verdict", "dim"),
}
MOST_NAMES = 6
MOST_BASELINES = 3
MOST_ROWS = 200  # of the table


def summary(changes: Changes) -> str:
    """Return all of it in one sentence, with the largest change to slower, else to faster."""
    if not changes.rows:
        return f"{changes.new} and {changes.old} hold nothing that compares."
    found = Counter(row.verdict for row in changes.rows)
    counts = [f"{found[word]} {name}" for word, (name, _) in WORDS.items() if found[word]]
    changed = [row for row in changes.rows if row.verdict in words.DECIDED and row.ratio]
    largest = max(
        changed,
        key=lambda row: (row.verdict == "SLOWER", max(row.ratio or 1, 1 / (row.ratio or 1))),
        default=None,
    )
    most = f"; most of all {wording.short(largest.name)}, {times(largest)}" if largest else ""
    because = f" ({changes.warning})" if changes.warning else ""
    count = wording.count(len(changes.rows), "comparison")
    return f"{changes.new} against {changes.old}: of {count} {wording.listing(counts, 7)}{most}{because}."


def times(change: Change) -> str:
    """Return "1.08 times as long [1.06, 1.10]"."""
    if change.ratio is None:
        return "nothing to compare"
    return f"{units.ratio(change.ratio)} times as long {units.interval(change.low, change.high)}".rstrip()


def told_before(changes: Changes) -> Iterator[str]:
    """Yield what must be known before the table is read."""
    if changes.machines:
        yield f"DIFFERENT MACHINES: {', '.join(changes.machines)}"
    without = ", so there is no verdict; --any-environment gives one"
    for heading, clauses in (
        (f"ENVIRONMENT CHANGED{without * (changes.warning == OTHER_ENVIRONMENT)}", changes.conditions),
        ("Other versions", changes.versions),
        ("Measured in another way", changes.options),
    ):
        if clauses:
            yield f"{heading}: {'; '.join(wording.short(clause, 400) for clause in clauses)}"
    yield from map(words.note, changes.notes)
    if measured := [change for change in changes.baselines if change.ratio is not None]:
        yield _drift(changes, measured)


def told_after(changes: Changes) -> Iterator[str]:
    """Yield what the numbers are, what is not in the table, and what --fail-slower found."""
    own = ", with its own 95 % interval" * any(row.low is not None for row in changes.rows)
    change = f"the change is new over old, above 1 is slower{own}"
    if any(row.samples for row in changes.rows):
        all_of = f"; estimated from all {changes.samples}"
        change += f"{all_of}, it need not be the quotient of the two numbers beside it"
    if changes.unit == "ratio":
        yield (
            "Old and new are ratios to the baseline of the same run, so that the machine's drift between the "
            f"runs cancels; {change}."
        )
    elif changes.rows:
        yield f"Old and new are times of a call; {change}. The machine's drift between the two is in it."
    for side, names in (("old", changes.only_old), ("new", changes.only_new)):
        if names:
            yield f"Only in {side}: {_names([wording.short(name) for name in names])}"
    left_out = [row.group for row in changes.rows if row.left_out]
    if (more := len(changes.rows) - len(left_out) - MOST_ROWS) > 0:
        yield f"Not in the table, which has {MOST_ROWS} rows at most: {units.whole(more)} more; see --json"
    if groups := list(changes.without_baseline.values()):
        count = wording.count(len(groups), "time")
        yield f"Without a baseline, so without a ratio: {count} of {_names(groups)}; see --absolute"
    if left_out:
        count = wording.count(len(left_out), "comparison")
        yield f"Not in the table, left out of a run {WITHIN_BUDGET}: {count} of {_names(left_out)}"
    if needed := [row.blocks_needed for row in changes.rows if row.blocks_needed is not None]:
        reach = " to ".join(dict.fromkeys(map(units.whole, (min(needed), max(needed)))))
        yield f"What is unresolved would need {reach} {changes.samples} in each"
    if changes.limit is not None:
        yield _regressions(changes, units.percent(changes.limit))


def table(changes: Changes) -> "Table":
    """Return a table with a row a change, those that are slower first."""
    from rich.markup import escape
    from rich.table import Table

    of = "time over the baseline's" if changes.unit == "ratio" else "time of a call"
    shown = Table(of, "old", "new", "new ÷ old", "verdict", highlight=False)
    for column in shown.columns[1:4]:
        column.justify = "right"
        column.no_wrap = True
    value = units.ratio if changes.unit == "ratio" else units.duration
    order = list(WORDS)
    rows = (row for row in changes.rows if not row.left_out)
    for row in sorted(rows, key=lambda row: (order.index(row.verdict), -(row.ratio or 0)))[:MOST_ROWS]:
        reason = row.reason if row.reason != changes.warning else ""  # which stands above
        if row.detectable is not None:
            reason = f"{units.percent(row.detectable)} would have shown"
        shown.add_row(
            escape(wording.short(row.name)),
            *(units.NOTHING if one is None else value(one) for one in (row.old_value, row.new_value)),
            units.with_interval(row.ratio, row.low, row.high),
            f"[{WORDS[row.verdict][1]}]{row.verdict}[/]"
            + (f" [dim]{escape(one_line(reason))}[/]" if reason else ""),
        )
    return shown


def _names(names: Sequence[str]) -> str:
    """Return each name once, and no more than a line or two of them."""
    return wording.listing(list(dict.fromkeys(names)), MOST_NAMES)


def _drift(changes: Changes, measured: Sequence[Change]) -> str:
    """Return what the baselines did in absolute time: each of a few, the range of many."""
    why = "drift of the machine, as nothing that it is made of changed; it is in no ratio below"
    if changes.machines:
        why = "another machine"
    elif changes.versions or changes.conditions:
        why = "drift of the machine, or the baseline changed as well, which moves every ratio to it"
    if len(measured) <= MOST_BASELINES:
        what = "; ".join(f"{change.name} took {times(change)}" for change in measured)
    else:
        low, high = (units.ratio(of(change.ratio or 0 for change in measured)) for of in (min, max))
        what = f"{len(measured)} baselines took {low} to {high} times as long"
    return f"In absolute time {what}: {why}"


def _regressions(changes: Changes, beyond: str) -> str:
    """Return what --fail-slower found."""
    if changes.regressions:
        names = [f"{wording.short(row.name)}: {times(row)}" for row in changes.regressions]
        return f"REGRESSION proved, over {beyond} slower: {_names(names)}"
    if changes.why_no_answer:
        return f"Nothing was judged, so no regression over {beyond} could be proved"
    return f"No regression over {beyond} is proved"
