"""The refinement of a grid: bisects, in log H, towards every size at which the faster library changes.

Each round is a run of its own, with its own declared plan, in ``refine-1``, ``refine-2``, ... of the grid's
folder. It measures the middle of every bracket, two neighbouring sizes with opposite verdicts, that is wider
than a factor of 1.25; with the grid's arms, so that both kinds of comparison get it. A middle that was
measured already and has no verdict is itself the crossing, and is not measured again.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.analysis.crossover import Crossing, SizeMap, lines, size_maps
from bench.analysis.summary import summarise
from bench.machine.errors import UserError
from bench.machine.host import utc_now
from bench.measure.plan import make_plan
from bench.measure.preset import Wishes
from bench.records.folder import load_refinements, next_folder
from bench.records.journal import load_run
from bench.records.record import End, Plan
from bench.records.run import Run
from bench.workload.case import Case

WORSE = ("complete", "partial", "interrupted")
ROUNDS = 4  # more than enough to bring a factor of 4 below 1.25
NARROW = 1.25
MULTIPLE, MULTIPLE_ABOVE = 8, 64  # of H: what lies between is of no interest to anybody


@dataclass(frozen=True, slots=True)
class Refined:
    """Why a refinement ended, the folders of its rounds and how each of them ended."""

    reason: str
    rounds: tuple[Path, ...]
    ends: tuple[End, ...]

    @property
    def end(self) -> End | None:
        """The worst of the rounds; None where nothing had to be measured."""
        return max(self.ends, key=lambda end: WORSE.index(end.status), default=None)


def refine(
    folder: Path,
    measure: Callable[[Plan, Path], End],
    *,
    command: Sequence[str],
    budget_s: float | None = None,
    no_float64: Sequence[str] = (),
    clock: Callable[[], float] = time.perf_counter,
) -> Refined:
    """Measure round by round, with ``measure``, until every bracket is narrow enough or the time is spent.

    Raises:
        UserError: the folder holds no run of the preset grid.
    """
    grid = load_grid(folder)
    earlier = load_refinements(folder)
    sources = [summarise(run) for run in (grid, *earlier)]
    begun, longest_s = clock(), max((run.end.seconds for run in earlier if run.end), default=0.0)
    made: list[Path] = []
    ends: list[End] = []
    while cases := open_cases(size_maps(sources)):
        left_s = None if budget_s is None else budget_s - (clock() - begun)
        if len(made) == ROUNDS or (left_s is not None and left_s <= longest_s):
            why = f"{ROUNDS} rounds were measured" if len(made) == ROUNDS else "its time budget is spent"
            return Refined(f"{why}; {_open(len(cases))}", tuple(made), tuple(ends))
        target = next_folder(folder)
        wishes = refined_wishes(grid, cases, budget_s=left_s, no_float64=no_float64)
        plan = make_plan(wishes, run=target.name, started_utc=utc_now(), command=list(command))
        started = clock()
        end = measure(plan, target)
        ends.append(end)
        longest_s = max(longest_s, clock() - started)
        made.append(target)
        if end.status == "interrupted":
            return Refined(end.reason, tuple(made), tuple(ends))
        sources.append(summarise(load_run(target)))
    return Refined(_nothing_left(size_maps(sources)), tuple(made), tuple(ends))


def load_grid(folder: Path) -> Run:
    """The run that is to be refined.

    Raises:
        UserError: it cannot be read, or is of another preset.
    """
    grid = load_run(folder)
    if grid.plan.preset != "grid":
        raise UserError(
            f"{folder} is a run of preset {grid.plan.preset}, which has no grid to refine; "
            "make one with rnnbench run --preset grid"
        )
    return grid


def open_cases(maps: Sequence[SizeMap]) -> list[Case]:
    """The middles of all brackets that are still wide and whose middle was not measured, each once."""
    found: dict[Case, None] = {}
    for size_map in maps:
        for line in lines(size_map):
            measured = {cell.H for cell in line.cells if cell.measured}
            for crossing in line.crossings:
                middle = middle_of(crossing)
                if middle is not None and middle not in measured:
                    case = crossing.below.case
                    found[replace(case, shape=replace(case.shape, H=middle))] = None
    return sorted(found, key=lambda case: (case.shape.B, case.shape.H))


def middle_of(crossing: Crossing) -> int | None:
    """The size between a bracket's two, in log H; None where these are near enough to each other."""
    low, high = crossing.below.H, crossing.above.H
    if high <= NARROW * low:
        return None
    exact = math.sqrt(low * high)
    step = MULTIPLE if exact > MULTIPLE_ABOVE else 1
    middle = step * round(exact / step)
    return middle if low < middle < high else None


def refined_wishes(
    grid: Run, cases: Sequence[Case], *, budget_s: float | None, no_float64: Sequence[str] = ()
) -> Wishes:
    """The grid's arms on other cases; the order's seed is its own, unless the grid's was asked for."""
    plan, seed = grid.plan, cases[0].seed
    dropped = set(grid.decision.dropped_arms if grid.decision else ())
    return Wishes(
        preset="grid",
        no_float64=tuple(no_float64),
        seed=seed if plan.seed == seed else None,
        budget_s=budget_s,
        exact_cases=tuple(cases),
        exact_arms=tuple(arm for arm in plan.arms if arm.id not in dropped),
    )


def _nothing_left(maps: Sequence[SizeMap]) -> str:
    """Why no round is needed."""
    if not any(cell.winner for size_map in maps for cell in size_map.cells):
        return "no size has a verdict, so there is nothing to go towards"
    if not any(line.crossings for size_map in maps for line in lines(size_map)):
        return "the answer does not turn round between any two sizes of the grid"
    return f"every crossing lies within a factor of {NARROW:g}, or at a size that has no verdict"


def _open(n: int) -> str:
    return "1 crossing could be narrower" if n == 1 else f"{n} crossings could be narrower"
