"""Draw the pictures of a training: its losses, and an animation of predictions over the truth by epoch."""

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
from bench.reporting import plots, words
from bench.reporting.plots import SOFT
from bench.training.result import TrainResult, TrainRun, loss

MIN_LOSS = 1e-100  # a smaller loss, such as 0, is drawn here: a logarithmic axis has no 0
WIDE_SIZE, NARROW_SIZE = (9.0, 3.6), (3.4, 5.4)  # of the loss plot, in inches
ANIMATION = "animation.gif"
TRUTH, PREDICTION = "#2e9e4f", "#d62728"  # the tutorial's green and red; the widths differ too
MAX_WINDOWS = 4  # test windows in a picture
GAP = 3  # between windows, in values
PANEL_SIZE = (2.7, 2.0)  # in inches
SINE_LIMITS = (-1.1, 1.1)
LAST_FRAMES = 6  # number of frames that show the last epoch
FRAMES_PER_S = 8
MAX_BYTES = 2_000_000
LEGEND: Any = {"frameon": False, "fontsize": plots.NOTE}
RESOLUTIONS = (100, 80, 64, 48, 32, 24)  # dots per inch; the first with a file below ``MAX_BYTES`` is used


@plots.style()
def loss_plot(result: TrainResult, *, narrow: bool = False) -> Figure:
    """Draw the loss over epochs and over the wall clock, one below the other if ``narrow``."""
    figure = Figure(figsize=NARROW_SIZE if narrow else WIDE_SIZE, facecolor="white", layout="constrained")
    over_epochs, over_time = figure.subplots(*((2, 1) if narrow else (1, 2)), sharey=True)
    target = None if result.target is None else min(max(result.target, MIN_LOSS), LARGEST)
    for number, run in enumerate(result.learned):
        n_above = len(result.learned) - 1 - number  # curves that will be drawn over this curve
        options: Any = {
            "color": plots.colour_of(run.library),
            "linestyle": plots.DASHES[number % len(plots.DASHES)],
        }
        options |= {"linewidth": 1.4 + 0.8 * n_above, "alpha": 0.55 if n_above else 1}
        options |= {"marker": "o" if len(run.losses) == 1 else "", "label": run.title}
        losses = np.maximum(run.losses, MIN_LOSS)
        over_epochs.plot(run.epochs, losses, **options)
        over_time.plot(run.startup_s + run.seconds, losses, **options)
        if run.time_to_target_s is not None:
            over_time.plot(run.time_to_target_s, target, "o", color=options["color"], markersize=5)
    epochs_label = f"epochs{words.of_cell(result.header.case)}"
    for axes, label in ((over_epochs, epochs_label), (over_time, "seconds since the process started")):
        axes.set(xscale="log", yscale="log", xlabel=label)
        for axis in (axes.xaxis, axes.yaxis):
            plots.log_ticks(axis, lambda x: whole(round(x)) if 1000 <= x < 1e7 else f"{x:g}")
        plots.style_axes(axes, "both")
        if target is not None:
            axes.axhline(target, color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
    over_epochs.set_ylabel("training loss (Huber)")
    if result.target is not None:
        text, transform = f"target {loss(result.target)}", over_epochs.get_yaxis_transform()
        over_epochs.text(
            0.01, target, text, transform=transform, va="bottom", fontsize=plots.SMALL, color=SOFT
        )
    columns = 2 if narrow else 4
    handles = over_epochs.get_legend_handles_labels()
    figure.legend(*handles, **LEGEND, loc="outside upper center", ncols=columns, labelcolor="linecolor")
    return figure


class Pictures:
    """Hold a figure with a panel per variant, which shows the predictions of one epoch at a time."""

    @plots.style()
    def __init__(self, result: TrainResult) -> None:
        self._runs = [run for run in result.runs if run.frames]
        self._cell = words.of_cell(result.header.case)
        self.epochs = sorted({epoch for run in self._runs for epoch in run.frames})
        columns = min(2, len(self._runs))
        rows = math.ceil(len(self._runs) / columns)
        size = (PANEL_SIZE[0] * columns, PANEL_SIZE[1] * rows + 0.6)
        self.figure = Figure(figsize=size, facecolor="white", layout="constrained")
        panels = np.ravel(self.figure.subplots(rows, columns, squeeze=False, sharey=True))
        self._heading = self.figure.suptitle(" ", fontsize=10, color=SOFT, wrap=True)
        count = len(result.truth)
        self._windows = np.unique(np.linspace(0, count - 1, min(MAX_WINDOWS, count)).round()).astype(int)
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
        self.figure.set_layout_engine("none")  # keep the layout: nothing moves between frames

    def show(self, epoch: int) -> None:
        """Show the predictions of an epoch; a variant that ended earlier keeps its last predictions."""
        self._heading.set_text(f"epoch {whole(epoch):>{len(whole(self.epochs[-1]))}}{self._cell}")
        for run, (lines, title) in zip(self._runs, self._lines, strict=True):
            shown = max((frame for frame in run.frames if frame <= epoch), default=min(run.frames))
            title.set_text(run.title if shown == epoch else f"{run.title}, epoch {whole(shown)}")
            for line, window in zip(lines, self._windows, strict=True):
                line.set_ydata(run.frames[shown][window])

    def png(self) -> bytes:
        """Return the present figure as PNG."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
        return buffer.getvalue()

    def animation(self) -> bytes:
        """Return all epochs as GIF, in the best resolution below ``MAX_BYTES``, or else in the lowest."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / ANIMATION  # the writer needs a file name
            for dpi in RESOLUTIONS:
                writer = PillowWriter(fps=FRAMES_PER_S)
                with writer.saving(self.figure, str(path), dpi):
                    for epoch in [*self.epochs, *[self.epochs[-1]] * LAST_FRAMES]:
                        self.show(epoch)
                        writer.grab_frame()
                if path.stat().st_size < MAX_BYTES:
                    break
            return path.read_bytes()

    def _panel(self, axes: Axes, run: TrainRun, result: TrainResult) -> tuple[list[Line2D], Any]:
        """Draw the truth, and lines for the predictions; return these lines and the title."""
        truth, lines = result.truth, list[Line2D]()
        length = truth.shape[1]
        for position, window in enumerate(self._windows):
            x = position * (length + GAP) + np.arange(length)
            marker = "o" if length == 1 else ""
            axes.plot(x, truth[window], color=TRUTH, linewidth=4, alpha=0.6, marker=marker)
            lines += axes.plot(x, truth[window], color=PREDICTION, linewidth=1.4, marker="o", markersize=2.5)
        axes.set_ylim(SINE_LIMITS)
        # a series has other limits: the range of truth and last predictions, with a margin
        if result.header.settings.series is not None:
            predictions = [run.test_predictions for run in self._runs if run.status != "diverged"]
            values = np.array([truth, *predictions])[:, self._windows]
            margin = 0.15 * np.ptp(values) or 1.0
            axes.set_ylim(values.min() - margin, values.max() + margin)
        axes.set_xticks([])
        plots.style_axes(axes, "y")
        axes.spines["bottom"].set_visible(False)
        return lines, axes.set_title(" ", fontsize=9.5, color=plots.colour_of(run.library))


def draw_pictures(result: TrainResult, folder: Path) -> None:
    """Write ``pictures/epoch-*.png`` and ``animation.gif``; nothing if no prediction was kept."""
    if not any(run.frames for run in result.runs):
        return
    pictures = Pictures(result)
    (folder / "pictures").mkdir(exist_ok=True)
    digits = len(str(pictures.epochs[-1]))
    for epoch in pictures.epochs:
        pictures.show(epoch)
        write_atomic(folder / "pictures" / f"epoch-{epoch:0{digits}}.png", pictures.png())
    write_atomic(folder / ANIMATION, pictures.animation())
