"""A block whose workers are played: who fails, who goes on, and what is never missing from a burst."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from played import CALL_NS, DIED, N_CALLS, Asked, Reaction, Silent, Stage, of_kind, run, set_stage, small_plan

from bench.machine.child import ChildError
from bench.measure import costs
from bench.measure.block import Blocks
from bench.measure.ledger import Ledger
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
)
from bench.records.record import AnyRecord, Burst, Check, Failure, Plan, Primitive, Worker
from bench.workload.operations import Kernel

BASE, TWIN, RIVAL = "numpy-batched@cpu x1", "numpy-batched@cpu x1 twin", "numpy-inplace@cpu x1"
SHARED, CONTROL = "numpy@cpu x1", "numpy@cpu x1 control"
BLOCKS, ROUNDS_0, ROUNDS = 2, 5, 15


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return set_stage(monkeypatch, Stage())


def on_the(
    n: int, kind: type, arm: str, reply: Callable[[], Reply | ChildError], block: int | None = None
) -> Reaction:
    """React so at the n-th job of that kind that is about an arm, and at no other."""
    met: Counter[int] = Counter()

    def react(asked: Asked) -> Reply | ChildError | None:
        if not isinstance(asked.job, kind) or asked.arm != arm or block not in (None, asked.block):
            return None
        met[asked.block] += 1
        return reply() if met[asked.block] == n else None

    return react


def bursts_by_arm(records: list, block: int) -> dict[str, Burst]:
    return {one.entry.partition(" | ")[2]: one for one in of_kind(records, Burst) if one.block == block}


def are_whole(bursts: dict[str, Burst], rounds: int) -> bool:
    """Whether each has a value of every round, and the rounds' places are one sequence."""
    places = [sorted(one.places[number] for one in bursts.values()) for number in range(rounds)]
    return all(one.rounds == list(range(rounds)) for one in bursts.values()) and all(
        place == sorted(set(place)) for place in places
    )


def test_workers_start_together_are_proved_and_then_take_turns(stage: Stage) -> None:
    end, records = run(small_plan("numpy-inplace", blocks=BLOCKS))
    assert end.status == "complete"
    for block in range(BLOCKS + 1):
        kinds = [type(asked.job).__name__ for asked in stage.asked if asked.block == block]
        kinds = [kind for kind in kinds if kind != "ProbeJob"]
        assert kinds == sorted(kinds, key=["Prove", "Turn", "Close"].index)
        assert are_whole(bursts_by_arm(records, block), ROUNDS if block else ROUNDS_0)
    assert stage.ended == BLOCKS + 1


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
    monkeypatch.setattr("bench.measure.preset.usable_cpus", lambda: 2, raising=False)
    run(small_plan("numpy-inplace", threads=(1, 2), all_threads=2))
    for threads in ("x1", "x2"):
        own = [a.arm for a in stage.of(Prove, block=1) if a.worker == f"numpy@cpu {threads} control"]
        assert sorted(own) == [f"numpy-batched@cpu {threads} twin", f"numpy-inplace@cpu {threads}"]


def test_a_worker_that_dies_in_a_turn_costs_its_entry_and_the_session_begins_anew(stage: Stage) -> None:
    stage.react = on_the(8, Turn, RIVAL, lambda: DIED, block=1)
    end, records = run(small_plan("numpy-inplace", "numpy-loop", blocks=BLOCKS))

    assert end.status == "partial"
    (failure,) = of_kind(records, Failure)
    assert (failure.block, failure.entry.partition(" | ")[2], failure.status) == (1, RIVAL, "crashed")
    others = bursts_by_arm(records, 1)
    assert set(others) == {BASE, TWIN, "numpy-loop@cpu x1"}
    assert are_whole(others, ROUNDS)
    # the worker that it shared was revived and proved what was left once more
    assert [(w, life) for block, w, life in stage.started if block == 1 and life] == [(SHARED, 1)]
    lives = {(a.arm, a.life) for a in stage.of(Prove, block=1) if a.worker == SHARED}
    assert lives == {(arm, life) for arm in (BASE, "numpy-loop@cpu x1") for life in (0, 1)} | {(RIVAL, 0)}
    # values from before the death count for nothing: each burst is of the last session alone
    turns = Counter(a.arm for a in stage.of(Turn, block=1))
    assert turns[BASE] > ROUNDS
    assert len(others[BASE].elapsed_ns) == ROUNDS
    # once more in the next block, in a worker of its own
    again = bursts_by_arm(records, 2)
    assert are_whole(again, ROUNDS)
    assert RIVAL in again
    assert {a.worker for a in stage.of(Turn, block=2) if a.arm == RIVAL} == {RIVAL}
    assert {w.name: w.arms for w in of_kind(records, Worker) if w.block == 2}[RIVAL] == [RIVAL]


