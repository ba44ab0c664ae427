"""Streams for tests: files of streams that never ran, with times that are given."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from bench.api.options import StreamOptions
from bench.api.stream import choose_arms, make_case
from bench.measure.stream import pairs_of
from bench.records.record import End, Failure, OwnLibrary
from bench.records.stream import (
    CONTROL,
    MAX_SLOWEST,
    SCHEMA,
    Burst,
    Decision,
    Declaration,
    Histogram,
    Slow,
    StreamFile,
)
from bench.workload.catalog import own_libraries

COMPLETE = End("complete", "8 blocks measured", 60.0, "2026-01-01T00:10:00+00:00")
Calls = Sequence[float] | Callable[[int], Sequence[float]]  # ns of a block's calls, or by block


class Played:
    """A clock that a test moves: a reading costs 50 ns, a sleep ends ``late_ns`` too late."""

    def __init__(self, late_ns: int = 60_000, cost_ns: int = 50) -> None:
        self.now, self.late_ns, self.cost_ns = 0, late_ns, cost_ns

    def __call__(self) -> int:
        self.now += self.cost_ns
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9) + self.late_ns

    def work(self, *spans_ns: int) -> Iterator[None]:
        for span in cycle(spans_ns):
            self.now += span
            yield


def burst(
    block: int, arm: str, calls: Sequence[float], *, wait_ns: float, period_ns: float | None, idle_ns: int = 0
) -> Burst:
    """A block whose calls took these times, each ``wait_ns`` after it was due."""
    times = np.asarray(calls, dtype=float)
    response = times + wait_ns
    return Burst(
        block, arm, Histogram.of(times), Histogram.of(response) if period_ns else None,
        int(np.sum(response > period_ns)) if period_ns else 0,
        [Slow(int(place), round(times[place]), False) for place in np.argsort(-times)[:MAX_SLOWEST]],
        1_000_000, (40, 42), 30, [12, 1, 0], 50_000, 3, (7, 0), {}, idle_ns,
    )  # fmt: skip


def write_stream(
    folder: Path,
    calls: Mapping[str, Calls],
    *,
    blocks: int = 8,
    rate: float | None = None,
    wait_ns: float = 60_000.0,
    group: int = 1,
    failures: Sequence[Failure] = (),
    end: End | None = COMPLETE,
    **options: Any,
) -> Path:
    """Write the stream of variants, and ``control``, whose calls are given; return its folder."""
    names = [name for name in calls if name != CONTROL]
    args = StreamOptions(variant=tuple(names), seed=1, rate=rate, **options)
    case = make_case(args)
    arms, _ = choose_arms(args, case)
    ids = dict(zip(names, (arm.id for arm in arms), strict=True)) | {CONTROL: CONTROL}
    of_block = {ids[name]: given if callable(given) else _always(given) for name, given in calls.items()}
    medians = {arm.id: float(np.median(of_block[arm.id](1))) for arm in arms}
    with StreamFile.new(folder) as file:
        file.write(
            Declaration(
                SCHEMA, "0", "2026-01-01T00:00:00+00:00", ["rnnbench", "stream"], case, 1, blocks, 10,
                None, 5.0, rate, "sleep" if rate else None, True, not args.quick, 0.02, arms,
                [OwnLibrary.of(name) for name in own_libraries(arm.spec for arm in arms)],
                {"processor": "a processor", "cpus": 2}, {}, [],
            )
        )  # fmt: skip
        n = len(of_block[CONTROL](1))
        file.write(Decision(n, group, round(max(medians.values())), pairs_of(arms, medians)))
        for block in range(1, blocks + 1):
            for name, given in of_block.items():
                period_ns = 1e9 / rate if rate else None
                file.write(burst(block, name, given(block), wait_ns=wait_ns, period_ns=period_ns))
        for record in (*failures, *([end] if end else [])):
            file.write(record)
    return folder


def _always(calls: Sequence[float]) -> Callable[[int], Sequence[float]]:
    return lambda block: calls
