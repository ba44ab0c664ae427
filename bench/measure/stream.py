"""Measure a stream: in each block a fresh process for every arm and for the control, which take turns.

A block has slices, so that a slow phase of the machine hits all arms; in each round of slices their order is
drawn anew. One process is awake at a time. A block counts as a whole: its records are written at its end.
"""

import random
import time
from collections.abc import Callable, Mapping
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, Literal

import msgspec
import numpy as np

from bench import proof
from bench.analysis.tail import MIN_BEYOND
from bench.machine.child import Child, ChildError, end_all
from bench.machine.environ import without_person, worker_environment
from bench.machine.errors import UserError
from bench.machine.files import scratch_folder
from bench.machine.host import utc_now
from bench.machine.signals import Terminated
from bench.machine.wording import count
from bench.measure.call_times import group_for
from bench.measure.messages import Refused
from bench.measure.stream_child import EXPECTED, INPUTS, Done, Finish, Job, Pilot, Started, Take, Taken
from bench.records.record import Arm, End, Failure, Pair
from bench.records.stream import CONTROL, AnyRecord, Burst, Decision, Declaration
from bench.workload import data
from bench.workload.case import Case
from bench.workload.catalog import by_name
from bench.workload.cell import find_cell
from bench.workload.data import Array, Batch

CHILD = "bench.measure.stream_child"
START_DEADLINE_S = 300.0  # with imports, compiling and the proof
MIN_CALLS = 2 * MIN_BEYOND  # the median is shown
MOST_CALLS = 1000 * MIN_BEYOND  # the 99.9th percentile is shown; more only if they are asked for
WARM_SHARE = 10  # a slice begins with a tenth as many calls that do not count
Tell = Callable[[int, str], object]  # called with a block and what happens


