"""Sequences of different lengths: the variants for them, their proof, and the options that ask for them."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bursts import burst
from declared import declare
from journals import example_environment
from reports import around, facts_of

from bench import proof
from bench.machine.errors import UserError
from bench.measure.budget import entries_of
from bench.proof import Expected
from bench.proof.cases import LENGTHS, agreement_cases
from bench.proof.gradcheck import huber
from bench.records.record import Decision, End, Entry
from bench.records.run import make_run
from bench.reporting import answer, packing
from bench.reporting.article import run_article
from bench.reporting.build import content_of
from bench.reporting.page import render_markdown
from bench.workload import catalog, data
from bench.workload.case import DTYPES, TASKS, Case, Shape
from bench.workload.cell import CELLS, find_cell
from bench.workload.data import Batch
from bench.workload.options import Lengths, lengths
from bench.workload.own import _check_variant
from impl_numpy import lengths as numpy_lengths
from impl_numpy import rnn_lengths

SHAPE = Shape(T=7, B=10, I=3, H=16, O=5)
CASE = Case("gradient", SHAPE, "positional", "float64", data="random", delta=0.5, shortest=2)


@cache
def inputs(case: Case) -> tuple[Batch, Expected]:
    batch = data.make(case)
    return batch, proof.expected(case, batch)


def proved(bind: Callable[..., Any], case: Case = CASE, library: str = "numpy") -> list[str]:
    """What is wrong with a variant."""
    batch, expected = inputs(case)
    checks = proof.prove(bind, case, batch, expected, library=library)
    return [] if proof.status(checks) == "ok" else [proof.failures(checks)]


def test_lengths_are_spaced_evenly_up_to_T_and_drawn_by_the_seed() -> None:
    first, second = data.make_two(CASE)
    drawn = [[int(n) for n in batch.inputs["lengths"]] for batch in (first, second)]
    assert sorted(drawn[0]) == sorted(drawn[1]) == [2, 3, 3, 4, 4, 5, 5, 6, 6, 7]
    assert drawn[0] != drawn[1] != sorted(drawn[1])
    again, other = data.make(CASE), data.make(replace(CASE, seed=1))
    assert again.digest() == first.digest() != other.digest()
    assert data.draw_lengths(replace(CASE, shape=replace(SHAPE, B=1)), 1) == [7]
    assert data.make(replace(CASE, shortest=None)).lengths is None


def test_lengths_are_a_part_of_the_inputs_of_a_case(tmp_path: Any) -> None:
    batch = data.make(CASE)
    batch.save(tmp_path / "inputs.npz")
    loaded = Batch.load(tmp_path / "inputs.npz")
    assert loaded.digest() == batch.digest() != replace(batch, lengths=batch.other().lengths).digest()
    assert str(CASE).endswith("O5 lengths 2:7")


@pytest.mark.parametrize("cell", CELLS)
def test_the_expected_results_are_those_of_each_sequence_on_its_own(cell: str) -> None:
    case = replace(CASE, cell=cell, bias=True)
    batch, expected = inputs(case)
    found = find_cell(cell)
    options = found.options(case.activation)
    assert batch.lengths is not None
    each = [(batch.x[:length, [n]], batch.y[[n]]) for n, length in enumerate(batch.lengths)]
    y_hat = np.concatenate([found.reference().predict(batch.params, x, **options) for x, _ in each])
    np.testing.assert_allclose(expected.y_hat, y_hat, rtol=1e-12)
    np.testing.assert_allclose(expected.loss, huber(y_hat - batch.y, case.delta), rtol=1e-12)
    grads = [found.reference().loss_and_grads(batch.params, *one, delta=0.5, **options)[1] for one in each]
    for name, grad in expected.grads.items():
        np.testing.assert_allclose(grad, np.mean([one[name] for one in grads], axis=0), atol=1e-12)


PROOFS = [(v, cell, dtype) for v in catalog.LENGTHS for cell in v.cells for dtype in DTYPES]


@pytest.mark.parametrize(
    ("variant", "cell", "dtype"), PROOFS, ids=[f"{v.name} {cell} {dtype}" for v, cell, dtype in PROOFS]
)
def test_every_variant_for_lengths_agrees(variant: catalog.Variant, cell: str, dtype: str) -> None:
    if variant.library != "numpy":
        pytest.importorskip(variant.library)
    supported = [
        case for case in agreement_cases(cell) if case.dtype == dtype and not variant.unsupported(case, "cpu")
    ]
    assert {case.task for case in supported} == set(TASKS)
    assert {case.shape for case in supported} == {shape for (shape, _, _), _ in LENGTHS if shape.B > 1} | (
        {LENGTHS[1][0][0]}
    )
    for case in supported:
        assert not proved(variant.load(cell), case, variant.library), case


def ignoring(**options: Any) -> Any:
    """``numpy-masked`` as if every sequence had T steps."""
    return {**options, "lengths": np.full_like(options["lengths"], SHAPE.T)}


def off_by_one(**options: Any) -> Any:
    return {**options, "lengths": np.maximum(options["lengths"] - 1, 1)}


def of_the_first_call(**options: Any) -> Any:
    return {**options, "lengths": options["lengths"].copy()}


@pytest.mark.parametrize("change", [ignoring, off_by_one, of_the_first_call])
@pytest.mark.parametrize("bind", [numpy_lengths.rnn_masked, numpy_lengths.rnn_packed])
@pytest.mark.parametrize("task", TASKS)
def test_wrong_lengths_do_not_pass(bind: Callable[..., Any], change: Callable[..., Any], task: str) -> None:
    case = replace(CASE, task=task)

    def bind_changed(*args: Any, **options: Any) -> Any:
        return bind(*args, **change(**options))

    assert not proved(bind, case)
    (failure,) = proved(bind_changed, case)
    assert ("reads its inputs" in failure) == (change is of_the_first_call)


def test_a_gradient_that_starts_at_the_last_step_of_the_batch_does_not_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def back(params: Any, cache: Any, ends: Any, *others: Any, **options: Any) -> Any:
        all_at_T = [*([[]] * (len(ends) - 1)), slice(None)]
        return correct(params, cache, all_at_T, *others, **options)

    correct = rnn_lengths.back
    monkeypatch.setattr(rnn_lengths, "back", back)
    assert "dU is off" in "".join(proved(numpy_lengths.rnn_masked))
    assert not proved(numpy_lengths.rnn_masked, replace(CASE, task="forward"))


def test_a_run_with_lengths_measures_the_variants_for_them_at_every_spread() -> None:
    spreads = (Lengths(1, 100), Lengths(100, 100))
    plan = declare(lengths=spreads, seq_len=(100,))  # of sequences, which is otherwise not the default
    names = [f"train_step sequence T100 B128 I1 H32 O8 lengths {spread}" for spread in spreads]
    assert [group.name for group in plan.groups][:2] == names
    (main, _) = (group.entries for group in plan.groups[:2])
    assert {entry.arm.removesuffix("@cpu x1").removesuffix("@cpu x1 twin") for entry in main} == {
        variant.name for variant in catalog.LENGTHS
    }
    assert [entry.case.shortest for entry in main] == [1] * 5
    assert [(pair.kind, pair.entry) for pair in plan.pairs if names[0] in pair.entry] == [
        ("twin", f"{names[0]} | numpy-masked@cpu x1 twin"),
        ("as_written", f"{names[0]} | torch-packed@cpu x1"),
        ("packed", f"{names[0]} | numpy-packed@cpu x1"),
        ("packed", f"{names[0]} | torch-packed@cpu x1"),
    ]
    assert not plan.missing
    assert not [arm for arm in declare().arms if arm.variant in {variant.name for variant in catalog.LENGTHS}]


def test_the_answer_says_at_which_spread_packed_sequences_turn_ahead() -> None:
    spreads = (Lengths(1, 100), Lengths(100, 100), Lengths(50, 100))
    plan = declare(lengths=spreads, seq_len=(100,), layout=("sequence",), task=("train_step",))
    times = {"numpy-masked": 1.0, "numpy-packed": 0.5, "torch-masked": 2.0}
    packed_by_torch = {1: 1.0, 50: 2.5, 100: 3.0}  # shortest length -> time

    def factor(entry: Entry) -> float:
        shortest = entry.case.shortest
        return times.get(entry.arm.split("@")[0]) or packed_by_torch[shortest or 0]

    bursts = [
        burst(block, entry.id, [round(1e6 * math.exp(logs[block % len(logs)]))] * 3)
        for block in range(11)
        for entry in entries_of(plan.groups)
        for logs in [around(factor(entry))]
    ]
    end = End("complete", "all blocks done", 9.0, "2026-01-02T03:05:42+00:00")
    decision = Decision([], 1.0, 10, 10, [], [])
    run = make_run([plan, example_environment(), decision, *bursts, end])
    facts = facts_of(run)
    numpy, torch = packing.sentences(facts)
    assert re.fullmatch(
        r"NumPy: faster at lengths 100:100 to 1:100, 2.00 times \[.*\] to 2.00 times \[.*\]", numpy
    )
    assert re.fullmatch(
        r"PyTorch: slower at lengths 100:100 to 50:100, 1.50 times \[.*\] to 1.25 times \[.*\]; "
        r"faster at lengths 1:100, 2.00 times \[.*\]",
        torch,
    )
    assert f"{numpy}\n{torch}" in dict(answer.hero(facts).facts)[packing.LABEL]
    page = render_markdown(content_of([run_article(run)]))
    assert f"- **{packing.LABEL}:**\n  - NumPy: faster" in page
    assert "\n  - PyTorch: slower" in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lengths": (Lengths(10, 120),), "seq_len": (100,)}, "10:120: the longest .* of --seq-len 100"),
        ({"lengths": (Lengths(10, 80),), "seq_len": (100,)}, "give --seq-len 80 .* lengths up to 100"),
        ({"lengths": (Lengths(1, 6),), "variant": ("numpy-inplace",)}, "inplace does not .* of different"),
        ({"variant": ("torch-packed",)}, "torch-packed does not .* one length; give --lengths"),
    ],
)  # fmt: skip
def test_lengths_that_cannot_be_measured_are_one_clear_line(options: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        declare(**options)
    assert "\n" not in str(error.value)


def test_lengths_are_read_as_shortest_and_longest() -> None:
    assert str(lengths("10:100")) == "10:100"
    for text in ("", "10", "0:10", "100:10", "1:2:3", "a:b", "1.5:3"):
        with pytest.raises(UserError, match="is no shortest and longest length: give 10:100"):
            lengths(text)


def test_a_variant_of_your_own_says_that_it_computes_lengths() -> None:
    own = SimpleNamespace(name="numpy-own", library="numpy", bind=numpy_lengths.rnn_masked, lengths=True)
    found = _check_variant(own, "own:own")
    assert found.lengths == (False, True)
    assert found.unsupported(replace(CASE, bias=False), "cpu") is None
