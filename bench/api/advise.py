"""The verb ``advise``: declare, measure within the time, answer."""

import time
from pathlib import Path

import psutil

from bench.api import session
from bench.api.advise_plan import Timer, declare
from bench.api.options import AdviseOptions
from bench.machine.child import refuse_windows
from bench.machine.errors import UserError
from bench.machine.libraries import tell
from bench.machine.signals import OutOfTime, Terminated, time_limit
from bench.machine.waiting import Say, complain, look_around
from bench.records.folder import shown
from bench.records.journal import FILE_NAME, load_run
from bench.reporting.advice import Advice, make_advice
from bench.reporting.progress import show_progress


def main(args: AdviseOptions) -> int:
    """Measure what ``args`` say and print the advice; return the exit code."""
    try:
        advice = advise(args, Timer(args.budget, since_start_s()))
    except Terminated:  # while nothing was measured
        return session.TERMINATED_CODE
    print(advice.to_json() if args.json else advice)
    return exit_code(advice)


def since_start_s() -> float:
    """Seconds since this process began: importing took some of them; 0 where nobody tells when it began."""
    return tell(s=lambda: time.time() - psutil.Process().create_time()).get("s", 0.0)  # type: ignore[no-any-return]


def exit_code(advice: Advice) -> int:
    """0 with a verdict, 1 where a result is wrong, 3 without a verdict, or what a signal asks for."""
    if advice.stopped_by:
        return session.STOPPED_CODES[advice.stopped_by]
    if advice.disagrees:
        return 1
    return 0 if advice.answered else 3


def advise(
    args: AdviseOptions, timer: Timer, *, say: Say = complain, progress: session.Show = show_progress
) -> Advice:
    """Measure one size within the time, of which waiting takes none, and answer.

    Raises:
        UserError: wishes that cannot be met, or a time in which nothing can be measured.
    """
    refuse_windows()
    folder, plan = declare(args, timer)
    seen = look_around(args.wait_quiet, say)
    timer.pause(seen.get("waited_s", 0.0))
    try:
        with time_limit(max(timer.left_s, 0.01)):
            session.measure(plan, folder, keep=[], seen=seen, progress=progress)
    except OutOfTime:  # when the run was not begun, or over
        pass
    if not (folder / FILE_NAME).exists():
        raise UserError(f"--budget {args.budget:g}s was over before anything was measured; give more")
    return make_advice(load_run(folder), Path(shown(folder)), args.budget)
