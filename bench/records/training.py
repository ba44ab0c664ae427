"""Define the records of ``training.jsonl``, a file of sealed lines like a journal.

The file has a ``Header``, then for each variant a ``Start``, its ``Point`` lines and a ``Stop``. Records are
written when they arise, so the lines of an interrupted training can still be drawn. Readers of a record may
rely on the bounds of its types, and on the checks of ``_contradictions``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from bench.machine.errors import UserError
from bench.records.contradictions import of_case, of_facts, of_libraries, quoted, refuse_contradictions
from bench.records.record import MOST, Count, Error, Facts, Label, OwnLibrary, Record
from bench.records.sealed import Content, Decoder, Format, SealedWriter, load_sealed
from bench.workload.case import ACTIVATIONS, DEFAULT_CELL, Case, Shape
from bench.workload.series import Decimal, Missing

FILE_NAME = "training.jsonl"
SCHEMA = 2
LARGEST, SMALLEST = 1e150, 1e-150  # squares of other numbers are infinite, or 0
Status = Literal["complete", "diverged", "crashed", "interrupted"]
Amount = Annotated[int, Meta(ge=1, le=MOST)]
Positive = Annotated[float, Meta(gt=0)]
Size = Annotated[float, Meta(ge=0, le=2 * LARGEST)]  # of a loss, an error, a distance
Value = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Rows = Annotated[list[list[Value]], Meta(min_length=1)]


class Settings(Struct, frozen=True, kw_only=True):
    """Hold the user's settings, with the names and defaults of the options of ``train``."""

    variants: Annotated[tuple[Label, ...], Meta(min_length=1)]
    layout: str
    dtype: str
    activation: str | None  # None: the first of the cell; a file has what was chosen
    epochs: Amount
    lr: Positive
    delta: Positive
    hidden: Amount
    batch: Amount | None  # training windows of the sine; None for a series, trained on all windows
    window: Amount
    horizon: Amount
    device: Label
    seed: int
    series: str | None  # a CSV file; None: the tutorial's sine wave
    column: str | None
    decimal: Decimal
    encoding: str
    missing: Missing
    split: str | None  # None: tail for a series, random for the sine
    target: Positive | None  # a loss; None: a loss that every variant reached
    load: str | None  # a file of start parameters
    every: Amount
    cell: Label | None = None  # None: that of the variants
    bias: bool | None = None  # None: as is usual for the cell


class Header(Record, frozen=True):
    """Hold all that the variants share; ``truth`` (tests, O) is in the units of the series."""

    schema: int
    started_utc: str
    settings: Settings
    shape: Shape
    split: str
    mean: Value  # of the scaling: training uses (value - mean) / scale
    scale: Annotated[float, Meta(ge=SMALLEST, le=LARGEST)]
    truth: Rows
    naive_rmse: Size  # error of repeating the last known value
    machine: Facts
    environment: dict[str, str]  # variables set for the child processes
    notes: tuple[str, ...] = ()  # about the series, shown to the user
    parameters: tuple[Label, ...] = ("U", "W", "V")  # names of the trained parameters
    libraries: tuple[OwnLibrary, ...] = ()  # of the variants, without NumPy and PyTorch

    @property
    def case(self) -> Case:
        """Return the case that was trained; a file without a cell is older than the choice of one."""
        settings = self.settings
        return Case(
            "train_step", self.shape, settings.layout, settings.dtype, settings.activation or ACTIVATIONS[0],
            split=self.split, cell=settings.cell or DEFAULT_CELL, bias=bool(settings.bias),
        )  # fmt: skip


class Start(Record, frozen=True):
    """Mark that a child is ready to train; ``startup_ns`` is the time since its process was started."""

    variant: Label
    library: str
    device: Label
    known_wrong: bool
    startup_ns: Count
    facts: Facts


class Point(Record, frozen=True):
    """Hold the state after ``epoch`` steps: the last step's loss, the time of all steps, any predictions."""

    epoch: Amount
    loss: Size
    elapsed_ns: Count
    y_hat: Rows | None = None  # (tests, O), in the units of the series; None if not stored


class Stop(Record, frozen=True):
    """Tell how a variant ended, also a variant that never started.

    ``moved`` is |p - start| / |start| of each parameter p at the last stored predictions; None if start is 0.
    """

    variant: Label
    status: Status
    reason: str = ""
    moved: dict[str, Error | None] | None = None


AnyRecord = Header | Start | Point | Stop
FORMAT = Format("training", FILE_NAME, "header", SCHEMA, "the folder of a training")
_decode = Decoder[AnyRecord](AnyRecord)


class Writer(SealedWriter[AnyRecord]):
    """Append records to a new file."""

    decode = _decode

    def __init__(self, folder: Path) -> None:
        """Create the folder and the file.

        Raises:
            UserError: the folder already holds a training, or the file cannot be created.
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


def read_begin(path: Path, lines: int) -> Content[AnyRecord]:
    """Read the first lines of a folder's or a file's training; errors are those of ``read_records``."""
    return load_sealed(path, FORMAT, lambda data: (_decode(data), data), lines)


def read_records(path: Path) -> list[AnyRecord]:
    """Return all records of a folder or a file; an incomplete last line is left out.

    Raises:
        UserError: the file is unreadable, damaged or too large, has another schema, or contradicts itself.
    """
    records = load_sealed(path, FORMAT, lambda data: (_decode(data), data)).records
    header = records[0]
    assert isinstance(header, Header)  # as ``FORMAT`` says
    refuse_contradictions(path, _contradictions(header, records[1:]))
    return records


def _contradictions(header: Header, records: Sequence[AnyRecord]) -> Iterator[str]:
    """Yield the contradictions between lines in the order of the checks; each line alone may be possible."""
    settings, shape = header.settings, header.shape
    yield from of_case(header.case)
    if not _fits(header.truth, len(header.truth), shape.O):
        yield f"test windows that are not of {shape.O} values"
    starts = [record for record in records if isinstance(record, Start)]
    yield from of_libraries((start.library for start in starts), header.libraries)
    for facts in (header.machine, *(start.facts for start in starts)):
        yield from of_facts(facts)
    variants: list[str] = []
    started: Start | None = None
    epoch = time_ns = 0  # of the previous point
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
            variants.append(record.variant)
        elif isinstance(record, Stop):
            if started is None:
                variants.append(record.variant)
            elif record.variant != started.variant:
                yield f"{quoted(record.variant)} stops where {quoted(started.variant)} was started"
            if not (record.moved or {}).keys() <= set(header.parameters):
                yield f"{quoted(record.variant)} moved by {quoted(record.moved)}"
            started = None
    specs = (*settings.variants, *("" for _ in variants))
    for index, (name, spec) in enumerate(zip(variants, specs, strict=False)):
        # a user's variant (module:object) may have any name
        if name in variants[:index] or not (":" in spec or name == spec):
            yield f"nobody asked for the variant {quoted(name)} there"


def _fits(rows: Rows, count: int, length: int) -> bool:
    """Return whether there are ``count`` rows of this length."""
    return len(rows) == count and all(len(row) == length for row in rows)
