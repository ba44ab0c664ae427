"""Libraries and a cell from outside, no line of bench changed: proved and timed by real workers."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from declared import small_plan
from faults.runs import GOOD_ARMS
from played import of_kind, run
from reports import write_run
from third_parties.gru import GRU

from bench.cli.main import main
from bench.machine.devices import Device, Devices
from bench.machine.errors import UserError
from bench.machine.libraries import library
from bench.proof import gradcheck
from bench.proof.child import REFERENCE
from bench.proof.verify import verify
from bench.records.journal import load_run
from bench.records.record import AnyRecord, Burst, OwnLibrary, Worker
from bench.training import load_result
from bench.workload import catalog
from bench.workload.case import TASKS, Case, Shape
from bench.workload.cell import find_cell
from bench.workload.own import load_object

HERE = Path(__file__).parent
LISTS, FROZEN = "third_parties.toy:lists", "third_parties.frozen:arrays"
GRU_NUMPY, GRU_TORCH, GRU_WRONG = (
    "third_parties.gru:numpy", "third_parties.gru_torch:autograd", "third_parties.gru:wrong",
)  # fmt: skip
CELL = "third_parties.gru:GRU"
MACHINE = Devices((Device("cpu", "cpu", "a processor", None, ("float32", "float64")),), ())
RIGHT = dict.fromkeys(TASKS, "ok")
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


def timed(records: list[AnyRecord]) -> set[str]:
    """The arms that took a value in block 1."""
    return {burst.entry.partition(" | ")[2] for burst in of_kind(records, Burst) if burst.block == 1}


def report(folder: Path) -> str:
    """The page of a run, drawn in a process that finds none of the modules from outside."""
    code = "import sys; from bench.cli.main import main; sys.exit(main(['report', sys.argv[1]]))"
    command = [sys.executable, "-c", code, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("variants", "cell", "statuses"),
    [
        ((LISTS, FROZEN), "rnn", {("toy-lists", "lists"): RIGHT, ("frozen-arrays", "frozen"): RIGHT}),
        (
            (GRU_NUMPY, GRU_TORCH, GRU_WRONG),
            CELL,
            {
                ("gru-numpy", "numpy"): RIGHT,
                ("gru-torch", "torch"): RIGHT,
                ("gru-wrong", "numpy"): RIGHT | dict.fromkeys(("gradient", "train_step"), "disagrees"),
            },
        ),
    ],
)
def test_what_comes_from_outside_is_proved_and_a_wrong_gradient_of_it_is_not(
    variants: tuple[str, ...], cell: str, statuses: dict[tuple[str, str], dict[str, str]]
) -> None:
    pytest.importorskip("torch")
    rows = verify(variants, ["cpu"], machine=MACHINE, cases=cases(cell))
    proved: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        proved.setdefault((row.variant, row.library), {})[row.task] = row.status
    proved.pop((REFERENCE, "numpy"))
    assert proved == statuses
    for row in rows:  # the rounding of central differences depends on the cell and on the BLAS
        if row.variant == REFERENCE:
            assert set(row.errors) == set(gradcheck.WAYS)
            assert row.errors["complex step"] <= gradcheck.COMPLEX_TOLERANCE
            assert row.errors["central differences"] <= 10 * gradcheck.CENTRAL_TOLERANCE


def test_libraries_from_outside_are_planned_timed_and_kept_with_their_names_and_colours(
    tmp_path: Path,
) -> None:
    plan = small_plan(LISTS, FROZEN, dtype="float64", task=("train_step",))
    assert {one.name: one for one in plan.libraries} == SHOWN
    end, records = run(plan)
    assert end.status == "complete", end.reason
    assert timed(records) == {*GOOD_ARMS, "toy-lists@cpu x1", "frozen-arrays@cpu x1"}
    assert {one.name for one in of_kind(records, Worker)} >= {"toy-lists@cpu x1", "frozen-arrays@cpu x1"}
    folder = write_run(tmp_path / "run", [plan, *records])
    assert load_run(folder).plan.libraries == plan.libraries
    page = report(folder)
    assert all(shown in page for shown in ("toy-lists", "Lists", "#117733", "#7fd49b", "frozen-arrays"))


def test_a_cell_from_outside_is_planned_against_its_own_baseline_timed_and_shown(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    plan = small_plan(GRU_TORCH, task=("train_step",))
    assert {entry.case.cell for group in plan.groups for entry in group.entries} == {CELL}
    assert [arm.variant for arm in plan.arms] == ["gru-numpy", "gru-numpy", "gru-torch"]
    end, records = run(plan)
    assert end.status == "complete", end.reason
    assert timed(records) == {"gru-numpy@cpu x1", "gru-numpy@cpu x1 twin", "gru-torch@cpu x1"}
    folder = write_run(tmp_path / "run", [plan, *records])
    page = report(folder)
    assert all(f"Gradient of {name}" in page for name in GRU.parameters)


def test_variants_of_two_cells_are_not_compared() -> None:
    with pytest.raises(UserError, match=r"third_parties.gru:GRU, which no run compares"):
        catalog.cell_of(["numpy-loop", GRU_NUMPY])
    case = cases()[0]
    reason = catalog.find(GRU_NUMPY).unsupported(case, "cpu")
    assert reason == f"gru-numpy does not support cell rnn (it does: {CELL})"


@pytest.mark.parametrize(
    ("find", "spec", "refusal"),
    [
        (
            find_cell,
            "third_parties.nowhere:GRU",
            "cannot load the cell .*No module named 'third_parties.nowhere'",
        ),
        (find_cell, "third_parties.gru:forward", "'third_parties.gru:forward' is no cell: it must be"),
        (find_cell, "lstm", "no cell 'lstm'; there are: rnn; or module:object for your own"),
        (
            find_cell,
            "third_parties.odd:TAKEN",
            "no parameter of a cell can be called loss; choose another name",
        ),
        (catalog.find, "third_parties.odd:bright", "a colour must be written as #117733, not 'red'"),
        (catalog.find, "third_parties.odd:nameless", r"label of a library must be names, not 'two\\nlines'"),
        (catalog.find, "third_parties.odd:lost", "'third_parties.gru:GRU' is no library: it must be"),
        (catalog.find, "third_parties.odd:celled", "cell must be a name or module:object, not int"),
        (catalog.find, "third_parties.odd:taken", "the library 'numpy' is declared already, as NumPy"),
    ],
)
def test_a_cell_or_a_library_that_cannot_be_used_gets_one_clear_line(
    find: Callable[[str], object], spec: str, refusal: str
) -> None:
    with pytest.raises(UserError, match=refusal):
        find(spec)


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
