"""Find the hosts behind a scheduler of Dask, and give each of them one part at a time."""

import asyncio
import logging
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from bench.cluster import part
from bench.machine.busy import Say
from bench.machine.devices import Devices, find_devices
from bench.machine.errors import UserError, error_text
from bench.machine.libraries import LIBRARIES
from bench.machine.signals import signals_held_back
from bench.machine.wording import listing

CONNECT_S, WORKERS_S, RESULT_S = 5.0, 5.0, 60.0
ANSWER_S = 30.0  # for a worker, or the scheduler, to answer: a first import from a slow disk takes a while
SILENT_S = 30.0  # a worker tells the scheduler every second or so that it lives
BUSY_S = 20.0  # until a search for devices is said to wait for a worker's other tasks
# Ctrl-C reaches all processes of a terminal, but this one alone decides what becomes of its workers
NO_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
GONE = "the scheduler is gone; rnnbench run --resume goes on with the cases that are missing"
INSTALL = "install the same versions on every host"


@dataclass(frozen=True, slots=True)
class PoolHost:
    """Hold a host of the scheduler, and its workers: any of them may start the process that measures."""

    description: part.Description
    workers: tuple[str, ...]


class Pool:
    """Hold the connection to a scheduler; a task is a future of Dask."""

    def __init__(self, client: Any, own: Sequence[str]) -> None:
        self._client, self._own = client, own
        self._ended = threading.Event()  # set when a part ends
        self._descriptions: dict[str, Any] = {}  # by worker; an error in place of one
        # when a worker was last heard: on the scheduler's clock, on ours
        self._heard: dict[str, tuple[float, float]] = {}

    def hosts(self) -> dict[str, PoolHost]:
        """Return the hosts that are there now, by id.

        Raises:
            UserError: the scheduler is gone.
        """
        try:
            workers = self._client.sync(self._look)
        except OSError as error:
            raise UserError(GONE) from error
        self._refuse_lost()
        hosts: dict[str, PoolHost] = {}
        for worker in workers:
            if isinstance(description := self._descriptions.get(worker), part.Description):
                others = hosts[description.id].workers if description.id in hosts else ()
                hosts[description.id] = PoolHost(description, (*others, worker))
        return hosts

    async def _look(self) -> list[str]:
        """Return the workers that are there now, and ask the new ones; none is waited for without end."""

        async def ask(worker: str) -> Any:
            asked = self._client.run(part.describe, self._own, workers=[worker], on_error="return")
            return (await asyncio.wait_for(asked, ANSWER_S))[worker]

        # scheduler_info may be out of date, or empty
        told = await asyncio.wait_for(self._client.scheduler.identity(), ANSWER_S)
        workers = list(told["workers"])
        for worker, facts in told["workers"].items():
            if self._heard.get(worker, (0.0, 0.0))[0] != facts["last_seen"]:
                self._heard[worker] = (facts["last_seen"], time.time())
        new = [worker for worker in workers if worker not in self._descriptions]
        answers = await asyncio.gather(*map(ask, new), return_exceptions=True)
        self._descriptions |= dict(zip(new, answers, strict=True))
        return workers

    def _refuse_lost(self) -> None:
        """Raise UserError after a lost connection: Dask has then cancelled all tasks of this client."""
        if self._client.status != "running":
            raise UserError(GONE)

    @property
    def unusable(self) -> list[str]:
        """Return why workers cannot be used, a line for each."""
        return [
            f"the worker {worker} gives no answer: wake it up, or end it"
            if isinstance(answer, TimeoutError)
            else f"the worker {worker} cannot run rnnbench: {error_text(answer)}; {INSTALL}"
            for worker, answer in self._descriptions.items()
            if isinstance(answer, Exception)
        ]

    def silent_since(self, host: PoolHost) -> str:
        """Return the time at which a worker of a host was last heard; empty if that was just now."""
        heard_s = max(self._heard[worker][1] for worker in host.workers)
        return time.strftime("%H:%M:%S", time.localtime(heard_s)) if time.time() - heard_s > SILENT_S else ""

    def busy(self, host: PoolHost) -> bool:
        """Return whether a worker of a host has a task: another sweep's, if this one gave it none."""
        return any(self._client.processing(host.workers).values())

    def devices(self, host: PoolHost, say: Say) -> Devices:
        """Return the devices of a host, and say so if it is waited for.

        Raises:
            UserError: the scheduler is gone, or the search failed.
        """
        task, where = self._submit(host, find_devices), host.workers[0]
        try:
            with suppress(TimeoutError):
                return task.result(timeout=BUSY_S)  # type: ignore[no-any-return]
            say(f"waits for {where}, which does not answer yet: another sweep may have it")
            return task.result()  # type: ignore[no-any-return]
        except Exception as error:  # of any kind: whatever the worker raised
            self._refuse_lost()
            raise UserError(f"the devices of {where} are not known: {error_text(error)}") from error

    def start(self, host: PoolHost, job: part.Job, say: Say) -> Any:
        """Start a part on a host; return the task. ``say`` is called, in a thread, for what the part says."""
        task = self._submit(host, part.measure, job)
        self._client.subscribe_topic(task.key, lambda event: say(event[1]))
        task.add_done_callback(lambda task: self._ended.set())
        return task

    def wait(self, seconds: float) -> bool:
        """Wait until a part ends, but no longer than so many seconds; return whether one has ended."""
        ended = self._ended.wait(seconds)
        self._ended.clear()
        return ended

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
def connected(scheduler: str | int, own: Sequence[str] = ()) -> Iterator[Pool]:
    """Connect to a scheduler by its address, or start so many workers on this host.

    ``own`` names code of users and plug-ins, which all hosts must have alike.

    Raises:
        UserError: Dask is not installed, there is no scheduler, or it has no worker.
    """
    try:
        with signals_held_back():  # an interrupted import may raise anything, or nothing
            import dask
            from distributed import Client, LocalCluster, Security
            from distributed.comm.core import connect
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

        async def call() -> None:
            """Connect once: a client would wait for ever for an answer of another program."""
            await (await connect(scheduler, CONNECT_S, **Security().get_connection_args("client"))).close()

        try:
            if place == scheduler:
                asyncio.run(asyncio.wait_for(call(), 2 * CONNECT_S))
            client = Client(place, timeout=CONNECT_S, set_as_default=False)
            stack.callback(client.close, timeout=CONNECT_S)
        except TypeError as error:  # of ssl: Dask has no certificate for tls://
            raise UserError(
                f"cannot connect to {place}: set TLS up for Dask here, as on the hosts"
            ) from error
        except (OSError, ValueError) as error:  # a time-out is an OSError
            raise UserError(f"no scheduler answers at {place}; start one there: dask scheduler") from error
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError as error:
            how = f"dask worker {place} --nthreads 1"
            raise UserError(
                f"the scheduler at {place} has no worker; start one on every host: {how}"
            ) from error
        yield Pool(client, own)


def differences(hosts: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return how the versions of the hosts differ, or which host lacks what it needs; empty if all is alike.

    ``hosts`` are pairs: how to call a host, and its versions.
    """
    clauses = []
    optional = set(part.VERSIONS) - LIBRARIES.keys()
    for name in dict.fromkeys(name for _, versions in hosts for name in versions):
        places: dict[str, list[str]] = {}
        for host, versions in hosts:
            if name in versions:  # a sweep's file may be of other code
                places.setdefault(versions[name], []).append(host)
        if len(places) > 1 or ("none" in places and name not in optional):
            clauses.append(f"{name}: {', '.join(f'{v} on {listing(where)}' for v, where in places.items())}")
    return "; ".join(clauses)
