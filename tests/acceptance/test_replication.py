"""T17: the headline pair at other hours. Every run of this test appends one replication to a file.

The last five on the same machine, with the same libraries, are held against each other: the ratios of two
replications should differ by no more than their intervals say together.
"""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from acceptance.validity import Recorder, describe_machine, write_atomically

from bench.analysis.verdict import judge_run
from bench.machine.host import utc_now
from bench.records.journal import load_run
from bench.records.record import SCHEMA

NAME = "validity-replications.json"
BLOCKS, REPLICATIONS, PAIRS = 10, 5, 9  # so many of the ten pairs
Replication = dict[str, Any]


def replicate(folder: Path) -> Replication:
    """Measure numpy-batched against torch-layer, primer case, one thread, with the command itself."""
    command = [
        "run",
        "--variant",
        "torch-layer",
        "--blocks",
        str(BLOCKS),
        "--threads",
        "1",
        "--out",
        str(folder),
    ]
    started = utc_now()
    subprocess.run([sys.executable, "-m", "bench", *command], check=True, capture_output=True, timeout=300)
    headline = next(one for one in judge_run(load_run(folder)).headlines if one.kind == "as_written")
    numbers = {name: getattr(headline, name) for name in ("ratio", "low", "high", "verdict")}
    return {"utc": started, **numbers, "machine": describe_machine() | {"schema": SCHEMA}}


def append(path: Path, replication: Replication) -> list[Replication]:
    """Add one to the file; return those of the same machine and libraries, the latest last."""
    all_of_them = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    all_of_them.append(replication)
    write_atomically(path, json.dumps(all_of_them, indent=1, allow_nan=False) + "\n")
    return [one for one in all_of_them if one["machine"] == replication["machine"]]


def agree(one: Replication, other: Replication) -> bool:
    """Whether the logs of two ratios are as near to each other as their intervals say together."""
    half_widths = [math.log(found["high"] / found["low"]) / 2 for found in (one, other)]
    return abs(math.log(one["ratio"] / other["ratio"])) <= math.hypot(*half_widths)


def agreeing(replications: Sequence[Replication]) -> int:
    """How many of the pairs agree."""
    return sum(agree(*pair) for pair in combinations(replications, 2))


def upside_down(replication: Replication) -> Replication:
    """The mutant: the baseline over the entry."""
    low, high = 1 / replication["high"], 1 / replication["low"]
    return replication | {"ratio": 1 / replication["ratio"], "low": low, "high": high}


def hours_apart(replications: Sequence[Replication]) -> list[float]:
    """From each to the next."""
    times = [datetime.fromisoformat(one["utc"]) for one in replications]
    return [(later - time).total_seconds() / 3600 for time, later in pairwise(times)]


def test_the_headline_is_the_same_at_other_hours(
    validity: Recorder, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = request.config.getoption("--validity") / NAME
    last = append(path, replicate(tmp_path / "run"))[-REPLICATIONS:]
    if len(last) < REPLICATIONS:  # the rows on the page are those of the last time that there were enough
        pytest.skip(f"{len(last)} of {REPLICATIONS} replications so far; run this once more at another hour")
    found = agreeing(last)
    pairs = math.comb(len(last), 2)
    ratios = ", ".join(f"{one['ratio']:.3f} [{one['low']:.3f}, {one['high']:.3f}]" for one in last)
    hours = ", ".join(f"{hours:.2g}" for hours in hours_apart(last))
    validity.record(
        "T17",
        claim=f"torch-layer over numpy-batched, {BLOCKS} blocks, {REPLICATIONS} times at other hours",
        promised=f"{PAIRS} of {math.comb(REPLICATIONS, 2)} pairs of ratios within their joint intervals",
        measured=f"{found} of {pairs}: {ratios}; hours apart: {hours}",
        kept=found >= PAIRS,
    )

    wrong = agreeing([upside_down(last[0]), *last[1:]])
    validity.record(
        "T17-mutant",
        claim="caught: one replication of the five upside down",
        promised=f"fewer than {PAIRS} pairs",
        measured=f"{wrong} of {pairs}",
        kept=wrong < PAIRS,
    )
    assert found >= PAIRS
    assert wrong < PAIRS
