"""Say whether a peer, a library beside NumPy and PyTorch, is ahead of both: then the answer is "neither"."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.analysis.summary import Summary
from bench.analysis.verdict import Comparison
from bench.machine import units
from bench.machine.libraries import NUMPY, TORCH
from bench.machine.wording import full_stop, listing
from bench.records.record import Arm
from bench.reporting import words

LABEL = "Other libraries"
BOTH = (NUMPY.name, TORCH.name)
MAX_LISTED = 12  # tables
PLACE = " with one thread of the CPU"


@dataclass(frozen=True, slots=True)
class Peer:
    """Hold the fastest peer of a table, as chosen in block 0, against the fastest form of both libraries."""

    arm: Arm
    pairs: tuple[Comparison, ...]

    @property
    def ahead(self) -> bool:
        """Return whether the peer is proved to be faster than both."""
        return len(self.pairs) == len(BOTH) and all(pair.verdict == "FASTER" for pair in self.pairs)

    @property
    def factor(self) -> str:
        """Return by how much the peer is ahead of the faster one of both: "6.04"."""
        return units.ratio(min(1 / (pair.ratio or 1) for pair in self.pairs))

    def sentence(self, place: str) -> str:
        """Return that the answer is neither, or that the peer is not ahead, with both comparisons."""
        variant = self.arm.variant
        if self.ahead:
            leads = [(lead, pair) for pair in self.pairs if (lead := words.lead(pair))]
            times = [f"{lead.times} faster than {pair.baseline_arm.variant}" for lead, pair in leads]
            return f"Neither: {variant} is {self.factor} times faster than both{place} ({listing(times)})."
        verb = "is not" if any(pair.verdict == "SLOWER" for pair in self.pairs) else "is not proved to be"
        clauses = "; ".join(map(words.clause, self.pairs))
        return full_stop(f"{variant}, the fastest of them, {verb} ahead of both{place}: {clauses}")


def peers(summaries: Iterable[Summary]) -> list[Peer]:
    """Return the fastest peer of every table in which it was compared, in a run or later in a refinement."""
    by_table: dict[str, Peer] = {}
    for summary in summaries:
        by_entry: dict[str, list[Comparison]] = {}
        for pair in summary.headlines:
            if pair.kind == "peer":
                by_entry.setdefault(pair.entry, []).append(pair)
        for entry, pairs in by_entry.items():
            if not all(pair.left_out for pair in pairs):
                by_table[summary.run.entries[entry].group] = Peer(pairs[0].arm, tuple(pairs))
    return [*by_table.values()]


def not_compared(variants: Sequence[str]) -> str:
    """Return that no peer was compared with both libraries; empty without peers."""
    if not variants:
        return ""
    return f"{listing(variants)}: not compared, since times of a peer, of NumPy or of PyTorch are missing."


def answer(summaries: Sequence[Summary], name: Callable[[Peer, Sequence[Peer]], str]) -> str:
    """Return what the peers change about the answer of a run and its refinements; empty if not asked for.

    ``name`` says how a peer's table differs from those of the others. Peers are compared at one place only,
    which is told if the run has others: there a library may be faster still.
    """
    arms, compared = summaries[0].run.plan.arms, peers(summaries)
    variants = [arm.variant for arm in arms if arm.peer]
    place = PLACE * (len({(arm.device, arm.threads) for arm in arms}) > 1)
    if not variants or len(compared) == 1:
        return "".join(peer.sentence(place) for peer in compared)
    if not compared:
        return not_compared(variants)
    ahead = [peer for peer in compared if peer.ahead]
    texts = [
        f"{peer.arm.variant} is {peer.factor} times faster than both with {name(peer, compared)}"
        for peer in ahead
    ]
    if not ahead:
        return f"No peer is proved to be ahead of both{place} in any of {len(compared)} tables."
    others = "; in the others no peer is proved to be ahead of both" * (len(ahead) < len(compared))
    return f"Neither{place}, in {len(ahead)} of {len(compared)} tables: {listing(texts, MAX_LISTED)}{others}."
