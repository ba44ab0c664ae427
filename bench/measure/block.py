"""A block: fresh workers, which prove and hold their entries, and rounds in which each takes one value.

The workers start, one a processor; from then on one is awake at a time. Sessions come in shuffled order.
In each, workers prove what they hold; then every round visits all entries in an order of its own. What is
taken is written when a session ends. Where a worker dies, its entry has failed, and the session begins anew.
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
    """What the runner tells whoever watches."""

    def starting(self, block: int, blocks: int) -> None:
        """Tell that a block's workers are being started."""

    def measuring(self, block: int, entry: Entry) -> None:
        """Tell that an entry is about to be proved; its values follow."""

    def decided(self, decision: Decision) -> None:
        """Tell that block 0 is over, and what it decided."""


@dataclass(slots=True)
class WorkerProcess:
    """A worker that has been started for a block. One that gives no usable reply is ended.

    ``state`` is None while it is not known to be ready, then its record, or why it did not get there.
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
        """Start the process, in place of one that has ended; ``await_ready`` is to follow."""
        argument = msgspec.json.encode(self.setup).decode()
        self.child = Child(WORKER, [argument], self.variables, deadline_s=READY_DEADLINE_S)

    def await_ready(self) -> None:
        """Wait until it is ready, and let it sleep."""
        reply = self._reply(partial(self.child.receive, Ready | Refused))
        self.child.deadline_s = REPLY_DEADLINE_S
        if isinstance(reply, Refused):
            self.child.stop()  # or it would stay awake beside the others
            self.state = reply
        else:
            self.state = Worker(
                **asdict(reply), block=self.block, name=self.name, arms=self.arms, pid=self.child.pid
            )

    def ask(self, job: Job, expected: Any) -> Any:
        """Wake it for one job; return its reply, of the ``expected`` type or ``Refused``."""
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
class Taken:
    """What an entry has given in a block so far: round, place in it, and value."""

    proved: Proved
    visits: list[tuple[int, int, Value]] = field(default_factory=list)

    @property
    def values(self) -> list[Value]:
        """Return the values alone."""
        return [value for _, _, value in self.visits]

    @property
    def next_batch(self) -> int:
        """Return the batch of the next value; the proof has left the first one with the variant."""
        return 1 - len(self.visits) % 2

    def burst(
        self,
        arm: Arm,
        calibration: Calibration,
        machine: Mapping[str, float],
        limits: Mapping[str, float],
        **place: Any,
    ) -> Burst:
        """Return the record; ``machine`` is what its gates read, ``place`` are block, entry and digest."""
        values = self.values
        one_thread = arm.device == "cpu" and arm.threads == 1
        waited_ns = [value.waited_ns if one_thread else 0 for value in values]
        whole_ns, cpu_ns = sum(value.elapsed_ns for value in values), sum(value.cpu_ns for value in values)
        readings = {**machine, "preempted": sum(value.preempted for value in values) * 1e9 / whole_ns}
        if one_thread and cpu_ns:
            readings["wall_over_cpu"] = whole_ns / cpu_ns
        readings = {gate: round(reading, 4) for gate, reading in readings.items()}
        rewarm = calibration.rewarm_calls
        if rewarm is None:
            rewarm = rewarm_calls(values)
        return Burst(
            **asdict(self.proved) | place | {"settled": calibration.settled, "rewarm_calls": rewarm},
            elapsed_ns=[value.elapsed_ns - less for value, less in zip(values, waited_ns, strict=True)],
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
    """Runs the blocks of a plan; ``write`` appends a record, ``keep`` names variables to pass on."""

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
        self._waiting: list[_Block] = []  # their workers have started
        self._failures = 0  # when they were started
        self._start_s = self._measure_s = 0.0  # of the last start, and of the last block after it

    def run(
        self,
        number: int,
        last: int,
        groups_of: Callable[[int], list[Group]],
        rounds: int,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Run a block of so many rounds. When ``started`` is called, ``costs`` tells what the start took.

        Importing a library keeps one processor busy: where there are more, and an import takes most of the
        start, the workers of the next blocks start at the same time, and sleep until it is their turn.
        """
        self.progress.starting(number, last)
        try:
            as_planned = self._waiting and self._waiting[0].groups == groups_of(number)
            if not as_planned or self._failures != self.ledger.failures.total():
                self.close()
                self._start(number, last, groups_of)
            started()
            block, begun = self._waiting.pop(0), time.perf_counter()
            try:
                block.run(rounds)
            finally:
                block.end()
            self._measure_s = time.perf_counter() - begun
        except BaseException:
            self.close()
            raise

    def _start(self, number: int, last: int, groups_of: Callable[[int], list[Group]]) -> None:
        """Start the workers of a block and, where that is as quick, of the next ones."""
        self._failures = self.ledger.failures.total()
        for ahead in range(number, min(last, number + (self.costs.together if number else 1) - 1) + 1):
            self._waiting.append(_Block(self, ahead, groups_of(ahead)))
        begun = time.perf_counter()
        to_start = [(block, name) for block in self._waiting for name in block.workers]
        to_start.sort(key=lambda worker: self.costs.ready_s.get(worker[1], math.inf), reverse=True)
        starting: dict[Child, tuple[_Block, str]] = {}
        while to_start or any(not block.may_be_late(name) for block, name in starting.values()):
            while to_start and len(starting) < usable_cpus():  # the slowest first, one a processor
                block, name = to_start.pop(0)
                starting[block.start(name)] = (block, name)
            block, name = starting.pop(wait_for_any(starting)[0])
            block.await_ready(name)
        self._start_s = time.perf_counter() - begun
        self.costs.note_start(self._start_s / len(self._waiting))

    @property
    def next_s(self) -> float:
        """Return the seconds of the next block, if it takes as long as the last one did."""
        return self._measure_s + (0.0 if self._waiting else self._start_s)

    def close(self) -> None:
        """End the workers that wait for blocks which are not measured."""
        for block in self._waiting:
            block.end()
        self._waiting = []

    def write(self, record: AnyRecord) -> None:
        """Append a record to the journal, and take in what it says."""
        self._append(record)
        self.ledger.note(record)


