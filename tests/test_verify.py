"""``rnnbench verify``: what it proves in which process, what it prints, and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.api import verify as verb
from bench.api.options import VerifyOptions
from bench.machine.devices import Absent, Device, Devices
from bench.machine.errors import UserError
from bench.proof import verify as verify_module
from bench.proof.child import REFERENCE, Row, claims_wrongly
from bench.proof.verify import Job, expect, run_jobs, verify
from bench.workload.case import Case, Shape

CPU = Device("cpu", "cpu", "a processor", None, ("float32", "float64"))
FOUND = Devices((CPU,), (Absent("cuda", "no such card"),))
CASES = [
    Case(task, Shape(T=3, B=4, I=2, H=5, O=3), "positional", dtype, "tanh", "random")
    for task in ("gradient", "forward")
    for dtype in ("float32", "float64")
]
KEYS = {
    *("variant", "library", "device", "dtype", "task", "layout", "activation", "shape"),
    *("errors", "tolerances", "status", "cell"),
}
OWN = """
import os, sys, time
from dataclasses import dataclass
from impl_numpy.contract import batched

@dataclass
class Own:
    name: str
    bind: object
    library: str = "numpy"
    activations: tuple = ("tanh",)

def wrong(task, params, x, y, **options):
    return batched(task, params | {"W": params["W"].T}, x, y, **options)

def raises(*args, **options):
    raise ValueError("cannot do it")

def dies(*args, **options):
    print("last words", flush=True)
    os._exit(3)

def hangs(*args, **options):
    time.sleep(1000)

def imports(*args, **options):
    return batched(*args, **options)

