"""rnnbench stream --streams: who steps when, what is late, how many are served, and what is kept."""

import io
import json
import math
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, cycle
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
from faults.runs import TESTS
from msgspec import structs
from reports import Reader
from rich.console import Console
from streams import Played

import bench
from bench import proof
from bench.analysis.concurrency import Concurrency, analyse_many
from bench.api.options import StreamOptions
from bench.api.stream import carry_out, declare, make_case
from bench.cli.main import main
from bench.machine.errors import Unfinished, UserError
from bench.measure import concurrency as measuring
from bench.measure import concurrency_child, stream_child
from bench.measure.concurrency import ManyStreams, most_served
from bench.measure.concurrency_child import Hold, Serve, Served, Server
from bench.measure.messages import Refused
from bench.measure.stream import measure
from bench.measure.stream_child import EXPECTED, INPUTS, Done, Job, Started, serve
from bench.measure.turns import MOST_STEPS, STEP_BYTES, take_turns
from bench.records.stream import (
    CONTROL,
    FILE_NAME,
    WIDTH,
    Histogram,
    Level,
    Pace,
    StreamFile,
    read_stream,
)
from bench.reporting.concurrency import ON_RATIOS, headline
from bench.reporting.concurrency_plot import concurrency_plot
from bench.reporting.streamed import StreamAnswer, load_streamed
from bench.reporting.titles import told_apart
from bench.workload.data import make

TWO = ("numpy-batched", "torch-autograd")
NAMES = ("numpy-batched@cpu x1", "torch-autograd@cpu x1", CONTROL)


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.machine.host.usable_cpus", lambda: 2)


# the turns of a worker


def test_streams_are_stepped_in_turn_in_whole_cycles_and_the_first_tenth_does_not_count() -> None:
    clock, order = Played(), list[str]()

    def step(name: str) -> Any:
        def call() -> None:
            clock.now += 9_000
            order.append(name)

        return call, lambda sample: order.append(f"{sample} for {name}")

    turns = take_turns([step("a"), step("b")], cycle([1, 2]), 100_000, 100_000, clock=clock)
    assert order[:8] == ["1 for a", "a", "1 for b", "b", "2 for a", "a", "2 for b", "b"]
    assert turns.began_ns >= 100_000
    assert turns.ended_ns >= 200_000
    assert turns.cycles == len(order) // 4
    assert len(turns.times) == 2 * turns.cycles - 2  # two steps in the 10 us before
    assert set(turns.times.tolist()) == {9_050}
    assert len(turns.responses) == 0
    quick = take_turns([step("a")] * 3, count(), 0, 10**12, clock=clock)
    assert quick.cycles == MOST_STEPS // 3


@pytest.mark.parametrize("pace", ["sleep", "spin"])
def test_samples_are_due_evenly_over_the_period_and_a_stall_makes_those_after_it_late(pace: Pace) -> None:
    clock, period_ns = Played(late_ns=0), 1_000_000
    spans = iter([8000] * 20 + [1_700_000] + [8000] * 100)

    def call() -> None:
        clock.now += next(spans)

    steps = [(call, lambda sample: None)] * 2
    turns = take_turns(
        steps, count(), 20_000_000, 20_000_000, places=[0.0, 0.5], period_ns=period_ns, pace=pace,
        clock=clock, sleep=clock.sleep,
    )  # fmt: skip
    assert turns.cycles == 22  # two of them before
    assert len(turns.responses) == len(turns.times) == 40
    assert (turns.times > period_ns).sum() == 1
    late = (turns.responses > period_ns).tolist()
    assert [place for place, is_late in enumerate(late) if is_late] == [16, 17]  # the stall, and who waited
    assert turns.responses[17] == pytest.approx(1_208_000, rel=1e-3)


