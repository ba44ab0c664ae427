"""Define the records of ``stream.jsonl``, a file of sealed lines, and the histogram that keeps the times.

The file begins with a ``Declaration``; a ``Decision`` follows as soon as the calls are known. Each block then
has a ``Burst`` or a ``Failure`` for every arm, written when the whole block is over, and an ``End`` is last.
A histogram, the slowest calls and their causes are kept of a block, not every call.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct, field
from numpy.typing import NDArray

from bench.records.contradictions import of_case, of_facts, of_libraries, quoted, refuse_contradictions
from bench.records.folder import make_folder
from bench.records.record import (
    MAX_NS,
    MOST,
    Amount,
    Arm,
    Blocks,
    Count,
    End,
    Facts,
    Failure,
    OwnLibrary,
    Pair,
    Positive,
    Record,
)
from bench.records.sealed import Content, Decoder, Format, SealedWriter, load_sealed
from bench.workload.case import STREAM, Case

FILE_NAME = "stream.jsonl"
SCHEMA = 1
CONTROL = "control"  # in place of an arm's id
WIDTH = math.log(1.002)  # of a bin, so that its middle is within 0.1 % of every time in it
MAX_SLOWEST = 100
MIN_CLOCK_COSTS = 20  # what is timed at once takes at least so many readings of the clock
MIN_CALLS, MAX_CALLS = 40, 10_000_000  # of an arm in a block; of 40, 20 are beyond the median
MAX_STREAMS = 1_000_000  # at once
LATE = 0.01  # share of late steps up to which streams are served
Pace = Literal["sleep", "spin"]
Share = Literal["processes", "threads"]  # what each worker is
Bins = Annotated[list[Annotated[int, Meta(ge=0, le=math.ceil(math.log(MAX_NS) / WIDTH))]], Meta(min_length=1)]
Calls = Annotated[int, Meta(ge=MIN_CALLS, le=MAX_CALLS)]
Rate = Annotated[float, Meta(gt=0, le=1e9)]
Seconds = Annotated[float, Meta(gt=0, le=MOST)]
Streams = Annotated[int, Meta(ge=1, le=MAX_STREAMS)]


class Histogram(Struct, frozen=True, forbid_unknown_fields=True):
    """Count times in bins of equal relative width: bin i holds ``exp(i WIDTH) <= t < exp((i + 1) WIDTH)``.

    ``bins`` are the numbers of the bins that are not empty, in ascending order.
    """

    bins: Bins
    counts: Annotated[list[Positive], Meta(min_length=1)]

    @classmethod
    def of(cls, times_ns: NDArray[np.int64] | NDArray[np.float64]) -> "Histogram":
        """Count these times; one below 1 ns, which a coarse clock may give, counts as 1 ns."""
        bins, counts = np.unique((np.log(np.maximum(times_ns, 1)) / WIDTH).astype(int), return_counts=True)
        return cls(bins.tolist(), counts.tolist())

    @property
    def n(self) -> int:
        """Return the number of times."""
        return sum(self.counts)

    def percentile(self, q: float) -> float:
        """Return the least time in ns that a share ``q`` of all does not exceed: the middle of its bin."""
        rank = math.ceil(q * self.n - 1e-9)  # 0.99 * 2000 is more than 1980, by its rounding
        place = int(np.searchsorted(np.cumsum(self.counts), rank))
        return math.exp((self.bins[place] + 0.5) * WIDTH)

    def slower(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return times in ns, one a bin, and the share of all calls that took longer than each."""
        shares = 1 - np.cumsum(self.counts) / self.n
        return np.exp((np.array(self.bins) + 1) * WIDTH), np.maximum(shares, 0.0)


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return the histogram of all the times of several ones."""
    total = Counter[int]()
    for histogram in histograms:
        total.update(dict(zip(histogram.bins, histogram.counts, strict=True)))
    return Histogram(sorted(total), [total[number] for number in sorted(total)])


class Slow(Struct, frozen=True, forbid_unknown_fields=True):
    """Hold one of the slowest calls; ``position`` counts the timed calls of its block from 0."""

    position: Count
    ns: Count
    collected: bool  # garbage was collected within it


class Declaration(Record, frozen=True):
    """Declare what will be measured; ``arms`` are without the control."""

    schema: int
    version: str  # of rnnbench
    started_utc: str
    command: list[str]
    case: Case  # its T samples are fed again and again
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]  # of the order
    blocks: Blocks
    rounds: Annotated[int, Meta(ge=1)]  # slices of each arm in a block
    calls: Calls | None  # of each arm in each block, as asked for; None: as many as ``seconds`` hold
    seconds: Amount
    rate: Rate | None  # samples per second; None: back to back
    pace: Pace | None  # how a call's time is awaited; None without a rate
    collector: bool  # whether garbage is collected, as in production
    verdicts: bool
    margin: Annotated[float, Meta(gt=0, lt=1)]
    arms: Annotated[list[Arm], Meta(min_length=1)]
    libraries: list[OwnLibrary]
    machine: Facts
    environment: dict[str, str]  # variables set for the processes
    warnings: list[str]
    missing: list[str] = field(default_factory=list)  # why some of the usual arms are not there
    streams: tuple[Streams, ...] = ()  # how many at once, by level; empty: a single one
    workers: Streams = 1  # at most at work
    share: Share = "processes"
    most_streams: Streams = MAX_STREAMS  # where the search for the number served ends

    @property
    def period_ns(self) -> float | None:
        """Return the time between two samples, which is also the deadline."""
        return None if self.rate is None else 1e9 / self.rate

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Return the numbers of streams with those of workers: at a rate all, else also 1, 2, 4, ..."""
        fewer = [] if self.rate else [2**n for n in range(self.workers.bit_length())]
        return sorted({(n, min(n, workers)) for n in self.streams for workers in (*fewer, self.workers)})


