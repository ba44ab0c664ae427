"""Files of other tools as a part of the page: of pyperf with intervals over processes, never a verdict."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.analysis.statistics import MOST_PAIRS, Interval, median_interval, rank_interval
from bench.machine import units, wording
from bench.records.formats import pyperf, pytest_benchmark
from bench.records.formats.foreign import Benchmark, Note, Origin, Own, ToolResults, told
from bench.reporting import words
from bench.reporting.article import MOST_PLOTS, dot_plot, slug
from bench.reporting.plots import Mark
from bench.reporting.section import Article, Cell, Column, Hero, Section, TextTable
from bench.workload.catalog import BASELINE

USUAL = "torch-rnn"  # PyTorch as it is usually written
MOST_TABLE_ROWS = 2000  # of a table; a page with more is slow to read and to sort
MOST_DOTS = 500  # of a row; of more processes, every second, third and so on is drawn
COLUMNS = (
    Column("Benchmark"), Column("Where"), Column("Dtype"), Column("Median a call", True),
    Column("95 % interval"), Column("Quartiles apart", True), Column("Samples/s", True),
    Column("÷ baseline", True), Column("Processes × values × calls"), Column("Proof"),
)  # fmt: skip


class Caution(NamedTuple):
    """What must be known of the numbers of a file."""

    label: str
    sure: str  # how sure a ratio is, in small type
    explained: str  # in sentences


CAUTIONS: Mapping[tuple[str, Origin], Caution] = {
    (pyperf.TOOL.name, "stranger"): Caution(
        "one benchmark after the other: drift of the machine between two of them is in the difference of "
        "their times",
        "",
        "pyperf measures one benchmark after the other, so that drift of the machine in between is in their "
        "difference, and there is no verdict; rnnbench run measures two variants side by side.",
    ),
    (pyperf.TOOL.name, "export"): Caution(
        "an export of a run: ratios without a verdict, which the journal gives",
        "from the medians of each process",
        "This file was exported from a run. Of it, a ratio has the interval of two independent samples and "
        "no verdict; the journal of the run compares block by block, and has both.",
    ),
    (pytest_benchmark.TOOL.name, "stranger"): Caution(
        "one process, fixed order: times without an interval, no verdict", "", ""
    ),
    (pytest_benchmark.TOOL.name, "plugin"): Caution(
        "one process, fixed order, both libraries loaded: ratios without an interval, no verdict",
        "one process, fixed order, no interval",
        "It is one process in a fixed order with both libraries loaded, so there is no interval and no "
        "verdict; rnnbench run gives both.",
    ),
    (pytest_benchmark.TOOL.name, "export"): Caution(
        "an export of a run: ratios without an interval, no verdict; the journal has both",
        "no interval",
        "This file holds no interval and no verdict; the journal of the run has both.",
    ),
}
KINDS: Mapping[Origin, str] = {
    "stranger": "A file of {}",
    "plugin": "By {}",
    "export": "By rnnbench, exported for {}",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A benchmark and what it is compared with; None where there is nothing, or it is that itself."""

    benchmark: Benchmark
    median: Interval  # of the processes' medians, in nanoseconds
    baseline: Benchmark | None
    ratio: Interval | None

    @property
    def name(self) -> str:
        """Return what to call it."""
        own = self.benchmark.own
        return wording.short(own.variant if own else self.benchmark.label)

    @property
    def is_baseline(self) -> bool:
        """Return whether others are compared with it."""
        return self.benchmark.own is not None and self.benchmark.own.is_baseline

    @property
    def ratio_text(self) -> str:
        """Return the ratio with its limits, where there are any: "3.65 [3.61, 3.70]"."""
        return units.NOTHING if self.ratio is None else _with_limits(self.ratio)


