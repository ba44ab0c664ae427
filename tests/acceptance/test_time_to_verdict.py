"""How long it takes until a ratio is known to 2 %: by a run of ours, and by pyperf, on the same pair.

The pair is numpy-batched against torch-rnn, the tutorial's training step in float32 and one thread. Both
programs run whole, as they come, in alternating turns. Ours measures the baseline twice, since a run does.
pyperf measures one after the other, 20 processes of three values each; the interval is Welch's, from the
means of its processes.
"""

import datetime
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from acceptance.validity import Recorder

from bench.answer.comparison import log_ratios
from bench.answer.outcome import outcomes
from bench.answer.statistics import signed_rank_interval
from bench.host.environ import worker_environment
from bench.results.journal import FILE_NAME, load_run
from bench.results.record import Burst

SCRIPT = Path(__file__).parent / "tools" / "pyperf_train_step.py"
PAIR = ("numpy-batched", "torch-rnn")
TARGET = 0.02  # half-width of the 95 % interval of the log ratio
BLOCKS = 20
TURNS = ("ours", "pyperf", "pyperf", "ours")
POLL_S = 0.02

Step = tuple[float, float]  # seconds since the start, half-width by then


@dataclass(frozen=True, slots=True)
class Turn:
    """One whole run of a program: the half-width after each block, or each process of a benchmark."""

    steps: list[Step]
    seconds: float  # until the program ended
    ratio: float

    def reached(self) -> int | None:
        """The number, from 0, of the step from which the half-width stays within the target."""
        late = [number for number, (_, half_width) in enumerate(self.steps) if not half_width <= TARGET]
        first = late[-1] + 1 if late else 0
        return first if first < len(self.steps) else None


def our_turn(folder: Path) -> Turn:
    """``rnnbench run`` on the pair; the journal's lines are timed as they appear."""
    command = [sys.executable, "-m", "bench", "run", "--variant", PAIR[1], "--blocks", str(BLOCKS)]
    begun = time.perf_counter()
    child = subprocess.Popen([*command, "--out", str(folder)], stdout=subprocess.DEVNULL)
    arrivals: list[float] = []  # of the journal's lines
    while child.poll() is None:
        written = (folder / FILE_NAME).read_bytes().count(b"\n") if (folder / FILE_NAME).exists() else 0
        arrivals += [time.perf_counter() - begun] * (written - len(arrivals))
        time.sleep(POLL_S)
    seconds = time.perf_counter() - begun
    assert child.returncode in (0, 1), "the run did not come to its end"

    run = load_run(folder)
    found = outcomes(run)
    entry = next(one for one in run.entries.values() if run.arms[one.arm].variant == PAIR[1])
    assert entry.baseline is not None
    logs = log_ratios(found[entry.id], found[entry.baseline])
    kinds = [json.loads(line)["record"] for line in (folder / FILE_NAME).read_bytes().splitlines()]
    arrivals += [seconds] * (len(kinds) - len(arrivals))  # what was written after the last look
    ends = {  # of each block, when both are there
        block: max(
            arrivals[number]
            for number, record in enumerate(kinds)
            if record["kind"] == Burst.__name__.lower()
            and record["block"] == block
            and record["entry"] in (entry.id, entry.baseline)
        )
        for block in sorted(found[entry.id].medians.keys() & found[entry.baseline].medians.keys())
    }
    steps: list[Step] = []
    for count, end in enumerate(ends.values(), start=1):
        interval = signed_rank_interval(logs[:count])
        steps.append((end, (interval.high - interval.low) / 2))
    return Turn(steps, seconds, math.exp(signed_rank_interval(logs).estimate))


def pyperf_turn(folder: Path) -> Turn:
    """pyperf's default run, first of the one, then of the other; a step is one more process of both."""
    folder.mkdir()
    environment = worker_environment(1, keep=(), compiled=str(folder)).variables
    means: list[list[float]] = []  # by benchmark, the mean of each process
    ends: list[list[float]] = []  # by benchmark, seconds until each process had ended
    begun = time.perf_counter()
    for variant in PAIR:
        saved = folder / f"{variant}.json"
        started = datetime.datetime.now()
        command = [
            sys.executable,
            str(SCRIPT),
            "--variant",
            variant,
            "--copy-env",
            "--quiet",
            "-o",
            str(saved),
        ]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, timeout=300)
        runs = [run for run in measured_runs(json.loads(saved.read_text())) if run["values"]]
        means.append([fmean(run["values"]) for run in runs])
        dates = [datetime.datetime.fromisoformat(run["metadata"]["date"]) for run in runs]
        ends.append([(date - started).total_seconds() for date in dates])
    seconds = time.perf_counter() - begun
    steps = [
        (sum(end[count - 1] for end in ends), welch_half_width(*(one[:count] for one in means)))
        for count in range(2, min(map(len, means)) + 1)
    ]
    return Turn(steps, seconds, fmean(means[1]) / fmean(means[0]))


