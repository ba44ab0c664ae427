"""What disturbed a burst is read, flagged above its limit, and counts against a verdict, never for one."""

import dataclasses
import math

import numpy as np
import pytest
from journals import example_records
from msgspec.structs import replace
from test_verdict import BASE, RIVAL, TWIN, around, edited, small_run

from bench.analysis.outcome import Outcome, disturbance, find_modes, outcomes
from bench.analysis.summary import summarise
from bench.analysis.verdict import Comparison, judge_run
from bench.machine.gates import LIMITS, Reading, between, fired, in_words, read
from bench.proof import conditions
from bench.proof.reference import count_subnormals
from bench.records.record import Burst, Conditions, Worker
from bench.records.run import Run, make_run
from bench.workload.case import sine_case
from bench.workload.data import make

S = 1_000_000_000
QUIET = Reading(wall_ns=0, preempted=5, waiting_us=100, steal_ticks=7, throttled=2)
AFTER = Reading(S, preempted=5, waiting_us=100, steal_ticks=7, throttled=2)  # a second of quiet


@pytest.mark.parametrize(
    ("changes", "gate", "value"),
    [
        ({"preempted": 5 + 300}, "preempted", 300.0),
        ({"waiting_us": 100 + 100_000}, "waiting", 0.1),
        ({"steal_ticks": 7 + 5}, "steal", 0.05),
        ({"throttled": 3}, "throttled", 1.0),
        ({}, "", None),
    ],
)
def test_each_gate_fires_on_what_it_watches_and_on_nothing_else(changes, gate, value):
    seen = between(QUIET, dataclasses.replace(AFTER, **changes))
    assert set(seen) == set(LIMITS) - {"wall_over_cpu"}
    assert fired(seen, LIMITS) == [gate] * bool(gate)
    assert not gate or (seen[gate] == pytest.approx(value) and in_words(gate, value))


def test_a_nan_fires_and_what_cannot_be_read_is_left_out():
    assert fired({"steal": math.nan}, LIMITS) == ["steal"]
    assert between(Reading(0, None, None, None, None), AFTER) == {}
    assert between(QUIET, QUIET) == {}


def test_counters_are_read_from_the_systems_files(tmp_path):
    for name, text in {
        "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=2.03 total=1649747824\nfull total=0\n",
        "proc/stat": "cpu  764166 247 108689 1356305 4017 0 800 426 0 0\ncpu0 1\n",
        "sys/fs/cgroup/cpu.stat": "usage_usec 5\nnr_periods 3\nnr_throttled 4\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = read(tmp_path)
    assert (found.waiting_us, found.steal_ticks, found.throttled) == (1649747824, 426, 4)
    assert read(tmp_path / "proc").throttled is None


def disturbed(blocks: int, entry: str):
    """The example run with an entry's counted bursts flagged in its first blocks."""

    def change(burst: Burst) -> Burst:
        if burst.entry == entry and 1 <= burst.block <= blocks:
            return replace(burst, gates={"steal": 0.1}, flags=["steal"])
        return burst

    return edited(change)


def rival(run: Run) -> Comparison:
    return judge_run(run).rows[RIVAL]


@pytest.mark.parametrize("entry", [RIVAL, BASE])
def test_disturbed_blocks_withhold_no_verdict_and_are_told_beside_it(entry):
    assert rival(disturbed(2, entry)).disturbed == ("", "")
    many = rival(disturbed(3, entry))
    assert (many.verdict, many.ratio) == ("FASTER", rival(disturbed(0, entry)).ratio)
    assert "gave the processors to other virtual machines in 3 of 10 blocks" in many.disturbed[0]
    assert judge_run(disturbed(3, TWIN)).control == judge_run(disturbed(0, TWIN)).control
    assert sum(outcome.disturbed for outcome in summarise(disturbed(2, entry)).measured) == 2
    assert outcomes(disturbed(2, entry))[entry].values == outcomes(disturbed(0, entry))[entry].values


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"wall_over_cpu": 4}, "other programs used the processors in 4 of 10 blocks"),
        ({"preempted": 4, "steal": 1}, "other programs used the processors in 4 of 10 blocks"),
        ({"throttled": 3, "waiting": 2}, "the container had used up its quota of processor time in"),
        ({}, ""),
    ],
)
def test_what_disturbed_is_one_plain_clause_by_what_disturbed_most(flags, said):
    times = {block: {0: 1.0} for block in range(1, 11)}
    outcome = Outcome("any", "ok", "", times, flags=flags, disturbed=4 if flags else 2)
    why, mend = disturbance(outcome)
    assert why.startswith(said)
    assert bool(mend) == bool(said)
    assert not set(LIMITS) & set(f"{why} {mend}".split())


