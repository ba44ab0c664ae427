"""Measure a plan in parts on the hosts of a scheduler: ``rnnbench run --scheduler``."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bench.cluster.part import Job
from bench.cluster.pool import INSTALL, Pool, PoolHost, connected, differences
from bench.machine.busy import Say
from bench.machine.devices import Devices
from bench.machine.errors import HostInUse, Unfinished, UserError, error_text
from bench.machine.files import scratch_folder, write_atomic
from bench.machine.host import utc_now
from bench.machine.signals import Terminated
from bench.machine.wording import count, one_line
from bench.measure.split import split
from bench.records import journal, sweep
from bench.records.folder import make_folder
from bench.records.record import End, Facts, Plan
from bench.records.sweep import Host, Measured, Part, SavedSweep, Sweep, SweepFile, Unmeasured
from bench.reporting.display import SweepProgress, sweep_progress
from bench.workload.catalog import PEERS, by_name, listed
from bench.workload.options import RunOptions

LOOK_S = 2.0  # between two looks at the hosts, unless a part ends: a look takes time from what is timed
AWAIT_S = 10.0  # for a lost host, with nothing else to do: a nanny starts a new worker within seconds


def new_sweep(
    args: RunOptions, folder: Path, declare: Callable[[Devices, int], Plan], say: Say
) -> tuple[End, Plan]:
    """Measure the plan that ``declare`` makes for devices and processors; return the end and the plan.

    Raises:
        UserError: the hosts cannot be used, an option cannot be fulfilled, or nothing was measured.
    """
    assert args.scheduler is not None
    for spec in args.variant:
        listed(spec)  # which refuses unknown names before any host is asked
    own = own_code((*args.variant, *(peer.name for peer in PEERS if args.peers)))
    with connected(args.scheduler, own) as pool:
        hosts = usable(pool, args, say)
        # the first host stands for all: others tell in their journals which devices they lack
        devices = pool.devices(hosts[0], say)
        try:
            plan = declare(devices, min(host.description.cpus for host in hosts))
        except UserError as error:
            raise UserError(f"{error} (with the devices of {hosts[0].workers[0]})") from error
        parts = [Part(name, [group.name for group in one.groups]) for name, one in split(plan).items()]
        make_folder(folder)
        with SweepFile(folder / sweep.FILE_NAME) as file:
            how = (args.everywhere, list(args.keep_env), args.host_name)
            file.write(Sweep(sweep.SCHEMA, plan.version, plan.started_utc, plan.command, *how, plan, parts))
            return Sharing(pool, file, sweep.load_sweep(folder), args, say).run(), plan


def resume_sweep(args: RunOptions, folder: Path, say: Say) -> End:
    """Go on with a sweep: measure the parts that are missing.

    Raises:
        UserError: nothing is missing, the hosts cannot be used, or nothing was measured.
    """
    if args.scheduler is None or args.blocks is not None:
        raise UserError(f"{folder} is a sweep: go on with it by --resume and --scheduler, without --blocks")
    file, saved = SweepFile.reopen(folder)
    with file:
        if all(tile.measured for tile in saved.tiles) and not saved.declared.everywhere:
            raise UserError(f"{folder} is complete: there is nothing to go on with")
        own = own_code(arm.spec for arm in saved.declared.plan.arms)
        with connected(args.scheduler, own) as pool:
            usable(pool, args, say, earlier_versions(saved))
            return Sharing(pool, file, saved, args, say).run()


def own_code(specs: Iterable[str]) -> list[str]:
    """Return the variants whose code is not of this package, so that hosts may have different ones."""
    return sorted({spec for spec in specs if (found := by_name(spec)) is None or found.peer})


def earlier_versions(saved: SavedSweep) -> dict[str, Facts]:
    """Return the versions of the hosts that have measured a part, by name."""
    return {tile.host.name: tile.host.facts for tile in saved.tiles if tile.measured and tile.host}


def usable(
    pool: Pool, args: RunOptions, say: Say, earlier: Mapping[str, Facts] | None = None
) -> list[PoolHost]:
    """Return the hosts of a scheduler; tell or refuse versions that differ, also from ``earlier`` hosts.

    Raises:
        UserError: a worker cannot be used; or versions differ, and ``any_environment`` is not given.
        HostInUse: all hosts are busy, and ``no_wait`` is given.
    """
    hosts = list(pool.hosts().values())
    if unusable := pool.unusable:
        raise UserError(unusable[0])
    now = [(host.workers[0], host.description.versions) for host in hosts]
    if different := differences([*(earlier or {}).items(), *now]):
        if not args.any_environment:
            raise UserError(f"the hosts differ ({different}); {INSTALL}, or give --any-environment")
        say(f"the hosts differ ({different})")
    if args.no_wait and not (hosts := [host for host in hosts if not pool.busy(host)]):
        raise HostInUse("another sweep has every worker; without --no-wait this one waits for it")
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
        self._controls = {name for name, plan in self._plans.items() if any(arm.twin for arm in plan.arms)}
        self._names = {host.id: name for name, host in saved.hosts.items()}
        self._versions = earlier_versions(saved)  # of the hosts whose results stand, or may follow, by name
        self._admitted: set[str] = set()  # names
        self._refused: set[str] = set()  # ids of hosts, and what was said of workers
        records = [tile.measured for tile in saved.tiles if tile.measured]
        self._measured = {(record.part, self._queue(record.host)) for record in records}
        self._tried: set[tuple[str, str]] = set()  # part, host
        self._running: dict[str, _Running] = {}  # by host
        self._silent: dict[str, str] = {}  # since when, by host, as it was told

    def run(self) -> End:
        """Measure until nothing is left that a host can measure; return the end, which is also written.

        Raises:
            UserError: the scheduler is gone, or nothing was measured.
        """
        began_s = time.monotonic()

        def end(status: Any, reason: str, stopped_by: Literal["user", "signal"] | None = None) -> End:
            for host, running in self._running.items():
                self._file.write(Unmeasured(running.part, host, reason))
            seconds = round(time.monotonic() - began_s, 1)
            end_record = End(status, reason, seconds, utc_now(), stopped_by=stopped_by)
            self._file.write(end_record)
            return end_record

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
        missing, tiles = saved.missing, saved.tiles
        for tile in missing:
            host = f" on {tile.host.name}" if tile.host else ""
            self._say(f"{tile.part.name} is missing{host}: {tile.reason}")
        if len(missing) == len(tiles):
            end("partial", "nothing was measured")
            raise Unfinished(f"nothing was measured: {missing[0].reason if missing else 'no host was there'}")
        if missing:
            return end("partial", f"{count(len(missing), 'case')} missing")
        statuses = {tile.measured.status for tile in tiles if tile.measured}
        return end(
            "complete" if statuses == {"complete"} else "partial", f"{count(len(tiles), 'case')} measured"
        )

    def _queue(self, host: str) -> str:
        """Return whose queue of parts a host takes from: its own, or that of all."""
        return host if self._declared.everywhere else ""

    def _share(self, progress: SweepProgress) -> None:
        worked_s = time.monotonic()
        while True:
            hosts = self._present()
            for name, running in list(self._running.items()):
                outcome = self._pool.outcome(running.task)
                if outcome is None:
                    if name in hosts and set(running.workers) & set(hosts[name].workers):
                        since = self._pool.silent_since(hosts[name])
                        if since != self._silent.setdefault(name, ""):
                            self._silent[name] = since
                            progress.line(name, f"silent since {since}" if since else "heard again")
                        continue
                    self._pool.cancel(running.task)
                    outcome = "its host was lost while it measured"
                del self._running[name]
                told = self._note(name, running.part, outcome)
                total = len(self._plans) * (len(self._names) if self._declared.everywhere else 1)
                progress.line(name, f"{running.part} {told}; {len(self._measured)} of {total}")
            for name, host in hosts.items():
                if name in self._running or (self._args.no_wait and self._pool.busy(host)):
                    continue
                if part := self._next(name):
                    self._tried.add((part, name))
                    how = (self._declared.keep, self._declared.host_name)
                    job = Job(self._plans[part], *how, self._args.wait_quiet, self._args.no_wait)
                    task = self._pool.start(host, job, partial(progress.line, name))
                    self._running[name] = _Running(part, task, host.workers)
                    progress.now(name, f"{part} ({host.workers[0]})")
            if self._running:
                worked_s = time.monotonic()
            elif (
                not any(self._next(name) for name in self._admitted - hosts.keys())
                or time.monotonic() - worked_s > AWAIT_S
            ):
                return
            self._pool.wait(LOOK_S)

    def _next(self, host: str) -> str | None:
        """Return the next part for a host, None if it has tried all that is left.

        The first has an A/A control: what a host measures is judged by its own controls.
        """
        queue = self._queue(host)
        has_control = any(name == host and part in self._controls for part, name in self._tried)
        taken = {(running.part, self._queue(name)) for name, running in self._running.items()}
        left = (part for part in self._plans if (part, queue) not in self._measured | taken)
        new = (part for part in left if (part, host) not in self._tried)
        return min(new, key=lambda part: (part in self._controls) == has_control, default=None)

    def _present(self) -> dict[str, PoolHost]:
        """Return the hosts that are there and may be used, by name; a new one gets a name."""
        present, later = {}, bool(self._admitted)
        for id_, host in self._pool.hosts().items():
            if id_ in self._refused:
                continue
            name = self._names.get(id_) or f"host-{len(self._names) + 1}"
            if name not in self._admitted:
                where, versions = host.workers[0], host.description.versions
                if different := differences([*self._versions.items(), (where, versions)]):
                    if not self._args.any_environment:
                        self._refused.add(id_)
                        self._say(f"{where} came later and is not used: the hosts differ ({different})")
                        continue
                    if later:  # otherwise ``usable`` has said so
                        self._say(f"{where} came later: the hosts differ ({different})")
                if id_ not in self._names:
                    self._names[id_] = name
                    self._file.write(Host(name, host.description.host, versions, id_))
                self._versions[name] = versions
                self._admitted.add(name)
                for part in self._plans:  # what is in the way shows before anything is measured
                    make_folder(sweep.part_folder(self._saved.path, self._declared, part, name))
            present[name] = host
        for reason in set(self._pool.unusable) - self._refused:
            self._refused.add(reason)
            self._say(reason)
        return present

    def _note(self, host: str, part: str, outcome: bytes | str) -> str:
        """Keep a whole journal, or write why there is none; return what to tell."""
        if isinstance(outcome, bytes):
            try:
                measured = self._keep(host, part, outcome)
                self._file.write(measured)
                self._measured.add((part, self._queue(host)))
                return f"measured in {measured.seconds:.0f} s"
            except (UserError, OSError) as error:
                outcome = error_text(error)
        reason = one_line(outcome)
        self._file.write(Unmeasured(part, host, reason))
        return f"not measured: {reason}"

    def _keep(self, host: str, part: str, data: bytes) -> Measured:
        """Write a journal into the folder of its part, byte for byte, if it is whole and of this part's plan.

        Raises:
            UserError: it cannot be read, was cut off, or is of another plan.
            OSError: it cannot be written.
        """
        with scratch_folder("sweep") as scratch:
            file = scratch / journal.FILE_NAME
            file.write_bytes(data)
            run, seal = journal.load_sealed_run(file)
        if run.end is None or run.end.status == "interrupted":
            raise UserError(f"it was cut off: {run.end.reason if run.end else 'its journal has no end'}")
        if run.plan != self._plans[part]:
            raise UserError("its journal is of another plan")
        folder = sweep.part_folder(self._saved.path, self._declared, part, host)
        write_atomic(folder / journal.FILE_NAME, data)
        return Measured(part, host, seal, run.end.status, run.end.seconds)
