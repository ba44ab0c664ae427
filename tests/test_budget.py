"""A time budget in a world whose clock the test holds: rounds go first, then blocks, then it is refused."""

from typing import Any

import pytest
from bursts import burst
from declared import small_plan
from msgspec.structs import replace
from played import ASKING_NS, CALL_NS, N_CALLS, PROVE_NS, READY_NS, Asked, Stage, of_kind, run, set_stage

from bench.machine.errors import UserError
from bench.measure.budget import SLOWER_LATER, SPARE, Costs, decide
from bench.measure.messages import Prove, Turn
from bench.measure.plan import (
    LEAST_ROUNDS,
    MIN_HELD_ROUNDS,
    ROUNDS,
    min_blocks_for_verdicts,
    min_blocks_of_plan,
)
from bench.records.record import Burst, Decision, End, Plan

ENTRIES = ("numpy-batched@cpu x1", "numpy-batched@cpu x1 twin", "numpy-inplace@cpu x1")
START_S, PROVE_S, TURN_S = 2 * READY_NS / 1e9, PROVE_NS / 1e9, (N_CALLS * CALL_NS + ASKING_NS) / 1e9


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return set_stage(monkeypatch, Stage())


def plan(budget_s: float | None = None, *, blocks: int = 20, **options: Any) -> Plan:
    """A plan that is to give verdicts on one table, and does not stop before its last block."""
    declared = small_plan("numpy-inplace", blocks=blocks, quick=False, budget=budget_s, **options)
    return replace(declared, groups=declared.groups[:1], probes=[], precision=None)


def whole(**options: object) -> tuple[list, Decision]:
    _, records = run(plan(**options))  # type: ignore[arg-type]
    return records, of_kind(records, Decision)[0]


def least_s(declared: Plan) -> float:
    """The prediction of the least that the plan's verdicts need, once block 0 is over."""
    with pytest.raises(UserError) as error:
        run(declared)
    return float(str(error.value).partition("about ")[2].partition(" s")[0])


def test_the_predicted_time_is_what_the_run_then_takes_but_for_the_spare(stage: Stage) -> None:
    records, decision = whole(budget_s=1000.0)
    spent_s = stage.now_ns / 1e9
    assert (decision.blocks, decision.rounds) == (20, ROUNDS)
    assert decision.dropped_groups == decision.dropped_arms == []
    assert spent_s < decision.predicted_s < SPARE * spent_s
    assert len(of_kind(records, Burst)) == 3 * 21


@pytest.mark.parametrize("share", [0.99, 0.98])
def test_rounds_go_first_and_every_block_stays(stage: Stage, share: float) -> None:
    _, free = whole()
    stage.now_ns = 0
    records, decision = whole(budget_s=share * free.predicted_s)
    assert decision.blocks == 20
    assert LEAST_ROUNDS <= decision.rounds < ROUNDS
    assert {len(b.elapsed_ns) for b in of_kind(records, Burst) if b.block} == {decision.rounds}
    assert stage.now_ns / 1e9 < share * free.predicted_s
    assert decision.predicted_s == free.predicted_s  # of the whole plan


def test_then_blocks_go_down_to_what_verdicts_need(stage: Stage) -> None:
    declared = plan()
    fewest = min_blocks_for_verdicts(declared.groups, declared.arms)
    records, decision = whole(budget_s=45.0)
    assert fewest <= decision.blocks < 20
    assert decision.rounds == LEAST_ROUNDS
    assert max(b.block for b in of_kind(records, Burst)) == decision.blocks
    assert stage.now_ns / 1e9 < 45.0


def test_what_not_even_the_least_fits_is_refused_with_what_would_do(stage: Stage) -> None:
    budget_s = (
        START_S * (1 + min_blocks_of_plan(plan(), plan().groups)) + 1.0
    )  # the starts fit, the rest does not
    records: list = []
    with pytest.raises(UserError) as error:
        run(plan(budget_s), write=records.append)
    told = str(error.value)
    assert told.startswith(f"--budget {budget_s:g}s cannot be kept: the least for this plan is about ")
    assert told.endswith("choose fewer --variant, or take --quick")
    assert "\n" not in told
    (end,) = of_kind(records, End)
    assert (end.status, end.reason) == ("interrupted", told)
    assert {b.block for b in of_kind(records, Burst)} == {0}
    assert not of_kind(records, Decision)

    advised_s = float(told.partition("give --budget ")[2].partition("s,")[0])
    stage.now_ns = 0
    assert run(plan(advised_s))[0].status == "complete"
    assert stage.now_ns / 1e9 <= advised_s


def test_what_the_starts_alone_would_exceed_is_refused_before_anything_is_proved(stage: Stage) -> None:
    with pytest.raises(
        UserError, match=r"--budget 1s cannot be kept: the least for this plan is about \d+ s"
    ):
        run(plan(1.0))
    assert len(stage.started) == 2
    assert stage.of(Prove) == stage.of(Turn) == []
    assert stage.left == []
    assert stage.now_ns == 2 * READY_NS


