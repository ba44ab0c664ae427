"""The files of other tools: read, and written from a run's journal."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line names the formats before it loads what writes them
    from bench.records.run import Run

FILES = {"pyperf": "pyperf.json", "pytest-benchmark": "pytest-benchmark.json", "csv": "values.csv"}


def export(run: "Run", to: str, out: Path) -> None:
    """Write a run's times to ``out`` in one of the formats of ``FILES``.

    Raises:
        UserError: the run holds no counted value, or the file cannot be written.
    """
    from bench.machine.errors import UserError
    from bench.machine.files import write_atomic
    from bench.records.formats.pyperf import pyperf_json
    from bench.records.formats.pytest_benchmark import pytest_benchmark_json
    from bench.records.table import write_values_csv

    if to == "csv":
        write_values_csv(run, out)
        return
    content = {"pyperf": pyperf_json, "pytest-benchmark": pytest_benchmark_json}[to](run)
    try:
        write_atomic(out, content)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; choose another --out") from error
