"""Compare two callables in anyone's pytest: the fixture ``paired_benchmark`` and ``--paired-blocks N``.

pytest loads this module in every session, so it imports nothing but pytest and the standard library; the rest
of rnnbench is imported where the fixture is used (see ``import_own``). Times of one process give a ratio "of
this process". For a verdict, ``--paired-blocks N`` first runs the test in N fresh processes. Such a child has
the arguments of this session and, in ``JOB``, the one test to run and the folder for its results.
"""

import importlib
import inspect
import json
import math
import os
import random
import re
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import median
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired, _args_from_interpreter_flags  # type: ignore[attr-defined]
from time import perf_counter_ns
from types import ModuleType
from typing import Any, Literal, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]  # holds our ``bench``, installed or not
MIN_BLOCKS, MAX_BLOCKS = 6, 100
MARGIN = 0.02  # of EQUIVALENT, as in a run
JOB = "RNNBENCH_PAIRED"
NAME = "paired_benchmark"
# pytest was started as `python -m pytest`: a child must find the same modules
FROM_FOLDER = str(Path.cwd()) in sys.path
# a child lets pytest-benchmark time nothing, leaves the session's files alone, and prints for ``_run_block``
CHILD_OPTIONS = {
    "benchmark_only": False, "benchmark_enable": False, "benchmark_disable": True,
    "log_file": os.devnull, "report_log": None, "tbstyle": "short", "color": "no",
}  # fmt: skip

_own_modules: dict[str, ModuleType] = {}


def import_own(name: str) -> Any:
    """Import a module of rnnbench's ``bench``; a ``bench`` of the project stays what the project imports.

    Ours are in ``sys.modules`` only while this function runs.
    """
    others = _pop_modules()
    sys.modules.update(_own_modules)
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        _refuse(f"{error}; if another package wrote to {ROOT / 'bench'}, install rnnbench again")
    finally:
        sys.path.remove(str(ROOT))
        _own_modules.update(_pop_modules())
        sys.modules.update(others)


def _pop_modules() -> dict[str, ModuleType]:
    """Take the modules of any ``bench`` out of ``sys.modules``."""
    return {key: sys.modules.pop(key) for key in list(sys.modules) if key.partition(".")[0] == "bench"}


def _refuse(message: str) -> NoReturn:
    """Fail the test with one line."""
    pytest.fail(f"{NAME}: {message}", pytrace=False)


# the fixture


@dataclass
class Lost:
    """Say why a fresh process has no ratio for a comparison."""

    process: int  # from 1
    kind: Literal["failed", "crashed", "late", "not run", "not compared"]
    why: str

    def __str__(self) -> str:
        return f"process {self.process} {self.why}"


Block = dict[str, float] | Lost  # of a fresh process: the ratio of every comparison, by what it compares
Outcome = Literal["not judged", "undecided", "holds", "fails"]


@dataclass
class OverProcesses:
    """Hold the ratio over fresh processes, its exact and its Student's 95 % interval, and the verdict."""

    blocks: int  # processes
    ratio: float
    low: float
    high: float
    t_low: float
    t_high: float
    verdict: str
    reason: str


@dataclass
class Paired:
    """Hold how long a call of a takes compared with one of b; a ratio below 1 says that a is faster."""

    test: str
    use: int  # 1 for the first comparison of a test
    a: str  # the names of the callables
    b: str
    untimed: str | None = None  # why nothing was timed; None: it was
    a_ns: float | None = None  # the median of this process
    b_ns: float | None = None
    pairs: int = 0  # of values, in this process
    ratio: float | None = None  # of this process, with the 95 % interval of its pairs
    low: float | None = None
    high: float | None = None
    over_processes: OverProcesses | None = None  # None without --paired-blocks, and in the fresh processes
    lost: list[Lost] = field(default_factory=list)
    asserted: dict[float, Outcome] = field(default_factory=dict)  # by the limit, 0.05 for 5 %

    def assert_not_slower(self, by: float = 0.05) -> None:
        """Fail if it is proved that a call of a takes over ``by`` (0.05: 5 %) longer than one of b.

        Proved: over fresh processes both 95 % intervals of the ratio, the exact one and Student's, lie wholly
        above 1 + ``by``. Without ``--paired-blocks`` this judges nothing, and the table says so.
        """
        if not isinstance(by, int | float) or not 0 <= by < 1:
            _refuse(f"assert_not_slower(by={by!r}): give a share of the time below 1, 0.05 for 5 %")
        over = self.over_processes
        outcome: Outcome = "undecided" if over else "not judged"
        if over and min(over.low, over.t_low) > 1 + by:
            outcome = "fails"
        elif over and over.high <= 1 + by:
            outcome = "holds"
        self.asserted[by] = outcome
        if self.lost and not over:
            lost = import_own("bench.machine.wording").listing(list(map(str, self.lost)))
            _refuse(f"no verdict, which needs {MIN_BLOCKS} processes: {lost}")
        if over and outcome == "fails":
            units = import_own("bench.machine.units")
            ratio = units.with_interval(over.ratio, over.low, over.high)
            limit = f"proved to be over {units.percent(by)} slower"
            _refuse(f"a ({self.a}) / b ({self.b}) is {ratio} in {over.blocks} processes: a is {limit}")


