"""F3: killed at 50 random moments and resumed, a run equals one without an accident."""

import random
from pathlib import Path

from faults.kills import killed_and_resumed, problems, uninterrupted

RUNS = 50


def test_nothing_is_lost_by_killing_a_run_at_any_moment(tmp_path: Path, validity) -> None:
    whole = uninterrupted(tmp_path / "whole")
    kills, found = 0, []
    for seed in range(RUNS):
        folder = tmp_path / str(seed)
        kills += killed_and_resumed(folder, random.Random(seed))
        found += [f"seed {seed}: {problem}" for problem in problems(folder, whole)]
    validity.record(
        "F3",
        claim=f"a run killed (SIGKILL) at {RUNS} random moments, some of them twice, and resumed",
        promised="every burst of an uninterrupted run exactly once, in its order, with one number of calls",
        measured=f"{kills} kills, {len(found)} differences",
        kept=not found and kills >= RUNS,
    )
    assert found == []
    assert kills >= RUNS
