"""Where the answer turns round: the map of all sizes that were measured, and the times between them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from bench.analysis.prediction import (
    MOST,
    Errors,
    Family,
    Times,
    count_winners,
    learn,
    off_by,
    times_of,
)
from bench.machine import units, wording
from bench.machine.libraries import library
from bench.records.record import Arm
from bench.reporting import answer, plots, tables, words
from bench.reporting.facts import Facts
from bench.reporting.plots import INK, SOFT
from bench.reporting.section import Cell, Drawing, Fields, Section, TextTable, text_table

TITLE = "Where does it turn round?"
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
PAPER, HATCH = "#f6f3ef", "#8b95a1"
BAR: Any = plots.band(INK, 5, 0.6) | {"zorder": 6}
SPOT: Any = {"markeredgecolor": INK, "markeredgewidth": 0.8, "markersize": 5, "zorder": 7}
# digits that get a tick, where an axis spans few decades and where it spans many: the same from either side
FEW_DECADES, DIGITS, FINE_DIGITS = 1.2, (1, 2, 5), (1, 1.25, 1.6, 2, 2.5, 4, 5, 6.25, 8)
LIGHT, DEEP = "#a58fd0", "#2d1152"  # of the lines along H: one hue, which is no library's
MARKS = "osD^vPX<>p"

Array = NDArray[np.float64]
Maps = tuple[SizeMap, ...]


def crossover_section(facts: Facts, prefix: str) -> Section | None:
    """Return the map of several sizes; a sentence where there is one size; None where nothing is compared."""
    maps = facts.maps
    if not maps:
        return _one_size(facts)
    lead = [wording.capital(f"{answer.how(maps[0], maps)}: {answer.title(maps)}."), answer.certainty(maps)]
    shown = [_batches(maps), _crossings(maps), *(_sizes(facts, size_map) for size_map in maps)]
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
    compared = [facts.entries[pair.entry].case for pair in facts.summary.headlines if pair.kind in KINDS]
    sizes = {(case.shape.B, case.shape.H) for case in compared}
    if len(sizes) != 1:
        return None
    ((B, H),) = sizes
    beside = f"the map on this page ({facts.map_beside})" if facts.map_beside else MAP
    lead = f"This is one size, B = {B} and H = {H}; {beside} finds where the answer turns round."
    return Section(id="crossover", title=TITLE, lead=(lead,))


def _heading(size_map: SizeMap, maps: Maps) -> str:
    """Return what a map is about, for above it and its column."""
    return f"{wording.capital(tables.HEADLINES[size_map.kind])}, {answer.where(size_map, maps)}"


# ---- tables


def _batches(maps: Maps) -> TextTable:
    """Return who is faster at each batch, a column a map."""

    def clauses(size_map: SizeMap) -> Callable[[int], str]:
        by_batch = {line.fixed: answer.clause(line) for line in lines(size_map)}
        return lambda B: by_batch.get(B, units.NOTHING)

    fields: Fields[int] = {"B": _whole, **{_heading(size_map, maps): clauses(size_map) for size_map in maps}}
    batches = sorted({line.fixed for size_map in maps for line in lines(size_map)})
    return text_table("Who is faster, batch by batch", fields, batches)


def _crossings(maps: Maps) -> TextTable:
    """Return every place where a row of a map turns round, along H and along B."""
    axes: tuple[Axis, ...] = ("H", "B")
    crossings = [
        (size_map, line, crossing)
        for size_map in maps
        for axis in axes
        for line in lines(size_map, axis)
        for crossing in line.crossings
    ]

    def along(line: Line) -> Cell:
        other = "B" if line.axis == "H" else "H"
        return Cell.of(line.fixed, lambda fixed: f"{line.axis}, at {other} = {fixed:.0f}")

    def end(cell: MapCell, line: Line) -> Cell:
        lead = words.lead(cell.comparison)
        factor = f"{words.library(lead.winner)} {lead.times}" if lead else units.NOTHING
        return Cell(f"{line.axis} = {answer.size(cell, line)}", factor)

    fields: Fields[tuple[SizeMap, Line, Crossing]] = {
        "Comparison": lambda at: Cell(
            wording.capital(tables.HEADLINES[at[0].kind]), answer.where(at[0], maps)
        ),
        "Along": lambda at: along(at[1]),
        "Faster from there on": lambda at: Cell(library(at[2].winner).label, library=at[2].winner),
        "Between": lambda at: Cell(answer.between(at[2]).replace("and", "to"), value=at[2].at),
        "Measured below it": lambda at: end(at[2].below, at[1]),
        "Measured above it": lambda at: end(at[2].above, at[1]),
    }
    return text_table("Where the faster library changes", fields, crossings)


def _sizes(facts: Facts, size_map: SizeMap) -> TextTable:
    """Return all sizes of a map."""

    def side(cell: MapCell, arm: Arm) -> Cell:
        ns = cell.arm_ns if arm == cell.comparison.arm else cell.baseline_ns
        name = arm.variant + f", {words.threads(arm)}" * (arm.threads > 1)
        return Cell(name, units.duration(ns), ns, library=arm.library)

    def factor(lead: words.Lead) -> Cell:
        return Cell.of(lead.factor, units.ratio, units.interval(lead.low, lead.high))

    def verdict(cell: MapCell) -> Cell:
        if cell.faster:
            return Cell("decided", tables.reason_for(facts, cell.comparison), tone="good")
        return tables.verdict_cell(facts, cell.comparison)

    fields: Fields[tuple[MapCell, words.Lead | None]] = {
        "B": lambda size: _whole(size[0].B),
        "H": lambda size: _whole(size[0].H),
        "Faster": lambda size: side(size[0], size[1].winner) if size[1] else Cell(units.NOTHING),
        "Slower": lambda size: side(size[0], size[1].loser) if size[1] else Cell(units.NOTHING),
        "Times faster": lambda size: factor(size[1]) if size[1] else Cell(units.NOTHING),
        "Verdict": lambda size: verdict(size[0]),
        "Measured in": lambda size: f"refinement {size[0].source}" if size[0].source else "the run itself",
    }
    sizes = ((cell, words.lead(cell.comparison)) for cell in size_map.cells)
    return text_table(f"All sizes, {answer.how(size_map, facts.maps)}", fields, sizes)


def _whole(size: int) -> Cell:
    return Cell(str(size), value=size)


# ---- pictures


def _drawings(maps: Maps, prefix: str) -> Iterator[Drawing]:
    for number, size_map in enumerate(maps, start=1):
        title, later = _heading(size_map, maps), DOTS * any(cell.source for cell in size_map.cells)
        alt = f"{title}: {'; '.join(answer.by_batch(size_map))}. The table has the numbers."
        caption = (f"{TILES}{LINE}" * (number == 1) + later).strip()
        stem = f"{prefix}map-{number}"
        yield Drawing(stem, alt, partial(map_plot, size_map, title), caption)
        if size_map.kind == "best":
            draw = partial(lines_plot, size_map, title)
            yield Drawing(f"{stem}-lines", f"{alt} Drawn along H.", draw, ALONG)


@plots.style()
def map_plot(size_map: SizeMap, title: str = "", *, narrow: bool = False) -> Figure:
    """Draw a tile a size of the grid; dots are sizes that refine it.

    A hatched tile has no verdict. The line is where the interpolated ratio is 1, a bar on it the interval of
    a crossing. Tiles are equally large; between their middles the axes are logarithmic.
    """
    grid = _of_grid(size_map)
    columns, rows = sorted({cell.H for cell in grid}), sorted({cell.B for cell in grid})
    figure, axes = plots.new_axes(TILE_INCHES * len(rows), labelled=True, narrow=narrow)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(rows) - 0.5), xlabel=HIDDEN, ylabel="batch B")
    axes.grid(visible=False)
    sides = plots.colour_of(size_map.library), PAPER, plots.colour_of(size_map.baseline)
    scale = LinearSegmentedColormap.from_list("sides", sides)
    for cell in grid:
        _tile(axes, (columns.index(cell.H), rows.index(cell.B)), cell, scale)
    measured = [line for line in lines(size_map) if _ratios(line)]
    _line_of_1(axes, measured, columns, rows)
    for line in measured:
        for crossing in line.crossings:
            axes.plot(_places(columns, [crossing.low, crossing.high]), _places(rows, [line.fixed] * 2), **BAR)
    for cell in (cell for cell in size_map.cells if cell.source):
        place = _places(columns, [cell.H]), _places(rows, [cell.B])
        axes.plot(*place, "o", markerfacecolor=_shade(cell, scale) if cell.faster else "white", **SPOT)
    axes.set_xticks(range(len(columns)), [str(H) for H in columns])
    axes.set_yticks(range(len(rows)), [str(B) for B in rows])
    _head(axes, size_map, title, "■■")
    return figure


def _head(axes: Axes, size_map: SizeMap, title: str, marks: str) -> None:
    """Put what the picture shows above it, and who the sides are, each with its mark."""
    sides = [library(name) for name in (size_map.baseline, size_map.library)]
    head = [(f"{mark} {side.label} is faster", side.colour) for side, mark in zip(sides, marks, strict=True)]
    how: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "fontweight": "bold"}
    for (text, colour), points in zip([*head, (title, INK)], (22, 8, 38), strict=True):
        axes.annotate(text, (0, 1), (0, points), color=colour, fontsize=9, **how)


def _of_grid(size_map: SizeMap) -> list[MapCell]:
    """Return the sizes that the first run measured; all of them where it measured none."""
    return [cell for cell in size_map.cells if not cell.source] or list(size_map.cells)


def _ratios(line: Line) -> dict[int, float]:
    """Return the ratios of a row by H."""
    return {cell.H: cell.comparison.ratio for cell in line.cells if cell.comparison.ratio is not None}


def _shade(cell: MapCell, scale: LinearSegmentedColormap) -> Any:
    """Return the colour of the faster side, deeper the faster it is."""
    if cell.comparison.ratio is None:
        return "white"
    return scale((math.log(cell.comparison.ratio) / DEEPEST + 1) / 2)  # which takes what is beyond as its end


def _tile(axes: Axes, place: tuple[int, int], cell: MapCell, scale: LinearSegmentedColormap) -> None:
    """Draw one size of the grid: coloured by its ratio, hatched without a verdict."""
    (x, y), colour, lead = place, _shade(cell, scale), words.lead(cell.comparison)
    corner = (x - 0.5, y - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=1.6, zorder=2))
    undecided = not cell.faster and cell.comparison.verdict != "EQUIVALENT"
    if undecided:
        hatch: Any = {"fill": False, "hatch": "///", "edgecolor": HATCH, "linewidth": 0, "zorder": 3}
        axes.add_patch(Rectangle(corner, 1, 1, **hatch))
    dark = lead is not None and math.log(lead.factor) > DARK * DEEPEST and not undecided
    halo = withStroke(linewidth=3, foreground="white" if undecided else colour)
    how: Any = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 8, "path_effects": [halo]}
    text = units.ratio(lead.factor) if lead else units.NOTHING
    axes.text(x, y + 0.24, text, color="white" if dark else INK, **how)


def _line_of_1(axes: Axes, measured: Sequence[Line], columns: Sequence[int], rows: Sequence[int]) -> None:
    """Draw where the interpolated ratio is 1: linear in log H along the rows, in log B between them."""
    if len(measured) < 2:
        return
    hidden = sorted({H for line in measured for H in _ratios(line)})
    logs = [
        np.interp(np.log(hidden), np.log(list(ratios)), np.log(list(ratios.values())))
        for ratios in map(_ratios, measured)
    ]
    if np.min(logs) < 0 < np.max(logs):
        places = _places(columns, hidden), _places(rows, [line.fixed for line in measured])
        drawn = axes.contour(*places, logs, [0.0], colors=[INK], zorder=5)
        drawn.set(linewidth=1.7, path_effects=[withStroke(linewidth=4, foreground="white")])


def _places(sizes: Sequence[int], values: Sequence[float]) -> Array:
    """Return where values stand among the tiles of ``sizes``, whose middles are at 0, 1, 2, ..."""
    places = np.interp(np.log(values), np.log(sizes), np.arange(len(sizes)))
    return np.asarray(places, dtype=np.float64)


@plots.style()
def lines_plot(size_map: SizeMap, title: str = "", *, narrow: bool = False) -> Figure:
    """Draw the ratio over H, a line a batch, with its intervals; hollow where there is no verdict."""
    figure, axes = plots.new_axes(3.0, labelled=True, narrow=narrow)
    axes.set(xscale="log", yscale="log", xlabel=HIDDEN, ylabel="times faster")
    axes.axhline(1.0, color=SOFT, linewidth=1.1, zorder=2)
    measured = [line for line in lines(size_map) if _ratios(line)]
    light, deep = (np.array(to_rgb(colour)) for colour in (LIGHT, DEEP))
    for number, line in enumerate(measured):
        colour = tuple(light + (deep - light) * number / max(1, len(measured) - 1))
        _ratio_line(axes, line, colour, MARKS[number % len(MARKS)])
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.9), max(high, 1.1))
    sizes = sorted({cell.H for cell in _of_grid(size_map)}, reverse=True)
    plots.set_ticks(axes.xaxis, FixedLocator(sizes[:: 2 if narrow else 1]), "{:g}".format)
    digits = DIGITS if high > low * 10**FEW_DECADES else FINE_DIGITS
    plots.set_ticks(axes.yaxis, LogLocator(subs=digits), lambda ratio: f"{max(ratio, 1 / ratio):g}")
    _head(axes, size_map, title, "↑↓")
    plots.legend_below(axes, 3)
    return figure


def _ratio_line(axes: Axes, line: Line, colour: Any, marker: str) -> None:
    """Draw the ratios of one batch, each with its interval, and where they pass through 1."""
    ratios = _ratios(line)
    look: Any = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.4, "zorder": 4}
    axes.plot(list(ratios), list(ratios.values()), label=f"B = {line.fixed}", **look)
    for cell in (cell for cell in line.cells if cell.H in ratios):
        if cell.comparison.low and cell.comparison.high:
            limits = [cell.comparison.low, cell.comparison.high]
            axes.plot([cell.H] * 2, limits, **plots.band(colour, 2.6, 0.35))
        if not cell.faster:
            axes.plot([cell.H], [ratios[cell.H]], **{**look, "markerfacecolor": "white", "zorder": 5})
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
    cells = [cell for size_map in facts.maps for cell in size_map.cells]
    afterwards = prediction.errors_at(later)
    left_out = {arm: family.errors for arm, family in prediction.families.items()}
    sentences = [f"Predicted from all other sizes, a time is off by {_off(left_out, cells)}."]
    if afterwards:
        sizes = {shape for errors in afterwards.values() for shape in errors}
        sentences.append(
            f"Predicted first and measured afterwards, at {wording.count(len(sizes), 'size')}: off by "
            f"{_off(afterwards, cells)}."
        )
    fields: Fields[tuple[str, Family]] = {
        "Variant and place": lambda of: Cell(of[0], library=facts.run.arms[of[0]].library),
        "Model": lambda of: MODELS[of[1].model],
        "Median error": lambda of: Cell.of(off_by(of[1].errors.values()), units.percent),
        "Nine of ten within": lambda of: Cell.of(off_by(of[1].errors.values(), MOST), units.percent),
        "Sizes": lambda of: _whole(len(of[1].errors)),
        "Median error, measured afterwards": lambda of: Cell.of(
            off_by(afterwards[of[0]].values()) if of[0] in afterwards else None, units.percent
        ),
    }
    families = prediction.families.items()
    return sentences, text_table("How well times are predicted", fields, families, ERRORS)


def _off(by_arm: Mapping[str, Errors], cells: Sequence[MapCell]) -> str:
    """Say how far predicted times are off, and how often they name the faster library."""
    errors = [log for of_arm in by_arm.values() for log in of_arm.values()]
    right, decided = count_winners(cells, by_arm)
    text = (
        f"{units.percent(off_by(errors))} in the median, nine of ten by at most "
        f"{units.percent(off_by(errors, MOST))}"
    )
    if not decided:
        return text
    named = f"{right} of {decided} sizes with a verdict"
    return f"{text}; the faster library is named rightly at {named}"
