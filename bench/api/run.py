"""The verb ``run``: a plan, a journal, and the report of it."""

import sys

from bench.api import refining, session
from bench.api.options import RunOptions
from bench.machine.child import refuse_windows
from bench.machine.errors import Unfinished
from bench.machine.files import as_path
from bench.machine.signals import Terminated
from bench.machine.waiting import look_around
from bench.records.folder import drawing_report, shown


def main(args: RunOptions) -> int:
    """Measure what ``args`` wish for and write journal and report; return the exit code.

    Raises:
        UserError: a wish that cannot be met.
        Unfinished: the report failed, or a variant that was asked for by name has no part in the plan.
    """
    refuse_windows()
    session.refuse_others(args)
    if args.refine is not None:
        return refining.main(args, args.refine)
    left_out: list[str] = []
    try:
        if args.resume is not None:
            folder = as_path(args.resume)
            end = session.resume(folder, blocks=args.blocks, wait_s=args.wait_quiet)
        else:
            folder, plan = session.prepare(args, ["rnnbench", *sys.argv[1:]])
            left_out = sorted(set(args.variant) - {arm.spec for arm in plan.arms})
            seen = look_around(args.wait_quiet)
            end = session.measure(plan, folder, keep=args.keep_env, host_name=args.host_name, seen=seen)
        with drawing_report(folder):
            disagrees = session.write_report([folder], None)
    except Terminated:  # while the report was drawn
        return session.TERMINATED_CODE
    if end.status == "interrupted":
        print(f"\nGo on with it: rnnbench run --resume {shown(folder)}", file=sys.stderr)
    code = session.exit_code(end, disagrees=disagrees)
    if left_out and code == 0:
        raise Unfinished(f"asked for and not measured: {', '.join(left_out)}; the report says why")
    return code
