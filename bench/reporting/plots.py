"""The plots: a time a row on a log axis, with intervals, labels and numbers beside it.

Figures are made without pyplot and without state, under fixed settings: the same rows give the same bytes.
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
from matplotlib.ticker import FixedLocator, FuncFormatter, Locator, NullLocator

from bench.machine import libraries, units

# after Okabe and Ito, told apart by all common kinds of colour vision, and dark enough for text on white
COLOURS = {name: library.colour for name, library in libraries.LIBRARIES.items()}
OTHER = libraries.NEUTRAL
INK, SOFT, FAINT = "#1d2530", "#5b6672", "#dfe4ea"
STYLE: Any = {  # Any: the stubs know these names only as literals
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so it is there on every machine
    "font.size": 9.5,
    "svg.hashsalt": "rnnbench",
    "svg.fonttype": "path",
    "text.color": INK,
    "text.parse_math": False,  # a stranger's $ is no formula
    "axes.edgecolor": FAINT,
    "xtick.color": SOFT,
}
# digits that get a tick, by the decades that the axis spans
TICKS: tuple[tuple[float, tuple[float, ...]], ...] = (
    (2.2, (1,)),
    (1.1, (1, 3)),
    (0.5, (1, 2, 3, 5)),
    (0.0, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)),
)
AXES_INCHES, SLIM_INCHES = 4.3, 3.3
PLAIN_INCHES, SIDE_INCHES = 4.7, 0.6  # of axes without labels at their side, and what those take
ROW_INCHES, SLIM_ROW_INCHES = 0.27, 0.42
LONGEST_LABEL = 64
TIME_COLUMN, RATIO_COLUMN = 1.17, 1.21  # where the numbers stand, in widths of the axes
ABOVE = 0.36  # rows from a mark up to its label, where that stands above it
SMALL = 8.0  # points of what stands above it
LONG = re.compile(rb"-?[1-9]\d*\.\d{4,}")  # finer than an eye sees; scales are below 1
WHISKER: Any = {"color": INK, "linewidth": 1.1, "marker": "|", "markersize": 7, "zorder": 5}  # an interval
NO_DATE: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's defaults and ours on top, whatever the user has configured."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of a plot; times in nanoseconds a call."""

    label: str
    library: str
    section: str  # rows of one section stand together, under its name
    time_ns: float
    low_ns: float | None = None
    high_ns: float | None = None
    blocks_ns: tuple[float, ...] = ()  # the median of each block
    text: str = ""  # the ratio, as the table has it
    hollow: bool = False  # known to be wrong
    baseline: bool = False


@style()
def dot_plot(marks: Sequence[Mark], *, ratio_title: str = "÷ baseline", narrow: bool = False) -> Figure:
    """Return times as dots, the blocks' medians as small ones, the interval as a bar; sections as they come.

    A ``narrow`` figure has labels and numbers above the dots in place of beside them.
    """
    sections = list(dict.fromkeys(mark.section for mark in marks))
    titled = len(sections) > 1
    rows = len(marks) + (len(sections) - 1) * 1.6 + titled
    figure, axes = row_axes(rows, narrow=narrow)
    log_axis(axes, [t for mark in marks for t in (mark.time_ns, mark.low_ns, mark.high_ns, *mark.blocks_ns)])
    row_text(axes, -1, "", "per call", ratio_title, color=SOFT, narrow=narrow, fontsize=8.5)
    y = 0.0
    for section in sections:
        members = [mark for mark in marks if mark.section == section]
        if titled:
            beside(axes, 0, y, section, ha="left", color=SOFT, fontsize=8.5, fontstyle="italic")
            y += 1
        for mark in members:
            if mark.baseline:
                first = y - members.index(mark)
                ends = [first - 0.5, first + len(members) - 0.5]
                dashed: Any = {"color": SOFT, "linewidth": 0.9, "linestyle": (0, (3, 3)), "zorder": 2}
                axes.plot([mark.time_ns] * 2, ends, **dashed)
            _row(axes, y, mark, narrow)
            y += 1
        y += 0.6
    return figure


def colour_of(library: str) -> str:
    """Return the colour of a library; grey for one that nobody has declared."""
    return libraries.library(library).colour


def draw(figure: Figure, kinds: Iterable[str] = ("svg",)) -> dict[str, bytes]:
    """Return the figure as SVG, or in other ``kinds``, always the same bytes for the same figure."""
    files = {}
    for kind in kinds:
        buffer = io.BytesIO()
        with style(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in another script
            figure.savefig(
                buffer, format=kind, dpi=160, metadata=NO_DATE[kind], bbox_inches="tight", pad_inches=0.12
            )
        image = buffer.getvalue()
        files[kind] = LONG.sub(_hundredths, image) if kind == "svg" else image
    return files


def _hundredths(number: re.Match[bytes]) -> bytes:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".").encode()


