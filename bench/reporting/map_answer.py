"""The answer of a grid: who is faster at most sizes and where that changes, in a line and by batch."""

from collections import Counter
from collections.abc import Sequence

from bench.analysis.crossover import Crossing, Line, MapCell, SizeMap, lines
from bench.machine import wording
from bench.reporting import turning, words
from bench.reporting.turning import SIDES


def title(maps: Sequence[SizeMap]) -> str:
    """The answer of the first map in a dozen words: what holds at most sizes, then where it changes."""
    cells, rows = maps[0].cells, lines(maps[0])
    signs = {cell.sign for cell in cells if cell.sign}
    undecided = any(cell.sign is None for cell in cells)
    if not signs:
        return _unproved(cells)
    if len(signs) == 1:
        where = "wherever that is decided" if undecided else "at every size measured"
        return f"{SIDES[signs.pop()]} is faster {where}"
    if not any(row.crossings for row in rows):
        return _each_batch(cells) + (", wherever that is decided" if undecided else "")
    if all(row.crossings for row in rows):
        return _changes(rows)
    return f"{_mostly(cells)}; {_changes(rows, _ahead(cells))}"


def parts(maps: Sequence[SizeMap], machine: str) -> list[tuple[str, str]]:
    """The answer line by line, each with what it is about: a sentence a map, then one for each batch."""
    made: list[tuple[str, str]] = []
    for one in maps:
        about = "best" if one.kind == "best" else "first"
        start = f"{machine} {turning.how(one, maps)}" if not made else wording.capital(turning.how(one, maps))
        made.append((about, f"{start}: {title([one])}."))
        made += [(about, f"  {line}.") for line in turning.by_batch(one)]
    return [*made, ("setting", f"All sizes: {turning.work(maps)}.")]


def certainty(maps: Sequence[SizeMap]) -> str:
    """How many sizes have a verdict, and how often one of those is by chance."""
    counted = [f"{decided(one)} of {len(one.cells)} {turning.how(one, maps)}" for one in maps]
    return (
        f"Sizes that are decided: {wording.listing(counted)}. Each is judged by itself: of the sizes at the "
        "border, where both take the same time, about 5 % may be called wrongly, for one side or the other."
    )


def decided(size_map: SizeMap) -> int:
    """How many sizes have a verdict FASTER or SLOWER."""
    return sum(cell.sign is not None for cell in size_map.cells)


def _ahead(cells: Sequence[MapCell]) -> str:
    """Who is faster at more than half of all sizes; empty where nobody is."""
    counts = Counter(cell.sign for cell in cells if cell.sign)
    return next((SIDES[sign] for sign, count in counts.items() if 2 * count > len(cells)), "")


def _mostly(cells: Sequence[MapCell]) -> str:
    """Who is faster at most sizes; where that is nobody, at how many each is."""
    if winner := _ahead(cells):
        return f"{winner} is faster at most sizes"
    counts = Counter(cell.sign for cell in cells if cell.sign)
    (ahead, most), (behind, fewer) = counts.most_common()
    if most == fewer:
        return f"NumPy and PyTorch are faster at {most} of {len(cells)} sizes each"
    return f"{SIDES[ahead]} is faster at {most} of {len(cells)} sizes, {SIDES[behind]} at {fewer}"


def _unproved(cells: Sequence[MapCell]) -> str:
    """Where no size has a verdict: that neither is proved to be faster, or what was measured without one."""
    ratios = [cell.made.ratio for cell in cells if cell.made.verdict == "NONE" and cell.made.ratio]
    if len(ratios) < len(cells):
        return "Neither is proved to be faster at any size"
    numpy = sum(ratio > 1 for ratio in ratios)
    return (
        f"No verdict; NumPy measured faster at {numpy} of {len(cells)} sizes, PyTorch at {len(cells) - numpy}"
    )


def _each_batch(cells: Sequence[MapCell]) -> str:
    """Where no row turns round, but not all have the same winner: whose each batch is."""
    batches = sorted({cell.B for cell in cells})
    first = next(cell.sign for cell in cells if cell.sign)
    said = []
    for sign in (first, -first):
        own = sorted({cell.B for cell in cells if cell.sign == sign})
        said.append(f"at B = {turning.reach(own, batches)}")
    return f"{SIDES[first]} is faster {said[0]}, {SIDES[-first]} {said[1]}"


def _changes(rows: Sequence[Line], ahead: str = "") -> str:
    """Who overtakes, at which batches, and from about which H on; ``ahead`` was named as usually faster."""
    found: dict[str, dict[int, list[Crossing]]] = {}
    for row in rows:
        for crossing in row.crossings:
            found.setdefault(crossing.winner, {}).setdefault(row.fixed, []).append(crossing)
    batches = [row.fixed for row in rows]
    said = []
    for winner, by_batch in found.items():
        crossings = [crossing for own in by_batch.values() for crossing in own]
        ends = [_about(min(one.low for one in crossings)), _about(max(one.high for one in crossings))]
        everywhere = len(by_batch) == len(rows) > 1
        place = "at every B" if everywhere else f"at B = {turning.reach(list(by_batch), batches)}"
        sizes = " to ".join(dict.fromkeys(ends))
        above = f"above an H of about {sizes}" + (" that depends on B" if len(by_batch) > 1 else "")
        if ahead == words.LIBRARIES[winner] and len(found) == 1:
            said.append(f"{place} only {above}")
        else:
            said.append(f"{words.LIBRARIES[winner]} overtakes {place}, {above}")
    return " and ".join(said)


def _about(size: float) -> str:
    """Two digits: a title is no place for more."""
    return f"{float(f'{size:.2g}'):.0f}"
