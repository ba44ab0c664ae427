"""F3: killed at 50 random moments and resumed, a run equals one without an accident."""

import random
from pathlib import Path

from faults.kills import killed_and_resumed, problems, uninterrupted
from faults.runs import JOURNAL

from bench.results.reading import read_journal
from bench.results.record import Burst

RUNS = 50
CAUGHT = 5


def test_nothing_is_lost_by_killing_a_run_at_any_moment(tmp_path: Path, validity) -> None:
    whole = uninterrupted(tmp_path / "whole")
    kills, found, seen = 0, [], 0
    for seed in range(RUNS):
        folder = tmp_path / str(seed)
        kills += killed_and_resumed(folder, random.Random(seed))
        found += [f"seed {seed}: {problem}" for problem in problems(folder, whole)]
        records, _ = read_journal(folder / JOURNAL)  # what a cut block had measured is in there twice
        seen += bool(problems(folder, whole, bursts=[one for one in records if isinstance(one, Burst)]))
    validity.record(
        "F3",
        claim=f"{RUNS} runs, each killed (SIGKILL) at a random moment, some once more, then resumed",
        promised="every burst of an uninterrupted run exactly once, in its order, with one number of calls",
        measured=f"{kills} kills, {len(found)} differences",
        kept=not found and kills >= RUNS,
    )
    validity.record(
        "F3-mutant",
        claim="the same journals, read by a mutant that counts what a cut block had measured",
        promised=f"caught in {CAUGHT} journals or more: some were killed before a block had values",
        measured=f"caught in {seen} of {RUNS} journals",
        kept=seen >= CAUGHT,
    )
    assert found == []
    assert kills >= RUNS
    assert seen >= CAUGHT
