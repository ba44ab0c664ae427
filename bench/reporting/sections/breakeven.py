"""What it costs to start: from how many steps on a later start pays, and what is paid once.

A sentence says what the verdict on one step allows, and no more.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bench.analysis.breakeven import BreakEven, Cost, break_evens, costs
from bench.analysis.statistics import Array, Interval, median_interval
from bench.analysis.verdict import Kind
from bench.machine import units, wording
from bench.reporting import plots, reasons, tables, words
from bench.reporting.facts import Facts
from bench.reporting.plots import INK
from bench.reporting.section import Cell, Drawing, Fields, Section, TextTable, text_table

FIRST: tuple[Kind, ...] = ("as_written", "compiling", "tutorial", "best", "compiled")  # of the sentences
MOST_SENTENCES = 3
MOST_LINES = 9  # of the plot
TOTALS = (1, 100, 10_000, 1_000_000)  # steps
LEAST_REACH, MOST_REACH = 1e6, 1e9  # steps on the axis
HOW: dict[Kind, str] = {
    **tables.HEADLINES,
    "compiling": "with and without a compiler",
    "tutorial": "the tutorial's readers",
}
CAPTION = (
    "Time from the start of a process until so many steps are done. A number is a crossing, as in the table "
    "below; its bar is the 95 % interval."
)
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


Pair = tuple[Hashable, Hashable]  # the work of both sides
T = TypeVar("T")


def breakeven_section(facts: Facts, prefix: str) -> Section | None:
    """Return what starting costs; None where no pair was measured, and on a grid: no size is its answer."""
    every = [] if facts.is_grid else break_evens(facts.summary)
    if not every:
        return None
    drawn = _drawn(every)
    lines = _sides(drawn)[:MOST_LINES]
    numbers = _numbers(drawn, lines)
    main, known = facts.run.plan.groups[0].name, costs(facts.summary).values()
    own = [cost for cost in known if cost.entry.group == main and not cost.arm.twin]
    shown = _firsts([*own, *_sides(every)], lambda cost: cost.work)
    notes = {
        PARTS: True,
        LEVEL: True,
        COMPILING: any(cost.compile_ns for cost in shown),
        TRANSFER: any(cost.arm.device != "cpu" for cost in shown),
    }
    draw = partial(cost_plot, drawn, lines, numbers)
    return Section(
        id="breakeven",
        title="What does it cost to start?",
        lead=tuple(reasons.sentence(pair) for pair in _foremost(drawn)),
        drawings=(Drawing(f"{prefix}breakeven", _alt(drawn), draw, CAPTION),),
        tables=(_crossing_table(every, numbers), _cost_table(shown)),
        notes=tuple(note for note, holds in notes.items() if holds),
    )


def _firsts(things: Iterable[T], key: Callable[[T], Hashable]) -> list[T]:
    """Return the first of those that are alike in ``key``."""
    kept: dict[Hashable, T] = {}
    for thing in things:
        kept.setdefault(key(thing), thing)
    return list(kept.values())


def _drawn(every: Sequence[BreakEven]) -> list[BreakEven]:
    """Return what is drawn: pairs of libraries, unless in a second place of the CPU, and all other pairs."""
    arms = [pair.rival.arm for pair in every]
    place = arms[0].device, arms[0].threads
    return [
        pair
        for pair, arm in zip(every, arms, strict=True)
        if (arm.device, arm.threads) == place
        or arm.device != "cpu"
        or pair.step.kind not in reasons.BETWEEN_LIBRARIES
    ]


def _foremost(drawn: Sequence[BreakEven]) -> list[BreakEven]:
    """Return the first pair of each kind on each device, as many as have a sentence."""
    ordered = sorted(drawn, key=lambda pair: FIRST.index(pair.step.kind))
    return _firsts(ordered, lambda pair: (pair.step.kind, pair.rival.arm.device))[:MOST_SENTENCES]


def _sides(pairs: Sequence[BreakEven]) -> list[Cost]:
    """Return the arms of all pairs, each once."""
    return _firsts((side for pair in pairs for side in (pair.baseline, pair.rival)), lambda side: side.work)


def _pair(pair: BreakEven) -> Pair:
    return pair.baseline.work, pair.rival.work


def _numbers(drawn: Sequence[BreakEven], lines: Sequence[Cost]) -> dict[Pair, int]:
    """Return the numbers that crossings have in picture and table."""
    works = {side.work for side in lines}
    crossing = [pair for pair in drawn if pair.steps is not None and works.issuperset(_pair(pair))]
    return {_pair(pair): number for number, pair in enumerate(_firsts(crossing, _pair), start=1)}


def _compared(pair: BreakEven) -> str:
    return f"{words.variant(pair.baseline.arm)} against {words.variant(pair.rival.arm)}"


def _alt(drawn: Sequence[BreakEven]) -> str:
    each = [f"{_compared(pair)} at {reasons.steps(pair)}" for pair in drawn if pair.steps is not None]
    noun, where = reasons.noun(drawn[0].baseline), "; ".join(each) or "nowhere"
    return f"Time over the number of {noun}s, a line a variant. They cross: {where}."


# ---- tables


def _crossing_table(every: Sequence[BreakEven], numbers: Mapping[Pair, int]) -> TextTable:
    """Return a row a pair: who is ahead at first, and from how many steps on no longer."""

    def overtaken(pair: BreakEven) -> Cell:
        after = {"crosses": reasons.steps(pair), "open": "open"}.get(pair.kind, "never")
        cached = pair.from_cache if pair.from_cache and pair.from_cache.steps is not None else None
        return Cell(
            after,
            f"compiled before: {reasons.steps(cached)}" if cached else pair.reason,
            pair.steps.estimate if pair.steps else None,
        )

    def factor(pair: BreakEven) -> Cell:
        lead = words.lead(pair.step)
        return Cell(lead.times, value=lead.factor) if lead else Cell(units.NOTHING)

    fields: Fields[BreakEven] = {
        "Compared": lambda pair: Cell(
            _compared(pair), f"{HOW[pair.step.kind]}; {words.places(pair.baseline.arm, pair.rival.arm)}"
        ),
        "Ahead at first": lambda pair: tables.variant_cell(pair.ahead_first.arm),
        "Starts apart by": lambda pair: Cell(reasons.gap(pair), value=abs(pair.gap.estimate)),
        "Overtaken after": overtaken,
        "A step of the slower takes": factor,
        "In the picture": lambda pair: Cell.of(numbers.get(_pair(pair)), "{:.0f}".format),
    }
    return text_table("From how many steps on a later start pays", fields, every)


def _cost_table(shown: Sequence[Cost]) -> TextTable:
    """Return a row an arm: what it pays once, and in all for several numbers of steps.

    Totals have no limits: those of their parts stand beside them.
    """

    def compiling(cost: Cost) -> Cell:
        cached = f"{reasons.duration(cost.from_cache_ns)} from the cache"
        return Cell.of(cost.compile_ns or None, reasons.duration, cached)

    def total(steps: int, cost: Cost) -> Cell:
        return replace(_typical(cost.total_ns(steps)), note="")

    fields: Fields[Cost] = {
        "Variant": lambda cost: tables.variant_cell(
            cost.arm, f"{words.place(cost.arm)}; {cost.entry.case.dtype}"
        ),
        "Start and import": lambda cost: _typical(cost.start_ns),
        "First call": lambda cost: _typical(cost.first_call_ns),
        "Compiling": compiling,
        "Transfer": lambda cost: _typical(cost.transfer_ns),
    }
    totals: Fields[Cost] = {
        wording.count(steps, reasons.noun(shown[0])): partial(total, steps) for steps in TOTALS
    }
    caption = f"What is paid once, and in all, for {words.work(shown[0].entry.case)}"
    return text_table(caption, {**fields, **totals}, shown)


def _typical(by_block: Array) -> Cell:
    """Return the median of something that each block has, and limits where there are some."""
    typical = median_interval(by_block)
    limits = f"{reasons.duration(typical.low)} to {reasons.duration(typical.high)}" if typical.finite else ""
    return Cell.of(typical.estimate or None, reasons.duration, limits)


# ---- picture


@plots.style()
def cost_plot(
    drawn: Sequence[BreakEven], lines: Sequence[Cost], numbers: Mapping[Pair, int], *, narrow: bool = False
) -> Figure:
    """Draw the lines C(K) = fixed + K step on two log axes, and a number where two of them cross."""
    figure, axes = plots.new_axes(3.0, labelled=True, narrow=narrow)
    steps = np.geomspace(1, _reach(drawn), 240)
    used: dict[str, int] = {}  # lines of a library
    for side in lines:
        number = used[side.arm.library] = used.get(side.arm.library, -1) + 1
        fixed, step = np.median(side.fixed_ns()), np.median(side.step_ns)
        usual = side.arm.device == "cpu" and side.arm.threads == 1
        label = side.arm.variant + ("" if usual else f", {words.place(side.arm)}")
        how: Any = {"linestyle": plots.DASHES[number % len(plots.DASHES)], "linewidth": 1.6}
        how |= {"color": plots.colour_of(side.arm.library), "label": plots.fitting(label)}
        axes.plot(steps, fixed + steps * step, **how)
    axes.set(xscale="log", yscale="log", xlim=(1, steps[-1]), xlabel=f"{reasons.noun(drawn[0].baseline)}s")
    axes.set_title("time since the process started", loc="left", fontsize=9)
    plots.set_ticks(axes.xaxis, LogLocator(numticks=5 if narrow else 9), lambda x: units.whole(round(x)))
    plots.set_ticks(axes.yaxis, LogLocator(numticks=9), plots.tick)
    for pair in drawn:
        if _pair(pair) in numbers and pair.steps is not None and pair.steps.estimate <= steps[-1]:
            _mark(axes, pair, pair.steps, numbers[_pair(pair)])
    plots.legend_below(axes, 2)
    return figure


def _reach(drawn: Sequence[BreakEven]) -> float:
    """Return the last number of steps on the axis: a power of ten beyond every crossing, within reason."""
    last = max((pair.steps.limits[1] or pair.steps.estimate for pair in drawn if pair.steps), default=1.0)
    return float(min(MOST_REACH, max(LEAST_REACH, 10 ** math.ceil(math.log10(2 * last)))))


def _mark(axes: Axes, pair: BreakEven, steps: Interval, number: int) -> None:
    """Draw a number where two lines cross, and the interval as a bar."""
    early = pair.ahead_first
    total_ns = float(np.median(early.total_ns(steps.estimate)))
    if steps.finite:
        axes.plot([steps.low, steps.high], [total_ns] * 2, **plots.WHISKER)
    axes.plot(
        [steps.estimate], [total_ns], color=INK, markerfacecolor="white", **plots.DOT | {"markersize": 12}
    )
    centred: Any = {"ha": "center", "va": "center_baseline", "fontsize": plots.NOTE, "zorder": 7}
    axes.annotate(str(number), (steps.estimate, total_ns), **centred)
