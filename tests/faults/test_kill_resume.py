"""F3: a run that was killed outright is completed by ``--resume``, as if nothing had happened."""

import os
import random
from pathlib import Path

import pytest

from bench.records.journal import load_run
from faults.kills import BLOCKS, killed_and_resumed, problems, uninterrupted
from faults.runs import JOURNAL, SMALL, finish, records, start, start_program, wait_for_lines, wait_until_gone

TWICE = 5  # the seed of a run that is killed twice, unless it is over by then


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run without an accident."""
    return uninterrupted(tmp_path_factory.mktemp("whole"))


def test_killed_twice_and_resumed_a_run_has_every_burst_once(tmp_path: Path, whole: Path) -> None:
    """Acceptance has fifty such runs, at other moments."""
    assert killed_and_resumed(tmp_path, random.Random(TWICE)) >= 1
    assert problems(tmp_path, whole) == []


def test_what_was_lost_or_repeated_would_be_seen(tmp_path: Path, whole: Path) -> None:
    def damaged(change) -> list[str]:
        run = load_run(whole)
        return problems(whole, whole, bursts=change(list(run.bursts)))

    assert damaged(lambda bursts: bursts) == []
    assert damaged(lambda bursts: bursts[:-1])
    assert damaged(lambda bursts: [*bursts, bursts[-1]])
    assert damaged(lambda bursts: [*bursts[:-2], bursts[-1], bursts[-2]])


def test_a_run_that_is_complete_is_left_alone(whole: Path) -> None:
    before = (whole / JOURNAL).read_bytes()
    code, errors = finish(start_program("run", "--resume", str(whole)))
    assert code in (0, 2), errors
    assert "Traceback" not in errors
    assert (whole / JOURNAL).read_bytes() == before


def test_there_is_nothing_to_resume_where_no_run_was(tmp_path: Path) -> None:
    code, errors = finish(start_program("run", "--resume", str(tmp_path)))
    assert code == 2
    assert "Traceback" not in errors
    assert not (tmp_path / JOURNAL).exists()


def test_an_interrupted_run_is_resumed_too(tmp_path: Path, whole: Path) -> None:
    running = start(tmp_path, "--blocks", str(BLOCKS))
    killed_and_resumed(tmp_path, random.Random(9), running=running, politely=True)
    assert problems(tmp_path, whole) == []


def test_two_at_once_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    """F9: the first goes on, the second is told; when the first is dead, nothing of it is in the way."""
    running = start(tmp_path, "--blocks", "500")
    wait_for_lines(running, tmp_path, 4)
    for second in (["run", "--resume", str(tmp_path)], ["run", *SMALL, "--out", str(tmp_path)]):
        code, errors = finish(start_program(*second))
        assert code == 2, errors
        assert errors.count("\n") == 1, errors
    assert running.poll() is None
    running.kill()
    finish(running)
    wait_until_gone(running.pid)
    going_on = start_program("run", "--resume", str(tmp_path))
    wait_for_lines(going_on, tmp_path, len(records(tmp_path)) + 4)
    assert going_on.poll() is None
    going_on.terminate()
    assert finish(going_on)[0] == 143
    assert load_run(tmp_path).state == "interrupted"


@pytest.mark.parametrize("harm", ["deleted", "cut short"])
def test_a_journal_that_is_harmed_while_it_is_written_ends_the_run(tmp_path: Path, harm: str) -> None:
    running = start(tmp_path, "--blocks", "200", "--budget", "10m")
    wait_for_lines(running, tmp_path, 6)
    journal = tmp_path / JOURNAL
    if harm == "deleted":
        journal.unlink()
    else:
        os.truncate(journal, 100)
    code, errors = finish(running)
    assert code == 2
    assert errors.count(f"journal.jsonl was {harm}") == 1
    assert "start anew, with another --out" in errors
    assert "Traceback" not in errors
    assert wait_until_gone(running.pid) == []
