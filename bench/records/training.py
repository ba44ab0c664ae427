"""What ``training.jsonl`` holds, line by line: sealed as a journal's lines are, and read as strictly.

The file is one ``Header``, then for each variant a ``Start``, its ``Point`` lines and a ``Stop``. It is
written as things happen, so whatever ends a training, the lines that are there can still be drawn. Whoever
reads one may rely on the bounds of the types, and on what ``_contradictions`` refuses.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from bench.machine.errors import UserError
from bench.machine.files import open_to_read
from bench.machine.libraries import LIBRARIES
from bench.machine.wording import is_name
from bench.records.contradictions import of_case, of_facts, shown
from bench.records.record import LONGEST_NS, MOST, OwnLibrary
from bench.records.sealed import Decoder, Format, SealedWriter, read_sealed
from bench.workload.case import Case, Shape
from bench.workload.series import Decimal, Missing

FILE_NAME = "training.jsonl"
SCHEMA = 2
LARGEST, SMALLEST = 1e150, 1e-150  # what is larger or smaller has a square that is no number, or 0
Status = Literal["complete", "diverged", "crashed", "interrupted"]
Count = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
Time = Annotated[int, msgspec.Meta(ge=0, le=LONGEST_NS)]  # in nanoseconds
Positive = Annotated[float, msgspec.Meta(gt=0)]
Size = Annotated[float, msgspec.Meta(ge=0, le=2 * LARGEST)]  # of a loss, an error, a distance
Value = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Rows = list[list[Value]]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person chose, by the names of the options of ``train``, whose defaults it has."""

    variants: tuple[str, ...]
    layout: str
    dtype: str
    activation: str
    epochs: Count
    lr: Positive
    delta: Positive
    hidden: Count
    batch: Count | None  # training windows of the sine; a series is trained on all that it has
    window: Count
    horizon: Count
    device: str
    seed: int
    series: str | None  # a CSV file; None for the primer's sine wave
    column: str | None
    decimal: Decimal
    encoding: str
    missing: Missing
    split: str | None  # None: tail for a series, random for the sine
    target: Positive | None  # a loss; None for one that every variant reached
    load: str | None  # a file of parameters to start from
    every: Count


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    """One line; its class name in lower case is the line's ``kind``."""


class Header(Record, frozen=True):
    """All that the variants share. ``truth`` (tests, O) is in the series' own units."""

    schema: int
    started_utc: str
    settings: Settings
    shape: Shape
    split: str
    mean: Value  # of the scaling: (value - mean) / scale is what was trained on
    scale: Annotated[float, msgspec.Meta(ge=SMALLEST, le=LARGEST)]
    truth: Rows
    naive_rmse: Size  # of repeating the last known value
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
    startup_ns: Time
    facts: dict[str, Any]


class Point(Record, frozen=True):
    """After ``epoch`` training steps: the last one's loss, the time all took, predictions where kept."""

    epoch: Count
    loss: Size
    elapsed_ns: Time
    y_hat: Rows | None = None  # (tests, O), in the series' own units


class Stop(Record, frozen=True):
    """How a variant ended, also one that never started. ``moved`` is |p - start| / |start| of each parameter
    where predictions were last kept; None for a start of zero."""

    variant: str
    status: Status
    reason: str = ""
    moved: dict[str, Annotated[float, msgspec.Meta(ge=0)] | None] | None = None


AnyRecord = Header | Start | Point | Stop
FORMAT = Format("training", "header", SCHEMA)
_decode = Decoder[AnyRecord](AnyRecord)


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
    """Return whether this is the folder or the file of a training."""
    return path.name == FILE_NAME or (path / FILE_NAME).is_file()


def read_records(path: Path) -> list[AnyRecord]:
    """Return all records of a folder or its file; a last line that was torn is left out.

    Raises:
        UserError: it cannot be read, is damaged or too large, has another schema, or contradicts itself.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        with open_to_read(file) as opened:
            records = read_sealed(opened, file, FORMAT, lambda data: (_decode(data), data)).records
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; give the folder of a training") from error
    header = records[0]
    assert isinstance(header, Header)  # as its format says
    for problem in _contradictions(header, records[1:]):
        raise UserError(f"{path} contradicts itself: {problem}; the file was edited or is damaged")
    return records


def _contradictions(header: Header, records: Sequence[AnyRecord]) -> Iterator[str]:
    """Yield what no training writes, the first cause first; by itself each line may be possible."""
    yield from _of_header(header)
    asked = header.settings.variants
    tried: list[str] = []
    started: Start | None = None
    before = (0, 0)  # epoch and time of the point before
    for record in records:
        if isinstance(record, Header):
            yield "it has a second header"
        elif isinstance(record, Point):
            if started is None:
                yield f"a point of epoch {record.epoch} belongs to no variant"
            yield from _of_point(record, before, header)
            before = (record.epoch, record.elapsed_ns)
        else:
            if started is None:
                tried.append(record.variant)
            elif isinstance(record, Start):
                yield f"{shown(record.variant)} starts before {shown(started.variant)} stops"
            elif record.variant != started.variant:
                yield f"{shown(record.variant)} stops where {shown(started.variant)} was started"
            started, before = (record, (0, 0)) if isinstance(record, Start) else (None, before)
            yield from _of_variant(record, header)
    for place, name in enumerate(tried):
        wanted = asked[place] if place < len(asked) else ""
        own = ":" in wanted  # one of the user's own may be called anything
        if name in tried[:place] or not (own or name == wanted):
            yield f"nobody asked for the variant {shown(name)} there"


def _of_header(header: Header) -> Iterator[str]:
    settings, shape = header.settings, header.shape
    case = Case("train_step", shape, settings.layout, settings.dtype, settings.activation, split=header.split)
    yield from of_case(case)
    names = [*settings.variants, settings.device, *header.parameters]
    yield from (f"{shown(name)} is no name" for name in names if not is_name(name))
    for own in header.libraries:
        yield from own.problems()
    if not settings.variants:
        yield "no variant was asked for"
    if not header.truth or not _fits(header.truth, len(header.truth), shape.O):
        yield f"test windows that are not of {shape.O} values"
    yield from of_facts(header.machine)


def _of_variant(record: Start | Stop, header: Header) -> Iterator[str]:
    if not is_name(record.variant):
        yield f"{shown(record.variant)} is no name"
    if isinstance(record, Start):
        if not is_name(record.device):
            yield f"{shown(record.device)} is no name"
        if record.library not in {*LIBRARIES, *(own.name for own in header.libraries)}:
            yield f"no library is called {shown(record.library)}"
        yield from of_facts(record.facts)
    elif not (record.moved or {}).keys() <= set(header.parameters):
        yield f"{shown(record.variant)} moved by {shown(record.moved)}"


def _of_point(point: Point, before: tuple[int, int], header: Header) -> Iterator[str]:
    if not before[0] < point.epoch <= header.settings.epochs:
        yield f"epoch {point.epoch} of {header.settings.epochs} after epoch {before[0]}"
    if point.elapsed_ns < before[1]:
        yield f"{point.elapsed_ns} ns in epoch {point.epoch} after {before[1]} ns"
    if point.y_hat is not None and not _fits(point.y_hat, len(header.truth), header.shape.O):
        yield f"predictions in epoch {point.epoch} that are not of the shape of the test windows"


def _fits(rows: Rows, count: int, length: int) -> bool:
    """Return whether there are so many rows of that length."""
    return len(rows) == count and all(len(row) == length for row in rows)
