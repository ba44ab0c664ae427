"""What a plan declares before the first value: arms, entries and their tables, headlines, ladder, probes."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from bench.workload.case import Case

# a table as asked for; what a plan adds: the ladder, compiled code, the calls on arrays of one number
GroupKind = Literal["table", "ladder", "compiled", "dispatch"]
# each library as usually written; the fastest form of each; compiled code; the tutorial's claim; A/A
PairKind = Literal["as_written", "best", "compiled", "claim", "twin"]


class Arm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Variant + device + thread count: what one worker holds. A twin repeats another arm (A/A)."""

    id: str  # "numpy-batched@cpu x1", "numpy-batched@cpu x1 twin"
    spec: str  # the catalogue's name, or module:object
    variant: str
    library: str
    device: str
    threads: int
    twin: bool = False
    known_wrong: bool = False

    @property
    def title(self) -> str:
        """What a sentence calls it: "numpy-batched", "torch-rnn on cuda:0", "torch-rnn with 2 threads"."""
        device = "" if self.device == "cpu" else f" on {self.device}"
        threads = f" with {self.threads} threads" if self.threads > 1 and not device else ""
        return f"{self.variant}{device}{threads}{' (A/A control)' if self.twin else ''}"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An arm on a case, within a group: one row of a table. ``baseline`` is an entry's id or None."""

    id: str  # "train_step positional | numpy-batched@cpu x1"
    group: str
    arm: str
    case: Case
    baseline: str | None


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entries that are measured next to each other in every block, and shown as one table."""

    name: str  # "train_step positional", "ladder", "dispatch"
    entries: list[Entry]
    blocks: int | None = None  # counted blocks that it takes part in; None: all
    kind: GroupKind = "table"


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A declared headline: the time of ``entry`` over the time of ``baseline``."""

    kind: PairKind
    entry: str
    baseline: str


class Rung(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step of the ladder: ``entry`` differs from the rung ``above`` it in one thing, the ``change``."""

    entry: str
    above: str | None  # the entry it is compared with; None for the first rung
    change: str  # "tanh", "the whole batch at once"
    branch: bool = False  # beside the way that leads from the first rung to the last


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Basic operations of an arm's library, to be timed by the arm's worker at the sizes of ``case``."""

    arm: str
    case: Case
    blocks: int | None = None  # counted blocks that it takes part in; None: all


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something asked for that cannot be measured here, and why."""

    what: str  # "torch-rnn@cuda:0"
    reason: str
    library: str = ""  # whose variant it is; empty for a device


def measured_as(groups: Iterable[Group]) -> dict[str, str]:
    """By entry, the entry under which it is measured: the first of all that have its arm and its case."""
    first: dict[tuple[str, Case], str] = {}
    return {
        entry.id: first.setdefault((entry.arm, entry.case), entry.id)
        for group in groups
        for entry in group.entries
    }
