"""Compare two callables in anyone's pytest: the fixture ``paired_benchmark`` and ``--paired-blocks N``.

pytest loads this module in every session, so it imports nothing but pytest and the standard library; the rest
of rnnbench is imported where the fixture is used (see ``ours``). Times of one process give a ratio "of this
process". For a verdict, ``--paired-blocks N`` first runs the test in N fresh processes. Such a child gets the
arguments of this session and, in ``JOB``, the one test to run and the file for its log ratios.
"""

import importlib
import importlib.util
import inspect
import itertools
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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from bench.analysis.verdict import Effect
    from bench.measure.pairs import Pairs

ROOT = Path(__file__).parents[1]  # holds our ``bench``, installed or not
MIN_BLOCKS, MAX_BLOCKS = 6, 100
MARGIN = 0.02  # of EQUIVALENT, as in a run
JOB = "RNNBENCH_PAIRED"
NAME = "paired_benchmark"
# pytest was started as `python -m pytest`: a child must find the same modules
FROM_FOLDER = str(Path.cwd()) in sys.path
# options that a child has otherwise: nothing that asks a terminal, writes the session's files, or times
OF_A_CHILD = {
    "usepdb": False, "trace": False, "xmlpath": None, "pyargs": False,
    "benchmark_only": False, "benchmark_skip": False, "benchmark_enable": False, "benchmark_disable": True,
}  # fmt: skip
# outcome of an assertion -> what the table says
OUTCOMES = {
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
    """Hold how long a call of ``a`` takes compared with a call of ``b``: ratios below 1 say a is faster.

    ``ratio``, ``low`` and ``high`` (95 %) are of this process; None if nothing was timed. ``over_blocks`` is
    the ratio over fresh processes with its verdict; None without ``--paired-blocks``.
    """

    a: str
    b: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    over_blocks: "Effect | None" = None
    lost: tuple[str, ...] = ()  # the processes without a ratio, and why
    row: dict[str, Any] = field(default_factory=dict)  # for the table, JSON and JUnit's properties

    def assert_not_slower(self, by: float = 0.05) -> None:
        """Fail if it is proved that a call of a takes longer than one of b by more than ``by`` (0.05: 5 %).

        Proved: over fresh processes both 95 % intervals of the ratio, the exact one and Student's, lie wholly
        above 1 + ``by``. Without ``--paired-blocks`` this decides nothing, and the table says so.
        """
        __tracebackhide__ = True
        if isinstance(by, bool) or not isinstance(by, int | float) or not 0 <= by < math.inf:
            _refuse(f"assert_not_slower(by={by!r}): give a share of the time, such as 0.05 for 5 %")
        asserted = {"by": by, "outcome": "undecided"}
        self.row.setdefault("asserted", []).append(asserted)
        effect = self.over_blocks
        if effect is None and not self.lost:
            asserted["outcome"] = "not judged"
            return
        if effect is None or effect.low is None or effect.high is None or effect.t_low is None:
            n_ratios = effect.blocks if effect else 0
            _refuse(
                f"no verdict, {n_ratios} of the {MIN_BLOCKS} ratios that it needs: {'; '.join(self.lost)}"
            )
        if min(effect.low, effect.t_low) > 1 + by:
            asserted["outcome"] = "fails"
            units = ours("bench.machine.units")
            _refuse(
                f"{self.a} takes {units.with_interval(effect.ratio, effect.low, effect.high)} times as long "
                f"as {self.b}, in {effect.blocks} processes: proved to be over {units.percent(by)} slower"
            )
        if effect.high <= 1 + by:
            asserted["outcome"] = "holds"


class PairedBenchmark:
    """Compare callables of no arguments; every use within a test is a comparison of its own."""

    def __init__(self, plugin: "_Plugin", node: pytest.Item, untimed: str) -> None:
        self._plugin, self._node, self._untimed = plugin, node, untimed
        self._uses = 0
        self.timed: list[tuple[dict[str, Any], Pairs]] = []
        self._blocks: list[list[float]] = []  # of each process, the log ratio of every use
        self._lost: list[str] = []
        if plugin.blocks and not untimed and not plugin.job:
            self._blocks, self._lost = _run_blocks(plugin, node)

    def __call__(
        self,
        a: Callable[[], object],
        b: Callable[[], object],
        *,
        timer: Callable[[], int] = time.perf_counter_ns,
    ) -> Paired:
        """Time both in turn and return the ratio of ``a`` to ``b``; ``timer`` returns nanoseconds."""
        __tracebackhide__ = True
        for letter, call in (("a", a), ("b", b)):
            if not callable(call):
                _refuse(f"{letter} is {call!r:.60}, which cannot be called; give a function of no arguments")
            first = call()  # what raises is shown here, as pytest shows it, before anything is timed
            if inspect.isawaitable(first) or inspect.isgenerator(first):
                _refuse(f"a call of {letter} returns a {type(first).__name__}, which has not run yet")
        if not isinstance(timer(), int):
            _refuse("timer must return whole nanoseconds, as time.perf_counter_ns does")
        index, self._uses = self._uses, self._uses + 1
        names = (_name(a), _name(b)) if _name(a) and _name(b) and _name(a) != _name(b) else ("a", "b")
        row: dict[str, Any] = {"test": self._node.nodeid, "use": index + 1, "a": names[0], "b": names[1]}
        self._node.user_properties.append((NAME, row))
        if self._untimed:
            row["untimed"] = self._untimed
            return Paired(*names, row=row)
        pairs = _take_pairs(a, b, timer)
        if self._plugin.job:
            self._plugin.logs.append(median(pairs.logs))
            return Paired(*names, row=row)
        self.timed.append((row, pairs))
        interval = ours("bench.analysis.statistics").median_interval(pairs.logs).exp()
        lost = list(self._lost)
        if fewer := sum(index >= len(block) for block in self._blocks):
            lost.append(f"{fewer} of {len(self._blocks)} processes did not come to this comparison")
        low, high = interval.limits
        paired = Paired(*names, interval.estimate, low, high, lost=tuple(lost), row=row)
        row |= {"ratio": paired.ratio, "low": paired.low, "high": paired.high, "rounds": len(pairs.rounds)}
        row |= {
            f"{letter}_ns": median(times)
            for letter, times in zip("ab", zip(*pairs.rounds, strict=True), strict=True)
        }
        if logs := [block[index] for block in self._blocks if index < len(block)]:
            paired.over_blocks = _judged(logs)
            effect = paired.over_blocks
            row["processes"] = {
                "ratio": effect.ratio, "low": effect.low, "high": effect.high, "n": len(logs),
                "verdict": effect.verdict, "reason": effect.reason,
            }  # fmt: skip
        row["lost"] = lost
        return paired


def _take_pairs(a: Callable[[], object], b: Callable[[], object], timer: Callable[[], int]) -> "Pairs":
    """Take the values, while neither a debugger nor the coverage of the session traces them."""
    trace, profile = sys.gettrace(), sys.getprofile()
    sys.settrace(None)
    sys.setprofile(None)
    try:
        pairs: Pairs = ours("bench.measure.pairs").take_pairs(a, b, random.Random(), clock=timer)
        return pairs
    except ours("bench.machine.clock").ClockError as error:
        _refuse(str(error))
    finally:
        sys.settrace(trace)
        sys.setprofile(profile)


def _judged(logs: list[float]) -> "Effect":
    """Return the ratio over processes, with the words of the suite's own verdicts."""
    verdict = ours("bench.analysis.verdict")
    measured = verdict.measured(verdict.Effect(), logs, of="processes")
    judged: tuple[Effect, ...] = verdict.judge((measured,), MARGIN, of="processes")
    return judged[0]


def _name(call: Callable[[], object]) -> str:
    """Return the name of a function; "" for a lambda or another callable without a name."""
    name = str(getattr(call, "__name__", ""))
    return "" if name.startswith("<") else name


def _title(row: dict[str, Any], name: str) -> str:
    """Return a test's id or name, with the number of a further use of the fixture."""
    return f"{name} #{row['use']}" if row["use"] > 1 else name


# fresh processes


def _run_blocks(plugin: "_Plugin", node: pytest.Item) -> tuple[list[list[float]], list[str]]:
    """Run one test in fresh processes; end early where too few could remain for a verdict, or time is up."""
    found: list[list[float]] = []
    lost: list[str] = []
    due = time.monotonic() + plugin.max_s
    while len(found) + len(lost) < plugin.blocks and plugin.blocks - len(lost) >= MIN_BLOCKS:
        number = len(found) + len(lost) + 1
        if (left_s := due - time.monotonic()) <= 0:
            lost.append(f"no time left for process {number} (--paired-max-time {plugin.max_s:g})")
            break
        logs, why = _run_block(plugin.config, node, left_s)
        if why:
            lost.append(f"process {number} of {plugin.blocks}: {why}")
        else:
            found.append(logs)
    return found, lost


def _run_block(config: pytest.Config, node: pytest.Item, left_s: float) -> tuple[list[float], str]:
    """Run one test in one fresh process; return its log ratios, or why there are none."""
    with tempfile.TemporaryDirectory(prefix="rnnbench-", ignore_cleanup_errors=True) as folder:
        pipe, kept = os.pipe()
        out, printed = Path(folder, "out.json"), Path(folder, "printed")
        job = {
            "node": f"{node.path}::{node.nodeid.partition('::')[2]}", "out": str(out),
            "lifeline": f"{os.getpid()}:{pipe}", "basetemp": str(Path(folder, "tmp")),
        }  # fmt: skip
        options = ["-o", f"cache_dir={folder}/cache"] * config.pluginmanager.hasplugin("cacheprovider")
        options += ["--no-cov"] * config.pluginmanager.hasplugin("pytest_cov")
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # -O, -X, -W
        with printed.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *flags, *["-P"] * (not FROM_FOLDER), "-m", "pytest", *options,
                 *config.invocation_params.args],
                cwd=config.invocation_params.dir,
                # the padding shifts the stack: no process repeats a lucky memory layout
                env=os.environ | {JOB: json.dumps(job), "RNNBENCH_PADDING": "x" * secrets.randbelow(4096)},
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                pass_fds=(pipe,), process_group=0,
            )  # fmt: skip
            try:
                code = process.wait(left_s)
            except subprocess.TimeoutExpired:
                return [], f"no ratio within the {left_s:.0f} s that were left (--paired-max-time)"
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                os.close(pipe)
                os.close(kept)
        wording = ours("bench.machine.wording")
        if out.exists():
            result = json.loads(out.read_text(encoding="utf-8"))
            return result["logs"], wording.short(result["why"]) if result["why"] else ""
        names = {number.value: number.name for number in signal.Signals}
        if code < 0:
            return [], f"killed by {names.get(-code, f'signal {-code}')}"
        *_, last = ["it printed nothing", *printed.read_text(errors="replace").split("\n")[:-1]]
        return [], f"exit code {code}: {wording.short(last.strip())}"


