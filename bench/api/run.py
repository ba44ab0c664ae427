"""Run the commands ``run`` and ``report``: plan, measure, resume or refine a run, and write its report."""

import datetime
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from bench.analysis.verdict import extension
from bench.api.options import EXIT_CODES, ReportOptions
from bench.api.sweep import new_sweep, resume_sweep
from bench.machine import audit, host, wording
from bench.machine.busy import Say, complain, report_usage
from bench.machine.child import refuse_windows
from bench.machine.devices import Devices, find_devices, resolve
from bench.machine.environ import THREAD_LIMITS, without_person, worker_environment
from bench.machine.errors import Unfinished, UserError, error_text
from bench.machine.files import as_path
from bench.machine.host_lock import host_lock
from bench.machine.signals import Terminated, signals_held_back
from bench.machine.terminal import print_json, say
from bench.measure.block import Progress
from bench.measure.plan import make_plan
from bench.measure.refine import Refined, load_grid
from bench.measure.refine import refine as refine_rounds
from bench.measure.runner import Runner
from bench.records.folder import as_text, display_path, drawing_report, free_folder, make_folder, run_name
from bench.records.journal import FILE_NAME, Journal
from bench.records.record import AnyRecord, BudgetRule, End, Environment, Plan
from bench.records.results import RESULTS, newest
from bench.records.run import Run, different_machines, make_run
from bench.records.sealed import refuse_locked
from bench.records.sweep import FILE_NAME as SWEEP_FILE
from bench.reporting.display import run_progress
from bench.workload.catalog import plugin_versions
from bench.workload.options import RunOptions, changed, spelled

if TYPE_CHECKING:
    from bench.reporting.build import Report

