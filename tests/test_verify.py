"""``rnnbench verify``: what it proves in which process, what it prints, and how it ends."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from faults.runs import TESTS

from bench.api import verify as verb
from bench.api.options import VerifyOptions
from bench.machine.devices import Absent, Device, Devices
from bench.machine.errors import UserError
from bench.machine.signals import OutOfTime
from bench.proof import verify as verify_module
from bench.proof.cases import reference_cases
from bench.proof.child import REFERENCE, proof_failed
from bench.proof.verify import verify
from bench.workload.case import Case, Shape
from bench.workload.catalog import find

CPU = Device("cpu", "cpu", "a processor", None, ("float32", "float64"))
MACHINE = Devices((CPU,), (Absent("cuda", "no such card"),))
NO_TORCH = Devices((CPU,), (), missing={"torch": "not installed"})
HALF = Devices((Device("cpu", "cpu", "a processor", None, ("float32",)),), ())
CASES = [
    Case(task, Shape(T=3, B=4, I=2, H=5, O=3), "positional", dtype, "tanh", "random")
    for task in ("gradient", "forward")
    for dtype in ("float32", "float64")
]
KEYS = {
    *("variant", "library", "device", "dtype", "task", "layout", "activation", "shape"),
    *("errors", "tolerances", "status", "cell", "bias"),
}


@pytest.fixture(autouse=True)
def _stand_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where children find ``faults.variants``."""
    monkeypatch.chdir(TESTS)


# what is proved


def test_rows_of_the_reference_come_first_then_those_of_each_variant_as_asked_for() -> None:
    progress: list[tuple[int, int]] = []
    rows = verify(
        ["numpy-published", "faults.variants:quiet"],
        ["cpu"],
        machine=MACHINE,
        cases=CASES,
        progress=lambda done, total: progress.append((done, total)),
    )
    statuses = {(row.variant, row.task): (row.status, row.reason) for row in rows}
    assert list(statuses.items()) == [
        ((REFERENCE, "gradient"), ("ok", "")),
        (("numpy-published", "gradient"), ("known_wrong", "")),
        (("numpy-published", "forward"), ("ok", "")),
        (("quiet", "gradient"), ("ok", "")),
        (("quiet", "forward"), ("ok", "")),
    ]
    assert progress[-1] == (8, 8)
    assert not any(map(proof_failed, rows))


def test_each_variant_that_fails_does_so_alone_and_says_how() -> None:
    specs = [f"faults.variants:{name}" for name in ("wrong", "exiting", "device_lost", "quiet")]
    rows = verify(specs, ["cpu"], machine=MACHINE, cases=CASES)
    outcomes = {row.variant: (row.status, row.reason) for row in rows if row.task == "gradient"}
    status, reason = outcomes.pop("wrong")
    assert status == "disagrees"
    assert "dW is off by" in reason
    lost = outcomes.pop("device-lost")
    assert lost[0] == "crashed"
    assert re.fullmatch(
        r"RuntimeError: device error: .* \(faults/variants.py, line \d+, in _device_lost\)", lost[1]
    )
    assert outcomes == {
        REFERENCE: ("ok", ""),
        "exiting": ("crashed", "ended with exit code 3 before its reply: giving up"),
        "quiet": ("ok", ""),
    }
    assert Counter(row.variant for row in rows)["exiting"] == len(CASES)


@pytest.mark.parametrize(
    ("variant", "devices", "reason"),
    [
        ("torch-layer", NO_TORCH, "PyTorch cannot be used: not installed"),
        ("torch-layer", MACHINE, "torch-layer does not support activation sigmoid (it does: tanh, relu)"),
        ("numpy-loop", HALF, "cpu does not support dtype float64"),
        ("numpy-loop", MACHINE, None),
    ],
)
def test_what_is_not_supported_has_a_reason(variant: str, devices: Devices, reason: str | None) -> None:
    sigmoid = Case("forward", CASES[0].shape, "positional", "float64", "sigmoid", "random")
    assert verify_module.why_missing(find(variant), sigmoid, "cpu", devices) == reason


def test_a_cell_that_a_variant_lacks_is_one_row_not_one_a_case(monkeypatch) -> None:
    monkeypatch.setattr(verify_module, "reference_cases", lambda cell: [])  # test_gradients has them
    cases = [replace(case, cell=cell, bias=True) for cell in ("gru", "lstm") for case in CASES]
    rows = verify(["numpy-published"], ["cpu"], machine=MACHINE, cases=cases)
    assert [(row.cell, row.status, row.reason) for row in rows] == [
        (cell, "missing", f"numpy-published does not support cell {cell} (it does: rnn)")
        for cell in ("gru", "lstm")
    ]


@pytest.mark.parametrize(
    ("spec", "asked", "cells", "biases"),
    [
        ("numpy-loop", {"cells": ["gru"]}, {"gru"}, {False, True}),
        ("numpy-loop", {"cells": ["lstm", "gru"], "bias": False}, {"gru", "lstm"}, {False}),
        ("numpy-loop", {"bias": True}, {"rnn", "gru", "lstm"}, {True}),
        ("third_parties.own_gru:silent", {}, {"gru"}, {False}),  # in all cases, the longest too
        ("third_parties.own_gru:silent", {"bias": True}, {"gru"}, {True}),
    ],
)
def test_cells_and_biases_are_those_asked_for_or_all_that_there_are(
    spec, asked, cells, biases, monkeypatch
) -> None:
    monkeypatch.setattr(verify_module, "run_jobs", lambda jobs, progress: [])
    monkeypatch.setattr(verify_module, "compute_reference", lambda folder, cases: list(cases))
    rows: Any = verify([spec], ["cpu"], machine=MACHINE, **asked)
    assert max(case.shape.T for case in rows) == 500
    assert ({case.cell for case in rows}, {case.bias for case in rows}) == (cells, biases)


