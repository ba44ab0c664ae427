"""Libraries and a cell from outside, no line of bench changed: proved and timed by real workers."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from declared import declare, small_plan
from faults.runs import GOOD_ARMS
from played import of_kind, run
from reports import write_run
from third_parties.mgu import MGU

from bench.api.options import TrainOptions
from bench.api.train import make_settings
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
from bench.training.setup import prepare
from bench.workload import catalog
from bench.workload.case import TASKS, Case, Shape
from bench.workload.cell import find_cell
from bench.workload.naming import cell_options
from bench.workload.own import load_object

HERE = Path(__file__).parent
LISTS, FROZEN = "third_parties.toy:lists", "third_parties.frozen:arrays"
MGU_NUMPY, MGU_TORCH, MGU_WRONG = (
    "third_parties.mgu:numpy", "third_parties.mgu_torch:autograd", "third_parties.mgu:wrong",
)  # fmt: skip
CELL = "third_parties.mgu:MGU"
GRU_BIASED, GRU_SILENT = "third_parties.own_gru:biased", "third_parties.own_gru:silent"
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
            (MGU_NUMPY, MGU_TORCH, MGU_WRONG),
            CELL,
            {
                ("mgu-numpy", "numpy"): RIGHT,
                ("mgu-torch", "torch"): RIGHT,
                ("mgu-wrong", "numpy"): RIGHT | dict.fromkeys(("gradient", "train_step"), "disagrees"),
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


def test_a_variant_from_outside_of_a_built_in_cell_has_biases_only_if_it_says_so() -> None:
    with_biases = [replace(case, bias=True) for case in cases("gru")]
    rows = verify((GRU_BIASED, GRU_SILENT), ["cpu"], machine=MACHINE, cases=with_biases)
    said = {(row.variant, row.status, row.reason) for row in rows if row.variant != REFERENCE}
    reason = "a cell with biases; set its attribute bias = True if it does, or give --no-bias"
    assert said == {
        ("own-biased", "ok", ""),
        ("own-silent", "missing", f"own-silent does not support {reason}"),
    }
    assert catalog.cell_settings([GRU_SILENT], cell=None, bias=None)["cell"] == "gru"
    with pytest.raises(UserError, match=r"--bias: the cell third_parties.mgu:MGU has no biases; leave it"):
        catalog.cell_settings([MGU_NUMPY], cell=None, bias=True)


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
    plan = small_plan(MGU_TORCH, task=("train_step",))
    assert {entry.case.cell for group in plan.groups for entry in group.entries} == {CELL}
    assert [arm.variant for arm in plan.arms] == ["mgu-numpy", "mgu-numpy", "mgu-torch"]
    end, records = run(plan)
    assert end.status == "complete", end.reason
    assert timed(records) == {"mgu-numpy@cpu x1", "mgu-numpy@cpu x1 twin", "mgu-torch@cpu x1"}
    folder = write_run(tmp_path / "run", [plan, *records])
    page = report(folder)
    assert all(f"Gradient of {name}" in page for name in MGU.parameters)


def test_a_cell_from_outside_has_its_own_activation_and_its_biases_are_always_asked_for() -> None:
    plan = declare(variant=("third_parties.odd:even",))
    assert {entry.case.activation for group in plan.groups for entry in group.entries} == {"relu"}
    prepared = prepare(make_settings(TrainOptions(variant=("third_parties.odd:relu",))))
    assert prepared.case.activation == "relu"
    for bias, option in ((False, "--no-bias"), (True, "--bias")):  # what is usual for it is not known
        assert cell_options(replace(prepared.case, bias=bias)) == f" --cell third_parties.odd:RELU {option}"


def test_variants_of_two_cells_are_not_compared() -> None:
    with pytest.raises(UserError, match=r"third_parties.mgu:MGU, which no run compares"):
        catalog.cell_of(["numpy-loop", MGU_NUMPY])
    case = cases()[0]
    reason = catalog.find(MGU_NUMPY).unsupported(case, "cpu")
    assert reason == f"mgu-numpy does not support cell rnn (it does: {CELL})"


@pytest.mark.parametrize(
    ("find", "spec", "refusal"),
    [
        (
            find_cell,
            "third_parties.nowhere:MGU",
            "cannot load the cell .*No module named 'third_parties.nowhere'",
        ),
        (find_cell, "third_parties.mgu:forward", "'third_parties.mgu:forward' is no cell: it must be"),
        (find_cell, "transformer", "no cell 'transformer'; there are: rnn, gru, lstm; or module:object"),
        (
            find_cell,
            "third_parties.odd:TAKEN",
            "no parameter of a cell can be called loss; choose another name",
        ),
        (find_cell, "third_parties.odd:TWICE", "V is a parameter and a bias; choose another name"),
        (find_cell, "third_parties.odd:UNSIZED", "sizes of parameters are letters of TBIHOG, not 'Q'"),
        (find_cell, "third_parties.odd:STILL", "activations must be one or more of tanh, sigmoid, relu"),
        (find_cell, "third_parties.odd:STRANGE", "activations must be one or more of tanh, sigmoid, relu"),
        (catalog.find, "third_parties.odd:bright", "a colour must be written as #117733, not 'red'"),
        (catalog.find, "third_parties.odd:nameless", r"label of a library must be names, not 'two\\nlines'"),
        (catalog.find, "third_parties.odd:lost", "'third_parties.mgu:MGU' is no library: it must be"),
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


@pytest.mark.parametrize(("spec", "parameters"), [(MGU_NUMPY, tuple(MGU.parameters)), (LISTS, tuple("UWV"))])
def test_what_comes_from_outside_is_trained_and_read_again(
    tmp_path: Path, spec: str, parameters: tuple[str, ...]
) -> None:
    small = ["--dtype=float64", "--epochs=2", "--hidden=4", "--batch=6", "--window=2", "--horizon=2"]
    assert main(["train", "--variant", spec, *small, "--out", str(tmp_path / "trained")]) == 0
    (trained,) = load_result(tmp_path / "trained").runs
    assert set(trained.params) == set(parameters)
    assert trained.losses[-1] < trained.losses[0]
