"""A block: a fresh worker for every arm, then one burst of every entry, in an order drawn from the seed.

All workers start and import together. Then groups are visited in shuffled order and, within a group, its
entries in shuffled order, one worker awake at a time; the probes come last. A worker that crashes, hangs or
disagrees becomes a status; the others go on.
"""

import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import msgspec

from bench.case import Case
from bench.host.child import Child, ChildError
from bench.host.environ import without_person, worker_environment
from bench.host.signals import undisturbed
from bench.measure.inputs import JobMaker
from bench.measure.ledger import Ledger
from bench.measure.limits import probe_job, probing
from bench.measure.messages import AnyJob, Done, Measured, Ready, Refused
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
    Primitive,
    Probe,
    Rates,
    Status,
    Worker,
)

WORKER = "bench.measure.worker"
READY_DEADLINE_S = 120.0
BURST_DEADLINE_S = 120.0


class Progress(Protocol):
    """What the runner tells whoever watches."""

    def starting(self, block: int, blocks: int) -> None:
        """A block's workers are being started."""

    def measuring(self, block: int, entry: Entry) -> None:
        """An entry is about to take its burst."""

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
        self._rehearsals: dict[str, Case] = {}  # by arm, what its workers bind while they start
        self.entries_s: dict[str, float] = {}  # by entry, what its last burst cost without calibration
        self.probes_s: dict[str, float] = {}  # by arm, what its last probe cost

    def rehearse(self, groups: list[Group]) -> None:
        """Let every arm bind its first entry in these groups while it starts: they can be proved."""
        for entry in (entry for group in reversed(groups) for entry in reversed(group.entries)):
            self._rehearsals[entry.arm] = entry.case

    def run(self, block: int, blocks: int, groups: list[Group]) -> float:
        """One block; return the seconds until every worker was ready."""
        order = random.Random(f"{self._plan.seed}:{block}")
        workers: dict[str, Child] = {}
        used = {entry.arm for group in groups for entry in group.entries}
        arms = [arm for arm in self._plan.arms if arm.id in used]
        self._progress.starting(block, blocks)
        begun = time.perf_counter()
        try:
            for arm in order.sample(arms, len(arms)):
                workers[arm.id] = self._start(arm)
            by_id = {arm.id: arm for arm in arms}
            reasons = {name: self._await_ready(block, by_id[name], workers[name]) for name in workers}
            start_s = time.perf_counter() - begun

            position = 0
            for group in order.sample(groups, len(groups)):
                for entry in order.sample(group.entries, len(group.entries)):
                    if entry.id in self._ledger.lost:
                        continue
                    if not workers[entry.arm].alive:  # it died on an earlier entry
                        reasons[entry.arm] = self._revive(block, by_id[entry.arm], workers)
                    if failure := reasons[entry.arm]:
                        self._fail(block, entry, workers[entry.arm], failure.status, str(failure))
                        continue
                    self._progress.measuring(block, entry)
                    self._burst(block, position, entry, by_id[entry.arm], workers[entry.arm])
                    position += 1
            for probe in probing(self._plan.probes, groups, block):
                if reasons[probe.arm] is None and not workers[probe.arm].alive:
                    reasons[probe.arm] = self._revive(block, by_id[probe.arm], workers)
                self._probe(block, probe, workers[probe.arm], reasons[probe.arm])
        finally:
            with undisturbed():
                for worker in workers.values():
                    worker.terminate()
                for worker in workers.values():
                    worker.stop()
        return start_s

    def _start(self, arm: Arm) -> Child:
        """Start a worker; it rehearses the arm's first entry that can be proved."""
        rehearsal = msgspec.json.encode(self._jobs.job(self._rehearsals[arm.id], arm, None)).decode()
        environment = worker_environment(arm.threads, keep=self._keep, compiled=self._jobs.compiled)
        return Child(WORKER, [arm.spec, str(arm.threads), rehearsal], environment.variables)

    def _revive(self, block: int, arm: Arm, workers: dict[str, Child]) -> ChildError | None:
        """Put another worker in the place of a dead one; return the error if it does not get ready."""
        workers[arm.id].stop()
        workers[arm.id] = self._start(arm)
        return self._await_ready(block, arm, workers[arm.id])

    def _await_ready(self, block: int, arm: Arm, worker: Child) -> ChildError | None:
        """Wait until the worker is ready and let it sleep; return the error if it does not get there."""
        try:
            ready: Ready | Refused = worker.receive(Ready | Refused, self._ready_deadline_s)
        except ChildError as error:
            worker.stop()  # or it would stay awake beside the others
            return error
        worker.pause()
        if isinstance(ready, Refused):
            return ChildError("oom" if ready.status == "oom" else "crashed", ready.reason)
        started = (ready.ready_ns, ready.facts, ready.compile_ns, ready.compile_cpu_ns)
        self._write(Worker(block, arm.id, worker.pid, *started))
        return None

    def _ask(self, worker: Child, job: AnyJob, expected: Any) -> Any:
        """Wake the worker for one job; one that fails at it is stopped.

        Raises:
            ChildError: it gave no usable reply.
        """
        worker.resume()
        try:
            reply = worker.ask(job, expected, self._burst_deadline_s)
        except ChildError:
            worker.stop()
            raise
        worker.pause()
        return reply

    def _burst(self, block: int, position: int, entry: Entry, arm: Arm, worker: Child) -> None:
        """Have one entry proved and timed, and write what came of it."""
        found = self._ledger.found.get(self._ledger.work(entry))
        job = self._jobs.job(entry.case, arm, found)
        begun = time.perf_counter()
        try:
            reply: Done | Refused = self._ask(worker, job, Done | Refused)
        except ChildError as error:
            self._fail(block, entry, worker, error.status, str(error))
            return
        if isinstance(reply, Refused):
            self._fail(block, entry, worker, reply.status, reply.reason, reply.checks)
            if reply.status == "oom":
                worker.stop()  # what it still holds must not be missing for the next entry
            return
        self.entries_s[entry.id] = time.perf_counter() - begun - reply.calibration_ns / 1e9
        burst = Burst(
            block=block,
            entry=entry.id,
            position=position,
            status=reply.status,
            n_calls=reply.n_calls,
            elapsed_ns=reply.elapsed_ns,
            first_call_ns=reply.first_call_ns,
            warmup_calls=reply.warmup_calls,
            residual_ns=reply.residual_ns,
            cpu_ns=reply.cpu_ns,
            device=reply.device,
            digest=job.digest,
            checks=reply.checks,
            gates=reply.gates,
            flags=reply.flags,
            disturbed=reply.disturbed,
            settled=found.settled if found else reply.settled,
            transfer_ns=reply.transfer_ns,
            cold_call_ns=reply.cold_call_ns,
        )
        self._write(burst)

    def _probe(self, block: int, probe: Probe, worker: Child, unready: ChildError | None) -> None:
        """Have a library's basic operations timed; where that fails, write why. No entry is lost by it."""
        primitives: list[Primitive] = []
        begun, reason = time.perf_counter(), ""
        try:
            if unready is not None:
                raise unready
            reply: Measured | Refused = self._ask(worker, probe_job(self._plan, probe), Measured | Refused)
            if isinstance(reply, Measured):
                primitives = reply.primitives
            else:
                reason = reply.reason
        except ChildError as error:
            reason = str(error)
        self.probes_s[probe.arm] = time.perf_counter() - begun
        self._write(Rates(block, probe.arm, probe.case, primitives, without_person(reason)))

    def _fail(
        self,
        block: int,
        entry: Entry,
        worker: Child,
        status: Status,
        reason: str,
        checks: Sequence[Check] = (),
    ) -> None:
        """Write why an entry has no values."""
        words = without_person(worker.last_words())
        self._write(Failure(block, entry.id, status, without_person(reason), list(checks), words))

    def _write(self, record: AnyRecord) -> None:
        self._append(record)
        self._ledger.note(record)
