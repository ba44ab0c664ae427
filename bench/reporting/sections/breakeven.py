"""What it costs to start: from how many steps on a later start pays, and what is paid once.

A sentence says what the verdict on one step allows, and no more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import compress, count
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bench.analysis.breakeven import BreakEven, Cost, break_evens, costs
from bench.analysis.outcome import Outcome
from bench.analysis.verdict import Kind
from bench.machine import units, wording
from bench.reporting import plots, reasons, words
from bench.reporting.facts import Facts
from bench.reporting.plots import INK
from bench.reporting.section import Cell, Drawing, Section, TextTable, numbers, texts
from bench.reporting.tables import HEADLINES

FIRST: tuple[Kind, ...] = ("as_written", "compiling", "tutorial", "best", "compiled")  # of the sentences
MOST_SENTENCES = 3
MOST_LINES = 9  # of the plot
TOTALS = (1, 100, 10_000, 1_000_000)  # steps
LEAST_REACH, MOST_REACH = 1e6, 1e9  # steps on the axis
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))  # told apart without colour, too
HOW: dict[Kind, str] = {
    **HEADLINES,
    "compiling": "with and without a compiler",
    "tutorial": "the tutorial's readers",
}
CAPTION = (
    "Time from the start of a process until so many steps are done. A number is a crossing, as in the table "
    "below; its bar is the 95 % interval."
)
CROSSINGS = (
    *texts("Compared", "Ahead at first"),
    *numbers("Starts apart by", "Overtaken after", "A step of the slower takes", "In the picture"),
)  # fmt: skip
PARTS = (
    "Start and import is processor time: the interpreter, the library, the first binding. The first call "
    "holds what a library sets up once, where that is known. A step is the time of a call."
)
LEVEL = (
    "Two are level at the difference of what they pay once over that of a step, within each block; over all, "
    "that is the Hodges-Lehmann estimate, where the lines cross in all."
)
COMPILING = (
    "Compiling is the wall time of block 0, from nothing; from the cache, the median of later processes."
)
TRANSFER = "Transfer moves parameters and data to the device once, by the host's clock."


def breakeven_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """Return what starting costs; None where no pair was measured, and on a grid: no size is its answer."""
    if facts.is_grid:
        return None
    every = break_evens(facts.summary)
    if not every:
        return None
    main = _main(every)
    numbers = _numbers(main)
    shown = _shown(facts, costs(facts.summary), every)
    draw = partial(cost_plot, main, numbers)
    picture = Drawing(f"{prefix}breakeven", _alt(main), draw, CAPTION, partial(draw, narrow=True))
    return Section(
        id="breakeven",
        title="What does it cost to start?",
        lead=tuple(reasons.sentence(one) for one in _told(main)),
        drawings=(picture,),
        tables=(_crossing_table(every, numbers), _cost_table(shown)),
        notes=tuple(_notes(shown)),
    )


def _main(every: Sequence[BreakEven]) -> list[BreakEven]:
    """Return what is drawn: pairs of libraries, unless in a second place of the CPU, and all other pairs."""
    place = _place(every[0])
    return [
        one
        for one in every
        if _place(one) == place
        or one.rival.arm.device != "cpu"
        or one.step.kind not in reasons.BETWEEN_LIBRARIES
    ]


def _told(main: Sequence[BreakEven]) -> list[BreakEven]:
    """Return the first pair of each kind on each device, as many as are told in sentences."""
    chosen: dict[tuple[int, str], BreakEven] = {}
    for one in main:
        chosen.setdefault((FIRST.index(one.step.kind), one.rival.arm.device), one)
    order = sorted(chosen, key=lambda key: key[0])
    return [chosen[key] for key in order[:MOST_SENTENCES]]


def _numbers(main: Sequence[BreakEven]) -> dict[tuple[object, object], int]:
    """Return the numbers that crossings have in picture and table, by their two sides."""
    drawn = {side.work for side in _sides(main)[:MOST_LINES]}
    crossing = (
        _pair(one) for one in main if one.steps is not None and {one.baseline.work, one.rival.work} <= drawn
    )
    return dict(zip(dict.fromkeys(crossing), count(1), strict=False))


def _place(one: BreakEven) -> tuple[str, int]:
    return one.rival.arm.device, one.rival.arm.threads


def _pair(one: BreakEven) -> tuple[object, object]:
    return one.baseline.work, one.rival.work


def _sides(pairs: Sequence[BreakEven]) -> list[Cost]:
    """Return the arms of all pairs, each once."""
    sides: dict[object, Cost] = {}
    for side in (side for one in pairs for side in (one.baseline, one.rival)):
        sides.setdefault(side.work, side)
    return list(sides.values())


def _shown(facts: Facts, known: dict[str, Cost], every: Sequence[BreakEven]) -> list[Cost]:
    """Return the main table's arms, and those of the pairs that are not among them."""
    main = facts.run.plan.groups[0].name
    sides: dict[object, Cost] = {}
    own = [cost for cost in known.values() if cost.entry.group == main and not cost.arm.twin]
    for side in (*own, *_sides(every)):
        sides.setdefault(side.work, side)
    return list(sides.values())


