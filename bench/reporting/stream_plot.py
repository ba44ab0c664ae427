"""Draw the tail of a stream: the share of calls that took longer than a time, over that time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from bench.analysis.tail import Quantile, Tail, Tails
from bench.machine import units, wording
from bench.records.stream import merged
from bench.reporting import plots
from bench.reporting.plots import SMALL, SOFT
from bench.reporting.stream_tables import label
from bench.reporting.tail import mean_of_group

PANEL_INCHES, NARROW_INCHES = (4.5, 3.9), (3.4, 3.7)
ONE_PANEL_INCHES = (6.4, 3.9)
AXES_SHARE = 0.82  # of a panel's width and height, that of the axes in it
FAR = 20.0  # a deadline so many times the longest call is not drawn
LETTER, LINE = 0.6 * SMALL / 72, 1.5 * SMALL / 72  # width and height of a label's letter, in inches
LONGEST_TITLE = 26  # letters of a curve's label; of a longer title the middle is left out
ENDED = 2.0  # stands for where a curve is, in widths of the axes, below its last point
LEFT = 0.3  # of the range of times, left of the fastest call for its label
GAP = 0.02  # between a curve and its label, in widths of the axes
PANELS = {False: "time of a call", True: "from when it was due to its end"}
HALO: Any = [withStroke(linewidth=2.5, foreground="white")]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Hold the curve of an arm, or of the control: ``shares`` of its calls took longer than ``times`` ns."""

    title: str
    times: Values
    shares: Values
    quantiles: dict[float, Quantile]
    look: dict[str, Any]  # colour and dashes

    def times_at(self, shares: Values) -> Values:
        """Return the times that these shares of the calls exceed; infinite beyond the longest."""
        places = np.searchsorted(-self.shares, -shares, side="right")
        return np.append(self.times, np.inf)[places]


@plots.style()
def tail_plot(tails: Tails, *, narrow: bool = False) -> Figure:
    """Draw the times of calls and, at a rate, those from when they were due, below if ``narrow``."""
    panels = [False, True] if tails.control.response else [False]
    width, height = NARROW_INCHES if narrow else PANEL_INCHES if len(panels) > 1 else ONE_PANEL_INCHES
    rows, columns = (len(panels), 1) if narrow else (1, len(panels))
    size = (width * columns, height * rows)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    all_axes = np.ravel(figure.subplots(rows, columns, squeeze=False, sharey=True))
    for axes, response in zip(all_axes, panels, strict=True):
        axes.set(yscale="log", xlabel=PANELS[response] + mean_of_group(tails) * (not response))
        curves = list(_curves(tails, response))
        period_ns = tails.stream.declaration.period_ns if response else None
        _panel(axes, curves, period_ns)
        _write_titles(axes, curves, AXES_SHARE * width, AXES_SHARE * height)
    figure.supylabel("share of calls that took longer", fontsize=plots.STYLE["font.size"], color=SOFT)
    return figure


def _curves(tails: Tails, response: bool) -> Iterator[Curve]:
    """Yield the curve of the control and of every arm: the calls of all blocks together."""
    used = Counter[str]()
    for tail in (tails.control, *tails.arms):
        colour = plots.colour_of(tail.arm.library) if tail.arm else plots.OTHER
        dashes = plots.DASHES[used[colour] % len(plots.DASHES)]
        used[colour] += 1
        yield _curve(tail, {"color": colour, "linestyle": dashes}, response)


def _curve(tail: Tail, look: dict[str, Any], response: bool) -> Curve:
    histograms = (burst.response if response else burst.times for burst in tail.bursts)
    times, shares = merged(filter(None, histograms)).slower()
    # none is slower than the longest: a share of 0, which a log axis does not show
    shares = np.concatenate(([1.0], shares[:-1]))
    times = np.concatenate((times[:1], times[:-1], [tail.longest_ns(response=response)]))
    quantiles = tail.response if response else tail.times
    return Curve(
        wording.short(tail.title, LONGEST_TITLE), times, np.append(shares, shares[-1]), quantiles, look
    )


