"""Compare two callables in anyone's pytest: the fixture ``paired_benchmark`` and ``--paired-blocks N``.

pytest loads this module in every session, so it imports nothing but pytest and the standard library; the rest
of rnnbench is imported where the fixture is used (see ``ours``). Times of one process give a ratio "of this
process". For a verdict, ``--paired-blocks N`` first runs the test in N fresh processes. Such a child gets the
arguments of this session and, in ``JOB``, the one test to run and the file for its log ratios.
"""

import importlib
import importlib.util
import inspect
import json
import math
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from bench.measure.pairs import Pairs

ROOT = Path(__file__).parents[1]  # holds our ``bench``, installed or not
MIN_BLOCKS, MAX_BLOCKS = 6, 100
MARGIN = 0.02  # of EQUIVALENT, as in a run
JOB = "RNNBENCH_PAIRED"
NAME = "paired_benchmark"
# pytest was started as `python -m pytest`: a child must find the same modules
FROM_FOLDER = str(Path.cwd()) in sys.path
# options that a child has otherwise: it times and saves nothing for pytest-benchmark
OF_A_CHILD = {"benchmark_only": False, "benchmark_enable": False, "benchmark_disable": True}
OUTCOMES = {  # of an assertion
    "not judged": "needs fresh processes, --paired-blocks 8",
    "undecided": "passes, since nothing is proved",
    "holds": "holds",
    "fails": "fails",
}

_our_modules: dict[str, ModuleType] = {}


def ours(name: str) -> Any:
    """Import a module of rnnbench's ``bench``; a ``bench`` of the project stays what the project imports.

    Our package is loaded from beside this module, whatever ``sys.path`` finds first. If another package has
    the name, or nothing has, our modules are in ``sys.modules`` only while this function runs.
    """
    place = ROOT / "bench" / "__init__.py"
    theirs = {key: sys.modules[key] for key in list(sys.modules) if key.partition(".")[0] == "bench"}
    found = getattr(theirs.get("bench"), "__file__", None)
    if found and Path(found).resolve() == place.resolve():
        return importlib.import_module(name)
    for key in theirs:
        del sys.modules[key]
    sys.modules.update(_our_modules)
    try:
        if "bench" not in sys.modules:
            spec = importlib.util.spec_from_file_location("bench", place)
            if spec is None or spec.loader is None or not place.exists():
                _refuse(f"the package bench of rnnbench is not in {ROOT}; install rnnbench again")
            sys.modules["bench"] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules["bench"])
        return importlib.import_module(name)
    finally:
        for key in [key for key in sys.modules if key.partition(".")[0] == "bench"]:
            _our_modules[key] = sys.modules.pop(key)
        sys.modules.update(theirs)


def _refuse(message: str) -> NoReturn:
    """Fail the test with one line."""
    pytest.fail(f"{NAME}: {message}", pytrace=False)


# the fixture


@dataclass
class Paired:
    """Hold how long a call of a takes compared with one of b; a ratio below 1 says that a is faster.

    Its fields are numbers and texts, as they stand in pytest-benchmark's JSON and in JUnit's properties.
    """

    test: str
    use: int  # 1 for the first comparison of a test
    a: str  # the names of the callables
    b: str
    untimed: str = ""  # why nothing was timed
    a_ns: float | None = None  # the median of this process
    b_ns: float | None = None
    rounds: int = 0  # pairs of values in this process
    ratio: float | None = None  # of this process, with its 95 % interval
    low: float | None = None
    high: float | None = None
    over_processes: dict[str, Any] | None = None  # ratio, intervals and verdict, with --paired-blocks
    lost: list[str] = field(default_factory=list)  # processes without a ratio, and why
    asserted: list[dict[str, Any]] = field(default_factory=list)

    def assert_not_slower(self, by: float = 0.05) -> None:
        """Fail if it is proved that a call of a takes over ``by`` (0.05: 5 %) longer than one of b.

        Proved: over fresh processes both 95 % intervals of the ratio, the exact one and Student's, lie wholly
        above 1 + ``by``. Without ``--paired-blocks`` this judges nothing, and the table says so.
        """
        if not isinstance(by, int | float) or not 0 <= by < math.inf:
            _refuse(f"assert_not_slower(by={by!r}): give a share of the time, such as 0.05 for 5 %")
        over, outcome = self.over_processes, "undecided"
        if over is None and not self.lost:
            outcome = "not judged"
        elif over is None or over["low"] is None:
            found = f"{over['n'] if over else 0} of the {MIN_BLOCKS} ratios that it needs"
            _refuse(f"no verdict, {found}: {'; '.join(self.lost)}")
        elif min(over["low"], over["t_low"]) > 1 + by:
            outcome = "fails"
        elif over["high"] <= 1 + by:
            outcome = "holds"
        self.asserted.append({"by": by, "outcome": outcome})
        if over and outcome == "fails":
            units = ours("bench.machine.units")
            ratio = units.with_interval(over["ratio"], over["low"], over["high"])
            limit = f"proved to be over {units.percent(by)} slower"
            _refuse(f"a ({self.a}) / b ({self.b}) is {ratio} in {over['n']} processes: a is {limit}")


