"""The section that tells at which sizes the answer turns round, with the map of all that were measured."""

from collections.abc import Iterator
from functools import partial

from bench.analysis.crossover import KINDS, Axis, Crossing, Line, MapCell, SizeMap, lines
from bench.analysis.outcome import Outcome
from bench.machine import units, wording
from bench.reporting import map_answer, predicting, tables, turning, words
from bench.reporting.answer import Facts
from bench.reporting.section import Cell, Column, Drawing, Section, TextTable
from bench.reporting.sections.crossover_lines import lines_plot
from bench.reporting.sections.crossover_plot import map_plot

TITLE = "Where does it turn round?"
CELLS = (
    Column("B", number=True), Column("H", number=True), Column("NumPy"), Column("PyTorch"),
    Column("PyTorch ÷ NumPy", number=True), Column("PyTorch is"), Column("Measured in"),
)  # fmt: skip
CROSSINGS = (
    Column("Comparison"), Column("Along"), Column("Faster from there on"), Column("Between", number=True),
    Column("Measured below it"), Column("Measured above it"),
)  # fmt: skip
TILES = "A tile is a size that was measured, its number PyTorch's time over NumPy's. Hatched: no verdict."
DOTS = " A dot is a size that was measured later, nearer to the line."
LINE = " The black line is where the interpolated ratio is 1; a bar on it is the 95 % interval of that place."
LINES_CAPTION = (
    "The same ratios along H, a line and a mark for each batch, darker the larger it is, with their 95 % "
    "intervals; hollow: no verdict. A bar at 1 is the interval in which a line crosses."
)
WHY = (
    "Why a size is as it is, a map does not measure: rnnbench advise --hidden H --batch B does, for one size."
)
INTERPOLATED = (
    "Where it turns round is bracketed by two measured sizes with opposite verdicts. Between them the logs "
    "of the ratio and of its 95 % limits are taken to be linear in the log of the size: the interval holds "
    "how noisy the times are, the bracket what such a line may miss. rnnbench run --refine FOLDER measures "
    "nearer to it. A size without a verdict counts for neither side."
)


def crossover_section(facts: Facts, found: dict[str, Outcome], prefix: str) -> Section | None:
    """The map of a run with several sizes; a sentence where it has one; None where it compares nothing."""
    if not facts.maps:
        return _one_size(facts)
    told = predicting.tell(facts)
    maps = facts.maps
    lead = [wording.capital(f"{turning.how(one, maps)}: {map_answer.title([one])}.") for one in maps]
    lead.append(map_answer.certainty(maps))
    made = [_batches(maps), _crossings(maps), *(_cells(facts, one) for one in maps)]
    if told is not None:
        lead += predicting.sentences(told, facts.maps[0])
        made.append(predicting.table(facts, told))
    return Section(
        id="crossover",
        title=TITLE,
        lead=tuple(lead),
        drawings=tuple(_drawings(facts.maps, prefix)),
        tables=tuple(table for table in made if table.rows),
        notes=(f"All sizes: {turning.work(facts.maps)}.", INTERPOLATED, WHY),
    )


def _one_size(facts: Facts) -> Section | None:
    """What a run with one size says: that it cannot tell, and what can: a run beside it, or a later one."""
    compared = [facts.entries[made.entry].case for made in facts.summary.headlines if made.kind in KINDS]
    sizes = {(case.shape.B, case.shape.H) for case in compared}
    if len(sizes) != 1:
        return None
    ((B, H),) = sizes
    finds = "rnnbench run --preset grid finds"
    if facts.map_beside:
        finds = f"the map of sizes on this page ({facts.map_beside}) looks for"
    lead = (
        f"This run measured one size only, B = {B} and H = {H}; at which size the answer turns round, if at "
        f"any, is what {finds}."
    )
    return Section(id="crossover", title=TITLE, lead=(lead,))


def _drawings(maps: tuple[SizeMap, ...], prefix: str) -> Iterator[Drawing]:
    for number, one in enumerate(maps, start=1):
        rows = "; ".join(_in_words(line) for line in lines(one))
        alt = f"PyTorch's time over NumPy's, {turning.how(one, maps)}. {rows}."
        later = DOTS if any(cell.source for cell in one.cells) else ""
        caption = TILES + later + LINE if number == 1 else f"The same, {turning.how(one, maps)}.{later}"
        title = _heading(one, maps)
        yield Drawing(f"{prefix}map-{number}", alt, partial(map_plot, one, title), caption)
        if one.kind == "best":
            draw = partial(lines_plot, one, f"{title}, along H")
            yield Drawing(f"{prefix}map-{number}-lines", alt, draw, LINES_CAPTION)


