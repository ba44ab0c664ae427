"""The one data module: the primer's windows exactly, one set of bytes for both libraries."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.machine.errors import UserError
from bench.workload.case import ACTIVATIONS, LAYOUTS, Case, Shape, sine_case
from bench.workload.data import (
    Array,
    Batch,
    fit_scaling,
    initial_params,
    lay_out,
    make,
    random_batch,
    sine_split,
    split_windows,
    windows,
)
from bench.workload.series import sine_series
from impl_numpy.rnn import predict

T, O, N_TRAIN, N_TEST = 6, 8, 128, 4  # noqa: E741  (the primer's)


def primers_windows() -> list[list[float]]:
    """The tutorial's own loop, transcribed: it stops one window short."""
    n_points = N_TRAIN + N_TEST + T + O
    series = np.sin(np.linspace(0, 4 * np.pi, n_points))
    return [[float(series[start + i]) for i in range(T + O)] for start in range(n_points - T - O)]


def test_the_primers_windows_exactly_4_of_them_for_test_and_128_to_train() -> None:
    assert windows(sine_series(146), T + O).tolist() == primers_windows()
    split = sine_split(T, O, N_TRAIN, seed=0)
    assert (split.train.shape, split.test.shape) == ((128, 14), (4, 14))
    assert sorted([*split.train.tolist(), *split.test.tolist()]) == sorted(primers_windows())
    assert split.train.tolist() != primers_windows()[:128]  # shuffled


def test_the_primers_case_has_the_primers_shapes_and_its_rows_are_input_then_target() -> None:
    batch = make(sine_case("train_step", "positional"))
    assert {name: p.shape for name, p in batch.params.items()} == {"U": (32, 6), "W": (32, 32), "V": (8, 32)}
    assert (batch.x.shape, batch.y.shape) == ((6, 128, 6), (128, 8))
    assert {batch.x.dtype, batch.y.dtype} == {np.dtype("float32")}
    batch = make(sine_case("forward", "sequence", dtype="float64"))
    rows = np.hstack([windows_of(batch.x, "sequence"), batch.y])
    np.testing.assert_array_equal(rows, sine_split(T, O, N_TRAIN, seed=0).train)


def windows_of(x: Array, layout: str) -> Array:
    """Undo a layout: input windows (B, window), and a check that the rest of x is zero."""
    if layout == "single_step":
        (rows,) = x
        return rows
    if layout == "sequence":
        return x[:, :, 0].T
    assert np.count_nonzero(x) <= x.shape[0] * x.shape[1]
    return np.einsum("tnt->nt", x)


def test_the_three_layouts_describe_the_same_windows() -> None:
    batches = {layout: make(sine_case("forward", layout)) for layout in LAYOUTS}
    shapes = {layout: batch.x.shape for layout, batch in batches.items()}
    assert shapes == {"positional": (6, 128, 6), "sequence": (6, 128, 1), "single_step": (1, 128, 6)}
    first, *others = ((windows_of(batch.x, layout), batch.y) for layout, batch in batches.items())
    for other in others:
        np.testing.assert_array_equal(first[0], other[0])
        np.testing.assert_array_equal(first[1], other[1])


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(LAYOUTS), st.integers(1, 5), st.integers(1, 7))
def test_a_layout_loses_nothing_and_shares_no_memory(layout: str, batch: int, window: int) -> None:
    inputs = np.arange(1.0, batch * window + 1).reshape(batch, window)
    x = lay_out(inputs, layout)
    np.testing.assert_array_equal(windows_of(x, layout), inputs)
    assert not np.shares_memory(x, inputs)


@pytest.mark.parametrize("data", ["sine", "random"])
def test_the_same_case_gives_the_same_bytes_and_another_seed_others(data: str) -> None:
    case = replace(sine_case("train_step", "positional"), data=data)
    batch, other = make(case), make(replace(case, seed=1))
    assert batch.digest() == make(case).digest() == make(case.with_task("forward")).digest()
    assert not np.array_equal(batch.x, other.x)
    assert not any(np.array_equal(batch.params[name], other.params[name]) for name in batch.params)


@pytest.mark.parametrize("data", ["sine", "random"])
def test_float32_is_the_float64_master_cast_once(data: str) -> None:
    case = replace(sine_case("forward", "positional", dtype="float64"), data=data)
    master, cast = make(case), make(replace(case, dtype="float32"))
    for double, single in ((master.x, cast.x), (master.y, cast.y), (master.params["W"], cast.params["W"])):
        assert (double.dtype, single.dtype) == (np.dtype("float64"), np.dtype("float32"))
        np.testing.assert_array_equal(double.astype("float32"), single)


def counted_batch() -> Batch:
    """Small whole numbers: the same bytes on every little-endian machine."""
    params = {"U": np.arange(4.0).reshape(2, 2), "W": np.eye(2), "V": np.ones((1, 2))}
    return Batch(params, np.arange(8.0).reshape(2, 2, 2), np.zeros((2, 1)))


