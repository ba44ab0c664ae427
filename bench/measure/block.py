"""A block: fresh workers, which prove and hold their entries, and rounds in which each takes one value.

All workers start and import together; from then on one is awake at a time. Sessions come in shuffled order.
In each, workers prove what they hold; then every round visits all entries in an order of its own. What is
taken is written when a session ends. Where a worker dies, its entry has failed, and the session begins anew.
"""

import math
import random
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

from bench import catalog
from bench.case import Case
from bench.host import gates
from bench.host.child import Child, ChildError
from bench.host.environ import without_person, worker_environment
from bench.host.signals import undisturbed
from bench.measure import honesty
from bench.measure.costs import Costs
from bench.measure.held import rewarm_step
from bench.measure.inputs import Calibration, JobMaker
from bench.measure.ledger import Ledger
from bench.measure.limits import probe_job, probing
from bench.measure.messages import Close, Closed, Job, Measured, ProbeJob, Proved, Ready, Refused, Turn, Value
from bench.measure.schedule import SLOW_CALL_NS, Session, round_order, sessions, worker_name
from bench.measure.worker import Setup
from bench.results.declared import measured_as
from bench.results.record import (
    AnyRecord,
    Arm,
    Burst,
    Check,
    Decision,
    Entry,
    Failure,
    Group,
    Plan,
    Probe,
    Rates,
    Status,
    Worker,
)

WORKER = "bench.measure.worker"
READY_DEADLINE_S = 120.0
BURST_DEADLINE_S = 120.0
REWARMED = 1.03  # a re-warming step within 3 % of the value after it is warm


class Progress(Protocol):
    """What the runner tells whoever watches."""

    def starting(self, block: int, blocks: int) -> None:
        """A block's workers are being started."""

    def measuring(self, block: int, entry: Entry) -> None:
        """An entry is about to be proved; its values follow."""

    def decided(self, decision: Decision) -> None:
        """Block 0 is over, and this is what it decided."""


class _Again(Exception):
    """A worker died or may not go on: the session begins anew without the entry, which has failed."""


