"""Measures docs/performance.md and writes it: ``make performance``.

A run for each size and cell, with one thread and with all; then runs over many values of H, B and T; then
the peak memory of a worker of each library. With ``--from FOLDER`` nothing is measured: the page is written
from the results that are saved there, and says of what is absent that it was not measured.
"""

import argparse
import datetime
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from bench.workload.catalog import PEERS, by_role, why_no_peer
from bench.workload.cell import CELLS
from bench.workload.operations import PRODUCT

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
LIBRARIES = {library.name: library.label for library in (NUMPY, TORCH)}
BOTH = tuple(LIBRARIES)
LETTERS = {"hidden": "H", "batch": "B", "seq_len": "T"}
# name in the page -> options; a folder each, of this name, with a run for each cell in it
SIZES: dict[str, dict[str, Any]] = {
    "tutorial": {"task": "train_step", "seq_len": 6, "batch": 128, "features": 6, "hidden": 32},
    "one sample": {"task": "train_step", "seq_len": 100, "batch": 1, "features": 1, "hidden": 64},
    "one sample forward": {"task": "forward", "seq_len": 100, "batch": 1, "features": 1, "hidden": 64},
    "large": {"task": "train_step", "seq_len": 20, "batch": 64, "features": 64, "hidden": 256},
}
GROWTH = {"hidden": (16, 64, 256, 1024), "batch": (1, 4, 16, 64, 256), "seq_len": (1, 3, 10, 30, 100)}
FORMS = tuple(variant.name for variant in by_role("as_written", "fastest"))
RUN_SHARE, GROWTH_SHARE = 0.055, 0.02  # of the seconds in all, for each run; the rest: starts and memory
FLAT = 1.25  # a time at most so many times that of the smallest size has not grown
# of a worker with a library: megabytes at most, after the import and in all
MEMORY = """
import json, re, sys
from pathlib import Path
from bench.machine.libraries import limit_threads
from bench.workload.binding import bind_case
from bench.workload.case import Case, Shape
from bench.workload.data import make
from bench.workload.own import load_variant

def peak_megabytes():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6

name, cell, task, *sizes = sys.argv[1:]
variant = load_variant(name)
function = variant.load(cell)
limit_threads(1)
imported = peak_megabytes()
case = Case(task, Shape(*map(int, sizes)), "sequence", data="random", cell=cell, bias=cell != "rnn")
bound = bind_case(function, variant.library, case, make(case), "cpu").bound
for _ in range(5):
    bound.call()
print(json.dumps([imported, peak_megabytes()]))
"""
NOTES = """\
Medians over blocks, and ratios with 95 % intervals. *Fastest* are the forms that were fastest in
block 0, which is not counted. Two numbers in a column are NumPy's, then PyTorch's. The [lower
bound](limits.md#the-lower-bound) is measured with one thread, that of the fastest rates of the
library. The share of peak products is the rate of a call's products over the library's best rate in
the same run. Peers compute [with one thread](peers.md); above 1, the fastest of them is slower than
the faster of the two forms."""
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
    parser.add_argument("--seconds", type=float, default=780, help="for measuring, about (default: 780)")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="file to write (default: docs/performance.md)"
    )
    asked = parser.parse_args()
    folder = asked.saved or ROOT / "results" / "performance"
    if asked.saved is None:
        measure(folder, asked.seconds)
    asked.page.write_text(page(folder), encoding="utf-8")


