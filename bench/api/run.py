"""The verbs ``run`` and ``report``: a run is declared, measured, gone on with or refined, and reported."""

import datetime
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from bench.analysis.verdict import extension
from bench.api.options import ReportOptions, RunOptions, changed, spelled
from bench.machine import audit, host
from bench.machine.busy import Say, complain, look_around
from bench.machine.child import refuse_windows
from bench.machine.devices import find_devices, resolve
from bench.machine.environ import THREAD_LIMITS, without_person, worker_environment
from bench.machine.errors import Unfinished, UserError, what_failed
from bench.machine.files import as_path
from bench.machine.signals import Terminated, loading
from bench.measure.block import Progress
from bench.measure.plan import make_plan
from bench.measure.preset import GRID_SIZES, Wishes
from bench.measure.refine import Refined, load_grid
from bench.measure.refine import refine as refine_rounds
from bench.measure.runner import Runner
from bench.records.folder import as_text, drawing_report, free_folder, run_name, shown
from bench.records.journal import FILE_NAME, Journal
from bench.records.record import AnyRecord, End, Environment, Missing, Plan
from bench.records.run import Run, different_machines, make_run
from bench.reporting.display import run_progress

EXIT_CODES = {"complete": 0, "partial": 3, "interrupted": 130}
TERMINATED_CODE = 143
STOPPED_CODES = {"user": EXIT_CODES["interrupted"], "signal": TERMINATED_CODE}

Show = Callable[[Plan], AbstractContextManager[Progress]]  # what shows a run's progress


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured into ``folder``, and how it ended; None where there was nothing to refine."""

    folder: Path
    end: End | None
    plan: Plan | None = None  # of a run that was declared now
    refined: Refined | None = None


def main(args: RunOptions) -> int:
    """Measure what is asked for, write journal and report; return the exit code.

    Raises:
        UserError: a wish that cannot be met.
        Unfinished: the report failed, or a variant that was asked for by name has no part in the plan.
    """
    try:
        measured = carry_out(args, ["rnnbench", *sys.argv[1:]])
        with drawing_report(measured.folder):
            disagrees = write_report([measured.folder], None)
    except Terminated:  # while the report was drawn
        return TERMINATED_CODE
    if measured.refined is not None:
        _tell_rounds(measured.refined)
    elif measured.end is not None and measured.end.status == "interrupted":
        print(f"\nGo on with it: rnnbench run --resume {shown(measured.folder)}", file=sys.stderr)
    code = exit_code(measured.end, disagrees=disagrees)
    specs = {arm.spec for arm in measured.plan.arms} if measured.plan else set(args.variant)
    if (left_out := sorted(set(args.variant) - specs)) and code == 0:
        raise Unfinished(f"asked for and not measured: {', '.join(left_out)}; the report says why")
    return code


def carry_out(
    args: RunOptions, command: list[str], *, say: Say = complain, progress: Show = run_progress
) -> Measured:
    """Measure a new run, go on with one, or refine one.

    Raises:
        UserError: a wish that cannot be met.
    """
    refuse_windows()
    refuse_others(args)
    if args.resume is not None:
        folder = as_path(args.resume)
        end = resume(folder, blocks=args.blocks, wait_s=args.wait_quiet, say=say, progress=progress)
        return Measured(folder, end)
    if args.refine is not None:
        folder = as_path(args.refine)
        refined = refine(
            folder,
            budget_s=args.budget,
            command=command,
            wait_s=args.wait_quiet,
            say=say,
            progress=progress,
        )
        return Measured(folder, refined.end, refined=refined)
    folder, plan = prepare(args, command)
    seen = look_around(args.wait_quiet, say)
    end = measure(plan, folder, keep=args.keep_env, host_name=args.host_name, seen=seen, progress=progress)
    return Measured(folder, end, plan)


def exit_code(end: End | None, *, disagrees: bool) -> int:
    """Return the exit code of a run that ended so."""
    if end is None:
        return 1 if disagrees else 0
    if end.status == "interrupted":
        return STOPPED_CODES[end.stopped_by or "user"]
    return 1 if disagrees else EXIT_CODES[end.status]


def refuse_others(args: RunOptions) -> None:
    """Raise UserError where a run that is resumed or refined is also told what to measure."""
    for option, beside, why in (
        ("resume", {"resume", "blocks", "wait_quiet"}, "goes on with the plan that was declared"),
        ("refine", {"refine", "budget", "wait_quiet"}, "measures as the grid was measured"),
    ):
        if getattr(args, option) is None:
            continue
        if others := [spelled(name) for name in changed(args) if name not in beside]:
            raise UserError(f"--{option} {why}: leave out {', '.join(others)}")


def prepare(args: RunOptions, command: list[str]) -> tuple[Path, Plan]:
    """The folder of the results, not made yet, and the plan for what ``args`` wish for.

    Raises:
        UserError: the folder holds a run already, or the wishes cannot be met.
    """
    started = datetime.datetime.now(datetime.UTC)
    folder = free_folder(args.out or f"results/{started:%Y-%m-%d-%H%M%S}")
    if limits := sorted(set(args.keep_env) & set(THREAD_LIMITS)):
        raise UserError(
            f"--keep-env {limits[0]}: both libraries get the same threads; choose them with --threads"
        )
    wishes = make_wishes(args)
    return folder, make_plan(
        wishes,
        run=run_name(folder),
        started_utc=started.isoformat(timespec="seconds"),
        command=[without_person(as_text(word)) for word in command],
    )


def make_wishes(args: RunOptions) -> Wishes:
    """Find the devices and turn what is asked for into wishes.

    Raises:
        UserError: a device that is asked for is absent.
    """
    found = find_devices()
    devices, missing = resolve(args.device or ["all"], found)
    sizes: dict[str, Any] = {
        name: values
        for name in ("seq_len", "batch", "features", "hidden", "outputs")
        if (values := getattr(args, name))
    }
    if args.preset == "grid":
        sizes = {**GRID_SIZES, **sizes}
    return Wishes(
        preset=args.preset,
        quick=args.quick,
        devices=tuple(devices),
        missing=tuple(Missing(item.kind, item.reason) for item in missing),
        missing_libraries=found.missing,
        no_float64=found.without_float64,
        variants=args.variant,
        tasks=args.task,
        layouts=args.layout,
        activation=args.activation,
        dtype=args.dtype,
        split=args.split,
        threads=args.threads,
        all_threads=host.usable_cpus(),
        blocks=args.blocks,
        isolate=args.isolate,
        budget_s=args.budget,
        budget_rule="aim" if args.budget is None else "refuse",
        seed=args.seed,
        **sizes,
    )


def measure(
    plan: Plan,
    folder: Path,
    *,
    keep: Sequence[str],
    host_name: bool = False,
    seen: Mapping[str, Any] | None = None,
    progress: Show = run_progress,
) -> End:
    """Run the plan with a journal in ``folder`` and a progress display; return how it ended.

    ``seen`` is what ``look_around`` saw before it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another --out") from error
    setting = environment(plan, keep, host_name=host_name, seen=seen)
    return _drive(Journal(folder / FILE_NAME), plan, setting, keep, progress)


