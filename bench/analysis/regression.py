"""What takes longer than before, and what only seems to: two runs, or two files of another tool.

The machine is not the same twice, so what is compared of two runs is each entry's ratio to its baseline:
per block the log of (median of the entry / median of the baseline), as within a run, and the drift between
the two runs, which both share, cancels. ``absolute`` compares the times themselves, with the drift in them.
What one session does to one library alone, in all of its blocks, is in no interval of either. Old and new
are independent samples; the words are those of ``bench.analysis.verdict``, with the Mann-Whitney test and
Welch's interval.

The control are the twins, adjusted for among themselves: the same code over itself, whose ratio must not
have changed. Where it has, or a run by itself gives no verdict, this gives none.

A regression is proved where the one-sided test of "longer by no more than the limit" has an adjusted p of
at most 0.05: that is a test of its own, and a SLOWER alone proves none.

pyperf starts every benchmark in many processes, so their medians are independent samples, as blocks are;
but it has no baseline beside them, so times are compared as they are. pytest-benchmark knows one process: a
ratio, without an interval or a verdict.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from bench.analysis.environment_diff import differences
from bench.analysis.statistics import ALPHA, MOST_PAIRS
from bench.analysis.summary import Summary, summarise
from bench.analysis.verdict import Effect, Word, compare, judge, measured
from bench.records.formats.foreign import Benchmark, Facts, Note, ToolResults, fact_text
from bench.records.record import Entry
from bench.records.run import Run, different_machines

OTHER_ENVIRONMENT = "the environment changed"  # why there is no verdict
MARGIN = 0.02  # for EQUIVALENT, of other tools: as a run declares it
ONE_PROCESS = "one process each: no interval, no verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Effect):
    """The new measurement over the old one: of an entry, a baseline, or another tool's benchmark."""

    name: str
    group: str = ""  # the table that it stands in
    twin: bool = False  # an A/A control
    old_value: float | None = None  # what the two say by themselves: a ratio, or nanoseconds a call
    new_value: float | None = None

    @property
    def regressed(self) -> bool:
        """Tell whether it is proved to take longer by more than the limit."""
        return self.p_regression is not None and self.p_regression <= ALPHA

    @property
    def judged(self) -> bool:
        """Tell whether there was enough to judge it by, so that a large change would have shown."""
        too_few = self.detectable is None and self.blocks_needed is not None
        return self.p is not None and not too_few


@dataclass(frozen=True, slots=True)
class Changes:
    """All that two saved results have in common, and what only one of them has."""

    old: str  # what to call it
    new: str
    unit: str  # of old_value and new_value: "ratio" to the baseline, or "ns" a call
    rows: tuple[Change, ...] = ()  # one family
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
        """Return the rows that are proved to take longer by more than the limit."""
        return tuple(row for row in self.rows if row.regressed)

    @property
    def why_no_answer(self) -> str:
        """Say why nothing was compared or, where a limit is to be kept, judged; empty where something was.

        Without this, a limit that can never be exceeded would look like one that is kept.
        """
        if not self.rows:
            return "the two have nothing in common that compares"
        if any(row.ratio is not None if self.limit is None else row.judged for row in self.rows):
            return ""
        return self.warning or self.rows[0].reason


def compare_runs(
    before: Run,
    after: Run,
    *,
    names: tuple[str, str] = ("old", "new"),
    absolute: bool = False,
    any_environment: bool = False,
    limit: float | None = None,
) -> Changes:
    """Compare every entry of two runs: the same arm on the same case, in the same group.

    The seed of the data may be another one: it is the same work.
    """
    old, new = summarise(before), summarise(after)
    versions, conditions = differences(before, after)
    then, now, margin = before.entries, after.entries, after.plan.margin
    shared = [entry for entry in now.values() if _same(then.get(entry.id), entry)]
    baselines = dict.fromkeys(entry.baseline for entry in shared if entry.baseline is not None)
    drafts = {
        entry.id: _change(old, new, entry, entry.id if absolute else entry.baseline or entry.id)
        for entry in shared
        if absolute or entry.baseline is not None
    }
    twins = judge((draft for draft in drafts.values() if draft.twin), margin)
    rows = [draft for draft in drafts.values() if not draft.twin]
    word, warning = _control(old, new, () if absolute else twins)
    if not warning and conditions and not any_environment:
        word, warning = "NONE", OTHER_ENVIRONMENT
    if warning:
        rows = [row if row.p is None else replace(row, verdict=word, reason=warning, p=None) for row in rows]
    drifts = [] if absolute else [_change(old, new, now[name], name, judged=False) for name in baselines]
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns" if absolute else "ratio",
        rows=judge(rows, margin, limit=limit),
        baselines=tuple(drifts),
        twins=twins,
        only_old=tuple(_only(then, now)),
        only_new=tuple(_only(now, then)),
        without_baseline={
            entry.id: entry.group for entry in shared if entry.id not in drafts and entry.id not in baselines
        },
        machines=tuple(different_machines([before, after])),
        versions=(*versions, *_other_inputs(old, new, shared)),
        conditions=conditions,
        warning=warning,
        limit=limit,
    )


