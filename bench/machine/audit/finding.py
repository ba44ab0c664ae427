"""A finding of the audit: what is wrong with this machine for timing, how bad it is, what mends it."""

from dataclasses import dataclass
from typing import Literal

# unfair: it favours one library; unstable: times scatter or drift; note: good to know
Level = Literal["unfair", "unstable", "note"]
LEVELS: tuple[Level, ...] = ("unfair", "unstable", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` is a clause without a full stop, ``mend`` a command to type or what else to do."""

    topic: str
    level: Level
    what: str
    mend: str
    banner: bool = True  # whether a report says it above its numbers


def unfair(topic: str, what: str, mend: str) -> Finding:
    """What favours one of the libraries."""
    return Finding(topic, "unfair", what, mend)


def unstable(topic: str, what: str, mend: str) -> Finding:
    """What makes times scatter or drift."""
    return Finding(topic, "unstable", what, mend)


def note(topic: str, what: str, mend: str, *, banner: bool = False) -> Finding:
    """What is good to know, and changes no comparison of a run."""
    return Finding(topic, "note", what, mend, banner)
