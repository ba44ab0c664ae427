"""A block whose workers are played: who fails, who goes on, and what is never missing from a burst."""

import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from declared import machine, small_plan
from msgspec.structs import replace
from played import CALL_NS, DIED, N_CALLS, Asked, Reaction, Silent, Stage, of_kind, run, set_stage

from bench.machine.child import ChildError
from bench.machine.gates import LIMITS
from bench.measure import budget
from bench.measure.block import Blocks, EntrySamples, WorkerProcess
from bench.measure.messages import (
    Close,
    Closed,
    JobMaker,
    Measured,
    ProbeJob,
    Prove,
    Refused,
    Reply,
    Turn,
    Value,
)  # fmt: skip
from bench.records.record import (
    AnyRecord,
    Arm,
    Burst,
    Calibration,
    Check,
    Failure,
    Primitive,
    Proved,
    Worker,
)  # fmt: skip
from bench.workload.operations import Kernel

BASE, TWIN, RIVAL = ARMS = ("numpy-batched@cpu x1", "numpy-batched@cpu x1 twin", "numpy-inplace@cpu x1")
SHARED, CONTROL = "numpy@cpu x1", "numpy@cpu x1 control"
BLOCKS, ROUNDS_0, ROUNDS = 2, 5, 15


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return set_stage(monkeypatch, Stage())


def on_the(n: int, kind: type, arm: str, reply: Any, block: int | None = None) -> Reaction:
    """React so at the n-th job of that kind that is about an arm, and at no other."""
    met: Counter[int] = Counter()

    def react(asked: Asked) -> Reply | ChildError | None:
        if not isinstance(asked.job, kind) or asked.arm != arm or block not in (None, asked.block):
            return None
        met[asked.block] += 1
        return reply if met[asked.block] == n else None

    return react


def arm_of(record: Burst | Failure) -> str:
    return record.entry.partition(" | ")[2]


def bursts_of(records: list, block: int) -> dict[str, Burst]:
    return {arm_of(one): one for one in of_kind(records, Burst) if one.block == block}


def measured(records: list, block: int) -> set[str]:
    """The arms with values in a block, which are whole: one a round, the rounds' places are one sequence."""
    bursts, rounds = bursts_of(records, block), range(ROUNDS if block else ROUNDS_0)
    assert all(one.rounds == list(rounds) for one in bursts.values())
    for number in rounds:
        places = sorted(one.places[number] for one in bursts.values())
        assert places == sorted(set(places))
    return set(bursts)


def failed(records: list) -> list[tuple[int, str, str, str]]:
    return [(one.block, arm_of(one), one.status, one.reason) for one in of_kind(records, Failure)]


