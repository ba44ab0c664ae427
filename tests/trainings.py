"""Trainings for tests: settings with the defaults of the options, and files of trainings that never ran."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from bench.api.options import TrainOptions
from bench.api.train import make_settings
from bench.records.training import SCHEMA, Header, Point, Settings, Start, Stop, Writer
from bench.training.setup import prepare

EPOCHS = (1, 100, 200, 300)
FALL = (1e-2, 5e-3, 2e-3, 1e-3)  # losses at those epochs
MS = 1_000_000


def settings(*variants: str, **options: Any) -> Settings:
    """What these options ask for."""
    return make_settings(TrainOptions(variant=variants or ("numpy-inplace",), **options))


def write_training(
    folder: Path,
    runs: Mapping[str, Sequence[float]],
    *,
    frames: int = 4,
    first_s: Sequence[float] = (0.101, 2.111),
    epoch_s: Sequence[float] = (0.001, 0.011),
    **options: Any,
) -> Path:
    """A training whose losses and times are given, with predictions that come closer to the truth."""
    chosen = settings(*runs, **{"epochs": EPOCHS[-1], **options})
    data = prepare(chosen)
    with Writer(folder) as writer:
        writer.write(
            Header(
                schema=SCHEMA, started_utc="2026-01-01T00:00:00+00:00",
                settings=structs.replace(chosen, cell=data.case.cell, bias=data.case.bias),
                shape=data.case.shape, split=data.case.split, mean=0.0, scale=1.0, truth=data.truth.tolist(),
                naive_rmse=0.3, machine={"processor": "a processor", "cpus": 2},
                environment={"OMP_NUM_THREADS": "1"}, parameters=tuple(data.train.params),
            )
        )  # fmt: skip
        for variant, losses, first, epoch in zip(runs, runs.values(), first_s, epoch_s, strict=False):
            library, wrong = variant.partition("-")[0], variant == "numpy-published"
            call_ns = round(epoch * 1e9)
            writer.write(Start(variant, library, "cpu", wrong, round(first * 1e9) - call_ns, {}))
            for place, loss in enumerate(losses):
                y_hat = (data.truth * (1 - loss)).tolist() if place < frames else None
                writer.write(Point(EPOCHS[place], loss, call_ns * EPOCHS[place], y_hat))
            moved = {"U": 0.1, "W": 0.0 if data.case.shape.T == 1 else 0.2, "V": 0.3}
            writer.write(Stop(variant, "complete", moved=moved))
    return folder
