"""Find what takes longer than before, between two runs or two files of another tool.

The state of a machine never repeats exactly. So two runs are compared by each entry's ratio to its baseline:
per block the log of (median of the entry / median of the baseline), as within a run. A drift between the runs
that both entries share cancels. ``absolute`` compares the times themselves, including the drift. If a session
affects one library alone, in all its blocks, no interval contains this effect. Old and new are independent
samples; the verdicts are those of ``bench.analysis.verdict``, with the Mann-Whitney test and Welch's
interval.

The controls are the twins, judged as a family: the ratio of the same code to itself must not have changed. If
the ratio has changed, or one of the runs alone gives no verdict, the comparison gives no verdict.

A regression is proved if the one-sided test of "longer by no more than the limit" has an adjusted p of at
most 0.05. This is a separate test: the verdict SLOWER alone proves no regression.

pyperf starts every benchmark in many processes; their medians are independent samples, like blocks. pyperf
has no baseline beside them, so the times themselves are compared. pytest-benchmark uses one process: the
result is a ratio, without an interval or a verdict.
"""

import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from bench.analysis.environment_diff import differences
from bench.analysis.statistics import ALPHA, MAX_PAIRS
from bench.analysis.summary import Summary, summarise
from bench.analysis.verdict import Effect, Word, compare, judge, measured
from bench.machine.wording import listing
from bench.records.formats.foreign import Benchmark, Facts, Note, ToolResults, fact_text
from bench.records.record import Entry
from bench.records.run import Run, different_machines

OTHER_ENVIRONMENT = "the environment changed"  # reason for no verdict
MARGIN = 0.02  # of equivalence, for other tools; the same as in a run
ONE_PROCESS = "one process each: no interval, no verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Effect):
    """Hold the new measurement over the old one, of an entry, a baseline or another tool's benchmark."""

    name: str
    group: str = ""  # the table of the entry
    twin: bool = False  # an A/A control
    old_value: float | None = None  # the values of the two: a ratio, or nanoseconds per call
    new_value: float | None = None

    @property
    def regressed(self) -> bool:
        """Return whether the time is proved to be longer by more than the limit."""
        return self.p_regression is not None and self.p_regression <= ALPHA

    @property
    def judged(self) -> bool:
        """Return whether there were enough data to detect a large change."""
        too_few = self.detectable is None and self.blocks_needed is not None
        return self.p is not None and not too_few


@dataclass(frozen=True, slots=True)
class Changes:
    """Hold what two saved results have in common, and what only one of them has."""

    old: str  # display name of the old result
    new: str
    unit: str  # of old_value and new_value: "ratio" to the baseline, or "ns" per call
    rows: tuple[Change, ...] = ()  # one family
    samples: str = "blocks"  # or "processes": the independent units
    baselines: tuple[Change, ...] = ()  # changes of their times, without a verdict
    twins: tuple[Change, ...] = ()
    only_old: tuple[str, ...] = ()
    only_new: tuple[str, ...] = ()
    # entry without a ratio -> its table; the times of the entry can be compared
    without_baseline: Mapping[str, str] = field(default_factory=dict)
    machines: tuple[str, ...] = ()  # facts in which the machines differ
    versions: tuple[str, ...] = ()  # changed versions
    conditions: tuple[str, ...] = ()  # other changes that affect speed
    options: tuple[str, ...] = ()  # changed settings of another tool's measurement
    notes: tuple[Note, ...] = ()  # on the files of another tool
    warning: str = ""  # why no row has a verdict; empty if rows may have one
    limit: float | None = None  # 0.05: a regression takes over 5 % longer
    origins: tuple[Mapping[str, str], ...] = ()  # of old and of new: when, by which command, on what

    @property
    def regressions(self) -> tuple[Change, ...]:
        """Return the rows that are proved to take longer by more than the limit."""
        return tuple(row for row in self.rows if row.regressed)

    @property
    def why_no_answer(self) -> str:
        """Return why nothing was compared, or, with a limit, why nothing was judged; else an empty text.

        Without this text, a limit that the data can never exceed would look like a limit that is kept.
        """
        if not self.rows:
            return f"the two have nothing in common that compares{f': {self.warning}' * bool(self.warning)}"
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
    """Compare every entry of two runs: same arm, same case, same group.

    The seed of the data may differ: the work is the same.
    """
    old, new = summarise(before), summarise(after)
    versions, conditions = differences(before, after)
    old_entries, new_entries, margin = before.entries, after.entries, after.plan.margin
    shared = [entry for entry in new_entries.values() if _same_work(old_entries.get(entry.id), entry)]
    baselines = dict.fromkeys(entry.baseline for entry in shared if entry.baseline is not None)
    drafts = {
        entry.id: _change(old, new, entry, entry.id if absolute else entry.baseline or entry.id)
        for entry in shared
        if absolute or entry.baseline is not None
    }
    twins = judge((draft for draft in drafts.values() if draft.twin), margin)
    rows = [draft for draft in drafts.values() if not draft.twin]
    verdict, warning = _control(old, new, () if absolute else twins)
    if not shared and (cells := [_cell(run) for run in (before, after)])[0] != cells[1]:
        warning = f"the old run is of {cells[0]}, the new run of {cells[1]}"
    if not warning and conditions and not any_environment:
        verdict, warning = "NONE", OTHER_ENVIRONMENT
    if warning:
        rows = [
            row if row.p is None else replace(row, verdict=verdict, reason=warning, p=None) for row in rows
        ]
    drifts = (
        [] if absolute else [_change(old, new, new_entries[name], name, judged=False) for name in baselines]
    )
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns" if absolute else "ratio",
        rows=judge(rows, margin, limit=limit),
        baselines=tuple(drifts),
        twins=twins,
        only_old=tuple(_missing_entries(old_entries, new_entries)),
        only_new=tuple(_missing_entries(new_entries, old_entries)),
        without_baseline={
            entry.id: entry.group for entry in shared if entry.id not in drafts and entry.id not in baselines
        },
        machines=tuple(different_machines([before, after])),
        versions=(*versions, *_changed_inputs(old, new, shared)),
        conditions=conditions,
        warning=warning,
        limit=limit,
        origins=(_origin(old), _origin(new)),
    )


