"""Hold a run and its results, with the look-ups that sentences need."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analysis.crossover import KINDS, SizeMap, size_maps
from bench.analysis.summary import Row, Summary, Table, summarise
from bench.machine import units
from bench.records.record import Arm, Entry
from bench.records.run import Run, different_machines
from bench.reporting import words
from bench.workload.case import Case

MAP_MIN_SIZES = 6  # sizes from which an answer is a map instead of a list of clauses
REQUEST_PRESETS = ("custom", "quick")  # presets whose plans hold only what the user requested


@dataclass(frozen=True, slots=True)
class Facts:
    """Hold one run; ``sources`` are the run and its refinements, ``maps`` their comparisons at several sizes.

    ``map_beside`` is the name of another run on the same page that maps this run's work at many sizes.
    """

    run: Run
    summary: Summary
    rows: dict[str, Row]
    entries: dict[str, Entry]
    sources: tuple[Summary, ...]
    maps: tuple[SizeMap, ...]
    map_beside: str
    marks: Mapping[str, str]  # entry -> mark of its machine, if there are several

    @classmethod
    def of(cls, run: Run, refinements: Sequence[Run] = (), map_beside: str = "") -> "Facts":
        """Summarise the run and its refinements, and build the look-ups once."""
        summary = summarise(run)
        sources = (summary, *map(summarise, refinements))
        maps = size_maps(sources)
        marks = {entry: words.mark(number) for entry, number in run.machine_numbers.items()}
        return cls(run, summary, summary.rows, run.entries, sources, maps, map_beside, marks)

    @property
    def cell_tables(self) -> tuple[Table, ...]:
        """Return the tables that compare cells; empty for a run of one cell."""
        return tuple(table for table in self.summary.tables if table.kind == "cells")

    @property
    def is_grid(self) -> bool:
        """Return whether the answer is a map of sizes instead of one comparison."""
        if self.cell_tables:
            return False
        has_many_sizes = any(len(size_map.cells) >= MAP_MIN_SIZES for size_map in self.maps)
        return has_many_sizes or (bool(self.maps) and self.run.plan.preset == "grid")

    @property
    def intervals(self) -> bool:
        """Return whether any time has an interval; intervals need several blocks."""
        return any(row.low_ns is not None for row in self.rows.values())

    @property
    def noise_floor(self) -> str:
        """Return how far the interval of the A/A control reaches from 1; empty without a control.

        A run has one floor, "1.7 %"; a grid has one per size with a control, "3.4 to 28 %, by size".
        """
        grid_floors = [twin.noise_floor for twin in self.summary.twins]
        by_size = grid_floors if self.is_grid else [self.summary.floor]
        floors = [floor for floor in by_size if floor is not None]
        if not floors:
            return ""
        low, high = units.percent(min(floors)), units.percent(max(floors))
        return low if low == high else f"{low.removesuffix(' %')} to {high}, by size"

    def arm(self, entry: str) -> Arm:
        """Return the arm of an entry."""
        return self.rows[entry].arm

    def case(self, entry: str) -> Case:
        """Return the case of an entry of the run or of a refinement."""
        entries = (source.run.entries for source in self.sources)
        return next(of_source[entry].case for of_source in entries if entry in of_source)

    def mark(self, entry: str) -> str:
        """Return the mark of the machine that measured an entry; empty for a run of one machine."""
        return self.marks.get(entry, "")

    def time(self, entry: str) -> str:
        """Return an entry's median time of a call as text, with its unit."""
        return units.duration(self.rows[entry].median_ns)


def map_beside(run: Run, others: Iterable[Run]) -> str:
    """Return the name of the first other run on the same machine that maps the run's work; else empty.

    The work is the same if all but layout, data, split, seed, B and H are the same.
    """
    works = {work for work, _ in _works_and_sizes(run)}
    for candidate in others:
        sizes = {size for work, size in _works_and_sizes(candidate) if work in works}
        is_map = len(sizes) >= MAP_MIN_SIZES or (len(sizes) > 1 and candidate.plan.preset == "grid")
        if candidate is not run and is_map and not different_machines([run, candidate]):
            return candidate.plan.run
    return ""


def _works_and_sizes(run: Run) -> set[tuple[Case, tuple[int, int]]]:
    """Return each case at which a run compared two libraries: its work, and its sizes B and H."""
    cases = [run.entries[pair.entry].case for pair in run.pairs if pair.kind in KINDS]
    return {
        (
            replace(case, shape=replace(case.shape, B=1, H=1), layout="", data="", split="", seed=0),
            (case.shape.B, case.shape.H),
        )
        for case in cases
    }
