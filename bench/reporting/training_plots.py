"""The plot of a training: loss over epochs, and over the wall clock from the start of each process."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.machine.units import whole
from bench.records.training import LARGEST
from bench.reporting.plots import COLOURS, FAINT, OTHER, SOFT, STYLE, TICKS
from bench.training.curves import Training, TrainRun
from bench.training.sentences import curves, loss, name

DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
LEAST = 1e-100  # a smaller loss, which may be 0, is drawn there: it has no place on a logarithmic axis
MOST_TICKS = 12
LABEL_GAP = 0.065  # between labels, in heights of the axes


def loss_plot(training: Training) -> Figure:
    """Both views side by side, with one loss axis; every curve has its name at its end."""
    runs = [run for run in training.runs if len(run.losses)]
    target = None if training.target is None else min(max(training.target, LEAST), LARGEST)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(10.8, 4.3), facecolor="white")
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.45})
        for number, run in enumerate(runs):
            since = run.startup_s + run.seconds
            _curve(left, run, run.epochs, number, len(runs))
            _curve(right, run, since, number, len(runs))
            if run.time_to_target_s is not None:
                right.plot(run.time_to_target_s, target, "o", color=colour(run), markersize=5)
        for axes, label in ((left, "epochs"), (right, "seconds since the process started")):
            _dress(axes, label, target)
            _names(axes, runs, [run.epochs if axes is left else run.startup_s + run.seconds for run in runs])
        left.set_ylabel("training loss (Huber)", color=SOFT)
        left.set_title(_wrapped(curves(training)), fontsize=9, color=SOFT, loc="left")
        right.set_title(
            "start-up, reading the data\nand first call included", fontsize=9, color=SOFT, loc="left"
        )
        if training.target is not None:
            place: Any = {"xy": (0.01, target), "xycoords": left.get_yaxis_transform()}
            place |= {"xytext": (0, 3), "textcoords": "offset points"}
            left.annotate(f"target {loss(training.target)}", **place, fontsize=8, color=SOFT)
        return figure


def colour(run: TrainRun) -> str:
    """The library's."""
    return COLOURS.get(run.library, OTHER)


def _curve(axes: Axes, run: TrainRun, x: np.ndarray, number: int, count: int) -> None:
    """A line; the earlier ones are wider, so that one that lies below another still shows."""
    below = count - 1 - number  # how many will be drawn over it
    how: Any = {"linewidth": 1.4 + 1.6 * below / max(1, count - 1), "alpha": 0.55 if below else 1}
    how["marker"] = "o" if len(x) == 1 else ""
    axes.plot(x, _drawn(run), color=colour(run), linestyle=DASHES[number % len(DASHES)], **how)


def _drawn(run: TrainRun) -> np.ndarray:
    """The losses as the axis can show them."""
    return np.maximum(run.losses, LEAST)


def _dress(axes: Axes, label: str, target: float | None) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(label, color=SOFT)
    _ticks(axes.xaxis, *axes.get_xlim())
    _ticks(axes.yaxis, *axes.get_ylim())
    axes.tick_params(labelsize=8.5, length=0, which="both", labelleft=True)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    if target is not None:
        axes.axhline(target, color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)


def _ticks(axis: Axis, low: float, high: float) -> None:
    """A handful of ticks on a log axis, written out."""
    span = np.log10(high) - np.log10(low)
    digits = next(digits for least, digits in TICKS if span > least)
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    powers = range(first, last + 1, 1 + (last - first) // MOST_TICKS)
    ticks = [digit * 10.0**power for power in powers for digit in digits]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}" if x < 1000 else whole(round(x))))
    axis.set_minor_locator(NullLocator())


def _names(axes: Axes, runs: Sequence[TrainRun], xs: Sequence[np.ndarray]) -> None:
    """A name beside the end of each curve, moved apart where they would touch."""
    low, high = np.log(axes.get_ylim())
    places = [(np.log(_drawn(run)[-1]) - low) / (high - low) for run in runs]
    order = sorted(range(len(runs)), key=lambda number: places[number])
    free = 0.0
    for number in order:
        places[number] = free = max(places[number], free)
        free += LABEL_GAP * (2 if runs[number].known_wrong else 1)
    for run, x, place in zip(runs, xs, places, strict=True):
        axes.annotate(
            name(run).replace(" (", "\n("), (x[-1], _drawn(run)[-1]), (1.02, place), xycoords="data",
            textcoords="axes fraction", color=colour(run), fontsize=8.5, va="baseline", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.8, "shrinkB": 2},
        )  # fmt: skip


def _wrapped(text: str) -> str:
    """Two lines where one would be too wide."""
    return text.replace(": ", ":\n", 1)
