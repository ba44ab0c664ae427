"""Write all values of a run as one table: a pandas frame or a CSV file."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.machine.errors import UserError
from bench.machine.files import atomic_text
from bench.machine.wording import printable
from bench.records.record import Arm, Burst, Entry
from bench.records.run import Run, is_counted

if TYPE_CHECKING:  # pandas is slow to import, and the CSV file does not need pandas
    import pandas as pd

COLUMNS = (
    "run", "block", "entry", "group", "arm", "variant", "library", "device", "threads", "twin",
    "known_wrong", "cell", "bias", "task", "layout", "dtype", "activation", "data", "shortest",
    "T", "B", "I", "H", "O",
    "status", "counted", "round", "place", "n_calls", "elapsed_ns", "per_call_ns", "first_call_ns",
)  # fmt: skip
PER_VALUE = ("round", "place", "elapsed_ns")  # the columns that differ between the values of a burst
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Cells = tuple[str | int | bool, ...]


def values_frame(run: Run) -> "pd.DataFrame":
    """Return one row per value, in the journal's order; values of block 0 are not ``counted``.

    ``round`` is the round in the block, ``place`` the value's place in the round, and ``per_call_ns`` is
    ``elapsed_ns`` / ``n_calls``. An arm on a case is measured once and appears under its first entry's name.
    ``run`` is the host if there are several.
    """
    import pandas as pd

    entries, arms = run.entries, run.arms
    rows = [
        (part.plan.run, burst.block, *_cells(burst, entries, arms), burst.status, is_counted(burst),
         burst.rounds, burst.places, burst.n_calls, burst.elapsed_ns, burst.first_call_ns)
        for part in run.machines or (run,)
        for burst in part.bursts
    ]  # fmt: skip
    bursts = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "per_call_ns"])
    frame = bursts.explode(list(PER_VALUE), ignore_index=True).astype(dict.fromkeys(PER_VALUE, "int64"))
    frame["per_call_ns"] = frame["elapsed_ns"] / frame["n_calls"]
    return frame[list(COLUMNS)]


def write_values_csv(run: Run, path: Path) -> None:
    """Write ``values_frame`` as CSV, one burst at a time.

    A variant's name may come from anyone. So a text that a spreadsheet would read as a formula gets an
    apostrophe before it, and terminal control characters are written as codes.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        with atomic_text(path) as file:
            file.write(",".join(COLUMNS) + "\n")
            file.writelines(_csv_lines(run))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def _csv_lines(run: Run) -> Iterator[str]:
    """Yield the lines of each burst; columns shared by many values are formatted once, to save time."""
    entries, arms = run.entries, run.arms
    shared_cells: dict[tuple[str, str], str] = {}
    named = ((_csv((part.plan.run,)), burst) for part in run.machines or (run,) for burst in part.bursts)
    for run_cell, burst in named:
        key = burst.entry, burst.device
        if key not in shared_cells:
            shared_cells[key] = _csv(_cells(burst, entries, arms))
        n_calls, first_call_ns = burst.n_calls, burst.first_call_ns
        prefix = f"{run_cell},{burst.block},{shared_cells[key]},{burst.status},{is_counted(burst)}"
        yield "".join(
            f"{prefix},{number},{place},{n_calls},{elapsed},{elapsed / n_calls!r},{first_call_ns}\n"
            for number, place, elapsed in zip(burst.rounds, burst.places, burst.elapsed_ns, strict=True)
        )


def _cells(burst: Burst, entries: Mapping[str, Entry], arms: Mapping[str, Arm]) -> Cells:
    """Return the columns from ``entry`` to ``O``; the device is the actual device of the burst's arrays."""
    entry = entries[burst.entry]
    arm, case, shape = arms[entry.arm], entry.case, entry.case.shape
    return (
        entry.id, entry.group, arm.id, arm.variant, arm.library, burst.device, arm.threads, arm.twin,
        arm.known_wrong, case.cell, case.bias, case.task, case.layout, case.dtype, case.activation, case.data,
        case.shortest or shape.T, shape.T, shape.B, shape.I, shape.H, shape.O,
    )  # fmt: skip


def csv_line(cells: Cells) -> str:
    """Return cells as a line of a CSV file, safe for spreadsheets and terminals."""
    return f"{_csv(cells)}\n"


def _csv(cells: Cells) -> str:
    """Return cells as a part of a CSV line."""
    line = io.StringIO()
    csv.writer(line).writerow([*map(_safe_cell, cells), 0])  # 0: a single empty cell would be quoted
    return line.getvalue().removesuffix(",0\r\n")


def _safe_cell(cell: str | int | bool) -> str | int | bool:
    """Return a cell that is no formula to a spreadsheet and cannot control a terminal."""
    if not isinstance(cell, str):
        return cell
    text = "\r".join(map(printable, cell.split("\r")))  # a quoted carriage return does not end a row
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
