"""Anyone's pytest: sessions of small projects whose clock is simulated, so that no result depends on time."""

import json
import math
import os
import random
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import psutil
import pytest
from test_imports import loaded_by

import bench
import rnnbench_pytest
from bench.analysis import statistics
from bench.machine.errors import place_of
from bench.measure.pairs import MAX_PAIRS, MIN_PAIRS, balanced, take_pairs
from rnnbench_pytest import Lost, Paired, PairedBenchmark, check_options

ROOT = Path(__file__).parents[1]
US = 1000
SIMULATED = '''
"""A clock that only work moves, and functions that take a given time."""

import os

NOW = 0


def timer():
    global NOW
    NOW += 1
    return NOW


def work(ns):
    def call():
        global NOW
        NOW += ns

    return call


FIRST = os.environ.setdefault("FIRST_PROCESS", str(os.getpid())) == str(os.getpid())
'''


class Clock:
    """Give the time of a clock that only work moves."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def work(self, ns: int) -> None:
        self.now += ns


def running(folder: Path, *options: str, **files: str) -> subprocess.Popen[str]:
    """Start pytest on a project of these files, with no plug-in but ours and those that are named."""
    for name, text in ({"simulated": SIMULATED} | files).items():
        (folder / f"{name}.py").write_text(text)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.Popen(
        [sys.executable, "-b", "-m", "pytest", "-p", "rnnbench_pytest", "-W", "error", *options],
        cwd=folder,
        env=inherited | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def session(folder: Path, *options: str, **files: str) -> SimpleNamespace:
    """Return how such a pytest ended, and what it printed."""
    with running(folder, *options, **files) as process:
        try:
            printed, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert "INTERNALERROR" not in printed, printed
    return SimpleNamespace(code=process.returncode, printed=re.sub(r"\x1b\[[\d;]*m", "", printed))


# values


def test_a_pair_is_timed_in_turn_so_that_a_machine_that_slows_down_slows_both() -> None:
    clock, calls = Clock(), []

    def taking(name: str, us: int) -> Any:
        def call() -> None:
            calls.append(name)
            clock.work(us * US * (1 if len(calls) < 1400 else 3))

        return call

    pairs = take_pairs(taking("a", 120), taking("b", 100), random.Random(1), clock=clock)
    assert len(pairs.values_ns) == MAX_PAIRS
    slow = [pair for pair in pairs.values_ns if pair[1] > 250 * US]
    assert 5 < len(slow) < 25  # it did slow down meanwhile
    assert statistics.median_interval(pairs.logs).exp().estimate == pytest.approx(1.2, rel=1e-3)
    assert pairs.n_calls == (23, 28)  # 2.5 ms and a tenth


@pytest.mark.parametrize("n_rounds", [6, 30])
def test_each_of_the_two_comes_first_equally_often_in_an_order_that_is_drawn(n_rounds: int) -> None:
    orders = [tuple(balanced(n_rounds, random.Random(seed))) for seed in range(20)]
    assert {sum(order) for order in orders} == {n_rounds // 2}
    assert len(set(orders)) > 5


def test_slow_functions_get_fewer_pairs_and_never_fewer_than_an_interval_needs() -> None:
    for ms, expected in ((1, MAX_PAIRS), (24, 20), (900, MIN_PAIRS)):
        clock = Clock()
        call = lambda ns=ms * 1000 * US, clock=clock: clock.work(ns)  # noqa: E731
        pairs = take_pairs(call, call, random.Random(0), clock=clock)
        assert len(pairs.values_ns) == expected
        assert statistics.median_interval(pairs.logs).finite


def test_the_cold_calls_after_the_other_function_are_in_no_value() -> None:
    clock, last = Clock(), [""]

    def taking(name: str) -> Any:
        def call() -> None:
            clock.work((100 if last[0] == name else 5000) * US)
            last[0] = name

        return call

    pairs = take_pairs(taking("a"), taking("b"), random.Random(2), clock=clock)
    assert all(value == pytest.approx(100 * US, rel=1e-3) for pair in pairs.values_ns for value in pair)


# verdicts


def judged(logs: list[float], *lost: Lost, times: int = 1) -> Paired:
    """Compare one function with itself in this process; fresh ones gave these log ratios, or are lost."""
    clock = Clock()

    def call() -> None:
        clock.work(2000 * US)

    key = f"call{place_of(call)}, call{place_of(call)}"
    benchmark = PairedBenchmark("test_it", None, [*({key: math.exp(log)} for log in logs), *lost])
    return [benchmark(call, call, timer=clock) for _ in range(times)][-1]


def fails(logs: list[float], by: float) -> bool:
    try:
        judged(logs).assert_not_slower(by=by)
    except pytest.fail.Exception:
        return True
    return False


def test_only_a_proved_slowdown_fails() -> None:
    generator = np.random.Generator(np.random.PCG64(0))

    def share(ratio: float) -> float:
        runs = generator.normal(np.log(ratio), 0.01, (60, 8))
        return float(np.mean([fails(list(logs), 0.05) for logs in runs]))

    assert share(1.0) == 0
    assert share(1.05) <= 0.05  # at the very limit, in one of forty
    assert share(1.10) >= 0.9
    assert not fails([0.06] * 5 + [3.0], 0.05)  # all are above, but Student's interval is not: one decides


@pytest.mark.parametrize(
    ("ratio", "outcome", "verdict"),
    [(1.0, "holds", "EQUIVALENT"), (1.049, "undecided", "SLOWER"), (0.5, "holds", "FASTER")],
)
def test_what_passes_says_whether_it_is_proved(ratio: float, outcome: str, verdict: str) -> None:
    paired = judged(list(np.log(ratio) + np.linspace(-0.003, 0.003, 8)))
    paired.assert_not_slower()
    assert paired.asserted == {0.05: outcome}
    assert paired.over_processes is not None
    assert paired.over_processes.verdict == verdict


def test_too_few_ratios_are_no_verdict() -> None:
    paired = judged([0.0] * 5, Lost(6, "crashed", "ended by signal 9, Killed"))
    assert paired.over_processes is None
    with pytest.raises(
        pytest.fail.Exception, match="no verdict, which needs 6 processes: process 6 ended by"
    ):
        paired.assert_not_slower()


def test_a_fresh_process_that_fails_fails_the_test_although_enough_others_have_a_ratio() -> None:
    with pytest.raises(
        pytest.fail.Exception, match="fresh process 8 ended with code 1, AssertionError: wrong"
    ):
        judged([0.0] * 7, Lost(8, "failed", "ended with code 1, AssertionError: wrong"))
    judged([0.0] * 7, Lost(8, "crashed", "ended by signal 9, Killed")).assert_not_slower()


@pytest.mark.parametrize(
    ("kind", "n_processes"), [("failed", 1), ("late", 1), ("crashed", 3), ("not run", 3), (None, 8)]
)
def test_no_more_processes_are_started_than_a_verdict_can_use(
    kind: Any, n_processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def block(config: Any, node: Any, number: int, left_s: float) -> Any:
        return Lost(number, kind, "") if kind else {}

    monkeypatch.setattr(rnnbench_pytest, "_run_block", block)
    plugin = rnnbench_pytest._Plugin(cast(Any, SimpleNamespace(getoption=lambda name: 600.0)), None)
    node: Any = SimpleNamespace(nodeid="test_it")
    assert len(plugin._run_blocks(node, 8)) == n_processes


def test_only_ratios_of_the_same_functions_count() -> None:
    paired = judged([0.0] * 7, times=2)
    assert [lost.kind for lost in paired.lost] == ["not compared"] * 7
    said = r"process 1 did not compare call \(.*test_rnnbench_pytest.py, line \d+, in call\), call .*, again"
    with pytest.raises(pytest.fail.Exception, match=said):
        paired.assert_not_slower()


@pytest.mark.parametrize("by", [-0.1, 1, 5, float("nan"), "5 %", None])
def test_a_limit_that_is_none_is_refused(by: Any) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"give a share of the time below 1, 0\.05 for 5 %"):
        judged([0.0] * 6).assert_not_slower(by=by)


def test_the_smallest_number_of_processes_is_that_of_a_verdict() -> None:
    assert rnnbench_pytest.MIN_BLOCKS == statistics.MIN_BLOCKS == MIN_PAIRS


def test_neither_a_debugger_nor_coverage_slows_what_is_timed() -> None:
    clock, seen, before = Clock(), [], sys.gettrace()

    def call() -> None:
        clock.work(2000 * US)
        seen.append(sys.gettrace())

    def tracer(*_: object) -> None:
        return None

    sys.settrace(tracer)
    try:
        PairedBenchmark("test_it", None, [])(call, call, timer=clock)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert seen[0] is tracer
    assert set(seen[2:]) == {None}


# options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paired_blocks": 0}, "--paired-blocks 0: a verdict takes 6 to 100 processes"),
        ({"paired_blocks": 1}, "--paired-blocks 1: a verdict takes 6 to 100 processes"),
        ({"paired_blocks": 1000}, "--paired-blocks 1000: a verdict takes 6 to 100 processes"),
        ({"paired_max_time": 0.0}, "--paired-max-time 0 leaves them no time"),
        ({"paired_max_time": float("nan")}, "--paired-max-time nan leaves them no time"),
        ({"dist": "load"}, "xdist runs tests side by side: add -n 0"),
        ({"benchmark_disable": True}, "--benchmark-disable times nothing"),
    ],
)
def test_what_cannot_give_a_verdict_is_said_before_anything_runs(
    options: dict[str, Any], message: str
) -> None:
    given = {"paired_blocks": 8, "paired_max_time": 600.0, "dist": "no"}
    defaults: Any = SimpleNamespace(getoption=lambda name, default=None: given.get(name, default))
    check_options(defaults)
    config: Any = SimpleNamespace(getoption=lambda name, default=None: (given | options).get(name, default))
    with pytest.raises(pytest.UsageError, match=re.escape(message)):
        check_options(config)


def test_the_entry_point_has_the_name_of_the_module_which_has_types() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {"rnnbench_pytest": "rnnbench_pytest"}
    assert (ROOT / "rnnbench_pytest" / "py.typed").exists()


def test_a_session_that_does_not_use_it_loads_nothing_of_ours() -> None:
    loaded = loaded_by("rnnbench_pytest")
    assert not loaded & {"bench", "numpy", "torch", "scipy", "msgspec"}
    assert "rnnbench_pytest" in loaded


def test_an_installation_that_another_package_has_overwritten_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").touch()
    monkeypatch.setattr(rnnbench_pytest, "ROOT", tmp_path)
    monkeypatch.setattr(rnnbench_pytest, "_own_modules", {})
    monkeypatch.setattr(sys, "meta_path", [PathFinder])  # an editable installation finds itself elsewhere
    before = sys.path.copy()
    said = "No module named 'bench.machine'; if another package wrote to .*bench, install rnnbench again"
    with pytest.raises(pytest.fail.Exception, match=said):
        rnnbench_pytest.import_own("bench.machine.units")
    assert (sys.modules["bench"], sys.path) == (bench, before)


def test_a_command_line_that_another_package_has_overwritten_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bench.py").write_text(f"__path__ = [{str(ROOT / 'bench')!r}]\n")
    command = [sys.executable, "-c", "from bench.__main__ import main"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert (
        "another package `bench` is installed in its place; remove that and install rnnbench" in done.stderr
    )


# sessions

USES = """
import functools