def tool_article(results: ToolResults, name: str, anchor: str, *, prefix: str = "") -> Article:
    """Return a file as an article; ``name`` is the file's, ``prefix`` starts the names of its plots."""
    tool, facts, rows = results.tool, results.facts, _compared(results.benchmarks)
    caution = CAUTIONS[tool.name, results.origin]
    processor = next(filter(None, (told(facts, field) for field in tool.processor)), "")
    cpus = told(facts, tool.cpus)
    is_count = len(cpus) < 10 and cpus.isascii() and cpus.isdecimal()
    machine = words.machine({"processor": processor, "cpus": int(cpus) if is_count else None})
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.benchmark.group, []).append(row)
    if len(groups) > MOST_PLOTS:
        groups = {"": rows}
    usual = _usual(rows)
    times = Section(
        id="times",
        title="How long does each take?",
        notes=(caution.explained,) if caution.explained and not usual else (),
        parts=tuple(_part(group, groups[group], n, prefix) for n, group in enumerate(groups, start=1)),
    )
    notes = tuple(map(words.note, (*results.notes, *_repeated(results.benchmarks))))
    sure = "no interval" if tool.one_process else "no verdict"
    is_usual = usual is not None and usual.name == USUAL
    return Article(
        anchor=anchor,
        kind=KINDS[results.origin].format(tool.name),
        name=name,
        machine=machine,
        hero=_hero(usual, machine, caution) if usual else _nothing_compared(len(rows), machine),
        banners=(f"{tool.name}: {caution.label}.",),
        warnings=notes,
        sections=(times, *_machine_section(results)),
        summary=tuple(f"{name}: {note}" for note in notes),
        overview=(
            Cell(f"{usual.ratio_text}: {sure}" if usual and is_usual else units.NOTHING),
            *(Cell(units.NOTHING),) * 3,
        ),
        machine_facts={
            "processor": facts.get(tool.processor[0], ()),
            "cpus": facts.get(tool.cpus, ()),
            "host": facts.get(tool.host, ()),
        },
    )


def _compared(benchmarks: Sequence[Benchmark]) -> list[Row]:
    """Return every benchmark over numpy-batched at the same work; others' have nothing beside them."""
    baselines = {_work(one): one for one in reversed(benchmarks) if one.own and one.own.is_baseline}
    rows = []
    for one in benchmarks:
        baseline = baselines.get(_work(one)) if one.own else None
        ratio = None if baseline is None or one is baseline else _ratio(one, baseline)
        rows.append(Row(one, median_interval(one.medians_ns), baseline, ratio))
    return rows


def _work(one: Benchmark) -> object:
    """Return what two of our entries must share for their ratio to mean anything."""
    return one.group, *((one.own.work, one.own.shape, one.own.threads) if one.own else ())


def _ratio(one: Benchmark, other: Benchmark) -> Interval | None:
    """Return the time of one over that of the other, from their processes; None where these are too many."""
    if len(one.medians_ns) * len(other.medians_ns) > MOST_PAIRS:
        return None
    shift = rank_interval(np.log(other.medians_ns), np.log(one.medians_ns))
    low, high = (math.exp(shift.low), math.exp(shift.high)) if shift.finite else (-math.inf, math.inf)
    return Interval(math.exp(shift.estimate), low, high, shift.confidence)


def _inverse(ratio: Interval) -> Interval:
    """Return the same ratio seen from the other side."""
    low, high = (1 / ratio.high, 1 / ratio.low) if ratio.finite else (-math.inf, math.inf)
    return Interval(1 / ratio.estimate, low, high, ratio.confidence)


def _with_limits(ratio: Interval) -> str:
    low, high = (ratio.low, ratio.high) if ratio.finite else (None, None)
    return units.with_interval(ratio.estimate, low, high)


def _usual(rows: Sequence[Row]) -> Row | None:
    """Return torch-rnn, else the first torch variant that has the baseline beside it."""
    torch = [row for row in rows if row.ratio and row.benchmark.own and row.benchmark.own.library == "torch"]
    return next((row for row in torch if row.name == USUAL), torch[0] if torch else None)


def _hero(row: Row, machine: str, caution: Caution) -> Hero:
    """Return PyTorch against the baseline, with all that the file leaves open."""
    assert row.ratio is not None
    assert row.baseline is not None
    own = row.benchmark.own
    assert own is not None
    slower, faster, ratio = row.name, BASELINE, row.ratio
    if ratio.estimate < 1:
        slower, faster, ratio = faster, slower, _inverse(ratio)
    title = f"{faster} measured {units.ratio(ratio.estimate)} times faster than {slower}"
    baseline = float(np.median(row.baseline.medians_ns))
    measured = (
        f"On this machine ({machine}), {faster} measured {_with_limits(ratio)} times faster than {slower}: "
        f"{BASELINE} {units.duration(baseline)}, {row.name} {units.duration(row.median.estimate)} a call "
        f"({own.shape}; {own.dtype}; {_where(own)})."
    )
    facts = (("What was measured", measured), ("How sure that is", caution.explained))
    return Hero(title, "no verdict", sure=(caution.sure,), facts=facts)


def _where(own: Own) -> str:
    """Return a place: "cpu, threads: 1"."""
    place = wording.short(own.device)
    return place if own.threads is None else f"{place}, threads: {own.threads}"


