"""The harness owns the arrays: it writes into them, sees who else does, and takes results out as copies."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.workload import data
from bench.workload.binding import Bind, bind_case
from bench.workload.case import Case, Shape
from bench.workload.catalog import VARIANTS, Variant
from impl_numpy.contract import Bound
from impl_numpy.contract import rnn_batched as batched
from impl_numpy.rnn import predict

CASE = Case("forward", Shape(3, 4, 2, 5, 3), "positional", "float64", data="random")
BATCH = data.make(CASE)
OTHER = BATCH.other()
NOTHING: Bind = lambda *arrays, **options: Bound(print, print, dict)  # noqa: E731
EAGER = [variant for variant in VARIANTS if not variant.compiles]


@pytest.mark.parametrize("variant", EAGER, ids=lambda variant: variant.name)
def test_a_call_computes_with_what_was_fed_last(variant: Variant) -> None:
    pytest.importorskip(variant.library)
    binding = bind_case(variant.load(), variant.library, CASE, BATCH, "cpu")
    x, y = binding.x, binding.y
    for batch in (BATCH, OTHER, BATCH):
        binding.feed(batch)
        assert binding.x is x
        assert binding.y is y
        binding.bound.call()
        assert binding.unchanged(batch)
        np.testing.assert_allclose(binding.result()["y_hat"], predict(batch.params, batch.x), atol=1e-13)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("name", ["x", "y", "W"])
def test_whoever_writes_into_an_array_is_seen_and_the_batch_is_safe(library: str, name: str) -> None:
    pytest.importorskip(library)
    digest = BATCH.digest()

    def bind(task: str, params: Any, x: Any, y: Any, **options: Any) -> Bound:
        def call() -> None:
            {**params, "x": x, "y": y}[name][0] += 1

        return Bound(call, lambda: None, dict)

    binding = bind_case(bind, library, CASE, BATCH, "cpu")
    assert binding.unchanged(BATCH)
    assert not binding.unchanged(OTHER)
    binding.bound.call()
    assert not binding.unchanged(BATCH)
    assert BATCH.digest() == digest


class Feeding:
    """A variant whose library cannot write into its arrays: what it is fed are new ones."""

    def __init__(self, task: str, params: Any, x: Any, y: Any, **options: Any) -> None:
        self.bind = lambda x, y: batched(task, params, x, y, **options)
        self.feed(x, y)

    def feed(self, x: Any, y: Any) -> None:
        self.bound = self.bind(x, y)

    call, reset, result = (
        property(lambda self, name=name: getattr(self.bound, name)) for name in ("call", "reset", "result")
    )


def test_a_feed_of_its_own_takes_the_place_of_writing() -> None:
    binding = bind_case(Feeding, "numpy", CASE, BATCH, "cpu")
    binding.feed(OTHER)
    binding.bound.call()
    assert np.array_equal(binding.result()["y_hat"], predict(OTHER.params, OTHER.x))
    assert np.array_equal(binding.x, BATCH.x)
    assert binding.unchanged(OTHER)
    binding.x[0] += 1
    assert not binding.unchanged(OTHER)


def test_arrays_are_contiguous_whatever_the_batch_is() -> None:
    turned = replace(BATCH, x=np.asfortranarray(BATCH.x[::-1]), y=BATCH.y[::-1])
    for library in ("numpy", "torch"):
        pytest.importorskip(library)
        binding = bind_case(NOTHING, library, CASE, turned, "cpu")
        assert np.asarray(binding.x).flags.c_contiguous
        binding.feed(turned)
        assert binding.unchanged(turned)


def test_results_are_copies_and_tensors_are_none() -> None:
    torch = pytest.importorskip("torch")
    workspace: dict[str, Any] = {"y_hat": np.zeros(3)}
    binding = bind_case(lambda *a, **o: Bound(print, print, lambda: workspace), "numpy", CASE, BATCH, "cpu")
    taken = binding.result()["y_hat"]
    workspace["y_hat"] += 1
    assert not taken.any()
    workspace["y_hat"] = torch.zeros(3)
    with pytest.raises(TypeError, match=r"y_hat as Tensor, not a NumPy array \(test_binding\.py, line"):
        binding.result()


def test_the_arrays_are_on_the_device_or_nowhere() -> None:
    with pytest.raises(ValueError, match="cuda:0"):
        bind_case(batched, "numpy", CASE, BATCH, "cuda:0")
    pytest.importorskip("torch")
    assert bind_case(NOTHING, "torch", CASE, BATCH, "meta").device == "meta"
