"""Provide styles and helpers for all plots, and the plot of times: a row per time, with its interval.

Figures are drawn without pyplot and global state, under fixed settings: equal rows give equal bytes.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, NullLocator

from bench.machine import libraries, units

INK, SOFT, FAINT = "#1d2530", "#5b6672", "#dfe4ea"
OTHER = libraries.NEUTRAL
STYLE: Any = {  # Any: the stubs know these names only as literals
    "font.family": "DejaVu Sans",  # comes with Matplotlib: present on every machine
    "font.size": 9.5,
    "svg.hashsalt": "rnnbench",
    "svg.fonttype": "path",
    "text.color": INK,
    "text.parse_math": False,  # a $ in a label is no formula
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": SOFT,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}
# number of decades, digits: an axis that spans more decades has ticks at these digits
TICKS: tuple[tuple[float, tuple[float, ...]], ...] = (
    (2.2, (1,)),
    (1.1, (1, 3)),
    (0.5, (1, 2, 3, 5)),
    (0.0, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)),
)
ROWS_INCHES, PLAIN_INCHES, NARROW_INCHES = 4.3, 4.7, 3.3  # widths: numbers beside the axes, none, narrow
SIDE_INCHES = 0.6  # of the width, for labels at the side
ROW_INCHES, NARROW_ROW_INCHES = 0.27, 0.42
MAX_LABEL_LENGTH = 64
TIME_COLUMN, RATIO_COLUMN = 1.17, 1.21  # x of the numbers, in widths of the axes
LABEL_OFFSET = 0.36  # from a mark up to its label in a narrow figure, in rows
SMALL, NOTE = 8.0, 8.5  # points: text above a mark, other small text
LONG = re.compile(rb"-?[1-9]\d*\.\d{4,}")  # more decimals than visible; scales are below 1
WHISKER: Any = {"color": INK, "linewidth": 1.1, "marker": "|", "markersize": 7, "zorder": 5}  # an interval
DOT: Any = {"marker": "o", "markersize": 6, "markeredgewidth": 1.4, "zorder": 6}
GUIDE: Any = {"color": SOFT, "linewidth": 0.9, "linestyle": (0, (3, 3)), "zorder": 2}
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))  # for lines of one colour
FIXED_METADATA: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


@contextmanager
def style() -> Iterator[None]:
    """Apply Matplotlib's defaults and ``STYLE`` in place of the user's settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@dataclass(frozen=True, slots=True)
class Mark:
    """Hold one row of a plot; times are in nanoseconds per call."""

    label: str
    library: str
    section: str  # rows of one section are grouped under its name
    time_ns: float
    low_ns: float | None = None
    high_ns: float | None = None
    blocks_ns: tuple[float, ...] = ()  # the median of each block
    text: str = ""  # the ratio, as in the table
    hollow: bool = False  # the gradient is known to be wrong
    baseline: bool = False


@style()
def dot_plot(marks: Sequence[Mark], *, ratio_title: str = "÷ baseline", narrow: bool = False) -> Figure:
    """Draw times as dots, block medians as small dots and intervals as bars, grouped by section.

    A ``narrow`` figure has labels and numbers above the dots instead of beside the axes.
    """
    sections = list(dict.fromkeys(mark.section for mark in marks))
    has_titles = len(sections) > 1
    n_rows = len(marks) + (len(sections) - 1) * 1.6 + has_titles
    height = (NARROW_ROW_INCHES if narrow else ROW_INCHES) * (n_rows + 1)
    figure, axes = new_axes(height, wide=ROWS_INCHES, narrow=narrow)
    axes.set(ylim=(n_rows - 0.3, -1.3), yticks=[])
    log_axis(axes, [t for mark in marks for t in (mark.time_ns, mark.low_ns, mark.high_ns, *mark.blocks_ns)])
    _write_row(axes, -1, ("", "per call", ratio_title), SOFT, SOFT, narrow=narrow, fontsize=NOTE)
    y = 0.0
    for section in sections:
        members = [mark for mark in marks if mark.section == section]
        if has_titles:
            beside(axes, 0, y, section, color=SOFT, fontsize=NOTE, fontstyle="italic")
            y += 1
        for mark in (mark for mark in members if mark.baseline):
            axes.plot([mark.time_ns] * 2, [y - 0.5, y + len(members) - 0.5], **GUIDE)
        for mark in members:
            _draw_row(axes, y, mark, narrow)
            y += 1
        y += 0.6
    return figure


def _draw_row(axes: Axes, y: float, mark: Mark, narrow: bool) -> None:
    """Draw one row: label, block medians, interval, dot and numbers."""
    colour = colour_of(mark.library)
    axes.axhline(y, color=FAINT, linewidth=0.7, zorder=1)
    block_style: Any = {"alpha": 0.7, "markersize": 3, "markeredgewidth": 0, "zorder": 4}
    axes.plot(mark.blocks_ns, [y] * len(mark.blocks_ns), "o", color=colour, **block_style)
    if mark.low_ns and mark.high_ns:
        axes.plot([mark.low_ns, mark.high_ns], [y, y], **band(colour, 5, 0.35))
    axes.plot([mark.time_ns], [y], color=colour, markerfacecolor="white" if mark.hollow else colour, **DOT)
    texts = mark.label, units.duration(mark.time_ns), mark.text
    _write_row(axes, y, texts, colour, INK, narrow=narrow)


