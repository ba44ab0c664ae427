"""``rnnbench grade``: points by result and T, findings, one line for what went wrong, and its files."""

import errno
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from submissions import RIGHT, RIGHT_RNN, write_helpers

from bench.api.grade import main
from bench.api.options import GradeOptions
from bench.gradients import assignment, student, submission
from bench.gradients.assignment import SHAPES, Grade, grade
from bench.gradients.finding import Finding, Kind
from bench.gradients.submission import Answer, Outcome
from bench.gradients.trial import Trial
from bench.machine.errors import UserError
from bench.workload.cell import CELLS
from bench.workload.data import Batch
from bench.workload.options import memory

GRADIENTS_LOST = {name: {1, 2, 3, 6} for name in ("dU", "dV", "dbU", "dbW", "dbV")} | {"dW": {2, 3, 6}}
PRINTED = "32 of 32 points."
RETURN = "return np.mean(e**2) / 2, grads"
ALL = {"y_hat", "loss", "dU", "dW", "dV", "dbU", "dbW", "dbV"}
GRADIENTS = ALL - {"y_hat", "loss"}


def handed_in(folder: Path, text: str) -> Path:
    path = folder / "mine.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The student's functions are called in this process, by what the child calls them with."""

    def run(batches: list[Batch], settings: student.Settings) -> Outcome:
        module = ModuleType(student.MODULE)
        path = Path(os.fsdecode(settings.submission))
        exec(compile(path.read_text(encoding="utf-8"), path, "exec"), vars(module))
        replies = [student.answer(module, batch, settings) for batch in batches]
        answers = [Answer(arrays, reply.problems, reply.notes) for arrays, reply in replies]
        return Outcome(answers, "", PRINTED)

    monkeypatch.setattr(submission, "run", run)


def graded(folder: Path, text: str, cell: str = "rnn") -> Grade:
    """The grade of a file with this text."""
    return grade(handed_in(folder, text), cell, time_s=60.0, memory_bytes=512 << 20)


def lost(result: Grade) -> dict[str, set[int]]:
    """Result -> the lengths at which it got no point."""
    marks = [mark for mark in result.marks if not mark.points]
    return {mark.result: {one.steps for one in marks if one.result == mark.result} for mark in marks}


# points


def test_a_right_submission_gets_all_points_in_a_process_of_its_own(tmp_path: Path) -> None:
    write_helpers(tmp_path, "lstm")  # test_teaching has answers for each cell
    result = graded(tmp_path, RIGHT, "lstm")
    assert (result.points, result.most, result.problems, result.findings) == (32, 32, [], [])
    assert result.exit_code == 0
    assert not list(tmp_path.rglob("*.pyc"))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ('dh = da @ params["W"]', "dh = 0 * da", 
         {"dU": {2, 3, 6}, "dW": {3, 6}, "dbU": {2, 3, 6}, "dbW": {2, 3, 6}}),
        ('grads["V"], grads["bV"] = dy_hat.T @ hs[-1], dy_hat.sum(axis=0)',
         'grads["V"], grads["bV"] = dy_hat.T @ hs[-1], dy_hat[-1]', {"dbV": {1, 3, 6}}),
        (RETURN, "return np.mean(e**2), grads", {"loss": {1, 2, 3, 6}}),
        (RETURN, RETURN.replace("grads", "{k: g.astype('f') for k, g in grads.items()}"),
         GRADIENTS_LOST),
        (RETURN, RETURN.replace("grads", "{k: g * (1 + 1e-9) for k, g in grads.items()}"),
         GRADIENTS_LOST),
        (RETURN, RETURN.replace("grads", "{k: g * (1 + 1e-12) for k, g in grads.items()}"), {}),
    ],
)  # fmt: skip
def test_each_wrong_result_costs_its_own_points_alone(
    tmp_path: Path, right: str, wrong: str, expected: dict[str, set[int]]
) -> None:
    result = graded(tmp_path, RIGHT_RNN.replace(right, wrong))
    assert lost(result) == expected
    assert result.points == result.most - sum(map(len, expected.values()))
    assert result.exit_code == (1 if expected else 0)


def test_no_two_sizes_of_a_case_are_equal() -> None:
    for shape in SHAPES:
        sizes = [shape.T, shape.B, shape.I, shape.H, shape.O]
        assert len(set(sizes)) == len(sizes)