def _same(before: Entry | None, now: Entry) -> bool:
    if before is None:
        return False
    cases = [replace(entry.case, seed=0) for entry in (before, now)]
    return (before.arm, before.group, cases[0]) == (now.arm, now.group, cases[1])


def _only(these: Mapping[str, Entry], others: Mapping[str, Entry]) -> Iterator[str]:
    """Yield entries that the others lack; with the case where they have one of that name for other work."""
    for entry in these.values():
        if not _same(others.get(entry.id), entry):
            yield f"{entry.id} ({entry.case})" if entry.id in others else entry.id


def _change(old: Summary, new: Summary, entry: Entry, reference: str, *, judged: bool = True) -> Change:
    """Return the change of an entry's ratio to a reference; where that is itself, of its time.

    A verdict INVALID, MISSING or NONE is final where there is no p, as nowhere unless ``judged``.
    """
    change = Change(name=entry.id, group=entry.group, twin=new.run.arms[entry.arm].twin)
    if not _same(old.run.entries.get(reference), new.run.entries[reference]):
        return replace(change, verdict="MISSING", reason="its baseline is not the same in both runs")
    final, samples = not judged, list[Sequence[float]]()
    values: list[float | None] = []
    for side, which in ((new, "new run"), (old, "old run")):
        own = compare(side.run, side.outcomes, entry.id, reference)
        logs, value = own.log_ratios, own.ratio
        if entry.id == reference:
            logs = tuple(math.log(time) for time in side.outcomes[reference].medians.values())
            value = math.exp(median(logs)) if logs else None
        samples.insert(0, logs)
        values.insert(0, value)
        if own.p is None and (judged or not logs):
            reason = f"{which}: {own.reason}"
            change = replace(change, verdict=own.verdict, reason=reason, left_out=own.left_out)
            final = True
    if not all(samples):
        return change
    return measured(replace(change, old_value=values[0], new_value=values[1]), *samples, final=final)


def _control(old: Summary, new: Summary, twins: Iterable[Change]) -> tuple[Word, str]:
    """Return why no row may be believed; empty where they may."""
    for control, which in ((old.control, "old run"), (new.control, "new run")):
        if control.failure:
            return "INVALID", f"the {which} gives no verdict by itself: {control.failure}"
        if control.bias:
            return "INVALID", f"the A/A control of the {which} differs by more than chance"
    for twin in twins:
        if twin.p_holm is not None and twin.p_holm <= ALPHA:
            return "INVALID", (
                "the A/A control failed: the same code was measured twice in both runs, and yet the ratio of "
                f"its times changed by a factor of {twin.ratio:.4g}"
            )
    return "NONE", ""


def _other_inputs(old: Summary, new: Summary, shared: list[Entry]) -> Iterator[str]:
    """Yield that the same case came as other bytes, where it did."""
    digests = [(old.outcomes[entry.id].digests, new.outcomes[entry.id].digests) for entry in shared]
    alike = [then == now for then, now in digests if then and now]
    if not all(alike):
        count = f"{alike.count(False)} of {len(alike)}"
        yield f"inputs: other bytes for {count} entries (another seed, or a library that rounds otherwise)"


# files of other tools

Pairs = Sequence[tuple[Benchmark, Benchmark]]  # old and new


