"""F31, F34 of ``pytest --benchmark``: whatever switches timing off, there are no false numbers."""

import json
import subprocess
from pathlib import Path

import pytest
from test_pytest_benchmark import run_pytest

from faults.runs import TESTS

ASKED = ("tests/benchmarks", "--benchmark", "--benchmark-variant=numpy-batched", "--benchmark-max-time=0.01")
HERE = {"PYTHONPATH": str(TESTS)}
TABLE = "Name (time in"


def asked(*options: str) -> subprocess.CompletedProcess[str]:
    return run_pytest(*ASKED, *options, **HERE)


def times_in(path: Path) -> int:
    """How many benchmarks a file holds, none where it is not there."""
    return len(json.loads(path.read_text())["benchmarks"]) if path.exists() and path.stat().st_size else 0


def test_asked_for_there_are_numbers(tmp_path: Path) -> None:
    """The negative control of the matrix below."""
    child = asked(f"--benchmark-json={tmp_path / 'out.json'}")
    assert child.returncode == 0, child.stdout
    assert TABLE in child.stdout
    assert times_in(tmp_path / "out.json") == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-p", "faults.xdist_like", "--dist=load"), "xdist"),
        (("-p", "no:benchmark"), "unrecognized arguments: --benchmark-max-time"),
        (("-k", "nothing-of-that-name"), "deselected"),
    ],
    ids=["xdist", "no plugin", "nothing selected"],
)
def test_where_timing_cannot_be_there_is_no_number_and_a_reason(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "out.json"
    json_option = () if "no:benchmark" in options else (f"--benchmark-json={out}",)
    child = asked(*options, *json_option)
    printed = child.stdout + child.stderr
    assert said in printed
    assert "INTERNALERROR" not in printed
    assert "Traceback" not in printed
    assert TABLE not in printed
    assert times_in(out) == 0
    if "--dist=load" not in options:  # there every variant is still proved
        assert child.returncode != 0


def test_plain_tests_run_without_the_benchmark_plugin() -> None:
    child = run_pytest("-p", "no:benchmark", "-q", "tests/test_machine.py")
    assert child.returncode == 0, child.stdout + child.stderr


def test_a_benchmark_leaves_its_process_as_it_found_it() -> None:
    torch_too = ("--benchmark-variant=torch-inplace", "-k", "gradient", "-p", "faults.snapshot", "-s")
    child = asked(*torch_too)
    changed = [line for line in child.stderr.splitlines() if line.startswith("LEFT CHANGED")]
    assert child.stderr.count("COMPARED") == 2, child.stdout + child.stderr
    assert changed == []
