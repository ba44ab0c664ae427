"""What pyperf saved, as the page shows it: intervals over processes, ratios with what they leave open."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.statistics import MOST_PAIRS, Interval, median_interval, rank_interval
from bench.machine import units, wording
from bench.records.formats.foreign import told
from bench.records.formats.pyperf import PyperfBenchmark, PyperfResults
from bench.reporting import foreign, words
from bench.reporting.foreign import USUAL, ForeignView
from bench.reporting.plots import Mark
from bench.reporting.section import Cell, Column, Hero, Section
from bench.workload.catalog import BASELINE

TOOL = "pyperf"
MOST_DOTS = 500  # of a row; of more processes, every second, third and so on is drawn
COLUMNS = (
    Column("Benchmark"), Column("Where"), Column("Median a call", True), Column("95 % interval", True),
    Column("Samples/s", True), Column("÷ baseline", True), Column("Processes × values × calls"),
)  # fmt: skip
OPEN = (
    "pyperf measures one benchmark after the other, so that drift of the machine in between is in their "
    "difference, and there is no verdict; rnnbench run measures two variants side by side."
)
OPEN_OF_EXPORT = (
    "This file was exported from a run. Of it, a ratio has the interval of two independent samples and no "
    "verdict; the journal of the run compares block by block, and has both."
)


@dataclass(frozen=True, slots=True)
class Line:
    """A benchmark and what it is compared with; None where there is nothing, or it is that itself."""

    own: PyperfBenchmark
    median: Interval  # of the processes' medians, in nanoseconds
    baseline: PyperfBenchmark | None
    ratio: Interval | None

    @property
    def ratio_text(self) -> str:
        """The ratio and its limits: "3.65 [3.61, 3.70]"."""
        return units.NOTHING if self.ratio is None else with_limits(self.ratio)


def pyperf_view(results: PyperfResults, name: str, *, prefix: str = "") -> ForeignView:
    """Turn one file into text; ``name`` is the file's, ``prefix`` starts the names of its plots."""
    facts, lines = results.facts, compared(results.benchmarks)
    machine = words.machine(
        {"processor": told(facts, "cpu_model_name"), "cpus": foreign.cpus(facts, "cpu_count")}
    )
    usual = _usual(lines)
    ours = any(line.own.variant for line in lines)
    note = OPEN_OF_EXPORT if ours else OPEN
    groups = foreign.grouped(lines, lambda line: line.own.group)
    parts = tuple(
        _part(group, members, number, prefix)
        for number, (group, members) in enumerate(groups.items(), start=1)
    )
    return ForeignView(
        name=name,
        kind=foreign.kind_of(TOOL, ours=ours, exported=ours),
        label=results.label,
        machine=machine,
        machine_facts={
            "processor": facts["cpu_model_name"],
            "cpus": facts["cpu_count"],
            "host": facts["hostname"],
        },
        usual_ratio=usual.ratio_text if usual and usual.own.variant == USUAL else "",
        hero=_hero(usual, len(lines), machine, note),
        sections=(
            Section(id="times", title="How long does each take?", notes=(note,), parts=parts),
            *foreign.machine_section(_facts(results)),
        ),
        tool=TOOL,
        how_sure="no verdict",
        notes=foreign.notes(results.notes, (one.full_name for one in results.benchmarks)),
    )


def compared(benchmarks: Sequence[PyperfBenchmark]) -> list[Line]:
    """Return every benchmark over numpy-batched at the same work; others' have nothing beside them."""
    own = {_work(one): one for one in reversed(benchmarks) if _is_own_baseline(one)}
    lines = []
    for one in benchmarks:
        baseline = own.get(_work(one)) if one.variant else None
        ratio = None if baseline is None or one is baseline else _ratio(one, baseline)
        lines.append(Line(one, median_interval(one.medians_ns), baseline, ratio))
    return lines


def with_limits(ratio: Interval) -> str:
    """A ratio, and its limits where there are any."""
    low, high = (ratio.low, ratio.high) if ratio.finite else (None, None)
    return units.with_interval(ratio.estimate, low, high)


def _ratio(one: PyperfBenchmark, other: PyperfBenchmark) -> Interval | None:
    """Return the time of one over that of the other, from their processes; None where these are too many."""
    if len(one.medians_ns) * len(other.medians_ns) > MOST_PAIRS:
        return None
    shift = rank_interval(np.log(other.medians_ns), np.log(one.medians_ns))
    low, high = (math.exp(shift.low), math.exp(shift.high)) if shift.finite else (-math.inf, math.inf)
    return Interval(math.exp(shift.estimate), low, high, shift.confidence)


