"""``rnnbench grade``: points by parameter and T, and one line for what went wrong."""

from pathlib import Path

import pytest
from submissions import RIGHT, RIGHT_RNN, write_helpers

from bench.api.grade import main
from bench.api.options import GradeOptions
from bench.gradients.assignment import Grade, grade
from bench.workload.cell import CELLS

TIME_S, MEMORY_BYTES = 60.0, 512 << 20


def graded(folder: Path, text: str, cell: str = "rnn", *, time_s: float = TIME_S) -> Grade:
    """The grade of a file with this text."""
    path = folder / "mine.py"
    path.write_text(text, encoding="utf-8")
    return grade(path, cell, time_s=time_s, memory_bytes=MEMORY_BYTES)


@pytest.mark.parametrize("cell", CELLS)
def test_a_right_submission_gets_all_points(tmp_path: Path, cell: str) -> None:
    write_helpers(tmp_path, cell)
    result = graded(tmp_path, RIGHT, cell)
    assert (result.points, result.most, result.problems, result.findings) == (32, 32, [], [])
    assert result.exit_code == 0


def test_a_wrong_gradient_costs_its_own_points_alone(tmp_path: Path) -> None:
    result = graded(tmp_path, RIGHT_RNN.replace('dh = da @ params["W"]', "dh = 0 * da"))
    lost = {(mark.result, mark.steps) for mark in result.marks if not mark.points}
    assert lost == {(name, steps) for name in ("dU", "dW", "dbU", "dbW") for steps in (2, 3, 6)} - {("dW", 2)}
    assert (result.points, result.exit_code) == (32 - len(lost), 1)


def test_the_terminal_shows_points_and_the_exit_code_tells_full_points(tmp_path: Path, capsys) -> None:
    path = tmp_path / "mine.py"
    path.write_text(RIGHT_RNN, encoding="utf-8")
    assert main(GradeOptions(submission=str(path), assignment="rnn")) == 0
    assert "32 of 32 points." in capsys.readouterr().out
