"""Make the inputs of a case, the same bytes for every library.

A case becomes (params, x, y): a series is cut into windows, split, laid out for the cell, and cast once
from float64. All arrays are NumPy, seeded by ``numpy.random.PCG64``. Implementations receive arrays and
never import this module.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine.arrays import read_arrays
from bench.machine.errors import UserError
from bench.workload.case import Case
from bench.workload.cell import find_cell
from bench.workload.series import sine_series

Array = NDArray[Any]
N_TEST = 4  # windows that the tutorial keeps for its test plots


@dataclass(frozen=True, slots=True)
class Batch:
    """Hold the inputs of every variant of a case; ``params`` are the cell's parameters by name."""

    params: dict[str, Array]
    x: Array  # (T steps, B sequences, I inputs)
    y: Array  # (B sequences, O outputs)
    lengths: Array | None = None  # (B,) steps of each sequence, after which x is padding; None: T each

    def astype(self, dtype: str) -> "Batch":
        """Return the same numbers in another dtype."""
        params = {name: p.astype(dtype) for name, p in self.params.items()}
        return replace(self, params=params, x=self.x.astype(dtype), y=self.y.astype(dtype))

    def other(self) -> "Batch":
        """Return inputs (-x, y / 2), with the lengths in reverse order, for the same parameters.

        Their results differ from the original's.

        Changing a sign and halving are exact in any dtype, so one set of expected results is valid for
        float32 and float64.
        """
        lengths = None if self.lengths is None else self.lengths[::-1].copy()
        return replace(self, x=-self.x, y=self.y / 2, lengths=lengths)

    def step(self, t: int) -> "Batch":
        """Return the inputs of step t, counted from 0, of the same stream: x is (1, B, I)."""
        return Batch(self.params, self.x[t : t + 1], self.y)

    def by_length(self) -> Iterator[tuple[Any, "Batch"]]:
        """Yield the sequences of each length as a batch without padding, and their places in this one."""
        if self.lengths is None:
            yield slice(None), self
            return
        for length in np.unique(self.lengths):
            rows = np.flatnonzero(self.lengths == length)
            yield rows, Batch(self.params, self.x[:length, rows], self.y[rows])

    @property
    def inputs(self) -> dict[str, Array]:
        """Return x, y and, if there are any, the lengths, by name."""
        lengths = {} if self.lengths is None else {"lengths": self.lengths}
        return {"x": self.x, "y": self.y} | lengths

    def digest(self) -> str:
        """Return SHA-256 over names, dtypes, shapes and bytes: equal digests mean equal inputs."""
        sha = hashlib.sha256()
        for name, array in [*sorted(self.params.items()), *self.inputs.items()]:
            sha.update(f"{name} {array.dtype.str} {array.shape};".encode())
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the arrays to an npz file, which a worker loads."""
        np.savez(path, allow_pickle=False, **self.params, **self.inputs)

    @classmethod
    def load(cls, path: str | Path) -> "Batch":
        """Read a file written by ``save``; nothing is unpickled.

        Raises:
            ValueError: the file was not written by ``save``.
        """
        arrays = read_arrays(path, None)
        if missing := {"x", "y"} - arrays.keys():
            raise ValueError(f"it has no {min(missing)}")
        x, y, lengths = arrays.pop("x"), arrays.pop("y"), arrays.pop("lengths", None)
        return cls(arrays, x, y, lengths)


@dataclass(frozen=True, slots=True)
class Split:
    """Hold the windows for training and for test, one window per row: (windows, inputs + targets)."""

    train: Array
    test: Array


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scale values as (value - mean) / scale, with ``mean`` and ``scale`` of the training rows only."""

    mean: float
    scale: float

    def apply(self, values: Array) -> Array:
        """Convert values to units of the training rows' standard deviation."""
        return (values - self.mean) / self.scale

    def invert(self, values: Array) -> Array:
        """Convert scaled values back to the units of the series."""
        return values * self.scale + self.mean


def windows(series: Array, length: int) -> Array:
    """Return all windows except the last, one per row; a window is ``length`` successive values.

    The last window is left out because the tutorial's loop leaves it out: 146 points and windows of 14 give
    132 windows, although 133 are possible.

    Raises:
        UserError: the series is too short for two windows.
    """
    if len(series) < length + 2:
        raise UserError(
            f"the series has {len(series)} values; windows of {length} need at least {length + 2}"
        )
    return np.lib.stride_tricks.sliding_window_view(series, length)[:-1].copy()


def split_windows(rows: Array, horizon: int, *, split: str, n_test: int, seed: int) -> Split:
    """Split windows into training and ``n_test`` test windows.

    ``split="random"`` shuffles first, as the tutorial does. Neighbouring windows share all values except one,
    so almost every test value is also a training value (a leak), and the test error rewards memorising.
    ``split="tail"`` tests on the last windows. The ``horizon - 1`` windows before them are dropped, because
    their targets overlap with the test windows.

    Raises:
        UserError: no training window would be left.
    """
    if split == "random":
        rows = np.random.Generator(np.random.PCG64(seed)).permutation(rows)
        train, test = rows[n_test:], rows[:n_test]
    else:
        train, test = rows[: max(0, len(rows) - n_test - (horizon - 1))], rows[len(rows) - n_test :]
    if not len(train):
        raise UserError(
            f"the series gives {len(rows)} windows; with {n_test} for test none is left to train on"
        )
    return Split(train, test)


