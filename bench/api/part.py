"""Measure the plan of a part as ``rnnbench run`` does, in a process of its own: see bench.cluster.part."""

import os
import sys
from functools import partial
from pathlib import Path

import msgspec

from bench.api.run import measure
from bench.cluster.part import Job, Reply
from bench.machine.busy import report_usage
from bench.machine.errors import UserError, error_text
from bench.machine.host_lock import host_lock
from bench.machine.lifeline import replies
from bench.machine.signals import terminable
from bench.reporting.display import run_progress


def main() -> None:
    """Measure the job on standard input into its folder, and reply when that is done."""
    with replies() as send, terminable():
        job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
        error = ""
        os.environ.pop("PYTHONPATH", None)
        if job.python_path is not None:  # the journal tells the user's, as that of a plain run does
            os.environ["PYTHONPATH"] = job.python_path
        try:
            with host_lock(job.plan.command, no_wait=job.no_wait):
                measure(
                    job.plan,
                    Path(job.folder),
                    keep=job.keep,
                    host_name=job.host_name,
                    seen=report_usage(job.wait_quiet),
                    progress=partial(run_progress, lines=False),
                )
        except (UserError, OSError) as failure:
            # a disk's error alone: the folder that is to be resumed will be gone
            error = error_text(failure.__cause__ if isinstance(failure.__cause__, OSError) else failure)
        send(msgspec.json.encode(Reply(error)))


if __name__ == "__main__":
    main()
