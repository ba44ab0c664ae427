"""What ``training.jsonl`` holds, line by line, and what a child tells while it trains.

The file is one ``Header``, then for each variant a ``Start``, its ``Point`` lines and a ``Stop``. It is
written as things happen, so whatever ends a training, the lines that are there can still be drawn.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import msgspec

from bench.case import Shape
from bench.errors import UserError
from bench.results import strict
from bench.results.files import open_to_read
from bench.results.reading import bounded_lines
from bench.training.work import Settings

FILE_NAME = "training.jsonl"
SCHEMA = 1
Status = Literal["complete", "diverged", "crashed", "interrupted"]
Rows = list[list[float]]


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


class Job(msgspec.Struct, frozen=True):
    """What a child is to do; its arrays are in ``inputs``, its parameters go to ``params``."""

    spec: str
    device: str
    activation: str
    delta: float
    lr: float
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


Message = Ready | Progress


class Writer:
    """Appends records to a new file."""

    def __init__(self, folder: Path) -> None:
        """Create the folder and the file.

        Raises:
            UserError: there is one already, or it cannot be created.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / FILE_NAME).open("xb")
        except FileExistsError as error:
            raise UserError(f"{folder} already holds a training; choose another --out") from error
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error

    def write(self, record: AnyRecord) -> None:
        """Append one record and hand it to the system."""
        self._file.write(msgspec.json.encode(record) + b"\n")
        self._file.flush()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def is_training(path: Path) -> bool:
    """Whether this is the folder or the file of a training."""
    return path.name == FILE_NAME or (path / FILE_NAME).is_file()


def read_records(path: Path) -> list[AnyRecord]:
    """All records of a folder or its file; a last line that was torn is left out.

    Raises:
        UserError: it cannot be read, is damaged or too large, or comes from a newer program.
    """
    file = path / FILE_NAME if path.is_dir() else path
    decode = strict.Decoder[AnyRecord](AnyRecord)
    try:
        with open_to_read(file) as opened:
            lines = bounded_lines(opened, file)
            records = [decode(line.rstrip(b"\n")) for line in lines if line.endswith(b"\n")]
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; give the folder of a training") from error
    except ValueError as error:
        raise UserError(f"{file} cannot be read: {error}; the file is damaged") from error
    if not records or not isinstance(records[0], Header):
        raise UserError(f"{file} is no training of rnnbench: its first line is not a header")
    if records[0].schema > SCHEMA:
        raise UserError(f"{file} was written by a newer rnnbench; install that to read it")
    return records
