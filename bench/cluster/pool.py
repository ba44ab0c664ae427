"""Find the hosts behind a scheduler of Dask, and give each of them one part at a time."""

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.cluster import part
from bench.machine.devices import Devices, find_devices
from bench.machine.errors import UserError, error_text
from bench.machine.signals import signals_held_back
from bench.machine.wording import listing

CONNECT_S, WORKERS_S, RESULT_S, UNSEEN_S = 5.0, 5.0, 60.0, 60.0
PACKAGES = ("numpy", "torch")
CODE = ("rnnbench", "commit", "uncommitted_sha256")
# Ctrl-C reaches all processes of a terminal, but this one alone decides what becomes of its workers
NO_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
INSTALL = "install the same versions on every host"


@dataclass(frozen=True, slots=True)
class PoolHost:
    """Describe a host of the scheduler; any of its workers may start the process that measures."""

    id: str
    address: str  # for people; two hosts may share one
    workers: tuple[str, ...]
    cpus: int
    versions: dict[str, Any]


class Pool:
    """Hold the connection to a scheduler; a task is a future of Dask."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.unusable: dict[str, str] = {}  # by worker, why
        self._known: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}  # by worker: description, versions
        self._seen: dict[str, tuple[float, float]] = {}  # by worker: its last sign of life, and when it came

    def hosts(self) -> dict[str, PoolHost]:
        """Return the hosts that are there now, by id.

        Raises:
            UserError: the scheduler is gone.
        """
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except OSError as error:
            raise UserError(f"the scheduler is gone ({error_text(error)})") from error
        if self._client.status not in ("running", "connecting"):
            raise UserError("the scheduler is gone")
        now = time.monotonic()
        for address, worker in workers.items():
            if self._seen.get(address, (None,))[0] != worker["last_seen"]:
                self._seen[address] = (worker["last_seen"], now)
        alive = [address for address in workers if now - self._seen[address][1] < UNSEEN_S]
        self._describe([w for w in alive if w not in self._known and w not in self.unusable])
        by_id: dict[str, list[str]] = {}
        for address in alive:
            if address in self._known:
                by_id.setdefault(self._known[address][0]["host"], []).append(address)
        hosts = {}
        for id_, addresses in sorted(by_id.items()):
            description, versions = self._known[addresses[0]]
            hosts[id_] = PoolHost(
                id_, workers[addresses[0]]["host"], tuple(addresses), description["cpus"], versions
            )
        return hosts

    def _describe(self, workers: Sequence[str]) -> None:
        """Ask workers for their versions, by Python's own functions: a worker may have no rnnbench."""
        from importlib.metadata import version
        from platform import python_version

        if not workers:
            return
        found: dict[str, dict[str, Any]] = {address: {} for address in workers}
        for address, told in self._run(python_version, workers).items():
            found[address]["python"] = told
        for package in PACKAGES:
            for address, told in self._run(version, workers, package).items():
                found[address][package] = None if isinstance(told, Exception) else told
        for address, told in self._run(part.describe, workers).items():
            if isinstance(told, Exception):
                reason = f"the worker {address} cannot run rnnbench: {error_text(told)}"
                self.unusable[address] = f"{reason}; {INSTALL}"
            else:
                code = {name: told[name] for name in CODE if told.get(name)}
                self._known[address] = told, found[address] | code

    def _run(self, function: Any, workers: Sequence[str], *arguments: Any) -> dict[str, Any]:
        """Call a function on workers; return the results, or errors, by worker that is still there."""
        told = self._client.run(function, *arguments, workers=list(workers), on_error="return")
        return {address: result for address, result in told.items() if not isinstance(result, OSError)}

    def devices(self, host: PoolHost) -> Devices:
        """Return the devices of a host."""
        found: Devices = self._submit(host, find_devices).result(timeout=RESULT_S)
        return found

    def start(self, host: PoolHost, job: part.Job) -> Any:
        """Start a part on a host."""
        return self._submit(host, part.measure, job)

    def _submit(self, host: PoolHost, function: Any, *arguments: Any) -> Any:
        return self._client.submit(
            function, *arguments,
            workers=list(host.workers), allow_other_workers=False, retries=0, pure=False,
        )  # fmt: skip

    def outcome(self, task: Any) -> bytes | str | None:
        """Return the journal of a part, or why there is none; None while it is being measured."""
        if task.status == "pending":
            return None
        try:
            journal: bytes = task.result(timeout=RESULT_S)
        except Exception as error:  # of any kind: whatever the worker raised
            return error_text(error)
        return journal

    def cancel(self, task: Any) -> None:
        """Give a task up; its host notices, and ends the process that measures."""
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
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=VersionMismatchWarning)
    local = None
    try:
        if isinstance(scheduler, int):
            with dask.config.set({"distributed.worker.profile.enabled": False}):
                local = LocalCluster(
                    n_workers=scheduler,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",  # no page, but a port
                    silence_logs=logging.CRITICAL,
                    preload=NO_CTRL_C,
                )
        try:
            client = Client(local or scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:  # a time-out is an OSError
            raise UserError(
                f"no scheduler answers at {scheduler}; start one there: dask scheduler"
            ) from error
        try:
            try:
                client.wait_for_workers(1, timeout=WORKERS_S)
            except TimeoutError as error:
                raise UserError(
                    f"the scheduler at {scheduler} has no worker; start one on every host: "
                    f"dask worker {scheduler} --nthreads 1"
                ) from error
            yield Pool(client)
        finally:
            client.close(timeout=CONNECT_S)
    finally:
        if local is not None:
            local.close(timeout=CONNECT_S)


def differences(hosts: Sequence[PoolHost]) -> str:
    """Return how the versions of the hosts differ, in one clause; empty if they do not."""
    clauses = []
    for name in dict.fromkeys(name for host in hosts for name in host.versions):
        places: dict[Any, list[str]] = {}
        for host in hosts:
            places.setdefault(host.versions.get(name), []).append(host.workers[0])
        if len(places) > 1 or None in places:
            told = [f"{value or 'none'} on {listing(where)}" for value, where in places.items()]
            clauses.append(f"{name}: {', '.join(told)}")
    return "; ".join(clauses)
