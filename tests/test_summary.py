"""Outcomes and summary say of a run what its journal says: times, proofs, what failed, how it ended."""

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from journals import LOOP, POSITIONAL, example_plan, example_records
from msgspec.structs import replace
from reports import CLAIM_OLD

from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.summary import Row, Summary, summarise
from bench.analysis.verdict import paired_rounds
from bench.measure.plan import LEAST_ROUNDS
from bench.measure.schedule import SLOW_ROUNDS, sessions
from bench.records.record import AnyRecord, Burst, Check, End, Failure, Group, measured_as
from bench.records.run import Run, make_run
from bench.records.table import values_frame

BASE = f"{POSITIONAL} | numpy-batched@cpu x1"
FIRST = f"{POSITIONAL} | torch-layer@cpu x1"
AGAIN = "ladder | torch-layer@cpu x1 positional float32 tanh"  # the same arm on the same case as FIRST
SLOW = "ladder | numpy-published@cpu x1 positional float64 sigmoid"


@pytest.fixture(scope="module")
def whole() -> Summary:
    return summarise(make_run(example_records()))


@pytest.fixture(scope="module")
def broken() -> Summary:
    return summarise(make_run(example_records(broken=True)))


def edited(change: Callable[[Burst], AnyRecord], *entries: str, quick: bool = False) -> Run:
    """The example run, the bursts of ``entries`` (or of all) replaced by what ``change`` makes of them."""
    return make_run(
        [
            change(record)
            if isinstance(record, Burst) and record.entry in (entries or (record.entry,))
            else record
            for record in example_records(quick=quick)
        ]
    )


def row_of(summary: Summary, entry: str) -> Row:
    return next(row for table in summary.tables for row in table.rows if row.entry.id == entry)


# outcomes


def test_medians_and_values_are_those_of_the_rounds():
    outcome = Outcome("a", "ok", "", {2: {0: 5.0, 1: 1.0, 4: 3.0}, 3: {0: 2.0, 1: 4.0}})
    assert (outcome.medians, outcome.values) == ({2: 3.0, 3: 3.0}, 5)
    assert (Outcome("a", "dropped", "").medians, Outcome("a", "dropped", "").values) == ({}, 0)


def test_times_are_by_block_and_round_in_order_and_without_block_0(whole):
    run, known = whole.run, whole.outcomes
    assert known[SLOW].times == {
        burst.block: dict(zip(burst.rounds, np.divide(burst.elapsed_ns, burst.n_calls), strict=True))
        for burst in run.bursts
        if burst.entry == SLOW and burst.block >= 1
    }
    slow_rounds = tuple(range(0, LEAST_ROUNDS, SLOW_ROUNDS))  # it takes long
    assert {tuple(rounds) for rounds in known[SLOW].times.values()} == {slow_rounds}
    assert {tuple(rounds) for rounds in known[FIRST].times.values()} == {tuple(range(LEAST_ROUNDS))}
    backwards = outcomes(make_run([run.plan, *reversed(run.bursts)]))
    assert list(backwards[FIRST].times) == list(known[FIRST].times) == list(range(1, 11))


def test_rounds_are_paired_by_number_and_a_block_without_a_shared_one_does_not_count():
    entry = Outcome("a", "ok", "", {1: {0: 2.0, 3: 6.0}, 2: {0: 2.0}, 3: {0: 1.0}})
    baseline = Outcome("b", "ok", "", {1: {3: 2.0, 0: 1.0, 1: 9.0}, 2: {1: 2.0}, 4: {0: 1.0}})
    (logs,) = paired_rounds(entry, baseline)
    assert sorted(logs) == pytest.approx([math.log(2), math.log(3)])