def _panel(axes: Axes, curves: Sequence[Curve], period_ns: float | None) -> None:
    """Draw curves, their percentiles with intervals, the longest call of each, and the deadline."""
    longest = max(curve.times[-1] for curve in curves)
    near = period_ns if period_ns and period_ns < FAR * longest else None
    axes.set_ylim(0.5 * min(curve.shares[-1] for curve in curves), 1.3)
    times = [time for curve in curves for time in curve.times[[0, -1]]]
    plots.log_axis(axes, [near, *times, min(times) * (min(times) / longest) ** LEFT])
    plots.log_ticks(axes.yaxis, units.percent)
    plots.style_axes(axes, "x")
    for q in curves[0].quantiles:
        axes.axhline(1 - q, color=plots.FAINT, linewidth=0.7, zorder=1)
        plots.beside(axes, 0.995, 1 - q, label(q), ha="right", va="bottom", color=SOFT, fontsize=SMALL)
    for curve in curves:
        colour = curve.look["color"]
        axes.plot(curve.times, curve.shares, **curve.look, drawstyle="steps-post", linewidth=1.5, zorder=4)
        axes.plot(curve.times[-1], curve.shares[-1], "x", color=colour, markersize=6, zorder=5)
        for q, quantile in curve.quantiles.items():
            if quantile.low and quantile.high:
                axes.plot([quantile.low, quantile.high], [1 - q] * 2, **plots.band(colour, 5, 0.35))
            dot = plots.DOT | {"markersize": 4.5, "markerfacecolor": "white" if quantile.machine else colour}
            axes.plot(quantile.ns, 1 - q, color=colour, **dot)
    if period_ns is not None:
        text, where = f"deadline {plots.tick(period_ns)}{'' if near else ' →'}", near or axes.get_xlim()[1]
        axes.text(where, 1.35, text, ha="right", va="bottom", color=SOFT, fontsize=SMALL)
        if near:
            axes.axvline(near, **plots.GUIDE)


def _write_titles(axes: Axes, curves: Sequence[Curve], width: float, height: float) -> None:
    """Write each curve's title beside it, where there is most room, each at a height of its own.

    ``width`` and ``height`` are those of the axes, in inches.
    """
    (left, right), (bottom, top) = np.log(axes.get_xlim()), np.log(axes.get_ylim())
    half = 0.5 * LINE / height * (top - bottom)
    levels = np.arange(-half, bottom + half, -2 * half)

    def across(curve: Curve, logs: Values) -> Values:
        """Return where the curve is at these levels, in widths of the axes."""
        places: Values = (np.log(curve.times_at(np.exp(logs))) - left) / (right - left)
        return places.clip(max=ENDED)

    upper = np.array([across(curve, levels + half) for curve in curves])
    lower = np.array([across(curve, levels - half) for curve in curves])
    dots = np.log([1 - q for q in curves[0].quantiles])  # which a title would hide
    free = (np.abs(levels[:, None] - dots) > 2 * half).all(axis=1)
    for number, curve in enumerate(curves):
        needed = len(curve.title) * LETTER / width + 2 * GAP
        own_upper, own_lower = upper[number], lower[number]
        others = [n for n in range(len(curves)) if n != number]
        after = [np.where(upper[n] >= own_upper, upper[n], 1.0) for n in others]
        before = [np.where(lower[n] <= own_lower, lower[n], 0.0) for n in others]
        room = {
            "left": np.minimum.reduce([np.ones_like(levels), *after]) - own_lower,
            "right": own_upper - np.maximum.reduce([np.zeros_like(levels), *before]),
        }
        usable = free & (own_lower < ENDED)
        scores = {side: np.where(usable, np.minimum(gaps / needed, 1.5), -1.0) for side, gaps in room.items()}
        side = max(scores, key=lambda side: scores[side].max())
        place = int(scores[side].argmax())
        free[place] = False
        x = own_lower[place] + GAP if side == "left" else own_upper[place] - GAP
        plots.beside(
            axes, x, np.exp(levels[place]), curve.title, color=curve.look["color"], ha=side, fontsize=SMALL,
            path_effects=HALO, zorder=7,
        )  # fmt: skip
