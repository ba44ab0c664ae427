"""When calls count as steady, and after how many: with a clock that moves only when told to."""

import random
from collections.abc import Callable

import pytest
from worlds import MS, US, World

from bench.machine.clock import ClockError
from bench.measure.messages import Value
from bench.measure.steady import (
    MAX_STEPS,
    REWARM_STEPS,
    is_steady,
    rewarm_calls,
    rewarm_step,
    settle,
)

Duration = Callable[[int], float]  # of a call in ns, by its number from 0


def by_turns(number: int) -> float:
    """Two speeds, 25 calls each."""
    return MS * (1.5 if number // 25 % 2 else 1.0)


def settled(duration_ns: Duration, *, noise: float = 0.01, seed: int = 1, **limits: int) -> tuple[bool, int]:
    """Whether such calls, with noise on top, come to a steady time, and after how many."""
    world, generator, calls = World(), random.Random(seed), 0

    def call() -> None:
        nonlocal calls
        world.spend(duration_ns(calls) * generator.gauss(1, noise))
        calls += 1
        assert calls <= 10**6

    steady, warmup_calls, _ = settle(call, clock=world.clock, **limits)
    assert duration_ns is not by_turns or calls <= MAX_STEPS + 60
    return steady, warmup_calls


@pytest.mark.parametrize(
    ("slow", "usual"),
    [(k, usual) for k in (1, 3, 5) for usual in (100 * US, 2 * MS, 8 * MS)]
    + [(50, 20 * US), (50, 100 * US), (0, 2 * MS)],
)
def test_slow_first_calls_are_excluded_exactly_or_to_the_end_of_their_step(slow: int, usual: float) -> None:
    steady, warmup_calls = settled(lambda number: 5 * usual if number < slow else usual)
    assert steady
    calls_in_a_step = max(1, round(500 * US / usual))
    assert slow <= warmup_calls < max(1, slow + 2 * calls_in_a_step * (slow > 0))


@pytest.mark.parametrize(
    "duration_ns", [lambda number: MS * 1.005**number, by_turns], ids=["slows down for ever", "two speeds"]
)
def test_calls_that_never_settle_are_told_so(duration_ns: Duration) -> None:
    assert not settled(duration_ns)[0]


def test_a_slow_phase_in_the_middle_is_waited_out_and_is_no_warm_up() -> None:
    assert settled(lambda number: MS * (1.6 if 15 <= number < 40 else 1.0)) == (True, 0)


def test_noise_as_large_as_a_shared_machines_still_settles() -> None:
    assert sum(settled(lambda number: MS, noise=0.05, seed=seed)[0] for seed in range(40)) >= 39


def test_the_device_is_waited_for_in_every_step() -> None:
    world = World(latency=MS / 2)
    assert settle(world.call(0), synchronise=world.synchronise, clock=world.clock)[0]
    assert world.events.count("wait") >= 2 * 60


def test_calls_that_take_no_time_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.steady.MAX_CALLS", 64)
    with pytest.raises(ClockError, match="nothing is being done"):
        settle(lambda: None, clock=lambda: 0)


@pytest.mark.parametrize(
    ("values", "steady"),
    [
        ([1.0, 1.01] * 20, True),
        ([1.0] * 20 + [1.06] * 20, False),
        ([1.3] + [1.0] * 39, False),
        ([1.0, 1.0, 1.5, 1.5] * 10, False),
        ([float("nan")] * 40, False),
    ],
)
def test_halves_that_differ_are_not_steady(values: list[float], steady: bool) -> None:
    assert is_steady(values) is steady


@pytest.mark.parametrize("max_steps", [20, 61, MAX_STEPS])
def test_calls_that_are_a_thousand_times_faster_after_two_slow_ones_settle_or_are_no_error(
    max_steps: int,
) -> None:
    """Where their steps grow longer at the very end, they are unsettled."""
    noise = 0.01 if max_steps == MAX_STEPS else 0
    calls = settled(lambda number: 600 * US if number < 2 else US, noise=noise, max_steps=max_steps)
    assert calls[0] is (max_steps == MAX_STEPS)


# before each value


def value(elapsed_ns: int, *steps: int, n_calls: int = 100) -> Value:
    return Value(n_calls, elapsed_ns, 0, elapsed_ns, 0, list(steps))


def warm_after(step: int) -> Value:
    """100 calls of 1 us each; before them steps of 10, which took twice as long until that one."""
    return value(100_000, *(20_000 if number < step else 10_000 for number in range(REWARM_STEPS)))


def test_a_step_is_a_tenth_of_a_values_calls() -> None:
    assert [rewarm_step(n_calls) for n_calls in (1, 9, 10, 25, 100)] == [1, 1, 1, 2, 10]


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
