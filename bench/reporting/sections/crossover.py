"""Where the answer turns round: the map of all sizes that were measured, and the times between them."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, LogLocator
from numpy.typing import NDArray

from bench.analysis.crossover import KINDS, Axis, Crossing, Line, MapCell, SizeMap, lines
from bench.analysis.outcome import Outcome
from bench.analysis.prediction import Errors, Times, Winners, learn, times_of
from bench.machine import units, wording
from bench.machine.libraries import library
from bench.records.record import Arm
from bench.reporting import answer, plots, tables, words
from bench.reporting.facts import Facts
from bench.reporting.plots import INK, SOFT
from bench.reporting.section import Cell, Drawing, Section, TextTable, numbers, texts

TITLE = "Where does it turn round?"
CELLS = (
    *numbers("B", "H"), *texts("Faster", "Slower"), *numbers("Times faster"),
    *texts("Verdict", "Measured in"),
)  # fmt: skip
CROSSINGS = (
    *texts("Comparison", "Along", "Faster from there on"), *numbers("Between"),
    *texts("Measured below it", "Measured above it"),
)  # fmt: skip
FAMILIES = (
    *texts("Variant and place", "Model"),
    *numbers("Median error", "Nine of ten within", "Sizes", "Median error, measured afterwards"),
)  # fmt: skip
MODELS = {
    "interpolation": "interpolation in log sizes",
    "operations": "costs of what a call does",
    "both": "costs of what a call does, the rest interpolated",
}
TILES = "A tile is a size, its number how many times faster the side of its colour is; hatched: no verdict."
LINE = " The line is where both take the same time, a bar on it the 95 % interval."
DOTS = " A dot is a size measured later."
ALONG = "The same along H, a line a batch, with 95 % intervals; hollow: no verdict."
INTERPOLATED = (
    "It turns round between two measured sizes with opposite verdicts; between them the log ratio and its "
    "limits are taken to be linear in the log of the size. rnnbench run --refine FOLDER measures nearer to "
    "it; rnnbench advise --hidden H --batch B says why at one size."
)
ERRORS = (
    "An error is how far a time is from that predicted without it; a variant has the best of three models."
)
MAP = "rnnbench run --preset grid"
HIDDEN = "hidden units H"
TILE_INCHES = 0.46  # its height; all tiles together are as wide as the axes
DEEPEST = math.log(8.0)  # log ratio from which on a colour gets no deeper
DARK = 0.55  # of it: from where on white text reads better
PAPER = "#f6f3ef"
SAMPLES = 161  # along each axis, between which the line where the ratio is 1 is drawn
BAR: Any = {"color": INK, "linewidth": 5, "alpha": 0.6, "solid_capstyle": "butt", "zorder": 6}
# digits that get a tick, where an axis spans few decades and where it spans many: the same from either side
FEW_DECADES, DIGITS, FINE_DIGITS = 1.2, (1, 2, 5), (1, 1.25, 1.6, 2, 2.5, 4, 5, 6.25, 8)
LIGHT, DEEP = "#a58fd0", "#2d1152"  # of the lines along H: one hue, which is no library's
MARKS = "osD^vPX<>p"

Array = NDArray[np.float64]


def crossover_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """Return the map of several sizes; a sentence where there is one size; None where nothing is compared."""
    maps = facts.maps
    if not maps:
        return _one_size(facts)
    lead = [wording.capital(f"{answer.how(maps[0], maps)}: {answer.title(maps)}.")]
    lead.append(answer.certainty(maps))
    shown = [_batches(maps), _crossings(maps), *(_cells(facts, one) for one in maps)]
    notes = [f"All sizes: {answer.work(maps)}.", INTERPOLATED]
    if (predicted := _predicted(facts)) is not None:
        (first, *others), families = predicted
        lead, notes, shown = [*lead, first], [*notes, *others], [*shown, families]
    return Section(
        id="crossover",
        title=TITLE,
        lead=tuple(lead),
        drawings=tuple(_drawings(maps, prefix)),
        tables=tuple(table for table in shown if table.rows),
        notes=tuple(notes),
    )


def _one_size(facts: Facts) -> Section | None:
    """Return what a run of one size says: what can tell, a run beside it, or a later one."""
    compared = [facts.entries[one.entry].case for one in facts.summary.headlines if one.kind in KINDS]
    sizes = {(case.shape.B, case.shape.H) for case in compared}
    if len(sizes) != 1:
        return None
    ((B, H),) = sizes
    beside = f"the map on this page ({facts.map_beside})" if facts.map_beside else MAP
    lead = f"This is one size, B = {B} and H = {H}; {beside} finds where the answer turns round."
    return Section(id="crossover", title=TITLE, lead=(lead,))


# ---- the two sides of a map


def _faster_first(cell: MapCell) -> tuple[tuple[Arm, float | None], tuple[Arm, float | None]]:
    """Return both sides of a cell with their times, the faster one first."""
    arm, baseline = (cell.comparison.arm, cell.arm_ns), (cell.comparison.baseline_arm, cell.baseline_ns)
    return (arm, baseline) if (cell.comparison.ratio or 1) < 1 else (baseline, arm)


def _times_faster(cell: MapCell) -> tuple[float, float | None, float | None] | None:
    """Return how many times faster the faster side is, with limits; None where nothing was measured."""
    ratio, low, high = cell.comparison.ratio, cell.comparison.low, cell.comparison.high
    if ratio is None:
        return None
    return (ratio, low, high) if ratio >= 1 else (1 / ratio, high and 1 / high, low and 1 / low)


# ---- tables


def _batches(maps: tuple[SizeMap, ...]) -> TextTable:
    """Return who is faster at each batch, a column a map."""
    by_map = [{line.fixed: answer.clause(line) for line in lines(one)} for one in maps]
    columns = (*numbers("B"), *texts(*(_heading(one, maps) for one in maps)))
    rows = tuple(
        (Cell(str(B), value=B), *(Cell(by_batch.get(B, units.NOTHING)) for by_batch in by_map))
        for B in sorted({B for by_batch in by_map for B in by_batch})
    )
    return TextTable("Who is faster, batch by batch", columns, rows)


def _crossings(maps: tuple[SizeMap, ...]) -> TextTable:
    """Return every place where a row of a map turns round, along H and along B."""
    axes: tuple[Axis, ...] = ("H", "B")
    rows = tuple(
        _crossing(one, maps, line, crossing)
        for one in maps
        for axis in axes
        for line in lines(one, axis)
        for crossing in line.crossings
    )
    return TextTable("Where the faster library changes", CROSSINGS, rows)


def _crossing(
    size_map: SizeMap, maps: tuple[SizeMap, ...], line: Line, crossing: Crossing
) -> tuple[Cell, ...]:
    other = "B" if line.axis == "H" else "H"
    ends = [
        Cell(f"{line.axis} = {answer.size(cell, line)}", _factor(cell))
        for cell in (crossing.below, crossing.above)
    ]
    return (
        Cell(wording.capital(tables.HEADLINES[size_map.kind]), answer.where(size_map, maps)),
        Cell(f"{line.axis}, at {other} = {line.fixed}", value=line.fixed),
        Cell(library(crossing.winner).label, library=crossing.winner),
        Cell(answer.between(crossing).replace("and", "to"), value=crossing.at),
        *ends,
    )


def _heading(size_map: SizeMap, maps: tuple[SizeMap, ...]) -> str:
    """Return what a map is about, for above it and its column."""
    return f"{wording.capital(tables.HEADLINES[size_map.kind])}, {answer.where(size_map, maps)}"


def _factor(cell: MapCell) -> str:
    """Return "PyTorch 1.22 times [1.15, 1.24]": who is faster, and by how much."""
    factor, ((faster, _), _) = _times_faster(cell), _faster_first(cell)
    return f"{words.library(faster)} {units.with_interval(*factor)}" if factor else units.NOTHING


def _cells(facts: Facts, size_map: SizeMap) -> TextTable:
    """Return all sizes of a map."""
    rows = tuple(_cell(facts, cell) for cell in size_map.cells)
    return TextTable(f"All sizes, {answer.how(size_map, facts.maps)}", CELLS, rows)


def _cell(facts: Facts, cell: MapCell) -> tuple[Cell, ...]:
    compared, factor = cell.comparison, _times_faster(cell)
    verdict, tone = ("decided", "good") if cell.faster else (tables.verdict(compared), tables.tone(compared))
    names = [arm.variant + f", {words.threads(arm)}" * (arm.threads > 1) for arm, _ in _faster_first(cell)]
    sides = zip(names, _faster_first(cell), strict=True)
    return (
        Cell(str(cell.B), value=cell.B),
        Cell(str(cell.H), value=cell.H),
        *(Cell(name, units.duration(ns), ns, library=arm.library) for name, (arm, ns) in sides),
        Cell(units.ratio(factor[0]), units.interval(*factor[1:]), factor[0]) if factor else Cell("–"),
        Cell(verdict, tables.reason_for(facts, compared), tone=tone),
        Cell(f"refinement {cell.source}" if cell.source else "the run itself"),
    )


# ---- pictures


def _drawings(maps: tuple[SizeMap, ...], prefix: str) -> Iterator[Drawing]:
    for number, one in enumerate(maps, start=1):
        title, later = _heading(one, maps), DOTS * any(cell.source for cell in one.cells)
        alt = f"{title}: {'; '.join(answer.by_batch(one))}. The table has the numbers."
        caption = (f"{TILES}{LINE}" * (number == 1) + later).strip()
        draw = partial(map_plot, one, title)
        yield Drawing(f"{prefix}map-{number}", alt, draw, caption, partial(draw, narrow=True))
        if one.kind == "best":
            draw = partial(lines_plot, one, title)
            narrow = partial(draw, narrow=True)
            yield Drawing(f"{prefix}map-{number}-lines", f"{alt} Drawn along H.", draw, ALONG, narrow)


@plots.style()
def map_plot(size_map: SizeMap, title: str = "", *, narrow: bool = False) -> Figure:
    """Draw a tile a size of the grid; dots are sizes that refine it.

    A hatched tile has no verdict. The line is where the interpolated ratio is 1, a bar on it the interval of
    a crossing. Tiles are equally large; between their middles the axes are logarithmic.
    """
    columns = sorted({cell.H for cell in _of_grid(size_map)})
    rows = sorted({cell.B for cell in _of_grid(size_map)})
    figure, axes = plots.plain_axes(TILE_INCHES * len(rows), labelled=True, narrow=narrow)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(rows) - 0.5), xlabel=HIDDEN, ylabel="batch B")
    axes.grid(visible=False)
    scale = _scale(size_map)
    for cell in _of_grid(size_map):
        _tile(axes, (columns.index(cell.H), rows.index(cell.B)), cell, scale)
    _line_of_1(axes, size_map, columns, rows)
    for line in lines(size_map):
        for crossing in line.crossings:
            axes.plot(_places(columns, [crossing.low, crossing.high]), _places(rows, [line.fixed] * 2), **BAR)
    dot: Any = {"markeredgecolor": INK, "markeredgewidth": 0.8, "markersize": 5, "zorder": 7}
    for cell in (cell for cell in size_map.cells if cell.source):
        place = _places(columns, [cell.H]), _places(rows, [cell.B])
        axes.plot(*place, "o", markerfacecolor=_shade(cell, scale) if cell.faster else "white", **dot)
    axes.set_xticks(range(len(columns)), [str(H) for H in columns])
    axes.set_yticks(range(len(rows)), [str(B) for B in rows])
    _head(axes, size_map, title, "■■")
    return figure


def _head(axes: Axes, size_map: SizeMap, title: str, marks: str) -> None:
    """Put what the picture shows above it, and who the sides are, each with its mark."""
    how: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "fontweight": "bold"}
    sides = (library(size_map.baseline), library(size_map.library))
    for side, height, mark in zip(sides, (22, 8), marks, strict=True):
        text = f"{mark} {side.label} is faster"
        axes.annotate(text, (0, 1), (0, height), color=side.colour, fontsize=9, **how)
    axes.annotate(title, (0, 1), (0, 38), fontsize=9, **how)


def _of_grid(size_map: SizeMap) -> list[MapCell]:
    """Return the sizes that the first run measured; all of them where it measured none."""
    return [cell for cell in size_map.cells if not cell.source] or list(size_map.cells)


def _known(line: Line) -> list[tuple[MapCell, float]]:
    """Return the sizes of a row that have a ratio, with it."""
    return [(cell, cell.comparison.ratio) for cell in line.cells if cell.comparison.ratio is not None]


def _scale(size_map: SizeMap) -> LinearSegmentedColormap:
    """Return the colours from the side below 1 to the side above it."""
    colours = [plots.colour_of(size_map.library), PAPER, plots.colour_of(size_map.baseline)]
    return LinearSegmentedColormap.from_list("sides", colours)


def _shade(cell: MapCell, scale: LinearSegmentedColormap) -> Any:
    """Return the colour of the faster side, deeper the faster it is."""
    if cell.comparison.ratio is None:
        return "white"
    depth = max(-1.0, min(1.0, math.log(cell.comparison.ratio) / DEEPEST))
    return scale((depth + 1) / 2)


def _tile(axes: Axes, place: tuple[int, int], cell: MapCell, scale: LinearSegmentedColormap) -> None:
    """Draw one size of the grid: coloured by its ratio, hatched without a verdict."""
    corner, colour = (place[0] - 0.5, place[1] - 0.5), _shade(cell, scale)
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=1.6, zorder=2))
    undecided = not cell.faster and cell.comparison.verdict != "EQUIVALENT"
    if undecided:
        hatch: Any = {"fill": False, "hatch": "///", "edgecolor": "#8b95a1", "linewidth": 0}
        axes.add_patch(Rectangle(corner, 1, 1, zorder=3, **hatch))
    factor = _times_faster(cell)
    dark = factor is not None and math.log(factor[0]) > DARK * DEEPEST and not undecided
    halo = withStroke(linewidth=3, foreground="white" if undecided else colour)
    how: Any = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 8, "path_effects": [halo]}
    text = units.ratio(factor[0]) if factor else units.NOTHING
    axes.text(place[0], place[1] + 0.24, text, color="white" if dark else INK, **how)


def _line_of_1(axes: Axes, size_map: SizeMap, columns: Sequence[int], rows: Sequence[int]) -> None:
    """Draw where the interpolated ratio is 1: linear in log H along the rows, in log B between them."""
    measured = [line for line in lines(size_map) if _known(line)]
    if len(measured) < 2:
        return
    hidden = np.geomspace(columns[0], columns[-1], SAMPLES)
    batches = np.geomspace(rows[0], rows[-1], SAMPLES)
    along = [
        np.interp(
            np.log(hidden), np.log([cell.H for cell, _ in cells]), np.log([ratio for _, ratio in cells])
        )
        for cells in map(_known, measured)
    ]
    heights = np.log([line.fixed for line in measured])
    field = np.stack([np.interp(np.log(batches), heights, column) for column in np.transpose(along)], axis=1)
    if field.min() < 0 < field.max():
        places = _places(columns, hidden), _places(rows, batches)
        drawn = axes.contour(*places, field, [0.0], colors=[INK], zorder=5)
        drawn.set(linewidth=1.7, path_effects=[withStroke(linewidth=4, foreground="white")])


def _places(sizes: Sequence[int], values: Sequence[float] | Array) -> Array:
    """Return where values stand among the tiles of ``sizes``, whose middles are at 0, 1, 2, ..."""
    places = np.interp(np.log(values), np.log(sizes), np.arange(len(sizes)))
    return np.asarray(places, dtype=np.float64)


@plots.style()
def lines_plot(size_map: SizeMap, title: str = "", *, narrow: bool = False) -> Figure:
    """Draw the ratio over H, a line a batch, with its intervals; hollow where there is no verdict."""
    figure, axes = plots.plain_axes(3.0, labelled=True, narrow=narrow)
    axes.set(xscale="log", yscale="log", xlabel=HIDDEN, ylabel="times faster")
    axes.axhline(1.0, color=SOFT, linewidth=1.1, zorder=2)
    drawn = [line for line in lines(size_map) if _known(line)]
    light, deep = (np.array(to_rgb(colour)) for colour in (LIGHT, DEEP))
    for number, line in enumerate(drawn):
        colour = tuple(light + (deep - light) * number / max(1, len(drawn) - 1))
        _ratio_line(axes, line, colour, MARKS[number % len(MARKS)])
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.9), max(high, 1.1))
    plots.set_ticks(axes.xaxis, FixedLocator(sorted({cell.H for cell in _of_grid(size_map)})), "{:g}".format)
    digits = DIGITS if high > low * 10**FEW_DECADES else FINE_DIGITS
    plots.set_ticks(axes.yaxis, LogLocator(subs=digits), lambda ratio: f"{max(ratio, 1 / ratio):g}")
    _head(axes, size_map, title, "↑↓")
    plots.legend_below(axes, 3)
    return figure


def _ratio_line(axes: Axes, line: Line, colour: Any, marker: str) -> None:
    """Draw the ratios of one batch, each with its interval, and where they pass through 1."""
    cells = _known(line)
    look: Any = {"color": colour, "markersize": 5, "linewidth": 1.4, "zorder": 4}
    hidden = [cell.H for cell, _ in cells]
    axes.plot(hidden, [ratio for _, ratio in cells], marker=marker, label=f"B = {line.fixed}", **look)
    for cell, ratio in cells:
        if cell.comparison.low and cell.comparison.high:
            limits: Any = {"color": colour, "linewidth": 2.6, "alpha": 0.35, "zorder": 3}
            axes.plot([cell.H] * 2, [cell.comparison.low, cell.comparison.high], **limits)
        if not cell.faster:
            axes.plot([cell.H], [ratio], marker=marker, **{**look, "markerfacecolor": "white", "zorder": 5})
    for crossing in line.crossings:
        axes.plot([crossing.low, crossing.high], [1.0, 1.0], **BAR)


# ---- prediction


def _predicted(facts: Facts) -> tuple[list[str], TextTable] | None:
    """Say how well times are predicted from the run alone, at sizes left out and at some measured later.

    None where the run has too few sizes to judge.
    """
    case = facts.maps[0].case
    grid = times_of(facts.summary, case)
    prediction = learn(grid, case)
    if prediction is None:
        return None
    later: Times = {}
    for summary in facts.sources[1:]:
        for arm, times in times_of(summary, case).items():
            new = {shape: ns for shape, ns in times.items() if shape not in grid.get(arm, {})}
            later.setdefault(arm, {}).update(new)
    cells = [cell for one in facts.maps for cell in one.cells]
    afterwards = prediction.errors_at(later)
    left_out = Errors.pooled(family.errors for family in prediction.families.values())
    sentences = [
        "Predicted from all other sizes, a time is off by "
        f"{_off(left_out, prediction.winners_left_out(cells))}."
    ]
    if afterwards:
        sizes = {shape for errors in afterwards.values() for shape in errors.logs}
        sentences.append(
            f"Predicted first and measured afterwards, at {wording.count(len(sizes), 'size')}: off by "
            f"{_off(Errors.pooled(afterwards.values()), prediction.winners_at(cells, later))}."
        )
    rows = tuple(
        (
            Cell(arm, library=facts.run.arms[arm].library),
            Cell(MODELS[family.model]),
            _percent(family.errors.median),
            _percent(family.errors.ninth),
            Cell(str(len(family.errors.logs)), value=len(family.errors.logs)),
            _percent(afterwards[arm].median) if arm in afterwards else Cell(units.NOTHING),
        )
        for arm, family in prediction.families.items()
    )
    return sentences, TextTable("How well times are predicted", FAMILIES, rows, ERRORS)


def _off(errors: Errors, winners: Winners) -> str:
    text = (
        f"{units.percent(errors.median)} in the median, nine of ten by at most {units.percent(errors.ninth)}"
    )
    right = (
        f"; the faster library is named rightly at {winners.right} of {winners.total} sizes with a verdict"
    )
    return text + right * bool(winners.total)


def _percent(share: float) -> Cell:
    return Cell(units.percent(share), value=share)
