"""The map of a task that was measured at many sizes: for each H and B, NumPy against PyTorch.

A map is of one kind of comparison in one place. ``best`` is the fastest form of each library
and the answer; ``as_written`` is how each is usually written. A ratio is PyTorch's time over NumPy's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.analysis.comparison import Comparison
from bench.analysis.summary import Summary
from bench.records.record import Arm, PairKind
from bench.records.run import Run
from bench.workload.case import Case

KINDS: tuple[PairKind, ...] = ("best", "as_written")
SIGNS = {"SLOWER": 1, "FASTER": -1}  # of the log ratio
NOT_MEASURED = ("MISSING", "NONE", "INVALID")  # verdicts after which a size may be measured again


@dataclass(frozen=True, slots=True)
class MapCell:
    """One size of the map; times are medians in nanoseconds a call, None where there are none."""

    case: Case
    made: Comparison
    numpy: Arm
    torch: Arm
    numpy_ns: float | None
    torch_ns: float | None
    source: int  # which run measured it: 0 the first, and so on

    @property
    def H(self) -> int:
        """Hidden units."""
        return self.case.shape.H

    @property
    def B(self) -> int:
        """Samples in a batch."""
        return self.case.shape.B

    @property
    def sign(self) -> int | None:
        """1 where NumPy is proved to be faster, -1 where PyTorch is, None where neither is."""
        return SIGNS.get(self.made.verdict)

    @property
    def measured(self) -> bool:
        """Whether it needs no other try: a word was found for it, were it UNRESOLVED."""
        return self.made.verdict not in NOT_MEASURED


@dataclass(frozen=True, slots=True)
class SizeMap:
    """All sizes of one task in one place, by B and then H."""

    kind: PairKind
    case: Case  # what all of them share; its B and H are 1
    device: str  # PyTorch's
    threads: int
    cells: tuple[MapCell, ...]

    def sizes(self, axis: str) -> list[int]:
        """The values of "H" or "B" that were measured."""
        return sorted({getattr(cell, axis) for cell in self.cells})


def size_maps(sources: Iterable[tuple[Run, Summary]]) -> tuple[SizeMap, ...]:
    """The maps of a run and of those that refine it, in this order: none unless some B has two values of H.

    A later run adds cells; it replaces one only where that was not measured, or not to be believed.
    """
    found: dict[tuple[PairKind, str, int, Case], dict[tuple[int, int], MapCell]] = {}
    for source, (run, summary) in enumerate(sources):
        times = {row.entry: row.median_ns for table in summary.tables for row in table.rows}
        for made in summary.headlines:
            if made.kind not in KINDS or not made.same_work:
                continue
            case, numpy, torch = run.entries[made.entry].case, run.arms[made.baseline_arm], run.arms[made.arm]
            cells = found.setdefault((made.kind, torch.device, torch.threads, _shared(case)), {})
            place = case.shape.B, case.shape.H
            if place not in cells or not cells[place].measured:
                times_ns = times.get(made.baseline), times.get(made.entry)
                cells[place] = MapCell(case, made, numpy, torch, *times_ns, source)
    maps = [
        SizeMap(kind, case, device, threads, tuple(cells[place] for place in sorted(cells)))
        for (kind, device, threads, case), cells in found.items()
        if _has_line(list(cells))
    ]
    return tuple(sorted(maps, key=lambda made: KINDS.index(made.kind)))


def _shared(case: Case) -> Case:
    """What is equal at all sizes; the seed draws the numbers, not the work."""
    return replace(case, shape=replace(case.shape, B=1, H=1), seed=0)


def _has_line(places: Sequence[tuple[int, int]]) -> bool:
    return len({B for B, _ in places}) < len(places)
