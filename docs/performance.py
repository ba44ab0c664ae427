"""Measures docs/performance.md and writes it: ``make performance``.

A run for each size and cell, then runs over many values of H, B and T, then the peak memory of a worker of
each library: half an hour. With ``--from FOLDER`` nothing is measured: the page is written
from the results that are saved there, and says of what is absent that it was not measured.
"""

import argparse
import datetime
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.analysis.statistics import Interval, rank_interval
from bench.analysis.summary import Row, Summary, summarise
from bench.analysis.time_split import Limit, Limits, limits
from bench.analysis.verdict import Comparison
from bench.api.options import from_keywords
from bench.api.run import declare
from bench.api.run import measure as measure_plan
from bench.machine import units
from bench.machine.busy import complain
from bench.machine.devices import find_cpu
from bench.machine.environ import worker_environment
from bench.machine.host import usable_cpus
from bench.machine.host_lock import host_lock
from bench.machine.libraries import NUMPY, TORCH
from bench.machine.wording import capital
from bench.records.journal import FILE_NAME, load_run
from bench.reporting import words
from bench.reporting.page import escape_markdown
from bench.workload import catalog
from bench.workload.catalog import PEERS, why_no_peer
from bench.workload.cell import CELLS
from bench.workload.operations import PRODUCT

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
LIBRARIES = {library.name: library.label for library in (NUMPY, TORCH)}
LETTERS = {"hidden": "H", "batch": "B", "seq_len": "T"}
# name in the page -> options
SIZES: dict[str, dict[str, Any]] = {
    "tutorial": {"task": "train_step", "seq_len": 6, "batch": 128, "features": 6, "hidden": 32},
    "one sample": {"task": "forward", "seq_len": 100, "batch": 1, "features": 1, "hidden": 64},
    "large": {"task": "train_step", "seq_len": 20, "batch": 64, "features": 64, "hidden": 256},
}
GROWTH = {"hidden": (16, 64, 256, 1024), "batch": (1, 4, 16, 64, 256), "seq_len": (1, 3, 10, 30, 100)}
FASTEST = tuple(variant.name for variant in catalog.by_role("fastest"))
FORMS = tuple(variant.name for variant in catalog.by_role("as_written", "fastest"))
# other peers take seconds to compile in each process; one sample has all
PEERS_AT = {"tutorial": ("jax-jit",), "one sample": tuple(peer.name for peer in PEERS), "large": ("jax-jit",)}
SIZE_SECONDS, GROWTH_SECONDS = 60, 30  # what a run aims at; verdicts may take longer
FLAT = 1.25  # a time at most so many times that of the smallest size has not grown
UNMEASURED = "not measured"
KINDS = {"best": "fastest", "as_written": "as usually written"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A size with one thread or all; a folder of its title has a run for each cell."""

    size: str
    all_threads: bool

    @property
    def title(self) -> str:
        """Return "large" or "large, all threads"."""
        return f"{self.size}{', all threads' * self.all_threads}"


SETTINGS = [Setting(size, all_threads) for size in SIZES for all_threads in (False, True)]
HEAD = (
    *("cell", "forms", "NumPy", "PyTorch", "PyTorch over NumPy", "verdict"),
    *("over the lower bound", "of peak products", "fastest peer over the faster"),
)
NOTES = """\
Random data as a sequence, float32; GRU and LSTM with biases, the RNN without. Medians over blocks;
ratios are taken within blocks, not from these medians, with 95 % intervals; "-" is not known.
*Fastest* are the forms that were fastest in block 0, which is not counted. Two numbers in a column
are NumPy's, then PyTorch's. The [lower bound](limits.md#the-lower-bound) is measured with one
thread, that of the fastest rates of the library. The share of peak products is the rate of a call's
products over the library's best rate in the same run. [Peers](peers.md) have one thread: JAX, for one
sample also Numba and ONNX Runtime; above 1, the fastest is slower than the faster of the two forms."""
GROWTH_NOTE = """\
Slopes of log time over log size, of the fastest form at each size: the tutorial's training step
with one thread, where only this size changes. At 1, twice the size takes twice the time; at 0, the
size costs nothing, as a call's time goes into asking for operations. Intervals are of 95 %, over
blocks; *at the end* is between the two largest sizes."""
MEMORY_NOTE = "Megabytes that a process with one form in place held at most, beyond its import and in all."


def main() -> None:
    """Measure, unless told where the results are; write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="saved", type=Path, metavar="FOLDER", help="results to write from")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="file to write (default: docs/performance.md)"
    )
    arguments = parser.parse_args()
    folder = arguments.saved or ROOT / "results" / "performance"
    if arguments.saved is None and folder.exists():
        parser.exit(
            2, f"{folder} is there: write the page from it (--from {folder}), or move it away first\n"
        )
    if arguments.saved is None:
        measure(folder)
    if not folder.is_dir():
        parser.exit(2, f"--from {folder}: there is no such folder\n")
    arguments.page.write_text(page(folder), encoding="utf-8")


