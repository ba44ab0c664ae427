"""How much longer something takes than before, and how sure that is: one word for each change of a family.

Old and new are two runs, so two points in time: their blocks are independent samples of logs, of ratios to
a baseline or of times. A change is exp of the Hodges-Lehmann shift between them, above 1 where the new one
takes longer, with the exact Mann-Whitney interval. The words are those of ``bench.analysis.verdict``:

=============  =======================================================================================
FASTER SLOWER  the rank sum test's p, adjusted after Holm for all changes of the family, is at most 0.05
EQUIVALENT     the 90 % interval lies within the margin; goes before FASTER and SLOWER
UNRESOLVED     neither; with the smallest change that could have been seen. Also where Welch's interval of
               the same numbers contains no change, so that few blocks decide
INVALID        measured, but not to be believed
MISSING        nothing to compare, and why
NONE           no word is given, and why
=============  =======================================================================================

A regression is proved where the one-sided test of "longer by no more than the limit" has an adjusted p of at
most 0.05: that is a test of its own, and a SLOWER alone proves none.

Two runs of the same entries: what takes longer than before, and what only seems to.

The machine is not the same twice, so what is compared is each entry's ratio to its baseline: per block the
log of (median of the entry / median of the baseline), as within a run, and the drift between the two runs,
which both share, cancels. ``absolute`` compares the times themselves, with the drift in them. What one
session does to one library alone, in all of its blocks, is in no interval of either.

The control are the twins, adjusted for among themselves: the same code over itself, whose ratio must not have
changed. Where it has, or a run by itself gives no verdict, this gives none.

Two files of another tool: what takes longer in the new one.

pyperf starts every benchmark in many processes, so their medians are independent samples, as blocks are;
but it has no baseline beside them, so times are compared as they are, with the machine's drift between the
two files in them. pytest-benchmark knows one process: a ratio, without an interval or a verdict.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Generic, TypeVar

from bench.analysis.environment_diff import surroundings
from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.statistics import (
    ALPHA,
    MIN_BLOCKS,
    MOST_PAIRS,
    blocks_needed,
    detectable_effect,
    exceeds_p,
    holm,
    mean_interval,
    rank_interval,
    rank_p,
)
from bench.analysis.verdict import Comparison, Word, compare, judge
from bench.records.formats import pyperf, pytest_benchmark
from bench.records.formats.foreign import Facts, Note, told
from bench.records.formats.pyperf import PyperfBenchmark, PyperfResults
from bench.records.formats.pytest_benchmark import PytestResults, PytestRow
from bench.records.record import Entry
from bench.records.run import Run, different_machines

OTHER_ENVIRONMENT = "the environment changed"  # why there is no verdict


@dataclass(frozen=True, slots=True)
class Change:
    """The new measurement over the old one: of an entry, a baseline, or another tool's benchmark."""

    name: str
    verdict: Word
    reason: str = ""
    group: str = ""  # the table that it stands in
    left_out: bool = False  # MISSING since a run left it out for its time budget
    old: tuple[float, ...] = ()  # logs, one a block (for other tools: a process)
    new: tuple[float, ...] = ()
    old_value: float | None = None  # what the two runs say by themselves: a ratio, or nanoseconds a call
    new_value: float | None = None
    change: float | None = None  # None: nothing to compare
    low: float | None = None  # None: too few blocks for an interval
    high: float | None = None
    p: float | None = None  # None: no verdict can be given
    p_holm: float | None = None  # adjusted for all ``family`` changes
    family: int = 0
    detectable: float | None = None  # where UNRESOLVED: 0.03 for 3 %; None: nothing at all
    blocks_needed: int | None = None  # where UNRESOLVED: about so many in each run find the margin
    p_regression: float | None = None  # adjusted: that it takes longer by no more than the limit

    @property
    def regressed(self) -> bool:
        """Whether it is proved to take longer by more than the limit."""
        return self.p_regression is not None and self.p_regression <= ALPHA

    @property
    def judged(self) -> bool:
        """Whether there was enough to judge it by, so that a large change would have shown."""
        too_few = self.detectable is None and self.blocks_needed is not None
        return self.p is not None and not too_few


