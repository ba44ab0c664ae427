"""The pictures of a training: its losses, and predictions over the truth, epoch by epoch, as an animation."""

import io
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.machine.files import write_atomic
from bench.machine.units import whole
from bench.records.training import LARGEST
from bench.reporting import plots
from bench.reporting.plots import SOFT
from bench.training.result import TrainResult, TrainRun, loss

LEAST = 1e-100  # a smaller loss, which may be 0, is drawn there: it has no place on a logarithmic axis
WIDE, NARROW = (9.0, 3.6), (3.4, 5.4)  # inches, of the losses
ANIMATION = "animation.gif"
TRUTH, PREDICTION = "#2e9e4f", "#d62728"  # the tutorial's green and red; told apart by width as well
WINDOWS = 4  # test windows in a picture
GAP = 3  # between windows, in values
PANEL = (2.7, 2.0)  # inches
SINE_LIMITS = (-1.1, 1.1)
HOLD = 6  # frames for which the animation shows the end
FRAMES_PER_S = 8
MAX_BYTES = 2_000_000
LEGEND: Any = {"frameon": False, "fontsize": plots.NOTE}
RESOLUTIONS = (100, 80, 64, 48, 32, 24)  # dots per inch; the first that stays below the limit is used


@plots.style()
def loss_plot(result: TrainResult, *, narrow: bool = False) -> Figure:
    """Draw the loss over epochs and over the wall clock; one below the other for a narrow screen."""
    figure = Figure(figsize=NARROW if narrow else WIDE, facecolor="white", layout="constrained")
    over_epochs, over_time = figure.subplots(*((2, 1) if narrow else (1, 2)), sharey=True)
    target = None if result.target is None else min(max(result.target, LEAST), LARGEST)
    for number, run in enumerate(result.learned):
        below = len(result.learned) - 1 - number  # curves that will be drawn over this one
        how: Any = {
            "color": plots.colour_of(run.library),
            "linestyle": plots.DASHES[number % len(plots.DASHES)],
        }
        how |= {"linewidth": 1.4 + 0.8 * below, "alpha": 0.55 if below else 1}
        how |= {"marker": "o" if len(run.losses) == 1 else "", "label": run.title}
        losses = np.maximum(run.losses, LEAST)
        over_epochs.plot(run.epochs, losses, **how)
        over_time.plot(run.startup_s + run.seconds, losses, **how)
        if run.time_to_target_s is not None:
            over_time.plot(run.time_to_target_s, target, "o", color=how["color"], markersize=5)
    for axes, label in ((over_epochs, "epochs"), (over_time, "seconds since the process started")):
        axes.set(xscale="log", yscale="log", xlabel=label)
        for axis in (axes.xaxis, axes.yaxis):
            plots.log_ticks(axis, lambda x: whole(round(x)) if 1000 <= x < 1e7 else f"{x:g}")
        _dress(axes, "both")
        if target is not None:
            axes.axhline(target, color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
    over_epochs.set_ylabel("training loss (Huber)")
    if result.target is not None:
        text, place = f"target {loss(result.target)}", over_epochs.get_yaxis_transform()
        over_epochs.text(0.01, target, text, transform=place, va="bottom", fontsize=plots.SMALL, color=SOFT)
    columns = 2 if narrow else 4
    handles = over_epochs.get_legend_handles_labels()
    figure.legend(*handles, **LEGEND, loc="outside upper center", ncols=columns, labelcolor="linecolor")
    return figure


class Pictures:
    """A figure with a panel for each variant, brought from epoch to epoch."""

    @plots.style()
    def __init__(self, result: TrainResult) -> None:
        self._runs = [run for run in result.runs if run.frames]
        self.epochs = sorted({epoch for run in self._runs for epoch in run.frames})
        columns = min(2, len(self._runs))
        rows = math.ceil(len(self._runs) / columns)
        size = (PANEL[0] * columns, PANEL[1] * rows + 0.6)
        self.figure = Figure(figsize=size, facecolor="white", layout="constrained")
        panels = np.ravel(self.figure.subplots(rows, columns, squeeze=False, sharey=True))
        self._heading = self.figure.suptitle(" ", fontsize=10, color=SOFT)
        count = len(result.truth)
        self._windows = np.unique(np.linspace(0, count - 1, min(WINDOWS, count)).round()).astype(int)
        self._lines = [self._panel(axes, run, result) for axes, run in zip(panels, self._runs, strict=False)]
        for axes in panels[len(self._runs) :]:
            axes.set_visible(False)
        handles = [
            Line2D([], [], color=TRUTH, linewidth=4, alpha=0.6, label="truth"),
            Line2D([], [], color=PREDICTION, linewidth=1.4, label="prediction"),
        ]
        self.figure.legend(handles=handles, loc="outside lower center", ncols=2, **LEGEND)
        self.show(self.epochs[0])
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")  # the places stay: nothing moves from frame to frame

    def show(self, epoch: int) -> None:
        """Put the predictions of an epoch into the panels; a variant that ended before keeps its last."""
        self._heading.set_text(f"epoch {whole(epoch):>{len(whole(self.epochs[-1]))}}")
        for run, (lines, title) in zip(self._runs, self._lines, strict=True):
            at = max((kept for kept in run.frames if kept <= epoch), default=min(run.frames))
            title.set_text(run.title if at == epoch else f"{run.title}, epoch {whole(at)}")
            for line, window in zip(lines, self._windows, strict=True):
                line.set_ydata(run.frames[at][window])

    def png(self) -> bytes:
        """Return the figure as it stands."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
        return buffer.getvalue()

    def animation(self) -> bytes:
        """Return all epochs as GIF, in the best resolution that keeps it under two megabytes."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / ANIMATION  # the writer takes a file's name only
            for dpi in RESOLUTIONS:
                writer = PillowWriter(fps=FRAMES_PER_S)
                with writer.saving(self.figure, str(path), dpi):
                    for epoch in [*self.epochs, *[self.epochs[-1]] * HOLD]:
                        self.show(epoch)
                        writer.grab_frame()
                if path.stat().st_size < MAX_BYTES:
                    break
            return path.read_bytes()

    def _panel(self, axes: Axes, run: TrainRun, result: TrainResult) -> tuple[list[Line2D], Any]:
        """Draw the truth once, and lines that will be the predictions."""
        truth, lines = result.truth, list[Line2D]()
        length = truth.shape[1]
        for place, window in enumerate(self._windows):
            x = place * (length + GAP) + np.arange(length)
            marker = "o" if length == 1 else ""
            axes.plot(x, truth[window], color=TRUTH, linewidth=4, alpha=0.6, marker=marker)
            lines += axes.plot(x, truth[window], color=PREDICTION, linewidth=1.4, marker="o", markersize=2.5)
        axes.set_ylim(SINE_LIMITS)
        # of a series the range of truth and last predictions, and some room
        if result.header.settings.series is not None:
            kept = [run.test_predictions for run in self._runs if run.status != "diverged"]
            values = np.array([truth, *kept])[:, self._windows]
            margin = 0.15 * np.ptp(values) or 1.0
            axes.set_ylim(values.min() - margin, values.max() + margin)
        axes.set_xticks([])
        _dress(axes, "y")
        axes.spines["bottom"].set_visible(False)
        return lines, axes.set_title(" ", fontsize=9.5, color=plots.colour_of(run.library))


def draw_pictures(result: TrainResult, folder: Path) -> None:
    """Write ``pictures/epoch-*.png`` and ``animation.gif``; nothing where no prediction was kept."""
    if not any(run.frames for run in result.runs):
        return
    pictures = Pictures(result)
    (folder / "pictures").mkdir(exist_ok=True)
    digits = len(str(pictures.epochs[-1]))
    for epoch in pictures.epochs:
        pictures.show(epoch)
        write_atomic(folder / "pictures" / f"epoch-{epoch:0{digits}}.png", pictures.png())
    write_atomic(folder / ANIMATION, pictures.animation())


def _dress(axes: Axes, grid: Any) -> None:
    """Leave of the frame what is needed."""
    axes.grid(axis=grid)
    axes.tick_params(labelsize=plots.NOTE, length=0, labelleft=True)
    axes.spines[["right", "top"]].set_visible(False)
