"""The picture of a map: all its sizes as tiles, with the line where the ratio is 1."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import NDArray

from bench.analysis.crossover import Line, MapCell, SizeMap, lines
from bench.machine import units
from bench.reporting import plots
from bench.reporting.plots import COLOURS, INK, SOFT

TILE_INCHES = (1.05, 0.56)
DEEPEST = math.log(8.0)  # log ratio from which on a colour gets no deeper
DARK = 0.55  # of it: from where on white text reads better
SCALE = LinearSegmentedColormap.from_list("sides", [COLOURS["torch"], "#f6f3ef", COLOURS["numpy"]])
SAMPLES = 161  # along each axis, between which the line where the ratio is 1 is drawn
ON_BAR = 25  # samples of a bar that no number should stand on
# where a number may stand on its tile, in tiles from its middle, and half of what it takes there
SPOTS = ((0.0, 0.24), (0.0, -0.26), (-0.24, 0.24), (0.24, 0.24), (-0.24, -0.26), (0.24, -0.26), (0.0, 0.0))
ROOM = (0.25, 0.2)
SIDE_BY_SIDE_INCHES = 4.4  # what the two halves' names take next to each other
LINE_POINTS = 14
CROSSING: Any = {"color": INK, "linewidth": 5, "alpha": 0.6, "solid_capstyle": "butt", "zorder": 6}

Array = NDArray[np.float64]


@plots.style()
def map_plot(size_map: SizeMap, title: str = "") -> Figure:
    """A tile a size of the grid, its colour and number the ratio; dots are sizes that refine it.

    A hatched tile has no verdict. The black line is where the interpolated ratio is 1, a bar on it the
    interval of a crossing. Tiles are equally large; between their middles the axes are logarithmic.
    """
    columns = _grid_sizes(cell.H for cell in of_grid(size_map))
    rows = _grid_sizes(cell.B for cell in of_grid(size_map))
    inches = (TILE_INCHES[0] * len(columns), TILE_INCHES[1] * len(rows))
    figure = Figure(figsize=inches, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    taken = [*_line_of_1(axes, size_map, columns, rows), *_bars(axes, size_map, columns, rows)]
    dot: Any = {"markeredgecolor": INK, "markeredgewidth": 0.8, "markersize": 5, "zorder": 7}
    for cell in size_map.cells:
        if cell.source:
            place = _places(columns, [cell.H]), _places(rows, [cell.B])
            axes.plot(*place, "o", markerfacecolor=_colour(cell) if cell.sign else "white", **dot)
            taken.append(np.stack(place, axis=1))
    lines_and_dots = np.concatenate([np.empty((0, 2)), *taken])
    for cell in of_grid(size_map):
        _tile(axes, (columns.index(cell.H), rows.index(cell.B)), cell, lines_and_dots)
    for axis, sizes, label in ((axes.xaxis, columns, "hidden units H"), (axes.yaxis, rows, "batch B")):
        axis.set_major_locator(FixedLocator(range(len(sizes))))
        axis.set_major_formatter(FuncFormatter(lambda place, _, sizes=sizes: str(sizes[round(place)])))
        axis.set_label_text(label, color=SOFT)
    bare(axes)
    head(axes, title)
    return figure


def head(axes: Axes, title: str) -> None:
    """What the picture shows, and what the two colours, or the two halves, mean."""
    how: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "fontweight": "bold"}
    left, right = "blue, above 1: NumPy faster", "orange, below 1: PyTorch faster"
    narrow = axes.get_window_extent().width / axes.figure.dpi < SIDE_BY_SIDE_INCHES
    raised = LINE_POINTS if narrow else 0  # one above the other
    axes.annotate(left, (0, 1), (0, 9 + raised), color=COLOURS["numpy"], ha="left", fontsize=9, **how)
    place, side = ((0, 1), "left") if narrow else ((1, 1), "right")
    axes.annotate(right, place, (0, 9), color=COLOURS["torch"], ha=side, fontsize=9, **how)
    if title:
        axes.annotate(title, (0, 1), (0, 27 + raised), color=INK, ha="left", fontsize=11, **how)


def bare(axes: Axes) -> None:
    """No frame, no ticks, soft labels."""
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, labelsize=9, labelcolor=SOFT)


def of_grid(size_map: SizeMap) -> list[MapCell]:
    """The sizes that the first run measured; all of them where it measured none."""
    return [cell for cell in size_map.cells if not cell.source] or list(size_map.cells)


def known(line: Line) -> list[tuple[MapCell, float]]:
    """The sizes of a row that have a ratio, with it."""
    return [(cell, cell.made.ratio) for cell in line.cells if cell.made.ratio is not None]


def free_spot(place: tuple[int, int], taken: Array) -> tuple[float, float]:
    """Where on its tile a number hides the fewest of the points ``taken`` (n, 2): the first such spot."""
    spots = [(place[0] + right, place[1] + up) for right, up in SPOTS]
    hidden = [int((np.abs(taken - spot) < ROOM).all(axis=1).sum()) for spot in spots]
    return spots[hidden.index(min(hidden))]


def _tile(axes: Axes, place: tuple[int, int], cell: MapCell, taken: Array) -> None:
    """One size of the grid: coloured by its ratio, hatched without a verdict, its number beside the line."""
    corner = (place[0] - 0.5, place[1] - 0.5)
    tile = Rectangle(corner, 1, 1, facecolor=_colour(cell), edgecolor="white", linewidth=1.6, zorder=2)
    axes.add_patch(tile)
    undecided = not cell.sign and cell.made.verdict != "EQUIVALENT"
    if undecided:
        hatch: Any = {"fill": False, "hatch": "///", "edgecolor": "#8b95a1", "linewidth": 0}
        axes.add_patch(Rectangle(corner, 1, 1, zorder=3, **hatch))
    ratio = cell.made.ratio
    dark = ratio is not None and abs(math.log(ratio)) > DARK * DEEPEST and not undecided
    text = units.NOTHING if ratio is None else units.ratio(ratio)
    halo = withStroke(linewidth=3, foreground="white" if undecided else _colour(cell))
    how: Any = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 8, "path_effects": [halo]}
    axes.text(*free_spot(place, taken), text, color="white" if dark else INK, **how)


def _line_of_1(axes: Axes, size_map: SizeMap, columns: Sequence[int], rows: Sequence[int]) -> list[Array]:
    """Draw where the interpolated ratio is 1; return the points of it."""
    measured = [line for line in lines(size_map) if known(line)]
    if len(measured) < 2:
        return []
    hidden = np.geomspace(columns[0], columns[-1], SAMPLES)
    batches = np.geomspace(rows[0], rows[-1], SAMPLES)
    field = _field(measured, hidden, batches)
    if not field.min() < 0 < field.max():
        return []
    places = _places(columns, hidden), _places(rows, batches)
    drawn = axes.contour(*places, field, [0.0], colors=[INK], zorder=5)
    drawn.set(linewidth=1.7, path_effects=[withStroke(linewidth=4, foreground="white")])
    return [np.asarray(part, dtype=np.float64) for part in drawn.allsegs[0] if len(part)]


def _bars(axes: Axes, size_map: SizeMap, columns: Sequence[int], rows: Sequence[int]) -> list[Array]:
    """Draw the interval of every crossing on its row; return points of each."""
    made = []
    for line in lines(size_map):
        for crossing in line.crossings:
            ends, heights = _places(columns, [crossing.low, crossing.high]), _places(rows, [line.fixed] * 2)
            axes.plot(ends, heights, **CROSSING)
            along = np.linspace(ends[0], ends[1], ON_BAR)
            made.append(np.stack([along, np.full(ON_BAR, heights[0])], axis=1))
    return made


def _field(rows: Sequence[Line], hidden: Array, batches: Array) -> Array:
    """The log ratio (batches, hidden): linear in log H along the rows, in log B between them."""
    along = []
    for line in rows:
        cells = known(line)
        logs = [math.log(ratio) for _, ratio in cells]
        along.append(np.interp(np.log(hidden), np.log([cell.H for cell, _ in cells]), logs))
    heights = np.log([line.fixed for line in rows])
    columns = [np.interp(np.log(batches), heights, column) for column in np.transpose(along)]
    return np.stack(columns, axis=1)


def _grid_sizes(sizes: Iterable[int]) -> list[int]:
    return sorted(set(sizes))


def _places(sizes: Sequence[int], values: Sequence[float] | Array) -> Array:
    """Where values stand among the tiles of ``sizes``, whose middles are at 0, 1, 2, ..."""
    places = np.interp(np.log(values), np.log(sizes), np.arange(len(sizes)))
    return np.asarray(places, dtype=np.float64)


def _colour(cell: MapCell) -> Any:
    """Blue where NumPy takes less time, orange where PyTorch does, deeper the more."""
    if cell.made.ratio is None:
        return "white"
    depth = max(-1.0, min(1.0, math.log(cell.made.ratio) / DEEPEST))
    return SCALE((depth + 1) / 2)
