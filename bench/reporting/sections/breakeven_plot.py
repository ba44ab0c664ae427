"""What K steps cost, over K: a line an arm, flat while starting is most of it, and where the lines cross."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.machine.units import whole
from bench.reporting.plots import COLOURS, FAINT, INK, OTHER, SOFT, style
from bench.reporting.sections.label_places import Label, places

SIZE = (8.2, 4.9)  # inches
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))  # told apart without colour, too
LABEL_GAP = 0.055  # between labels, in heights of the axes
LEAST_REACH, MOST_REACH = 1e6, 1e9  # steps on the axis
LONGEST_LABEL = 48
LABEL_POINTS = 8.5  # the size of its letters
PATCH: Any = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # under a text on lines


@dataclass(frozen=True, slots=True)
class Line:
    """C(K) = ``fixed_ns`` + K ``step_ns``."""

    label: str
    library: str
    fixed_ns: float
    step_ns: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """Two lines cross at ``steps``, where both have cost ``total_ns``; None: no interval."""

    steps: float
    low: float | None
    high: float | None
    total_ns: float
    text: str


@style()
def cost_plot(lines: Sequence[Line], crossings: Sequence[Crossing], noun: str) -> Figure:
    """The lines on two log axes, named at their right ends, and the crossings with their intervals."""
    figure = Figure(figsize=SIZE, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    reach = _reach(crossings)
    steps = np.geomspace(1, reach, 240)
    used: dict[str, int] = {}
    for line in lines:
        number = used[line.library] = used.get(line.library, -1) + 1
        total = line.fixed_ns + steps * line.step_ns
        how: Any = {"color": _colour(line), "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.6}
        axes.plot(steps, total, **how, zorder=3)
    _dress(axes, reach, noun)
    axes.set_ylim(axes.get_ylim())  # places are worked out from it
    _names(axes, lines, reach)
    marked = [crossing for crossing in crossings if crossing.steps <= reach]
    for crossing in marked:
        _mark(axes, crossing)
    _tell(axes, marked, lines, reach)
    return figure


def _reach(crossings: Sequence[Crossing]) -> float:
    """The last number of steps on the axis: a power of ten beyond every crossing, within reason."""
    last = max((crossing.high or crossing.steps for crossing in crossings), default=1.0)
    return float(min(MOST_REACH, max(LEAST_REACH, 10 ** math.ceil(math.log10(2 * last)))))


def _dress(axes: Axes, reach: float, noun: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1, reach)
    axes.set_xlabel(f"{noun}s", color=SOFT)
    axes.set_ylabel("time since the process started", color=SOFT)
    _ticks(axes.xaxis, *axes.get_xlim(), lambda x: whole(round(x)))
    _ticks(axes.yaxis, *axes.get_ylim(), _time)
    axes.tick_params(labelsize=8.5, length=0, which="both", labelcolor=SOFT)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)


def _ticks(axis: Axis, low: float, high: float, text: Any) -> None:
    """The powers of ten, written out."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [10.0**power for power in powers]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= 1.001 * tick and tick <= high]))
    axis.set_major_formatter(FuncFormatter(lambda x, _: text(x)))
    axis.set_minor_locator(NullLocator())


def _names(axes: Axes, lines: Sequence[Line], reach: float) -> None:
    """A name beside the end of each line, moved apart where they would touch."""
    low, high = np.log(axes.get_ylim())
    ends = [line.fixed_ns + reach * line.step_ns for line in lines]
    heights = apart([(math.log(end) - low) / (high - low) for end in ends], LABEL_GAP)
    for line, end, place in zip(lines, ends, heights, strict=True):
        label = "".join(c if c.isprintable() else "?" for c in line.label)
        label = label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
        axes.annotate(
            label, (reach, end), (1.05, place), xycoords="data", textcoords="axes fraction",
            color=_colour(line), fontsize=LABEL_POINTS, va="center", annotation_clip=False, parse_math=False,
            arrowprops={"arrowstyle": "-", "color": SOFT, "linewidth": 0.6, "relpos": (0, 0.5), "shrinkB": 0},
        )  # fmt: skip