def decide(
    declaration: Declaration,
    medians_ns: Mapping[str, float],
    clock_cost_ns: int,
    *,
    calls: int | None,
    seconds: float,
) -> Decision:
    """Return what is timed, by the median of each arm's first calls; ``calls`` overrules ``seconds``."""
    slowest_ns, group = max(medians_ns.values()), 1
    if declaration.rate is None:
        group = group_for(min(medians_ns.values()), clock_cost_ns)
        calls = calls or min(MOST_CALLS, int(seconds * 1e9 / (slowest_ns * group)))
    calls = max(MIN_CALLS, calls or round(seconds * (declaration.rate or 0.0)))
    rounds = declaration.rounds
    return Decision(
        calls=-(-calls // rounds) * rounds,
        group=group,
        idle_ns=round(slowest_ns),
        pairs=pairs_of(declaration.arms, medians_ns),
    )


def pairs_of(arms: list[Arm], medians_ns: Mapping[str, float]) -> list[Pair]:
    """Return which arms are compared: NumPy with each other library, as usually written and the fastest."""
    by_library: dict[str, list[Arm]] = {}
    for arm in sorted(arms, key=lambda arm: arm.library != "numpy"):
        by_library.setdefault(arm.library, []).append(arm)
    baseline, *others = (
        (
            next((arm for arm in of_one if _as_written(arm)), None),
            min(of_one, key=lambda arm: medians_ns[arm.id]),
        )
        for of_one in (
            [arm for arm in of_library if arm.id in medians_ns] for of_library in by_library.values()
        )
        if of_one
    )
    pairs: dict[tuple[str, str], Pair] = {}
    for written, fastest in others:
        if written and baseline[0]:
            pairs[written.id, baseline[0].id] = Pair("as_written", written.id, baseline[0].id)
        pairs[fastest.id, baseline[1].id] = Pair("best", fastest.id, baseline[1].id)
    return list(pairs.values())


def _as_written(arm: Arm) -> bool:
    variant = by_name(arm.spec)
    return variant is not None and variant.role == "as_written"


def reference_last(case: Case, batch: Batch, n_samples: int, group: int) -> Array:
    """Return the reference's y_t (B, O) after so many samples, each fed ``group`` times, in float64."""
    cell, exact, state = find_cell(case.cell), batch.astype("float64"), None
    options, y = cell.options(case.activation), np.zeros(0)
    for t in islice(cycle(range(case.shape.T)), n_samples):
        for _ in range(group):
            y, state = cell.reference().stream(exact.params, exact.x[t : t + 1], state=state, **options)
    return y


def measure(
    declaration: Declaration,
    write: Callable[[AnyRecord], None],
    tell: Tell,
    *,
    calls: int | None,
    seconds: float,
) -> End:
    """Measure all blocks; return how it ended, which is also the last record."""
    started = time.perf_counter()

    def end(
        status: Literal["complete", "partial", "interrupted"],
        reason: str,
        stopped_by: Literal["user", "signal"] | None = None,
    ) -> End:
        record = End(status, reason, round(time.perf_counter() - started, 1), utc_now(), 0.0, stopped_by)
        write(record)
        return record

    try:
        with scratch_folder("stream") as folder:
            blocks = _Blocks(declaration, write, tell, folder, calls, seconds)
            for block in range(1, declaration.blocks + 1):
                if blocks.alive:
                    blocks.run(block)
    except Terminated:
        return end("interrupted", "ended by a signal", "signal")
    except KeyboardInterrupt:
        return end("interrupted", "stopped by the user", "user")
    if blocks.n_failed:
        return end("partial", f"{count(blocks.n_failed, 'arm')} failed")
    return end("complete", f"{count(declaration.blocks, 'block')} measured")


class _Blocks:
    """Run blocks; an arm that fails is in no later block."""

    def __init__(
        self,
        declaration: Declaration,
        write: Callable[[AnyRecord], None],
        tell: Tell,
        folder: Path,
        calls: int | None,
        seconds: float,
    ) -> None:
        self._declaration, self._write, self._tell, self._folder = declaration, write, tell, folder
        self._calls, self._seconds = calls, seconds
        self.alive = {arm.id: arm for arm in declaration.arms}
        self.n_failed = 0
        self._order = random.Random(declaration.seed)
        self._batch = data.make(declaration.case)
        self._batch.save(folder / INPUTS)
        proof.expected(declaration.case, self._batch).save(folder / EXPECTED)
        self._decision: Decision | None = None
        self._take = Take(0, 0, 1, 0)
        self._children: dict[str, Child] = {}
        self._records: list[AnyRecord] = []

    def run(self, block: int) -> None:
        """Measure a block, and write its records."""
        self._records = []
        order, declaration = self._order, self._declaration
        try:
            names = order.sample([*self.alive, CONTROL], len(self.alive) + 1)
            costs = [cost for name in names if (cost := self._start(block, name)) is not None]
            if self._decision is None and self.alive:
                self._tell(block, "finding how long a call takes")
                asked = {name: self._ask(block, name, Pilot(), Done) for name in [*self.alive]}
                medians = {name: done.median_ns for name, done in asked.items() if done}
                if medians:
                    self._prepare(medians, round(median(costs)))
            for turn in range(declaration.rounds if self._decision else 0):
                self._tell(block, f"slice {turn + 1} of {declaration.rounds}")
                for name in order.sample([*self._children], len(self._children)):
                    self._ask(block, name, self._take, Done)
            for name in [*self._children] if self._decision else []:
                finish = Finish(self._take.group, str(self._folder / "after.npz"))
                if taken := self._ask(block, name, finish, Taken):
                    self._records.append(Burst(block=block, arm=name, **msgspec.structs.asdict(taken)))
        finally:
            end_all(self._children.values())
            self._children = {}
        for record in self._records:
            self._write(record)

    def _start(self, block: int, name: str) -> int | None:
        """Start the process of an arm, which proves it; return the cost of its clock."""
        self._tell(block, f"starting {name}")
        declaration, arm = self._declaration, self.alive.get(name)
        threads = arm.threads if arm else 1
        job = Job(
            arm.spec if arm else "", arm.device if arm else "cpu", threads, declaration.case,
            str(self._folder), declaration.collector, declaration.period_ns, declaration.pace,
        )  # fmt: skip
        environment = worker_environment(threads, compiled=str(self._folder / "compiled")).variables
        argument = msgspec.json.encode(job).decode()
        self._children[name] = Child(CHILD, [argument], environment, deadline_s=START_DEADLINE_S)
        started = self._reply(block, name, lambda child: child.receive(Started | Refused))
        return started.clock_cost_ns if started else None

    def _prepare(self, medians_ns: dict[str, float], clock_cost_ns: int) -> None:
        """Decide what is timed, and compute the result after the last call."""
        declaration = self._declaration
        decision = self._decision = decide(
            declaration, medians_ns, clock_cost_ns, calls=self._calls, seconds=self._seconds
        )
        self._write(decision)
        n = decision.calls // declaration.rounds
        self._take = Take(n, max(1, n // WARM_SHARE), decision.group, decision.idle_ns)
        n_samples = declaration.rounds * (self._take.n + self._take.warm)
        last = reference_last(declaration.case, self._batch, n_samples, decision.group)
        np.savez(self._folder / "after.npz", y_hat=last)

    def _ask(self, block: int, name: str, message: Any, expected: Any) -> Any:
        """Wake a process for one message; return its reply, or None if it failed."""
        child = self._children[name]
        if isinstance(message, Take):
            call_ns = max(self._declaration.period_ns or 0.0, message.group * message.idle_ns)
            child.deadline_s = START_DEADLINE_S + 10 * (message.n + message.warm) * call_ns * 1e-9
        child.resume()
        return self._reply(block, name, lambda child: child.ask(message, expected | Refused))

    def _reply(self, block: int, name: str, receive: Callable[[Child], Any]) -> Any:
        """Return a reply and put the process to sleep; None if it failed, which is then recorded."""
        child = self._children[name]
        try:
            reply = receive(child)
        except ChildError as error:
            reply = Refused(error.status, child.explain(error))
        if not isinstance(reply, Refused):
            child.pause()
            return reply
        reason = without_person(reply.reason)
        if name == CONTROL:
            raise UserError(f"the control failed: {reason}")
        self._children.pop(name).stop()
        del self.alive[name]
        self.n_failed += 1
        self._records.append(Failure(block, name, reply.status, reason, reply.checks))
        return None
