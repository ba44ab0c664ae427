"""What the rows of a map say, in words: who is faster at a batch, from where on, and where it is open."""

import math
from collections.abc import Callable, Iterable, Sequence

from bench.analysis.crossover import Crossing, Line, MapCell, SizeMap, lines
from bench.machine import wording
from bench.reporting import words

SIDES = {1: "NumPy", -1: "PyTorch"}  # by the sign of the log ratio
DIGITS = 3  # of a size that was worked out
MOST = 12  # sizes that a sentence lists


def by_batch(size_map: SizeMap) -> list[str]:
    """A line for each B, those with the same answer taken together: "B = 4: PyTorch above some H ..."."""
    rows = lines(size_map)
    said: dict[str, list[int]] = {}
    for row in rows:
        said.setdefault(clause(row), []).append(row.fixed)
    batches = [row.fixed for row in rows]
    return [f"B = {reach(own, batches)}: {text}" for text, own in said.items()]


def how(size_map: SizeMap, maps: Sequence[SizeMap] = ()) -> str:
    """Which forms were compared, where, and in what else the map differs from others."""
    best = size_map.kind == "best"
    forms = "with the fastest form of each library" if best else "each as it is usually written"
    return f"{forms} {where(size_map, maps)}"


def where(size_map: SizeMap, maps: Sequence[SizeMap] = ()) -> str:
    """The map's place: on cpu with one thread; and its T, I and O where these differ among the maps."""
    counts = sorted({cell.numpy.threads for cell in size_map.cells})
    threads = wording.listing(["one" if n == 1 else str(n) for n in counts]).replace(" and ", " or ")
    threads += " thread" if counts == [1] else " threads"
    place = f"on cpu with {threads}"
    if size_map.device != "cpu":
        place = f"with PyTorch on {size_map.device} and NumPy on cpu with {threads}"
    shapes = [one.case.shape for one in maps]
    varied = [name for name in "TIO" if len({getattr(shape, name) for shape in shapes}) > 1]
    sizes = " and ".join(f"{name} = {getattr(size_map.case.shape, name)}" for name in varied)
    return f"{place} at {sizes}" if sizes else place


def clause(line: Line) -> str:
    """What one row says: who is faster where, from where on the other is, and where nothing is proved."""
    name, first = line.axis, line.first
    sizes = [size(cell, line) for cell in line.cells]
    if first is None:
        return f"neither is proved to be faster at any {name} from {sizes[0]} to {sizes[-1]}"
    if line.crossings:
        said = turns(line)
    elif line.undecided:
        decided = [size(cell, line) for cell in line.cells if cell.sign]
        said = f"{SIDES[first.sign or 1]} at {name} = {reach(decided, sizes)}"
    else:
        said = f"{SIDES[first.sign or 1]} at every {name} from {sizes[0]} to {sizes[-1]}"
    open_ = _undecided(line)
    return f"{said} ({', '.join(open_)})" if open_ else said


def turns(line: Line) -> str:
    """Every crossing of a row, from small sizes to large ones."""
    first, *others = line.crossings
    said = [f"{words.LIBRARIES[first.winner]} above some {line.axis} between {between(first)}"]
    said += [f"{words.LIBRARIES[other.winner]} again above one between {between(other)}" for other in others]
    return ", ".join(said)


def between(crossing: Crossing) -> str:
    """The interval, its ends rounded outwards: "180 and 260"."""
    return f"{_rounded(crossing.low, math.floor)} and {_rounded(crossing.high, math.ceil)}"


def size(cell: MapCell, line: Line) -> int:
    """A cell's place on its row."""
    return cell.H if line.axis == "H" else cell.B


def reach(sizes: Sequence[int], among: Sequence[int]) -> str:
    """Sizes in ascending order: "4 to 32" where none of ``among`` lies between that is not one of them."""
    start = among.index(sizes[0])
    if len(sizes) > 2 and list(among[start : start + len(sizes)]) == list(sizes):
        return f"{sizes[0]} to {sizes[-1]}"
    return _list(sizes)


def work(maps: Sequence[SizeMap]) -> str:
    """What all sizes share: the training step on random data, 6 steps of 6 features, 8 outputs, float32."""
    case = maps[0].case
    data = "random data" if case.data == "random" else f"{case.layout} input"
    shapes = [
        f"{wording.count(s.T, 'step')} of {wording.count(s.I, 'feature')}, {wording.count(s.O, 'output')}"
        for s in dict.fromkeys(one.case.shape for one in maps)
    ]
    return f"the {words.TASKS[case.task]} on {data}, {'; '.join(shapes)}, {case.dtype}, {case.activation}"


def _undecided(line: Line) -> list[str]:
    """Sizes outside every crossing at which neither side is proved to be faster, by what is known of them."""
    alike = [size(cell, line) for cell in line.undecided if cell.made.verdict == "EQUIVALENT"]
    open_ = [size(cell, line) for cell in line.undecided if cell.made.verdict != "EQUIVALENT"]
    said = [f"both the same within the margin at {_list(alike)}"] if alike else []
    return [*said, *([f"undecided at {_list(open_)}"] if open_ else [])]


def _list(sizes: Iterable[int]) -> str:
    return wording.listing([str(number) for number in sizes], MOST)


def _rounded(number: float, whole: Callable[[float], int]) -> str:
    """Three digits; below 1000 a whole number."""
    step = 10.0 ** max(0, math.floor(math.log10(number)) + 1 - DIGITS)
    return f"{whole(number / step) * step:.0f}"