def test_an_arm_on_a_case_is_measured_once_and_shows_in_every_table_that_holds_it(whole):
    plan = example_plan()
    names = measured_as(plan.groups)
    entries = {entry.id: entry for group in plan.groups for entry in group.entries}
    assert list(names) == list(entries)
    assert (names[FIRST], names[AGAIN], names[SLOW]) == (FIRST, FIRST, SLOW)
    for entry, name in names.items():
        assert (entries[name].arm, entries[name].case) == (entries[entry].arm, entries[entry].case)
    assert len(set(names.values())) == len({(entry.arm, entry.case) for entry in entries.values()})
    turned = measured_as([Group("ladder", [entries[AGAIN]]), Group(POSITIONAL, [entries[FIRST]])])
    assert turned == {AGAIN: AGAIN, FIRST: AGAIN}

    measured = [burst.entry for burst in whole.run.bursts if burst.block == 1]
    assert (measured.count(FIRST), measured.count(AGAIN)) == (1, 0)
    assert (whole.outcomes[AGAIN].entry, whole.outcomes[AGAIN].times) == (AGAIN, whole.outcomes[FIRST].times)
    assert row_of(whole, AGAIN).median_ns == row_of(whole, FIRST).median_ns is not None


def test_what_failed_under_the_first_name_has_failed_in_both_tables():
    def late(burst: Burst) -> AnyRecord:
        return Failure(4, FIRST, "crashed", "it fell over") if burst.block == 4 else burst

    lost = outcomes(edited(late, FIRST))
    wrong = summarise(edited(lambda burst: Failure(burst.block, FIRST, "disagrees", "dW is off"), FIRST))
    for name in (FIRST, AGAIN):
        assert "crashed in 1 of" in lost[name].reason
        assert (row_of(wrong, name).outcome.status, wrong.outcomes[name].times) == ("disagrees", {})


def test_gates_inform_and_withhold_no_verdict(whole):
    flagged = summarise(edited(lambda burst: replace(burst, flags=["steal"]), FIRST))
    assert (flagged.outcomes[FIRST].disturbed, flagged.outcomes[FIRST].flags) == (10, {"steal": 10})
    plain, disturbed = (
        [(pair.verdict, pair.ratio, pair.p_holm) for pair in (*summary.headlines, *summary.twins)]
        for summary in (whole, flagged)
    )
    assert plain == disturbed


def test_values_are_counted_once_and_tell_their_round_and_their_place_there(whole):
    frame = values_frame(whole.run)
    assert sum(outcome.values for outcome in whole.measured) == int(frame["counted"].sum())
    assert {outcome.entry for outcome in whole.measured} == set(frame["entry"])
    rows = frame[(frame["entry"] == SLOW) & (frame["block"] == 2)]
    (burst,) = (burst for burst in whole.run.bursts if (burst.entry, burst.block) == (SLOW, 2))
    assert rows["round"].tolist() == burst.rounds == list(range(0, LEAST_ROUNDS, SLOW_ROUNDS))
    assert rows["place"].tolist() == burst.places
    # in a round of a session every entry has a place of its own
    groups = whole.run.plan.groups
    for session in sessions(groups, measured_as(groups).__getitem__):
        held = [entry.id for entry in session.entries]
        of_round = frame[(frame["block"] == 2) & (frame["round"] == 3) & frame["entry"].isin(held)]
        assert np.sort(of_round["place"]).tolist() == list(range(len(held)))


# the summary


def test_tables_and_rows_follow_the_plan_and_all_but_baselines_are_compared(whole):
    plan = example_plan()
    planned = [(group.name, group.entries) for group in plan.groups]
    assert [(table.name, [row.entry for row in table.rows]) for table in whole.tables] == planned
    for row in (row for table in whole.tables for row in table.rows):
        pair = row.comparison
        assert (pair and (pair.entry, pair.baseline)) == (
            row.entry.baseline and (row.entry.id, row.entry.baseline)
        )


def test_a_rows_times_are_those_of_its_bursts(whole):
    counted = [burst for burst in whole.run.bursts if burst.entry == BASE and burst.block >= 1]
    medians = [np.median(burst.elapsed_ns) / burst.n_calls for burst in counted]
    row = row_of(whole, BASE)
    assert row.median_ns == pytest.approx(np.median(medians))
    assert (row.low_ns, row.high_ns) == (sorted(medians)[1], sorted(medians)[-2])  # n = 10 at 97.9 %
    assert row.samples_per_second == pytest.approx(128 / (np.median(medians) * 1e-9))


