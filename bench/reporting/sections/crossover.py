"""Build the section on crossovers: the map of all measured sizes, and where the faster library changes."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    error_quantile,
    learn,
    task_key,
    times_of,
)
from bench.machine import units, wording
from bench.machine.libraries import library
from bench.records.record import Arm
from bench.reporting import answer, plots, tables, words
from bench.reporting.facts import Facts
from bench.reporting.plots import INK, SOFT
from bench.reporting.section import Cell, Drawing, Fields, Section, TextTable, text_table
from bench.workload.case import Case

TITLE = "Where does it turn round?"
MODEL_LABELS = {
    "interpolation": "interpolation in log sizes",
    "operations": "costs of what a call does",
    "both": "costs of what a call does, the rest interpolated",
}
TILES_CAPTION = (
    "A tile is a size, its number how many times faster the side of its colour is; hatched: no verdict."
)
LINE_CAPTION = " The line is where both take the same time, a bar on it the 95 % interval."
DOTS_CAPTION = " A dot is a size measured later."
ALONG_H_CAPTION = "The same along H, a line a batch, with 95 % intervals; hollow: no verdict."
INTERPOLATION_NOTE = (
    "It turns round between two measured sizes with opposite verdicts; between them the log ratio and its "
    "limits are taken to be linear in the log of the size. rnnbench run --refine FOLDER measures nearer to "
    "it; rnnbench advise{} --hidden H --batch B says why at one size."
)
ERRORS_NOTE = (
    "An error is how far a time is from that predicted without it; a variant has the best of three models."
)
H_LABEL = "hidden units H"
TILE_HEIGHT_INCHES = 0.46  # the tiles fill the width of the axes
MAX_LOG_RATIO = math.log(8.0)  # a larger log ratio has the same colour
WHITE_TEXT_AT = 0.55  # a share of MAX_LOG_RATIO; beyond it, white text is easier to read
NEUTRAL_COLOUR, HATCH_COLOUR = "#f6f3ef", "#8b95a1"
BAR: Any = plots.band(INK, 5, 0.6) | {"zorder": 6}  # an interval of a crossing
DOT: Any = {"markeredgecolor": INK, "markeredgewidth": 0.8, "markersize": 5, "zorder": 7}  # a later size
# digits with a tick on a long axis and on a short axis; the inverse of each digit has a tick too
FEW_DECADES, DIGITS, FINE_DIGITS = 1.2, (1, 2, 5), (1, 1.25, 1.6, 2, 2.5, 4, 5, 6.25, 8)
FIRST_COLOUR, LAST_COLOUR = "#a58fd0", "#2d1152"  # of the lines along H: one hue, used by no library
MARKERS = "osD^vPX<>p"

Array = NDArray[np.float64]
Maps = tuple[SizeMap, ...]


def crossover_section(facts: Facts, prefix: str) -> Section | None:
    """Return the map of several sizes, a sentence for a single size, or None if nothing is compared."""
    maps = facts.maps
    if not maps:
        return _one_size(facts)
    lead = [wording.capital(f"{answer.how(maps[0], maps)}: {answer.title(maps)}."), answer.certainty(maps)]
    all_tables = [
        _batch_table(maps),
        _crossing_table(maps),
        *(_size_table(facts, size_map) for size_map in maps),
    ]
    options = _cell_options(size_map.case for size_map in maps)
    notes = [f"All sizes: {answer.work(maps)}.", INTERPOLATION_NOTE.format(options)]
    if (predicted := _judge_predictions(facts)) is not None:
        (sentence, *more_notes), table = predicted
        lead, notes, all_tables = [*lead, sentence], [*notes, *more_notes], [*all_tables, table]
    return Section(
        id="crossover",
        title=TITLE,
        lead=tuple(lead),
        drawings=tuple(_drawings(facts, maps, prefix)),
        tables=tuple(table for table in all_tables if table.rows),
        notes=tuple(notes),
    )


def _one_size(facts: Facts) -> Section | None:
    """Return the section for a single size, which names a map beside the run or the command for a map."""
    cases = [facts.entries[pair.entry].case for pair in facts.summary.headlines if pair.kind in KINDS]
    sizes = {(case.shape.B, case.shape.H) for case in cases}
    if len(sizes) != 1:
        return None
    ((B, H),) = sizes
    command = f"rnnbench run --preset grid{_cell_options(cases)}"
    map_name = f"the map on this page ({facts.map_beside})" if facts.map_beside else command
    lead = f"This is one size, B = {B} and H = {H}; {map_name} finds where the answer turns round."
    return Section(id="crossover", title=TITLE, lead=(lead,))


def _cell_options(cases: Iterable[Case]) -> str:
    """Return the options that choose the cell of these cases: " --cell gru"."""
    options = set(map(words.cell_options, cases))
    return options.pop() if len(options) == 1 else " --cell CELL"


def _heading(size_map: SizeMap, maps: Maps) -> str:
    """Return the title of a map, for its picture and its column."""
    return f"{wording.capital(tables.HEADLINES[size_map.kind])}, {answer.where(size_map, maps)}"


# ---- tables


def _batch_table(maps: Maps) -> TextTable:
    """Return a table of the faster library at each batch, with a column per map."""

    def clauses(size_map: SizeMap) -> Callable[[tuple[int, int]], str]:
        by_batch = {(line.fixed, line.machine or 0): answer.clause(line) for line in lines(size_map)}
        return lambda row: by_batch.get(row, units.NOTHING)

    fields: Fields[tuple[int, int]] = {
        "B": lambda row: _integer(row[0]),
        "Machine": lambda row: words.mark(row[1]) if maps[0].machines else "",
        **{_heading(size_map, maps): clauses(size_map) for size_map in maps},
    }
    batches = sorted({(line.fixed, line.machine or 0) for size_map in maps for line in lines(size_map)})
    return text_table("Who is faster, batch by batch", fields, batches)


def _crossing_table(maps: Maps) -> TextTable:
    """Return a table of all crossings along H and along B."""
    axes: tuple[Axis, ...] = ("H", "B")
    crossings = [
        (size_map, line, crossing)
        for size_map in maps
        for axis in axes
        for line in lines(size_map, axis)
        for crossing in line.crossings
    ]

    def along(line: Line) -> str:
        other = "B" if line.axis == "H" else "H"
        return f"{line.axis}, at {other} = {line.fixed:.0f}{answer.on_machine(line.machine)}"

    def end(cell: MapCell, line: Line) -> Cell:
        lead = words.lead(cell.comparison)
        factor = f"{words.library(lead.winner)} {lead.times}" if lead else units.NOTHING
        return Cell(f"{line.axis} = {answer.size(cell, line)}", factor)

    fields: Fields[tuple[SizeMap, Line, Crossing]] = {
        "Comparison": lambda row: Cell(
            wording.capital(tables.HEADLINES[row[0].kind]), answer.where(row[0], maps)
        ),
        "Along": lambda row: along(row[1]),
        "Faster from there on": lambda row: Cell(library(row[2].winner).label, library=row[2].winner),
        "Between": lambda row: Cell(answer.between(row[2]).replace("and", "to"), value=row[2].at),
        "Measured below it": lambda row: end(row[2].below, row[1]),
        "Measured above it": lambda row: end(row[2].above, row[1]),
    }
    return text_table("Where the faster library changes", fields, crossings)


def _size_table(facts: Facts, size_map: SizeMap) -> TextTable:
    """Return a table of all sizes of a map."""

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

    def measured_in(cell: MapCell) -> str:
        if size_map.machines:
            return words.mark(cell.machine)
        return f"refinement {cell.source}" if cell.source else "the run itself"

    fields: Fields[tuple[MapCell, words.Lead | None]] = {
        "B": lambda row: _integer(row[0].B),
        "H": lambda row: _integer(row[0].H),
        "Faster": lambda row: side(row[0], row[1].winner) if row[1] else Cell(units.NOTHING),
        "Slower": lambda row: side(row[0], row[1].loser) if row[1] else Cell(units.NOTHING),
        "Times faster": lambda row: factor(row[1]) if row[1] else Cell(units.NOTHING),
        "Verdict": lambda row: verdict(row[0]),
        "Measured in": lambda row: measured_in(row[0]),
    }
    rows = ((cell, words.lead(cell.comparison)) for cell in size_map.cells)
    return text_table(f"All sizes, {answer.how(size_map, facts.maps)}", fields, rows)


def _integer(size: int) -> Cell:
    return Cell(str(size), value=size)


# ---- pictures


def _drawings(facts: Facts, maps: Maps, prefix: str) -> Iterator[Drawing]:
    for number, size_map in enumerate(maps, start=1):
        title, dots = _heading(size_map, maps), DOTS_CAPTION * any(cell.source for cell in size_map.cells)
        alt = f"{title}: {'; '.join(answer.by_batch(size_map))}. The table has the numbers."
        line = LINE_CAPTION if not size_map.machines else f" {'; '.join(words.machines(facts.run))}."
        caption = (f"{TILES_CAPTION}{line}" * (number == 1) + dots).strip()
        stem = f"{prefix}map-{number}"
        yield Drawing(stem, alt, partial(map_plot, size_map, title), caption)
        measured = any(map(_ratios, lines(size_map)))
        if size_map.kind == "best" and measured and not size_map.machines:  # a line would join machines
            draw = partial(lines_plot, size_map, title)
            yield Drawing(f"{stem}-lines", f"{alt} Drawn along H.", draw, ALONG_H_CAPTION)


@plots.style()
def map_plot(size_map: SizeMap, title: str = "", *, narrow: bool = False) -> Figure:
    """Draw each size of the grid as a tile, and each size that refines the grid as a dot.

    A tile without a verdict is hatched. On the line, the interpolated ratio is 1; a bar on the line is the
    interval of a crossing. Of several machines, each tile has the mark of its own, and no line joins tiles.
    All tiles are equally large; between their centres the axes are logarithmic.
    """
    grid = _grid_cells(size_map)
    columns, rows = sorted({cell.H for cell in grid}), sorted({cell.B for cell in grid})
    figure, axes = plots.new_axes(TILE_HEIGHT_INCHES * len(rows), labelled=True, narrow=narrow)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(rows) - 0.5), xlabel=H_LABEL, ylabel="batch B")
    axes.grid(visible=False)
    colours = plots.colour_of(size_map.library), NEUTRAL_COLOUR, plots.colour_of(size_map.baseline)
    scale = LinearSegmentedColormap.from_list("sides", colours)
    for cell in grid:
        _draw_tile(axes, (columns.index(cell.H), rows.index(cell.B)), cell, scale)
    measured_lines = [line for line in lines(size_map) if _ratios(line) and not size_map.machines]
    _draw_ratio_1(axes, measured_lines, columns, rows)
    for line in measured_lines:
        for crossing in line.crossings:
            axes.plot(
                _positions(columns, [crossing.low, crossing.high]), _positions(rows, [line.fixed] * 2), **BAR
            )
    for cell in (cell for cell in size_map.cells if cell.source):
        position = _positions(columns, [cell.H]), _positions(rows, [cell.B])
        axes.plot(*position, "o", markerfacecolor=_shade(cell, scale) if cell.faster else "white", **DOT)
    axes.set_xticks(range(len(columns)), [str(H) for H in columns])
    axes.set_yticks(range(len(rows)), [str(B) for B in rows])
    _label_sides(axes, size_map, title, "■■")
    return figure


def _label_sides(axes: Axes, size_map: SizeMap, title: str, marks: str) -> None:
    """Write the title above the picture, and for each mark which side is faster there."""
    sides = [library(name) for name in (size_map.baseline, size_map.library)]
    texts = [(f"{mark} {side.label} is faster", side.colour) for side, mark in zip(sides, marks, strict=True)]
    text_style: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "fontweight": "bold"}
    for (text, colour), points in zip([*texts, (title, INK)], (22, 8, 38), strict=True):
        axes.annotate(text, (0, 1), (0, points), color=colour, fontsize=9, **text_style)


def _grid_cells(size_map: SizeMap) -> list[MapCell]:
    """Return the sizes that the first run measured, or all sizes if that run measured none."""
    return [cell for cell in size_map.cells if not cell.source] or list(size_map.cells)


def _ratios(line: Line) -> dict[int, float]:
    """Return the measured ratios of a row, by H."""
    return {cell.H: cell.comparison.ratio for cell in line.cells if cell.comparison.ratio is not None}


def _shade(cell: MapCell, scale: LinearSegmentedColormap) -> Any:
    """Return the colour of the faster side, deeper for a larger ratio."""
    if cell.comparison.ratio is None:
        return "white"
    # a ratio beyond the scale gets the colour at its end
    return scale((math.log(cell.comparison.ratio) / MAX_LOG_RATIO + 1) / 2)


def _draw_tile(axes: Axes, place: tuple[int, int], cell: MapCell, scale: LinearSegmentedColormap) -> None:
    """Draw one size of the grid: coloured by its ratio, hatched without a verdict."""
    (x, y), colour, lead = place, _shade(cell, scale), words.lead(cell.comparison)
    corner = (x - 0.5, y - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=1.6, zorder=2))
    undecided = not cell.faster and cell.comparison.verdict != "EQUIVALENT"
    if undecided:
        hatch: Any = {"fill": False, "hatch": "///", "edgecolor": HATCH_COLOUR, "linewidth": 0, "zorder": 3}
        axes.add_patch(Rectangle(corner, 1, 1, **hatch))
    white_text = lead is not None and math.log(lead.factor) > WHITE_TEXT_AT * MAX_LOG_RATIO and not undecided
    halo = withStroke(linewidth=3, foreground="white" if undecided else colour)
    text_style: Any = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 8, "path_effects": [halo]}
    text = units.ratio(lead.factor) if lead else units.NOTHING
    text_style["color"] = "white" if white_text else INK
    axes.text(x, y + 0.24, text, **text_style)
    if cell.machine is not None:
        axes.text(x, y - 0.26, words.mark(cell.machine), **text_style)


def _draw_ratio_1(axes: Axes, measured: Sequence[Line], columns: Sequence[int], rows: Sequence[int]) -> None:
    """Draw where the interpolated ratio is 1: linear in log H within a row, in log B between rows."""
    if len(measured) < 2:
        return
    # with both ends of the map, since sizes may fail at all H but one
    hidden_sizes = sorted({columns[0], columns[-1], *(H for line in measured for H in _ratios(line))})
    log_ratios = [
        np.interp(np.log(hidden_sizes), np.log(list(ratios)), np.log(list(ratios.values())))
        for ratios in map(_ratios, measured)
    ]
    if np.min(log_ratios) < 0 < np.max(log_ratios):
        positions = _positions(columns, hidden_sizes), _positions(rows, [line.fixed for line in measured])
        contour = axes.contour(*positions, log_ratios, [0.0], colors=[INK], zorder=5)
        contour.set(linewidth=1.7, path_effects=[withStroke(linewidth=4, foreground="white")])


def _positions(sizes: Sequence[int], values: Sequence[float]) -> Array:
    """Return the positions of values among the tiles of ``sizes``, whose centres are at 0, 1, 2, ..."""
    positions = np.interp(np.log(values), np.log(sizes), np.arange(len(sizes)))
    return np.asarray(positions, dtype=np.float64)


@plots.style()
def lines_plot(size_map: SizeMap, title: str = "", *, narrow: bool = False) -> Figure:
    """Draw the ratio over H with its intervals, a line per batch; hollow points have no verdict."""
    figure, axes = plots.new_axes(3.0, labelled=True, narrow=narrow)
    axes.set(xscale="log", yscale="log", xlabel=H_LABEL, ylabel="times faster")
    axes.axhline(1.0, color=SOFT, linewidth=1.1, zorder=2)
    measured_lines = [line for line in lines(size_map) if _ratios(line)]
    first_colour, last_colour = (np.array(to_rgb(colour)) for colour in (FIRST_COLOUR, LAST_COLOUR))
    for number, line in enumerate(measured_lines):
        colour = tuple(first_colour + (last_colour - first_colour) * number / max(1, len(measured_lines) - 1))
        _draw_ratio_line(axes, line, colour, MARKERS[number % len(MARKERS)])
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.9), max(high, 1.1))
    sizes = sorted({cell.H for cell in _grid_cells(size_map)}, reverse=True)
    plots.set_ticks(axes.xaxis, FixedLocator(sizes[:: 2 if narrow else 1]), "{:g}".format)
    digits = DIGITS if high > low * 10**FEW_DECADES else FINE_DIGITS
    plots.set_ticks(axes.yaxis, LogLocator(subs=digits), lambda ratio: f"{max(ratio, 1 / ratio):g}")
    _label_sides(axes, size_map, title, "↑↓")
    plots.legend_below(axes, 3)
    return figure


def _draw_ratio_line(axes: Axes, line: Line, colour: Any, marker: str) -> None:
    """Draw the ratios of one batch with their intervals, and the intervals of the crossings."""
    ratios = _ratios(line)
    line_style: Any = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.4, "zorder": 4}
    axes.plot(list(ratios), list(ratios.values()), label=f"B = {line.fixed}", **line_style)
    for cell in (cell for cell in line.cells if cell.H in ratios):
        if cell.comparison.low and cell.comparison.high:
            limits = [cell.comparison.low, cell.comparison.high]
            axes.plot([cell.H] * 2, limits, **plots.band(colour, 2.6, 0.35))
        if not cell.faster:
            axes.plot([cell.H], [ratios[cell.H]], **{**line_style, "markerfacecolor": "white", "zorder": 5})
    for crossing in line.crossings:
        axes.plot([crossing.low, crossing.high], [1.0, 1.0], **BAR)


# ---- prediction


def _judge_predictions(facts: Facts) -> tuple[list[str], TextTable] | None:
    """Judge predictions from the run alone, at sizes left out and at sizes measured later.

    Return sentences and a table, or None if the run has too few sizes.
    """
    case = facts.maps[0].case
    if facts.run.machines:  # times of several machines follow no one model
        return None
    grid_times = times_of(facts.summary, case)
    prediction = learn(grid_times, case)
    if prediction is None:
        return None
    later_times: Times = {}
    for summary in facts.sources[1:]:
        for arm, times in times_of(summary, case).items():
            new_times = {shape: ns for shape, ns in times.items() if shape not in grid_times.get(arm, {})}
            later_times.setdefault(arm, {}).update(new_times)
    same_work = (size_map for size_map in facts.maps if task_key(size_map.case) == task_key(case))
    cells = [cell for size_map in same_work for cell in size_map.cells]
    later_errors = prediction.errors_at(later_times)
    left_out_errors = {arm: family.errors for arm, family in prediction.families.items()}
    sentences = [f"Predicted from all other sizes, a time is off by {_error_text(left_out_errors, cells)}."]
    if later_errors:
        sizes = {shape for errors in later_errors.values() for shape in errors}
        sentences.append(
            f"Predicted first and measured afterwards, at {wording.count(len(sizes), 'size')}: off by "
            f"{_error_text(later_errors, cells)}."
        )
    fields: Fields[tuple[str, Family]] = {
        "Variant and place": lambda item: Cell(item[0], library=facts.run.arms[item[0]].library),
        "Model": lambda item: MODEL_LABELS[item[1].model],
        "Median error": lambda item: Cell.of(error_quantile(item[1].errors.values()), units.percent),
        "Nine of ten within": lambda item: Cell.of(
            error_quantile(item[1].errors.values(), MOST), units.percent
        ),
        "Sizes": lambda item: _integer(len(item[1].errors)),
        "Median error, measured afterwards": lambda item: Cell.of(
            error_quantile(later_errors[item[0]].values()) if item[0] in later_errors else None, units.percent
        ),
    }
    families = prediction.families.items()
    return sentences, text_table("How well times are predicted", fields, families, ERRORS_NOTE)


def _error_text(by_arm: Mapping[str, Errors], cells: Sequence[MapCell]) -> str:
    """Return how large the errors are, and how often the faster library was predicted."""
    errors = [log for arm_errors in by_arm.values() for log in arm_errors.values()]
    n_right, n_decided = count_winners(cells, by_arm)
    text = (
        f"{units.percent(error_quantile(errors))} in the median, nine of ten by at most "
        f"{units.percent(error_quantile(errors, MOST))}"
    )
    if not n_decided:
        return text
    winners = f"{n_right} of {n_decided} sizes with a verdict"
    return f"{text}; the faster library is named rightly at {winners}"
