"""Refine a grid: bisect, in log H, towards every size at which the faster library changes.

Each round is a separate run with its own declared plan, in ``refine-1``, ``refine-2``, ... of the grid's
folder. A bracket is two neighbouring sizes with opposite verdicts. A round measures the middle of every
bracket wider than a factor of 1.25, with the grid's arms, so that both kinds of comparison (best and as
written) get a result. A middle that was already measured and has no verdict is itself the crossing. Such a
middle is not measured again.
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
from bench.measure.plan import FixedChoice, make_plan
from bench.records.folder import load_refinements, next_folder
from bench.records.joined import load_measured
from bench.records.journal import load_run
from bench.records.record import End, Plan
from bench.records.run import Run
from bench.workload.case import Case
from bench.workload.options import RunOptions

STATUSES = ("complete", "partial", "interrupted")  # from best to worst
MAX_ROUNDS = 4  # more than enough to bring a factor of 4 below 1.25
NARROW = 1.25
H_STEP, H_STEP_ABOVE = 8, 64  # above H = 64, a middle is rounded to a multiple of 8: exact enough for users


@dataclass(frozen=True, slots=True)
class Refined:
    """Hold why a refinement ended, the folders of its rounds, and how each round ended."""

    reason: str
    rounds: tuple[Path, ...]
    ends: tuple[End, ...]

    @property
    def end(self) -> End | None:
        """Return the worst end of any round; None if nothing had to be measured."""
        return max(self.ends, key=lambda end: STATUSES.index(end.status), default=None)


def refine(
    folder: Path,
    measure: Callable[[Plan, Path], End],
    devices: Devices,
    *,
    command: Sequence[str],
    budget_s: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Refined:
    """Measure rounds with ``measure`` until every bracket is narrow enough or the time is spent.

    Raises:
        UserError: ``folder`` holds no run of the preset grid.
    """
    grid, earlier = load_grid(folder), load_refinements(folder)
    summaries = [summarise(run) for run in (grid, *earlier)]
    begun_s, longest_s = clock(), max((run.end.seconds for run in earlier if run.end), default=0.0)
    folders: list[Path] = []
    ends: list[End] = []

    def refined(reason: str) -> Refined:
        return Refined(reason, tuple(folders), tuple(ends))

    while cases := open_cases(size_maps(summaries)):
        started_s = clock()
        left_s = None if budget_s is None else budget_s - (started_s - begun_s)
        if len(folders) == MAX_ROUNDS or (left_s is not None and left_s <= longest_s):
            why = (
                f"{MAX_ROUNDS} rounds were measured"
                if len(folders) == MAX_ROUNDS
                else "its time budget is spent"
            )
            return refined(f"{why}; {count(len(cases), 'crossing')} could be narrower")
        folders.append(next_folder(folder))
        plan = refined_plan(grid, cases, devices, folders[-1].name, command=command, budget_s=left_s)
        ends.append(measure(plan, folders[-1]))
        longest_s = max(longest_s, clock() - started_s)
        if ends[-1].status == "interrupted":
            return refined(ends[-1].reason)
        summaries.append(summarise(load_run(folders[-1])))
    return refined(_why_finished(size_maps(summaries)))


def load_grid(folder: Path) -> Run:
    """Load the grid run that shall be refined.

    Raises:
        UserError: the run cannot be read, has another preset, or is of several machines.
    """
    grid = load_measured(folder)
    if grid.plan.preset != "grid":
        raise UserError(
            f"{folder} is a run of preset {grid.plan.preset}, which has no grid to refine; "
            "make one with rnnbench run --preset grid"
        )
    return grid


def open_cases(maps: Sequence[SizeMap]) -> list[Case]:
    """Return a case for the middle of each wide bracket whose middle was not measured, each case once."""
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
    """Return the middle of a bracket in log H; None if its two sizes are near enough to each other."""
    low, high = crossing.below.H, crossing.above.H
    if high <= NARROW * low:
        return None
    exact_middle = math.sqrt(low * high)
    step = H_STEP if exact_middle > H_STEP_ABOVE else 1
    middle = step * round(exact_middle / step)
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
    """Plan the grid's arms on other cases, with a new seed for the order unless the user gave the grid's."""
    plan, seed = grid.plan, cases[0].seed
    dropped = grid.decision.dropped_arms if grid.decision else ()
    arms = tuple(arm for arm in plan.arms if arm.id not in dropped)
    options = RunOptions(
        preset="grid",
        device=("cpu",),
        budget=budget_s,
        seed=seed if plan.seed == seed else None,
        cell=cases[0].cell,
        bias=cases[0].bias,
        activation=cases[0].activation,
    )
    return make_plan(
        options,
        devices,
        usable_cpus(),
        run=run,
        started_utc=utc_now(),
        command=list(command),
        budget_rule="aim",
        exactly=FixedChoice(tuple(cases), arms),
    )


def _why_finished(maps: Sequence[SizeMap]) -> str:
    """Return why no further round is needed."""
    if not any(cell.winner for size_map in maps for cell in size_map.cells):
        return "no size has a verdict, so there is nothing to go towards"
    if not any(line.crossings for size_map in maps for line in lines(size_map)):
        return "the answer does not turn round between any two sizes of the grid"
    return f"every crossing lies within a factor of {NARROW:g}, or at a size that has no verdict"
