"""Measure a plan in parts on the hosts of a scheduler: ``rnnbench run --scheduler``."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.cluster.part import Job
from bench.cluster.pool import INSTALL, Pool, PoolHost, connected, differences
from bench.machine.busy import Say
from bench.machine.devices import Devices
from bench.machine.errors import Unfinished, UserError, error_text
from bench.machine.files import scratch_folder, write_atomic
from bench.machine.host import utc_now
from bench.machine.signals import Terminated
from bench.machine.wording import count, one_line
from bench.measure.split import split
from bench.records import journal, sweep
from bench.records.record import Plan
from bench.records.sealed import MAX_RECORDS
from bench.records.sweep import Ended, Host, Measured, Part, SavedSweep, Sweep, SweepFile, Unmeasured
from bench.reporting.display import SweepProgress, sweep_progress
from bench.workload.options import RunOptions

LOOK_S = 0.25  # between two looks at the hosts
AWAIT_S = 10.0  # for a lost host, with nothing else to do: a nanny starts a new worker within seconds


def new_sweep(
    args: RunOptions, folder: Path, declare: Callable[[Devices, int], Plan], say: Say
) -> tuple[Ended, Plan]:
    """Measure the plan that ``declare`` makes for devices and processors; return the end and the plan.

    Raises:
        UserError: the hosts cannot be used, an option cannot be fulfilled, or nothing was measured.
    """
    assert args.scheduler is not None
    with connected(args.scheduler) as pool:
        hosts = usable(pool, any_environment=args.any_environment, say=say)
        # the first host stands for all: others tell in their journals which devices they lack
        plan = declare(pool.devices(hosts[0]), min(host.cpus for host in hosts))
        parts = [Part(name, [group.name for group in one.groups]) for name, one in split(plan).items()]
        declared = Sweep(
            sweep.SCHEMA, plan.version, plan.started_utc, plan.command, args.everywhere, list(args.keep_env),
            args.host_name, plan, parts,
        )  # fmt: skip
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot make the folder {folder}: {error.strerror}; choose another --out"
            ) from error
        with SweepFile(folder / sweep.FILE_NAME) as file:
            file.write(declared)
            return Sharing(pool, file, sweep.load_sweep(folder), args, say).run(), plan


def resume_sweep(args: RunOptions, folder: Path, say: Say) -> Ended:
    """Go on with a sweep: measure the parts that are missing.

    Raises:
        UserError: nothing is missing, the hosts cannot be used, or nothing was measured.
    """
    if args.scheduler is None or args.blocks is not None:
        raise UserError(f"{folder} is a sweep: go on with it by --resume and --scheduler, without --blocks")
    file, saved = SweepFile.reopen(folder)
    with file:
        if saved.tiles and not saved.missing and not saved.declared.everywhere:
            raise UserError(f"{folder} is complete: there is nothing to go on with")
        with connected(args.scheduler) as pool:
            usable(pool, any_environment=args.any_environment, say=say)
            return Sharing(pool, file, saved, args, say).run()


def usable(pool: Pool, *, any_environment: bool, say: Say) -> list[PoolHost]:
    """Return the hosts of a scheduler; tell or refuse different versions.

    Raises:
        UserError: a worker cannot be used; or versions differ, and ``any_environment`` is False.
    """
    hosts = list(pool.hosts().values())
    for reason in pool.unusable.values():
        raise UserError(reason)
    if different := differences(hosts):
        if not any_environment:
            raise UserError(
                f"the hosts differ ({different}); {INSTALL}, or measure all the same with --any-environment"
            )
        say(f"the hosts differ ({different})")
    return hosts


@dataclass(frozen=True, slots=True)
class _Running:
    """Hold a part that a host measures, and the workers that may do so."""

    part: str
    task: Any
    workers: tuple[str, ...]


class Sharing:
    """Hand out the parts that are left, one at a time to each host; each host tries a part once."""

    def __init__(self, pool: Pool, file: SweepFile, saved: SavedSweep, args: RunOptions, say: Say) -> None:
        self._pool, self._file, self._saved, self._args, self._say = pool, file, saved, args, say
        self._declared = saved.declared
        self._plans = split(saved.declared.plan)
        self._names = {host.host: name for name, host in saved.hosts.items()}
        self._admitted: dict[str, PoolHost] = {}  # by name
        self._refused: set[str] = set()  # ids of hosts, and addresses of workers
        self._measured = {
            (tile.part.name, self._queue(tile.host.name))
            for tile in saved.tiles
            if tile.host and tile.measured
        }
        self._tried: set[tuple[str, str]] = set()  # part, host
        self._running: dict[str, _Running] = {}  # by host

    def run(self) -> Ended:
        """Measure until nothing is left that a host can measure; return the end, which is also written.

        Raises:
            UserError: the scheduler is gone, or nothing was measured.
        """
        began_s = time.monotonic()

        def end(status: Any, reason: str, stopped_by: Literal["user", "signal"] | None = None) -> Ended:
            ended = Ended(status, reason, utc_now(), round(time.monotonic() - began_s, 1), stopped_by)
            self._file.write(ended)
            return ended

        try:
            with sweep_progress() as progress:
                self._share(progress)
        except UserError as error:
            end("interrupted", str(error))
            raise
        except Terminated:
            return end("interrupted", "ended by a signal", "signal")
        except KeyboardInterrupt:
            return end("interrupted", "stopped by the user", "user")
        finally:
            for running in self._running.values():
                self._pool.cancel(running.task)
        saved = sweep.load_sweep(self._saved.path)
        tiles, missing = saved.tiles, saved.missing
        if len(missing) == len(tiles):
            reason = missing[0].reason if missing else "no host was there"
            end("partial", reason)
            raise Unfinished(f"nothing was measured: {reason}")
        for tile in missing:
            host = f" on {tile.host.name}" if tile.host else ""
            self._say(f"{tile.part.name} is missing{host}: {tile.reason}")
        if missing:
            return end("partial", f"{count(len(missing), 'case')} missing")
        failed = sum(tile.measured is not None and tile.measured.status == "partial" for tile in tiles)
        return end("partial" if failed else "complete", f"{count(len(tiles), 'case')} measured")

    def _queue(self, host: str) -> str:
        """Return whose queue of parts a host takes from: its own, or that of all."""
        return host if self._declared.everywhere else ""

    def _share(self, progress: SweepProgress) -> None:
        idle_from_s: float | None = None
        while True:
            hosts = self._present()
            for name, running in list(self._running.items()):
                outcome = self._pool.outcome(running.task)
                if outcome is None:
                    if name in hosts and set(running.workers) & set(hosts[name].workers):
                        continue
                    self._pool.cancel(running.task)
                    outcome = "its host was lost while it measured"
                del self._running[name]
                told = self._note(name, running.part, outcome)
                total = len(self._plans) * (len(self._names) if self._declared.everywhere else 1)
                progress.line(name, f"{told}; {len(self._measured)} of {total}")
            for name, host in hosts.items():
                part = None if name in self._running else self._next(name)
                if part is not None:
                    self._tried.add((part, name))
                    job = Job(
                        self._plans[part],
                        self._declared.keep,
                        self._declared.host_name,
                        self._args.wait_quiet,
                        self._args.no_wait,
                    )
                    self._running[name] = _Running(part, self._pool.start(host, job), host.workers)
                    progress.now(name, f"{part} ({host.address})")
            if self._running:
                idle_from_s = None
            else:
                now = time.monotonic()
                idle_from_s = now if idle_from_s is None else idle_from_s
                if not self._may_come(hosts) or now - idle_from_s > AWAIT_S:
                    return
            time.sleep(LOOK_S)

    def _next(self, host: str) -> str | None:
        """Return the next part for a host; None if it has tried all that is left."""
        taken = {(running.part, self._queue(name)) for name, running in self._running.items()}
        return next(
            (
                part
                for part in self._plans
                if (part, self._queue(host)) not in self._measured | taken and (part, host) not in self._tried
            ),
            None,
        )

    def _may_come(self, hosts: dict[str, PoolHost]) -> bool:
        """Return whether a host that is not there could measure more."""
        gone = [name for name in self._admitted if name not in hosts]
        return any(self._next(name) is not None for name in gone)

    def _present(self) -> dict[str, PoolHost]:
        """Return the hosts that are there and may be used, by name; a new one gets a name."""
        present = {}
        for id_, host in self._pool.hosts().items():
            if id_ in self._refused:
                continue
            if (name := self._names.get(id_)) not in self._admitted:
                different = differences([*self._admitted.values(), host])
                if different and not self._args.any_environment:
                    self._refused.add(id_)
                    self._say(f"{host.address} came later and is not used: the hosts differ ({different})")
                    continue
            if name is None:
                name = self._names[id_] = f"host-{len(self._names) + 1}"
                self._file.write(Host(name, id_, host.versions))
            present[name] = self._admitted[name] = host
        for address, reason in self._pool.unusable.items():
            if address not in self._refused:
                self._refused.add(address)
                self._say(reason)
        return present

    def _note(self, host: str, part: str, outcome: bytes | str) -> str:
        """Keep a whole journal, or write why there is none; return what to tell."""
        if isinstance(outcome, bytes):
            try:
                measured = self._keep(host, part, outcome)
            except (UserError, OSError) as error:
                outcome = error_text(error)
            else:
                self._file.write(measured)
                self._measured.add((part, self._queue(host)))
                return f"{part} measured in {measured.seconds:.0f} s"
        reason = one_line(outcome)
        self._file.write(Unmeasured(part, host, reason))
        return f"{part} not measured: {reason}"

    def _keep(self, host: str, part: str, data: bytes) -> Measured:
        """Write a journal into the folder of its part, byte for byte, if it is whole and of this part's plan.

        Raises:
            UserError: it cannot be read, was cut off, or is of another plan.
            OSError: it cannot be written.
        """
        with scratch_folder("sweep") as scratch:
            file = scratch / journal.FILE_NAME
            file.write_bytes(data)
            run = journal.load_run(file)
            seal = journal.read_begin(file, MAX_RECORDS).seal.decode()
        if run.end is None or run.end.status == "interrupted":
            raise UserError(f"it was cut off: {run.end.reason if run.end else 'its journal has no end'}")
        if run.plan != self._plans[part]:
            raise UserError("its journal is of another plan")
        folder = sweep.part_folder(self._saved.path, self._declared, part, host)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / journal.FILE_NAME, data)
        return Measured(part, host, seal, run.end.status, run.end.seconds)