class PairedBenchmark:
    """Compare callables of no arguments; every use within a test is a comparison of its own."""

    def __init__(self, plugin: "_Plugin", node: pytest.Item, untimed: str) -> None:
        self._plugin, self._node = plugin, node
        self._untimed = "xdist runs tests side by side: add -n 0" if _distributed(plugin.config) else untimed
        self.uses = 0
        self.timed: list[tuple[Paired, Pairs]] = []
        self._logs: list[list[float]] = []  # of each fresh process, the log ratio of every use
        self._lost: list[str] = []
        if plugin.blocks and not self._untimed and not plugin.job:
            self._run_blocks()

    def __call__(
        self, a: Callable[[], object], b: Callable[[], object], *, timer: Callable[[], int] = perf_counter_ns
    ) -> Paired:
        """Time a and b in turn, by a timer of nanoseconds; return the ratio of a to b."""
        __tracebackhide__ = True
        self.uses += 1
        for letter, call in (("a", a), ("b", b)):
            if not callable(call):
                _refuse(f"{letter} is {call!r:.60}, which cannot be called; give a function of no arguments")
            first = call()  # what raises is shown here, as pytest shows it, before anything is timed
            if inspect.isawaitable(first) or inspect.isgenerator(first):
                _refuse(f"a call of {letter} returns a {type(first).__name__}, which has not run yet")
        if not isinstance(timer(), int):
            _refuse("timer must return whole nanoseconds, as time.perf_counter_ns does")
        names = [str(getattr(call, "__name__", type(call).__name__)) for call in (a, b)]
        paired = Paired(self._node.nodeid, self.uses, names[0], names[1], untimed=self._untimed)
        self._node.user_properties.append((NAME, vars(paired)))
        if not self._untimed:
            pairs = _take_pairs(a, b, timer)
            if self._plugin.job:
                self._plugin.logs.append(median(pairs.logs))
            else:
                self._describe(paired, pairs)
                self.timed.append((paired, pairs))
        return paired

    def _describe(self, paired: Paired, pairs: "Pairs") -> None:
        interval = ours("bench.analysis.statistics").median_interval(pairs.logs).exp()
        paired.ratio, (paired.low, paired.high) = interval.estimate, interval.limits
        paired.a_ns, paired.b_ns = map(median, zip(*pairs.rounds, strict=True))
        paired.rounds = len(pairs.rounds)
        index = len(self.timed)
        logs = [process[index] for process in self._logs if index < len(process)]
        paired.lost = list(self._lost)
        if fewer := len(self._logs) - len(logs):
            paired.lost.append(f"{fewer} of {len(self._logs)} processes did not come to this comparison")
        if logs:
            verdict = ours("bench.analysis.verdict")
            effect = verdict.measured(verdict.Effect(), logs, of="processes")
            (effect,) = verdict.judge((effect,), MARGIN, of="processes")
            kept = ("ratio", "low", "high", "t_low", "t_high", "verdict", "reason")
            paired.over_processes = {name: getattr(effect, name) for name in kept} | {"n": len(logs)}

    def _run_blocks(self) -> None:
        """Run the test in fresh processes; end where too few could remain for a verdict, or time is up."""
        turns, blocks = ours("bench.machine.host_lock"), self._plugin.blocks
        with turns.host_lock(["pytest", self._node.nodeid], no_wait=None, say=self._plugin.say):
            due = time.monotonic() + self._plugin.max_s
            for number in range(1, blocks + 1):
                logs, why = _run_block(self._plugin.config, self._node, due - time.monotonic())
                if why:
                    self._lost.append(f"process {number} of {blocks}: {why}")
                else:
                    self._logs.append(logs)
                if blocks - len(self._lost) < MIN_BLOCKS or time.monotonic() > due:
                    break


