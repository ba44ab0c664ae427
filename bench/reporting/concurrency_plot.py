"""Draw the steps a second, or at a rate the p99 response with the deadline, over the number of streams."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.analysis.concurrency import Concurrency, Point
from bench.machine import units
from bench.records.record import Arm
from bench.records.stream import CONTROL
from bench.reporting import plots
from bench.reporting.plots import SMALL, SOFT
from bench.reporting.stream_tables import label

WIDE_INCHES, NARROW_INCHES = (6.4, 3.9), (3.4, 3.7)
RATED = 0.99  # the percentile that is drawn at a rate


@plots.style()
def concurrency_plot(summary: Concurrency, *, narrow: bool = False) -> Figure:
    """Draw a curve for each arm and the control: of all workers with dots, of fewer ones faint."""
    declared = summary.stream.declaration
    figure = Figure(figsize=NARROW_INCHES if narrow else WIDE_INCHES, facecolor="white", layout="constrained")
    axes = figure.subplots()
    unit = f"{label(RATED)} from when a step was due to its end" if declared.rate else "steps a second"
    axes.set(xscale="log", yscale="log", xlabel="streams", ylabel=unit)
    curves: dict[tuple[Arm | None, int], list[Point]] = {}
    for point in summary.points:
        most = point.workers == min(point.streams, declared.workers)
        curves.setdefault((point.arm, declared.workers if most else point.workers), []).append(point)
    for (arm, workers), points in curves.items():
        _curve(axes, arm, points, faint=workers < declared.workers, rated=bool(declared.rate))
    handles, _ = axes.get_legend_handles_labels()
    if declared.period_ns and not handles:  # no level has enough steps for a p99
        axes.set_ylim(0.1 * declared.period_ns, 10 * declared.period_ns)
    if declared.period_ns:
        axes.axhline(declared.period_ns, **plots.GUIDE)
        plots.beside(
            axes, 0.0, declared.period_ns, f"deadline {plots.tick(declared.period_ns)}", va="bottom",
            color=SOFT, fontsize=SMALL,
        )  # fmt: skip
    plots.style_axes(axes, "both")
    plots.set_ticks(axes.xaxis, FixedLocator(declared.streams), "{:g}".format)
    plots.log_ticks(axes.yaxis, plots.tick if declared.rate else units.rate)
    if handles:
        plots.legend_below(axes, 1 if narrow else 3)
    return figure


def _curve(axes: Axes, arm: Arm | None, points: list[Point], *, faint: bool, rated: bool) -> None:
    """Draw an arm over the number of streams, with intervals; the legend names curves of all workers."""
    colour = plots.colour_of(arm.library) if arm else plots.OTHER
    drawn = []
    for point in points:
        at = point.quantiles.get(RATED) if rated else point.step
        if at:
            limits = (at.low, at.high) if at.low and at.high else (at.ns, at.ns)
            drawn.append((point.streams, *((ns if rated else 1e9 / ns) for ns in (at.ns, *limits))))
    if not drawn:
        return
    xs, ys, lows, highs = zip(*drawn, strict=True)
    look: dict[str, Any] = {"alpha": 0.35} if faint else {"label": arm.title if arm else CONTROL}
    axes.plot(xs, ys, color=colour, marker="o", markersize=0 if faint else 4.5, linewidth=1.5, **look)
    if not faint:
        for x, low, high in zip(xs, lows, highs, strict=True):
            axes.plot([x, x], [low, high], **plots.band(colour, 5, 0.35))
