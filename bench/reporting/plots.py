"""The plots: a time a row on a log axis, with intervals, labels and numbers beside it.

Figures are made without pyplot and without state, under fixed settings: the same rows give the same bytes.
"""

import io
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.machine import units

# after Okabe and Ito, told apart by all common kinds of colour vision, and dark enough for text on white
COLOURS = {"numpy": "#0072B2", "torch": "#C04E00"}
OTHER = "#555555"
INK, SOFT, FAINT = "#1d2530", "#5b6672", "#dfe4ea"
STYLE: Any = {  # Any: the stubs know these names only as literals
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so it is there on every machine
    "font.size": 9.5,
    "svg.hashsalt": "rnnbench",
    "svg.fonttype": "path",
    "text.color": INK,
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
AXES_INCHES = 4.3
ROW_INCHES = 0.27
LONGEST_LABEL = 64
TIME_COLUMN, RATIO_COLUMN = 1.17, 1.21  # where the numbers stand, in widths of the axes
FORMATS: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


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
def dot_plot(marks: Sequence[Mark], *, ratio_title: str = "÷ baseline") -> Figure:
    """Times as dots, the blocks' medians as small ones, the interval as a bar; sections as they come."""
    sections = list(dict.fromkeys(mark.section for mark in marks))
    titled = len(sections) > 1
    figure, axes = _canvas(len(marks) + (len(sections) - 1) * 1.6 + titled, marks, ratio_title)
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
                axes.plot(
                    [mark.time_ns] * 2, ends, color=SOFT, linewidth=0.9, linestyle=(0, (3, 3)), zorder=2
                )
            _row(axes, y, mark)
            y += 1
        y += 0.6
    return figure


def draw(figure: Figure) -> dict[str, bytes]:
    """The figure as PNG and as SVG, always the same bytes for the same figure."""
    files = {}
    for kind, metadata in FORMATS.items():
        buffer = io.BytesIO()
        with style(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in another script
            figure.savefig(
                buffer, format=kind, dpi=160, metadata=metadata, bbox_inches="tight", pad_inches=0.12
            )
        files[kind] = buffer.getvalue()
    return files


def _canvas(rows: float, marks: Sequence[Mark], ratio_title: str) -> tuple[Figure, Axes]:
    """A figure whose rows have the same height however many there are; y counts rows from the top."""
    figure = Figure(figsize=(AXES_INCHES, ROW_INCHES * (rows + 1)), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_ylim(rows - 0.3, -1.3)
    axes.yaxis.set_major_locator(NullLocator())
    times = [time for mark in marks for time in (mark.time_ns, mark.low_ns, mark.high_ns, *mark.blocks_ns)]
    log_axis(axes, times)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    beside(axes, TIME_COLUMN, -1, "per call", ha="right", color=SOFT, fontsize=8.5)
    beside(axes, RATIO_COLUMN, -1, ratio_title, color=SOFT, fontsize=8.5)
    return figure, axes


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
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= math.log10(tick) <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _tick(x)))
    axes.tick_params(axis="x", length=0, labelsize=8.5)


def _row(axes: Axes, y: float, mark: Mark) -> None:
    """Label, the blocks' medians, interval, dot and numbers of one row."""
    colour = COLOURS.get(mark.library, OTHER)
    blocks: Any = {"color": colour, "alpha": 0.7, "markersize": 3, "markeredgewidth": 0, "zorder": 4}
    bar: Any = {"color": colour, "alpha": 0.35, "linewidth": 5, "solid_capstyle": "butt", "zorder": 3}
    dot: Any = {"color": colour, "markersize": 6, "markeredgewidth": 1.4, "zorder": 5}
    axes.plot([0, 1], [y, y], color=FAINT, linewidth=0.7, transform=_rows(axes), zorder=1)
    axes.plot(mark.blocks_ns, [y] * len(mark.blocks_ns), "o", **blocks)
    if mark.low_ns and mark.high_ns:
        axes.plot([mark.low_ns, mark.high_ns], [y, y], **bar)
    axes.plot([mark.time_ns], [y], "o", markerfacecolor="white" if mark.hollow else colour, **dot)
    beside(axes, -0.02, y, mark.label, ha="right", color=colour)
    beside(axes, TIME_COLUMN, y, units.duration(mark.time_ns), ha="right")
    beside(axes, RATIO_COLUMN, y, mark.text)


def beside(axes: Axes, x: float, y: float, text: str, **how: Any) -> None:
    """Text at x in widths of the axes and y in rows; printable characters, and no more than fit."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    text = text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
    axes.text(x, y, text, va="center", transform=_rows(axes), parse_math=False, **({"color": INK} | how))


def _rows(axes: Axes) -> Any:
    return axes.get_yaxis_transform(which="grid")


def _tick(ns: float) -> str:
    """A tick's time without digits it does not need: 100 µs, 1.5 ms."""
    size, name = max(
        (unit for unit in units.TIME_UNITS if ns >= unit[0] * 0.9999), default=units.TIME_UNITS[0]
    )
    return f"{ns / size:g} {name}"
