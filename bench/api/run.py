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
from bench.api.options import EXIT_CODES, ReportOptions
from bench.machine import audit, host
from bench.machine.busy import Say, complain, look_around
from bench.machine.child import refuse_windows
from bench.machine.devices import Devices, find_devices, resolve
from bench.machine.environ import THREAD_LIMITS, without_person, worker_environment
from bench.machine.errors import Unfinished, UserError, what_failed
from bench.machine.files import as_path
from bench.machine.signals import Terminated, loading
from bench.measure.block import Progress
from bench.measure.plan import make_plan
from bench.measure.refine import Refined, load_grid
from bench.measure.refine import refine as refine_rounds
from bench.measure.runner import Runner
from bench.records.folder import as_text, display_path, drawing_report, free_folder, run_name
from bench.records.journal import FILE_NAME, Journal
from bench.records.record import AnyRecord, BudgetRule, End, Environment, Plan
from bench.records.run import Run, different_machines, make_run
from bench.reporting.display import run_progress
from bench.workload.options import RunOptions, changed, spelled

Show = Callable[[Plan], AbstractContextManager[Progress]]  # what shows a run's progress
# options that go together with one that names a run, and why others do not
BESIDE = {
    "resume": ({"resume", "blocks", "wait_quiet"}, "goes on with the plan that was declared"),
    "refine": ({"refine", "budget", "wait_quiet"}, "measures as the grid was measured"),
}


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
        UserError: something is asked for that cannot be.
        Unfinished: the report failed, or a variant that was asked for by name has no part in the plan.
    """
    try:
        measured = carry_out(args, ["rnnbench", *sys.argv[1:]])
        with drawing_report(measured.folder):
            disagrees = write_report([measured.folder], None)
    except Terminated:  # while the report was drawn
        return EXIT_CODES["signal"]
    end, refined = measured.end, measured.refined
    if refined is not None:
        rounds = {0: "No round", 1: "1 round"}.get(len(refined.rounds), f"{len(refined.rounds)} rounds")
        print(f"\n{rounds} measured: {refined.reason}", file=sys.stderr)
    if end is not None and end.status == "interrupted":
        folder, then = (refined.rounds[-1], ", then --refine again") if refined else (measured.folder, "")
        newline = "" if refined else "\n"
        print(f"{newline}Go on with it: rnnbench run --resume {display_path(folder)}{then}", file=sys.stderr)
    code = exit_code(end, disagrees=disagrees)
    specs = {arm.spec for arm in measured.plan.arms} if measured.plan else set(args.variant)
    if (left_out := sorted(set(args.variant) - specs)) and code == 0:
        raise Unfinished(f"asked for and not measured: {', '.join(left_out)}; the report says why")
    return code


def exit_code(end: End | None, *, disagrees: bool) -> int:
    """Return the exit code of a run that ended so."""
    if end is not None and end.status == "interrupted":
        return EXIT_CODES[end.stopped_by or "user"]
    return 1 if disagrees else EXIT_CODES[end.status if end else "complete"]


def carry_out(
    args: RunOptions, command: list[str], *, say: Say = complain, progress: Show = run_progress
) -> Measured:
    """Measure a new run, go on with one, or refine one.

    Raises:
        UserError: something is asked for that cannot be.
    """
    refuse_windows()
    for option, (beside, why) in BESIDE.items():
        others = [spelled(name) for name in changed(args) if name not in beside]
        if getattr(args, option) is not None and others:
            raise UserError(f"--{option} {why}: leave out {', '.join(others)}")
    look = partial(look_around, args.wait_quiet, say)
    if args.resume is not None:
        folder = as_path(args.resume)
        return Measured(folder, resume(folder, args.blocks, look, progress))
    if args.refine is not None:
        folder = as_path(args.refine)
        refined = refine(folder, args.budget, command, look, progress)
        return Measured(folder, refined.end, refined=refined)
    folder, plan = prepare(args, command)
    end = measure(plan, folder, keep=args.keep_env, host_name=args.host_name, seen=look(), progress=progress)
    return Measured(folder, end, plan)


def prepare(args: RunOptions, command: list[str]) -> tuple[Path, Plan]:
    """Return the folder of the results, not made yet, and the plan for what ``args`` ask for.

    Raises:
        UserError: the folder holds a run already, or something is asked for that cannot be.
    """
    started = datetime.datetime.now(datetime.UTC)
    folder = free_folder(args.out or f"results/{started:%Y-%m-%d-%H%M%S}")
    if limits := sorted(set(args.keep_env) & set(THREAD_LIMITS)):
        raise UserError(
            f"--keep-env {limits[0]}: both libraries get the same threads; choose them with --threads"
        )
    return folder, declare(args, find_devices(), folder, started, command)


def declare(
    args: RunOptions,
    devices: Devices,
    folder: Path,
    started: datetime.datetime,
    command: Sequence[str],
    budget_rule: BudgetRule | None = None,
) -> Plan:
    """Return the plan of a run into ``folder`` on this machine.

    Raises:
        UserError: something is asked for that cannot be.
    """
    return make_plan(
        args,
        devices,
        host.usable_cpus(),
        run=run_name(folder),
        started_utc=started.isoformat(timespec="seconds"),
        command=[without_person(as_text(word)) for word in command],
        budget_rule=budget_rule,
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


def resume(folder: Path, blocks: int | None, look: Callable[[], Mapping[str, Any]], progress: Show) -> End:
    """Go on with a run that was cut off or interrupted: its blocks that are whole stay, the others follow.

    With ``blocks`` a run that is over and undecided is extended to so many, for a second look.

    Raises:
        UserError: no such run, one that another process writes, that is over and not to be extended, or from
            another machine.
    """
    journal, records, warnings = Journal.reopen(folder / FILE_NAME)
    try:
        run = make_run(records, warnings)
        extensions = []
        if blocks is not None:
            extensions = [extension(run, blocks, folder, host.utc_now())]
            run = make_run([*records, *extensions], warnings)
        elif run.end is not None and run.end.status != "interrupted":
            raise UserError(f"{folder} is over ({run.end.reason}): there is nothing to go on with")
        keep, host_name = _setting_of(run, folder)
        setting = environment(run.plan, keep, host_name=host_name, seen=look())
        for warning in warnings:
            print(f"rnnbench: {warning}", file=sys.stderr)
        earlier: list[AnyRecord] = [run.plan, *run.workers, *run.bursts, *run.rates, *run.failures]
        earlier += [*run.extensions, *([run.decision] if run.decision else [])]
        for record in extensions:
            journal.write(record)
    except BaseException:
        journal.close()
        raise
    return _drive(journal, run.plan, setting, keep, progress, earlier)


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
    """Describe the machine as it is now, and what of the shell's variables reaches the workers."""
    passed = worker_environment(1, keep=keep, compiled="a folder of the run")
    facts = host.describe(host_name=host_name) | dict(seen or {})
    threads = max(arm.threads for arm in plan.arms)
    warnings = audit.warnings(facts, passed.dropped, passed.kept, threads)
    return Environment(facts, passed.set, passed.dropped, passed.kept, warnings)


