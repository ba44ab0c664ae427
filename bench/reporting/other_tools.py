"""Build the article on a file of another tool: times and ratios, for pyperf with intervals; no verdict."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.statistics import MAX_PAIRS, Interval, median_interval, rank_interval
from bench.machine import units, wording
from bench.records.formats.foreign import (
    PYPERF,
    PYTEST_BENCHMARK,
    Benchmark,
    Note,
    Origin,
    Own,
    ToolResults,
    fact_text,
)
from bench.reporting import tables, words
from bench.reporting.article import MAX_PLOTS, slug
from bench.reporting.plots import Mark
from bench.reporting.section import Article, Cell, Fields, Hero, Section, text_table
from bench.workload.catalog import BASELINE, by_role

MAX_TABLE_ROWS = 2000  # in a table; a page with more rows is slow to read and to sort
MAX_DOTS = 500  # in a row; of more processes, every second, third and so on is drawn
FROM_PROCESSES = "from the medians of each process"  # the basis of a ratio's interval
AS_WRITTEN = {variant.name for variant in by_role("as_written")}
# warnings about the numbers of a file
CAUTIONS: Mapping[tuple[str, Origin], str] = {
    (PYPERF.name, "stranger"): "one benchmark after the other, so that drift of the machine in between "
    "is in their difference: no verdict; rnnbench run measures two variants side by side",
    (PYPERF.name, "export"): "an export of a run, whose ratios have the interval of two independent "
    "samples and no verdict; the journal compares block by block, and has both",
    (PYTEST_BENCHMARK.name, "stranger"): "one process, fixed order: times without an interval, no verdict",
    (PYTEST_BENCHMARK.name, "plugin"): "one process, fixed order, both libraries loaded: ratios without "
    "an interval, no verdict; rnnbench run gives both",
    (PYTEST_BENCHMARK.name, "export"): "an export of a run: ratios without an interval, no verdict; the "
    "journal has both",
}
ORIGIN_TITLES: Mapping[Origin, str] = {
    "stranger": "A file of {}",
    "plugin": "By {}",
    "export": "By rnnbench, exported for {}",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Hold a benchmark and its ratio to the baseline; the baseline itself has no ratio."""

    benchmark: Benchmark
    own: Own | None
    name: str
    median: Interval  # of the processes' medians, in nanoseconds
    baseline: Benchmark | None
    ratio: Interval | None

    @property
    def ratio_text(self) -> str:
        """Return the ratio with its limits, if there are limits: "3.65 [3.61, 3.70]"."""
        return units.with_interval(self.ratio.estimate, *self.ratio.limits) if self.ratio else units.NOTHING

    @property
    def as_written(self) -> bool:
        """Return whether this has a ratio and is the usual form of its library."""
        return self.ratio is not None and self.own is not None and self.own.variant in AS_WRITTEN

    @property
    def is_baseline(self) -> bool:
        """Return whether other benchmarks are compared with this benchmark."""
        return self.own is not None and self.own.is_baseline

    @property
    def known_wrong(self) -> bool:
        """Return whether the gradient is known to be wrong."""
        return self.own is not None and self.own.known_wrong


