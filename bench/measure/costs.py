"""What the parts of a block take, in seconds: block 0 shows it, and the plan's time is predicted from it."""

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Costs:
    """Seconds of the last block."""

    spent_s: float = 0.0  # from the start of the run to the end of block 0
    start_s: float = 0.0  # every worker started and ready
    ready_s: dict[str, float] = field(default_factory=dict)  # by worker, processor time of its start
    holds: dict[str, set[str]] = field(default_factory=dict)  # by worker, its arms
    prove_s: dict[str, float] = field(default_factory=dict)  # by entry, without calibration
    turn_s: dict[str, float] = field(default_factory=dict)  # by entry, a value without re-warming
    probes_s: dict[str, float] = field(default_factory=dict)  # by arm

    def note_turn(self, entry: str, elapsed_ns: int) -> None:
        """Keep the quickest turn of an entry: the first one loads what is loaded once."""
        self.turn_s[entry] = min(elapsed_ns / 1e9, self.turn_s.get(entry, math.inf))
