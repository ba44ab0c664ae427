"""What ``training.jsonl`` holds, line by line: sealed as a journal's lines are, and read as strictly.

The file is one ``Header``, then for each variant a ``Start``, its ``Point`` lines and a ``Stop``. It is
written as things happen, so whatever ends a training, the lines that are there can still be drawn. Whoever
reads one may rely on the bounds of the types, and on what ``_contradictions`` refuses.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from bench.machine.errors import UserError
from bench.records.contradictions import of_case, of_facts, of_libraries, quoted, refuse_contradictions
from bench.records.record import MOST, Count, Error, Facts, Label, OwnLibrary, Record
from bench.records.sealed import Decoder, Format, SealedWriter, load_sealed
from bench.workload.case import Case, Shape
from bench.workload.series import Decimal, Missing

FILE_NAME = "training.jsonl"
SCHEMA = 2
LARGEST, SMALLEST = 1e150, 1e-150  # what is larger or smaller has a square that is no number, or 0
Status = Literal["complete", "diverged", "crashed", "interrupted"]
Amount = Annotated[int, Meta(ge=1, le=MOST)]
Positive = Annotated[float, Meta(gt=0)]
Size = Annotated[float, Meta(ge=0, le=2 * LARGEST)]  # of a loss, an error, a distance
Value = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Rows = Annotated[list[list[Value]], Meta(min_length=1)]


class Settings(Struct, frozen=True, kw_only=True):
    """What a person chose, by the names of the options of ``train``, whose defaults it has."""

    variants: Annotated[tuple[Label, ...], Meta(min_length=1)]
    layout: str
    dtype: str
    activation: str
    epochs: Amount
    lr: Positive
    delta: Positive
    hidden: Amount
    batch: Amount | None  # training windows of the sine; a series is trained on all that it has
    window: Amount
    horizon: Amount
    device: Label
    seed: int
    series: str | None  # a CSV file; None for the primer's sine wave
    column: str | None
    decimal: Decimal
    encoding: str
    missing: Missing
    split: str | None  # None: tail for a series, random for the sine
    target: Positive | None  # a loss; None for one that every variant reached
    load: str | None  # a file of parameters to start from
    every: Amount


class Header(Record, frozen=True):
    """All that the variants share. ``truth`` (tests, O) is in the series' own units."""

    schema: int
    started_utc: str
    settings: Settings
    shape: Shape
    split: str
    mean: Value  # of the scaling: (value - mean) / scale is what was trained on
    scale: Annotated[float, Meta(ge=SMALLEST, le=LARGEST)]
    truth: Rows
    naive_rmse: Size  # of repeating the last known value
    machine: Facts
    environment: dict[str, str]  # variables set for the children
    notes: tuple[str, ...] = ()  # what a person should know of the series
    parameters: tuple[Label, ...] = ("U", "W", "V")  # names of those that are trained
    libraries: tuple[OwnLibrary, ...] = ()  # of the variants, but for NumPy and PyTorch


class Start(Record, frozen=True):
    """A child is ready: library loaded, data read, task bound. ``startup_ns`` is since it was started."""

    variant: Label
    library: str
    device: Label
    known_wrong: bool
    startup_ns: Count
    facts: Facts


class Point(Record, frozen=True):
    """After ``epoch`` training steps: the last one's loss, the time all took, predictions where kept."""

    epoch: Amount
    loss: Size
    elapsed_ns: Count
    y_hat: Rows | None = None  # (tests, O), in the series' own units


class Stop(Record, frozen=True):
    """How a variant ended, also one that never started. ``moved`` is |p - start| / |start| of each parameter
    where predictions were last kept; None for a start of zero."""

    variant: Label
    status: Status
    reason: str = ""
    moved: dict[str, Error | None] | None = None


AnyRecord = Header | Start | Point | Stop
FORMAT = Format("training", FILE_NAME, "header", SCHEMA, "the folder of a training")
_decode = Decoder[AnyRecord](AnyRecord)


class Writer(SealedWriter[AnyRecord]):
    """Appends records to a new file."""

    decode = _decode

    def __init__(self, folder: Path) -> None:
        """Create the folder and the file.

        Raises:
            UserError: there is one already, or it cannot be created.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / FILE_NAME).exists():
                raise UserError(f"{folder} already holds a training; choose another --out")
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
        super().__init__(folder / FILE_NAME)


def is_training(path: Path) -> bool:
    """Return whether this is the folder or the file of a training."""
    return path.name == FILE_NAME or (path / FILE_NAME).is_file()


def read_records(path: Path) -> list[AnyRecord]:
    """Return all records of a folder or its file; a last line that was torn is left out.

    Raises:
        UserError: it cannot be read, is damaged or too large, has another schema, or contradicts itself.
    """
    records = load_sealed(path, FORMAT, lambda data: (_decode(data), data)).records
    header = records[0]
    assert isinstance(header, Header)  # as its format says
    refuse_contradictions(path, _contradictions(header, records[1:]))
    return records


def _contradictions(header: Header, records: Sequence[AnyRecord]) -> Iterator[str]:
    """Yield what no training writes, the first cause first; by itself each line may be possible."""
    settings, shape = header.settings, header.shape
    yield from of_case(
        Case("train_step", shape, settings.layout, settings.dtype, settings.activation, split=header.split)
    )
    if not _fits(header.truth, len(header.truth), shape.O):
        yield f"test windows that are not of {shape.O} values"
    starts = [record for record in records if isinstance(record, Start)]
    yield from of_libraries((start.library for start in starts), header.libraries)
    for facts in (header.machine, *(start.facts for start in starts)):
        yield from of_facts(facts)
    tried: list[str] = []
    started: Start | None = None
    epoch = time_ns = 0  # of the point before
    for record in records:
        if isinstance(record, Point):
            if started is None:
                yield f"a point of epoch {record.epoch} belongs to no variant"
            if not epoch < record.epoch <= settings.epochs:
                yield f"epoch {record.epoch} of {settings.epochs} after epoch {epoch}"
            if record.elapsed_ns < time_ns:
                yield f"{record.elapsed_ns} ns in epoch {record.epoch} after {time_ns} ns"
            if record.y_hat is not None and not _fits(record.y_hat, len(header.truth), shape.O):
                yield f"predictions in epoch {record.epoch} that are not of the shape of the test windows"
            epoch, time_ns = record.epoch, record.elapsed_ns
        elif isinstance(record, Start):
            if started is not None:
                yield f"{quoted(record.variant)} starts before {quoted(started.variant)} stops"
            started, epoch, time_ns = record, 0, 0
            tried.append(record.variant)
        elif isinstance(record, Stop):
            if started is None:
                tried.append(record.variant)
            elif record.variant != started.variant:
                yield f"{quoted(record.variant)} stops where {quoted(started.variant)} was started"
            if not (record.moved or {}).keys() <= set(header.parameters):
                yield f"{quoted(record.variant)} moved by {quoted(record.moved)}"
            started = None
    wanted = (*settings.variants, *("" for _ in tried))
    for place, (name, asked) in enumerate(zip(tried, wanted, strict=False)):
        # one of the user's own may be called anything
        if name in tried[:place] or not (":" in asked or name == asked):
            yield f"nobody asked for the variant {quoted(name)} there"


def _fits(rows: Rows, count: int, length: int) -> bool:
    """Return whether there are so many rows of that length."""
    return len(rows) == count and all(len(row) == length for row in rows)