def _write_row(
    axes: Axes, y: float, texts: tuple[str, str, str], colour: str, ink: str, *, narrow: bool, **how: Any
) -> None:
    """Write the label, time and ratio of a row: beside the axes, or above the row in a narrow figure."""
    label, time, ratio = texts
    if narrow:
        text_style: Any = {"fontsize": SMALL} | how
        beside(axes, 0, y - LABEL_OFFSET, label, color=colour, **text_style)
        beside(axes, 1, y - LABEL_OFFSET, f"{time}   {ratio}".rstrip(), color=ink, ha="right", **text_style)
        return
    beside(axes, -0.02, y, label, color=colour, ha="right", **how)
    beside(axes, TIME_COLUMN, y, time, color=ink, ha="right", **how)
    beside(axes, RATIO_COLUMN, y, ratio, color=ink, **how)


def colour_of(library: str) -> str:
    """Return the colour of a library; grey for a library that is not declared."""
    return libraries.library(library).colour


def band(colour: Any, width: float, alpha: float) -> dict[str, Any]:
    """Return the line style of a bar along an axis, ``width`` in points."""
    return {"color": colour, "linewidth": width, "alpha": alpha, "solid_capstyle": "butt", "zorder": 3}


def draw(figure: Figure, kinds: Iterable[str] = ("svg",)) -> dict[str, bytes]:
    """Return the figure as SVG or in other ``kinds``; equal figures give equal bytes."""
    files = {}
    for kind in kinds:
        buffer = io.BytesIO()
        options: Any = {"format": kind, "dpi": 160, "metadata": FIXED_METADATA[kind], "pad_inches": 0.12}
        with style(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # names may be in any script
            figure.savefig(buffer, bbox_inches="tight", **options)
        files[kind] = LONG.sub(_two_decimals, buffer.getvalue()) if kind == "svg" else buffer.getvalue()
    return files


def _two_decimals(number: re.Match[bytes]) -> bytes:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".").encode()


def new_axes(
    height: float, *, wide: float = PLAIN_INCHES, labelled: bool = False, narrow: bool = False
) -> tuple[Figure, Axes]:
    """Return a white figure and axes without a frame, in inches; ``labelled``: with room for labels."""
    width = (NARROW_INCHES if narrow else wide) - SIDE_INCHES * labelled
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0, labelsize=NOTE)
    axes.grid()
    return figure, axes


def style_axes(axes: Axes, grid: Any) -> None:
    """Keep only the left and bottom lines of the frame, and a grid in direction ``grid``."""
    axes.grid(axis=grid)
    axes.tick_params(labelsize=NOTE, length=0, labelleft=True)
    axes.spines[["right", "top"]].set_visible(False)


def log_axis(axes: Axes, times_ns: Iterable[float | None]) -> None:
    """Make x a log axis that contains all these times, with a few ticks."""
    logs = [math.log10(time) for time in times_ns if time]
    margin = max(0.06, 0.05 * (max(logs) - min(logs)))
    low, high = min(logs) - margin, max(logs) + margin
    axes.set(xscale="log", xlim=(10**low, 10**high))
    log_ticks(axes.xaxis, tick)


def log_ticks(axis: Axis, text: Callable[[float], str]) -> None:
    """Set a few ticks on a log axis within its present limits."""
    low, high = axis.get_view_interval()
    digits = next((digits for span, digits in TICKS if math.log10(high / low) > span), TICKS[-1][1])
    set_ticks(axis, LogLocator(subs=digits, numticks=10), text)


def set_ticks(axis: Axis, locator: Locator, text: Callable[[float], str]) -> None:
    """Set ticks only where the locator says, each with its text."""
    axis.set_major_locator(locator)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: text(x)))


def tick(ns: float) -> str:
    """Return the time of a tick without needless digits: 100 µs, 1.5 ms."""
    fitting_units = [unit for unit in units.TIME_UNITS if ns >= unit[0] * 0.9999]
    size, name = max(fitting_units, default=units.TIME_UNITS[0])
    return f"{ns / size:g} {name}"


def legend_below(axes: Axes, columns: int, **how: Any) -> None:
    """Put a legend below the axes and the label of the x axis."""
    position: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": 3.5}  # in font sizes
    axes.legend(ncols=columns, frameon=False, fontsize=NOTE, columnspacing=1.2, **position, **how)


def beside(axes: Axes, x: float, y: float, text: str, **how: Any) -> None:
    """Write text at x, in widths of the axes, and y, in rows."""
    if text:
        transform = axes.get_yaxis_transform(which="grid")
        axes.text(x, y, fitting(text), transform=transform, **({"va": "center"} | how))


def fitting(text: str) -> str:
    """Return a text of any source as a label: printable characters, at most ``MAX_LABEL_LENGTH``."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= MAX_LABEL_LENGTH else text[: MAX_LABEL_LENGTH - 1] + "…"
