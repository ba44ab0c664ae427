"""T5, T6, T7, T13 and the clock's own cost: what the clock says of things whose duration is known."""

import math
import time
from collections.abc import Callable
from functools import partial
from itertools import repeat
from statistics import median
from typing import Any

import numpy as np
import pytest
from acceptance.kernels import checksums
from acceptance.plans import mutated
from acceptance.validity import Recorder

from bench.machine import clock
from bench.machine.clock import ClockError, Value, calibrate, clock_cost_ns, take_value

US, MS = 1_000, 1_000_000
TakeValue = Callable[..., Value]
# one call too many in the denominator; calibration inside the clock pair
DIVIDES = "Value(n_calls,", "Value(n_calls + 1,"
INCLUDES = "        for _ in range(n_calls):", "        calibrate(call)\n        for _ in range(n_calls):"
MUTANTS = {"divides by one call more": DIVIDES, "calibrates inside the clock pair": INCLUDES}


def busy_wait(duration_ns: int) -> None:
    """Watch the clock; never sleep."""
    until = time.perf_counter_ns() + duration_ns
    while time.perf_counter_ns() < until:
        pass


def median_error(duration_ns: int, take: TakeValue = take_value, values: int = 11) -> float:
    """Of values of a busy wait, relative to its duration."""
    call = partial(busy_wait, duration_ns)
    n_calls = calibrate(call)
    return abs(median(take(call, n_calls).per_call_ns for _ in range(values)) / duration_ns - 1)


def test_known_durations_are_measured_within_1_percent(validity: Recorder) -> None:
    durations = {"0.2 ms": 200 * US, "2 ms": 2 * MS, "20 ms": 20 * MS}
    errors = {name: median_error(duration) for name, duration in durations.items()}
    validity.record(
        "T5",
        claim=f"busy waits of {', '.join(durations)}",
        promised="median error at most 1 %",
        measured=", ".join(f"{100 * error:.3f} %" for error in errors.values()),
        kept=max(errors.values()) <= 0.01,
    )
    wrong = {name: median_error(200 * US, mutated(take_value, *change)) for name, change in MUTANTS.items()}
    validity.record(
        "T5-mutant",
        claim=f"caught: mutants whose value {' or '.join(wrong)}",
        promised="off by more than 1 %",
        measured=", ".join(f"{100 * error:.1f} %" for error in wrong.values()),
        kept=min(wrong.values()) > 0.01,
    )
    assert max(errors.values()) <= 0.01
    assert min(wrong.values()) > 0.01


def noise_errors(take: TakeValue = take_value) -> tuple[float, float, int]:
    """How far mean and sd of the values are from those drawn, in ns, and how many values were disturbed.

    A value is disturbed where the process did not have the processor all the time, as a gate would find.
    """
    mean, values = 2 * MS, 250
    drawn = np.random.default_rng(0).normal(mean, 0.02 * mean, values)
    seen, kept = [], []
    for duration in drawn:
        cpu_start = time.process_time_ns()
        value = take(partial(busy_wait, int(duration)), 1)
        if value.elapsed_ns <= 1.01 * (time.process_time_ns() - cpu_start):
            kept.append(duration)
            seen.append(value.per_call_ns)
    off = abs(float(np.mean(seen) - np.mean(kept))), abs(float(np.std(seen) - np.std(kept)))
    return *off, values - len(kept)


def test_known_noise_is_measured_as_it_is(validity: Recorder) -> None:
    mean_off, sd_off, disturbed = noise_errors()
    mean_room, sd_room = max(0.025 * 2 * MS, 8 * US), max(0.05 * 0.02 * 2 * MS, 5 * US)
    kept = mean_off <= mean_room and sd_off <= sd_room and disturbed < 125
    validity.record(
        "T6",
        claim="250 busy waits drawn from N(2 ms, 2 %)",
        promised="mean within 2.5 %, standard deviation within 5 us",
        measured=f"{mean_off / US:.2f} us and {sd_off / US:.2f} us off; {disturbed} disturbed and left out",
        kept=kept,
    )
    wrong_mean, wrong_sd, _ = noise_errors(mutated(take_value, *DIVIDES))
    caught = wrong_mean > mean_room and wrong_sd > sd_room
    validity.record(
        "T6-mutant",
        claim="caught: the mutant that divides by one call more",
        promised="mean and standard deviation beyond that",
        measured=f"{wrong_mean / US:.0f} us and {wrong_sd / US:.0f} us off",
        kept=caught,
    )
    assert kept
    assert caught


def line(take: TakeValue = take_value, rounds: int = 1500) -> tuple[float, float]:
    """Exponent and intercept (ns) of the time of 1, 2, 4 and 8 calls; minima of interleaved values."""
    multiples = (1, 2, 4, 8)
    call = partial(checksums, 25)  # about 20 us
    best = dict.fromkeys(multiples, math.inf)
    for _ in repeat(None, rounds):
        for multiple in multiples:
            value = take(call, multiple)
            best[multiple] = min(best[multiple], value.per_call_ns * multiple)
    times = list(best.values())
    exponent = np.polyfit(np.log(multiples), np.log(times), 1)[0]
    intercept = np.polyfit(multiples, times, 1, w=1 / np.array(times))[1]
    return float(exponent), float(intercept)