def resume(
    folder: Path,
    *,
    blocks: int | None = None,
    wait_s: float | None = None,
    say: Say = complain,
    progress: Show = run_progress,
) -> End:
    """Go on with a run that was cut off or interrupted: its blocks that are whole stay, the others follow.

    With ``blocks`` a run that is over and undecided is extended to so many, for a second look.

    Raises:
        UserError: no such run, one that another process writes, that is over and not to be extended, or from
            another machine.
    """
    journal, records, warnings = Journal.reopen(folder / FILE_NAME)
    try:
        run = make_run(records, warnings)
        if blocks is not None:
            extended = extension(run, blocks, folder, host.utc_now())
            run = make_run([*records, extended], warnings)
        elif run.end is not None and run.end.status != "interrupted":
            raise UserError(f"{folder} is over ({run.end.reason}): there is nothing to go on with")
        keep = list(run.environment.kept)
        host_name = "host_name" in run.environment.machine
        refuse_other_machine(run, environment(run.plan, keep, host_name=host_name), folder)
        setting = environment(run.plan, keep, host_name=host_name, seen=look_around(wait_s, say))
        for warning in warnings:
            print(f"rnnbench: {warning}", file=sys.stderr)
        earlier: list[AnyRecord] = [run.plan, *run.workers, *run.bursts, *run.rates, *run.failures]
        earlier += [*run.extensions, *([run.decision] if run.decision else [])]
        if blocks is not None:
            journal.write(extended)
    except BaseException:
        journal.close()
        raise
    return _drive(journal, run.plan, setting, keep, progress, earlier=earlier)


