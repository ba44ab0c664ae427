"""What no training writes: a file can be sealed well, fit its schema, and still contradict itself.

Whoever reads a training may rely on what is checked here, pictures and plots above all.
"""

from collections.abc import Collection, Iterator, Sequence

from bench.machine.libraries import LIBRARIES
from bench.machine.wording import is_name
from bench.records.contradictions import LONGEST_NS, of_case, of_facts, shown
from bench.records.training import LARGEST, SMALLEST, AnyRecord, Header, Point, Rows, Start, Stop
from bench.workload.case import Case


def contradictions(records: Sequence[AnyRecord]) -> Iterator[str]:
    """What is wrong with the records of a file, whose first is its header; the first cause first."""
    header = records[0]
    assert isinstance(header, Header)
    yield from _of_header(header)
    started: Start | None = None
    last: Point | None = None
    tried: list[str] = []
    for record in records[1:]:
        match record:
            case Header():
                yield "it has a second header"
            case Start():
                if started is not None:
                    yield f"{shown(record.variant)} starts before {shown(started.variant)} stops"
                yield from _of_start(record, {*LIBRARIES, *(own.name for own in header.libraries)})
                tried.append(record.variant)
                started, last = record, None
            case Point():
                if started is None:
                    yield f"a point of epoch {record.epoch} belongs to no variant"
                yield from _of_point(record, last, header)
                last = record
            case Stop():
                if started is None:
                    tried.append(record.variant)
                elif started.variant != record.variant:
                    yield f"{shown(record.variant)} stops where {shown(started.variant)} was started"
                yield from _of_stop(record, header.parameters)
                started = None
    yield from _of_variants(tried, header.settings.variants)


def _of_header(header: Header) -> Iterator[str]:
    settings, shape = header.settings, header.shape
    case = Case(
        "train_step",
        shape,
        settings.layout,
        settings.dtype,
        settings.activation,
        split=header.split,
        lr=settings.lr,
        delta=settings.delta,
    )
    yield from of_case(case)
    counts = (settings.epochs, settings.hidden, settings.batch, settings.window, settings.horizon)
    if min(*counts, settings.every) < 1:
        yield f"a setting of {min(*counts, settings.every)}"
    if settings.target is not None and settings.target <= 0:
        yield f"a target of {settings.target:g}"
    names = [*settings.variants, settings.device, *header.parameters]
    yield from (f"{shown(name)} is no name" for name in names if not is_name(name))
    for own in header.libraries:
        yield from own.problems()
    if not settings.variants:
        yield "no variant was asked for"
    if abs(header.mean) > LARGEST or not SMALLEST <= header.scale <= LARGEST:
        yield f"a mean of {header.mean:g} and a scale of {header.scale:g}"
    if not 0 <= header.naive_rmse <= 2 * LARGEST:
        yield f"an error of {header.naive_rmse:g}"
    if not header.truth or not _fits(header.truth, len(header.truth), shape.O):
        yield f"test windows that are not of {shape.O} values"
    yield from of_facts(header.machine)


def _of_start(start: Start, libraries: Collection[str]) -> Iterator[str]:
    names = (start.variant, start.device)
    yield from (f"{shown(name)} is no name" for name in names if not is_name(name))
    if start.library not in libraries:
        yield f"no library is called {shown(start.library)}"
    if not 0 <= start.startup_ns <= LONGEST_NS:
        yield f"a start that took {start.startup_ns} ns"
    yield from of_facts(start.facts)


def _of_point(point: Point, last: Point | None, header: Header) -> Iterator[str]:
    """A report, which comes after the ``last`` of its variant."""
    before = (last.epoch, last.elapsed_ns) if last else (0, 0)
    if not before[0] < point.epoch <= header.settings.epochs:
        yield f"epoch {point.epoch} of {header.settings.epochs} after epoch {before[0]}"
    if not before[1] <= point.elapsed_ns <= LONGEST_NS:
        yield f"{point.elapsed_ns} ns in epoch {point.epoch} after {before[1]} ns"
    if not 0 <= point.loss <= LARGEST:
        yield f"a loss of {point.loss:g} in epoch {point.epoch}"
    if point.y_hat is not None and not _fits(point.y_hat, len(header.truth), header.shape.O):
        yield f"predictions in epoch {point.epoch} that are not of the shape of the test windows"


def _of_stop(stop: Stop, parameters: Collection[str]) -> Iterator[str]:
    if not is_name(stop.variant):
        yield f"{shown(stop.variant)} is no name"
    moved = stop.moved or {}
    if not moved.keys() <= set(parameters) or any(far < 0 for far in moved.values()):
        yield f"{shown(stop.variant)} moved by {shown(moved)}"


def _of_variants(tried: Sequence[str], asked: Sequence[str]) -> Iterator[str]:
    """Variants that were tried, in their order; one of the user's own may be called anything."""
    for place, name in enumerate(tried):
        wanted = asked[place] if place < len(asked) else ""
        if name in tried[:place] or (":" not in wanted and name != wanted):
            yield f"nobody asked for the variant {shown(name)} there"


def _fits(rows: Rows, count: int, length: int) -> bool:
    """Whether there are so many rows of that length, with values whose squares are numbers."""
    return len(rows) == count and all(len(row) == length and max(map(abs, row)) <= LARGEST for row in rows)
