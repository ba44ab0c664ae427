"""The verbs ``run`` and ``report``: from wishes to a plan, a journal, and the report of it."""

import argparse
import datetime
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from bench.device import find_devices, resolve
from bench.errors import UserError
from bench.measure import machine
from bench.measure.environ import THREAD_LIMITS, worker_environment
from bench.measure.plan import make_plan
from bench.measure.preset import Wishes
from bench.measure.runner import TERMINATED, Progress, Runner
from bench.measure.signals import Terminated, terminable
from bench.progress import show_progress
from bench.results.journal import Journal, load_run
from bench.results.record import End, Environment, Missing, Plan

EXIT_CODES = {"complete": 0, "partial": 3, "interrupted": 130}
TERMINATED_CODE = 143


def main(args: argparse.Namespace) -> int:
    """Measure what ``args`` wish for and write journal and report; return the exit code."""
    if os.name == "nt":
        raise UserError(
            "run stops and wakes its workers, which Windows cannot: use WSL, or pytest --benchmark"
        )
    folder, plan = prepare(args, ["rnnbench", *sys.argv[1:]])
    try:
        with terminable():
            end = measure(plan, folder, keep=args.keep_env)
            disagrees = write_report([folder], None)
    except Terminated:  # while the report was drawn
        return TERMINATED_CODE
    if end.status == "interrupted":
        return TERMINATED_CODE if end.reason == TERMINATED else EXIT_CODES["interrupted"]
    return 1 if disagrees else EXIT_CODES[end.status]


def prepare(args: argparse.Namespace, command: list[str]) -> tuple[Path, Plan]:
    """The folder of the results, not made yet, and the plan for what ``args`` wish for.

    Raises:
        UserError: the folder holds a run already, or the wishes cannot be met.
    """
    started = datetime.datetime.now(datetime.UTC)
    folder = Path(args.out or Path("results") / started.strftime("%Y-%m-%d-%H%M%S"))
    try:
        taken = (folder / "journal.jsonl").exists()
    except OSError as error:
        raise UserError(f"cannot look into {folder}: {error.strerror}; choose another --out") from error
    if taken:
        raise UserError(f"{folder} already holds a run; choose another --out")
    if limits := sorted(set(args.keep_env) & set(THREAD_LIMITS)):
        raise UserError(
            f"--keep-env {limits[0]}: both libraries get the same threads; choose them with --threads"
        )
    wishes = make_wishes(args)
    return folder, make_plan(
        wishes,
        run=folder.resolve().name,
        started_utc=started.isoformat(timespec="seconds"),
        command=[os.fsencode(word).decode(errors="replace") for word in command],
    )


def make_wishes(args: argparse.Namespace) -> Wishes:
    """Find the devices and turn the arguments into wishes.

    Raises:
        UserError: a device that is asked for is absent.
    """
    found = find_devices()
    devices, missing = resolve(args.device or ["all"], found)
    sizes: dict[str, Any] = {
        name: tuple(values)
        for name in ("seq_len", "batch", "features", "hidden", "outputs")
        if (values := getattr(args, name)) is not None
    }
    return Wishes(
        preset=args.preset,
        quick=args.quick,
        devices=tuple(devices),
        missing=tuple(Missing(item.kind, item.reason) for item in missing),
        no_torch=found.torch_missing,
        no_float64=tuple(device.id for device in found.present if "float64" not in device.dtypes),
        variants=tuple(args.variant or ()),
        tasks=tuple(args.task or ()),
        layouts=tuple(args.layout or ()),
        activation=args.activation,
        dtype=args.dtype,
        split=args.split,
        threads=tuple(args.threads or ()),
        all_threads=machine.usable_cpus(),
        blocks=args.blocks,
        budget_s=args.budget,
        seed=args.seed,
        **sizes,
    )


def measure(
    plan: Plan,
    folder: Path,
    *,
    keep: list[str],
    progress: Callable[[Plan], AbstractContextManager[Progress]] = show_progress,
) -> End:
    """Run the plan with a journal in ``folder`` and a progress display; return how it ended."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another --out") from error
    environment = worker_environment(1, keep=keep, compiled="a folder of the run")
    facts = machine.describe()
    threads = max(arm.threads for arm in plan.arms)
    warnings = machine.warnings(facts, environment.dropped, environment.kept, threads)
    setting = Environment(facts, environment.set, environment.dropped, environment.kept, warnings)
    # expected results are computed here; idle threads would spin
    one_thread = threadpool_limits(1)  # type: ignore[no-untyped-call]  # it has no type hints
    try:
        with one_thread, Journal(folder / "journal.jsonl") as journal, progress(plan) as display:
            journal.write(plan)
            journal.write(setting)
            return Runner(plan, journal.write, display, keep=keep).run()
    except OSError as error:
        what = error.filename or folder
        raise UserError(f"the run broke off: {what}: {error.strerror}; its journal is in {folder}") from error


def report_main(args: argparse.Namespace) -> int:
    """Write the report of saved results; return the exit code."""
    return 1 if write_report([Path(name) for name in args.files], args.out) else 0


def write_report(paths: list[Path], out: str | None) -> bool:
    """Build the report, print headlines and where it is; return whether anything disagrees."""
    from bench.reporting.build import build_report, headline  # jinja2 and matplotlib, needed from here on
    from bench.training import load_result, records

    page = build_report(paths, Path(out) if out else None)
    disagrees = False
    for path in paths:
        if records.is_training(path):
            print(load_result(path).summary())
        elif path.suffix != ".json":
            run = load_run(path)
            disagrees |= any(failure.status == "disagrees" for failure in run.failures)
            print(headline(run))
    print(f"\nReport: {os.path.relpath(page)}")
    return disagrees
