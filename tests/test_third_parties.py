"""Libraries and a cell from outside, no line of bench changed: proved and timed by real workers."""

import subprocess
import sys
from pathlib import Path

import pytest
from played import of_kind, run, small_plan
from reports import write_run
from third_parties.gru import GRU

from bench.cli.main import main
from bench.machine.devices import Device, Devices
from bench.machine.errors import UserError
from bench.machine.libraries import library
from bench.proof import gradcheck
from bench.proof.verify import verify
from bench.records.journal import load_run
from bench.records.record import Burst, OwnLibrary, Worker
from bench.training import load_result
from bench.workload import catalog, data
from bench.workload.case import TASKS, Case, Shape
from bench.workload.cell import find_cell
from bench.workload.own_object import load_object

HERE = Path(__file__).parent
LISTS, FROZEN = "third_parties.toy:lists", "third_parties.frozen:arrays"
GRU_NUMPY, GRU_TORCH, GRU_WRONG = (
    "third_parties.gru:numpy", "third_parties.gru_torch:autograd", "third_parties.gru:wrong",
)  # fmt: skip
CELL = "third_parties.gru:GRU"
FOUND = Devices((Device("cpu", "cpu", "a processor", None, ("float32", "float64")),), ())
SMALL = Shape(T=4, B=3, I=2, H=5, O=3)
SHOWN = {
    "lists": OwnLibrary("lists", "Lists", "#117733", "#7fd49b"),
    "frozen": OwnLibrary("frozen", "Frozen", "#882255", "#d98cb3"),
}