class Decision(Record, frozen=True):
    """Hold what the first calls decided, before anything that counts was timed."""

    calls: Calls  # timed of each arm in each block: calls, or groups of calls
    group: Positive  # calls in a group: 1, or more where a call is too short for the clock
    idle_ns: Count  # of the control in the first block, as in its burst
    pairs: list[Pair]  # of arms' ids


class Burst(Record, frozen=True):
    """Hold the times of an arm, or of the control, in a block; of a group, its time divided by its calls."""

    block: Blocks
    arm: str
    times: Histogram  # of the calls alone
    response: Histogram | None  # from the time a call was due to its end; None without a rate
    missed: Count  # calls that ended after the next one was due
    slowest: Annotated[list[Slow], Meta(min_length=1, max_length=MAX_SLOWEST)]
    first_call_ns: Count  # first of the process; not among the times
    clock_cost_ns: tuple[Count, Count]  # of a reading, before and after
    clock_step_ns: Count  # smallest difference of two readings
    collections: list[Count]  # of garbage while calls were timed, by generation
    collecting_ns: Count
    preempted: Count  # involuntary context switches
    faults: tuple[Count, Count]  # page faults without and with reading from a disk
    facts: Facts  # of the library
    idle_ns: Count = 0  # of the control, how long a call waits: as the slowest arm's, at most half a period


class Level(Record, frozen=True):
    """Hold what ``workers`` took who served so many streams at once; times are those of steps."""

    block: Blocks
    arm: str
    streams: Streams
    workers: Streams
    search: bool  # for the number of streams served
    seconds: Seconds  # from the first step to the end of the last one
    times: Histogram
    response: Histogram | None  # from the time a step was due to its end; None without a rate
    missed: Count  # steps that ended after the next one of their stream was due
    facts: Facts  # of the library

    @property
    def late(self) -> float:
        """Return the share of the steps due that were late."""
        return self.missed / self.response.n if self.response else 0.0

    @property
    def throughput(self) -> float:
        """Return the steps per second of all streams together."""
        return self.times.n / self.seconds


AnyRecord = Declaration | Decision | Burst | Level | Failure | End
FORMAT = Format("stream", FILE_NAME, "declaration", SCHEMA, "the folder of a stream")
_decode = Decoder[AnyRecord](AnyRecord)


class StreamFile(SealedWriter[AnyRecord]):
    """Append records to a new file."""

    decode = _decode

    @classmethod
    def new(cls, folder: Path) -> "StreamFile":
        """Make the folder and its file.

        Raises:
            UserError: the folder already holds a stream, or cannot be written.
        """
        make_folder(folder)
        return cls(folder / FILE_NAME)


@dataclass(frozen=True, slots=True)
class Stream:
    """Hold a stream as read from its file; ``bursts`` by arm, in the order of their blocks."""

    path: Path
    declaration: Declaration
    decision: Decision | None
    bursts: dict[str, list[Burst]]
    failures: list[Failure]
    end: End | None
    levels: list[Level]

    @property
    def blocks(self) -> int:
        """Return the number of whole blocks."""
        return len(self.bursts[CONTROL]) or len({level.block for level in self.levels})


def is_stream(path: Path) -> bool:
    """Return whether this is the folder or the file of a stream."""
    return path.name == FILE_NAME or (path / FILE_NAME).is_file()


def read_begin(path: Path, lines: int) -> Content[AnyRecord]:
    """Read the first lines of a folder's or a file's stream; errors are those of ``read_stream``."""
    return load_sealed(path, FORMAT, lambda data: (_decode(data), data), lines)