def test_who_crashes_again_alone_is_not_tried_a_third_time(stage: Stage) -> None:
    stage.react = lambda asked: DIED if isinstance(asked.job, Turn) and asked.arm == RIVAL else None
    _, records = run(small_plan("numpy-inplace", blocks=3))
    assert [failure.block for failure in of_kind(records, Failure)] == [0, 1]
    assert {asked.worker for asked in stage.asked if asked.arm == RIVAL and asked.worker != CONTROL} == {
        SHARED,
        RIVAL,
    }
    assert all(are_whole(bursts_by_arm(records, block), ROUNDS if block else ROUNDS_0) for block in range(4))
    assert {block for block, name, _ in stage.started if name == RIVAL} == {1}


def test_a_death_while_it_is_proved_is_one_as_well(stage: Stage) -> None:
    stage.react = lambda asked: DIED if (asked.arm, asked.worker) == (RIVAL, SHARED) else None
    end, records = run(small_plan("numpy-inplace", blocks=1))
    assert [failure.block for failure in of_kind(records, Failure)] == [0]
    assert set(bursts_by_arm(records, 0)) == {BASE, TWIN}
    assert set(bursts_by_arm(records, 1)) == {BASE, TWIN, RIVAL}
    assert end.status == "partial"


def test_a_neighbour_that_crashes_in_the_controls_worker_alone_costs_the_control_one_block(
    stage: Stage,
) -> None:
    stage.react = lambda asked: DIED if asked.arm == RIVAL and asked.worker not in (SHARED, RIVAL) else None
    end, records = run(small_plan("numpy-inplace", blocks=3))
    failures = [(f.block, f.entry.partition(" | ")[2]) for f in of_kind(records, Failure)]
    ((first, arm),) = failures
    assert arm == TWIN
    for block in range(4):
        arms = {BASE, RIVAL} if block == first else {BASE, RIVAL, TWIN}
        bursts = bursts_by_arm(records, block)
        assert set(bursts) == arms
        assert are_whole(bursts, ROUNDS if block else ROUNDS_0)
    # in its own worker it holds no neighbour
    assert {a.arm for a in stage.of(Prove) if a.worker == TWIN} == {TWIN}
    assert end.status == "partial"


@pytest.mark.parametrize("kind", [Prove, Turn])
@pytest.mark.parametrize("status", ["oom", "invalid"])
def test_after_no_memory_and_after_a_changed_process_its_worker_is_another(
    stage: Stage, status: str, kind: type
) -> None:
    stage.react = on_the(1, kind, RIVAL, lambda: Refused(status, "no more"), block=1)  # type: ignore[arg-type]
    _, records = run(small_plan("numpy-inplace", blocks=BLOCKS))
    (failure,) = of_kind(records, Failure)
    assert (failure.status, failure.reason) == (status, "no more")
    assert (1, SHARED, 1) in stage.started
    assert set(bursts_by_arm(records, 1)) == {BASE, TWIN}
    assert are_whole(bursts_by_arm(records, 1), ROUNDS)
    assert {a.life for a in stage.of(Turn, block=1) if a.arm == BASE} >= {1}
    assert not [
        a for a in stage.of(Prove, block=2) if a.arm == RIVAL and a.worker == SHARED
    ]  # not tried again


