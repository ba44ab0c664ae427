"""What an entry has given: how many calls warm it again, and the burst that it becomes."""

from typing import Any

import pytest

from bench.machine.gates import LIMITS
from bench.measure.block import Taken
from bench.measure.messages import Value
from bench.measure.steady import REWARM_STEPS, rewarm_calls, rewarm_step
from bench.records.record import Arm, Burst, Calibration, Proved

PROVED = Proved(
    100, 50, True, status="ok", checks=[], first_call_ns=7_000, cold_call_ns=9_000, transfer_ns=11
)
CALIBRATION = Calibration(100, 50, True, 30)
ARM = Arm("numpy-batched@cpu x1", "numpy-batched", "numpy-batched", "numpy", "cpu", 1)


def value(elapsed_ns: int = 100_000, *steps: int, n_calls: int = 100, **fields: int) -> Value:
    fields = {"residual_ns": 0, "cpu_ns": elapsed_ns // 2, "preempted": 0} | fields
    return Value(n_calls, elapsed_ns, rewarm_ns=list(steps), **fields)


def warm_after(step: int) -> Value:
    """100 calls of 1 us each; before them steps of 10, which took twice as long until that one."""
    return value(100_000, *(20_000 if number < step else 10_000 for number in range(REWARM_STEPS)))


@pytest.mark.parametrize(("n_calls", "step"), [(1, 1), (9, 1), (10, 1), (25, 2), (100, 10)])
def test_a_step_is_a_tenth_of_a_values_calls(n_calls: int, step: int) -> None:
    assert rewarm_step(n_calls) == step


@pytest.mark.parametrize(
    ("values", "calls"),
    [
        ([warm_after(0)] * 3, 10),  # the first step is never spared: nothing tells that it was warm
        ([warm_after(1)] * 3, 10),
        ([warm_after(3)] * 3, 30),
        ([warm_after(9)] * 3, 90),
        ([warm_after(10)] * 3, 100),
        ([value(100_000, 20_000, 10_300, *[10_000] * 8)], 10),  # within 3 % of the value
        ([value(100_000, 20_000, 10_301, *[10_000] * 8)], 20),
        ([warm_after(2), warm_after(9), warm_after(2)], 20),  # one disturbed round
        ([value(100, 200, 100, n_calls=1)], 1),
        ([value(100, 200, 200, n_calls=1)], 2),
    ],
)
def test_an_entry_is_called_until_it_is_as_quick_as_its_value(values: list[Value], calls: int) -> None:
    assert rewarm_calls(values) == calls


def burst(values: list[Value], *, threads: int = 1, calibration: Calibration = CALIBRATION) -> Burst:
    taken = Taken(PROVED, [(3 * number, 5 + number, one) for number, one in enumerate(values)])
    arm: Any = Arm(ARM.id, ARM.spec, ARM.variant, ARM.library, ARM.device, threads)
    return taken.burst(2, "e", arm, calibration, digest="d", machine={"waiting": 0.01}, limits=LIMITS)


def test_batches_alternate_beginning_with_the_one_that_the_proof_has_not_left_there() -> None:
    visits = [(number, 0, value()) for number in range(4)]
    assert [Taken(PROVED, visits[:length]).next_batch for length in range(4)] == [1, 0, 1, 0]


def test_a_burst_has_the_values_with_their_rounds_and_places_and_what_was_proved() -> None:
    made = burst([value(100_000, residual_ns=5), value(120_000, residual_ns=3)])
    assert (made.block, made.entry, made.status, made.n_calls) == (2, "e", "ok", 100)
    assert (made.elapsed_ns, made.rounds, made.places) == ([100_000, 120_000], [0, 3], [5, 6])
    assert (made.cpu_ns, made.residual_ns) == (110_000, 5)
    assert (made.first_call_ns, made.cold_call_ns, made.transfer_ns) == (7_000, 9_000, 11)
    assert (made.warmup_calls, made.rewarm_calls, made.settled) == (50, 30, True)


def test_block_0_finds_what_warms_it_and_later_blocks_take_that() -> None:
    assert burst([warm_after(4)], calibration=PROVED).rewarm_calls == 40
    assert burst([warm_after(4)]).rewarm_calls == 30


def test_what_a_process_waited_for_another_is_no_part_of_its_values_and_is_kept() -> None:
    values = [value(100_000), value(250_000, preempted=1), value(100_000, cpu_ns=101_000, preempted=1)]
    made = burst(values)
    assert (made.elapsed_ns, made.waited_ns) == ([100_000, 125_000, 100_000], [0, 125_000, 0])
    assert made.gates["wall_over_cpu"] == pytest.approx(450 / 276, abs=1e-4)
    for never in (burst(values, threads=2), burst([value(), value()])):
        assert never.waited_ns == []
        assert min(never.elapsed_ns) == 100_000


def test_gates_are_of_the_values_and_of_the_machine_meanwhile() -> None:
    seen = burst([value(10**9, preempted=4), value(10**9)])
    assert seen.gates == {"waiting": 0.01, "preempted": 2.0, "wall_over_cpu": 2.0}
    assert seen.flags == ["wall_over_cpu"]
    assert "wall_over_cpu" not in burst([value()], threads=2).gates
