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
from bench.machine.devices import Devices
from bench.machine.errors import UserError
from bench.machine.host import usable_cpus, utc_now
from bench.machine.wording import count
from bench.measure.plan import Exactly, make_plan
from bench.records.folder import load_refinements, next_folder
from bench.records.journal import load_run
from bench.records.record import End, Plan
from bench.records.run import Run
from bench.workload.case import Case
from bench.workload.options import RunOptions

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
        """Return the worst end of a round; None where nothing had to be measured."""
        return max(self.ends, key=lambda end: WORSE.index(end.status), default=None)


def refine(
    folder: Path,
    measure: Callable[[Plan, Path], End],
    devices: Devices,
    *,
    command: Sequence[str],
    budget_s: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Refined:
    """Measure round by round, with ``measure``, until every bracket is narrow enough or the time is spent.

    Raises:
        UserError: the folder holds no run of the preset grid.
    """
    grid, earlier = load_grid(folder), load_refinements(folder)
    sources = [summarise(run) for run in (grid, *earlier)]
    begun_s, longest_s = clock(), max((run.end.seconds for run in earlier if run.end), default=0.0)
    folders: list[Path] = []
    ends: list[End] = []

    def refined(reason: str) -> Refined:
        return Refined(reason, tuple(folders), tuple(ends))

    while cases := open_cases(size_maps(sources)):
        started_s = clock()
        left_s = None if budget_s is None else budget_s - (started_s - begun_s)
        if len(folders) == ROUNDS or (left_s is not None and left_s <= longest_s):
            why = f"{ROUNDS} rounds were measured" if len(folders) == ROUNDS else "its time budget is spent"
            return refined(f"{why}; {count(len(cases), 'crossing')} could be narrower")
        folders.append(next_folder(folder))
        plan = refined_plan(grid, cases, devices, folders[-1].name, command=command, budget_s=left_s)
        ends.append(measure(plan, folders[-1]))
        longest_s = max(longest_s, clock() - started_s)
        if ends[-1].status == "interrupted":
            return refined(ends[-1].reason)
        sources.append(summarise(load_run(folders[-1])))
    return refined(_nothing_left(size_maps(sources)))


def load_grid(folder: Path) -> Run:
    """Load the run that is to be refined.

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
    """Return the middles of all brackets that are wide and whose middle was not measured, each once."""
    middles: dict[Case, None] = {}
    for line in (line for size_map in maps for line in lines(size_map)):
        measured = {cell.H for cell in line.cells if cell.measured}
        for crossing in line.crossings:
            middle = middle_of(crossing)
            if middle is not None and middle not in measured:
                case = crossing.below.case
                middles[replace(case, shape=replace(case.shape, H=middle))] = None
    return sorted(middles, key=lambda case: (case.shape.B, case.shape.H))


def middle_of(crossing: Crossing) -> int | None:
    """Return the size between a bracket's two, in log H; None where these are near enough to each other."""
    low, high = crossing.below.H, crossing.above.H
    if high <= NARROW * low:
        return None
    exact = math.sqrt(low * high)
    step = MULTIPLE if exact > MULTIPLE_ABOVE else 1
    middle = step * round(exact / step)
    return middle if low < middle < high else None


def refined_plan(
    grid: Run,
    cases: Sequence[Case],
    devices: Devices,
    run: str,
    *,
    command: Sequence[str],
    budget_s: float | None,
) -> Plan:
    """Plan the grid's arms on other cases; the seed of the order is new, unless the grid's was asked for."""
    plan, seed = grid.plan, cases[0].seed
    dropped = grid.decision.dropped_arms if grid.decision else ()
    arms = tuple(arm for arm in plan.arms if arm.id not in dropped)
    asked = RunOptions(
        preset="grid", device=("cpu",), budget=budget_s, seed=seed if plan.seed == seed else None
    )
    return make_plan(
        asked,
        devices,
        usable_cpus(),
        run=run,
        started_utc=utc_now(),
        command=list(command),
        budget_rule="aim",
        exactly=Exactly(tuple(cases), arms),
    )


def _nothing_left(maps: Sequence[SizeMap]) -> str:
    """Return why no round is needed."""
    if not any(cell.winner for size_map in maps for cell in size_map.cells):
        return "no size has a verdict, so there is nothing to go towards"
    if not any(line.crossings for size_map in maps for line in lines(size_map)):
        return "the answer does not turn round between any two sizes of the grid"
    return f"every crossing lies within a factor of {NARROW:g}, or at a size that has no verdict"
