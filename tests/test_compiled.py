"""The compiled variant computes what the reference computes, compiles no more than it must, and fails aloud.

Every case costs seconds, so the tests share a few of them; the acceptance tests prove many more.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import proof
from bench.machine.libraries.torch_library import why_not_compile
from bench.proof.cases import COMPILE_SHAPE, agreement_cases, worth_compiling
from bench.workload import catalog, data
from bench.workload.binding import bind_case
from bench.workload.case import DTYPES, LAYOUTS, STREAM, TASKS, Case, Shape, sine_case
from bench.workload.cell import CELLS, find_cell

torch = pytest.importorskip("torch")
reason = why_not_compile("cpu")
pytestmark = pytest.mark.skipif(reason is not None, reason=str(reason))

SHARED = sine_case("train_step", "positional")
ODD_FORWARD = Case("forward", Shape(1, 5, 3, 7, 4), "single_step", "float32", "sigmoid", "random", delta=0.5)
# short sequences, since the time of compiling grows with their length
OTHER_CELLS = [
    replace(ODD_FORWARD, task=task, shape=shape, layout=layout, dtype="float64", activation="tanh", cell=cell,
            bias=True)
    for cell, task, layout, shape in (
        ("gru", "gradient", "sequence", Shape(2, 5, 1, 7, 4)),
        ("lstm", "train_step", "positional", Shape(2, 5, 3, 7, 4)),
    )
]  # fmt: skip
STREAMS = [
    Case(STREAM, Shape(32, 5, 3, 7, 4), "positional", "float64", activation, "random", cell=cell, bias=True)
    for cell, activation in (("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh"))
]


@pytest.fixture(scope="module", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is compiled goes here; within the process it is kept in memory, too.

    What the processor can do is taken from its flags: torch would compile a program for each, to try it.
    """
    folder = tmp_path_factory.mktemp("compiled")
    import torch._inductor.config as inductor

    with pytest.MonkeyPatch.context() as patch, inductor.patch({"cpp.vec_isa_ok": True}):
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def compiled() -> Any:
    """The module, seconds to import, which only this file's worker needs."""
    return pytest.importorskip("impl_torch.compiled")


# full turns of ten steps, shorter ones; one step left, and two; one sample and several
LOOPED = [
    Case("forward", Shape(T, B, 3, 7, 4), dtype="float64", data="random", delta=0.5, cell=cell, bias=bias)
    for cell, T, B, bias in (("gru", 251, 3, True), ("lstm", 8, 1, False))
]


def bind(case: Case, **changes: Any) -> Any:
    changed = replace(case, **changes)
    return bind_case(
        catalog.find("torch-compile").load(changed.cell), "torch", changed, data.make(case), "cpu"
    ).bound


@pytest.mark.parametrize("case", [SHARED, *OTHER_CELLS, *STREAMS], ids=str)
def test_it_agrees_with_the_reference(case: Case) -> None:
    batch = data.make(case)
    bind = catalog.find("torch-compile").load(case.cell)
    checks = proof.prove(bind, case, batch, proof.expected(case, batch), library="torch")
    assert proof.status(checks) == "ok", proof.failures(checks)


@pytest.mark.parametrize("case", LOOPED, ids=str)
def test_the_loop_agrees_with_the_reference_and_says_how_long_it_compiled(case: Case) -> None:
    batch = data.make(case)
    bind_loop = catalog.find("torch-compile-loop").load(case.cell)
    checks = proof.prove(bind_loop, case, batch, proof.expected(case, batch), library="torch")
    assert proof.status(checks) == "ok", proof.failures(checks)
    assert bind_case(bind_loop, "torch", case, batch, "cpu").bound.compile_ns > 0


