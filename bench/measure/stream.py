"""Measure a stream: in each block a fresh process for every arm and for the control, which take turns.

A block has slices, so that a slow phase of the machine hits all arms; in each round of slices their order is
drawn anew. One process is awake at a time. A block counts as a whole: its records are written at its end.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, Literal

import msgspec
import numpy as np

from bench import proof
from bench.machine.child import Child, ChildError, ending_children
from bench.machine.environ import without_person, worker_environment
from bench.machine.errors import UserError
from bench.machine.files import scratch_folder
from bench.machine.host import utc_now
from bench.machine.libraries import NUMPY, TORCH
from bench.machine.signals import Terminated
from bench.machine.wording import count
from bench.measure.call_times import group_for
from bench.measure.messages import Refused
from bench.measure.stream_child import (
    EXPECTED,
    FEW,
    INPUTS,
    Done,
    Finish,
    Job,
    Started,
    Take,
    Taken,
    order,
)
from bench.records.record import Arm, End, Failure, Pair, PairKind
from bench.records.stream import CONTROL, MIN_CALLS, AnyRecord, Decision, Declaration
from bench.workload import data
from bench.workload.case import Case
from bench.workload.catalog import by_name
from bench.workload.cell import find_cell
from bench.workload.data import Array, Batch

CHILD = "bench.measure.stream_child"
START_DEADLINE_S = 300.0  # with imports, compiling and the proof
MOST_CALLS = 20_000  # enough for p99.9; back to back, more are timed only if asked for
WARM_SHARE = 10  # a slice begins with a tenth as many calls that do not count
Tell = Callable[[int, str], object]  # called with a block and what happens


def decide(declaration: Declaration, medians_ns: Mapping[str, float], clock_cost_ns: int) -> Decision:
    """Return what is timed, by the median of each arm's first calls in ns."""
    slowest_ns, group, rounds = max(medians_ns.values()), 1, declaration.rounds
    if declaration.period_ns is None:
        group = group_for(min(medians_ns.values()), clock_cost_ns)
        held = min(MOST_CALLS, declaration.seconds * 1e9 / (slowest_ns * group))
    else:
        held = declaration.seconds * 1e9 / declaration.period_ns
    calls = max(MIN_CALLS, declaration.calls or round(held))
    pairs = pairs_of(declaration.arms, medians_ns)
    return Decision(-(-calls // rounds) * rounds, group, control_ns(declaration, medians_ns), pairs)


def control_ns(declaration: Declaration, medians_ns: Mapping[str, float]) -> int:
    """Return how long a call of the control waits, by the median of each arm's first calls in ns."""
    longest_ns = (declaration.period_ns or math.inf) / 2  # or a slow arm would make the control late
    return round(min(max(medians_ns.values()), longest_ns))


def pairs_of(arms: Sequence[Arm], medians_ns: Mapping[str, float]) -> list[Pair]:
    """Return which arms are compared: NumPy with each other library, as usually written and the fastest.

    The fastest peer is compared with the fastest form of NumPy and of PyTorch, and in no other pair.
    """
    written, fastest, pairs = dict[str, Arm](), dict[str, Arm](), dict[tuple[str, str], Pair]()
    for arm in sorted((arm for arm in arms if arm.id in medians_ns), key=lambda arm: medians_ns[arm.id]):
        fastest.setdefault("peer" if arm.peer else arm.library, arm)
        variant = by_name(arm.spec)
        if variant and variant.role == "as_written":
            written.setdefault(arm.library, arm)
    peer, both = fastest.pop("peer", None), [fastest.get(lib.name) for lib in (NUMPY, TORCH)]
    kinds: tuple[tuple[PairKind, dict[str, Arm]], ...] = (("as_written", written), ("best", fastest))
    for kind, by_library in kinds:
        baseline = by_library.get("numpy") or next(iter(by_library.values()), None)
        for arm in by_library.values():
            if baseline and arm is not baseline:
                pairs[arm.id, baseline.id] = Pair(kind, arm.id, baseline.id)
    if peer and all(both):
        return [*pairs.values(), *(Pair("peer", peer.id, arm.id) for arm in both if arm)]
    return list(pairs.values())


def reference_last(case: Case, batch: Batch, n_samples: int, group: int) -> Array:
    """Return the reference's y_t (B, O) after so many samples, each fed ``group`` times, in float64."""
    cell, exact, state = find_cell(case.cell), batch.astype("float64"), None
    options, y = cell.options(case.activation), np.zeros(0)
    for t in islice(cycle(order(case)), n_samples):
        for _ in range(group):
            y, state = cell.reference().stream(exact.params, exact.x[t : t + 1], state=state, **options)
    return y


def measure(
    declaration: Declaration,
    write: Callable[[AnyRecord], None],
    tell: Tell,
    kind: "type[Blocks] | None" = None,
) -> End:
    """Measure all blocks, of this kind; return how it ended, which is also the last record."""
    began_s, blocks = time.perf_counter(), range(1, declaration.blocks + 1)
    stopped_by: Literal["user", "signal"] | None
    failed, stopped_by, reason = 0, None, f"{count(len(blocks), 'block')} measured"
    try:
        with scratch_folder("stream") as folder:
            measured = (kind or Blocks)(declaration, write, tell, folder)
            for block in blocks:
                if measured.alive:
                    measured.run(block)
        if failed := len(declaration.arms) - len(measured.alive):
            reason = f"{count(failed, 'arm')} failed"
    except Terminated:
        stopped_by, reason = "signal", "ended by a signal"
    except KeyboardInterrupt:
        stopped_by, reason = "user", "stopped by the user"
    end = End(
        "interrupted" if stopped_by else "partial" if failed else "complete",
        reason, round(time.perf_counter() - began_s, 1), utc_now(), stopped_by=stopped_by,
    )  # fmt: skip
    write(end)
    return end


class Blocks:
    """Run blocks; an arm that fails is in no later block."""

    def __init__(
        self, declaration: Declaration, write: Callable[[AnyRecord], None], tell: Tell, folder: Path
    ) -> None:
        self._declaration, self._write, self._tell, self._folder = declaration, write, tell, folder
        self.alive = {arm.id: arm for arm in declaration.arms}
        self._order = random.Random(declaration.seed)
        self._batch = data.make(declaration.case)
        self._batch.save(folder / INPUTS)
        proof.expected(declaration.case, self._batch).save(folder / EXPECTED)
        self._take: Take | None = None  # None: not decided yet
        self._slowest_ns = 0.0  # of the arms' medians
        self._children: dict[str, Any] = {}  # each a Child, or several that are asked as one
        self._records: list[AnyRecord] = []

    def run(self, block: int) -> None:
        """Measure a block, and write its records."""
        self._records, self._children = [], {}
        with ending_children():
            self._measure(block)
        for record in self._records:
            self._write(record)

    def _measure(self, block: int) -> None:
        """Start all processes, and let them take turns."""
        started = {name: self._start(block, name) for name in self._shuffled([*self.alive, CONTROL])}
        medians = {name: started[name].median_ns for name in self.alive}
        if not medians:
            return
        self._slowest_ns = max(self._slowest_ns, *medians.values())
        if self._take is None:
            costs = [reply.clock_cost_ns for reply in started.values() if reply]
            self._take = self._prepare(decide(self._declaration, medians, round(median(costs))))
        # the machine may have another pace than in the block before
        take = msgspec.structs.replace(self._take, idle_ns=control_ns(self._declaration, medians))
        for turn in range(self._declaration.rounds):
            self._tell(block, f"slice {turn + 1} of {self._declaration.rounds}")
            for name in self._shuffled([*self._children]):
                self._ask(block, name, take, Done)
        finish = Finish(take.group, str(self._folder / "after.npz"))
        taken = [self._ask(block, name, finish, Taken) for name in [*self._children]]
        self._records += [reply.burst for reply in taken if reply]

    def _shuffled(self, names: list[str]) -> list[str]:
        return self._order.sample(names, len(names))

    def _start(self, block: int, name: str) -> Any:
        """Start the process of an arm, which proves it; return its reply, or None if it failed."""
        self._tell(block, f"starting {name}")
        declaration, arm = self._declaration, self.alive.get(name)
        spec, device, threads = (arm.spec, arm.device, arm.threads) if arm else ("", "cpu", 1)
        job = Job(
            block, name, spec, device, threads, declaration.case, str(self._folder), declaration.collector,
            declaration.period_ns, declaration.pace,
        )  # fmt: skip
        environment = worker_environment(threads, compiled=str(self._folder / "compiled")).variables
        argument = msgspec.json.encode(job).decode()
        self._children[name] = self._process(argument, environment)
        return self._reply(block, name, lambda child: child.receive(Started | Refused))

    def _process(self, argument: str, environment: Mapping[str, str]) -> Any:
        period_s = (self._declaration.period_ns or 0.0) * 1e-9
        deadline_s = START_DEADLINE_S + 2 * FEW * period_s  # the first calls
        return Child(CHILD, [argument], environment, deadline_s=deadline_s)

    def _prepare(self, decision: Decision) -> Take:
        """Write the decision, and compute the result after the last call; return what is asked of a slice."""
        declaration, n = self._declaration, decision.calls // self._declaration.rounds
        self._write(decision)
        take = Take(n, max(1, n // WARM_SHARE), decision.group, decision.idle_ns)
        n_samples = declaration.rounds * (take.n + take.warm)
        last = reference_last(declaration.case, self._batch, n_samples, decision.group)
        np.savez(self._folder / "after.npz", y_hat=last)
        return take

    def _ask(self, block: int, name: str, message: object, expected: Any) -> Any:
        """Wake a process for one message; return its reply, or None if it failed."""
        child = self._children[name]
        if isinstance(message, Take):
            call_ns = max(self._declaration.period_ns or 0.0, message.group * self._slowest_ns)
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
        self._records.append(Failure(block, name, reply.status, reason, reply.checks))
        return None
