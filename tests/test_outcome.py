"""An outcome holds what was counted, by block and round; an entry of two tables is measured once for both."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from journals import POSITIONAL, example_plan, example_records
from msgspec.structs import replace

from bench.analysis.outcome import Outcome, outcomes
from bench.analysis.summary import summarise
from bench.analysis.verdict import paired_rounds
from bench.measure.plan import LEAST_ROUNDS
from bench.measure.schedule import SLOW_ROUNDS, sessions
from bench.records.record import AnyRecord, Burst, Failure, Group, measured_as
from bench.records.run import Run, make_run
from bench.records.table import values_frame

FIRST = f"{POSITIONAL} | torch-rnn@cpu x1"
AGAIN = "ladder | torch-rnn@cpu x1 positional float32 tanh"
SLOW = "ladder | numpy-published@cpu x1 positional float64 sigmoid"


@pytest.fixture(scope="module")
def default() -> Run:
    return make_run(example_records())


def edited(change: Callable[[Burst], AnyRecord]) -> Run:
    """The example run, every burst replaced by what ``change`` makes of it."""
    return make_run([change(one) if isinstance(one, Burst) else one for one in example_records()])


def test_medians_and_values_are_those_of_the_rounds() -> None:
    made = Outcome("a", "ok", "", {2: {0: 5.0, 1: 1.0, 4: 3.0}, 3: {0: 2.0, 1: 4.0}})
    assert (made.medians, made.values) == ({2: 3.0, 3: 3.0}, 5)
    assert (Outcome("a", "dropped", "").medians, Outcome("a", "dropped", "").values) == ({}, 0)


def test_times_are_by_block_and_round_in_order_and_without_block_0(default: Run) -> None:
    made = outcomes(default)
    bursts = [burst for burst in default.bursts if burst.entry == SLOW and burst.block >= 1]
    assert made[SLOW].times == {
        burst.block: {
            number: ns / burst.n_calls for number, ns in zip(burst.rounds, burst.elapsed_ns, strict=True)
        }
        for burst in bursts
    }
    assert {tuple(rounds) for rounds in made[SLOW].times.values()} == {
        tuple(range(0, LEAST_ROUNDS, SLOW_ROUNDS))
    }  # it takes long
    assert {tuple(rounds) for rounds in made[FIRST].times.values()} == {tuple(range(LEAST_ROUNDS))}
    backwards = outcomes(make_run([default.plan, *reversed(default.bursts)]))
    assert list(backwards[FIRST].times) == list(made[FIRST].times) == list(range(1, 11))


def test_rounds_are_paired_by_number_and_a_block_without_a_shared_one_does_not_count() -> None:
    one = Outcome("a", "ok", "", {1: {0: 2.0, 3: 6.0}, 2: {0: 2.0}, 3: {0: 1.0}})
    other = Outcome("b", "ok", "", {1: {3: 2.0, 0: 1.0, 1: 9.0}, 2: {1: 2.0}, 4: {0: 1.0}})
    ((first, second),) = paired_rounds(one, other)
    assert sorted((first, second)) == pytest.approx([math.log(2), math.log(3)])


def test_an_arm_on_a_case_is_measured_under_the_first_entry_that_holds_it() -> None:
    plan = example_plan()
    names = measured_as(plan.groups)
    entries = {entry.id: entry for group in plan.groups for entry in group.entries}
    assert list(names) == list(entries)
    assert (names[FIRST], names[AGAIN], names[SLOW]) == (FIRST, FIRST, SLOW)
    for entry, name in names.items():
        assert (entries[name].arm, entries[name].case) == (entries[entry].arm, entries[entry].case)
        assert names[name] == name
    assert len(set(names.values())) == len({(entry.arm, entry.case) for entry in entries.values()})
    turned = measured_as([Group("ladder", [entries[AGAIN]]), Group(POSITIONAL, [entries[FIRST]])])
    assert turned == {AGAIN: AGAIN, FIRST: AGAIN}


def test_an_entry_of_two_tables_has_one_burst_a_block_and_shows_in_both(default: Run) -> None:
    measured = [burst.entry for burst in default.bursts if burst.block == 1]
    assert measured.count(FIRST) == 1
    assert AGAIN not in measured
    made = outcomes(default)
    assert (made[AGAIN].entry, made[AGAIN].times) == (AGAIN, made[FIRST].times)
    rows = {row.entry: row for table in summarise(default).tables for row in table.rows}
    assert rows[AGAIN].median_ns == rows[FIRST].median_ns is not None


def test_the_summary_counts_every_value_once(default: Run) -> None:
    flagged = edited(lambda burst: replace(burst, flags=["steal"]))
    frame, made = values_frame(default), summarise(flagged)
    assert made.values == int(frame["counted"].sum())
    assert made.disturbed == sum(burst.block >= 1 for burst in flagged.bursts)
    measured = [outcomes(default)[entry] for entry in frame["entry"].unique()]
    assert made.outliers == sum(outcome.outliers for outcome in measured) > 0


def test_what_failed_under_the_first_name_has_failed_in_both_tables() -> None:
    def late(burst: Burst) -> AnyRecord:
        if (burst.entry, burst.block) == (FIRST, 4):
            return Failure(4, FIRST, "crashed", "it fell over")
        return burst

    def wrong(burst: Burst) -> AnyRecord:
        return Failure(burst.block, FIRST, "disagrees", "dW is off") if burst.entry == FIRST else burst

    lost, refused = outcomes(edited(late)), outcomes(edited(wrong))
    assert all("crashed in 1 of" in lost[name].reason for name in (FIRST, AGAIN))
    assert [(refused[name].status, refused[name].times) for name in (FIRST, AGAIN)] == [("disagrees", {})] * 2
    tables = summarise(edited(wrong)).tables
    shown = [row.status for table in tables for row in table.rows if row.entry in (FIRST, AGAIN)]
    assert shown == ["disagrees"] * 2


def test_gates_inform_and_withhold_no_verdict(default: Run) -> None:
    flagged = edited(lambda burst: replace(burst, flags=["steal"]) if burst.entry == FIRST else burst)
    made = outcomes(flagged)[FIRST]
    assert (made.disturbed, made.flags) == (10, {"steal": 10})
    plain, disturbed = summarise(default), summarise(flagged)
    told = [
        [(made.verdict, made.ratio, made.p_holm) for made in (*one.headlines, *one.twins)]
        for one in (plain, disturbed)
    ]
    assert told[0] == told[1]


def test_a_row_of_the_values_tells_its_round_and_its_place_there(default: Run) -> None:
    frame = values_frame(default)
    rows = frame[(frame["entry"] == SLOW) & (frame["block"] == 2)]
    (burst,) = (burst for burst in default.bursts if (burst.entry, burst.block) == (SLOW, 2))
    assert rows["round"].tolist() == burst.rounds == list(range(0, LEAST_ROUNDS, SLOW_ROUNDS))
    assert rows["place"].tolist() == burst.places
    assert AGAIN not in set(frame["entry"])
    # in a round of a session every entry has a place of its own
    names = measured_as(default.plan.groups)
    for session in sessions(default.plan.groups, names.__getitem__):
        held = [entry.id for entry in session.entries]
        of_round = frame[(frame["block"] == 2) & (frame["round"] == 3) & frame["entry"].isin(held)]
        assert np.sort(of_round["place"]).tolist() == list(range(len(held)))
