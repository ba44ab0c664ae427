"""Saved results of whatever kind: a run, or a JSON file of another tool, known by what it holds."""

from pathlib import Path
from typing import Any

from bench.machine.errors import UserError
from bench.machine.files import open_to_read
from bench.records.formats.foreign import ToolResults, as_object, parse_tree, read_content
from bench.records.formats.pyperf import parse_pyperf
from bench.records.formats.pytest_benchmark import parse_pytest_benchmark
from bench.records.journal import load_run
from bench.records.run import Run
from bench.records.training import is_training

Saved = Run | ToolResults
JOURNAL = b'{"seal":'  # how a journal starts


def load_saved(path: Path) -> Saved:
    """Return what a run's folder or journal, or a file of pyperf or pytest-benchmark holds.

    A file's kind is told by its content, whatever its name; gzip may have packed a file of another tool.

    Raises:
        UserError: it cannot be read, or is none of these.
    """
    refuse_training(path)
    if path.is_dir():
        return load_run(path)
    try:
        with open_to_read(path) as file:
            start = file.read(len(JOURNAL))
            file.seek(0)
            if start.startswith(JOURNAL):
                return load_run(path)
            data = read_content(file, path)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; give a run's folder, a journal or a JSON file of "
            "pytest-benchmark or pyperf"
        ) from error
    if data.startswith(JOURNAL):
        raise UserError(f"{path} is a packed journal; unpack it first")
    try:
        return _parse(parse_tree(data), path)
    except ValueError as error:
        raise UserError(
            f"{path} is no JSON file of pytest-benchmark or pyperf and no journal of rnnbench: {error}"
        ) from error


def refuse_training(path: Path) -> None:
    """Raise UserError where a run is wanted and this is the folder or the file of a training."""
    if is_training(path):
        raise UserError(
            f"{path} is a training, which has one process a variant and no verdicts; rnnbench report shows "
            "it, several with --out DIR, and what can be compared or exported comes from rnnbench run"
        )


def _parse(tree: dict[str, Any], path: Path) -> ToolResults:
    """Return the results of the tool whose benchmarks the tree holds: pyperf's have runs, the other's stats.

    Raises:
        ValueError: neither wrote it.
        UserError: nothing in it can be used.
    """
    benchmarks = tree.get("benchmarks", tree.get("benchmark"))
    if "version" in tree and isinstance(benchmarks, dict):
        raise UserError(f"{path} has a format of pyperf from before 0.7.4, which is not read; measure anew")
    if not isinstance(benchmarks, list):
        raise ValueError("it has no list of benchmarks")
    if not benchmarks:
        raise UserError(f"{path} holds no benchmark")
    kinds = {name for one in benchmarks for name in ("runs", "stats") if name in as_object(one)}
    if not kinds:
        raise ValueError("its benchmarks have neither stats, as pytest-benchmark's, nor runs, as pyperf's")
    return parse_pytest_benchmark(tree, path) if "stats" in kinds else parse_pyperf(tree, path)
