"""The sentence that says why: which part of a call takes the slower side longer, or what starting costs."""

from collections.abc import Mapping

from bench.analysis.breakeven import break_evens
from bench.analysis.outcome import Outcome
from bench.analysis.summary import Summary
from bench.analysis.time_split import Kind, Limit, Part, difference, limits
from bench.analysis.verdict import Comparison
from bench.machine import units
from bench.machine.wording import full_stop
from bench.records.run import Run
from bench.reporting import words
from bench.reporting.sections.breakeven import sentence

LARGE = 0.5  # share of the difference from which on a part explains it
WHAT: dict[Kind, str] = {
    "dispatch": "the cost of the calls alone, whatever the sizes",
    "products": "matrix products",
    "elementwise": "passes over arrays, such as tanh",
    "rest": "neither calls, products nor passes: bookkeeping for gradients, copies, caches",
}

UNPRICED = (
    "work on the arrays themselves, and not the cost of the calls"  # where basic operations are not known
)


def reason(run: Run, found: Mapping[str, Outcome], summary: Summary, made: Comparison | None) -> str:
    """Why the verdict of ``made`` is what it is; where that is not known, what follows from starting.

    ``summary`` is the run's. Empty where nothing was compared.
    """
    if made is None or made.ratio is None:
        return ""
    if made.verdict in ("INVALID", "NONE"):
        return full_stop(made.mend) if made.mend else ""
    if made.verdict in words.DECIDED and (told := _by_part(run, found, made)):
        return told
    for one in break_evens(run, found, summary):
        if (one.other.entry.id, one.one.entry.id) == (made.entry, made.baseline):
            return sentence(run, one)
    return ""


def _by_part(run: Run, found: Mapping[str, Outcome], made: Comparison) -> str:
    """The part in which most of the difference lies; empty where the run cannot tell, or no part has most."""
    apart = limits(run, found)
    known = {limit.entry.id: limit for limit in apart.entries} if apart else {}
    slower, faster = (known.get(entry) for entry in _slower_first(made))
    between = difference(slower, faster) if slower and faster else None
    if slower is None or faster is None or between is None or between.time_ns <= 0:
        return ""
    kind = max(between.parts, key=lambda kind: between.parts[kind])
    if between.parts[kind] < LARGE * between.time_ns:
        return ""
    return _say(kind, slower, faster, between.parts[kind], between.time_ns)


def _say(kind: Kind, slower: Limit, faster: Limit, part_ns: float, whole_ns: float) -> str:
    """One part's share of the difference; of dispatch, also what would change it."""
    one, other = words.library(slower.arm), words.library(faster.arm)
    part, beside = slower.part(kind), faster.part(kind)
    if kind == "dispatch" and part is not None and beside is not None:
        return (
            f"{_share(part)} of {one}'s time is {WHAT[kind]} ({other}: {_share(beside)}): a larger batch or "
            "more hidden units would shrink that share."
        )
    what = WHAT[kind] if slower.part("products") else UNPRICED
    whole, part_of_it = units.duration(whole_ns), units.duration(part_ns)
    if part_ns > whole_ns:  # other parts take it less
        return f"{one} takes {part_of_it} longer in one part, {what}; elsewhere it makes up for some of it."
    return f"Of the {whole} that a call takes {one} longer, {part_of_it} are {what}."


def _share(part: Part) -> str:
    """A part of a call's time with its limits: "91 % [90 %, 92 %]"."""
    share = part.share
    if share.low is None or share.high is None:
        return _percent(share.value)
    return f"{_percent(share.value)} [{_percent(share.low)}, {_percent(share.high)}]"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _slower_first(made: Comparison) -> tuple[str, str]:
    """The two entries of a comparison."""
    slower = made.ratio is not None and made.ratio > 1
    return (made.entry, made.baseline) if slower else (made.baseline, made.entry)