def test_biases_of_a_cell_without_any_are_refused() -> None:
    with pytest.raises(UserError, match=r"--bias: the cell .* has no biases"):
        verify(["numpy-loop"], ["cpu"], machine=MACHINE, cells=["third_parties.mgu:MGU"], bias=True)


def test_a_process_that_takes_too_long_is_ended_and_its_rows_say_so() -> None:
    rows = verify(["faults.variants:stubborn"], ["cpu"], machine=MACHINE, cases=CASES[:1], timeout_s=0.1)
    assert [row.status for row in rows if row.variant == REFERENCE] == ["ok"] * len(reference_cases())
    assert [(row.status, row.reason) for row in rows if row.variant != REFERENCE] == [
        ("timeout", "no reply within 0.1 s")
    ]


def test_a_reference_that_cannot_be_computed_is_an_error() -> None:
    endless = Case("gradient", Shape(1001, 1, 1, 4, 8), "sequence", "float64", data="random")
    with pytest.raises(UserError, match=r"T = 1001.*shorter"):
        verify(["numpy-loop"], ["cpu"], machine=MACHINE, cases=[endless])


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("no"), r"the reference cannot be computed: ValueError: no"),
        (SystemExit(3), r"the reference cannot be computed: SystemExit: 3"),
        (OutOfTime(), r"the reference took more than 120 s"),
    ],
)
def test_whatever_a_users_reference_raises_or_prints_is_one_line(raised, said, monkeypatch, capsys) -> None:
    def reference(case):
        print("loud")
        raise raised

    monkeypatch.setattr(verify_module, "check_reference", reference)
    with pytest.raises(UserError, match=said):
        verify(["numpy-loop"], ["cpu"], machine=MACHINE, cases=CASES[:1])
    assert capsys.readouterr().out == ""


def test_a_file_of_variants_may_have_any_name_and_what_fails_to_prepare_does_so_on_every_case(
    tmp_path, monkeypatch
) -> None:
    (tmp_path / "01-mine.py").write_text(
        "from faults.variants import quiet\n"
        "from bench.machine.libraries import Library\n"
        "class Unprepared(Library):\n"
        "    def prepare(self, threads):\n"
        "        raise OSError('no licence')\n"
        "toy = Unprepared(name='toy', label='Toy', colour='#117733', dark_colour='#44aa77')\n"
        "class unprepared:\n"
        "    name, library, bind = 'toy-one', '01-mine:toy', quiet.bind\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    rows = verify(["01-mine:quiet", "01-mine:unprepared"], ["cpu"], machine=MACHINE, cases=CASES[:2])
    outcomes = [(row.variant, row.status) for row in rows if row.variant != REFERENCE]
    assert outcomes == [*[("quiet", "ok")] * 2, *[("toy-one", "crashed")] * 2]


# how it ends


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command on this file's devices and cases."""
    monkeypatch.setattr(verb, "find_devices", lambda: MACHINE)
    monkeypatch.setattr(verify_module, "agreement_cases", lambda cell, bias: CASES if cell == "rnn" else [])


@pytest.mark.usefixtures("quick")
def test_json_is_a_list_of_rows_with_the_promised_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.main(VerifyOptions(variant=("numpy-loop",), json=True)) == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # NaN is no JSON
    assert all(set(row) == KEYS for row in rows)
    ours = [row for row in rows if row["variant"] == "numpy-loop"]
    assert len(ours) == len(CASES)
    assert ours[0]["shape"] == {"T": 3, "B": 4, "I": 2, "H": 5, "O": 3}
    assert set(ours[0]["errors"]) == set(ours[0]["tolerances"]) >= {"loss", "dU", "dW", "dV"}
    assert all(0 <= error <= ours[0]["tolerances"][name] for name, error in ours[0]["errors"].items())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("name", "code"), [("quiet", 0), ("wrong", 1), ("exiting", 1)])
def test_the_exit_code_is_1_when_something_that_claims_to_be_right_is_not(name: str, code: int) -> None:
    assert verb.main(VerifyOptions(variant=(f"faults.variants:{name}",), json=True)) == code


@pytest.mark.usefixtures("quick")
def test_asking_for_a_cell_that_the_variant_lacks_ends_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    case = replace(CASES[0], cell="gru", bias=True)
    monkeypatch.setattr(verify_module, "agreement_cases", lambda cell, bias: [case])
    assert verb.main(VerifyOptions(variant=("numpy-published",), cell=("gru",))) == 3


@pytest.mark.usefixtures("quick")
def test_the_published_gradient_is_wrong_where_it_should_be_and_that_is_fine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert verb.main(VerifyOptions(variant=("numpy-published",))) == 0
    text = capsys.readouterr().out
    assert "known wrong" in text
    assert "MISSING cuda: no such card" in text
    assert "numpy-published is wrong where it is known to be" in text


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("variant", "device", "reason"),
    [("no-such", (), "no variant"), ("numpy-loop", ("cuda",), "no such card")],
)
def test_asking_for_what_is_not_there_is_an_error(variant: str, device: tuple[str, ...], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        verb.main(VerifyOptions(variant=(variant,), device=device))


def test_the_parent_imports_no_torch() -> None:
    code = "import sys, bench.proof.verify, bench.reporting.verify_table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
