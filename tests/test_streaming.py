"""rnnbench stream: what is inside the clock, what is late, what the control explains, and what is kept."""

import gc
import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
from faults.runs import TESTS
from msgspec import structs
from rich.console import Console
from streams import Played, burst, write_stream

import bench
from bench import proof
from bench.analysis.statistics import ALPHA, blocks_needed, rank_interval
from bench.analysis.tail import analyse, explained, shown
from bench.api.options import StreamOptions
from bench.api.stream import carry_out, declare, make_case
from bench.cli.main import main
from bench.machine.devices import Device, Devices
from bench.machine.errors import Unfinished, UserError
from bench.machine.signals import Terminated
from bench.measure import call_times, stream_child
from bench.measure import stream as measuring
from bench.measure.call_times import Collections, clock_facts, group_for, idle, refuse_rate, take_slice
from bench.measure.messages import Refused
from bench.measure.stream import decide
from bench.measure.stream_child import (
    EXPECTED,
    INPUTS,
    ArmTimer,
    Done,
    Finish,
    Job,
    Started,
    Take,
    Taken,
    connected,
    serve,
)
from bench.records.record import Failure, Pair
from bench.records.sealed import load_sealed
from bench.records.stream import (
    CONTROL,
    FILE_NAME,
    FORMAT,
    Burst,
    Decision,
    Histogram,
    Pace,
    Slow,
    Stream,
    StreamFile,
    is_stream,
    merged,
    read_stream,
)  # fmt: skip
from bench.reporting.streamed import StreamAnswer, answer_one, load_streamed
from bench.reporting.tail import headline
from bench.workload.data import Batch, make

CPU = Device("cpu", "cpu", "a processor", None, ("float32", "float64"))


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


def test_what_is_prepared_makes_no_call_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Played()

    def slow_usage() -> Any:
        clock.now += 50_000_000
        return np.zeros(3, int)

    monkeypatch.setattr(call_times, "usage", slow_usage)
    part = take_slice(
        lambda: None, lambda sample: None, cycle([0]), 5,
        period_ns=1e6, pace="spin", clock=clock, sleep=clock.sleep,
    )  # fmt: skip
    assert np.all(part.starts - part.dues < 1000)


@pytest.mark.parametrize("pace", ["sleep", "spin"])
def test_a_call_that_starts_late_counts_from_when_it_was_due(pace: Pace) -> None:
    clock = Played()
    steps = clock.work(8000, 8000, 3_500_000, 8000)  # the third call takes three periods and a half
    part = take_slice(
        lambda: next(steps), lambda sample: None, cycle([0]), 8,
        period_ns=1e6, pace=pace, clock=clock, sleep=clock.sleep,
    )  # fmt: skip
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


def answer(folder: Path, *, control: Any = None, torch: Any = None, **options: Any) -> StreamAnswer:
    calls = {"numpy-batched": spread(8000), "torch-autograd": torch or spread(25_000)}
    calls |= {"control": control or spread(25_000, tail=1.01)}
    return answer_one(analyse(read_stream(write_stream(folder, calls, **options))))


IN_TIME = "At 1 kHz both are in time; NumPy takes 8.15 µs at the median"
SLOWER = "PyTorch 3.11 times [3.05, 3.16] as long at the median"


def test_one_sentence_says_who_is_in_time_and_how_much_longer_the_other_takes(tmp_path: Path) -> None:
    slower = f"{SLOWER} and 3.11 times [3.04, 3.16] as long at p99."
    assert answer(tmp_path / "a", rate=1000.0).sentence == f"{IN_TIME} and 16.3 µs at p99, {slower}"
    assert answer(tmp_path / "b").sentence.startswith("Back to back; NumPy takes 8.15 µs")
    grouped = answer(tmp_path / "c", group=4).sentence
    assert grouped.endswith("as long at p99 of groups of 4 calls.")
    late = answer(tmp_path / "d", rate=1000.0, torch=spread(25_000, tail=60))
    assert late.sentence.startswith("At 1 kHz PyTorch misses 2 % of the deadlines; NumPy takes")


