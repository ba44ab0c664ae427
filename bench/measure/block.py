"""A block: a fresh worker for every arm, then one burst of every entry, in an order drawn from the seed.

All workers start and import together. Then groups are visited in shuffled order and, within a group, its
entries in shuffled order, one worker awake at a time; the probes come last. A worker that crashes, hangs or
disagrees becomes a status; the others go on.
"""

import random
import time
from collections.abc import Callable, Collection
from typing import Protocol

from bench.case import Case
from bench.host.environ import without_person, worker_environment
from bench.measure.inputs import JobMaker
from bench.measure.ledger import Ledger
from bench.measure.limits import probe_job, probing
from bench.measure.messages import Done, Measured, Ready, Refused
from bench.measure.process import WorkerError, WorkerProcess
from bench.measure.signals import undisturbed
from bench.results.record import (
    AnyRecord,
    Arm,
    Burst,
    Decision,
    Entry,
    Failure,
    Group,
    Plan,
    Primitive,
    Probe,
    Rates,
    Worker,
)

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
        workers: dict[str, WorkerProcess] = {}
        used = {entry.arm for group in groups for entry in group.entries}
        arms = [arm for arm in self._plan.arms if arm.id in used]
        self._progress.starting(block, blocks)
        begun = time.perf_counter()
        try:
            for arm in order.sample(arms, len(arms)):
                workers[arm.id] = self._start(arm)
            reasons = {arm_id: self._await_ready(block, worker) for arm_id, worker in workers.items()}
            start_s = time.perf_counter() - begun

            position = 0
            for group in order.sample(groups, len(groups)):
                for entry in order.sample(group.entries, len(group.entries)):
                    if entry.id in self._ledger.lost:
                        continue
                    if not workers[entry.arm].alive:  # it died on an earlier entry
                        reasons[entry.arm] = self._revive(block, entry.arm, workers)
                    if failure := reasons[entry.arm]:
                        self._fail(block, entry, failure, workers[entry.arm])
                        continue
                    self._progress.measuring(block, entry)
                    self._burst(block, position, entry, workers[entry.arm])
                    position += 1
            for probe in probing(self._plan.probes, groups, block):
                if reasons[probe.arm] is None and not workers[probe.arm].alive:
                    reasons[probe.arm] = self._revive(block, probe.arm, workers)
                self._probe(block, probe, workers[probe.arm], reasons[probe.arm])
        finally:
            with undisturbed():
                for worker in workers.values():
                    worker.terminate()
                for worker in workers.values():
                    worker.stop()
        return start_s

    def _start(self, arm: Arm) -> WorkerProcess:
        """Start a worker; it rehearses the arm's first entry that can be proved."""
        rehearsal = self._jobs.job(self._rehearsals[arm.id], arm, None)
        environment = worker_environment(arm.threads, keep=self._keep, compiled=self._jobs.compiled)
        return WorkerProcess(arm, rehearsal, environment.variables)

    def _revive(self, block: int, arm: str, workers: dict[str, WorkerProcess]) -> WorkerError | None:
        """Put another worker in the place of a dead one; return the error if it does not get ready."""
        dead = workers[arm]
        dead.stop()
        workers[arm] = self._start(dead.arm)
        return self._await_ready(block, workers[arm])

    def _await_ready(self, block: int, worker: WorkerProcess) -> WorkerError | None:
        """Wait until the worker is ready and let it sleep; return the error if it does not get there."""
        try:
            reply = worker.receive(self._ready_deadline_s)
        except WorkerError as error:
            worker.stop()  # or it would stay awake beside the others
            return error
        worker.pause()
        if isinstance(reply, Refused):
            return WorkerError(reply.status, reply.reason)
        if not isinstance(reply, Ready):
            return WorkerError("crashed", "its first message was not that it is ready")
        started = (reply.ready_ns, reply.facts, reply.compile_ns, reply.compile_cpu_ns)
        self._write(Worker(block, worker.arm.id, worker.pid, *started))
        return None

    def _burst(self, block: int, position: int, entry: Entry, worker: WorkerProcess) -> None:
        """Have one entry proved and timed, and write what came of it."""
        found = self._ledger.found.get(self._ledger.work(entry))
        job = self._jobs.job(entry.case, worker.arm, found)
        begun = time.perf_counter()
        try:
            reply = worker.ask(job, self._burst_deadline_s)
        except WorkerError as error:
            worker.stop()
            self._fail(block, entry, error, worker)
            return
        if isinstance(reply, Refused):
            self._fail(block, entry, WorkerError(reply.status, reply.reason), worker, reply)
            if reply.status == "oom":
                worker.stop()  # what it still holds must not be missing for the next entry
        elif isinstance(reply, Done):
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

    def _probe(self, block: int, probe: Probe, worker: WorkerProcess, unready: WorkerError | None) -> None:
        """Have a library's basic operations timed; where that fails, write why. No entry is lost by it."""
        primitives: list[Primitive] = []
        begun, reason = time.perf_counter(), ""
        try:
            if unready is not None:
                raise unready
            reply = worker.ask(probe_job(self._plan, probe), self._burst_deadline_s)
            if isinstance(reply, Measured):
                primitives = reply.primitives
            elif isinstance(reply, Refused):
                reason = reply.reason
        except WorkerError as error:
            worker.stop()
            reason = str(error)
        self.probes_s[probe.arm] = time.perf_counter() - begun
        self._write(Rates(block, probe.arm, probe.case, primitives, without_person(reason)))

    def _fail(
        self,
        block: int,
        entry: Entry,
        error: WorkerError,
        worker: WorkerProcess,
        refused: Refused | None = None,
    ) -> None:
        """Write why an entry has no values."""
        checks = refused.checks if refused else []
        said = without_person(worker.stderr_tail())
        self._write(Failure(block, entry.id, error.status, without_person(str(error)), checks, said))

    def _write(self, record: AnyRecord) -> None:
        self._append(record)
        self._ledger.note(record)