class PairedBenchmark:
    """Compare callables of no arguments; every use within a test is a comparison of its own."""

    def __init__(self, test: str, untimed: str | None, blocks: list[Block]) -> None:
        self._test, self._untimed, self._blocks = test, untimed, blocks
        self.uses: dict[str, tuple[Paired, Any]] = {}  # keys as in a ``Block``; values taken

    def __call__(
        self, a: Callable[[], object], b: Callable[[], object], *, timer: Callable[[], int] = perf_counter_ns
    ) -> Paired:
        """Time a and b in turn, by a timer of nanoseconds; return the ratio of a to b."""
        __tracebackhide__ = True
        for letter, call in (("a", a), ("b", b)):
            if not callable(call):
                _refuse(f"{letter} is {call!r:.60}, which cannot be called; give a function of no arguments")
            first = call()  # what raises is shown here, as pytest shows it, before anything is timed
            if inspect.isawaitable(first) or inspect.isgenerator(first):
                _refuse(f"a call of {letter} returns a {type(first).__name__}, which has not run yet")
        if not isinstance(timer(), int):
            _refuse("timer must return whole nanoseconds, as time.perf_counter_ns does")
        for block in self._blocks:
            if isinstance(block, Lost) and block.kind == "failed":  # also if this process finds nothing wrong
                _refuse(f"fresh {block}")
        a_name, b_name = (str(getattr(call, "__name__", type(call).__name__)) for call in (a, b))
        place_of = import_own("bench.machine.errors").place_of
        key = f"{a_name}{place_of(a)}, {b_name}{place_of(b)}"
        while key in self.uses:  # only their order tells functions of one name and place apart
            key += ", again"
        paired = Paired(self._test, len(self.uses) + 1, a_name, b_name, self._untimed)
        pairs = None if self._untimed else _take_pairs(a, b, timer)
        if pairs:
            interval = import_own("bench.analysis.statistics").median_interval(pairs.logs).exp()
            paired.ratio, (paired.low, paired.high) = interval.estimate, interval.limits
            paired.a_ns, paired.b_ns = map(median, zip(*pairs.values_ns, strict=True))
            paired.pairs = len(pairs.values_ns)
            self._judge(paired, key)
        self.uses[key] = paired, pairs
        return paired

    def _judge(self, paired: Paired, key: str) -> None:
        """Give a verdict by those fresh processes that compared the same callables."""
        logs = []
        for process, block in enumerate(self._blocks, 1):
            if isinstance(block, Lost):
                paired.lost.append(block)
            elif key in block:
                logs.append(math.log(block[key]))
            else:
                paired.lost.append(Lost(process, "not compared", f"did not compare {key}"))
        if len(logs) >= MIN_BLOCKS:
            verdict = import_own("bench.analysis.verdict")
            effect = verdict.measured(verdict.Effect(), logs, of="processes")
            (effect,) = verdict.judge((effect,), MARGIN, of="processes")
            kept = {of.name: getattr(effect, of.name) for of in fields(OverProcesses)}
            paired.over_processes = OverProcesses(**kept)


def _take_pairs(a: Callable[[], object], b: Callable[[], object], timer: Callable[[], int]) -> Any:
    """Take the values, while neither a debugger nor the coverage of the session traces them."""
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        return import_own("bench.measure.pairs").take_pairs(a, b, random.Random(), clock=timer)
    except import_own("bench.machine.clock").ClockError as error:
        _refuse(str(error))
    finally:
        sys.settrace(trace)


