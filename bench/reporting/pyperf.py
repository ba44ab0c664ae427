"""What pyperf saved, as the page shows it: intervals over processes, ratios with what they leave open."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.answer.statistics import Interval, median_interval
from bench.answer.two_samples import shift_interval
from bench.catalog import BASELINE
from bench.reporting import plots, units, words
from bench.reporting.foreign import ForeignView
from bench.reporting.plots import Mark
from bench.reporting.section import Cell, Column, Drawing, Hero, Section, TextTable
from bench.reporting.view import describe, slug
from bench.results.exchange_pyperf import PyperfBenchmark, PyperfResults

TOOL = "pyperf"
COLUMNS = (
    Column("Benchmark"), Column("Where"), Column("Median a call", True), Column("95 % interval", True),
    Column("Samples/s", True), Column("÷ baseline", True), Column("Processes × values × calls"),
)  # fmt: skip
OPEN = (
    "pyperf measured one after the other, so that drift of the machine in between is in the ratio and not in "
    "its interval, and there is no verdict; rnnbench run measures the two side by side."
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
    lines = compared(results.benchmarks)
    machine = words.machine(
        {"processor": results.metadata.get("cpu_model_name"), "cpus": results.metadata.get("cpu_count")}
    )
    usual = _usual(lines)
    groups = dict.fromkeys(line.own.group for line in lines)
    parts = tuple(
        _part(group, [line for line in lines if line.own.group == group], number, prefix)
        for number, group in enumerate(groups, start=1)
    )
    return ForeignView(
        name=name,
        label=results.label,
        machine=machine,
        usual_ratio=usual.ratio_text if usual else "",
        hero=_hero(usual, len(lines), machine),
        sections=(
            Section(id="times", title="How long does each take?", notes=(OPEN,), parts=parts),
            Section(id="machine", title="On which machine?", pairs=tuple(_facts(results))),
        ),
        tool=TOOL,
        how_sure="no verdict",
    )


def compared(benchmarks: Sequence[PyperfBenchmark]) -> list[Line]:
    """Every benchmark over numpy-batched at the same work; those of others over the first of them."""
    first = next((one for one in benchmarks if not one.variant), None)
    own = {_work(one): one for one in reversed(benchmarks) if _is_own_baseline(one)}
    lines = []
    for one in benchmarks:
        baseline = own.get(_work(one)) if one.variant else first
        ratio = None if baseline is None or one is baseline else _ratio(one, baseline)
        lines.append(Line(one, median_interval(one.medians_ns), baseline, ratio))
    return lines


def with_limits(ratio: Interval) -> str:
    """A ratio, and its limits where there are any."""
    low, high = (ratio.low, ratio.high) if ratio.finite else (None, None)
    return units.with_interval(ratio.estimate, low, high)


def _ratio(one: PyperfBenchmark, other: PyperfBenchmark) -> Interval:
    """The time of one over that of the other, from the medians of their processes."""
    shift = shift_interval(np.log(other.medians_ns), np.log(one.medians_ns))
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
    """torch-rnn, else the first torch variant, else the first benchmark that has something beside it."""
    ratios = [line for line in lines if line.ratio is not None]
    torch = [line for line in ratios if line.own.library == "torch"]
    named = [line for line in torch if line.own.variant == "torch-rnn"]
    return next(iter([*named, *torch, *ratios]), None)


def _hero(line: Line | None, count: int, machine: str) -> Hero:
    """The first ratio worth telling, with all that this way of timing leaves open."""
    if line is None or line.ratio is None or line.baseline is None:
        said = f"On this machine ({machine}), {words.count(count, 'benchmark')}, of which no two compare."
        return Hero("Nothing was compared", facts=(("What was measured", said),))
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
    sure = ("one after the other, no verdict",)
    return Hero(
        title, "no verdict", sure=sure, facts=(("What was measured", said), ("How sure that is", OPEN))
    )


def _part(group: str, lines: Sequence[Line], number: int, prefix: str) -> Section:
    lines = sorted(lines, key=lambda line: line.median.estimate)
    title = group or "benchmarks"
    marks = tuple(_mark(line) for line in lines)
    drawing = Drawing(
        f"{prefix}{number}-{slug(group) or 'benchmarks'}", describe(marks), partial(plots.dot_plot, marks)
    )
    table = TextTable(title, COLUMNS, tuple(_row(line) for line in lines), note=_beside(lines))
    return Section(id=f"times-{number}", title=title, drawings=(drawing,), tables=(table,))


def _mark(line: Line) -> Mark:
    finite = line.median.finite
    return Mark(
        label=_name(line.own) + (" (known wrong gradient)" if line.own.known_wrong else ""),
        library=line.own.library,
        section="",
        time_ns=line.median.estimate,
        low_ns=line.median.low if finite else None,
        high_ns=line.median.high if finite else None,
        blocks_ns=line.own.medians_ns,
        text="baseline" if line.own is line.baseline else line.ratio_text,
        hollow=line.own.known_wrong,
        baseline=line.own is line.baseline,
    )


def _row(line: Line) -> tuple[Cell, ...]:
    own, processes = line.own, len(line.own.medians_ns)
    marks = ["baseline"] * (own is line.baseline) + ["known wrong gradient"] * own.known_wrong
    where = own.device or units.NOTHING
    samples = own.shape.B / (line.median.estimate * 1e-9) if own.shape else None
    limits = [units.duration(limit) for limit in (line.median.low, line.median.high) if line.median.finite]
    return (
        Cell(_name(own), note=", ".join(marks), library=own.library),
        Cell(where if own.threads is None else f"{where}, threads: {own.threads}"),
        Cell(units.duration(line.median.estimate), value=line.median.estimate),
        Cell(f"[{', '.join(limits)}]" if limits else units.NOTHING),
        Cell(units.rate(samples), value=samples),
        Cell(line.ratio_text, value=line.ratio.estimate if line.ratio else None),
        Cell(" × ".join(units.whole(number) for number in (processes, own.values // processes, own.loops))),
    )


def _beside(lines: Sequence[Line]) -> str:
    """What the baseline is where nobody declared one."""
    first = next((line.baseline for line in lines if line.baseline is not None), None)
    if first is None or first.variant:
        return ""
    return f"The baseline is the first benchmark of the file, {first.name}."


def _name(one: PyperfBenchmark) -> str:
    return one.variant or one.name


def _facts(results: PyperfResults) -> list[tuple[str, str]]:
    """What the file's metadata tell."""
    told = results.metadata
    found = [
        ("System", told.get("platform")),
        ("Python", told.get("python_version")),
        ("NumPy", told.get("numpy_version")),
        ("PyTorch", told.get("torch_version")),
        ("pyperf", told.get("perf_version")),
        ("Started", told.get("date")),
    ]
    return [(name, str(value)) for name, value in found if value not in (None, "")]