@pytest.mark.parametrize("kind", [Prove, Turn])
@pytest.mark.parametrize("status", ["disagrees", "crashed"])
def test_what_is_refused_leaves_its_worker_and_the_session_as_they_are(
    stage: Stage, status: str, kind: type
) -> None:
    refused = Refused(status, "no", [Check("W", 1.0, 1e-5, False)])  # type: ignore[arg-type]
    stage.react = on_the(1, kind, RIVAL, lambda: refused, block=1)
    _, records = run(small_plan("numpy-inplace", blocks=BLOCKS))
    (failure,) = of_kind(records, Failure)
    assert (failure.status, failure.checks) == (status, refused.checks)
    assert {life for block, _, life in stage.started} == {0}
    assert are_whole(bursts_by_arm(records, 1), ROUNDS)
    assert set(bursts_by_arm(records, 1)) == {BASE, TWIN}
    assert (RIVAL in bursts_by_arm(records, 2)) == (status == "crashed")


def test_a_process_that_changed_in_a_turn_is_told_at_its_end_and_none_of_its_values_counts(
    stage: Stage,
) -> None:
    def react(asked: Asked) -> Reply | None:
        changed = isinstance(asked.job, Close) and (asked.block, asked.worker) == (1, SHARED)
        return Closed("threads was 1, is 2") if changed else None

    stage.react = react
    _, records = run(small_plan("numpy-inplace", blocks=BLOCKS))
    failures = of_kind(records, Failure)
    assert {(f.block, f.status, f.reason) for f in failures} == {
        (1, "invalid", "its process changed: threads was 1, is 2")
    }
    assert {f.entry.partition(" | ")[2] for f in failures} == {BASE, RIVAL}
    assert set(bursts_by_arm(records, 1)) == {TWIN}


def test_a_worker_that_dies_at_its_end_keeps_its_values_and_is_replaced_for_the_next_session(
    stage: Stage,
) -> None:
    stage.react = lambda asked: DIED if isinstance(asked.job, Close) and asked.life == 0 else None
    plan = small_plan("numpy-inplace", batch=(4, 8))
    end, records = run(plan)
    assert end.status == "complete"
    assert len(of_kind(records, Burst)) == 2 * sum(len(group.entries) for group in plan.groups)
    assert (1, SHARED, 1) in stage.started


def test_a_worker_that_does_not_get_ready_has_all_its_entries_fail_with_its_reason(stage: Stage) -> None:
    never = ChildError("timeout", "no reply within 120 s")
    stage.ready = lambda block, worker, life: never if worker == CONTROL else None
    _, records = run(small_plan("numpy-inplace"))
    assert {(f.entry.partition(" | ")[2], f.status, f.reason) for f in of_kind(records, Failure)} == {
        (TWIN, "timeout", "no reply within 120 s")
    }
    assert set(bursts_by_arm(records, 1)) == {BASE, RIVAL}


def test_a_worker_that_is_not_revived_has_what_it_held_fail(stage: Stage) -> None:
    stage.react = on_the(1, Turn, RIVAL, lambda: DIED, block=1)
    stage.ready = lambda block, worker, life: ChildError("crashed", "no more of it") if life else None
    _, records = run(small_plan("numpy-inplace"))
    reasons = {f.entry.partition(" | ")[2]: f.reason for f in of_kind(records, Failure)}
    assert reasons == {RIVAL: str(DIED), BASE: "no more of it"}
    assert set(bursts_by_arm(records, 1)) == {TWIN}


