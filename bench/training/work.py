"""What is trained: settings, and the arrays that they stand for, the same for every variant."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from bench.machine.errors import UserError
from bench.machine.files import atomic_file
from bench.records.training import BATCH, LARGEST, SMALLEST, Settings
from bench.training.params import Params, load_params
from bench.workload import data
from bench.workload.case import LARGEST_SEED, Case, sine_case
from bench.workload.catalog import cell_of
from bench.workload.series import Series, read_series

Array = NDArray[Any]
MAX_TEST = 64  # windows of a series kept for test: a tenth, at least 4, no more than this
SHOWN = 4  # test windows in a picture


@dataclass(frozen=True, slots=True)
class Work:
    """The arrays. ``truth`` and ``last_known`` are in the series' own units, the others as trained on."""

    case: Case
    params: Params
    x: Array  # (T, B, I)
    y: Array  # (B, O)
    x_test: Array  # (T, tests, I)
    y_test: Array  # (tests, O)
    scaling: data.Scaling
    truth: Array  # (tests, O)
    last_known: Array  # (tests, 1): the last input value, for a forecast that knows nothing
    column: str | None  # the one that was read
    notes: tuple[str, ...]  # what a person should know of the series

    def save(self, path: Path) -> None:
        """Write what a child needs, as npz.

        Raises:
            OSError: it cannot be written.
        """
        arrays: dict[str, Any] = {"x": self.x, "y": self.y, "x_test": self.x_test, "y_test": self.y_test}
        arrays |= self.params
        with atomic_file(path) as file:
            np.savez(file, **arrays)


def prepare(settings: Settings) -> Work:
    """Make the arrays: windows, split, scaling from training rows only, layout, one cast.

    Raises:
        UserError: settings that make no sense, a series or parameters that cannot be used.
    """
    _check(settings)
    series = _read(settings)
    with np.errstate(all="ignore"):  # what overflows is refused below
        split, scaling = _rows(settings, series)
    _check_range(split, scaling, settings)
    case = sine_case(
        "train_step",
        settings.layout,
        window=settings.window,
        batch=len(split.train),
        hidden=settings.hidden,
        outputs=settings.horizon,
        dtype=settings.dtype,
        activation=settings.activation,
        seed=settings.seed,
    )
    case = replace(case, lr=settings.lr, delta=settings.delta, cell=cell_of(settings.variants))
    params = data.initial_params(case)
    if settings.load is not None:
        params = _fitting(load_params(settings.load, case.cell), params, settings.load, settings.dtype)
    train, test = scaling.apply(split.train), scaling.apply(split.test)
    T = settings.window

    def cast(array: Array) -> Array:
        return array.astype(settings.dtype)

    return Work(
        case=case,
        params={name: cast(p) for name, p in params.items()},
        x=cast(data.lay_out(train[:, :T], settings.layout)),
        y=cast(train[:, T:]),
        x_test=cast(data.lay_out(test[:, :T], settings.layout)),
        y_test=cast(test[:, T:]),
        scaling=scaling,
        truth=split.test[:, T:],
        last_known=split.test[:, T - 1 : T],
        column=series.column if series else None,
        notes=series.notes if series else (),
    )


def _read(settings: Settings) -> Series | None:
    """The series of the file, None for the sine."""
    if settings.series is None:
        return None
    return read_series(
        settings.series,
        settings.column,
        decimal=settings.decimal,
        encoding=settings.encoding,
        missing=settings.missing,
    )


def _rows(settings: Settings, series: Series | None) -> tuple[data.Split, data.Scaling]:
    """Training and test windows in the series' own units; the sine is trained on as it is."""
    if series is None:
        how = settings.split or "random"
        split = data.sine_split(
            settings.window, settings.horizon, settings.batch, split=how, seed=settings.seed
        )
        return split, data.Scaling(0.0, 1.0)
    rows = data.windows(series.values, settings.window + settings.horizon)
    n_test = min(MAX_TEST, max(data.N_TEST, len(rows) // 10))
    how = settings.split or "tail"
    split = data.split_windows(rows, settings.horizon, split=how, n_test=n_test, seed=settings.seed)
    return split, data.fit_scaling(split.train)


def _check_range(split: data.Split, scaling: data.Scaling, settings: Settings) -> None:
    """Raise UserError for a series that overflows, as it is or scaled."""
    largest = max(float(np.abs(rows).max()) for rows in (split.train, split.test))
    if largest > LARGEST or not SMALLEST <= scaling.scale <= LARGEST:
        what = (
            f"values up to {largest:.3g}"
            if largest > LARGEST
            else f"differences of about {scaling.scale:.3g}"
        )
        raise UserError(
            f"{settings.series}: {what}, whose squares no float64 holds; multiply the column by a power of "
            "ten"
        )
    if np.abs(scaling.apply(split.test)).max() > np.finfo(settings.dtype).max:
        raise UserError(
            f"{settings.series}: the test windows lie so far from the training windows that no "
            f"{settings.dtype} holds them; give --split random, --dtype float64, or no such outliers"
        )


def _check(settings: Settings) -> None:
    """Numbers that no parser has looked at, when they come from Python."""
    for name in ("epochs", "every", "hidden", "batch", "window", "horizon"):
        if getattr(settings, name) < 1:
            raise UserError(f"--{name} must be 1 or more, not {getattr(settings, name)}")
    if not 0 <= settings.seed <= LARGEST_SEED:
        raise UserError(f"--seed must be 0 or more, up to {LARGEST_SEED}, not {settings.seed}")
    for name in ("lr", "delta", "target"):
        value = getattr(settings, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UserError(f"--{name} must be a number above 0, not {value}")
    for name in ("decimal", "missing"):
        known = get_args(get_type_hints(Settings)[name])
        if getattr(settings, name) not in known:
            raise UserError(f"--{name} must be {' or '.join(known)}, not {getattr(settings, name)!r}")
    if settings.series is not None and settings.batch != BATCH:
        raise UserError("a series is trained on all its windows at once; leave --batch out")
    for name in ("column", "decimal", "encoding", "missing"):
        if settings.series is None and getattr(settings, name) != getattr(Settings(), name):
            raise UserError(f"--{name} is about a CSV file; give that too: --series FILE.csv")


def _fitting(loaded: Params, wanted: Params, path: str, dtype: str) -> Params:
    """The loaded parameters, if they have the shapes that these settings need."""
    for name, p in loaded.items():
        if p.shape != wanted[name].shape:
            raise UserError(
                f"{path}: {name} is {p.shape}, but these settings need {wanted[name].shape}; "
                "give the layout, --hidden, --window and --horizon it was trained with"
            )
        if not np.abs(p).max(initial=0) <= np.finfo(dtype).max:
            raise UserError(f"{path}: {name} holds numbers beyond {dtype}; give others, or a wider --dtype")
    return loaded
