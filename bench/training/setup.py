"""Prepare a training from its settings: the arrays, and each variant with its device."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine.devices import find_devices, resolve
from bench.machine.errors import UserError
from bench.records.training import LARGEST, SMALLEST, Settings
from bench.training.params import Params, load_params
from bench.workload import catalog, data
from bench.workload.case import Case, sine_case
from bench.workload.data import Batch
from bench.workload.series import read_series

Array = NDArray[Any]
SINE_BATCH = 128  # number of training windows in the tutorial
MAX_TEST = 64  # a tenth of a series' windows is kept for test, at least 4, at most MAX_TEST


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Hold the arrays of a training: batches in scaled units, other arrays in the units of the series."""

    case: Case
    train: Batch
    test: Batch  # with the initial parameters
    scaling: data.Scaling
    truth: Array  # (test windows, O): the targets
    last_known: Array  # (test windows, 1): the last input value, for a naive forecast
    column: str | None  # name of the column that was read
    notes: tuple[str, ...]  # sentences for the user about the series


@dataclass(frozen=True, slots=True)
class Learner:
    """Hold a variant and its device; ``spec`` is the name that the user gave."""

    spec: str
    variant: catalog.Variant
    device: str


def prepare(settings: Settings) -> TrainingData:
    """Make the arrays: windows, split, scaling from training rows only, layout, one cast.

    Raises:
        UserError: a number out of range, a series or parameters that cannot be used.
    """
    for name in ("lr", "delta", "target"):
        value = getattr(settings, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UserError(f"--{name} must be a number above 0, not {value}")
    cell_settings = catalog.cell_settings(
        settings.variants, cell=settings.cell, bias=settings.bias, activation=settings.activation
    )
    T, horizon, seed = settings.window, settings.horizon, settings.seed
    series, scaling = None, data.Scaling(0.0, 1.0)
    if settings.series is None:
        split_kind = settings.split or "random"
        split = data.sine_split(T, horizon, settings.batch or SINE_BATCH, split=split_kind, seed=seed)
    else:
        series = read_series(
            settings.series, settings.column, decimal=settings.decimal, encoding=settings.encoding,
            missing=settings.missing,
        )  # fmt: skip
        split_kind = settings.split or "tail"
        rows = data.windows(series.values, T + horizon)
        n_test = min(MAX_TEST, max(data.N_TEST, len(rows) // 10))
        split = data.split_windows(rows, horizon, split=split_kind, n_test=n_test, seed=seed)
        with np.errstate(all="ignore"):  # _check_range refuses values that overflow
            scaling = data.fit_scaling(split.train)
            _check_range(split, scaling, settings)
    case = sine_case(
        "train_step", settings.layout, window=T, batch=len(split.train), hidden=settings.hidden,
        outputs=horizon, dtype=settings.dtype, split=split_kind, seed=seed, lr=settings.lr,
        delta=settings.delta, **cell_settings,
    )  # fmt: skip
    params = data.initial_params(case)
    if settings.load is not None:
        params = _load(settings.load, params, case)

    def batch(rows: Array) -> Batch:
        """Make a batch of scaled windows in the case's layout and dtype."""
        scaled = scaling.apply(rows)
        return Batch(params, data.lay_out(scaled[:, :T], settings.layout), scaled[:, T:]).astype(case.dtype)

    return TrainingData(
        case=case,
        train=batch(split.train),
        test=batch(split.test),
        scaling=scaling,
        truth=split.test[:, T:],
        last_known=split.test[:, T - 1 : T],
        column=series.column if series else None,
        notes=series.notes if series else (),
    )


def choose_learners(settings: Settings, case: Case) -> list[Learner]:
    """Find the variants and their devices; a variant that supports only the CPU stays on the CPU.

    Raises:
        UserError: no such variant or device, the same variant twice, or a variant that does not support the
            settings.
    """
    devices = ["cpu"]
    if settings.device != "cpu":
        devices, _ = resolve([settings.device], find_devices())
    if len(devices) != 1:
        raise UserError(f"--device {settings.device} is {', '.join(devices)}; training takes one")
    (device,) = devices
    learners: dict[str, Learner] = {}
    for spec in settings.variants:
        variant = catalog.find(spec)
        variant_device = device if device.partition(":")[0] in variant.devices else "cpu"
        for task in ("train_step", "forward"):
            if reason := variant.unsupported(case.with_task(task), variant_device):
                raise UserError(f"{reason}; leave it out or choose another")
        if variant.name in learners:
            raise UserError(f"{variant.name} is asked for twice; it would do the same again")
        learners[variant.name] = Learner(spec, variant, variant_device)
    if all(learner.device != device for learner in learners.values()):
        raise UserError(f"no variant of these runs on {device}; add one that does (rnnbench variants)")
    return list(learners.values())


def _check_range(split: data.Split, scaling: data.Scaling, settings: Settings) -> None:
    """Raise UserError if the values of the series, or the scaled values, overflow."""
    largest = max(float(np.abs(rows).max()) for rows in (split.train, split.test))
    if largest > LARGEST or not SMALLEST <= scaling.scale <= LARGEST:
        content = f"values up to {largest:.3g}"
        if largest <= LARGEST:
            content = f"differences of about {scaling.scale:.3g}"
        raise UserError(
            f"{settings.series}: {content}, whose squares no float64 holds; multiply the column by a power "
            "of ten"
        )
    if np.abs(scaling.apply(split.test)).max() > np.finfo(settings.dtype).max:
        raise UserError(
            f"{settings.series}: the test windows lie so far from the training windows that no "
            f"{settings.dtype} holds them; give --split random, --dtype float64, or no such outliers"
        )


def _load(path: str, wanted: Params, case: Case) -> Params:
    """Read parameters from a file.

    Raises:
        UserError: the shapes differ from ``wanted``, or the case's dtype cannot hold the values.
    """
    loaded = load_params(path, case.cell)
    if loaded.keys() != wanted.keys():
        raise UserError(
            f"{path} holds the parameters {'without' if case.bias else 'with'} biases; give "
            f"{'--no-bias' if case.bias else '--bias'} as well"
        )
    for name, p in loaded.items():
        if p.shape != wanted[name].shape:
            raise UserError(
                f"{path}: {name} is {p.shape}, but these settings need {wanted[name].shape}; "
                "give the layout, --hidden, --window and --horizon it was trained with"
            )
        if not np.abs(p).max(initial=0) <= np.finfo(case.dtype).max:
            raise UserError(
                f"{path}: {name} holds numbers beyond {case.dtype}; give others, or a wider --dtype"
            )
    return loaded