def apart(places: Sequence[float], gap: float) -> list[float]:
    """The nearest places, by squares, that keep the order and are at least ``gap`` apart.

    Less ``gap`` for each one below, they need only not decrease: neighbours that do are put at their mean.
    """
    order = sorted(range(len(places)), key=lambda number: places[number])
    pools: list[tuple[float, int]] = []  # mean and size
    for rank, number in enumerate(order):
        mean, size = places[number] - rank * gap, 1
        while pools and pools[-1][0] > mean:
            below, count = pools.pop()
            mean, size = (mean * size + below * count) / (size + count), size + count
        pools.append((mean, size))
    means = [mean for mean, size in pools for _ in range(size)]
    moved = dict(zip(order, means, strict=True))
    rank_of = {number: rank for rank, number in enumerate(order)}
    return [moved[number] + rank_of[number] * gap for number in range(len(places))]


def _mark(axes: Axes, crossing: Crossing) -> None:
    """A dot where lines cross, and the interval as a bar."""
    if crossing.low is not None and crossing.high is not None:
        bar: Any = {"color": INK, "linewidth": 1.1, "marker": "|", "markersize": 7, "zorder": 5}
        axes.plot([crossing.low, crossing.high], [crossing.total_ns] * 2, **bar)
    dot: Any = {"color": INK, "markerfacecolor": "white", "markersize": 6, "zorder": 6}
    axes.plot([crossing.steps], [crossing.total_ns], "o", **dot)


def _tell(axes: Axes, crossings: Sequence[Crossing], lines: Sequence[Line], reach: float) -> None:
    """The number of each crossing, where it hides no line and no other number; a thin line leads to it."""
    low, high = np.log(axes.get_ylim())
    width, height = size = SIZE[0] * 72, SIZE[1] * 72

    def place(steps: Any, total_ns: Any) -> tuple[Any, Any]:
        """Points of the page from the axes' corner."""
        return np.log(steps) / math.log(reach) * width, (np.log(total_ns) - low) / (high - low) * height

    steps = np.geomspace(1, reach, 240)
    drawn = [np.stack(place(steps, line.fixed_ns + steps * line.step_ns), axis=-1) for line in lines]
    labels = []
    for crossing in crossings:
        text = TextPath((0, 0), crossing.text, size=LABEL_POINTS).get_extents()
        ends = crossing.low or crossing.steps, min(crossing.high or crossing.steps, reach)
        left, right = (place(end, crossing.total_ns)[0] for end in ends)
        x, y = place(crossing.steps, crossing.total_ns)
        labels.append(Label(x, y, left, right, text.width, text.height))
    for crossing, label, found in zip(crossings, labels, places(labels, size, np.vstack(drawn)), strict=True):
        leader = None
        if found.end is not None:
            fractions = (found.end[0] - found.x) / label.width, (found.end[1] - found.y) / label.height
            leader = {"arrowstyle": "-", "color": SOFT, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
            leader["relpos"] = tuple(0.5 + part for part in fractions)
        axes.annotate(
            crossing.text, (crossing.steps, crossing.total_ns), (found.x / width, found.y / height),
            textcoords="axes fraction", color=INK, fontsize=LABEL_POINTS, ha="center", va="center", zorder=7,
            bbox=PATCH, arrowprops=leader, parse_math=False,
        )  # fmt: skip


def _colour(line: Line) -> str:
    return COLOURS.get(line.library, OTHER)


def _time(ns: float) -> str:
    """A tick's time: 10 µs, 100 ms, 1 s, 10 000 s."""
    for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if ns >= size * 0.999:
            return f"{whole(round(ns / size))} {name}"
    return f"{ns:g} ns"
