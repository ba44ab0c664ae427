"""What ``rnnbench verify`` hands on about wrong gradients, and which mistakes it names."""

from collections.abc import Sequence

import numpy as np
import pytest
from faults.runs import TESTS
from third_parties.mgu import CELL

from bench.gradients import proved
from bench.gradients.finding import Finding, Kind
from bench.gradients.proved import diagnose_proved
from bench.gradients.trial import Trial
from bench.machine.devices import Device, Devices
from bench.proof.cases import agreement_cases
from bench.proof.given import Given
from bench.proof.verify import verify
from bench.workload.case import Case

MACHINE = Devices((Device("cpu", "cpu", "a processor", None, ("float32", "float64")),), ())
CASES = [
    case
    for case in (*agreement_cases("rnn"), *agreement_cases(CELL))
    if case.data == "random" and case.task != "forward" and case.shape.T <= 50
]
FOUND = Finding(Kind.NOT_HANDED_BACK, ("U", "W"), "dh_next is not handed back", "equal to 1e-16")


@pytest.fixture(autouse=True)
def _stand_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where children find ``faults`` and ``third_parties``."""
    monkeypatch.chdir(TESTS)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Trial], str]]:
    """What was asked for a diagnosis."""
    asked: list[tuple[list[Trial], str]] = []

    def diagnose(trials: Sequence[Trial], cell: str = "") -> list[Finding]:
        asked.append((list(trials), cell))
        return [FOUND]

    monkeypatch.setattr(proved, "diagnose", diagnose)
    return asked


def given_by(name: str, cases: Sequence[Case] = CASES) -> list[Given]:
    found: list[list[Given]] = []
    verify([name], ["cpu"], machine=MACHINE, cases=cases, found=found.append)
    return found[0] if found else []


@pytest.mark.parametrize(
    ("name", "tasks", "dtype"),
    [
        ("cut_short", {"gradient"}, "float64"),
        ("updating", {"train_step"}, "float64"),
        ("single", {"gradient"}, "float32"),
    ],
)
def test_trials_of_a_variant_with_a_wrong_gradient_are_of_one_task_in_the_best_dtype(
    name, tasks, dtype, asked
) -> None:
    given = given_by(f"faults.wrong_gradients:{name}")
    assert {(one.case.task, one.case.dtype) for one in given} == {(*tasks, dtype)}
    assert [diagnosis.findings for diagnosis in diagnose_proved(given)] == [(FOUND,)]
    [(trials, cell)] = asked
    assert cell == "rnn"
    assert not any("bU" in trial.exact for trial in trials)
    assert {(trial.sizes["T"], trial.wrong()) for trial in trials if trial.sizes["T"] < 50} >= {
        (7, ("U", "W"))
    }
    steps = {trial.sizes["T"] for trial in trials}
    assert max(steps) == 7
    assert steps >= ({1, 5} if dtype == "float64" else {1, 6})
    for trial in trials:
        assert set(trial.wrong()) == ({"U", "W"} if trial.sizes["T"] > 1 else set())
        assert all(array.dtype == np.float64 for array in trial.given.values())
        assert trial.batch is not None
        assert trial.batch.x.shape == tuple(trial.sizes[letter] for letter in "TBI")


@pytest.mark.parametrize("name", ["faults.wrong_gradients:right", "faults.wrong_gradients:wrong_loss"])
def test_nothing_is_kept_where_the_gradient_is_right_or_more_than_it_is_wrong(name) -> None:
    assert given_by(name) == []
