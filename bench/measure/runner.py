"""The runner: drives a plan block by block and writes every burst to the journal as it comes.

In a block every arm gets a fresh worker; all start and import together. Then groups are visited in
shuffled order and, within a group, its entries in shuffled order, one burst each, one worker awake at
a time. A worker that crashes, hangs or disagrees becomes a status; the others go on.
"""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, Protocol

from bench.case import Case
from bench.errors import UserError
from bench.measure.budget import Costs, active, decide, trimmed
from bench.measure.environ import worker_environment
from bench.measure.inputs import JobMaker
from bench.measure.machine import usable_cpus, utc_now
from bench.measure.messages import Done, Ready, Refused
from bench.measure.plan import fewest_blocks
from bench.measure.process import WorkerError, WorkerProcess
from bench.measure.signals import Terminated, undisturbed
from bench.results.record import AnyRecord, Arm, Burst, Decision, End, Entry, Failure, Group, Plan, Worker

READY_DEADLINE_S = 120.0
BURST_DEADLINE_S = 120.0
TERMINATED = "ended by a signal"  # the reason of an End


class Progress(Protocol):
    """What the runner tells whoever watches."""

    def starting(self, block: int, blocks: int) -> None:
        """A block's workers are being started."""

    def measuring(self, block: int, entry: Entry) -> None:
        """An entry is about to take its burst."""

    def decided(self, decision: Decision) -> None:
        """Block 0 is over, and this is what it decided."""


