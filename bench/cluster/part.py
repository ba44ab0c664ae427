"""Measure a part of a plan on this host, in a process that dies with the worker of Dask that asked for it.

A task runs in a thread of a worker; what times needs a main thread, its own signals and a clean environment.
"""

import math
import os
import time
from collections.abc import Sequence

import msgspec

import bench
from bench.machine import host, host_lock
from bench.machine.child import Child, ChildError
from bench.machine.errors import UserError
from bench.machine.files import scratch_folder
from bench.records.journal import FILE_NAME
from bench.records.record import Plan
from bench.workload.catalog import origin

PROCESS = "bench.api.part"
# a host without any of these has "none", and differs
VERSIONS = ("rnnbench", "commit", "uncommitted_sha256", "python", "numpy", "torch")
LOOK_S = 0.25  # how often to check that the part is still wanted


class Description(msgspec.Struct, frozen=True):
    """Describe a worker's host; with a lock or versions of its own it has an ``id`` of its own."""

    id: str
    host: str  # the hash that its journals have
    cpus: int
    versions: dict[str, str]


class Job(msgspec.Struct, frozen=True):
    """Tell the process what to measure, and how: the options of a plain run that are not in its plan."""

    plan: Plan
    keep: list[str]
    host_name: bool
    wait_quiet: float | None
    no_wait: bool
    folder: str = ""  # of the journal, on the host that measures
    python_path: str | None = None  # of that host; the process itself has one that finds ``bench``


class Reply(msgspec.Struct, frozen=True):
    """Report that the process is done; ``error`` says what kept it from measuring."""

    error: str = ""


def describe(own: Sequence[str] = ()) -> Description:
    """Return what the client must know of this host; ``own`` names code of users and plug-ins."""
    lock = os.environ.get(host_lock.VARIABLE, "")
    facts = {
        "rnnbench": bench.__version__,
        **host.checkout(),
        **host.python(),
        **host.packages({})["packages"],
    }
    versions = {name: str(facts.get(name) or "none") for name in VERSIONS}
    versions |= {spec: origin(spec) or "none" for spec in own}
    machine = host.host_hash()
    identity = host.digest("\n".join([machine, lock, *versions.values()]))
    return Description(identity, machine, host.usable_cpus(), versions)


def measure(job: Job) -> bytes:
    """Measure a part, and return its journal as it was written; end at once where nobody wants it any more.

    Raises:
        UserError: nothing whole was measured.
    """
    from distributed import get_worker

    worker, told = get_worker(), ""
    with scratch_folder("part") as folder, Child(PROCESS, [], os.environ, deadline_s=math.inf) as child:
        try:
            here = {"folder": str(folder), "python_path": os.environ.get("PYTHONPATH")}
            child.send(msgspec.structs.replace(job, **here))
            while (reply := child.take(Reply)) is None:
                if not _wanted():
                    raise UserError("nobody wants it any more")
                *_, line = ["", *child.last_words().splitlines()]
                if line != told:  # what a plain run says: for whom it waits
                    told = line
                    worker.log_event(str(worker.get_current_task()), line.removeprefix("rnnbench: "))
                time.sleep(LOOK_S)
        except ChildError as error:
            raise UserError(child.explain(error)) from None
        if reply.error:
            raise UserError(reply.error)
        return (folder / FILE_NAME).read_bytes()


def _wanted() -> bool:
    """Return whether the task of this thread still counts.

    It does not where the client has cancelled it or is gone, or where the worker has lost its scheduler.
    """
    from distributed import Status, get_worker

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    works = worker.status in (Status.running, Status.paused)
    return works and task is not None and task.state == "executing"
