"""Which times of a run may leave it: those of proved entries, from block 1 on. No proof, no number."""

from bench.machine.errors import UserError
from bench.machine.wording import one_line
from bench.records.record import Burst
from bench.records.run import Run

SPOILED = ("disagrees", "invalid")  # statuses after which no time of the entry may be shown


def is_counted(burst: Burst) -> bool:
    """Whether its values count: block 0 never does, and nothing that was not proved."""
    return burst.block >= 1 and burst.status in ("ok", "known_wrong")


def per_call_ns(burst: Burst) -> dict[int, float]:
    """The time of a call in nanoseconds, by round."""
    return {
        number: elapsed / burst.n_calls
        for number, elapsed in zip(burst.rounds, burst.elapsed_ns, strict=True)
    }


def counted_bursts(run: Run) -> dict[str, list[Burst]]:
    """The counted bursts of every entry that has any, in the plan's order; none of one that disagrees.

    Raises:
        UserError: the run holds no counted value.
    """
    spoiled = {burst.entry for burst in run.bursts if burst.status in SPOILED}
    spoiled |= {failure.entry for failure in run.failures if failure.status in SPOILED}
    found: dict[str, list[Burst]] = {entry: [] for entry in run.entries if entry not in spoiled}
    for burst in run.bursts:
        if burst.entry in found and is_counted(burst):
            found[burst.entry].append(burst)
    if not any(found.values()):
        raise UserError(f"{run.plan.run} holds no counted value, so there is nothing to export")
    return {entry: bursts for entry, bursts in found.items() if bursts}


def is_known_wrong(bursts: list[Burst]) -> bool:
    """Whether the gradient that was timed is known to be wrong."""
    return any(burst.status == "known_wrong" for burst in bursts)


def entry_name(entry: str, bursts: list[Burst]) -> str:
    """An entry's id as other tools show it, with the warning that goes with a gradient known to be wrong."""
    return one_line(entry) + " (known wrong gradient)" * is_known_wrong(bursts)