@pytest.mark.parametrize("cell", CELLS)
def test_the_graph_of_the_loop_does_not_grow_with_the_sequence(cell: str, compiled: Any) -> None:
    loop = pytest.importorskip("impl_torch.compiled_loop")
    sizes = []

    def backend(graph: Any, _inputs: Any) -> Any:
        parts = [part for part in graph.modules() if isinstance(part, torch.fx.GraphModule)]
        sizes.append(sum(len(part.graph.nodes) for part in parts))
        return graph.forward

    options = find_cell(cell).options(find_cell(cell).activations[0])
    for T in (26, 256):
        case = Case("forward", Shape(T, 1, 3, 7, 4), data="random", cell=cell)
        batch = data.make(case)
        params = {name: torch.from_numpy(p) for name, p in batch.params.items()}
        function = torch.compile(loop.forward, backend=backend, fullgraph=True, dynamic=False)
        with torch._dynamo.config.patch(compiled.LOUD):  # many sizes in one process
            function(params, torch.from_numpy(batch.x), cell=cell, **options)
    assert sizes[0] == sizes[1] > 20


def test_a_step_is_one_graph_and_another_learning_rate_cutoff_or_data_need_no_other_one(
    compiled: Any,
) -> None:
    bind(SHARED)
    before = compiled.n_graphs()
    slow, fast = bind(SHARED, lr=0.01), bind(SHARED, lr=0.5, delta=0.1)
    other = bind(sine_case("train_step", "positional", seed=1))
    for bound in (slow, fast, other, slow):
        bound.call()
    assert compiled.n_graphs() == before
    assert abs(slow.result()["W"] - fast.result()["W"]).max() > 1e-6

    test_it_agrees_with_the_reference(ODD_FORWARD)
    assert compiled.n_graphs() == before + 1


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_a_stream_is_one_graph_from_its_first_step_on(case: Case, compiled: Any) -> None:
    stream = bind(case)
    before = compiled.n_graphs()
    for _ in range(2):
        stream.call()
        stream.call()
        stream.reset()
    assert compiled.n_graphs() == before


def test_compiling_leaves_files_where_it_is_told_to_and_no_process(cache_folder: Path) -> None:
    children = set(psutil.Process().children(recursive=True))
    bind(SHARED)
    assert list(cache_folder.rglob("*.so"))
    assert set(psutil.Process().children(recursive=True)) <= children


def test_beyond_its_limit_of_shapes_it_is_an_error_and_what_is_compiled_goes_on(
    compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself torch would run what it does not compile, silently and slowly."""
    shared = bind(SHARED)
    monkeypatch.setitem(compiled.LOUD, "recompile_limit", 1)
    with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
        bind(sine_case("train_step", "positional", batch=3))
    before = compiled.n_graphs()
    shared.call()
    bind(SHARED)
    assert compiled.n_graphs() == before


def test_without_a_working_compiler_it_is_an_error_even_where_torch_is_told_to_hide_it() -> None:
    nowhere = torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")})
    with (
        nowhere,
        torch._dynamo.config.patch(suppress_errors=True),
        pytest.raises(Exception, match="no-such-compiler"),
    ):
        bind(sine_case("train_step", "positional", batch=3))


def test_a_torch_that_is_told_to_compile_nothing_is_an_error(
    compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "n_graphs", lambda: 0)
    with pytest.raises(RuntimeError, match="is switched off; unset TORCH_COMPILE_DISABLE"):
        bind(SHARED)


def test_the_time_of_compiling_is_that_of_the_first_call(
    compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = itertools.count(100, 7)
    monkeypatch.setattr(compiled.time, "perf_counter_ns", lambda: next(readings))
    assert bind(SHARED).compile_ns == 7


@pytest.mark.parametrize("asked", [None, False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_what_verify_compiles_is_little_and_covers_every_layout_dtype_task_activation_and_bias(
    cell: str, asked: bool | None
) -> None:
    cases = [case for case in agreement_cases(cell, asked) if worth_compiling(case, asked)]
    assert 6 <= len(cases) <= 8
    activations = find_cell(cell).activations
    every = {
        "layout": LAYOUTS,
        "dtype": DTYPES,
        "task": (*TASKS, STREAM),
        "activation": activations,
        "bias": (False, True) if asked is None else (asked,),
    }
    for what, values in every.items():
        assert {getattr(case, what) for case in cases} == set(values)
    assert {case.data for case in cases} == {"sine", "random"}
    assert len({COMPILE_SHAPE.T, COMPILE_SHAPE.B, COMPILE_SHAPE.I, COMPILE_SHAPE.H, COMPILE_SHAPE.O}) == 5
