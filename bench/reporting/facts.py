"""A run and what was worked out from it, with the look-ups that sentences need."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.analysis.crossover import KINDS, SizeMap, size_maps
from bench.analysis.summary import Row, Summary, summarise
from bench.machine import units
from bench.records.record import Arm, Entry
from bench.records.run import Run, different_machines
from bench.workload.case import Case

MANY_SIZES = 6  # of one map: so many are no list of clauses any more
EXACTLY_ASKED = ("custom", "quick")  # presets of plans that hold what a person asked for, and no more


@dataclass(frozen=True, slots=True)
class Facts:
    """One run; ``sources`` are the run and those that refine it, ``maps`` what they hold at several sizes.

    ``map_beside`` is the name of another run on the same page that maps the sizes of this one's work.
    """

    run: Run
    summary: Summary
    rows: dict[str, Row]
    entries: dict[str, Entry]
    sources: tuple[Summary, ...] = ()
    maps: tuple[SizeMap, ...] = ()
    map_beside: str = ""

    @classmethod
    def of(cls, run: Run, refinements: Sequence[Run] = (), map_beside: str = "") -> "Facts":
        """Work out what the run and those that refine it say, and make the look-ups once."""
        summary = summarise(run)
        sources = (summary, *map(summarise, refinements))
        return cls(run, summary, summary.rows, run.entries, sources, size_maps(sources), map_beside)

    @property
    def is_grid(self) -> bool:
        """Tell whether the answer is a map of sizes, and not one comparison."""
        many = any(len(size_map.cells) >= MANY_SIZES for size_map in self.maps)
        return many or (bool(self.maps) and self.run.plan.preset == "grid")

    @property
    def intervals(self) -> bool:
        """Tell whether times have intervals, which takes a few blocks."""
        return any(row.low_ns is not None for row in self.rows.values())

    @property
    def noise_floor(self) -> str:
        """Return how far the interval of the A/A control reaches from 1; empty where there is none.

        A run has one, "1.7 %"; a grid one at every size where it has an A/A control, "3.4 to 28 %, by size".
        """
        of_grid = [twin.noise_floor for twin in self.summary.twins]
        floors = [floor for floor in (of_grid if self.is_grid else [self.summary.floor]) if floor is not None]
        if not floors:
            return ""
        low, high = units.percent(min(floors)), units.percent(max(floors))
        return low if low == high else f"{low.removesuffix(' %')} to {high}, by size"

    def arm(self, entry: str) -> Arm:
        """Return the arm of an entry."""
        return self.rows[entry].arm

    def case(self, entry: str) -> Case:
        """Return the work of an entry."""
        return self.entries[entry].case

    def time(self, entry: str) -> str:
        """Return the median time of a call, for people."""
        return units.duration(self.rows[entry].median_ns)


def map_beside(run: Run, others: Iterable[Run]) -> str:
    """Return the first run on the same machine that maps the sizes of a run's work, by name; empty: none.

    The work is the same where task, dtype, activation and T, I and O are.
    """
    works = {work for work, _ in _sizes(run)}
    for other in others:
        sizes = {size for work, size in _sizes(other) if work in works}
        is_map = len(sizes) >= MANY_SIZES or (len(sizes) > 1 and other.plan.preset == "grid")
        if other is not run and is_map and not different_machines([run, other]):
            return other.plan.run
    return ""


def _sizes(run: Run) -> set[tuple[Case, tuple[int, int]]]:
    """Return what a run compared two libraries at: the work without its numbers, B and H; and these two."""
    cases = [run.entries[pair.entry].case for pair in run.pairs if pair.kind in KINDS]
    return {
        (
            replace(case, shape=replace(case.shape, B=1, H=1), layout="", data="", split="", seed=0),
            (case.shape.B, case.shape.H),
        )
        for case in cases
    }