def test_a_budget_that_is_over_in_block_0_ends_it_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(asked: Asked) -> None:
        stage.now_ns += 40 * 10**9 * isinstance(asked.job, Prove)

    stage.react = slowly
    records: list = []
    with pytest.raises(
        UserError, match="--budget 60s cannot be kept: it was over before every entry"
    ) as error:
        run(plan(60.0), write=records.append)
    assert (len(stage.of(Prove)), stage.left) == (2, [])
    (end,) = of_kind(records, End)
    assert (end.status, end.reason) == ("interrupted", str(error.value))

    stage.now_ns = 0
    assert run(replace(plan(60.0), budget_rule="aim"))[0].status == "complete"  # which is no promise


def test_a_quick_run_needs_one_block(stage: Stage) -> None:
    assert least_s(small_plan("numpy-inplace", blocks=3, budget=3.0)) == pytest.approx(2 * START_S, abs=1)
    stage.now_ns = 0
    _, records = run(small_plan("numpy-inplace", blocks=3, budget=7.0))
    assert of_kind(records, Decision)[0].blocks == 1


def test_a_budget_that_holds_is_never_refused_and_leaves_out_the_rows_in_no_pair_first(stage: Stage) -> None:
    stage.per_call_ns = lambda asked: CALL_NS / 2 if "inplace" in asked.key else CALL_NS
    declared = plan(1.0, budget_rule="hold")
    end, records = run(declared)
    (decision,) = of_kind(records, Decision)
    assert (decision.blocks, decision.rounds) == (declared.blocks, MIN_HELD_ROUNDS)  # its time ends it
    assert max(burst.block for burst in of_kind(records, Burst)) == 1
    assert end.status == "complete"


def test_a_block_whose_workers_wait_already_needs_no_time_to_start(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.budget.usable_cpus", lambda: 4)  # so two blocks start together
    left_s: dict[int, list[float]] = {0: [], 1: []}
    for budget_s in range(12, 30):
        stage.now_ns = 0
        _, records = run(plan(budget_s, budget_rule="hold"))
        blocks = max(burst.block for burst in of_kind(records, Burst))
        left_s[blocks % 2].append(budget_s - stage.now_ns / 1e9)
    measure_s = 3 * PROVE_S + ROUNDS * 3 * TURN_S
    assert max(left_s[1]) < measure_s  # the second one of two is begun wherever it fits
    assert measure_s < max(left_s[0]) < measure_s + 2 * START_S


def decided(declared: Plan, per_call_ns: int) -> float:
    """Seconds of a plan, as predicted of a block 0 whose calls took so long."""
    names = [entry.id for group in declared.groups for entry in group.entries]
    bursts = [burst(0, name, [per_call_ns], rewarm_calls=2) for name in names]
    ready_s, holds = {"w": 1.0}, {"w": set(ENTRIES)}
    spent = (dict.fromkeys(names, seconds) for seconds in (0.5, 0.1))  # to prove one, for a turn
    costs = Costs(1.0, 2.0, False, ready_s, holds, *spent)
    return decide(declared, bursts, costs).predicted_s


@pytest.mark.usefixtures("stage")
def test_a_block_is_its_start_the_proofs_and_the_turns_with_what_warms_them() -> None:
    declared = plan(blocks=10)
    block_s = 2.0 + 3 * 0.5 + ROUNDS * 3 * (0.1 + 2 * 0.001)
    assert decided(declared, 1_000_000) == pytest.approx(1.0 + SPARE * 10 * block_s, abs=0.1)


@pytest.mark.usefixtures("stage")
def test_slow_entries_are_counted_in_a_third_of_the_rounds() -> None:
    declared = plan(blocks=10)
    block_s = 2.0 + 3 * 0.5 + ROUNDS / 3 * 3 * (0.1 + 2 * 0.03)
    assert decided(declared, 30_000_000) == pytest.approx(1.0 + SPARE * 10 * block_s, abs=0.1)


@pytest.mark.usefixtures("stage")
def test_a_worker_that_no_counted_block_needs_costs_no_start() -> None:
    costs = Costs(1.0, 1.0, False, {"a": 1.0, "b": 2.0}, {"a": set(ENTRIES), "b": {"torch-layer@cpu x1"}})
    assert decide(plan(blocks=10), [], costs).predicted_s == pytest.approx(1.0 + SPARE * 10 * 1.0, abs=0.1)


@pytest.mark.usefixtures("stage")
def test_an_aim_that_cannot_be_kept_is_measured_all_the_same() -> None:
    end, records = run(plan(1.0, budget_rule="aim"))
    declared = plan()
    (decision,) = of_kind(records, Decision)
    assert (decision.blocks, decision.rounds) == (
        min_blocks_for_verdicts(declared.groups, declared.arms),
        LEAST_ROUNDS,
    )
    assert end.reason.endswith("beyond the time budget of 1 s: verdicts need as many")


@pytest.mark.usefixtures("stage")
def test_an_aim_leaves_room_for_a_machine_that_gets_slower_after_block_0() -> None:
    _, decision = whole(budget_s=1000.0)
    exact_s = decision.predicted_s + 0.1  # in which the whole plan fits
    (refusing,), (aiming,) = (
        of_kind(run(plan(budget, budget_rule=rule))[1], Decision)
        for budget, rule in ((exact_s, "refuse"), (exact_s, "aim"))
    )
    (roomy,) = of_kind(run(plan(SLOWER_LATER * exact_s, budget_rule="aim"))[1], Decision)
    assert refusing.rounds == roomy.rounds == ROUNDS > aiming.rounds
