"""T8: the same 2 ms of hashing under our clock and under four other tools, in interleaved rounds.

A round starts a fresh process for each tool, in shuffled order, so that what changes with time, or with how
a process happens to lie in memory, meets all of them alike.
"""

import json
import math
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest
from acceptance.validity import Recorder

from bench.analysis.statistics import rank_interval

TOOLS = Path(__file__).parent / "tools"
ROUNDS = 10
MARGIN = 0.05
OTHERS = {
    "pyperf": "pyperf bench_func",
    "torch": "torch.utils.benchmark blocked_autorange",
    "timeit": "timeit",
    "pytest": "pytest-benchmark pedantic",
}
Rounds = dict[str, list[float]]  # by tool, the seconds of a call in each round


def seconds(tool: str, folder: Path) -> float:
    """What a tool says in a fresh process, per call."""
    saved = folder / f"{tool}.json"
    saved.unlink(missing_ok=True)
    if tool == "pyperf":
        call(TOOLS / "pyperf_work.py", "-p1", "-n5", "-w1", "--quiet", "-o", saved)
        runs = json.loads(saved.read_text())["benchmarks"][0]["runs"]
        return median(value for run in runs for value in run.get("values", ()))
    if tool == "pytest":
        call(
            *("-m", "pytest", TOOLS / "pytest_work.py", "-q", "-p", "no:cacheprovider"),
            f"--benchmark-json={saved}",
        )
        return float(json.loads(saved.read_text())["benchmarks"][0]["stats"]["median"])
    return float(call(TOOLS / "time_work.py", tool))


def call(*arguments: str | Path) -> str:
    """Run Python with these arguments; return what it prints."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return done.stdout


def agree(theirs: Sequence[float], ours: Sequence[float]) -> tuple[bool, str]:
    """Whether the ratio's interval holds 1 or lies within the margin at 90 %; and the ratio in words."""
    logs = [math.log(one / other) for one, other in zip(theirs, ours, strict=True)]
    interval, narrow = rank_interval(logs), rank_interval(logs, confidence=0.90)
    equivalent = max(abs(narrow.low), abs(narrow.high)) <= math.log1p(MARGIN)
    ratio, low, high = (math.exp(x) for x in (interval.estimate, interval.low, interval.high))
    return interval.contains(0) or equivalent, f"{ratio:.4f} [{low:.4f}, {high:.4f}]"


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Rounds:
    folder, order = tmp_path_factory.mktemp("tools"), random.Random(8)
    names = ["ours", "forgetful", *OTHERS]
    found: Rounds = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in order.sample(names, len(names)):
            found[name].append(seconds(name, folder))
    return found


@pytest.mark.parametrize("tool", OTHERS)
def test_another_tool_finds_the_same_time(tool: str, rounds: Rounds, validity: Recorder) -> None:
    kept, ratio = agree(rounds[tool], rounds["ours"])
    validity.record(
        f"T8-{tool}",
        claim=f"2 ms of hashing under {OTHERS[tool]}, over what our clock says ({ROUNDS} interleaved rounds)",
        promised="the 95 % interval of the ratio holds 1, or that of 90 % lies within 5 %",
        measured=ratio,
        kept=kept,
    )
    assert kept


def test_a_harness_that_forgets_half_of_the_calls_agrees_with_no_tool(
    rounds: Rounds, validity: Recorder
) -> None:
    found = {tool: agree(rounds[tool], rounds["forgetful"]) for tool in OTHERS}
    kept = not any(agrees for agrees, _ in found.values())
    validity.record(
        "T8-mutant",
        claim="the mutant (a value that makes half of the calls it counts)",
        promised="disagrees with every tool",
        measured="; ".join(f"{tool} {ratio}" for tool, (_, ratio) in found.items()),
        kept=kept,
    )
    assert kept