def _in_words(line: Line) -> str:
    """A row's numbers: "B = 128: H = 8 6.29, H = 32 2.15 (no verdict)"."""
    said = []
    for cell in line.cells:
        open_ = "" if cell.sign else f" ({tables.verdict(cell.made)})"
        ratio = units.NOTHING if cell.made.ratio is None else units.ratio(cell.made.ratio)
        said.append(f"H = {cell.H} {ratio}{open_}")
    return f"B = {line.fixed}: {', '.join(said)}"


def _batches(maps: tuple[SizeMap, ...]) -> TextTable:
    """Who is faster at each batch, a column for each map."""
    said = [{line.fixed: turning.clause(line) for line in lines(one)} for one in maps]
    columns = (Column("B", number=True), *(Column(_heading(one, maps)) for one in maps))
    rows = tuple(
        (Cell(str(B), value=B), *(Cell(by_batch.get(B, units.NOTHING)) for by_batch in said))
        for B in sorted({B for by_batch in said for B in by_batch})
    )
    return TextTable("Who is faster, batch by batch", columns, rows)


def _crossings(maps: tuple[SizeMap, ...]) -> TextTable:
    """Every place where a row of a map turns round, along H and along B."""
    axes: tuple[Axis, ...] = ("H", "B")
    rows = tuple(
        _crossing(_comparison(one, maps), line, crossing)
        for one in maps
        for axis in axes
        for line in lines(one, axis)
        for crossing in line.crossings
    )
    return TextTable("Where the faster library changes", CROSSINGS, rows)


def _crossing(comparison: Cell, line: Line, crossing: Crossing) -> tuple[Cell, ...]:
    other = "B" if line.axis == "H" else "H"
    return (
        comparison,
        Cell(f"{line.axis}, at {other} = {line.fixed}", value=line.fixed),
        Cell(words.LIBRARIES[crossing.winner], library=crossing.winner),
        Cell(turning.between(crossing).replace("and", "to"), value=crossing.at),
        *(
            Cell(
                f"{line.axis} = {turning.size(cell, line)}",
                note=units.with_interval(cell.made.ratio, cell.made.low, cell.made.high),
            )
            for cell in (crossing.below, crossing.above)
        ),
    )


def _heading(size_map: SizeMap, maps: tuple[SizeMap, ...]) -> str:
    """What a map is about, for above it and its column."""
    return f"{wording.capital(tables.HEADLINES[size_map.kind])}, {turning.where(size_map, maps)}"


def _comparison(size_map: SizeMap, maps: tuple[SizeMap, ...]) -> Cell:
    """The kind of comparison, and where."""
    kind = tables.HEADLINES[size_map.kind]
    return Cell(wording.capital(kind), note=turning.where(size_map, maps))


def _cells(facts: Facts, size_map: SizeMap) -> TextTable:
    """All sizes of a map."""
    several = len({cell.numpy.threads for cell in size_map.cells}) > 1
    rows = tuple(_cell(facts, cell, several) for cell in size_map.cells)
    return TextTable(f"All sizes, {turning.how(size_map, facts.maps)}", CELLS, rows)


def _cell(facts: Facts, cell: MapCell, several: bool) -> tuple[Cell, ...]:
    """A size; ``several``: NumPy has not everywhere as many threads."""
    made, numpy = cell.made, cell.numpy.variant + f", {words.threads(cell.numpy)}" * several
    return (
        Cell(str(cell.B), value=cell.B),
        Cell(str(cell.H), value=cell.H),
        Cell(units.duration(cell.numpy_ns), numpy, cell.numpy_ns, library="numpy"),
        Cell(units.duration(cell.torch_ns), cell.torch.variant, cell.torch_ns, library="torch"),
        Cell(
            units.NOTHING if made.ratio is None else units.ratio(made.ratio),
            units.interval(made.low, made.high),
            made.ratio,
        ),
        Cell(tables.verdict(made), tables.reason_for(facts, made), tone=tables.tone(made)),
        Cell(f"refinement {cell.source}" if cell.source else "the run itself"),
    )