def _nothing_compared(count: int, machine: str) -> Hero:
    """Return the head of a file in which nothing is to be compared: its benchmarks are somebody else's."""
    benchmarks = wording.count(count, "benchmark")
    measured = f"On this machine ({machine}), {benchmarks}, none of them PyTorch against {BASELINE}."
    return Hero("Nothing was compared", facts=(("What was measured", measured),))


def _repeated(benchmarks: Sequence[Benchmark]) -> tuple[Note, ...]:
    """Return that full names are there more than once; nothing where none is."""
    times = Counter(one.full_name for one in benchmarks)
    twice = tuple(name for name, number in times.items() if number > 1)
    return (Note("There more than once under the same full name", twice),) if twice else ()


def _machine_section(results: ToolResults) -> tuple[Section, ...]:
    """Return what a file tells of its machine; nothing where it tells nothing."""
    facts = [
        (title, " ".join(told(results.facts, name) for name in names).strip())
        for title, *names in results.tool.environment
    ]
    pairs = tuple((title, wording.short(fact)) for title, fact in facts if fact)
    return (Section(id="machine", title="On which machine?", pairs=pairs),) if pairs else ()


def _part(group: str, rows: Sequence[Row], number: int, prefix: str) -> Section:
    """Return a group of benchmarks: a picture, unless they are many, and a table without empty columns."""
    rows = sorted(rows, key=lambda row: row.median.estimate)
    title = wording.short(group) if group else "benchmarks"
    cells = [_cells(row, group) for row in rows]
    full = [n for n in range(len(COLUMNS)) if any(line[n].text != units.NOTHING for line in cells)]
    more = wording.count(max(0, len(rows) - MOST_TABLE_ROWS), "more benchmark")
    table = TextTable(
        title,
        tuple(COLUMNS[n] for n in full),
        tuple(tuple(line[n] for n in full) for line in cells[:MOST_TABLE_ROWS]),
        f"{more} of the file, which take longer, are not shown." if len(rows) > MOST_TABLE_ROWS else "",
    )
    drawings = dot_plot(f"{prefix}{number}-{slug(group) or 'benchmarks'}", tuple(map(_mark, rows)))
    return Section(id=f"times-{number}", title=title, drawings=drawings, tables=(table,))


def _mark(row: Row) -> Mark:
    own, medians = row.benchmark.own, row.benchmark.medians_ns
    finite = row.median.finite
    known_wrong = own is not None and own.known_wrong
    return Mark(
        label=row.name + (" (known wrong gradient)" if known_wrong else ""),
        library=own.library if own else "",
        section="",
        time_ns=row.median.estimate,
        low_ns=row.median.low if finite else None,
        high_ns=row.median.high if finite else None,
        blocks_ns=medians[:: 1 + len(medians) // MOST_DOTS] if len(medians) > 1 else (),
        text="baseline" if row.is_baseline else row.ratio_text if row.ratio else "",
        hollow=known_wrong,
        baseline=row.is_baseline,
    )


def _cells(row: Row, group: str) -> tuple[Cell, ...]:
    one, own, median = row.benchmark, row.benchmark.own, row.median
    notes = ["baseline"] * row.is_baseline
    notes += ["known wrong gradient"] * (own is not None and own.known_wrong)
    notes += [wording.short(one.group)] * (one.group != group)
    where, dtype, proof, samples = units.NOTHING, units.NOTHING, units.NOTHING, None
    if own:
        where = _where(own)
        dtype = wording.short(own.dtype)
        samples = own.shape.B / (median.estimate * 1e-9)
        if own.errors:
            what, error = max(own.errors.items(), key=lambda item: item[1])
            proof = f"largest error: {wording.short(what)} {units.error(error)}"
    limits = [units.duration(limit) for limit in (median.low, median.high) if median.finite]
    processes = len(one.medians_ns)
    counts = units.NOTHING
    if one.values and one.calls:
        counts = " × ".join(map(units.whole, (processes, one.values // processes, one.calls)))
    return (
        Cell(row.name, note=", ".join(notes), library=own.library if own else ""),
        Cell(where),
        Cell(dtype),
        Cell(units.duration(median.estimate), value=median.estimate),
        Cell(f"[{', '.join(limits)}]" if limits else units.NOTHING),
        Cell(units.duration(one.iqr_ns), value=one.iqr_ns),
        Cell(units.rate(samples), value=samples),
        Cell(row.ratio_text, value=row.ratio.estimate if row.ratio else None),
        Cell(counts),
        Cell(proof),
    )
