"""What ``pytest --benchmark`` adds to pytest-benchmark, through public hooks only.

Facts about the libraries go into the header and into ``machine_info``. A benchmark that failed, before its
timing or after it, has no time in any table or file.
"""

import importlib.metadata
import importlib.util
import itertools
import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.logger import PytestBenchmarkWarning

from bench.machine.devices import find_devices
from bench.machine.errors import UserError
from bench.machine.libraries import NUMPY, TORCH
from bench.workload import catalog
from bench.workload.case import DEFAULT_CELL, TASKS, sine_case
from bench.workload.catalog import Variant
from bench.workload.own import load_variant

THREADS = 1  # of both libraries
# options of pytest-benchmark that leave it open whether anything is to be timed
NEUTRAL = ("--benchmark-skip", "--benchmark-disable")
PIN_A_KERNEL = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def timing(config: pytest.Config) -> bool:
    """Whether benchmarks are wanted: asked for, or implied by another option on the command line."""
    implied = (arg.startswith("--benchmark-") and arg not in NEUTRAL for arg in config.invocation_params.args)
    return bool(config.getoption("benchmark")) or any(implied)


class BenchmarkPlugin:
    """Registered only where something is to be timed."""

    def __init__(self, config: pytest.Config) -> None:
        """Look up the variants.

        Raises:
            pytest.UsageError: a variant cannot be loaded, there is no such cell, or an option asks for a
                package that is missing.
        """
        specs = config.getoption("benchmark_variant") or [variant.name for variant in catalog.VARIANTS]
        try:
            self.variants = {spec: load_variant(spec) for spec in specs}
            self.cell_settings = catalog.cell_settings(
                specs, cell=config.getoption("benchmark_cell"), bias=None
            )
        except UserError as error:
            raise pytest.UsageError(str(error)) from error
        if config.getoption("benchmark_histogram") and not importlib.util.find_spec("pygal"):
            raise pytest.UsageError(
                "--benchmark-histogram needs two more packages: pip install 'pytest-benchmark[histogram]'"
            )
        self.failed: set[str] = set()
        # what pytest-benchmark has to say, "nothing to save" or "another machine", is no failure
        warnings.filterwarnings("default", category=PytestBenchmarkWarning)

    def pytest_report_header(self) -> list[str]:
        """Versions and BLAS kernel, and a warning where it is pinned: NumPy is loaded, it cannot change."""
        info = library_info()
        lines = [
            f"rnnbench: NumPy {info['numpy']} on {info['blas']} {info['blas_version']} (kernel "
            f"{info['blas_kernel']}), PyTorch {info['torch']}, threads of each: {THREADS}"
        ]
        if pinned := [f"{name}={os.environ[name]}" for name in PIN_A_KERNEL if name in os.environ]:
            lines.append(
                f"rnnbench: WARNING: {', '.join(pinned)} may slow NumPy down and cannot be dropped here; "
                "`rnnbench run` drops it"
            )
        return lines

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One benchmark per (task, variant, device)."""
        names = ("case", "variant", "device")
        if set(names) <= set(metafunc.fixturenames):
            metafunc.parametrize(names, entries(self.variants, **self.cell_settings))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what failed, whenever it did."""
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """Say which libraries computed."""
        machine_info.update(library_info())

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_group_stats(self, benchmarks: list[dict[str, Any]]) -> None:
        """Keep failed benchmarks out of the table; the grouping is left to pytest-benchmark."""
        self._drop_failed(benchmarks)

    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Keep failed benchmarks out of every file: by itself it leaves out only what failed while timed."""
        self._drop_failed(output_json["benchmarks"])

    def _drop_failed(self, benchmarks: list[dict[str, Any]]) -> None:
        benchmarks[:] = [one for one in benchmarks if one["fullname"] not in self.failed]


def entries(variants: dict[str, Variant], **cell_settings: Any) -> list[Any]:
    """Parameters (case, spec, device) for every device that is here and of a kind the variant knows."""
    found = find_devices() if any(variant.library == "torch" for variant in variants.values()) else None
    devices = [device.id for device in found.present] if found else ["cpu"]
    params = []
    for task, (spec, variant), device in itertools.product(TASKS, variants.items(), devices):
        if device.partition(":")[0] not in variant.devices:
            continue
        case = sine_case(task, "positional", **cell_settings)
        reason = variant.unsupported(case, device)
        if found and variant.library == "torch":
            reason = reason or found.missing.get(variant.library)
        marks = [pytest.mark.skip(reason=reason)] if reason else []
        name = variant.name + (" (known wrong gradient)" if variant.known_wrong else "")
        cell = "" if case.cell == DEFAULT_CELL else f"{case.cell}-"  # another cell, another name
        params.append(pytest.param(case, spec, device, id=f"{cell}{task}-{name}-{device}", marks=marks))
    return params


def timed(call: Callable[[], object], device: str) -> Callable[[], object]:
    """What goes inside pytest-benchmark's clock: the call, and on an accelerator the wait for its work."""
    if device == "cpu":
        return call
    wait = TORCH.synchroniser(device)

    def call_and_wait() -> None:
        call()
        wait()

    return call_and_wait


def library_info() -> dict[str, Any]:
    """Versions of both libraries, NumPy's BLAS and the kernel it chose, and the threads they are given."""
    facts = NUMPY.facts()
    try:
        torch_version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch_version = "not installed"
    return {
        "numpy": facts["version"],
        "torch": torch_version,
        "blas": facts["blas"],
        "blas_version": facts["blas_version"],
        "blas_kernel": facts["kernel"],
        "threads": THREADS,
    }
