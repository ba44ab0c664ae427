"""The one list of variants: what is in it, what it refuses and why, and how one of your own comes in."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.api import listing
from bench.api.options import VariantsOptions
from bench.machine.errors import UserError
from bench.workload.binding import bind_case
from bench.workload.case import ACTIVATIONS, DTYPES, LAYOUTS, STREAM, TASKS, Case, Shape, sine_case
from bench.workload.catalog import BASELINE, VARIANTS, find
from bench.workload.data import make
from bench.workload.own import load_variant
from impl_numpy.rnn import predict

OWN_VARIANT = '''
"""Somebody's own variant: the reference with its output doubled, so that it can be told apart."""

import numpy as np

from impl_numpy.contract import Bound
from impl_numpy.rnn import predict


class Doubled:
    name = "own-doubled"
    library = "numpy"
    summary = "twice the reference"
    tasks = ["forward"]
    dtypes = "float64"

    @staticmethod
    def bind(task, params, x, y, *, activation, delta, lr):
        last = {}

        def call():
            last["y_hat"] = 2 * predict(params, x, activation=activation)

        return Bound(call, lambda: None, lambda: last)


class Taken:
    name, library, bind = "numpy-batched", "numpy", None


class Narrow:
    name, library, bind, layouts = "own-narrow", "numpy", print, ["sequence"]
'''


@pytest.fixture(autouse=True)
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package outside the project, in the folder where the user stands; forgotten afterwards."""
    package = tmp_path / "somebodys"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "variants.py").write_text(OWN_VARIANT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "somebodys"]:
        del sys.modules[name]


def test_names_are_unique_and_begin_with_their_library_and_load() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    assert BASELINE in names
    for variant in VARIANTS:
        assert variant.name.startswith(f"{variant.library}-")
        assert find(variant.name) is variant
        assert all(callable(variant.load(cell)) for cell in variant.cells)


def test_a_numpy_variant_runs_on_the_cpu_alone_and_only_the_published_gradient_is_known_to_be_wrong() -> None:
    assert {variant.devices for variant in VARIANTS if variant.library == "numpy"} == {("cpu",)}
    assert [variant.name for variant in VARIANTS if variant.known_wrong] == ["numpy-published"]


@pytest.mark.parametrize(
    ("name", "changes", "device", "refusal"),
    [
        ("numpy-batched", {}, "cuda:0", "device cuda (it does: cpu)"),
        ("torch-layer", {"activation": "sigmoid"}, "cpu", "activation sigmoid (it does: tanh, relu)"),
        ("torch-layer", {"dtype": "float16"}, "cpu", "dtype float16 (it does: float32, float64)"),
        ("torch-layer", {}, "cuda:1", None),
        ("numpy-batched", {}, "cpu", None),
    ],
)  # fmt: skip
def test_what_is_not_supported_has_a_reason(
    name: str, changes: dict[str, str], device: str, refusal: str | None
) -> None:
    case = sine_case("forward", "positional", **changes)
    expected = refusal and f"{name} does not support {refusal}"
    assert find(name).unsupported(case, device) == expected


def test_your_own_variant_comes_in_from_a_package_of_your_own() -> None:
    own = load_variant("somebodys.variants:Doubled")
    assert own == find("somebodys.variants:Doubled")  # which imports it elsewhere
    assert (own.name, own.library, own.summary) == ("own-doubled", "numpy", "twice the reference")
    assert (own.devices, own.layouts, own.activations) == (("cpu",), LAYOUTS, ACTIVATIONS)
    assert (own.tasks, own.dtypes) == (("forward",), ("float64",))
    assert not own.known_wrong
    hash(own)

    case = sine_case("forward", "sequence", dtype="float64")
    assert own.unsupported(case, "cpu") is None
    assert own.unsupported(case.with_task("gradient"), "cpu") == (
        "own-doubled does not support task gradient (it does: forward)"
    )
    batch = make(case)
    binding = bind_case(own.load(), own.library, case, batch, "cpu")
    binding.bound.call()
    np.testing.assert_array_equal(binding.result()["y_hat"], 2 * predict(batch.params, batch.x))


def test_a_layout_that_a_variant_lacks_does_not_keep_it_from_random_data() -> None:
    own = find("somebodys.variants:Narrow")
    assert own.unsupported(Case("forward", Shape(2, 2, 2, 2, 2), data="random"), "cpu") is None
    assert own.unsupported(sine_case("forward", "positional"), "cpu") is not None


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ("torch-rnn", "it is called torch-layer now"),
        ("numpy-fastest", r"no variant 'numpy-fastest' \(did you mean .*; there are: numpy-published"),
        ("nowhere:Doubled", r"cannot load the variant .*: ModuleNotFoundError: No module named 'nowhere'"),
        ("somebodys.variants:Tripled", r"cannot load the variant .*: AttributeError: .* attribute 'Tripled'"),
        ("somebodys.variants:", r"cannot load the variant 'somebodys.variants:'"),
        (":Doubled", r"cannot load the variant ':Doubled'"),
        (".variants:Doubled", r"cannot load the variant '.variants:Doubled'"),
        ("somebodys.variants:Taken", r"the name 'numpy-batched' is taken; choose another"),
    ],
)  # fmt: skip
def test_a_variant_that_cannot_be_used_gets_one_clear_line(spec: str, refusal: str) -> None:
    with pytest.raises(UserError, match=refusal) as error:
        find(spec)
    assert "\n" not in str(error.value)


def test_variants_lists_the_catalogue_and_your_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert listing.variants_main(VariantsOptions(variant=("somebodys.variants:Doubled",))) == 0
    printed = capsys.readouterr().out
    assert all(text in printed for variant in VARIANTS for text in (variant.name, variant.summary))
    assert "twice the reference" in printed
    assert "rnn alone, no biases, no task train_step, no task gradient, no dtype float32" in printed

    assert listing.variants_main(VariantsOptions()) == 0
    assert "own-doubled" not in capsys.readouterr().out


def test_the_catalogue_knows_only_words_of_the_case() -> None:
    known = {"tasks": (*TASKS, STREAM), "layouts": LAYOUTS, "dtypes": DTYPES, "activations": ACTIVATIONS}
    for variant in VARIANTS:
        assert all(set() < set(getattr(variant, what)) <= set(words) for what, words in known.items())
