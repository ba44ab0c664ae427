"""Saved results of whatever kind: a run, or a JSON file of another tool, known by what it holds."""

from pathlib import Path

from bench.machine.errors import UserError
from bench.machine.files import open_to_read
from bench.records.formats.foreign import ToolResults, parse_results, read_content
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
        return parse_results(data, path)
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