def measure(folder: Path) -> None:
    """Measure everything, on the CPU alone."""
    for cell in CELLS:
        for setting in SETTINGS:
            measure_size(folder, setting, cell)
        for option, values in GROWTH.items():
            size = SIZES["tutorial"] | {option: values}
            run(folder / f"growth {option}" / cell, GROWTH_SECONDS, FASTEST, size, cell, 1)
    measured = [
        {"size": name, "cell": cell, "library": library, "peaks": memory(variant, cell, SIZES[name])}
        for name in SIZES
        for cell in CELLS
        for library, variant in zip(LIBRARIES, FASTEST, strict=True)
    ]
    (folder / "memory.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def measure_size(folder: Path, setting: Setting, cell: str) -> None:
    """Measure a cell at a size; peers, which have one thread, stand beside one thread."""
    peers = () if setting.all_threads else PEERS_AT[setting.size]
    variants = (*FORMS, *(peer for peer in peers if not why_no_peer(catalog.find(peer))))
    threads = usable_cpus() if setting.all_threads else 1
    run(folder / setting.title / cell, SIZE_SECONDS, variants, SIZES[setting.size], cell, threads)


def run(
    folder: Path, seconds: int, variants: Sequence[str], size: Mapping[str, Any], cell: str, threads: int
) -> None:
    """Do a run in this folder, on the CPU; it aims at so many seconds, and takes those that verdicts need."""
    settings = {"device": "cpu", "cell": cell, "budget": seconds, "variant": variants, "threads": (threads,)}
    command, started = ["docs/performance.py"], datetime.datetime.now(datetime.UTC)
    with host_lock(command, no_wait=False, say=complain):
        options = from_keywords("run", settings | dict(size))
        measure_plan(declare(options, find_cpu(), folder, started, command, "aim"), folder, keep=[])


def memory(variant: str, cell: str, size: Mapping[str, Any]) -> list[float]:
    """Megabytes that a worker held at most, after the import of its library and after five calls."""
    shape = [str(size.get(name, 8)) for name in ("seq_len", "batch", "features", "hidden", "outputs")]
    ended = subprocess.run(
        [sys.executable, ROOT / "docs" / "peak_memory.py", variant, cell, size["task"], *shape],
        env=worker_environment(1).variables, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    peaks: list[float] = json.loads(ended.stdout)
    return peaks


def page(folder: Path) -> str:
    """The page in Markdown, of all results in the folder, the answer first."""
    runs = {
        (name, cell): summarise(load_run(folder / name / cell))
        for name in (*(setting.title for setting in SETTINGS), *(f"growth {option}" for option in GROWTH))
        for cell in CELLS
        if (folder / name / cell / FILE_NAME).exists()
    }
    lines = ["# Performance", "", *machine_named(runs.values())]
    lines += table(("", *CELLS), [*answers(runs)]) if runs else []
    for setting in SETTINGS:
        size, title = SIZES[setting.size], setting.title
        work = ", ".join(f"{key} {value}" for key, value in size.items() if key != "task")
        lines += ["", f"## {capital(title)}", "", f"`{size['task']}`: {work}, outputs 8.", ""]
        summaries = {cell: runs[title, cell] for cell in CELLS if (title, cell) in runs}
        lines += table(HEAD, [row for cell, run in summaries.items() for row in size_rows(cell, run)])
        lines += [line for cell, run in summaries.items() for line in without_verdict(cell, run)]
    lines += ["", NOTES, "", "## Growth", "", GROWTH_NOTE, ""]
    growths = [
        (cell, letter, LIBRARIES[library], *growth(runs[f"growth {option}", cell], letter, library))
        for option, letter in LETTERS.items()
        for cell in CELLS
        for library in LIBRARIES
        if (f"growth {option}", cell) in runs
    ]
    lines += table(("cell", "size", "library", "slope in all", "slope at the end", "flat up to"), growths)
    lines += ["", "## Memory", "", MEMORY_NOTE, ""]
    lines += table(
        ("size", "cell", "library", "beyond the import", "in all"), memory_rows(folder / "memory.json")
    )
    return "\n".join(lines) + "\n"


def machine_named(summaries: Iterable[Summary]) -> Iterator[str]:
    """Name the machine and the versions; say so if there are no results."""
    facts = next((summary.run.environment.machine for summary in summaries), None)
    if facts is None:
        yield "Not measured yet: `make performance` measures and writes this page.\n"
    else:
        packages = facts.get("packages", {})
        versions = [f"{LIBRARIES[name]} {packages[name]}" for name in LIBRARIES if name in packages]
        machine = "; ".join([words.machine(facts), *versions])
        yield (
            "Whose fastest form is faster, and how many times; where the verdict names neither, PyTorch's "
            f"time over NumPy's. One thread unless told. {machine}.\n"
        )


def answers(runs: Mapping[tuple[str, str], Summary]) -> Iterator[tuple[str, ...]]:
    """Yield who is faster in each setting that was measured, a column for each cell."""
    for title in (setting.title for setting in SETTINGS):
        measured = {cell: faster(runs[title, cell]) for cell in CELLS if (title, cell) in runs}
        if measured:
            yield title, *(measured.get(cell, UNMEASURED) for cell in CELLS)


def faster(summary: Summary) -> str:
    """Return the faster library with its factor, or the verdict with the ratio: "NumPy 1.62 [1.56, 1.66]"."""
    compared = pair(summary, "best")
    if compared is None or (lead := words.lead(compared)) is None:
        return UNMEASURED
    if words.is_decided(compared):
        factor = units.with_interval(lead.factor, lead.low, lead.high)
        return f"{words.library(lead.winner)} {factor}{f', {compared.reason}' * bool(compared.reason)}"
    return f"{compared.verdict} {units.with_interval(compared.ratio, compared.low, compared.high)}"


def pair(summary: Summary, kind: str) -> Comparison | None:
    """Return the comparison of PyTorch with NumPy of a kind, if it has a ratio."""
    pairs = (pair for pair in summary.headlines if pair.kind == kind and pair.ratio is not None)
    return next(pairs, None)


def size_rows(cell: str, summary: Summary) -> Iterator[tuple[str, ...]]:
    """Yield the rows of one run: the fastest forms, then those as usually written."""
    split = limits(summary)
    for kind, title in KINDS.items():
        if (compared := pair(summary, kind)) is None:
            continue
        sides = [summary.rows[entry] for entry in (compared.baseline, compared.entry)]  # NumPy, PyTorch
        against = zip(*(held_against(split, side) for side in sides), strict=True)
        ratio = units.with_interval(compared.ratio, compared.low, compared.high)
        peer = peer_ratio(summary) if kind == "best" else ""
        yield (cell, title, *map(timed, sides), ratio, compared.verdict, *map(", ".join, against), peer)


def without_verdict(cell: str, summary: Summary) -> Iterator[str]:
    """Yield why a comparison of the table has no verdict: the control failed, or a time was not steady."""
    pairs = [compared for kind in KINDS if (compared := pair(summary, kind))]
    reasons = [compared.reason for compared in pairs if compared.verdict in ("INVALID", "NONE")]
    yield from (f"\n{cell}: {reason}." for reason in dict.fromkeys(reasons))


def timed(row: Row) -> str:
    """Return a form with its median time."""
    return f"{row.arm.variant} {units.duration(row.median_ns)}"


def held_against(split: Limits | None, row: Row) -> tuple[str, str]:
    """Return the time over the lower bound, and the share of the peak rate of products; "-" if unknown."""
    by_entry = {limit.entry.id: limit for limit in split.entries} if split else {}
    limit = by_entry.get(row.entry.id)
    if split is None or limit is None or limit.bound is None:
        return "-", "-"
    return units.ratio(1 / limit.bound.efficiency.estimate), product_share(split, limit)


def product_share(split: Limits, limit: Limit) -> str:
    """Return the rate of a call's products over the library's best rate; "-" if its products are unknown."""
    speeds = next(speeds for speeds in split.libraries if speeds.arm.library == limit.arm.library)
    peak = max(rate.estimate for kernel, rate in speeds.rates.items() if kernel.name == PRODUCT)
    return "-" if limit.count is None else units.percent(limit.count.product_flops / limit.time_ns / peak)


def peer_ratio(summary: Summary) -> str:
    """Return the fastest peer's time over that of the faster library, or that there is none."""
    pairs = [pair for pair in summary.headlines if pair.kind == "peer" and pair.ratio is not None]
    if not pairs:
        return "none measured"
    compared = max(pairs, key=lambda pair: pair.ratio or 0)
    return f"{compared.arm.variant} {units.with_interval(compared.ratio, compared.low, compared.high)}"


def growth(summary: Summary, letter: str, library: str) -> tuple[str, str, str]:
    """Return the slope over all sizes and between the two largest ones, and up to where time is flat."""
    fastest: dict[int, tuple[float, Row]] = {}
    for row in (row for group in summary.tables if group.kind == "table" for row in group.rows):
        size = getattr(row.entry.case.shape, letter)
        if row.arm.library != library or row.arm.twin or row.median_ns is None:
            continue
        if size not in fastest or row.median_ns < fastest[size][0]:
            fastest[size] = row.median_ns, row
    sizes = sorted(fastest)
    if len(sizes) < 3:
        return "not measured", "-", "-"
    flat = [size for size in sizes if fastest[size][0] <= FLAT * fastest[sizes[0]][0]]
    slopes = (slope([fastest[size][1] for size in span], span) for span in (sizes, sizes[-2:]))
    whole, end = (units.with_interval(interval.estimate, *interval.limits) for interval in slopes)
    return whole, end, f"{letter} = {flat[-1]}"


def slope(rows: Sequence[Row], sizes: Sequence[int]) -> Interval:
    """Return the slope of log time over log size, least squares in each block, with its interval."""
    blocks = set.intersection(*(set(row.outcome.medians) for row in rows))
    logs = [[np.log(row.outcome.medians[block]) for row in rows] for block in sorted(blocks)]
    return rank_interval([float(np.polyfit(np.log(sizes), times, 1)[0]) for times in logs])


def memory_rows(path: Path) -> list[tuple[str, ...]]:
    """Return the rows of the table of memory."""
    saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    rows = list[tuple[str, ...]]()
    for peak in saved:
        imported, held = peak["peaks"]
        names = (peak["size"], peak["cell"], LIBRARIES[peak["library"]])
        rows.append((*names, f"{held - imported:.1f} MB", f"{held:.0f} MB"))
    return rows


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown; without rows, that it was not measured."""
    if not rows:
        return ["Not measured yet."]
    lines = ["| " + " | ".join(map(escape_markdown, line)) + " |" for line in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


if __name__ == "__main__":
    main()
