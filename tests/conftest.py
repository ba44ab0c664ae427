"""What every test gets, and the option ``--benchmark``; what it does is in benchmark_plugin.py."""

import importlib.abc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import benchmark_plugin
import numpy as np
import pytest
from browsing import chromium as chromium  # a fixture

from bench.machine import devices, host_lock
from bench.machine.host import usable_cpus

if TYPE_CHECKING:
    from bench.records.run import Run
    from bench.workload.case import Case, Shape

BENCHMARKS = Path(__file__).with_name("benchmarks")
ACCEPTANCE = Path(__file__).with_name("acceptance")


@pytest.fixture(autouse=True)
def _strict_numbers() -> Iterator[None]:
    """Floating errors raise (underflow is none), and torch, once a test has loaded it, has one thread.

    "Invalid" is not among them: BLAS kernels load whole registers, and now and then raise that flag for what
    lies behind a short vector and is nobody's number. A NaN fails every comparison anyhow.
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    with np.errstate(over="raise", divide="raise", invalid="ignore"):
        yield


@pytest.fixture(autouse=True)
def _unknown_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tells what else runs: no test depends on it."""
    monkeypatch.setattr("bench.machine.busy.look", lambda sample_s: None)


SEARCH, FOUND = devices._ask, dict[str, list[devices.Inventory]]()  # by library


@pytest.fixture(autouse=True)
def _one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all tests of a process share a search for devices: each one imports torch, two seconds."""

    def ask(asked: list[devices.ChildSetup], seconds: float) -> list[devices.Inventory]:
        (library, arguments, _), *others = asked
        if arguments or others:  # asked for facts, in a process that is prepared
            return SEARCH(asked, seconds)
        inventories = FOUND.get(library.name) or SEARCH(asked, seconds)
        if not inventories[0].missing:
            FOUND[library.name] = inventories
        return inventories

    monkeypatch.setattr(devices, "_ask", ask)


@pytest.fixture
def few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``rnnbench verify`` prove few cases, and its reference others, where it does not matter which."""
    from bench.proof import cases, verify

    for name, shape in (("agreement_cases", cases.COMPILE_SHAPE), ("reference_cases", cases.SMALL[0][0])):
        monkeypatch.setattr(verify, name, partial(_of_shape, getattr(verify, name), shape))


def _of_shape(listed: "Callable[..., list[Case]]", shape: "Shape", *cell: Any) -> "list[Case]":
    return [case for case in listed(*cell) if (case.shape, case.activation) == (shape, "tanh")]


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let figures be made but not rendered, nine tenths of a report's time, where no test looks at them."""
    from bench.reporting import plots

    monkeypatch.setattr(plots, "draw", lambda figure, kinds=("svg",): dict.fromkeys(kinds, b"<svg/>"))


@pytest.fixture(scope="session")
def default_run() -> "Run":
    """The example of a default run."""
    from journals import example_records

    from bench.records.run import make_run

    return make_run(example_records())


@pytest.fixture(scope="session")
def default_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the example, drawn once for all tests, which only read it; in the run's folder."""
    from journals import example_records
    from reports import write_run

    from bench.reporting.build import build_report

    return build_report([write_run(tmp_path_factory.mktemp("default"), example_records())], None)


@pytest.fixture(scope="session")
def grid_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small grid, drawn once for all tests; in the run's folder."""
    from grids import crossing_at, grid_plan, records_of, with_ratio, write_grid

    from bench.reporting.build import build_report

    records = records_of(grid_plan(batch=(1, 16)), with_ratio(crossing_at(300.0)))
    return build_report([write_grid(tmp_path_factory.mktemp("grid"), records)], None)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchmark")
    group.addoption(
        "--benchmark",
        action="store_true",
        help="Also time every variant. Every --benchmark-... option on the command line implies it, but for "
        "--benchmark-skip and --benchmark-disable.",
    )
    group.addoption(
        "--benchmark-variant",
        action="append",
        metavar="NAME",
        help="Time this variant only (repeatable): a name of `rnnbench variants`, or module:object.",
    )
    group.addoption(
        "--benchmark-cell", metavar="NAME", help="rnn, gru or lstm (default: rnn, or that of the variants)."
    )
    parser.addoption("--fast", action="store_true", help="Skip what starts a process, loads torch or draws.")


def pytest_xdist_auto_num_workers() -> int:
    """One more than processors: many a test waits for children."""
    return usable_cpus() + 1


def _too_slow(*_: object, **__: object) -> None:
    pytest.skip("starts a process, loads torch or draws", allow_module_level=True)


class _NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, *_: object) -> None:
        if name == "torch":
            _too_slow()


def pytest_configure(config: pytest.Config) -> None:
    # no run of a test waits for one that measures on this host, or for a test of another xdist worker
    locks = tempfile.TemporaryDirectory(prefix="rnnbench-tests-")
    config.add_cleanup(locks.cleanup)
    os.environ[host_lock.VARIABLE] = f"{locks.name}/lock"
    os.environ.pop("PYTEST_XDIST_WORKER", None)  # a pytest that a test starts is no worker of this one
    # in the background (`nohup make test &`) these are ignored, and would be in all that the tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)  # still ignored, but here alone
    if config.getoption("--fast"):
        sys.meta_path.insert(0, _NoTorch())
    if benchmark_plugin.timing(config):
        config.pluginmanager.register(benchmark_plugin.BenchmarkPlugin(config))
    elif all(_is_benchmark(Path(arg.partition("::")[0]).resolve()) for arg in config.args):
        command = f"pytest --benchmark {' '.join(config.args)}"
        raise pytest.UsageError(f"nothing was run, benchmarks are only timed on request: {command}")


def pytest_collection_finish(session: pytest.Session) -> None:
    """From here on only tests start processes; what distributes them has started its own."""
    if session.config.getoption("--fast"):
        from bench.reporting import plots

        subprocess.Popen.__init__ = _too_slow  # type: ignore[method-assign]
        plots.draw = _too_slow


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Plain pytest looks neither at the benchmarks nor at what is about time, unless that is named."""
    if _within(collection_path, ACCEPTANCE):
        named = any(_within(Path(arg.partition("::")[0]).resolve(), ACCEPTANCE) for arg in config.args)
        return None if named else True
    return True if _is_benchmark(collection_path) and not benchmark_plugin.timing(config) else None


def _is_benchmark(path: Path) -> bool:
    return _within(path, BENCHMARKS)


def _within(path: Path, folder: Path) -> bool:
    return folder in (path, *path.parents)
