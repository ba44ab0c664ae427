"""rnnbench stream: what is inside the clock, what is late, what the control explains, and what is kept."""

import gc
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import write_stream

from bench.analysis.tail import analyse, shown
from bench.machine.errors import UserError
from bench.measure.call_times import Collections, clock_facts, group_for, idle, refuse_rate, take_slice
from bench.records.stream import Histogram, Pace, merged, read_stream
from bench.reporting.tail import Streamed


class Played:
    """A clock that a test moves: a reading costs 50 ns, a sleep ends ``late_ns`` too late."""

    def __init__(self, late_ns: int = 60_000, cost_ns: int = 50) -> None:
        self.now, self.late_ns, self.cost_ns = 0, late_ns, cost_ns

    def __call__(self) -> int:
        self.now += self.cost_ns
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9) + self.late_ns

    def work(self, *spans_ns: int) -> Iterator[None]:
        for span in cycle(spans_ns):
            self.now += span
            yield


def test_only_the_call_is_inside_the_clock_and_every_sample_is_fed_before() -> None:
    clock, fed = Played(), list[int]()
    steps = clock.work(8000, 9000, 30_000)

    def feed(sample: int) -> None:
        clock.now += 1_000_000  # would show
        fed.append(sample)

    part = take_slice(lambda: next(steps), feed, iter(range(9)), 6, clock=clock)
    assert (part.ends - part.starts).tolist() == [8050, 9050, 30_050] * 2
    assert fed == list(range(6))
    grouped = take_slice(lambda: next(steps), feed, iter(range(9)), 2, group=3, clock=clock)
    assert (grouped.ends - grouped.starts).tolist() == [47_050] * 2


@pytest.mark.parametrize("pace", ["sleep", "spin"])
def test_a_call_that_starts_late_counts_from_when_it_was_due(pace: Pace) -> None:
    clock = Played()
    steps = clock.work(8000, 8000, 3_500_000, 8000)  # the third call takes three periods and a half
    part = take_slice(
        lambda: next(steps), lambda sample: None, cycle([0]), 8,
        period_ns=1e6, pace=pace, clock=clock, sleep=clock.sleep,
    )  # fmt: skip
    assert part.dues is not None
    assert np.diff(part.dues).tolist() == [1_000_000] * 7
    late = part.ends - part.dues > 1e6
    assert late.tolist() == [False, False, True, True, True, False, True, True]
    assert (part.ends - part.starts > 1e6).tolist() == [False, False, True, False, False, False, True, False]
    wait_ns = (part.starts - part.dues)[0]
    assert wait_ns > 60_000 if pace == "sleep" else wait_ns <= 2 * clock.cost_ns


def test_the_control_waits_as_long_as_it_is_told() -> None:
    clock = Played()
    part = take_slice(idle(20_000, clock), lambda sample: None, cycle([0]), 5, clock=clock)
    assert np.all(np.abs(part.ends - part.starts - 20_000) <= 3 * clock.cost_ns)


def test_short_calls_are_grouped_and_the_clock_is_known() -> None:
    assert clock_facts(Played()) == (50, 50)
    assert [group_for(median_ns, 50) for median_ns in (8000, 1000, 999, 100)] == [1, 1, 2, 10]


@pytest.mark.parametrize(
    ("rate", "pace", "late_ns", "said"),
    [
        (2e6, "spin", 0, r"a sample every 500 ns, and reading the clock takes 50.0 ns; give at most 1000000"),
        (20_000, "sleep", 60_000, r"a sleep here ends 60.0 µs late; give at most 8300, or --pace spin"),
        (20_000, "spin", 60_000, None),
        (5000, "sleep", 60_000, None),
    ],
)
def test_a_rate_that_no_clock_or_no_sleep_resolves(
    rate: float, pace: Pace, late_ns: int, said: str | None
) -> None:
    clock = Played(late_ns)
    if said is None:
        refuse_rate(rate, pace, clock, clock.sleep)
        return
    with pytest.raises(UserError, match=said):
        refuse_rate(rate, pace, clock, clock.sleep)


def test_collections_are_noted_while_calls_are_timed_and_told_apart_from_slow_calls_without() -> None:
    clock, noted = Played(), Collections()
    with noted.noted(clock):
        clock.now = 1000
        gc.collect()
    gc.collect()
    assert noted.counts[2] == 1
    assert noted.within(900, 1200)
    assert not noted.within(1200, 1300)


# the histogram


def test_a_histogram_keeps_every_percentile_within_a_tenth_of_a_percent() -> None:
    times = np.random.default_rng(0).lognormal(9, 1, 20_000)
    kept = Histogram.of(times)
    for q in (0.5, 0.99, 0.999):
        exact = np.sort(times)[int(np.ceil(q * len(times))) - 1]
        assert kept.percentile(q) == pytest.approx(exact, rel=1.01e-3)
    assert merged([kept, kept]).percentile(0.99) == kept.percentile(0.99)
    t, share = kept.slower()
    assert share[-1] == 0
    assert share == pytest.approx([np.mean(times >= edge) for edge in t], abs=1e-9)


def test_a_percentile_is_shown_with_twenty_calls_beyond_it() -> None:
    assert [shown(calls) for calls in (39, 40, 1999, 2000, 19_999, 20_000)] == [
        [], [0.5], [0.5], [0.5, 0.99], [0.5, 0.99], [0.5, 0.99, 0.999],
    ]  # fmt: skip


# the answer


def spread(
    median_ns: float, *, tail: float = 2.0, share: float = 0.02, jitter: float = 0.01
) -> Callable[[int], list[float]]:
    """The calls of each block: a median that differs a little between blocks, and a share of slow ones."""

    def calls(block: int) -> list[float]:
        generator = np.random.default_rng([block, int(median_ns)])
        middle = median_ns * (1 + jitter * generator.standard_normal())
        times = middle * (1 + 0.02 * np.abs(generator.standard_normal(2000)))
        times[: int(2000 * share)] *= tail
        return [float(time) for time in times]

    return calls


def answer(folder: Path, *, control: Any = None, **options: Any) -> Streamed:
    calls = {"numpy-batched": spread(8000), "torch-autograd": spread(25_000)}
    calls |= {"control": control or spread(25_000, tail=1.01)}
    return Streamed(analyse(read_stream(write_stream(folder, calls, **options))), folder)


def test_one_sentence_says_who_is_in_time_and_how_much_longer_the_other_takes(tmp_path: Path) -> None:
    assert answer(tmp_path / "a", rate=1000.0).sentence == (
        "At 1 kHz both are in time; NumPy takes 8.15 µs at the median and 16.3 µs at p99, PyTorch 3.11 times "
        "[3.05, 3.16] as long at the median and 3.11 times [3.04, 3.16] as long at p99."
    )