import bench.tools
import pytest
from simulated import timer, work


@pytest.fixture(autouse=True)
def bench_stays_theirs():
    yield
    import sys

    assert sys.modules["bench"].OURS == "the project's"
    assert {name for name in sys.modules if name.startswith("bench")} == {"bench", "bench.tools"}


@pytest.mark.parametrize("us", [50, 200], ids=["fast", "slow [x]"])
class TestPairs:
    def test_it(self, paired_benchmark, us, tmp_path):
        paired = paired_benchmark(work(us * 1000), bench.tools.nothing, timer=timer)
        assert paired.ratio == pytest.approx(us / 100, rel=1e-3)
        assert paired.low <= paired.ratio <= paired.high
        paired.assert_not_slower(by=0.05)
        again = paired_benchmark(functools.partial(work(100_000)), lambda: work(100_000)(), timer=timer)
        assert again.ratio == pytest.approx(1, rel=1e-3)


def test_no_callable(paired_benchmark):
    paired_benchmark(3, work(1))


def test_raises(paired_benchmark):
    paired_benchmark(work(1), lambda: 1 // 0)


def test_coroutine(paired_benchmark):
    def generator():
        yield 1

    paired_benchmark(work(1), generator)


def test_seconds(paired_benchmark):
    paired_benchmark(work(1), work(1), timer=lambda: 0.5)


def test_still(paired_benchmark):
    paired_benchmark(work(1), work(1), timer=lambda: 5)
"""
NO_BENCHMARK = 'import sys\n\nsys.modules["pytest_benchmark"] = None\n'
OWN_TOOLS = "from simulated import work\n\nnothing = work(100_000)\n"


def test_a_project_with_a_bench_of_its_own_and_without_pytest_benchmark(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text('OURS = "the project\'s"\n')
    (tmp_path / "bench" / "tools.py").write_text(OWN_TOOLS)
    done = session(tmp_path, "-p", "no_benchmark", no_benchmark=NO_BENCHMARK, test_uses=USES)
    assert done.code == 1
    assert "5 failed, 2 passed in" in done.printed
    table = done.printed.partition("paired benchmarks: time of a call")[2]
    assert "test_uses.py::TestPairs::test_it[fast]: a (call) 50.0 µs, b (call) 100 µs\n" in table
    assert "  0.500 [0.500, 0.500] of this process, 30 pairs\n" in table
    assert "  2.00 [2.00, 2.00] of this process, 30 pairs\n" in table
    assert "test_it[slow [x]] #2: a (partial) 100 µs, b (<lambda>) 100 µs\n" in table
    assert table.count("assert_not_slower, 5 %: not judged without --paired-blocks 8\n") == 2
    for line in (
        "a is 3, which cannot be called; give a function of no arguments",
        "a call of b returns a generator, which has not run yet",
        "timer must return whole nanoseconds, as time.perf_counter_ns does",
        "the clock stands still or runs backwards (5 to 5 ns)",
    ):
        assert f"\npaired_benchmark: {line}\n" in done.printed
    assert re.search(r"\nE +ZeroDivisionError", done.printed)


BLOCKS = """
import ctypes
import logging
import os
import signal
import sys

import bench
import pytest
from simulated import FIRST, timer, work


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    logging.warning("once")
    path = tmp_path_factory.mktemp("shared") / "pid"
    path.write_text(str(os.getpid()))
    return path


def base():
    work(100_000)()


def fast():
    work(80_000)()


def slow():
    work(120_000)()


@pytest.mark.parametrize("us", [120], ids=["a [b]::c"])
class TestVerdict:
    def test_it(self, shared, tmp_path, paired_benchmark, benchmark, us, request):
        with open("processes", "a") as file:
            file.write("x")
        benchmark.pedantic(work(1), rounds=3)
        calls = (fast, slow) if FIRST else (slow, fast)
        paired = {call: paired_benchmark(call, base, timer=timer) for call in calls}
        assert paired[slow].ratio == pytest.approx(1.2, rel=1e-3)
        assert shared.read_text() == str(os.getpid())  # nobody else has written or removed it
        assert request.config.getoption("no_cov") is not FIRST
        assert request.config.getoption("report_log") == ("log of the session" if FIRST else None)
        assert sys.flags.bytes_warning == 1
        assert bench.OURS == "the project's"
        if sys.platform == "linux":  # which processes are its children stays as it was
            subreaper = ctypes.c_int()
            ctypes.CDLL(None).prctl(37, ctypes.byref(subreaper), 0, 0, 0)
            assert subreaper.value == 0
        paired[fast].assert_not_slower()
        paired[slow].assert_not_slower(by=0.5)
        paired[slow].assert_not_slower(by=0.1)


def test_killed(paired_benchmark):
    if not FIRST:
        os.kill(os.getpid(), signal.SIGKILL)
    paired_benchmark(base, base, timer=timer).assert_not_slower()


def test_failing(paired_benchmark):
    assert FIRST, "only the first"
    paired_benchmark(base, base, timer=timer)


@pytest.fixture(name="special" if FIRST else "another")
def special():
    return 3


def test_lacking(paired_benchmark, special):
    paired_benchmark(base, base, timer=timer)


@pytest.mark.parametrize("pid", [os.getpid()])
def test_unstable(paired_benchmark, pid):
    paired_benchmark(base, base, timer=timer)


def test_other(paired_benchmark):
    raise AssertionError("not asked for")
"""


OPTIONS = """
def pytest_addoption(parser):
    parser.addoption("--no-cov", action="store_true")
    parser.addoption("--report-log", default="log of the session")
"""


def test_fresh_processes_give_a_verdict_and_both_stand_in_pytest_benchmarks_files(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text('OURS = "the project\'s"\n')
    asked = ("--paired-blocks=6", "-k", "not other", f"--basetemp={tmp_path / 'base'}", "--junitxml=out.xml")
    kept = (
        "-q",
        "--log-file=log",
        "--tb=native",
        "--color=yes",
        "--benchmark-only",
        "--benchmark-enable",
        "--benchmark-save=us",
        "--benchmark-json=out.json",
        "-p",
        "pytest_benchmark.plugin",
    )
    files = {"test_blocks": BLOCKS, "like_others": OPTIONS}
    done = session(tmp_path, "-p", "like_others", *kept, *asked, "test_blocks.py", **files)
    assert done.code == 1
    assert "4 failed, 1 passed, 1 deselected in" in done.printed
    assert len((tmp_path / "processes").read_text()) == 6 + 1
    assert "\0" not in (log := (tmp_path / "log").read_text())
    assert log.count("once") == 1
    failure = "a (slow) / b (base) is 1.20 [1.20, 1.20] in 6 processes: a is proved to be over 10 % slower\n"
    assert f"\npaired_benchmark: {failure}" in done.printed
    assert (
        "test_blocks.py::TestVerdict::test_it[a [b]::c] #2: a (slow) 120 µs, b (base) 100 µs\n"
        "  1.20 [1.20, 1.20] of this process, 30 pairs\n"
        "  1.20 [1.20, 1.20] of 6 fresh processes: SLOWER\n"
        "  assert_not_slower, 50 %: holds\n"
        "  assert_not_slower, 10 %: fails\n"
    ) in done.printed
    for line in (
        "no verdict, which needs 6 processes: process 1 ended by signal 9, Killed",
        "fresh process 1 ended with code 1, AssertionError: only the first",
        "fresh process 1 ended with code 1, fixture 'special' not found",
    ):
        assert f"\npaired_benchmark: {line}\n" in done.printed
    assert "\n  process 1 ended with code 4, not found: " in done.printed
    assert "process 2" not in done.printed  # six cannot be reached any more

    names = [
        f"{test}{of}"
        for test, all_of in (
            ("test_it[a [b]::c]", ("", " (a: fast)", " (b: base)", " #2 (a: slow)", " #2 (b: base)")),
            ("test_killed", (" (a: base)", " (b: base)")),
        )
        for of in all_of
    ]
    saved = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert [row["name"] for row in saved if "unstable" not in row["name"]] == names
    assert all(f"\n{name} " in done.printed for name in names)
    for row, us, n_calls in zip(saved[1:], (80, 100, 120, 100), (32, 28, 23, 28), strict=False):
        assert row["stats"]["median"] == pytest.approx(us / 1e6, rel=1e-3)
        assert len(row["stats"]["data"]) == row["stats"]["rounds"] == MAX_PAIRS
        assert row["stats"]["iterations"] == n_calls
    assert len(list((tmp_path / ".benchmarks").rglob("*.json"))) == 1
    facts = saved[1]["extra_info"]["paired_benchmark"]
    assert facts["over_processes"]["ratio"] == pytest.approx(0.8, rel=1e-3)
    assert facts["over_processes"]["blocks"] == 6
    assert '<property name="paired_benchmark"' in (tmp_path / "out.xml").read_text()


def test_a_process_that_hangs_is_ended_in_time(tmp_path: Path) -> None:
    hanging = """
import time

from simulated import FIRST, timer, work


def test_hanging(paired_benchmark):
    if not FIRST:
        time.sleep(3600)
    paired_benchmark(work(100_000), work(100_000), timer=timer)
"""
    done = session(tmp_path, "--paired-blocks=8", "--paired-max-time=0.5", test_hanging=hanging)
    assert "\n  process 1 had not ended when time was up (--paired-max-time)\n" in done.printed
    assert "process 2" not in done.printed


def test_a_fresh_process_ends_with_a_session_that_is_killed(tmp_path: Path) -> None:
    child_pid = tmp_path / "pid"
    orphan = f"""
import os
import time

from simulated import FIRST


def test_orphan(paired_benchmark):
    if not FIRST:
        with open("{child_pid}.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename("{child_pid}.new", "{child_pid}")
        time.sleep(3600)
"""
    with running(tmp_path, "--paired-blocks=8", test_orphan=orphan) as process:
        until(child_pid.exists)
        process.kill()
    until(lambda: not alive(int(child_pid.read_text())))


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, but not for ever."""
    due = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < due
        time.sleep(0.02)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


PLAIN = """
from simulated import timer, work


def test_plain(paired_benchmark):
    paired_benchmark(work(100_000), work(1_000), timer=timer).assert_not_slower()
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-p", "xdist.plugin", "-n1"), "xdist runs tests side by side: add -n 0"),
        (
            ("-p", "pytest_benchmark.plugin", "--benchmark-disable"),
            "--benchmark-disable times nothing",
        ),
    ],
    ids=["xdist", "disabled"],
)
def test_where_timing_cannot_be_nothing_is_timed_and_the_reason_told(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    done = session(tmp_path, *options, test_plain=PLAIN)
    assert done.code == 0, done.printed
    assert f"\ntest_plain.py::test_plain: not timed, {message}\n" in done.printed
    assert "was not used" not in done.printed


def test_a_wrong_number_of_processes_is_a_usage_error_of_one_line(tmp_path: Path) -> None:
    done = session(tmp_path, "--paired-blocks=1", test_plain=PLAIN)
    assert done.code == pytest.ExitCode.USAGE_ERROR
    assert done.printed.strip() == "ERROR: --paired-blocks 1: a verdict takes 6 to 100 processes"


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "pytest.md").read_text(), re.DOTALL)
    assert example is not None
    done = session(tmp_path, test_join=example[1])
    assert done.code == 0, done.printed
    assert "test_join.py::test_join_is_not_slower: a (joined) " in done.printed
    assert re.search(r"\n  [\d.]+ \[.*\] of this process, \d+ pairs\n", done.printed)
    assert "  assert_not_slower, 5 %: not judged without --paired-blocks 8\n" in done.printed