def test_who_falls_behind_ends_after_twice_the_time_and_what_is_undone_counts_as_late() -> None:
    clock, period_ns = Played(), 1_000_000

    def call() -> None:
        clock.now += 4_000_000

    turns = take_turns(
        [(call, lambda sample: None)], count(), 1_000_000, 20_000_000, places=[0.0],
        period_ns=period_ns, pace="spin", clock=clock,
    )  # fmt: skip
    assert len(turns.times) < 12
    assert len(turns.responses) == 20  # all that were due
    assert (turns.responses > period_ns).all()
    assert turns.responses[-1] >= 21_000_000  # due at 20 ms, undone at 41


def test_a_step_holds_no_more_than_is_reckoned_with() -> None:
    clock = Played(cost_ns=2_000)  # few readings a period: they are slow while memory is traced
    tracemalloc.start()
    turns = take_turns(
        [(lambda: None, lambda sample: None)] * 4, cycle([0]), 10**6, 10**9, places=[0.0, 0.25, 0.5, 0.75],
        period_ns=1e5, pace="spin", clock=clock,
    )  # fmt: skip
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.8 * STEP_BYTES < most_bytes / (4 * turns.cycles) < STEP_BYTES


# the search


def test_the_search_finds_the_most_that_are_served_to_a_tenth_in_few_tries() -> None:
    for limit in (0, 1, 2, 3, 7, 40, 333, 5000):
        for start in (1, 10, 400, 20_000):
            for factor in (2.0, 1.1):
                tries = list[int]()

                def serves(n: int, limit: int = limit, tries: list[int] = tries) -> bool:
                    tries.append(n)
                    return n <= limit

                most = most_served(serves, start, factor, 10_000)
                assert most <= limit < max(most + 1, 1.1 * most) or most == limit
                assert len(tries) == len(set(tries))
                assert len(tries) < 20
    assert most_served(lambda n: True, 3, 2.0, 100) == 100
    near = list[int]()
    assert most_served(lambda n: near.append(n) or n <= 100, 98, 1.1, 10_000) == 98
    assert near == [98, 107]


# the child


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(TESTS)
    monkeypatch.setattr(stream_child, "wrong_library", lambda name: "")  # other tests here loaded PyTorch
    for child in (stream_child, concurrency_child):  # other tests here may have left threads
        monkeypatch.setattr(child, "others_ns", lambda: 0)
    case = make_case(StreamOptions(seed=1, hidden=4, dtype="float64"))
    batch = make(case)
    batch.save(tmp_path / INPUTS)
    proof.expected(case, batch).save(tmp_path / EXPECTED)
    return Job(1, NAMES[0], "numpy-batched", "cpu", 1, case, str(tmp_path), True, 1e6, "spin")


def serving(job: Job, *messages: Hold | Serve, clock: Played | None = None) -> list[Any]:
    clock = clock or Played()
    lines = (msgspec.json.encode(message).decode() for message in messages)
    return [*serve(job, lines, clock=clock, sleep=clock.sleep, kind=Server)]


def wish(**changes: Any) -> Serve:
    return structs.replace(Serve(5, 2, 0, 1, 10**7, 40_000, None, None, 1000), **changes)


def test_a_worker_serves_its_share_and_every_stream_has_the_references_last_result(job: Job) -> None:
    ready, held, served, again = serving(job, Hold(3), wish(), wish(first=1, begin_ns=14_000_000))
    assert isinstance(ready, Started)
    assert isinstance(held, Done)
    for one, begin_ns in ((served, 10**7), (again, 14_000_000)):
        assert isinstance(one, Served), one
        assert one.began_ns >= begin_ns
        assert one.response is None
    assert served.times.n > again.times.n > 30


def test_streams_that_share_a_state_are_refused(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency_child, "bind_case", lambda *arguments: arguments[-1])
    *_, refused = serving(job, Hold(3), wish())
    assert isinstance(refused, Refused)
    assert refused.status == "disagrees"
    assert "after the last call: y_hat is off by" in refused.reason


