"""What an entry has given: how many calls warm it again, and the burst that it becomes."""

import pytest

from bench.machine.gates import LIMITS
from bench.measure.inputs import Calibration
from bench.measure.messages import Proved, Value
from bench.measure.taken import REWARM_STEPS, Taken, rewarm_calls, rewarm_step

PROVED = Proved("ok", [], 100, 50, 7_000, 9_000, 11, 0, True)
FOUND = Calibration(100, 50, True, 30)


def value(elapsed_ns: int = 100_000, *steps: int, preempted: int = 0, residual_ns: int = 0) -> Value:
    return Value(elapsed_ns, elapsed_ns // 2, residual_ns, preempted, list(steps))


def warm_after(step: int) -> Value:
    """100 calls of 1 us each; before them steps of 10, which took twice as long until that one."""
    return value(100_000, *(20_000 if number < step else 10_000 for number in range(REWARM_STEPS)))


@pytest.mark.parametrize(("n_calls", "step"), [(1, 1), (9, 1), (10, 1), (25, 2), (100, 10)])
def test_a_step_is_a_tenth_of_a_values_calls(n_calls: int, step: int) -> None:
    assert rewarm_step(n_calls) == step


@pytest.mark.parametrize(("step", "calls"), [(0, 10), (1, 10), (3, 30), (9, 90), (10, 100)])
def test_an_entry_is_called_until_it_is_as_quick_as_its_value(step: int, calls: int) -> None:
    """The first step is never spared: nothing tells that it was warm before the value of another."""
    assert rewarm_calls([warm_after(step)] * 3, 100) == calls


def test_a_step_within_3_per_cent_of_the_value_is_warm_and_one_beyond_is_not() -> None:
    near = value(100_000, 20_000, 10_300, *[10_000] * 8)
    assert rewarm_calls([near], 100) == 10
    beyond = value(100_000, 20_000, 10_301, *[10_000] * 8)
    assert rewarm_calls([beyond], 100) == 20


def test_the_median_of_the_rounds_decides_so_that_one_disturbed_round_does_not() -> None:
    assert rewarm_calls([warm_after(2), warm_after(9), warm_after(2)], 100) == 20


def test_an_entry_of_one_call_is_called_once_or_twice() -> None:
    assert rewarm_calls([value(100, 200, 100)], 1) == 1
    assert rewarm_calls([value(100, 200, 200)], 1) == 2


def burst(values: list[Value], *, alone: bool = True, found: Calibration = FOUND):  # type: ignore[no-untyped-def]
    taken = Taken(PROVED)
    for number, one in enumerate(values):
        taken.add(one, 3 * number, 5 + number)
    machine = {"waiting": 0.01}
    return taken.burst(
        block=2, entry="e", device="cpu", digest="d", found=found, machine=machine, alone=alone, limits=LIMITS
    )


def test_batches_alternate_beginning_with_the_one_that_the_proof_has_not_left_there() -> None:
    taken, batches = Taken(PROVED), []
    for number in range(4):
        batches.append(taken.next_batch)
        taken.add(value(), number, 0)
    assert batches == [1, 0, 1, 0]


def test_a_burst_has_the_values_with_their_rounds_and_places() -> None:
    made = burst([value(100_000, residual_ns=5), value(120_000, residual_ns=3)])
    assert (made.block, made.entry, made.status, made.n_calls) == (2, "e", "ok", 100)
    assert (made.elapsed_ns, made.rounds, made.places) == ([100_000, 120_000], [0, 3], [5, 6])
    assert (made.cpu_ns, made.residual_ns) == (110_000, 5)
    assert (made.first_call_ns, made.cold_call_ns, made.transfer_ns) == (7_000, 9_000, 11)
    assert (made.warmup_calls, made.rewarm_calls, made.settled) == (50, 30, True)


def test_block_0_finds_what_warms_it_and_later_blocks_take_that() -> None:
    unknown = Calibration(100, 50, None, None)
    assert burst([warm_after(4)], found=unknown).rewarm_calls == 40
    assert burst([warm_after(4)], found=FOUND).rewarm_calls == 30


def test_what_a_process_waited_for_another_is_no_part_of_its_values_and_is_kept() -> None:
    values = [value(100_000), value(250_000, preempted=1), Value(100_000, 101_000, 0, 1)]
    made = burst(values)
    assert (made.elapsed_ns, made.waited_ns) == ([100_000, 125_000, 100_000], [0, 125_000, 0])
    assert made.gates["wall_over_cpu"] == pytest.approx(450 / 276, abs=1e-4)
    for never in (burst(values, alone=False), burst([value(), value()])):
        assert never.waited_ns == []
        assert min(never.elapsed_ns) == 100_000


def test_gates_are_of_the_values_and_of_the_machine_meanwhile() -> None:
    seen = burst([value(10**9, preempted=4), value(10**9)])
    assert seen.gates == {"waiting": 0.01, "preempted": 2.0, "wall_over_cpu": 2.0}
    assert seen.flags == ["wall_over_cpu"]
    assert "wall_over_cpu" not in burst([value()], alone=False).gates
