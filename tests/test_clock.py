"""What a value holds, exactly: with a clock that moves only when told to, and a device that is a number."""

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import MS, US, World

from bench.machine import clock
from bench.machine.clock import MIN_VALUE_NS, ClockError, Value, calibrate, clock_cost_ns, take_value, warm_up


def test_a_value_is_the_time_of_n_calls_over_n_and_waits_on_both_sides_of_the_clock_and_once_more():
    world = World()
    value = take_value(world.call(host=700), 2, synchronise=world.synchronise, clock=world.clock)
    assert (value, value.per_call_ns) == (Value(2, 1400, 0), 700)
    assert world.events == ["wait", "clock", "call", "call", "wait", "clock", "wait", "clock"]


def test_work_of_the_device_is_inside_the_value_and_what_was_queued_earlier_outside():
    world = World()
    call = world.call(host=10, device=1000)
    for _ in range(2):
        value = take_value(call, 3, synchronise=world.synchronise, clock=world.clock)
        assert (value.elapsed_ns, value.residual_ns) == (10 + 3 * 1000, 0)  # the first launch, then the queue
        world.busy_until = world.now + 5 * MS
    assert take_value(call, 3, clock=world.clock).elapsed_ns == 3 * 10  # what a careless clock would see


def test_a_synchronise_that_returns_early_shows_as_residual():
    world = World()
    waits = iter([clock.no_wait, clock.no_wait, world.synchronise])  # the second should have waited
    call = world.call(host=10, device=1000)
    assert take_value(call, 1, synchronise=lambda: next(waits)(), clock=world.clock) == Value(1, 10, 1000)


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collector_is_off_during_a_value_and_then_as_it_was(collecting):
    world = World()
    seen: list[bool] = []

    def call() -> None:
        seen.append(gc.isenabled())
        world.now += 1
        if len(seen) == 3:
            raise ArithmeticError

    was = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        take_value(call, 2, clock=world.clock)
        after = gc.isenabled()
        with pytest.raises(ArithmeticError):
            take_value(call, 1, clock=world.clock)
        assert (seen, after, gc.isenabled()) == ([False] * 3, collecting, collecting)
    finally:
        (gc.enable if was else gc.disable)()


@pytest.mark.parametrize("readings", [(5, 5, 5), (5, 4, 5)])
def test_a_clock_that_stands_still_or_runs_backwards_gives_no_value(readings):
    with pytest.raises(ClockError, match="the clock went from 5 to"):
        take_value(lambda: None, 1, clock=iter(readings).__next__)


def test_the_clocks_own_cost_is_the_time_between_two_readings_or_its_tick():
    assert clock_cost_ns(World(reading=42).clock) == 42
    coarse = World(reading=10)
    assert clock_cost_ns(lambda: coarse.clock() // 1000 * 1000) == 1000
    for step in (0, -1):
        with pytest.raises(ClockError, match="stands still or runs backwards"):
            clock_cost_ns(World(reading=step).clock)


@pytest.mark.parametrize(
    ("host", "reading", "n_calls"),
    [
        (100 * US, 1, 28),  # 2.5 ms, and a tenth to spare
        (10 * MS, 1, 1),
        (5 * MS, 1, 1),
        (100 * US, 20 * US, 220),  # a clock so slow that 1000 of its readings, 20 ms, decide
    ],
)
def test_calibration_finds_the_calls_that_make_a_value_long_enough(host, reading, n_calls):
    world = World(reading=reading)
    assert calibrate(world.call(host=host), clock=world.clock) == n_calls


@settings(max_examples=30, deadline=None)
@given(st.integers(2 * US, 50 * MS), st.integers(1, 200))
def test_a_calibrated_value_is_long_enough_and_not_much_longer(host, reading):
    world = World(reading=reading)
    n_calls = calibrate(world.call(host=host), clock=world.clock)
    elapsed = take_value(world.call(host=host), n_calls, clock=world.clock).elapsed_ns
    assert elapsed >= MIN_VALUE_NS
    assert n_calls == 1 or elapsed <= 1.1 * MIN_VALUE_NS + host + reading


def test_calibration_resets_before_every_value_and_waits_for_the_device():
    world = World(reading=1)
    resets_at: list[int] = []
    n_calls = calibrate(
        world.call(host=1 * US, device=1 * MS),
        synchronise=world.synchronise,
        clock=world.clock,
        reset=lambda: resets_at.append(world.events.count("call")),
    )
    assert n_calls == 3  # 1 ms each: the device's time, not the host's
    assert resets_at == [0, 1, 3, 7, 11, 15, 19]  # before values of 1 and 2 calls, and five of 4


def test_calibration_gives_up_on_calls_that_do_nothing(monkeypatch):
    monkeypatch.setattr(clock, "MAX_CALLS", 8)
    with pytest.raises(ClockError, match="8 calls take less than 2500000 ns: nothing is being done"):
        calibrate(lambda: None, clock=World(reading=1).clock)


def test_one_hiccup_does_not_make_values_short():
    world = World(reading=10)
    stalls = iter([6 * MS])

    def call() -> None:
        world.spend(100 * US + next(stalls, 0))

    n_calls = calibrate(call, clock=world.clock)
    assert take_value(call, n_calls, clock=world.clock).elapsed_ns >= MIN_VALUE_NS


def test_warming_up_takes_one_call_or_5_ms_and_the_first_call_is_told_apart_and_waited_for():
    for host, calls in ((20 * MS, 1), (1 * MS, 5)):
        world = World()
        assert warm_up(world.call(host=host), clock=world.clock) == (host, calls)
    world = World()
    compiled = world.call(host=10 * US, device=1 * MS)

    def compile_then_call() -> None:
        if "call" not in world.events:
            world.spend(3 * MS)
        compiled()

    first_and_calls = warm_up(compile_then_call, synchronise=world.synchronise, clock=world.clock)
    assert first_and_calls == (3 * MS + 10 * US + 1 * MS, 2)


@pytest.mark.parametrize(
    ("residuals", "busy"),
    [([0, 0, 0, 0, 0], False), ([0, 0, 900, 0, 0], False), ([11, 11, 11, 0, 0], True), ([10] * 5, False)],
)
def test_a_device_is_still_busy_where_most_values_leave_work_behind(residuals, busy):
    assert clock.still_busy([Value(1, 1000, residual) for residual in residuals]) is busy
