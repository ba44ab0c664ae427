"""Compiled forms that the quick tests leave out: the loop in every cell, other activations with biases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import proof
from bench.machine.libraries.torch_library import why_not_compile
from bench.workload import catalog, data
from bench.workload.case import TASKS, Case, Shape
from bench.workload.cell import CELLS

pytest.importorskip("torch")
reason = why_not_compile("cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))


@pytest.fixture(scope="module", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
        yield folder


# full turns of ten steps, shorter ones; one step left, and two; one sample and several
LOOPED = [
    Case("forward", Shape(T, B, 3, 7, 4), dtype="float64", data="random", delta=0.5, cell=cell, bias=bias)
    for cell in CELLS
    for T, B, bias in ((251, 1, True), (11, 3, False), (8, 1, False))
]
WITH_BIASES = [
    Case(task, Shape(2, 5, 3, 7, 4), "positional", "float64", activation, "random", delta=0.5, bias=True)
    for activation in ("relu", "sigmoid")
    for task in TASKS
]


@pytest.mark.parametrize(
    ("variant", "case"),
    [*(("torch-compile-loop", case) for case in LOOPED), *(("torch-compile", case) for case in WITH_BIASES)],
    ids=str,
)
def test_it_agrees_with_the_reference(variant: str, case: Case) -> None:
    batch = data.make(case)
    bind = catalog.find(variant).load(case.cell)
    checks = proof.prove(bind, case, batch, proof.expected(case, batch), library="torch")
    assert proof.status(checks) == "ok", proof.failures(checks)
