"""What a value holds, exactly: with a clock that moves only when told to, and a device that is a number."""

import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.machine import clock
from bench.machine.clock import (
    MIN_VALUE_NS,
    ClockError,
    Value,
    calibrate,
    clock_cost_ns,
    no_wait,
    still_busy,
    take_value,
    warm_up,
)  # fmt: skip

US, MS = 1_000, 1_000_000


class World:
    """A virtual clock in nanoseconds, and a device that works through a queue while the host goes on.

    A call keeps the host busy for ``host`` and queues work of ``device`` on the device; ``reading`` is what
    looking at the clock costs.
    """

    def __init__(self, *, host: int = 0, device: int = 0, reading: int = 0) -> None:
        self.now = self.busy_until = 0
        self.host, self.device, self.reading = host, device, reading
        self.events: list[str] = []

    def clock(self) -> int:
        self.now += self.reading
        self.events.append("clock")
        return self.now

    def call(self) -> None:
        self.events.append("call")
        self.now += self.host
        self.busy_until = max(self.busy_until, self.now) + self.device

    def synchronise(self) -> None:
        self.events.append("wait")
        self.now = max(self.now, self.busy_until)

    def value(self, n_calls: int, **more: Any) -> Value:
        return take_value(self.call, n_calls, **{"clock": self.clock, "synchronise": self.synchronise} | more)


def test_a_value_is_the_time_of_n_calls_over_n_and_waits_on_both_sides_of_the_clock_and_once_more() -> None:
    world = World(host=700)
    value = world.value(2)
    assert (value, value.per_call_ns) == (Value(2, 1400, 0), 700)
    assert world.events == ["wait", "clock", "call", "call", "wait", "clock", "wait", "clock"]


def test_work_of_the_device_is_inside_the_value_and_what_was_queued_earlier_outside() -> None:
    world = World(host=10, device=1000)
    world.busy_until = 5 * MS
    assert world.value(3) == Value(3, 10 + 3 * 1000, 0)  # the first launch, then the queue
    assert world.value(3, synchronise=no_wait).elapsed_ns == 3 * 10  # what a careless clock would see


def test_a_synchronise_that_returns_early_shows_as_residual() -> None:
    world = World(host=10, device=1000)
    waits = iter([no_wait, no_wait, world.synchronise])  # the second, which should have waited, did not
    assert world.value(1, synchronise=lambda: next(waits)()) == Value(1, 10, 1000)


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collector_is_off_during_a_value_and_then_as_it_was(collecting: bool) -> None:
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
        assert (after, gc.isenabled(), seen) == (collecting, collecting, [False] * 3)
    finally:
        (gc.enable if was else gc.disable)()


@pytest.mark.parametrize("readings", [(5, 5, 5), (5, 4, 5)])
def test_a_clock_that_stands_still_or_runs_backwards_gives_no_value(readings: tuple[int, ...]) -> None:
    with pytest.raises(ClockError, match="the clock went from 5 to"):
        take_value(lambda: None, 1, clock=iter(readings).__next__)


def test_the_clocks_own_cost_is_the_time_between_two_readings_or_its_tick() -> None:
    assert clock_cost_ns(World(reading=42).clock) == 42
    world = World(reading=10)
    assert clock_cost_ns(lambda: world.clock() // 1000 * 1000) == 1000


@pytest.mark.parametrize("step", [0, -1])
def test_a_dead_clock_is_noticed(step: int) -> None:
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
def test_calibration_finds_the_calls_that_make_a_value_long_enough(
    host: int, reading: int, n_calls: int
) -> None:
    world = World(host=host, reading=reading)
    assert calibrate(world.call, clock=world.clock) == n_calls
    assert world.value(n_calls).elapsed_ns >= MIN_VALUE_NS


@settings(max_examples=30, deadline=None)
@given(st.integers(2 * US, 50 * MS), st.integers(1, 200))
def test_a_calibrated_value_is_long_enough_and_not_much_longer(host: int, reading: int) -> None:
    world = World(host=host, reading=reading)
    n_calls = calibrate(world.call, clock=world.clock)
    elapsed_ns = world.value(n_calls).elapsed_ns
    assert elapsed_ns >= MIN_VALUE_NS
    assert n_calls == 1 or elapsed_ns <= 1.1 * MIN_VALUE_NS + host + reading


def test_calibration_resets_before_every_value_and_waits_for_the_device() -> None:
    world = World(host=1 * US, device=1 * MS, reading=1)
    resets: list[int] = []
    n_calls = calibrate(
        world.call,
        synchronise=world.synchronise,
        clock=world.clock,
        reset=lambda: resets.append(world.events.count("call")),
    )
    assert n_calls == 3  # 1 ms each: the device's time, not the host's
    assert resets == [0, 1, 3, 7, 11, 15, 19]  # before values of 1 and 2 calls, and five of 4


def test_one_hiccup_does_not_make_values_short() -> None:
    world = World(host=100 * US, reading=10)
    stalls = iter([6 * MS])

    def call() -> None:
        world.call()
        world.now += next(stalls, 0)

    assert world.value(calibrate(call, clock=world.clock)).elapsed_ns >= MIN_VALUE_NS


def test_calibration_gives_up_on_calls_that_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "MAX_CALLS", 8)
    with pytest.raises(ClockError, match="8 calls take less than 2500000 ns: nothing is being done"):
        calibrate(lambda: None, clock=World(reading=1).clock)


@pytest.mark.parametrize(("host", "n_calls"), [(20 * MS, 1), (1 * MS, 5)])
def test_warming_up_takes_one_call_or_5_ms(host: int, n_calls: int) -> None:
    world = World(host=host)
    assert warm_up(world.call, clock=world.clock) == (host, n_calls)


def test_the_first_call_is_told_apart_and_waited_for() -> None:
    world = World(host=10 * US, device=1 * MS)

    def compile_then_call() -> None:
        world.now += 0 if "call" in world.events else 3 * MS
        world.call()

    first_ns, n_calls = warm_up(compile_then_call, synchronise=world.synchronise, clock=world.clock)
    assert (first_ns, n_calls) == (3 * MS + 10 * US + 1 * MS, 2)


@pytest.mark.parametrize(
    ("residuals", "busy"),
    [([0, 0, 0, 0, 0], False), ([0, 0, 900, 0, 0], False), ([11, 11, 11, 0, 0], True), ([10] * 5, False)],
)
def test_a_device_is_still_busy_where_most_values_leave_work_behind(residuals, busy) -> None:
    assert still_busy([Value(1, 1000, residual) for residual in residuals]) is busy
