"""F1, F2: a run that is hit at more moments than CI has time for leaves no process, and a journal to read."""

from pathlib import Path

import pytest
from faults.hits import (
    CTRL_C,
    HANG_UP,
    TERM,
    TO_GROUP,
    TO_PROCESS,
    Hit,
    at_random,
    check_hit,
    check_hit_while_drawing,
    check_second_ctrl_c,
)

HITS = [
    *at_random(1, 10, CTRL_C, TO_GROUP),
    *at_random(2, 6, TERM, TO_PROCESS),
    *at_random(3, 2, TERM, TO_GROUP),
    *at_random(4, 2, HANG_UP, TO_PROCESS),
]


@pytest.mark.parametrize("hit", HITS)
def test_a_signal_at_any_moment_ends_run_and_workers_and_keeps_the_journal(tmp_path: Path, hit: Hit) -> None:
    check_hit(tmp_path, hit)


@pytest.mark.parametrize("hit", at_random(5, 4, CTRL_C, TO_GROUP))
def test_a_second_ctrl_c_ends_it_too(tmp_path: Path, hit: Hit) -> None:
    check_second_ctrl_c(tmp_path, hit.lines, hit.seconds)


@pytest.mark.parametrize(("number", "seconds"), [(CTRL_C, 0.3), (TERM, 0.05), (TERM, 0.8)])
def test_a_signal_while_the_report_is_drawn_harms_nothing_that_was_measured(
    tmp_path: Path, number: int, seconds: float
) -> None:
    check_hit_while_drawing(tmp_path, number, seconds)