Show = Callable[[Plan], AbstractContextManager[Progress]]  # displays the progress of a run with this plan
# for each option that names a run: the options allowed with it, and the reason why others are refused
ALLOWED_WITH = {
    "resume": (
        {"resume", "blocks", "wait_quiet", "no_wait", "json", "scheduler", "any_environment"},
        "goes on with the plan that was declared",
    ),
    "refine": ({"refine", "budget", "wait_quiet", "no_wait", "json"}, "measures as the grid was measured"),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Hold a run's folder and its end; the end is None if there was nothing to refine."""

    folder: Path
    end: End | None
    plan: Plan | None = None  # of a new run
    refined: Refined | None = None


def main(args: RunOptions) -> int:
    """Measure as ``args`` say, write journal and report; return the exit code.

    Raises:
        UserError: an option cannot be fulfilled.
        Unfinished: the report failed, or a variant named by the user is not in the plan.
    """
    try:
        measured = carry_out(args, ["rnnbench", *sys.argv[1:]])
        with drawing_report(measured.folder):
            report = write_report([measured.folder], None)
        show_report(report, as_json=args.json)
    except Terminated:  # while the report was written
        return EXIT_CODES["signal"]
    end, refined = measured.end, measured.refined
    if refined is not None:
        rounds = {0: "No round", 1: "1 round"}.get(len(refined.rounds), f"{len(refined.rounds)} rounds")
        say(f"\n{rounds} measured: {refined.reason}", stderr=True)
    if end is not None and end.status == "interrupted":
        folder, hint = (refined.rounds[-1], ", then --refine again") if refined else (measured.folder, "")
        hint = " --scheduler ADDRESS" if (folder / SWEEP_FILE).exists() else hint
        newline = "" if refined else "\n"
        say(f"{newline}Go on with it: rnnbench run --resume {display_path(folder)}{hint}", stderr=True)
    code = exit_code(end, disagrees=report.disagrees)
    specs = {arm.spec for arm in measured.plan.arms} if measured.plan else set(args.variant)
    if (left_out := sorted(set(args.variant) - specs)) and code == 0:
        raise Unfinished(f"asked for and not measured: {', '.join(left_out)}; the report says why")
    return code


def exit_code(end: End | None, *, disagrees: bool) -> int:
    """Return the exit code of a run with this end."""
    if end is not None and end.status == "interrupted":
        return EXIT_CODES[end.stopped_by or "user"]
    return 1 if disagrees else EXIT_CODES[end.status if end else "complete"]


def carry_out(
    args: RunOptions, command: list[str], *, say: Say = complain, progress: Show = run_progress
) -> Measured:
    """Measure a new run, resume a run, or refine a run, while no other process measures on this host.

    Raises:
        UserError: an option cannot be fulfilled, or the host is in use and ``no_wait`` is set.
    """
    refuse_windows()
    for option, (allowed, reason) in ALLOWED_WITH.items():
        refused_options = [spelled(name) for name in changed(args) if name not in allowed]
        if getattr(args, option) is not None and refused_options:
            raise UserError(f"--{option} {reason}: leave out {', '.join(refused_options)}")
    read_usage = partial(report_usage, args.wait_quiet, say)
    if args.scheduler is not None or (args.resume and (as_path(args.resume) / SWEEP_FILE).exists()):
        return _carry_out_sweep(args, command, say)
    if args.everywhere or args.any_environment:
        raise UserError("--everywhere and --any-environment are about the hosts of a --scheduler: give one")
    if args.resume is not None:
        refuse_locked(as_path(args.resume) / FILE_NAME)  # rather than wait for the very run
    elif args.out is not None:
        free_folder(args.out)
    # from before devices are searched: that alone would disturb what is waited for
    with host_lock(command, no_wait=args.no_wait, say=say):
        if args.resume is not None:
            folder = as_path(args.resume)
            return Measured(folder, resume(folder, args.blocks, read_usage, progress))
        if args.refine is not None:
            folder = as_path(args.refine)
            refined = refine(folder, args.budget, command, read_usage, progress)
            return Measured(folder, refined.end, refined=refined)
        folder, plan = prepare(args, command)
        end = measure(
            plan, folder, keep=args.keep_env, host_name=args.host_name, seen=read_usage(), progress=progress
        )
        return Measured(folder, end, plan)


def _carry_out_sweep(args: RunOptions, command: list[str], say: Say) -> Measured:
    """Measure on the hosts of a scheduler, whose processes take the locks of their hosts."""
    if args.resume is not None:
        folder = as_path(args.resume)
        return Measured(folder, resume_sweep(args, folder, say))
    folder, started = new_folder(args)

    def plan_for(devices: Devices, cpus: int) -> Plan:
        return declare(args, devices, folder, started, command, "aim", cpus=cpus)

    ended, plan = new_sweep(args, folder, plan_for, say)
    return Measured(folder, ended, plan)


def prepare(args: RunOptions, command: list[str]) -> tuple[Path, Plan]:
    """Return the folder of the results, not created yet, and the plan for ``args``.

    Raises:
        UserError: the folder holds a run already, or an option cannot be fulfilled.
    """
    folder, started = new_folder(args)
    return folder, declare(args, find_devices(), folder, started, command)


def new_folder(args: RunOptions) -> tuple[Path, datetime.datetime]:
    """Return the folder of the results, not created yet, and the time of the start.

    Raises:
        UserError: the folder holds a run already, or an option cannot be fulfilled.
    """
    started = datetime.datetime.now(datetime.UTC)
    folder = free_folder(args.out or f"results/{started:%Y-%m-%d-%H%M%S}")
    if limits := sorted(set(args.keep_env) & set(THREAD_LIMITS)):
        raise UserError(
            f"--keep-env {limits[0]}: both libraries get the same threads; choose them with --threads"
        )
    return folder, started


def declare(
    args: RunOptions,
    devices: Devices,
    folder: Path,
    started: datetime.datetime,
    command: Sequence[str],
    budget_rule: BudgetRule | None = None,
    cpus: int | None = None,
) -> Plan:
    """Return the plan of a run in ``folder``, on this machine unless ``cpus`` tells those of another.

    Raises:
        UserError: an option cannot be fulfilled.
    """
    return make_plan(
        args,
        devices,
        host.usable_cpus() if cpus is None else cpus,
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
    """Run the plan with a journal in ``folder`` and a progress display; return the run's end.

    ``seen`` is the result of ``report_usage`` before the run.
    """
    make_folder(folder)
    environment_record = environment(plan, keep, host_name=host_name, seen=seen)
    return _measure_into(Journal(folder / FILE_NAME), plan, environment_record, keep, progress)


def resume(folder: Path, blocks: int | None, look: Callable[[], Mapping[str, Any]], progress: Show) -> End:
    """Resume a run that was cut off or interrupted: complete blocks stay, and the other blocks are measured.

    With ``blocks``, a finished run without a verdict is extended to this total, for a second look.

    Raises:
        UserError: there is no such run, it cannot be extended, it is in use by another process, or it was
            measured on another machine.
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
        keep, host_name = _recorded_settings(run, folder)
        environment_record = environment(run.plan, keep, host_name=host_name, seen=look())
        for warning in warnings:
            complain(warning)
        earlier_records: list[AnyRecord] = [run.plan, *run.workers, *run.bursts, *run.rates, *run.failures]
        earlier_records += [*run.extensions, *([run.decision] if run.decision else [])]
        for record in extensions:
            journal.write(record)
    except BaseException:
        journal.close()
        raise
    return _measure_into(journal, run.plan, environment_record, keep, progress, earlier_records)


def _measure_into(
    journal: Journal,
    plan: Plan,
    setting: Environment,
    keep: Sequence[str],
    progress: Show,
    earlier: Sequence[AnyRecord] = (),
) -> End:
    """Write the plan, if new, and the environment; then measure."""
    # the reference results are computed in this process; extra threads would use the CPU while they wait
    one_thread = threadpool_limits(1)  # type: ignore[no-untyped-call]  # threadpoolctl has no type hints
    try:
        with one_thread, journal, progress(plan) as display:
            if not earlier:
                journal.write(plan)
            journal.write(setting)
            return Runner(plan, journal.write, display, keep=keep, earlier=earlier).run()
    except OSError as error:
        raise UserError(
            f"the run broke off: {error_text(error)}; what was measured is in {journal.path}, and "
            f"rnnbench run --resume {journal.path.parent} goes on with it"
        ) from error


def environment(
    plan: Plan, keep: Sequence[str], *, host_name: bool, seen: Mapping[str, Any] | None = None
) -> Environment:
    """Describe the machine at this moment, and the environment variables that reach the workers."""
    worker_variables = worker_environment(1, keep=keep, compiled="a folder of the run")
    plugins = plugin_versions(arm.spec for arm in plan.arms)
    facts = host.describe(host_name=host_name, plugins=plugins) | dict(seen or {})
    threads = max(arm.threads for arm in plan.arms)
    warnings = audit.warnings(facts, worker_variables.dropped, worker_variables.kept, threads)
    return Environment(facts, worker_variables.set, worker_variables.dropped, worker_variables.kept, warnings)


def _recorded_settings(run: Run, folder: Path) -> tuple[list[str], bool]:
    """Return the variables that the run passed to workers, and whether the run recorded the host's name.

    Raises:
        UserError: the run was measured on another machine.
    """
    keep, host_name = list(run.environment.kept), "host_name" in run.environment.machine
    environment_here = environment(run.plan, keep, host_name=host_name)
    if differences := different_machines([run, replace(run, environment=environment_here)]):
        raise UserError(
            f"{folder} was measured on another machine (other: {', '.join(differences)}): go on with it there"
        )
    return keep, host_name


def refine(
    folder: Path,
    budget_s: float | None,
    command: list[str],
    look: Callable[[], Mapping[str, Any]],
    progress: Show,
) -> Refined:
    """Refine the grid in ``folder`` on the same machine, round by round, with the grid's arms.

    Raises:
        UserError: there is no grid, the machine differs, or a device of the grid is absent.
    """
    grid = load_grid(folder)
    keep, host_name = _recorded_settings(grid, folder)
    devices = find_devices()
    resolve(list(dict.fromkeys(arm.device for arm in grid.plan.arms)), devices)
    measure_plan = partial(measure, keep=keep, host_name=host_name, seen=look(), progress=progress)
    return refine_rounds(folder, measure_plan, devices, command=command, budget_s=budget_s)


def report_main(args: ReportOptions) -> int:
    """Write the report of saved results; return the exit code.

    Raises:
        UserError: there is no result, a named one cannot be read, or the report cannot be written.
        Unfinished: something below a folder cannot be read, and is not on the page; or a result of the page
            is not complete, as its measurement was cut off or something in it failed.
    """
    paths, unread = [as_path(name) for name in args.files], list[str]()
    if args.latest:
        paths = [newest(paths or [RESULTS], unread.append)]
        for line in unread:
            complain(line)
    report = write_report(paths, args.out, any_machine=args.any_machine)
    show_report(report, as_json=args.json)
    unread += report.results.selection.unread
    if report.disagrees:
        return 1
    if unread:
        raise Unfinished(f"not all could be read: {wording.count(len(unread), 'result')}, named above")
    if incomplete := report.incomplete:
        raise Unfinished(f"not complete: {wording.listing(incomplete)}; the page says why")
    return 0


def write_report(paths: list[Path], out: str | None, *, any_machine: bool = False) -> "Report":
    """Write the report; explain what is wrong if the libraries that draw it cannot be used."""
    try:
        with signals_held_back():  # an interrupted import may raise anything, or nothing
            from bench.reporting import build  # jinja2 and matplotlib, needed from here on
    except Exception as error:  # matplotlib is broken, or its backend does not work
        raise UserError(f"matplotlib or jinja2 cannot be used: {error_text(error)}") from error

    return build.write_report(paths, Path(out) if out else None, any_machine=any_machine)


def show_report(report: "Report", *, as_json: bool) -> None:
    """Print the headlines and the report's path; or all as JSON."""
    if as_json:
        from bench.reporting.trees import document, result_tree

        results = report.results
        trees = [
            result_tree(path, result, report.summaries[path], results.runs.get(path, ())[1:])
            for path, result in results.loaded.items()
        ]
        print_json(document(report.page, trees, report.banners, results.selection.unread))
        return
    several = len(report.results.loaded) > 1
    answers = [
        f"{wording.one_line(report.heading(path))}\n{answer}" if several else answer
        for path, answer in report.answers.items()
    ]
    say("\n\n".join([*answers, *report.banners, f"Report: {display_path(report.page)}"]))
