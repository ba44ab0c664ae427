"""Load saved results: a run, or another tool's JSON file, recognised by content."""

from pathlib import Path
from typing import Literal

from bench.machine.errors import UserError
from bench.machine.files import open_to_read
from bench.records.formats.foreign import ToolResults, parse_results, read_content
from bench.records.joined import load_measured
from bench.records.journal import load_run
from bench.records.run import Run
from bench.records.stream import is_stream
from bench.records.training import is_training

Kind = Literal["measured", "training", "stream"]  # measured: a run, a sweep, or a file of another tool
Saved = Run | ToolResults
NOT_COMPARED: dict[Kind, str] = {
    "training": "has one process a variant and no verdicts",
    "stream": "has the percentiles of calls that carry a state on",
}
JOURNAL_START = b'{"seal":'


def load_saved(path: Path, unread: list[str] | None = None) -> Saved:
    """Load a run (folder or journal), a sweep, or a file of pyperf or pytest-benchmark.

    The content decides the kind, not the name; files of other tools may be gzipped. ``unread`` is that of
    ``load_measured``.

    Raises:
        UserError: the file cannot be read, or has another format.
    """
    refuse_others(path)
    if path.is_dir():
        return load_measured(path, unread)
    try:
        with open_to_read(path) as file:
            start = file.read(len(JOURNAL_START))
            file.seek(0)
            if start.startswith(JOURNAL_START):
                return load_run(path)
            data = read_content(file, path)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; give a run's folder, a journal or a JSON file of "
            "pytest-benchmark or pyperf"
        ) from error
    if data.startswith(JOURNAL_START):
        raise UserError(f"{path} is a packed journal; unpack it first")
    try:
        return parse_results(data, path)
    except ValueError as error:
        raise UserError(
            f"{path} is no JSON file of pytest-benchmark or pyperf and no journal of rnnbench: {error}"
        ) from error


def kind_of(path: Path) -> Kind:
    """Return the kind of a saved result, by the file that it is or holds."""
    return "training" if is_training(path) else "stream" if is_stream(path) else "measured"


def refuse_others(path: Path) -> None:
    """Raise UserError if this is the folder or the file of a training or a stream, where a run is needed."""
    if (kind := kind_of(path)) != "measured":
        raise UserError(
            f"{path} is a {kind}, which {NOT_COMPARED[kind]}; rnnbench report shows it, several with "
            "--out DIR, and what can be compared or exported comes from rnnbench run"
        )
