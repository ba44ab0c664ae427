"""``rnnbench run --refine FOLDER``: measure sizes nearer to where the answer of a grid turns round."""

import sys
from functools import partial
from pathlib import Path

from bench.api import session
from bench.api.options import RunOptions
from bench.machine.device import find_devices, resolve
from bench.machine.files import as_path
from bench.machine.signals import Terminated
from bench.machine.waiting import Say, complain, look_around
from bench.measure.refine import Refined, load_grid
from bench.measure.refine import refine as refine_rounds
from bench.records.folder import drawing_report, shown
from bench.reporting.progress import show_progress


def main(args: RunOptions, grid: str) -> int:
    """Measure the rounds and write the report of the grid with them; return the exit code."""
    folder = as_path(grid)
    try:
        command = ["rnnbench", *sys.argv[1:]]
        refined = refine(folder, budget_s=args.budget, command=command, wait_s=args.wait_quiet)
        with drawing_report(folder):
            disagrees = session.write_report([folder], None)
    except Terminated:  # while the report was drawn
        return session.TERMINATED_CODE
    rounds = {0: "No round", 1: "1 round"}.get(len(refined.rounds), f"{len(refined.rounds)} rounds")
    print(f"\n{rounds} measured: {refined.reason}", file=sys.stderr)
    if refined.end is None:
        return 1 if disagrees else 0
    if refined.end.status == "interrupted":
        path = shown(refined.rounds[-1])
        print(f"Go on with it: rnnbench run --resume {path}, then --refine again", file=sys.stderr)
    return session.exit_code(refined.end, disagrees=disagrees)


def refine(
    folder: Path,
    *,
    budget_s: float | None,
    command: list[str],
    wait_s: float | None = None,
    say: Say = complain,
    progress: session.Show = show_progress,
) -> Refined:
    """Refine the grid in ``folder``, round by round, with its arms, on its machine.

    Raises:
        UserError: no grid, another machine than the grid's, or one of its devices is absent.
    """
    grid = load_grid(folder)
    keep, host_name = list(grid.environment.kept), "host_name" in grid.environment.machine
    session.refuse_other_machine(grid, session.environment(grid.plan, keep, host_name=host_name), folder)
    found = find_devices()
    resolve(list(dict.fromkeys(arm.device for arm in grid.plan.arms)), found)
    seen = look_around(wait_s, say)
    return refine_rounds(
        folder,
        partial(session.measure, keep=keep, host_name=host_name, seen=seen, progress=progress),
        command=command,
        budget_s=budget_s,
        no_float64=[device.id for device in found.present if "float64" not in device.dtypes],
    )