@dataclass(frozen=True, slots=True)
class Changes:
    """All that two saved results have in common, and what only one of them has."""

    old: str  # what to call it
    new: str
    unit: str  # of old_value and new_value: "ratio" to the baseline, or "ns" a call
    rows: tuple[Change, ...]  # one family
    samples: str = "blocks"  # or processes: what is independent of each other
    baselines: tuple[Change, ...] = ()  # in absolute time, without a verdict
    twins: tuple[Change, ...] = ()
    only_old: tuple[str, ...] = ()
    only_new: tuple[str, ...] = ()
    # entries that no ratio is made of, and their tables; their times can be compared
    without_baseline: Mapping[str, str] = field(default_factory=dict)
    machines: tuple[str, ...] = ()  # facts in which the machines differ
    versions: tuple[str, ...] = ()  # that changed
    conditions: tuple[str, ...] = ()  # what else changed that bears on speed
    options: tuple[str, ...] = ()  # of how another tool measured, that changed
    notes: tuple[Note, ...] = ()  # of the files of another tool
    warning: str = ""  # why no row has a verdict; empty where they may have one
    limit: float | None = None  # 0.05: a regression takes over 5 % longer

    @property
    def regressions(self) -> tuple[Change, ...]:
        """Rows that are proved to take longer by more than the limit."""
        return tuple(row for row in self.rows if row.regressed)

    @property
    def why_no_answer(self) -> str:
        """Why nothing was compared or, where a limit is to be kept, judged; empty where something was.

        Without this, a limit that can never be exceeded would look like one that is kept.
        """
        if not self.rows:
            return "the two have nothing in common that compares"
        if any(row.change is not None if self.limit is None else row.judged for row in self.rows):
            return ""
        return self.warning or self.rows[0].reason


def measured(
    change: Change, old: Sequence[float], new: Sequence[float], *, final: bool = False, of: str = "blocks"
) -> Change:
    """The change with its numbers, from logs; ``final``: its verdict stands, and it gets no p."""
    interval = rank_interval(old, new)
    change = replace(change, old=tuple(old), new=tuple(new), change=math.exp(interval.estimate))
    if interval.finite:
        change = replace(change, low=math.exp(interval.low), high=math.exp(interval.high))
    if final:
        return change
    if (fewer := min(len(old), len(new))) < MIN_BLOCKS:
        return replace(change, reason=f"{fewer} of the {MIN_BLOCKS} {of} that a verdict needs")
    return replace(change, p=rank_p(old, new))


def judged(
    drafts: Sequence[Change], margin: float, limit: float | None = None, *, of: str = "blocks"
) -> tuple[Change, ...]:
    """Adjust the p values of a family together and find the words.

    ``limit`` 0.05 looks for regressions beyond 5 %; ``of`` says what the logs are of.
    """
    tested = [draft for draft in drafts if draft.p is not None]
    adjusted = iter(holm([draft.p for draft in tested if draft.p is not None]))
    beyond = iter(
        []
        if limit is None
        else holm([exceeds_p(draft.old, draft.new, math.log1p(limit)) for draft in tested])
    )
    return tuple(
        draft
        if draft.p is None
        else _word(
            replace(draft, p_holm=next(adjusted), family=len(tested), p_regression=next(beyond, None)),
            margin,
            of,
        )
        for draft in drafts
    )


def _word(draft: Change, margin: float, of: str) -> Change:
    """The verdict of a change with an adjusted p."""
    interval = rank_interval(draft.old, draft.new, confidence=0.90)
    significant = draft.p_holm is not None and draft.p_holm <= ALPHA
    if max(abs(interval.low), abs(interval.high)) <= math.log1p(margin):
        tiny = "; the change is real, though that small" if significant else ""
        return replace(draft, verdict="EQUIVALENT", reason=f"within {100 * margin:.3g} %{tiny}")
    if not significant:
        return _unresolved(draft, margin, of)
    welch = mean_interval(draft.old, draft.new)
    if welch.contains(0.0):
        low, high = math.exp(welch.low), math.exp(welch.high)
        reason = f"a few {of} differ: Welch's interval, {low:.4g} to {high:.4g}, contains 1"
        return replace(draft, verdict="UNRESOLVED", reason=reason, p_regression=None)
    word: Word = "FASTER" if interval.estimate < 0 else "SLOWER"
    return replace(draft, verdict=word, reason="")


