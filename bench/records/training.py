"""What ``training.jsonl`` holds, line by line, and what a child tells while it trains.

The file is one ``Header``, then for each variant a ``Start``, its ``Point`` lines and a ``Stop``. It is
written as things happen, so whatever ends a training, the lines that are there can still be drawn.

Schema history
  1  first version
  2  lines are sealed (see ``bench.records.sealed``)
"""

from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import numpy as np

from bench.machine.errors import UserError
from bench.machine.files import open_to_read
from bench.records.record import OwnLibrary
from bench.records.sealed import (
    FIRST,
    Decoder,
    Room,
    SealedWriter,
    bounded_lines,
    first_record,
    sealed_line,
    unseal,
)
from bench.workload.case import Case, Shape
from bench.workload.series import Decimal, Missing

FILE_NAME = "training.jsonl"
SCHEMA = 2
UNSEALED = (None, 1)  # schemas of files without seals
Status = Literal["complete", "diverged", "crashed", "interrupted"]
Rows = list[list[float]]
BATCH = 128  # the primer's training windows
MAX_FRAMES = 54  # epochs at which predictions are kept; the animation holds the last for a while
LARGEST, SMALLEST = 1e150, 1e-150  # what is larger or smaller has a square that is no number, or 0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person can choose. ``series`` is a CSV file, None for the primer's sine wave."""

    variants: tuple[str, ...] = ("numpy-inplace", "torch-rnn")
    layout: str = "positional"
    dtype: str = "float32"
    activation: str = "tanh"
    epochs: int = 20000
    lr: float = 0.1
    delta: float = 0.025
    hidden: int = 32
    batch: int = BATCH
    window: int = 6
    horizon: int = 8
    device: str = "cpu"
    seed: int = 0
    series: str | None = None
    column: str | None = None  # None for the only one that holds numbers
    decimal: Decimal = "."
    encoding: str = "utf-8"
    missing: Missing = "error"
    split: str | None = None  # tail for a series, random for the sine
    target: float | None = None  # a loss; None for one that every variant reached
    load: str | None = None
    every: int = 100

    @property
    def reports(self) -> list[int]:
        """Epochs after which the loss is told: the first, every so many, the last."""
        return sorted({1, *range(self.every, self.epochs + 1, self.every), self.epochs})

    @property
    def frames(self) -> list[int]:
        """Those of the reports at which predictions are kept: closer at the start, where most happens."""
        reports = self.reports
        places = np.linspace(0, 1, MAX_FRAMES) ** 2 * (len(reports) - 1)
        return [reports[place] for place in np.unique(np.round(places).astype(int))]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    """One line; its class name in lower case is the line's ``kind``."""


class Header(Record, frozen=True):
    """All that the variants share. ``truth`` (tests, O) is in the series' own units."""

    schema: int
    started_utc: str
    settings: Settings
    shape: Shape
    split: str
    mean: float  # of the scaling: (value - mean) / scale is what was trained on
    scale: float
    truth: Rows
    naive_rmse: float  # of repeating the last known value
    machine: dict[str, Any]
    environment: dict[str, str]  # variables set for the children
    notes: tuple[str, ...] = ()  # what a person should know of the series
    parameters: tuple[str, ...] = ("U", "W", "V")  # names of those that are trained
    libraries: tuple[OwnLibrary, ...] = ()  # of the variants, but for NumPy and PyTorch


class Start(Record, frozen=True):
    """A child is ready: library loaded, data read, task bound. ``startup_ns`` is since it was started."""

    variant: str
    library: str
    device: str
    known_wrong: bool
    startup_ns: int
    facts: dict[str, Any]


class Point(Record, frozen=True):
    """After ``epoch`` training steps: the last one's loss, the time all took, predictions where kept."""

    epoch: int
    loss: float
    elapsed_ns: int
    y_hat: Rows | None = None  # (tests, O), in the series' own units


