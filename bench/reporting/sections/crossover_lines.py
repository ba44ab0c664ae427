"""The picture of a map's ratios along H: a line for each batch, and where each passes through 1."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.analysis.crossover import Line, MapCell, SizeMap, lines
from bench.reporting import plots
from bench.reporting.plots import FAINT, SOFT
from bench.reporting.sections.crossover_plot import CROSSING, bare, head, known, of_grid

# digits that get a tick, from many to few
TICKS: tuple[tuple[float, ...], ...] = (
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,),
)  # fmt: skip
TICK_GAP = 0.055  # heights of the axes between two ticks, at least
LABEL_GAP = 0.055  # and between two labels
LIGHT, DARK = "#a58fd0", "#2d1152"  # one hue, which is neither library's
MARKS = "osD^vPX<>p"


@plots.style()
def lines_plot(size_map: SizeMap, title: str = "") -> Figure:
    """The ratio over H, a line for each B, with its intervals; hollow where there is no verdict.

    Lines are told apart by lightness, by the form of their marks, and by a label at the end of each.
    """
    figure = Figure(figsize=(plots.AXES_INCHES + 1.4, 3.6), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(1.0, color=SOFT, linewidth=1.1, zorder=2)
    drawn = [(line, cells) for line in lines(size_map) if (cells := known(line))]
    ends: list[tuple[float, str, Any]] = []
    for number, (line, cells) in enumerate(drawn):
        look: Any = {"color": _shade(number, len(drawn)), "marker": MARKS[number % len(MARKS)]}
        _ratio_line(axes, line, cells, look)
        ends.append((cells[-1][1], f"B = {line.fixed}", look))
    hidden = sorted({cell.H for cell in of_grid(size_map)})
    axes.set_xlim(hidden[0] / 1.15, hidden[-1] * 1.08)
    low, high = axes.get_ylim()
    low, high = min(low, 0.9), max(high, 1.1)
    axes.set_ylim(low, high)
    for axis, ticks, label in (
        (axes.xaxis, hidden, "hidden units H"),
        (axes.yaxis, ratio_ticks(low, high), "PyTorch ÷ NumPy, time of a call"),
    ):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:g}"))
        axis.set_label_text(label, color=SOFT)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    for text, place, look in _apart(axes, ends):
        where: Any = {"transform": axes.transAxes, "color": look["color"]}
        axes.plot([1.03], [place], look["marker"], clip_on=False, markersize=5, **where)
        axes.text(1.055, place, text, va="center", fontsize=8.5, **where)
    bare(axes)
    head(axes, title)
    return figure


def ratio_ticks(low: float, high: float) -> list[float]:
    """As many round ratios between the limits as stand apart on a log axis."""
    span = math.log(high / low)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for digits in TICKS:
        every = (digit * 10.0**power for power in powers for digit in digits)
        ticks = [tick for tick in every if low <= tick <= high]
        if all(math.log(above / below) >= TICK_GAP * span for below, above in pairwise(ticks)):
            break
    return ticks


def _ratio_line(axes: Axes, line: Line, cells: Sequence[tuple[MapCell, float]], look: Any) -> None:
    """The ratios of one B, each with its interval, and where they pass through 1."""
    colour = look["color"]
    axes.plot(
        [cell.H for cell, _ in cells], [ratio for _, ratio in cells], color=colour, linewidth=1.4, zorder=4
    )
    limits: Any = {"color": colour, "linewidth": 2.6, "alpha": 0.35, "zorder": 3}
    mark: Any = {**look, "markersize": 5, "markeredgewidth": 1.1, "zorder": 5}
    for cell, ratio in cells:
        if cell.made.low and cell.made.high:
            axes.plot([cell.H] * 2, [cell.made.low, cell.made.high], **limits)
        axes.plot([cell.H], [ratio], markerfacecolor=colour if cell.sign else "white", **mark)
    for crossing in line.crossings:
        axes.plot([crossing.low, crossing.high], [1.0, 1.0], **CROSSING)


def _apart(axes: Axes, ends: Sequence[tuple[float, str, Any]]) -> list[tuple[str, float, Any]]:
    """Labels at the ends of lines, in heights of the axes, pushed apart until none covers another."""
    low, high = (math.log(limit) for limit in axes.get_ylim())
    placed: list[tuple[str, float, Any]] = []
    below = -1.0
    for ratio, text, look in sorted(ends, key=lambda end: end[0]):
        below = max((math.log(ratio) - low) / (high - low), below + LABEL_GAP)
        placed.append((text, below, look))
    over = max(0.0, below - 1.0)
    return [(text, place - over, look) for text, place, look in placed]


def _shade(number: int, of: int) -> Any:
    """From light to dark, the larger the batch."""
    light, dark = to_rgb(LIGHT), to_rgb(DARK)
    share = number / max(1, of - 1)
    return tuple(a + (b - a) * share for a, b in zip(light, dark, strict=True))
