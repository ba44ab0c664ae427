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

COLOURS: dict[Word, str] = {
    "FASTER": "green",
    "SLOWER": "red",
    "EQUIVALENT": "cyan",
    "UNRESOLVED": "yellow",
    "INVALID": "magenta",
    "MISSING": "magenta",
    "NONE": "dim",
}
COUNTED: dict[Word, str] = {
    "SLOWER": "slower",
    "FASTER": "faster",
    "EQUIVALENT": "equivalent",
    "UNRESOLVED": "unresolved",
    "INVALID": "invalid",
    "MISSING": "missing",
    "NONE": "without a verdict",
}
MOST_NAMES = 6
MOST_BASELINES = 3
MOST_ROWS = 200  # of the table


def summary(changes: Changes) -> str:
    """All of it in one sentence, with the largest change of what is slower, or else of what is faster."""
    if not changes.rows:
        return f"{changes.new} and {changes.old} hold nothing that compares."
    found = Counter(row.verdict for row in changes.rows)
    said = [f"{found[word]} {name}" for word, name in COUNTED.items() if found[word]]
    leader = next(filter(None, (_largest(changes, word) for word in ("SLOWER", "FASTER"))), None)
    most = f"; most of all {wording.short(leader.name)}, {times(leader)}" if leader else ""
    because = f" ({changes.warning})" if changes.warning else ""
    count = wording.count(len(changes.rows), "comparison")
    return f"{changes.new} against {changes.old}: of {count} {wording.listing(said, 7)}{most}{because}."


def times(change: Change) -> str:
    """ "1.08 times as long [1.06, 1.10]"."""
    if change.ratio is None:
        return "nothing to compare"
    return f"{units.ratio(change.ratio)} times as long {units.interval(change.low, change.high)}".rstrip()


def told_before(changes: Changes) -> Iterator[str]:
    """What must be known before the table is read."""
    if changes.machines:
        yield f"DIFFERENT MACHINES: {', '.join(changes.machines)}"
    if changes.conditions:
        without = ", so there is no verdict; --any-environment gives one"
        so = without if changes.warning == OTHER_ENVIRONMENT else ""
        yield f"ENVIRONMENT CHANGED{so}: {_clauses(changes.conditions)}"
    if changes.versions:
        yield f"Other versions: {_clauses(changes.versions)}"
    if changes.options:
        yield f"Measured in another way: {_clauses(changes.options)}"
    yield from map(words.note, changes.notes)
    yield from _baselines(changes)


def told_after(changes: Changes) -> Iterator[str]:
    """What the numbers are, what is not in the table, and what --fail-slower found."""
    own = ", with its own 95 % interval" * any(row.low is not None for row in changes.rows)
    change = f"the change is new over old, above 1 is slower{own}"
    if any(row.samples for row in changes.rows):
        all_of = f"; estimated from all {changes.samples}"
        change += f"{all_of}, it need not be the quotient of the two numbers beside it"
    change += "."
    if changes.unit == "ratio":
        yield (
            "Old and new are ratios to the baseline of the same run, so that the machine's drift between the "
            f"runs cancels; {change}"
        )
    elif changes.rows:
        yield f"Old and new are times of a call; {change} The machine's drift between the two is in it."
    for side, names in (("old", changes.only_old), ("new", changes.only_new)):
        if names:
            yield f"Only in {side}: {wording.listing([wording.short(name) for name in names], MOST_NAMES)}"
    if (more := len(_shown(changes)) - MOST_ROWS) > 0:
        yield f"Not in the table, which has {MOST_ROWS} rows at most: {units.whole(more)} more; see --json"
    if changes.without_baseline:
        groups = dict.fromkeys(changes.without_baseline.values())
        count, of = wording.count(len(changes.without_baseline), "time"), wording.listing(list(groups))
        yield f"Without a baseline, so without a ratio: {count} of {of}; see --absolute"
    if left_out := [row for row in changes.rows if row.left_out]:
        groups = dict.fromkeys(row.group for row in left_out)
        many = len(left_out) > 1
        yield (
            f"Not in the table, since {'they were' if many else 'it was'} left out of a run {WITHIN_BUDGET}: "
            f"{wording.count(len(left_out), 'comparison')} of {wording.listing(list(groups), MOST_NAMES)}"
        )
    if needed := [row.blocks_needed for row in changes.rows if row.blocks_needed is not None]:
        yield f"What is unresolved would need {_range(needed)} {changes.samples} in each"
    if changes.limit is not None:
        yield _regressions(changes, changes.limit)


