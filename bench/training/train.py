"""The parent of a training: one child per variant, one after the other, each line on disk as it comes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.machine import host
from bench.machine.busy import Say, look_around
from bench.machine.child import Child, ChildError
from bench.machine.environ import worker_environment
from bench.machine.errors import UserError, what_failed
from bench.machine.files import scratch_folder
from bench.machine.signals import Terminated
from bench.records.folder import as_text
from bench.records.record import OwnLibrary
from bench.records.training import LARGEST, SCHEMA, Header, Point, Settings, Start, Status, Stop, Writer
from bench.training.child import Job, Progress, Ready, Step
from bench.training.params import load_params, save_params
from bench.training.result import params_file, rmse
from bench.training.setup import Learner, TrainingData, choose_learners, prepare
from bench.workload.catalog import own_libraries

CHILD = "bench.training.child"
FIRST_DEADLINE_S = 300.0  # for the first step, imports and compiling included
SLOWER = 20  # times the steps may take by then, before it is taken for hung
MAX_REPORT_BYTES = 256 << 20  # predictions of all test windows stand in it
MAX_GROWTH = 1e3  # a loss so many times the first has diverged
MAX_FRAMES = 54  # epochs at which predictions are kept; the animation holds the last for a while
Tell = Callable[[str, int, float], None]  # called with variant, epoch and loss at every report


class _Diverged(Exception):
    """A loss or a prediction says that the training has failed; the text says which, and what to do."""


def run_training(
    settings: Settings,
    folder: Path,
    tell: Tell,
    note: Say = lambda text: None,
    wait_s: float | None = None,
) -> None:
    """Train the variants in turn and write ``training.jsonl`` and ``params/``.

    ``note`` is called with each sentence about the series and about what else runs before anything is
    trained, for whose end it waits ``wait_s`` at most.
    Ctrl-C ends it: what has been reported stays, the variants after it are not started.

    Raises:
        Terminated: TERM or a hang-up ended it; what has been reported stays.
        UserError: settings that make no sense, files that cannot be used, a folder that holds a training, or
            a disk that is full or broken.
    """
    if as_text(where := str(folder.absolute())) != where:
        raise UserError(
            f"the path {as_text(where)} is not UTF-8, as a training needs it; choose another --out"
        )
    data = prepare(settings)
    learners = choose_learners(settings, data.case)
    for text in data.notes:
        note(text)
    seen = look_around(wait_s, note)
    try:
        with scratch_folder("train") as scratch, Writer(folder) as writer:
            environment = worker_environment(1, compiled="a folder of the training").set
            writer.write(_header(settings, data, environment, host.describe() | seen))
            (folder / "params").mkdir(exist_ok=True)
            save_params(folder / "params" / "start.npz", data.train.params)
            data.train.save(scratch / "train.npz")
            data.test.save(scratch / "test.npz")
            for learner in learners:
                params = (folder / "params" / params_file(learner.variant.name)).resolve()
                params.unlink(missing_ok=True)  # of an earlier training in this folder
                if not _Training(settings, data, learner, scratch, params, writer, tell).run():
                    break
    except OSError as error:
        raise UserError(
            f"the training broke off: {what_failed(error)}; make room, or choose another --out or TMPDIR, "
            "and train again"
        ) from error


def reports(settings: Settings) -> list[int]:
    """Return the epochs after which the loss is told: the first, every so many, the last."""
    return sorted({1, *range(settings.every, settings.epochs + 1, settings.every), settings.epochs})


def frames(epochs: Sequence[int]) -> list[int]:
    """Return those of the reports at which predictions are kept: closer at the start, where most happens."""
    places = np.linspace(0, 1, MAX_FRAMES) ** 2 * (len(epochs) - 1)
    return [epochs[place] for place in np.unique(np.round(places).astype(int))]


def _header(
    settings: Settings, data: TrainingData, environment: dict[str, str], machine: dict[str, Any]
) -> Header:
    paths = {name: as_text(path) for name in ("series", "load") if (path := getattr(settings, name))}
    return Header(
        schema=SCHEMA,
        started_utc=host.utc_now(),
        settings=msgspec.structs.replace(settings, column=data.column, **paths),
        shape=data.case.shape,
        split=data.case.split,
        mean=data.scaling.mean,
        scale=data.scaling.scale,
        truth=data.truth.tolist(),
        naive_rmse=rmse(np.broadcast_to(data.last_known, data.truth.shape), data.truth),
        machine=machine,
        environment=environment,
        notes=data.notes,
        parameters=tuple(data.train.params),
        libraries=tuple(map(OwnLibrary.of, own_libraries(settings.variants))),
    )


@dataclass(frozen=True, slots=True)
class _Training:
    """One variant: a child, what it reports, and how it ends."""

    settings: Settings
    data: TrainingData
    learner: Learner
    scratch: Path
    params: Path  # where the child saves its parameters
    writer: Writer
    tell: Tell

    def run(self) -> bool:
        """Write all lines of the variant; return whether the next one is to be started.

        Raises:
            Terminated: TERM or a hang-up ended it.
            OSError: something cannot be written.
        """
        try:
            self._train()
        except _Diverged as error:
            self._stop("diverged", str(error))
        except ChildError as error:
            self._stop("crashed", str(error))
        except KeyboardInterrupt as signalled:
            self._stop("interrupted", "it was interrupted")
            if isinstance(signalled, Terminated):
                raise
            return False
        else:
            self._stop("complete")
        return True

    def _stop(self, status: Status, reason: str = "") -> None:
        moved = _moved(self.data, self.params) if self.params.exists() else None
        self.writer.write(Stop(self.learner.variant.name, status, reason, moved))

    def _train(self) -> None:
        """Start a child, and write and tell what it reports.

        Raises:
            ChildError: it ended before its time, or hangs; with the last line that it printed.
            _Diverged: it learns nothing any more.
        """
        variant, scratch = self.learner.variant, self.scratch
        train, test = str(scratch / "train.npz"), str(scratch / "test.npz")
        job = Job(self.learner.spec, self.learner.device, self.data.case, train, test, str(self.params))
        epochs = reports(self.settings)
        kept = set(frames(epochs))
        longest = max(after - before for before, after in pairwise([0, *epochs]))  # steps between two reports
        environment = worker_environment(1, compiled=str(scratch / "compiled")).variables
        started = time.perf_counter_ns()  # before the child reads any data, so that all of that counts
        with Child(
            CHILD,
            [msgspec.json.encode(job).decode()],
            environment,
            deadline_s=FIRST_DEADLINE_S,
            max_reply_bytes=MAX_REPORT_BYTES,
        ) as child:
            try:
                ready: Ready = child.receive(Ready)
                startup_ns = time.perf_counter_ns() - started
                self.writer.write(
                    Start(
                        variant.name, variant.library, ready.device, variant.known_wrong, startup_ns,
                        ready.facts,
                    )
                )  # fmt: skip
                before, most = 0, LARGEST
                for epoch in epochs:
                    step = Step(epoch, predict=epoch in kept, last=epoch == epochs[-1])
                    progress: Progress = child.ask(step, Progress)
                    point = self._point(progress, before, epoch, most)
                    self.writer.write(point)
                    self.tell(variant.name, epoch, point.loss)
                    if not before:
                        most = min(LARGEST, MAX_GROWTH * point.loss)
                    slow_s = SLOWER * longest * point.elapsed_ns / 1e9 / epoch
                    child.deadline_s = max(FIRST_DEADLINE_S, slow_s)
                    before = epoch
            except ChildError as error:
                raise ChildError(error.status, child.explain(error)) from error

    def _point(self, progress: Progress, before: int, epoch: int, most: float) -> Point:
        """Return the report after ``epoch`` as the file holds it; ``before`` is the epoch of the last one.

        Raises:
            _Diverged: loss, parameters or predictions cannot be worked with, or the loss is above ``most``.
        """
        loss, y_hat = progress.loss, None
        if loss is None or not 0 <= loss <= most:
            steps = f"epoch {epoch}" if epoch == before + 1 else f"epochs {before + 1} to {epoch}"
            what = f"the loss is {loss:.3g}" if loss is not None else "loss or parameters are not finite"
            raise _Diverged(
                f"it diverged in {steps} at learning rate {self.settings.lr:g}: {what}; try a smaller rate"
            )
        if progress.y_hat is not None:
            with np.errstate(over="ignore"):
                values = self.data.scaling.invert(np.array(progress.y_hat))
            if not np.abs(values).max() <= LARGEST:
                raise _Diverged(
                    f"it diverged by epoch {epoch}: predictions beyond {LARGEST:g} in the series' own units; "
                    "try a smaller --lr, or other parameters to start from"
                )
            y_hat = values.tolist()
        return Point(epoch, loss, progress.elapsed_ns, y_hat)


def _moved(data: TrainingData, path: Path) -> dict[str, float | None]:
    """Return how far each saved parameter is from its start, relative to it.

    One that was zero at the start, or so small that the ratio is no number, has no such distance.
    """
    moved: dict[str, float | None] = {}
    params = load_params(path, data.case.cell)
    with np.errstate(all="ignore"):  # what is no number becomes None
        for name, p in data.train.params.items():
            far, norm = params[name].astype(np.float64) - p, p.astype(np.float64)
            scale, unit = np.abs(far).max() or 1.0, np.abs(norm).max()  # their squares may be too large
            ratio = scale / unit * (np.linalg.norm(far / scale) / np.linalg.norm(norm / unit))
            moved[name] = float(ratio) if np.isfinite(ratio) else None
    return moved