def test_calls_that_never_settled_have_times_and_no_verdict():
    def unsettled(burst: Burst) -> Burst:
        return replace(burst, settled=burst.entry != RIVAL) if burst.block == 0 else burst

    run = edited(unsettled)
    assert outcomes(run)[RIVAL].status == "no_steady_state"
    assert outcomes(run)[RIVAL].medians
    comparison = rival(run)
    assert (comparison.verdict, comparison.p) == ("NONE", None)
    assert comparison.reason == "calls came to no steady time"


def test_two_modes_are_told():
    two_slow = [1.0, 1.001, 0.999, 1.002, 1.0, 0.998, 1.001, 1.107, 0.999, 1.108]
    assert find_modes(two_slow) == (2, pytest.approx(0.108, abs=0.002))
    assert find_modes([*two_slow[:7], 1.0, 0.999, 1.108]) is None  # one alone is an outlier
    assert find_modes([1.0, 1.1] * 5) == (5, pytest.approx(0.1))
    assert find_modes(around(1.0, 0.02)) is None
    assert find_modes([1.0, 1.0, 2.0]) is None  # too few to say


def test_students_interval_that_contains_1_leaves_the_question_open():
    steady = [0.99 + 0.0001 * block for block in range(10)]
    assert rival(small_run({RIVAL: steady}, margin=0.001)).verdict == "FASTER"

    # the ranks are sure, the mean is not
    comparison = rival(small_run({RIVAL: [*steady[:9], 0.85]}, margin=0.001))
    assert (comparison.p_holm or 1) <= 0.05
    assert (comparison.t_low or 1) * 1.01 < 1 < (comparison.t_high or 0)
    assert comparison.verdict == "UNRESOLVED"
    assert "Student's interval" in comparison.reason


def test_subnormal_numbers_are_counted_in_a_case_and_said():
    array = np.array([0.0, 1.0, -1e-40, 1e-38, np.inf, np.nan], dtype=np.float32)
    assert count_subnormals([array, array]) == 4
    case = sine_case("train_step", "sequence", batch=4, hidden=4)
    found = conditions(case, make(case))
    assert (found.hidden, found.hidden_subnormal) == (6 * 4 * 4, 0)
    assert (found.gradient, found.gradient_subnormal) == (7 * 4 * 4, 0)

    tiny = make(case)
    tiny.params["V"] *= 1e-38  # the gradient of h_T starts among the subnormals
    assert conditions(case, tiny).gradient_subnormal > 0
    assert conditions(case.with_task("forward"), tiny).gradient == 0

    records = example_records()
    said = summarise(make_run([*records[:2], Conditions(case, 96, 0, 112, 19), *records[2:]])).warnings
    assert any("19 of 112 gradients of hidden states are subnormal" in warning for warning in said)


def test_a_machine_that_changes_during_a_run_gives_no_verdict():
    records = example_records()
    environment = records[1]
    calm = make_run([*records[:2], environment, *records[2:]])
    assert judge_run(calm).control.failure == ""

    other = replace(environment, machine={**environment.machine, "governor": "powersave"})
    failure = judge_run(make_run([*records[:2], other, *records[2:]])).control.failure
    assert "the environment changed" in failure
    assert "governor: performance, now powersave" in failure


def test_a_library_that_changes_during_a_run_gives_no_verdict():
    records = example_records()
    changed = [
        replace(record, facts={**record.facts, "kernel": "Haswell"})
        if isinstance(record, Worker) and record.block == 7 and "numpy-batched@cpu x1" in record.arms
        else record
        for record in records
    ]
    run = make_run(changed)
    assert "kernel: SkylakeX, now Haswell" in judge_run(run).control.failure
    assert {
        made.verdict for made in judge_run(run).rows.values() if made.p is not None and not made.twin
    } == {"INVALID"}