def table(changes: Changes) -> "Table":
    """A line a change, those that are slower first."""
    from rich.markup import escape
    from rich.table import Table

    of = "time over the baseline's" if changes.unit == "ratio" else "time of a call"
    made = Table(of, "old", "new", "new ÷ old", "verdict", highlight=False)
    for column in made.columns[1:4]:
        column.justify = "right"
        column.no_wrap = True
    order = list(COUNTED)
    rows = sorted(_shown(changes), key=lambda row: (order.index(row.verdict), -(row.ratio or 0)))
    for row in rows[:MOST_ROWS]:
        said = _reason(row) if row.reason != changes.warning else ""  # which stands above
        reason = f" [dim]{escape(one_line(said))}[/]" if said else ""
        made.add_row(
            escape(wording.short(row.name)),
            _value(changes, row.old_value),
            _value(changes, row.new_value),
            units.with_interval(row.ratio, row.low, row.high),
            f"[{COLOURS[row.verdict]}]{row.verdict}[/]{reason}",
        )
    return made


def _shown(changes: Changes) -> list[Change]:
    return [row for row in changes.rows if not row.left_out]


def _clauses(clauses: Sequence[str]) -> str:
    """Return facts that changed, each no longer than a line or two."""
    return "; ".join(wording.short(clause, 400) for clause in clauses)


def _reason(row: Change) -> str:
    """Why it has its verdict; of what is unresolved, how large a change would have shown."""
    if row.detectable is None:
        return row.reason
    return f"{units.percent(row.detectable)} would have shown"


def _range(numbers: Sequence[int]) -> str:
    low, high = units.whole(min(numbers)), units.whole(max(numbers))
    return low if low == high else f"{low} to {high}"


def _value(changes: Changes, value: float | None) -> str:
    if value is None:
        return units.NOTHING
    return units.ratio(value) if changes.unit == "ratio" else units.duration(value)


def _largest(changes: Changes, word: Word) -> Change | None:
    rows = [row for row in changes.rows if row.verdict == word and row.ratio is not None]
    return max(rows, key=lambda row: max(row.ratio or 1, 1 / (row.ratio or 1)), default=None)


def _baselines(changes: Changes) -> Iterator[str]:
    """What the baselines did in absolute time: each of a few, the range of many."""
    measured = [change for change in changes.baselines if change.ratio is not None]
    if not measured:
        return
    if changes.machines:
        why = "another machine"
    elif changes.versions or changes.conditions:
        why = "drift of the machine, or the baseline changed as well, which moves every ratio to it"
    else:
        why = "drift of the machine, as nothing that it is made of changed; it is in no ratio below"
    if len(measured) <= MOST_BASELINES:
        said = "; ".join(f"{change.name} took {times(change)}" for change in measured)
    else:
        ratios = sorted(change.ratio or 0 for change in measured)
        low, high = units.ratio(ratios[0]), units.ratio(ratios[-1])
        said = f"{len(measured)} baselines took {low} to {high} times as long"
    yield f"In absolute time {said}: {why}"


def _regressions(changes: Changes, limit: float) -> str:
    beyond = units.percent(limit)
    if found := changes.regressions:
        names = [f"{wording.short(row.name)}: {times(row)}" for row in found]
        return f"REGRESSION proved, over {beyond} slower: {wording.listing(names, MOST_NAMES)}"
    if changes.why_no_answer:
        return f"Nothing was judged, so no regression over {beyond} could be proved"
    return f"No regression over {beyond} is proved"