def test_threads_beside_the_workers_are_refused_where_they_compute_longer_than_the_calls(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_child, "others_ns", lambda: 5_000_000)
    for worker_ns, refused in ((10_000_000, False), (0, True)):  # processor time of a worker
        readings = count(0, worker_ns)
        monkeypatch.setattr("time.thread_time_ns", lambda readings=readings: next(readings))
        *_, last = serving(job, Hold(4), wish(streams=4, threads=2))
        assert isinstance(last, Refused if refused else Served), last
    assert "numpy-batched leaves its work to threads of its own, which took 5.00 ms;" in last.reason
    monkeypatch.setattr(Server, "_check", lambda *_: pytest.fail("it was called again before"))
    *_, last = serving(job, Hold(4), wish(streams=4, threads=2))
    assert "threads of its own" in last.reason


def test_streams_of_a_process_share_the_parameters_arrays(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    bindings = list[Any]()
    bind_case = concurrency_child.bind_case

    def noted(*arguments: Any) -> Any:
        bindings.append(bind_case(*arguments))
        return bindings[-1]

    monkeypatch.setattr(concurrency_child, "bind_case", noted)
    serving(job, Hold(3))
    first, second = bindings
    assert first.params["W"] is second.params["W"]
    assert not np.shares_memory(first.x, second.x)


def test_the_control_is_fed_and_paced_as_an_arm_and_late_where_its_streams_do_not_fit(job: Job) -> None:
    control = structs.replace(job, arm=CONTROL, spec="")
    for idle_ns, all_late in ((100_000, False), (300_000, True)):
        at_rate = wish(period_ns=1e6, pace="spin", idle_ns=idle_ns, streams=8, length_ns=20_000_000)
        _, _, served = serving(control, Hold(4), at_rate)
        assert isinstance(served, Served), served
        assert served.response is not None
        assert served.response.n == 80
        assert (served.missed > 60) == all_late
        assert (served.missed == 0) != all_late


# the parent


class PlayedProcesses:
    """Processes that are played: a step takes 10 us of NumPy, 25 of PyTorch and of the control."""

    refuse: ClassVar[dict[str, Refused]] = {}
    awake: ClassVar[set[str]] = set()
    levels: ClassVar[list[tuple[int, str, int]]] = []  # block, arm, streams
    interrupt: ClassVar[int] = 10**9  # after so many levels

    def __init__(self, n: int, arguments: list[str], environment: object) -> None:
        self.job, self.n = msgspec.json.decode(arguments[0], type=Job), n
        self.step_ns = 10_000 if "numpy" in self.job.arm else 25_000
        self.noise = 1 + 0.01 * self.job.block

    def receive(self, expected: object) -> list[Started]:
        return [Started(self.step_ns, 50)] * self.n

    def ask(self, messages: list[Any], expected: object) -> Any:
        assert self.awake == {self.job.arm}
        if isinstance(messages[0], Hold):
            return [Done()] * len(messages)
        if self.job.arm in self.refuse:
            return self.refuse[self.job.arm]
        if len(self.levels) >= self.interrupt:
            raise KeyboardInterrupt
        self.levels.append((self.job.block, self.job.arm, messages[0].streams))
        return [self.served(message) for message in messages]

    def served(self, wanted: Serve) -> Served:
        times = np.full(2000, self.step_ns * self.noise)
        times[:30] *= 1.01 if self.job.arm == CONTROL else 3
        n = wanted.threads * 2000
        fits = wanted.streams / wanted.workers * self.step_ns * self.noise <= (wanted.period_ns or 0) * 0.9
        histogram = Histogram.of(np.tile(times, wanted.threads))
        ended_ns = wanted.begin_ns + round(2000 * self.step_ns * self.noise)
        missed = 0 if fits or not wanted.period_ns else n // 50
        return Served(
            histogram, histogram if wanted.period_ns else None, missed, wanted.begin_ns, ended_ns, {}
        )

    def resume(self) -> None:
        self.awake.add(self.job.arm)

    def pause(self) -> None:
        self.awake.discard(self.job.arm)

    def stop(self) -> None:
        self.pause()

    terminate = stop


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> type[PlayedProcesses]:
    for name, value in (("refuse", {}), ("awake", set()), ("levels", []), ("interrupt", 10**9)):
        monkeypatch.setattr(PlayedProcesses, name, value)
    monkeypatch.setattr(measuring, "Processes", PlayedProcesses)
    return PlayedProcesses


def play(folder: Path, **options: Any) -> Path:
    """Measure with processes that are played."""
    args = StreamOptions(variant=TWO, seed=3, **{"streams": ("1,4", "16"), **options})
    declaration = declare(args, ["rnnbench", "stream"], "2026-01-01T00:00:00+00:00")
    with StreamFile.new(folder) as file:
        file.write(declaration)
        measure(declaration, file.write, lambda block, text: None, ManyStreams)
    return folder


def answer(folder: Path, **options: Any) -> StreamAnswer:
    streamed = load_streamed(play(folder, **options))
    assert isinstance(streamed.summary, Concurrency)
    return streamed


SPINNING = ["--rate", "10000", "--pace", "spin"]
AT_A_RATE = {"rate": 1000.0, "pace": "spin"}


def test_one_arm_at_a_time_is_measured_at_every_level_in_an_order_drawn_anew(
    tmp_path: Path, played: type[PlayedProcesses]
) -> None:
    streamed = answer(tmp_path / "a")
    declared = streamed.stream.declaration
    sizes = [(1, 1), (4, 1), (4, 2), (16, 1), (16, 2)]
    assert declared.levels == sizes
    assert declared.blocks == 9  # what verdicts on ten ratios need
    assert len(played.levels) == 9 * len(sizes) * 3
    found = streamed.summary
    assert [(point.streams, point.workers) for point in found.points] == [s for s in sizes for _ in NAMES]
    orders = {tuple(played.levels[n : n + 3]) for n in range(0, len(played.levels), 3)}
    assert len({tuple(arm for _, arm, _ in order) for order in orders}) == 6
    assert not played.awake
    one, two = (
        point for point in found.points if point.arm and point.streams == 16 and "numpy" in point.arm.id
    )
    assert one.step.ns / two.step.ns == pytest.approx(2, rel=1e-6)
    assert streamed.status == "complete"


def test_the_answer_back_to_back_is_throughput_with_its_ratio_and_what_a_second_worker_brings(
    tmp_path: Path, played: type[PlayedProcesses]
) -> None:
    streamed = answer(tmp_path / "a")
    assert streamed.sentence == (
        "Steps a second of 16 streams on 2 processes: 190 k by NumPy and 76.2 k by PyTorch; PyTorch takes "
        "2.50 times [2.50, 2.50] as long as NumPy; times as many as on one: 2.00 by NumPy, "
        "2.00 by PyTorch and 2.00 by the control, which computes nothing."
    )
    ratios = {(r.what, r.streams, r.workers): r.verdict for r in streamed.summary.ratios}
    assert len(ratios) == 10
    assert set(ratios.values()) == {"SLOWER"}
    quick = answer(tmp_path / "quick", quick=True)
    assert {ratio.verdict for ratio in quick.summary.ratios} == {"NONE"}
    assert "(no verdict)" in quick.sentence
    threads = answer(tmp_path / "threads", share="threads", blocks=1)
    assert threads.sentence.startswith("Steps a second of 16 streams on 2 threads: ")
    told = told_apart([each.article("", "") for each in (streamed, threads)])
    assert [article.difference for article in told] == ["on 2 processes", "on 2 threads"]


def test_a_level_of_which_a_worker_woke_too_late_is_measured_again_twice_at_most(
    tmp_path: Path, played: type[PlayedProcesses], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = PlayedProcesses.served

    def slept(self: PlayedProcesses, wanted: Serve) -> Served:
        late = wanted.first == 1 and (len(played.levels) <= 2 or self.job.block == 2)
        late_ns = round(0.6 * wanted.length_ns) * late
        return serve(self, structs.replace(wanted, begin_ns=wanted.begin_ns + late_ns))

    monkeypatch.setattr(PlayedProcesses, "served", slept)
    stream = answer(tmp_path, streams=("4",), workers=2, blocks=2).stream
    tries = [[at for at in played.levels if at[0] == block] for block in (1, 2)]
    # three arms on one worker and on two
    assert len(tries[1]) == 3 + 3 * 3
    assert len(tries[0]) <= 6 + 2
    assert len(stream.levels) == 2 * 6


def test_the_number_served_is_searched_for_in_every_block_and_the_least_is_told(
    tmp_path: Path, played: type[PlayedProcesses], monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed = answer(tmp_path / "a", **AT_A_RATE)
    numpy, torch, control = streamed.summary.served
    assert streamed.stream.declaration.blocks == 6
    for one, step_ns in ((numpy, 10_000), (torch, 25_000), (control, 25_000)):
        assert len(one.by_block) == 6
        for block, most in one.by_block.items():
            fits = 2 * 0.9 * 1e6 / (step_ns * (1 + 0.01 * block))
            assert most <= fits < 1.1 * most + 2
        assert one.least == min(one.by_block.values())
        assert one.allowed == pytest.approx(2e6 / step_ns / 1.035, rel=0.01)
    assert (numpy.machine, torch.machine, control.machine) == (True, True, False)
    (ratio,) = streamed.summary.ratios
    assert ratio.what == "served"
    assert ratio.verdict == "SLOWER"
    assert ON_RATIOS in streamed.notes
    assert ON_RATIOS in [table.note for table in streamed.tables]
    assert streamed.sentence == (
        f"Streams that this machine serves at 1 kHz on 2 processes: {numpy.least} by NumPy and {torch.least} "
        "by PyTorch, with at most 1 % of the steps late; a control as long as the slowest step, which "
        f"computes nothing: {control.least}; the machine itself may set the limit of NumPy and PyTorch."
    )
    later = [n for block, arm, n in played.levels if block == 3 and arm == NAMES[0]]
    assert len(later) <= 3 + 3  # the levels, and a few tries beside the last number
    monkeypatch.setattr("bench.api.concurrency.MOST_SEARCHED", 50)
    capped = answer(tmp_path / "capped", **AT_A_RATE, blocks=1)
    assert "at least 50 by NumPy and at least 50 by PyTorch" in capped.sentence
    assert capped.sentence.endswith("nothing: at least 50.")  # no machine sets a limit that was not reached


def test_the_sentence_tells_where_blocks_serve_far_more_than_the_least(
    tmp_path: Path, played: type[PlayedProcesses], monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed = answer(tmp_path / "a", **AT_A_RATE)
    numpy, *others = streamed.summary.served
    by_block = dict(numpy.by_block) | {2: 10, 3: 16}
    scattered = replace(streamed.summary, served=(replace(numpy, by_block=by_block), *others))
    most = max(by_block.values())
    assert f"10 by NumPy (up to {most} in other blocks) and " in headline(scattered)


def test_the_control_is_as_long_as_the_slowest_step_of_its_own_block(
    tmp_path: Path, played: type[PlayedProcesses], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve, waited = PlayedProcesses.served, set[tuple[int, int]]()

    def noted(self: PlayedProcesses, wanted: Serve) -> Served:
        waited.add((self.job.block, wanted.idle_ns))
        return serve(self, wanted)

    monkeypatch.setattr(PlayedProcesses, "served", noted)
    monkeypatch.setattr(PlayedProcesses, "receive", lambda self, _: [Started(1e3 * self.job.block, 50)] * 2)
    play(tmp_path, blocks=3)
    assert waited == {(1, 1000), (2, 2000), (3, 3000)}


def test_the_machine_limits_no_arm_that_serves_what_its_step_allows(
    tmp_path: Path, played: type[PlayedProcesses]
) -> None:
    stream = read_stream(play(tmp_path / "a", **AT_A_RATE))
    longer = structs.replace(stream.levels[0].times, bins=[round(math.log(12_000) / WIDTH)], counts=[2000])
    levels = [structs.replace(at, times=longer) if at.arm == NAMES[0] else at for at in stream.levels]
    numpy, torch, _ = analyse_many(replace(stream, levels=levels)).served
    assert set(numpy.lacking.values()) == {0.0}
    assert (numpy.machine, torch.machine) == (False, True)


def test_a_block_in_which_an_arm_failed_tells_nothing_of_how_many_it_serves(
    tmp_path: Path, played: type[PlayedProcesses], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = PlayedProcesses.ask

    def fall(self: PlayedProcesses, messages: list[Any], expected: object) -> Any:
        searching = isinstance(messages[0], Serve) and messages[0].streams > 16
        refused = searching and self.job.block == failing and self.job.arm == NAMES[1]
        return Refused("crashed", "it fell") if refused else ask(self, messages, expected)

    monkeypatch.setattr(PlayedProcesses, "ask", fall)
    for failing, known in ((2, [1]), (1, None)):
        summary = answer(tmp_path / str(failing), **AT_A_RATE, blocks=3).summary
        by_arm = {served.arm.id: served for served in summary.served if served.arm}
        assert (sorted(by_arm[NAMES[1]].by_block) if NAMES[1] in by_arm else None) == known
        assert by_arm[NAMES[0]].by_block.keys() == {1, 2, 3}


@pytest.mark.parametrize(
    ("options", "quick", "said"),
    [
        ({}, False, "Neither: numpy-inplace is 2.00 times faster than both."),
        ({}, True, "No peer is proved to be ahead of both."),
        (AT_A_RATE, False, "Neither: numpy-inplace serves {} times as many streams as both."),
    ],
)
def test_a_peer_is_told_in_a_sentence_of_its_own(
    tmp_path: Path, played: type[PlayedProcesses], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any],
    quick: bool, said: str,
) -> None:  # fmt: skip
    begin = PlayedProcesses.__init__

    def fast(self: PlayedProcesses, *given: Any) -> None:
        begin(self, *given)
        self.step_ns = 5000 if "inplace" in self.job.arm else self.step_ns

    monkeypatch.setattr(PlayedProcesses, "__init__", fast)
    monkeypatch.setattr(f"{__name__}.TWO", (*TWO, "numpy-inplace"))
    stream = read_stream(play(tmp_path, streams=("4",), quick=quick, blocks=10, **options))
    numpy, torch, third = stream.declaration.arms
    arms = [numpy, torch, structs.replace(third, peer=True)]
    summary = analyse_many(replace(stream, declaration=structs.replace(stream.declaration, arms=arms)))
    first, other = headline(summary).rsplit(". ", 1)
    assert "numpy-inplace" not in first
    if options:
        most = {capacity.arm: capacity.by_block for capacity in summary.served}
        factor = median(most[arms[2]][block] / most[numpy][block] for block in range(1, 11))
        assert float(other.split()[3]) == pytest.approx(factor, rel=0.02)
        said = said.format(other.split()[3])
    assert other == said
    families = {(ratio.entry.variant, ratio.baseline.variant): ratio.family for ratio in summary.ratios}
    assert families.keys() == {(TWO[1], TWO[0]), ("numpy-inplace", TWO[0]), ("numpy-inplace", TWO[1])}
    assert quick or families["numpy-inplace", TWO[1]] == 2 * families[TWO[1], TWO[0]]


def test_an_arm_that_fails_is_told_and_what_ends_it_keeps_whole_blocks(
    tmp_path: Path, played: type[PlayedProcesses]
) -> None:
    played.refuse[NAMES[1]] = Refused("disagrees", "after the last call: y_hat is off")
    streamed = answer(tmp_path / "a", **AT_A_RATE, blocks=2)
    assert {level.arm for level in streamed.stream.levels} == {NAMES[0], CONTROL}
    assert (streamed.status, streamed.disagrees) == ("partial", True)
    assert "torch-autograd@cpu x1 failed in block 1: after the last call: y_hat is off." in " ".join(
        str(streamed).split()
    )
    played.refuse[NAMES[0]] = Refused("crashed", "it fell")
    with pytest.raises(Unfinished, match=rf"{NAMES[0]}: it fell"):
        answer(tmp_path / "none", **AT_A_RATE, blocks=2)
    played.refuse, played.levels, played.interrupt = {}, [], 5 * 3 + 2
    stopped = answer(tmp_path / "b", blocks=3)
    assert {level.block for level in stopped.stream.levels} == {1}
    assert (stopped.status, stopped.stopped_by, stopped.stream.blocks) == ("interrupted", "user", 1)
    played.levels, played.interrupt = [], 2
    with pytest.raises(KeyboardInterrupt):
        carry_out(StreamOptions(variant=TWO, streams=("4",), out=str(tmp_path / "c")), say=list)


# what is seen


@pytest.mark.parametrize("options", [{}, AT_A_RATE, {"share": "threads"}])
def test_terminal_page_json_and_notebook_tell_the_same(
    tmp_path: Path, played: type[PlayedProcesses], options: dict[str, Any]
) -> None:
    streamed = answer(tmp_path / "a", **options)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    streamed.show(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    tree = json.loads(streamed.to_json())
    assert len(tree["rows"]) == len(streamed.summary.points)
    assert [row["arm"] for row in tree["served"]] == ([*NAMES[:2], None] if "rate" in options else [])
    assert set(tree["rows"][0]["quantiles"]) == {"p50", "p99"}
    assert main(["report", str(tmp_path / "a")]) == 0
    html = (tmp_path / "a" / "report.html").read_text()
    page = Reader(html)
    claim = re.search(r'<p class="claim long">(.*?)</p>', html)
    assert claim
    assert claim[1] == streamed.sentence
    (picture,) = page.all("img")
    assert "numpy-batched 16 on 2: " in (picture["alt"] or "")
    assert "data:image/svg+xml;base64," in streamed._repr_html_()
    loaded = bench.load(tmp_path / "a")
    assert isinstance(loaded.summary, Concurrency)
    assert loaded.sentence == streamed.sentence


def lines_of(found: Concurrency, **options: Any) -> dict[str, list[float]]:
    (axes,) = concurrency_plot(found, **options).axes
    return {line.get_label(): [*line.get_ydata()] for line in axes.lines if line.get_label()[0] != "_"}


def test_the_plot_has_a_curve_for_each_arm_and_for_the_control(
    tmp_path: Path, played: type[PlayedProcesses]
) -> None:
    titles = ["numpy-batched", "torch-autograd", "control"]
    back_to_back = lines_of(answer(tmp_path / "a").summary)
    assert [*back_to_back] == titles
    assert back_to_back["numpy-batched"] == pytest.approx([95.2e3, 190.5e3, 190.5e3], rel=0.01)
    rated = answer(tmp_path / "b", **AT_A_RATE).summary
    assert lines_of(rated, narrow=True)["control"] == pytest.approx([25.9e3] * 3, rel=0.02)
    assert any([*line.get_ydata()] == [1e6, 1e6] for line in concurrency_plot(rated).axes[0].lines)


def test_a_plot_without_any_p99_has_the_deadline_alone(
    tmp_path: Path, played: type[PlayedProcesses], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.analysis.concurrency.shown", lambda n: [0.5])
    summary = answer(tmp_path, **AT_A_RATE, blocks=1).summary
    assert lines_of(summary) == {}
    assert concurrency_plot(summary).axes[0].get_ylim() == pytest.approx((1e5, 1e7))


# the file and the command


def test_a_file_that_was_cut_anywhere_has_whole_blocks_or_is_one_clear_line(
    tmp_path: Path, played: type[PlayedProcesses]
) -> None:
    for options in ({}, AT_A_RATE):
        lines = (play(tmp_path / f"whole{len(options)}", blocks=2, **options) / FILE_NAME).read_bytes()
        for n in range(1, lines.count(b"\n")):
            (tmp_path / FILE_NAME).write_bytes(b"".join(lines.splitlines(keepends=True)[:n]))
            levels = read_stream(tmp_path).levels
            if levels:
                cut = load_streamed(tmp_path)
                assert "It was cut off after 1 block." in str(cut)
                assert {point.arm for point in cut.summary.points if point.streams == 16} == {
                    *cut.stream.declaration.arms,
                    None,
                }
            else:
                with pytest.raises(Unfinished, match="holds no whole block"):
                    load_streamed(tmp_path)
            assert {level.block for level in levels} <= {1}


def test_levels_that_contradict_each_other_are_refused(tmp_path: Path, played: type[PlayedProcesses]) -> None:
    stream = read_stream(play(tmp_path / "a", blocks=1))
    level = stream.levels[0]
    wrong = structs.replace
    for n, (said, levels) in enumerate(
        (
            ("one level of an arm twice", [level, level]),
            ("is no level", [wrong(level, missed=1)]),
            ("is no level", [wrong(level, response=level.times)]),
            ("is no level", [wrong(level, times=Histogram([5, 4], [1, 1]))]),
            ("is no level", [wrong(level, workers=level.streams + 1)]),
            ("is no level", [wrong(level, block=2)]),
            ("no arm is called 'other'", [wrong(level, arm="other")]),
        )
    ):
        with StreamFile.new(tmp_path / str(n)) as file:
            for record in (stream.declaration, *levels):
                file.write(record)
        with pytest.raises(UserError, match=f"contradicts itself: .*{said}"):
            read_stream(tmp_path / str(n))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "2"], "--workers is of many streams: give --streams, as 1,4,16,64"),
        (["--share", "threads"], "--share is of many streams"),
        (["--streams", "4", "--workers", "3"], "--workers 3: this machine has 2 usable processors"),
        (["--streams", "4", "--calls", "100"], "--calls is of one stream: leave it out"),
        (["--streams", "4", "--threads", "2"], "--threads is of one stream"),
        (["--streams", "4", "--rate", "1e9"], "--rate 1e+09: a sample every 1.00 ns, and reading the clock"),
        (["--streams", "900000"], "or a smaller --hidden or --batch"),
        (["--streams", "4", "--seconds", "300"], "--seconds 300: a level would take 30 s, and may take 25"),
        (
            ["--streams", "4", *SPINNING, "--seconds", "200"],
            "give at most 2, or a smaller --hidden, --batch, --rate or --seconds",
        ),
        (
            ["--streams", "1", *SPINNING, "--hidden", "4096"],
            "GiB; give a smaller --hidden, --batch, --rate or --seconds",
        ),
        (["--streams", "1000001"], "--streams 1000001: give at most 1000000"),
        (["--streams", "4", "--rate", "0.001"], "--rate 0.001: give at least 0.01 with --streams"),
    ],
)
def test_bad_input_is_one_clear_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.machine.host.memory_bytes", lambda: 100 << 20)
    assert main(["stream", "--variant", TWO[0], *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    with pytest.raises(UserError, match="streams: '0' is not a whole number of 1 or more"):
        bench.stream(streams=[1, 0])


def levels_of(folder: Path) -> Iterator[Level]:
    yield from read_stream(folder).levels


@pytest.mark.parametrize(
    "words", [["--share", "processes", "--rate", "200", "--pace", "spin"], ["--share", "threads"]]
)
def test_streams_from_the_command_to_their_file(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measures; nothing here depends on how long anything takes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.api.concurrency.MOST_SEARCHED", 4)
    options = ["--variant", TWO[0], "--hidden", "4", "--cell", "gru", "--blocks", "1", "--seconds", "0.3"]
    assert main(["stream", *options, "--streams", "1,3", *words, "--out", "s", "--json"]) == 0
    (tree,) = json.loads(capsys.readouterr().out)["results"]
    assert (tree["status"], tree["blocks"], tree["workers"]) == ("complete", 1, 2)
    assert {row["arm"] for row in tree["rows"]} == {NAMES[0], None}
    assert (tmp_path / "s" / "report.html").is_file()
    assert all(level.times.n for level in levels_of(tmp_path / "s"))
