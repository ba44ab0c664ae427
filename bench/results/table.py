"""A run's values as a table: a pandas frame, and a CSV file for people without this program.

Imports pandas, so it is imported only where a table is wanted.
"""

from dataclasses import asdict
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from bench.errors import UserError
from bench.results.journal import Run

COLUMNS = (
    "run", "block", "position", "entry", "group", "arm", "variant", "library", "device", "threads", "twin",
    "known_wrong", "task", "layout", "dtype", "activation", "data", "T", "B", "I", "H", "O", "status",
    "counted", "value", "n_calls", "elapsed_ns", "per_call_ns", "first_call_ns",
)  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def values_frame(run: Run) -> pd.DataFrame:
    """One row a value, in the journal's order; block 0 is there, but not ``counted``.

    ``value`` numbers the values of a burst from 0; ``per_call_ns`` is ``elapsed_ns`` / ``n_calls``.
    Failures have no values, so they are not here.
    """
    entries, arms = run.entries, run.arms
    rows = []
    for burst in run.bursts:
        entry = entries[burst.entry]
        arm, case = arms[entry.arm], entry.case
        fixed = asdict(entry.case.shape) | {
            "run": run.plan.run,
            "block": burst.block,
            "position": burst.position,
            "entry": entry.id,
            "group": entry.group,
            "arm": arm.id,
            "variant": arm.variant,
            "library": arm.library,
            "device": burst.device,
            "threads": arm.threads,
            "twin": arm.twin,
            "known_wrong": arm.known_wrong,
            "task": case.task,
            "layout": case.layout,
            "dtype": case.dtype,
            "activation": case.activation,
            "data": case.data,
            "status": burst.status,
            "counted": burst.block >= 1 and burst.status in ("ok", "known_wrong"),
            "n_calls": burst.n_calls,
            "first_call_ns": burst.first_call_ns,
        }
        for number, elapsed_ns in enumerate(burst.elapsed_ns):
            per_call_ns = elapsed_ns / burst.n_calls
            rows.append(fixed | {"value": number, "elapsed_ns": elapsed_ns, "per_call_ns": per_call_ns})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_values_csv(run: Run, path: Path) -> None:
    """Write ``values_frame`` as CSV.

    A text that a spreadsheet would take for a formula gets an apostrophe before it: a variant's name may
    come from anyone.

    Raises:
        UserError: the file cannot be written.
    """
    frame = values_frame(run)
    for name in frame.columns:
        if not is_numeric_dtype(frame[name]):
            frame[name] = frame[name].map(_not_a_formula)
    try:
        frame.to_csv(path, index=False)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def _not_a_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
