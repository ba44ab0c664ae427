"""Name the workers of a run, group tables into sessions, and order the entries of a round.

A worker holds all entries of one library at one place; a place is a device and a number of threads. Compiled
variants, users' variants and variants that crashed before get a worker each. A session is a set of tables
connected by shared entries. The entries of a session are held together and take one sample each per round;
those with slow calls take part in every third round.
"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from bench.records.record import Arm, Entry, Group

SLOW_CALL_NS = 10_000_000  # entries with longer calls take part in a third of the rounds
SLOW_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Session:
    """Hold tables that share entries; ``entries`` lists each entry to measure once, under its first id."""

    groups: tuple[Group, ...]
    entries: tuple[Entry, ...]


def worker_name(arm: Arm, *, alone: bool) -> str:
    """Name the worker of an arm, shared or ``alone``; the A/A control never shares the original's worker."""
    if alone:
        return arm.id
    return f"{arm.library}@{arm.device} x{arm.threads}" + (" control" if arm.twin else "")


def sessions(groups: Sequence[Group], measured_as: Callable[[str], str]) -> list[Session]:
    """Put tables that share a measured entry into one session; keep the order of the tables."""
    parts: list[tuple[list[Group], dict[str, Entry]]] = []
    for group in groups:
        entries: dict[str, Entry] = {}
        for entry in group.entries:
            name = measured_as(entry.id)  # also where the table of this name was left out
            entries.setdefault(name, replace(entry, id=name))
        joined = [group]
        for earlier, earlier_entries in [part for part in parts if part[1].keys() & entries.keys()]:
            joined, entries = (
                [*earlier, *joined],
                earlier_entries
                | {name: entry for name, entry in entries.items() if name not in earlier_entries},
            )
            parts.remove((earlier, earlier_entries))
        parts.append((joined, entries))
    return [Session(tuple(joined), tuple(entries.values())) for joined, entries in parts]


def round_order(
    session: Session,
    number: int,
    order: random.Random,
    *,
    slow: Collection[str] = (),
    accelerated: Collection[str] = (),
) -> list[Entry]:
    """Return the entries of a round in a new random order, table by table.

    So entries that are compared are timed shortly after each other. Entries on accelerators are neighbours.
    Slow entries come last, and only in every third round, so that none comes between another pair.
    """
    remaining = {(entry.arm, entry.case): entry for entry in session.entries}
    shuffled: list[Entry] = []
    for group in order.sample(session.groups, len(session.groups)):
        works = [(entry.arm, entry.case) for entry in group.entries]
        group_entries = [remaining.pop(work) for work in works if work in remaining]
        shuffled += order.sample(group_entries, len(group_entries))
    shuffled.sort(key=lambda entry: entry.id in accelerated, reverse=order.random() < 0.5)
    quick = [entry for entry in shuffled if entry.id not in slow]
    return quick + [entry for entry in shuffled if entry.id in slow and number % SLOW_ROUNDS == 0]
