"""Build the section on limits: where the time of a call goes, and how fast the machine and libraries are."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bench.analysis.statistics import Interval
from bench.analysis.time_split import KINDS, Kind, LibrarySpeeds, Limit, Limits, limits
from bench.machine import units, wording
from bench.reporting import answer, plots, reasons, tables, words
from bench.reporting.facts import Facts
from bench.reporting.plots import INK, OTHER
from bench.reporting.section import Cell, Drawing, Fields, Section, TextTable, text_table
from bench.workload.operations import COPY, Stored

TITLE_DECIDED, TITLE_UNDECIDED = "Why is that so", "Where does the time go"
MIN_OVERLAP = 0.005  # a smaller overlap would not be visible in a bar
PART_TITLES: dict[Kind, str] = {
    "dispatch": "Dispatch", "products": "Matrix products", "elementwise": "Elementwise", "rest": "Rest",
}  # fmt: skip
CAPTION = "A bar is the time of a call in its parts, the triangle the lower bound of that time."
NOTES = (
    "Dispatch is measured: the same calls on arrays of one number. Products and elementwise work are what "
    "the counted operations cost beyond that, timed alone; the rest is what remains, as autograd, copies, "
    "caches and gates that are slices of rows. docs/limits.md has the formulas.",
    "The lower bound is what the products and activations that the mathematics needs take at the library's "
    "best rates here, or a copy of the bytes it needs; efficiency is the bound over the time.",
)
SPEEDS_NOTE = (
    "Medians over blocks. A product of (m, k) and (k, n) makes 2 m k n flops; a copy counts bytes read and "
    "written."
)
STORED_NOTES: dict[Stored, str] = {"NN": "", "NT": "right one transposed", "TN": "left one transposed"}
UNIT_ORDER = ("ns", "Gflop/s", "G elements/s", "GB/s")  # of the rows
ROW_INCHES, BAR_HEIGHT = 0.54, 0.42  # height of a row; height of a bar, in rows
TINTS = (1.0, 0.66, 0.4, 0.18)  # strength of each part's colour, in the order of ``KINDS``
MIN_LABEL_WIDTH = 0.085  # a share of the axis; a narrower part shows no number

Operation = tuple[str, str, str]  # description, note, unit


def limits_section(facts: Facts, prefix: str) -> Section | None:
    """Return the section on limits; None if the run measured neither dispatch nor its libraries."""
    measured = limits(facts.summary)
    if measured is None or not (measured.entries or measured.libraries):
        return None
    split = [limit for limit in measured.entries if limit.parts]
    decided = words.is_decided(answer.main_comparison(facts))  # else there is nothing to explain
    times = "; ".join(f"{words.variant(limit.arm)} {units.duration(limit.time_ns)}" for limit in split)
    alt = f"Time of a call in its parts, a bar a variant; the table has the parts. {times}."
    return Section(
        id="limits",
        title=f"{TITLE_DECIDED if decided else TITLE_UNDECIDED}, and how fast could it be?",
        lead=tuple(_lead(_main(facts, split), explain=decided)),
        drawings=(Drawing(f"{prefix}limits", alt, partial(stacked, split), CAPTION),) if split else (),
        tables=tuple(table for table in _tables(measured, split) if table.rows),
        notes=(*_notes(measured), *NOTES),
    )


def share(interval: Interval) -> str:
    """Return a share and its 95 % interval: 84 % [83, 86]."""
    low, high = (units.percent(limit).removesuffix(" %") for limit in (interval.low, interval.high))
    return units.percent(interval.estimate) + f" [{low}, {high}]" * interval.finite


def _main(facts: Facts, apart: Sequence[Limit]) -> list[Limit]:
    """Return the sides of the main comparison, slower first; the first entry if neither side has parts."""
    main = answer.main_comparison(facts)
    sides = [limit for limit in apart if main and limit.entry.id in (main.entry, main.baseline)]
    return sorted(sides or apart[:1], key=lambda limit: -limit.time_ns)


def _lead(sides: Sequence[Limit], *, explain: bool) -> Iterator[str]:
    """Yield where the slower side spends its extra time, the largest part of each side, and the bounds.

    The first sentence needs a verdict: ``explain`` says that there is one.
    """
    if len(sides) == 2 and explain and (sentence := reasons.extra(*sides)):
        yield sentence
    if sides:
        yield f"{'; '.join(map(_largest_part, sides))}."
    bounds = [
        f"{share(limit.bound.efficiency)} of {words.variant(limit.arm)}'s time"
        for limit in sides
        if limit.bound
    ]
    if bounds:
        yield f"At its library's best rates the work would take {wording.listing(bounds)}."


def _largest_part(limit: Limit) -> str:
    """Return the largest part: "84 % of torch-cell's training step is dispatch (336 µs, 65 operations)"."""
    kind, part = max(limit.parts.items(), key=lambda item: item[1].share.estimate)
    amount = units.duration(part.time_ns)
    if kind == "dispatch" and limit.count is not None:
        amount += f", {wording.count(limit.count.calls, 'operation')}"
    whose = f"{words.variant(limit.arm)}'s {words.TASKS[limit.entry.case.task]}"
    return f"{share(part.share)} of {whose} is {reasons.PARTS[kind]} ({amount})"


def _notes(every: Limits) -> Iterator[str]:
    """Yield notes on this run: parts that overlap, entries without parts, probes that failed."""
    overlapping = [
        f"{words.variant(limit.arm)} in {len(limit.overlaps)} of {wording.count(limit.blocks, 'block')} "
        f"(median {units.percent(median(limit.overlaps))})"
        for limit in every.entries
        if limit.overlaps and median(limit.overlaps) > MIN_OVERLAP
    ]
    if overlapping:
        scaled = "Timed alone, the parts add up to more than the whole, to which they are scaled"
        yield f"{scaled}: {'; '.join(overlapping)}."
    unsplit = [limit.arm for limit in every.entries if not limit.parts]
    if unsplit:
        names = wording.listing([f"{words.variant(arm)} ({words.place(arm)})" for arm in unsplit], 12)
        yield f"Not taken apart, their calls not being timed on arrays of one number: {names}."
    uncounted = [words.variant(limit.arm) for limit in every.entries if limit.parts and limit.count is None]
    if uncounted:
        names = wording.listing(uncounted, 12)
        yield f"All but dispatch is the rest where operations cannot be counted: {names}."
    for (arm, reason), blocks in every.troubles.items():
        in_blocks = wording.count(len(blocks), "block")
        yield wording.full_stop(f"{arm} did not time its library in {in_blocks}: {reason}")


# ---- tables


def _tables(every: Limits, apart: Sequence[Limit]) -> Iterator[TextTable]:
    """Yield two tables with a row per entry, as one would be too wide, and the table of libraries."""
    variant: Fields[Limit] = {"Variant": lambda limit: tables.variant_cell(limit.arm, words.place(limit.arm))}
    parts: Fields[Limit] = {title: partial(_part_cell, kind) for kind, title in PART_TITLES.items()}
    yield text_table("Where the time of a call goes", {**variant, **parts}, apart)
    amounts: Fields[Limit] = {
        "Operations": lambda limit: Cell.of(limit.count.calls, "{:.0f}".format) if limit.count else "",
        "Mflop": lambda limit: Cell.of(limit.count.flops / 1e6, units.number) if limit.count else "",
        "MB": lambda limit: Cell.of(limit.count.bytes / 1e6, units.number) if limit.count else "",
        "Lower bound": lambda limit: (
            Cell.of(limit.bound.time_ns, units.duration, f"by {limit.bound.by}") if limit.bound else ""
        ),
        "Efficiency": lambda limit: _share_cell(limit.bound.efficiency) if limit.bound else "",
    }
    bounded = [limit for limit in every.entries if limit.bound or limit.parts]
    caption = "What a call consists of, and how fast that could be"
    yield text_table(caption, {**variant, **amounts}, bounded)
    yield _speeds_table(every.libraries)


def _part_cell(kind: Kind, limit: Limit) -> Cell:
    part = limit.parts.get(kind)
    return _share_cell(part.share, units.duration(part.time_ns)) if part else Cell(units.NOTHING)


def _share_cell(interval: Interval, note: str = "") -> Cell:
    return Cell(share(interval), note, interval.estimate)


def _speeds_table(libraries: Sequence[LibrarySpeeds]) -> TextTable:
    """Return the speeds of the libraries alone: a column per library, a row per operation."""
    by_library = {
        f"{words.library(speeds.arm)}, {words.place(speeds.arm)}": dict(_rates(speeds))
        for speeds in libraries
    }
    fields: Fields[Operation] = {"Operation": lambda operation: Cell(operation[0], operation[1])}
    rates: Fields[Operation] = {title: partial(_rate_cell, rates) for title, rates in by_library.items()}
    operations = dict.fromkeys(operation for rates in by_library.values() for operation in rates)
    ordered = sorted(operations, key=lambda operation: UNIT_ORDER.index(operation[2]))
    return text_table("What the libraries can do by themselves", {**fields, **rates}, ordered, SPEEDS_NOTE)


def _rates(library: LibrarySpeeds) -> Iterator[tuple[Operation, Interval]]:
    """Yield each operation of a library with its speed; kernels that write in place are left out."""
    if library.call_ns:
        yield ("a call that has nothing to do", "", "ns"), library.call_ns
    for kernel, rate in library.rates.items():
        if kernel.is_product and not kernel.into:
            m, k, n = kernel.size
            yield (f"product {m} × {k} by {k} × {n}", STORED_NOTES[kernel.stored], "Gflop/s"), rate
        elif kernel.name == COPY or not (kernel.is_product or kernel.into):
            elements = wording.count(kernel.size[0], "element")
            yield (
                (f"{kernel.name} of {elements}", "", "GB/s" if kernel.name == COPY else "G elements/s"),
                rate,
            )


def _rate_cell(rates: Mapping[Operation, Interval], operation: Operation) -> Cell:
    rate = rates.get(operation)
    if rate is None:
        return Cell(units.NOTHING)
    limits = f"[{units.number(rate.low)}, {units.number(rate.high)}]" * rate.finite
    return Cell(f"{units.number(rate.estimate)} {operation[2]}", limits, rate.estimate)


# ---- picture


@plots.style()
def stacked(apart: Sequence[Limit], *, narrow: bool = False) -> Figure:
    """Draw a bar per variant, as long as its time and split into parts, with a mark at its lower bound."""
    figure, axes = plots.new_axes(ROW_INCHES * (len(apart) + 0.2), narrow=narrow)
    width = 1.02 * max(limit.time_ns for limit in apart)
    axes.set(xlim=(0, width), ylim=(len(apart) - 0.55, -0.65), yticks=[])
    plots.set_ticks(axes.xaxis, MaxNLocator(4), lambda ns: units.duration(ns) if ns else "0")
    mark_style: Any = {"color": INK, "marker": "^", "markersize": 5, "linestyle": "none"}
    number_style: Any = {"ha": "center", "va": "center", "fontsize": plots.NOTE, "zorder": 5}
    for y, limit in enumerate(apart):
        colour, left = plots.colour_of(limit.arm.library), 0.0
        device = "" if limit.arm.device == "cpu" else f" on {limit.arm.device}"
        plots.beside(axes, 0, y - 0.4, words.variant(limit.arm) + device, color=colour)
        plots.beside(axes, 1, y - 0.4, units.duration(limit.time_ns), ha="right")
        for kind, part in limit.parts.items():
            edge: Any = {"edgecolor": "white", "linewidth": 0.8, "zorder": 2}
            axes.barh(y, part.time_ns, BAR_HEIGHT, left, color=_tinted(colour, kind), **edge)
            if part.time_ns >= MIN_LABEL_WIDTH * width:
                middle, ink = left + part.time_ns / 2, "white" if kind == KINDS[0] else INK
                axes.text(middle, y, units.percent(part.share.estimate), color=ink, **number_style)
            left += part.time_ns
        if limit.bound:
            axes.plot([limit.bound.time_ns], [y + 0.3], zorder=6, **mark_style)
    tints = [Patch(color=_tinted(OTHER, kind), label=reasons.PARTS[kind]) for kind in KINDS]
    handles = [*tints, Line2D([], [], label="lower bound", **mark_style)]
    plots.legend_below(axes, 2 if narrow else 3, handles=handles, handlelength=1)
    return figure


def _tinted(colour: str, kind: Kind) -> str:
    """Return the tint of a part: ``colour`` mixed with white."""
    strength = TINTS[KINDS.index(kind)]
    red, green, blue = (1 - strength * (1 - channel) for channel in to_rgb(colour))
    return to_hex((red, green, blue))
