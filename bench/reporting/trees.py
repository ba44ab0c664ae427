"""Give saved results as plain objects, for programs: what ``--json`` of run, report, train and stream prints.

docs/results.md describes them; a change that a program would not survive raises ``FORMAT``. The rows of a
run are those of ``bench.load(...).summary()``, with the same names. A missing number is None.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.analysis.summary import summarise
from bench.records.folder import display_path
from bench.records.run import Run
from bench.records.saved import Saved
from bench.reporting import words
from bench.reporting.notebook import summary_row
from bench.reporting.streamed import StreamAnswer
from bench.training.result import TrainResult

FORMAT = 1
PAIR = ("kind", "entry", "baseline", "ratio", "low", "high", "verdict", "reason")
TRAINED = (
    "variant", "library", "device", "known_wrong", "status", "time_to_target_s", "epochs_to_target",
    "startup_s", "first_call_s", "per_epoch_s", "rmse", "huber",
)  # fmt: skip


def document(
    page: Path, results: Sequence[dict[str, Any]], warnings: Sequence[str] = (), unread: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the results of a page with what is said of them together."""
    return {
        "format": FORMAT,
        "report": display_path(page),
        "results": [*results],
        "warnings": [*warnings],
        "unread": [*unread],
    }


def result_tree(
    path: Path,
    result: Saved | TrainResult | StreamAnswer,
    answer: Sequence[str],
    refinements: Sequence[Run] = (),
) -> dict[str, Any]:
    """Return a result with its answer; of a run, a training or a stream also its status and all rows."""
    tree: dict[str, Any] = {"path": str(path), "kind": "file", "answer": list(answer)}
    if isinstance(result, Run):
        tree |= {"kind": "run", **_run_tree(result), "refinements": [*map(_run_tree, refinements)]}
    elif isinstance(result, TrainResult):
        runs = [(run, float(run.losses[-1]) if len(run.losses) else None) for run in result.runs]
        rows = [{name: getattr(run, name) for name in TRAINED} | {"loss": loss} for run, loss in runs]
        tree |= {"kind": "training", "status": result.status, "target": result.target, "rows": rows}
    elif isinstance(result, StreamAnswer):
        tree |= {"kind": "stream", **result.as_dict()}
    return tree


def _run_tree(run: Run) -> dict[str, Any]:
    summary = summarise(run)
    hosts = {entry: run.machines[number].host for entry, number in run.machine_numbers.items()}
    return {
        "run": run.plan.run,
        "status": run.state,
        "ended": summary.ending,
        "machines": words.machines(run),
        "rows": [
            summary_row(table.name, row) | {"host": hosts.get(row.entry.id)}
            for table in summary.tables
            for row in table.rows
        ],
        "comparisons": [
            {name: getattr(pair, name) for name in PAIR} | {"host": hosts.get(pair.entry)}
            for pair in summary.headlines
        ],
    }