class _Again(Exception):
    """A worker died or must not go on: the session begins anew without the entry, which has failed."""


class _Block:
    """One block: its workers, and what has failed in it."""

    def __init__(self, blocks: Blocks, number: int, groups: list[Group]) -> None:
        self.groups = groups
        self._blocks = blocks
        self._plan, self._arms, self._ledger = blocks.plan, blocks.arms, blocks.ledger
        self._number = number
        self._order = random.Random(f"{blocks.plan.seed}:{number}")
        self._sessions = sessions(groups, blocks.measured_as.__getitem__)
        entries = [entry for session in self._sessions for entry in session.entries]
        self._worker = {entry.id: self._worker_of(entry) for entry in entries}  # whatever fails meanwhile
        self._failed: set[str] = set()  # entries
        self._held = self._by_worker(self._left(entries))
        self.workers = self._shuffled(list(self._held))
        self._processes: dict[str, WorkerProcess] = {}
        self._ready: list[Worker] = []  # to be written when the block begins, much later or never
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
        """Wait for a worker, and let it sleep."""
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
        """End all workers, the stubborn ones together."""
        end_all([process.child for process in self._processes.values()])

    def may_be_late(self, name: str) -> bool:
        """Return whether others need not wait for a worker: it compiles in block 0, where no time counts."""
        return self._number == 0 and any(
            catalog.find(self._arms[entry.arm].spec).compiles for entry in self._held[name]
        )

    def run(self, rounds: int) -> None:
        """Measure session by session, and probe."""
        for worker in self._ready:
            self._blocks.write(worker)
        self._running = True
        if self._number == 0:
            self._probe_best_rates()
        for session in sorted(self._shuffled(self._sessions), key=self._waits):
            self._session(session, rounds)
        for probe in probing(self._plan, self.groups, self._number):
            self._probe(probe)

    def _waits(self, session: Session) -> bool:
        """Return whether a session needs a worker that is not ready yet."""
        late = {name for name, process in self._processes.items() if process.state is None}
        return any(self._worker[entry.id] in late for entry in session.entries)

    def _session(self, session: Session, rounds: int) -> None:
        """Measure a session, anew where a worker dies in it, and write what its entries gave."""
        while True:
            entries = self._left(session.entries)
            try:
                taken = self._prove_all(entries)
                machine = self._take_all(session, taken, rounds)
                break
            except _Again:
                continue
        for name, held in self._by_worker(entries).items():
            self._close(self._processes[name], [entry for entry in held if entry.id in taken])
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
        """Return why its times cannot be those of its work, or nothing."""
        if self._arms[entry.arm].device != "cpu" and clock.still_busy(values):
            most_ns = max(value.residual_ns for value in values)
            return f"the device was still busy for {most_ns} ns after a value"
        per_call_ns = median(value.per_call_ns for value in values)
        return honesty.too_fast(entry.case, per_call_ns, self._ledger.best_rates(entry))

    def _prove_all(self, entries: Sequence[Entry]) -> dict[str, Taken]:
        """Have every worker prove and hold its entries, in shuffled order; return those that are proved.

        The A/A control holds what the baseline's worker holds as well, in an order of its own: so the two
        differ in nothing but the draw.

        Raises:
            _Again: a worker died.
        """
        taken: dict[str, Taken] = {}
        held = self._by_worker(entries)
        for name in self._shuffled(list(held)):
            others = self._beside_control(held[name], entries)
            for entry in self._shuffled([*held[name], *others]):
                if entry in others:
                    self._prove(name, entry, blamed=held[name][0])
                elif (proved := self._prove(name, entry, blamed=entry)) is not None:
                    taken[entry.id] = Taken(proved)
        return taken

    def _take_all(self, session: Session, taken: dict[str, Taken], rounds: int) -> dict[str, float]:
        """Have every entry take its values, round by round; return what the machine's gates read meanwhile.

        Raises:
            _Again: a worker died.
        """
        slow = {entry.id for entry in session.entries if self._ledger.per_call_ns(entry) > SLOW_CALL_NS}
        accelerated = {entry.id for entry in session.entries if self._arms[entry.arm].device != "cpu"}
        before = gates.read()
        for number in range(rounds):
            order = round_order(session, number, self._order, slow=slow, accelerated=accelerated)
            for place, entry in enumerate(order):
                if entry.id not in taken:
                    continue
                value = self._turn(entry, taken[entry.id])
                if value is None:
                    del taken[entry.id]
                    continue
                taken[entry.id].visits.append((number, place, value))
                if value.per_call_ns > SLOW_CALL_NS:
                    slow.add(entry.id)
        return gates.between(before, gates.read())

    def _prove(self, name: str, entry: Entry, *, blamed: Entry) -> Proved | None:
        """Have an entry proved and held. Where another is ``blamed`` for a crash, this one takes no values.

        Raises:
            _Again: the worker died, or must not go on.
        """
        process, counts = self._processes[name], entry is blamed
        if counts:
            self._blocks.progress.measuring(self._number, entry)
        if process.state is None:
            self.await_ready(name)
        if isinstance(process.state, Refused):
            if counts:
                self._fail(entry, process.state)
            return None
        if not process.child.alive:  # it died in the session before, or at the entry before
            self._revive(name)
            raise _Again
        work = self._ledger.work(entry)
        calibration = self._ledger.calibrations.get(work)
        job = self._blocks.jobs.prove(entry, self._arms[entry.arm], calibration)
        begun = time.perf_counter()
        reply: Proved | Refused = process.ask(job, Proved)
        if isinstance(reply, Refused):
            if counts or not process.child.alive:
                self._refuse(blamed, reply)
            return None
        if not counts:
            return None
        self._blocks.costs.prove_s[entry.id] = time.perf_counter() - begun - reply.calibration_ns / 1e9
        if calibration is None:  # at once: its twin is the same work
            self._ledger.calibrations[work] = reply
        return reply

    def _turn(self, entry: Entry, taken: Taken) -> Value | None:
        """Have an entry take its value of a round; None where it failed.

        Raises:
            _Again: the worker died, or must not go on.
        """
        which, n_calls = taken.next_batch, taken.proved.n_calls
        rewarm = self._ledger.calibrations[self._ledger.work(entry)].rewarm_calls
        turn = Turn(entry.id, which, n_calls, rewarm, self._blocks.jobs.after(entry.case, n_calls, which))
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
        """Release what a worker holds; where something in its process changed, all its values are invalid."""
        if not process.child.alive:
            return
        reply: Closed | Refused = process.ask(Close(), Closed)
        # one that died has given its values: the next session starts another
        if isinstance(reply, Closed) and reply.changed:
            for entry in entries:
                self._fail(entry, Refused("invalid", f"its process changed: {reply.changed}"))
            process.child.stop()

    def _refuse(self, entry: Entry, reply: Refused) -> None:
        """Write why an entry has no values.

        Raises:
            _Again: the worker died or must not go on. What it still holds would be missing for the next
                entry, and a process that was changed measures something else.
        """
        self._fail(entry, reply)
        child = self._process(entry).child
        if reply.status in ("oom", "invalid"):
            child.stop()
        if not child.alive:
            raise _Again

    def _fail(self, entry: Entry, reply: Refused) -> None:
        """Write why an entry has no values in this block."""
        self._failed.add(entry.id)
        words = without_person(self._process(entry).child.last_words())
        reason = without_person(reply.reason)
        self._blocks.write(Failure(self._number, entry.id, reply.status, reason, reply.checks, words))

    def _process(self, entry: Entry) -> WorkerProcess:
        return self._processes[self._worker[entry.id]]

    def _probe(self, probe: Probe) -> None:
        """Have a library's basic operations timed; where that fails, write why. No entry is lost by it."""
        arm, begun = self._arms[probe.arm], time.perf_counter()
        names = [worker_name(arm, alone=alone) for alone in (self._plan.isolate, True)]
        reply: Measured | Refused = Refused("missing", "nothing of its library could be measured")
        if processes := [self._processes[name] for name in names if name in self._processes]:
            if isinstance(processes[0].state, Worker) and not processes[0].child.alive:
                self._revive(processes[0].name)
            reply = processes[0].ask(probe_job(self._plan, probe), Measured)
        self._blocks.costs.probes_s[probe.arm] = time.perf_counter() - begun
        self._write_rates(probe.arm, probe.case, reply)

    def _probe_best_rates(self) -> None:
        """Time the products that bound how quick a call can be, for every library, place and dtype."""
        places: set[tuple[str, str, int, str]] = set()
        for name, entries in self._held.items():
            process = self._processes[name]
            for entry in entries:
                arm, dtype = self._arms[entry.arm], entry.case.dtype
                place = (arm.library, arm.device, arm.threads, dtype)
                if place in places or not (isinstance(process.state, Worker) and process.child.alive):
                    continue
                places.add(place)
                cases = [other.case for other in entries if other.case.dtype == dtype]
                wanted = list(
                    dict.fromkeys(kernel for case in cases for kernel in honesty.probe_wanted(case))
                )
                job = ProbeJob(arm.device, dtype, wanted, of_thread=arm.device == "cpu")
                reply = process.ask(job, Measured)
                if isinstance(reply, Measured):  # else its entries will tell why
                    self._write_rates(arm.id, entry.case, reply)

    def _write_rates(self, arm: str, case: Case, reply: Measured | Refused) -> None:
        primitives, reason = (
            ([], without_person(reply.reason)) if isinstance(reply, Refused) else (reply.primitives, "")
        )
        self._blocks.write(Rates(self._number, arm, case, primitives, reason))

    def _revive(self, name: str) -> None:
        """Put another worker in the place of one that has died."""
        self._processes[name].child.stop()
        self._processes[name].start()
        self.await_ready(name)

    def _worker_of(self, entry: Entry) -> str:
        """Return the worker that holds an entry."""
        arm = self._arms[entry.arm]
        own = catalog.find(arm.spec).alone or self._ledger.failures[entry.id] > 0
        return worker_name(arm, alone=self._plan.isolate or own)

    def _left(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the entries that have not failed."""
        return [e for e in entries if e.id not in self._failed and e.id not in self._ledger.lost]

    def _by_worker(self, entries: Iterable[Entry]) -> dict[str, list[Entry]]:
        held: dict[str, list[Entry]] = {}
        for entry in entries:
            held.setdefault(self._worker[entry.id], []).append(entry)
        return held

    def _beside_control(self, held: Sequence[Entry], entries: Sequence[Entry]) -> list[Entry]:
        """Return what the A/A control holds beside its own: its originals' neighbours that are known to run.

        Nothing where it failed before, which may have been a neighbour's doing.
        """
        arms, work, failures = self._arms, self._ledger.work, self._ledger.failures
        own = {work(e) for e in held if arms[e.arm].twin and not failures[e.id]}
        originals = [e for e in entries if work(e) in own and not arms[e.arm].twin]
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
