"""Measure a block: fresh workers prove and hold their entries; in each round each entry takes one sample.

The workers of a block start in parallel, one per processor; afterwards only one is awake at a time. Sessions
run in shuffled order. In each session the workers first prove their entries; then every round visits all
entries in a new order. Samples are written when the session ends. If a worker dies, its entry has failed, and
the session starts again.
"""

import math
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import asdict

from bench.machine import clock, gates
from bench.machine.child import Child, ChildError, end_all, wait_for_any
from bench.machine.environ import without_person, worker_environment
from bench.machine.host import usable_cpus
from bench.measure import honesty
from bench.measure.budget import Costs, Ledger
from bench.measure.messages import (
    Close,
    Closed,
    Job,
    JobMaker,
    Measured,
    ProbeJob,
    Refused,
    Setup,
    Turn,
    Value,
)
from bench.measure.plan import probe_job, probing
from bench.measure.schedule import SLOW_CALL_NS, Session, round_order, sessions, worker_name
from bench.measure.steady import rewarm_calls
from bench.records.record import (
    AnyRecord,
    Arm,
    Burst,
    Calibration,
    Decision,
    Entry,
    Failure,
    Group,
    Plan,
    Probe,
    Proved,
    Rates,
    Ready,
    Worker,
    measured_as,
)
from bench.workload import catalog
from bench.workload.case import Case

WORKER = "bench.measure.worker"
READY_DEADLINE_S = 120.0
REPLY_DEADLINE_S = 120.0

Item = TypeVar("Item")


class Progress(Protocol):
    """Report the progress of the runner to the user."""

    def starting(self, block: int, blocks: int) -> None:
        """Report that the workers of a block are starting."""

    def measuring(self, block: int, entry: Entry) -> None:
        """Report that an entry is about to be proved; its samples follow."""

    def decided(self, decision: Decision) -> None:
        """Report the end of block 0, and its decision."""