def read_stream(path: Path) -> Stream:
    """Read a folder or a file; an incomplete last line is left out.

    So are the times of the last block where no end follows: nothing tells whether they are all.

    Raises:
        UserError: the file is unreadable, damaged or too large, has another schema, or contradicts itself.
    """
    records = load_sealed(path, FORMAT, lambda data: (_decode(data), data)).records
    declaration = records[0]
    assert isinstance(declaration, Declaration)  # as ``FORMAT`` says
    bursts = {name: list[Burst]() for name in (*(arm.id for arm in declaration.arms), CONTROL)}
    stream = Stream(
        path.parent if path.name == FILE_NAME else path,
        declaration,
        next((record for record in records if isinstance(record, Decision)), None),
        bursts,
        [record for record in records if isinstance(record, Failure)],
        next((record for record in records if isinstance(record, End)), None),
        [record for record in records if isinstance(record, Level)],
    )
    all_bursts = [record for record in records if isinstance(record, Burst)]
    refuse_contradictions(path, _contradictions(stream, all_bursts))
    for own in declaration.libraries:
        own.introduce()
    timed = [burst.block for burst in all_bursts] + [level.block for level in stream.levels]
    cut = None if stream.end else max(timed, default=None)
    stream.levels[:] = [level for level in stream.levels if level.block != cut]
    for burst in all_bursts:
        if burst.block != cut:
            bursts[burst.arm].append(burst)
    for of_arm in bursts.values():
        of_arm.sort(key=lambda burst: burst.block)
    return stream


def _contradictions(stream: Stream, bursts: list[Burst]) -> Iterator[str]:
    """Yield what contradicts itself; each line alone may be possible."""
    declaration, decision = stream.declaration, stream.decision
    yield from of_case(declaration.case.with_task("forward"))
    yield from of_libraries((arm.library for arm in declaration.arms), declaration.libraries)
    libraries = (*(burst.facts for burst in bursts), *(level.facts for level in stream.levels))
    for facts in (declaration.machine, *libraries):
        yield from of_facts(facts)
    if declaration.case.task != STREAM or (declaration.rate is None) != (declaration.pace is None):
        yield "what was declared is no stream"
    if len(stream.bursts) != len(declaration.arms) + 1 or (bursts and decision is None):
        yield "two arms of one name, or times of calls that were not decided"
    named = [side for pair in decision.pairs for side in (pair.entry, pair.baseline)] if decision else []
    known = stream.bursts.keys()
    arms = (*(burst.arm for burst in bursts), *(level.arm for level in stream.levels))
    for name in (*named, *arms, *(failure.entry for failure in stream.failures)):
        if name not in known or (name in named and name == CONTROL):
            yield f"no arm is called {quoted(name)}"
    if len({(burst.arm, burst.block) for burst in bursts}) < len(bursts):
        yield "two bursts of one arm in one block"
    for burst in bursts:
        calls = decision.calls if decision else 0
        for histogram in (burst.times, *filter(None, [burst.response])):
            fits = _is_whole(histogram) and histogram.n == calls
            if not fits or burst.block > declaration.blocks or burst.missed > calls:
                yield f"{quoted(burst.arm)} in block {burst.block} does not hold {calls} times"
        longest_ns = burst.times.percentile(1.0)
        if abs(burst.slowest[0].ns - longest_ns) > 1 + WIDTH * longest_ns:
            yield f"the slowest call of {quoted(burst.arm)} in block {burst.block} is not among its times"
        if (burst.response is None) != (declaration.rate is None):
            yield f"{quoted(burst.arm)} in block {burst.block} has responses without a rate, or none with one"
    yield from _contradictory_levels(stream)


def _is_whole(histogram: Histogram) -> bool:
    ascending = all(low < high for low, high in pairwise(histogram.bins))
    return ascending and len(histogram.bins) == len(histogram.counts)


def _contradictory_levels(stream: Stream) -> Iterator[str]:
    """Yield what contradicts itself in the levels of many streams."""
    declared, levels = stream.declaration, stream.levels
    if len({(at.arm, at.block, at.streams, at.workers, at.search) for at in levels}) < len(levels):
        yield "one level of an arm twice in a block"
    for level in levels:
        if (
            not all(map(_is_whole, (level.times, *filter(None, [level.response]))))
            or (level.response is None) != (declared.rate is None)
            or level.missed > (level.response.n if level.response else 0)
            or level.workers > min(level.streams, declared.workers)
            or level.block > declared.blocks
            or not declared.streams
        ):
            yield f"{quoted(level.arm)} in block {level.block} with {level.streams} streams is no level"