# what went wrong


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("right", "wrong", "said", "without_points"),
    [
        (RETURN, "pass", "loss_and_grads: it returns None, not (loss, grads)", ALL - {"y_hat"}),
        (RETURN, "return grads", "it returns a dict, not (loss, grads)", ALL - {"y_hat"}),
        (RETURN, "return 0.5, list(grads)", "the gradients are a list: it must", ALL - {"y_hat"}),
        (RETURN, f"del grads['bW']; {RETURN}", "no gradient of bW, but of U, W, V, bU, bV: ", {"dbW"}),
        (RETURN, RETURN.replace("grads", "{f'd{k}': g for k, g in grads.items()}"),
         "no gradient of U, W, V and 3 more, but of dU, dW, dV, dbU, dbW, dbV: name each", GRADIENTS),
        (RETURN, f"grads['V'] = None; {RETURN}", "T = 1: loss_and_grads: dV is None: it must be", {"dV"}),
        (RETURN, f"grads['V'] = grads['V'].tolist(); {RETURN}", "", set()),
        (RETURN, f"grads['U'] = grads['U'].T; {RETURN}", "has shape (2, 5), not (5, 2): transpose", {"dU"}),
        (RETURN, f"grads['U'] = grads['U'] + 0j; {RETURN}", "dU is of dtype complex128: it must be", {"dU"}),
        (RETURN, f"grads['U'] = grads['U'].astype(object); {RETURN}", "dU is of dtype object: it", {"dU"}),
        (RETURN, f"grads['U'] = np.ones(10**7); {RETURN}", "dU has shape (10000000,), not", {"dU"}),
        (RETURN, f"grads['U'][0] = np.nan; {RETURN}", "dU holds NaN or infinity", {"dU"}),
        (RETURN, "return e**2, grads", "the loss has shape (4, 3): it must return one real number", {"loss"}),
        (RETURN, "raise ValueError('no')", "loss_and_grads: ValueError: no (mine.py, line", ALL - {"y_hat"}),
        (RETURN, "raise SystemExit", "ends its process, leave that out: SystemExit", ALL - {"y_hat"}),
        (RETURN, "raise EOFError", "nobody answers", ALL - {"y_hat"}),
        ("def forward(params, x)", "def _forward(params, x)", "forward: the file does not define", ALL),
        ("def forward(params, x)", "def forward(params, x, y)", "cannot call forward: missing", ALL),
        (RETURN, RETURN.replace("grads", "{k: g.astype('f') for k, g in grads.items()}"),
         "float32 comes back for dU, dW, dV, dbU, dbW and dbV: compute in float64", GRADIENTS),
        ("np.tanh", "np.sin", "T = 1, 2, 3 and 6: mend the forward pass first", ALL),
        (RETURN, f"params['W'] *= 2; x[:] = 0; {RETURN}", "writes into its inputs (W and x): compute", set()),
        (RETURN, f"params.clear(); {RETURN}", "writes into its inputs (U, W, V and 3 more)", set()),
        (RETURN, f"grads['U'] = grads['U'].view(type('Mine', (np.ndarray,), dict())); {RETURN}", "", set()),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_in_one_line_and_costs_only_its_own_points(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    right: str,
    wrong: str,
    said: str,
    without_points: set[str],
) -> None:
    monkeypatch.setattr(assignment, "diagnose", lambda trials, cell: [])
    result = graded(tmp_path, RIGHT_RNN.replace(right, wrong))
    assert lost(result).keys() == without_points
    assert len(result.problems) <= 2
    assert said in "".join(result.problems)
    assert "\n" not in "".join(result.problems)


def test_how_a_gradient_gets_its_shape_is_not_said_of_y_hat() -> None:
    with pytest.raises(UserError, match=r"y_hat has shape \(2, 4, 3\), not \(4, 3\)$"):
        student.as_array({"y_hat": np.ones((2, 4, 3))}, "y_hat", (4, 3), {})


# findings


@pytest.mark.usefixtures("here")
def test_wrong_gradients_go_to_the_diagnosis_beside_the_exact_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[list[Trial]]()
    monkeypatch.setattr(assignment, "diagnose", lambda trials, cell: asked.append(trials) or [])
    graded(tmp_path, RIGHT_RNN.replace(RETURN, f"grads['U'] *= 2; grads['W'] = 0; {RETURN}"))
    graded(tmp_path, RIGHT_RNN.replace("np.tanh", "np.sin"))  # all of its gradients are of another net
    (trials,) = asked
    assert [trial.sizes["T"] for trial in trials] == [1, 2, 3, 6]
    for trial in trials:
        assert set(trial.exact) == set(trial.given) == {"U", "V", "bU", "bW", "bV"}
        assert trial.wrong() == ("U",)
        assert trial.batch is not None
        np.testing.assert_allclose(trial.given["U"], 2 * trial.exact["U"])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("cell", CELLS)
def test_the_expected_results_are_those_of_the_loss_that_is_asked_for(cell: str) -> None:
    for case in assignment.cases(cell):
        batch = assignment.random_batch(case)
        right = assignment.expected(batch, cell)
        assert set(right) == ALL
        assert np.isclose(right["loss"], np.mean((right["y_hat"] - batch.y) ** 2) / 2, rtol=1e-14)
        assert {name: right[f"d{name}"].shape for name in batch.params} == {
            name: array.shape for name, array in batch.params.items()
        }


# the command


def run_verb(*, submission: Path, **options: Any) -> int:
    return main(GradeOptions(submission=str(submission), assignment="rnn", **options))


@pytest.mark.usefixtures("here")
def test_the_same_grade_in_the_terminal_as_json_and_for_gradescope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding(Kind.CONSTANT, ("U",), "it is taken twice", "2.000 at every T", line="dU += x")
    monkeypatch.setattr(assignment, "diagnose", lambda trials, cell: [finding])
    path = handed_in(tmp_path, RIGHT_RNN.replace(RETURN, f"grads['U'] *= 2; grads['V'] = None; {RETURN}"))
    said = [
        "T = 1: loss_and_grads: dV is None: it must be an array of floats, of shape (3, 5); zeros if nothing "
        "depends on it.",
        "dU is what you get when it is taken twice (2.000 at every T; the reference has `dU += x`).",
        "24 of 32 points.",
    ]

    assert run_verb(submission=path) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[-len(said) :] == said
    assert printed[-len(said) - 3 : -len(said)] == (told := ["It printed, at the end:", PRINTED, ""])
    rows = [line.split() for line in printed]
    assert ["dU", "100%", "100%", "100%", "100%", "0"] in rows
    assert ["dV", *"––––", "0"] in rows
    assert ["together", "24", "of", "32"] in rows

    assert run_verb(submission=path, json=True, gradescope=str(tmp_path / "results.json")) == 1
    record = json.loads(capsys.readouterr().out)
    assert (record["submission"], record["assignment"], record["points"], record["most"]) == (
        "mine.py",
        "rnn",
        24,
        32,
    )
    assert record["findings"][0]["parameters"] == ["U"]
    assert len(record["marks"]) == 32
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    unsolved = "dU is what you get when it is taken twice (2.000 at every T)."
    assert (results["score"], results["output"].splitlines()) == (24, [*told, said[0], unsolved, said[2]])
    tests = {test["name"]: test for test in results["tests"]}
    assert sum(test["score"] for test in results["tests"]) == 24
    assert sum(test["max_score"] for test in results["tests"]) == 32
    assert {name for name, test in tests.items() if test["status"] == "failed"} == {"dU", "dV"}
    assert tests["dU"]["output"].startswith("T = 1: wrong, error 100%\nT = 2: wrong")
    assert tests["dV"]["output"].startswith("T = 1: loss_and_grads: dV is None: it must")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.py", "there is no file "),
        ("folder.py", "there is no file "),
        ("mine.ipynb", "is no Python file"),
        (os.fsdecode(b"mine\xe9.ipynb"), "is no Python file"),
    ],
)
def test_a_missing_file_is_wrong_usage_and_the_student_reads_why(
    tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "mine.ipynb").write_text("{}", encoding="utf-8")
    out = tmp_path / "results.json"
    with pytest.raises(UserError, match=said):
        run_verb(submission=tmp_path / name, gradescope=str(out))
    results = json.loads(out.read_text(encoding="utf-8"))
    assert results["score"] == 0
    assert said in results["output"]