class Stop(Record, frozen=True):
    """How a variant ended, also one that never started. ``moved`` is |p - start| / |start| for U, W and V,
    where predictions were last kept."""

    variant: str
    status: Status
    reason: str = ""
    moved: dict[str, float] | None = None


AnyRecord = Header | Start | Point | Stop
_decode = Decoder[AnyRecord](AnyRecord)


class Job(msgspec.Struct, frozen=True):
    """What a child is to do; its arrays are in ``inputs``, its parameters go to ``params``."""

    spec: str
    device: str
    case: Case  # the task train_step
    reports: list[int]
    frames: list[int]
    inputs: str
    params: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child is about to make its first call."""

    device: str
    facts: dict[str, Any]


class Progress(msgspec.Struct, frozen=True, tag=True):
    """As ``Point``, in the units of the training; ``loss`` is None where it or a parameter is not finite."""

    epoch: int
    loss: float | None
    elapsed_ns: int
    y_hat: Rows | None = None


Message = Ready | Progress  # the first by itself, then one a line that the parent sends


class Writer(SealedWriter[AnyRecord]):
    """Appends records to a new file."""

    def __init__(self, folder: Path) -> None:
        """Create the folder and the file.

        Raises:
            UserError: there is one already, or it cannot be created.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            taken = (folder / FILE_NAME).exists()
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
        if taken:
            raise UserError(f"{folder} already holds a training; choose another --out")
        super().__init__(folder / FILE_NAME, _decode)


def is_training(path: Path) -> bool:
    """Whether this is the folder or the file of a training."""
    return path.name == FILE_NAME or (path / FILE_NAME).is_file()


def read_records(path: Path) -> list[AnyRecord]:
    """All records of a folder or its file; a last line that was torn is left out.

    Raises:
        UserError: it cannot be read, is damaged or too large, or comes from a newer program.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        with open_to_read(file) as opened:
            records = _read(opened, file)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; give the folder of a training") from error
    if not records or not isinstance(records[0], Header):
        raise UserError(f"{file} is no training of rnnbench: its first line is not a header")
    return records


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sealed line, however it is formatted."""

    seal: str
    record: msgspec.Raw


def _read(opened: BinaryIO, file: Path) -> list[AnyRecord]:
    """The records of all whole lines; those of schema 1 have no seals."""
    records: list[AnyRecord] = []
    seal: bytes | None = FIRST
    room = Room(file)
    for number, line in enumerate(bounded_lines(opened, file), start=1):
        if not line.endswith(b"\n"):
            break
        if number == 1:
            seal = _first_seal(line, file)
        try:
            if seal is None:
                record = _decode(line.rstrip(b"\n"))
            else:
                record, seal = _unsealed(seal, line)
        except ValueError as error:
            raise UserError(f"{file}, line {number} cannot be read: {error}; the file is damaged") from error
        room.take(line, record)
        records.append(record)
    return records


def _first_seal(line: bytes, file: Path) -> bytes | None:
    """What stands for the seal before the first line; None where the lines have none."""
    sealed = _sealed(line)
    schema = first_record(bytes(sealed.record) if sealed else line).get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise UserError(f"{file} was written by a newer rnnbench; install that to read it")
    return None if sealed is None and schema in UNSEALED else FIRST


def _sealed(line: bytes) -> _Sealed | None:
    try:
        return msgspec.json.decode(line, type=_Sealed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _unsealed(before: bytes, line: bytes) -> tuple[AnyRecord, bytes]:
    """The record in the line that comes after one sealed with ``before``, and the line's own seal.

    Another program may have formatted the line anew, or left out a default: what it says fits its seal.

    Raises:
        ValueError: it says something else.
    """
    try:
        data, seal = unseal(before, line)
        return _decode(data), seal
    except ValueError:
        sealed = _sealed(line)
        if sealed is None:
            raise
        record = _decode(bytes(sealed.record))
        _, seal = sealed_line(before, msgspec.json.encode(record))
        if sealed.seal.encode() != seal:
            raise
        return record, seal
