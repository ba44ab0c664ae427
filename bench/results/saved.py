"""Saved results of whatever kind: a run, or a JSON file of another tool, known by what it holds."""

from pathlib import Path

from bench.results.exchange import PytestResults, parse_pytest_benchmark
from bench.results.exchange_pyperf import PyperfResults, parse_pyperf
from bench.results.foreign import is_pyperf, read_tree
from bench.results.journal import Run, load_run

Saved = Run | PyperfResults | PytestResults


def load_saved(path: Path) -> Saved:
    """A run's folder or journal; a ``.json`` of pyperf or pytest-benchmark.

    Raises:
        UserError: it cannot be read.
    """
    return load_foreign(path) if path.suffix == ".json" else load_run(path)


def load_foreign(path: Path) -> PyperfResults | PytestResults:
    """What another tool saved.

    Raises:
        UserError: it cannot be read, or no tool that is known here wrote it.
    """
    tree = read_tree(path)
    return parse_pyperf(tree, path) if is_pyperf(tree) else parse_pytest_benchmark(tree, path)