def _compared(one: BreakEven) -> str:
    return f"{words.variant(one.baseline.arm)} against {words.variant(one.rival.arm)}"


def _alt(main: Sequence[BreakEven]) -> str:
    each = [f"{_compared(one)} at {reasons.steps(one)}" for one in main if one.steps is not None]
    noun, where = reasons.noun(main[0].baseline), "; ".join(each) or "nowhere"
    return f"Time over the number of {noun}s, a line a variant. They cross: {where}."


def _notes(shown: Sequence[Cost]) -> list[str]:
    """Say what each part is, and how a number of steps is found."""
    compiling = [COMPILING] * any(cost.compile_ns for cost in shown)
    return [PARTS, LEVEL, *compiling, *[TRANSFER] * any(cost.arm.device != "cpu" for cost in shown)]


# ---- tables


def _crossing_table(every: Sequence[BreakEven], numbers: dict[tuple[object, object], int]) -> TextTable:
    """Return a row a pair: who is ahead at first, and from how many steps on no longer."""
    rows = tuple(_crossing_row(one, numbers.get(_pair(one))) for one in every)
    return TextTable("From how many steps on a later start pays", CROSSINGS, rows)


def _crossing_row(one: BreakEven, number: int | None) -> tuple[Cell, ...]:
    first, lead = one.ahead_first, words.lead(one.step)
    after = {"crosses": reasons.steps(one), "open": "open"}.get(one.kind, "never")
    cached = one.from_cache is not None and one.from_cache.steps is not None
    note = f"compiled before: {reasons.steps(one.from_cache)}" if one.from_cache and cached else one.reason
    return (
        Cell(_compared(one), f"{HOW[one.step.kind]}; {words.places(one.baseline.arm, one.rival.arm)}"),
        Cell(words.variant(first.arm), library=first.arm.library),
        Cell(reasons.gap(one), value=abs(one.gap.estimate)),
        Cell(after, note, value=one.steps),
        Cell(lead.times if lead else units.NOTHING, value=lead.factor if lead else None),
        Cell(units.NOTHING if number is None else str(number), value=number),
    )


def _cost_table(shown: Sequence[Cost]) -> TextTable:
    """Return a row an arm: what it pays once, and in all for several numbers of steps.

    What no arm pays has no column. Totals have no limits: those of their parts stand beside them.
    """
    step = reasons.noun(shown[0])
    titles = ["Start and import", "First call", "Compiling", "Transfer"]
    titles += [wording.count(k, step) for k in TOTALS]
    columns = (*texts("Variant"), *numbers(*titles))
    rows = [_cost_row(cost) for cost in shown]
    kept = [any(row[place].text != units.NOTHING for row in rows) for place in range(len(columns))]
    return TextTable(
        f"What is paid once, and in all, for {words.work(shown[0].entry.case)}",
        tuple(compress(columns, kept)),
        tuple(tuple(compress(row, kept)) for row in rows),
    )