def row_axes(rows: float, *, narrow: bool = False) -> tuple[Figure, Axes]:
    """Return a figure whose rows have the same height however many there are; y counts rows from the top."""
    width, height = (SLIM_INCHES, SLIM_ROW_INCHES) if narrow else (AXES_INCHES, ROW_INCHES)
    figure = Figure(figsize=(width, height * (rows + 1)), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_ylim(rows - 0.3, -1.3)
    axes.yaxis.set_major_locator(NullLocator())
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def plain_axes(height: float, *, labelled: bool = False, narrow: bool = False) -> tuple[Figure, Axes]:
    """Return a white figure of so many inches and its axes without a frame; ``labelled``: at their side."""
    width = (SLIM_INCHES if narrow else PLAIN_INCHES) - SIDE_INCHES * labelled
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(which="both", length=0, labelsize=8.5, labelcolor=SOFT)
    axes.xaxis.label.set_color(SOFT)
    axes.yaxis.label.set_color(SOFT)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def set_ticks(axis: Axis, locator: Locator, text: Callable[[float], str]) -> None:
    """Put ticks where the locator says and nowhere else, each with its text."""
    axis.set_major_locator(locator)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: text(x)))


def legend_below(axes: Axes, columns: int, **how: Any) -> None:
    """Put a legend under the axes and their label."""
    place: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": 3.5}  # in letters
    axes.legend(ncols=columns, frameon=False, fontsize=8.5, columnspacing=1.2, **place, **how)


def row_text(
    axes: Axes, y: float, label: str, time: str, ratio: str, *, color: str = INK, narrow: bool = False,
    **how: Any,
) -> None:  # fmt: skip
    """Write what a row is and its numbers: beside the axes, or above the row in a narrow figure."""
    left, right = {"ha": "left"} | how, {"ha": "right"} | how
    ink: Any = {} if label else {"color": color}
    if narrow:
        small: Any = {"fontsize": SMALL}
        beside(axes, 0, y - ABOVE, label, **(small | left | {"color": color}))
        beside(axes, 1, y - ABOVE, f"{time}   {ratio}".rstrip(), **(small | right | ink))
        return
    beside(axes, -0.02, y, label, **(right | {"color": color}))
    beside(axes, TIME_COLUMN, y, time, **(right | ink))
    beside(axes, RATIO_COLUMN, y, ratio, **(left | ink))


def log_axis(axes: Axes, times_ns: Iterable[float | None]) -> None:
    """A log axis that holds all these times, with a handful of ticks at 1, 2 and 5."""
    times = [time for time in times_ns if time]
    low, high = math.log10(min(times)), math.log10(max(times))
    margin = max(0.06, 0.05 * (high - low))
    low, high = low - margin, high + margin
    digits = next(digits for span, digits in TICKS if high - low > span)
    ticks = [digit * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for digit in digits]
    axes.set_xscale("log")
    axes.set_xlim(10**low, 10**high)
    shown = [time_ns for time_ns in ticks if low <= math.log10(time_ns) <= high]
    set_ticks(axes.xaxis, FixedLocator(shown), tick)
    axes.tick_params(axis="x", length=0, labelsize=8.5)


def _row(axes: Axes, y: float, mark: Mark, narrow: bool) -> None:
    """Draw label, the blocks' medians, interval, dot and numbers of one row."""
    colour = colour_of(mark.library)
    blocks: Any = {"color": colour, "alpha": 0.7, "markersize": 3, "markeredgewidth": 0, "zorder": 4}
    bar: Any = {"color": colour, "alpha": 0.35, "linewidth": 5, "solid_capstyle": "butt", "zorder": 3}
    dot: Any = {"color": colour, "markersize": 6, "markeredgewidth": 1.4, "zorder": 5}
    axes.plot([0, 1], [y, y], color=FAINT, linewidth=0.7, transform=_rows(axes), zorder=1)
    axes.plot(mark.blocks_ns, [y] * len(mark.blocks_ns), "o", **blocks)
    if mark.low_ns and mark.high_ns:
        axes.plot([mark.low_ns, mark.high_ns], [y, y], **bar)
    axes.plot([mark.time_ns], [y], "o", markerfacecolor="white" if mark.hollow else colour, **dot)
    row_text(axes, y, mark.label, units.duration(mark.time_ns), mark.text, color=colour, narrow=narrow)


def beside(axes: Axes, x: float, y: float, text: str, **how: Any) -> None:
    """Write at x in widths of the axes and y in rows."""
    if not text:
        return
    axes.text(x, y, fitting(text), transform=_rows(axes), **({"color": INK, "va": "center"} | how))


def fitting(text: str) -> str:
    """Return a stranger's text as a label: printable characters, and no more than fit."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def _rows(axes: Axes) -> Any:
    return axes.get_yaxis_transform(which="grid")


def tick(ns: float) -> str:
    """Return a tick's time without digits it does not need: 100 µs, 1.5 ms."""
    size, name = max(
        (unit for unit in units.TIME_UNITS if ns >= unit[0] * 0.9999), default=units.TIME_UNITS[0]
    )
    return f"{ns / size:g} {name}"