def _setting_of(run: Run, folder: Path) -> tuple[list[str], bool]:
    """Return which variables an earlier run in ``folder`` kept, and whether it named its host.

    Raises:
        UserError: it was measured on another machine.
    """
    keep, host_name = list(run.environment.kept), "host_name" in run.environment.machine
    here = environment(run.plan, keep, host_name=host_name)
    if differ := different_machines([run, replace(run, environment=here)]):
        raise UserError(
            f"{folder} was measured on another machine (other: {', '.join(differ)}): go on with it there"
        )
    return keep, host_name


def refine(
    folder: Path,
    budget_s: float | None,
    command: list[str],
    look: Callable[[], Mapping[str, Any]],
    progress: Show,
) -> Refined:
    """Refine the grid in ``folder``, round by round, with its arms, on its machine.

    Raises:
        UserError: no grid, another machine than the grid's, or one of its devices is absent.
    """
    grid = load_grid(folder)
    keep, host_name = _setting_of(grid, folder)
    devices = find_devices()
    resolve(list(dict.fromkeys(arm.device for arm in grid.plan.arms)), devices)
    run = partial(measure, keep=keep, host_name=host_name, seen=look(), progress=progress)
    return refine_rounds(folder, run, devices, command=command, budget_s=budget_s)


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

    report = build.write_report(paths, Path(out) if out else None, any_machine=any_machine)
    for text in (*report.answers, *report.banners):
        print(text)
    print(f"\nReport: {display_path(report.page)}")
    return report.disagrees
