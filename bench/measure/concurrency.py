"""Measure many streams at once: in each block fresh workers for every arm and for the control.

One arm is awake at a time, with all its workers: processes, or threads of one process. Arms take turns at
each level, a number of streams and of workers. At a rate, each block also searches for the number of streams
served: the most of which at most ``LATE`` of the steps are late.
"""

import math
import time
from collections.abc import Callable, Mapping
from functools import partialmethod
from typing import Any

from bench.machine.child import Child, ChildError, end_all
from bench.machine.wording import count
from bench.measure.concurrency_child import Hold, Serve, Served
from bench.measure.messages import Refused
from bench.measure.stream import START_DEADLINE_S, Blocks
from bench.measure.stream_child import Done
from bench.records.stream import CONTROL, LATE, Level, merged

CHILD = "bench.measure.concurrency_child"
STEP = 1.1  # the number of streams served is found to this factor
WAKE_NS = 30_000_000  # from a request to the first step
TRIES = 3  # of a level back to back of which a worker woke too late to work beside the others
ENOUGH, LONGER = 2000, 5  # steps of a level at a rate, for which it may take so many times as long


class Processes:
    """Ask several child processes as one; a reply is the list of theirs, or the first refusal."""

    def __init__(self, n: int, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._children = [Child(CHILD, arguments, environment, deadline_s=START_DEADLINE_S) for _ in range(n)]

    def receive(self, expected: Any, n: int | None = None) -> Any:
        """Return the replies of the first ``n``, or of all.

        Raises:
            ChildError: one gave no usable reply.
        """
        replies = [child.receive(expected) for child in self._children[:n]]
        return next((reply for reply in replies if isinstance(reply, Refused)), replies)

    def ask(self, messages: list[object], expected: Any) -> Any:
        """Send a message to each of the first children, and return their replies; errors as ``receive``."""
        for child, message in zip(self._children, messages, strict=False):
            child.send(message)
        return self.receive(expected, len(messages))

    def _all(self, method: str) -> None:
        for child in self._children:
            getattr(child, method)()

    pause, resume = partialmethod(_all, "pause"), partialmethod(_all, "resume")

    def stop(self) -> None:
        """End all; their grace periods overlap."""
        end_all(self._children)

    def explain(self, error: ChildError) -> str:
        """End all; return the error with the last line that one printed."""
        failed = next((child for child in self._children if not child.alive), self._children[0])
        self.stop()
        return failed.explain(error)


def most_served(serves: Callable[[int], bool], start: int, factor: float, most: int) -> int:
    """Return the largest number up to ``most`` that is served, to a factor of ``STEP``; 0 if not even 1 is.

    From ``start`` on, steps of ``factor``, growing up to 2, are taken until one number is served and another
    is not; then the gap is halved, on a logarithmic scale.
    """
    low, high, n = 0, most + 1, max(1, min(start, most))
    while high > low + 1 and (not low or high > STEP * low or high > most):
        if serves(n):
            low = n
        else:
            high = n
        between = math.sqrt(low * high) if low and high <= most else factor * low if low else high / factor
        n, factor = max(low + 1, min(high - 1, math.floor(between))), min(2.0, factor**2)
    return low


class ManyStreams(Blocks):
    """Run blocks of many streams."""

    def _measure(self, block: int) -> None:
        """Start the workers of all arms, measure every level, and search for the number served."""
        declared = self._declaration
        started = {name: self._start(block, name) for name in self._shuffled([*self.alive, CONTROL])}
        medians = {name: max(reply.median_ns for reply in started[name]) for name in self.alive}
        if not medians:
            return
        self._idle_ns = round(max(medians.values()))
        if block == 1:
            self._served = {name: self._expected(medians.get(name, self._idle_ns)) for name in started}
        for n, workers in self._order.sample(declared.levels, len(declared.levels)):
            self._tell(block, f"{count(n, 'stream')} on {workers}")
            for name in self._shuffled([*self._children]):
                self._level(block, name, n, workers)
        for name in self._shuffled([*self._children]) if declared.rate else []:
            self._search(block, name)

    def _expected(self, step_ns: float) -> int:
        """Return half of the streams that a step of this length allows: the search begins there."""
        declared = self._declaration
        return round(declared.workers * (declared.period_ns or 0.0) / max(1.0, step_ns) / 2)

    def _search(self, block: int, name: str) -> None:
        """Search for the number served; after the first block from the last one found, in small steps."""

        def serves(n: int) -> bool:
            self._tell(block, f"how many are served: {n} by {name}?")
            if name not in self._children:
                return False
            level = self._level(block, name, n, min(n, self._declaration.workers), search=True)
            return level is not None and level.late <= LATE

        most = self._declaration.most_streams
        self._served[name] = most_served(serves, self._served[name], 2.0 if block == 1 else STEP, most)

    def _process(self, argument: str, environment: Mapping[str, str]) -> Processes:
        declared = self._declaration
        n = declared.workers if declared.share == "processes" else 1
        return Processes(n, [argument], environment)

    def _level(self, block: int, name: str, n: int, workers: int, *, search: bool = False) -> Level | None:
        """Measure a level; None if the arm failed."""
        declared, threads = self._declaration, workers if self._declaration.share == "threads" else 1
        processes = range(0, workers, threads)
        holds = [Hold(len(range(first, n, workers)) if threads == 1 else n) for first in processes]
        if not self._ask(block, name, holds, Done):
            return None
        length_ns = declared.seconds * 1e9 / declared.rounds
        if declared.rate and not search:  # long enough for a p99, if that does not take too long
            length_ns *= min(LONGER, max(1.0, ENOUGH / (n * declared.rate * length_ns * 1e-9)))
        replies: list[Served] = []
        for _ in range(TRIES):
            begin_ns = time.perf_counter_ns() + WAKE_NS + round(length_ns / 10)
            requests = [
                Serve(
                    n, workers, first, threads, begin_ns, round(length_ns), declared.period_ns, declared.pace,
                    self._idle_ns,
                )
                for first in processes
            ]  # fmt: skip
            replies = self._ask(block, name, requests, Served) or []
            if not replies:
                return None
            if declared.rate or max(served.began_ns for served in replies) < begin_ns + length_ns / 2:
                break
        length_ns = max(served.ended_ns for served in replies) - min(served.began_ns for served in replies)
        responses = [served.response for served in replies if served.response]
        level = Level(
            block, name, n, workers, search, length_ns * 1e-9, merged(served.times for served in replies),
            merged(responses) if responses else None, sum(served.missed for served in replies),
            replies[0].facts,
        )  # fmt: skip
        self._records.append(level)
        return level
