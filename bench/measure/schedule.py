"""The schedule: names of the workers of a run, the sessions of a block, the order of a round.

A worker holds all entries of one library at one place, a place being a device and a number of threads. What
compiles, what is the user's own and what crashed before has a worker of its own. A session are the tables
that share an entry: its entries are held together, and take one value each in every round.
"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bench.records.record import Arm, Entry, Group

SLOW_CALL_NS = 10_000_000  # entries with longer calls take part in a third of the rounds
SLOW_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Session:
    """Tables that share entries. ``entries`` are those to be measured, each once, under its first name."""

    groups: tuple[Group, ...]
    entries: tuple[Entry, ...]


def worker_name(arm: Arm, *, alone: bool) -> str:
    """Name the worker that holds an arm: shared, or ``alone``. The A/A control has another of its kind."""
    if alone:
        return arm.id
    return f"{arm.library}@{arm.device} x{arm.threads}" + (" control" if arm.twin else "")


def sessions(groups: Sequence[Group], measured_as: Callable[[str], str]) -> list[Session]:
    """Put tables that share a measured entry into one session; keep their order."""
    parts: list[tuple[list[Group], dict[str, Entry]]] = []
    for group in groups:
        entries: dict[str, Entry] = {}
        for entry in group.entries:
            entries.setdefault(measured_as(entry.id), entry)
        own = [group]
        for others, theirs in [part for part in parts if part[1].keys() & entries.keys()]:
            own, entries = (
                [*others, *own],
                theirs | {name: entry for name, entry in entries.items() if name not in theirs},
            )
            parts.remove((others, theirs))
        parts.append((own, entries))
    return [Session(tuple(own), tuple(entries.values())) for own, entries in parts]


def round_order(
    session: Session,
    number: int,
    order: random.Random,
    *,
    slow: Collection[str] = (),
    accelerated: Collection[str] = (),
) -> list[Entry]:
    """Return the entries of a round, shuffled anew: table by table, so that rivals are neighbours in time.

    Those on accelerators stand together. Slow ones come last, in every third round, and so never between
    the two sides of another pair.
    """
    left = {(entry.arm, entry.case): entry for entry in session.entries}
    shuffled: list[Entry] = []
    for group in order.sample(session.groups, len(session.groups)):
        works = [(entry.arm, entry.case) for entry in group.entries]
        own = [left.pop(work) for work in works if work in left]
        shuffled += order.sample(own, len(own))
    shuffled.sort(key=lambda entry: entry.id in accelerated, reverse=order.random() < 0.5)
    quick = [entry for entry in shuffled if entry.id not in slow]
    return quick + [entry for entry in shuffled if entry.id in slow and number % SLOW_ROUNDS == 0]
