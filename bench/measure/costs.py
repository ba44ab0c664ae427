"""What the parts of a block take, in seconds: block 0 shows it, and the plan's time is predicted from it."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import psutil

from bench.machine.host import usable_cpus

MOST_TOGETHER = 4  # blocks whose workers start at the same time
WORKER_BYTES = 500_000_000  # of memory, with torch and what it holds


@dataclass(slots=True)
class Costs:
    """Seconds of the last block."""

    spent_s: float = 0.0  # from the start of the run to the end of block 0
    slowness: float = 1.0  # of a start, over what its processor time allows
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
        slowest_s, total_s = max(self.ready_s.values()), sum(self.ready_s.values())
        room = psutil.virtual_memory().available // (2 * WORKER_BYTES * len(self.ready_s))
        return max(1, min(MOST_TOGETHER, room, math.ceil(usable_cpus() * slowest_s / total_s)))

    def note_start(self, elapsed_s: float) -> None:
        """Learn from a start how much longer it takes than its processor time says."""
        self.slowness = elapsed_s / self._least_s(self.ready_s, 1)

    def starting_s(self, workers: Collection[str] | None = None) -> float:
        """Seconds that starting these workers takes a block; all, where none are named."""
        workers = self.ready_s if workers is None else workers
        return self.slowness * self._least_s(workers, self.together) if workers else 0.0

    def _least_s(self, workers: Collection[str], together: int) -> float:
        """What their processor time allows on all processors."""
        times = [self.ready_s[name] for name in workers]
        return max(max(times) / together, sum(times) / usable_cpus())

    def note_turn(self, entry: str, elapsed_ns: int) -> None:
        """Keep the quickest turn of an entry: the first one loads what is loaded once."""
        self.turn_s[entry] = min(elapsed_ns / 1e9, self.turn_s.get(entry, math.inf))
