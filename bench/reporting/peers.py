"""Say whether a peer, a library beside NumPy and PyTorch, is ahead of both: then the answer is "neither"."""

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True, slots=True)
class Peer:
    """Hold the fastest peer of a table, as chosen in block 0, against the fastest form of both libraries."""

    arm: Arm
    entry: str
    pairs: tuple[Comparison, ...]

    @property
    def ahead(self) -> bool:
        """Return whether the peer is proved to be faster than both."""
        return len(self.pairs) == len(BOTH) and all(pair.verdict == "FASTER" for pair in self.pairs)

    @property
    def factor(self) -> str:
        """Return by how much the peer is ahead of the faster one of both: "6.04"."""
        return units.ratio(min(1 / (pair.ratio or 1) for pair in self.pairs))

    @property
    def sentence(self) -> str:
        """Return that the answer is neither, or that the peer is not ahead, with both comparisons."""
        if self.ahead:
            leads = [(lead, pair) for pair in self.pairs if (lead := words.lead(pair))]
            times = [f"{lead.times} faster than {pair.baseline_arm.variant}" for lead, pair in leads]
            return f"Neither: {self.arm.variant} is {self.factor} times faster than both ({listing(times)})."
        verb = "is not" if any(pair.verdict == "SLOWER" for pair in self.pairs) else "is not proved to be"
        clauses = "; ".join(map(words.clause, self.pairs))
        return full_stop(f"{self.arm.variant}, the fastest of them, {verb} ahead of both: {clauses}")


def peers(summary: Summary) -> list[Peer]:
    """Return the fastest peer of every table in which it was compared."""
    by_entry: dict[str, list[Comparison]] = {}
    for pair in summary.headlines:
        if pair.kind == "peer":
            by_entry.setdefault(pair.entry, []).append(pair)
    compared = {entry: pairs for entry, pairs in by_entry.items() if not all(pair.left_out for pair in pairs)}
    return [Peer(pairs[0].arm, entry, tuple(pairs)) for entry, pairs in compared.items()]


def answer(summary: Summary, name: Callable[[Peer, Sequence[Peer]], str]) -> str:
    """Return what the peers change about a run's answer; empty if none was asked for.

    ``name`` says how a peer's table differs from those of the others.
    """
    asked, found = [arm.variant for arm in summary.run.plan.arms if arm.peer], peers(summary)
    if not asked or len(found) == 1:
        return "".join(peer.sentence for peer in found)
    if not found:
        return f"{listing(asked)}: not compared, as a peer, NumPy or PyTorch has no time in block 0."
    ahead = [peer for peer in found if peer.ahead]
    texts = [
        f"{peer.arm.variant} is {peer.factor} times faster than both with {name(peer, found)}"
        for peer in ahead
    ]
    if not ahead:
        return f"No peer is proved to be ahead of both in any of {len(found)} tables."
    others = "; in the others no peer is proved to be ahead of both" * (len(ahead) < len(found))
    return f"Neither, in {len(ahead)} of {len(found)} tables: {listing(texts, MAX_LISTED)}{others}."
