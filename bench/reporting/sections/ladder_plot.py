"""The waterfall: a bar a change, from the time of the row above to its own, on a log axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bench.machine import units
from bench.reporting import plots
from bench.reporting.plots import FAINT, INK, OTHER, SOFT

ROW_INCHES = 0.46
GAP = 0.9  # before the branches, in rows
WAY, BRANCH = 0.55, 0.25  # how strong a bar is


@dataclass(frozen=True, slots=True)
class Bar:
    """One change: from the time it started with to the time it led to, nanoseconds a call."""

    change: str
    label: str
    library: str
    from_ns: float
    to_ns: float
    low_ns: float | None = None  # where the interval of its factor puts the time it led to
    high_ns: float | None = None
    text: str = ""  # the factor
    hollow: bool = False  # known to be wrong
    branch: bool = False


@plots.style()
def waterfall(bars: Sequence[Bar], whole: Bar) -> Figure:
    """The way from top to bottom, then the whole of it in one bar, then the branches, lighter.

    The first bar of the way has no length: it is where the way begins.
    """
    way = [bar for bar in bars if not bar.branch]
    branches = [bar for bar in bars if bar.branch]
    rows = len(way) + 1 + (GAP + len(branches) if branches else 0)
    figure = Figure(figsize=(plots.AXES_INCHES, ROW_INCHES * (rows + 0.8)), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_ylim(rows - 0.4, -1.2)
    axes.yaxis.set_major_locator(NullLocator())
    plots.log_axis(axes, [time for bar in bars for time in (bar.from_ns, bar.to_ns, bar.low_ns, bar.high_ns)])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    plots.beside(axes, plots.TIME_COLUMN, -0.85, "per call", ha="right", color=SOFT, fontsize=8.5)
    plots.beside(axes, plots.RATIO_COLUMN, -0.85, "factor", color=SOFT, fontsize=8.5)
    for y, bar in enumerate(way):
        axes.plot([bar.to_ns] * 2, [y, y + 1], color=SOFT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=2)
        _row(axes, y, bar)
    _row(axes, len(way), whole)
    for n, bar in enumerate(branches):
        _row(axes, len(way) + 1 + GAP + n, bar)
    if branches:
        heading: dict[str, Any] = {"ha": "left", "color": SOFT, "fontsize": 8.5, "fontstyle": "italic"}
        plots.beside(axes, 0, len(way) + GAP + 0.35, "beside the way", **heading)
    return figure


def _row(axes: Axes, y: float, bar: Bar) -> None:
    """A bar with its dot, its interval and what stands beside it."""
    colour = plots.COLOURS.get(bar.library, OTHER)
    strength = BRANCH if bar.branch else WAY
    body: Any = {"color": colour, "alpha": strength, "linewidth": 10, "solid_capstyle": "butt", "zorder": 3}
    dot: Any = {"color": colour, "markersize": 6, "markeredgewidth": 1.4, "zorder": 6}
    axes.plot([bar.from_ns, bar.to_ns], [y, y], **body)
    if bar.low_ns and bar.high_ns:
        whisker: Any = {"color": INK, "linewidth": 1.1, "marker": "|", "markersize": 7, "zorder": 5}
        axes.plot([bar.low_ns, bar.high_ns], [y, y], **whisker)
    axes.plot([bar.to_ns], [y], "o", markerfacecolor="white" if bar.hollow else colour, **dot)
    plots.beside(axes, -0.02, y - 0.2, bar.change, ha="right", color=SOFT if bar.branch else INK)
    plots.beside(axes, -0.02, y + 0.22, bar.label, ha="right", color=colour, fontsize=8.5)
    plots.beside(axes, plots.TIME_COLUMN, y, units.duration(bar.to_ns), ha="right")
    plots.beside(axes, plots.RATIO_COLUMN, y, bar.text)