def _origin(summary: Summary) -> dict[str, str]:
    """Return when and how a run was measured, and on what; without unknown facts."""
    machine, plan = summary.run.environment.machine, summary.run.plan
    packages = (machine.get("packages") or {}).items()
    facts = {
        "started": plan.started_utc,
        "command": shlex.join(plan.command),
        "measured": summary.counted,
        **{name: machine.get(name) for name in ("processor", "usable_cpus", "system", "python")},
        "packages": ", ".join(f"{name} {version}" for name, version in packages),
    }
    return {name.replace("_", " "): str(fact) for name, fact in facts.items() if fact not in (None, "")}


def _cell(run: Run) -> str:
    """Return the cells of a run, with what is said of their biases."""
    cases = dict.fromkeys((entry.case.cell, entry.case.bias) for entry in run.entries.values())
    return listing([f"{cell} {'with' if bias else 'without'} biases" for cell, bias in cases])


def _same_work(before: Entry | None, now: Entry) -> bool:
    if before is None:
        return False
    cases = [replace(entry.case, seed=0) for entry in (before, now)]
    return (before.arm, before.group, cases[0]) == (now.arm, now.group, cases[1])


def _missing_entries(these: Mapping[str, Entry], others: Mapping[str, Entry]) -> Iterator[str]:
    """Yield the entries that the others lack, with the case if their entry of that id does other work."""
    for entry in these.values():
        if not _same_work(others.get(entry.id), entry):
            yield f"{entry.id} ({entry.case})" if entry.id in others else entry.id


def _change(old: Summary, new: Summary, entry: Entry, reference: str, *, judged: bool = True) -> Change:
    """Return the change of an entry's ratio to a reference; if the entry is the reference, of its time.

    A verdict INVALID, MISSING or NONE without a p is final; without ``judged`` there is never a p.
    """
    change = Change(name=entry.id, group=entry.group, twin=new.run.arms[entry.arm].twin)
    if not _same_work(old.run.entries.get(reference), new.run.entries[reference]):
        return replace(change, verdict="MISSING", reason="its baseline is not the same in both runs")
    final, samples = not judged, list[Sequence[float]]()
    values: list[float | None] = []
    for side, run_name in ((new, "new run"), (old, "old run")):
        comparison = compare(side.run, side.outcomes, entry.id, reference)
        logs, value = comparison.log_ratios, comparison.ratio
        if entry.id == reference:
            logs = tuple(math.log(time) for time in side.outcomes[reference].medians.values())
            value = math.exp(median(logs)) if logs else None
        samples.insert(0, logs)
        values.insert(0, value)
        if comparison.p is None and (judged or not logs):
            reason = f"{run_name}: {comparison.reason}"
            change = replace(change, verdict=comparison.verdict, reason=reason, left_out=comparison.left_out)
            final = True
    if not all(samples):
        return change
    return measured(replace(change, old_value=values[0], new_value=values[1]), *samples, final=final)