def _run_block(config: pytest.Config, node: pytest.Item, number: int, left_s: float) -> Block:
    """Run one test in one fresh process.

    It is no ``Child`` of ``bench.machine``, which would find our ``bench`` before the project's own.
    """
    with tempfile.TemporaryDirectory(prefix="rnnbench-", ignore_cleanup_errors=True) as folder:
        out, printed = Path(folder, "out.json"), Path(folder, "printed")
        given, test = config.invocation_params, f"{node.path}::{node.nodeid.partition('::')[2]}"
        flags = [*_args_from_interpreter_flags(), *["-P"] * (not FROM_FOLDER)]  # -O, -X, -W
        options = ["--no-cov"] * hasattr(config.option, "no_cov")  # of pytest-cov
        command = [sys.executable, *flags, "-m", "pytest", *options, *given.args]
        env = os.environ | {
            JOB: json.dumps({"test": test, "folder": folder}),
            "RNNBENCH_PADDING": "x" * secrets.randbelow(4096),  # no process repeats a lucky memory layout
        }
        with printed.open("wb") as file:
            process = Popen(
                command, cwd=given.dir, env=env, stdin=DEVNULL, stdout=file, stderr=STDOUT, process_group=0
            )
            try:
                code = process.wait(max(0.0, left_s))
            except TimeoutExpired:
                return Lost(number, "late", "had not ended when time was up (--paired-max-time)")
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code < 0:
            return Lost(number, "crashed", f"ended by signal {-code}, {signal.strsignal(-code)}")
        block: Block | None = json.loads(out.read_bytes()) if out.exists() else None
        if block is not None:
            return block
        text = printed.read_text(errors="replace")
        errors = re.findall(r"^(?:E {3,7}|ERROR: )(\S.*)", text, re.MULTILINE)  # not "E      [100%]"
        error = import_own("bench.machine.wording").short((errors or text.split("\n")[-2:])[0])
        return Lost(number, "failed" if out.exists() else "not run", f"ended with code {code}, {error}")


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
        import_own("bench.machine.lifeline").die_with_parent(adopt=False)
        config.args = [job["test"]]
        for name, value in (CHILD_OPTIONS | {"basetemp": f"{job['folder']}/tmp"}).items():
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
    for wrong, why in (
        (not MIN_BLOCKS <= blocks <= MAX_BLOCKS, f"a verdict takes {MIN_BLOCKS} to {MAX_BLOCKS} processes"),
        (not 0 < max_s < math.inf, f"--paired-max-time {max_s:g} leaves them no time: give seconds"),
        (os.name == "nt", "processes are ended with all they started, which Windows cannot: use WSL"),
        (untimed := _untimed(config), untimed),
    ):
        if wrong:
            raise pytest.UsageError(f"--paired-blocks {blocks}: {why}")


