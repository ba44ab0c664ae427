"""Build the section on start-up: what is paid once, and after how many steps a variant overtakes another.

Sentences claim no more than the verdict on the time of a step.
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

# the order of the sentences
KIND_ORDER: tuple[Kind, ...] = ("as_written", "compiling", "loop", "best", "compiled")
MAX_SENTENCES = 3
MAX_LINES = 9  # largest number of lines in the plot
TOTAL_STEPS = (1, 100, 10_000, 1_000_000)  # the table shows totals for these numbers of steps
MIN_AXIS_END, MAX_AXIS_END = 1e6, 1e9  # bounds for the end of the axis, in steps
LABELS: dict[Kind, str] = {
    **tables.HEADLINES,
    "compiling": "with and without a compiler",
    "loop": "a loop over the samples",
}
CAPTION = (
    "Time from the start of a process until so many steps are done. A number is a crossing, as in the table "
    "below; its bar is the 95 % interval."
)
PARTS_NOTE = (
    "Start and import is processor time: the interpreter, the library, the first binding. The first call "
    "holds what a library sets up once, where that is known. A step is the time of a call."
)
CROSSING_NOTE = (
    "Two are level at the difference of what they pay once over that of a step, within each block; over all, "
    "that is the Hodges-Lehmann estimate, where the lines cross in all."
)
COMPILING_NOTE = (
    "Compiling is the wall time of block 0, from nothing; from the cache, the median of later processes."
)
TRANSFER_NOTE = "Transfer moves parameters and data to the device once, by the host's clock."


PairKey = tuple[Hashable, Hashable]  # identifies a pair by the ``work`` of its two sides
T = TypeVar("T")


def breakeven_section(facts: Facts, prefix: str) -> Section | None:
    """Return the section on start-up; None without a measured pair, for many sizes, and for several cells."""
    pairs = [] if facts.is_grid or facts.cell_tables else break_evens(facts.summary)
    if not pairs:
        return None
    pairs_to_draw = _pairs_to_draw(pairs)
    line_costs = _unique_sides(pairs_to_draw)[:MAX_LINES]
    numbers = _number_crossings(pairs_to_draw, line_costs)
    main_group, entry_costs = facts.run.plan.groups[0].name, costs(facts.summary).values()
    main_costs = [cost for cost in entry_costs if cost.entry.group == main_group and not cost.arm.twin]
    table_costs = _unique([*main_costs, *_unique_sides(pairs)], lambda cost: cost.work)
    notes = {
        PARTS_NOTE: True,
        CROSSING_NOTE: True,
        COMPILING_NOTE: any(cost.compile_ns for cost in table_costs),
        TRANSFER_NOTE: any(cost.arm.device != "cpu" for cost in table_costs),
    }
    draw = partial(cost_plot, pairs_to_draw, line_costs, numbers)
    return Section(
        id="breakeven",
        title="What does it cost to start?",
        lead=tuple(reasons.sentence(pair) for pair in _pairs_with_sentence(pairs_to_draw)),
        drawings=(Drawing(f"{prefix}breakeven", _alt_text(pairs_to_draw), draw, CAPTION),),
        tables=(_crossing_table(pairs, numbers), _cost_table(table_costs)),
        notes=tuple(note for note, applies in notes.items() if applies),
    )


def _unique(things: Iterable[T], key: Callable[[T], Hashable]) -> list[T]:
    """Return the first thing for each value of ``key``, in the given order."""
    first_by_key: dict[Hashable, T] = {}
    for thing in things:
        first_by_key.setdefault(key(thing), thing)
    return list(first_by_key.values())


def _pairs_to_draw(every: Sequence[BreakEven]) -> list[BreakEven]:
    """Return all pairs except comparisons of libraries on the CPU with other threads than the first pair."""
    rival_arms = [pair.rival.arm for pair in every]
    first_setup = rival_arms[0].device, rival_arms[0].threads
    return [
        pair
        for pair, arm in zip(every, rival_arms, strict=True)
        if (arm.device, arm.threads) == first_setup
        or arm.device != "cpu"
        or pair.step.kind not in reasons.BETWEEN_LIBRARIES
    ]


def _pairs_with_sentence(drawn: Sequence[BreakEven]) -> list[BreakEven]:
    """Return the first pair of each kind on each device, at most ``MAX_SENTENCES``."""
    ordered = sorted(drawn, key=lambda pair: KIND_ORDER.index(pair.step.kind))
    return _unique(ordered, lambda pair: (pair.step.kind, pair.rival.arm.device))[:MAX_SENTENCES]


def _unique_sides(pairs: Sequence[BreakEven]) -> list[Cost]:
    """Return the costs of both sides of all pairs, each once."""
    return _unique((side for pair in pairs for side in (pair.baseline, pair.rival)), lambda side: side.work)


def _pair_key(pair: BreakEven) -> PairKey:
    return pair.baseline.work, pair.rival.work


def _number_crossings(drawn: Sequence[BreakEven], lines: Sequence[Cost]) -> dict[PairKey, int]:
    """Number the crossings, for the picture and the table."""
    side_keys = {side.work for side in lines}
    crossing_pairs = [
        pair for pair in drawn if pair.steps is not None and side_keys.issuperset(_pair_key(pair))
    ]
    return {
        _pair_key(pair): number for number, pair in enumerate(_unique(crossing_pairs, _pair_key), start=1)
    }


def _pair_title(pair: BreakEven) -> str:
    return f"{words.variant(pair.baseline.arm)} against {words.variant(pair.rival.arm)}"


def _alt_text(drawn: Sequence[BreakEven]) -> str:
    crossings = [f"{_pair_title(pair)} at {reasons.steps(pair)}" for pair in drawn if pair.steps is not None]
    noun, where = reasons.noun(drawn[0].baseline), "; ".join(crossings) or "nowhere"
    return f"Time over the number of {noun}s, a line a variant. They cross: {where}."


# ---- tables


def _crossing_table(every: Sequence[BreakEven], numbers: Mapping[PairKey, int]) -> TextTable:
    """Return a table with a row per pair: which side starts ahead, and when the other side overtakes."""

    def overtaken(pair: BreakEven) -> Cell:
        text = {"crosses": reasons.steps(pair), "open": "open"}.get(pair.kind, "never")
        cached = pair.from_cache if pair.from_cache and pair.from_cache.steps is not None else None
        return Cell(
            text,
            f"compiled before: {reasons.steps(cached)}" if cached else pair.reason,
            pair.steps.estimate if pair.steps else None,
        )

    def factor(pair: BreakEven) -> Cell:
        lead = words.lead(pair.step)
        return Cell(lead.times, value=lead.factor) if lead else Cell(units.NOTHING)

    fields: Fields[BreakEven] = {
        "Compared": lambda pair: Cell(
            _pair_title(pair), f"{LABELS[pair.step.kind]}; {words.places(pair.baseline.arm, pair.rival.arm)}"
        ),
        "Ahead at first": lambda pair: tables.variant_cell(pair.ahead_first.arm),
        "Starts apart by": lambda pair: Cell(reasons.gap(pair), value=abs(pair.gap.estimate)),
        "Overtaken after": overtaken,
        "A step of the slower takes": factor,
        "In the picture": lambda pair: Cell.of(numbers.get(_pair_key(pair)), "{:.0f}".format),
    }
    return text_table("From how many steps on a later start pays", fields, every)


def _cost_table(shown: Sequence[Cost]) -> TextTable:
    """Return a table with a row per arm: what is paid once, and totals for several numbers of steps.

    Totals show no limits: the limits of their parts are in the same row.
    """

    def compiling(cost: Cost) -> Cell:
        cached = f"{reasons.duration(cost.from_cache_ns)} from the cache"
        return Cell.of(cost.compile_ns or None, reasons.duration, cached)

    def total(steps: int, cost: Cost) -> Cell:
        return replace(_median_cell(cost.total_ns(steps)), note="")

    fields: Fields[Cost] = {
        "Variant": lambda cost: tables.variant_cell(
            cost.arm, f"{words.place(cost.arm)}; {cost.entry.case.dtype}"
        ),
        "Start and import": lambda cost: _median_cell(cost.start_ns),
        "First call": lambda cost: _median_cell(cost.first_call_ns),
        "Compiling": compiling,
        "Transfer": lambda cost: _median_cell(cost.transfer_ns),
    }
    totals: Fields[Cost] = {
        wording.count(steps, reasons.noun(shown[0])): partial(total, steps) for steps in TOTAL_STEPS
    }
    caption = f"What is paid once, and in all, for {words.work(shown[0].entry.case)}"
    return text_table(caption, {**fields, **totals}, shown)


def _median_cell(by_block: Array) -> Cell:
    """Return the median over blocks, with its limits if these are finite."""
    median = median_interval(by_block)
    limits = f"{reasons.duration(median.low)} to {reasons.duration(median.high)}" if median.finite else ""
    return Cell.of(median.estimate or None, reasons.duration, limits)


# ---- picture


@plots.style()
def cost_plot(
    drawn: Sequence[BreakEven], lines: Sequence[Cost], numbers: Mapping[PairKey, int], *, narrow: bool = False
) -> Figure:
    """Draw each variant's total time, fixed + steps * step time, on log axes; number the crossings."""
    figure, axes = plots.new_axes(3.0, labelled=True, narrow=narrow)
    steps = np.geomspace(1, _axis_end(drawn), 240)
    last_dashes: dict[str, int] = {}  # index of the last dash style used, by library
    for side in lines:
        dash_index = last_dashes[side.arm.library] = last_dashes.get(side.arm.library, -1) + 1
        fixed, step = np.median(side.fixed_ns()), np.median(side.step_ns)
        default_place = side.arm.device == "cpu" and side.arm.threads == 1
        label = side.arm.variant + ("" if default_place else f", {words.place(side.arm)}")
        options: Any = {"linestyle": plots.DASHES[dash_index % len(plots.DASHES)], "linewidth": 1.6}
        options |= {"color": plots.colour_of(side.arm.library), "label": plots.fitting(label)}
        axes.plot(steps, fixed + steps * step, **options)
    axes.set(xscale="log", yscale="log", xlim=(1, steps[-1]), xlabel=f"{reasons.noun(drawn[0].baseline)}s")
    axes.set_title("time since the process started", loc="left", fontsize=9)
    plots.set_ticks(axes.xaxis, LogLocator(numticks=5 if narrow else 9), lambda x: units.whole(round(x)))
    plots.set_ticks(axes.yaxis, LogLocator(numticks=9), plots.tick)
    for pair in drawn:
        if _pair_key(pair) in numbers and pair.steps is not None and pair.steps.estimate <= steps[-1]:
            _mark_crossing(axes, pair, pair.steps, numbers[_pair_key(pair)])
    plots.legend_below(axes, 2)
    return figure


def _axis_end(drawn: Sequence[BreakEven]) -> float:
    """Return where the axis of steps ends: a power of ten beyond every crossing, within bounds."""
    farthest = max((pair.steps.limits[1] or pair.steps.estimate for pair in drawn if pair.steps), default=1.0)
    return float(min(MAX_AXIS_END, max(MIN_AXIS_END, 10 ** math.ceil(math.log10(2 * farthest)))))


def _mark_crossing(axes: Axes, pair: BreakEven, steps: Interval, number: int) -> None:
    """Draw the number of a crossing where two lines meet, and the interval as a bar."""
    ahead = pair.ahead_first
    total_ns = float(np.median(ahead.total_ns(steps.estimate)))
    if steps.finite:
        axes.plot([steps.low, steps.high], [total_ns] * 2, **plots.WHISKER)
    axes.plot(
        [steps.estimate], [total_ns], color=INK, markerfacecolor="white", **plots.DOT | {"markersize": 12}
    )
    text_options: Any = {"ha": "center", "va": "center_baseline", "fontsize": plots.NOTE, "zorder": 7}
    axes.annotate(str(number), (steps.estimate, total_ns), **text_options)