@pytest.fixture(autouse=True)
def _stand_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody whose modules are found from where they stand."""
    monkeypatch.chdir(HERE)


def cases(cell: str = "rnn") -> list[Case]:
    return [
        Case(task, SMALL, "positional", "float64", "tanh", "random", delta=0.5, cell=cell) for task in TASKS
    ]


def report(folder: Path) -> str:
    """The page of a run, drawn in a process that finds none of the modules from outside."""
    code = "import sys; from bench.cli.main import main; sys.exit(main(['report', sys.argv[1]]))"
    command = [sys.executable, "-c", code, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_library_and_a_style_from_outside_are_proved() -> None:
    rows = verify([LISTS, FROZEN], ["cpu"], found=FOUND, cases=cases())
    assert {
        (row.variant, row.library, row.task, row.status) for row in rows if row.variant != "reference"
    } == {
        (variant, name, task, "ok")
        for variant, name in (("toy-lists", "lists"), ("frozen-arrays", "frozen"))
        for task in TASKS
    }


def test_a_cell_from_outside_is_proved_in_both_libraries_and_a_wrong_gradient_of_it_is_not() -> None:
    pytest.importorskip("torch")
    rows = verify([GRU_NUMPY, GRU_TORCH, GRU_WRONG], ["cpu"], found=FOUND, cases=cases(CELL))
    assert {(row.variant, row.task, row.status) for row in rows if row.variant != "reference"} == {
        *(("gru-numpy", task, "ok") for task in TASKS),
        *(("gru-torch", task, "ok") for task in TASKS),
        ("gru-wrong", "forward", "ok"),
        ("gru-wrong", "gradient", "disagrees"),
        ("gru-wrong", "train_step", "disagrees"),
    }
    reference = [row for row in rows if row.variant == "reference"]
    assert reference
    for row in reference:  # the rounding of central differences depends on the cell and on the BLAS
        assert set(row.errors) == set(gradcheck.WAYS)
        assert row.errors["complex step"] <= gradcheck.COMPLEX_TOLERANCE
        assert row.errors["central differences"] <= 10 * gradcheck.CENTRAL_TOLERANCE


def test_the_reference_of_the_cell_is_the_derivative_of_its_loss() -> None:
    case = cases(CELL)[1]
    batch = data.make(case)
    _, grads = GRU.reference().loss_and_grads(batch.params, batch.x, batch.y, delta=case.delta)
    steps = gradcheck.complex_step(case, batch)
    assert all(abs(grads[name] - steps[name]).max() < 1e-12 for name in GRU.parameters)


def test_libraries_from_outside_are_planned_timed_and_kept_with_their_names_and_colours(
    tmp_path: Path,
) -> None:
    plan = small_plan(LISTS, FROZEN, dtype="float64", tasks=("train_step",), rounds=3)
    assert {one.name: one for one in plan.libraries} == SHOWN
    end, records = run(plan)
    assert end.status == "complete", end.reason
    timed = {burst.entry.partition(" | ")[2] for burst in of_kind(records, Burst) if burst.block == 1}
    assert timed == {
        "numpy-batched@cpu x1", "numpy-batched@cpu x1 twin", "toy-lists@cpu x1", "frozen-arrays@cpu x1",
    }  # fmt: skip
    assert {one.name for one in of_kind(records, Worker)} >= {"toy-lists@cpu x1", "frozen-arrays@cpu x1"}
    folder = write_run(tmp_path / "run", [plan, *records])
    assert load_run(folder).plan.libraries == plan.libraries
    code = (
        "import pathlib, sys; from bench.records.journal import load_run; "
        "from bench.machine.libraries import library; "
        "load_run(pathlib.Path(sys.argv[1])); toy = library('lists'); print(toy.label, toy.colour); "
        "sys.exit(any('third_parties' in name for name in sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)
    assert (told.returncode, told.stdout.strip()) == (0, "Lists #117733"), told.stderr


def test_a_cell_from_outside_is_planned_against_its_own_baseline_timed_and_shown(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    plan = small_plan(GRU_TORCH, tasks=("train_step",), rounds=3)
    assert {entry.case.cell for group in plan.groups for entry in group.entries} == {CELL}
    assert [arm.variant for arm in plan.arms] == ["gru-numpy", "gru-numpy", "gru-torch"]
    end, records = run(plan)
    assert end.status == "complete", end.reason
    timed = {burst.entry.partition(" | ")[2] for burst in of_kind(records, Burst) if burst.block == 1}
    assert timed == {"gru-numpy@cpu x1", "gru-numpy@cpu x1 twin", "gru-torch@cpu x1"}
    folder = write_run(tmp_path / "run", [plan, *records])
    page = report(folder)
    assert all(f"Gradient of {name}" in page for name in GRU.parameters)


def test_the_report_of_a_run_from_outside_is_drawn_without_its_modules(tmp_path: Path) -> None:
    plan = small_plan(LISTS, dtype="float64", tasks=("train_step",), rounds=3)
    _, records = run(plan)
    folder = write_run(tmp_path / "run", [plan, *records])
    page = report(folder)
    assert all(shown in page for shown in ("toy-lists", "Lists", "#117733", "#7fd49b"))


def test_variants_of_two_cells_are_not_compared() -> None:
    with pytest.raises(UserError, match=r"third_parties.gru:GRU, which no run compares"):
        catalog.cell_of(["numpy-loop", GRU_NUMPY])
    case = cases()[0]
    reason = catalog.find(GRU_NUMPY).unsupported(case, "cpu")
    assert reason == f"gru-numpy does not support cell rnn (it does: {CELL})"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("third_parties.nowhere:GRU", r"cannot load the cell .*No module named 'third_parties.nowhere'"),
        ("third_parties.gru:forward", r"'third_parties.gru:forward' is no cell: it must be"),
        ("lstm", r"no cell 'lstm'; there are: rnn; or module:object for your own"),
        ("third_parties.odd:TAKEN", r"no parameter of a cell can be called loss; choose another name"),
    ],
)
def test_a_cell_that_cannot_be_used_gets_one_clear_line(spec: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        find_cell(spec)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("third_parties.odd:bright", r"a colour must be written as #117733, not 'red'"),
        ("third_parties.odd:nameless", r"name and label of a library must be names, not 'two\\nlines'"),
        ("third_parties.odd:lost", r"'third_parties.gru:GRU' is no library: it must be"),
        ("third_parties.odd:celled", r"cell must be a name or module:object, not int"),
        ("third_parties.odd:taken", r"the library 'numpy' is declared already, as NumPy"),
    ],
)
def test_a_variant_whose_library_or_cell_cannot_be_used_gets_one_clear_line(spec: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        catalog.find(spec)


def test_a_library_that_nobody_declared_is_called_by_its_name() -> None:
    assert library("nobodys").label == "nobodys"
    assert load_object("third_parties.toy:TOY", "library", lambda own: own).label == "Lists"


@pytest.mark.parametrize(("spec", "parameters"), [(GRU_NUMPY, tuple(GRU.parameters)), (LISTS, tuple("UWV"))])
def test_what_comes_from_outside_is_trained_and_read_again(
    tmp_path: Path, spec: str, parameters: tuple[str, ...]
) -> None:
    small = ["--dtype=float64", "--epochs=2", "--hidden=4", "--batch=6", "--window=2", "--horizon=2"]
    assert main(["train", "--variant", spec, *small, "--out", str(tmp_path / "trained")]) == 0
    (trained,) = load_result(tmp_path / "trained").runs
    assert set(trained.params) == set(parameters)
    assert trained.losses[-1] < trained.losses[0]
