"""The compiled variant in more cases than a quick test has time for, and what compiling costs.

Run by hand with ``make acceptance``: minutes, since every case compiles.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import proof
from bench.machine.environ import worker_environment
from bench.machine.libraries.torch_library import why_not_compile
from bench.proof.cases import agreement_cases
from bench.workload import catalog, data
from bench.workload.case import DTYPES, LAYOUTS, TASKS, Case, sine_case
from bench.workload.cell import CELLS, find_cell

torch = pytest.importorskip("torch")
reason = why_not_compile("cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

LONGEST = 50  # time steps: the graph is as long as the sequence, and compiling takes longer still
ONE_BIND = """
import json, os, resource, sys, time
from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import sine_case
case = sine_case(sys.argv[1], "positional")
batch = data.make(case)
started = time.perf_counter()
bind = catalog.find("torch-compile").load()
import_s = time.perf_counter() - started
bound = bind_case(bind, "torch", case, batch, "cpu").bound
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
print(import_s, bound.compile_ns / 1e9, kilobytes / 1024)
"""


@pytest.fixture(scope="module", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
        yield folder


def more_cases() -> list[Case]:
    """Every task, layout, dtype and activation at the tutorial's size; odd shapes in all but one of each."""
    sine = [
        sine_case(task, layout, dtype=dtype, activation=activation, cell=cell, bias=find_cell(cell).bias)
        for cell in CELLS
        for task in TASKS
        for layout in LAYOUTS
        for dtype in DTYPES
        for activation in find_cell(cell).activations
    ]
    odd = [
        case
        for cell in CELLS
        for case in agreement_cases(cell)
        if case.data == "random"
        and case.shape.T <= LONGEST
        and (case.task, case.dtype, case.activation) == ("train_step", "float64", "tanh")
    ]
    return sine + odd


@pytest.mark.parametrize("case", more_cases(), ids=str)
def test_it_agrees_with_the_reference(case: Case) -> None:
    batch = data.make(case)
    bind = catalog.find("torch-compile").load(case.cell)
    checks = proof.prove(bind, case, batch, proof.expected(case, batch), library="torch")
    assert proof.status(checks) == "ok", proof.failures(checks)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_compiled_is_taken_from_the_cache_folder_by_the_next_process(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = worker_environment(threads=1).variables | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    compile_s = []
    for how in ("cold", "warm"):
        child = subprocess.run(
            [sys.executable, "-c", ONE_BIND, task],
            check=True, capture_output=True, text=True, env=variables, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        importing, compiling, megabytes = map(float, child.stdout.split())
        compile_s.append(compiling)
        with capsys.disabled():
            print(
                f"\n{task}, {how}: compiled in {compiling:.1f} s, after {importing:.1f} s of imports; "
                f"{megabytes:.0f} MB"
            )
    assert compile_s[1] < compile_s[0] / 2
