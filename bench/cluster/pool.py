"""Find the hosts behind a scheduler of Dask, and give each of them one part at a time."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from bench.cluster import part
from bench.machine.devices import Devices, find_devices
from bench.machine.errors import UserError, error_text
from bench.machine.libraries import LIBRARIES
from bench.machine.signals import signals_held_back
from bench.machine.wording import listing

CONNECT_S, WORKERS_S, RESULT_S = 5.0, 5.0, 60.0
# Ctrl-C reaches all processes of a terminal, but this one alone decides what becomes of its workers
NO_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
GONE = "the scheduler is gone; rnnbench run --resume goes on with the cases that are missing"
INSTALL = "install the same versions on every host"


@dataclass(frozen=True, slots=True)
class PoolHost:
    """Hold a host of the scheduler, and its workers: any of them may start the process that measures."""

    told: part.Description
    workers: tuple[str, ...]


class Pool:
    """Hold the connection to a scheduler; a task is a future of Dask."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._told: dict[str, Any] = {}  # by worker: its description, or an error

    def hosts(self) -> dict[str, PoolHost]:
        """Return the hosts that are there now, by id.

        Raises:
            UserError: the scheduler is gone.
        """
        try:
            workers = list(self._client.nthreads())  # scheduler_info may be out of date, or empty
            self._refuse_lost()
            if new := [worker for worker in workers if worker not in self._told]:
                self._told |= self._client.run(part.describe, workers=new, on_error="return")
        except OSError as error:
            raise UserError(GONE) from error
        hosts: dict[str, PoolHost] = {}
        for worker in workers:
            if isinstance(told := self._told.get(worker), part.Description):
                others = hosts[told.id].workers if told.id in hosts else ()
                hosts[told.id] = PoolHost(told, (*others, worker))
        return hosts

    def _refuse_lost(self) -> None:
        """Raise UserError after a lost connection: Dask has then cancelled all tasks of this client."""
        if self._client.status != "running":
            raise UserError(GONE)

    @property
    def unusable(self) -> list[str]:
        """Return why workers cannot be used, a line for each."""
        return [
            f"the worker {worker} cannot run rnnbench: {error_text(told)}; {INSTALL}"
            for worker, told in self._told.items()
            if isinstance(told, Exception)
        ]

    def devices(self, host: PoolHost) -> Devices:
        """Return the devices of a host."""
        found: Devices = self._submit(host, find_devices).result(timeout=RESULT_S)
        return found

    def start(self, host: PoolHost, job: part.Job) -> Any:
        """Start a part on a host; return the task."""
        return self._submit(host, part.measure, job)

    def _submit(self, host: PoolHost, *call: Any) -> Any:
        workers = list(host.workers)
        return self._client.submit(*call, workers=workers, allow_other_workers=False, retries=0, pure=False)

    def outcome(self, task: Any) -> bytes | str | None:
        """Return the journal of a part, or why there is none; None while it is being measured.

        Raises:
            UserError: the scheduler is gone.
        """
        if task.status == "pending":
            return None
        try:
            journal: bytes = task.result(timeout=RESULT_S)
        except Exception as error:  # of any kind: whatever the worker raised
            self._refuse_lost()
            return error_text(error)
        return journal

    def cancel(self, task: Any) -> None:
        """Give a task up; its host notices, and ends the process that measures."""
        with suppress(Exception):  # without a scheduler, it has noticed that already
            task.cancel()


@contextmanager
def connected(scheduler: str | int) -> Iterator[Pool]:
    """Connect to a scheduler by its address, or start so many workers on this host.

    Raises:
        UserError: Dask is not installed, there is no scheduler, or it has no worker.
    """
    try:
        with signals_held_back():  # an interrupted import may raise anything, or nothing
            import dask
            from distributed import Client, LocalCluster
            from distributed.versions import VersionMismatchWarning
    except ImportError as error:
        raise UserError('--scheduler needs Dask: pip install "rnnbench[cluster]"') from error
    # what is wrong is told here, in one line
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)
    with ExitStack() as stack:
        place: Any = scheduler
        if isinstance(scheduler, int):
            options = {
                "dashboard_address": "127.0.0.1:0",
                "silence_logs": logging.CRITICAL,
                "preload": NO_CTRL_C,
            }
            with dask.config.set({"distributed.worker.profile.enabled": False}):
                place = LocalCluster(n_workers=scheduler, threads_per_worker=1, **options)
            stack.callback(place.close, timeout=CONNECT_S)
        try:
            client = Client(place, timeout=CONNECT_S, set_as_default=False)
            stack.callback(client.close, timeout=CONNECT_S)
        except (OSError, ValueError) as error:  # a time-out is an OSError
            raise UserError(f"no scheduler answers at {place}; start one there: dask scheduler") from error
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError as error:
            how = f"dask worker {place} --nthreads 1"
            raise UserError(
                f"the scheduler at {place} has no worker; start one on every host: {how}"
            ) from error
        yield Pool(client)


def differences(hosts: Sequence[PoolHost]) -> str:
    """Return how the versions of the hosts differ, or which host lacks a library; empty if all is alike."""
    clauses = []
    for name in part.VERSIONS:
        places: dict[str, list[str]] = {}
        for host in hosts:
            places.setdefault(host.told.versions[name], []).append(host.workers[0])
        if len(places) > 1 or (name in LIBRARIES and "none" in places):
            clauses.append(f"{name}: {', '.join(f'{v} on {listing(where)}' for v, where in places.items())}")
    return "; ".join(clauses)