def measure(folder: Path, seconds: float) -> None:
    """Everything, on the CPU alone, about ``seconds`` long."""
    peers = not any(map(why_no_peer, PEERS))
    threads = tuple(dict.fromkeys((1, usable_cpus())))
    for cell in CELLS:
        for name, size in SIZES.items():
            run(folder / name / cell, RUN_SHARE * seconds, cell, **size, threads=threads, peers=peers)
        for option, values in GROWTH.items():
            size = SIZES["tutorial"] | {option: values}
            run(folder / f"growth {option}" / cell, GROWTH_SHARE * seconds, cell, **size, threads=(1,))
    measured = [
        {"size": name, "cell": cell, "library": library, "peaks": memory(variant, cell, size)}
        for name, size in SIZES.items()
        for cell in CELLS
        for library, variant in zip(BOTH, ("numpy-inplace", "torch-inplace"), strict=True)
    ]
    (folder / "memory.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def run(folder: Path, budget_s: float, cell: str, **options: Any) -> None:
    """One run in this folder, on the CPU; it holds its time, if need be with fewer blocks and no verdict."""
    asked = {"device": "cpu", "cell": cell, "budget": round(budget_s), "variant": FORMS, **options}
    command, started = ["docs/performance.py"], datetime.datetime.now(datetime.UTC)
    with host_lock(command, no_wait=False, say=complain):
        plan = declare(from_keywords("run", asked), find_cpu(), folder, started, command, "hold")
        measure_plan(plan, folder, keep=[])


def memory(variant: str, cell: str, size: Mapping[str, Any]) -> list[float]:
    """Megabytes that a worker held at most, after the import of its library and after five calls."""
    shape = [str(size.get(name, 8)) for name in ("seq_len", "batch", "features", "hidden", "outputs")]
    ended = subprocess.run(
        [sys.executable, "-c", MEMORY, variant, cell, size["task"], *shape],
        env=worker_environment(1).variables, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    peaks: list[float] = json.loads(ended.stdout)
    return peaks


def page(folder: Path) -> str:
    """The page in Markdown, of all results in the folder, the answer first."""
    runs = {
        (name, cell): summarise(load_run(folder / name / cell))
        for name in (*SIZES, *(f"growth {option}" for option in GROWTH))
        for cell in CELLS
        if (folder / name / cell / FILE_NAME).exists()
    }
    lines = ["# Performance", "", *machine_named(runs.values())]
    lines += [f"* {cell}: {sentence}" for cell in CELLS if (sentence := answer(runs, cell))]
    for name, size in SIZES.items():
        sizes = {cell: runs[name, cell] for cell in CELLS if (name, cell) in runs}
        work = ", ".join(f"{key} {value}" for key, value in size.items() if key != "task")
        lines += ["", f"## {capital(name)}", "", f"`{size['task']}`: {work}, outputs 8.", ""]
        head = ("cell", "threads", "as", "NumPy", "PyTorch", "NumPy over PyTorch", "verdict")
        numbers = ("over the lower bound", "of peak products", "fastest peer over the faster")
        lines += table(
            (*head, *numbers), [row for cell, one in sizes.items() for row in size_rows(cell, one)]
        )
    lines += ["", NOTES, "", "## Growth", "", GROWTH_NOTE, ""]
    grown = [
        (cell, letter, LIBRARIES[library], *growth(runs[f"growth {option}", cell], letter, library))
        for option, letter in LETTERS.items()
        for cell in CELLS
        for library in BOTH
        if (f"growth {option}", cell) in runs
    ]
    lines += table(
        ("cell", "size", "library", "slope in all", "slope at the end", "does not grow up to"), grown
    )
    lines += ["", "## Memory", "", MEMORY_NOTE, "", *table(*memory_rows(folder / "memory.json"))]
    return "\n".join(lines) + "\n"


def machine_named(summaries: Iterable[Summary]) -> Iterator[str]:
    """Name the machine and the versions; say so if there are no results."""
    facts = next((one.run.environment.machine for one in summaries), None)
    if facts is None:
        yield "Not measured yet: `make performance` measures and writes this page.\n"
    else:
        packages = facts.get("packages", {})
        versions = [f"{LIBRARIES[name]} {packages[name]}" for name in BOTH if name in packages]
        yield f"On {'; '.join([words.machine(facts), *versions])}:\n"


def answer(runs: Mapping[tuple[str, str], Summary], cell: str) -> str:
    """Return who is faster at each size with one thread, in a sentence."""
    pairs = {name: pair(runs[name, cell], "best", 1) for name in SIZES if (name, cell) in runs}
    return "; ".join(f"{name}: {words.clause(one)}" for name, one in pairs.items() if one)


def pair(summary: Summary, kind: str, threads: int) -> Comparison | None:
    """Return the comparison of both libraries of a kind with so many threads."""
    return next((one for one in summary.headlines if (one.kind, one.arm.threads) == (kind, threads)), None)


def size_rows(cell: str, summary: Summary) -> Iterator[tuple[str, ...]]:
    """Yield the rows of one run: by threads, the fastest forms, then those as usually written."""
    split, rows = limits(summary), summary.rows
    for threads in sorted({row.arm.threads for row in rows.values() if not row.arm.peer}):
        for kind, title in (("best", "fastest"), ("as_written", "usual")):
            if (one := pair(summary, kind, threads)) is None or one.ratio is None:
                continue
            sides = {rows[entry].arm.library: rows[entry] for entry in (one.entry, one.baseline)}
            numpy, torch = (sides[library] for library in BOTH)
            turned = units.with_interval(one.ratio, one.low, one.high)
            if one.arm.library != NUMPY.name:
                turned = units.with_interval(
                    1 / one.ratio, one.high and 1 / one.high, one.low and 1 / one.low
                )
            faster = {"FASTER": one.arm, "SLOWER": one.baseline_arm}.get(one.verdict)
            verdict = f"{LIBRARIES[faster.library]} is faster" if faster else one.verdict
            held = [held_against(split, side) for side in (numpy, torch)]
            limit = [", ".join(texts) for texts in zip(*held, strict=True)]
            peer = peer_ratio(summary) if kind == "best" and threads == 1 else ""
            yield (cell, str(threads), title, timed(numpy), timed(torch), turned, verdict, *limit, peer)


def timed(row: Row) -> str:
    """Return a form with its median time."""
    return f"{row.arm.variant} {units.duration(row.median_ns)}"


def held_against(split: Limits | None, row: Row) -> tuple[str, str]:
    """Return the time over the lower bound, and the share of the peak rate of products; "-" if unknown."""
    limit = next((one for one in split.entries if one.entry.id == row.entry.id), None) if split else None
    if split is None or limit is None or limit.bound is None:
        return "-", "-"
    return units.ratio(1 / limit.bound.efficiency.estimate), product_share(split, limit)


def product_share(split: Limits, limit: Limit) -> str:
    """Return the rate of a call's products over the library's best rate; "-" if its products are unknown."""
    speeds = next(one for one in split.libraries if one.arm.library == limit.arm.library)
    peak = max(rate.estimate for kernel, rate in speeds.rates.items() if kernel.name == PRODUCT)
    return "-" if limit.count is None else units.percent(limit.count.product_flops / limit.time_ns / peak)


def peer_ratio(summary: Summary) -> str:
    """Return the fastest peer's time over that of the faster library, or that there is none."""
    pairs = [one for one in summary.headlines if one.kind == "peer" and one.ratio is not None]
    if not pairs:
        return "none measured"
    one = max(pairs, key=lambda pair: pair.ratio or 0)
    return f"{one.arm.variant} {units.with_interval(one.ratio, one.low, one.high)}"


def growth(summary: Summary, letter: str, library: str) -> tuple[str, str, str]:
    """Return the slope over all sizes and between the two largest ones, and up to where time is flat."""
    fastest: dict[int, Row] = {}
    for row in (row for made in summary.tables if made.kind != "dispatch" for row in made.rows):
        size = getattr(row.entry.case.shape, letter)
        if row.arm.library != library or row.arm.twin or row.median_ns is None:
            continue
        if size not in fastest or row.median_ns < (fastest[size].median_ns or 0):
            fastest[size] = row
    sizes = sorted(fastest)
    if len(sizes) < 3:
        return "not measured", "-", "-"
    least = fastest[sizes[0]].median_ns or 0
    flat = [size for size in sizes if (fastest[size].median_ns or 0) <= FLAT * least]
    slopes = (slope([fastest[size] for size in some], some) for some in (sizes, sizes[-2:]))
    whole, end = (units.with_interval(one.estimate, *one.limits) for one in slopes)
    return whole, end, f"{letter} = {flat[-1]}"


def slope(rows: Sequence[Row], sizes: Sequence[int]) -> Interval:
    """Return the slope of log time over log size, least squares in each block, with its interval."""
    blocks = set.intersection(*(set(row.outcome.medians) for row in rows))
    logs = [[np.log(row.outcome.medians[block]) for row in rows] for block in sorted(blocks)]
    return rank_interval([float(np.polyfit(np.log(sizes), times, 1)[0]) for times in logs])


def memory_rows(path: Path) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Return the head and the rows of the table of memory."""
    saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    rows = [
        (one["size"], one["cell"], LIBRARIES[one["library"]], f"{all_ - start:.1f} MB", f"{all_:.0f} MB")
        for one in saved
        for start, all_ in [one["peaks"]]
    ]
    return ("size", "cell", "library", "beyond the import", "in all"), rows


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown; without rows, that it was not measured."""
    if not rows:
        return ["Not measured yet."]
    lines = ["| " + " | ".join(map(escape_markdown, line)) + " |" for line in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


if __name__ == "__main__":
    main()