def test_the_digest_sees_values_names_dtypes_and_shapes_but_no_order_of_keys(tmp_path: Path) -> None:
    batch = counted_batch()
    assert batch.digest() == "7afc1c8d83e6e3cffa6d7eea24993d79726989084c80b62b52d843e33d6754e4"  # as ever
    batch.save(tmp_path / "batch.npz")
    assert Batch.load(tmp_path / "batch.npz").digest() == batch.digest()
    assert Batch(dict(reversed(batch.params.items())), batch.x, batch.y).digest() == batch.digest()
    changed = [
        Batch(batch.params, -batch.x, batch.y),
        Batch(batch.params, batch.x, batch.y + 1e-300),
        Batch(batch.params, batch.x.reshape(4, 2, 1), batch.y),
        Batch({**batch.params, "U": batch.params["W"], "W": batch.params["U"]}, batch.x, batch.y),
        batch.astype("float32"),
    ]
    assert len({batch.digest(), *(other.digest() for other in changed)}) == 1 + len(changed)


shapes = st.builds(Shape, *(st.integers(1, 9) for _ in range(5)))


@settings(max_examples=40, deadline=None)
@given(shapes, st.integers(0, 2**32))
def test_the_start_is_orthogonal_with_singular_values_one(shape: Shape, seed: int) -> None:
    params = initial_params(Case("forward", shape, seed=seed))
    np.testing.assert_allclose(params["W"] @ params["W"].T, np.eye(shape.H), atol=1e-14)
    for name, expected_shape in (("U", (shape.H, shape.I)), ("V", (shape.O, shape.H))):
        assert params[name].shape == expected_shape
        np.testing.assert_allclose(np.linalg.svd(params[name], compute_uv=False), 1, atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(shapes, st.sampled_from(ACTIVATIONS), st.sampled_from([0.025, 0.1, 0.5, 2.0]), st.integers(0, 99))
def test_random_data_can_be_proved_in_float32(shape: Shape, activation: str, delta: float, seed: int) -> None:
    case = Case("gradient", shape, activation=activation, data="random", delta=delta, seed=seed)
    batch = random_batch(case)
    assert batch.x.shape == (shape.T, shape.B, shape.I)
    errors = np.abs(predict(batch.params, batch.x, activation=activation) - batch.y)
    assert errors.min() > 0.1 - 1e-12  # no cancellation
    assert np.abs(errors / delta - 1).min() > 0.1 - 1e-12  # and no error so near the cutoff that it may flip


@pytest.mark.parametrize(("delta", "sides"), [(0.025, {True}), (0.5, {True, False})])
def test_random_errors_lie_on_both_sides_of_a_cutoff_that_leaves_room(delta: float, sides: set[bool]) -> None:
    batch = random_batch(Case("gradient", Shape(3, 16, 2, 5, 6), data="random", delta=delta))
    errors = predict(batch.params, batch.x) - batch.y
    assert set((np.abs(errors) > delta).flat) == sides
    assert {*np.sign(errors).flat} == {-1.0, 1.0}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(1, 20))
def test_the_tail_split_trains_on_no_test_target_and_wastes_no_window(
    window: int, horizon: int, n_test: int, n_train: int
) -> None:
    n_points = n_train + n_test + (horizon - 1) + window + horizon
    rows = windows(np.arange(float(n_points)), window + horizon)  # every value is its place in the series
    split = split_windows(rows, horizon, split="tail", n_test=n_test, seed=0)
    assert (len(split.train), len(split.test)) == (n_train, n_test)
    assert split.test.max() == n_points - 2  # to the end, but for the window the primer leaves out
    assert split.train.max() == split.test[:, window:].min() - 1  # one window more would overlap


def test_the_random_split_leaks_and_the_tail_split_gives_a_case_as_many_samples() -> None:
    split = split_windows(windows(np.arange(146.0), T + O), O, split="random", n_test=N_TEST, seed=0)
    assert set(split.test[:, T:].flat) & set(split.train.flat)
    case = sine_case("forward", "positional", split="tail")
    assert make(case).x.shape == (6, 128, 6)
    assert make(case).digest() != make(replace(case, split="random")).digest()


def test_scaling_is_taken_from_training_rows_and_can_be_undone() -> None:
    train, test = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1000.0, -1000.0]])
    scaling = fit_scaling(train)
    assert (scaling.mean, scaling.scale) == (pytest.approx(2.5), pytest.approx(np.sqrt(1.25)))
    assert scaling.apply(train).mean() == pytest.approx(0)
    assert scaling.apply(train).std() == pytest.approx(1)
    np.testing.assert_allclose(scaling.invert(scaling.apply(test)), test)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7e5])
def test_a_constant_series_is_refused(value: float) -> None:
    with pytest.raises(UserError, match=r"the series is constant \(.*\) over its training rows; nothing"):
        fit_scaling(np.full((100, 14), value))


@pytest.mark.parametrize(
    ("split", "n_values", "refusal"),
    [
        ("random", 15, "the series has 15 values; windows of 14 need at least 16"),
        ("random", 18, "gives 4 windows; with 4 for test none is left to train"),
        ("tail", 25, "gives 11 windows; with 4 for test none is left to train"),
    ],
)
def test_a_series_that_is_too_short_is_refused_and_one_value_more_is_enough(
    split: str, n_values: int, refusal: str
) -> None:
    def split_of(n: int, n_test: int) -> int:
        rows = windows(np.arange(float(n)), 14)
        return len(split_windows(rows, O, split=split, n_test=n_test, seed=0).train)

    with pytest.raises(UserError, match=refusal):
        split_of(n_values, 4)
    assert split_of(n_values + 1, 1 if n_values == 15 else 4) == 1


@pytest.mark.parametrize("size", ["window", "batch", "hidden", "outputs"])
def test_sizes_below_one_are_refused(size: str) -> None:
    with pytest.raises(UserError, match="must be 1 or more, not 0"):
        sine_case("forward", "positional", **{size: 0})
