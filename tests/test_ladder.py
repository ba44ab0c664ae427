"""The ladder's arithmetic: factors that multiply to the whole, from the blocks that hold what they need."""

import math

import numpy as np
import pytest
from journals import LOOP, example_records
from ladders import (
    AUTOGRAD,
    BATCHED,
    COMPILED,
    INPLACE,
    MANUAL,
    MEASURED_AS,
    SINGLE,
    edited,
    per_block,
    section,
    taken,
    without,
)  # fmt: skip
from msgspec.structs import replace
from reports import CLAIM_NEW, CLAIM_OLD, facts_of

from bench.analysis import ladder as ladder_module
from bench.analysis.ladder import Ladder, ladder
from bench.analysis.statistics import rank_interval
from bench.analysis.summary import summarise
from bench.records.record import Burst, Plan, Rung
from bench.records.run import Run, make_run
from bench.reporting.sections.ladder import ladder_section


@pytest.fixture(scope="module")
def default() -> Run:
    return make_run(example_records())


def product(steps: Ladder) -> float:
    return math.prod(step.factor.estimate for step in steps.way)


def test_the_factors_multiply_to_the_whole_exactly(default, monkeypatch):
    steps = taken(default)
    whole = steps.whole.factor.estimate
    assert len(steps.way) == 8
    assert product(steps) == pytest.approx(whole, rel=1e-12)
    assert whole == pytest.approx(math.exp(np.mean(np.log(per_block(default, CLAIM_OLD, CLAIM_NEW)))))
    assert steps.whole.above.time_ns / steps.whole.rung.time_ns == pytest.approx(whole, rel=1e-12)
    # Hodges-Lehmann estimates would not multiply
    monkeypatch.setattr(ladder_module, "mean_interval", rank_interval)
    mutant = taken(default)
    assert product(mutant) != pytest.approx(mutant.whole.factor.estimate, rel=1e-5)


def test_a_factor_has_students_interval_of_the_blocks_logs(default):
    (step,) = (step for step in taken(default).way if step.rung.entry.id == BATCHED)
    logs = np.log(per_block(default, LOOP, BATCHED))
    assert len(logs) == step.blocks == 6
    reach = 2.570581835636 * np.std(logs, ddof=1) / math.sqrt(6)  # Student's 97.5 % point, 5 degrees
    expected = np.exp([np.mean(logs), np.mean(logs) - reach, np.mean(logs) + reach])
    assert [step.factor.estimate, step.factor.low, step.factor.high] == pytest.approx(
        list(expected), rel=1e-9
    )
    assert step.factor.low > 1


@pytest.mark.parametrize(("blocks", "limited"), [(3, True), (2, False)])
def test_three_blocks_have_an_interval_and_two_have_none(blocks, limited):
    run = make_run([record for record in example_records() if getattr(record, "block", 0) <= blocks])
    whole = taken(run).whole
    assert (whole.factor.finite, whole.blocks) == (limited, blocks)


def test_what_is_shared_by_a_block_cancels():
    """A machine that is twice as slow in one block moves no factor."""

    def slow(burst: Burst) -> Burst:
        twice = [2 * value for value in burst.elapsed_ns]
        return replace(burst, elapsed_ns=twice) if burst.block == 3 else burst

    steady, drifting = taken(edited(lambda burst: burst)), taken(edited(slow))
    assert [s.factor.low for s in drifting.way] == pytest.approx([s.factor.low for s in steady.way], rel=1e-9)


def test_only_blocks_that_hold_every_rung_of_the_way_count(default):
    cut = taken(without(LOOP, blocks=range(2, 4)))
    assert {step.blocks for step in (*cut.way, cut.whole)} == {4}
    kept = np.delete(np.log(per_block(default, CLAIM_OLD, CLAIM_NEW)), [1, 2])
    assert product(cut) == pytest.approx(cut.whole.factor.estimate, rel=1e-12)
    assert product(cut) == pytest.approx(math.exp(np.mean(kept)))

    def apart(burst: Burst) -> Burst | None:
        keep = burst.block in (1, 2) if burst.entry == LOOP else burst.block not in (1, 2)
        return burst if keep or burst.block == 0 else None

    lost = taken(edited(apart))  # a rung that shares no block with the others
    assert (lost.left_out, lost.whole.blocks) == ((LOOP,), 4)


def test_a_rung_without_values_is_left_out_and_its_change_joins_the_next(default):
    steps = taken(without(LOOP, MANUAL))
    changes = {step.rung.entry.id: step.change for step in steps.way}
    assert LOOP not in changes
    assert changes[BATCHED] == "the exact gradient; the whole batch at once"
    assert steps.left_out == (LOOP, MANUAL)
    assert product(steps) == pytest.approx(taken(default).whole.factor.estimate)
    assert steps.complete
    assert any(LOOP in note for note in section(without(LOOP)).notes)


def test_a_way_that_lost_an_end_is_a_part_and_one_that_lost_all_is_none(default):
    run = without(CLAIM_OLD)
    assert not taken(run).complete
    assert taken(run).start == "as published: one sample at a time, sigmoid, float64; tanh"
    assert section(run).lead[0].startswith("Of the way between the tutorial's two programs only a part")
    way = [rung.entry for rung in default.plan.ladder if not rung.branch]
    for run in (without(*way[1:]), make_run([default.plan])):
        assert ladder(summarise(run)) is None
        assert ladder_section(facts_of(run), "") is None


def test_branches_take_the_blocks_that_hold_both_their_ends():
    run = without(COMPILED, blocks=range(1, 3))
    branches = {step.rung.entry.id: step for step in taken(run).branches}
    assert branches[COMPILED].above.entry.id == AUTOGRAD
    assert branches[COMPILED].blocks == 4
    assert branches[INPLACE].blocks == 10  # both stand in the main table as well
    expected = np.exp(np.mean(np.log(per_block(run, SINGLE, INPLACE))))
    assert branches[INPLACE].factor.estimate == pytest.approx(expected)
    assert taken(run).whole.blocks == 6


def test_a_branch_whose_start_is_missing_begins_one_rung_higher():
    (step,) = (step for step in taken(without(SINGLE)).branches if step.rung.entry.id == INPLACE)
    assert (step.above.entry.id, step.change) == (BATCHED, "float32; a workspace allocated once")
    assert COMPILED not in {step.rung.entry.id for step in taken(without(AUTOGRAD)).branches}


def test_a_journal_whose_rungs_lead_in_a_circle_is_read_all_the_same(default):
    circle = [
        *(rung for rung in default.plan.ladder if not rung.branch),
        Rung(INPLACE, COMPILED, "one", branch=True),
        Rung(COMPILED, INPLACE, "other", branch=True),
    ]
    records = [
        replace(record, ladder=circle) if isinstance(record, Plan) else record
        for record in example_records()
        if not (isinstance(record, Burst) and record.entry in (MEASURED_AS[INPLACE], COMPILED))
    ]
    assert taken(make_run(records)).branches == ()
