"""When calls count as steady, and after how many: with a clock that moves only when told to."""

import random
from collections.abc import Callable

import pytest

from bench.machine.clock import ClockError
from bench.measure.steady import MAX_STEPS, is_steady, settle

US, MS = 1_000, 1_000_000


class Calls:
    """Calls whose durations a test decides, by their number from 0; noise of 1 % on top."""

    def __init__(self, duration_ns: Callable[[int], float], *, noise: float = 0.01) -> None:
        self.now = 0.0
        self.made = 0
        self._duration_ns = duration_ns
        self._random = random.Random(1)
        self._noise = noise

    def __call__(self) -> None:
        self.now += self._duration_ns(self.made) * self._random.gauss(1, self._noise)
        self.made += 1

    def clock(self) -> int:
        return int(self.now)


def slow_at_first(k: int, *, usual: float) -> Calls:
    return Calls(lambda number: 5 * usual if number < k else usual)


@pytest.mark.parametrize("usual", [100 * US, 2 * MS, 8 * MS])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_slow_first_calls_are_excluded_exactly_or_to_the_end_of_their_step(k: int, usual: float) -> None:
    calls = slow_at_first(k, usual=usual)
    found = settle(calls, clock=calls.clock)

    assert found.settled
    assert found.per_call_ns == pytest.approx(usual, rel=0.02)
    calls_in_a_step = max(1, round(500 * US / usual))
    assert k <= found.warmup_calls < k + 2 * calls_in_a_step


@pytest.mark.parametrize("usual", [20 * US, 100 * US])
def test_fifty_slow_first_calls_are_excluded(usual: float) -> None:
    calls = slow_at_first(50, usual=usual)
    found = settle(calls, clock=calls.clock)

    assert found.settled
    assert found.per_call_ns == pytest.approx(usual, rel=0.02)
    assert 50 <= found.warmup_calls <= 50 + 2 * 500 * US / usual


def test_calls_that_are_steady_from_the_start_need_no_warm_up() -> None:
    calls = slow_at_first(0, usual=2 * MS)
    found = settle(calls, clock=calls.clock)
    assert (found.settled, found.warmup_calls) == (True, 0)


@pytest.mark.parametrize(
    "duration_ns",
    [
        lambda number: MS * 1.005**number,  # slows down for ever
        lambda number: MS * (1.5 if number // 25 % 2 else 1.0),  # two speeds, by turns
    ],
)
def test_calls_that_never_settle_are_told_so(duration_ns: Callable[[int], float]) -> None:
    calls = Calls(duration_ns)
    found = settle(calls, clock=calls.clock)
    assert not found.settled


def test_the_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(lambda number: MS * (1.5 if number // 25 % 2 else 1.0))
    settle(calls, clock=calls.clock)
    assert calls.made <= MAX_STEPS + 60


def test_a_slow_phase_in_the_middle_is_waited_out_and_is_no_warm_up() -> None:
    calls = Calls(lambda number: MS * (1.6 if 15 <= number < 40 else 1.0))
    found = settle(calls, clock=calls.clock)
    assert (found.settled, found.warmup_calls) == (True, 0)
    assert found.per_call_ns == pytest.approx(MS, rel=0.02)


def test_noise_as_large_as_a_shared_machines_still_settles() -> None:
    settled = 0
    for seed in range(40):
        calls = Calls(lambda number: MS, noise=0.05)
        calls._random = random.Random(seed)
        settled += settle(calls, clock=calls.clock).settled
    assert settled >= 39


def test_the_device_is_waited_for_in_every_step() -> None:
    calls = Calls(lambda number: 0.0)
    waits = 0

    def synchronise() -> None:
        nonlocal waits
        waits += 1
        calls.now += MS / 2

    found = settle(calls, synchronise=synchronise, clock=calls.clock)
    assert found.settled
    assert waits >= 2 * 60


def test_calls_that_take_no_time_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.steady.MAX_CALLS", 64)
    with pytest.raises(ClockError, match="nothing is being done"):
        settle(lambda: None, clock=lambda: 0)


def test_halves_that_differ_are_not_steady() -> None:
    assert is_steady([1.0, 1.01] * 20)
    assert not is_steady([1.0] * 20 + [1.06] * 20)
    assert not is_steady([1.3] + [1.0] * 39)
    assert not is_steady([1.0, 1.0, 1.5, 1.5] * 10)
    assert not is_steady([float("nan")] * 40)


def test_calls_that_are_a_thousand_times_faster_after_two_slow_ones_settle() -> None:
    calls = Calls(lambda number: 600 * US if number < 2 else US)
    assert settle(calls, clock=calls.clock).settled


@pytest.mark.parametrize("max_steps", [20, 61])
def test_steps_that_grow_longer_at_the_very_end_are_unsettled_and_no_error(max_steps: int) -> None:
    calls = Calls(lambda number: 600 * US if number < 2 else US, noise=0)
    found = settle(calls, clock=calls.clock, max_steps=max_steps)
    assert not found.settled
    assert found.per_call_ns > 0