right, wrong, raises, dies, hangs = (
    Own(f"own-{f.__name__}", f) for f in (imports, wrong, raises, dies, hangs)
)
"""


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(OWN.splitlines(), start=1) if text in line)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of somebody's own variants, in the folder where the user stands."""
    (tmp_path / "own_variants.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "own_variants"


# what is proved


def test_rows_of_the_reference_come_first_then_those_of_each_variant_as_asked_for() -> None:
    progress: list[tuple[int, int]] = []
    rows = verify(
        ["numpy-published", "numpy-inplace"],
        ["cpu"],
        found=FOUND,
        cases=CASES,
        progress=lambda done, total: progress.append((done, total)),
    )
    names = list(dict.fromkeys(found.variant for found in rows))
    assert names == [REFERENCE, "numpy-published", "numpy-inplace"]
    statuses = {(found.variant, found.task): found.status for found in rows}
    assert statuses == {
        (REFERENCE, "gradient"): "ok",
        ("numpy-published", "gradient"): "known_wrong",
        ("numpy-published", "forward"): "ok",
        ("numpy-inplace", "gradient"): "ok",
        ("numpy-inplace", "forward"): "ok",
    }
    assert progress[-1] == (8, 8)
    assert not any(map(claims_wrongly, rows))


def test_each_variant_that_fails_does_so_alone_and_says_how(own: str) -> None:
    specs = [f"{own}:{name}" for name in ("wrong", "dies", "raises", "right")]
    rows = verify(specs, ["cpu"], found=FOUND, cases=CASES)
    by_variant: dict[str, list[Row]] = {}
    for found in rows:
        by_variant.setdefault(found.variant, []).append(found)
    statuses = {name: {found.status for found in of} for name, of in by_variant.items()}
    assert statuses == {
        REFERENCE: {"ok"},
        "own-wrong": {"disagrees"},
        "own-dies": {"crashed"},
        "own-raises": {"crashed"},
        "own-imports": {"ok"},
    }
    assert all(len(of) == len(CASES) for name, of in by_variant.items() if name != REFERENCE)
    assert "dW is off by" in by_variant["own-wrong"][0].reason
    assert by_variant["own-dies"][0].reason == "ended with exit code 3 before its reply: last words"
    assert by_variant["own-raises"][0].reason == (
        f"ValueError: cannot do it (own_variants.py, line {line_of('cannot do it')}, in raises)"
    )


def test_what_is_not_supported_is_missing_with_the_reason() -> None:
    no_torch = Devices((CPU,), (), missing={"torch": "not installed"})
    half = Devices(
        (Device("cpu", "cpu", "a processor", None, ("float32",)),), (), missing={"torch": "not installed"}
    )
    sigmoid = Case("forward", CASES[0].shape, "positional", "float64", "sigmoid", "random")
    reasons = {
        found.reason: found.status
        for devices in (no_torch, half)
        for found in verify(["torch-rnn", "numpy-loop"], ["cpu"], found=devices, cases=[sigmoid])
        if found.variant != REFERENCE
    }
    assert reasons == {
        "PyTorch cannot be used: not installed": "missing",
        "": "ok",
        "cpu does not support dtype float64": "missing",
    }
    assert (
        verify_module.why_missing(verify_module.catalog.find("torch-rnn"), sigmoid, "cpu", FOUND)
        == "torch-rnn does not support activation sigmoid (it does: tanh)"
    )


def test_a_process_that_takes_too_long_is_ended_and_its_rows_say_so(own: str, tmp_path: Path) -> None:
    expect(tmp_path, CASES[:1], timeout_s=60)
    job = Job(f"{own}:hangs", "cpu", [0])
    rows = run_jobs(tmp_path, CASES, [job], timeout_s=0.1, progress=lambda done: None)
    assert [(found.status, found.reason) for found in rows] == [("timeout", "no reply within 0.1 s")]


def test_a_reference_that_cannot_be_computed_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    endless = Case("gradient", Shape(1001, 1, 1, 4, 8), "sequence", "float64", data="random")
    with pytest.raises(
        UserError, match=r"could not be computed: ended with exit code 1 .*: .*T = 1001.*shorter"
    ):
        expect(tmp_path, [endless], timeout_s=60)


# how it ends


def arguments(*variants: str, as_json: bool = True, device: str | None = None) -> VerifyOptions:
    return VerifyOptions(variant=variants, device=(device,) if device else (), json=as_json)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command on this file's devices and cases."""
    monkeypatch.setattr(verb, "find_devices", lambda: FOUND)
    monkeypatch.setattr(verify_module, "agreement_cases", lambda cell: CASES)


@pytest.mark.usefixtures("quick")
def test_json_is_a_list_of_rows_with_the_promised_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.main(arguments("numpy-loop")) == 0

    def forbidden(literal: str) -> None:
        raise AssertionError(f"{literal} is no JSON")

    rows = json.loads(capsys.readouterr().out, parse_constant=forbidden)
    assert all(set(found) == KEYS for found in rows)
    ours = [found for found in rows if found["variant"] == "numpy-loop"]
    assert len(ours) == len(CASES)
    assert ours[0]["shape"] == {"T": 3, "B": 4, "I": 2, "H": 5, "O": 3}
    assert set(ours[0]["errors"]) == set(ours[0]["tolerances"]) >= {"loss", "dU", "dW", "dV"}
    assert all(0 <= error <= ours[0]["tolerances"][name] for name, error in ours[0]["errors"].items())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("name", "code"), [("right", 0), ("wrong", 1), ("dies", 1)])
def test_the_exit_code_is_1_when_something_that_claims_to_be_right_is_not(
    own: str, name: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb.main(arguments(f"{own}:{name}")) == code
    json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("quick")
def test_the_published_gradient_is_wrong_where_it_should_be_and_that_is_fine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert verb.main(arguments("numpy-published", as_json=False)) == 0
    text = capsys.readouterr().out
    assert "known wrong" in text
    assert "MISSING cuda: no such card" in text
    assert "numpy-published is wrong where it is known to be" in text


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("variant", "device", "says"), [("no-such", None, "no variant"), ("numpy-loop", "cuda", "no such card")]
)
def test_asking_for_what_is_not_there_is_an_error(variant: str, device: str | None, says: str) -> None:
    with pytest.raises(UserError, match=says):
        verb.main(arguments(variant, device=device))


def test_the_parent_imports_no_torch() -> None:
    code = "import sys, bench.proof.verify, bench.reporting.verify_table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
