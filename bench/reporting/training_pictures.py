"""Predictions over the truth in the tutorial's manner: a picture per kept epoch, and an animation of all."""

import io
import math
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.machine.files import write_atomic
from bench.machine.units import whole
from bench.reporting.plots import FAINT, SOFT, STYLE
from bench.reporting.training_plots import colour
from bench.training.curves import Training, TrainRun
from bench.training.sentences import name

ANIMATION = "animation.gif"
TRUTH, PREDICTION = "#2e9e4f", "#d62728"  # the tutorial's green and red; told apart by width as well
GAP = 3  # between windows, in values
COLUMNS = 2
SINE_LIMITS = (-1.1, 1.1)
HOLD = 6  # frames for which the animation shows the end
FRAMES_PER_S = 8
MAX_BYTES = 2_000_000
RESOLUTIONS = (80, 64, 48, 32, 24)  # dots per inch; the first that stays below the limit is used


class Pictures:
    """A figure with a panel for each variant, brought from epoch to epoch."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.runs = [run for run in training.runs if run.frames]
        self.epochs = sorted({epoch for run in self.runs for epoch in run.frames})
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            columns = min(COLUMNS, len(self.runs))
            rows = math.ceil(len(self.runs) / columns)
            self.figure = Figure(
                figsize=(4.6 * columns, 2.6 * rows + 0.6), facecolor="white", layout="constrained"
            )
            panels = np.ravel(self.figure.subplots(rows, columns, squeeze=False, sharey=True))
            self._heading = self.figure.suptitle(" ", fontsize=10, color=SOFT)
            self._lines = [self._panel(axes, run) for axes, run in zip(panels, self.runs, strict=False)]
            for axes in panels[len(self.runs) :]:
                axes.set_visible(False)
            self.figure.legend(
                handles=[
                    Line2D([], [], color=TRUTH, linewidth=4, alpha=0.6, label="truth"),
                    Line2D([], [], color=PREDICTION, linewidth=1.4, label="prediction"),
                ],
                loc="outside lower center", ncols=2, frameon=False, fontsize=8.5,
            )  # fmt: skip
            self.show(self.epochs[0])
            self.figure.draw_without_rendering()
            self.figure.set_layout_engine("none")  # the places stay: nothing moves from frame to frame

    def show(self, epoch: int) -> None:
        """Put the predictions of an epoch into the panels; a variant that ended before keeps its last."""
        digits = len(whole(self.epochs[-1]))
        self._heading.set_text(f"epoch {whole(epoch):>{digits}}")
        for run, (lines, title) in zip(self.runs, self._lines, strict=True):
            at = max((kept for kept in run.frames if kept <= epoch), default=min(run.frames))
            title.set_text(name(run) if at == epoch else f"{name(run)}, epoch {whole(at)}")
            for line, window in zip(lines, self.training.shown, strict=True):
                line.set_ydata(run.frames[at][window])

    def png(self) -> bytes:
        """The figure as it stands."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
        return buffer.getvalue()

    def _panel(self, axes: Axes, run: TrainRun) -> tuple[list[Line2D], Any]:
        """Truth drawn once, and lines that will be the predictions."""
        truth = self.training.truth
        lines = []
        for place, window in enumerate(self.training.shown):
            x = place * (truth.shape[1] + GAP) + np.arange(truth.shape[1])
            marker = "o" if truth.shape[1] == 1 else ""
            axes.plot(x, truth[window], color=TRUTH, linewidth=4, alpha=0.6, marker=marker)
            (line,) = axes.plot(x, truth[window], color=PREDICTION, linewidth=1.4, marker="o", markersize=2.5)
            lines.append(line)
        axes.set_ylim(*_limits(self.training))
        axes.set_xticks([])
        axes.tick_params(labelsize=8.5, length=0, labelleft=True)
        axes.grid(axis="y", color=FAINT, linewidth=0.7)
        for side in ("right", "top", "bottom"):
            axes.spines[side].set_visible(False)
        return lines, axes.set_title(" ", fontsize=9.5, color=colour(run))


def draw_pictures(training: Training, folder: Path) -> None:
    """Write ``pictures/epoch-*.png`` and ``animation.gif``; nothing where no prediction was kept."""
    if not any(run.frames for run in training.runs):
        return
    pictures = Pictures(training)
    (folder / "pictures").mkdir(exist_ok=True)
    digits = len(str(pictures.epochs[-1]))
    for epoch in pictures.epochs:
        pictures.show(epoch)
        write_atomic(folder / "pictures" / f"epoch-{epoch:0{digits}}.png", pictures.png())
    write_atomic(folder / ANIMATION, animation(pictures))


def animation(pictures: Pictures) -> bytes:
    """The animation as GIF, in the best resolution that keeps it under two megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ANIMATION  # the writer takes a file's name only
        for dpi in RESOLUTIONS:
            writer = PillowWriter(fps=FRAMES_PER_S)
            with writer.saving(pictures.figure, str(path), dpi):
                for epoch in [*pictures.epochs, *[pictures.epochs[-1]] * HOLD]:
                    pictures.show(epoch)
                    writer.grab_frame()
            if path.stat().st_size < MAX_BYTES:
                break
        return path.read_bytes()


def _limits(training: Training) -> tuple[float, float]:
    """The tutorial's for its sine; for a series, the range of truth and last predictions, and some room."""
    if training.header.settings.series is None:
        return SINE_LIMITS
    runs = [run for run in training.runs if run.frames and run.status != "diverged"]
    shown = np.array([training.truth, *[run.test_predictions for run in runs]])[:, training.shown]
    margin = 0.15 * (shown.max() - shown.min()) or 1.0
    return float(shown.min() - margin), float(shown.max() + margin)