def _cost_row(cost: Cost) -> tuple[Cell, ...]:
    parts, compiling = cost.parts, Cell(units.NOTHING)
    if cost.compile_ns:
        note = f"{reasons.duration(cost.from_cache_ns)} from the cache"
        compiling = Cell(reasons.duration(cost.compile_ns), note, value=cost.compile_ns)
    where = f"{words.place(cost.arm)}; {cost.entry.case.dtype}"
    return (
        Cell(words.variant(cost.arm), where, library=cost.arm.library),
        _cell(cost, lambda block: parts[block].start_ns),
        _cell(cost, lambda block: parts[block].first_call_ns),
        compiling,
        _cell(cost, lambda block: parts[block].transfer_ns),
        *(replace(_cell(cost, partial(cost.total_ns, k)), note="") for k in TOTALS),
    )


def _cell(cost: Cost, part: Callable[[int], float]) -> Cell:
    """Return the median of something that each block has, and limits where there are some."""
    typical = cost.typical(part)
    if not typical.estimate:
        return Cell(units.NOTHING)
    limits = f"{reasons.duration(typical.low)} to {reasons.duration(typical.high)}" if typical.finite else ""
    return Cell(reasons.duration(typical.estimate), limits, value=typical.estimate)


# ---- picture


@plots.style()
def cost_plot(
    main: Sequence[BreakEven], numbers: dict[tuple[object, object], int], *, narrow: bool = False
) -> Figure:
    """Draw the lines C(K) = fixed + K step on two log axes, and a number where two of them cross."""
    figure, axes = plots.plain_axes(3.0, labelled=True, narrow=narrow)
    steps = np.geomspace(1, _reach(main), 240)
    used: dict[str, int] = {}
    for side in _sides(main)[:MOST_LINES]:
        number = used[side.arm.library] = used.get(side.arm.library, -1) + 1
        fixed, step = side.typical(side.fixed_ns).estimate, side.typical(side.step_ns).estimate
        how: Any = {"color": plots.colour_of(side.arm.library), "linestyle": DASHES[number % len(DASHES)]}
        axes.plot(steps, fixed + steps * step, label=plots.fitting(_label(side)), linewidth=1.6, **how)
    axes.set(xscale="log", yscale="log", xlim=(1, steps[-1]), xlabel=f"{reasons.noun(main[0].baseline)}s")
    axes.set_title("time since the process started", loc="left", fontsize=9)
    plots.set_ticks(axes.xaxis, LogLocator(numticks=5 if narrow else 9), lambda x: units.whole(round(x)))
    plots.set_ticks(axes.yaxis, LogLocator(numticks=9), plots.tick)
    for one in main:
        if _pair(one) in numbers and one.steps is not None and one.steps <= steps[-1]:
            _mark(axes, one, numbers[_pair(one)])
    plots.legend_below(axes, 2)
    return figure


def _label(side: Cost) -> str:
    """Return a variant, and where it is when that is not one thread of the CPU."""
    usual = side.arm.device == "cpu" and side.arm.threads == 1
    return side.arm.variant + ("" if usual else f", {words.place(side.arm)}")


def _reach(main: Sequence[BreakEven]) -> float:
    """Return the last number of steps on the axis: a power of ten beyond every crossing, within reason."""
    last = max((one.high or one.steps for one in main if one.steps is not None), default=1.0)
    return float(min(MOST_REACH, max(LEAST_REACH, 10 ** math.ceil(math.log10(2 * last)))))


def _mark(axes: Axes, one: BreakEven, number: int) -> None:
    """Draw a number where two lines cross, and the interval as a bar."""
    early, steps = one.ahead_first, one.steps or 1.0
    total_ns = early.typical(partial(early.total_ns, steps)).estimate
    if one.low is not None and one.high is not None:
        axes.plot([one.low, one.high], [total_ns] * 2, **plots.WHISKER)
    ring: Any = {"color": INK, "markerfacecolor": "white", "markersize": 12, "zorder": 6}
    axes.plot([steps], [total_ns], "o", **ring)
    axes.annotate(str(number), (steps, total_ns), ha="center", va="center_baseline", fontsize=8.5, zorder=7)
