"""Why: where the time of a call goes, how far that is from the machine's limit, and what libraries can do."""

from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from typing import Any

from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bench.analysis.outcome import Outcome
from bench.analysis.statistics import Interval
from bench.analysis.time_split import (
    KINDS,
    Kind,
    LibrarySpeeds,
    Limit,
    Limits,
    Part,
    Speed,
    limits,
)  # fmt: skip
from bench.machine import units, wording
from bench.machine.wording import full_stop
from bench.reporting import answer, plots, reasons, words
from bench.reporting.facts import Facts
from bench.reporting.plots import INK, OTHER
from bench.reporting.section import Cell, Drawing, Section, TextTable, numbers, texts
from bench.workload.operations import Stored

WHY, WHERE = "Why is that so", "Where does the time go"  # with a verdict, and without
SLIGHT = 0.005  # an overlap that no bar would show
SHARES = (*texts("Variant"), *numbers("Dispatch", "Matrix products", "Elementwise", "Rest"))
BOUNDS = (*texts("Variant"), *numbers("Operations", "Mflop", "MB", "Lower bound", "Efficiency"))
CAPTION = "A bar is the time of a call in its parts, the triangle the lower bound of that time."
NOTES = (
    "Dispatch is measured: the same calls on arrays of one number. Products and elementwise work are what "
    "the counted operations cost beyond that, timed alone; the rest is what remains, as autograd, copies "
    "and caches. docs/limits.md has the formulas.",
    "The lower bound is what the products and activations that the mathematics needs take at the library's "
    "best rates here, or a copy of the bytes it needs; efficiency is the bound over the time.",
)
SPEEDS = (
    "Medians over blocks. A product of (m, k) and (k, n) makes 2 m k n flops; a copy counts bytes read and "
    "written."
)
STORED: dict[Stored, str] = {"NN": "", "NT": "right one transposed", "TN": "left one transposed"}
UNITS = ("ns", "Gflop/s", "G elements/s", "GB/s")  # in the order of the table
Operation = tuple[str, str, str]  # what it is, a note, its unit
ROW_INCHES, HEIGHT = 0.54, 0.42  # of a row; of a bar, in rows
TINTS = (1.0, 0.66, 0.4, 0.18)  # how strong the colour of each part is, the first one's first
NARROW = 0.085  # of the axis: narrower parts carry no number


def limits_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """Return why; None where the run measured neither dispatch nor its libraries."""
    every = limits(facts.run, found)
    if every is None or not (every.entries or every.libraries):
        return None
    apart = [limit for limit in every.entries if limit.parts]
    draw = partial(stacked, apart)
    picture = Drawing(f"{prefix}limits", _alt(apart), draw, CAPTION, partial(draw, narrow=True))
    decided = words.is_decided(answer.main_comparison(facts))  # of what is not, nothing is the cause
    return Section(
        id="limits",
        title=f"{WHY if decided else WHERE}, and how fast could it be?",
        lead=tuple(_lead(_main(facts, apart), explain=decided)),
        drawings=(picture,) if apart else (),
        tables=tuple(_tables(every, apart)),
        notes=(*_notes(every), *NOTES),
    )


def share(interval: Interval) -> str:
    """Return a share and its 95 % interval: 84 % [83, 86]."""
    text = units.percent(interval.estimate)
    if not interval.finite:
        return text
    low, high = (units.percent(limit).removesuffix(" %") for limit in (interval.low, interval.high))
    return f"{text} [{low}, {high}]"


def _main(facts: Facts, apart: Sequence[Limit]) -> list[Limit]:
    """Return the sides of the main comparison, slower first; the first entry where neither has parts."""
    by_entry = {limit.entry.id: limit for limit in apart}
    main = answer.main_comparison(facts)
    sides = [by_entry[entry] for entry in (main.entry, main.baseline) if entry in by_entry] if main else []
    return sorted(sides or apart[:1], key=lambda limit: -limit.time_ns)