@dataclass(slots=True)
class WorkerProcess:
    """Hold a worker that was started for a block; a worker without a usable reply is ended.

    ``state`` is None until the worker is ready, then its record; ``Refused`` if it never became ready.
    """

    block: int
    name: str
    arms: list[str]
    setup: Setup
    variables: Mapping[str, str]
    state: Worker | Refused | None = None
    child: Child = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the process, or replace an ended one; call ``await_ready`` next."""
        argument = msgspec.json.encode(self.setup).decode()
        self.child = Child(WORKER, [argument], self.variables, deadline_s=READY_DEADLINE_S)

    def await_ready(self) -> None:
        """Wait until the worker is ready, and put it to sleep."""
        reply = self._reply(partial(self.child.receive, Ready | Refused))
        self.child.deadline_s = REPLY_DEADLINE_S
        if isinstance(reply, Refused):
            self.child.stop()  # else it would stay awake beside the other workers
            self.state = reply
        else:
            self.state = Worker(
                **asdict(reply), block=self.block, name=self.name, arms=self.arms, pid=self.child.pid
            )

    def ask(self, job: Job, expected: Any) -> Any:
        """Wake the worker for one job; return its reply, of the ``expected`` type or ``Refused``."""
        if isinstance(self.state, Refused):
            return self.state
        self.child.resume()
        return self._reply(partial(self.child.ask, job, expected | Refused))

    def _reply(self, receive: Callable[[], Any]) -> Any:
        try:
            reply = receive()
        except ChildError as error:
            self.child.stop()
            return Refused(error.status, str(error))
        self.child.pause()
        return reply


@dataclass(slots=True)
class EntrySamples:
    """Hold the proof of an entry, and its samples in this block as (round, place in round, sample)."""

    proved: Proved
    visits: list[tuple[int, int, Value]] = field(default_factory=list)

    @property
    def values(self) -> list[Value]:
        """Return the samples without rounds and places."""
        return [value for _, _, value in self.visits]

    @property
    def next_batch(self) -> int:
        """Return the batch (0 or 1) of the next sample; after the proof, batch 0 is bound."""
        return 1 - len(self.visits) % 2

    def burst(
        self,
        arm: Arm,
        calibration: Calibration,
        machine: Mapping[str, float],
        limits: Mapping[str, float],
        **place: Any,
    ) -> Burst:
        """Return the record; ``machine`` has the gate readings, ``place`` has block, entry and digest."""
        values = self.values
        one_thread = arm.device == "cpu" and arm.threads == 1
        waited_ns = [value.waited_ns if one_thread else 0 for value in values]
        total_ns, cpu_ns = sum(value.elapsed_ns for value in values), sum(value.cpu_ns for value in values)
        readings = {**machine, "preempted": sum(value.preempted for value in values) * 1e9 / total_ns}
        if one_thread and cpu_ns:
            readings["wall_over_cpu"] = total_ns / cpu_ns
        readings = {gate: round(reading, 4) for gate, reading in readings.items()}
        rewarm = calibration.rewarm_calls
        if rewarm is None:
            rewarm = rewarm_calls(values)
        return Burst(
            **asdict(self.proved) | place | {"settled": calibration.settled, "rewarm_calls": rewarm},
            elapsed_ns=[value.elapsed_ns - wait_ns for value, wait_ns in zip(values, waited_ns, strict=True)],
            rounds=[number for number, _, _ in self.visits],
            places=[place for _, place, _ in self.visits],
            residual_ns=max(value.residual_ns for value in values),
            cpu_ns=cpu_ns,
            waited_ns=waited_ns if any(waited_ns) else [],
            device=arm.device,
            gates=readings,
            flags=gates.fired(readings, limits),
        )


class Blocks:
    """Run the blocks of a plan, within ``ending_children``: the next blocks' workers may have started.

    ``write`` appends a record, ``keep`` names variables to pass on.
    """

    def __init__(
        self,
        plan: Plan,
        write: Callable[[AnyRecord], None],
        progress: Progress,
        jobs: JobMaker,
        ledger: Ledger,
        *,
        keep: Collection[str] = (),
    ) -> None:
        self.plan = plan
        self.progress = progress
        self.jobs = jobs
        self.ledger = ledger
        self.arms = {arm.id: arm for arm in plan.arms}
        self.measured_as = measured_as(plan.groups)
        self.costs = Costs(accelerated=any(arm.device != "cpu" for arm in plan.arms))
        self._append = write
        self.keep = keep
        self._waiting: list[_Block] = []  # blocks whose workers have started
        self._failures = 0  # failures in the ledger when these workers started
        self._start_s = self._measure_s = 0.0  # seconds of the last start, and of the last block

    def run(
        self,
        number: int,
        last: int,
        groups_of: Callable[[int], list[Group]],
        rounds: int,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Run a block; call ``started`` when its workers are ready and ``costs`` holds the start times.

        Importing a library keeps one processor busy. If there are more processors and an import takes most of
        the start, the workers of the next blocks start at the same time. They sleep until their block begins.
        """
        self.progress.starting(number, last)
        as_planned = self._waiting and self._waiting[0].groups == groups_of(number)
        if not as_planned or self._failures != self.ledger.failures.total():
            self._close()
            self._start(number, last, groups_of)
        started()
        block, began_s = self._waiting[0], time.perf_counter()
        block.run(rounds)
        block.end()
        del self._waiting[0]
        self._measure_s = time.perf_counter() - began_s

    def _start(self, number: int, last: int, groups_of: Callable[[int], list[Group]]) -> None:
        """Start the workers of a block, and of the next blocks if that takes no longer."""
        self._failures = self.ledger.failures.total()
        for block_number in range(number, min(last, number + (self.costs.together if number else 1) - 1) + 1):
            self._waiting.append(_Block(self, block_number, groups_of(block_number)))
        began_s = time.perf_counter()
        to_start = [(block, name) for block in self._waiting for name in block.workers]
        to_start.sort(key=lambda worker: self.costs.ready_s.get(worker[1], math.inf), reverse=True)
        starting: dict[Child, tuple[_Block, str]] = {}
        while to_start or any(not block.may_be_late(name) for block, name in starting.values()):
            while to_start and len(starting) < usable_cpus():  # the slowest first, one per processor
                block, name = to_start.pop(0)
                starting[block.start(name)] = (block, name)
            block, name = starting.pop(wait_for_any(starting)[0])
            block.await_ready(name)
        self._start_s = time.perf_counter() - began_s
        self.costs.note_start(self._start_s / len(self._waiting))

    @property
    def next_s(self) -> float:
        """Predict the seconds of the next block from the last block."""
        return self._measure_s + (0.0 if self._waiting else self._start_s)

    def _close(self) -> None:
        """End the workers of started blocks that will not be measured."""
        for block in self._waiting:
            block.end()
        self._waiting = []

    def write(self, record: AnyRecord) -> None:
        """Append a record to the journal, and note it in the ledger."""
        self._append(record)
        self.ledger.note(record)


