"""What the parts of a block take, in seconds: block 0 shows it, and the plan's time is predicted from it."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import psutil

from bench.host.machine import usable_cpus

MOST_TOGETHER = 4  # blocks whose workers start at the same time
WORKER_BYTES = 500_000_000  # of memory, with torch and what it holds


@dataclass(slots=True)
class Costs:
    """Seconds of the last block."""

    spent_s: float = 0.0  # from the start of the run to the end of block 0
    start_s: float = 0.0  # every worker of a block started and ready
    accelerated: bool = False  # whether any computes on an accelerator
    ready_s: dict[str, float] = field(default_factory=dict)  # by worker, processor time of its start
    holds: dict[str, set[str]] = field(default_factory=dict)  # by worker, its arms
    prove_s: dict[str, float] = field(default_factory=dict)  # by entry, without calibration
    turn_s: dict[str, float] = field(default_factory=dict)  # by entry, a value without re-warming
    probes_s: dict[str, float] = field(default_factory=dict)  # by arm

    @property
    def together(self) -> int:
        """How many blocks' workers are best started together: as many as keep the processors busy.

        Those of a block take as long as the slowest of them, or as all of them on all processors. Not where
        they need a device's memory, nor more than half of the memory that is free.
        """
        if self.accelerated or not self.ready_s:
            return 1
        total_s = sum(self.ready_s.values())
        room = psutil.virtual_memory().available // (2 * WORKER_BYTES * len(self.ready_s))
        return max(
            1, min(MOST_TOGETHER, room, math.ceil(usable_cpus() * max(self.ready_s.values()) / total_s))
        )

    def starting_s(self, workers: Collection[str]) -> float:
        """Seconds that starting some of the workers takes a block, by what all took in block 0."""
        if not workers:
            return 0.0

        def share_s(names: Collection[str], together: int) -> float:
            times = [self.ready_s[name] for name in names]
            return max(max(times) / together, sum(times) / usable_cpus())

        return self.start_s / share_s(self.ready_s, 1) * share_s(workers, self.together)

    def note_turn(self, entry: str, elapsed_ns: int) -> None:
        """Keep the quickest turn of an entry: the first one loads what is loaded once."""
        self.turn_s[entry] = min(elapsed_ns / 1e9, self.turn_s.get(entry, math.inf))