def measured_runs(saved: Any) -> list[Any]:
    """The processes that took values; the first of them only calibrated."""
    return [run for run in saved["benchmarks"][0]["runs"] if "values" in run]


def welch_half_width(one: Sequence[float], other: Sequence[float]) -> float:
    """Half of the 95 % interval of the difference of mean logs; variances may differ."""
    from scipy.stats import t

    logs = [[math.log(x) for x in side] for side in (one, other)]
    parts = [variance(side) / len(side) for side in logs]
    total = sum(parts)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, logs, strict=True))
    return float(t.ppf(0.975, freedom) * math.sqrt(total))


def test_seconds_until_the_ratio_is_known_to_2_percent(tmp_path: Path, validity: Recorder) -> None:
    turn = {"ours": our_turn, "pyperf": pyperf_turn}
    done = [(program, turn[program](tmp_path / f"{n}-{program}")) for n, program in enumerate(TURNS)]
    rows = []
    for program, made in done:
        step = made.reached()
        last = f"{100 * made.steps[-1][1]:.1f} %"
        if step is None:
            until = f"not within {made.seconds:.0f} s (half-width {last})"
        else:
            what = f"{step + 1} blocks" if program == "ours" else f"{step + 2} processes each"
            until = f"{made.steps[step][0]:.0f} s ({what})"
        rows.append(
            (NAMES[program], until, f"{made.seconds:.0f} s", last, f"{made.ratio:.3f}", TRUST[program])
        )
    validity.table("TIME-verdict", TITLE, TEXT, HEADER, rows)
    ours = [made for program, made in done if program == "ours"]
    kept = all(made.reached() is not None for made in ours)
    times = [f"{made.steps[step][0]:.0f} s" for made in ours if (step := made.reached()) is not None]
    validity.record(
        "TIME-ours",
        claim=f"numpy-batched against torch-rnn is known to 2 % within {BLOCKS} blocks of a run",
        promised=f"in all of {len(ours)} runs",
        measured=", ".join(times) or "in none",
        kept=kept,
    )
    assert kept


def test_a_half_width_counts_only_once_it_stays_narrow() -> None:
    def reached(*half_widths: float) -> int | None:
        return Turn([(float(n), width) for n, width in enumerate(half_widths)], 9.0, 1.0).reached()

    assert reached(math.inf, 0.03, 0.02, 0.01) == 2
    assert reached(0.01, 0.03, 0.015) == 2
    assert reached(0.01, 0.01) == 0
    assert reached(0.01, 0.03) is None
    assert reached(0.01, math.nan) is None


def test_the_welch_interval_is_scipys() -> None:
    from scipy.stats import ttest_ind

    one, other = [1.0, 1.1, 1.05, 0.98], [2.0, 2.4, 2.1, 2.2, 2.05]
    interval = ttest_ind(*([math.log(x) for x in side] for side in (one, other)), equal_var=False)
    limits = interval.confidence_interval(0.95)
    assert math.isclose(welch_half_width(one, other), (limits.high - limits.low) / 2, rel_tol=1e-12)


NAMES = {
    "ours": f"rnnbench run, {BLOCKS} blocks",
    "pyperf": "pyperf, 20 processes × 3 values, one benchmark after the other",
}
TRUST = {"ours": "see T1 and T2", "pyperf": "7 % without drift, 31 to 58 % with"}
TITLE = "Seconds until the ratio is known to 2 %"
TEXT = (
    "numpy-batched against torch-rnn, the tutorial's training step, float32, one thread: seconds from the "
    "start of the program until the half-width of the 95 % interval of the log ratio is 2 % or less and "
    "stays so; whole programs, in alternating turns. pyperf's interval is made from the means of its "
    "processes and takes them for independent: of what changes between its two benchmarks it knows nothing. "
    "The last column is how often such a design finds a difference that is none, in simulation, where one "
    "time in twenty would be right."
)
HEADER = ("program", "until ± 2 %", "whole run", "half-width at the end", "torch ÷ numpy", "false positives")