class _RestartSession(Exception):
    """Restart the session without an entry that has failed, as its worker died or was stopped."""


class _Block:
    """Run one block: hold its workers and its failed entries."""

    def __init__(self, blocks: Blocks, number: int, groups: list[Group]) -> None:
        self.groups = groups
        self._blocks = blocks
        self._plan, self._arms, self._ledger = blocks.plan, blocks.arms, blocks.ledger
        self._number = number
        self._order = random.Random(f"{blocks.plan.seed}:{number}")
        self._sessions = sessions(groups, blocks.measured_as.__getitem__)
        entries = [entry for session in self._sessions for entry in session.entries]
        self._worker = {entry.id: self._worker_of(entry) for entry in entries}  # fixed, even after failures
        self._failed: set[str] = set()  # ids of entries
        self._held = self._by_worker(self._not_failed(entries))
        self.workers = self._shuffled(list(self._held))
        self._processes: dict[str, WorkerProcess] = {}
        self._ready: list[Worker] = []  # records to write when the block begins, if it begins
        self._running = False

    def start(self, name: str) -> Child:
        """Start a worker, which rehearses the first of its entries; return its process."""
        entry = self._held[name][0]
        arm = self._arms[entry.arm]
        rehearsal = self._blocks.jobs.prove(entry, arm, None)
        own_library = catalog.find(arm.spec).own_library
        setup = Setup(arm.library, arm.device, arm.threads, rehearsal, own_library)
        compiled, keep = self._blocks.jobs.compiled, self._blocks.keep
        variables = worker_environment(arm.threads, keep=keep, compiled=compiled).variables
        arms = list(dict.fromkeys(entry.arm for entry in self._held[name]))
        self._processes[name] = process = WorkerProcess(self._number, name, arms, setup, variables)
        return process.child

    def await_ready(self, name: str) -> None:
        """Wait until a worker is ready, and put it to sleep."""
        process = self._processes[name]
        process.await_ready()
        if isinstance(worker := process.state, Worker):
            costs = self._blocks.costs
            costs.ready_s[name], costs.holds[name] = worker.ready_ns / 1e9, set(worker.arms)
            if self._running:
                self._blocks.write(worker)
            else:
                self._ready.append(worker)

    def end(self) -> None:
        """End all workers; wait for unresponsive workers together."""
        end_all([process.child for process in self._processes.values()])

    def may_be_late(self, name: str) -> bool:
        """Return whether a start need not wait for a worker: it compiles in block 0, which is not counted."""
        return self._number == 0 and any(
            catalog.find(self._arms[entry.arm].spec).compiles for entry in self._held[name]
        )

    def run(self, rounds: int) -> None:
        """Measure all sessions, then the probes."""
        for worker in self._ready:
            self._blocks.write(worker)
        self._running = True
        if self._number == 0:
            self._probe_best_rates()
        for session in sorted(self._shuffled(self._sessions), key=self._needs_late_worker):
            self._measure_session(session, rounds)
        for probe in probing(self._plan, self.groups, self._number):
            self._probe(probe)

    def _needs_late_worker(self, session: Session) -> bool:
        """Return whether a session needs a worker that is not ready yet."""
        late_workers = {name for name, process in self._processes.items() if process.state is None}
        return any(self._worker[entry.id] in late_workers for entry in session.entries)

    def _measure_session(self, session: Session, rounds: int) -> None:
        """Measure a session, again whenever a worker dies, and write the results of its entries."""
        while True:
            entries = self._not_failed(session.entries)
            try:
                taken = self._prove_all(entries)
                machine = self._take_all(session, taken, rounds)
                break
            except _RestartSession:
                continue
        for name, held_entries in self._by_worker(entries).items():
            self._close(self._processes[name], [entry for entry in held_entries if entry.id in taken])
        for entry in entries:
            if entry.id not in taken or entry.id in self._failed:
                continue
            if why := self._implausible(entry, taken[entry.id].values):
                self._fail(entry, Refused("invalid", why))
                continue
            arm, calibration = self._arms[entry.arm], self._ledger.calibrations[self._ledger.work(entry)]
            place = {"block": self._number, "entry": entry.id, "digest": self._blocks.jobs.digest(entry.case)}
            self._blocks.write(taken[entry.id].burst(arm, calibration, machine, self._plan.gates, **place))

    def _implausible(self, entry: Entry, values: Sequence[Value]) -> str:
        """Return an error text if the times cannot be those of the work, else an empty text."""
        if self._arms[entry.arm].device != "cpu" and clock.still_busy(values):
            most_ns = max(value.residual_ns for value in values)
            return f"the device was still busy for {most_ns} ns after a value"
        per_call_ns = median(value.per_call_ns for value in values)
        return honesty.too_fast(entry.case, per_call_ns, self._ledger.best_rates(entry))

    def _prove_all(self, entries: Sequence[Entry]) -> dict[str, EntrySamples]:
        """Let every worker prove and hold its entries, in shuffled order; return the proved entries.

        The A/A control also holds the other entries of the baseline's worker, in its own order. So the two
        workers differ only by chance.

        Raises:
            _RestartSession: a worker died.
        """
        taken: dict[str, EntrySamples] = {}
        held_entries = self._by_worker(entries)
        for name in self._shuffled(list(held_entries)):
            extra_entries = self._beside_control(held_entries[name], entries)
            for entry in self._shuffled([*held_entries[name], *extra_entries]):
                if entry in extra_entries:
                    self._prove(name, entry, blamed=held_entries[name][0])
                elif (proved := self._prove(name, entry, blamed=entry)) is not None:
                    taken[entry.id] = EntrySamples(proved)
        return taken

    def _take_all(self, session: Session, taken: dict[str, EntrySamples], rounds: int) -> dict[str, float]:
        """Let every entry take its samples, round by round; return the gate readings over this time.

        Raises:
            _RestartSession: a worker died.
        """
        slow = {entry.id for entry in session.entries if self._ledger.per_call_ns(entry) > SLOW_CALL_NS}
        accelerated = {entry.id for entry in session.entries if self._arms[entry.arm].device != "cpu"}
        before = gates.read()
        for number in range(rounds):
            order = round_order(session, number, self._order, slow=slow, accelerated=accelerated)
            for place, entry in enumerate(order):
                if entry.id not in taken:
                    continue
                value = self._take_value(entry, taken[entry.id])
                if value is None:
                    del taken[entry.id]
                    continue
                taken[entry.id].visits.append((number, place, value))
                if value.per_call_ns > SLOW_CALL_NS:
                    slow.add(entry.id)
        return gates.between(before, gates.read())

    def _prove(self, name: str, entry: Entry, *, blamed: Entry) -> Proved | None:
        """Let a worker prove and hold an entry; return the proof, or None if the entry takes no samples.

        If another entry is ``blamed`` for a crash, ``entry`` is only held beside it and takes no samples.

        Raises:
            _RestartSession: the worker died or was stopped.
        """
        process, takes_samples = self._processes[name], entry is blamed
        if takes_samples:
            self._blocks.progress.measuring(self._number, entry)
        if process.state is None:
            self.await_ready(name)
        if isinstance(process.state, Refused):
            if takes_samples:
                self._fail(entry, process.state)
            return None
        if not process.child.alive:  # it died in the session before, or at the entry before
            self._revive(name)
            raise _RestartSession
        work = self._ledger.work(entry)
        calibration = self._ledger.calibrations.get(work)
        job = self._blocks.jobs.prove(entry, self._arms[entry.arm], calibration)
        began_s = time.perf_counter()
        reply: Proved | Refused = process.ask(job, Proved)
        if isinstance(reply, Refused):
            if takes_samples or not process.child.alive:
                self._refuse(blamed, reply)
            return None
        if not takes_samples:
            return None
        self._blocks.costs.prove_s[entry.id] = time.perf_counter() - began_s - reply.calibration_ns / 1e9
        if calibration is None:  # now, because the A/A control has the same work
            self._ledger.calibrations[work] = reply
        return reply

    def _take_value(self, entry: Entry, taken: EntrySamples) -> Value | None:
        """Let an entry take its sample of a round; return None if it failed.

        Raises:
            _RestartSession: the worker died or was stopped.
        """
        batch, n_calls = taken.next_batch, taken.proved.n_calls
        rewarm = self._ledger.calibrations[self._ledger.work(entry)].rewarm_calls
        turn = Turn(entry.id, batch, n_calls, rewarm, self._blocks.jobs.after(entry.case, n_calls, batch))
        asked_ns = time.perf_counter_ns()
        reply: Value | Refused = self._process(entry).ask(turn, Value)
        replied_ns = time.perf_counter_ns()
        if isinstance(reply, Value):
            self._blocks.costs.note_turn(entry.id, replied_ns - asked_ns - sum(reply.rewarm_ns))
            if not (why := honesty.round_trip(reply.elapsed_ns, asked_ns, replied_ns)):
                return reply
            reply = Refused("invalid", why)
        self._refuse(entry, reply)
        return None

    def _close(self, process: WorkerProcess, entries: Sequence[Entry]) -> None:
        """Release the entries of a worker; if its process settings changed, their samples are invalid."""
        if not process.child.alive:
            return
        reply: Closed | Refused = process.ask(Close(), Closed)
        # a worker that died here has given its samples: the next session replaces it
        if isinstance(reply, Closed) and reply.changed:
            for entry in entries:
                self._fail(entry, Refused("invalid", f"its process changed: {reply.changed}"))
            process.child.stop()

    def _refuse(self, entry: Entry, reply: Refused) -> None:
        """Write why an entry has no samples.

        Raises:
            _RestartSession: the worker died or was stopped. Memory that it still holds would be missing for
                the next entry, and a process with changed settings measures something else.
        """
        self._fail(entry, reply)
        child = self._process(entry).child
        if reply.status in ("oom", "invalid"):
            child.stop()
        if not child.alive:
            raise _RestartSession

    def _fail(self, entry: Entry, reply: Refused) -> None:
        """Write why an entry has no samples in this block."""
        self._failed.add(entry.id)
        last_words = without_person(self._process(entry).child.last_words())
        reason = without_person(reply.reason)
        self._blocks.write(Failure(self._number, entry.id, reply.status, reason, reply.checks, last_words))

    def _process(self, entry: Entry) -> WorkerProcess:
        return self._processes[self._worker[entry.id]]

    def _probe(self, probe: Probe) -> None:
        """Time a library's basic operations, or write why that failed; no entry is lost by a failure."""
        arm, began_s = self._arms[probe.arm], time.perf_counter()
        names = [worker_name(arm, alone=alone) for alone in (self._plan.isolate, True)]
        reply: Measured | Refused = Refused("missing", "nothing of its library could be measured")
        if processes := [self._processes[name] for name in names if name in self._processes]:
            if isinstance(processes[0].state, Worker) and not processes[0].child.alive:
                self._revive(processes[0].name)
            reply = processes[0].ask(probe_job(self._plan, probe), Measured)
        self._blocks.costs.probes_s[probe.arm] = time.perf_counter() - began_s
        self._write_rates(probe.arm, probe.case, reply)

    def _probe_best_rates(self) -> None:
        """Time the products that limit how fast a call can be, for every library, place and dtype."""
        places: set[tuple[str, str, int, str]] = set()
        for name, entries in self._held.items():
            process = self._processes[name]
            for entry in entries:
                arm, dtype = self._arms[entry.arm], entry.case.dtype
                place = (arm.library, arm.device, arm.threads, dtype)
                if place in places or not (isinstance(process.state, Worker) and process.child.alive):
                    continue
                places.add(place)
                cases = [held_entry.case for held_entry in entries if held_entry.case.dtype == dtype]
                wanted = list(
                    dict.fromkeys(kernel for case in cases for kernel in honesty.probe_wanted(case))
                )
                job = ProbeJob(arm.device, dtype, wanted, of_thread=arm.device == "cpu")
                reply = process.ask(job, Measured)
                if isinstance(reply, Measured):  # else the entries will report the error
                    self._write_rates(arm.id, entry.case, reply)

    def _write_rates(self, arm: str, case: Case, reply: Measured | Refused) -> None:
        primitives, reason = (
            ([], without_person(reply.reason)) if isinstance(reply, Refused) else (reply.primitives, "")
        )
        self._blocks.write(Rates(self._number, arm, case, primitives, reason))

    def _revive(self, name: str) -> None:
        """Replace a worker that has died."""
        self._processes[name].child.stop()
        self._processes[name].start()
        self.await_ready(name)

    def _worker_of(self, entry: Entry) -> str:
        """Return the worker that holds an entry."""
        arm = self._arms[entry.arm]
        has_own_worker = catalog.find(arm.spec).alone or self._ledger.failures[entry.id] > 0
        return worker_name(arm, alone=self._plan.isolate or has_own_worker)

    def _not_failed(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the entries that have not failed."""
        failed, lost = self._failed, self._ledger.lost
        return [entry for entry in entries if entry.id not in failed and entry.id not in lost]

    def _by_worker(self, entries: Iterable[Entry]) -> dict[str, list[Entry]]:
        by_worker: dict[str, list[Entry]] = {}
        for entry in entries:
            by_worker.setdefault(self._worker[entry.id], []).append(entry)
        return by_worker

    def _beside_control(self, held: Sequence[Entry], entries: Sequence[Entry]) -> list[Entry]:
        """Return the extra entries that the A/A control's worker holds: those beside its originals.

        Only entries that have run before are returned. If the control failed before, none are returned,
        because such an extra entry may have caused the failure.
        """
        arms, work, failures = self._arms, self._ledger.work, self._ledger.failures
        controlled = {work(entry) for entry in held if arms[entry.arm].twin and not failures[entry.id]}
        originals = [entry for entry in entries if work(entry) in controlled and not arms[entry.arm].twin]
        workers = {self._worker[entry.id] for entry in originals}
        return [
            entry
            for entry in entries
            if self._worker[entry.id] in workers
            and entry not in originals
            and work(entry) in self._ledger.calibrations
        ]

    def _shuffled(self, items: Sequence[Item]) -> list[Item]:
        return self._order.sample(items, len(items))
