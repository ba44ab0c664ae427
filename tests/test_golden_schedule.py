"""The runner's whole schedule, to the letter: the test decides the durations; no process, no clock."""

import math
from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import ClassVar

import pytest

from bench.answer.verdict import judge
from bench.measure import block as block_module
from bench.measure.block import Blocks
from bench.measure.messages import Done, Measured, ProbeJob, Ready
from bench.measure.plan import make_plan
from bench.measure.preset import Wishes
from bench.measure.runner import Runner
from bench.results.journal import make_run
from bench.results.record import AnyRecord, Burst, Decision, End, Primitive, Rates, Worker

BLOCKS = 8
FEWER = 6  # counted blocks of dispatch and of the probe
N_CALLS = 1000
LETTERS = {
    "numpy-batched@cpu x1": "b",
    "numpy-batched@cpu x1 twin": "t",
    "numpy-inplace@cpu x1": "i",
    "numpy-loop@cpu x1": "l",
}
# by arm and task: times the baseline, and how many hundredths of a percent times NOISE it strays by block
TIMES = {
    ("b", "train_step"): (1.0, 0),
    ("t", "train_step"): (1.0, 10),
    ("i", "train_step"): (0.8, 10),
    ("l", "train_step"): (70.0, 30),
    ("b", "forward"): (1.0, 0),
    ("t", "forward"): (1.0, 10),
    ("i", "forward"): (1.001, 10),
    ("l", "forward"): (1.03, 200),
}
NOISE = (0, -4, 3, -2, 1, -1, 2, -3, 4)  # block 0 first
DRIFT = (9.0, 1.0, 1.1, 1.3, 1.2, 0.9, 1.0, 1.4, 1.1)  # of the whole machine, by block
# the order of a block: groups as they come (T: train_step, F: forward, D: dispatch), then their entries
GOLDEN = [
    "D:bi F:litb T:lbit", "F:ilbt D:ib T:ibtl", "T:tbli F:ilbt D:ib",
    "D:bi T:litb F:btli", "F:ltib D:ib T:tbil", "F:libt T:iltb D:ib",
    "D:ib T:itlb F:tlbi", "T:btli F:tbil", "F:ibtl T:blti",
]  # fmt: skip


class Played:
    """In place of a worker process: it replies at once, with the durations of the script."""

    started: ClassVar[list[str]] = []  # arms' letters, in the order in which workers were started
    asked: ClassVar[list[tuple[int, str, str, int | None]]] = []  # block, letter, task, calls asked for
    probed: ClassVar[list[tuple[int, str]]] = []  # block, letter
    stopped = 0

    def __init__(self, arm):
        self.arm = arm
        self.letter = LETTERS[arm.id]
        self.block = self.started.count(self.letter)
        self.pid = 1000 + len(self.started)
        self.alive = True
        self.awake = True
        self.started.append(self.letter)

    def receive(self, expected, deadline_s):
        return Ready({"threads": 1}, 10**8, 0)

    def ask(self, job, expected, deadline_s):
        assert self.awake
        if isinstance(job, ProbeJob):
            self.probed.append((self.block, self.letter))
            return Measured([Primitive("call", [0], 1, [1])])
        task = "dispatch" if job.case.shape.H == 1 else job.case.task
        self.asked.append((self.block, self.letter, task, job.n_calls))
        ratio, scatter = TIMES[self.letter, job.case.task]
        per_call_ns = 1e5 * DRIFT[self.block] * ratio * math.exp(1e-4 * scatter * NOISE[self.block])
        elapsed_ns = [round(N_CALLS * per_call_ns * factor) for factor in (0.9, 1.0, 1.0, 1.1, 5.0)]
        return Done("ok", N_CALLS, elapsed_ns, 10**6, 50, 0, sum(elapsed_ns), 0, "cpu", [])

    def resume(self):
        assert not self.awake
        self.awake = True

    def pause(self):
        self.awake = False

    def terminate(self):
        self.alive = False

    def stop(self):
        type(self).stopped += 1


class Silent:
    """A progress display that shows nothing."""

    def starting(self, block, blocks):
        pass

    def measuring(self, block, entry):
        pass

    def decided(self, decision):
        pass


@pytest.fixture
def played(monkeypatch):
    """Plays a plan; returns its records."""
    monkeypatch.setattr(Blocks, "_start", lambda blocks, arm: Played(arm))

    def play(seed: int) -> list[AnyRecord]:
        for name, empty in (("started", []), ("asked", []), ("probed", []), ("stopped", 0)):
            monkeypatch.setattr(Played, name, empty)
        wishes = Wishes(
            variants=("numpy-inplace", "numpy-loop"),
            tasks=("train_step", "forward"),
            layouts=("positional",),
            batch=(4,),
            hidden=(4,),
            blocks=BLOCKS,
            seed=seed,
        )
        plan = make_plan(wishes, run="golden", started_utc="", command=[])
        records: list[AnyRecord] = [plan]
        Runner(plan, records.append, Silent()).run()
        return records

    return play


def of_kind(records, kind):
    return [record for record in records if isinstance(record, kind)]