class Runner:
    """One run of a plan; ``write`` appends a record to the journal, ``keep`` names variables to pass on."""

    def __init__(
        self,
        plan: Plan,
        write: Callable[[AnyRecord], None],
        progress: Progress,
        *,
        keep: Collection[str] = (),
        ready_deadline_s: float = READY_DEADLINE_S,
        burst_deadline_s: float = BURST_DEADLINE_S,
    ) -> None:
        self._plan = plan
        self._write = write
        self._progress = progress
        self._keep = keep
        self._ready_deadline_s = ready_deadline_s
        self._burst_deadline_s = burst_deadline_s
        self._arms = {arm.id: arm for arm in plan.arms}
        self._n_calls: dict[tuple[str, str, int, Case], int] = {}  # frozen in block 0; a twin shares it
        self._entries_s: dict[str, float] = {}  # by entry, what a burst costs
        self._rehearsals: dict[str, Case] = {}  # by arm, what its workers bind while they start
        self._compiled = False  # whether a worker compiled
        self._ready_s: dict[str, float] = {}  # by arm, the processor time until it was ready in block 0
        self._bursts: list[Burst] = []
        self._failures: Counter[str] = Counter()
        self._lost: set[str] = set()  # entries that are not tried again

    def run(self) -> End:
        """Measure everything; return how it ended, which is also the journal's last line."""
        started = time.perf_counter()
        status: Literal["complete", "partial", "interrupted"] = "complete"
        try:
            with tempfile.TemporaryDirectory(prefix="rnnbench-") as folder:
                reason = self._measure(JobMaker(Path(folder)), started)
        except KeyboardInterrupt as stop:
            status = "interrupted"
            reason = TERMINATED if isinstance(stop, Terminated) else "stopped by the user"
        if status == "complete" and self._failures:
            status, reason = "partial", f"{_count(self._failures.total())} failed; {reason}"
        end = End(status, reason, round(time.perf_counter() - started, 1), utc_now())
        self._write(end)
        return end

    def _measure(self, jobs: JobMaker, started: float) -> str:
        """Block 0, the decision, the counted blocks; return why it stopped there."""
        plan = self._plan
        provable = [group for group in plan.groups if self._provable(group, jobs)]
        if not provable:
            return "no case can be proved"
        for entry in (entry for group in reversed(provable) for entry in reversed(group.entries)):
            self._rehearsals[entry.arm] = entry.case  # the first entry of each arm stays
        start_s = self._block(0, plan.blocks, provable, self._used(provable), jobs)
        if self._compiled:  # from nothing only in this block; the others start as their imports let them
            start_s = min(start_s, sum(self._ready_s.values()) / usable_cpus())
        costs = Costs(start_s, self._entries_s, time.perf_counter() - started, self._ready_s)
        decision = decide(plan, self._bursts, costs)
        self._write(decision)
        self._progress.decided(decision)

        groups = trimmed(provable, decision)
        fewest = fewest_blocks(groups) if plan.verdicts else 1
        for (_, device, _, case), n_calls in self._n_calls.items():
            jobs.job(case, device, n_calls)  # the trajectories: computed now, not between two bursts
        for block in range(1, decision.blocks + 1):
            begun = time.perf_counter()
            now = active(groups, block)
            self._block(block, decision.blocks, now, self._used(now), jobs)
            ended = time.perf_counter()
            over = plan.budget_s is not None and (ended - started) + (ended - begun) > plan.budget_s
            if over and fewest <= block < decision.blocks:
                return f"the time budget of {plan.budget_s:g} s ended the run after {block} blocks"
        reason = f"{decision.blocks} blocks were measured"
        if plan.budget_s is not None and time.perf_counter() - started > plan.budget_s:
            reason += f", beyond the time budget of {plan.budget_s:g} s: verdicts need as many"
        return reason

    def _block(self, block: int, blocks: int, groups: list[Group], arms: list[Arm], jobs: JobMaker) -> float:
        """One block; return the seconds until every worker was ready."""
        order = random.Random(f"{self._plan.seed}:{block}")
        workers: dict[str, WorkerProcess] = {}
        self._progress.starting(block, blocks)
        begun = time.perf_counter()
        try:
            for arm in order.sample(arms, len(arms)):
                workers[arm.id] = self._start(arm, jobs)
            reasons = {arm_id: self._await_ready(block, worker) for arm_id, worker in workers.items()}
            start_s = time.perf_counter() - begun

            position = 0
            for group in order.sample(groups, len(groups)):
                for entry in order.sample(group.entries, len(group.entries)):
                    if entry.arm not in workers or entry.id in self._lost:
                        continue
                    if not workers[entry.arm].alive:  # it died on an earlier entry
                        workers[entry.arm].stop()
                        workers[entry.arm] = self._start(self._arms[entry.arm], jobs)
                        reasons[entry.arm] = self._await_ready(block, workers[entry.arm])
                    if failure := reasons[entry.arm]:
                        self._fail(block, entry, failure, workers[entry.arm])
                        continue
                    self._progress.measuring(block, entry)
                    self._burst(block, position, entry, workers[entry.arm], jobs)
                    position += 1
        finally:
            with undisturbed():
                for worker in workers.values():
                    worker.terminate()
                for worker in workers.values():
                    worker.stop()
        return start_s

    def _provable(self, group: Group, jobs: JobMaker) -> bool:
        """Make the inputs of a group; where that cannot be, write why for each entry."""
        try:
            for entry in group.entries:
                jobs.job(entry.case, self._arms[entry.arm].device, None)
        except UserError as error:
            for entry in group.entries:
                self._failures[entry.id] += 1
                self._write(Failure(0, entry.id, "missing", str(error)))
            return False
        return True

    def _used(self, groups: list[Group]) -> list[Arm]:
        """The arms that have an entry in the groups."""
        used = {entry.arm for group in groups for entry in group.entries}
        return [arm for arm in self._plan.arms if arm.id in used]

    def _start(self, arm: Arm, jobs: JobMaker) -> WorkerProcess:
        """Start a worker; it rehearses the arm's first entry that can be proved."""
        rehearsal = jobs.job(self._rehearsals[arm.id], arm.device, None)
        environment = worker_environment(arm.threads, keep=self._keep, compiled=jobs.compiled)
        return WorkerProcess(arm, rehearsal, environment.variables)

    def _await_ready(self, block: int, worker: WorkerProcess) -> WorkerError | None:
        """Wait until the worker is ready and let it sleep; return the error if it does not get there."""
        try:
            reply = worker.receive(self._ready_deadline_s)
        except WorkerError as error:
            worker.stop()  # or it would stay awake beside the others
            return error
        worker.pause()
        if not isinstance(reply, Ready):
            return WorkerError("crashed", "its first message was not that it is ready")
        if block == 0:
            self._compiled |= reply.compile_ns > 0
            self._ready_s[worker.arm.id] = reply.ready_ns / 1e9
        self._write(Worker(block, worker.arm.id, worker.pid, reply.ready_ns, reply.facts, reply.compile_ns))
        return None

    def _burst(self, block: int, position: int, entry: Entry, worker: WorkerProcess, jobs: JobMaker) -> None:
        """Have one entry proved and timed, and write what came of it."""
        work = (worker.arm.spec, worker.arm.device, worker.arm.threads, entry.case)
        job = jobs.job(entry.case, worker.arm.device, self._n_calls.get(work))
        begun = time.perf_counter()
        try:
            reply = worker.ask(job, self._burst_deadline_s)
        except WorkerError as error:
            worker.stop()
            self._fail(block, entry, error, worker)
            return
        if isinstance(reply, Refused):
            self._fail(block, entry, WorkerError(reply.status, reply.reason), worker, reply)
        elif isinstance(reply, Done):
            self._n_calls.setdefault(work, reply.n_calls)
            self._entries_s[entry.id] = time.perf_counter() - begun - reply.calibration_ns / 1e9
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
            )
            self._bursts.append(burst)
            self._write(burst)

    def _fail(
        self,
        block: int,
        entry: Entry,
        error: WorkerError,
        worker: WorkerProcess,
        refused: Refused | None = None,
    ) -> None:
        """Write why an entry has no values. What crashed gets one more chance, in the next block."""
        self._failures[entry.id] += 1
        if error.status != "crashed" or self._failures[entry.id] > 1:
            self._lost.add(entry.id)
        checks = refused.checks if refused else []
        failure = Failure(block, entry.id, error.status, str(error), checks, worker.stderr_tail())
        self._write(failure)


def _count(bursts: int) -> str:
    return "1 burst" if bursts == 1 else f"{bursts} bursts"
