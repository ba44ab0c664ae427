"""Children that play: in place of worker processes, in a world whose clock moves only as the test decides.

``Stage`` gives every ``WorkerProcess`` a child of its own making. It keeps what it was asked, and insists on
what a real worker needs: a turn is for what is held, and nobody is asked who is not there.
"""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from bench.machine.child import LIVING, ChildError
from bench.machine.gates import Reading
from bench.machine.signals import OutOfTime
from bench.measure import block, budget, runner
from bench.measure.block import WorkerProcess
from bench.measure.messages import (
    Close,
    Closed,
    Job,
    Measured,
    ProbeJob,
    Prove,
    Refused,
    Reply,
    Turn,
    Value,
)
from bench.measure.runner import Runner
from bench.records.record import AnyRecord, End, Plan, Primitive, Proved, Ready
from bench.workload.operations import CALL, Kernel

READY_NS, PROVE_NS, CALL_NS, ASKING_NS = 1_000_000_000, 100_000_000, 100_000, 1_000_000
N_CALLS = 10
DIED = ChildError("crashed", "killed by SIGSEGV")

Reaction = Callable[["Asked"], Reply | ChildError | None]


class Silent:
    """A progress display that shows nothing."""

    def starting(self, block: int, blocks: int) -> None:
        pass

    def measuring(self, block: int, entry: Any) -> None:
        pass

    def decided(self, decision: Any) -> None:
        pass


@dataclass(frozen=True)
class Asked:
    """A job, as its worker met it: the life of that name in its block, and the block, counted from 0."""

    block: int
    worker: str
    life: int
    job: Job

    @property
    def key(self) -> str:
        """The entry that it is about; nothing for a probe or an end."""
        return getattr(self.job, "key", "")

    @property
    def arm(self) -> str:
        """The arm of that entry."""
        return self.key.partition(" | ")[2]


@dataclass
class Stage:
    """The world: its clock, and what was asked in it. ``react`` may give another reply, or a death."""

    react: Reaction = lambda asked: None
    ready: Callable[[int, str, int], Ready | ChildError | None] = lambda block, worker, life: None
    per_call_ns: Callable[[Asked], float] = lambda asked: CALL_NS
    now_ns: int = 0
    alarm_ns: float = math.inf
    children: list["PlayedChild"] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    started: list[tuple[int, str, int]] = field(default_factory=list)  # block, worker, life
    answered: dict[tuple[int, str, int], int] = field(default_factory=dict)  # jobs before each was started
    ended: int = 0

    def of(self, kind: type, *, block: int | None = None) -> list[Asked]:
        """What was asked of that kind, in order."""
        return [a for a in self.asked if isinstance(a.job, kind) and block in (None, a.block)]

    @property
    def left(self) -> list["PlayedChild"]:
        """Return the children that nobody has ended."""
        return [child for child in self.children if child.alive]

    @contextmanager
    def time_limit(self, limit_s: float) -> Iterator[None]:
        """Ring the alarm by this clock."""
        self.alarm_ns = self.now_ns + limit_s * 1e9
        try:
            yield
        finally:
            self.alarm_ns = math.inf

    def start(self, worker: WorkerProcess) -> None:
        """Play the child of a worker."""
        worker.child = PlayedChild(self, worker)  # type: ignore[assignment]

    def end(self, children: Collection["PlayedChild"]) -> None:
        """End the children of a block."""
        self.ended += 1
        for child in children:
            child.stop()

    def usual(self, asked: Asked) -> Reply:
        """What a worker says with which nothing is wrong."""
        if isinstance(asked.job, Prove):
            self.now_ns += PROVE_NS
            return Proved(asked.job.n_calls or N_CALLS, 50, True, status="ok", checks=[], first_call_ns=10**6)
        if isinstance(asked.job, Turn):
            elapsed_ns = round(asked.job.n_calls * self.per_call_ns(asked))
            self.now_ns += elapsed_ns + ASKING_NS
            rewarm_ns = [elapsed_ns] * 10 if asked.job.rewarm_calls is None else []
            self.now_ns += sum(rewarm_ns)
            return Value(asked.job.n_calls, elapsed_ns, 0, elapsed_ns, 0, rewarm_ns)
        if isinstance(asked.job, ProbeJob):
            return Measured([Primitive(Kernel(CALL, (0,)), 1, [7])])
        return Closed("")


class PlayedChild:
    """As a worker's ``Child``, without a process."""

    deadline_s = 0.0

    def __init__(self, stage: Stage, worker: WorkerProcess) -> None:
        self.stage = stage
        self.life = (
            worker.block,
            worker.name,
            [at[:2] for at in stage.started].count((worker.block, worker.name)),
        )
        self.held: set[str] = set()
        self.alive = True
        stage.answered[self.life] = len(stage.asked)
        stage.started.append(self.life)
        stage.children.append(self)
        LIVING.add(self)  # type: ignore[arg-type]
        self.pid = 1000 + len(stage.started)

    def receive(self, expected: Any) -> Ready | Refused:
        self.stage.now_ns += READY_NS
        reply = self.stage.ready(*self.life)
        if isinstance(reply, ChildError):
            raise reply
        return reply or Ready(READY_NS, {"threads": 1})

    def ask(self, job: Job, expected: Any) -> Any:
        assert self.alive, f"{self.life} is not there"
        asked = Asked(*self.life, job)
        if isinstance(job, Turn):
            assert job.key in self.held, f"{self.life} does not hold {job.key}"
        self.stage.asked.append(asked)
        reply = self.stage.react(asked)
        if isinstance(reply, ChildError):
            raise reply
        reply = reply or self.stage.usual(asked)
        if self.stage.now_ns > self.stage.alarm_ns:
            raise OutOfTime
        assert isinstance(reply, expected)
        if isinstance(reply, Proved):
            self.held.add(asked.key)
        elif not isinstance(reply, Value | Measured):
            self.held = set() if isinstance(job, Close) else self.held - {asked.key}
        return reply

    def last_words(self) -> str:
        return ""

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def terminate(self) -> None:
        pass

    def stop(self) -> None:
        self.alive = False
        LIVING.discard(self)  # type: ignore[arg-type]


def set_stage(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> Stage:
    """Have all blocks of the test played, by the stage's clock."""
    clock = SimpleNamespace(perf_counter=lambda: stage.now_ns / 1e9, perf_counter_ns=lambda: stage.now_ns)
    monkeypatch.setattr(block.gates, "read", lambda: Reading(stage.now_ns, None, None, None, None))
    monkeypatch.setattr(budget, "usable_cpus", lambda: 1)
    monkeypatch.setattr(block, "usable_cpus", lambda: 1)
    monkeypatch.setattr(block, "wait_for_any", list)
    monkeypatch.setattr(block, "end_all", stage.end)
    monkeypatch.setattr(WorkerProcess, "start", lambda worker: stage.start(worker))
    monkeypatch.setattr(block, "time", clock)
    monkeypatch.setattr(runner, "time", clock)
    monkeypatch.setattr(runner, "time_limit", stage.time_limit)
    return stage


def run(plan: Plan, *, write: Any = None, **options: Any) -> tuple[End, list[AnyRecord]]:
    """Run a plan, keeping its records."""
    records: list[AnyRecord] = []
    end = Runner(plan, write or records.append, Silent(), **options).run()
    return end, records


def of_kind(records: Any, kind: Any) -> list[Any]:
    """The records of a kind, in their order."""
    return [record for record in records if isinstance(record, kind)]