def order(records) -> list[str]:
    """The order of every block, as GOLDEN writes it."""
    lines = []
    for block in range(BLOCKS + 1):
        bursts = [burst for burst in of_kind(records, Burst) if burst.block == block]
        assert [burst.position for burst in bursts] == list(range(10 if block <= FEWER else 8))
        groups: dict[str, str] = {}
        for burst in bursts:
            group, _, arm = burst.entry.partition(" | ")
            name = group[0].upper()
            groups[name] = groups.get(name, "") + LETTERS[arm]
        lines.append(" ".join(f"{name}:{letters}" for name, letters in groups.items()))
    return lines


def test_the_order_of_a_seed_is_the_golden_one(played):
    records = played(seed=7)
    assert order(records) == GOLDEN
    assert order(played(seed=7)) == GOLDEN


def test_another_seed_has_another_order(played):
    lines = order(played(seed=8))
    assert lines != GOLDEN
    assert [sorted(line) for line in lines] == [sorted(line) for line in GOLDEN]


def test_an_order_that_is_not_drawn_anew_for_each_block_is_noticed(played, monkeypatch):
    monkeypatch.setattr(block_module, "random", SimpleNamespace(Random=lambda seed: Random(7)))
    lines = order(played(seed=7))
    assert lines != GOLDEN
    assert [len(set(lines[: FEWER + 1])), len(set(lines[FEWER + 1 :]))] == [1, 1]


def test_there_is_one_of_everything_and_no_more(played):
    records = played(seed=7)
    counts = Counter(type(record).__name__ for record in records)

    assert counts == {
        "Plan": 1,
        "Conditions": 3,
        "Worker": 4 * (BLOCKS + 1),
        "Burst": 8 * (BLOCKS + 1) + 2 * (FEWER + 1),
        "Rates": FEWER + 1,
        "Decision": 1,
        "End": 1,
    }
    assert Counter(Played.started) == dict.fromkeys("btil", BLOCKS + 1)
    assert Played.stopped == len(Played.started)
    assert Played.probed == [(block, "b") for block in range(FEWER + 1)]
    for rates in of_kind(records, Rates):  # last in its block
        later = records[records.index(rates) :]
        assert not [burst for burst in of_kind(later, Burst) if burst.block == rates.block]
    assert len({(burst.block, burst.entry) for burst in of_kind(records, Burst)}) == counts["Burst"]
    kinds = [type(record) for record in records]
    decision = kinds.index(Decision)
    assert {record.block for record in records[:decision] if isinstance(record, Worker | Burst)} == {0}
    assert kinds[-1] is End
    assert records[-1].status == "complete"


def test_calls_are_calibrated_once_for_each_piece_of_work_and_never_again(played):
    played(seed=7)
    calibrated = [asked[1:3] for asked in Played.asked if asked[3] is None]

    assert {asked[0] for asked in Played.asked if asked[3] is None} == {0}
    # an arm and its twin are the same work: whoever comes first calibrates for both
    works = [(letter.replace("t", "b"), task) for letter, task in calibrated]
    expected = [(letter, task) for letter in "bil" for task in ("forward", "train_step")]
    assert sorted(works) == sorted([*expected, ("b", "dispatch"), ("i", "dispatch")])  # no loop over samples
    assert {asked[3] for asked in Played.asked if asked[0] > 0} == {N_CALLS}


@pytest.mark.parametrize(
    ("entry", "verdict", "ratio", "half_width"),
    [  # the fourth of 36 sorted Walsh averages of -4 ... 4 is -3: so wide is the exact interval of 8 blocks
        ("train_step positional T6 B4 I6 H4 O8 | numpy-inplace@cpu x1", "FASTER", 0.8, 0.003),
        ("train_step positional T6 B4 I6 H4 O8 | numpy-loop@cpu x1", "SLOWER", 70.0, 0.009),
        ("train_step positional T6 B4 I6 H4 O8 | numpy-batched@cpu x1 twin", "EQUIVALENT", 1.0, 0.003),
        ("forward positional T6 B4 I6 H4 O8 | numpy-inplace@cpu x1", "EQUIVALENT", 1.001, 0.003),
        ("forward positional T6 B4 I6 H4 O8 | numpy-loop@cpu x1", "UNRESOLVED", 1.03, 0.06),
        ("forward positional T6 B4 I6 H4 O8 | numpy-batched@cpu x1 twin", "EQUIVALENT", 1.0, 0.003),
    ],
)
def test_the_statistics_and_the_verdict_are_those_of_the_script(played, entry, verdict, ratio, half_width):
    row = judge(make_run(played(seed=7))).rows[entry]

    assert row.verdict == verdict
    assert row.blocks == BLOCKS
    # block 0 (nine times as slow), the slow outlier of every burst and the drift of the machine do not show
    assert row.ratio == pytest.approx(ratio, rel=1e-6)
    assert row.low == pytest.approx(ratio * math.exp(-half_width), rel=1e-6)
    assert row.high == pytest.approx(ratio * math.exp(half_width), rel=1e-6)