def _lead(sides: Sequence[Limit], *, explain: bool) -> Iterator[str]:
    """Say what the slower one spends its extra time on, what each spends most on, and how far it could go.

    ``explain`` allows the first of these, which needs a verdict.
    """
    if len(sides) == 2 and explain and (sentence := reasons.extra(*sides)):
        yield sentence
    if sides:
        yield f"{'; '.join(map(_most, sides))}."
    bounded = [(limit, limit.bound) for limit in sides if limit.bound]
    if bounded:
        least = [f"{words.library(limit.arm)} {units.duration(bound.time_ns)}" for limit, bound in bounded]
        runs = [f"{words.variant(limit.arm)} runs at {share(bound.efficiency)}" for limit, bound in bounded]
        needed = wording.listing(list(dict.fromkeys(least)))
        rates = "At its library's best rates the work would take"
        yield f"{rates} {needed}: {wording.listing(runs)} of that speed."


def _most(limit: Limit) -> str:
    """Return "84 % of torch-cell's training step is dispatch (336 µs, 65 operations)"."""
    part = max(limit.parts, key=lambda part: part.share.estimate)
    calls = ""
    if part.kind == "dispatch" and limit.count is not None:
        calls = f", {wording.count(limit.count.calls, 'operation')}"
    whose = f"{words.variant(limit.arm)}'s {words.TASKS[limit.entry.case.task]}"
    what = f"{reasons.PARTS[part.kind]} ({units.duration(part.time_ns)}{calls})"
    return f"{share(part.share)} of {whose} is {what}"


def _alt(apart: Sequence[Limit]) -> str:
    each = "; ".join(f"{words.variant(one.arm)} {units.duration(one.time_ns)}" for one in apart)
    return f"Time of a call in its parts, a bar a variant; the table has the parts. {each}."


def _tables(every: Limits, apart: Sequence[Limit]) -> Iterator[TextTable]:
    """Yield two tables with a row an entry, since one would be too wide, and that of the libraries."""
    if apart:
        rows = tuple((_head(limit), *(_share(limit, kind) for kind in KINDS)) for limit in apart)
        yield TextTable("Where the time of a call goes", SHARES, rows)
    if bounded := [limit for limit in every.entries if limit.bound or limit.parts]:
        rows = tuple((_head(limit), *_bounds(limit)) for limit in bounded)
        yield TextTable("What a call consists of, and how fast that could be", BOUNDS, rows)
    if every.libraries:
        yield _speeds_table(every.libraries)


def _head(limit: Limit) -> Cell:
    return Cell(words.variant(limit.arm), words.place(limit.arm), library=limit.arm.library)


def _share(limit: Limit, kind: Kind) -> Cell:
    part = limit.part(kind)
    if part is None:
        return Cell(units.NOTHING)
    return Cell(share(part.share), units.duration(part.time_ns), part.share.estimate)


def _bounds(limit: Limit) -> list[Cell]:
    """Return operations, millions of flops, megabytes, the lower bound and the efficiency."""
    cells, count, bound = [Cell(units.NOTHING)] * 5, limit.count, limit.bound
    if count is not None:
        large = [amount / 1e6 for amount in (count.flops, count.bytes)]
        cells[0] = Cell(units.whole(count.calls), value=count.calls)
        cells[1:3] = [Cell(units.number(amount), value=amount) for amount in large]
    if bound is not None:
        cells[3] = Cell(units.duration(bound.time_ns), f"by {bound.by}", bound.time_ns)
        cells[4] = Cell(share(bound.efficiency), value=bound.efficiency.estimate)
    return cells


def _notes(every: Limits) -> Iterator[str]:
    """Say what holds for this run alone: parts that overlap, entries without parts, probes that failed."""
    overlapping = [
        f"{words.variant(limit.arm)} in {len(limit.overlaps)} of {wording.count(limit.blocks, 'block')} "
        f"(median {units.percent(median(limit.overlaps))})"
        for limit in every.entries
        if limit.overlaps and median(limit.overlaps) > SLIGHT
    ]
    if overlapping:
        yield (
            "Timed alone, the parts add up to more than the whole, to which they are scaled: "
            f"{'; '.join(overlapping)}."
        )
    if whole := [limit for limit in every.entries if not limit.parts]:
        names = [f"{words.variant(limit.arm)} ({words.place(limit.arm)})" for limit in whole]
        yield (
            "Not taken apart, their calls not being timed on arrays of one number: "
            f"{wording.listing(names, 12)}."
        )
    for arm, reason, blocks in every.troubles:
        yield full_stop(f"{arm} did not time its library in {wording.count(len(blocks), 'block')}: {reason}")