def test_a_value_longer_than_its_round_trip_is_invalid(stage: Stage) -> None:
    def react(asked: Asked) -> Reply | None:
        if asked.arm == RIVAL and isinstance(asked.job, Turn):
            stage.now_ns += 1_000
            return Value(N_CALLS, 1_001, 0, 1, 0, [])
        return None

    stage.react = react
    _, records = run(small_plan("numpy-inplace"))
    (failure,) = of_kind(records, Failure)
    assert failure.status == "invalid"
    assert "the whole request 1.0 us" in failure.reason
    assert set(bursts_by_arm(records, 1)) == {BASE, TWIN}


def test_a_device_that_is_still_busy_after_its_values_makes_them_invalid(stage: Stage) -> None:
    def react(asked: Asked) -> Reply | None:
        if not isinstance(asked.job, Turn):
            return None
        value = stage.usual(asked)
        return replace(value, residual_ns=value.elapsed_ns // 50)  # type: ignore[union-attr]

    stage.react = react
    _, records = run(small_plan("torch-rnn", devices=("cpu", "cuda:0")))
    failures = of_kind(records, Failure)
    assert {failure.status for failure in failures} == {"invalid"}
    assert {failure.reason for failure in failures} == {
        f"the device was still busy for {N_CALLS * CALL_NS // 50} ns after a value"
    }
    assert {"cuda" in failure.entry for failure in failures} == {True}  # the CPU has none to wait for
    assert bursts_by_arm(records, 1)


def test_calls_quicker_than_half_of_their_products_are_invalid(stage: Stage) -> None:
    slow_product = Measured([Primitive(Kernel("product", (512, 512, 512)), 1, [10**12])])
    stage.react = lambda asked: slow_product if isinstance(asked.job, ProbeJob) else None
    _, records = run(small_plan("numpy-inplace"))
    assert {failure.status for failure in of_kind(records, Failure)} == {"invalid"}
    assert "they are not computed in the call" in of_kind(records, Failure)[0].reason
    assert not of_kind(records, Burst)


def test_what_block_0_found_is_asked_for_in_all_others(stage: Stage) -> None:
    run(small_plan("numpy-inplace", blocks=BLOCKS))
    calls = {(asked.block > 0, asked.arm, asked.job.n_calls) for asked in stage.of(Prove)}
    assert {(arm, n) for later, arm, n in calls if later} == {(arm, N_CALLS) for arm in (BASE, TWIN, RIVAL)}
    asked_first = [asked.arm for asked in stage.of(Prove, block=0) if asked.job.n_calls is None]
    assert sorted(arm.replace(" twin", "") for arm in asked_first) == [BASE, RIVAL]  # a twin is the same work
    rewarms = {(asked.block > 0, asked.job.rewarm_calls) for asked in stage.of(Turn)}
    assert rewarms == {(False, None), (True, 10)}


def test_the_two_batches_alternate_from_value_to_value(stage: Stage) -> None:
    run(small_plan("numpy-inplace"))
    for arm in (BASE, TWIN, RIVAL):
        batches = [asked.job.batch for asked in stage.of(Turn, block=1) if asked.arm == arm]
        assert batches == [1, 0] * 7 + [1]


def test_a_slow_entry_takes_part_in_a_third_of_the_rounds(stage: Stage) -> None:
    stage.per_call_ns = lambda asked: 30_000_000 if asked.arm == RIVAL else CALL_NS
    _, records = run(small_plan("numpy-inplace"))
    assert bursts_by_arm(records, 0)[RIVAL].rounds == [0, 3]
    assert bursts_by_arm(records, 1)[RIVAL].rounds == [0, 3, 6, 9, 12]
    assert bursts_by_arm(records, 1)[RIVAL].places == [2] * 5
    assert bursts_by_arm(records, 1)[BASE].rounds == list(range(ROUNDS))


def isolated(plan: Plan) -> Plan:
    return replace(plan, isolate=True)


def test_isolated_arms_have_a_worker_each(stage: Stage) -> None:
    _, records = run(isolated(small_plan("numpy-inplace")))
    assert {(w.name, *w.arms) for w in of_kind(records, Worker)} == {
        (arm, arm) for arm in (BASE, TWIN, RIVAL)
    }
    assert {(asked.worker, asked.arm) for asked in stage.of(Prove)} == {
        (arm, arm) for arm in (BASE, TWIN, RIVAL)
    }


def test_what_is_the_users_own_and_what_compiles_has_a_worker_of_its_own(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    monkeypatch.setattr("bench.machine.libraries.torch_library.why_not_compile", lambda device: None)
    plan = small_plan("acceptance.kernels:same", "torch-rnn", "torch-compile", tasks=("forward",))
    (own,) = (arm.id for arm in plan.arms if ":" in arm.spec)
    run(plan)
    where = {asked.arm: asked.worker for asked in stage.of(Turn)}
    assert where[own] == own
    assert where["torch-compile@cpu x1"] == "torch-compile@cpu x1"
    assert where["torch-rnn@cpu x1"] == "torch@cpu x1"


@pytest.fixture
def processors(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of them and memory enough, so that the two workers of a block leave room for those of another."""
    monkeypatch.setattr(costs, "usable_cpus", lambda: 4)
    monkeypatch.setattr(costs.psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 40))


@pytest.mark.usefixtures("processors")
def test_workers_of_two_blocks_start_together_and_each_block_has_its_own(stage: Stage) -> None:
    end, records = run(small_plan("numpy-inplace", blocks=4))
    assert end.status == "complete"
    assert [[w.block for w in of_kind(records, Worker)].count(block) for block in range(5)] == [2] * 5
    pids = [worker.pid for worker in of_kind(records, Worker)]
    assert len(set(pids)) == 10
    assert all(are_whole(bursts_by_arm(records, block), ROUNDS if block else ROUNDS_0) for block in range(5))
    assert (stage.ended, stage.left) == (5, [])
    # when workers were started: how many jobs had been answered by then
    jobs = [sum(asked.block < block for asked in stage.asked) for block in range(5)]
    begun = [max(stage.answered[at] for at in stage.started if at[0] == block) for block in range(5)]
    assert [begun[block] < jobs[block] for block in range(5)] == [False, False, True, False, True]


@pytest.mark.usefixtures("processors")
def test_workers_that_wait_for_their_block_are_started_anew_where_something_failed_before(
    stage: Stage,
) -> None:
    stage.react = on_the(1, Turn, RIVAL, lambda: DIED, block=1)
    _, records = run(small_plan("numpy-inplace", blocks=2))
    assert {w.name for w in of_kind(records, Worker) if w.block == 2} == {SHARED, CONTROL, RIVAL}
    assert set(bursts_by_arm(records, 2)) == {BASE, TWIN, RIVAL}
    assert (stage.ended, stage.left) == (4, [])


@pytest.mark.usefixtures("processors")
def test_a_table_that_was_dropped_is_not_measured_by_workers_that_waited(
    stage: Stage, tmp_path: Path
) -> None:
    plan = small_plan("numpy-inplace", batch=(4, 8), blocks=3)
    written: list[AnyRecord] = []
    blocks = Blocks(plan, written.append, Silent(), JobMaker(tmp_path), Ledger(plan))
    for number in range(4):
        groups = plan.groups if number < 2 else plan.groups[:1]
        blocks.run(number, 3, lambda block, kept=groups: kept, 3)
    later = {burst.entry for burst in of_kind(written, Burst) if burst.block > 1}
    assert later == {entry.id for entry in plan.groups[0].entries}
    assert stage.left == []


@pytest.mark.usefixtures("processors")
def test_no_worker_waits_on_for_a_block_that_the_time_leaves_out(stage: Stage) -> None:
    plan = small_plan("numpy-inplace", blocks=4, budget_s=0.001, budget_rule="hold")
    end, records = run(plan)
    assert "time budget" in end.reason
    assert max(burst.block for burst in of_kind(records, Burst)) == 1
    assert (stage.ended, stage.left) == (3, [])  # block 2's had started with block 1's