def test_a_results_file_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such folder"):
        run_verb(
            submission=handed_in(tmp_path, RIGHT_RNN), gradescope=str(tmp_path / "nowhere" / "results.json")
        )


def test_the_results_replace_no_submission(tmp_path: Path) -> None:
    path = handed_in(tmp_path, RIGHT_RNN)
    with pytest.raises(UserError, match="--gradescope would replace"):
        run_verb(submission=path, gradescope=str(path))
    assert path.read_text(encoding="utf-8") == RIGHT_RNN


def test_whatever_fails_the_results_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(submission, "run", fail)
    out = tmp_path / "results.json"
    with pytest.raises(OSError, match="No space"):
        run_verb(submission=handed_in(tmp_path, RIGHT_RNN), gradescope=str(out))
    assert "No space left" in json.loads(out.read_text(encoding="utf-8"))["output"]


@pytest.mark.parametrize(("text", "amount"), [("512MiB", 2**29), ("1GiB", 2**30), ("1.5GB", 1_500_000_000)])
def test_an_amount_of_memory(text: str, amount: int) -> None:
    assert memory(text) == amount


@pytest.mark.parametrize(
    "text", ["", "1", "GiB", "1 GiB", "-1GiB", "nanGiB", "infGiB", "1MiB", "1025GiB", "9e9GiB"]
)
def test_what_is_no_amount_of_memory(text: str) -> None:
    with pytest.raises(UserError, match="no amount of memory from 64MiB"):
        memory(text)
