"""What an entry has given in a block so far, and the record that it becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from bench.machine import gates
from bench.measure.inputs import Calibration
from bench.measure.messages import Proved, Value
from bench.records.record import Burst

REWARM_STEPS = 10  # of a value's calls each a tenth
REWARMED = 1.03  # a step within 3 % of the value after it was warm


@dataclass(slots=True)
class Taken:
    """The values of an entry, with the round of each and its place in that."""

    proved: Proved
    values: list[Value] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    @property
    def n_calls(self) -> int:
        """Calls of a value."""
        return self.proved.n_calls

    @property
    def next_batch(self) -> Literal[0, 1]:
        """The batch of the next value; the proof has left the first one with the variant."""
        return 0 if len(self.values) % 2 else 1

    def add(self, value: Value, number: int, place: int) -> None:
        """Take in the value of a round."""
        self.values.append(value)
        self.rounds.append(number)
        self.places.append(place)

    def burst(
        self,
        *,
        block: int,
        entry: str,
        device: str,
        digest: str,
        found: Calibration,
        machine: Mapping[str, float],
        alone: bool,
        limits: Mapping[str, float],
    ) -> Burst:
        """The record. ``machine`` is what its gates saw; ``alone``: one thread that computes on the cpu."""
        proved, whole_ns = self.proved, sum(value.elapsed_ns for value in self.values)
        waited = [waited_ns(value) if alone else 0 for value in self.values]
        cpu_ns = sum(value.cpu_ns for value in self.values)
        preempted = sum(value.preempted for value in self.values)
        seen = {**machine, "preempted": preempted * 1e9 / whole_ns}
        if alone and cpu_ns:
            seen["wall_over_cpu"] = whole_ns / cpu_ns
        seen = {gate: round(number, 4) for gate, number in seen.items()}
        rewarm = found.rewarm_calls
        return Burst(
            block=block,
            entry=entry,
            status=proved.status,
            n_calls=self.n_calls,
            elapsed_ns=[value.elapsed_ns - less for value, less in zip(self.values, waited, strict=True)],
            rounds=self.rounds,
            places=self.places,
            first_call_ns=proved.first_call_ns,
            warmup_calls=proved.warmup_calls,
            rewarm_calls=rewarm_calls(self.values, self.n_calls) if rewarm is None else rewarm,
            residual_ns=max(value.residual_ns for value in self.values),
            cpu_ns=cpu_ns,
            waited_ns=waited if any(waited) else [],
            device=device,
            digest=digest,
            checks=proved.checks,
            gates=seen,
            flags=gates.fired(seen, limits),
            settled=found.settled,
            transfer_ns=proved.transfer_ns,
            cold_call_ns=proved.cold_call_ns,
        )


def waited_ns(value: Value) -> int:
    """How long the process was put aside for another within a value's clock pair.

    A scheduler lets a process run for about 3 ms where others wait, so only longer values are cut in two, and
    a pair of a short and a long one would tell of the neighbours. What the process waited for by itself, and
    was not put aside, stays in its time.
    """
    return max(0, value.elapsed_ns - value.cpu_ns) if value.preempted else 0


def rewarm_step(n_calls: int) -> int:
    """Calls of a step of re-warming, which block 0 times."""
    return max(1, n_calls // REWARM_STEPS)


def rewarm_calls(values: Sequence[Value], n_calls: int) -> int:
    """Calls after which an entry is warm again: up to the first step as quick as the value that follows.

    ``values`` are those of block 0, whose steps were timed. At least one step, at most all of them.
    """
    calls = rewarm_step(n_calls)
    steps = min(len(value.rewarm_ns) for value in values)
    for step in range(1, steps):
        ratios = [value.rewarm_ns[step] / calls / (value.elapsed_ns / n_calls) for value in values]
        if median(ratios) <= REWARMED:
            return step * calls
    return steps * calls