def test_where_the_control_explains_the_tail_no_library_is_named(tmp_path: Path) -> None:
    noisy = answer(tmp_path / "a", rate=1000.0, control=spread(25_000, tail=1.9))
    median, p99 = noisy.summary.ratios
    assert (median.verdict, median.machine) == ("SLOWER", False)
    assert (p99.verdict, p99.machine) == ("NONE", True)
    assert noisy.sentence == (
        f"{IN_TIME}, {SLOWER}; at p99 the tail may be the machine's, as the control shows."
    )
    differing = answer(tmp_path / "c", torch=spread(8100, tail=2.1), control=spread(8100, tail=1.3))
    assert not any(arm.times[0.99].machine for arm in differing.summary.arms)
    assert differing.sentence.endswith("at p99 the difference may be the machine's, as the control shows.")
    numpy, torch = noisy.summary.arms
    assert numpy.times[0.99].machine
    assert torch.times[0.99].machine
    assert not any(quantile.machine for quantile in noisy.summary.control.times.values())
    quiet_of_two = answer(tmp_path / "d", torch=spread(25_000, tail=3), control=spread(8000, tail=1.9))
    numpy, torch = quiet_of_two.summary.arms
    assert (numpy.times[0.99].machine, torch.times[0.99].machine) == (True, False)
    assert "16.3 µs at p99 (perhaps the machine's), PyTorch 3.11 times" in quiet_of_two.sentence
    late = answer(
        tmp_path / "b",
        rate=1000.0,
        torch=spread(25_000, tail=60),
        control=spread(25_000, tail=60, share=0.01),
    )
    told = "both are in time but for delays that may be the machine's (at most 2 %, the control 1 %)"
    assert told in late.sentence
    assert late.summary.arms[1].missed_by_machine


def test_a_file_that_was_cut_within_its_first_block_holds_no_whole_block(tmp_path: Path) -> None:
    calls = {"numpy-batched": spread(8000), CONTROL: spread(8000)}
    folder = write_stream(tmp_path / "a", calls, blocks=2, end=None)
    lines = (folder / FILE_NAME).read_bytes().splitlines(keepends=True)
    assert "It was cut off after 1 block." in str(load_streamed(folder))
    for n in (2, 3, 4):  # the decision, the arm, the control
        (folder / FILE_NAME).write_bytes(b"".join(lines[:n]))
        with pytest.raises(Unfinished, match="holds no whole block"):
            load_streamed(folder)


def test_the_sentence_on_one_arm_tells_no_tail_of_the_machine_as_the_librarys(tmp_path: Path) -> None:
    calls = {"numpy-batched": spread(8000), "control": spread(8000, tail=1.9)}
    alone = answer_one(analyse(read_stream(write_stream(tmp_path, calls))))
    tail = "at p99 the tail may be the machine's, as the control shows."
    assert alone.sentence == f"Back to back; NumPy takes 8.15 µs at the median; {tail}"


def test_the_sentence_is_on_numpy_and_pytorch_where_a_third_library_streams_as_well(tmp_path: Path) -> None:
    two = answer(tmp_path / "a")
    stream = read_stream(write_stream(tmp_path / "b", {
        "numpy-batched": spread(8000), "torch-autograd": spread(25_000), "torch-inplace": spread(12_000),
        "control": spread(25_000, tail=1.01),
    }))  # fmt: skip
    numpy, torch, third = stream.declaration.arms
    third_library = structs.replace(third, library="numpy")  # any other than that of ``torch``
    declaration = structs.replace(stream.declaration, arms=[numpy, torch, third_library])
    pairs = [Pair("best", third.id, numpy.id), Pair("best", torch.id, numpy.id)]
    decision = structs.replace(stream.decision, pairs=pairs)
    three = analyse(replace(stream, declaration=declaration, decision=decision))
    assert headline(three) == two.sentence