# the session


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup(NAME, "paired benchmarks (rnnbench)")
    group.addoption(
        "--paired-blocks", type=int, metavar="N",
        help=f"Run every test that uses {NAME} in N fresh processes too ({MIN_BLOCKS} to {MAX_BLOCKS}), for "
        "a verdict.",
    )  # fmt: skip
    group.addoption(
        "--paired-max-time", type=float, default=600.0, metavar="SECONDS",
        help="For all fresh processes of a test together (default: %(default)g).",
    )  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # a child's options must be set before other plugins read them
def pytest_configure(config: pytest.Config) -> None:
    """Register what serves the fixture, with or without pytest-benchmark.

    Raises:
        pytest.UsageError: an option is out of range, or does not go with another one.
    """
    job = json.loads(os.environ.pop(JOB, "null"))
    with_benchmark = hasattr(config.hook, "pytest_benchmark_update_json")
    if job:
        ours("bench.machine.lifeline").tie(job["lifeline"])
        config.args = [job["node"]]
        for name, value in (OF_A_CHILD | {"basetemp": job["basetemp"]}).items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
    elif config.getoption("paired_blocks") is not None:
        _check_blocks(config)
    config.pluginmanager.register((_WithBenchmark if with_benchmark else _Plugin)(config, job), NAME)