def _unresolved(draft: Change, margin: float, of: str) -> Change:
    """Say what could have been seen, and what it would take to see the margin."""
    m, n = len(draft.old), len(draft.new)
    shift = detectable_effect(rank_interval(draft.old, draft.new), (m, n), draft.family, ALPHA)
    if math.isinf(shift):
        needed = blocks_needed(draft.family, ALPHA, runs=2)
        reason = f"{draft.family} changes need {needed} {of} in each for a verdict, not {m} and {n}"
        return replace(draft, verdict="UNRESOLVED", reason=reason, blocks_needed=needed)
    seen = math.expm1(shift)
    enough = math.ceil(min(m, n) * (shift / math.log1p(margin)) ** 2)  # the square root law
    needed = max(min(m, n) + 1, enough)
    reason = (
        f"a change of {100 * seen:.2g} % could have been seen; {100 * margin:.3g} % would need about "
        f"{needed} {of} in each"
    )
    return replace(draft, verdict="UNRESOLVED", reason=reason, detectable=seen, blocks_needed=needed)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two runs, and what became of its entries."""

    run: Run
    found: Mapping[str, Outcome]
    which: str  # "old run"

    @classmethod
    def of(cls, run: Run, which: str) -> "Side":
        """A run with its outcomes."""
        return cls(run, outcomes(run), which)

    def logs(self, entry: str, reference: str) -> tuple[Comparison, tuple[float, ...]]:
        """What this run says of an entry, and a log a block: of its ratio; of its time where it is its own
        reference."""
        made = compare(self.run, self.found, entry, reference)
        if entry != reference:
            return made, made.log_ratios
        return made, tuple(math.log(time) for time in self.found[entry].medians.values())


def compare_runs(
    before: Run,
    after: Run,
    *,
    names: tuple[str, str] = ("old", "new"),
    absolute: bool = False,
    any_environment: bool = False,
    limit: float | None = None,
) -> Changes:
    """Every entry of the new run over that of the old one: the same arm on the same case, in the same group.

    The seed of the data may be another one: it is the same work.
    """
    old, new = Side.of(before, "old run"), Side.of(after, "new run")
    around = surroundings(before, after)
    then, now, arms, margin = before.entries, after.entries, after.arms, after.plan.margin
    shared = [entry for entry in now.values() if _same(then.get(entry.id), entry)]
    compared = [entry for entry in shared if absolute or entry.baseline is not None]
    drafts = {entry.id: _draft(old, new, entry, absolute=absolute) for entry in compared}
    twins = judged([drafts[entry.id] for entry in compared if arms[entry.arm].twin], margin)
    rows = [drafts[entry.id] for entry in compared if not arms[entry.arm].twin]
    word, warning = _control(old, new, () if absolute else twins)
    if not warning and around.conditions and not any_environment:
        word, warning = "NONE", OTHER_ENVIRONMENT
    if warning:
        rows = [row if row.p is None else replace(row, verdict=word, reason=warning, p=None) for row in rows]
    baselines = dict.fromkeys(entry.baseline for entry in shared if entry.baseline is not None)
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns" if absolute else "ratio",
        rows=judged(rows, margin, limit),
        baselines=() if absolute else tuple(_drift(old, new, name) for name in baselines),
        twins=twins,
        only_old=tuple(_only(then, now)),
        only_new=tuple(_only(now, then)),
        without_baseline={
            entry.id: entry.group for entry in shared if entry.id not in drafts and entry.id not in baselines
        },
        machines=tuple(different_machines([before, after])),
        versions=(*around.versions, *_other_inputs(old, new, shared)),
        conditions=around.conditions,
        warning=warning,
        limit=limit,
    )


def _same(before: Entry | None, now: Entry) -> bool:
    if before is None:
        return False
    cases = [replace(entry.case, seed=0) for entry in (before, now)]
    return (before.arm, before.group, cases[0]) == (now.arm, now.group, cases[1])


def _only(these: Mapping[str, Entry], others: Mapping[str, Entry]) -> Iterator[str]:
    """Entries that the others lack; with the case where they have one of that name for other work."""
    for entry in these.values():
        if not _same(others.get(entry.id), entry):
            yield f"{entry.id} ({entry.case})" if entry.id in others else entry.id


def _draft(old: Side, new: Side, entry: Entry, *, absolute: bool) -> Change:
    """The change of one entry; its verdict INVALID, MISSING or NONE is final where there is no p."""
    made = Change(entry.id, "NONE", group=entry.group)
    reference = entry.id if absolute or entry.baseline is None else entry.baseline
    if not _same(old.run.entries.get(reference), new.run.entries[reference]):
        return replace(made, verdict="MISSING", reason="its baseline is not the same in both runs")
    (was, logs_then), (now, logs_now) = (side.logs(entry.id, reference) for side in (old, new))
    final = False
    for side, said in ((new, now), (old, was)):
        if said.p is None:
            reason = f"{side.which}: {said.reason}"
            made = replace(made, verdict=said.verdict, reason=reason, left_out=said.left_out)
            final = True
    if not logs_then or not logs_now:
        return made
    values = (math.exp(median(logs_then)), math.exp(median(logs_now))) if absolute else (was.ratio, now.ratio)
    made = replace(made, old_value=values[0], new_value=values[1])
    return measured(made, logs_then, logs_now, final=final)


def _drift(old: Side, new: Side, baseline: str) -> Change:
    """What a baseline did in absolute time."""
    made = Change(baseline, "NONE")
    if baseline not in old.run.entries or baseline not in new.run.entries:
        return replace(made, verdict="MISSING", reason="it is not in both runs")
    then, now = (side.logs(baseline, baseline)[1] for side in (old, new))
    if not then or not now:
        return replace(made, verdict="MISSING", reason="it has no times in both runs")
    made = replace(made, old_value=math.exp(median(then)), new_value=math.exp(median(now)))
    return measured(made, then, now, final=True)


def _control(old: Side, new: Side, twins: tuple[Change, ...]) -> tuple[Word, str]:
    """Why no row may be believed; empty where they may."""
    for side in (old, new):
        if failure := judge(side.run, side.found).control.failure:
            return "INVALID", f"the {side.which} gives no verdict by itself: {failure}"
    for twin in twins:
        if twin.p_holm is not None and twin.p_holm <= ALPHA:
            return "INVALID", (
                "the A/A control failed: the same code was measured twice in both runs, and yet the ratio of "
                f"its times changed by a factor of {twin.change:.4g}"
            )
    return "NONE", ""


def _other_inputs(old: Side, new: Side, shared: list[Entry]) -> Iterator[str]:
    """Whether the same case came as other bytes."""
    digests = [(old.found[entry.id].digests, new.found[entry.id].digests) for entry in shared]
    told = [then == now for then, now in digests if then and now]
    if not all(told):
        count = f"{told.count(False)} of {len(told)}"
        yield f"inputs: other bytes for {count} entries (another seed, or a library that rounds otherwise)"


MARGIN = 0.02  # for EQUIVALENT, as a run declares it
ONE_PROCESS = "one process each: no interval, no verdict"
PYPERF_OPTIONS = (*pyperf.MEASURED, *pyperf.TIMEIT)

Pairs = Sequence[tuple[Facts, Facts]]
Benchmark = TypeVar("Benchmark", bound=PyperfBenchmark | PytestRow)


@dataclass(frozen=True, slots=True)
class _Matched(Generic[Benchmark]):
    """What two files have in common, by what to call it; what only one has; what must be told of that."""

    pairs: tuple[tuple[str, Benchmark, Benchmark], ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    notes: tuple[Note, ...]


def compare_pyperf(
    old: PyperfResults,
    new: PyperfResults,
    *,
    names: tuple[str, str] = ("old", "new"),
    any_environment: bool = False,
    limit: float | None = None,
) -> Changes:
    """Compare the benchmarks of one name in two files of pyperf, by the medians of their processes."""
    matched = _match(old.benchmarks, new.benchmarks)
    facts = [(then.facts, now.facts) for _, then, now in matched.pairs]
    conditions = tuple(_changed(pyperf.CONDITIONS, facts))
    spoiled = bool(conditions) and not any_environment
    warning = OTHER_ENVIRONMENT if spoiled else ""
    rows = []
    for name, *pair in matched.pairs:
        logs = [[math.log(time) for time in one.medians_ns] for one in pair]
        values = [math.exp(median(of)) for of in logs]
        row = Change(name, "NONE", warning, old_value=values[0], new_value=values[1])
        if math.prod(map(len, logs)) > MOST_PAIRS:
            reason = f"{len(logs[0])} and {len(logs[1])} processes are too many for the exact test"
            rows.append(replace(row, reason=reason, change=values[1] / values[0]))
        else:
            rows.append(measured(row, *logs, final=spoiled, of="processes"))
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns",
        rows=judged(rows, MARGIN, limit, of="processes"),
        samples="processes",
        only_old=matched.only_old,
        only_new=matched.only_new,
        machines=tuple(dict(_different(pyperf.MACHINE, facts))),
        versions=tuple(_changed(pyperf.VERSIONS, facts)),
        conditions=conditions,
        options=tuple(_changed(PYPERF_OPTIONS, facts, "none")),
        notes=(*_told_of(old, names[0]), *_told_of(new, names[1]), *matched.notes),
        warning=warning,
        limit=limit,
    )


def compare_pytest(
    old: PytestResults,
    new: PytestResults,
    *,
    names: tuple[str, str] = ("old", "new"),
    limit: float | None = None,
) -> Changes:
    """Compare the benchmarks of one name in two files of pytest-benchmark: medians, and nothing surer."""
    matched = _match(old.rows, new.rows)
    facts = [(old.facts, new.facts)]
    both = [(then.options, now.options) for _, then, now in matched.pairs]
    options = [pair for pair in both if all(pair)]  # very old files tell none at all
    kinds = dict.fromkeys(name for pair in options for one in pair for name in one)
    rows = tuple(
        Change(
            name,
            "NONE",
            ONE_PROCESS,
            old_value=then.median_ns,
            new_value=now.median_ns,
            change=now.median_ns / then.median_ns,
        )
        for name, then, now in matched.pairs
    )
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns",
        rows=rows,
        only_old=matched.only_old,
        only_new=matched.only_new,
        machines=tuple(dict(_different(pytest_benchmark.MACHINE, facts))),
        versions=tuple(_changed(pytest_benchmark.VERSIONS, facts)),
        conditions=tuple(_changed(pytest_benchmark.CONDITIONS, facts)),
        options=tuple(_changed(kinds, options, "none")),
        notes=(*_told_of(old, names[0]), *_told_of(new, names[1]), *matched.notes),
        warning=ONE_PROCESS,
        limit=limit,
    )


def _match(old: Sequence[Benchmark], new: Sequence[Benchmark]) -> _Matched[Benchmark]:
    """Pair benchmarks by their full names, and tests that moved by their names.

    A full name that both files have equally often is paired in their order; one that they do not is not.
    """
    then, now = _by_full_name(old), _by_full_name(new)
    moved = _moved(then, now)
    pairs: list[tuple[str, Benchmark, Benchmark]] = []
    repeated, unclear = [], []
    for name, own in now.items():
        earlier = then.get(moved.get(name, name), [])
        if len(earlier) == len(own):
            pairs += ((max(a.label, b.label, key=len), a, b) for a, b in zip(earlier, own, strict=True))
            repeated += [name] * (len(own) > 1)
        elif earlier:
            unclear.append(f"{name} ({len(earlier)} in old, {len(own)} in new)")
    notes = (
        Note("Not compared, since one file has it more often than the other", tuple(unclear)),
        Note("Several times in each file, and paired in their order", tuple(repeated)),
        Note("Moved, and taken for the same", tuple(f"{was}, now {name}" for name, was in moved.items())),
    )
    still, before = {*now, *moved.values()}, {*then, *moved}
    return _Matched(
        pairs=tuple(pairs),
        only_old=tuple(one.label for one in old if one.full_name not in still),
        only_new=tuple(one.label for one in new if one.full_name not in before),
        notes=tuple(note for note in notes if note.names),
    )


def _by_full_name(benchmarks: Iterable[Benchmark]) -> dict[str, list[Benchmark]]:
    found: dict[str, list[Benchmark]] = {}
    for one in benchmarks:
        found.setdefault(one.full_name, []).append(one)
    return found


def _moved(then: Mapping[str, list[Benchmark]], now: Mapping[str, list[Benchmark]]) -> dict[str, str]:
    """Return where tests were, by where they are: each file has one test of that name, not the same."""
    places: list[dict[str, str]] = []
    for side in (then, now):
        counts = Counter(one.name for own in side.values() for one in own)
        places.append({own[0].name: full for full, own in side.items() if counts[own[0].name] == 1})
    was, is_ = places
    return {is_[name]: was[name] for name in is_ if name in was and is_[name] != was[name]}


def _told_of(results: PyperfResults | PytestResults, name: str) -> Iterator[Note]:
    """What must be told of one file, with its name."""
    return (replace(note, what=f"{name}: {note.what}") for note in results.notes)


def _different(
    names: Iterable[str], facts: Pairs, untold: str = ""
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Names of facts that both sides of a pair tell, and not alike, with what those pairs tell.

    ``untold`` is what a side says by not telling a fact; where that is nothing, it is not compared.
    """
    for name in names:
        both = ((told(old, name) or untold, told(new, name) or untold) for old, new in facts)
        if differ := [pair for pair in both if all(pair) and pair[0] != pair[1]]:
            yield name, differ


def _changed(names: Iterable[str], facts: Pairs, untold: str = "") -> Iterator[str]:
    """ "python version: 3.11.2, now 3.12.1"; of many pairs, what most of them tell and how many others do."""
    for name, differ in _different(names, facts, untold):
        (old, new), alike = Counter(differ).most_common(1)[0]
        share = f" ({len(differ)} of {len(facts)} benchmarks differ)" if alike < len(facts) else ""
        yield f"{name.replace('_', ' ')}: {old}, now {new}{share}"
