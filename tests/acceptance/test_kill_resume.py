"""F3: killed at 50 random moments, or cut off among a block's values, and resumed, a run is as without."""

import random
from pathlib import Path

from faults.kills import killed_and_resumed, problems, uninterrupted
from faults.runs import JOURNAL, finish, records, start_program

from bench.records.journal import read_journal
from bench.records.record import Burst

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
        claim=f"{RUNS} runs, each killed (SIGKILL) at a random moment, some once more, then resumed",
        promised="every burst of an uninterrupted run exactly once, in its order, with one number of calls",
        measured=f"{kills} kills, {len(found)} differences",
        kept=not found and kills >= RUNS,
    )
    assert found == []
    assert kills >= RUNS


def test_a_block_that_was_cut_off_among_its_values_counts_once(tmp_path: Path, validity) -> None:
    whole = uninterrupted(tmp_path / "whole")
    lines = (whole / JOURNAL).read_bytes().splitlines(keepends=True)
    blocks = [line["block"] if line["kind"] == "burst" else None for line in records(whole)]
    places = [n for n in range(1, len(lines)) if blocks[n] and blocks[n - 1] == blocks[n]]
    found, seen = [], 0
    for place in places:
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / JOURNAL).write_bytes(b"".join(lines[:place]))
        code, errors = finish(start_program("run", "--resume", str(folder)))
        assert code == 0, errors
        found += [f"cut after {place} lines: {problem}" for problem in problems(folder, whole)]
        journal, _ = read_journal(folder / JOURNAL)  # what the cut block had measured is in there twice
        seen += bool(problems(folder, whole, bursts=[one for one in journal if isinstance(one, Burst)]))
    validity.record(
        "F3-cut",
        claim=f"a run that was cut off between two values of a block, at each of {len(places)} places",
        promised="as above",
        measured=f"{len(found)} differences",
        kept=not found,
    )
    validity.record(
        "F3-mutant",
        claim="caught: a mutant that counts what the cut block had measured",
        promised=f"differences in all {len(places)}",
        measured=f"in {seen}",
        kept=seen == len(places),
    )
    assert found == []
    assert seen == len(places) > 0