def test_the_worst_check_is_the_one_nearest_to_its_tolerance_and_known_errors_stand_apart(whole):
    right, published = whole.outcomes[BASE], whole.outcomes[CLAIM_OLD]
    assert (right.proof, right.worst(known_wrong=True)) == ("passed", None)
    assert right.worst() == Check("update U", 1e-5 / 16, 1e-5, True, quantity="U")
    assert (published.proof, published.status) == ("known wrong", "known_wrong")
    known, others = published.worst(known_wrong=True), published.worst()
    assert known.error == 0.31
    assert others.passed
    # a question that failed is worse than any error
    odd = [
        Check("dU", 5.0, 1e-5, False),
        Check("dV is finite", 1.0, 0.0, False),
        Check("same", 0.0, 0.0, True),
    ]
    failed = outcomes(edited(lambda burst: replace(burst, checks=odd), BASE, quick=True))[BASE]
    assert (failed.proof, failed.worst()) == ("failed", odd[1])


def test_headlines_are_found_by_their_kind_and_the_first_twin_gives_the_noise_floor(whole):
    for kind, ratio in (("as_written", 3.65), ("best", 171 / 77), ("claim", 124 / 28642)):
        headline = whole.headline(kind)
        assert headline.ratio == pytest.approx(ratio, rel=0.03)
    assert whole.headline("twin") is None
    twin = whole.twins[0]
    assert twin.entry == f"{BASE} twin"
    assert whole.floor == pytest.approx(max(twin.high, 1 / twin.low) - 1)
    assert whole.control.failure == ""


def test_a_broken_run_names_every_trouble_once_and_a_whole_one_has_none(whole, broken):
    assert (whole.troubles, whole.disagrees, whole.blocks) == ([], False, 10)
    troubles = [("timeout", (0,)), ("disagrees", (0,)), ("crashed", (2,))]
    assert [(trouble.status, trouble.blocks) for trouble in broken.troubles] == troubles
    assert "Segmentation fault" in broken.troubles[2].stderr
    assert (broken.disagrees, broken.ending) == (True, "stopped by the user")
    wrong = row_of(broken, f"{POSITIONAL} | torch-inplace@cpu x1")
    assert (wrong.outcome.status, wrong.outcome.proof) == ("disagrees", "failed")
    assert wrong.median_ns is wrong.samples_per_second is None
    crashed = broken.outcomes[LOOP]
    assert (crashed.status, len(crashed.medians)) == ("ok", 5)
    assert "crashed in 1 of 6 blocks" in crashed.reason
    hung = row_of(broken, "train_step sequence | torch-autograd@cpu x1")
    assert (hung.outcome.status, hung.outcome.proof) == ("timeout", "not proved")
    assert hung.comparison.verdict == "MISSING"


def test_a_quick_run_has_times_but_neither_intervals_nor_verdicts():
    summary = summarise(make_run(example_records(quick=True)))
    row = row_of(summary, BASE)
    assert row.median_ns is not None
    assert (row.low_ns, row.high_ns, summary.floor) == (None, None, None)
    assert {pair.verdict for pair in summary.headlines} == {"NONE"}


def test_wherever_a_run_was_cut_off_its_summary_is_made_and_says_so():
    records = [record for record in example_records(quick=True, with_gpu=True) if not isinstance(record, End)]
    for length in range(1, len(records), 7):
        assert any("cut off" in warning for warning in summarise(make_run(records[:length])).warnings)


def test_the_summary_is_always_the_same(whole):
    assert summarise(make_run(example_records())) == whole


def test_answers_need_neither_torch_nor_pandas_nor_scipy():
    code = (
        "import sys, bench.analysis.summary, bench.records.formats.exports;"
        "print([name for name in ('torch', 'pandas', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout.strip()) == (0, "[]")