@dataclass(slots=True)
class _Taken:
    """What an entry has given so far in this block."""

    proved: Proved
    n_calls: int
    values: list[Value] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


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
        burst_deadline_s: float = BURST_DEADLINE_S,
    ) -> None:
        self._plan = plan
        self._append = write
        self._progress = progress
        self._jobs = jobs
        self._ledger = ledger
        self._keep = keep
        self._ready_deadline_s = ready_deadline_s
        self._burst_deadline_s = burst_deadline_s
        self._arms = {arm.id: arm for arm in plan.arms}
        self._measured_as = measured_as(plan.groups)
        self._accelerated = {
            entry.id
            for group in plan.groups
            for entry in group.entries
            if self._arms[entry.arm].device != "cpu"
        }
        self._compiles = {arm.id for arm in plan.arms if catalog.find(arm.spec).compiles}
        self._workers: dict[str, Child] = {}
        self._unready: dict[str, ChildError] = {}  # workers that did not get ready, and why
        self._failed: set[str] = set()  # entries, in this block
        self.costs = Costs()

    def run(
        self,
        block: int,
        blocks: int,
        groups: list[Group],
        rounds: int,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """One block of so many rounds; ``costs`` has what its parts took, from ``started`` on that of starting."""
        order = random.Random(f"{self._plan.seed}:{block}")
        parts = sessions(groups, self._measured_as.__getitem__)
        entries = [entry for part in parts for entry in part.entries if entry.id not in self._ledger.lost]
        self._failed, self._unready = set(), {}
        self._progress.starting(block, blocks)
        begun = time.perf_counter()
        try:
            names = list(dict.fromkeys(self._worker_of(entry) for entry in entries))
            for name in order.sample(names, len(names)):
                self._start(name, entries)
            for name in names:
                self._await_ready(block, name, entries)
            self.costs.start_s = time.perf_counter() - begun
            started()
            for part in order.sample(parts, len(parts)):
                self._session(block, part, rounds, order)
            for probe in probing(self._plan.probes, groups, block):
                self._probe(block, probe, entries)
        finally:
            with undisturbed():
                for worker in self._workers.values():
                    worker.terminate()
                for worker in self._workers.values():
                    worker.stop()
            self._workers = {}

    def _worker_of(self, entry: Entry) -> str:
        arm = self._arms[entry.arm]
        own = arm.id in self._compiles or ":" in arm.spec or self._ledger.failures[entry.id] > 0
        return worker_name(arm, alone=self._plan.isolate or own)

    def _start(self, name: str, entries: Sequence[Entry]) -> None:
        """Start a worker; it rehearses the first of its entries."""
        first = next(entry for entry in entries if self._worker_of(entry) == name)
        arm = self._arms[first.arm]
        rehearsal = self._jobs.prove(first, arm, None)
        setup = msgspec.json.encode(Setup(arm.library, arm.device, arm.threads, rehearsal)).decode()
        environment = worker_environment(arm.threads, keep=self._keep, compiled=self._jobs.compiled)
        self._workers[name] = Child(WORKER, [setup], environment.variables)

    def _await_ready(self, block: int, name: str, entries: Sequence[Entry]) -> None:
        """Wait until the worker is ready and let it sleep; note the error if it does not get there."""
        worker = self._workers[name]
        try:
            ready: Ready | Refused = worker.receive(Ready | Refused, self._ready_deadline_s)
        except ChildError as error:
            worker.stop()  # or it would stay awake beside the others
            self._unready[name] = error
            return
        worker.pause()
        if isinstance(ready, Refused):
            self._unready[name] = ChildError("oom" if ready.status == "oom" else "crashed", ready.reason)
            return
        arms = list(dict.fromkeys(entry.arm for entry in entries if self._worker_of(entry) == name))
        self.costs.ready_s[name] = (ready.ready_ns - ready.compile_cpu_ns) / 1e9
        self.costs.holds[name] = set(arms)
        started = (ready.ready_ns, ready.facts, ready.compile_ns, ready.compile_cpu_ns)
        self._write(Worker(block, name, arms, worker.pid, *started))

    def _session(self, block: int, part: Session, rounds: int, order: random.Random) -> None:
        """Measure a session, anew where a worker dies in it, and write what its entries gave."""
        while True:
            try:
                taken = self._measure(block, part, rounds, order)
                break
            except _Again:
                continue
        for entry in part.entries:
            if entry.id in taken and entry.id not in self._failed:
                self._write(taken[entry.id])

    def _measure(self, block: int, part: Session, rounds: int, order: random.Random) -> dict[str, Burst]:
        """The bursts of a session's entries.

        Raises:
            _Again: an entry failed in a way that its worker did not survive.
        """
        entries = [
            entry
            for entry in part.entries
            if entry.id not in self._failed and entry.id not in self._ledger.lost
        ]
        taken: dict[str, _Taken] = {}
        for name in order.sample(used := self._names(entries), len(used)):
            own = [entry for entry in entries if self._worker_of(entry) == name]
            held = own + self._neighbours(own, entries)
            for entry in order.sample(held, len(held)):
                self._prove(block, name, entry, taken, entries, answers=entry if entry in own else own[0])
        slow = {entry.id for entry in entries if self._ledger.per_call_ns(entry) > SLOW_CALL_NS}
        machine = gates.read()
        for number in range(rounds):
            for place, entry in enumerate(
                round_order(part, number, order, slow=slow, accelerated=self._accelerated)
            ):
                if entry.id in taken:
                    self._turn(block, number, place, entry, taken)
                    last = taken[entry.id].values[-1] if entry.id in taken else None
                    if last and last.elapsed_ns > SLOW_CALL_NS * taken[entry.id].n_calls:
                        slow.add(entry.id)
        seen = gates.between(machine, gates.read(), alone=False)
        for name in self._names(entries):
            self._close(block, name, [entry for entry in entries if entry.id in taken])
        return {
            entry.id: self._burst(block, entry, taken[entry.id], seen)
            for entry in entries
            if entry.id in taken and taken[entry.id].values
        }

    def _names(self, entries: Sequence[Entry]) -> list[str]:
        return list(dict.fromkeys(self._worker_of(entry) for entry in entries))

    def _neighbours(self, own: Sequence[Entry], entries: Sequence[Entry]) -> list[Entry]:
        """For the A/A control: what the baseline's worker holds beside the baseline, to be held here too."""
        if not any(self._arms[entry.arm].twin for entry in own):
            return []
        twins = {(entry.case, self._arms[entry.arm].spec) for entry in own}
        originals = {
            self._worker_of(entry)
            for entry in entries
            if (entry.case, self._arms[entry.arm].spec) in twins and not self._arms[entry.arm].twin
        }
        return [
            entry
            for entry in entries
            if self._worker_of(entry) in originals
            and (entry.case, self._arms[entry.arm].spec) not in twins
            and self._ledger.found.get(self._ledger.work(entry)) is not None
        ]

    def _prove(
        self,
        block: int,
        name: str,
        entry: Entry,
        taken: dict[str, _Taken],
        entries: Sequence[Entry],
        *,
        answers: Entry,
    ) -> None:
        """Have an entry proved and held. Where it is held beside another, that one ``answers`` for a crash."""
        counts = entry is answers
        if name in self._unready:
            if counts:
                failure = self._unready[name]
                self._fail(block, entry, name, failure.status, str(failure))
            return
        if counts:
            self._progress.measuring(block, entry)
        if not self._workers[name].alive:  # it died in the session before
            self._revive(block, name, entries)
        work = self._ledger.work(entry)
        found = self._ledger.found.get(work)
        begun = time.perf_counter()
        try:
            reply = self._ask(name, self._jobs.prove(entry, self._arms[entry.arm], found), Proved | Refused)
        except ChildError as error:
            self._fail(block, answers, name, error.status, str(error))
            raise _Again from error
        if not counts:
            return
        if isinstance(reply, Refused):
            self._refuse(block, entry, name, reply)
            return
        self.costs.prove_s[entry.id] = time.perf_counter() - begun - reply.calibration_ns / 1e9
        taken[entry.id] = _Taken(reply, reply.n_calls)
        if found is None:  # at once: its twin is the same work
            self._ledger.found[work] = Calibration(reply.n_calls, reply.warmup_calls, reply.settled, None)

    def _revive(self, block: int, name: str, entries: Sequence[Entry]) -> None:
        """Put another worker in the place of a dead one."""
        self._workers[name].stop()
        self._start(name, entries)
        self._await_ready(block, name, entries)
        if name in self._unready:
            raise _Again

    def _turn(self, block: int, number: int, place: int, entry: Entry, taken: dict[str, _Taken]) -> None:
        """Have an entry take its value of a round; one that fails is taken out."""
        own, name = taken[entry.id], self._worker_of(entry)
        which: Literal[0, 1] = 0 if len(own.values) % 2 else 1  # the proof left the first one there
        turn = Turn(
            key=entry.id,
            batch=which,
            n_calls=own.n_calls,
            rewarm_calls=self._ledger.found[self._ledger.work(entry)].rewarm_calls,
            after=self._jobs.after(entry.case, own.n_calls, which),
        )
        asked_ns = time.perf_counter_ns()
        try:
            reply = self._ask(name, turn, Value | Refused)
        except ChildError as error:
            self._fail(block, entry, name, error.status, str(error))
            raise _Again from error
        if isinstance(reply, Value) and (
            why := honesty.round_trip(reply.elapsed_ns, asked_ns, time.perf_counter_ns())
        ):
            reply = Refused("invalid", why)
        if isinstance(reply, Refused):
            del taken[entry.id]
            self._refuse(block, entry, name, reply)
            return
        if not own.values:  # not the first: what it loads, it loads once
            self.costs.turn_s[entry.id] = math.inf
        turn_s = (time.perf_counter_ns() - asked_ns - sum(reply.rewarm_ns)) / 1e9
        self.costs.turn_s[entry.id] = min(self.costs.turn_s[entry.id], turn_s)
        own.values.append(reply)
        own.rounds.append(number)
        own.places.append(place)

    def _close(self, block: int, name: str, entries: Sequence[Entry]) -> None:
        """Release what a worker holds; where something in its process changed, all its values are invalid."""
        if name in self._unready or not self._workers[name].alive:
            return
        try:
            reply: Closed = self._ask(name, Close(), Closed)
        except ChildError:
            return  # its values are taken; the next session starts another
        if reply.changed:
            for entry in entries:
                if self._worker_of(entry) == name:
                    self._fail(block, entry, name, "invalid", f"its process changed: {reply.changed}")
            self._workers[name].stop()

    def _refuse(self, block: int, entry: Entry, name: str, reply: Refused) -> None:
        """Write why an entry has no values.

        Raises:
            _Again: the worker cannot go on. What it still holds must not be missing for the next entry, and
                a process that was changed measures something else.
        """
        self._fail(block, entry, name, reply.status, reply.reason, reply.checks)
        if reply.status in ("oom", "invalid"):
            self._workers[name].stop()
            raise _Again

    def _ask(self, name: str, job: Job, expected: Any) -> Any:
        """Wake the worker for one job; one that fails at it is stopped.

        Raises:
            ChildError: it gave no usable reply.
        """
        worker = self._workers[name]
        worker.resume()
        try:
            reply = worker.ask(job, expected, self._burst_deadline_s)
        except ChildError:
            worker.stop()
            raise
        worker.pause()
        return reply

    def _burst(self, block: int, entry: Entry, taken: _Taken, machine: dict[str, float]) -> Burst:
        """The record of an entry's values in this block."""
        proved, values, arm = taken.proved, taken.values, self._arms[entry.arm]
        found = self._ledger.found[self._ledger.work(entry)]
        rewarm = rewarm_calls(values, taken.n_calls) if found.rewarm_calls is None else found.rewarm_calls
        elapsed_ns = [value.elapsed_ns for value in values]
        cpu_ns = sum(value.cpu_ns for value in values)
        seen = machine | {"preempted": sum(value.preempted for value in values) * 1e9 / sum(elapsed_ns)}
        if arm.device == "cpu" and arm.threads == 1 and cpu_ns:
            seen["wall_over_cpu"] = sum(elapsed_ns) / cpu_ns
        seen = {gate: round(number, 4) for gate, number in seen.items()}
        return Burst(
            block=block,
            entry=entry.id,
            status=proved.status,
            n_calls=taken.n_calls,
            elapsed_ns=elapsed_ns,
            rounds=taken.rounds,
            places=taken.places,
            first_call_ns=proved.first_call_ns,
            warmup_calls=proved.warmup_calls,
            rewarm_calls=rewarm,
            residual_ns=max(value.residual_ns for value in values),
            cpu_ns=cpu_ns,
            device=arm.device,
            digest=self._jobs.digest(entry.case),
            checks=proved.checks,
            gates=seen,
            flags=gates.fired(seen, self._plan.gates),
            settled=found.settled,
            transfer_ns=proved.transfer_ns,
            cold_call_ns=proved.cold_call_ns,
        )

    def _probe(self, block: int, probe: Probe, entries: Sequence[Entry]) -> None:
        """Have a library's basic operations timed; where that fails, write why. No entry is lost by it."""
        name = worker_name(self._arms[probe.arm], alone=self._plan.isolate)
        begun, reason, primitives = time.perf_counter(), "", []
        try:
            if name not in self._workers:
                raise ChildError("crashed", "nothing of its library could be measured")
            if name in self._unready:
                raise self._unready[name]
            if not self._workers[name].alive:
                self._revive(block, name, entries)
            reply = self._ask(name, probe_job(self._plan, probe), Measured | Refused)
            if isinstance(reply, Measured):
                primitives = reply.primitives
            else:
                reason = reply.reason
        except _Again:
            reason = str(self._unready[name])
        except ChildError as error:
            reason = str(error)
        self.costs.probes_s[probe.arm] = time.perf_counter() - begun
        self._write(Rates(block, probe.arm, probe.case, primitives, without_person(reason)))

    def _fail(
        self, block: int, entry: Entry, name: str, status: Status, reason: str, checks: Sequence[Check] = ()
    ) -> None:
        """Write why an entry has no values in this block."""
        self._failed.add(entry.id)
        words = without_person(self._workers[name].last_words())
        self._write(Failure(block, entry.id, status, without_person(reason), list(checks), words))

    def _write(self, record: AnyRecord) -> None:
        self._append(record)
        self._ledger.note(record)


def rewarm_calls(values: Sequence[Value], n_calls: int) -> int:
    """Calls after which an entry is warm again: up to the first step as quick as the value that follows.

    ``values`` are those of block 0, whose steps were timed. At least one step, at most all of them.
    """
    calls = rewarm_step(n_calls)
    steps = min(len(value.rewarm_ns) for value in values)
    for step in range(1, steps):
        ratios = [value.rewarm_ns[step] / calls / (value.elapsed_ns / n_calls) for value in values]
        if statistics.median(ratios) <= REWARMED:
            return step * calls
    return steps * calls
