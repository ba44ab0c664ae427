"""A part that is played: its journal is there at once, with a plan and an end; or never, if it is held.

Dask loads this file into a worker (``--preload``), which starts it in place of the process that measures.
"""

import os
import sys
from pathlib import Path
from typing import Any

FOLDER, NAME = (
    "PLAYED_FOLDER",
    "PLAYED_AS",
)  # variables of a worker: where it tells what happened, and its name


def dask_setup(worker: Any) -> None:
    """Have the worker play, on a machine without accelerators."""
    from faults.small_run import CPU_ONLY

    from bench.cluster import part
    from bench.machine import devices

    part.PROCESS, part.LOOK_S = "played_part", 0.02
    devices.find_devices = lambda: CPU_ONLY  # type: ignore[assignment]


def main() -> None:
    """Play: tell that it began, wait for its end if it is to be held, and write a journal twice."""
    import msgspec

    from bench.cluster.part import Job, Reply
    from bench.machine import host_lock
    from bench.machine.host import host_hash
    from bench.machine.lifeline import replies
    from bench.records.journal import FILE_NAME, Journal
    from bench.records.record import End, Environment

    folder, name = Path(os.environ[FOLDER]), os.environ[NAME]
    host_lock.POLL_S = 0.02
    with replies() as send, host_lock.host_lock(["played"]):
        job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
        if (folder / f"hold-{name}").exists():
            begun = folder / f"begun-{name}.part"
            begun.write_text(str(os.getpid()))
            begun.rename(folder / f"begun-{name}")
            sys.stdin.read()  # for ever: the end of the worker is the end of this process
        path = Path(job.folder) / FILE_NAME
        with Journal(path) as journal:
            journal.write(job.plan)
            journal.write(Environment({"host": host_hash()}, {}, {}, {}, []))
            journal.write(End("complete", "played", 1.0, "2026-01-02T03:04:05+00:00"))
        (folder / f"{job.plan.run}-by-{name}").write_bytes(path.read_bytes())
        send(msgspec.json.encode(Reply()))


if __name__ == "__main__":
    main()