def test_an_amount_is_explained_where_the_control_may_reach_half_of_it() -> None:
    amounts = dict.fromkeys(range(8), 100.0)
    assert explained(amounts, dict.fromkeys(range(8), 50.0))
    assert not explained(amounts, dict.fromkeys(range(8), 49.0))
    assert explained(amounts, {block: 10.0 + 15 * block for block in range(8)})  # the limit reaches it
    assert not explained(amounts, {block: 10.0 for block in range(3)})  # too few for a limit
    assert not explained(amounts, {})


def test_equal_arms_are_equivalent_and_a_quick_stream_gives_no_verdict(tmp_path: Path) -> None:
    same = answer(tmp_path / "a", torch=spread(8000))
    assert [ratio.verdict for ratio in same.summary.ratios] == ["EQUIVALENT"] * 2
    assert [ratio.machine for ratio in same.summary.ratios] == [False, False]
    for place in ("the median", "p99"):
        assert f"1.000 times [1.000, 1.000] as long at {place} (the same)" in same.sentence
    tails = answer(tmp_path / "tails", torch=spread(8000), control=spread(8000))
    assert tails.sentence.endswith("at p99 the tail may be the machine's, as the control shows.")
    quick = answer(tmp_path / "b", quick=True)
    assert [ratio.verdict for ratio in quick.summary.ratios] == ["NONE"] * 2
    few = answer(tmp_path / "c", blocks=6)
    assert {ratio.verdict for ratio in few.summary.ratios} == {"UNRESOLVED"}
    assert "a table of 2 needs 7 blocks" in few.summary.ratios[0].reason


def test_the_interval_of_a_ratio_of_p99_holds_the_true_one_in_95_of_100_streams() -> None:
    """Blocks differ by 3 %, the tail of a block is drawn; the true ratio is 2."""
    generator, covered, n = np.random.default_rng(7), 0, 200
    for _ in range(n):
        logs = []
        for _ in range(8):
            both = generator.lognormal(9, 0.3, (2, 2000)) * np.exp(0.03 * generator.standard_normal((2, 1)))
            of_arms = [Histogram.of(times).percentile(0.99) for times in (2 * both[0], both[1])]
            logs.append(math.log(of_arms[0] / of_arms[1]))
        covered += rank_interval(logs).exp().contains(2.0)
    assert 0.91 * n <= covered < n