def _inverse(ratio: Interval) -> Interval:
    """The same ratio seen from the other side."""
    low, high = (1 / ratio.high, 1 / ratio.low) if ratio.finite else (-math.inf, math.inf)
    return Interval(1 / ratio.estimate, low, high, ratio.confidence)


def _work(one: PyperfBenchmark) -> object:
    """What two of our entries must share for their ratio to mean anything."""
    return one.group, one.work, one.threads


def _is_own_baseline(one: PyperfBenchmark) -> bool:
    return one.variant == BASELINE and one.device == "cpu"


def _usual(lines: Sequence[Line]) -> Line | None:
    """Return torch-rnn, else the first torch variant that has the baseline beside it."""
    torch = [line for line in lines if line.ratio is not None and line.own.library == "torch"]
    return next((line for line in torch if line.own.variant == USUAL), torch[0] if torch else None)


def _hero(line: Line | None, count: int, machine: str, note: str) -> Hero:
    """Return PyTorch against the baseline, with all that the file leaves open."""
    if line is None or line.ratio is None or line.baseline is None:
        return foreign.nothing_compared(machine, count)
    slower, faster = _name(line.own), _name(line.baseline)
    ratio = line.ratio
    if ratio.estimate < 1:
        slower, faster, ratio = faster, slower, _inverse(ratio)
    title = f"{faster} measured {units.ratio(ratio.estimate)} times faster than {slower}"
    said = (
        f"On this machine ({machine}), {faster} measured {with_limits(ratio)} times faster than {slower}: "
        f"{_name(line.baseline)} {units.duration(float(np.median(line.baseline.medians_ns)))}, "
        f"{_name(line.own)} {units.duration(line.median.estimate)} a call."
    )
    facts = (("What was measured", said), ("How sure that is", note))
    return Hero(title, "no verdict", sure=("from the medians of each process",), facts=facts)


def _part(group: str, lines: Sequence[Line], number: int, prefix: str) -> Section:
    lines = sorted(lines, key=lambda line: line.median.estimate)
    marks = [_mark(line) for line in lines]
    return foreign.part(group, number, prefix, marks, COLUMNS, [_row(line, group) for line in lines])


def _mark(line: Line) -> Mark:
    finite = line.median.finite
    return Mark(
        label=_name(line.own) + (" (known wrong gradient)" if line.own.known_wrong else ""),
        library=line.own.library,
        section="",
        time_ns=line.median.estimate,
        low_ns=line.median.low if finite else None,
        high_ns=line.median.high if finite else None,
        blocks_ns=line.own.medians_ns[:: 1 + len(line.own.medians_ns) // MOST_DOTS],
        text="baseline" if line.own is line.baseline else line.ratio_text if line.ratio else "",
        hollow=line.own.known_wrong,
        baseline=line.own is line.baseline,
    )


def _row(line: Line, group: str) -> tuple[Cell, ...]:
    own, processes = line.own, len(line.own.medians_ns)
    marks = ["baseline"] * (own is line.baseline) + ["known wrong gradient"] * own.known_wrong
    marks += [wording.short(own.group)] * (own.group != group)
    samples = own.shape.B / (line.median.estimate * 1e-9) if own.shape else None
    limits = [units.duration(limit) for limit in (line.median.low, line.median.high) if line.median.finite]
    return (
        Cell(_name(own), note=", ".join(marks), library=own.library),
        Cell(foreign.where(own.device, own.threads)),
        Cell(units.duration(line.median.estimate), value=line.median.estimate),
        Cell(f"[{', '.join(limits)}]" if limits else units.NOTHING),
        Cell(units.rate(samples), value=samples),
        Cell(line.ratio_text, value=line.ratio.estimate if line.ratio else None),
        Cell(" × ".join(units.whole(number) for number in (processes, own.values // processes, own.loops))),
    )


def _name(one: PyperfBenchmark) -> str:
    return wording.short(one.variant or one.label)


def _facts(results: PyperfResults) -> list[tuple[str, str]]:
    """Return what the file's metadata tell."""
    fields = {
        "System": "platform",
        "Host": "hostname",
        "Processors": "cpu_config",
        "Python": "python_version",
        "NumPy": "numpy_version",
        "PyTorch": "torch_version",
        "pyperf": "perf_version",
        "Started": "date",
    }
    return [(title, told(results.facts, name)) for title, name in fields.items()]