def _drive(
    journal: Journal,
    plan: Plan,
    setting: Environment,
    keep: Sequence[str],
    progress: Show,
    earlier: Sequence[AnyRecord] = (),
) -> End:
    """Write what is known before the first value, then measure."""
    # expected results are computed here; idle threads would spin
    one_thread = threadpool_limits(1)  # type: ignore[no-untyped-call]  # it has no type hints
    try:
        with one_thread, journal, progress(plan) as display:
            if not earlier:
                journal.write(plan)
            journal.write(setting)
            return Runner(plan, journal.write, display, keep=keep, earlier=earlier).run()
    except OSError as error:
        raise UserError(
            f"the run broke off: {what_failed(error)}; what was measured is in {journal.path}, and "
            f"rnnbench run --resume {journal.path.parent} goes on with it"
        ) from error


def environment(
    plan: Plan, keep: Sequence[str], *, host_name: bool, seen: Mapping[str, Any] | None = None
) -> Environment:
    """The machine as it is now, and what of the shell's variables reaches the workers."""
    passed = worker_environment(1, keep=keep, compiled="a folder of the run")
    facts = host.describe(host_name=host_name) | dict(seen or {})
    threads = max(arm.threads for arm in plan.arms)
    warnings = audit.warnings(facts, passed.dropped, passed.kept, threads)
    return Environment(facts, passed.set, passed.dropped, passed.kept, warnings)


def refuse_other_machine(run: Run, here: Environment, folder: Path) -> None:
    """Raise UserError where the run in ``folder`` is of another machine than this one."""
    if differ := different_machines([run, replace(run, environment=here)]):
        raise UserError(
            f"{folder} was measured on another machine (other: {', '.join(differ)}): go on with it there"
        )


def _tell_rounds(refined: Refined) -> None:
    rounds = {0: "No round", 1: "1 round"}.get(len(refined.rounds), f"{len(refined.rounds)} rounds")
    print(f"\n{rounds} measured: {refined.reason}", file=sys.stderr)
    if refined.end is not None and refined.end.status == "interrupted":
        path = shown(refined.rounds[-1])
        print(f"Go on with it: rnnbench run --resume {path}, then --refine again", file=sys.stderr)


def refine(
    folder: Path,
    *,
    budget_s: float | None,
    command: list[str],
    wait_s: float | None = None,
    say: Say = complain,
    progress: Show = run_progress,
) -> Refined:
    """Refine the grid in ``folder``, round by round, with its arms, on its machine.

    Raises:
        UserError: no grid, another machine than the grid's, or one of its devices is absent.
    """
    grid = load_grid(folder)
    keep, host_name = list(grid.environment.kept), "host_name" in grid.environment.machine
    refuse_other_machine(grid, environment(grid.plan, keep, host_name=host_name), folder)
    found = find_devices()
    resolve(list(dict.fromkeys(arm.device for arm in grid.plan.arms)), found)
    seen = look_around(wait_s, say)
    return refine_rounds(
        folder,
        partial(measure, keep=keep, host_name=host_name, seen=seen, progress=progress),
        command=command,
        budget_s=budget_s,
        no_float64=found.without_float64,
    )


def report_main(args: ReportOptions) -> int:
    """Write the report of saved results; return the exit code."""
    paths = [as_path(name) for name in args.files]
    return 1 if write_report(paths, args.out, any_machine=args.any_machine) else 0


def write_report(paths: list[Path], out: str | None, *, any_machine: bool = False) -> bool:
    """Build the report, print headlines and where it is; return whether anything disagrees."""
    try:
        with loading():
            from bench.reporting import build  # jinja2 and matplotlib, needed from here on
    except Exception as error:  # a matplotlib that is broken, or told to draw in a way that it cannot
        raise UserError(f"matplotlib or jinja2 cannot be used: {what_failed(error)}") from error
    from bench.records import training
    from bench.training import load_result

    report = build.write_report(paths, Path(out) if out else None, any_machine=any_machine)
    for path in paths:
        if training.is_training(path):
            print(load_result(path).summary())
        elif path in report.answers:
            print(report.answers[path])
    for banner in report.banners:
        print(banner)
    print(f"\nReport: {shown(report.page)}")
    return report.disagrees