def test_the_answer_fits_80_columns_and_json_holds_all_of_it(tmp_path: Path) -> None:
    streamed = answer(tmp_path / "a", rate=1000.0, failures=[Failure(2, "control", "crashed", "it fell")])
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    streamed.show(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in (
        "In a block p99.9 needs 20 000 calls (--calls); there were 2 000.",
        "Reading the clock costs",
        "the 800 slowest calls",
    ):
        assert part in " ".join(text.split())
    tree = json.loads(streamed.to_json())
    assert [row["arm"] for row in tree["rows"]] == [
        "numpy-batched@cpu x1",
        "torch-autograd@cpu x1",
        "control",
    ]
    assert set(tree["rows"][0]["response"]) == {"p50", "p99"}
    assert [ratio["at"] for ratio in tree["ratios"]] == ["p50", "p99"]


# the file


def test_a_stream_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    folder = write_stream(
        tmp_path / "a", {"numpy-batched": [8000.0] * 40, "control": [9000.0] * 40}, blocks=2
    )
    assert is_stream(folder)
    records = load_sealed(folder, FORMAT, lambda data: (StreamFile.decode(data), data)).records
    burst = next(record for record in records if isinstance(record, Burst))
    unsorted, fewer = Histogram([5, 4], [20, 20]), Histogram([5], [39])
    for n, (said, wrong) in enumerate(
        (
            ("in block 3 does not hold 40 times", [structs.replace(burst, block=3)]),
            ("in block 1 does not hold 40 times", [structs.replace(burst, times=unsorted)]),
            ("in block 1 does not hold 40 times", [structs.replace(burst, times=fewer)]),
            ("in block 1 does not hold 40 times", [structs.replace(burst, missed=41)]),
            ("two bursts of one arm in one block", [burst, burst]),
            (
                "the slowest call .* is not among its times",
                [structs.replace(burst, slowest=[Slow(0, 0, False)])],
            ),
            ("no arm is called 'other'", [structs.replace(burst, arm="other")]),
            ("in block 1 has responses without a rate", [structs.replace(burst, response=burst.times)]),
        )
    ):
        with StreamFile.new(tmp_path / str(n)) as file:
            for record in [*records[:2], *wrong]:
                file.write(record)
        with pytest.raises(UserError, match=f"contradicts itself: .*{said}"):
            read_stream(tmp_path / str(n))
    with pytest.raises(UserError, match=r"stream.jsonl exists already; choose another --out"):
        StreamFile.new(folder)


# the parent


class Child:
    """A process that is played: it answers as told, and notes whose turn it was."""

    turns: ClassVar[list[tuple[str, str]]] = []
    refuse: ClassVar[dict[str, Refused]] = {}  # by arm: what it answers to a slice
    interrupt: ClassVar[int] = 10**9  # after so many messages
    error: ClassVar[type[KeyboardInterrupt]] = KeyboardInterrupt

    def __init__(self, module: str, arguments: list[str], environment: object, *, deadline_s: float) -> None:
        self.job, self.deadline_s, self.awake = msgspec.json.decode(arguments[0], type=Job), deadline_s, True

    def receive(self, expected: object) -> Started:
        self.turns.append((self.job.arm, "start"))
        return Started(8000.0 if "numpy" in self.job.arm else 25_000.0, 50)

    def ask(self, message: Take | Finish, expected: object) -> Any:
        assert self.awake
        self.turns.append((self.job.arm, type(message).__name__))
        if len(self.turns) >= self.interrupt:
            raise self.error
        if self.job.arm in self.refuse:
            return self.refuse[self.job.arm]
        if isinstance(message, Take):
            self.idle_ns = message.idle_ns * (self.job.arm == CONTROL)
            return Done()
        return Taken(
            burst(
                self.job.block, self.job.arm, [8000.0] * 40,
                wait_ns=0.0, period_ns=self.job.period_ns, idle_ns=self.idle_ns,
            )
        )  # fmt: skip

    def pause(self) -> None:
        self.awake = False

    def resume(self) -> None:
        self.awake = True

    def stop(self) -> None:
        pass

    terminate = stop


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> type[Child]:
    for name, value in (("turns", []), ("refuse", {}), ("interrupt", 10**9)):
        monkeypatch.setattr(Child, name, value)
    monkeypatch.setattr(measuring, "Child", Child)
    monkeypatch.setattr(measuring, "reference_last", lambda *_: np.zeros((1, 8)))
    return Child


TWO = ("numpy-batched", "torch-autograd")
NAMES = ("numpy-batched@cpu x1", "torch-autograd@cpu x1", "control")


def play(folder: Path, **options: Any) -> Stream:
    """Measure with children that are played."""
    args = StreamOptions(variant=TWO, seed=3, calls=40, **{"blocks": 3, **options})
    declaration = declare(args, ["rnnbench", "stream"], "2026-01-01T00:00:00+00:00")
    with StreamFile.new(folder) as file:
        file.write(declaration)
        measuring.measure(declaration, file.write, lambda block, text: None)
    return read_stream(folder)


def test_arms_and_control_take_turns_in_an_order_drawn_anew_in_each_round(
    tmp_path: Path, played: type[Child]
) -> None:
    stream = play(tmp_path / "a")
    takes = [arm for arm, what in played.turns if what == "Take"]
    rounds = [tuple(takes[n : n + 3]) for n in range(0, len(takes), 3)]
    assert len(rounds) == 3 * 10
    assert all(set(turns) == set(NAMES) for turns in rounds)
    assert len(set(rounds)) > 3
    assert [name for name in NAMES if len(stream.bursts[name]) == 3] == list(NAMES)
    assert stream.decision == Decision(40, 1, 25_000, [Pair("best", NAMES[1], NAMES[0])])
    assert stream.end is not None
    assert stream.end.status == "complete"


def test_the_control_waits_as_long_as_the_slowest_step_of_its_own_block(
    tmp_path: Path, played: type[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slower(child: Child, expected: object) -> Started:
        return Started(1000.0 * child.job.block * (2 if "torch" in child.job.arm else 1), 50)

    monkeypatch.setattr(Child, "receive", slower)
    stream = play(tmp_path / "a")
    assert [burst.idle_ns for burst in stream.bursts[CONTROL]] == [2000, 4000, 6000]
    streamed = answer_one(analyse(stream))
    assert "computes nothing for 4.00 µs (2.00 µs to 6.00 µs by block) a call;" in " ".join(
        str(streamed).split()
    )
    assert streamed.as_dict()["idle_ns"] == 4000
    # a file without these lengths: that of the first block held for all
    older = {
        arm: [structs.replace(each, idle_ns=0) for each in of_arm] for arm, of_arm in stream.bursts.items()
    }
    assert "computes nothing for 2.00 µs a call;" in str(answer_one(analyse(replace(stream, bursts=older))))


@pytest.mark.parametrize(("error", "by"), [(KeyboardInterrupt, "user"), (Terminated, "signal")])
def test_what_ends_it_keeps_the_blocks_that_are_whole(
    tmp_path: Path, played: type[Child], error: type[KeyboardInterrupt], by: str
) -> None:
    played.interrupt, played.error = 2 * (3 + 30 + 3) + 20, error
    stream = play(tmp_path / "a")
    assert [len(bursts) for bursts in stream.bursts.values()] == [2, 2, 2]
    assert stream.end is not None
    assert (stream.end.status, stream.end.stopped_by) == ("interrupted", by)
    assert answer_one(analyse(stream)).stopped_by == by
    played.turns, played.interrupt = [], 20  # in the first block
    with pytest.raises(error):
        carry_out(StreamOptions(variant=TWO, calls=40, out=str(tmp_path / "b")), say=list)


def test_an_arm_that_fails_is_told_and_the_others_go_on(tmp_path: Path, played: type[Child]) -> None:
    played.refuse[NAMES[1]] = Refused("disagrees", "after the last call: y_hat is off")
    stream = play(tmp_path / "a")
    assert [len(bursts) for bursts in stream.bursts.values()] == [3, 0, 3]
    assert [(failure.entry, failure.block) for failure in stream.failures] == [(NAMES[1], 1)]
    streamed = answer_one(analyse(stream))
    assert (streamed.status, streamed.disagrees, streamed.summary.ratios) == ("partial", True, ())
    assert "torch-autograd@cpu x1 failed in block 1: after the last call: y_hat is off." in " ".join(
        str(streamed).split()
    )
    played.refuse[NAMES[0]] = Refused("crashed", "it fell")
    with pytest.raises(Unfinished, match=rf"{NAMES[0]}: it fell") as error:
        analyse(play(tmp_path / "none"))
    assert error.value.exit_code == 1
    played.refuse = {CONTROL: Refused("crashed", "no memory")}
    with pytest.raises(UserError, match="the control failed: no memory"):
        play(tmp_path / "b")


def test_what_is_timed_follows_from_the_first_calls() -> None:
    args = StreamOptions(variant=TWO, seed=1)
    declaration = declare(args, [], "2026-01-01T00:00:00+00:00")
    assert declaration.blocks == 8 == blocks_needed(6, ALPHA)
    medians = dict(zip(NAMES, (8000.0, 25_000.0), strict=False))

    def decided(cost_ns: int = 50, scale: float = 1.0, **changes: Any) -> tuple[int, int, int]:
        found = decide(
            structs.replace(declaration, **changes),
            {name: scale * ns for name, ns in medians.items()},
            cost_ns,
        )
        return found.calls, found.group, found.idle_ns

    assert decided() == (20_000, 1, 25_000)
    assert decided(scale=1000) == (200, 1, 25_000_000)  # 5 s of the slower arm
    assert decided(scale=1e5)[0] == 40  # a median has 20 calls beyond it
    assert decided(cost_ns=1000) == (20_000, 3, 25_000)
    assert decided(calls=1234) == (1240, 1, 25_000)
    assert decided(rate=1000.0, pace="sleep", cost_ns=1000) == (5000, 1, 25_000)
    # a slow arm does not make the control late, which would explain the arm's lateness
    assert decided(rate=1000.0, pace="sleep", scale=100) == (5000, 1, 500_000)


# the child


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(TESTS)
    monkeypatch.setattr(stream_child, "others_ns", lambda: 0)  # other tests here may have left threads
    case = make_case(StreamOptions(seed=1, hidden=4, dtype="float64"))
    batch = make(case)
    batch.save(tmp_path / INPUTS)
    proof.expected(case, batch).save(tmp_path / EXPECTED)
    take = 10 * 5  # of two slices, each with a warm call
    np.savez(tmp_path / "after.npz", y_hat=measuring.reference_last(case, batch, take, 1))
    return Job(1, NAMES[0], "numpy-batched", "cpu", 1, case, str(tmp_path), True, None, None)


def lines(job: Job, slices: int = 2, idle_ns: int = 1000) -> Iterator[str]:
    for message in (*[Take(20, 5, 1, idle_ns)] * slices, Finish(1, f"{job.folder}/after.npz")):
        yield msgspec.json.encode(message).decode()


def test_a_child_proves_its_arm_times_it_and_compares_the_last_result(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_child, "wrong_library", lambda name: "")  # other tests here loaded PyTorch
    started, *done, taken = serve(job, lines(job))
    assert isinstance(started, Started)
    assert len(done) == 2
    assert isinstance(taken, Taken), taken
    assert taken.burst.times.n == 40
    assert (taken.burst.response, taken.burst.missed, len(taken.burst.slowest)) == (None, 0, 40)
    assert {slow.position for slow in taken.burst.slowest} == set(range(40))
    case, batch = job.case, Batch.load(f"{job.folder}/{INPUTS}")
    np.savez(f"{job.folder}/after.npz", y_hat=measuring.reference_last(case, batch, 25, 3))
    of_groups = [Take(20, 5, 3, 0), Finish(3, f"{job.folder}/after.npz")]
    *_, taken = serve(job, (msgspec.json.encode(message).decode() for message in of_groups))
    assert isinstance(taken, Taken), taken
    *_, wrong = serve(job, lines(job, slices=1))  # other steps than those of the expected result
    assert isinstance(wrong, Refused)
    assert wrong.status == "disagrees"
    assert "after the last call: y_hat is off by" in wrong.reason


def test_the_first_calls_are_summed_up_by_the_steady_ones_however_slow_others_are(job: Job) -> None:
    for slow in (range(200), range(100, 1500)):  # cold at first; another program meanwhile
        clock = Played()
        timer = ArmTimer(structs.replace(job, arm=CONTROL, spec=""), clock)
        spans = (232_000 if n in slow else 93_000 for n in count())
        timer._call = lambda clock=clock, spans=spans: setattr(clock, "now", clock.now + next(spans))
        assert timer.pilot() == 93_050
    timer._call = lambda: setattr(clock, "now", clock.now + 10**9)
    assert timer.pilot() == 10**9 + 50  # a single part of few calls


def test_a_sample_for_an_accelerator_arrives_within_the_time_and_the_result_leaves_within() -> None:
    done: list[Any] = []
    bound = SimpleNamespace(call=lambda: done.append("call"), result=lambda: done.append("result"))
    held = SimpleNamespace(write=lambda x, sample: done.append(sample))
    binding: Any = SimpleNamespace(bound=bound, library=held, x=None, device="cuda:0")
    call, feed = connected(binding)
    feed("sample")
    assert done == []
    call()
    assert done == ["sample", "call", "result"]


def test_the_control_is_a_child_without_a_variant(job: Job) -> None:
    control = structs.replace(job, arm=CONTROL, spec="", period_ns=2e6, pace="sleep")
    for idle_ns, missed in ((1000, 0), (3_000_000, 40)):
        clock = Played()
        *_, taken = serve(control, lines(job, idle_ns=idle_ns), clock=clock, sleep=clock.sleep)
        assert isinstance(taken, Taken)
        times, response = taken.burst.times, taken.burst.response
        assert (taken.burst.missed, taken.burst.first_call_ns) == (missed, 0)
        assert times.percentile(1) == pytest.approx(idle_ns, rel=0.2)
        assert response is not None  # a call that takes longer than a period delays all calls after it
        lag = clock.late_ns if not missed else 19 * 1_000_000 + clock.late_ns
        assert response.percentile(1) == pytest.approx(idle_ns + lag, rel=0.01)


@pytest.mark.parametrize(
    ("variant", "status", "said"),
    [
        ("remembering", "disagrees", "after the last call: y_hat is off by"),
        ("putting_off", "invalid", "putting-off leaves its work to result(), which takes"),
        ("hiding", "invalid", "hiding changed its process: garbage collection was True, is False"),
    ],
)
def test_a_variant_that_only_pretends_to_stream_is_refused(
    job: Job, variant: str, status: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_child, "wrong_library", lambda name: "")  # other tests here loaded PyTorch
    cheating = structs.replace(job, spec=f"faults.streams:{variant}")
    take, finish = Take(180, 20, 1, 0), Finish(1, f"{job.folder}/after.npz")
    last = measuring.reference_last(job.case, Batch.load(f"{job.folder}/{INPUTS}"), 2 * 200, 1)
    np.savez(f"{job.folder}/after.npz", y_hat=last)
    *_, refused = serve(cheating, (msgspec.json.encode(each).decode() for each in (take, take, finish)))
    assert isinstance(refused, Refused)
    assert refused.status == status
    assert said in refused.reason


def test_a_variant_that_changes_its_process_is_refused(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bench.measure.stream_child.changed_state", lambda before, after: "threads was 1, is 2"
    )
    *_, refused = serve(job, lines(job))
    assert isinstance(refused, Refused)
    assert refused.reason == "numpy-batched changed its process: threads was 1, is 2"


def test_work_that_is_left_to_threads_of_ones_own_is_refused(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_child, "wrong_library", lambda name: "")  # other tests here loaded PyTorch
    for took_ns, refused in ((1_000_000, False), (5_000_000, True)):
        readings = iter([7, 7 + took_ns])
        monkeypatch.setattr(stream_child, "others_ns", lambda readings=readings: next(readings))
        *_, last = serve(job, lines(job), clock=Played())  # all calls take 2 us of this clock
        assert isinstance(last, Refused if refused else Taken), last
    assert isinstance(last, Refused)
    told = "numpy-batched leaves its work to threads of its own, which took 5.00 ms; all calls took 2.00 µs"
    assert (last.status, last.reason) == ("invalid", told)


def test_what_threads_compute_while_the_last_result_is_checked_is_not_left_to_them(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    others_ns, check = [0], ArmTimer._check

    def watched(*arguments: Any) -> None:
        others_ns[0] += 300_000_000
        check(*arguments)

    monkeypatch.setattr(stream_child, "wrong_library", lambda name: "")  # other tests here loaded PyTorch
    monkeypatch.setattr(stream_child, "others_ns", lambda: others_ns[0])
    monkeypatch.setattr(ArmTimer, "_check", watched)
    *_, last = serve(job, lines(job), clock=Played())
    assert isinstance(last, Taken), last
    assert others_ns[0]


# the command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rate", "0"], "--rate 0 is no number of samples a second"),
        (["--rate", "nan"], "--rate nan is no number of samples a second"),
        (["--rate", "1e8", "--pace", "spin", "--calls", "100"], "give at most"),
        (["--pace", "spin"], "--pace says how a sample is awaited: give its --rate"),
        (["--rate", "2"], "10 calls of an arm in a block: a median needs 40"),
        (["--rate", "1e-4", "--calls", "40"], "40 calls take 6 667 min of each arm in each block"),
        (["--rate", "10000", "--seconds", "5000"], "50000000 calls of an arm in a block"),
        (["--batch", "10000000", "--hidden", "1000000"], "the processes would need about"),
        (["--variant", "numpy-loop"], "numpy-loop does not support task stream"),
        (["--features", "10000000"], "--features 10000000, --outputs 8: the processes would need about"),
        (["--blocks", "1001"], "--blocks 1001: a stream has at most 1000"),
        (["--threads", "100000"], "usable processors"),
        (["--device", "cuda:7"], "no device 'cuda:7' here"),
    ],
)
def test_bad_input_is_one_clear_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.api.stream.find_devices", lambda: Devices((CPU,), ()))
    assert main(["stream", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_a_library_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = Devices((CPU,), (), missing={"torch": "PyTorch is not installed"})
    monkeypatch.setattr("bench.api.stream.find_cpu", lambda: without)
    declaration = declare(StreamOptions(calls=40), [], "2026-01-01T00:00:00+00:00")
    assert {arm.library for arm in declaration.arms} == {"numpy"}
    monkeypatch.undo()
    stream = answer(tmp_path).summary.stream
    alone = replace(stream, declaration=structs.replace(stream.declaration, missing=declaration.missing))
    assert "PyTorch is not installed." in str(answer_one(analyse(alone)))


def test_calls_too_short_for_the_clock_are_told(tmp_path: Path) -> None:
    short = {"numpy-batched": spread(800), "torch-autograd": spread(8000), "control": spread(8000)}
    told = "Each time has a reading of the clock in it, above a 20th of the median of numpy-batched."
    for group, wanted in ((1, True), (2, False)):
        folder = write_stream(tmp_path / str(group), short, group=group)
        assert (told in " ".join(str(load_streamed(folder)).split())) is wanted


def test_the_function_names_keywords_where_the_command_names_options() -> None:
    with pytest.raises(UserError, match="pace= says how a sample is awaited: give its rate="):
        bench.stream(variants=TWO, pace="spin")


def test_a_stream_from_the_command_to_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only one that measures; nothing here depends on how long anything takes."""
    monkeypatch.chdir(tmp_path)
    words = ["--variant", TWO[0], "--variant", TWO[1], "--hidden", "4", "--cell", "lstm", "--calls", "40"]
    assert (
        main(["stream", *words, "--rate", "500", "--pace", "spin", "--blocks", "1", "--out", "s", "--json"])
        == 0
    )
    (tree,) = json.loads(capsys.readouterr().out)["results"]
    assert [row["arm"] for row in tree["rows"]] == list(NAMES)
    assert (tmp_path / "s" / "report.html").is_file()
    assert (tree["status"], tree["calls"], tree["blocks"], tree["rate"]) == ("complete", 40, 1, 500.0)
    stream = read_stream(tmp_path / "s")
    assert stream.declaration.case.cell == "lstm"
    for bursts in stream.bursts.values():
        assert [burst.times.n for burst in bursts] == [40]