def fit_scaling(train: Array) -> Scaling:
    """Return the scaling with mean and standard deviation of the training rows.

    Raises:
        UserError: the rows are constant, so learning and scaling are impossible.
    """
    if np.ptp(train) == 0:  # the computed standard deviation of equal numbers may differ from 0
        raise UserError(
            f"the series is constant ({train.flat[0]:g}) over its training rows; nothing to learn"
        )
    return Scaling(float(np.mean(train)), float(np.std(train)))


def lay_out(inputs: Array, layout: str) -> Array:
    """Arrange input windows (B, window) as x (T, B, I).

    ==============  ======  ======  =================================================
    layout          T       I       x
    ==============  ======  ======  =================================================
    single_step     1       window  x[0, n, :] = window n
    positional      window  window  x[t, n, t] = value t of window n, zero elsewhere
    sequence        window  1       x[t, n, 0] = value t of window n
    ==============  ======  ======  =================================================
    """
    batch, window = inputs.shape
    if layout == "single_step":
        return inputs[np.newaxis].copy()  # (1, B, window)
    if layout == "sequence":
        return inputs.T[:, :, np.newaxis].copy()  # (window, B, 1)
    x = np.zeros((window, batch, window), dtype=inputs.dtype)  # (window, B, window)
    steps = np.arange(window)
    x[steps, :, steps] = inputs.T
    return x


def initial_params(case: Case) -> dict[str, Array]:
    """Draw the initial parameters of the case's cell, float64; biases uniformly, as PyTorch's layers do."""
    generator = np.random.Generator(np.random.PCG64(case.seed))
    cell, limit = find_cell(case.cell), 1 / np.sqrt(case.shape.H)
    params = cell.initial(case.shape, generator)
    shapes = cell.shapes(case.shape, bias=case.bias)
    biases = {
        name: generator.uniform(-limit, limit, shape) for name, shape in shapes.items() if name in cell.biases
    }
    return params | biases


def sine_split(
    window: int, horizon: int, n_train: int, *, split: str = "random", n_test: int = N_TEST, seed: int
) -> Split:
    """Cut the sine into windows and split them as the tutorial does.

    The tutorial's sizes (6 values in, 8 out, 128 windows for training, 4 for test) need 146 points.
    """
    n_dropped = horizon - 1 if split == "tail" else 0
    series = sine_series(n_train + n_test + n_dropped + window + horizon)
    return split_windows(windows(series, window + horizon), horizon, split=split, n_test=n_test, seed=seed)


def predict(case: Case, batch: Batch) -> Array:
    """Return the reference's y_hat (B, O), of sequences of different lengths computed by length."""
    cell, y_hat = find_cell(case.cell), np.empty_like(batch.y)
    for rows, part in batch.by_length():
        y_hat[rows] = cell.reference().predict(part.params, part.x, **cell.options(case.activation))
    return y_hat


def targets_for(case: Case, batch: Batch, generator: np.random.Generator) -> Array:
    """Draw targets y (B, O) for which float32 results can be checked.

    With the initial parameters each |y_hat - y| is at least 0.1, so that no error cancels. The errors lie
    on both sides of the Huber cutoff if the cutoff is above 0.15, and never within 10 % of the cutoff.
    """
    y_hat = predict(case, batch)
    error_size = generator.uniform(
        max(0.1, 1.1 * case.delta), 1 + 2 * case.delta, (case.shape.B, case.shape.O)
    )
    if case.delta > 0.15:
        inner_size = generator.uniform(0.1, 0.9 * case.delta, error_size.shape)
        error_size = np.where(generator.random(error_size.shape) < 0.5, inner_size, error_size)
    error = error_size * generator.choice([-1.0, 1.0], error_size.shape)
    y: Array = y_hat - error
    return y


def random_batch(case: Case, draw: int = 1) -> Batch:
    """Draw Gaussian inputs in the case's shape and layout, float64; each ``draw`` gives other numbers."""
    generator = np.random.Generator(np.random.PCG64([case.seed, draw]))
    shape, params = case.shape, initial_params(case)
    if case.data == "random":
        x = generator.standard_normal((shape.T, shape.B, shape.I)) / np.sqrt(shape.I)  # (T, B, I)
    else:
        window = shape.I if case.layout == "single_step" else shape.T
        x = lay_out(generator.standard_normal((shape.B, window)), case.layout)
    batch = Batch(params, x, np.empty((shape.B, shape.O)), draw_lengths(case, draw))
    return replace(batch, y=targets_for(case, batch, generator))


def draw_lengths(case: Case, draw: int) -> Array | None:
    """Return lengths (B,) spaced evenly from the case's shortest to T, in an order drawn for each ``draw``.

    So all draws have as many steps in all. A single sequence has T steps.
    """
    if case.shortest is None:
        return None
    lengths = np.linspace(case.shape.T, case.shortest, case.shape.B).round().astype(np.int64)
    return np.random.Generator(np.random.PCG64([case.seed, draw])).permutation(lengths)


def make(case: Case) -> Batch:
    """Make the inputs of a case in the case's dtype: computed in float64 and cast once."""
    if case.data == "random":
        return random_batch(case).astype(case.dtype)
    shape = case.shape
    window = shape.I if case.layout == "single_step" else shape.T
    rows = sine_split(window, shape.O, shape.B, split=case.split, seed=case.seed).train
    x = lay_out(rows[:, :window], case.layout)
    return Batch(initial_params(case), x, rows[:, window:], draw_lengths(case, 1)).astype(case.dtype)


def make_two(case: Case) -> tuple[Batch, Batch]:
    """Make the inputs of a case, and a second, independently drawn batch for the same parameters.

    Timing alternates between the two batches, so that reused results of earlier calls are detected.
    """
    return make(case), random_batch(case, draw=2).astype(case.dtype)