def compare_files(
    old: ToolResults,
    new: ToolResults,
    *,
    names: tuple[str, str] = ("old", "new"),
    any_environment: bool = False,
    limit: float | None = None,
) -> Changes:
    """Compare the benchmarks of one name in two files of one tool, by the medians of their processes."""
    tool = new.tool
    pairs, unpaired, notes = _match(old.benchmarks, new.benchmarks)
    facts = [(then.facts, now.facts) for then, now in pairs] or [(old.facts, new.facts)]
    conditions = tuple(_changed(tool.conditions, facts))
    spoiled = bool(conditions) and not any_environment
    warning = ONE_PROCESS if tool.one_process else OTHER_ENVIRONMENT if spoiled else ""
    rows = []
    for pair in pairs:
        logs = [[math.log(time) for time in benchmark.medians_ns] for benchmark in pair]
        was, now = (math.exp(median(sample)) for sample in logs)
        name = max((benchmark.label for benchmark in pair), key=len)
        row = Change(name=name, reason=warning, old_value=was, new_value=now)
        if tool.one_process:
            row = replace(row, ratio=now / was)
        elif math.prod(map(len, logs)) > MOST_PAIRS:
            reason = f"{len(logs[0])} and {len(logs[1])} processes are too many for the exact test"
            row = replace(row, reason=reason, ratio=now / was)
        else:
            row = measured(row, *logs, final=spoiled, of="processes")
        rows.append(row)
    told_how = [pair for pair in facts if all(any(name in of for name in tool.measured) for of in pair)]
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns",
        rows=judge(rows, MARGIN, limit=limit, of="processes"),
        samples="processes",
        only_old=unpaired[0],
        only_new=unpaired[1],
        machines=tuple(dict(_different(tool.machine, facts))),
        versions=tuple(_changed(tool.versions, facts)),
        conditions=conditions,
        options=tuple(_changed(tool.measured, told_how, "none")),  # very old files tell nothing of it
        notes=(
            *(replace(note, what=f"{names[0]}: {note.what}") for note in old.notes),
            *(replace(note, what=f"{names[1]}: {note.what}") for note in new.notes),
            *notes,
        ),
        warning=warning,
        limit=limit,
    )


def _match(
    old: Sequence[Benchmark], new: Sequence[Benchmark]
) -> tuple[Pairs, tuple[tuple[str, ...], tuple[str, ...]], list[Note]]:
    """Pair benchmarks by their full names, and tests that moved by their names.

    A full name that both files have equally often is paired in their order; one that they do not is not.

    Returns:
        The pairs, what only the old and only the new file has, and what must be told of the pairing.
    """
    then, now = _by_full_name(old), _by_full_name(new)
    moved = _moved(then, now)
    then = {moved.get(name, name): own for name, own in then.items()}
    pairs: list[tuple[Benchmark, Benchmark]] = []
    repeated, unclear = [], []
    for name in (name for name in now if name in then):
        if len(then[name]) == len(now[name]):
            pairs += zip(then[name], now[name], strict=True)
            repeated += [name] * (len(now[name]) > 1)
        else:
            unclear.append(f"{name} ({len(then[name])} in old, {len(now[name])} in new)")
    notes = (
        Note("Not compared, since one file has it more often than the other", tuple(unclear)),
        Note("Several times in each file, and paired in their order", tuple(repeated)),
        Note("Moved, and taken for the same", tuple(f"{was}, now {is_}" for was, is_ in moved.items())),
    )
    only = [
        tuple(benchmark.label for name, own in these.items() if name not in others for benchmark in own)
        for these, others in ((then, now), (now, then))
    ]
    return pairs, (only[0], only[1]), [note for note in notes if note.names]


def _by_full_name(benchmarks: Iterable[Benchmark]) -> dict[str, list[Benchmark]]:
    by_name: dict[str, list[Benchmark]] = defaultdict(list)
    for benchmark in benchmarks:
        by_name[benchmark.full_name].append(benchmark)
    return by_name


def _moved(then: Mapping[str, list[Benchmark]], now: Mapping[str, list[Benchmark]]) -> dict[str, str]:
    """Return where tests are, by where they were: each file has one test of that name, not the same."""
    places: list[dict[str, str]] = []
    for side in (then, now):
        counts = Counter(benchmark.name for own in side.values() for benchmark in own)
        places.append({own[0].name: full for full, own in side.items() if counts[own[0].name] == 1})
    was, is_ = places
    return {was[name]: is_[name] for name in is_ if name in was and is_[name] != was[name]}


def _different(
    names: Iterable[str], facts: Sequence[tuple[Facts, Facts]], untold: str = ""
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield names of facts that both sides of a pair tell, and not alike, with what those pairs tell.

    ``untold`` is what a side says by not telling a fact; where that is nothing, it is not compared.
    """
    for name in names:
        both = ((fact_text(old, name) or untold, fact_text(new, name) or untold) for old, new in facts)
        if differ := [pair for pair in both if all(pair) and pair[0] != pair[1]]:
            yield name, differ


def _changed(names: Iterable[str], facts: Sequence[tuple[Facts, Facts]], untold: str = "") -> Iterator[str]:
    """Yield "python version: 3.11.2, now 3.12.1": of many pairs, what most tell and how many differ."""
    for name, differ in _different(names, facts, untold):
        (old, new), alike = Counter(differ).most_common(1)[0]
        share = f" ({len(differ)} of {len(facts)} benchmarks differ)" if alike < len(facts) else ""
        yield f"{name.replace('_', ' ')}: {old}, now {new}{share}"