def _control(old: Summary, new: Summary, twins: Iterable[Change]) -> tuple[Word, str]:
    """Return a verdict and the reason why no row may be trusted; an empty reason if rows may be."""
    for control, run_name in ((old.control, "old run"), (new.control, "new run")):
        if control.failure:
            return "INVALID", f"the {run_name} gives no verdict by itself: {control.failure}"
        if control.bias:
            return "INVALID", f"the A/A control of the {run_name} differs by more than chance"
    for twin in twins:
        if twin.p_holm is not None and twin.p_holm <= ALPHA:
            return "INVALID", (
                "the A/A control failed: the same code was measured twice in both runs, and yet the ratio of "
                f"its times changed by a factor of {twin.ratio:.4g}"
            )
    return "NONE", ""


def _changed_inputs(old: Summary, new: Summary, shared: list[Entry]) -> Iterator[str]:
    """Yield a clause if the same cases had different input data in the two runs."""
    digests = [(old.outcomes[entry.id].digests, new.outcomes[entry.id].digests) for entry in shared]
    same_bytes = [before == after for before, after in digests if before and after]
    if not all(same_bytes):
        count = f"{same_bytes.count(False)} of {len(same_bytes)}"
        yield f"inputs: other bytes for {count} entries (another seed, or a library that rounds otherwise)"


# comparison of files of other tools

Pairs = Sequence[tuple[Benchmark, Benchmark]]  # (old, new)


def compare_files(
    old: ToolResults,
    new: ToolResults,
    *,
    names: tuple[str, str] = ("old", "new"),
    any_environment: bool = False,
    limit: float | None = None,
) -> Changes:
    """Compare benchmarks of the same name in two files of one tool, by the medians of their processes."""
    tool = new.tool
    pairs, unpaired, notes = _match(old.benchmarks, new.benchmarks)
    facts = [(before.facts, after.facts) for before, after in pairs] or [(old.facts, new.facts)]
    conditions = tuple(_changed(tool.conditions, facts))
    spoiled = bool(conditions) and not any_environment
    warning = ONE_PROCESS if tool.one_process else OTHER_ENVIRONMENT if spoiled else ""
    rows = []
    for pair in pairs:
        logs = [[math.log(time) for time in benchmark.medians_ns] for benchmark in pair]
        old_ns, new_ns = (math.exp(median(sample)) for sample in logs)
        name = max((benchmark.label for benchmark in pair), key=len)
        row = Change(name=name, reason=warning, old_value=old_ns, new_value=new_ns)
        if tool.one_process:
            row = replace(row, ratio=new_ns / old_ns)
        elif math.prod(map(len, logs)) > MAX_PAIRS:
            reason = f"{len(logs[0])} and {len(logs[1])} processes are too many for the exact test"
            row = replace(row, reason=reason, ratio=new_ns / old_ns)
        else:
            row = measured(row, *logs, final=spoiled, of="processes")
        rows.append(row)
    with_settings = [
        pair for pair in facts if all(any(name in side for name in tool.measured) for side in pair)
    ]
    return Changes(
        old=names[0],
        new=names[1],
        unit="ns",
        rows=judge(rows, MARGIN, limit=limit, of="processes"),
        samples="processes",
        only_old=unpaired[0],
        only_new=unpaired[1],
        machines=tuple(dict(_differing_facts(tool.machine, facts))),
        versions=tuple(_changed(tool.versions, facts)),
        conditions=conditions,
        options=tuple(_changed(tool.measured, with_settings, "none")),  # very old files contain no settings
        notes=(
            *(replace(note, what=f"{names[0]}: {note.what}") for note in old.notes),
            *(replace(note, what=f"{names[1]}: {note.what}") for note in new.notes),
            *notes,
        ),
        warning=warning,
        limit=limit,
        origins=tuple(
            {name: text for name in (*tool.machine, *tool.versions) if (text := fact_text(side.facts, name))}
            for side in (old, new)
        ),
    )