def tool_article(results: ToolResults, name: str, anchor: str, *, prefix: str = "") -> Article:
    """Return the article on a file; ``name`` is the file's name, ``prefix`` starts the names of its plots."""
    tool, facts, rows = results.tool, results.facts, _rows(results.benchmarks)
    processor = next(filter(None, (fact_text(facts, field) for field in tool.processor)), "")
    cpus = fact_text(facts, tool.cpus)
    is_count = len(cpus) < 10 and cpus.isascii() and cpus.isdecimal()
    machine = words.machine({"processor": processor, "cpus": int(cpus) if is_count else None})
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.benchmark.group, []).append(row)
    if len(groups) > MAX_PLOTS:
        groups = {"": rows}
    main_row = _main_row(rows)
    times = Section(
        id="times",
        title="How long does each take?",
        parts=tuple(_part(group, groups[group], n, prefix) for n, group in enumerate(groups, start=1)),
    )
    pairs = tuple(
        (title, wording.short(fact))
        for title, *names in tool.environment
        if (fact := " ".join(fact_text(facts, name) for name in names).strip())
    )
    notes = tuple(map(words.note, (*results.notes, *_repeated(results.benchmarks))))
    caveat = "no interval" if tool.one_process else "no verdict"
    return Article(
        anchor=anchor,
        kind=ORIGIN_TITLES[results.origin].format(tool.name),
        name=name,
        machine=machine,
        hero=_hero(main_row, len(rows), machine, "no interval" if tool.one_process else FROM_PROCESSES),
        banners=(f"{tool.name}: {CAUTIONS[tool.name, results.origin]}.",),
        warnings=notes,
        sections=(times, *[Section(id="machine", title="On which machine?", pairs=pairs)] * bool(pairs)),
        summary=tuple(f"{name}: {note}" for note in notes),
        overview=(
            Cell(f"{main_row.ratio_text}: {caveat}" if main_row and main_row.as_written else units.NOTHING),
            *[Cell(units.NOTHING)] * 3,
        ),
        machine_facts={
            "processor": facts.get(tool.processor[0], ()),
            "cpus": facts.get(tool.cpus, ()),
            "host": facts.get(tool.host, ()),
        },
    )


def _rows(benchmarks: Sequence[Benchmark]) -> list[Row]:
    """Return all benchmarks; those of this project with the ratio to the baseline of the same work."""

    def work(group: str, own: Own) -> object:
        return group, own.work, own.shape, own.threads

    with_own = [(benchmark, benchmark.own) for benchmark in reversed(benchmarks) if benchmark.own]
    baselines = {work(benchmark.group, own): benchmark for benchmark, own in with_own if own.is_baseline}
    rows = []
    for benchmark in benchmarks:
        own = benchmark.own
        baseline = baselines.get(work(benchmark.group, own)) if own else None
        ratio = _ratio(benchmark, baseline) if baseline and baseline is not benchmark else None
        name = wording.short(own.variant if own else benchmark.label)
        rows.append(Row(benchmark, own, name, median_interval(benchmark.medians_ns), baseline, ratio))
    return rows


def _ratio(benchmark: Benchmark, baseline: Benchmark) -> Interval | None:
    """Return the time over the baseline's time, from the processes; None with too many pairs of processes."""
    if len(benchmark.medians_ns) * len(baseline.medians_ns) > MAX_PAIRS:
        return None
    return rank_interval(np.log(baseline.medians_ns), np.log(benchmark.medians_ns)).exp()


def _main_row(rows: Iterable[Row]) -> Row | None:
    """Return the row for the answer: another library's variant as usually written, else its first variant."""
    candidates = [
        row
        for row in rows
        if row.ratio and row.own and row.baseline and row.baseline.own
        and row.own.library != row.baseline.own.library
    ]  # fmt: skip
    return next((row for row in candidates if row.as_written), candidates[0] if candidates else None)


def _hero(main: Row | None, count: int, machine: str, sure: str) -> Hero:
    """Return the main ratio with all caveats, or that nothing was compared."""
    here = f"On this machine ({machine}), "
    if main is None or main.own is None or main.ratio is None or main.baseline is None:
        benchmarks = wording.count(count, "benchmark")
        measured = f"{here}{benchmarks}, none of them another library's against {BASELINE}."
        return Hero("Nothing was compared", facts=(("What was measured", measured),))
    slower, faster = (main.name, BASELINE) if main.ratio.estimate >= 1 else (BASELINE, main.name)
    factor, *limits = units.above_1(main.ratio.estimate, *main.ratio.limits)
    baseline_ns = float(np.median(main.baseline.medians_ns))
    times = f"{BASELINE} {units.duration(baseline_ns)}, {main.name} {units.duration(main.median.estimate)}"
    measured = (
        f"{here}{faster} measured {units.with_interval(factor, *limits)} times faster than {slower}: {times} "
        f"a call ({main.own.shape}; {main.own.dtype}; {_where(main.own)})."
    )
    title = f"{faster} measured {units.ratio(factor)} times faster than {slower}"
    return Hero(title, "no verdict", small=(sure,), facts=(("What was measured", measured),))


