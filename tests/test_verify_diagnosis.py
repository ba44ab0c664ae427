"""What ``rnnbench verify`` hands on about wrong gradients, and which mistakes it names."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from faults.runs import TESTS
from third_parties.mgu import CELL

import bench
from bench import proof
from bench.api import verify as verb
from bench.api.options import VerifyOptions
from bench.gradients import proved
from bench.gradients.finding import Finding, Kind
from bench.gradients.proved import Choice, findings_by_cell, read_trials
from bench.gradients.published import published
from bench.gradients.trial import Trial
from bench.machine.devices import Device, Devices
from bench.proof import child
from bench.proof import verify as verify_module
from bench.proof.cases import agreement_cases
from bench.proof.child import given_file, make_row
from bench.proof.verify import Job, verify
from bench.workload.catalog import VARIANTS, find
from bench.workload.data import random_batch

MACHINE = Devices((Device("cpu", "cpu", "a processor", None, ("float32", "float64")),), ())
USUAL = ("train_step", "float64", "tanh")
CASES = [
    case
    for case in (*agreement_cases("rnn"), *agreement_cases(CELL))
    if case.data == "random" and case.shape.T <= 50
    if case.task == "gradient" or (case.task, case.dtype, case.activation) == USUAL
    if case.cell == "rnn" or (case.task, case.dtype, case.activation) == ("gradient", "float64", "tanh")
    if case.shape.T <= 7 or (case.cell, case.task, case.dtype) == ("rnn", "gradient", "float64")
]
NAMES = ("cut_short", "updating", "single", "right", "wrong_loss", "copied", "tensors")
SPECS = (*(f"faults.wrong_gradients:{name}" for name in NAMES), "third_parties.mgu:wrong")
FOUND = Finding(Kind.NOT_HANDED_BACK, ("U", "W"), "dh_next is not handed back", "equal to 1e-16")


@pytest.fixture(autouse=True)
def _stand_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where children find ``faults`` and ``third_parties``."""
    monkeypatch.chdir(TESTS)


@pytest.fixture(scope="module")
def read() -> dict[str, dict[Choice, list[Trial]]]:
    """By variant, the trials of its gradients."""
    if find_spec("torch") is None:  # it is not imported here
        pytest.skip("a variant computes with PyTorch")
    read: dict[str, dict[Choice, list[Trial]]] = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(TESTS)
        monkeypatch.setattr(verify_module, "reference_cases", lambda cell: [])  # test_gradients has them
        verify(
            SPECS, ["cpu"], machine=MACHINE, cases=CASES,
            done=lambda job: read.update({job.variant.name: read_trials(job)}),
        )  # fmt: skip
    return read


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Trial], str]]:
    """What was asked for a diagnosis."""
    asked: list[tuple[list[Trial], str]] = []

    def diagnose(trials: Sequence[Trial], cell: str = "") -> list[Finding]:
        asked.append((list(trials), cell))
        return [FOUND]

    monkeypatch.setattr(proved, "diagnose", diagnose)
    return asked


@pytest.mark.parametrize(
    ("name", "activations", "tolerance"),
    [
        ("cut-short", {"tanh", "sigmoid", "relu"}, 1e-10),
        ("updating", {"tanh"}, 1e-10),  # one of its tasks, and fewer cases of it
        ("single", {"tanh", "sigmoid", "relu"}, 1e-4),
    ],
)
def test_trials_of_a_variant_with_a_wrong_gradient_are_of_one_task_in_the_best_dtype(
    name, activations, tolerance, read, asked
) -> None:
    assert findings_by_cell(read[name]) == {"rnn": (FOUND,)}
    [(trials, cell)] = asked
    assert cell == "rnn"
    assert not any("bU" in trial.exact for trial in trials)
    assert {trial.activation for trial in trials} == activations
    steps = {trial.sizes["T"] for trial in trials}
    assert max(steps) == 7
    assert steps >= ({1, 6} if name == "single" else {1, 5})
    for trial in trials:
        assert tolerance / 1e4 < trial.tolerance < tolerance
        assert set(trial.wrong()) == ({"U", "W"} if trial.sizes["T"] > 1 else set())
        assert all(array.dtype == np.float64 for array in trial.given.values())
        assert trial.batch is not None
        assert trial.batch.x.shape == tuple(trial.sizes[letter] for letter in "TBI")


def test_where_only_biases_are_wrong_the_cases_with_biases_speak(read, asked) -> None:
    trials = read["cut-short"]
    right = [replace(trial, given=trial.exact) for trial in trials["rnn", False]]
    assert len(findings_by_cell({**trials, ("rnn", False): right})) == 1
    assert [found for found, _ in asked] == [trials["rnn", True]]
    assert findings_by_cell({("rnn", False): right}) == {}


def test_what_a_variant_left_when_it_crashed_is_not_read(tmp_path) -> None:
    job = Job("mine:it", find("numpy-loop"), "cpu", [], tmp_path, CASES, 1.0)
    given_file(tmp_path, "mine:it", "cpu", 0).write_bytes(b"half of it")
    job.rows[0] = make_row(job.variant, "cpu", CASES[0], [], "crashed", "it fell over")
    assert read_trials(job) == {}