def test_twice_the_work_takes_twice_the_time(validity: Recorder) -> None:
    lines = [line() for _ in range(5)]
    slope, intercept = np.median(lines, axis=0)
    room = 2 * clock_cost_ns()
    kept = abs(slope - 1) <= 0.01 and abs(intercept) <= room
    validity.record(
        "T7",
        claim="1, 2, 4 and 8 times the same work of 20 us",
        promised=f"slope 1 within 1 %, intercept at most two costs of the clock ({room} ns)",
        measured=f"slope {slope:.5f}, intercept {intercept:.0f} ns "
        f"(five repeats: {min(i for _, i in lines):.0f} to {max(i for _, i in lines):.0f} ns)",
        kept=kept,
    )
    wrong = {name: line(mutated(take_value, *change), 20) for name, change in MUTANTS.items()}
    caught = all(abs(slope - 1) > 0.01 for slope, _ in wrong.values())
    validity.record(
        "T7-mutant",
        claim=f"caught: mutants whose value {' or '.join(wrong)}",
        promised="slope off by more than 1 %",
        measured=", ".join(f"slope {slope:.3f}" for slope, _ in wrong.values()),
        kept=caught,
    )
    assert kept
    assert caught


def nothing() -> None:
    pass


def overhead(call_ns: int) -> float:
    """The share of a value that is not the calls' own work: two looks at the clock and N empty calls."""
    n_calls = math.ceil(clock.MIN_VALUE_NS * 1.1 / call_ns)
    return median(take_value(nothing, n_calls).elapsed_ns for _ in range(201)) / (n_calls * call_ns)


def test_the_harness_costs_under_half_a_percent_of_a_value(validity: Recorder) -> None:
    shares = {"20 us": overhead(20 * US), "80 us": overhead(80 * US)}
    validity.record(
        "SPEED-overhead",
        claim=f"the harness's share of a value of {clock.MIN_VALUE_NS / MS:g} ms, "
        f"calls of {' and '.join(shares)}",
        promised="under 0.5 %",
        measured=", ".join(f"{100 * share:.2f} %" for share in shares.values()),
        kept=max(shares.values()) < 0.005,
    )
    assert max(shares.values()) < 0.005


class Ticking:
    """Virtual time that moves 1 ms a call, seen through a clock with a fault."""

    def __init__(self, see: Callable[[int, int], float]) -> None:
        self.now, self._looks, self._see = 0, 0, see

    def call(self) -> None:
        self.now += MS

    def clock(self) -> Any:
        self.now += 25
        self._looks += 1
        return self._see(self.now, self._looks)


def outcome(world: Ticking, take: TakeValue = take_value) -> str:
    """What comes of calibration and a value: an error, or how far the value is off."""
    try:
        value = take(world.call, calibrate(world.call, clock=world.clock), clock=world.clock)
    except ClockError:
        return "refused"
    return f"{100 * abs(value.per_call_ns / MS - 1):.2f} % off"


CLOCKS: dict[str, tuple[str, Callable[[int, int], float], str]] = {
    "fine": ("a clock with ticks of 0.1 ms", lambda now, _: now // 100_000 * 100_000, "0.0"),
    "coarse": ("a clock with ticks of 15.6 ms", lambda now, _: now // 15_600_000 * 15_600_000, "refused"),
    "still": ("a clock that stands still", lambda now, _: 7, "refused"),
    "backwards": ("a clock that runs backwards", lambda now, _: -now, "refused"),
    "nan": ("a clock that says NaN", lambda now, _: math.nan, "refused"),
}


@pytest.mark.parametrize("key", CLOCKS)
def test_a_broken_clock_gives_an_error_or_the_right_value(
    validity: Recorder, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(clock, "MAX_CALLS", 1 << 16)  # virtual calls take real time as well
    claim, see, expected = CLOCKS[key]
    found = outcome(Ticking(see))
    kept = found.startswith(expected)
    promised = "refused" if expected == "refused" else "the right duration within 0.1 %"
    validity.record(f"T13-{key}", claim=claim, promised=promised, measured=found, kept=kept)
    assert kept


def test_a_clock_that_steps_back_at_any_look_gives_an_error_or_the_right_value(validity: Recorder) -> None:
    looks = range(1, 440)  # all of calibration and the value
    found = [outcome(Ticking(lambda now, look, at=at: now - 10**12 * (look >= at))) for at in looks]
    refused = found.count("refused")
    kept = 0 < refused < len(found) and all(one == "refused" or one.startswith("0.0") for one in found)
    validity.record(
        "T13-step",
        claim=f"a clock that steps back once by 1000 s, at each of {len(found)} looks at it",
        promised="an error, or the right duration within 0.1 %",
        measured=f"{refused} errors, {len(found) - refused} right durations",
        kept=kept,
    )
    assert kept


def test_a_clock_that_steps_back_within_a_value_is_refused(validity: Recorder) -> None:
    def unchecked(call: Any, n_calls: int, **options: Any) -> Value:
        return mutated(take_value, "if not end > start:", "if False:")(call, n_calls, **options)

    answers = []
    for take in (take_value, unchecked):
        readings = iter((5 * MS, 2 * MS, 2 * MS))
        try:
            answers.append(f"{take(nothing, 1, clock=lambda r=readings: next(r)).elapsed_ns / MS:g} ms")
        except ClockError:
            answers.append("refused")
    validity.record(
        "T13-mutant",
        claim="a clock that steps back by 3 ms within a value; caught: the mutant that does not look",
        promised="refused; a negative duration",
        measured="; ".join(answers),
        kept=answers == ["refused", "-3 ms"],
    )
    assert answers == ["refused", "-3 ms"]
