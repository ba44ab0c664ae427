"""A block: fresh workers, which prove and hold their entries, and rounds in which each takes one value.

The workers start, one a processor; from then on one is awake at a time. Sessions come in shuffled order.
In each, workers prove what they hold; then every round visits all entries in an order of its own. What is
taken is written when a session ends. Where a worker dies, its entry has failed, and the session begins anew.
"""

import math
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Protocol, TypeVar

from bench.machine import clock, gates
from bench.machine.child import ChildError
from bench.machine.environ import without_person
from bench.machine.host import usable_cpus
from bench.measure import honesty
from bench.measure.costs import Costs
from bench.measure.crew import READY_DEADLINE_S, REPLY_DEADLINE_S, Crew, first_to_reply
from bench.measure.inputs import Calibration, JobMaker
from bench.measure.ledger import Ledger
from bench.measure.limits import probe_job, probing
from bench.measure.messages import (
    Close,
    Closed,
    Measured,
    ProbeJob,
    Proved,
    Ready,
    Refused,
    Setup,
    Turn,
    Value,
)
from bench.measure.schedule import SLOW_CALL_NS, Session, round_order, sessions, worker_name
from bench.measure.taken import Taken
from bench.records.record import (
    AnyRecord,
    Burst,
    Check,
    Decision,
    Entry,
    Failure,
    Group,
    Plan,
    Primitive,
    Probe,
    Rates,
    Status,
    Worker,
    measured_as,
)
from bench.workload import catalog

Item = TypeVar("Item")


class Progress(Protocol):
    """What the runner tells whoever watches."""

    def starting(self, block: int, blocks: int) -> None:
        """A block's workers are being started."""

    def measuring(self, block: int, entry: Entry) -> None:
        """An entry is about to be proved; its values follow."""

    def decided(self, decision: Decision) -> None:
        """Block 0 is over, and this is what it decided."""


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
        ready_deadline_s: float = READY_DEADLINE_S,
        reply_deadline_s: float = REPLY_DEADLINE_S,
    ) -> None:
        self.plan = plan
        self.progress = progress
        self.jobs = jobs
        self.ledger = ledger
        self.arms = {arm.id: arm for arm in plan.arms}
        self.measured_as = measured_as(plan.groups)
        self.costs = Costs(accelerated=any(arm.device != "cpu" for arm in plan.arms))
        self._append = write
        self._new_crew = partial(
            Crew,
            compiled=jobs.compiled,
            keep=keep,
            ready_deadline_s=ready_deadline_s,
            reply_deadline_s=reply_deadline_s,
        )
        self._ready_blocks: list[_Block] = []
        self._failures = 0  # when they were started
        self._start_s = self._measure_s = 0.0  # of the last start, and of the last block after it
        self.compile = {arm.id for arm in plan.arms if catalog.find(arm.spec).compiles}

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
            as_planned = self._ready_blocks and self._ready_blocks[0].groups == groups_of(number)
            if not as_planned or self._failures != self.ledger.failures.total():
                self.close()
                self._start(number, last, groups_of)
            started()
            block, begun = self._ready_blocks.pop(0), time.perf_counter()
            try:
                block.run(rounds)
            finally:
                block.crew.end()
            self._measure_s = time.perf_counter() - begun
        except BaseException:
            self.close()
            raise

    def _start(self, number: int, last: int, groups_of: Callable[[int], list[Group]]) -> None:
        """Start the workers of a block and, where that is as quick, of the next ones."""
        self._failures = self.ledger.failures.total()
        for ahead in range(number, min(last, number + (self.costs.together if number else 1) - 1) + 1):
            self._ready_blocks.append(_Block(self, ahead, groups_of(ahead), self._new_crew()))
        begun = time.perf_counter()
        to_start = [(block, name) for block in self._ready_blocks for name in block.workers]
        to_start.sort(key=lambda one: self.costs.ready_s.get(one[1], math.inf), reverse=True)
        starting: list[tuple[_Block, str]] = []
        while to_start or any(not block.may_be_late(name) for block, name in starting):
            while to_start and len(starting) < usable_cpus():  # the slowest first, one a processor
                starting.append(to_start.pop(0))
                starting[-1][0].start(starting[-1][1])
            block, name = starting.pop(first_to_reply([(block.crew, name) for block, name in starting]))
            block.await_ready(name)
        self._start_s = time.perf_counter() - begun
        self.costs.note_start(self._start_s / len(self._ready_blocks))

    @property
    def next_s(self) -> float:
        """Seconds of the next block, if it takes as long as the last one: its workers may have started."""
        return self._measure_s + (0.0 if self._ready_blocks else self._start_s)

    def close(self) -> None:
        """End the workers that wait for blocks which are not measured."""
        for block in self._ready_blocks:
            block.crew.end()
        self._ready_blocks = []

    def worker_of(self, entry: Entry) -> str:
        """The worker that holds an entry."""
        arm = self.arms[entry.arm]
        own = catalog.find(arm.spec).alone or self.ledger.failures[entry.id] > 0
        return worker_name(arm, alone=self.plan.isolate or own)

    def write(self, record: AnyRecord) -> None:
        """Append a record to the journal, and take in what it says."""
        self._append(record)
        self.ledger.note(record)