def test_a_row_does_not_depend_on_what_is_kept_for_a_diagnosis(tmp_path, monkeypatch) -> None:
    wanted = ("rnn", "float64", False, 6)
    case = next(one for one in CASES if (one.cell, one.dtype, one.bias, one.shape.T) == wanted)
    batch = random_batch(case)
    batch.save(tmp_path / "inputs0.npz")
    proof.expected(case, batch).save(tmp_path / "expected0.npz")

    def fail(*arguments: object) -> None:
        raise OSError("no space left on device")

    for keeps in (True, False):
        if not keeps:
            monkeypatch.setattr(child, "gradients", fail)
        [row] = child.prove(tmp_path, [case], "numpy-published", "cpu", "0")
        assert row.status in ("known_wrong", "invalid")  # invalid where another library is loaded
        assert row.errors
        [*kept] = tmp_path.glob("given*.npz")
        assert len(kept) == keeps
        for file in kept:
            assert ":" not in given_file(tmp_path, "mine:it", "cuda:0", 0).name
            file.unlink()


def test_nothing_is_kept_where_the_gradient_is_right_or_more_than_it_is_wrong(read) -> None:
    kept = {name for name, trials in read.items() if trials}
    assert kept == {"cut-short", "updating", "single", "copied", "tensors", "mgu-wrong"}


@pytest.mark.parametrize(
    ("name", "kind", "parameters", "section"),
    [
        ("cut-short", Kind.NOT_HANDED_BACK, ("U", "W"), 4),
        ("updating", Kind.NOT_HANDED_BACK, ("U", "W"), 4),
        ("single", Kind.NOT_HANDED_BACK, ("U", "W"), 4),
        ("copied", Kind.PUBLISHED, ("U", "W"), 7),
        ("tensors", Kind.CONSTANT, ("W",), 5),
        ("mgu-wrong", Kind.ZERO, ("Wf",), 0),
    ],
)
def test_the_mistake_is_named(name, kind, parameters, section, read) -> None:
    [findings] = findings_by_cell(read[name]).values()
    finding = findings[0]  # a weight of h_0 = 0 is 0 too where the first step stands for the sum
    assert (finding.kind, finding.parameters, finding.section) == (kind, parameters, section)


def test_every_gradient_that_is_known_to_be_wrong_can_be_named() -> None:
    for variant in VARIANTS:
        if variant.wrong_gradients:
            [found] = [edit for cell in variant.cells for edit in published(cell, bias=False)]
            assert found.kind == Kind.PUBLISHED
    assert list(published("rnn", bias=True)) == list(published("gru", bias=False)) == []


def test_a_users_cell_has_sizes_but_no_batch_that_a_reference_could_be_run_on(read, asked) -> None:
    assert findings_by_cell(read["mgu-wrong"]) == {CELL: (FOUND,)}
    [(trials, cell)] = asked
    assert cell == ""
    assert {trial.batch for trial in trials} == {None}
    assert {trial.sizes["T"] for trial in trials} == {1, 4, 5, 6, 7}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command on this file's devices and on few cases."""
    monkeypatch.setattr(verb, "find_devices", lambda: MACHINE)
    few = [case for case in CASES if case.cell == "rnn" and case.shape.T < 7 and case.activation == "tanh"]
    monkeypatch.setattr(verify_module, "agreement_cases", lambda cell, bias: few)


@pytest.mark.usefixtures("quick")
def test_the_mistake_is_printed_is_in_json_and_shows_in_a_notebook(asked, capsys, monkeypatch) -> None:
    few = [case for case in CASES if (case.cell, case.dtype, case.bias) == ("rnn", "float64", False)]
    monkeypatch.setattr(verify_module, "agreement_cases", lambda *asked: few)
    first = list(verify_module.reference_cases("rnn"))[:1]
    monkeypatch.setattr(verify_module, "reference_cases", lambda cell: first)
    told = "dU and dW are what you get when dh_next is not handed back (equal to 1e-16)"
    options = VerifyOptions(variant=("faults.wrong_gradients:cut_short", "numpy-published"))
    assert verb.main(options) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert f"cut-short: {told} WRONG: cut-short" in text
    assert re.search(rf"numpy-published is wrong .* by no more than [^ ]*\. {re.escape(told)}\. The", text)

    assert verb.main(replace(options, json=True)) == 1
    rows = json.loads(capsys.readouterr().out)
    explained = [row for row in rows if "findings" in row]
    assert all(row["status"] in ("disagrees", "known_wrong") for row in explained)
    assert {row["variant"] for row in explained} == {"cut-short", "numpy-published"}
    assert explained[0]["findings"] == [
        {"kind": "not handed back", "parameters": ["U", "W"], "mistake": "dh_next is not handed back",
         "evidence": "equal to 1e-16", "line": "", "section": 0}
    ]  # fmt: skip

    shown = bench.verify("faults.wrong_gradients:cut_short")
    assert told in repr(shown)
    assert told in shown._repr_html_()
    assert [diagnosis.findings for diagnosis in shown.diagnoses] == [(FOUND,)]


def test_gradients_of_tensors_are_kept_like_those_of_arrays(read) -> None:
    [trials] = read["tensors"].values()
    assert {trial.activation for trial in trials} == {"tanh", "relu"}
    for trial in trials:
        assert np.allclose(trial.given["W"], 2 * trial.exact["W"])
        assert np.allclose(trial.given["U"], trial.exact["U"])