def _match(
    old: Sequence[Benchmark], new: Sequence[Benchmark]
) -> tuple[Pairs, tuple[tuple[str, ...], tuple[str, ...]], list[Note]]:
    """Pair benchmarks by their full names, and moved tests by their names, if both do the same work.

    If a full name is equally frequent in both files, its benchmarks are paired in order; else they are not.

    Returns:
        The pairs, the benchmarks of only the old and only the new file, and the notes on the pairing.
    """
    old_by_name, new_by_name = _by_full_name(old), _by_full_name(new)
    moved = _moved_names(old_by_name, new_by_name)
    old_by_name = {moved.get(name, name): benchmarks for name, benchmarks in old_by_name.items()}
    pairs: list[tuple[Benchmark, Benchmark]] = []
    repeated, uneven = [], []
    for name in (name for name in new_by_name if name in old_by_name):
        if len(old_by_name[name]) == len(new_by_name[name]):
            pairs += zip(old_by_name[name], new_by_name[name], strict=True)
            repeated += [name] * (len(new_by_name[name]) > 1)
        else:
            uneven.append(f"{name} ({len(old_by_name[name])} in old, {len(new_by_name[name])} in new)")
    same_work, other_work = [], []
    for pair in pairs:
        works = [benchmark.own.work for benchmark in pair if benchmark.own]
        if len(set(works)) > 1:
            other_work.append(f"{pair[1].full_name} ({', now '.join(works)})")
        else:
            same_work.append(pair)
    notes = (
        Note("Not compared, since the work differs", tuple(other_work)),
        Note("Not compared, since one file has it more often than the other", tuple(uneven)),
        Note("Several times in each file, and paired in their order", tuple(repeated)),
        Note(
            "Moved, and taken for the same",
            tuple(f"{before}, now {after}" for before, after in moved.items()),
        ),
    )
    only_labels = [
        tuple(
            benchmark.label
            for name, benchmarks in side.items()
            if name not in others
            for benchmark in benchmarks
        )
        for side, others in ((old_by_name, new_by_name), (new_by_name, old_by_name))
    ]
    return same_work, (only_labels[0], only_labels[1]), [note for note in notes if note.names]


def _by_full_name(benchmarks: Iterable[Benchmark]) -> dict[str, list[Benchmark]]:
    by_name: dict[str, list[Benchmark]] = defaultdict(list)
    for benchmark in benchmarks:
        by_name[benchmark.full_name].append(benchmark)
    return by_name


def _moved_names(then: Mapping[str, list[Benchmark]], now: Mapping[str, list[Benchmark]]) -> dict[str, str]:
    """Return old full name -> new full name of each test whose name is unique in both files, if moved."""
    full_names: list[dict[str, str]] = []
    for side in (then, now):
        counts = Counter(benchmark.name for benchmarks in side.values() for benchmark in benchmarks)
        full_names.append(
            {
                benchmarks[0].name: full_name
                for full_name, benchmarks in side.items()
                if counts[benchmarks[0].name] == 1
            }
        )
    old_names, new_names = full_names
    return {
        old_names[name]: new_names[name]
        for name in new_names
        if name in old_names and new_names[name] != old_names[name]
    }


def _differing_facts(
    names: Iterable[str], facts: Sequence[tuple[Facts, Facts]], untold: str = ""
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the names of facts that differ within a pair, with the differing pairs of texts.

    ``untold`` is the text of a missing fact; if empty, a missing fact is not compared.
    """
    for name in names:
        texts = ((fact_text(old, name) or untold, fact_text(new, name) or untold) for old, new in facts)
        if different := [pair for pair in texts if all(pair) and pair[0] != pair[1]]:
            yield name, different


def _changed(names: Iterable[str], facts: Sequence[tuple[Facts, Facts]], untold: str = "") -> Iterator[str]:
    """Yield "python version: 3.11.2, now 3.12.1"; of many pairs, the most frequent and how many differ."""
    for name, different in _differing_facts(names, facts, untold):
        (old, new), n_alike = Counter(different).most_common(1)[0]
        share = f" ({len(different)} of {len(facts)} benchmarks differ)" if n_alike < len(facts) else ""
        yield f"{name.replace('_', ' ')}: {old}, now {new}{share}"