def _take_pairs(a: Callable[[], object], b: Callable[[], object], timer: Callable[[], int]) -> "Pairs":
    """Take the values, while neither a debugger nor the coverage of the session traces them."""
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        pairs: Pairs = ours("bench.measure.pairs").take_pairs(a, b, random.Random(), clock=timer)
        return pairs
    except ours("bench.machine.clock").ClockError as error:
        _refuse(str(error))
    finally:
        sys.settrace(trace)


def _run_block(config: pytest.Config, node: pytest.Item, left_s: float) -> tuple[list[float], str]:
    """Run one test in one fresh process; return its log ratios, or why there are none.

    It is no ``Child`` of ``bench.machine``, which would find our ``bench`` before the project's own.
    """
    with tempfile.TemporaryDirectory(prefix="rnnbench-", ignore_cleanup_errors=True) as folder:
        out, printed = Path(folder, "out.json"), Path(folder, "printed")
        job = {"node": f"{node.path}::{node.nodeid.partition('::')[2]}", "folder": folder}
        options = ["--no-cov"] * hasattr(config.option, "no_cov")  # of pytest-cov
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # -O, -X, -W
        flags += ["-P"] * (not FROM_FOLDER)
        # the padding shifts the stack: no process repeats a lucky memory layout
        variables = {JOB: json.dumps(job), "RNNBENCH_PADDING": "x" * secrets.randbelow(4096)}
        with printed.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *flags, "-m", "pytest", *options, *config.invocation_params.args],
                cwd=config.invocation_params.dir,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            try:
                code = process.wait(max(0.0, left_s))
            except subprocess.TimeoutExpired:
                return [], f"no ratio within {max(0.0, left_s):.3g} s (--paired-max-time)"
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if out.exists():
            result: tuple[list[float], str] = tuple(json.loads(out.read_text(encoding="utf-8")))
            return result
        if code < 0:
            return [], f"ended by signal {-code}, {signal.strsignal(-code)}"
        lines = [line for line in printed.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E  ", "ERROR: "))]
        last = (errors or lines or ["it printed nothing"])[-1]
        return [], ours("bench.machine.wording").short(f"exit code {code}, {last}")


# the session


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup(NAME, "paired benchmarks (rnnbench)")
    text = f"Run a test that uses {NAME} in N fresh processes too ({MIN_BLOCKS} to {MAX_BLOCKS}): a verdict."
    group.addoption("--paired-blocks", type=int, metavar="N", help=text)
    text = "For all fresh processes of a test together (default: %(default)g)."
    group.addoption("--paired-max-time", type=float, default=600.0, metavar="SECONDS", help=text)


@pytest.hookimpl(tryfirst=True)  # a child's options must be set before other plugins read them
def pytest_configure(config: pytest.Config) -> None:
    """Register what serves the fixture, with or without pytest-benchmark.

    Raises:
        pytest.UsageError: an option is out of range, or does not go with another one.
    """
    job = json.loads(os.environ.pop(JOB, "null"))
    if job:
        ours("bench.machine.lifeline").die_with_parent()
        config.args = [job["node"]]
        for name, value in (OF_A_CHILD | {"basetemp": f"{job['folder']}/tmp"}).items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
    elif config.getoption("paired_blocks") is not None:
        check_options(config)
    with_benchmark = hasattr(config.hook, "pytest_benchmark_update_json")
    config.pluginmanager.register((_WithBenchmark if with_benchmark else _Plugin)(config, job), NAME)


def check_options(config: pytest.Config) -> None:
    """Check ``--paired-blocks`` and what else was asked for.

    Raises:
        pytest.UsageError: as for ``pytest_configure``.
    """
    blocks, max_s = config.getoption("paired_blocks"), config.getoption("paired_max_time")
    why = ""
    if not MIN_BLOCKS <= blocks <= MAX_BLOCKS:
        why = f"a verdict takes {MIN_BLOCKS} to {MAX_BLOCKS} processes"
    elif not 0 < max_s < math.inf:
        why = f"--paired-max-time {max_s:g} leaves them no time: give seconds"
    elif os.name == "nt":
        why = "processes are ended with all they started, which Windows cannot: use WSL"
    elif _distributed(config):
        why = "xdist runs tests side by side, and they would be timed too: add -n 0"
    elif config.getoption("benchmark_disable", False) and not config.getoption("benchmark_enable"):
        why = "--benchmark-disable times nothing: leave out one of the two"
    if why:
        raise pytest.UsageError(f"--paired-blocks {blocks}: {why}")


def _distributed(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput") or config.getoption("dist", "no") != "no"


class _Plugin:
    """Hold what a session knows; in a child of ``--paired-blocks``, send the log ratios of its one test."""

    def __init__(self, config: pytest.Config, job: dict[str, str] | None) -> None:
        self.config, self.job = config, job
        self.blocks: int = config.getoption("paired_blocks") or 0
        self.max_s: float = config.getoption("paired_max_time")
        self.logs: list[float] = []
        self._why = ""
        self._found: list[Paired] = []

    @pytest.fixture
    def paired_benchmark(self, request: pytest.FixtureRequest) -> PairedBenchmark:
        """Compare two callables, timed in turn: ``paired_benchmark(a, b).assert_not_slower(by=0.05)``."""
        return PairedBenchmark(self, request.node, "")

    def say(self, text: str) -> None:
        """Print a line that pytest does not capture."""
        capture = self.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            ours("bench.machine.busy").complain(text)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the comparisons of a test, also of xdist's workers; in a child, send what was found."""
        if self.job and report.outcome != "passed" and not self._why:
            told: Any = report.longrepr  # of a skipped test: file, line, reason
            crash = getattr(told, "reprcrash", None)
            text = crash.message if crash else told[-1] if isinstance(told, tuple) else str(told)
            text = text.strip().partition("\n")[0]
            self._why = f"{report.outcome} in {report.when}, {ours('bench.machine.wording').short(text)}"
        if report.when == "teardown":
            facts = [value for name, value in report.user_properties if name == NAME]
            self._found += [Paired(**one) for one in facts if isinstance(one, dict)]
            if self.job:
                out = Path(self.job["folder"], "out.json")
                out.write_text(json.dumps([self.logs, self._why]), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show all comparisons."""
        if self._found:
            terminalreporter.section("paired benchmarks: time of a call, a / b, 95 % interval", sep="-")
            for paired in self._found:
                for line in _lines(paired):
                    terminalreporter.write_line(line)


def _lines(paired: Paired) -> Iterator[str]:
    """Yield the lines of a comparison in the session's table."""
    units = ours("bench.machine.units")
    if paired.ratio is None:
        yield f"{_title(paired.test, paired)}: not timed{paired.untimed and ', '}{paired.untimed}"
        return
    a_time, b_time = units.duration(paired.a_ns), units.duration(paired.b_ns)
    yield f"{_title(paired.test, paired)}: a ({paired.a}) {a_time}, b ({paired.b}) {b_time}"
    ratio = units.with_interval(paired.ratio, paired.low, paired.high)
    yield f"  {ratio} of this process, {paired.rounds} pairs"
    if over := paired.over_processes:
        ratio = units.with_interval(over["ratio"], over["low"], over["high"])
        yield f"  {ratio} of {over['n']} fresh processes: {over['verdict']}"
        if over["reason"]:
            yield f"    {over['reason']}"
    yield from (f"  {why}" for why in paired.lost)
    for asserted in paired.asserted:
        yield f"  assert_not_slower(by={asserted['by']:g}): {OUTCOMES[asserted['outcome']]}"


def _title(name: str, paired: Paired) -> str:
    """Return a test's name, with the number of a further use of the fixture."""
    return f"{name} #{paired.use}" if paired.use > 1 else name


# pytest-benchmark


class _Replay:
    """Give pytest-benchmark readings of a clock that were taken before; without them it is that clock."""

    __name__ = NAME  # as pytest-benchmark's files call a timer

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.readings: Iterator[float] = iter(())

    def __call__(self) -> float:
        return next(self.readings, None) or self._clock()


class _WithBenchmark(_Plugin):
    """Put the values into pytest-benchmark's table and files too, by its public fixture, marker and hooks.

    Its fixture has one entry a test. This entry is a of the first comparison; the hooks add the others.
    """

    def __init__(self, config: pytest.Config, job: dict[str, str] | None) -> None:
        super().__init__(config, job)
        self._more: list[tuple[Paired, str, list[float], int]] = []  # "a" or "b", seconds, calls per value

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Give the test a timer that can be told what it reads."""
        if NAME in getattr(item, "fixturenames", ()):
            marker = item.get_closest_marker("benchmark")
            options = dict(marker.kwargs) if marker else {}
            options["timer"] = _Replay(options.get("timer", time.perf_counter))
            item.add_marker(pytest.mark.benchmark(**options), append=False)

    @pytest.fixture
    def paired_benchmark(self, request: pytest.FixtureRequest, benchmark: Any) -> Iterator[PairedBenchmark]:
        """Compare two callables, timed in turn: ``paired_benchmark(a, b).assert_not_slower(by=0.05)``."""
        timed = benchmark.enabled or self.job
        paired = PairedBenchmark(self, request.node, "" if timed else "pytest-benchmark is disabled")
        yield paired
        self._hand_over(request.node, benchmark, paired)

    def _hand_over(self, node: pytest.Item, benchmark: Any, used: PairedBenchmark) -> None:
        # else it warns that nothing has used it, where our call failed or pytest-benchmark is disabled
        benchmark.skipped = used.uses > 0
        entries = [
            (paired, letter, [pair[index] / 1e9 for pair in pairs.rounds], pairs.n_calls[index])
            for paired, pairs in used.timed
            for index, letter in enumerate("ab")
        ]
        marker = node.get_closest_marker("benchmark")
        timer = marker.kwargs.get("timer") if marker else None
        if entries and benchmark.stats is None and isinstance(timer, _Replay):  # not used by the test itself
            paired, _, seconds, n_calls = entries.pop(0)
            timer.readings = chain.from_iterable((1.0, 1.0 + value * n_calls) for value in seconds)
            benchmark.extra_info[NAME] = vars(paired)
            benchmark.pedantic(_nothing, rounds=len(seconds), iterations=n_calls)
        self._more += entries

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_group_stats(self, benchmarks: list[dict[str, Any]]) -> None:
        """Add to the table what has no entry of its own; the grouping is left to others."""
        self._add_more(benchmarks)

    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Add to a file what has no entry of its own."""
        self._add_more(output_json["benchmarks"])

    def _add_more(self, benchmarks: list[dict[str, Any]]) -> None:
        from pytest_benchmark.stats import Stats

        # from the last one on, so that all stand in their order right after the entry of their test
        for paired, letter, seconds, n_calls in reversed(self._more):
            places = [place for place, one in enumerate(benchmarks) if one["fullname"] == paired.test]
            if not places:
                continue
            like, stats = benchmarks[places[-1]], Stats()
            for value in seconds:
                stats.update(value)
            numbers = {**stats.as_dict(), "iterations": n_calls}
            if "data" in like.get("stats", {}):
                numbers["data"] = seconds
            suffix = f"({letter}: {getattr(paired, letter)})"
            entry = {**like, "extra_info": {NAME: vars(paired)}}
            entry |= {key: f"{_title(like[key], paired)} {suffix}" for key in ("name", "fullname")}
            benchmarks.insert(places[-1] + 1, entry | ({"stats": numbers} if "stats" in like else numbers))


def _nothing() -> None:
    """Stand for a call whose time is known."""
