"""SPEED: the default run measures its whole plan in time, a quick one within 20 s; what a turn costs."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from acceptance.peak import PRINT_PEAK
from acceptance.plans import HEADLINE, STEP, make_plan, measure
from acceptance.validity import Recorder

from bench.measure import runner
from bench.measure.block import WorkerProcess
from bench.measure.messages import Turn
from bench.measure.plan import ROUNDS
from bench.records.journal import load_run

DEFAULT_S, QUICK_S, LEAST_BLOCKS, MOST_MB = 110.0, 20.0, 9, 300.0
SWITCH_MS = 1.0
RUN = f"""
import sys
from bench.cli.main import main
code = main(["run", "--out", *sys.argv[1:]])
{PRINT_PEAK}
sys.exit(code)
"""


def run_of(folder: Path, *options: str) -> tuple[float, float]:
    """``rnnbench run`` in a fresh process: seconds from its start to its end, peak of its memory in MB."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", RUN, str(folder), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return time.perf_counter() - begun, float(done.stdout.split()[-1])


def test_the_default_plan_is_whole_within_110_s(validity: Recorder, tmp_path: Path) -> None:
    seconds, _ = run_of(tmp_path / "run")  # torch.compile's cache is the run's own: it begins empty
    run = load_run(tmp_path / "run")
    assert run.decision is not None
    dropped = [*run.decision.dropped_groups, *run.decision.dropped_arms]
    blocks = max(burst.block for burst in run.bursts)
    kept = not dropped and blocks >= LEAST_BLOCKS and seconds <= DEFAULT_S and run.state == "complete"
    validity.record(
        "SPEED-default",
        claim="rnnbench run without options, from the start of the program to its report",
        promised=f"nothing left out, at least {LEAST_BLOCKS} blocks, within {DEFAULT_S:.0f} s",
        measured=f"{len(dropped)} left out, {blocks} blocks of {run.decision.rounds} rounds, {seconds:.0f} s",
        kept=kept,
    )
    assert kept


def test_a_quick_run_is_over_within_20_s(validity: Recorder, tmp_path: Path) -> None:
    seconds, megabytes = run_of(tmp_path / "run", "--quick")
    kept = seconds <= QUICK_S and megabytes < MOST_MB
    validity.record(
        "SPEED-quick",
        claim="rnnbench run --quick, from the start of the program to its report; its main process's memory",
        promised=f"within {QUICK_S:.0f} s, under {MOST_MB:.0f} MB",
        measured=f"{seconds:.1f} s, {megabytes:.0f} MB",
        kept=kept,
    )
    assert kept


def switches_ms(folder: Path) -> dict[str, float]:
    """What a turn takes beside re-warming and its value, by entry, the median: block 0 times re-warming."""
    spent: dict[str, list[float]] = {}
    ask = WorkerProcess.ask

    def timed(self: WorkerProcess, job: Any, expected: Any) -> Any:
        begun = time.perf_counter_ns()
        reply = ask(self, job, expected)
        elapsed_ns = time.perf_counter_ns() - begun
        if isinstance(job, Turn) and job.rewarm_calls is None:
            own_ns = elapsed_ns - reply.elapsed_ns - sum(reply.rewarm_ns)
            spent.setdefault(job.key, []).append(own_ns / 1e6)
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WorkerProcess, "ask", timed)
        patch.setattr(runner, "ROUNDS_OF_BLOCK_0", ROUNDS)
        measure(make_plan(HEADLINE, blocks=1, seed=0, case=STEP), folder)
    return {entry.partition(" | ")[2]: median(times) for entry, times in spent.items()}


def test_a_switch_costs_less_than_a_millisecond(validity: Recorder, tmp_path: Path) -> None:
    found = switches_ms(tmp_path)
    kept = len(found) == len(HEADLINE) + 1 and max(found.values()) < SWITCH_MS
    validity.record(
        "SPEED-switch",
        claim="a turn without re-warming and value: signals, pipe, feeding, reset, the result's check",
        promised=f"under {SWITCH_MS:g} ms for each of the headline arms (median)",
        measured=", ".join(f"{arm} {ms:.2f} ms" for arm, ms in found.items()),
        kept=kept,
    )
    assert kept