def _untimed(config: pytest.Config) -> str | None:
    """Return why nothing can be timed in this session."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") != "no":
        return "xdist runs tests side by side: add -n 0"
    disabled = config.getoption("benchmark_disable", False) and not config.getoption("benchmark_enable")
    return "--benchmark-disable times nothing" if disabled else None


class _Plugin:
    """Hold what a session knows; in a child of ``--paired-blocks``, send what its one test found."""

    def __init__(self, config: pytest.Config, job: dict[str, str] | None) -> None:
        self._config, self._job = config, job
        self._block: dict[str, float | None] = {}  # of a child
        self._lines: list[str] = []

    @pytest.fixture
    def paired_benchmark(self, request: pytest.FixtureRequest) -> Iterator[PairedBenchmark]:
        """Compare two callables, timed in turn: ``paired_benchmark(a, b).assert_not_slower(by=0.05)``."""
        yield from self._serve(request.node, None)

    def _serve(self, node: pytest.Item, benchmark: Any) -> Iterator[PairedBenchmark]:
        untimed = None if self._job else _untimed(self._config)
        n_blocks = 0 if untimed or self._job else self._config.getoption("paired_blocks") or 0
        served = PairedBenchmark(node.nodeid, untimed, self._run_blocks(node, n_blocks) if n_blocks else [])
        yield served
        self._block = {key: paired.ratio for key, (paired, _) in served.uses.items()}
        for paired, pairs in served.uses.values():
            node.user_properties.append((NAME, asdict(paired) | {"lines": list(_lines(paired))}))
            if benchmark and benchmark.enabled and pairs:
                _add_rows(benchmark, paired, pairs)
        if benchmark:
            benchmark.skipped = True  # else it warns that the test has not used it

    def _run_blocks(self, node: pytest.Item, n_blocks: int) -> list[Block]:
        """Run the test in fresh processes; end where it fails, too few could remain, or time is up."""
        blocks: list[Block] = []
        n_left = n_blocks
        lock = import_own("bench.machine.host_lock").host_lock
        with lock(["pytest", node.nodeid], no_wait=None, say=self._say):
            due = time.monotonic() + self._config.getoption("paired_max_time")
            while len(blocks) < n_blocks and n_left >= MIN_BLOCKS:
                block = _run_block(self._config, node, len(blocks) + 1, due - time.monotonic())
                blocks.append(block)
                if isinstance(block, Lost):
                    n_left = 0 if block.kind in ("failed", "late") else n_left - 1
        return blocks

    def _say(self, text: str) -> None:
        """Print a line that pytest does not capture."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            import_own("bench.machine.busy").complain(text)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a test compared, also of xdist's workers."""
        for name, value in report.user_properties if report.when == "teardown" else ():
            if name == NAME and isinstance(value, dict):
                self._lines += value["lines"]

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Send what the test of a child compared; None if it failed."""
        if self._job and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            block = None if exitstatus else self._block
            Path(self._job["folder"], "out.json").write_text(json.dumps(block), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show all comparisons."""
        if self._lines:
            terminalreporter.section("paired benchmarks: time of a call, a / b, 95 % interval", sep="-")
        for line in self._lines:
            terminalreporter.write_line(line)


class _WithBenchmark(_Plugin):
    """Have rows in pytest-benchmark's table and files too: depend on its fixture."""

    @pytest.fixture
    def paired_benchmark(self, request: pytest.FixtureRequest, benchmark: Any) -> Iterator[PairedBenchmark]:
        """Compare two callables, timed in turn: ``paired_benchmark(a, b).assert_not_slower(by=0.05)``."""
        yield from self._serve(request.node, benchmark)


def _add_rows(benchmark: Any, paired: Paired, pairs: Any) -> None:
    """Add a row of a and one of b, by that method of pytest-benchmark's fixture which its own modes use."""
    for index, callable_name in enumerate((f"a: {paired.a}", f"b: {paired.b}")):
        n_calls = pairs.n_calls[index]
        row = benchmark._make_stats(n_calls)
        row.name += f"{_number(paired)} ({callable_name})"
        row.fullname += f"{_number(paired)} ({callable_name})"
        row.extra_info = {**row.extra_info, NAME: asdict(paired)}
        for values_ns in pairs.values_ns:
            row.update(values_ns[index] / 1e9 * n_calls)


def _number(paired: Paired) -> str:
    return f" #{paired.use}" if paired.use > 1 else ""


def _lines(paired: Paired) -> Iterator[str]:
    """Yield the lines of a comparison in the session's table."""
    units = import_own("bench.machine.units")
    title = f"{paired.test}{_number(paired)}"
    if paired.ratio is None:
        yield f"{title}: not timed, {paired.untimed}"
        return
    a_time, b_time = units.duration(paired.a_ns), units.duration(paired.b_ns)
    yield f"{title}: a ({paired.a}) {a_time}, b ({paired.b}) {b_time}"
    ratio = units.with_interval(paired.ratio, paired.low, paired.high)
    yield f"  {ratio} of this process, {paired.pairs} pairs"
    if over := paired.over_processes:
        ratio = units.with_interval(over.ratio, over.low, over.high)
        yield f"  {ratio} of {over.blocks} fresh processes: {over.verdict}"
        if over.reason:
            yield f"    {over.reason}"
    yield from (f"  {lost}" for lost in paired.lost)
    for by, outcome in paired.asserted.items():
        needed = " without --paired-blocks 8" * (outcome == "not judged")
        yield f"  assert_not_slower, {units.percent(by)}: {outcome}{needed}"