def _check_blocks(config: pytest.Config) -> None:
    blocks, max_s = config.getoption("paired_blocks"), config.getoption("paired_max_time")
    if not MIN_BLOCKS <= blocks <= MAX_BLOCKS:
        raise pytest.UsageError(
            f"--paired-blocks {blocks}: a verdict needs {MIN_BLOCKS} to {MAX_BLOCKS} processes"
        )
    if not 0 < max_s < math.inf:
        raise pytest.UsageError(f"--paired-max-time {max_s:g}: give a number of seconds above 0")
    if os.name == "nt":
        raise pytest.UsageError("--paired-blocks ends processes with all they started: on Windows use WSL")
    if _distributed(config):
        raise pytest.UsageError("--paired-blocks times nothing beside tests of xdist: add -n 0")
    if config.getoption("benchmark_disable", False) and not config.getoption("benchmark_enable"):
        raise pytest.UsageError("--paired-blocks is to time, --benchmark-disable is not to: leave out one")


def _distributed(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput") or config.getoption("dist", "no") != "no"


class _Plugin:
    """Hold what a session knows; in a child of ``--paired-blocks``, send the log ratios of its one test."""

    def __init__(self, config: pytest.Config, job: dict[str, str] | None) -> None:
        self.config = config
        self.job = job
        self.blocks: int = config.getoption("paired_blocks") or 0
        self.max_s: float = config.getoption("paired_max_time")
        self.logs: list[float] = []
        self._why = ""
        self._rows: list[dict[str, Any]] = []

    @pytest.fixture
    def paired_benchmark(self, request: pytest.FixtureRequest) -> PairedBenchmark:
        """Compare two callables, timed in turn: ``paired_benchmark(a, b).assert_not_slower(by=0.05)``."""
        return self._start(request)

    def _start(self, request: pytest.FixtureRequest, untimed: str = "") -> PairedBenchmark:
        if _distributed(self.config):
            untimed = "xdist runs other tests at the same time; add -n 0"
        return PairedBenchmark(self, request.node, untimed)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the comparisons of a test, also of xdist's workers; in a child, send what was found."""
        if self.job and report.outcome != "passed":
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash else report.longreprtext
            first_line = (text.strip().splitlines() or ["no reason given"])[0]
            self._why = self._why or f"{report.outcome} in {report.when}, {first_line}"
        if report.when != "teardown":
            return
        self._rows += [
            value for name, value in report.user_properties if name == NAME and isinstance(value, dict)
        ]
        if self.job:
            result = {"logs": self.logs, "why": self._why}
            Path(self.job["out"]).write_text(json.dumps(result), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show all comparisons."""
        if self._rows and not self.job:
            terminalreporter.write_sep("-", "paired benchmarks: time of a call, ratio, 95 % interval")
            for line in _table(self._rows):
                terminalreporter.write_line(line)


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the session's table."""
    units = ours("bench.machine.units")
    for row in rows:
        if "untimed" in row:
            yield f"{_title(row, row['test'])}: not timed: {row['untimed']}"
            continue
        if "ratio" not in row:
            continue
        yield (
            f"{_title(row, row['test'])}: {row['a']} {units.duration(row['a_ns'])}, {row['b']} "
            f"{units.duration(row['b_ns'])}; {row['a']} / {row['b']}:"
        )
        ratio = units.with_interval(row["ratio"], row["low"], row["high"])
        yield f"  {ratio} of this process, {row['rounds']} pairs"
        if over := row.get("processes"):
            ratio = units.with_interval(over["ratio"], over["low"], over["high"])
            yield f"  {ratio} of {over['n']} fresh processes: {over['verdict']}"
            if over["reason"]:
                yield f"    {over['reason']}"
        yield from (f"  no ratio: {why}" for why in row["lost"])
        for asserted in row.get("asserted", ()):
            yield f"  assert_not_slower(by={asserted['by']:g}): {OUTCOMES[asserted['outcome']]}"


# pytest-benchmark


class _Replay:
    """Give pytest-benchmark readings of a clock that were taken before; without them it is that clock."""

    __name__ = NAME  # as pytest-benchmark's files call a timer

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.readings: Iterator[float] = iter(())

    def __call__(self) -> float:
        return next(self.readings, None) or self._clock()


@dataclass(frozen=True, slots=True)
class _Entry:
    """Hold the times of one callable, for pytest-benchmark."""

    test: str
    name: str
    row: dict[str, Any]
    seconds: list[float]
    n_calls: int


class _WithBenchmark(_Plugin):
    """Put the values into pytest-benchmark's table and files too, by its public fixture, marker and hooks.

    Its fixture has one entry a test. This entry is ``a`` of the first comparison; the hooks add the others.
    """

    def __init__(self, config: pytest.Config, job: dict[str, str] | None) -> None:
        super().__init__(config, job)
        self._more: list[_Entry] = []

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
        paired = self._start(request, "" if timed else "pytest-benchmark is disabled (--benchmark-disable)")
        yield paired
        self._hand_over(request.node, benchmark, paired)

    def _hand_over(self, node: pytest.Item, benchmark: Any, paired: PairedBenchmark) -> None:
        from pytest_benchmark.fixture import FixtureAlreadyUsed

        if not benchmark.enabled:
            with suppress(FixtureAlreadyUsed):  # by the test itself
                benchmark.pedantic(_nothing)  # else it warns that it was not used
            return
        entries = [
            _Entry(node.nodeid, row[letter], row, [ns / 1e9 for ns in values], n_calls)
            for row, pairs in paired.timed
            for letter, values, n_calls in zip(
                "ab", zip(*pairs.rounds, strict=True), pairs.n_calls, strict=True
            )
        ]
        marker = node.get_closest_marker("benchmark")
        timer = marker.kwargs.get("timer") if marker else None
        if entries and benchmark.stats is None and isinstance(timer, _Replay):  # not used by the test itself
            first = entries.pop(0)
            timer.readings = itertools.chain.from_iterable(
                (1.0, 1.0 + seconds * first.n_calls) for seconds in first.seconds
            )
            benchmark.extra_info[NAME] = first.row
            benchmark.pedantic(_nothing, rounds=len(first.seconds), iterations=first.n_calls)
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

        for entry in reversed(self._more):  # each right after the entry of its test
            places = [place for place, one in enumerate(benchmarks) if one["fullname"] == entry.test]
            if not places:
                continue
            like, stats = benchmarks[places[-1]], Stats()
            for seconds in entry.seconds:
                stats.update(seconds)
            numbers = {**stats.as_dict(), "iterations": entry.n_calls}
            if "data" in like.get("stats", {}):
                numbers["data"] = entry.seconds
            names = {key: f"{_title(entry.row, like[key])} ({entry.name})" for key in ("name", "fullname")}
            of_use = {"extra_info": {NAME: entry.row}, **({"stats": numbers} if "stats" in like else numbers)}
            benchmarks.insert(places[-1] + 1, {**like, **names, **of_use})


def _nothing() -> None:
    """Stand for a call whose time is known."""
