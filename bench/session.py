"""The verbs ``run`` and ``report``: from wishes to a plan, a journal, and the report of it."""

import argparse
import datetime
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from bench.device import find_devices, resolve
from bench.errors import UserError
from bench.measure import machine
from bench.measure.environ import worker_environment
from bench.measure.plan import make_plan
from bench.measure.preset import Wishes
from bench.measure.runner import Runner
from bench.progress import show_progress
from bench.results.journal import Journal, load_run
from bench.results.record import End, Environment, Missing, Plan

EXIT_CODES = {"complete": 0, "partial": 3, "interrupted": 130}
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM: as Ctrl-C, with an exit code of its own."""


def main(args: argparse.Namespace) -> int:
    """Measure what ``args`` wish for and write journal and report; return the exit code."""
    started = datetime.datetime.now(datetime.UTC)
    folder = Path(args.out or Path("results") / started.strftime("%Y-%m-%d-%H%M%S"))
    if (folder / "journal.jsonl").exists():
        raise UserError(f"{folder} already holds a run; choose another --out")
    wishes = make_wishes(args)
    plan = make_plan(
        wishes,
        run=folder.name,
        started_utc=started.isoformat(timespec="seconds"),
        command=["rnnbench", *sys.argv[1:]],
    )
    terminated = _terminate_on_sigterm()
    end = measure(plan, folder, keep=args.keep_env)
    disagrees = write_report([folder], None)
    if end.status == "interrupted" and terminated:
        return TERMINATED
    return 1 if disagrees and end.status != "interrupted" else EXIT_CODES[end.status]


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


def measure(plan: Plan, folder: Path, *, keep: list[str]) -> End:
    """Run the plan with a journal in ``folder`` and a progress display; return how it ended."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another --out") from error
    environment = worker_environment(1, keep=keep)
    facts = machine.describe()
    threads = max(arm.threads for arm in plan.arms)
    warnings = machine.warnings(facts, environment.dropped, environment.kept, threads)
    with Journal(folder / "journal.jsonl") as journal, show_progress(plan) as progress:
        journal.write(plan)
        journal.write(Environment(facts, environment.set, environment.dropped, environment.kept, warnings))
        return Runner(plan, journal.write, progress, keep=keep).run()


def report_main(args: argparse.Namespace) -> int:
    """Write the report of saved results; return the exit code."""
    return 1 if write_report([Path(name) for name in args.files], args.out) else 0


def write_report(paths: list[Path], out: str | None) -> bool:
    """Build the report, print headlines and where it is; return whether anything disagrees."""
    from bench.reporting.build import build_report, headline  # jinja2 and matplotlib, needed from here on

    page = build_report(paths, Path(out) if out else None)
    disagrees = False
    for path in paths:
        if path.suffix != ".json":
            run = load_run(path)
            disagrees |= any(failure.status == "disagrees" for failure in run.failures)
            print(headline(run))
    print(f"\nReport: {os.path.relpath(page)}")
    return disagrees


def _terminate_on_sigterm() -> list[int]:
    """Make SIGTERM stop the run as Ctrl-C does; the list it returns is filled when that happens."""
    seen: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    return seen