def test_workers_start_together_are_proved_and_then_take_turns(stage: Stage) -> None:
    end, records = run(small_plan("numpy-inplace", blocks=BLOCKS))
    assert end.status == "complete"
    for block in range(BLOCKS + 1):
        kinds = [type(asked.job).__name__ for asked in stage.asked if asked.block == block]
        kinds = [kind for kind in kinds if kind != "ProbeJob"]
        assert kinds == sorted(kinds, key=["Prove", "Turn", "Close"].index)
        assert measured(records, block) == set(ARMS)
        for (
            arm
        ) in ARMS:  # the two batches alternate, beginning with the one that the proof has not left there
            batches = [asked.job.batch for asked in stage.of(Turn, block=block) if asked.arm == arm]
            assert batches == [1, 0] * (len(batches) // 2) + [1]
        assert {asked.job.rewarm_calls for asked in stage.of(Turn, block=block)} == {10 if block else None}
    assert (stage.ended, stage.left) == (BLOCKS + 1, [])


def test_the_control_holds_what_the_baselines_worker_holds_and_is_asked_for_its_own(stage: Stage) -> None:
    run(small_plan("numpy-inplace", "numpy-loop", blocks=8))
    orders = set()
    for block in range(1, 9):
        proved = {
            w: [a.arm for a in stage.of(Prove, block=block) if a.worker == w] for w in (SHARED, CONTROL)
        }
        theirs = [TWIN if arm == BASE else arm for arm in proved[SHARED]]
        assert sorted(proved[CONTROL]) == sorted(theirs)
        orders.add(proved[CONTROL] == theirs)
        assert {a.arm for a in stage.of(Turn, block=block) if a.worker == CONTROL} == {TWIN}
    assert False in orders  # in an order of its own


def test_each_number_of_threads_has_a_control_that_holds_no_work_of_another(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(small_plan("numpy-inplace", threads=(1, 2)))
    for threads in ("x1", "x2"):
        own = [a.arm for a in stage.of(Prove, block=1) if a.worker == f"numpy@cpu {threads} control"]
        assert sorted(own) == [f"numpy-batched@cpu {threads} twin", f"numpy-inplace@cpu {threads}"]


CHECKS = [Check("W", 1.0, 1e-5, False)]
TOO_LONG = Value(N_CALLS, 10**12, 0, 1, 0, [])
FAULTS: dict[str, tuple[Any, str, bool, bool]] = {  # reply, status, whether it is another worker, tried again
    "dies": (DIED, "crashed", True, True),
    "has no memory": (Refused("oom", "no more"), "oom", True, False),
    "was changed": (Refused("invalid", "no more"), "invalid", True, False),
    "disagrees": (Refused("disagrees", "no", CHECKS), "disagrees", False, False),
    "raises": (Refused("crashed", "no", CHECKS), "crashed", False, True),
    "has a clock that lies": (TOO_LONG, "invalid", True, False),
}


@pytest.mark.parametrize("kind", [Prove, Turn])
@pytest.mark.parametrize("fault", FAULTS)
def test_who_fails_costs_no_other_a_value(stage: Stage, fault: str, kind: type) -> None:
    reply, status, another, again = FAULTS[fault]
    if kind is Prove and isinstance(reply, Value):
        return  # a proof has no value
    stage.react = on_the(1, kind, RIVAL, reply, block=1)
    end, records = run(small_plan("numpy-inplace", blocks=BLOCKS))
    assert end.status == "partial"
    (failure,) = of_kind(records, Failure)
    reason = getattr(reply, "reason", str(DIED) if reply is DIED else failure.reason)
    assert failed(records) == [(1, RIVAL, status, reason)]
    assert failure.checks == getattr(reply, "checks", [])
    assert ("the whole request" in reason) == (reply is TOO_LONG)
    assert measured(records, 1) == {BASE, TWIN}
    assert ((1, SHARED, 1) in stage.started) == another
    assert (RIVAL in measured(records, 2)) == again
    if again:  # in a worker of its own
        assert {a.worker for a in stage.of(Turn, block=2) if a.arm == RIVAL} == {RIVAL}
        assert {w.name: w.arms for w in of_kind(records, Worker) if w.block == 2}[RIVAL] == [RIVAL]


def test_after_a_death_the_session_begins_anew_and_values_from_before_count_for_nothing(stage: Stage) -> None:
    stage.react = on_the(8, Turn, RIVAL, DIED, block=1)
    _, records = run(small_plan("numpy-inplace", "numpy-loop", blocks=1))
    assert measured(records, 1) == {BASE, TWIN, "numpy-loop@cpu x1"}
    assert [(w, life) for block, w, life in stage.started if block == 1 and life] == [(SHARED, 1)]
    lives = {(a.arm, a.life) for a in stage.of(Prove, block=1) if a.worker == SHARED}
    assert lives == {(arm, life) for arm in (BASE, "numpy-loop@cpu x1") for life in (0, 1)} | {(RIVAL, 0)}
    assert Counter(a.arm for a in stage.of(Turn, block=1))[BASE] > ROUNDS


def test_who_crashes_again_alone_is_not_tried_a_third_time(stage: Stage) -> None:
    stage.react = lambda asked: DIED if isinstance(asked.job, Turn) and asked.arm == RIVAL else None
    _, records = run(small_plan("numpy-inplace", blocks=3))
    assert [block for block, *_ in failed(records)] == [0, 1]
    workers = {asked.worker for asked in stage.asked if asked.arm == RIVAL}
    assert workers - {CONTROL} == {SHARED, RIVAL}
    assert [measured(records, block) for block in range(4)] == [{BASE, TWIN}] * 4
    assert {block for block, name, _ in stage.started if name == RIVAL} == {1}


def test_a_neighbour_that_crashes_in_the_controls_worker_alone_costs_the_control_one_block(
    stage: Stage,
) -> None:
    stage.react = lambda asked: DIED if asked.arm == RIVAL and asked.worker not in (SHARED, RIVAL) else None
    end, records = run(small_plan("numpy-inplace", blocks=3))
    ((first, arm, *_),) = failed(records)
    assert (end.status, arm) == ("partial", TWIN)
    for block in range(4):
        assert measured(records, block) == ({BASE, RIVAL} if block == first else set(ARMS))
    # in its own worker it holds no neighbour
    assert {a.arm for a in stage.of(Prove) if a.worker == TWIN} == {TWIN}


def test_a_process_that_changed_in_a_turn_is_told_at_its_end_and_none_of_its_values_counts(
    stage: Stage,
) -> None:
    changed = Closed("threads was 1, is 2")
    stage.react = lambda asked: (
        changed if isinstance(asked.job, Close) and (asked.block, asked.worker) == (1, SHARED) else None
    )
    _, records = run(small_plan("numpy-inplace", blocks=BLOCKS))
    reason = "its process changed: threads was 1, is 2"
    assert sorted(failed(records)) == [(1, arm, "invalid", reason) for arm in (BASE, RIVAL)]
    assert measured(records, 1) == {TWIN}


def test_a_worker_that_dies_at_its_end_keeps_its_values_and_is_replaced_for_the_next_session(
    stage: Stage,
) -> None:
    stage.react = lambda asked: DIED if isinstance(asked.job, Close) and asked.life == 0 else None
    plan = small_plan("numpy-inplace", batch=(4, 8))
    end, records = run(plan)
    assert end.status == "complete"
    assert len(of_kind(records, Burst)) == 2 * sum(len(group.entries) for group in plan.groups)
    assert (1, SHARED, 1) in stage.started


def test_a_worker_that_does_not_get_ready_or_is_not_revived_has_all_its_entries_fail(stage: Stage) -> None:
    never = ChildError("timeout", "no reply within 120 s")
    stage.ready = lambda block, worker, life: never if worker == CONTROL or life else None
    stage.react = on_the(1, Turn, RIVAL, DIED, block=1)
    _, records = run(small_plan("numpy-inplace"))
    unready = ("timeout", "no reply within 120 s")
    expected = [(0, TWIN, *unready), (1, RIVAL, "crashed", str(DIED)), (1, BASE, *unready)]
    assert failed(records) == expected
    assert [measured(records, block) for block in (0, 1)] == [{BASE, RIVAL}, set()]


def test_a_device_that_is_still_busy_after_its_values_makes_them_invalid(stage: Stage) -> None:
    def react(asked: Asked) -> Any:
        if not isinstance(asked.job, Turn):
            return None
        value: Any = stage.usual(asked)
        return replace(value, residual_ns=value.elapsed_ns // 50)

    stage.react = react
    _, records = run(small_plan("torch-layer", devices=machine("cuda:0")))
    reason = f"the device was still busy for {N_CALLS * CALL_NS // 50} ns after a value"
    assert {(status, told) for _, _, status, told in failed(records)} == {("invalid", reason)}
    assert all("cuda" in arm for _, arm, *_ in failed(records))  # the CPU has none to wait for
    assert bursts_of(records, 1)


def test_calls_quicker_than_half_of_their_products_are_invalid(stage: Stage) -> None:
    slow_product = Measured([Primitive(Kernel("product", (512, 512, 512)), 1, [10**12])])
    stage.react = lambda asked: slow_product if isinstance(asked.job, ProbeJob) else None
    _, records = run(small_plan("numpy-inplace"))
    assert {status for _, _, status, _ in failed(records)} == {"invalid"}
    assert "they are not computed in the call" in failed(records)[0][3]
    assert not of_kind(records, Burst)


def test_a_slow_entry_takes_part_in_a_third_of_the_rounds(stage: Stage) -> None:
    stage.per_call_ns = lambda asked: 30_000_000 if asked.arm == RIVAL else CALL_NS
    _, records = run(small_plan("numpy-inplace"))
    assert bursts_of(records, 0)[RIVAL].rounds == [0, 3]
    assert bursts_of(records, 1)[RIVAL].rounds == [0, 3, 6, 9, 12]
    assert bursts_of(records, 1)[RIVAL].places == [2] * 5
    assert bursts_of(records, 1)[BASE].rounds == list(range(ROUNDS))


def test_isolated_arms_have_a_worker_each(stage: Stage) -> None:
    _, records = run(replace(small_plan("numpy-inplace"), isolate=True))
    assert {(w.name, *w.arms) for w in of_kind(records, Worker)} == {(arm, arm) for arm in ARMS}
    assert {(asked.worker, asked.arm) for asked in stage.of(Prove)} == {(arm, arm) for arm in ARMS}


def test_what_is_the_users_own_and_what_compiles_has_a_worker_of_its_own(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    monkeypatch.setattr("bench.machine.libraries.torch_library.why_not_compile", lambda device: None)
    plan = small_plan("acceptance.kernels:same", "torch-layer", "torch-compile", task=("forward",))
    (own,) = (arm.id for arm in plan.arms if ":" in arm.spec)
    run(plan)
    where = {asked.arm: asked.worker for asked in stage.of(Turn)}
    assert where[own] == own
    assert where["torch-compile@cpu x1"] == "torch-compile@cpu x1"
    assert where["torch-layer@cpu x1"] == "torch@cpu x1"


# the workers of several blocks start together


@pytest.fixture
def processors(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of them and memory enough, so that the two workers of a block leave room for those of another."""
    monkeypatch.setattr(budget, "usable_cpus", lambda: 4)
    monkeypatch.setattr(budget.psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 40))


@pytest.mark.usefixtures("processors")
def test_workers_of_two_blocks_start_together_and_each_block_has_its_own(stage: Stage) -> None:
    end, records = run(small_plan("numpy-inplace", blocks=4))
    assert end.status == "complete"
    workers = of_kind(records, Worker)
    assert Counter(worker.block for worker in workers) == dict.fromkeys(range(5), 2)
    assert len({worker.pid for worker in workers}) == 10
    assert [measured(records, block) for block in range(5)] == [set(ARMS)] * 5
    assert (stage.ended, stage.left) == (5, [])
    # when workers were started: how many jobs had been answered by then
    jobs = [sum(asked.block < block for asked in stage.asked) for block in range(5)]
    begun = [max(stage.answered[at] for at in stage.started if at[0] == block) for block in range(5)]
    assert [begun[block] < jobs[block] for block in range(5)] == [False, False, True, False, True]


@pytest.mark.parametrize("number", [1, 3])
def test_a_signal_at_the_very_start_of_a_worker_leaves_none_behind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def start(worker: WorkerProcess) -> None:
        stage.start(worker)
        if len(stage.started) == number:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(WorkerProcess, "start", start)
    assert run(small_plan("numpy-inplace", blocks=BLOCKS))[0].status == "interrupted"
    assert (len(stage.started), stage.left) == (number, [])


@pytest.mark.usefixtures("processors")
def test_workers_that_wait_are_started_anew_where_something_failed_before(stage: Stage) -> None:
    stage.react = on_the(1, Turn, RIVAL, DIED, block=1)
    _, records = run(small_plan("numpy-inplace", blocks=2))
    assert {w.name for w in of_kind(records, Worker) if w.block == 2} == {SHARED, CONTROL, RIVAL}
    assert measured(records, 2) == set(ARMS)
    assert (stage.ended, stage.left) == (4, [])


@pytest.mark.usefixtures("processors")
def test_a_table_that_was_dropped_is_not_measured_by_workers_that_waited(
    stage: Stage, tmp_path: Path
) -> None:
    plan = small_plan("numpy-inplace", batch=(4, 8), blocks=3)
    written: list[AnyRecord] = []
    blocks = Blocks(plan, written.append, Silent(), JobMaker(tmp_path), budget.Ledger(plan))
    for number in range(4):
        groups = plan.groups if number < 2 else plan.groups[:1]
        blocks.run(number, 3, lambda block, kept=groups: kept, 3)
    later = {burst.entry for burst in of_kind(written, Burst) if burst.block > 1}
    assert later == {entry.id for entry in plan.groups[0].entries}
    assert stage.left == []


@pytest.mark.usefixtures("processors")
def test_no_worker_waits_on_for_a_block_that_the_time_leaves_out(stage: Stage) -> None:
    plan = small_plan("numpy-inplace", blocks=4, budget=0.001, budget_rule="hold")
    end, records = run(plan)
    assert "time budget" in end.reason
    assert max(burst.block for burst in of_kind(records, Burst)) == 1
    assert (stage.started[-1][0], stage.left) == (2, [])  # block 2's had started with block 1's


# the burst that values become

PROVED = Proved(
    100, 50, True, status="ok", checks=[], first_call_ns=7_000, cold_call_ns=9_000, transfer_ns=11
)


def value(elapsed_ns: int = 100_000, *steps: int, **fields: int) -> Value:
    usual = {"residual_ns": 0, "cpu_ns": elapsed_ns // 2, "preempted": 0}
    return Value(100, elapsed_ns, rewarm_ns=list(steps), **usual | fields)


def burst(values: list[Value], *, threads: int = 1, rewarm_calls: int | None = 30) -> Burst:
    taken = EntrySamples(PROVED, [(3 * number, 5 + number, one) for number, one in enumerate(values)])
    arm, calibration = Arm("a", "s", "v", "numpy", "cpu", threads), Calibration(100, 50, True, rewarm_calls)
    return taken.burst(arm, calibration, {"waiting": 0.01}, LIMITS, block=2, entry="e", digest="d")


def test_a_burst_has_the_values_with_their_rounds_and_places_and_what_was_proved() -> None:
    record = burst([value(100_000, residual_ns=5), value(120_000, residual_ns=3)])
    expected = {
        "block": 2, "entry": "e", "status": "ok", "n_calls": 100, "elapsed_ns": [100_000, 120_000],
        "rounds": [0, 3], "places": [5, 6], "cpu_ns": 110_000, "residual_ns": 5, "first_call_ns": 7_000,
        "cold_call_ns": 9_000, "transfer_ns": 11, "warmup_calls": 50, "rewarm_calls": 30, "settled": True,
    }  # fmt: skip
    assert {name: getattr(record, name) for name in expected} == expected
    # block 0 finds what warms it, here 4 of 10 steps, and later blocks take that
    steps = [20_000] * 4 + [10_000] * 6
    assert burst([value(100_000, *steps)], rewarm_calls=None).rewarm_calls == 40


def test_what_a_process_waited_for_another_is_no_part_of_its_values_and_is_kept() -> None:
    values = [value(100_000), value(250_000, preempted=1), value(100_000, cpu_ns=101_000, preempted=1)]
    record = burst(values)
    assert (record.elapsed_ns, record.waited_ns) == ([100_000, 125_000, 100_000], [0, 125_000, 0])
    assert record.gates["wall_over_cpu"] == pytest.approx(450 / 276, abs=1e-4)
    for never in (burst(values, threads=2), burst([value(), value()])):
        assert never.waited_ns == []
        assert min(never.elapsed_ns) == 100_000


def test_gates_are_of_the_values_and_of_the_machine_meanwhile() -> None:
    record = burst([value(10**9, preempted=4), value(10**9)])
    assert record.gates == {"waiting": 0.01, "preempted": 2.0, "wall_over_cpu": 2.0}
    assert record.flags == ["wall_over_cpu"]
    assert "wall_over_cpu" not in burst([value()], threads=2).gates