def _where(own: Own) -> str:
    """Return a place: "cpu, threads: 1"."""
    return wording.short(own.device) + ("" if own.threads is None else f", threads: {own.threads}")


def _repeated(benchmarks: Iterable[Benchmark]) -> tuple[Note, ...]:
    """Return a note on full names that occur more than once; nothing if all are different."""
    counts = Counter(benchmark.full_name for benchmark in benchmarks)
    repeated = tuple(name for name, number in counts.items() if number > 1)
    return (Note("There more than once under the same full name", repeated),) if repeated else ()


def _part(group: str, rows: Iterable[Row], number: int, prefix: str) -> Section:
    """Return the section on a group of benchmarks: a plot, unless the rows are too many, and a table."""
    rows = sorted(rows, key=lambda row: row.median.estimate)
    title = wording.short(group) if group else "benchmarks"
    left_out = wording.count(max(0, len(rows) - MAX_TABLE_ROWS), "more benchmark")
    note = f"{left_out} of the file, which take longer, are not shown." * (len(rows) > MAX_TABLE_ROWS)
    drawings = tables.dot_plot(f"{prefix}{number}-{slug(group) or 'benchmarks'}", tuple(map(_mark, rows)))
    table = text_table(title, _fields(group), rows[:MAX_TABLE_ROWS], note)
    return Section(id=f"times-{number}", title=title, drawings=drawings, tables=(table,))


def _mark(row: Row) -> Mark:
    medians, (low, high) = row.benchmark.medians_ns, row.median.limits
    return Mark(
        label=row.name + " (known wrong gradient)" * row.known_wrong,
        library=row.own.library if row.own else "",
        section="",
        time_ns=row.median.estimate,
        low_ns=low,
        high_ns=high,
        blocks_ns=medians[:: 1 + len(medians) // MAX_DOTS] if len(medians) > 1 else (),
        text="baseline" if row.is_baseline else row.ratio_text if row.ratio else "",
        hollow=row.known_wrong,
        baseline=row.is_baseline,
    )


def _fields(group: str) -> Fields[Row]:
    """Return the columns of a group's table; a table of several groups names the group of each row."""

    def variant(row: Row) -> Cell:
        remarks = ["baseline"] * row.is_baseline + ["known wrong gradient"] * row.known_wrong
        remarks += [wording.short(row.benchmark.group)] * (row.benchmark.group != group)
        return Cell(row.name, ", ".join(remarks), library=row.own.library if row.own else "")

    def limits(row: Row) -> str:
        return f"[{units.duration(row.median.low)}, {units.duration(row.median.high)}]" * row.median.finite

    def rate(row: Row) -> Cell:
        samples = row.own.shape.B / (row.median.estimate * 1e-9) if row.own else None
        return Cell.of(samples, units.rate)

    def counts(row: Row) -> str:
        values, calls, processes = row.benchmark.values, row.benchmark.calls, len(row.benchmark.medians_ns)
        numbers = (processes, values // processes, calls) if values and calls else ()
        return " × ".join(map(units.whole, numbers))

    def proof(row: Row) -> str:
        errors = row.own.errors if row.own else {}
        worst = max(errors, key=lambda name: errors[name], default="")
        return f"largest error: {wording.short(worst)} {units.error(errors[worst])}" if errors else ""

    return {
        "Benchmark": variant,
        "Where": lambda row: _where(row.own) if row.own else "",
        "Dtype": lambda row: wording.short(row.own.dtype) if row.own else "",
        "Median a call": lambda row: Cell.of(row.median.estimate, units.duration),
        "95 % interval": limits,
        "Quartiles apart": lambda row: Cell.of(row.benchmark.iqr_ns, units.duration),
        "Samples/s": rate,
        "÷ baseline": lambda row: Cell(row.ratio_text, value=row.ratio.estimate if row.ratio else None),
        "Processes × values × calls": counts,
        "Proof": proof,
    }