class _Again(Exception):
    """A worker died or must not go on: the session begins anew without the entry, which has failed."""


class _Block:
    """One block: what has failed in it, and which workers did not get ready."""

    def __init__(self, blocks: Blocks, number: int, groups: list[Group], crew: Crew) -> None:
        self.groups = groups
        self._blocks = blocks
        self._ledger = blocks.ledger
        self._number = number
        self.crew = crew
        self._order = random.Random(f"{blocks.plan.seed}:{number}")
        self._sessions = sessions(groups, blocks.measured_as.__getitem__)
        entries = [entry for session in self._sessions for entry in session.entries]
        self._worker = {entry.id: blocks.worker_of(entry) for entry in entries}  # whatever fails meanwhile
        self._failed: set[str] = set()  # entries
        self._unready: dict[str, ChildError] = {}  # workers, and why
        self._held = self._by_worker(self._left(entries))
        self.workers = self._shuffled(list(self._held))
        self._late: set[str] = set()  # workers that are not ready yet
        self._ready: list[Worker] = []
        self._running = False
        self._probes = probing(blocks.plan.probes, groups, number)

    def start(self, name: str) -> None:
        """Start a worker."""
        self._late.add(name)
        self.crew.start(name, self._setup(self._held[name]))

    def await_ready(self, name: str) -> None:
        """Wait for a worker, and let it sleep."""
        self._late.discard(name)
        self._get_ready(name, lambda: self.crew.await_ready(name))

    def may_be_late(self, name: str) -> bool:
        """Whether others need not wait for a worker: in block 0, where no time counts, it compiles long."""
        return self._number == 0 and any(entry.arm in self._blocks.compile for entry in self._held[name])

    def run(self, rounds: int) -> None:
        """Measure session by session, and probe."""
        for worker in self._ready:
            self._blocks.write(worker)
        self._running = True
        if self._number == 0:
            self._probe_best_rates(self._held)
        for session in sorted(self._shuffled(self._sessions), key=self._waits):
            self._session(session, rounds)
        for probe in self._probes:
            self._probe(probe)

    def _waits(self, session: Session) -> bool:
        """Whether a session needs a worker that is not ready yet."""
        return any(self._worker[entry.id] in self._late for entry in session.entries)

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
            self._close(name, [entry for entry in held if entry.id in taken])
        for entry in entries:
            if entry.id in taken and entry.id not in self._failed:
                if why := self._implausible(entry, taken[entry.id]):
                    self._fail(entry, self._worker[entry.id], "invalid", why)
                else:
                    self._blocks.write(self._burst(entry, taken[entry.id], machine))

    def _implausible(self, entry: Entry, taken: Taken) -> str:
        """Return why its times cannot be those of its work, or nothing."""
        values = [clock.Value(taken.n_calls, one.elapsed_ns, one.residual_ns) for one in taken.values]
        if self._blocks.arms[entry.arm].device != "cpu" and clock.still_busy(values):
            return f"the device was still busy for {max(v.residual_ns for v in values)} ns after a value"
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
                own = entry not in others
                proved = self._prove(name, entry, answers=entry if own else held[name][0])
                if own and proved is not None:
                    taken[entry.id] = Taken(proved)
        return taken

    def _take_all(self, session: Session, taken: dict[str, Taken], rounds: int) -> dict[str, float]:
        """Have every entry take its values, round by round; return what the machine's gates saw meanwhile.

        Raises:
            _Again: a worker died.
        """
        arms = self._blocks.arms
        slow = {entry.id for entry in session.entries if self._ledger.per_call_ns(entry) > SLOW_CALL_NS}
        accelerated = {entry.id for entry in session.entries if arms[entry.arm].device != "cpu"}
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
                taken[entry.id].add(value, number, place)
                if value.elapsed_ns > SLOW_CALL_NS * taken[entry.id].n_calls:
                    slow.add(entry.id)
        return gates.between(before, gates.read(), alone=False)

    def _prove(self, name: str, entry: Entry, *, answers: Entry) -> Proved | None:
        """Have an entry proved and held. What is held beside another has that one ``answer`` for a crash.

        Raises:
            _Again: the worker died, or must not go on.
        """
        counts = entry is answers
        if counts:
            self._blocks.progress.measuring(self._number, entry)
        if name in self._late:
            self.await_ready(name)
        if name in self._unready:
            if counts:
                self._fail(entry, name, self._unready[name].status, str(self._unready[name]))
            return None
        if not self.crew.alive(name):  # it died in the session before, or at the entry before
            self._get_ready(name, lambda: self.crew.restart(name))
            raise _Again
        work = self._ledger.work(entry)
        found = self._ledger.found.get(work)
        job = self._blocks.jobs.prove(entry, self._blocks.arms[entry.arm], found)
        begun = time.perf_counter()
        try:
            reply: Proved | Refused = self.crew.ask(name, job, Proved | Refused)
        except ChildError as error:
            self._fail(answers, name, error.status, str(error))
            raise _Again from error
        if not counts:
            return None
        if isinstance(reply, Refused):
            self._refuse(entry, name, reply)
            return None
        spent_s = time.perf_counter() - begun - reply.calibration_ns / 1e9
        self._blocks.costs.prove_s[entry.id] = spent_s
        if found is None:  # at once: its twin is the same work
            self._ledger.found[work] = Calibration(reply.n_calls, reply.warmup_calls, reply.settled, None)
        return reply

    def _turn(self, entry: Entry, taken: Taken) -> Value | None:
        """Have an entry take its value of a round; None where it failed.

        Raises:
            _Again: the worker died, or must not go on.
        """
        name, which = self._worker[entry.id], taken.next_batch
        turn = Turn(
            key=entry.id,
            batch=which,
            n_calls=taken.n_calls,
            rewarm_calls=self._ledger.found[self._ledger.work(entry)].rewarm_calls,
            after=self._blocks.jobs.after(entry.case, taken.n_calls, which),
        )
        asked_ns = time.perf_counter_ns()
        try:
            reply: Value | Refused = self.crew.ask(name, turn, Value | Refused)
        except ChildError as error:
            self._fail(entry, name, error.status, str(error))
            raise _Again from error
        replied_ns = time.perf_counter_ns()
        if isinstance(reply, Value):
            self._blocks.costs.note_turn(entry.id, replied_ns - asked_ns - sum(reply.rewarm_ns))
            if not (why := honesty.round_trip(reply.elapsed_ns, asked_ns, replied_ns)):
                return reply
            reply = Refused("invalid", why)
        self._refuse(entry, name, reply)
        return None

    def _close(self, name: str, entries: Sequence[Entry]) -> None:
        """Release what a worker holds; where something in its process changed, all its values are invalid."""
        if name in self._unready or not self.crew.alive(name):
            return
        try:
            reply: Closed = self.crew.ask(name, Close(), Closed)
        except ChildError:
            return  # its values are taken; the next session starts another
        if reply.changed:
            for entry in entries:
                self._fail(entry, name, "invalid", f"its process changed: {reply.changed}")
            self.crew.stop(name)

    def _refuse(self, entry: Entry, name: str, reply: Refused) -> None:
        """Write why an entry has no values.

        Raises:
            _Again: the worker must not go on. What it still holds would be missing for the next entry, and a
                process that was changed measures something else.
        """
        self._fail(entry, name, reply.status, reply.reason, reply.checks)
        if reply.status in ("oom", "invalid"):
            self.crew.stop(name)
            raise _Again

    def _burst(self, entry: Entry, taken: Taken, machine: dict[str, float]) -> Burst:
        arm = self._blocks.arms[entry.arm]
        return taken.burst(
            block=self._number,
            entry=entry.id,
            device=arm.device,
            digest=self._blocks.jobs.digest(entry.case),
            found=self._ledger.found[self._ledger.work(entry)],
            machine=machine,
            alone=arm.device == "cpu" and arm.threads == 1,
            limits=self._blocks.plan.gates,
        )

    def _probe(self, probe: Probe) -> None:
        """Have a library's basic operations timed; where that fails, write why. No entry is lost by it."""
        arm = self._blocks.arms[probe.arm]
        shared = worker_name(arm, alone=self._blocks.plan.isolate)
        name = shared if self.crew.has(shared) else worker_name(arm, alone=True)
        begun, reason = time.perf_counter(), "nothing of its library could be measured"
        primitives: list[Primitive] = []
        if self.crew.has(name):
            if name not in self._unready and not self.crew.alive(name):
                self._get_ready(name, lambda: self.crew.restart(name))
            try:
                if name in self._unready:
                    raise self._unready[name]
                job = probe_job(self._blocks.plan, probe)
                reply: Measured | Refused = self.crew.ask(name, job, Measured | Refused)
                primitives, reason = (
                    (reply.primitives, "") if isinstance(reply, Measured) else ([], reply.reason)
                )
            except ChildError as error:
                reason = str(error)
        self._blocks.costs.probes_s[probe.arm] = time.perf_counter() - begun
        self._blocks.write(Rates(self._number, probe.arm, probe.case, primitives, without_person(reason)))

    def _probe_best_rates(self, held: Mapping[str, Sequence[Entry]]) -> None:
        """Time the products that bound how quick a call can be, for every library, place and dtype."""
        seen: set[tuple[str, str, int, str]] = set()
        for name, entries in held.items():
            for entry in entries:
                arm, dtype = self._blocks.arms[entry.arm], entry.case.dtype
                place = (arm.library, arm.device, arm.threads, dtype)
                if place in seen or name in self._unready.keys() | self._late or not self.crew.alive(name):
                    continue
                seen.add(place)
                cases = [other.case for other in entries if other.case.dtype == dtype]
                wanted = [product for case in cases for product in honesty.probe_wanted(case)]
                unique = list(dict.fromkeys(wanted))
                try:
                    job = ProbeJob(arm.device, dtype, unique, of_thread=arm.device == "cpu")
                    reply: Measured | Refused = self.crew.ask(name, job, Measured | Refused)
                except ChildError:
                    continue  # its entries will tell why
                if isinstance(reply, Measured):
                    self._blocks.write(Rates(0, arm.id, entry.case, reply.primitives))

    def _setup(self, entries: Sequence[Entry]) -> Setup:
        """What a worker of these entries is; it rehearses the first of them."""
        arm = self._blocks.arms[entries[0].arm]
        rehearsal = self._blocks.jobs.prove(entries[0], arm, None)
        own_library = catalog.find(arm.spec).own_library
        return Setup(arm.library, arm.device, arm.threads, rehearsal, own_library)

    def _get_ready(self, name: str, wait: Callable[[], Ready]) -> None:
        """Wait for a worker, and keep that it is ready; where it does not get there, note why."""
        costs = self._blocks.costs
        try:
            ready = wait()
        except ChildError as error:
            self._unready[name] = error
            return
        arms = list(dict.fromkeys(entry.arm for entry in self._held[name]))
        costs.ready_s[name], costs.holds[name] = ready.ready_ns / 1e9, set(arms)
        started = (ready.ready_ns, ready.facts, ready.compile_ns, ready.compile_cpu_ns)
        worker = Worker(self._number, name, arms, self.crew.pid(name), *started)
        if self._running:
            self._blocks.write(worker)
        else:  # its block may begin much later, or never
            self._ready.append(worker)

    def _fail(
        self, entry: Entry, name: str, status: Status, reason: str, checks: Sequence[Check] = ()
    ) -> None:
        """Write why an entry has no values in this block."""
        self._failed.add(entry.id)
        words = self.crew.last_words(name)
        failure = Failure(self._number, entry.id, status, without_person(reason), list(checks), words)
        self._blocks.write(failure)

    def _left(self, entries: Iterable[Entry]) -> list[Entry]:
        """The entries that have not failed."""
        return [e for e in entries if e.id not in self._failed and e.id not in self._ledger.lost]

    def _by_worker(self, entries: Iterable[Entry]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in entries:
            found.setdefault(self._worker[entry.id], []).append(entry)
        return found

    def _beside_control(self, held: Sequence[Entry], entries: Sequence[Entry]) -> list[Entry]:
        """What the A/A control holds beside its own: its originals' neighbours that are known to run.

        Nothing where it failed before, which may have been a neighbour's doing.
        """
        arms, work, failures = self._blocks.arms, self._ledger.work, self._ledger.failures
        own = {work(e) for e in held if arms[e.arm].twin and not failures[e.id]}
        originals = [e for e in entries if work(e) in own and not arms[e.arm].twin]
        workers = {self._worker[entry.id] for entry in originals}
        return [
            entry
            for entry in entries
            if self._worker[entry.id] in workers
            and entry not in originals
            and work(entry) in self._ledger.found
        ]

    def _shuffled(self, items: Sequence[Item]) -> list[Item]:
        return self._order.sample(items, len(items))
