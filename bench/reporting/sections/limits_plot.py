"""Where the time goes: a bar a variant, as long as its time, in parts; a mark where its lower bound lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from bench.machine import units
from bench.reporting import plots
from bench.reporting.plots import FAINT, INK, OTHER, SOFT

ROW_INCHES = 0.44
HEIGHT = 0.58  # of a bar, in rows
TINTS = (1.0, 0.66, 0.4, 0.18)  # how strong the colour of each part is, the first one's first
MARK: Any = {"color": INK, "marker": "v", "markersize": 5, "linestyle": "none", "clip_on": False}
LETTER = 0.0145  # of a name in the key, in widths of the axes
NARROW = 0.08  # of the axis: narrower parts carry no number
ROOM = 0.7  # of the axis: shorter bars have room behind them


@dataclass(frozen=True, slots=True)
class Segment:
    """A part: which tint it has, its length in nanoseconds, what stands in it."""

    tint: int
    time_ns: float
    text: str


@dataclass(frozen=True, slots=True)
class Stack:
    """One variant: its parts from left to right; where the interval of the first part's end lies."""

    label: str
    library: str
    segments: tuple[Segment, ...]
    time_ns: float
    ends_ns: tuple[float, float] | None
    bound_ns: float | None


@plots.style()
def stacked(stacks: Sequence[Stack], names: Sequence[str]) -> Figure:
    """The bars, and above them the names of the parts in the tints that they have."""
    rows = len(stacks)
    figure = Figure(figsize=(plots.AXES_INCHES, ROW_INCHES * (rows + 1.3)), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_ylim(rows - 0.4, -1.7)
    axes.set_xlim(0, 1.02 * max(sum(part.time_ns for part in stack.segments) for stack in stacks))
    axes.yaxis.set_major_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: units.duration(ns) if ns else "0"))
    axes.tick_params(axis="x", length=0, labelsize=8.5)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    _key(axes, names)
    plots.beside(axes, plots.TIME_COLUMN, -0.7, "per call", ha="right", color=SOFT, fontsize=8.5)
    for y, stack in enumerate(stacks):
        _row(axes, y, stack)
    return figure


def _key(axes: Axes, names: Sequence[str]) -> None:
    """The parts' names in a row, each behind a patch of its tint, and the mark of the lower bound."""
    there: Any = {"transform": axes.get_yaxis_transform(which="grid")}
    left = 0.0
    for tint, name in enumerate(names):
        axes.fill_between(
            [left, left + 0.03], -1.5, -1.2, color=_tinted(OTHER, tint), linewidth=0, clip_on=False, **there
        )
        plots.beside(axes, left + 0.045, -1.35, name, color=SOFT, fontsize=8.5)
        left += 0.085 + LETTER * len(name)
    axes.plot([left + 0.01], [-1.35], **MARK, **there)
    plots.beside(axes, left + 0.03, -1.35, "lower bound", color=SOFT, fontsize=8.5)


def _row(axes: Axes, y: float, stack: Stack) -> None:
    """A bar with its numbers: in its parts, or behind it where they are too narrow."""
    colour = plots.COLOURS.get(stack.library, OTHER)
    small: Any = {"va": "center", "fontsize": 8.5, "zorder": 5}
    width, left = axes.get_xlim()[1], 0.0
    narrow = [part for part in stack.segments if part.time_ns < NARROW * width]
    beside = len(narrow) > 2 and stack.time_ns < ROOM * width
    for part in stack.segments:
        face = _tinted(colour, part.tint)
        axes.barh(y, part.time_ns, HEIGHT, left, color=face, edgecolor="white", linewidth=0.8, zorder=2)
        if part not in narrow and not beside:
            ink = INK if part.tint else "white"
            axes.text(
                left + part.time_ns / 2, y, part.text, ha="center", color=ink, parse_math=False, **small
            )
        left += part.time_ns
    if beside:
        texts = " · ".join(part.text.removesuffix(" %") for part in stack.segments)
        axes.text(left + 0.015 * width, y, f"{texts} %", color=SOFT, parse_math=False, **small)
    if stack.ends_ns:
        whisker: Any = {"color": INK, "linewidth": 1.0, "marker": "|", "markersize": 5, "zorder": 4}
        axes.plot(stack.ends_ns, [y + 0.42 * HEIGHT] * 2, **whisker)
    if stack.bound_ns:
        axes.plot([stack.bound_ns], [y - 0.5 * HEIGHT - 0.09], zorder=6, **MARK)
    plots.beside(axes, -0.02, y, stack.label, ha="right", color=colour)
    plots.beside(axes, plots.TIME_COLUMN, y, units.duration(stack.time_ns), ha="right")


def _tinted(colour: str, tint: int) -> str:
    """The colour mixed with white."""
    strength = TINTS[tint]
    red, green, blue = (1 - strength * (1 - channel) for channel in to_rgb(colour))
    return to_hex((red, green, blue))