def _speeds_table(libraries: Sequence[LibrarySpeeds]) -> TextTable:
    """Return what the libraries can do by themselves: a column a library, a row an operation."""
    titles = [f"{words.library(one.arm)}, {words.place(one.arm)}" for one in libraries]
    by_library = [dict(_rates(one)) for one in libraries]
    operations = dict.fromkeys(operation for rates in by_library for operation in rates)
    rows = tuple(
        (Cell(what, note), *(_rate(rates.get((what, note, unit)), unit) for rates in by_library))
        for what, note, unit in sorted(operations, key=lambda operation: UNITS.index(operation[2]))
    )
    columns = (*texts("Operation"), *numbers(*titles))
    return TextTable("What the libraries can do by themselves", columns, rows, SPEEDS)


def _rates(library: LibrarySpeeds) -> Iterator[tuple[Operation, Interval]]:
    """Yield a library's speeds by what they are; what was written in place is left out."""
    if library.call_ns:
        yield ("a call that has nothing to do", "", "ns"), library.call_ns
    for speed in (speed for speed in library.products if not speed.kernel.into):
        m, k, n = speed.kernel.size
        yield (f"product {m} × {k} by {k} × {n}", STORED[speed.kernel.stored], "Gflop/s"), speed.rate
    for speed in (speed for speed in library.activations if not speed.kernel.into):
        yield (f"{speed.kernel.name} of {_elements(speed)}", "", "G elements/s"), speed.rate
    if library.copy:
        yield (f"copy of {_elements(library.copy)}", "", "GB/s"), library.copy.rate


def _elements(speed: Speed) -> str:
    return wording.count(speed.kernel.size[0], "element")


def _rate(rate: Interval | None, unit: str) -> Cell:
    if rate is None:
        return Cell(units.NOTHING)
    text = f"[{units.number(rate.low)}, {units.number(rate.high)}]" if rate.finite else ""
    return Cell(f"{units.number(rate.estimate)} {unit}", text, rate.estimate)


@plots.style()
def stacked(apart: Sequence[Limit], *, narrow: bool = False) -> Figure:
    """Draw a bar a variant, as long as its time, in parts; a mark where its lower bound lies."""
    figure, axes = plots.plain_axes(ROW_INCHES * (len(apart) + 0.2), narrow=narrow)
    width = 1.02 * max(limit.time_ns for limit in apart)
    axes.set(xlim=(0, width), ylim=(len(apart) - 0.55, -0.65), yticks=[])
    plots.set_ticks(axes.xaxis, MaxNLocator(4), lambda ns: units.duration(ns) if ns else "0")
    mark: Any = {"color": INK, "marker": "^", "markersize": 5, "linestyle": "none"}
    for y, limit in enumerate(apart):
        colour, left = plots.colour_of(limit.arm.library), 0.0
        device = "" if limit.arm.device == "cpu" else f" on {limit.arm.device}"
        plots.beside(axes, 0, y - 0.4, words.variant(limit.arm) + device, color=colour)
        plots.beside(axes, 1, y - 0.4, units.duration(limit.time_ns), ha="right")
        for part in limit.parts:
            _part(axes, y, part, left, colour)
            left += part.time_ns
        if limit.bound:
            axes.plot([limit.bound.time_ns], [y + 0.3], zorder=6, **mark)
    tints = [Patch(color=_tinted(OTHER, tint), label=reasons.PARTS[kind]) for tint, kind in enumerate(KINDS)]
    plots.legend_below(
        axes,
        2 if narrow else 3,
        handles=[*tints, Line2D([], [], label="lower bound", **mark)],
        handlelength=1,
    )
    return figure


def _part(axes: Any, y: float, part: Part, left: float, colour: str) -> None:
    """Draw a part of a bar, with its share where there is room."""
    tint = KINDS.index(part.kind)
    face = _tinted(colour, tint)
    axes.barh(y, part.time_ns, HEIGHT, left, color=face, edgecolor="white", linewidth=0.8, zorder=2)
    if part.time_ns >= NARROW * axes.get_xlim()[1]:
        how: Any = {"ha": "center", "va": "center", "fontsize": 8.5, "zorder": 5}
        axes.text(
            left + part.time_ns / 2,
            y,
            units.percent(part.share.estimate),
            color=INK if tint else "white",
            **how,
        )


def _tinted(colour: str, tint: int) -> str:
    """Return the colour mixed with white."""
    red, green, blue = (1 - TINTS[tint] * (1 - channel) for channel in to_rgb(colour))
    return to_hex((red, green, blue))
