"""A crew that plays: in place of worker processes, in a world whose clock moves only as the test decides.

``Stage`` stands in for ``bench.measure.block.Crew`` in every block. It keeps what it was asked, and insists
on what a real worker needs: a turn is for what is held, and nobody is asked who is not there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from bench.machine.child import ChildError
from bench.machine.gates import Reading
from bench.measure import block, costs, runner
from bench.measure.block import Crew
from bench.measure.messages import (
    Close,
    Closed,
    Job,
    Measured,
    ProbeJob,
    Prove,
    Ready,
    Refused,
    Reply,
    Setup,
    Turn,
    Value,
)
from bench.measure.plan import make_plan
from bench.measure.preset import Wishes
from bench.measure.runner import Runner
from bench.records.record import AnyRecord, End, Plan, Primitive, Proved
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
    crews: int = 0
    asked: list[Asked] = field(default_factory=list)
    started: list[tuple[int, str, int]] = field(default_factory=list)  # block, worker, life
    answered: dict[tuple[int, str, int], int] = field(default_factory=dict)  # jobs before each was started
    ended: int = 0

    def of(self, kind: type, *, block: int | None = None) -> list[Asked]:
        """What was asked of that kind, in order."""
        return [a for a in self.asked if isinstance(a.job, kind) and block in (None, a.block)]

    def crew(self, **options: Any) -> "PlayedCrew":
        """A block's crew; which block's, it is told when that is made."""
        self.crews += 1
        return PlayedCrew(self)

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


class PlayedCrew:
    """As ``Crew``, without processes."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.block = -1
        self.setups: dict[str, Setup] = {}
        self.lives: dict[str, int] = {}
        self.pids: dict[str, int] = {}
        self.held: dict[str, set[str]] = {}  # by worker that is there

    def start(self, name: str, setup: Setup) -> None:
        assert name not in self.held
        self.setups[name] = setup
        self.lives[name] = self.lives.get(name, -1) + 1
        self.held[name] = set()
        self.stage.started.append((self.block, name, self.lives[name]))
        self.stage.answered[self.stage.started[-1]] = len(self.stage.asked)
        self.pids[name] = 1000 + len(self.stage.started)

    def await_ready(self, name: str) -> Ready | Refused:
        self.stage.now_ns += READY_NS
        reply = self.stage.ready(self.block, name, self.lives[name])
        if isinstance(reply, ChildError):
            self.stop(name)
            return Refused(reply.status, str(reply))
        return reply or Ready({"threads": self.setups[name].threads}, READY_NS, 0)

    def restart(self, name: str) -> Ready | Refused:
        self.stop(name)
        self.start(name, self.setups[name])
        return self.await_ready(name)

    def ask(self, name: str, job: Job, expected: Any) -> Any:
        assert name in self.held, f"{name} is not there"
        asked = Asked(self.block, name, self.lives[name], job)
        if isinstance(job, Turn):
            assert job.key in self.held[name], f"{name} does not hold {job.key}"
        self.stage.asked.append(asked)
        reply = self.stage.react(asked)
        if isinstance(reply, ChildError):
            self.stop(name)
            return Refused(reply.status, str(reply))
        reply = reply or self.stage.usual(asked)
        assert isinstance(reply, expected | Refused)
        if isinstance(reply, Proved):
            self.held[name].add(asked.key)
        elif not isinstance(reply, Value | Measured):
            self.held[name] = set() if isinstance(job, Close) else self.held[name] - {asked.key}
        return reply

    def has(self, name: str) -> bool:
        return name in self.lives

    def alive(self, name: str) -> bool:
        assert name in self.lives, f"{name} was never started"
        return name in self.held

    def pid(self, name: str) -> int:
        return self.pids[name]

    def last_words(self, name: str) -> str:
        assert name in self.lives, f"{name} was never started"
        return ""

    def stop(self, name: str) -> None:
        assert name in self.lives, f"{name} was never started"
        self.held.pop(name, None)

    def end(self) -> None:
        self.held.clear()
        self.stage.ended += 1


def set_stage(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> Stage:
    """Have all blocks of the test played, by the stage's clock."""
    clock = SimpleNamespace(perf_counter=lambda: stage.now_ns / 1e9, perf_counter_ns=lambda: stage.now_ns)
    assert {name for name in vars(PlayedCrew) if name[0] != "_"} == {
        name for name in vars(Crew) if name[0] != "_"
    }
    monkeypatch.setattr(block.gates, "read", lambda: Reading(stage.now_ns, 0, None, None, None, None))
    monkeypatch.setattr(costs, "usable_cpus", lambda: 1)
    monkeypatch.setattr(block, "usable_cpus", lambda: 1)
    monkeypatch.setattr(block, "first_to_reply", lambda waiting: 0)
    monkeypatch.setattr(block, "Crew", stage.crew)
    real_block = block._Block

    def with_number(blocks: Any, number: int, groups: Any, played: Any) -> Any:
        played.block = number
        return real_block(blocks, number, groups, played)

    monkeypatch.setattr(block, "_Block", with_number)
    monkeypatch.setattr(block, "time", clock)
    monkeypatch.setattr(runner, "time", clock)
    return stage


def small_plan(*variants: str, blocks: int = 1, batch: tuple[int, ...] = (4,), **wishes: Any) -> Plan:
    """A quick plan of small cases."""
    wanted = Wishes(
        **{"quick": True, "variants": variants, "batch": batch, "hidden": (4,), "blocks": blocks, "seed": 3}
        | wishes
    )
    return make_plan(wanted, run="test", started_utc="2026-01-01T00:00:00+00:00", command=["rnnbench"])


def run(plan: Plan, *, write: Any = None, **options: Any) -> tuple[End, list[AnyRecord]]:
    """Run a plan, keeping its records."""
    records: list[AnyRecord] = []
    end = Runner(plan, write or records.append, Silent(), **options).run()
    return end, records


def of_kind(records: Any, kind: Any) -> list[Any]:
    """The records of a kind, in their order."""
    return [record for record in records if isinstance(record, kind)]
